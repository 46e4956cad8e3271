/* The default model in a phantom: each organ followed from boxes, in several ways at once. */
#ifndef SAMC_TESTS_PHANTOM_RUN_H
#define SAMC_TESTS_PHANTOM_RUN_H

#include "host/io/propagate.h"
#include "tests/phantom.h"

typedef enum phantom_way {
    PHANTOM_ONE,    /* followed from the box of one slice */
    PHANTOM_TWO,    /* from those of two, and between */
    PHANTOM_ALONE,  /* the one box on each slice by itself, where the organ is */
    PHANTOM_ORACLE, /* the organ's own box on each slice: what nobody has who does not know the answer */
    PHANTOM_WAYS
} phantom_way;

/* Where an organ is annotated: one slice, and two. */
typedef struct phantom_marks {
    int one, low, high;
} phantom_marks;

typedef struct phantom_run {
    float values[PHANTOM_VOXELS];
    uint8_t truth[PHANTOM_VOXELS];
    phantom_marks marks[PHANTOM_ORGANS + 1];
    uint8_t found[PHANTOM_WAYS][PHANTOM_VOXELS];       /* organs, each way by itself */
    float predicted[PHANTOM_WAYS][PHANTOM_ORGANS + 1]; /* mean predicted IoU */
} phantom_run;

/* Makes the phantom, and marks of the middle of each organ, and of a fifth from its ends. */
void phantom_run_make(phantom_run *run, const phantom_kind *kind);
/* Fills `found` of the ways whose bit is set; each slice is encoded once. */
samc_status phantom_run_follow(phantom_run *run, const char *weights, unsigned ways,
                               const samc_propagate_options *options, samc_error *error);
/* Of an organ on slices [from, to): 2 both / (truth + found), 1 where neither is. */
double phantom_run_dice(const phantom_run *run, phantom_way way, int organ, int from, int to);
/* The slices where an organ is, `last` inclusive. */
void phantom_run_extent(const uint8_t *labels, int organ, int *first, int *last);

#endif
