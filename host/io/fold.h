/* Output folders that hold names for the same which differ in case alone. */
#ifndef SAMC_HOST_IO_FOLD_H
#define SAMC_HOST_IO_FOLD_H

#include "host/io/inputs.h"

/* samc__inputs_check_names() for such a folder: refuses inputs whose results would be in each other's way, and says
 * which. */
samc_status samc__inputs_check_folded(const samc__inputs *inputs, bool pictures, samc_error *error);

/* `text` in the letters that such folders compare, by simple case folding of UTF-8; the caller frees it. NULL without
 * memory. */
char *samc__fold(const char *text);

#endif
