/* Masks as polygons: GeoPackage and GeoJSON by OGR. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/geo_out.h"
#include "runtime/base/decimal.h"

enum { HALVINGS = 8 }; /* of a tolerance that would make an outline meet itself */

static samc_status fail(samc__geo_out *out, samc_error *error, const char *what) {
    return samc__gdal_fail(out->geo->g, error, SAMC_IO, out->path, what);
}

static samc_status add_field(samc__geo_out *out, const char *name, OGRFieldType type, samc_error *error) {
    const samc__gdal *g = out->geo->g;
    OGRFieldDefnH field = g->OGR_Fld_Create(name, type);
    const bool ok = g->OGR_L_CreateField(out->layer, field, true) == OGRERR_NONE;
    g->OGR_Fld_Destroy(field);
    return ok ? SAMC_OK : fail(out, error, "a field cannot be made");
}

/* Whether this GDAL has GEOS, which simplifies. */
static bool simplifies(const samc__gdal *g) {
    static const double corners[][2] = {{0, 0}, {1, 0}, {1, 1}, {0, 0}};
    OGRGeometryH polygon = g->OGR_G_CreateGeometry(wkbPolygon), ring = g->OGR_G_CreateGeometry(wkbLinearRing);
    for (int i = 0; i < 4; i++) g->OGR_G_AddPoint_2D(ring, corners[i][0], corners[i][1]);
    g->OGR_G_AddGeometryDirectly(polygon, ring);
    OGRGeometryH simple = g->OGR_G_SimplifyPreserveTopology(polygon, 0.001);
    g->OGR_G_DestroyGeometry(polygon);
    if (simple != NULL) g->OGR_G_DestroyGeometry(simple);
    return simple != NULL;
}

static samc_status vector_open(samc__geo_out *out, samc_error *error) {
    static const struct {
        const char *name;
        OGRFieldType type;
    } fields[] = {{"id", OFTInteger64}, {"level", OFTInteger}, {"predicted_iou", OFTReal}, {"stability_score", OFTReal},
                  {"area_m2", OFTReal}, {"label", OFTString},  {"score", OFTReal}};
    const samc__gdal *g = out->geo->g;
    const bool json = out->format == SAMC_GEO_GEOJSON;
    /* what GeoPackages have for none: else it would be "undefined geographic", which are degrees */
    static const char plane[] = "LOCAL_CS[\"Undefined Cartesian SRS\",UNIT[\"unknown\",1]]";
    samc__geo_area_begin(&out->area, out->geo);
    OGRSpatialReferenceH crs = out->geo->info.placed ? g->GDALGetSpatialRef(out->geo->dataset) : NULL;
    if (json && out->area.to_degrees == NULL) crs = NULL; /* a building site's: there are no degrees to write */
    if (json && crs != NULL) {
        SAMC__TRY(samc__geo_wgs84_begin(&out->wgs84, out->geo, error));
        crs = out->wgs84.crs;
    }
    if (out->options.simplify > 0 && !simplifies(g))
        return samc__fail(error, SAMC_UNSUPPORTED, "this GDAL was built without GEOS, which simplifies outlines");
    GDALDriverH driver = g->GDALGetDriverByName(json ? "GeoJSON" : "GPKG");
    if (driver == NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "this GDAL has no driver for %s", json ? "GeoJSON" : "GPKG");
    out->dataset = g->GDALCreate(driver, out->path, 0, 0, 0, GDT_Unknown, NULL);
    if (out->dataset == NULL) return fail(out, error, "it cannot be made");
    char **how = NULL;
    if (json && crs != NULL) how = g->CSLSetNameValue(how, "RFC7946", "YES");
    if (json && crs != NULL) how = g->CSLSetNameValue(how, "COORDINATE_PRECISION", "8");
    if (json && crs == NULL)
        how = g->CSLSetNameValue(
            how, "DESCRIPTION",
            out->geo->info.placed
                ? "coordinates are of the scene's map, which no reference system places on the earth"
                : "coordinates are columns and rows of the scene's pixels, from its upper left corner");
    OGRSpatialReferenceH none = crs == NULL && !json ? g->OSRNewSpatialReference(plane) : NULL;
    out->layer = g->GDALDatasetCreateLayer(out->dataset, "masks", none != NULL ? none : crs,
                                           json ? wkbUnknown : wkbMultiPolygon, how);
    if (none != NULL) g->OSRRelease(none);
    g->CSLDestroy(how);
    if (out->layer == NULL) return fail(out, error, "it cannot be written");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (i < 5 || out->options.labels) SAMC__TRY(add_field(out, fields[i].name, fields[i].type, error));
    if (!json) g->GDALDatasetStartTransaction(out->dataset, false);
    return SAMC_OK;
}

