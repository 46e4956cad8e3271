/* Masks of slices that are one object: linked from slice to slice by how much they overlap. */
#ifndef SAMC_HOST_IO_LINK_H
#define SAMC_HOST_IO_LINK_H

#include "host/io/ask.h"
#include "host/io/segmentation.h"

/* A mask of a slice, and the object that it belongs to. */
typedef struct samc__link {
    int slice;
    samc_rle mask; /* owned */
    float iou;     /* predicted */
    int object;    /* from 0 on, in the order of their first masks */
} samc__link;

typedef struct samc__links {
    samc__link *items; /* [count], by slice; owned */
    int count, room;
} samc__links;

/* Takes the run lengths over; slices come in order. */
samc_status samc__links_add(samc__links *links, int slice, samc_rle *mask, float iou, samc_error *error);
/* Gives each its object; returns how many there are, -1 without memory. An object goes on with the mask that overlaps
 * its last one most, of all pairs the one with the highest IoU first, that of options at least; it may miss most_gap
 * slices. */
int samc__links_join(samc__links *links, double least_iou, int most_gap);
/* The objects with enough slices, the largest first, so that smaller ones within are not covered; gaps get what both
 * masks around them have. */
samc_status samc__links_segment(const samc__links *links, int objects, const samc__space *space, int least_slices,
                                samc_segmentation **segmentation, samc_error *error);
void samc__links_free(samc__links *links);
samc_status samc__links_check(const samc_link_options *options, samc_error *error);

/* As samc_volume_auto(). */
samc_status samc__link_slices(samc_session *session, const samc__slices *slices, const samc__space *space,
                              const samc_auto_options *automatic, const samc_link_options *options,
                              const char *identity, samc_segmentation **segmentation, samc_error *error);

#endif
