/* What the decoder's 16-bit operators share beside decoder.h: how its rows become sides of low_block().
 *
 * A block has PANEL image tokens. As columns they are pairs of channels, [kp / 2][PANEL][2], kp being the channels
 * rounded up to LOW_K; what a product leaves is then [rows][PANEL] floats, one token to a lane, as in decoder.h. As
 * rows they are [PANEL][kp]. transpose16() leads from one to the other, a pair being as wide as a float. */
#ifndef SAMC_KERNELS_CPU_LOW_DECODER_H
#define SAMC_KERNELS_CPU_LOW_DECODER_H

#include "kernels/cpu/decoder.h"
#include "kernels/cpu/low.h"

_Static_assert((int)PANEL == (int)LOW_COLUMNS, "a panel of tokens is what low_block() takes as columns");

/* out [32][2] = pairs of two rows of 32. */
SAMC__INLINE void interleave_rows(vb even, vb odd, uint16_t *out) {
#if defined(SAMC_LOW_SOFT)
    for (int i = 0; i < 32; i++) out[2 * i] = even.at[i], out[2 * i + 1] = odd.at[i];
#else
    const __m512i low = _mm512_unpacklo_epi16(even, odd), high = _mm512_unpackhi_epi16(even, odd);
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0),
                  second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    vb_store(out, _mm512_permutex2var_epi64(low, first, high));
    vb_store(out + 32, _mm512_permutex2var_epi64(low, second, high));
#endif
}

/* Elements [at, at + 16) of a row of `left` more, which may be none: zeros behind them. */
SAMC__INLINE vf load_some(samc__view v, int64_t at, int64_t left) {
    return left <= 0 ? vf_set(0.0f) : vf_load_first_of(v, at, left < VW ? left : VW);
}

/* Rows of a tensor: where the first begins, and how many elements they are apart. No data: zeros. */
typedef struct tensor_rows {
    samc__view of;
    int64_t at, step;
} tensor_rows;

/* Pairs of x + added. */
SAMC__INLINE vb vb_sum(vb x, vb added) {
#if defined(SAMC_LOW_SOFT)
    for (int i = 0; i < 32; i++) {
        const float sum = samc__bf16_to_float(x.at[i]) + samc__bf16_to_float(added.at[i]);
        x.at[i] = samc__float_to_bf16(low_flush(sum));
    }
    return x;
#else
    const __m512i upper = _mm512_set1_epi32((int32_t)0xffff0000u);
    const vf even =
        _mm512_add_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(added, 16)));
    const vf odd = _mm512_add_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                                 _mm512_castsi512_ps(_mm512_and_si512(added, upper)));
    return vb_pairs(even, odd);
#endif
}

/* out [rows rounded up to PANEL][kp] = x + added, [rows, c], rounded; zeros behind c, and in the rows beyond. */
__attribute__((unused)) static void sum_rows(tensor_rows x, tensor_rows added, int64_t rows, int64_t c, uint16_t *out) {
    const int64_t kp = low_round_up(c, LOW_K);
    memset(out + rows * kp, 0, (size_t)((low_round_up(rows, PANEL) - rows) * kp) * sizeof *out);
    if (x.of.dtype == SAMC__BF16 && added.of.data && added.of.dtype == SAMC__BF16 && c == kp) {
        const uint16_t *from = (const uint16_t *)x.of.data + x.at, *more = (const uint16_t *)added.of.data + added.at;
        for (; rows > 0; rows--, from += x.step, more += added.step, out += kp)
            for (int64_t i = 0; i < kp; i += 2 * VW) vb_store(out + i, vb_sum(vb_load(from + i), vb_load(more + i)));
        return;
    }
    for (int64_t r = 0; r < rows; r++, x.at += x.step, added.at += added.step)
        for (int64_t i = 0; i < kp; i += 2 * VW) {
            vf low = load_some(x.of, x.at + i, c - i), high = load_some(x.of, x.at + i + VW, c - i - VW);
            if (added.of.data) {
                low = vf_add(low, load_some(added.of, added.at + i, c - i));
                high = vf_add(high, load_some(added.of, added.at + i + VW, c - i - VW));
            }
            vb_store(out + r * kp + i, vb_round(low, high));
        }
}

/* rows [PANEL][..], `ld` apart -> panel [kp / 2][PANEL][2]. */
__attribute__((unused)) static void rows_to_pairs(const uint16_t *rows, int64_t ld, int64_t kp, uint16_t *panel) {
    for (int64_t i = 0; i < kp; i += LOW_K)
        for (int64_t r = 0; r < PANEL; r += 16)
            transpose16(rows + r * ld + i, ld * 2, panel + i * PANEL + 2 * r, 4 * PANEL);
}

/* The reverse. */
__attribute__((unused)) static void pairs_to_rows(const uint16_t *panel, int64_t kp, uint16_t *rows, int64_t ld) {
    for (int64_t i = 0; i < kp; i += LOW_K)
        for (int64_t r = 0; r < PANEL; r += 16)
            transpose16(panel + i * PANEL + 2 * r, 4 * PANEL, rows + r * ld + i, ld * 2);
}

/* x [n][PANEL] -> panel [low_round_up(n, LOW_K) / 2][PANEL][2], zeros behind n. */
__attribute__((unused)) static void floats_to_pairs(const float *x, int64_t n, uint16_t *panel) {
    for (int64_t i = 0; i < low_round_up(n, LOW_K); i += 2)
        for (int v = 0; v < PANEL; v += VW) {
            const vf even = i < n ? vf_load(x + i * PANEL + v) : vf_set(0.0f);
            const vf odd = i + 1 < n ? vf_load(x + (i + 1) * PANEL + v) : vf_set(0.0f);
            vb_store(panel + i * PANEL + 2 * v, vb_pairs(even, odd));
        }
}

