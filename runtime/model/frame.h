/* Every coordinate transform between an image, its resized form, the logits and back, for every recipe, in one place.
 *
 *   image [height, width] -> resized [new_height, new_width], in the encoder's input [side, side] -> embedding ->
 * logits prompts: image -> [prompt_height, prompt_width], in a square [frame, frame] masks:   logits -> the same
 * square, cut to [prompt_height, prompt_width] -> image; or in one step
 *
 * With LONGEST_SIDE the image keeps its proportions within both squares (utils/transforms.py of SAM); with SQUASH it
 * fills them, and x and y are scaled differently. */
#ifndef SAMC_RUNTIME_MODEL_FRAME_H
#define SAMC_RUNTIME_MODEL_FRAME_H

#include "runtime/model/recipe.h"

typedef struct samc__frame {
    int width, height;               /* of the image */
    int new_width, new_height;       /* of the resized image within the encoder's input */
    int prompt_width, prompt_height; /* of the image within the square of prompts and masks */
} samc__frame;

/* A side that would round to 0 becomes 1. */
samc__frame samc__frame_of(const samc__recipe *recipe, int width, int height);

/* A point of the image -> the same point of the square that prompts are embedded in. */
void samc__frame_point(const samc__frame *frame, const float in[2], float out[2]);

/* What preprocess is told of an image but the image itself, and what finish_masks is told of masks but the logits. */
samc__preprocess_args samc__frame_input(const samc__recipe *recipe, const samc__frame *frame);
samc__finish_masks_args samc__frame_masks(const samc__recipe *recipe, const samc__frame *frame);

#endif
