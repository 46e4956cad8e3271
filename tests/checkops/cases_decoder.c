/* Cases of the decoder's operators. The full ones are SAM's (grid 64, C = 256) and the default model's (grid 32, C =
 * 128). */
#include "kernels/decoder_form.h"
#include "tests/checkops/checkops.h"

#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

static samc__projection projection(check *c, int64_t out, int64_t in) {
    float scale = 1.2f / __builtin_sqrtf((float)in);
    return (samc__projection){.w = samc__view2(input_around(c, out * in, 0, scale), out, in),
                              .b = samc__view1(input_around(c, out, 0, 0.1f), out)};
}

static samc__norm norm(check *c, int64_t n, float eps) {
    return (samc__norm){samc__view1(input_around(c, n, 1, 0.2f), n), samc__view1(input_around(c, n, 0, 0.2f), n), eps};
}

/* The projections of q, k, v and the output; bit i of `unbiased`: the i-th has no bias. */
static samc__attention attention(check *c, int64_t inner, int64_t n, int heads, int unbiased) {
    samc__attention a = {projection(c, inner, n), projection(c, inner, n), projection(c, inner, n),
                         projection(c, n, inner), heads};
    samc__projection *all[] = {&a.q, &a.k, &a.v, &a.out};
    for (int i = 0; i < 4; i++)
        if (unbiased >> i & 1) all[i]->b = (samc__view){0};
    return a;
}

/* The last of `view`'s n[0] entries alone. */
static samc__view last_of(samc__view v) {
    int64_t size = 1;
    for (int i = 1; i < v.rank; i++) size *= v.n[i];
    v.data = samc__f32(v) + (v.n[0] - 1) * size;
    v.n[0] = 1;
    return v;
}

/* ---- token_attention: prompts T C inner heads pe unbiased ------------------------------------ */

static const test_case token_cases[] = {
    {0, {1, 1, 8, 8, 2, 0}},   {0, {2, 5, 24, 24, 3, 1}},    {0, {3, 7, 64, 64, 8, 1}},    {0, {1, 40, 32, 16, 4, 0}},
    {0, {5, 9, 36, 12, 1, 1}}, {1, {64, 7, 256, 256, 8, 1}}, {1, {64, 7, 128, 128, 8, 1}}, {1, {1, 7, 256, 256, 8, 1}},
};

static void token_build(check *c, const int *p) {
    int64_t prompts = p[0], t = p[1], n = p[2];
    samc__token_attention_args *a = &c->args.token_attention;
    *a = (samc__token_attention_args){.queries = samc__view3(in_out(c, prompts * t * n, 1), prompts, t, n)};
    if (p[5]) a->pe = samc__view3(input(c, prompts * t * n, 1), prompts, t, n);
    a->attention = attention(c, p[3], n, p[4], p[6]);
    a->norm = norm(c, n, 1e-5f);
}

static void token_draw(check *c, int *p) {
    p[0] = random_size(c, 8), p[1] = random_size(c, 50), p[2] = random_size(c, 140), p[4] = 1 + random_below(c, 8);
    p[3] = p[4] * random_size(c, 35), p[5] = random_below(c, 2), p[6] = random_below(c, 2) ? random_below(c, 16) : 0;
}

static bool token_narrow(check *c, const int *p) {
    samc__token_attention_args *a = &c->args.token_attention;
    a->queries = last_of(a->queries);
    if (p[5]) a->pe = last_of(a->pe);
    return p[0] > 1;
}

/* ---- token_to_image: prompts T C inner heads N shared B (entries of keys), made (projections given), unbiased ---- */

