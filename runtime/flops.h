/* Arithmetic of the encoder, counted by rehearsing it. */
#ifndef SAMC_RUNTIME_FLOPS_H
#define SAMC_RUNTIME_FLOPS_H

#include "runtime/samc.h"

struct samc__config; /* runtime/model/tensors.h */

/* Operations of the operators to encode one image, which its size has no say in. */
samc_status samc__encode_flops(const struct samc__config *config, double *flops, samc_error *error);

#endif
