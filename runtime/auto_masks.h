/* Automatic masks of one image: what runtime/auto.c carries along, and its second half, from logits to run lengths. */
#ifndef SAMC_RUNTIME_AUTO_MASKS_H
#define SAMC_RUNTIME_AUTO_MASKS_H

#include "runtime/auto_list.h"
#include "runtime/session.h"

enum { SAMC__RUNS = 131072 }; /* of a ragged mask of two megapixels; a mask with more is encoded twice */

/* What one image needs on its way. */
typedef struct samc__generator {
    samc_session *s;
    const samc_auto_options *o;
    const samc_image *image;
    int masks, low;             /* masks of a prompt, side of the low-resolution logits */
    /* Tensors. */
    float *logits, *iou;        /* [batch, masks, low, low], [batch, masks] */
    samc__mask_stats *stats;    /* [batch * masks] */
    int32_t *index;             /* [batch * masks] which of the logits passed */
    uint64_t *bits;             /* room for `bits_masks` masks of the whole image */
    int64_t *lengths;           /* [bits_masks] */
    uint32_t *counts;           /* [bits_masks, SAMC__RUNS] */
    int64_t bits_masks;
    int batch;                  /* points decoded together */
    int encoded;                /* the session's image that holds the whole image's embedding; -1: encode it, as crops do */
    struct samc__group *ahead;  /* images to encode while masks of this one are made, or NULL */
    samc__found_list found;
    samc_auto_runs *runs;       /* of those, and of masks that were found and suppressed */
    samc_auto_stats total;
} samc__generator;

typedef struct samc__crop { int x0, y0, x1, y1, layer; } samc__crop; /* x1, y1 exclusive */

/* Takes `n` masks of the session's image `image` that passed so far, `found` with their IoU and point and `index` with their places in g->logits, and adds to g->found
 * those that pass stability and edge. Both arrays are used up. */
samc_status samc__auto_masks(samc__generator *g, const samc__crop *c, const samc__geometry *geometry, samc__found *found, int32_t *index, int64_t n, int image);

/* postprocess_small_regions: clean every mask, then suppress again, preferring masks that did not change. */
samc_status samc__auto_small_regions(samc__generator *g);

#endif
