/* Steps that the references of the decoder's three attentions share. */
#ifndef SAMC_KERNELS_REF_ATTEND_H
#define SAMC_KERNELS_REF_ATTEND_H

#include "kernels/ops.h"

/* Plain multi-head attention: softmax(q k^T / sqrt(hd)) v.
 * out [batch, tq, inner]; q [bq, tq, inner]; k, v [bk, tk, inner], where bq and bk divide batch and entry e of the
 * batch reads entry e / (batch / bq) or e / (batch / bk); heads divide inner. */
samc_status samc__attend_ref(const samc__exec *exec, samc__view q, samc__view k, samc__view v, int heads,
                             samc__view out);

/* y = x . w^T + b for all rows of x [.., rows, k], through the table, so that a faster linear serves here too.
 * `residual` as in linear. */
samc_status samc__project(const samc__exec *exec, samc__view x, samc__projection p, samc__view residual, samc__view y);

/* y = norm(y) over the last dimension. */
samc_status samc__normalise(const samc__exec *exec, samc__view y, samc__norm norm);

/* y [b, n, c] = x [b or 1, n, c] + added [b or 1, n, c]. */
void samc__add_broadcast_ref(const samc__exec *exec, samc__view x, samc__view added, samc__view y);

/* Whether the four projections fit inner width `inner` on C = `c` channels. */
bool samc__attention_fits(const samc__attention *attention, int64_t c);

/* Bytes of an f32 tensor [a, b, c]. */
static inline size_t samc__bytes3(int64_t a, int64_t b, int64_t c) { return (size_t)(a * b * c) * sizeof(float); }

#endif
