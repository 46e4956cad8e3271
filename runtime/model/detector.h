/* What makes a detector of two towers: OWLv2's heads, CLIPSeg's decoder. An image is seen once, as a scene on the host,
 * which then serves any number of phrases. */
#ifndef SAMC_RUNTIME_MODEL_DETECTOR_H
#define SAMC_RUNTIME_MODEL_DETECTOR_H

#include "runtime/model/text_image.h"

/* ---- OWLv2: N boxes, one a patch; D features of a patch, dim of a phrase ---------------------- */

typedef struct samc__owlv2_scene {
    int width, height;                                 /* of the image */
    int boxes, dim;                                    /* N, dim */
    float *box, *classes, *shift, *scale, *objectness; /* [N, 4] cx cy w h of the square, [N, dim] of length 1, [N]
                                                  each: added to cosines, then multiplied, and a logit */
    float values[];
} samc__owlv2_scene;

samc_status samc__owlv2_see(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                            samc__owlv2_scene **scene);
/* corners [N, 4]: x0 y0 x1 y1 in pixels of the image, which they may leave. */
void samc__owlv2_corners(const samc__owlv2_scene *scene, float *corners);
/* Features of phrases [count, dim], of length 1; arguments as of samc__text_features(). */
samc_status samc__owlv2_text(const samc__exec *exec, const samc__text_image *net, const int32_t *ids, const int *ends,
                             int count, float *features);
/* logits [N, count] of such features, before the sigmoid. */
samc_status samc__owlv2_classify(const samc__exec *exec, const samc__owlv2_scene *scene, const float *features,
                                 int count, float *logits);

/* ---- CLIPSeg: maps [side, side] of logits ----------------------------------------------------- */

typedef struct samc__clipseg_scene {
    int depth;       /* of the decoder */
    int64_t reduced; /* values of one of its inputs: [grid^2 + 1, width] */
    float values[];  /* [depth, reduced], in the order of its layers */
} samc__clipseg_scene;

samc_status samc__clipseg_see(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                              samc__clipseg_scene **scene);
/* map [side, side]: logits of the phrase `features` [dim], over the whole image. */
samc_status samc__clipseg_map(const samc__exec *exec, const samc__text_image *net, const samc__clipseg_scene *scene,
                              const float *features, float *map);

#endif
