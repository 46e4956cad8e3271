/* A model as its own code sees it: what it consists of, and the operator table that was chosen for it. Which backend
 * that table is of, model code does not ask: what a backend folds or caches is a field of the table. */
#ifndef SAMC_RUNTIME_MODEL_NETWORK_H
#define SAMC_RUNTIME_MODEL_NETWORK_H

#include "kernels/ops.h"
#include "runtime/model/tensors.h"
#include "runtime/model/up_fold.h"

struct samc__network {
    samc__config config;
    samc__weights weights;
    samc__dtype precision;   /* of activations, and on a GPU of the weights that go with them */
    samc__dtype weight_type; /* what a host rounds its weights to (samc__weight_type()) */
    samc__ops ops;
    samc__up_fold *up_fold; /* for tables that fold the upscaling; NULL: it reads the keys */
};

#endif
