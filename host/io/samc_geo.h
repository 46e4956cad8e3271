/* samc_io, continued: rasters and vectors with a place on the earth, through GDAL where the build has it (else every
 * call is SAMC_UNSUPPORTED). A file is opened as a scene: of any size, read by windows, with the pixels that models
 * take. Only files of this machine are opened; of a VRT only those in its folder. */
#ifndef SAMC_GEO_H
#define SAMC_GEO_H

#include "samc_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "GDAL 3.6.2", as the build found it; NULL: none. It is loaded when it is first wanted. */
SAMC_API const char *samc_geo_library(void);

typedef struct samc_geo samc_geo;

typedef struct samc_geo_options {
    size_t size;
    const char *bands; /* "3,2,1" or "4": of the file, from 1; NULL: the red, green and blue ones, where none are so
                          called the first three, of fewer the first */
    const char *scale; /* of samples that are not 8 bits, see samc_samples_scale(), once for the scene: its numbers are
                          found on the smallest overview of a million pixels or more, without any on all pixels. NULL:
                          "P2-98" */
} samc_geo_options;

typedef struct samc_geo_info {
    size_t size;
    int64_t width, height;
    int bands;           /* of the file */
    int used[3];         /* of these, from 1; a single one is grey and stands in used[0] */
    int used_count;      /* 1 or 3 */
    int overviews;       /* that levels can be read from */
    bool placed;         /* there is a transform: */
    bool north_up;       /* whose rows run from west to east */
    bool masked;         /* there may be pixels without data: nodata, a mask, alpha */
    bool degrees;        /* of the coordinates */
    double transform[6]; /* map x = [0] + [1] * column + [2] * row, y = [3] + [4] * column + [5] * row, of corners */
    char driver[32];     /* "GTiff" */
    char crs[160];       /* "EPSG:32633", or its name; "": none */
} samc_geo_info;

/* Opens a file; `options` may be NULL. SAMC_UNSUPPORTED: a path that is no file of this machine, a VRT that leads out
 * of its folder, samples that are complex numbers. SAMC_FORMAT: GDAL does not know it. */
SAMC_API samc_status samc_geo_open(const char *path, const samc_geo_options *options, samc_geo **geo,
                                   samc_error *error);
SAMC_API samc_status samc_geo_get_info(const samc_geo *geo, samc_geo_info *info, samc_error *error);
/* What its samples are brought to 8 bits by. */
SAMC_API samc_status samc_geo_get_scale(const samc_geo *geo, samc_scale *scale, samc_error *error);
/* Reads a window of the scene, all of it inside, as an image; samc_image_free()'s. Pixels without data are black. */
SAMC_API samc_status samc_geo_read(samc_geo *geo, int64_t x, int64_t y, int width, int height, samc_image *image,
                                   samc_error *error);
/* From map coordinates to columns and rows of the scene, corners of pixels being whole numbers, and back. SAMC_MISMATCH
 * of a scene without a transform. */
SAMC_API samc_status samc_geo_to_pixel(const samc_geo *geo, const double map[2], double pixel[2], samc_error *error);
SAMC_API samc_status samc_geo_to_map(const samc_geo *geo, const double pixel[2], double map[2], samc_error *error);
/* The boxes around the features of a GeoJSON or a GeoPackage file, all its layers, as columns and rows of the scene:
 * *boxes [*count][4], x0, y0, x1, y1, to be freed. They are brought to the scene's CRS; of a file without one they are
 * in it already. Features without a geometry, points, and those that do not touch the scene, are counted in
 * *passed_over (may be NULL). */
SAMC_API samc_status samc_geo_boxes(const samc_geo *geo, const char *path, double **boxes, int *count, int *passed_over,
                                    samc_error *error);
SAMC_API void samc_geo_close(samc_geo *geo); /* NULL is allowed */

/* ---- Masks on the map ------------------------------------------------------------------------ */

/* Files of polygons: with holes, as samc_geo's simple features ask for, in the scene's CRS, with the fields id, level,
 * predicted_iou, stability_score, area_m2 (of the mask's pixels, on the ellipsoid; null without a CRS) and, where there
 * are labels, label and score. They get their names when they are complete. */
typedef enum samc_geo_format {
    SAMC_GEO_GPKG,    /* GeoPackage */
    SAMC_GEO_GEOJSON, /* RFC 7946: longitude and latitude of WGS 84, split at the antimeridian, a mask beyond the
                         earth's edge without a geometry; of a scene without a CRS, or with one of a building site, its
                         map's coordinates; without a place pixels, y growing downwards */
    SAMC_GEO_COG      /* no polygons but a raster: the id of the smallest mask on each pixel, 0 where there is none;
                         cloud-optimised GeoTIFF of the scene's size, 32 bits, deflate */
} samc_geo_format;

typedef struct samc_geo_writer samc_geo_writer;

typedef struct samc_geo_mask {
    size_t size;
    int64_t id;                  /* from 1 */
    int64_t x, y, width, height; /* its box in the scene */
    const uint32_t *counts;      /* [count], COCO's runs of a picture of the box's size */
    size_t count;
    int level; /* that it was found at */
    float predicted_iou, stability_score;
    const char *label; /* or NULL */
    float score;
} samc_geo_mask;

typedef struct samc_geo_writer_options {
    size_t size;
    double simplify;     /* outlines may move by so much, in the units of the map; 0: they are those of the pixels */
    bool labels;         /* there are labels */
    const char *scratch; /* a folder for what is not complete yet; NULL: /var/tmp */
} samc_geo_writer_options;

/* Begins a file at `path`, beside its place until it is complete. `options` may be NULL. */
SAMC_API samc_status samc_geo_writer_open(const samc_geo *geo, const char *path, samc_geo_format format,
                                          const samc_geo_writer_options *options, samc_geo_writer **writer,
                                          samc_error *error);
/* Of COG the larger masks first. After a failure further calls fail. */
SAMC_API samc_status samc_geo_writer_add(samc_geo_writer *writer, const samc_geo_mask *mask, samc_error *error);
/* The file gets its name. The writer is gone in any case. */
SAMC_API samc_status samc_geo_writer_commit(samc_geo_writer *writer, samc_error *error);
/* The file never was. NULL is allowed. */
SAMC_API void samc_geo_writer_abandon(samc_geo_writer *writer);

#ifdef __cplusplus
}
#endif
#endif
