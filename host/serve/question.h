/* What a client asks of a picture, and how the answer is to look. */
#ifndef SAMC_HOST_SERVE_QUESTION_H
#define SAMC_HOST_SERVE_QUESTION_H

#include "host/serve/internal.h"

typedef enum samc__shape {
    SAMC__SHAPE_RLE,    /* COCO's compressed run lengths */
    SAMC__SHAPE_COUNTS, /* the same as numbers */
    SAMC__SHAPE_PNG,    /* base 64 of an 8-bit PNG, 0 and 255 */
    SAMC__SHAPE_NONE,   /* scores and logits alone */
    SAMC__SHAPE_LOGITS  /* the reply is bytes: int8 logits */
} samc__shape;

enum { SAMC__QUESTION_POINTS = 1024 };
#define SAMC__LOGIT_STEP 0.25f /* of int8 logits, which reach to 31.75 on both sides */

/* One prompt. Freed whole, by free(). */
typedef struct samc__question {
    samc_prompt prompt;
    float box[4];
    bool multimask, best; /* best: that of the masks alone */
    samc__shape shape;
    samc_auto_options automatic; /* of every mask of the image */
    float fineness;              /* of polygons: how far corners may move, as a share of the outline */
    float points[2 * SAMC__QUESTION_POINTS];
    int32_t labels[SAMC__QUESTION_POINTS];
    float mask_input[]; /* [low_res, low_res] where there is one */
} samc__question;

/* From JSON; NULL and the reply given. */
samc__question *samc__question_read(samc__request *request, json_t *json, const samc__picture *picture);

/* One mask of a result as an object; NULL without memory, or with *error set. */
json_t *samc__mask_json(const samc_mask *mask, samc__shape shape, samc_error *error);

#endif
