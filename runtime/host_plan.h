/* The memory that encoding and predicting take on a host, by rehearsal (runtime/rehearse.h) on the model's own table:
 * to the byte what a session counts (runtime/memory.h). */
#ifndef SAMC_RUNTIME_HOST_PLAN_H
#define SAMC_RUNTIME_HOST_PLAN_H

#include "runtime/model.h"

/* Whether the rungs of 16 bits have every operator that this model, whose tensors are listed and not yet loaded, needs
 * for its activations; the error names one that they lack. */
samc_status samc__host_serves(const samc_model *model, samc_error *error);

/* Of encoding `images` images of that size together, beside their embeddings. */
samc_status samc__encode_bytes(const samc_model *model, int images, int width, int height, size_t *bytes,
                               samc_error *error);

/* Of predicting, at most at one time beside embeddings and results, a batch of `prompts` prompts (at most 64) of
 * `tokens` sparse tokens each on `images` images; without mask inputs their image cache is made for it. */
samc_status samc__predict_bytes(const samc_model *model, int prompts, int images, int tokens, bool masked,
                                size_t *bytes, samc_error *error);

#endif