static const test_case cross_cases[] = {
    {0, {1, 1, 8, 4, 1, 1, 0, 1, 0}},         {0, {2, 5, 32, 16, 8, 9, 0, 2, 0}},
    {0, {3, 7, 64, 32, 8, 100, 1, 1, 0}},     {0, {2, 15, 40, 24, 3, 65, 0, 2, 0}},
    {0, {1, 16, 32, 16, 4, 33, 0, 1, 0}},     {0, {2, 17, 32, 16, 4, 257, 0, 2, 0}},
    {0, {1, 40, 48, 16, 8, 300, 1, 1, 0}},    {0, {65, 6, 16, 8, 8, 16, 1, 1, 0}},
    {0, {2, 7, 128, 64, 8, 1030, 0, 2, 0}},   {0, {1, 7, 256, 128, 8, 529, 1, 1, 0}},
    {0, {2, 3, 20, 10, 2, 50, 1, 1, 0}},      {0, {6, 7, 64, 32, 8, 100, 1, 2, 0}},
    {0, {6, 5, 40, 24, 3, 65, 1, 3, 0}},      {0, {4, 7, 20, 10, 2, 50, 1, 4, 0}},
    {0, {4, 6, 32, 16, 4, 33, 0, 2, 0}},      {0, {3, 7, 64, 32, 8, 100, 1, 1, 1}},
    {0, {4, 6, 32, 16, 4, 33, 1, 2, 1}},      {0, {2, 18, 20, 10, 2, 50, 1, 2, 1}},
    {0, {2, 19, 20, 10, 2, 50, 0, 2, 0}},     {0, {4, 19, 32, 16, 4, 33, 1, 2, 1}},
    {0, {1, 7, 128, 64, 8, 70, 1, 1, 1}},     {0, {2, 160, 64, 32, 8, 70, 0, 2, 0}},
    {0, {6, 5, 32, 16, 4, 700, 1, 6, 0}},     {0, {6, 20, 32, 16, 4, 700, 0, 6, 0}},
    {0, {1, 1030, 16, 8, 2, 20, 0, 1, 0}},    {1, {16, 7, 256, 128, 8, 4096, 0, 16, 0}},
    {1, {16, 7, 256, 128, 8, 4096, 1, 1, 0}}, {1, {1, 7, 256, 128, 8, 4096, 0, 1, 0}},
    {1, {16, 7, 256, 128, 8, 4096, 1, 4, 0}}, {1, {4, 24, 256, 128, 8, 4096, 0, 4, 0}},
    {1, {1, 7, 256, 128, 8, 4096, 1, 1, 1}},  {1, {1, 156, 256, 128, 8, 4096, 0, 1, 0}},
    {1, {64, 7, 128, 64, 8, 1024, 0, 64, 0}}, {1, {64, 7, 128, 64, 8, 1024, 1, 1, 0}},
    {1, {64, 7, 128, 64, 8, 1024, 1, 64, 0}},
};

static void to_image_build(check *c, const int *p) {
    int64_t prompts = p[0], t = p[1], n = p[2], tokens = p[5], images = p[7];
    samc__token_to_image_args *a = &c->args.token_to_image;
    *a = (samc__token_to_image_args){.queries = samc__view3(in_out(c, prompts * t * n, 1), prompts, t, n)};
    a->pe = samc__view3(input(c, prompts * t * n, 1), prompts, t, n);
    a->keys = samc__view3(input(c, images * tokens * n, 1), images, tokens, n);
    a->shared = p[6] != 0;
    if (p[8]) { /* not those of keys: they are taken, or the result differs */
        a->image_k = samc__view3(input(c, images * tokens * p[3], 1), images, tokens, p[3]);
        a->image_v = samc__view3(input(c, images * tokens * p[3], 1), images, tokens, p[3]);
    }
    a->key_pe = samc__view2(input(c, tokens * n, 0.7f), tokens, n);
    a->attention = attention(c, p[3], n, p[4], p[9]);
    a->norm = norm(c, n, 1e-5f);
}

static void cross_draw(check *c, int *p) {
    p[7] = random_size(c, 5), p[0] = p[7] * (1 + random_below(c, 4)),
    p[1] = random_size(c, random_below(c, 3) ? 24 : 60), p[2] = random_size(c, 140);
    p[4] = 1 + random_below(c, 8), p[3] = p[4] * random_size(c, 20),
    p[5] = random_size(c, random_below(c, 4) ? 300 : 2200);
    p[6] = random_below(c, 2), p[8] = random_below(c, 3) == 0, p[9] = random_below(c, 2) ? random_below(c, 16) : 0;
}

