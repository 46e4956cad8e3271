/* What becomes of a detector's numbers: boxes, parts of heat maps, crops for labels. Pure functions of their arguments.
 */
#ifndef SAMC_RUNTIME_TEXT_RULES_H
#define SAMC_RUNTIME_TEXT_RULES_H

#include "kernels/ops.h"
#include "runtime/model/frame.h"

/* Detections in an array that grows; `items` is owned. */
typedef struct samc__detections {
    samc_detection *items;
    int count, room;
} samc__detections;

/* False without memory. */
bool samc__detections_add(samc__detections *list, const samc_detection *detection);
void samc__detections_free(samc__detections *list);

/* ---- Boxes ----------------------------------------------------------------------------------- */

/* Takes the logits [boxes, count] of phrases [first, first + count) into each box's best phrase so far: logit [boxes]
 * and phrase [boxes], which begin as -INFINITY and -1. Of two equal ones the first stays. False where a logit is not
 * finite. */
bool samc__best_phrases(const float *logits, int boxes, int first, int count, float *logit, int *phrase);

/* Adds the boxes whose phrase has a probability of at least `threshold`, cut to the image; what then has no area is
 * left out. corners: [boxes, 4]. False without memory. */
bool samc__boxes_pick(const float *corners, const float *logit, const int *phrase, int boxes, double threshold,
                      int width, int height, samc__detections *list);

/* Suppression among the boxes of each phrase, then all by descending score, at most `top` (0: all). Equal scores stay
 * in the order of phrases, then as they came. */
samc_status samc__detections_settle(const samc__exec *exec, samc__detections *list, double nms, int top);

/* ---- Heat maps ------------------------------------------------------------------------------- */

/* A map of logits over an image, and what is hot in it. */
typedef struct samc__heat {
    const float *map; /* [side, side] */
    int side;
    double threshold; /* a probability */
    int *scratch;     /* [2, side, side] */
} samc__heat;

/* Adds a detection for each part of a map: its pixels of at least the threshold that touch by side or corner, without
 * parts below a two thousandth of the map. The score is the largest probability, the point the middle of its pixel, the
 * box goes around the part. False without memory. */
bool samc__map_parts(const samc__heat *heat, int phrase, int width, int height, samc__detections *list);

/* Logits [low, low] to begin a mask with, from the part of a map that `point` lies in: 0 at the threshold, within 10 of
 * it, below it outside the part; beyond the image, in the square that masks are made in, -10. */
void samc__map_prompt(const samc__heat *heat, const float point[2], const samc__frame *frame, int square, int low,
                      float *prompt);

/* ---- Labels ---------------------------------------------------------------------------------- */

/* The square around a mask's box that a label is asked of, 1.2 times its longer side: x, y, side. */
void samc__label_square(const int bbox[4], int square[3]);
/* rgb [side, side, 3]: the image where the mask [height, width] is, white elsewhere and beyond its edges. */
void samc__label_crop(const samc_image *image, const uint8_t *mask, const int square[3], uint8_t *rgb);

/* The label of features [dim] among labels [count, dim]: a softmax of `scale` times the cosines; features are
 * of length 1, labels of any. */
int samc__label_best(const float *features, const float *labels, int count, int dim, float scale, float *score);

/* The template with the phrase in the place of {}, to be freed; NULL without memory. samc__template_good: it has one.
 */
bool samc__template_good(const char *template);
char *samc__template_fill(const char *template, const char *phrase);

#endif
