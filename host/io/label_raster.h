/* A raster of ids that masks are painted into: a file of four bytes a pixel, as large as the scene, from which a TIFF
 * is made when it is complete. */
#ifndef SAMC_HOST_IO_LABEL_RASTER_H
#define SAMC_HOST_IO_LABEL_RASTER_H

#include "host/io/samc_geo.h"
#include "host/io/scene_record.h"

typedef struct samc__label_raster {
    const char *name; /* for messages, the owner's */
    int64_t width, height;
    int file; /* [height, width] of uint32_t in the machine's order; -1: none */
} samc__label_raster;

/* Of zeros. `path`: where the file is made; NULL: it has no name, and lies in `folder`. */
samc_status samc__label_raster_open(samc__label_raster *raster, const char *path, const char *folder,
                                    samc_error *error);
/* A scene's mask as writers of places take it, without its label. */
samc_geo_mask samc__geo_mask_of(const samc__scene_record *record, int64_t id, const uint32_t *counts);
/* A mask that is in the scene, over those before. */
samc_status samc__label_raster_add(samc__label_raster *raster, const samc_geo_mask *mask, samc_error *error);
/* `count` pixels of row y from x on. */
samc_status samc__label_raster_read(const samc__label_raster *raster, int64_t x, int64_t y, int64_t count,
                                    uint32_t *ids, samc_error *error);
void samc__label_raster_close(samc__label_raster *raster);

#endif
