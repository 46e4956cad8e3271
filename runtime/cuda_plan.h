/* The plan of a session's device memory: the very code that will run is run with operators that compute nothing and memory that does
 * not exist, and the numbers it leaves behind are what a session allocates. */
#ifndef SAMC_RUNTIME_CUDA_PLAN_H
#define SAMC_RUNTIME_CUDA_PLAN_H

#include "runtime/cuda.h"
#include "runtime/model.h"

/* What a session has where there is memory. */
static inline samc__session_size samc__usual_size(const samc_model *model) {
    return (samc__session_size){.prompts = samc__decode_batch(&model->config, 0), .groups = 2};
}

typedef struct samc__lane_plan { size_t arena, scratch; /* bytes */ } samc__lane_plan;
typedef struct samc__session_plan { samc__lane_plan encode, decode; } samc__session_plan;

/* For the model's usual batch of images encoded, embeddings of `size.groups` such batches kept, and `size.prompts` prompts of one point
 * each on one of them, decoded and brought to the host. */
samc_status samc__plan_session(const samc_model *model, samc__session_size size, samc__session_plan *plan, samc_error *error);

#endif
