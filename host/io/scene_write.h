/* The files of a scene's masks that need no map: COCO, JSON lines and a picture. */
#ifndef SAMC_HOST_IO_SCENE_WRITE_H
#define SAMC_HOST_IO_SCENE_WRITE_H

#include "host/io/samc_tiles.h"
#include "host/io/scene_sink.h"

/* One of SAMC_OUTPUT_COCO, JSONL and OVERLAY. `scene`, which OVERLAY reads at the end, and `labels`, or NULL, stay the
 * caller's until samc__scene_write_end(), which also ends one that failed. */
samc_status samc__scene_write(samc_output output, samc__scene_source *scene, const samc_phrases *labels,
                              samc__scene_sink *sink, samc_error *error);
void samc__scene_write_end(samc__scene_sink *sink);

#endif
