/* Packs the weights of a model's linear layers for the cpu table, once, when the model is opened. */
#ifndef SAMC_RUNTIME_MODEL_PACK_H
#define SAMC_RUNTIME_MODEL_PACK_H

#include "runtime/model/network.h"

/* Into `packed` go the weights of the list, which are f32. Pages of the mapped file whose weights were packed are given
 * back to the system; weights inside the block `owned`, of `owned_bytes`, may be overwritten by their panels. */
samc_status samc__pack_list(const samc__tensor_list *tensors, const samc__checkpoint *file, void *owned,
                            size_t owned_bytes, samc__packed *packed, samc_error *error);
/* The same of SAM's, and its folded upscaling; weights that are narrower were packed as they were loaded. */
samc_status samc__pack_weights(const samc__network *net, const samc__tensor_list *tensors, const samc__checkpoint *file,
                               void *owned, size_t owned_bytes, samc__packed *packed, samc_error *error);

#endif