/* A ring on the map, closed; outer ones counterclockwise there, as RFC 7946 and OGC have them. */
static OGRGeometryH make_ring(const samc__geo_out *out, const samc__outlines *o, const samc__ring *r,
                              const samc_geo_mask *mask) {
    const samc__gdal *g = out->geo->g;
    const samc_geo_info *info = &out->geo->info;
    const bool turn = info->placed && info->transform[1] * info->transform[5] < info->transform[2] * info->transform[4];
    OGRGeometryH ring = g->OGR_G_CreateGeometry(wkbLinearRing);
    g->OGR_G_SetPointCount(ring, (int)r->count + 1);
    for (size_t i = 0; i <= r->count; i++) {
        const size_t at = turn ? (r->count - i) % r->count : i % r->count;
        const double pixel[2] = {(double)(mask->x + o->corners[r->first + at][0]),
                                 (double)(mask->y + o->corners[r->first + at][1])};
        double map[2] = {pixel[0], pixel[1]};
        if (info->placed) samc_geo_to_map(out->geo, pixel, map, NULL);
        g->OGR_G_SetPoint_2D(ring, (int)i, map[0], map[1]);
    }
    return ring;
}

static OGRGeometryH make_geometry(const samc__geo_out *out, const samc__outlines *o, const samc_geo_mask *mask) {
    const samc__gdal *g = out->geo->g;
    OGRGeometryH all = g->OGR_G_CreateGeometry(wkbMultiPolygon);
    for (size_t p = 0; p < o->polygon_count; p++) {
        OGRGeometryH polygon = g->OGR_G_CreateGeometry(wkbPolygon);
        for (size_t r = o->polygons[p]; r < o->polygons[p + 1]; r++)
            g->OGR_G_AddGeometryDirectly(polygon, make_ring(out, o, &o->rings[r], mask));
        g->OGR_G_AddGeometryDirectly(all, polygon);
    }
    return all;
}

/* Douglas and Peucker, holding what lies inside what; where the result is not valid all the same, by less. */
static OGRGeometryH simplify(const samc__geo_out *out, OGRGeometryH geometry) {
    const samc__gdal *g = out->geo->g;
    double tolerance = out->options.simplify;
    for (int i = 0; i < HALVINGS; i++, tolerance /= 2) {
        OGRGeometryH simple = g->OGR_G_SimplifyPreserveTopology(geometry, tolerance);
        if (simple == NULL) break;
        if (g->OGR_G_IsValid(simple) && !g->OGR_G_IsEmpty(simple)) {
            g->OGR_G_DestroyGeometry(geometry);
            return simple;
        }
        g->OGR_G_DestroyGeometry(simple);
    }
    return geometry;
}

/* One polygon is a Polygon in GeoJSON; a layer of a GeoPackage has one kind. */
static OGRGeometryH settle_kind(const samc__geo_out *out, OGRGeometryH geometry) {
    const samc__gdal *g = out->geo->g;
    const bool json = out->format == SAMC_GEO_GEOJSON, many = g->OGR_G_GetGeometryType(geometry) == wkbMultiPolygon;
    if (json && many && g->OGR_G_GetGeometryCount(geometry) == 1) {
        OGRGeometryH one = g->OGR_G_Clone(g->OGR_G_GetGeometryRef(geometry, 0));
        g->OGR_G_DestroyGeometry(geometry);
        return one;
    }
    if (json || many) return geometry;
    OGRGeometryH all = g->OGR_G_CreateGeometry(wkbMultiPolygon);
    g->OGR_G_AddGeometryDirectly(all, geometry);
    return all;
}

