/* A view: pointer, element type and shape of a dense row-major tensor. It owns nothing. */
#ifndef SAMC_RUNTIME_BASE_VIEW_H
#define SAMC_RUNTIME_BASE_VIEW_H

#include "runtime/base/dtype.h"

#include <stdbool.h>

typedef struct samc__view {
    void *data; /* NULL: the optional tensor is absent */
    samc__dtype dtype;
    int rank;
    int64_t n[4];       /* n[0] is the slowest dimension */
    const float *scale; /* [n[0]] of an 8-bit tensor: what the numbers of a row are multiplied by; else NULL */
} samc__view;

static inline samc__view samc__view1(const void *data, int64_t n0) {
    return (samc__view){(void *)data, SAMC__F32, 1, {n0}, NULL};
}
static inline samc__view samc__view2(const void *data, int64_t n0, int64_t n1) {
    return (samc__view){(void *)data, SAMC__F32, 2, {n0, n1}, NULL};
}
static inline samc__view samc__view3(const void *data, int64_t n0, int64_t n1, int64_t n2) {
    return (samc__view){(void *)data, SAMC__F32, 3, {n0, n1, n2}, NULL};
}
static inline samc__view samc__view4(const void *data, int64_t n0, int64_t n1, int64_t n2, int64_t n3) {
    return (samc__view){(void *)data, SAMC__F32, 4, {n0, n1, n2, n3}, NULL};
}

static inline int64_t samc__elements(samc__view view) {
    int64_t elements = 1;
    for (int i = 0; i < view.rank; i++) elements *= view.n[i];
    return elements;
}

/* The same tensor with elements of another type. */
static inline samc__view samc__as(samc__dtype dtype, samc__view view) {
    view.dtype = dtype;
    return view;
}

static inline float *samc__f32(samc__view view) { return (float *)view.data; }

/* Whether the view holds data and has exactly these dimensions. */
static inline bool samc__is1(samc__view v, int64_t n0) { return v.data != NULL && v.rank == 1 && v.n[0] == n0; }
static inline bool samc__is2(samc__view v, int64_t n0, int64_t n1) {
    return v.data != NULL && v.rank == 2 && v.n[0] == n0 && v.n[1] == n1;
}
static inline bool samc__is3(samc__view v, int64_t n0, int64_t n1, int64_t n2) {
    return v.data != NULL && v.rank == 3 && v.n[0] == n0 && v.n[1] == n1 && v.n[2] == n2;
}
static inline bool samc__is4(samc__view v, int64_t n0, int64_t n1, int64_t n2, int64_t n3) {
    return v.data != NULL && v.rank == 4 && v.n[0] == n0 && v.n[1] == n1 && v.n[2] == n2 && v.n[3] == n3;
}
static inline bool samc__absent_or_is1(samc__view v, int64_t n0) { return v.data == NULL || samc__is1(v, n0); }

/* Weight and bias of a linear layer: w [out, in], b [out] or absent. */
typedef struct samc__projection {
    samc__view w, b;
} samc__projection;

/* Gain and bias of a LayerNorm, [channels] each. */
typedef struct samc__norm {
    samc__view g, b;
    float eps;
} samc__norm;

/* The four projections of an attention: q, k, v [inner, C], out [C, inner]. */
typedef struct samc__attention {
    samc__projection q, k, v, out;
    int heads;
} samc__attention;

#endif
