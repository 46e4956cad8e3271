/* attention_relpos of bf16 activations: both products by low_block(), softmax on the fly in f32.
 *
 * Keys come in whole rows of the window, each row padded to whole vectors (rows of 8 and fewer share one), so that a
 * vector of scores has one row's term, a scalar, and its columns' term, which stays in a register for the whole tile.
 * Pads have a term of -infinity. The terms are q times the whole tables, reversed: what a query needs of that lies
 * consecutively in its row of the product, at an offset of its own. They stay f32. A table of biases is what scores
 * start from: products are added to the rows of it that lie behind each other as the query's keys do.
 *
 * Scores are taken to units of 2^-23 of log2, with the exponent's bias and a shift of the row added: rounded to an
 * integer such a score is nearly the float 2^score, only its mantissa still has to be bent. The shift is the largest
 * score of a row's first vector. It need not be the row's maximum: bf16 and f32 have the same exponents, so that
 * anything up to 2^LIMIT is as exact. One pass over a tile of scores therefore does everything, nothing is rescaled,
 * and a row that goes beyond, or has a NaN or an infinity, shows in the largest of those integers; such rows take the
 * two passes of a usual online softmax (attend_row_exactly), as f32's do. */
#include "kernels/cpu/low_weight.h"
#include "kernels/cpu/linear.h"
#include "kernels/attention_relpos/attention_relpos.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
/* Queries whose scores with a tile exist at a time, keys of a tile (about: it has whole rows of them). What lies
 * between the two products then fits the nearest cache, but for what streams through it. */
#if defined(SAMC_LOW_AMX)
    GROUP = 32,
    TILE_KEYS = 256,
#else
    GROUP = MR,
    TILE_KEYS = 512,
#endif
    ROOM = (GROUP + LOW_ROWS - 1) / LOW_ROWS * LOW_ROWS,
    QUERIES = 96, /* that pass over a tile while it is in a cache */
    GROUPS = QUERIES / GROUP,
    LIMIT = 64, /* of log2 that a score may lie above its row's shift */
};
#define LOG2E 1.4426950408889634

typedef struct attention_task {
    const samc__attention_relpos_args *args;
    int s, windows;     /* side of a window in tokens, windows along one axis */
    int pool, grid;     /* tokens along an axis for which there is one query; side of the queries' grid */
    int hd, hdk;        /* head dim, and rounded up to whole panels */
    int64_t depth;      /* and to what a block multiplies at a time */
    int pitch;          /* s rounded up: from one row of keys to the next */
    int wide, together; /* vectors of a line; rows of keys that a line of one vector holds (1: one row) */
    int lines, tiles;   /* of a tile; of a window */
    float scale;        /* of q k to units */
    int64_t kp;         /* keys of a tile, rounded up to whole panels */
    int64_t ups;        /* floats of a query's row terms: of every line one, or where rows share a line a vector */
    int64_t ld_terms;   /* of the products with the tables */
    int64_t terms;      /* columns of each of them, whole panels */
    uint16_t *tables;   /* rel_h and rel_w reversed, each [terms / 32][hdk / 2][32][2]; NULL: none */
    uint16_t *bias;     /* [3 D], zeros where there is none */
    uint16_t *shared;   /* one window: [heads][tiles](k, v) of the image at hand */
    float *biases;      /* table [heads][s][ld_biases], each row mirrored, in units of q k; NULL: none */
    int64_t ld_biases;  /* a row is read a vector beyond its end */
    float *pads;        /* 0 for each of the s columns or rows, -infinity behind */
    int32_t *columns;   /* rows that share a line: column of a lane [16], row of a lane [lines][16] */
    float *scratch;     /* [workers][scratch_floats] */
    int64_t scratch_floats, image;
} attention_task;

static int64_t tile_halves(const attention_task *t) { return 2 * t->kp * t->hdk; }

/* ---- Softmax --------------------------------------------------------------------------------- */

/* One query against one tile. */
typedef struct row {
    const float *scores; /* [kp] q k */
    const float *up;     /* [lines], or [lines][16]: of the rows of keys */
    const float *across; /* [wide][16]: of the columns */
    uint16_t *weights;   /* [kp] */
    float *sum, *shift;  /* [16] of weights; what is added to every score, in units */
    float *out;          /* [hdk] */
} row;

