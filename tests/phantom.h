/* A body that was never scanned: a CT-like volume with organs of known masks, for tests of what follows an object from
 * slice to slice. Values are Hounsfield units of a contrast-enhanced abdomen as a scanner would reconstruct them:
 * every edge is blurred over about two voxels, organs are textured (coarse and fine) and vary from slice to slice, and
 * noise of 14 HU, correlated between neighbours, lies over all of it. */
#ifndef SAMC_TESTS_PHANTOM_H
#define SAMC_TESTS_PHANTOM_H

#include <stdbool.h>
#include <stdint.h>

enum { PHANTOM_WIDTH = 160, PHANTOM_HEIGHT = 160, PHANTOM_SLICES = 40 };
enum { PHANTOM_VOXELS = PHANTOM_WIDTH * PHANTOM_HEIGHT * PHANTOM_SLICES };

/* Labels of the organs whose masks are known. */
typedef enum phantom_organ {
    PHANTOM_LIVER = 1,
    PHANTOM_KIDNEY,
    PHANTOM_SPLEEN, /* in the upper slices alone */
    PHANTOM_CYST,   /* a sphere in the liver */
    PHANTOM_AORTA,  /* divides into two */
    PHANTOM_ORGANS = PHANTOM_AORTA
} phantom_organ;
extern const char *const phantom_names[PHANTOM_ORGANS + 1];

typedef struct phantom_kind {
    float noise;    /* HU */
    unsigned seed;  /* of noise, textures and the edges that are not smooth */
    float contrast; /* of what is no air, to muscle */
    float shape;    /* 0: organs as they are; 1: each wider or narrower by up to a quarter, and moved, by the seed */
    float step;     /* between slices, in those of the usual one; the middle slice stays */
} phantom_kind;
/* The one that is tuned on and tested. */
#define PHANTOM_USUAL ((phantom_kind){14.0f, 0, 1.0f, 0.0f, 1.0f})

/* Phantoms of other seeds, noise, contrast, shapes and spacings: of an even index to tune on, of an odd one held out.
 */
enum { PHANTOM_KINDS = 24 };
extern const phantom_kind phantom_kinds[PHANTOM_KINDS];

/* values and labels [slices, height, width]. */
void phantom_make(float *values, uint8_t *labels, const phantom_kind *kind);

#endif
