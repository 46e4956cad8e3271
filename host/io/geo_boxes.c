/* Boxes around the features of a file of vectors, in pixels of a scene. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/geo_scene.h"

enum { MOST_DEPTH = 8 }; /* of geometries of geometries */

typedef struct reader {
    const samc_geo *geo;
    const char *path;
    double (*boxes)[4]; /* [room], owned */
    int count, room, passed_over;
    double turn, middle; /* of the earth, and the scene's middle longitude, in units of the map; 0: it has none */
} reader;

/* Longitudes of another turn of the earth are those of the scene too, and parts of what is split at the antimeridian
 * belong together. *whole: it goes all around, and is on both sides of the scene. */
static double turn_of(const reader *r, OGRGeometryH geometry, int points, bool *whole) {
    double west = INFINITY, east = -INFINITY;
    for (int i = 0; r->turn > 0 && i < points; i++) {
        const double x = r->geo->g->OGR_G_GetX(geometry, i);
        west = fmin(west, x), east = fmax(east, x);
    }
    *whole = r->turn > 0 && east - west > r->turn * (1 - 1e-12);
    return west <= east ? r->turn * rint((r->middle - (west + east) / 2) / r->turn) : 0;
}

/* Widens the box by all points of a geometry that is in the scene's CRS. */
static void widen(const reader *r, OGRGeometryH geometry, int depth, double box[4]) {
    const samc__gdal *g = r->geo->g;
    const int points = g->OGR_G_GetPointCount(geometry), parts = g->OGR_G_GetGeometryCount(geometry);
    bool whole;
    const double turn = turn_of(r, geometry, points, &whole);
    for (int i = 0; i < (whole ? 3 : 1) * points; i++) { /* once more to the west, and to the east */
        const double more = (i / points == 1) - (i / points == 2);
        const double map[2] = {g->OGR_G_GetX(geometry, i % points) + turn - more * r->turn,
                               g->OGR_G_GetY(geometry, i % points)};
        double pixel[2] = {map[0], map[1]};
        if (r->geo->info.placed) samc_geo_to_pixel(r->geo, map, pixel, NULL);
        for (int c = 0; c < 2; c++) {
            box[c] = fmin(box[c], pixel[c]);
            box[2 + c] = fmax(box[2 + c], pixel[c]);
        }
    }
    for (int i = 0; i < parts && depth < MOST_DEPTH; i++)
        widen(r, g->OGR_G_GetGeometryRef(geometry, i), depth + 1, box);
}

static samc_status add_box(reader *r, const double box[4], samc_error *error) {
    for (int i = 0; i < 4; i++)
        if (!isfinite(box[i])) {
            r->passed_over++;
            return SAMC_OK;
        }
    if (box[0] >= box[2] || box[1] >= box[3]) { /* a point, or a line along an axis: no box for a model */
        r->passed_over++;
        return SAMC_OK;
    }
    if (box[2] <= 0 || box[3] <= 0 || box[0] >= (double)r->geo->info.width || box[1] >= (double)r->geo->info.height) {
        r->passed_over++;
        return SAMC_OK;
    }
    if (r->count == SAMC_MOST_PROMPTS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %d boxes in the scene", r->path, SAMC_MOST_PROMPTS);
    if (r->count == r->room) {
        void *grown = realloc(r->boxes, (size_t)(r->room = 2 * r->room + 64) * sizeof *r->boxes);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->path);
        r->boxes = grown;
    }
    memcpy(r->boxes[r->count++], box, sizeof *r->boxes);
    return SAMC_OK;
}

static samc_status read_feature(reader *r, OGRFeatureH feature, OGRCoordinateTransformationH change,
                                samc_error *error) {
    const samc__gdal *g = r->geo->g;
    OGRGeometryH geometry = g->OGR_F_GetGeometryRef(feature);
    double box[4] = {INFINITY, INFINITY, -INFINITY, -INFINITY};
    /* the feature is the reader's own: it may be changed */
    if (geometry != NULL && (change == NULL || g->OGR_G_Transform(geometry, change) == OGRERR_NONE))
        widen(r, geometry, 0, box);
    return add_box(r, box, error);
}

