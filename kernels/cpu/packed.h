/* Weights in the layout of the cpu table's matrix product, made once when a model is opened.
 *
 * w [n, k] becomes panels [ceil(n / 32)][k][32], the columns beyond n being 0: a panel is what one register tile reads
 * in order. In bf16 they are [ceil(n / 32)][kp / 2][32][2], kp being k rounded up to 32: pairs of k beside each other,
 * as vdpbf16ps and the tiles of AMX take them, zeros beyond k. In 8 bits they are [ceil(n / 32)][kp / 4][32][4], kp
 * being k rounded up to 64, and behind them lie the sums and the scales of their columns. The layouts are the same for
 * every rung. */
#ifndef SAMC_KERNELS_CPU_PACKED_H
#define SAMC_KERNELS_CPU_PACKED_H

#include "runtime/base/dtype.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAMC__PANEL = 32, SAMC__PACKED_K = 32, SAMC__PACKED_K8 = 64 };

static inline int64_t samc__panels(int64_t n) { return (n + SAMC__PANEL - 1) / SAMC__PANEL; }
static inline size_t samc__packed_floats(int64_t n, int64_t k) { return (size_t)(samc__panels(n) * SAMC__PANEL * k); }
/* k as bf16 panels have it, and how many elements these are of. */
static inline int64_t samc__packed_k(int64_t k) { return (k + SAMC__PACKED_K - 1) / SAMC__PACKED_K * SAMC__PACKED_K; }
static inline size_t samc__packed_halves(int64_t n, int64_t k) { return samc__packed_floats(n, samc__packed_k(k)); }
/* The same of 8 bits; bytes of panels, sums and scales together. */
static inline int64_t samc__packed_k8(int64_t k) {
    return (k + SAMC__PACKED_K8 - 1) / SAMC__PACKED_K8 * SAMC__PACKED_K8;
}
static inline size_t samc__packed_bytes8(int64_t n, int64_t k) {
    return samc__packed_floats(n, samc__packed_k8(k)) + samc__packed_floats(n, 2) * sizeof(float);
}

/* A packed weight of 8 bits: columns beyond n are 0, their scales too. */
typedef struct samc__panels8 {
    const int8_t *panels; /* [ceil(n / 32)][kp / 4][32][4] */
    const int32_t *sums;  /* [ceil(n / 32) * 32] of a column's elements */
    const float *scales;  /* [ceil(n / 32) * 32] */
} samc__panels8;

/* One panel [k][32] of w [n, k]; element (row, i) of w is w[row * row_stride + i * stride]. */
void samc__pack_panel(const float *w, int64_t n, int64_t k, int64_t row_stride, int64_t stride, int64_t panel,
                      float *out);
/* One panel [samc__packed_k(k) / 2][32][2] of the same, each element rounded to nearest even. */
void samc__pack_panel_bf16(const float *w, int64_t n, int64_t k, int64_t row_stride, int64_t stride, int64_t panel,
                           uint16_t *out);
/* The same of a convolution's w [n, c, 9] with k in another order, (tap, channel): panels [9 c][32], and of bf16. */
void samc__pack_taps(const float *w, int64_t n, int64_t c, int64_t panel, float *out);
void samc__pack_taps_bf16(const float *w, int64_t n, int64_t c, int64_t panel, uint16_t *out);
/* Panel `panel` of a weight [n, k] with its sums and scales, into `block` of samc__packed_bytes8(); `rows` and `scales`
 * are those of the panel's own columns. */
void samc__pack_panel_int8(const int8_t *rows, const float *scales, int64_t n, int64_t k, int64_t panel, void *block);
/* What lies where in such a block. */
samc__panels8 samc__panels8_of(const void *block, int64_t n, int64_t k);

/* Which weights are packed: looked up by the address of w. Read-only once built. */
typedef struct samc__packed samc__packed;
samc__packed *samc__packed_create(void);         /* NULL: no memory */
void samc__packed_destroy(samc__packed *packed); /* NULL is allowed */
/* Packs w [n, k]; packing the same w again is nothing, in another shape too. False: no memory. With `replace` the
 * memory of w, which must be writable and read by nothing but `linear`, takes the panels where they are no larger. */
bool samc__packed_add(samc__packed *packed, const float *w, int64_t n, int64_t k, bool replace);
/* Packs w [n, k] as bf16 panels, found by the address of w; its own memory is left alone. False: no memory. */
bool samc__packed_add_bf16(samc__packed *packed, const float *w, int64_t n, int64_t k);
/* Packs w [n, c, 9] by tap, in f32 or bf16; its own memory is left alone. False: no memory. */
bool samc__packed_add_taps(samc__packed *packed, const float *w, int64_t n, int64_t c, samc__dtype dtype);
/* Room for the bf16 panels of a weight [n, k] that has no other memory: found by their own address, filled by the
 * caller with samc__pack_panel_bf16(). NULL: no memory. */
uint16_t *samc__packed_room_bf16(samc__packed *packed, int64_t n, int64_t k);
/* The same of 8 bits, of samc__packed_bytes8(), to be filled with samc__pack_panel_int8(). */
void *samc__packed_room_int8(samc__packed *packed, int64_t n, int64_t k);
/* The panels of the weight at w; NULL: not packed in that type, or shape, or `packed` is NULL. */
const float *samc__packed_find(const samc__packed *packed, const void *w, int64_t n, int64_t k);
const uint16_t *samc__packed_find_bf16(const samc__packed *packed, const void *w);
const void *samc__packed_find_taps(const samc__packed *packed, const void *w, int64_t n, int64_t c, samc__dtype dtype);
const void *samc__packed_find_int8(const samc__packed *packed, const void *w); /* by samc__panels8_of() */
size_t samc__packed_bytes(const samc__packed *packed);                         /* beside the weights themselves */

#endif
