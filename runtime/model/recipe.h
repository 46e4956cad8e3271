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

/* What happens to an image before all else. */
typedef enum samc__levels {
    SAMC__LEVELS_AS_THEY_ARE,
    SAMC__LEVELS_CHANNELS, /* the least value of each channel becomes 0 and its largest 255, in f32, cut to bytes */
    SAMC__LEVELS
} samc__levels;

/* What the model was trained to be asked with. */
typedef enum samc__asked {
    SAMC__ASKED_ANY,
    SAMC__ASKED_BOX, /* a box alone, which has one answer */
    SAMC__ASKED
} samc__asked;

enum { SAMC__RECIPE_NAME = 32 };

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
    samc__levels levels;
    samc__asked asked;
    bool sigmoid; /* masks are made of probabilities, not of logits: sigmoid before the resize, then its threshold */
    char name[SAMC__RECIPE_NAME]; /* "sam"; "" where an encoder has but one */
} samc__recipe;

/* SAM's, whose normalisation is ImageNet's in units of 8-bit pixels. */
#define SAMC__RECIPE_OF_SAM                                                                                            \
    .resize = SAMC__RESIZE_LONGEST_SIDE, .filter = SAMC__FILTER_PILLOW_U8, .range = SAMC__RANGE_255,                   \
    .mean = {123.675f, 116.28f, 103.53f}, .std = {58.395f, 57.12f, 57.375f}, .masks = SAMC__MASKS_VIA_SQUARE
#define SAMC__RECIPE_SAM                                                                                               \
    { SAMC__RECIPE_OF_SAM, .name = "sam" }
/* micro-sam's (util._to_image): the same of images whose channels were stretched. */
#define SAMC__RECIPE_MICRO_SAM                                                                                         \
    { SAMC__RECIPE_OF_SAM, .levels = SAMC__LEVELS_CHANNELS, .name = "micro-sam" }
/* MedSAM's (MedSAM_Inference.py). */
#define SAMC__RECIPE_MEDSAM                                                                                            \
    {                                                                                                                  \
        .resize = SAMC__RESIZE_SQUASH, .filter = SAMC__FILTER_CUBIC_AA, .range = SAMC__RANGE_MIN_MAX,                  \
        .std = {1, 1, 1}, .masks = SAMC__MASKS_DIRECT, .asked = SAMC__ASKED_BOX, .sigmoid = true, .name = "medsam"     \
    }

/* SAM 2's (sam2/utils/transforms.py). */
#define SAMC__RECIPE_SAM2                                                                                              \
    {                                                                                                                  \
        .resize = SAMC__RESIZE_SQUASH, .filter = SAMC__FILTER_TORCH_AA_F32, .range = SAMC__RANGE_1,                    \
        .mean = {0.485f, 0.456f, 0.406f}, .std = {0.229f, 0.224f, 0.225f}, .masks = SAMC__MASKS_DIRECT, .clamp = 32,   \
        .name = "sam2"                                                                                                 \
    }

typedef struct samc__reading samc__reading; /* runtime/model/reading.h */

/* Reads the recipe from the metadata "samc.config", over what the encoder's files have where they say nothing (`own`);
 * `recipe` has its side. What samc does not know is refused. */
void samc__recipe_read(samc__reading *reading, const samc__recipe *own, samc__recipe *recipe);

/* Whether the recipe is the one of an encoder: in all but side, mean, std, threshold and name, which are the model's.
 * `use->frame`: 0 for the side's. */
bool samc__recipe_is(const samc__recipe *recipe, const samc__recipe *use);
/* Fails where none of the `count` recipes that the encoder is used with is this one. */
samc_status samc__recipe_check(const samc__recipe *recipe, const samc__recipe *uses, int count, const char *label,
                               samc_error *error);

/* Writes its fields of "samc.config" but the side and the name: pixel_mean, pixel_std, mask_threshold, preprocess. */
void samc__recipe_write(const samc__recipe *recipe, samc__json_text *text);

/* All of it as an object, and what an embedding depends on; free() it. NULL without memory. */
char *samc__recipe_text(const samc__recipe *recipe);
char *samc__recipe_input_text(const samc__recipe *recipe);

#endif
