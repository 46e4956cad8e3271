/* Scenes through GDAL, inside the library: see samc_geo.h. */
#ifndef SAMC_HOST_IO_GEO_H
#define SAMC_HOST_IO_GEO_H

#include "host/io/identity.h"
#include "host/io/samc_geo.h"
#include "host/io/scene_sink.h"
#include "host/io/scene_source.h"

/* Whether a file is better read as a scene of GDAL's than as a picture: GDAL opens it, and it is none of the formats
 * that say nothing of a place, or has one all the same. False in builds without GDAL. */
bool samc__geo_is(const char *path);

/* What tells the scene from others: samc__identity() of its file, of those that it leads to, and of those beside them
 * that GDAL reads. */
samc_status samc__geo_identity(const samc_geo *geo, char identity[SAMC__IDENTITY], samc_error *error);

/* The scene's windows. The source has `geo` from now on, and closes it; it stays where it is. */
void samc__geo_source(samc_geo *geo, samc__scene_source *source);

/* Masks of the scene to a file, see samc_geo_writer. `labels` [label_count] are those that records count, or NULL. The
 * sink has them, the options and the geo from the caller, who keeps them and ends it by samc__geo_sink_end(). */
samc_status samc__geo_sink(const samc_geo *geo, samc_geo_format format, const samc_geo_writer_options *options,
                           const char *const *labels, int label_count, samc__scene_sink *sink, samc_error *error);
void samc__geo_sink_end(samc__scene_sink *sink);

#endif
