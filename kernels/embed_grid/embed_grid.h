/* embed_grid: random-Fourier position encoding of the centres of the embedding's grid (PromptEncoder.get_dense_pe).
 *
 * For a position (x, y) in [0, 1]: v = 2 pi (2 (x, y) - 1) . gaussian, encoding = [sin v, cos v]. */
#ifndef SAMC_KERNELS_EMBED_GRID_EMBED_GRID_H
#define SAMC_KERNELS_EMBED_GRID_EMBED_GRID_H

#include "runtime/base/view.h"

typedef struct samc__embed_grid_args {
    samc__view gaussian; /* [2, C / 2] */
    samc__view y;        /* [grid * grid, C] */
    int grid;
} samc__embed_grid_args;

#endif
