/* attention_relpos in vectors: softmax on the fly over tiles of keys, scores never in memory beyond one tile.
 *
 * Keys come in whole rows of the window (up to 256 keys a tile), laid out once by channel, so that the relative term is
 * a scalar (its row) plus a vector (its columns): the tile's scores start from that sum and q.k is added on top. A
 * window that fits one tile needs no second pass. Windows are read where they lie; tokens beyond the grid come from the
 * qkv bias. Everything is in units of log2, so that the exponential is a bare 2^x. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/softmax.h"
#include "kernels/attention_relpos/attention_relpos.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TILE_KEYS = 256,         /* at most, in a tile */
    STRIDE = TILE_KEYS + 16, /* between the score rows of a tile: 17 cache lines, so that rows do not share sets */
    QUERIES = 48,            /* that pass over a tile while it is in the second-level cache */
};
SAMC__DEFINE_TILE(tile_q, 1, MR)     /* queries as [hd][MR] */
SAMC__DEFINE_TILE(tile_p, STRIDE, 1) /* probabilities as [MR][STRIDE] */

typedef struct attention_task {
    const samc__attention_relpos_args *args;
    int s, windows;       /* side of a window in tokens, windows along one axis */
    int pool, grid;       /* tokens along an axis for which there is one query; side of the queries' grid */
    int hd, hdp, hdq;     /* head dim, rounded up to whole vectors, and to whole panels */
    int tile_rows, tiles; /* window rows of a tile, tiles of a window */
    int keys, kp;         /* keys of a full tile, and rounded up to whole panels */
    int sp;               /* side rounded up: length of a relative term's row */
    int64_t rel_stride;   /* of a row of the tables below */
    float *rel_h, *rel_w; /* [hd][rel_stride] reversed, so that the entries of one query ascend with the key; or NULL */
    float *table;         /* [heads][s][rel_stride] rows of the bias for a distance, mirrored about s - 1; or NULL */
    float *shared;        /* one window: [heads][tiles](k, v) of the image at hand */
    float *scratch;       /* [workers][scratch_floats] */
    int64_t scratch_floats, image;
} attention_task;

static int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static int64_t tile_floats(const attention_task *t) { return (int64_t)t->hd * t->kp + (int64_t)t->keys * t->hdq; }

/* Pointer to the q, k or v (part 0, 1, 2) of one head at (y, x); the bias beyond the grid's edge. NULL: zeros. */
static const float *token_part(const samc__attention_relpos_args *a, int64_t image, int y, int x, int part, int head) {
    int64_t d = a->y.n[2], hd = d / a->heads, offset = a->by_head ? (3 * head + part) * hd : part * d + head * hd;
    if (y >= a->grid || x >= a->grid) return a->qkv_bias.data ? samc__f32(a->qkv_bias) + offset : NULL;
    return samc__f32(a->qkv) + ((image * a->grid + y) * a->grid + x) * 3 * d + offset;
}

/* Offset in y of one head's query at (y, x) of the queries' grid; and the query. */
static int64_t query_offset(const attention_task *t, int64_t image, int y, int x, int head) {
    return ((image * t->grid + y) * t->grid + x) * t->args->y.n[2] + (int64_t)head * t->hd;
}
static const float *query_at(const attention_task *t, int64_t image, int y, int x, int head) {
    if (t->pool == 1) return token_part(t->args, image, y, x, 0, head);
    return samc__f32(t->args->q) + query_offset(t, image, y, x, head);
}

/* Keys as panels [kp / PANEL][hd][PANEL] and values as panels [hdq / PANEL][keys][PANEL] of one tile, zeros where there
 * is none. `keys` of the last tile may be fewer than of the others: panels are as long as what they hold. */
static void pack_tile(const attention_task *t, int64_t image, int head, int top, int left, int tile, float *k,
                      float *v) {
    int rows = t->s - tile * t->tile_rows < t->tile_rows ? t->s - tile * t->tile_rows : t->tile_rows,
        keys = rows * t->s;
    memset(v, 0, (size_t)(keys * t->hdq) * sizeof(float));
    for (int key = keys; key < t->kp; key++)
        for (int c = 0; c < t->hd; c++) k[(key / PANEL * t->hd + c) * PANEL + key % PANEL] = 0.0f;
    for (int key = 0; key < keys; key++) {
        int y = top + tile * t->tile_rows + key / t->s, x = left + key % t->s;
        const float *k_in = token_part(t->args, image, y, x, 1, head),
                    *v_in = token_part(t->args, image, y, x, 2, head);
        float *k_out = k + key / PANEL * t->hd * PANEL + key % PANEL;
        for (int c = 0; c < t->hd; c++) k_out[c * PANEL] = k_in ? k_in[c] : 0.0f;
        for (int c = 0; v_in && c < t->hd; c += PANEL)
            memcpy(v + (c * keys + key * PANEL), v_in + c,
                   (size_t)(t->hd - c < PANEL ? t->hd - c : PANEL) * sizeof(float));
    }
}

