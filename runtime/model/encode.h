/* Encoding images into all levels of features that the model's decoder looks at. */
#ifndef SAMC_RUNTIME_MODEL_ENCODE_H
#define SAMC_RUNTIME_MODEL_ENCODE_H

#include "runtime/model/network.h"

samc_status samc__encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                         const samc__features *features);

#endif
