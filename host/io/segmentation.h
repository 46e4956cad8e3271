/* The objects of a volume: of each a mask on the slices where it is. */
#ifndef SAMC_HOST_IO_SEGMENTATION_H
#define SAMC_HOST_IO_SEGMENTATION_H

#include "host/io/annotations.h"

struct samc_segmentation {
    samc__space space;
    int objects;
    char **names;        /* [objects]; owned */
    samc_rle *masks;     /* [objects, slices]; counts NULL: it is not there; owned */
    float *iou;          /* [objects, slices], predicted; 0 of masks that were given */
    bool automatic;      /* nobody prompted for them */
    samc_object *result; /* [objects], after samc__segmentation_finish(); owned */
};

/* Empty; names are copied. */
samc_status samc__segmentation_create(const samc__space *space, int objects, char *const *names,
                                      samc_segmentation **segmentation, samc_error *error);
samc_rle *samc__segmentation_at(const samc_segmentation *segmentation, int object, int slice);
/* Takes the run lengths over; those before are freed. */
void samc__segmentation_put(samc_segmentation *segmentation, int object, int slice, samc_rle *mask, float iou);
/* Measures the objects. */
samc_status samc__segmentation_finish(samc_segmentation *segmentation, samc_error *error);

#endif
