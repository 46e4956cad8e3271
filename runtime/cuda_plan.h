/* The plan of a session's device memory: the very code that will run is run with operators that compute nothing and memory that does
 * not exist, and the numbers it leaves behind are what a session allocates. */
#ifndef SAMC_RUNTIME_CUDA_PLAN_H
#define SAMC_RUNTIME_CUDA_PLAN_H

#include "runtime/model.h"

typedef struct samc__lane_plan { size_t arena, scratch; /* bytes */ } samc__lane_plan;
typedef struct samc__session_plan { samc__lane_plan encode, decode; } samc__session_plan;

/* For the model's usual batch of images, and `prompts` prompts of one point each on one of them, decoded and brought to the host. */
samc_status samc__plan_session(const samc_model *model, int prompts, samc__session_plan *plan, samc_error *error);

#endif
