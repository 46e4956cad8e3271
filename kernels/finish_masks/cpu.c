/* finish_masks in vectors: only the words of 64 pixels that the mask's boundary passes through are evaluated.
 *
 * Both bilinear steps are convex: a word whose contributing logits all lie beyond threshold +- offset by a margin for
 * rounding is decided without evaluating it, and the decision holds for all rows that read the same logits. The other
 * words run through the reference's arithmetic, operation by operation, so the result is the same to the bit; the
 * samples between the steps are kept for one word only. From a logit on that is NaN or infinite, every word is
 * evaluated. Bicubic is not convex, and the reference's alone. */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/finish_masks/finish_masks.h"

#include <math.h>
#include <string.h>

enum { WORD = 64 };

/* out = low * (1 - t) + high * t, for each sample of an axis; rounded up to whole vectors. */
typedef struct axis {
    int32_t *low, *high;
    float *t;
} axis;

typedef struct finish_task {
    const samc__finish_masks_args *args;
    int low, words;
    axis square_x, square_y; /* low -> new_width, new_height */
    axis image_x, image_y;   /* new_width, new_height -> width, height; image_x counts from its word's first sample */
    int span;                /* square columns that a word reads, at most, in whole vectors */
    int32_t *first;          /* [words] first square column of a word */
    int32_t *begin, *end;    /* [words] logit columns of a word */
    int32_t *wide_from; /* [words][span / VW] first of the VW logits that hold a vector's samples, or -1: gather them */
    int32_t *full_from; /* [words][WORD / VW] the same for square columns */
    float *scratch;     /* [workers][scratch_floats] */
    int64_t scratch_floats;
} finish_task;

/* Working memory of one mask. Row r of a kind lives in slot r % slots; tags say which row a word's samples are of. */
typedef struct lines {
    float *wide;         /* [words][4][span] logit rows, resized to the square's columns */
    float *full;         /* [words][2][WORD] square rows, resized to the image's columns */
    float *mixed;        /* [span] */
    float *least, *most; /* [low] over the logit rows of an image row */
    int32_t *wide_tag;   /* [words][4] */
    int32_t *full_tag;   /* [words][2] */
    int32_t *open;       /* [words] words to evaluate */
    uint64_t *row;       /* [words] decided words */
} lines;

static int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

/* The first `count` of out_size samples. */
static void fill_axis(axis *a, int in_size, int out_size, int count) {
    for (int i = 0; i < count; i++) {
        float source = (float)in_size / (float)out_size * ((float)i + 0.5f) - 0.5f;
        if (source < 0.0f) source = 0.0f;
        int low = (int)source;
        if (low > in_size - 1) low = in_size - 1;
        a->low[i] = low, a->high[i] = low + (low < in_size - 1), a->t[i] = source - (float)low;
    }
}

SAMC__INLINE vf mix(vf low, vf high, vf t) { return vf_add(vf_mul(low, vf_sub(vf_set(1.0f), t)), vf_mul(high, t)); }

/* A vector's samples by one of an axis's two indices. */
SAMC__INLINE vf take(const float *x, const int32_t *index, int32_t from) {
    return from < 0 ? vf_gather(x, index) : vf_pick(vf_load(x + from), index, from);
}

/* Logit row `row` at the square columns of word w. */
static const float *wide_row(const finish_task *t, const lines *l, const float *logits, int w, int row) {
    float *out = l->wide + ((int64_t)w * 4 + row % 4) * t->span;
    int32_t *tag = &l->wide_tag[w * 4 + row % 4];
    if (*tag == row + 1) return out;
    *tag = row + 1;
    const float *in = logits + (int64_t)row * t->low;
    for (int i = 0; i < t->span; i += VW) {
        int at = t->first[w] + i;
        int32_t from = t->wide_from[(w * t->span + i) / VW];
        vf_store(out + i, mix(take(in, t->square_x.low + at, from), take(in, t->square_x.high + at, from),
                              vf_load(t->square_x.t + at)));
    }
    return out;
}