/* A group of queries against one tile, and what is known of them between tiles. */
typedef struct group {
    row first; /* the others' lie `next` behind */
    int64_t scores, up, across, weights, out;
    int rows;
    float sum[GROUP][VW], shift[GROUP];
    bool exact[GROUP];
    const float *bias[GROUP]; /* of a query's head, from the place of key column 0 on */
    int y[GROUP];             /* its row in the window */
} group;

static row row_of(group *g, int i) {
    return (row){.scores = g->first.scores + i * g->scores,
                 .up = g->first.up + i * g->up,
                 .across = g->first.across + i * g->across,
                 .weights = g->first.weights + i * g->weights,
                 .sum = g->sum[i],
                 .shift = &g->shift[i],
                 .out = g->first.out + i * g->out};
}

SAMC__INLINE vf line_of(const row *r, bool together, int line) {
    return together ? vf_load(r->up + (int64_t)line * VW) : vf_set(r->up[line]);
}

/* Weights of a row, added to its sum. Its vectors in pairs: two of a line, or of two lines where these have one each.
 * `wide` and `together` are constants wherever this is inlined. */
SAMC__INLINE vi weigh_lines(const row *r, int wide, bool together, int lines, vf scale) {
    vf sum = vf_load(r->sum), across[4];
    vi most = vi_zero();
    const float *scores = r->scores;
    uint16_t *weights = r->weights;
    for (int v = 0; v < wide; v++) across[v] = vf_add(vf_load(r->across + v * VW), vf_set(*r->shift));
    for (int line = 0; line < lines; line += wide == 1 ? 2 : 1) {
        const vf up = line_of(r, together, line), next = wide == 1 ? line_of(r, together, line + 1) : up;
#pragma GCC unroll 2
        for (int v = 0; v < wide; v += 2, scores += 2 * VW, weights += 2 * VW) {
            const vf x = vf_add(vf_fma(vf_load(scores), scale, across[v]), up);
            const vf y = vf_add(vf_fma(vf_load(scores + VW), scale, across[wide == 1 ? 0 : v + 1]), next);
            const vf p = weight_of(x, &most), q = weight_of(y, &most);
            const vb rounded = vb_round(p, q);
            sum = weights_sum(sum, rounded);
            vb_store(weights, rounded);
        }
    }
    vf_store(r->sum, sum);
    return most;
}

/* The first `count` weights of a row, pads behind them, to its sum. */
static void add_weights(const row *r, int64_t count) {
    vf sum = vf_load(r->sum);
    for (int64_t i = 0; i < count; i += 2 * VW) sum = weights_sum(sum, vb_load(r->weights + i));
    vf_store(r->sum, sum);
}

/* The same for lines of any number of vectors. */
SAMC__INLINE vi weigh_any(const row *r, int wide, int lines, vf scale) {
    vi most = vi_zero();
    int64_t at = 0;
    for (int line = 0; line < lines; line++)
        for (int v = 0; v < wide; v++, at += VW) {
            const vf across = vf_add(vf_load(r->across + v * VW), vf_set(*r->shift));
            const vf x = vf_add(vf_fma(vf_load(r->scores + at), scale, across), vf_set(r->up[line]));
            vf_store_bf16(r->weights + at, weight_of(x, &most));
        }
    if (at % (2 * VW) != 0) vf_store_bf16(r->weights + at, vf_set(0.0f));
    add_weights(r, at);
    return most;
}

/* One vector of scores without shift. */
static vf plain_scores(const attention_task *t, const row *r, vf scale, int line, int v) {
    const vf x = vf_fma(vf_load(r->scores + ((int64_t)line * t->wide + v) * VW), scale, vf_load(r->across + v * VW));
    return vf_add(x, line_of(r, t->together > 1, line));
}

/* A usual step: the largest score of the tile first, then weights of at most 1. Sum and results shrink where that grew.
 * The row is NaN for good once a score is NaN or +infinity. */
