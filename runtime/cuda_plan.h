/* The plan of a session's device memory: the very code that will run is run with operators that compute nothing and
 * memory that does not exist, and the numbers it leaves behind are what a session allocates. */
#ifndef SAMC_RUNTIME_CUDA_PLAN_H
#define SAMC_RUNTIME_CUDA_PLAN_H

#include "runtime/cuda.h"
#include "runtime/model.h"

/* What a session has where there is memory. */
samc__session_size samc__usual_size(const samc_model *model);
/* The next smaller size: first fewer prompts, down to what still fills a GPU, then fewer images together, then one
 * group of them, then fewer prompts still. False: there is none. */
bool samc__smaller_size(samc__session_size *size);
/* The largest of these whose plan, and photographs on their way to the encoder beside it, take at most `free_bytes`;
 * else the smallest. */
samc__session_size samc__fitting_size(const samc_model *model, size_t free_bytes);

typedef struct samc__lane_plan {
    size_t arena, scratch; /* bytes */
} samc__lane_plan;
typedef struct samc__session_plan {
    samc__lane_plan encode, decode, post;
} samc__session_plan;

/* For `size.images` images encoded, embeddings of `size.groups` such batches kept, `size.prompts` prompts of one point
 * each on one of them decoded while what follows is done for as many others, on photographs of an everyday size, and
 * brought to the host. */
samc_status samc__plan_session(const samc_model *model, samc__session_size size, samc__session_plan *plan,
                               samc_error *error);
size_t samc__plan_bytes(const samc__session_plan *plan);

/* The most prompts whose decoding, with all that lies beside it, a lane of that size holds: `most`, or halves of it
 * down to 64. */
int samc__plan_prompts(const samc_model *model, const samc__lane_plan *lane, int most, int images, int tokens,
                       bool masked, int kept);

#endif
