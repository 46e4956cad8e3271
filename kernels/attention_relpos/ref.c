/* attention_relpos, reference: for each image, window and head, every query row against all keys of the window. */
#include "kernels/ref/math.h"
#include "kernels/ops.h"
#include "kernels/attention_relpos/attention_relpos.h"

#include <stdlib.h>

samc_status samc__attention_relpos_check(const samc__attention_relpos_args *a, samc_error *error) {
    int64_t images = a->qkv.n[0], tokens = (int64_t)a->grid * a->grid, d = a->y.n[2];
    int64_t side = a->window ? a->window : a->grid, hd = a->heads > 0 ? d / a->heads : 0;
    const int pool = samc__attention_relpos_pool(a);
    SAMC__REQUIRE(error, "attention_relpos", a->grid > 0 && a->window >= 0 && images > 0);
    SAMC__REQUIRE(error, "attention_relpos", a->heads > 0 && d % a->heads == 0);
    SAMC__REQUIRE(error, "attention_relpos", samc__is3(a->qkv, images, tokens, 3 * d));
    SAMC__REQUIRE(error, "attention_relpos", samc__is3(a->y, images, tokens / (pool * pool), d));
    SAMC__REQUIRE(error, "attention_relpos", pool == 1 || samc__is3(a->q, images, tokens / (pool * pool), d));
    SAMC__REQUIRE(error, "attention_relpos", a->grid % pool == 0 && a->window % pool == 0);
    SAMC__REQUIRE(error, "attention_relpos", pool == 1 || (a->rel_h.data == NULL && a->table.data == NULL));
    SAMC__REQUIRE(error, "attention_relpos", samc__absent_or_is1(a->qkv_bias, 3 * d));
    SAMC__REQUIRE(error, "attention_relpos", a->rel_h.data == NULL || samc__is2(a->rel_h, 2 * side - 1, hd));
    SAMC__REQUIRE(error, "attention_relpos",
                  a->rel_h.data == NULL ? a->rel_w.data == NULL : samc__is2(a->rel_w, 2 * side - 1, hd));
    SAMC__REQUIRE(error, "attention_relpos",
                  a->table.data == NULL || (a->rel_h.data == NULL && samc__is2(a->table, a->heads, side * side)));
    return SAMC_OK;
}

double samc__attention_relpos_flops(const samc__attention_relpos_args *a) {
    double keys = a->window ? (double)a->window * a->window : (double)a->grid * a->grid;
    return 4.0 * (double)a->y.n[0] * (double)a->y.n[1] * keys * (double)a->y.n[2];
}

typedef struct attention_task {
    const samc__attention_relpos_args *args;
    int side, windows; /* side of a window in tokens, windows along one axis */
    float *scratch;    /* [workers, scratch_floats] */
    int64_t scratch_floats;
} attention_task;

/* Pointer to the q, k or v (part 0, 1, 2) of one head at (y, x); the bias beyond the grid's edge. NULL: zeros. */
static const float *token_part(const samc__attention_relpos_args *a, int64_t image, int y, int x, int part, int head) {
    int64_t d = a->y.n[2], hd = d / a->heads, offset = a->by_head ? (3 * head + part) * hd : part * d + head * hd;
    if (y >= a->grid || x >= a->grid) return a->qkv_bias.data ? samc__f32(a->qkv_bias) + offset : NULL;
    return samc__f32(a->qkv) + ((image * a->grid + y) * a->grid + x) * 3 * d + offset;
}

/* The query [hd] of one head at (y, x) of the queries' grid. */
static const float *query_at(const samc__attention_relpos_args *a, int64_t image, int y, int x, int head) {
    if (a->q.data == NULL) return token_part(a, image, y, x, 0, head);
    const int64_t d = a->y.n[2], grid = a->grid / 2;
    return samc__f32(a->q) + ((image * grid + y) * grid + x) * d + head * (d / a->heads);
}

