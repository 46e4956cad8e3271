/* The filter of one axis of an image's resize, shared by every version of preprocess. */
#ifndef SAMC_KERNELS_RESIZE_AXIS_H
#define SAMC_KERNELS_RESIZE_AXIS_H

#include "kernels/ops.h"
#include "kernels/preprocess/preprocess.h"

enum { SAMC__RESIZE_BITS = 32 - 8 - 2 }; /* of the fixed-point weights */

/* Of the cubic filter. The inverse of the B-spline's samples at distance d is sqrt(3) (sqrt(3) - 2)^d; from here on it
 * is below 1e-9 of the whole. */
enum { SAMC__SPLINE_REACH = 16 };
#define SAMC__SPLINE_GAIN 1.7320508075688772  /* sqrt(3) */
#define SAMC__SPLINE_POLE -0.2679491924311227 /* sqrt(3) - 2 */
/* Added before a cubic pixel is cut to 8 bits: floats are this close to whole numbers where the image is even, and
 * which side they fall on is chance, as it is in doubles. */
#define SAMC__CUT_GUARD 0x1p-10f

/* Output i is the sum over j < count[i] of weight[i * taps + j] * input[first[i] + j], in fixed point or in floats. */
typedef struct samc__resize_axis {
    int taps;
    int32_t *first, *count, *weight; /* weight: of Pillow's filter, or NULL */
    float *real;                     /* of all others */
    void *block;                     /* to be released by the caller */
} samc__resize_axis;

samc_status samc__resize_axis_init(const samc__exec *exec, samc__filter filter, int in, int out,
                                   samc__resize_axis *axis);

#endif
