/* The form of the decoder's attentions between tokens and image, chosen by the number of tokens alone, so that a
 * prompt's result never depends on what is computed with it.
 *
 * Two products touch every image token: scores and output. Plain, each costs the projection, inner multiply-adds for
 * every channel of the image token, and then T for every inner channel; folded onto the tokens
 * (kernels/token_to_image/cpu.c), T for every head and channel. By that count folding wins up to 17 tokens with SAM's C
 * = 256, inner = 128 and 8 heads; measured, up to 20 there and up to 18 in the default model, whose heads of 8 channels
 * fill half a vector. */
#ifndef SAMC_KERNELS_DECODER_FORM_H
#define SAMC_KERNELS_DECODER_FORM_H

#include <stdbool.h>
#include <stdint.h>

enum { SAMC__MOST_FOLDED = 18 };

static inline bool samc__folds(int64_t tokens) { return tokens <= SAMC__MOST_FOLDED; }

#endif
