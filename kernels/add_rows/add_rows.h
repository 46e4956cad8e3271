/* add_rows: y = x + b for every row, the "no mask" embedding added to an image embedding. y may be x.
 * Without b: x in the type of y, for products that read it in the type of their weight. */
#ifndef SAMC_KERNELS_ADD_ROWS_ADD_ROWS_H
#define SAMC_KERNELS_ADD_ROWS_ADD_ROWS_H

#include "runtime/base/view.h"

typedef struct samc__add_rows_args {
    samc__view x; /* [m, c] */
    samc__view b; /* [c] or absent */
    samc__view y; /* [m, c] */
} samc__add_rows_args;

#endif
