/* The cases of embed_prompts: prompts, tokens of each, C, img_size, mask tokens, single tokens behind these (1) or
 * before everything (2), as later decoders have them. Labels go round from -1 to 3; some points lie far outside the
 * image. */
#include "tests/checkops/checkops.h"
#include "tests/checkops/book.h"
#include "kernels/embed_prompts/embed_prompts.h"

#include <string.h>

static const test_case point_cases[] = {
    {ALL, {1, 1, 2, 4, 1}},         {ALL, {5, 1, 10, 64, 4}},         {ALL, {3, 11, 64, 1024, 4}},
    {ALL, {13, 10, 130, 512, 2}},   {ALL, {64, 1, 256, 1, 4}},        {ALL, {6, 0, 64, 512, 4}},
    {MODEL, {64, 2, 256, 1024, 4}}, {MODEL, {1, 4097, 256, 1024, 4}}, {MODEL, {64, 2, 128, 512, 4}},
    {QUICK, {1, 1, 2, 7, 1}},       {QUICK, {3, 4, 258, 512, 4}},     {QUICK, {5, 0, 64, 512, 4}},
    {QUICK, {32, 2, 256, 1024, 4}}, {FULL, {320, 2, 256, 1024, 4}},   {ALL, {3, 2, 34, 64, 4, 1}},
    {ALL, {4, 3, 66, 64, 3, 2}},    {QUICK, {5, 0, 64, 512, 2, 2}},
};

enum { SINGLE = 5 };
static int64_t own_of(const int *p) { return 1 + p[4] + (p[SINGLE] > 0); }

static void points_build(check *c, const int *p) {
    int64_t prompts = p[0], sparse = p[1], n = p[2], masks = p[4], tokens = own_of(p) + sparse;
    samc__embed_prompts_args *a = ARGS(c, embed_prompts);
    int32_t *labels = raw_input(c, (size_t)(prompts * sparse + 1) * sizeof *labels);
    for (int64_t i = 0; i < prompts * sparse; i++) labels[i] = (int32_t)((i + prompts) % 5) - 1;
    *a = (samc__embed_prompts_args){.xy = input_around(c, 2 * prompts * sparse + 1, 0.5f * (float)p[3], (float)p[3]),
                                    .labels = labels,
                                    .img_size = p[3],
                                    .gaussian = samc__view2(input(c, n, 1.5f), 2, n / 2),
                                    .not_a_point = samc__view1(input(c, n, 1), n),
                                    .queries = samc__view3(output(c, prompts * tokens * n), prompts, tokens, n),
                                    .pe = samc__view3(output(c, prompts * tokens * n), prompts, tokens, n)};
    for (int i = 0; i < 4; i++) a->label_embed[i] = samc__view1(input(c, n, 1), n);
    const samc__view iou = samc__view2(input(c, n, 1), 1, n), of_masks = samc__view2(input(c, masks * n, 1), masks, n),
                     single = p[SINGLE] ? samc__view2(input(c, n, 1), 1, n) : (samc__view){0};
    const samc__view usual[] = {iou, of_masks, single}, first[] = {single, iou, of_masks};
    memcpy(a->own, p[SINGLE] == 2 ? first : usual, sizeof usual);
}

static void points_draw(check *c, int *p) {
    p[0] = random_size(c, 20), p[1] = random_size(c, 10) - 1, p[2] = 2 * random_size(c, 130),
    p[3] = random_size(c, 1100), p[4] = random_size(c, 6), p[SINGLE] = random_below(c, 3);
}

static bool points_narrow(check *c, const int *p) {
    samc__embed_prompts_args *a = ARGS(c, embed_prompts);
    int64_t last = p[0] - 1, tokens = a->queries.n[1], n = p[2];
    a->xy += 2 * last * p[1], a->labels += last * p[1];
    a->queries = samc__view3(samc__f32(a->queries) + last * tokens * n, 1, tokens, n);
    a->pe = samc__view3(samc__f32(a->pe) + last * tokens * n, 1, tokens, n);
    return p[0] > 1;
}

