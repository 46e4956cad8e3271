/* Making weights of 8 bits: what images say of activations, and how weights are then held. */
#ifndef SAMC_RUNTIME_CALIBRATE_H
#define SAMC_RUNTIME_CALIBRATE_H

#include "runtime/model/tensors.h"

/* How large the inputs of the list's weights became: [list->count], each [k] for a weight behind a norm, else NULL. */
typedef struct samc__maxima {
    int images;
    float **of;
} samc__maxima;

/* A weight [n, k] in 8 bits. Column j is multiplied by factors[j], and what comes in divided by it, in the norm before:
 * the square root of the largest input over that of the largest weight, so that both sides are equally hard to hold
 * (SmoothQuant with alpha 0.5). */
typedef struct samc__eight {
    char scale_name[200];
    float *factors; /* [k]; NULL: 1 */
    float *scales;  /* [n] */
} samc__eight;

/* Of entry `e` of a list; `maxima` [k] or NULL. On failure, too, samc__eight_free() may be called. */
samc_status samc__eight_make(samc__eight *eight, const samc__checkpoint *checkpoint, const samc__entry *e,
                             const float *maxima, samc_error *error);
void samc__eight_free(samc__eight *eight);

/* samc_convert_with() of an opened checkpoint, notes included; `maxima` or NULL. */
samc_status samc__convert(samc__checkpoint *checkpoint, const char *output, const samc_convert_options *options,
                          const samc__maxima *maxima, samc_error *error);

#endif