static bool to_image_narrow(check *c, const int *p) {
    samc__token_to_image_args *a = &c->args.token_to_image;
    a->queries = last_of(a->queries);
    a->pe = last_of(a->pe);
    a->keys = last_of(a->keys);
    if (p[8]) a->image_k = last_of(a->image_k), a->image_v = last_of(a->image_v);
    return p[0] > 1 && (p[6] || p[7] == p[0]); /* else a prompt alone is folded where the batch is not */
}

/* What image_to_token notes: `made` by input or output. */
static samc__key_update key_update(check *c, float *(*made)(check *, int64_t), int64_t prompts, int64_t t, int64_t n,
                                   int64_t heads, int64_t inner) {
    int64_t blocks = samc__update_blocks(n), rows = heads * t + 1;
    return (samc__key_update){
        samc__view4(made(c, prompts * blocks * rows * SAMC__UPDATE_KEYS), prompts, blocks, rows, SAMC__UPDATE_KEYS),
        samc__view3(made(c, prompts * t * inner), prompts, t, inner)};
}

static samc__key_update last_update(samc__key_update u) {
    return (samc__key_update){last_of(u.weights), last_of(u.values)};
}

/* ---- image_to_token: the same, with what is noted of y where N is no multiple of 3, and y in place of keys where each
 * prompt has its own ---- */

static void to_token_build(check *c, const int *p) {
    int64_t prompts = p[0], t = p[1], n = p[2], tokens = p[5], images = p[7];
    samc__image_to_token_args *a = &c->args.image_to_token;
    *a = (samc__image_to_token_args){.queries = samc__view3(input(c, prompts * t * n, 1), prompts, t, n)};
    a->pe = samc__view3(input(c, prompts * t * n, 1), prompts, t, n);
    a->shared = p[6] != 0;
    if (p[8]) a->image_q = samc__view3(input(c, images * tokens * p[3], 1), images, tokens, p[3]);
    if (samc__folds(t) && tokens % 3 != 0) a->update = key_update(c, output, prompts, t, tokens, p[4], p[3]);
    if (images < prompts) {
        a->keys = samc__view3(input(c, images * tokens * n, 1), images, tokens, n);
        a->y = samc__view3(output(c, prompts * tokens * n), prompts, tokens, n);
    } else {
        a->keys = samc__view3(in_out(c, prompts * tokens * n, 1), prompts, tokens, n);
        a->y = a->keys;
    }
    a->key_pe = samc__view2(input(c, tokens * n, 0.7f), tokens, n);
    a->attention = attention(c, p[3], n, p[4], p[9]);
    a->norm = norm(c, n, 1e-5f);
}

static bool to_token_narrow(check *c, const int *p) {
    samc__image_to_token_args *a = &c->args.image_to_token;
    a->queries = last_of(a->queries);
    a->pe = last_of(a->pe);
    a->keys = last_of(a->keys);
    if (p[8]) a->image_q = last_of(a->image_q);
    a->y = last_of(a->y);
    if (a->update.weights.data) a->update = last_update(a->update);
    return p[0] > 1 && (p[6] || p[7] == p[0]);
}

/* ---- upscale_masks: prompts grid C C/4 C/8 masks layers B (entries of src, with layers) T heads hd (0: 4) ---- */

