/* The model's own straight-line code run without data: tensors at addresses that hold nothing, moves that move nothing,
 * a model of shapes alone. What the operators of the exec's table are asked for, in which order and with which shapes,
 * is then the real thing, so that a plan of memory (runtime/cuda_plan.c, runtime/host_plan.c) or a count of work
 * (runtime/flops.c) cannot fall behind the code that it speaks of. */
#ifndef SAMC_RUNTIME_REHEARSE_H
#define SAMC_RUNTIME_REHEARSE_H

#include "runtime/model.h"
#include "kernels/place.h"

/* An address that nobody reads or writes, aligned as a tensor's. */
extern char *const samc__nowhere;

/* A place for such tensors; `allocate` and `release` as in samc__place, NULL where nobody counts them. */
samc__place samc__place_nowhere(void *(*allocate)(const samc__exec *exec, size_t bytes),
                                void (*release)(const samc__exec *exec, void *tensor));

/* Every weight at samc__nowhere, for a model of which only the configuration is known, in the form that the GPU's table
 * asks for. */
samc_status samc__rehearse_model(const samc__config *config, samc__dtype precision, samc_model *model,
                                 samc_error *error);

/* One pass of the encoder over `images` images (at most 64) of that size. */
samc_status samc__rehearse_encode(const samc__exec *exec, const samc_model *model, int images, int width, int height);

/* The image cache of one image, with room for two rounds of prompts in automatic masks, then `batches` batches of
 * `prompts` one-point prompts, as runtime/predict.c asks for them, with what a session keeps of `images` images. */
samc_status samc__rehearse_decode(const samc__exec *exec, const samc_model *model, int images, int prompts,
                                  int batches);

/* One batch as samc_predict() makes it (runtime/predict.c): the image cache, but for prompts with mask inputs, and
 * `prompts` prompts (at most 1024) of `tokens` sparse tokens on `images` images. */
samc_status samc__rehearse_predict(const samc__exec *exec, const samc_model *model, int prompts, int images, int tokens,
                                   bool masked);

/* What follows a round of `prompts` prompts in automatic masks, on one photograph of an everyday size. */
samc_status samc__rehearse_post(const samc__exec *exec, const samc_model *model, int prompts);

#endif
