/* Everything between an image's pixels and the encoder's input, and between logits and the mask. Models of the family
 * differ most here, and silently: a wrong recipe gives plausible masks that are wrong. */
#ifndef SAMC_RUNTIME_MODEL_RECIPE_H
#define SAMC_RUNTIME_MODEL_RECIPE_H

#include "kernels/finish_masks/finish_masks.h"
#include "kernels/preprocess/preprocess.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"

typedef enum samc__resize {
    SAMC__RESIZE_LONGEST_SIDE, /* the longest side becomes `side`; zeros at the right and below after normalising */
    SAMC__RESIZE_SQUASH,       /* both sides become `side` */
    SAMC__RESIZES
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

typedef struct samc__reading samc__reading; /* runtime/model/reading.h */

/* Reads the recipe from the metadata "samc.config", over what the encoder's files have where they say nothing (`own`);
 * `recipe` has its side. What samc does not know is refused. */
void samc__recipe_read(samc__reading *reading, const samc__recipe *own, samc__recipe *recipe);

/* Fails where none of the `count` recipes that the encoder is used with is this one: in all but side, mean, std and
 * threshold, which are numbers of the model. `uses[i].frame`: 0 for the side's. */
samc_status samc__recipe_check(const samc__recipe *recipe, const samc__recipe *uses, int count, const char *label,
                               samc_error *error);

/* Writes its fields of "samc.config" but the side: pixel_mean, pixel_std, mask_threshold, preprocess. */
void samc__recipe_write(const samc__recipe *recipe, samc__json_text *text);

#endif
