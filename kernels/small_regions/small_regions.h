/* small_regions: removes small holes, then small islands, from bit-packed masks in place
 * (utils/amg.remove_small_regions).
 *
 * A hole is any 8-connected component of the background below `min_area`, wherever it lies, an island one of the mask.
 * If every island is small, the largest stays. */
#ifndef SAMC_KERNELS_SMALL_REGIONS_SMALL_REGIONS_H
#define SAMC_KERNELS_SMALL_REGIONS_SMALL_REGIONS_H

#include "runtime/base/view.h"

typedef struct samc__small_regions_args {
    uint64_t *bits; /* [masks, height, (width + 63) / 64] */
    int64_t masks;
    int height, width;
    double min_area;  /* pixels; components below it go */
    uint8_t *changed; /* [masks], whether anything was removed */
} samc__small_regions_args;

#endif
