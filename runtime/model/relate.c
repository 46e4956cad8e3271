/* The families of models that relate text and images. */
#include "runtime/model/relate.h"

samc_status samc__relate_open(const char *path, const samc_options *options, samc__relate_opened *opened,
                              samc_error *error) {
    (void)options;
    *opened = (samc__relate_opened){0};
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: this version of samc opens no model of text and images", path);
}
