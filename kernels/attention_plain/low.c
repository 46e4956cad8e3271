/* attention_plain of bf16 activations: both products by low_block(), softmax on the fly in f32.
 *
 * Laid out as attention_plain/cpu.c does it. Weights of what a query does not meet are 0. */
#include "kernels/attention_plain/attention_plain.h"
#include "kernels/cpu/linear.h"
#include "kernels/cpu/low.h"
#include "kernels/cpu/softmax.h"

#include <math.h>
#include <string.h>

enum {
#if defined(SAMC_LOW_AMX)
    GROUP = 32, /* queries whose scores with a tile exist at a time */
#else
    GROUP = MR,
#endif
    ROOM = (GROUP + LOW_ROWS - 1) / LOW_ROWS * LOW_ROWS,
    GROUPS = 96 / GROUP, /* that pass over a tile while it is in a cache */
    QUERIES = GROUPS * GROUP,
    TILE_KEYS = 256, /* at most, in a tile */
    SHORT = 1024,    /* keys of a sequence that one worker lays out and attends */
};

typedef struct attention_task {
    const samc__attention_plain_args *args;
    int64_t n, d, queries, hd, hdk, depth; /* head dim, rounded up to whole panels, and to what a block multiplies */
    int64_t keys, tiles, blocks;           /* of a tile, whole panels; of a sequence; blocks of queries */
    uint16_t *shared;                      /* long sequences: [heads][tiles](k, v) of the one at hand */
    float *scratch;                        /* [workers][scratch_floats] */
    int64_t scratch_floats, entry;
} attention_task;

static int64_t tile_halves(const attention_task *t) { return 2 * t->keys * t->hdk; }
static const uint16_t *tokens_of(const attention_task *t, int64_t entry, int64_t head) { /* [n, 3 D], from q on */
    return (const uint16_t *)t->args->qkv.data + entry * t->n * 3 * t->d + head * t->hd;
}

/* What a worker has. */
typedef struct room {
    uint16_t *q, *weights, *rows,
        *own;            /* [GROUPS][ROOM][hdk], [ROOM][keys + 32], [32][hdk], the tiles of a short one */
    float *scores, *out; /* [ROOM][keys + 16], [GROUPS][ROOM][hdk] */
} room;

static int64_t scores_of(const attention_task *t) { return ROOM * (t->keys + VW); }
static int64_t out_of(const attention_task *t) { return GROUPS * ROOM * t->hdk; }
static int64_t weights_of(const attention_task *t) { return ROOM * (t->keys + 32); } /* halves, as all that follow */

static room room_at(const attention_task *t, float *at) {
    room r = {.scores = at, .out = at + scores_of(t)};
    r.q = (uint16_t *)(r.out + out_of(t)), r.weights = r.q + out_of(t);
    r.rows = r.weights + weights_of(t), r.own = r.rows + 32 * t->hdk;
    return r;
}

static int64_t room_floats(const attention_task *t, bool own) {
    const int64_t halves = out_of(t) + weights_of(t) + 32 * t->hdk + (own ? t->tiles * tile_halves(t) : 0);
    return low_round_up(scores_of(t) + out_of(t) + halves / 2, 16);
}

/* Keys as panels [keys / 32][hdk / 2][32][2] and values as panels [hdk / 32][keys / 2][32][2], zeros where there is
 * none. */
