/* A scene that GDAL has opened. */
#ifndef SAMC_HOST_IO_GEO_SCENE_H
#define SAMC_HOST_IO_GEO_SCENE_H

#include "host/io/gdal.h"
#include "host/io/geo.h"
#include "host/io/scale.h"

/* Paths, as they were added. */
typedef struct samc__geo_files {
    char **paths; /* [room], [count] of them are; owned, as each is */
    size_t count, room;
} samc__geo_files;

struct samc_geo {
    const samc__gdal *g;
    char *name; /* as it was given; owned */
    GDALDatasetH dataset;
    samc__geo_files parts; /* that it leads to, if it is a VRT, with the parts of VRTs among them */
    samc_geo_info info;
    GDALDataType type;                /* samples are read as: GDT_Byte, GDT_UInt16 or GDT_Float32 */
    int channels;                     /* 1 or 3, of samples */
    uint8_t (*palette)[3];            /* [256] that bytes stand for, or NULL; owned */
    samc__scaler scaler;              /* unless bytes */
    samc_scale scale;                 /* what it does */
    int overview[SAMC__SCENE_LEVELS]; /* that is a level, -1: none is; [0] is the scene itself, and not looked at */
    uint8_t *bad[SAMC__SCENE_LEVELS]; /* blocks of these that could not be read, a byte each; owned */
    samc__scene_source *source;       /* that is told of them, or NULL: */
    char first_bad[512];              /* the first of them; "": none */
};

/* The real path of a file of this machine, real [PATH_MAX]; addresses and GDAL's virtual files are refused. */
samc_status samc__geo_find_file(const char *path, char *real, samc_error *error);

/* False: no memory. The path is copied. */
bool samc__geo_files_add(samc__geo_files *files, const char *path);
/* Sorts them, and leaves each once. */
void samc__geo_files_settle(samc__geo_files *files);
void samc__geo_files_end(samc__geo_files *files);

/* What a VRT names is in its folder, and of the drivers that may open files; itself too, where it names others. All of
 * it is added to `parts`, by real paths. */
samc_status samc__geo_check_vrt(const samc__gdal *g, const char *name, const char *path, samc__geo_files *parts,
                                samc_error *error);

/* What GDAL opens beside a file by the file's name alone, overviews and masks: that these are TIFFs, and lead nowhere.
 * Of what the file itself, these, or headers beside it name: that it lies in the same folder. */
samc_status samc__geo_check_beside(const samc__gdal *g, const char *name, const char *path, samc_error *error);
/* That it does not say where its overviews are. */
samc_status samc__geo_check_overviews(const samc__gdal *g, const char *name, const char *path, samc_error *error);
/* Whether a CRS in words leads PROJ to a file by its path: "grids=/etc/passwd", PARAMETERFILE["...", "../a"]. */
bool samc__geo_names_file(const char *text);
/* That a CRS, NULL: none, names no file of shifts but of PROJ's own. */
samc_status samc__geo_check_crs(const samc__gdal *g, const char *name, OGRSpatialReferenceH crs, samc_error *error);

/* Samples of a window at a level that is an overview (or 0), which is inside: samples [height, width, channels] of
 * geo->type, valid [height, width], 0 where there is no data. Blocks that cannot be read are noted, and have none. */
samc_status samc__geo_samples(samc_geo *geo, const samc__scene_window *window, void *samples, uint8_t *valid,
                              samc_error *error);
/* rgb [height, width, 3] and, unless NULL, valid [height, width] of a window at any level. */
samc_status samc__geo_window(samc_geo *geo, const samc__scene_window *window, uint8_t *rgb, uint8_t *valid,
                             samc_error *error);
/* Finds the scale's numbers. */
samc_status samc__geo_measure(samc_geo *geo, samc__scale scale, samc_error *error);

#endif