/* Square row `row` at the image columns of word w. */
static const float *full_row(const finish_task *t, const lines *l, const float *logits, int w, int row) {
    float *out = l->full + ((int64_t)w * 2 + row % 2) * WORD;
    int32_t *tag = &l->full_tag[w * 2 + row % 2];
    if (*tag == row + 1) return out;
    *tag = row + 1;
    const float *upper = wide_row(t, l, logits, w, t->square_y.low[row]),
                *lower = wide_row(t, l, logits, w, t->square_y.high[row]);
    vf down = vf_set(t->square_y.t[row]);
    for (int i = 0; i < t->span; i += VW) vf_store(l->mixed + i, mix(vf_load(upper + i), vf_load(lower + i), down));
    for (int i = 0; i < WORD; i += VW) {
        int at = w * WORD + i;
        int32_t from = t->full_from[at / VW];
        vf_store(out + i, mix(take(l->mixed, t->image_x.low + at, from), take(l->mixed, t->image_x.high + at, from),
                              vf_load(t->image_x.t + at)));
    }
    return out;
}

SAMC__INLINE uint64_t first_bits(int count) { return count >= WORD ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1; }

/* Whether a logit of the rows [from, to) that pixels may read is NaN or infinite: these alone times 0 are not 0. */
static bool spoilt(const finish_task *t, const float *logits, int from, int to) {
    int columns = t->end[t->words - 1];
    float zero = 0.0f;
    for (int row = from; row < to; row++)
#pragma omp simd reduction(+ : zero)
        for (int c = 0; c < columns; c++) zero += logits[(int64_t)row * t->low + c] * 0.0f;
    return zero != 0.0f; /* NaN */
}

/* Decides the words of the image rows that read the logit rows [from, to]; returns how many stay open. */
static int decide(const finish_task *t, const lines *l, const float *logits, int from, int to, int64_t *ones) {
    const samc__finish_masks_args *a = t->args;
    int open = 0;
    memcpy(l->least, logits + (int64_t)from * t->low, (size_t)t->low * sizeof(float));
    memcpy(l->most, l->least, (size_t)t->low * sizeof(float));
    for (int row = from + 1; row <= to; row++)
        for (int c = 0; c < t->low; c++) {
            float x = logits[(int64_t)row * t->low + c];
            l->least[c] = x < l->least[c] ? x : l->least[c];
            l->most[c] = x > l->most[c] ? x : l->most[c];
        }
    *ones = 0;
    for (int w = 0; w < t->words; w++) {
        float least = l->least[t->begin[w]], most = l->most[t->begin[w]];
        for (int c = t->begin[w] + 1; c < t->end[w]; c++) {
            least = l->least[c] < least ? l->least[c] : least;
            most = l->most[c] > most ? l->most[c] : most;
        }
        float size = fabsf(least) > fabsf(most) ? fabsf(least) : fabsf(most);
        float margin =
            size > 100.0f ? 1e-6f * size : 1e-4f; /* a mix of mixes rounds by less than 1e-6 of the largest */
        l->row[w] = 0;
        if (least > a->threshold + a->offset + margin) {
            int count = a->width - w * WORD < WORD ? a->width - w * WORD : WORD;
            l->row[w] = first_bits(count);
            *ones += count;
        } else if (!(most < a->threshold - a->offset - margin)) l->open[open++] = w;
    }
    return open;
}

static int leave_open(const finish_task *t, const lines *l, int64_t *ones) {
    for (int w = 0; w < t->words; w++) l->open[w] = w, l->row[w] = 0;
    *ones = 0;
    return t->words;
}