static void pack_tile(const attention_task *t, int64_t entry, int64_t head, int64_t tile, uint16_t *k, uint16_t *rows) {
    const int64_t ld = t->hdk;
    uint16_t *v = k + t->keys * ld;
    for (int64_t panel = 0; panel < t->keys / 32; panel++)
        for (int part = 1; part < 3; part++) {
            memset(rows, 0, (size_t)(32 * ld) * sizeof *rows);
            for (int64_t i = 0; i < 32 && tile * t->keys + panel * 32 + i < t->n; i++)
                memcpy(rows + i * ld,
                       tokens_of(t, entry, head) + (tile * t->keys + panel * 32 + i) * 3 * t->d + part * t->d,
                       (size_t)t->hd * sizeof *rows);
            for (int64_t c = 0; c < ld && part == 1; c += 32)
                for (int i = 0; i < 32; i += 16)
                    transpose16(rows + i * ld + c, 2 * ld, k + (panel * ld + c) * 32 + 2 * i, 128);
            for (int64_t c = 0; c < ld && part == 2; c += 32)
                for (int i = 0; i < 32; i += 2) {
                    const uint16_t *restrict even = rows + i * ld + c, *restrict odd = even + ld;
                    uint16_t *restrict to = v + (c * t->keys + (panel * 32 + i) * 32);
                    for (int j = 0; j < 32; j++) to[2 * j] = even[j], to[2 * j + 1] = odd[j];
                }
        }
}

/* A group of queries against a tile: what each has so far. */
typedef struct group {
    int rows;
    int64_t left[GROUP]; /* keys that it meets from this tile on */
    float largest[GROUP], sum[GROUP];
} group;

static void attend_tile(const attention_task *t, group *g, const uint16_t *q, const uint16_t *k, float *out, bool first,
                        const room *r) {
    const int64_t ld = t->keys + VW, weights = t->keys + 32;
    const uint16_t *v = k + t->keys * t->hdk;
    const vf scale = vf_set((float)(1.4426950408889634 / sqrt((double)t->hd)));
    for (int64_t c = 0; c < t->keys; c += 32)
        low_block(g->rows, q, t->hdk, k + c * t->hdk, t->depth, r->scores + c, ld, false);
    for (int i = 0; i < g->rows; i++) {
        float *row = r->scores + i * ld;
        for (int64_t key = 0; key < t->keys; key += VW) vf_store(row + key, vf_mul(vf_load(row + key), scale));
        for (int64_t key = g->left[i] < 0 ? 0 : g->left[i]; key < t->keys; key++) row[key] = -INFINITY;
        softmax_step(row, (int)t->keys, out + i * t->hdk, first ? 0 : (int)t->hdk, &g->largest[i], &g->sum[i]);
        for (int64_t key = 0; key < t->keys; key += VW)
            vf_store_bf16(r->weights + i * weights + key, vf_load(row + key));
        g->left[i] -= t->keys;
    }
    for (int64_t c = 0; c < t->hdk; c += 32)
        low_block(g->rows, r->weights, weights, v + c * t->keys, t->keys, out + c, t->hdk, !first);
}

/* Queries [begin, end) of one head of a sequence; tiles (k, v) as packed. */
static void attend_queries(const attention_task *t, int64_t item, int64_t begin, int64_t end, const uint16_t *tiles,
                           const room *r) {
    const samc__attention_plain_args *a = t->args;
    const int64_t entry = item / a->heads, head = item % a->heads;
    group groups[GROUPS];
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = (i - begin) / GROUP, row = (i - begin) % GROUP;
        uint16_t *q = r->q + (at * ROOM + row) * t->hdk;
        memcpy(q, tokens_of(t, entry, head) + (a->first + i) * 3 * t->d, (size_t)t->hd * sizeof *q);
        memset(q + t->hd, 0, (size_t)(t->hdk - t->hd) * sizeof *q);
        groups[at].rows = (int)row + 1, groups[at].left[row] = samc__attention_plain_keys(a, i);
        groups[at].largest[row] = SAMC__NEGLIGIBLE, groups[at].sum[row] = 0.0f;
    }
    const int64_t most = samc__attention_plain_keys(a, end - 1);
    for (int64_t tile = 0; tile * t->keys < most; tile++)
        for (int64_t at = 0; at * GROUP < end - begin; at++)
            attend_tile(t, &groups[at], r->q + at * ROOM * t->hdk, tiles + tile * tile_halves(t),
                        r->out + at * ROOM * t->hdk, tile == 0, r);
    for (int64_t i = begin; i < end; i++) {
        const int64_t at = (i - begin) / GROUP, row = (i - begin) % GROUP;
        const float *out = r->out + (at * ROOM + row) * t->hdk;
        uint16_t *to = (uint16_t *)a->y.data + (entry * t->queries + i) * t->d + head * t->hd;
        const vf norm = vf_div(vf_set(1.0f), vf_set(groups[at].sum[row]));
        for (int64_t c = 0; c < t->hd; c += VW)
            vf_store_bf16_first(to + c, t->hd - c < VW ? t->hd - c : VW, vf_mul(vf_load(out + c), norm));
    }
}