static const test_case upscale_cases[] = {
    {0, {1, 1, 8, 2, 1, 1}},
    {0, {2, 3, 16, 4, 2, 3}},
    {0, {1, 5, 64, 16, 8, 4}},
    {0, {3, 8, 32, 8, 4, 1}},
    {0, {1, 17, 128, 32, 16, 3}},
    {0, {1, 7, 20, 5, 3, 2}},
    {0, {2, 16, 256, 64, 32, 3}},
    {0, {1, 1, 8, 2, 1, 1, 1, 1, 1, 1}},
    {0, {2, 3, 16, 4, 2, 3, 2, 1, 5, 2}},
    {0, {4, 5, 64, 16, 8, 4, 2, 2, 7, 8}},
    {0, {3, 8, 32, 8, 4, 1, 3, 3, 18, 4}},
    {0, {2, 17, 128, 32, 16, 3, 2, 1, 7, 8}},
    {0, {1, 7, 20, 5, 3, 2, 2, 1, 2, 5}},
    {1, {16, 64, 256, 64, 32, 3}},
    {1, {64, 32, 128, 32, 16, 3}},
    {1, {1, 64, 256, 64, 32, 1}},
    {1, {16, 64, 256, 64, 32, 3, 2, 1, 7, 8}},
    {1, {64, 32, 128, 32, 16, 3, 2, 1, 7, 8}},
};

/* Weights and inverse deviations of both signs, smaller than in use: layer upon layer must not grow. */
static float *tame(check *c, int64_t count) { return input_around(c, count, 0.1f, 0.3f); }

static void upscale_build(check *c, const int *p) {
    int64_t prompts = p[0], g = p[1], n = p[2], c4 = p[3], c8 = p[4], masks = p[5];
    samc__upscale_masks_args *a = &c->args.upscale_masks;
    int64_t entries = p[6] ? p[7] : prompts, inner = (p[10] ? p[10] : 4) * (int64_t)p[9];
    *a = (samc__upscale_masks_args){.src = samc__view3(input(c, entries * g * g * n, 1), entries, g * g, n),
                                    .grid = p[1],
                                    .depth = p[6],
                                    .heads = p[9]};
    for (int i = 0; i < p[6]; i++) {
        c->layers[i] = (samc__up_layer){
            .update = key_update(c, tame, prompts, p[8], g * g, p[9], inner),
            .fold = samc__view2(input_around(c, inner * n, 0, 1.0f / __builtin_sqrtf((float)inner)), inner, n),
            .add = samc__view1(input_around(c, n, 0, 0.3f), n)};
        a->layers = c->layers;
    }
    a->up1 = (samc__projection){
        .w = samc__view4(input_around(c, n * c4 * 4, 0, 1.0f / __builtin_sqrtf((float)n)), n, c4, 2, 2),
        .b = samc__view1(input_around(c, c4, 0, 0.1f), c4)};
    a->norm = norm(c, c4, 1e-6f);
    a->up2 = (samc__projection){
        .w = samc__view4(input_around(c, c4 * c8 * 4, 0, 1.0f / __builtin_sqrtf((float)c4)), c4, c8, 2, 2),
        .b = samc__view1(input_around(c, c8, 0, 0.1f), c8)};
    a->hyper = samc__view3(input(c, prompts * masks * c8, 1), prompts, masks, c8);
    a->y = samc__view4(output(c, prompts * masks * 16 * g * g), prompts, masks, 4 * g, 4 * g);
}

static void upscale_draw(check *c, int *p) {
    p[7] = random_size(c, 3), p[0] = p[7] * (1 + random_below(c, 3)), p[1] = random_size(c, 18),
    p[2] = random_size(c, 150), p[3] = random_size(c, 45);
    p[4] = random_size(c, 35), p[5] = random_size(c, 6), p[6] = random_below(c, 4);
    if (p[6]) p[2] = 4 * p[3], p[8] = random_size(c, 20), p[9] = 1 + random_below(c, 8), p[10] = random_size(c, 17);
}

static bool upscale_narrow(check *c, const int *p) {
    samc__upscale_masks_args *a = &c->args.upscale_masks;
    a->src = last_of(a->src);
    a->hyper = last_of(a->hyper);
    a->y = last_of(a->y);
    for (int i = 0; i < p[6]; i++) c->layers[i].update = last_update(c->layers[i].update);
    return p[0] > 1;
}

/* ---- embed_mask: prompts grid c1 c2 C B (entries of image) ----------------------------------- */

