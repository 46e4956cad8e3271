/* Prompt encoder and mask decoder: prompts that share a token count, on one or several images -> low-resolution logits and IoU. */
#ifndef SAMC_RUNTIME_DECODER_H
#define SAMC_RUNTIME_DECODER_H

#include "runtime/geometry.h"
#include "runtime/model.h"

/* Prompts that are decoded together: all with the same number of tokens, equally many on each image. */
typedef struct samc__prompt_batch {
    const samc_prompt *const *prompts; /* [count]: prompt p is on image p / (count / images) of the batch */
    int count, images;
    int tokens;                     /* of one prompt, samc__prompt_tokens() */
    bool masked;                    /* every prompt has a mask input, or none has */
    const samc__geometry *geometry; /* [images] */
    const float *embeddings;        /* [images, N, C] */
    const float *key_pe;            /* [N, C], samc__embed_grid */
} samc__prompt_batch;

/* Sparse tokens of a prompt: points, one padding point if there are points and no box, two corners of a box. */
int samc__prompt_tokens(const samc_prompt *prompt);

/* Working memory of samc__decode() for `prompts` prompts of `tokens` tokens in all (5 for SAM's own and the sparse ones) on
 * `images` images. */
size_t samc__decode_bytes(const samc__config *config, int prompts, int images, int tokens, int workers);

/* Decodes a batch. logits [count, masks, 4 grid, 4 grid] and iou [count, masks], where masks is multimask_outputs or 1. */
samc_status samc__decode(const samc__exec *exec, const samc_model *model, const samc__prompt_batch *batch, bool multimask,
                         float *logits, float *iou);

#endif