/* With no more digits than mean something. */
static void set_number(const samc__gdal *g, OGRFeatureH feature, int field, double value, int digits) {
    char text[40];
    samc__print(text, sizeof text, "%.*g", digits, value);
    if (isfinite(value)) g->OGR_F_SetFieldDouble(feature, field, samc__read_double(text, NULL));
    else g->OGR_F_SetFieldNull(feature, field);
}

static samc_status vector_add(samc__geo_out *out, const samc_geo_mask *mask, samc_error *error) {
    const samc__gdal *g = out->geo->g;
    samc__outlines outlines;
    SAMC__TRY(samc__outline((int32_t)mask->width, (int32_t)mask->height, mask->counts, mask->count, &outlines, error));
    OGRGeometryH geometry = make_geometry(out, &outlines, mask);
    const double area = samc__geo_area_of(&out->area, &outlines, mask->x, mask->y);
    samc__outlines_free(&outlines);
    if (out->options.simplify > 0) geometry = simplify(out, geometry);
    if (out->wgs84.change != NULL) { /* NULL: some maps go on beyond the earth's edge, which has no longitudes */
        OGRGeometryH degrees = samc__geo_wgs84_of(&out->wgs84, geometry);
        g->OGR_G_DestroyGeometry(geometry);
        geometry = degrees;
    }
    if (geometry != NULL) geometry = settle_kind(out, geometry);
    OGRFeatureH feature = g->OGR_F_Create(g->OGR_L_GetLayerDefn(out->layer));
    g->OGR_F_SetGeometryDirectly(feature, geometry);
    g->OGR_F_SetFieldInteger64(feature, 0, mask->id);
    g->OGR_F_SetFieldInteger(feature, 1, mask->level);
    set_number(g, feature, 2, (double)mask->predicted_iou, 7);
    set_number(g, feature, 3, (double)mask->stability_score, 7);
    set_number(g, feature, 4, area, 12);
    if (out->options.labels && mask->label != NULL) g->OGR_F_SetFieldString(feature, 5, mask->label);
    else if (out->options.labels) g->OGR_F_SetFieldNull(feature, 5);
    if (out->options.labels) set_number(g, feature, 6, mask->label != NULL ? (double)mask->score : NAN, 7);
    const bool ok = g->OGR_L_CreateFeature(out->layer, feature) == OGRERR_NONE;
    g->OGR_F_Destroy(feature);
    return ok ? SAMC_OK : fail(out, error, "a polygon cannot be written");
}

/* GDAL's GeoJSON driver does not notice that nothing more can be written (3.6): of a full disk the end is missing. */
static samc_status check_end(const samc__geo_out *out, samc_error *error) {
    char end[8] = "";
    FILE *file = fopen(out->path, "re");
    const bool whole = file != NULL && fseek(file, -4, SEEK_END) == 0 && fread(end, 1, 4, file) == 4;
    if (file != NULL) fclose(file);
    return whole && strcmp(end, "]\n}\n") == 0
               ? SAMC_OK
               : samc__fail(error, SAMC_IO, "%s: it could not be written to its end", out->path);
}

static samc_status vector_close(samc__geo_out *out, samc_error *error) {
    const samc__gdal *g = out->geo->g;
    if (out->format == SAMC_GEO_GPKG && g->GDALDatasetCommitTransaction(out->dataset) != OGRERR_NONE)
        return fail(out, error, "it cannot be completed");
    GDALDatasetH dataset = out->dataset;
    out->dataset = NULL;
    SAMC__TRY(samc__gdal_close(g, dataset, out->path, error));
    return out->format == SAMC_GEO_GEOJSON ? check_end(out, error) : SAMC_OK;
}

static void vector_free(samc__geo_out *out) {
    samc__geo_area_end(&out->area);
    samc__geo_wgs84_end(&out->wgs84);
    if (out->dataset != NULL) out->geo->g->GDALClose(out->dataset);
}

const samc__geo_kind samc__geo_vector_kind = {".gpkg", vector_open, vector_add, vector_close, vector_free};