static void finish_one(const finish_task *t, const lines *l, int64_t mask) {
    const samc__finish_masks_args *a = t->args;
    const float *logits = samc__f32(a->logits) + (a->index ? a->index[mask] : mask) * t->low * t->low;
    samc__mask_stats s = {.x0 = a->width, .y0 = a->height, .x1 = -1, .y1 = -1};
    vf middle = vf_set(a->threshold), high = vf_set(a->threshold + a->offset), low = vf_set(a->threshold - a->offset);
    memset(l->wide_tag, 0, (size_t)t->words * 4 * sizeof(int32_t));
    memset(l->full_tag, 0, (size_t)t->words * 2 * sizeof(int32_t));
    int open = 0, from = -1, to = -1, seen = 0, x0 = a->width, x1 = -1;
    int64_t ones = 0;
    for (int y = 0; y < a->height; y++) {
        int r0 = t->image_y.low[y], r1 = t->image_y.high[y];
        if (t->square_y.low[r0] != from || t->square_y.high[r1] != to) {
            from = t->square_y.low[r0], to = t->square_y.high[r1];
            if (seen <= to && spoilt(t, logits, seen, to + 1)) s.spoilt = 1;
            seen = to + 1;
            open = s.spoilt ? leave_open(t, l, &ones) : decide(t, l, logits, from, to, &ones);
            x0 = a->width, x1 = -1;
            for (int w = 0; ones > 0 && w < t->words; w++)
                if (l->row[w]) {
                    if (x1 < 0) x0 = w * WORD;
                    x1 = w * WORD + 63 - __builtin_clzll(l->row[w]);
                }
        }
        uint64_t *bits = a->bits ? a->bits + (mask * a->height + y) * t->words : NULL;
        if (bits) memcpy(bits, l->row, (size_t)t->words * sizeof *bits);
        int64_t area = ones;
        s.above += ones, s.below += ones;
        if (x0 < s.x0) s.x0 = x0;
        if (x1 > s.x1) s.x1 = x1;
        vf down = vf_set(t->image_y.t[y]);
        for (int i = 0; i < open; i++) {
            int w = l->open[i];
            const float *upper = full_row(t, l, logits, w, r0), *lower = full_row(t, l, logits, w, r1);
            uint64_t in = 0, above = 0, below = 0, valid = first_bits(a->width - w * WORD);
            for (int at = 0; at < WORD; at += VW) {
                vf logit = mix(vf_load(upper + at), vf_load(lower + at), down);
                in |= vf_greater(logit, middle) << at;
                above |= vf_greater(logit, high) << at;
                below |= vf_greater(logit, low) << at;
            }
            in &= valid;
            s.above += __builtin_popcountll(above & valid);
            s.below += __builtin_popcountll(below & valid);
            if (in == 0) continue;
            area += __builtin_popcountll(in);
            int left = w * WORD + __builtin_ctzll(in), right = w * WORD + 63 - __builtin_clzll(in);
            if (left < s.x0) s.x0 = left;
            if (right > s.x1) s.x1 = right;
            if (bits) bits[w] = in;
        }
        if (area == 0) continue;
        s.area += area;
        if (y < s.y0) s.y0 = y;
        s.y1 = y;
    }
    a->stats[mask] = s;
}

static void finish_range(void *context, int64_t begin, int64_t end, int worker) {
    const finish_task *t = context;
    int64_t words = t->words;
    lines l;
    l.wide = t->scratch + worker * t->scratch_floats;
    l.full = l.wide + words * 4 * t->span;
    l.mixed = l.full + words * 2 * WORD;
    l.least = l.mixed + t->span + VW; /* a vector may be read from any of them */
    l.most = l.least + t->low;
    l.wide_tag = (int32_t *)(l.most + t->low);
    l.full_tag = l.wide_tag + words * 4;
    l.open = l.full_tag + words * 2;
    l.row = (uint64_t *)((uintptr_t)(l.open + words + 1) & ~(uintptr_t)7);
    for (int64_t mask = begin; mask < end; mask++) finish_one(t, &l, mask);
}

/* Where the samples [at, at + VW) of an axis begin, if they are among VW neighbours of the `size` that can be read; or
 * -1. */
static int32_t window_from(const axis *a, int at, int samples, int size) {
    int last = at + VW < samples ? at + VW - 1 : samples - 1;
    if (at >= samples || size < VW) return size < VW ? -1 : 0; /* none is used */
    int from = a->low[at] < size - VW ? a->low[at] : size - VW;
    return a->high[last] - from < VW ? from : -1;
}

