/* Plain transformer blocks.
 *
 * Queries, keys and values come from three weights into one packed tensor, [rows, 3 D]: what stands in files stays as
 * it is. Products run over the rows of all groups together, attention over one group after another. */
#include "runtime/model/plain.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/attention_plain/attention_plain.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/place.h"

#include <stdio.h>

void samc__list_plain(samc__tensor_list *list, const samc__plain *p, const char *base, samc__plain_block *blocks) {
    const int64_t D = p->dim;
    for (int i = 0; i < p->depth; i++) {
        samc__plain_block *to = &blocks[i];
        char name[128];
        snprintf(name, sizeof name, "%s.layers.%d", base, i);
        samc__list_linear(list, &to->attention.k, SAMC__ROLE_MATRIX, name, "self_attn.k_proj", D, D);
        samc__list_linear(list, &to->attention.v, SAMC__ROLE_MATRIX, name, "self_attn.v_proj", D, D);
        samc__list_linear(list, &to->attention.q, SAMC__ROLE_MATRIX, name, "self_attn.q_proj", D, D);
        samc__list_linear(list, &to->attention.out, SAMC__ROLE_MATRIX, name, "self_attn.out_proj", D, D);
        to->attention.heads = p->heads;
        samc__list_norm(list, &to->norm1, name, "layer_norm1", D, p->eps);
        samc__list_linear(list, &to->fc1, SAMC__ROLE_MATRIX, name, "mlp.fc1", p->mlp_dim, D);
        samc__list_linear(list, &to->fc2, SAMC__ROLE_MATRIX, name, "mlp.fc2", D, p->mlp_dim);
        samc__list_norm(list, &to->norm2, name, "layer_norm2", D, p->eps);
    }
}

static int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }

samc_status samc__plain_begin(const samc__exec *exec, const samc__plain *p, samc__dtype a,
                              const samc__plain_group *groups, int group_count, int64_t widest, samc__plain_rows *r) {
    *r = (samc__plain_rows){.groups = groups, .group_count = group_count, .a = a};
    for (int i = 0; i < group_count; i++)
        r->rows += groups[i].count * groups[i].tokens, r->sequences += groups[i].count;
    const int64_t wide = largest(largest(3 * (int64_t)p->dim, p->mlp_dim), widest);
    const size_t d = (size_t)r->rows * (size_t)p->dim, size = samc__dtype_size(a);
    const size_t bytes = d * (sizeof(float) + size) + (size_t)(r->rows * wide) * size;
    r->x = samc__tensor_allocate(exec, bytes);
    if (r->x == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %lld tokens: %zu bytes", (long long)r->rows,
                          bytes);
    r->y = r->x + d;
    r->wide = (char *)r->y + d * size;
    return SAMC_OK;
}

void samc__plain_end(const samc__exec *exec, samc__plain_rows *r) {
    samc__tensor_release(exec, r->x);
    r->x = NULL;
}

/* Rows of a tensor of type `type` from row `row` on, `columns` wide. */
static samc__view rows_at(samc__dtype type, void *data, int64_t row, int64_t rows, int64_t columns) {
    return samc__as(type, samc__view2((char *)data + (size_t)(row * columns) * samc__dtype_size(type), rows, columns));
}

/* One of q, k and v (part 0, 1, 2) of m rows, `apart` rows from one to the next, into its third of the packed ones. */
static samc_status project(const samc__exec *exec, const samc__plain_rows *r, const samc__projection *p, int part,
                           int64_t first, int64_t m, int64_t apart) {
    const int64_t d = p->w.n[0];
    const size_t size = samc__dtype_size(r->a), at = (size_t)(3 * first * d + part * d);
    return samc__linear(exec, &(samc__linear_args){.x = rows_at(r->a, r->y, first, m, d),
                                                   .p = *p,
                                                   .y = samc__as(r->a, samc__view2((char *)r->wide + at * size, m, d)),
                                                   .x_stride = apart * d,
                                                   .y_stride = 3 * apart * d});
}

static samc_status attend(const samc__exec *exec, const samc__plain *p, const samc__plain_rows *r, int64_t row,
                          const samc__plain_group *g, bool one, void *y) {
    const int64_t d = p->dim, queries = one ? 1 : g->tokens;
    const size_t at = (size_t)(row * 3 * d) * samc__dtype_size(r->a);
    return samc__attention_plain(
        exec, &(samc__attention_plain_args){
                  .qkv = samc__as(r->a, samc__view3((char *)r->wide + at, g->count, g->tokens, 3 * d)),
                  .y = samc__as(r->a, samc__view3(y, g->count, queries, d)),
                  .heads = p->heads,
                  .first = one && p->causal ? g->tokens - 1 : 0,
                  .causal = p->causal});
}

/* What follows attention, of m rows: x += out(y), x += mlp(norm2(x)); `hidden` has room for [m, mlp_dim]. */
static samc_status finish_block(const samc__exec *exec, const samc__plain *p, const samc__plain_block *w, samc__view x,
                                samc__view y, void *hidden) {
    const samc__view wide = rows_at(y.dtype, hidden, 0, x.n[0], p->mlp_dim);
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->attention.out, .residual = x, .y = x}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm2, .y = y}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->fc1, .y = wide, .act = p->act}));
    return samc__linear(exec, &(samc__linear_args){.x = wide, .p = w->fc2, .residual = x, .y = x});
}