__attribute__((noinline)) static void attend_row_exactly(const attention_task *t, const row *r) {
    const vf scale = vf_set(t->scale);
    const float before = *r->shift;
    float lanes[VW], largest = LOW_BIAS - before;
    vi most = vi_zero();
    bool bad = false;
    for (int line = 0; line < t->lines; line++)
        for (int v = 0; v < t->wide; v++) {
            vf_store(lanes, plain_scores(t, r, scale, line, v));
            for (int i = 0; i < VW; i++) {
                bad |= !(lanes[i] < INFINITY);
                largest = lanes[i] > largest ? lanes[i] : largest;
            }
        }
    if (bad) {
        vf_store(r->sum, vf_set(NAN));
        return;
    }
    *r->shift = LOW_BIAS - largest;
    const vf shrink = vf_exp2(vf_mul(vf_sub(vf_set(*r->shift), vf_set(before)), vf_set(1.0f / LOW_UNIT)));
    for (int c = 0; c < t->hdk; c += VW) vf_store(r->out + c, vf_mul(vf_load(r->out + c), shrink));
    vf_store(r->sum, vf_mul(vf_load(r->sum), shrink));
    int64_t at = 0;
    for (int line = 0; line < t->lines; line++)
        for (int v = 0; v < t->wide; v++, at += VW) {
            const vf above = vf_sub(plain_scores(t, r, scale, line, v), vf_set(largest));
            vf_store_bf16(r->weights + at, weight_of(vf_add(above, vf_set(LOW_BIAS)), &most));
        }
    if (at % (2 * VW) != 0) vf_store_bf16(r->weights + at, vf_set(0.0f));
    add_weights(r, at);
}

/* Every row's weights, and what is the largest of them: [16] each. Inlined for the layouts that models have. */
SAMC__INLINE void weigh_rows(const attention_task *t, group *g, int wide, bool together, vi *most) {
    const vf scale = vf_set(t->scale);
    for (int i = 0; i < g->rows; i++) {
        const row r = row_of(g, i);
        most[i] = wide ? weigh_lines(&r, wide, together, t->lines, scale) : weigh_any(&r, t->wide, t->lines, scale);
    }
}

/* A group against a tile; `first`: the window's first. */
static void weigh_group(const attention_task *t, group *g, bool first) {
    const uint32_t limit = (uint32_t)(127 + LIMIT) << 23, least = 126u << 23;
    const vf scale = vf_set(t->scale);
    vf before[GROUP];
    vi most[GROUP];
    for (int i = 0; i < g->rows && first; i++) {
        const row r = row_of(g, i); /* the largest of a few scores; where none is a number, below all numbers */
        const float largest = vf_largest(plain_scores(t, &r, scale, 0, 0));
        g->shift[i] = LOW_BIAS - (largest > SAMC__NEGLIGIBLE ? largest : SAMC__NEGLIGIBLE);
    }
    for (int i = 0; i < g->rows; i++) before[i] = vf_load(g->sum[i]);
    if (t->together > 1) weigh_rows(t, g, 1, true, most);
    else if (t->wide == 1) weigh_rows(t, g, 1, false, most);
    else if (t->wide == 2) weigh_rows(t, g, 2, false, most);
    else if (t->wide == 4) weigh_rows(t, g, 4, false, most);
    else weigh_rows(t, g, 0, false, most);
    for (int i = 0; i < g->rows; i++) {
        /* The first vector's largest has a weight of 1, but where scores are so large that adding the shift first,
         * rather than last, is not the same. */
        g->exact[i] |= vi_any_above(most[i], limit) || (first && !vi_any_above(most[i], least));
        if (!g->exact[i]) continue;
        const row r = row_of(g, i);
        vf_store(r.sum, before[i]);
        attend_row_exactly(t, &r);
    }
}

/* ---- Packing --------------------------------------------------------------------------------- */

/* q, k or v (part 0, 1, 2) [hd] of one head at (y, x); beyond the grid's edge that is the bias. */
static const uint16_t *token_part(const attention_task *t, int64_t image, int y, int x, int part, int64_t head) {
    const samc__attention_relpos_args *a = t->args;
    const int64_t at = a->by_head ? (3 * head + part) * t->hd : part * a->y.n[2] + head * t->hd;
    if (y >= a->grid || x >= a->grid) return t->bias + at;
    return (const uint16_t *)a->qkv.data + ((image * a->grid + y) * a->grid + x) * a->qkv.n[2] + at;
}