/* What each word reads: square columns from first[w] on, logit columns [begin, end). */
static void fill_words(finish_task *t) {
    const samc__finish_masks_args *a = t->args;
    for (int w = 0; w < t->words; w++) {
        int last = (w + 1) * WORD < a->width ? (w + 1) * WORD - 1 : a->width - 1;
        t->first[w] = t->image_x.low[w * WORD];
        t->begin[w] = t->square_x.low[t->first[w]];
        t->end[w] = t->square_x.high[t->image_x.high[last]] + 1;
        for (int x = w * WORD; x < (w + 1) * WORD;
             x++) { /* beyond the width: the word's first sample, masked out later */
            bool inside = x < a->width;
            t->image_x.low[x] = inside ? t->image_x.low[x] - t->first[w] : 0;
            t->image_x.high[x] = inside ? t->image_x.high[x] - t->first[w] : 0;
            if (!inside) t->image_x.t[x] = 0.0f;
        }
        for (int i = 0; i < t->span; i += VW)
            t->wide_from[(w * t->span + i) / VW] = window_from(&t->square_x, t->first[w] + i, a->new_width, t->low);
        for (int x = w * WORD; x < (w + 1) * WORD; x += VW)
            t->full_from[x / VW] = window_from(&t->image_x, x, a->width, t->span + VW);
    }
}

samc_status SAMC__RUNG(samc__finish_masks)(const samc__exec *exec, const samc__finish_masks_args *args) {
    if (args->path == SAMC__MASKS_BICUBIC) return samc__finish_masks_ref(exec, args);
    const samc__finish_masks_args steps = samc__finish_masks_steps(args), *a = &steps;
    finish_task t = {.args = a, .low = (int)a->logits.n[1], .words = (a->width + WORD - 1) / WORD};
    int64_t columns = t.words * WORD, span = 0;
    /* A word reads at most this many square columns: 64 steps of new_width / width, and two samples around them. */
    span = (int64_t)ceil((double)a->new_width / a->width * WORD) + 3;
    t.span = (int)round_up(span < a->new_width ? span : a->new_width, VW);
    int64_t square = a->new_width + t.span, samples = square + a->new_height + columns + a->height;
    int64_t line_floats = t.words * (4 * (int64_t)t.span + 2 * WORD + 4 + 2 + 1 + 2) + t.span + VW + 2 * t.low + 4;
    t.scratch_floats = round_up(line_floats, 16);
    int64_t shared = round_up(3 * samples + t.words * (3 + (int64_t)(t.span + WORD) / VW), 16);
    float *block = exec->allocate(exec->memory, (size_t)(shared + exec->workers * t.scratch_floats) * sizeof(float));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to finish masks of %d x %d pixels", a->width,
                          a->height);
    memset(block, 0, (size_t)shared * sizeof(float));
    int32_t *at = (int32_t *)block;
    axis *axes[4] = {&t.square_x, &t.square_y, &t.image_x, &t.image_y};
    int64_t lengths[4] = {square, a->new_height, columns, a->height};
    for (int i = 0; i < 4; i++) {
        axes[i]->low = at, axes[i]->high = at + lengths[i], axes[i]->t = (float *)(at + 2 * lengths[i]);
        at += 3 * lengths[i];
    }
    t.first = at, t.begin = at + t.words, t.end = at + 2 * t.words;
    t.wide_from = at + 3 * t.words, t.full_from = t.wide_from + t.words * t.span / VW;
    /* The square is img_size wide; only its part inside the image is needed. Columns behind it are logit 0, and unused.
     */
    fill_axis(&t.square_x, t.low, a->img_size, a->new_width);
    fill_axis(&t.square_y, t.low, a->img_size, a->new_height);
    fill_axis(&t.image_x, a->new_width, a->width, a->width);
    fill_axis(&t.image_y, a->new_height, a->height, a->height);
    fill_words(&t);
    t.scratch = block + shared;
    int64_t masks = samc__finish_masks_picked(a);
    samc__parallel(exec, (double)masks * a->height * a->width, masks, 1, finish_range, &t);
    exec->release(exec->memory, block);
    return SAMC_OK;
}
