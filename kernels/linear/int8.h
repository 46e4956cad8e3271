/* linear with 8-bit weights (p.w of type SAMC__I8, [n, k] s8 row-major with p.w.scale [n]): what every version of the
 * operator hands such a layer to, chosen by exec->ops->linear8.
 *
 * A row of x is held in u8 with a scale and a zero point of its own (runtime/base/eight_bits.h), a row of w as s8 with
 * a scale. y = act(s_x * s_w * (sum of q w - zero * sum of w) + b) + residual: sums are whole numbers, exact in 32
 * bits, and what follows has one rounding a step in one order, so that all versions here give the same bytes. x, y and
 * the residual are f32 or bf16 each. A row of x that is not finite gives a row of NaN. */
#ifndef SAMC_KERNELS_LINEAR_INT8_H
#define SAMC_KERNELS_LINEAR_INT8_H

#include "kernels/linear/linear.h"
#include "kernels/ops.h"

typedef samc_status samc__linear8_function(const samc__exec *exec, const samc__linear_args *args);

/* The truth is samc__linear8_ref() (ops.h), whose GELU is the reference's. */
samc__linear8_function samc__linear8_plain, samc__linear8_amx_soft, samc__linear8_dotprod, samc__linear8_i8mm;
samc__linear8_function samc__linear8_avx2, samc__linear8_avxvnni, samc__linear8_avx512, samc__linear8_avx512vnni,
    samc__linear8_amx;

#endif