/* out[i][0 .. sp) = q[i] . table[:, offset[i] ..] for four queries: their relative terms with every row, or column, of
 * keys. Four at a time, so that four chains of FMAs hide each other's latency. */
static void relative_terms(const attention_task *t, const float *const q[4], const float *const table[4],
                           float *const out[4]) {
    for (int at = 0; at < t->sp; at += VW) {
        vf sum[4] = {vf_set(0.0f), vf_set(0.0f), vf_set(0.0f), vf_set(0.0f)};
        int64_t in = at;
        for (int c = 0; c < t->hd; c++, in += t->rel_stride) {
            sum[0] = vf_fma(vf_set(q[0][c]), vf_load(table[0] + in), sum[0]);
            sum[1] = vf_fma(vf_set(q[1][c]), vf_load(table[1] + in), sum[1]);
            sum[2] = vf_fma(vf_set(q[2][c]), vf_load(table[2] + in), sum[2]);
            sum[3] = vf_fma(vf_set(q[3][c]), vf_load(table[3] + in), sum[3]);
        }
        for (int i = 0; i < 4; i++) vf_store(out[i] + at, sum[i]);
    }
}

/* What a query adds to its scores. */
typedef struct query_terms {
    const float *rel_y, *rel_x; /* [sp] each */
    const float *table;         /* of its head, from the place of key column 0 on */
    int y;                      /* its row in the window */
} query_terms;

/* One group of at most MR queries against one tile: scores, softmax step, values. */
static void attend_tile(const attention_task *t, int rows, int tile, const float *k, const float *v, const float *q,
                        const query_terms *terms, float *score, float *out, float *largest, float *sum) {
    int key_rows = t->s - tile * t->tile_rows < t->tile_rows ? t->s - tile * t->tile_rows : t->tile_rows;
    int keys = key_rows * t->s, kp = (keys + VW - 1) / VW * VW;
    for (int r = 0; r < rows; r++) {
        float *row = score + r * STRIDE;
        /* A row's last vector may reach into the next row, which is written later. */
        if (t->rel_h)
            for (int y = 0; y < key_rows; y++) {
                vf scalar = vf_set(terms[r].rel_y[tile * t->tile_rows + y]);
                for (int x = 0; x < t->sp; x += VW)
                    vf_store(row + y * t->s + x, vf_add(scalar, vf_load(terms[r].rel_x + x)));
            }
        else if (t->table)
            for (int y = 0; y < key_rows; y++) {
                const float *from = terms[r].table + abs(terms[r].y - tile * t->tile_rows - y) * t->rel_stride;
                for (int x = 0; x < t->sp; x += VW) vf_store(row + y * t->s + x, vf_load(from + x));
            }
        else memset(row, 0, (size_t)kp * sizeof(float));
        for (int key = keys; key < kp; key++) row[key] = -INFINITY;
    }
    SAMC__TILE_ROW(tile_q, rows, kp / VW, q, k, t->hd, score, STRIDE, TILE_ADD);
    for (int r = 0; r < rows; r++) softmax_step(score + r * STRIDE, kp, out + r * t->hdp, t->hdp, &largest[r], &sum[r]);
    SAMC__TILE_ROW(tile_p, rows, t->hdp / VW, score, v, keys, out, t->hdp, TILE_ADD);
}

/* Queries [begin, end) of a window at (top, left) of the queries' grid, of which `width` lie side by side within it;
 * tiles (k, v) as packed. */
