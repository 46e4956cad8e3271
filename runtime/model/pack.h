/* Packs the weights of a model's linear layers for the cpu table, once, when the model is opened. */
#ifndef SAMC_RUNTIME_MODEL_PACK_H
#define SAMC_RUNTIME_MODEL_PACK_H

#include "runtime/model/network.h"

/* Into `packed` go the folded upscaling and, where weights are f32, those of the list (narrower ones were packed as
 * they were loaded). Pages of the mapped file whose weights were packed are given back to the system; weights inside
 * the block `owned`, of `owned_bytes`, may be overwritten by their panels. */
samc_status samc__pack_weights(const samc__network *net, const samc__tensor_list *tensors, const samc__checkpoint *file,
                               void *owned, size_t owned_bytes, samc__packed *packed, samc_error *error);

#endif
