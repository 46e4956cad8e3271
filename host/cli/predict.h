/* samc bench --predict: what a GPU should need, by arithmetic. */
#ifndef SAMC_HOST_CLI_PREDICT_H
#define SAMC_HOST_CLI_PREDICT_H

#include "host/cli/cli.h"

/* Prints the prediction for the model's shapes on `device` ("a100", ...); with `recorded`, a results.json of
 * tools/gpu_check.sh, also how far the same arithmetic is from the times in there. Takes no weights and computes
 * nothing. */
samc_status samc__predict_gpu(const char *model, const char *device, const char *recorded, bool json,
                              samc_error *error);

#endif