/* One item: all queries of one row of one window, for one head. */
static void attention_rows(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const samc__attention_relpos_args *a = t->args;
    int s = t->side, hd = (int)(a->y.n[2] / a->heads), keys = s * s;
    const int pool = samc__attention_relpos_pool(a), rows = s / pool, grid = a->grid / pool; /* of queries */
    float scale = 1.0f / sqrtf((float)hd);
    float *kt = t->scratch + worker * t->scratch_floats; /* [hd, keys] */
    float *v = kt + (int64_t)hd * keys;                  /* [keys, hd] */
    float *score = v + (int64_t)keys * hd;               /* [keys] */
    float *rel_x = score + keys;                         /* [s] */
    int64_t loaded = -1;
    for (int64_t item = begin; item < end; item++) {
        int row = (int)(item % rows), head = (int)(item / rows % a->heads);
        int64_t window = item / rows / a->heads, image = window / (t->windows * t->windows);
        int top = (int)(window / t->windows % t->windows) * s, left = (int)(window % t->windows) * s;
        if (item / rows != loaded) { /* keys and values of this window and head */
            for (int key = 0; key < keys; key++) {
                const float *k_in = token_part(a, image, top + key / s, left + key % s, 1, head);
                const float *v_in = token_part(a, image, top + key / s, left + key % s, 2, head);
                for (int c = 0; c < hd; c++) {
                    kt[(int64_t)c * keys + key] = k_in ? k_in[c] : 0.0f;
                    v[(int64_t)key * hd + c] = v_in ? v_in[c] : 0.0f;
                }
            }
            loaded = item / rows;
        }
        top /= pool, left /= pool; /* from here on of queries */
        for (int col = 0; col < rows && top + row < grid && left + col < grid; col++) {
            const float *q = query_at(a, image, top + row, left + col, head); /* [hd] */
            for (int key = 0; key < keys; key++) score[key] = 0.0f;
            for (int c = 0; c < hd; c++) {
                float scaled = q[c] * scale;
                for (int key = 0; key < keys; key++) score[key] += scaled * kt[(int64_t)c * keys + key];
            }
            if (a->rel_h.data != NULL) {
                for (int x = 0; x < s; x++)
                    rel_x[x] = samc__dot_ref(q, samc__f32(a->rel_w) + (int64_t)(col - x + s - 1) * hd, hd);
                for (int y = 0; y < s; y++) {
                    float rel_y = samc__dot_ref(q, samc__f32(a->rel_h) + (int64_t)(row - y + s - 1) * hd, hd);
                    for (int x = 0; x < s; x++) score[y * s + x] += rel_y + rel_x[x];
                }
            }
            if (a->table.data != NULL) {
                const float *table = samc__f32(a->table) + (int64_t)head * keys; /* [s, s] */
                for (int key = 0; key < keys; key++) score[key] += table[abs(row - key / s) * s + abs(col - key % s)];
            }
            samc__softmax_ref(score, keys);
            float *out = samc__f32(a->y) + ((image * grid + top + row) * grid + left + col) * a->y.n[2] + head * hd;
            samc__weighted_rows_ref(score, v, keys, hd, hd, out);
        }
    }
}

samc_status samc__attention_relpos_ref(const samc__exec *exec, const samc__attention_relpos_args *a) {
    attention_task t = {.args = a, .side = a->window ? a->window : a->grid};
    t.windows = (a->grid + t.side - 1) / t.side;
    int64_t hd = a->y.n[2] / a->heads, keys = (int64_t)t.side * t.side;
    t.scratch_floats = (2 * hd + 1) * keys + t.side;
    t.scratch = exec->allocate(exec->memory, (size_t)(exec->workers * t.scratch_floats) * sizeof(float));
    if (t.scratch == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention's scratch");
    const int rows = t.side / samc__attention_relpos_pool(a);
    exec->parallel(exec->pool, a->qkv.n[0] * t.windows * t.windows * a->heads * rows, rows, attention_rows, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}
