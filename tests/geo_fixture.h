/* Scenes made for tests of maps, in a folder of their own. */
#ifndef SAMC_TESTS_GEO_FIXTURE_H
#define SAMC_TESTS_GEO_FIXTURE_H

#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/geo_out.h"

static const samc__gdal *g;
static char folder[64];
static samc_error error;

static inline void begin(void) {
    g = samc__gdal_load(&error);
    cr_assert(g != NULL, "%s", error.message);
    strcpy(folder, "/tmp/samc-geo-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static inline void end(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static inline const char *at(const char *name) {
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 160, "%s/%s", folder, name);
    return path;
}

static inline void write_text(const char *name, const char *text) {
    FILE *file = fopen(at(name), "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

typedef struct scene {
    const char *name;
    int width, height, bands, epsg; /* 0: no CRS */
    GDALDataType type;
    double transform[6]; /* all 0: none */
    double nodata;       /* NAN: none */
    const char *const *how;
    double (*value)(int x, int y, int band);
} scene;

static inline GDALDatasetH begin_scene(const scene *s) {
    GDALDatasetH d = g->GDALCreate(g->GDALGetDriverByName("GTiff"), at(s->name), s->width, s->height, s->bands, s->type,
                                   (char **)s->how);
    cr_assert(d != NULL, "%s", g->CPLGetLastErrorMsg());
    double transform[6];
    memcpy(transform, s->transform, sizeof transform);
    if (transform[1] != 0 || transform[2] != 0) g->GDALSetGeoTransform(d, transform);
    if (s->epsg != 0) {
        OGRSpatialReferenceH crs = g->OSRNewSpatialReference(NULL);
        cr_assert_eq(g->OSRImportFromEPSG(crs, s->epsg), OGRERR_NONE);
        g->GDALSetSpatialRef(d, crs);
        g->OSRRelease(crs);
    }
    for (int b = 1; b <= s->bands; b++) {
        double *row = malloc((size_t)s->width * sizeof *row);
        GDALRasterBandH band = g->GDALGetRasterBand(d, b);
        if (!isnan(s->nodata)) g->GDALSetRasterNoDataValue(band, s->nodata);
        for (int y = 0; y < s->height; y++) {
            for (int x = 0; x < s->width; x++) row[x] = s->value(x, y, b);
            cr_assert_eq(g->GDALRasterIO(band, GF_Write, 0, y, s->width, 1, row, s->width, 1, GDT_Float64, 0, 0),
                         CE_None);
        }
        free(row);
    }
    return d;
}

static inline void make_scene(const scene *s) {
    char **before = samc__gdal_enter(g);
    g->GDALClose(begin_scene(s));
    samc__gdal_leave(g, before);
}

static inline double ramp(int x, int y, int band) { return (x * 3 + y * 5 + band * 50) % 256; }
static inline double wide_ramp(int x, int y, int band) { return x == 3 && y == 2 ? 0 : 1000 + x + 10 * y + 100 * band; }

#define UTM                                                                                                            \
    { 500000, 10, 0, 5400000, 0, -10 }

static inline samc_geo *open_scene(const char *name, const char *bands, const char *scale) {
    samc_geo *geo;
    const samc_geo_options options = {sizeof options, bands, scale};
    cr_assert_eq(samc_geo_open(at(name), &options, &geo, &error), SAMC_OK, "%s", error.message);
    return geo;
}

#endif