static samc_status read_layer(reader *r, OGRLayerH layer, samc_error *error) {
    const samc__gdal *g = r->geo->g;
    OGRSpatialReferenceH from = g->OGR_L_GetSpatialRef(layer);
    OGRSpatialReferenceH to = r->geo->info.placed ? g->GDALGetSpatialRef(r->geo->dataset) : NULL;
    OGRCoordinateTransformationH change = NULL;
    samc_status status = SAMC_OK;
    SAMC__TRY(samc__geo_check_crs(g, r->path, from, error));
    if (from != NULL && to != NULL) {
        OGRSpatialReferenceH target = g->OSRClone(to);
        g->OSRSetAxisMappingStrategy(target, OAMS_TRADITIONAL_GIS_ORDER);
        change = g->OCTNewCoordinateTransformation(from, target);
        g->OSRRelease(target);
        if (change == NULL)
            return samc__gdal_fail(g, error, SAMC_UNSUPPORTED, r->path, "its CRS cannot be brought to the scene's");
    }
    g->OGR_L_ResetReading(layer);
    for (OGRFeatureH feature; status == SAMC_OK && (feature = g->OGR_L_GetNextFeature(layer)) != NULL;) {
        status = read_feature(r, feature, change, error);
        g->OGR_F_Destroy(feature);
    }
    if (change != NULL) g->OCTDestroyCoordinateTransformation(change);
    return status;
}

static samc_status read_file(reader *r, samc_error *error) {
    const samc__gdal *g = r->geo->g;
    char real[PATH_MAX];
    OGRSpatialReferenceH crs = r->geo->info.placed ? g->GDALGetSpatialRef(r->geo->dataset) : NULL;
    if (crs != NULL && g->OSRIsGeographic(crs) && !g->OSRIsDerivedGeographic(crs)) {
        char *unit;
        const double middle[2] = {(double)r->geo->info.width / 2, (double)r->geo->info.height / 2};
        double map[2];
        samc_geo_to_map(r->geo, middle, map, NULL);
        r->turn = 2 * M_PI / g->OSRGetAngularUnits(crs, &unit);
        r->middle = map[0];
    }
    SAMC__TRY(samc__geo_find_file(r->path, real, error));
    GDALDatasetH dataset = g->GDALOpenEx(real, GDAL_OF_VECTOR | GDAL_OF_READONLY, samc__gdal_vectors, NULL, NULL);
    if (dataset == NULL) return samc__gdal_fail(g, error, SAMC_FORMAT, r->path, "neither GeoJSON nor a GeoPackage");
    samc_status status = SAMC_OK;
    const int layers = g->GDALDatasetGetLayerCount(dataset);
    for (int i = 0; i < layers && status == SAMC_OK; i++)
        status = read_layer(r, g->GDALDatasetGetLayer(dataset, i), error);
    g->GDALClose(dataset);
    return status;
}

samc_status samc_geo_boxes(const samc_geo *geo, const char *path, double **boxes, int *count, int *passed_over,
                           samc_error *error) {
    if (geo == NULL || path == NULL || boxes == NULL || count == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene, no path, or no place for the boxes");
    reader r = {.geo = geo, .path = path};
    *boxes = NULL;
    *count = 0;
    char **before = samc__gdal_enter(geo->g);
    const samc_status status = read_file(&r, error);
    samc__gdal_leave(geo->g, before);
    if (passed_over != NULL) *passed_over = r.passed_over;
    if (status != SAMC_OK) {
        free(r.boxes);
        return status;
    }
    *boxes = (double *)r.boxes;
    *count = r.count;
    return SAMC_OK;
}
