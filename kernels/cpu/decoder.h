/* What the decoder's operators of the cpu table share: image tokens as lanes.
 *
 * A panel holds PANEL image tokens as [channels][PANEL], so that everything that is done to each token alone - norms,
 * softmax over the prompt tokens, activations - runs down the channels with one token to a lane and without sums across
 * lanes. Image tokens that are projected (shared by prompts, or because T is large: kernels/decoder_form.h) are
 * projected for as many entries of keys at a time as make ENTRY_TOKENS, so that memory does not grow with the number of
 * prompts. */
#ifndef SAMC_KERNELS_CPU_DECODER_H
#define SAMC_KERNELS_CPU_DECODER_H

#include "kernels/ref/attend.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/linear.h"
#include "kernels/decoder_form.h"

enum { ENTRY_TOKENS = 4096 };

/* out [8][ld_out] = in [8][ld_in] transposed. */
SAMC__INLINE void transpose8(const float *in, int64_t ld_in, float *out, int64_t ld_out) {
#if defined(SAMC_LOW_SOFT)
    for (int i = 0; i < 64; i++) out[i % 8 * ld_out + i / 8] = in[i / 8 * ld_in + i % 8];
#elif defined(__AVX2__)
    __m256 r[8], s[8];
    for (int i = 0; i < 8; i++) r[i] = _mm256_loadu_ps(in + i * ld_in);
    for (int i = 0; i < 8; i += 2)
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]), s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44), r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44), r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(out + i * ld_out, _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps(out + (i + 4) * ld_out, _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
#else
    for (int block = 0; block < 4; block++) { /* of 4 x 4 */
        int row = block / 2 * 4, column = block % 2 * 4;
        vf r[4];
        for (int i = 0; i < 4; i++) r[i] = vf_load(in + (row + i) * ld_in + column);
        vf_transpose4(r);
        for (int i = 0; i < 4; i++) vf_store(out + (column + i) * ld_out + row, r[i]);
    }
#endif
}

/* x [tokens <= PANEL, channels] -> panel [channels][PANEL], zeros in the lanes beyond. */
__attribute__((unused)) static void to_panel(const float *x, int64_t tokens, int64_t channels, float *panel) {
    int64_t whole = tokens / 8 * 8, even = channels / 8 * 8;
    for (int64_t c = 0; c < even; c += 8)
        for (int64_t i = 0; i < whole; i += 8) transpose8(x + i * channels + c, channels, panel + c * PANEL + i, PANEL);
    for (int64_t c = 0; c < channels; c++) {
        for (int64_t i = c < even ? whole : 0; i < tokens; i++) panel[c * PANEL + i] = x[i * channels + c];
        for (int64_t i = tokens; i < PANEL; i++) panel[c * PANEL + i] = 0.0f;
    }
}

/* The reverse, for the lanes that are tokens. */
__attribute__((unused)) static void from_panel(const float *panel, int64_t tokens, int64_t channels, float *x) {
    int64_t whole = tokens / 8 * 8, even = channels / 8 * 8;
    for (int64_t i = 0; i < whole; i += 8)
        for (int64_t c = 0; c < even; c += 8) transpose8(panel + c * PANEL + i, PANEL, x + i * channels + c, channels);
    for (int64_t c = 0; c < channels; c++)
        for (int64_t i = c < even ? whole : 0; i < tokens; i++) x[i * channels + c] = panel[c * PANEL + i];
}

/* LayerNorm of every token of a panel over its channels, in place; the variance in a second pass. 1 / deviation goes to
 * scales [PANEL], where that is not NULL. */
__attribute__((unused)) static void norm_panel(float *x, int64_t channels, const float *g, const float *b, float eps,
                                               float *scales) {
    vf count = vf_set((float)channels);
    for (int v = 0; v < PANEL; v += VW) {
        vf sum[4], mean, scale; /* four sums, so that additions do not wait for each other */
        for (int i = 0; i < 4; i++) sum[i] = vf_set(0.0f);
        for (int64_t c = 0; c < channels; c++) sum[c % 4] = vf_add(sum[c % 4], vf_load(x + c * PANEL + v));
        mean = vf_div(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])), count);
        for (int i = 0; i < 4; i++) sum[i] = vf_set(0.0f);
        for (int64_t c = 0; c < channels; c++) {
            vf d = vf_sub(vf_load(x + c * PANEL + v), mean);
            sum[c % 4] = vf_fma(d, d, sum[c % 4]);
        }
        scale = vf_add(vf_div(vf_add(vf_add(sum[0], sum[1]), vf_add(sum[2], sum[3])), count), vf_set(eps));
        scale = vf_div(vf_set(1.0f), vf_sqrt(scale));
        if (scales) vf_store(scales + v, scale);
        for (int64_t c = 0; c < channels; c++) {
            vf y = vf_mul(vf_sub(vf_load(x + c * PANEL + v), mean), scale);
            vf_store(x + c * PANEL + v, vf_fma(y, vf_set(g[c]), vf_set(b[c])));
        }
    }
}

