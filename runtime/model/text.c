/* The text tower: token and position embeddings, causal blocks, and the features of a phrase at its end.
 *
 * As the blocks are causal, nothing behind a phrase's end can touch its features: only tokens up to it are computed,
 * which is exact. Phrases are sorted by length; products run over all of a batch's tokens, attention over those of one
 * length after another. Of the last block only the end's queries are asked for. */
#include "runtime/model/text_image.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CONTEXT = 256, BATCH_ROWS = 2048 /* tokens: enough for the products, bounded memory */ };

void samc__list_text(samc__tensor_list *list, const samc__text_spec *spec, const char *prefix, int dim,
                     samc__text_weights *to) {
    const int64_t D = spec->plain.dim;
    char base[64];
    snprintf(base, sizeof base, "%stext_model.embeddings", prefix);
    samc__list_tensor(list, &to->tokens, SAMC__ROLE_TABLE, base, "token_embedding.weight",
                      SAMC__SHAPE2(spec->vocabulary, D));
    samc__list_tensor(list, &to->positions, SAMC__ROLE_TABLE, base, "position_embedding.weight",
                      SAMC__SHAPE2(spec->context, D));
    snprintf(base, sizeof base, "%stext_model.encoder", prefix);
    samc__list_plain(list, &spec->plain, base, to->blocks);
    snprintf(base, sizeof base, "%stext_model", prefix);
    samc__list_norm(list, &to->after, base, "final_layer_norm", D, spec->plain.eps);
    snprintf(base, sizeof base, "%stext_projection", prefix);
    samc__list_tensor(list, &to->out.w, SAMC__ROLE_MATRIX, base, "weight", SAMC__SHAPE2(dim, D));
}

/* A batch: phrases order[0 .. count) of ascending length, in groups of one. */
typedef struct batch {
    const int32_t *ids; /* [.., context] */
    const int *ends, *order;
    int count;
    samc__plain_group groups[MOST_CONTEXT];
    int group_count;
} batch;

/* Row by row from the table: moves of a few kilobytes, in device memory where that is there. */
static samc_status embed(const samc__exec *exec, const samc__text_image *net, const batch *b, float *x) {
    const samc__text_weights *w = &net->weights.text;
    const int64_t d = net->config.text.plain.dim;
    const size_t bytes = (size_t)d * sizeof *x;
    float *to = x;
    for (int i = 0; i < b->count; i++) {
        const int32_t *ids = b->ids + (int64_t)b->order[i] * net->config.text.context;
        for (int t = 0; t <= b->ends[b->order[i]]; t++, to += d)
            SAMC__TRY(samc__copy_rows(exec, to, bytes, samc__f32(w->tokens) + ids[t] * d, bytes, bytes, 1));
    }
    for (int i = 0; i < b->group_count; x += b->groups[i].count * b->groups[i].tokens * d, i++) {
        const samc__view rows = samc__view2(x, b->groups[i].count, b->groups[i].tokens * d);
        const samc__view added = samc__view1(w->positions.data, b->groups[i].tokens * d);
        SAMC__TRY(samc__add_rows(exec, &(samc__add_rows_args){.x = rows, .b = added, .y = rows}));
    }
    return SAMC_OK;
}

/* Blocks, final norm and projection: features [count, dim], a tensor. */
static samc_status run(const samc__exec *exec, const samc__text_image *net, const samc__plain_rows *r, float *ends,
                       float *features) {
    const samc__plain *p = &net->config.text.plain;
    const samc__text_weights *w = &net->weights.text;
    const samc__view x = samc__view2(ends, r->sequences, p->dim), y = samc__as(r->a, samc__view2(r->y, x.n[0], p->dim));
    SAMC__TRY(samc__plain_run(exec, p, w->blocks, 0, p->depth - 1, r));
    SAMC__TRY(samc__plain_last(exec, p, &w->blocks[p->depth - 1], r, ends));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->after, .y = y}));
    return samc__linear(
        exec, &(samc__linear_args){.x = y, .p = w->out, .y = samc__view2(features, r->sequences, net->config.dim)});
}

static samc_status run_batch(const samc__exec *exec, const samc__text_image *net, const batch *b, float *out) {
    const int64_t d = net->config.text.plain.dim, dim = net->config.dim;
    samc__plain_rows rows;
    SAMC__TRY(samc__plain_begin(exec, &net->config.text.plain, net->precision, b->groups, b->group_count, 0, &rows));
    float *ends = samc__tensor_allocate(exec, (size_t)(b->count * (d + dim)) * sizeof *ends);
    samc_status status = ends == NULL
                             ? samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %d phrases", b->count)
                             : embed(exec, net, b, rows.x);
    if (status == SAMC_OK) status = run(exec, net, &rows, ends, ends + b->count * d);
    const size_t bytes = (size_t)dim * sizeof *out;
    for (int i = 0; i < b->count && status == SAMC_OK; i++)
        status = samc__download(exec, out + b->order[i] * dim, ends + b->count * d + i * dim, bytes);
    samc__tensor_release(exec, ends);
    samc__plain_end(exec, &rows);
    return status;
}

/* Phrases by length, in their order where that is the same. */
static void sort(const int *ends, int count, int *order) {
    int at[MOST_CONTEXT + 1] = {0};
    for (int i = 0; i < count; i++) at[ends[i] + 1]++;
    for (int i = 0; i < MOST_CONTEXT; i++) at[i + 1] += at[i];
    for (int i = 0; i < count; i++) order[at[ends[i]]++] = i;
}

samc_status samc__text_features(const samc__exec *exec, const samc__text_image *net, const int32_t *ids,
                                const int *ends, int count, float *out) {
    const int context = net->config.text.context, vocabulary = net->config.text.vocabulary;
    for (int i = 0; i < count; i++) {
        if (ends[i] < 0 || ends[i] >= context)
            return samc__fail(exec->error, SAMC_INVALID_ARGUMENT, "phrase %d ends at token %d of %d", i, ends[i],
                              context);
        for (int t = 0; t <= ends[i]; t++)
            if (ids[(int64_t)i * context + t] < 0 || ids[(int64_t)i * context + t] >= vocabulary)
                return samc__fail(exec->error, SAMC_INVALID_ARGUMENT, "phrase %d has token %d; the model knows %d", i,
                                  ids[(int64_t)i * context + t], vocabulary);
    }
    int *order = malloc((size_t)(count > 0 ? count : 1) * sizeof *order);
    if (order == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %d phrases", count);
    sort(ends, count, order);
    samc_status status = SAMC_OK;
    for (int first = 0; first < count && status == SAMC_OK;) {
        batch b = {.ids = ids, .ends = ends, .order = order + first};
        int64_t rows = 0;
        for (; first + b.count < count; b.count++) {
            const int64_t tokens = ends[order[first + b.count]] + 1;
            if (b.count > 0 && rows + tokens > BATCH_ROWS) break;
            rows += tokens;
            if (b.group_count == 0 || b.groups[b.group_count - 1].tokens != tokens)
                b.groups[b.group_count++] = (samc__plain_group){.tokens = tokens};
            b.groups[b.group_count - 1].count++;
        }
        status = run_batch(exec, net, &b, out);
        first += b.count;
    }
    free(order);
    return status;
}
