/* The raster of a scene's ids as a TIFF through libtiff, tile by tile from the file that it was painted into. */
#include "host/io/label_tiff.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tiffio.h>

#include "host/io/label_raster.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

enum { TILE = 512, NODATA = 42113 }; /* GDAL's tag for it, in words */

/* What is not packed is smaller than this where a TIFF of 32-bit offsets is written: packing never adds as much. */
static _Atomic int64_t most_small = (int64_t)UINT32_MAX - (256 << 20);

void samc__label_tiff_set_big(int64_t bytes) { atomic_store(&most_small, bytes); }

typedef struct writing {
    samc__label_raster raster;
    char *path;        /* owned */
    char message[300]; /* libtiff's first */
} writing;

static int on_error(TIFF *tiff, void *context, const char *module, const char *format, va_list values) {
    writing *w = context;
    (void)tiff, (void)module;
    if (w->message[0] == '\0') samc__print_list(w->message, sizeof w->message, format, values);
    return 1;
}

static samc_status fail(const writing *w, samc_error *error) {
    return samc__fail(error, SAMC_IO, "%s: the raster cannot be written%s%s", w->path, w->message[0] ? ": " : "",
                      w->message);
}

static int64_t tiles_of(int64_t side) { return (side + TILE - 1) / TILE; }

/* The last level is one tile. */
static int levels_of(const samc__label_raster *r) {
    int levels = 1;
    for (; samc__scene_side(r->width, levels - 1) > TILE || samc__scene_side(r->height, levels - 1) > TILE; levels++) {}
    return levels;
}

/* ids [TILE, TILE] of a level, zeros beyond its edge; row: room for one row of them at full resolution. */
static samc_status read_tile(const writing *w, int level, int64_t x, int64_t y, uint32_t *ids, uint32_t *row,
                             samc_error *error) {
    const samc__label_raster *r = &w->raster;
    const int64_t width = samc__scene_side(r->width, level) - x, height = samc__scene_side(r->height, level) - y;
    const int64_t columns = width < TILE ? width : TILE, rows = height < TILE ? height : TILE;
    const int64_t wide = ((columns - 1) << level) + 1;
    memset(ids, 0, sizeof *ids * TILE * TILE);
    for (int64_t i = 0; i < rows; i++) {
        SAMC__TRY(samc__label_raster_read(r, x << level, (y + i) << level, wide, row, error));
        for (int64_t k = 0; k < columns; k++) ids[i * TILE + k] = row[k << level];
    }
    return SAMC_OK;
}

static bool set_tags(TIFF *tiff, int level, int64_t width, int64_t height) {
    bool ok = TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, (uint32_t)width) &&
              TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, (uint32_t)height) &&
              TIFFSetField(tiff, TIFFTAG_TILEWIDTH, TILE) && TIFFSetField(tiff, TIFFTAG_TILELENGTH, TILE) &&
              TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 32) && TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1) &&
              TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT) &&
              TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISBLACK) &&
              TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) &&
              TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_ADOBE_DEFLATE) &&
              TIFFSetField(tiff, TIFFTAG_PREDICTOR, PREDICTOR_HORIZONTAL) && TIFFSetField(tiff, NODATA, "0");
    return ok && (level == 0 || TIFFSetField(tiff, TIFFTAG_SUBFILETYPE, FILETYPE_REDUCEDIMAGE));
}

static samc_status write_level(writing *w, TIFF *tiff, int level, uint32_t *ids, uint32_t *row, samc_error *error) {
    static char name[] = "GDAL_NODATA";
    static const TIFFFieldInfo nodata = {NODATA, -1, -1, TIFF_ASCII, FIELD_CUSTOM, 1, 0, name};
    const int64_t width = samc__scene_side(w->raster.width, level), height = samc__scene_side(w->raster.height, level);
    if (TIFFMergeFieldInfo(tiff, &nodata, 1) != 0 || !set_tags(tiff, level, width, height)) return fail(w, error);
    for (int64_t y = 0; y < height; y += TILE)
        for (int64_t x = 0; x < width; x += TILE) {
            SAMC__TRY(read_tile(w, level, x, y, ids, row, error));
            if (TIFFWriteTile(tiff, ids, (uint32_t)x, (uint32_t)y, 0, 0) < 0) return fail(w, error);
        }
    return TIFFWriteDirectory(tiff) && w->message[0] == '\0' ? SAMC_OK : fail(w, error);
}