/* One item: one head of one short sequence. */
static void sequence_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const room r = room_at(t, t->scratch + worker * t->scratch_floats);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        for (int64_t tile = 0; tile < t->tiles; tile++)
            pack_tile(t, item / t->args->heads, item % t->args->heads, tile, r.own + tile * tile_halves(t), r.rows);
        for (int64_t i = 0; i < t->queries; i += QUERIES)
            attend_queries(t, item, i, i + QUERIES < t->queries ? i + QUERIES : t->queries, r.own, &r);
    }
    low_end();
}

/* A long one: first pass, one tile of one head. */
static void pack_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const room r = room_at(t, t->scratch + worker * t->scratch_floats);
    for (int64_t item = begin; item < end; item++)
        pack_tile(t, t->entry, item / t->tiles, item % t->tiles, t->shared + item * tile_halves(t), r.rows);
}

/* Second pass: one block of queries of one head. */
static void query_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const room r = room_at(t, t->scratch + worker * t->scratch_floats);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t head = item / t->blocks, first = item % t->blocks * QUERIES;
        attend_queries(t, t->entry * t->args->heads + head, first,
                       first + QUERIES < t->queries ? first + QUERIES : t->queries,
                       t->shared + head * t->tiles * tile_halves(t), &r);
    }
    low_end();
}

samc_status SAMC__RUNG(samc__attention_plain)(const samc__exec *exec, const samc__attention_plain_args *a) {
    attention_task t = {.args = a, .n = a->qkv.n[1], .d = a->y.n[2], .queries = a->y.n[1]};
    const int64_t tiles = (t.n + TILE_KEYS - 1) / TILE_KEYS, batch = a->y.n[0], items = batch * a->heads;
    t.hd = t.d / a->heads, t.hdk = low_round_up(t.hd, LOW_K), t.depth = low_round_up(t.hd, LOW_STEP);
    t.keys = low_round_up((t.n + tiles - 1) / tiles, 32);
    t.tiles = (t.n + t.keys - 1) / t.keys;
    t.blocks = (t.queries + QUERIES - 1) / QUERIES;
    const bool own = t.n <= SHORT && items >= exec->workers;
    t.scratch_floats = room_floats(&t, own);
    const int64_t shared = own ? 0 : a->heads * t.tiles * tile_halves(&t) / 2;
    float *block = exec->allocate(exec->memory, (size_t)(exec->workers * t.scratch_floats + shared) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention's scratch");
    t.scratch = block;
    t.shared = (uint16_t *)(block + exec->workers * t.scratch_floats);
    const double flops = samc__attention_plain_flops(a);
    const int64_t each = items / (8 * exec->workers);
    if (own) samc__parallel(exec, flops, items, each < 1 ? 1 : each, sequence_items, &t);
    for (t.entry = 0; !own && t.entry < batch; t.entry++) {
        samc__parallel(exec, flops / (double)batch, (int64_t)a->heads * t.tiles, 1, pack_items, &t);
        samc__parallel(exec, flops / (double)batch, a->heads * t.blocks, 1, query_items, &t);
    }
    exec->release(exec->memory, block);
    return SAMC_OK;
}
