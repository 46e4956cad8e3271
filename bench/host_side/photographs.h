/* Photographs for benches. */
#ifndef SAMC_BENCH_PHOTOGRAPHS_H
#define SAMC_BENCH_PHOTOGRAPHS_H

#include "runtime/samc.h"

/* `count` distinct photographs of 2048 x 1536 pixels, FOLDER/0.jpg and on: mosaics of the examples (8 at most) with
 * the grain of a sensor, at quality 93. */
samc_status make_photographs(const char *folder, char *const *examples, int example_count, int count,
                             samc_error *error);

#endif