/* Offset in y of one head's query at (y, x) of the queries' grid; and the query. */
static int64_t query_offset(const attention_task *t, int64_t image, int y, int x, int64_t head) {
    return ((image * t->grid + y) * t->grid + x) * t->args->y.n[2] + head * t->hd;
}
static const uint16_t *query_at(const attention_task *t, int64_t image, int y, int x, int64_t head) {
    if (t->pool == 1) return token_part(t, image, y, x, 0, head);
    return (const uint16_t *)t->args->q.data + query_offset(t, image, y, x, head);
}

/* A head of a window. */
typedef struct place {
    int64_t image, head;
    int top, left;
} place;

/* Keys as panels [kp / 32][hdk / 2][32][2] and values as panels [hdk / 32][kp / 2][32][2] of one tile, zeros where
 * there is none. `rows` [32][hdk] is room for tokens on their way. */
static void pack_tile(const attention_task *t, const place *w, int tile, uint16_t *k, uint16_t *rows) {
    const int64_t ld = t->hdk;
    uint16_t *v = k + t->kp * ld;
    const int first = tile * t->lines * t->together, end = first + t->lines * t->together;
    for (int64_t panel = 0; panel < t->kp / 32; panel++)
        for (int part = 1; part < 3; part++) {
            memset(rows, 0, (size_t)(32 * ld) * sizeof *rows);
            for (int i = 0; i < 32; i++) {
                const int key = (int)panel * 32 + i, y = first + key / t->pitch, x = key % t->pitch;
                if (x < t->s && y < t->s && y < end)
                    memcpy(rows + i * ld, token_part(t, w->image, w->top + y, w->left + x, part, w->head),
                           (size_t)t->hd * sizeof *rows);
            }
            if (part == 1) {
                for (int64_t c = 0; c < ld; c += 32)
                    for (int i = 0; i < 32; i += 16)
                        transpose16(rows + i * ld + c, 2 * ld, k + (panel * ld + c) * 32 + 2 * i, 128);
                continue;
            }
            for (int64_t c = 0; c < ld; c += 32)
                for (int i = 0; i < 32; i += 2) {
                    const uint16_t *restrict even = rows + i * ld + c, *restrict odd = even + ld;
                    uint16_t *restrict to = v + (c * t->kp + (panel * 32 + i) * 32);
                    for (int j = 0; j < 32; j++) to[2 * j] = even[j], to[2 * j + 1] = odd[j];
                }
        }
}

/* ---- A block of queries ---------------------------------------------------------------------- */

/* What a worker has for that, of so many floats. */
typedef struct room {
    uint16_t *q;          /* [GROUPS][ROOM][hdk] */
    float *up, *across;   /* [QUERIES][ups], [QUERIES][wide][16] */
    float *terms;         /* [2][ROOM][ld_terms] */
    float *scores;        /* [ROOM][kp + 16]: an odd number of cache lines, so that rows do not share sets */
    uint16_t *weights;    /* [ROOM][kp + 32] */
    float *out;           /* [GROUPS][ROOM][hdk] */
    uint16_t *rows, *own; /* [32][hdk]; the tiles of a window where each has its own */
} room;