SAMC__INLINE int64_t round_to(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

/* out [rows in tiles of MR][k][MR]: places one row of the left side of a product. */
SAMC__INLINE void place_row(const float *row, int64_t index, int64_t k, float *tiles) {
    float *out = tiles + index / MR * MR * k + index % MR;
    for (int64_t i = 0; i < k; i++) out[i * MR] = row[i];
}

/* out [c] = sum over i < n of x[i] * w[i][c] * scale: the projection w read backwards, onto one token and head. */
SAMC__INLINE void fold_row(const float *x, const float *w, int64_t n, int64_t c, float scale, float *out) {
    for (int64_t at = 0; at < c; at += VW) {
        int64_t left = c - at < VW ? c - at : VW;
        vf sum = vf_set(0.0f);
        for (int64_t i = 0; i < n; i++) sum = vf_fma(vf_set(x[i]), vf_load_first(w + i * c + at, left), sum);
        vf_store_first(out + at, left, vf_mul(sum, vf_set(scale)));
    }
}

/* out [tokens, c] = a + b. */
SAMC__INLINE void add_rows(const float *a, const float *b, int64_t count, float *out) {
    int64_t i = 0;
    for (; i + VW <= count; i += VW) vf_store(out + i, vf_add(vf_load(a + i), vf_load(b + i)));
    if (i < count)
        vf_store_first(out + i, count - i, vf_add(vf_load_first(a + i, count - i), vf_load_first(b + i, count - i)));
}

typedef struct panel_task {
    const float *in; /* [entries, N, inner] */
    float *out;      /* [entries][ceil(N / PANEL)][inner][PANEL] */
    int64_t n, panels, inner;
} panel_task;

__attribute__((unused)) static void panel_items(void *context, int64_t begin, int64_t end, int worker) {
    const panel_task *t = context;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        int64_t entry = i / t->panels, token = i % t->panels * PANEL;
        to_panel(t->in + (entry * t->n + token) * t->inner, t->n - token < PANEL ? t->n - token : PANEL, t->inner,
                 t->out + i * PANEL * t->inner);
    }
}

/* Entries of keys [b, N, ..] of one round. */
SAMC__INLINE int64_t entries_together(bool projected, int64_t b, int64_t n) {
    return !projected || n * b <= ENTRY_TOKENS ? b : n < ENTRY_TOKENS ? ENTRY_TOKENS / n : 1;
}

/* Floats of scratch of project_panels(). */
SAMC__INLINE int64_t project_floats(int64_t entries, int64_t n, int64_t c, int64_t inner) {
    return round_to(entries * n * (c + inner), 16);
}

/* panels [entries][ceil(N / PANEL)][inner][PANEL] of (x + pe) . w^T + b, or of `made` [entries, N, inner] where that is
 * not NULL. x [entries, N, C], pe [N, C]. */
__attribute__((unused)) static samc_status project_panels(const samc__exec *exec, const float *x, const float *pe,
                                                          const samc__projection *p, const float *made, int64_t entries,
                                                          int64_t n, float *scratch, float *panels) {
    int64_t inner = p->w.n[0], c = p->w.n[1], count = (n + PANEL - 1) / PANEL;
    samc__view none = {0};
    if (made == NULL) {
        float *sums = scratch, *y = scratch + entries * n * c;
        for (int64_t i = 0; i < entries && !exec->rehearsal; i++) add_rows(x + i * n * c, pe, n * c, sums + i * n * c);
        SAMC__TRY(samc__project(exec, samc__view3(sums, entries, n, c), *p, none, samc__view3(y, entries, n, inner)));
        made = y;
    }
    samc__parallel(exec, (double)(entries * n * inner) * 8, entries * count, 8, panel_items,
                   &(panel_task){made, panels, n, count, inner});
    return SAMC_OK;
}

/* y . x over n elements. */
SAMC__INLINE float dot(const float *x, const float *y, int64_t n) {
    vf sum = vf_set(0.0f);
    int64_t i = 0;
    for (; i + VW <= n; i += VW) sum = vf_fma(vf_load(x + i), vf_load(y + i), sum);
    if (i < n) sum = vf_fma(vf_load_first(x + i, n - i), vf_load_first(y + i, n - i), sum);
    return vf_sum(sum);
}

#endif