static void attend_queries(const attention_task *t, int64_t image, int head, int top, int left, int width, int begin,
                           int end, const float *tiles, float *work) {
    const samc__attention_relpos_args *a = t->args;
    int count = end - begin;
    float *q = work, *rel_y = q + QUERIES * t->hd,
          *rel_x = rel_y + QUERIES * t->sp;                             /* [groups][hd][MR], [QUERIES][sp] twice */
    float *score = rel_x + QUERIES * t->sp, *out = score + MR * STRIDE; /* [MR][STRIDE], [QUERIES][hdp] */
    float largest[QUERIES], sum[QUERIES];
    query_terms terms[QUERIES];
    float scale = (float)(1.4426950408889634 / sqrt((double)t->hd));
    for (int i = 0; i < count; i++) {
        int y = (begin + i) / width, x = (begin + i) % width;
        const float *in = query_at(t, image, top + y, left + x, head); /* [hd] */
        float *packed = q + i / MR * MR * t->hd + i % MR;
        for (int c = 0; c < t->hd; c++) packed[c * MR] = in[c] * scale;
        largest[i] = SAMC__NEGLIGIBLE, sum[i] = 0.0f;
        terms[i] = (query_terms){.rel_y = rel_y + i * t->sp, .rel_x = rel_x + i * t->sp, .y = y};
        if (t->table) terms[i].table = t->table + head * t->s * t->rel_stride + (t->s - 1 - x);
    }
    for (int i = 0; t->rel_h && i < count; i += 2) { /* two queries, rows and columns; an odd last one twice */
        const float *in[4], *table[4];
        float *to[4];
        for (int j = 0; j < 2; j++) {
            int at = i + j < count ? i + j : i, y = (begin + at) / width, x = (begin + at) % width;
            in[2 * j] = in[2 * j + 1] = token_part(a, image, top + y, left + x, 0, head);
            table[2 * j] = t->rel_h + (t->s - 1 - y), table[2 * j + 1] = t->rel_w + (t->s - 1 - x);
            to[2 * j] = rel_y + at * t->sp, to[2 * j + 1] = rel_x + at * t->sp;
        }
        relative_terms(t, in, table, to);
    }
    memset(out, 0, (size_t)(count * t->hdp) * sizeof(float));
    for (int tile = 0; tile < t->tiles; tile++) {
        const float *k = tiles + tile * tile_floats(t), *v = k + (int64_t)t->hd * t->kp;
        for (int i = 0; i < count; i += MR)
            attend_tile(t, count - i < MR ? count - i : MR, tile, k, v, q + i * t->hd, terms + i, score,
                        out + i * t->hdp, largest + i, sum + i);
    }
    for (int i = 0; i < count; i++) {
        int y = (begin + i) / width, x = (begin + i) % width;
        float *to = samc__f32(a->y) + query_offset(t, image, top + y, left + x, head);
        vf norm = vf_div(vf_set(1.0f), vf_set(sum[i]));
        for (int c = 0; c < t->hd; c += VW)
            vf_store_first(to + c, t->hd - c < VW ? t->hd - c : VW, vf_mul(vf_load(out + i * t->hdp + c), norm));
    }
}

/* q, k and v of a window's head, which lie in pieces that no hardware foresees: the next one's are fetched while this
 * one is computed. */
SAMC__INLINE void prefetch_head(const attention_task *t, int64_t image, int head, int top, int left) {
    const int grid = t->args->grid, bottom = top + t->s < grid ? top + t->s : grid,
              right = left + t->s < grid ? left + t->s : grid;
    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            for (int part = 0; part < 3; part++) {
                const float *from = token_part(t->args, image, y, x, part, head);
                for (int c = 0; c < t->hd; c += 16) __builtin_prefetch(from + c, 0, 2);
            }
}

/* One item: one head of one window. */
static void window_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const samc__attention_relpos_args *a = t->args;
    float *tiles = t->scratch + worker * t->scratch_floats, *work = tiles + t->tiles * tile_floats(t);
    for (int64_t item = begin; item < end; item++) {
        int head = (int)(item % a->heads);
        int64_t window = item / a->heads, image = window / (t->windows * t->windows);
        int top = (int)(window / t->windows % t->windows) * t->s, left = (int)(window % t->windows) * t->s;
        int height = (a->grid - top < t->s ? a->grid - top : t->s) / t->pool,
            width = (a->grid - left < t->s ? a->grid - left : t->s) / t->pool;
        for (int tile = 0; tile < t->tiles; tile++) {
            float *k = tiles + tile * tile_floats(t);
            pack_tile(t, image, head, top, left, tile, k, k + (int64_t)t->hd * t->kp);
        }
        if (head + 1 < a->heads) prefetch_head(t, image, head + 1, top, left);
        else if (left + t->s < a->grid) prefetch_head(t, image, 0, top, left + t->s);
        for (int i = 0; i < height * width; i += QUERIES)
            attend_queries(t, image, head, top / t->pool, left / t->pool, width, i,
                           i + QUERIES < height * width ? i + QUERIES : height * width, tiles, work);
    }
}

/* One window, or global attention, which is one: first pass, one tile of one head. */
static void pack_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    (void)worker;
    for (int64_t item = begin; item < end; item++) {
        float *k = t->shared + item * tile_floats(t);
        pack_tile(t, t->image, (int)(item / t->tiles), 0, 0, (int)(item % t->tiles), k, k + (int64_t)t->hd * t->kp);
    }
}

