/* Masks without a model: what a photograph of things gives, in number and raggedness, for benches of everything but the
 * computing. */
#ifndef SAMC_BENCH_STAND_IN_H
#define SAMC_BENCH_STAND_IN_H

#include "runtime/samc.h"

enum { STAND_IN_MASKS = 100 };

/* Masks of a picture of that size: blobs of 0.05 to 15 % of it with edges that wander by a pixel or two from column to
 * column. The masks refer to one set of run lengths, which the caller releases. */
samc_status stand_in_masks(int width, int height, samc_mask masks[STAND_IN_MASKS], samc_error *error);

#endif