/* panel [.. / 2][PANEL][2] -> x [n][PANEL]. */
__attribute__((unused)) static void pairs_to_floats(const uint16_t *panel, int64_t n, float *x) {
    for (int64_t i = 0; i < n; i += 2)
        for (int v = 0; v < PANEL; v += VW) {
            vf even, odd;
            load_pairs(panel + i * PANEL + 2 * v, &even, &odd);
            vf_store(x + i * PANEL + v, even);
            if (i + 1 < n) vf_store(x + (i + 1) * PANEL + v, odd);
        }
}

/* Rows [first, first + keys) of x [.., c] as pairs of rows: panels [ceil(c / PANEL)] of [keys rounded up to LOW_K /
 * 2][PANEL][2], `stride` elements apart; zeros beyond. */
__attribute__((unused)) static void pair_rows(samc__view x, int64_t first, int64_t keys, int64_t c, int64_t stride,
                                              uint16_t *out) {
    for (int64_t i = 0; i < c; i += PANEL) {
        uint16_t *panel = out + i / PANEL * stride;
        for (int64_t key = 0; key < low_round_up(keys, LOW_K); key += 2) {
            vb pair[2];
            for (int64_t j = 0; j < 2; j++) {
                const int64_t left = key + j < keys ? c - i : 0, at = (first + key + j) * c + i;
                if (x.dtype == SAMC__BF16 && left >= PANEL) pair[j] = vb_load((const uint16_t *)x.data + at);
                else pair[j] = vb_round(load_some(x, at, left), load_some(x, at + VW, left - VW));
            }
            interleave_rows(pair[0], pair[1], panel + key * PANEL);
        }
    }
}

/* Tokens [first, first + tokens <= PANEL) of x [.., inner], each head's channels apart: [heads][kp / 2][PANEL][2]. rows
 * is of [PANEL][kp]. */
__attribute__((unused)) static void place_heads(samc__view x, int64_t first, int64_t tokens, int64_t heads,
                                                uint16_t *rows, uint16_t *out) {
    const int64_t inner = x.n[2], hd = inner / heads, kp = low_round_up(hd, LOW_K);
    for (int64_t h = 0; h < heads; h++) {
        sum_rows((tensor_rows){x, first * inner + h * hd, inner}, (tensor_rows){0}, tokens, hd, rows);
        rows_to_pairs(rows, kp, kp, out + h * kp * PANEL);
    }
}

typedef struct sum_task {
    samc__view x, added; /* [B, N, C], [N, C] or absent */
    int64_t first;       /* row of x */
    uint16_t *out;       /* [.., C] */
} sum_task;

__attribute__((unused)) static void sum_items(void *context, int64_t begin, int64_t end, int worker) {
    const sum_task *t = context;
    const int64_t n = t->x.n[1], c = t->x.n[2];
    (void)worker;
    for (int64_t row = begin; row < end; row++)
        for (int64_t i = 0; i < c; i += VW) {
            const int64_t left = c - i < VW ? c - i : VW;
            const vf sum = vf_add(vf_load_first_of(t->x, (t->first + row) * c + i, left),
                                  vf_load_first_of(t->added, (t->first + row) % n * c + i, left));
            vf_store_bf16_first(t->out + row * c + i, left, sum);
        }
}

/* The same tensor [B, ..] from entry `first` on. */
SAMC__INLINE samc__view entries_from(samc__view v, int64_t first) {
    v.data = (char *)v.data + (size_t)(first * v.n[1] * v.n[2]) * samc__dtype_size(v.dtype);
    return v;
}

/* y [entries, N, inner] = (x + added) . w^T + b of `entries` entries of x [B, N, C] from `first` on; added [N, C], its
 * sums in `sums` [entries, N, C], or absent. */
__attribute__((unused)) static samc_status project_entries(const samc__exec *exec, samc__view x, samc__view added,
                                                           int64_t first, samc__projection p, uint16_t *sums,
                                                           samc__view y) {
    const int64_t entries = y.n[0], n = x.n[1], c = x.n[2];
    sum_task task = {x, added, first * n, sums};
    x = added.data ? samc__as(SAMC__BF16, samc__view2(sums, entries * n, c))
                   : samc__as(x.dtype, samc__view2(entries_from(x, first).data, entries * n, c));
    if (added.data) samc__parallel(exec, (double)(entries * n * c) * 4, entries * n, 64, sum_items, &task);
    return exec->ops->linear(
        exec, &(samc__linear_args){.x = x, .p = p, .y = samc__as(y.dtype, samc__view2(y.data, entries * n, p.w.n[0]))});
}

/* The weight w [n, k] as panels of low_block(): those packed when the model was opened, or made in `own`. */
__attribute__((unused)) static const uint16_t *weight_panels(const samc__exec *exec, samc__view w, int64_t n, int64_t k,
                                                             uint16_t *own) {
    const uint16_t *packed = samc__packed_find_bf16(exec->packed, w.data);
    if (packed || exec->rehearsal) return packed;
    for (int64_t i = 0; i < samc__panels(n); i++)
        samc__pack_panel_bf16(samc__f32(w), n, k, k, 1, i, own + i * PANEL * samc__packed_k(k));
    return own;
}

#endif
