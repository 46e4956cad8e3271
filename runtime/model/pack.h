/* Packs the weights of a model's linear layers for the cpu table, once, when the model is opened. */
#ifndef SAMC_RUNTIME_MODEL_PACK_H
#define SAMC_RUNTIME_MODEL_PACK_H

#include "runtime/model.h"

/* Fills model->packed. Pages of the mapped file whose weights were packed are given back to the system. */
samc_status samc__pack_weights(samc_model *model, samc_error *error);

#endif
