/* The raster of ids of a scene that GDAL does not read: a tiled TIFF by libtiff, without a place. */
#ifndef SAMC_HOST_IO_LABEL_TIFF_H
#define SAMC_HOST_IO_LABEL_TIFF_H

#include "host/io/scene_sink.h"

/* <name>.masks.tif: 32 bits, tiles of 512 x 512, deflate, overviews (of each 2 x 2 pixels the upper left one), BigTIFF
 * where a TIFF might not be large enough. Ended by the other, also where it could not be made. Builds without libtiff
 * have neither: see SAMC_WITH_TIFF. */
samc_status samc__label_tiff_sink(samc__scene_sink *sink, samc_error *error);
void samc__label_tiff_sink_end(samc__scene_sink *sink);

/* Another number of bytes from which on BigTIFF is written, for tests. */
void samc__label_tiff_set_big(int64_t bytes);

#endif