/* Second pass: one block of queries of one head. Only the grid's tokens are queries: the window may be larger. */
static void query_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    int grid = t->grid, n = grid * grid, blocks = (n + QUERIES - 1) / QUERIES;
    float *work = t->scratch + worker * t->scratch_floats;
    for (int64_t item = begin; item < end; item++) {
        int head = (int)(item / blocks), first = (int)(item % blocks) * QUERIES;
        attend_queries(t, t->image, head, 0, 0, grid, first, first + QUERIES < n ? first + QUERIES : n,
                       t->shared + head * t->tiles * tile_floats(t), work);
    }
}

/* table [2 s - 1, hd] -> [hd][rel_stride] in reverse order, in units of log2; zeros behind. */
static void reverse_table(const attention_task *t, const float *table, float *out) {
    memset(out, 0, (size_t)(t->hd * t->rel_stride) * sizeof(float));
    for (int i = 0; i < 2 * t->s - 1; i++)
        for (int c = 0; c < t->hd; c++)
            out[c * t->rel_stride + i] = table[(int64_t)(2 * t->s - 2 - i) * t->hd + c] * 1.44269504f;
}

/* table [heads, s, s] -> [heads][s][rel_stride]: column s - 1 + j and s - 1 - j are what distance j has, in units of
 * log2; zeros behind. */
static void mirror_table(const attention_task *t, const float *table, float *out) {
    const int s = t->s;
    memset(out, 0, (size_t)(t->args->heads * s * t->rel_stride) * sizeof(float));
    for (int row = 0; row < t->args->heads * s; row++)
        for (int i = 0; i < 2 * s - 1; i++)
            out[row * t->rel_stride + i] = table[row * s + abs(i - (s - 1))] * 1.44269504f;
}

samc_status SAMC__RUNG(samc__attention_relpos)(const samc__exec *exec, const samc__attention_relpos_args *a) {
    attention_task t = {.args = a, .s = a->window ? a->window : a->grid, .hd = (int)(a->y.n[2] / a->heads)};
    if (t.s > TILE_KEYS) return samc__attention_relpos_ref(exec, a); /* one row of keys has to fit a tile */
    t.windows = (a->grid + t.s - 1) / t.s;
    t.pool = samc__attention_relpos_pool(a), t.grid = a->grid / t.pool;
    t.hdp = (int)round_up(t.hd, VW);
    t.tile_rows = t.s * t.s <= TILE_KEYS ? t.s : TILE_KEYS / t.s;
    t.tiles = (t.s + t.tile_rows - 1) / t.tile_rows;
    t.keys = t.tile_rows * t.s;
    t.hdq = (int)round_up(t.hd, PANEL);
    t.kp = (int)round_up(t.keys, PANEL);
    t.sp = (int)round_up(t.s, VW);
    t.rel_stride = round_up(2 * t.s - 1 + VW, VW);
    bool global = t.windows == 1; /* or a single window that reaches over the grid's edge */
    int64_t images = a->qkv.n[0], n = a->y.n[1], blocks = (n + QUERIES - 1) / QUERIES;
    int64_t own = t.tiles * tile_floats(&t), tables = a->rel_h.data   ? 2 * t.hd * t.rel_stride
                                                      : a->table.data ? a->heads * t.s * t.rel_stride
                                                                      : 0;
    int64_t work = QUERIES * (t.hd + MR) + 2 * QUERIES * t.sp + MR * STRIDE + QUERIES * t.hdp;
    t.scratch_floats = round_up(work + (global ? 0 : own), 16);
    int64_t floats = exec->workers * t.scratch_floats + tables + (global ? a->heads * own : 0);
    float *block = exec->allocate(exec->memory, (size_t)floats * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention's scratch");
    t.scratch = block;
    if (a->table.data) {
        t.table = block + exec->workers * t.scratch_floats;
        if (!exec->rehearsal) mirror_table(&t, samc__f32(a->table), t.table);
    } else if (tables) {
        t.rel_h = block + exec->workers * t.scratch_floats;
        t.rel_w = t.rel_h + t.hd * t.rel_stride;
        if (!exec->rehearsal) reverse_table(&t, samc__f32(a->rel_h), t.rel_h);
        if (!exec->rehearsal) reverse_table(&t, samc__f32(a->rel_w), t.rel_w);
    }
    t.shared = block + exec->workers * t.scratch_floats + tables;
    double flops = samc__attention_relpos_flops(a);
    if (!global) samc__parallel(exec, flops, images * t.windows * t.windows * a->heads, 1, window_items, &t);
    for (t.image = 0; global && t.image < images; t.image++) {
        samc__parallel(exec, flops / (double)images, (int64_t)a->heads * t.tiles, 1, pack_items, &t);
        samc__parallel(exec, flops / (double)images, a->heads * blocks, 1, query_items, &t);
    }
    exec->release(exec->memory, block);
    return SAMC_OK;
}