static const test_case mask_cases[] = {
    {0, {1, 1, 1, 2, 3, 1}},     {0, {2, 3, 4, 16, 32, 1}},   {0, {1, 9, 3, 7, 20, 1}},
    {0, {3, 16, 4, 16, 128, 1}}, {0, {6, 5, 4, 16, 32, 2}},   {0, {6, 3, 3, 7, 20, 3}},
    {0, {4, 7, 4, 16, 32, 4}},   {1, {4, 64, 4, 16, 256, 1}}, {1, {4, 32, 4, 16, 128, 2}},
};

static void mask_build(check *c, const int *p) {
    int64_t prompts = p[0], g = p[1], c1 = p[2], c2 = p[3], n = p[4];
    samc__embed_mask_args *a = &c->args.embed_mask;
    *a = (samc__embed_mask_args){.mask = samc__view3(input(c, prompts * 16 * g * g, 5), prompts, 4 * g, 4 * g),
                                 .grid = p[1]};
    a->conv1 = (samc__projection){.w = samc__view4(input_around(c, c1 * 4, 0, 0.5f), c1, 1, 2, 2),
                                  .b = samc__view1(input_around(c, c1, 0, 0.1f), c1)};
    a->norm1 = norm(c, c1, 1e-6f);
    a->conv2 = (samc__projection){.w = samc__view4(input_around(c, c2 * c1 * 4, 0, 0.3f), c2, c1, 2, 2),
                                  .b = samc__view1(input_around(c, c2, 0, 0.1f), c2)};
    a->norm2 = norm(c, c2, 1e-6f);
    a->conv3 = projection(c, n, c2);
    a->image = samc__view3(input(c, p[5] * g * g * n, 1), p[5], g * g, n);
    a->y = samc__view3(output(c, prompts * g * g * n), prompts, g * g, n);
}

static void mask_draw(check *c, int *p) {
    p[5] = random_size(c, 3), p[0] = p[5] * (1 + random_below(c, 3)), p[1] = random_size(c, 20),
    p[2] = random_size(c, 30), p[3] = random_size(c, 50);
    p[4] = random_size(c, 150);
}

static bool mask_narrow(check *c, const int *p) {
    samc__embed_mask_args *a = &c->args.embed_mask;
    a->mask = last_of(a->mask);
    a->image = last_of(a->image);
    a->y = last_of(a->y);
    return p[0] > 1;
}

/* Bounds: as for the encoder; each operator is a chain of at most five sums of up to 256 terms and a softmax over up to
 * 4096 keys, ended by a norm, and folding rounds in other places: about 3e-7 for each step. A norm over two or three
 * channels, which only drawn shapes have, magnifies that by up to eps^-1/2, 300 (1e-9 and 6e-3 seen): there the bound
 * grows as the reference itself moves. */
const row decoder_rows[] = {
    {"token_attention", "prompts T C inner heads pe unbiased", 4e-12, 2e-5, token_cases, COUNT(token_cases),
     token_build, token_narrow, NULL, token_draw},
    {"token_to_image", "prompts T C inner heads N shared B made unbiased", 4e-12, 2e-5, cross_cases, COUNT(cross_cases),
     to_image_build, to_image_narrow, NULL, cross_draw},
    {"image_to_token", "prompts T C inner heads N shared B made unbiased", 4e-12, 2e-5, cross_cases, COUNT(cross_cases),
     to_token_build, to_token_narrow, NULL, cross_draw},
    {"upscale_masks", "prompts grid C C4 C8 masks layers B T heads hd", 4e-12, 2e-5, upscale_cases,
     COUNT(upscale_cases), upscale_build, upscale_narrow, NULL, upscale_draw},
    {"embed_mask", "prompts grid c1 c2 C B", 4e-12, 6e-5, /* a norm of three nearly equal channels magnifies */
     mask_cases, COUNT(mask_cases), mask_build, mask_narrow, NULL, mask_draw},
    {NULL, NULL, 0, 0, NULL, 0, NULL, NULL, NULL, NULL},
};