static samc_status write_levels(writing *w, TIFF *tiff, samc_error *error) {
    const int levels = levels_of(&w->raster);
    const int64_t most = w->raster.width < TILE << (levels - 1) ? w->raster.width : TILE << (levels - 1);
    uint32_t *ids = malloc(sizeof *ids * TILE * TILE), *row = malloc((size_t)most * sizeof *row);
    samc_status status = ids && row ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for a raster");
    for (int level = 0; status == SAMC_OK && level < levels; level++)
        status = write_level(w, tiff, level, ids, row, error);
    free(ids);
    free(row);
    return status;
}

static samc_status write_file(writing *w, samc_error *error) {
    int64_t bytes = 0;
    for (int level = levels_of(&w->raster); level-- > 0;)
        bytes += tiles_of(samc__scene_side(w->raster.width, level)) *
                 tiles_of(samc__scene_side(w->raster.height, level)) * TILE * TILE * (int64_t)sizeof(uint32_t);
    const int file = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0) return samc__fail(error, SAMC_IO, "%s: %s", w->path, strerror(errno));
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    TIFF *tiff = NULL;
    if (options != NULL) {
        TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, w);
        tiff = TIFFFdOpenExt(file, w->path, bytes > atomic_load(&most_small) ? "w8" : "w", options);
        TIFFOpenOptionsFree(options);
    }
    samc_status status = SAMC_OK;
    if (tiff == NULL) {
        close(file);
        status = fail(w, error);
    } else {
        status = write_levels(w, tiff, error);
        TIFFClose(tiff); /* which may still write, and closes the file */
    }
    if (status == SAMC_OK && w->message[0] != '\0') status = fail(w, error);
    if (status != SAMC_OK) unlink(w->path);
    return status;
}

/* ---- As a sink of a scene's run -------------------------------------------------------------- */

static void end_file(writing *w) {
    samc__label_raster_close(&w->raster);
    free(w->path);
    w->path = NULL;
}

static samc_status sink_open(samc__scene_sink *sink, const samc__scene_source *scene, const char *path,
                             samc_error *error) {
    writing *w = sink->context;
    const char *slash = strrchr(path, '/');
    w->message[0] = '\0';
    w->path = strdup(path);
    char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
    w->raster = (samc__label_raster){w->path, scene->width, scene->height, -1};
    samc_status status = w->path && folder ? samc__label_raster_open(&w->raster, NULL, folder, error)
                                           : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    free(folder);
    return status;
}

static samc_status sink_add(samc__scene_sink *sink, int64_t id, const samc__scene_record *r, const uint32_t *counts,
                            samc_error *error) {
    writing *w = sink->context;
    const samc_geo_mask mask = samc__geo_mask_of(r, id, counts);
    return samc__label_raster_add(&w->raster, &mask, error);
}

static samc_status sink_close(samc__scene_sink *sink, samc_error *error) {
    writing *w = sink->context;
    const samc_status status = write_file(w, error);
    end_file(w);
    return status;
}

static void sink_abandon(samc__scene_sink *sink) { end_file(sink->context); }

samc_status samc__label_tiff_sink(samc__scene_sink *sink, samc_error *error) {
    writing *w = calloc(1, sizeof *w);
    *sink = (samc__scene_sink){.suffix = ".masks.tif",
                               .context = w,
                               .open = sink_open,
                               .add = sink_add,
                               .close = sink_close,
                               .abandon = sink_abandon};
    if (w == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for a raster");
    w->raster.file = -1;
    return SAMC_OK;
}

void samc__label_tiff_sink_end(samc__scene_sink *sink) {
    if (sink->context != NULL) end_file(sink->context);
    free(sink->context);
    sink->context = NULL;
}