/* Lays it out from `at` on; returns how many floats it takes. */
static int64_t room_of(const attention_task *t, float *at, room *r) {
    enum { Q, UP, ACROSS, TERMS, SCORES, WEIGHTS, OUT, ROWS, OWN, PARTS };
    const int64_t floats[PARTS] = {
        [Q] = GROUPS * ROOM * t->hdk / 2,
        [UP] = QUERIES * t->ups,
        [ACROSS] = (int64_t)QUERIES * t->wide * VW,
        [TERMS] = 2 * ROOM * t->ld_terms,
        [SCORES] = ROOM * (t->kp + VW),
        [WEIGHTS] = ROOM * (t->kp + 32) / 2,
        [OUT] = GROUPS * ROOM * t->hdk,
        [ROWS] = 32 * t->hdk / 2,
        [OWN] = t->windows > 1 ? t->tiles * tile_halves(t) / 2 : 0,
    };
    float *parts[PARTS];
    int64_t all = 0;
    for (int i = 0; i < PARTS; i++) {
        parts[i] = at;
        at = at ? at + floats[i] : NULL, all += floats[i];
    }
    *r = (room){.q = (uint16_t *)parts[Q],
                .up = parts[UP],
                .across = parts[ACROSS],
                .terms = parts[TERMS],
                .scores = parts[SCORES],
                .weights = (uint16_t *)parts[WEIGHTS],
                .out = parts[OUT],
                .rows = (uint16_t *)parts[ROWS],
                .own = (uint16_t *)parts[OWN]};
    return all;
}

/* The terms of one query at (y, x) of its window: n from h and w on, what its row of the products with the tables says
 * (NULL: 0). */
static void place_terms(const attention_task *t, const float *h, const float *w, float *up, float *across) {
    const vf scale = vf_set((float)(LOG2E * LOW_UNIT));
    const int64_t ups = t->together > 1 ? VW : t->ups;
    for (int64_t i = 0; i < ups || i < (int64_t)t->wide * VW; i += VW) {
        const int64_t n = t->s - i < 0 ? 0 : t->s - i < VW ? t->s - i : VW;
        const vf pads = vf_load(t->pads + i);
        vf row = pads, column = pads;
        if (h)
            row = vf_fma(vf_load_first(h + i, n), scale, pads), column = vf_fma(vf_load_first(w + i, n), scale, pads);
        if (t->together > 1) {
            vf_store(across, vf_pick(column, t->columns, 0));
            for (int line = 0; line < t->lines; line++)
                vf_store(up + (int64_t)line * VW, vf_pick(row, t->columns + (line + 1) * VW, 0));
            continue;
        }
        if (i < ups) vf_store(up + i, row);
        if (i < (int64_t)t->wide * VW) vf_store(across + i, column);
    }
}

/* The next head of the same token is what this thread is about to pack. */
static void ask_for_next(const attention_task *t, const uint16_t *q) {
    const int64_t d = t->args->y.n[2];
    for (int part = 0; part < 3; part++)
        for (int64_t c = t->hd; c < 2 * t->hd; c += 32) __builtin_prefetch(q + part * d + c, 0, 2);
}

/* A group's queries and their terms; `first` is the first one's number in the window's part of the grid. */
static void prepare_group(const attention_task *t, const place *w, int width, int first, int rows, const room *r) {
    for (int i = 0; i < rows; i++) {
        const int y = (first + i) / width, x = (first + i) % width;
        const uint16_t *q = query_at(t, w->image, w->top / t->pool + y, w->left / t->pool + x, w->head);
        memcpy(r->q + i * t->hdk, q, (size_t)t->hd * sizeof *r->q);
        if (t->windows > 1 && w->head + 1 < t->args->heads && !t->args->by_head && t->pool == 1) ask_for_next(t, q);
        memset(r->q + i * t->hdk + t->hd, 0, (size_t)(t->hdk - t->hd) * sizeof *r->q);
    }
    float *const h = r->terms, *const v = h + ROOM * t->ld_terms;
    for (int64_t c = 0; t->tables && c < t->terms; c += 32) {
        low_block(rows, r->q, t->hdk, t->tables + c * t->hdk, t->depth, h + c, t->ld_terms, false);
        low_block(rows, r->q, t->hdk, t->tables + (t->terms + c) * t->hdk, t->depth, v + c, t->ld_terms, false);
    }
    for (int i = 0; i < rows; i++) {
        const int y = (first + i) / width, x = (first + i) % width;
        const float *up = t->tables ? h + i * t->ld_terms + (t->s - 1 - y) : NULL;
        const float *across = t->tables ? v + i * t->ld_terms + (t->s - 1 - x) : NULL;
        place_terms(t, up, across, r->up + i * t->ups, r->across + (int64_t)i * t->wide * VW);
    }
}