static samc_status run_block(const samc__exec *exec, const samc__plain *p, const samc__plain_block *w,
                             const samc__plain_rows *r) {
    const samc__view x = samc__view2(r->x, r->rows, p->dim), y = rows_at(r->a, r->y, 0, r->rows, p->dim);
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = y}));
    SAMC__TRY(project(exec, r, &w->attention.q, 0, 0, r->rows, 1));
    SAMC__TRY(project(exec, r, &w->attention.k, 1, 0, r->rows, 1));
    SAMC__TRY(project(exec, r, &w->attention.v, 2, 0, r->rows, 1));
    int64_t row = 0;
    for (int i = 0; i < r->group_count; row += r->groups[i].count * r->groups[i].tokens, i++)
        SAMC__TRY(attend(exec, p, r, row, &r->groups[i], false, rows_at(r->a, r->y, row, 1, p->dim).data));
    return finish_block(exec, p, w, x, y, r->wide);
}

samc_status samc__plain_run(const samc__exec *exec, const samc__plain *p, const samc__plain_block *blocks, int first,
                            int end, const samc__plain_rows *r) {
    for (int i = first; i < end; i++) SAMC__TRY(run_block(exec, p, &blocks[i], r));
    return SAMC_OK;
}

/* The last block's attention, one query of each sequence, and the tokens that it is added to. */
static samc_status attend_last(const samc__exec *exec, const samc__plain *p, const samc__plain_block *w,
                               const samc__plain_rows *r, float *x, void *y) {
    const int64_t d = p->dim;
    int64_t row = 0, sequence = 0;
    for (int i = 0; i < r->group_count; i++) {
        const samc__plain_group *g = &r->groups[i];
        const int64_t token = row + (p->causal ? g->tokens - 1 : 0);
        SAMC__TRY(project(exec, r, &w->attention.q, 0, token, g->count, g->tokens));
        SAMC__TRY(attend(exec, p, r, row, g, true, rows_at(r->a, y, sequence, 1, d).data));
        SAMC__TRY(samc__copy_rows(exec, x + sequence * d, (size_t)d * sizeof(float), r->x + token * d,
                                  (size_t)(g->tokens * d) * sizeof(float), (size_t)d * sizeof(float),
                                  (size_t)g->count));
        row += g->count * g->tokens, sequence += g->count;
    }
    return SAMC_OK;
}

samc_status samc__plain_last(const samc__exec *exec, const samc__plain *p, const samc__plain_block *w,
                             const samc__plain_rows *r, float *out) {
    const samc__view x = samc__view2(r->x, r->rows, p->dim), y = rows_at(r->a, r->y, 0, r->rows, p->dim);
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = y}));
    SAMC__TRY(project(exec, r, &w->attention.k, 1, 0, r->rows, 1));
    SAMC__TRY(project(exec, r, &w->attention.v, 2, 0, r->rows, 1));
    void *own = samc__tensor_allocate(exec, (size_t)(r->sequences * p->dim) * samc__dtype_size(r->a));
    if (own == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %lld sequences", (long long)r->sequences);
    samc_status status = attend_last(exec, p, w, r, out, own);
    if (status == SAMC_OK) /* the packed ones have been read */
        status = finish_block(exec, p, w, samc__view2(out, r->sequences, p->dim),
                              rows_at(r->a, own, 0, r->sequences, p->dim), r->wide);
    samc__tensor_release(exec, own);
    return status;
}

samc_status samc__plain_narrow(const samc__exec *exec, const samc__plain *p, const samc__plain_rows *r,
                               samc__view *to) {
    const samc__view x = samc__view2(r->x, r->rows, p->dim);
    *to = r->a == SAMC__F32 ? x : rows_at(r->a, r->y, 0, r->rows, p->dim);
    return r->a == SAMC__F32 ? SAMC_OK : samc__add_rows(exec, &(samc__add_rows_args){.x = x, .y = *to});
}

samc_status samc__plain_run_after(const samc__exec *exec, const samc__plain *p, const samc__plain_block *w,
                                  const samc__plain_rows *r) {
    const samc__attention *t = &w->attention;
    const samc__projection *const parts[] = {&t->q, &t->k, &t->v};
    const samc__view x = samc__view2(r->x, r->rows, p->dim), y = rows_at(r->a, r->y, 0, r->rows, p->dim);
    const samc__view hidden = rows_at(r->a, r->wide, 0, r->rows, p->mlp_dim);
    const size_t third = (size_t)p->dim * samc__dtype_size(r->a);
    samc__view in;
    SAMC__TRY(samc__plain_narrow(exec, p, r, &in));
    for (int i = 0; i < 3; i++) {
        const samc__view out = rows_at(r->a, (char *)r->wide + (size_t)i * third, 0, r->rows, p->dim);
        SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = in, .p = *parts[i], .y = out, .y_stride = 3 * p->dim}));
    }
    int64_t row = 0;
    for (int i = 0; i < r->group_count; row += r->groups[i].count * r->groups[i].tokens, i++)
        SAMC__TRY(attend(exec, p, r, row, &r->groups[i], false, rows_at(r->a, r->y, row, 1, p->dim).data));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = t->out, .residual = x, .y = x}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = x}));
    SAMC__TRY(samc__plain_narrow(exec, p, r, &in));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = in, .p = w->fc1, .y = hidden, .act = p->act}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = hidden, .p = w->fc2, .residual = x, .y = x}));
    return samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm2, .y = x});
}
