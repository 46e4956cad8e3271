/* A file that the masks of a scene go to: what writes COCO, a label raster, polygons ... is one of these. */
#ifndef SAMC_HOST_IO_SCENE_SINK_H
#define SAMC_HOST_IO_SCENE_SINK_H

#include "host/io/scene_record.h"
#include "host/io/scene_source.h"

/* What a run calls, in this order. The file is made in a folder of the run's own; when it is complete it is synced and
 * renamed to <output>/<the scene's name without its extension><suffix>. After a kill it is made again from the start,
 * so it may depend on the masks and the sink's own options alone. */
typedef struct samc__scene_sink {
    const char *suffix; /* ".coco.json", ".gpkg" */
    void *context;
    /* `path` is that of the new file, which is not there yet; it stays valid until the end. */
    samc_status (*open)(struct samc__scene_sink *sink, const samc__scene_source *scene, const char *path,
                        samc_error *error);
    /* Masks by descending area, so that the smaller one comes over the larger; id is 1, 2, 3, ... */
    samc_status (*add)(struct samc__scene_sink *sink, int64_t id, const samc__scene_record *record,
                       const uint32_t *counts, samc_error *error);
    /* The file is complete and closed. */
    samc_status (*close)(struct samc__scene_sink *sink, samc_error *error);
    /* In place of close(), or after it failed: what is open is let go. */
    void (*abandon)(struct samc__scene_sink *sink);
} samc__scene_sink;

#endif
