/* Outlines of masks as polygons. */
#ifndef SAMC_HOST_SERVE_POLYGON_H
#define SAMC_HOST_SERVE_POLYGON_H

#include "host/io/samc_io.h"

/* Corners of the outline of the mask's largest part, [count, 2] in pixels (edges lie between pixels: 0 to width and
 * height), none moved by more than `most` pixels; to be freed. At least three: less is moved of what would be none
 * else. An empty mask has none: *corners NULL and *count 0. */
samc_status samc__polygon_of(const samc_mask *mask, double most, float **corners, int *count, samc_error *error);

#endif
