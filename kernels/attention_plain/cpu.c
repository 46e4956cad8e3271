/* attention_plain in vectors: softmax on the fly over tiles of keys, scores never in memory beyond one tile.
 *
 * Keys and values are laid out by panels once for all queries: of short sequences by whoever attends them, of long ones
 * by everybody first. Everything is in units of log2, so that the exponential is a bare 2^x. Causal queries go one at a
 * time, as each has keys of its own: such sequences are short, and what a query does not meet must not touch it. */
#include "kernels/attention_plain/attention_plain.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/softmax.h"

#include <math.h>
#include <string.h>

enum {
    TILE_KEYS = 256,         /* at most, in a tile */
    STRIDE = TILE_KEYS + 16, /* between the score rows of a tile: 17 cache lines, so that rows do not share sets */
    QUERIES = 4 * MR,        /* that pass over a tile while it is in the second-level cache */
    SHORT = 1024,            /* keys of a sequence that one worker lays out and attends */
};
SAMC__DEFINE_TILE(tile_q, 1, MR)     /* queries as [hd][MR] */
SAMC__DEFINE_TILE(tile_p, STRIDE, 1) /* probabilities as [MR][STRIDE] */

typedef struct attention_task {
    const samc__attention_plain_args *args;
    int64_t n, d, queries;
    int hd, hdp, hdq; /* head dim, rounded up to whole vectors, and to whole panels */
    int keys, tiles;  /* of a tile, whole panels; of a sequence */
    int64_t blocks;   /* of queries of a sequence */
    float *shared;    /* long sequences: [heads][tiles](k, v) of the one at hand */
    float *scratch;   /* [workers][scratch_floats] */
    int64_t scratch_floats, entry;
} attention_task;

static int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
static int64_t tile_floats(const attention_task *t) { return (int64_t)t->keys * (t->hd + t->hdq); }
static const float *tokens_of(const attention_task *t, int64_t entry, int64_t head) { /* [n, 3 D], from q of the head */
    return samc__f32(t->args->qkv) + entry * t->n * 3 * t->d + head * t->hd;
}

/* Keys as panels [keys / PANEL][hd][PANEL] and behind them values as panels [hdq / PANEL][keys][PANEL] of one tile,
 * zeros where there is none. */
static void pack_tile(const attention_task *t, int64_t entry, int64_t head, int tile, float *k) {
    const int64_t first = (int64_t)tile * t->keys, left = t->n - first;
    const int keys = left < t->keys ? (int)left : t->keys;
    float *v = k + (int64_t)t->keys * t->hd;
    if (keys < t->keys) memset(k, 0, (size_t)tile_floats(t) * sizeof *k);
    else if (t->hd < t->hdq) memset(v, 0, (size_t)(t->keys * t->hdq) * sizeof *v);
    for (int key = 0; key < keys; key++) {
        const float *k_in = tokens_of(t, entry, head) + (first + key) * 3 * t->d + t->d, *v_in = k_in + t->d;
        float *k_out = k + key / PANEL * t->hd * PANEL + key % PANEL;
        for (int c = 0; c < t->hd; c++) k_out[c * PANEL] = k_in[c];
        for (int c = 0; c < t->hd; c += PANEL)
            memcpy(v + (c * t->keys + key * PANEL), v_in + c,
                   (size_t)(t->hd - c < PANEL ? t->hd - c : PANEL) * sizeof(float));
    }
}

/* At most MR queries, from a group on that is packed so. */
typedef struct queries {
    const float *q;             /* [hd][MR] */
    float *out, *largest, *sum; /* [rows][hdp], [rows], [rows] */
    int rows;
} queries;

/* They against the first `keys` of a tile: scores [MR][STRIDE], softmax step, values. */
static void attend_tile(const attention_task *t, const queries *g, int keys, const float *k, float *score) {
    const float *v = k + (int64_t)t->keys * t->hd;
    const int kp = (keys + VW - 1) / VW * VW;
    SAMC__TILE_ROW(tile_q, g->rows, kp / VW, g->q, k, t->hd, score, STRIDE, TILE_ZERO);
    for (int r = 0; r < g->rows; r++) {
        for (int key = keys; key < kp; key++) score[r * STRIDE + key] = -INFINITY;
        softmax_step(score + r * STRIDE, kp, g->out + r * t->hdp, t->hdp, &g->largest[r], &g->sum[r]);
    }
    for (int c = 0; c < t->hdp; c += PANEL) { /* panels are as long as the tile, whatever is read of them */
        const float *panel = v + (int64_t)c * t->keys;
        if (t->hdp - c >= PANEL) tile_p_2(g->rows, score, panel, PANEL, keys, g->out + c, t->hdp, TILE_ADD);
        else tile_p_1(g->rows, score, panel, PANEL, keys, g->out + c, t->hdp, TILE_ADD);
    }
}