/* The part of r that is the group's. */
static room group_of(const attention_task *t, const room *r, int group) {
    room part = *r;
    part.q += group * ROOM * t->hdk, part.out += group * ROOM * t->hdk;
    part.up += group * GROUP * t->ups, part.across += (int64_t)group * GROUP * t->wide * VW;
    return part;
}

/* What the scores of a group with a tile start from: of every row of keys its columns' biases. A vector of them may
 * reach into the next row, which is written later. */
static void place_biases(const attention_task *t, const room *of, const group *g, int tile) {
    const int first = tile * t->lines * t->together, end = first + t->lines * t->together;
    for (int i = 0; i < g->rows; i++) {
        float *row = of->scores + i * g->scores;
        for (int y = first; y < end; y++, row += t->pitch) {
            const float *from = g->bias[i] + (int64_t)abs(g->y[i] - y) * t->ld_biases;
            for (int v = 0; v < t->wide; v++) vf_store(row + v * VW, y < t->s ? vf_load(from + v * VW) : vf_set(0.0f));
        }
    }
}

/* A group of queries against one tile (k, v). */
static void attend_tile(const attention_task *t, const room *of, group *g, int tile, const uint16_t *k) {
    const uint16_t *v = k + t->kp * t->hdk;
    const int64_t lines = (int64_t)tile * t->lines;
    g->first = (row){.scores = of->scores,
                     .up = of->up + (t->together > 1 ? lines * VW : lines),
                     .across = of->across,
                     .weights = of->weights,
                     .out = of->out};
    if (t->biases) place_biases(t, of, g, tile);
    for (int64_t c = 0; c < t->kp; c += 32)
        low_block(g->rows, of->q, t->hdk, k + c * t->hdk, t->depth, of->scores + c, g->scores, t->biases != NULL);
    weigh_group(t, g, tile == 0);
    for (int64_t c = 0; c < t->hdk; c += 32)
        low_block(g->rows, of->weights, g->weights, v + c * t->kp, t->kp, of->out + c, g->out, tile > 0);
}

/* Queries [begin, end) of a window whose part of the grid is `width` tokens wide; tiles (k, v) as packed. */
static void attend_queries(const attention_task *t, const place *w, int width, int begin, int end,
                           const uint16_t *tiles, const room *r) {
    group groups[GROUPS];
    for (int i = 0, at = begin; at < end; i++, at += GROUP) {
        const room part = group_of(t, r, i);
        groups[i] = (group){.scores = t->kp + VW,
                            .up = t->ups,
                            .across = (int64_t)t->wide * VW,
                            .weights = t->kp + 32,
                            .out = t->hdk,
                            .rows = end - at < GROUP ? end - at : GROUP};
        prepare_group(t, w, width, at, groups[i].rows, &part);
        for (int j = 0; t->biases && j < groups[i].rows; j++) {
            groups[i].bias[j] = t->biases + w->head * t->s * t->ld_biases + (t->s - 1 - (at + j) % width);
            groups[i].y[j] = (at + j) / width;
        }
    }
    for (int tile = 0; tile < t->tiles; tile++)
        for (int i = 0; begin + i * GROUP < end; i++) {
            const room part = group_of(t, r, i);
            attend_tile(t, &part, &groups[i], tile, tiles + tile * tile_halves(t));
        }
    for (int at = begin; at < end; at++) {
        const int group = (at - begin) / GROUP, i = (at - begin) % GROUP, y = at / width, x = at % width;
        const float *out = r->out + ((int64_t)group * ROOM + i) * t->hdk;
        uint16_t *to = (uint16_t *)t->args->y.data +
                       query_offset(t, w->image, w->top / t->pool + y, w->left / t->pool + x, w->head);
        const vf norm = vf_div(vf_set(1.0f), vf_set(vf_sum(vf_load(groups[group].sum[i]))));
        for (int c = 0; c < t->hd; c += VW)
            vf_store_bf16_first(to + c, t->hd - c < VW ? t->hd - c : VW, vf_mul(vf_load(out + c), norm));
    }
}

/* ---- Items of work --------------------------------------------------------------------------- */

