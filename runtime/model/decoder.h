/* Prompt encoder and mask decoder: prompts that share a token count, on one or several images -> low-resolution logits
 * and IoU. */
#ifndef SAMC_RUNTIME_MODEL_DECODER_H
#define SAMC_RUNTIME_MODEL_DECODER_H

#include "runtime/model/frame.h"
#include "runtime/model/network.h"

/* What the decoder takes from images alone, whatever the prompts without mask inputs ask: its first layer's keys and
 * their projections, 402 of 1240 million multiply-adds of a one-point prompt, and of its first upscaling 150 of 268. */
typedef struct samc__image_cache {
    void *keys;      /* [images, N, C] A, embeddings + "no mask" embedding */
    void *k, *v, *q; /* [images, N, inner] A: keys and values of token_to_image, queries of image_to_token; NULL on a
                      * GPU, whose kernels fold the projections onto the tokens */
    void *up; /* [images, N, 4 (C / 4)] A: src of upscale_masks before the layers; NULL where there is no up_fold */
    void *finer[2]; /* A: add1 and add2 of upscale_masks as panels, on a host; NULL where the decoder takes none */
} samc__image_cache;

/* Bytes behind the image cache of `images` images, and the pointers into them of image `first` and those after it. */
size_t samc__image_cache_bytes(const samc__network *net, int images);
samc__image_cache samc__image_cache_at(const samc__network *net, int images, void *base, int first);

/* Fills `cache` from the features of images and the grid's key_pe [N, C] A. */
samc_status samc__image_cache_make(const samc__exec *exec, const samc__network *net, const samc__features *features,
                                   const void *key_pe, int images, const samc__image_cache *cache);

/* Prompts that are decoded together: all with the same number of tokens, equally many on each image. */
typedef struct samc__prompt_batch {
    const samc_prompt *const *prompts; /* [count]: prompt p is on image p / (count / images) of the batch */
    int count, images;
    int tokens;               /* of one prompt, samc__prompt_tokens() */
    bool masked;              /* every prompt has a mask input, or none has */
    const samc__frame *frame; /* [images] */
    samc__features features;  /* of the images; the embeddings are read where the prompts are masked, others always */
    samc__image_cache cache;  /* of the images; read where the prompts are not */
    const void *key_pe;       /* [N, C] A, samc__embed_grid */
} samc__prompt_batch;

/* Where a batch's results go. */
typedef struct samc__decoded {
    float *logits, *iou, *object;
} samc__decoded;

/* Sparse tokens of a prompt: points, one padding point if there are points and no box, two corners of a box; where a
 * box counts as two points, one padding point with it too. */
int samc__prompt_tokens(const samc__decoder_spec *d, const samc_prompt *prompt);

/* Decodes a batch. logits [count, masks, 4 grid, 4 grid] and iou [count, masks], where masks is samc__given_masks();
 * and of decoders that have the token, the logit of there being an object, [count], where `object` is not NULL. */
samc_status samc__decode(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                         bool multimask, const samc__decoded *to);

#endif
