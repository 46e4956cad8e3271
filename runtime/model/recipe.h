/* Everything between an image's pixels and the encoder's input, and between logits and the mask. Models of the family
 * differ most here, and silently: a wrong recipe gives plausible masks that are wrong. */
#ifndef SAMC_RUNTIME_MODEL_RECIPE_H
#define SAMC_RUNTIME_MODEL_RECIPE_H

typedef enum samc__resize {
    SAMC__RESIZE_LONGEST_SIDE, /* the longest side becomes `side`; zeros at the right and below after normalising */
    SAMC__RESIZE_SQUASH        /* both sides become `side` */
} samc__resize;

typedef enum samc__filter {
    SAMC__FILTER_PILLOW_U8,    /* Pillow's antialiased bilinear, in its fixed point, rounded to 8 bits */
    SAMC__FILTER_TORCH_AA_F32, /* torchvision's antialiased bilinear in floats */
    SAMC__FILTER_BILINEAR,     /* bilinear without antialiasing */
    SAMC__FILTER_CUBIC_AA      /* antialiased bicubic */
} samc__filter;

typedef enum samc__range {
    SAMC__RANGE_255,    /* mean and std are in units of 8-bit pixels */
    SAMC__RANGE_1,      /* pixels are divided by 255 first */
    SAMC__RANGE_MIN_MAX /* each image's smallest value becomes 0 and its largest 1 */
} samc__range;

typedef enum samc__mask_path {
    SAMC__MASKS_VIA_SQUARE, /* bilinear to the input's square, cut to the image's part, bilinear to the image */
    SAMC__MASKS_DIRECT,     /* bilinear to the image in one step */
    SAMC__MASKS_BICUBIC     /* bicubic to the image in one step */
} samc__mask_path;

typedef struct samc__recipe {
    samc__resize resize;
    samc__filter filter;
    int side;  /* of the encoder's input, 1024 */
    int frame; /* side of the square that prompts are scaled to */
    samc__range range;
    float mean[3], std[3];
    samc__mask_path masks;
    float threshold; /* logit above which a pixel belongs to the mask, 0 */
    float clamp;     /* logits are returned within [-clamp, clamp]; 0: as they are */
} samc__recipe;

#endif
