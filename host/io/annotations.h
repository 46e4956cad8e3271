/* What is annotated: objects, and on some slices points, a box or a mask of each. */
#ifndef SAMC_HOST_IO_ANNOTATIONS_H
#define SAMC_HOST_IO_ANNOTATIONS_H

#include "host/io/samc_volume.h"

/* Slices across one axis of a volume. */
typedef struct samc__space {
    int axis; /* 0 i, 1 j, 2 k */
    int extent[3];
    double spacing[3];
    int width, height, slices;
} samc__space;

samc__space samc__space_of(const int extent[3], const double spacing[3], int axis);
/* That of the widest spacing; of spacings that differ by no more than a hundredth the last. */
int samc__space_axis(const double spacing[3]);

/* One object on one slice. */
typedef struct samc__annotation {
    int object, slice;
    float *points;   /* [point_count, 2]; owned */
    int32_t *labels; /* [point_count]; owned */
    int point_count;
    bool boxed;
    float box[4];
    samc_rle mask; /* counts NULL: there is none; owned */
} samc__annotation;

struct samc_annotations {
    samc__space space;
    char **names; /* [objects]; owned */
    int objects;
    samc__annotation *items; /* [count], by slice, then by object; owned */
    int count, room;
};

samc_status samc__annotations_create(const samc__space *space, samc_annotations **annotations, samc_error *error);
/* That of an object on a slice, or NULL. */
const samc__annotation *samc__annotations_find(const samc_annotations *annotations, int object, int slice);
/* The nearest annotated slice of an object at or before `slice`, or at or after it; -1 where there is none. */
int samc__annotations_before(const samc_annotations *annotations, int object, int slice);
int samc__annotations_after(const samc_annotations *annotations, int object, int slice);

#endif