/* One head of one window. */
static void window_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const samc__attention_relpos_args *a = t->args;
    room r;
    room_of(t, t->scratch + worker * t->scratch_floats, &r);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const int64_t window = item / a->heads;
        const place w = {.image = window / (t->windows * t->windows),
                         .head = item % a->heads,
                         .top = (int)(window / t->windows % t->windows) * t->s,
                         .left = (int)(window % t->windows) * t->s};
        const int height = (a->grid - w.top < t->s ? a->grid - w.top : t->s) / t->pool,
                  width = (a->grid - w.left < t->s ? a->grid - w.left : t->s) / t->pool, n = height * width;
        for (int tile = 0; tile < t->tiles; tile++) pack_tile(t, &w, tile, r.own + tile * tile_halves(t), r.rows);
        for (int i = 0; i < n; i += QUERIES)
            attend_queries(t, &w, width, i, i + QUERIES < n ? i + QUERIES : n, r.own, &r);
    }
    low_end();
}

/* One window, or global attention, which is one: first pass, one tile of one head. */
static void pack_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    room r;
    room_of(t, t->scratch + worker * t->scratch_floats, &r);
    for (int64_t item = begin; item < end; item++) {
        const place w = {.image = t->image, .head = item / t->tiles};
        pack_tile(t, &w, (int)(item % t->tiles), t->shared + item * tile_halves(t), r.rows);
    }
}

/* Second pass: one block of queries of one head. Only the grid's tokens are queries: the window may be larger. */
static void query_items(void *context, int64_t begin, int64_t end, int worker) {
    const attention_task *t = context;
    const int grid = t->grid, n = grid * grid, blocks = (n + QUERIES - 1) / QUERIES;
    room r;
    room_of(t, t->scratch + worker * t->scratch_floats, &r);
    low_begin();
    for (int64_t item = begin; item < end; item++) {
        const place w = {.image = t->image, .head = item / blocks};
        const int first = (int)(item % blocks) * QUERIES;
        attend_queries(t, &w, grid, first, first + QUERIES < n ? first + QUERIES : n,
                       t->shared + w.head * t->tiles * tile_halves(t), &r);
    }
    low_end();
}

/* ---- The operator ---------------------------------------------------------------------------- */

/* table [heads, s * s] -> biases; zeros behind each row. */
static void mirror_table(const attention_task *t, const float *table) {
    const float unit = sqrtf((float)t->hd);
    for (int64_t row = 0; row < (int64_t)t->args->heads * t->s; row++)
        for (int i = 0; i < t->ld_biases; i++)
            t->biases[row * t->ld_biases + i] =
                i < 2 * t->s - 1 ? unit * table[row * t->s + abs(i - (t->s - 1))] : 0.0f;
}

/* What every item reads: tables and bias in bf16, pads, lanes. */
static void fill_constants(const attention_task *t, int64_t pads) {
    const samc__attention_relpos_args *a = t->args;
    const samc__view tables[2] = {a->rel_h, a->rel_w};
    for (int i = 0; t->tables && i < 2; i++)
        for (int64_t panel = 0; panel < t->terms / 32; panel++)
            samc__pack_panel_bf16(samc__f32(tables[i]) + (2 * t->s - 2) * t->hd, 2 * t->s - 1, t->hd, -t->hd, 1, panel,
                                  t->tables + (i * t->terms + panel * 32) * t->hdk);
    for (int64_t i = 0; i < a->qkv.n[2]; i++)
        t->bias[i] = a->qkv_bias.data == NULL
                         ? 0
                         : samc__float_to_bf16(samc__load_element(a->qkv_bias.dtype, a->qkv_bias.data, i));
    if (t->biases) mirror_table(t, samc__f32(a->table));
    for (int64_t i = 0; i < pads; i++) t->pads[i] = i < t->s ? 0.0f : -INFINITY;
    for (int i = 0; i < VW; i++) {
        t->columns[i] = i % t->pitch;
        for (int line = 0; t->together > 1 && line < t->lines; line++) {
            const int y = line * t->together + i / t->pitch;
            t->columns[(line + 1) * VW + i] = y < VW ? y : VW - 1; /* a pad, as s is at most 8 */
        }
    }
}