static const float *own_token(const samc__embed_prompts_args *a, int64_t token) {
    int kind = 0;
    for (; token >= a->own[kind].n[0]; kind++) token -= a->own[kind].n[0];
    return samc__f32(a->own[kind]) + token * a->own[kind].n[1];
}

static const char *points_verify(const check *c, const int *p) {
    const samc__embed_prompts_args *a = ARGS(c, embed_prompts);
    int64_t n = p[2], tokens = a->queries.n[1], own = own_of(p);
    const float *queries = samc__f32(a->queries), *none = samc__f32(a->not_a_point);
    if (memcmp(queries, samc__f32(a->pe), (size_t)(p[0] * tokens * n) * sizeof(float)) != 0)
        return "position encodings are not the queries";
    for (int64_t row = 0; row < p[0] * tokens; row++) {
        int64_t token = row % tokens, point = row / tokens * p[1] + token - own;
        const float *y = queries + row * n;
        if (token < own) {
            if (memcmp(y, own_token(a, token), (size_t)n * sizeof *y) != 0)
                return "a token of the model's own is another";
            continue;
        }
        for (int64_t i = 0; i < n && a->labels[point] < 0; i++)
            if (y[i] != none[i]) return "padding has a position";
        if (a->labels[point] < 0) continue;
        if (!encoding_fits(((double)a->xy[2 * point] + 0.5) / p[3], ((double)a->xy[2 * point + 1] + 0.5) / p[3],
                           samc__f32(a->gaussian), n, y, samc__f32(a->label_embed[a->labels[point]])))
            return "a point's token is not its encoding and its label's embedding";
    }
    return NULL;
}

static void points_book(book *b, const check *of) {
    const samc__embed_prompts_args *a = ARGS(of, embed_prompts);
    int64_t prompts = a->queries.n[0], tokens = a->queries.n[1], c = a->queries.n[2],
            sparse = samc__embed_prompts_sparse(a), own = tokens - sparse;
    double *gaussian = values(b, a->gaussian), *xy = values_at(b, a->xy, 2 * prompts * sparse),
           *queries = result(b, a->queries), *pe = result(b, a->pe);
    double *added[5] = {values(b, a->not_a_point)}, *owned = room(b, own * c), *at = owned;
    for (int i = 0; i < 4; i++) added[i + 1] = values(b, a->label_embed[i]);
    for (int i = 0; i < SAMC__OWN_TOKENS && a->own[i].data; at += count_of(a->own[i++]))
        memcpy(at, values(b, a->own[i]), (size_t)count_of(a->own[i]) * sizeof *at);
    for (int64_t row = 0; row < prompts * tokens;
         row++) { /* padding has no position: point_embedding[labels == -1] = 0.0 */
        int64_t token = row % tokens, t = row / tokens * sparse + token - own;
        double *y = queries + row * c;
        if (token >= own) encode((xy[2 * t] + 0.5) / a->img_size, (xy[2 * t + 1] + 0.5) / a->img_size, gaussian, c, y);
        for (int64_t i = 0; i < c; i++)
            y[i] = token < own ? owned[token * c + i] : (a->labels[t] < 0 ? 0 : y[i]) + added[a->labels[t] + 1][i];
    }
    memcpy(pe, queries, (size_t)(prompts * tokens * c) * sizeof *pe);
}

ROW(embed_prompts) = {
    .name = "embed_prompts",
    .fields = "prompts tokens C img masks single",
    /* For a fast version's sines; the reference is the only one on a host. */
    .nmse = 1e-12,
    .deviation = 1e-5,
    .cases = point_cases,
    .case_count = COUNT(point_cases),
    .build = points_build,
    .narrow = points_narrow,
    .verify = points_verify,
    .draw = points_draw,
    .book = points_book,
};
