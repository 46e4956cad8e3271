/* Everything between an image's pixels and the encoder's input, and between logits and the mask. Models of the family
 * differ most here, and silently: a wrong recipe gives plausible masks that are wrong. */
#ifndef SAMC_RUNTIME_MODEL_RECIPE_H
#define SAMC_RUNTIME_MODEL_RECIPE_H

#include "kernels/finish_masks/finish_masks.h"
#include "kernels/preprocess/preprocess.h"

typedef enum samc__resize {
    SAMC__RESIZE_LONGEST_SIDE, /* the longest side becomes `side`; zeros at the right and below after normalising */
    SAMC__RESIZE_SQUASH        /* both sides become `side` */
} samc__resize;

typedef struct samc__recipe {
    samc__resize resize;
    samc__filter filter;
    int side;  /* of the encoder's input, 1024 */
    int frame; /* of the square that prompts are scaled to and that masks may pass through, 1024 */
    samc__range range;
    float mean[3], std[3];
    samc__mask_path masks;
    float threshold; /* logit above which a pixel belongs to the mask, 0 */
    float clamp;     /* logits are returned within [-clamp, clamp], after masks are made of them; 0: as they are */
} samc__recipe;

#endif