/* Queries [begin, end) of one head of a sequence; tiles (k, v) as packed. */
static void attend_queries(const attention_task *t, int64_t entry, int64_t head, int64_t begin, int64_t end,
                           const float *tiles, float *work) {
    const samc__attention_plain_args *a = t->args;
    const int count = (int)(end - begin), step = a->causal ? 1 : MR;
    float *q = work, *score = q + QUERIES * t->hd,
          *out = score + MR * STRIDE; /* [groups][hd][MR], .., [QUERIES][hdp] */
    float largest[QUERIES], sum[QUERIES];
    const float scale = (float)(1.4426950408889634 / sqrt((double)t->hd));
    for (int i = 0; i < count; i++) {
        const float *in = tokens_of(t, entry, head) + (a->first + begin + i) * 3 * t->d; /* [hd] */
        float *packed = q + i / MR * MR * t->hd + i % MR;
        for (int c = 0; c < t->hd; c++) packed[c * MR] = in[c] * scale;
        largest[i] = SAMC__NEGLIGIBLE, sum[i] = 0.0f;
    }
    memset(out, 0, (size_t)(count * t->hdp) * sizeof(float));
    for (int tile = 0; tile < t->tiles; tile++)
        for (int i = 0; i < count; i += step) {
            const int64_t left = samc__attention_plain_keys(a, begin + i) - (int64_t)tile * t->keys;
            const queries g = {.q = q + i / MR * MR * t->hd + i % MR,
                               .out = out + i * t->hdp,
                               .largest = largest + i,
                               .sum = sum + i,
                               .rows = count - i < step ? count - i : step};
            if (left > 0)
                attend_tile(t, &g, left < t->keys ? (int)left : t->keys, tiles + tile * tile_floats(t), score);
        }
    for (int i = 0; i < count; i++) {
        float *to = samc__f32(a->y) + (entry * t->queries + begin + i) * t->d + head * t->hd;
        const vf norm = vf_div(vf_set(1.0f), vf_set(sum[i]));
        for (int c = 0; c < t->hd; c += VW)
            vf_store_first(to + c, t->hd - c < VW ? t->hd - c : VW, vf_mul(vf_load(out + i * t->hdp + c), norm));
    }
}

/* One item: one head of one short sequence. */
static void sequence_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    float *tiles = t->scratch + worker * t->scratch_floats, *work = tiles + t->tiles * tile_floats(t);
    for (int64_t item = begin; item < end; item++) {
        const int64_t entry = item / t->args->heads, head = item % t->args->heads;
        for (int tile = 0; tile < t->tiles; tile++) pack_tile(t, entry, head, tile, tiles + tile * tile_floats(t));
        for (int64_t i = 0; i < t->queries; i += QUERIES)
            attend_queries(t, entry, head, i, i + QUERIES < t->queries ? i + QUERIES : t->queries, tiles, work);
    }
}

/* A long one: first pass, one tile of one head. */
static void pack_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    (void)worker;
    for (int64_t item = begin; item < end; item++)
        pack_tile(t, t->entry, item / t->tiles, (int)(item % t->tiles), t->shared + item * tile_floats(t));
}

/* Second pass: one block of queries of one head. */
static void query_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    float *work = t->scratch + worker * t->scratch_floats;
    for (int64_t item = begin; item < end; item++) {
        const int64_t head = item / t->blocks, first = item % t->blocks * QUERIES;
        attend_queries(t, t->entry, head, first, first + QUERIES < t->queries ? first + QUERIES : t->queries,
                       t->shared + head * t->tiles * tile_floats(t), work);
    }
}

samc_status SAMC__RUNG(samc__attention_plain)(const samc__exec *exec, const samc__attention_plain_args *a) {
    attention_task t = {.args = a, .n = a->qkv.n[1], .d = a->y.n[2], .queries = a->y.n[1]};
    const int64_t tiles = (t.n + TILE_KEYS - 1) / TILE_KEYS, batch = a->y.n[0];
    t.hd = (int)(t.d / a->heads), t.hdp = (int)round_up(t.hd, VW), t.hdq = (int)round_up(t.hd, PANEL);
    t.keys = (int)round_up((t.n + tiles - 1) / tiles, PANEL);
    t.tiles = (int)((t.n + t.keys - 1) / t.keys);
    t.blocks = (t.queries + QUERIES - 1) / QUERIES;
    const bool own = t.n <= SHORT && batch * a->heads >= exec->workers;
    const int64_t room = t.tiles * tile_floats(&t);
    t.scratch_floats = round_up(QUERIES * (t.hd + t.hdp) + MR * STRIDE + (own ? room : 0), 16);
    float *block = exec->allocate(
        exec->memory, (size_t)(exec->workers * t.scratch_floats + (own ? 0 : a->heads * room)) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention's scratch");
    t.scratch = block;
    t.shared = block + exec->workers * t.scratch_floats;
    const double flops = samc__attention_plain_flops(a);
    const int64_t items = batch * a->heads, each = items / (8 * exec->workers);
    if (own) samc__parallel(exec, flops, items, each < 1 ? 1 : each, sequence_items, &t);
    for (t.entry = 0; !own && t.entry < batch; t.entry++) {
        samc__parallel(exec, flops / (double)batch, (int64_t)a->heads * t.tiles, 1, pack_items, &t);
        samc__parallel(exec, flops / (double)batch, a->heads * t.blocks, 1, query_items, &t);
    }
    exec->release(exec->memory, block);
    return SAMC_OK;
}