/* How rows of keys lie in vectors and tiles. */
static void lay_out(attention_task *t) {
    t->together = t->s <= 4 ? 4 : t->s <= 8 ? 2 : 1;
    t->pitch = t->together > 1 ? VW / t->together : (int)low_round_up(t->s, VW);
    t->wide = t->together > 1 ? 1 : t->pitch / VW;
    const int lines = (t->s + t->together - 1) / t->together, most = TILE_KEYS / (t->wide * VW);
    t->tiles = most < 1 ? lines : (lines + most - 1) / most;
    t->lines = (lines + t->tiles - 1) / t->tiles;
    if (t->wide == 1) t->lines = (int)low_round_up(t->lines, 2);
    t->kp = low_round_up((int64_t)t->lines * t->wide * VW, 32);
    t->ups = t->together > 1 ? (int64_t)t->lines * VW : low_round_up((int64_t)t->lines * t->tiles, VW);
}

samc_status SAMC__RUNG(samc__attention_relpos)(const samc__exec *exec, const samc__attention_relpos_args *a) {
    attention_task t = {.args = a, .s = a->window ? a->window : a->grid, .hd = (int)(a->y.n[2] / a->heads)};
    t.windows = (a->grid + t.s - 1) / t.s;
    t.pool = samc__attention_relpos_pool(a), t.grid = a->grid / t.pool;
    t.hdk = (int)low_round_up(t.hd, LOW_K);
    t.depth = low_round_up(t.hd, LOW_STEP);
    t.scale = (float)(LOG2E * LOW_UNIT / sqrt((double)t.hd));
    lay_out(&t);
    t.terms = low_round_up(2 * t.s - 1, 32);
    t.ld_terms = t.terms + VW;          /* what is read of it ends with the table's columns */
    const bool global = t.windows == 1; /* or a single window that reaches over the grid's edge */
    const int64_t n = a->y.n[1], blocks = (n + QUERIES - 1) / QUERIES, images = a->qkv.n[0];
    room r;
    t.scratch_floats = low_round_up(room_of(&t, NULL, &r), 16);
    const int64_t tables = a->rel_h.data ? t.terms * t.hdk : 0; /* both, of halves */
    const int64_t pads = t.ups > (int64_t)t.wide * VW ? t.ups : (int64_t)t.wide * VW, lanes = (t.lines + 1) * VW;
    const int64_t shared = global ? low_round_up(a->heads * t.tiles * tile_halves(&t) / 2, 16) : 0;
    t.ld_biases = low_round_up(2 * t.s - 1 + t.wide * VW, VW);
    const int64_t bias = low_round_up(a->qkv.n[2], 32) / 2, biases = a->table.data ? a->heads * t.s * t.ld_biases : 0;
    float *block = exec->allocate(
        exec->memory,
        (size_t)(exec->workers * t.scratch_floats + tables + pads + lanes + shared + bias + biases) * sizeof(float));
    if (block == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the attention's scratch");
    float *at = t.scratch = block;
    at += exec->workers * t.scratch_floats;
    t.shared = (uint16_t *)at, at += shared;
    if (tables) t.tables = (uint16_t *)at, at += tables;
    if (biases) t.biases = at, at += biases;
    t.pads = at, at += pads;
    t.columns = (int32_t *)at, at += lanes;
    t.bias = (uint16_t *)at;
    if (!exec->rehearsal) fill_constants(&t, pads);
    const double flops = samc__attention_relpos_flops(a);
    const int64_t items = images * t.windows * t.windows * a->heads, each = items / (8 * exec->workers);
    /* A few heads in turn (ask_for_next), as long as there is enough for everyone. */
    if (!global) samc__parallel(exec, flops, items, each < 1 ? 1 : each < 4 ? each : 4, window_items, &t);
    for (t.image = 0; global && t.image < images; t.image++) {
        samc__parallel(exec, flops / (double)images, (int64_t)a->heads * t.tiles, 1, pack_items, &t);
        samc__parallel(exec, flops / (double)images, a->heads * blocks, 1, query_items, &t);
    }
    exec->release(exec->memory, block);
    return SAMC_OK;
}
