/* Masks on maps, and boxes of files: what is written, as GDAL reads it. */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/geo_fixture.h"

TestSuite(geo_map, .init = begin, .fini = end);

/* A square of side 2 * half + 1 with a hole of one pixel in its middle. */
static samc_geo_mask square(int64_t id, int x, int y, int half, uint32_t *counts) {
    const uint32_t side = 2 * (uint32_t)half + 1, middle = side * side / 2;
    counts[0] = 0, counts[1] = middle, counts[2] = 1, counts[3] = side * side - middle - 1;
    return (samc_geo_mask){.size = sizeof(samc_geo_mask),
                           .id = id,
                           .x = x,
                           .y = y,
                           .width = side,
                           .height = side,
                           .counts = counts,
                           .count = 4,
                           .predicted_iou = 0.9f,
                           .stability_score = 0.95f};
}

static void write_masks(const char *scene_name, const char *name, samc_geo_format format, double tolerance) {
    samc_geo *geo = open_scene(scene_name, NULL, NULL);
    samc_geo_writer *writer;
    uint32_t counts[4];
    const samc_geo_writer_options options = {
        .size = sizeof options, .simplify = tolerance, .labels = true, .scratch = folder};
    cr_assert_eq(samc_geo_writer_open(geo, at(name), format, &options, &writer, &error), SAMC_OK, "%s", error.message);
    samc_geo_mask mask = square(1, 2, 3, 10, counts);
    mask.label = "field", mask.score = 0.5f;
    cr_assert_eq(samc_geo_writer_add(writer, &mask, &error), SAMC_OK, "%s", error.message);
    mask = square(2, 5, 5, 1, counts);
    cr_assert_eq(samc_geo_writer_add(writer, &mask, &error), SAMC_OK, "%s", error.message);
    cr_assert_neq(access(at(name), F_OK), 0, "it has its name before it is complete");
    cr_assert_eq(samc_geo_writer_commit(writer, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(access(at(name), F_OK), 0);
    samc_geo_close(geo);
}

Test(geo_map, labels) {
    const scene s = {"a.tif", 40, 30, 1, 32633, GDT_Byte, {500000, 7, 3, 5400000, 3, -7}, NAN, NULL, ramp};
    make_scene(&s);
    write_masks("a.tif", "labels.tif", SAMC_GEO_COG, 0);
    GDALDatasetH d = g->GDALOpenEx(at("labels.tif"), GDAL_OF_RASTER, NULL, NULL, NULL);
    uint32_t ids[30][40];
    double transform[6];
    cr_assert(d != NULL);
    cr_assert_str_eq(g->GDALGetMetadataItem(d, "LAYOUT", "IMAGE_STRUCTURE"), "COG");
    cr_assert_str_eq(g->GDALGetMetadataItem(d, "COMPRESSION", "IMAGE_STRUCTURE"), "DEFLATE");
    cr_assert_eq(g->GDALGetGeoTransform(d, transform), CE_None);
    for (int i = 0; i < 6; i++) cr_assert_eq(transform[i], s.transform[i]);
    cr_assert_str_eq(g->OSRGetAuthorityCode(g->GDALGetSpatialRef(d), NULL), "32633");
    GDALRasterBandH band = g->GDALGetRasterBand(d, 1);
    cr_assert_eq(g->GDALGetRasterDataType(band), GDT_UInt32);
    cr_assert_eq(g->GDALRasterIO(band, GF_Read, 0, 0, 40, 30, ids, 40, 30, GDT_UInt32, 0, 0), CE_None);
    for (int y = 0; y < 30; y++)
        for (int x = 0; x < 40; x++) {
            const bool large = x >= 2 && x < 23 && y >= 3 && y < 24 && !(x == 12 && y == 13);
            const bool small = x >= 5 && x < 8 && y >= 5 && y < 8 && !(x == 6 && y == 6);
            cr_assert_eq(ids[y][x], small ? 2u : large ? 1u : 0u);
        }
    g->GDALClose(d);
}

typedef struct seen {
    int parts, holes;
    double area, envelope[4];
    OGRwkbGeometryType type;
} seen;

static void read_polygons(const char *name, seen found[2], char crs[20]) {
    GDALDatasetH d = g->GDALOpenEx(at(name), GDAL_OF_VECTOR, NULL, NULL, NULL);
    cr_assert(d != NULL);
    OGRLayerH layer = g->GDALDatasetGetLayer(d, 0);
    OGRSpatialReferenceH reference = g->OGR_L_GetSpatialRef(layer);
    const char *code = reference != NULL ? g->OSRGetAuthorityCode(reference, NULL) : NULL;
    snprintf(crs, 20, "%s", code != NULL ? code : "none");
    for (int i = 0; i < 2; i++) {
        OGRFeatureH feature = g->OGR_L_GetNextFeature(layer);
        cr_assert(feature != NULL);
        OGRGeometryH geometry = g->OGR_F_GetGeometryRef(feature), one = geometry;
        cr_assert(g->OGR_G_IsValid(geometry));
        cr_assert_eq(OGR_F_GetFieldAsInteger64(feature, 0), i + 1);
        cr_assert(fabs(OGR_F_GetFieldAsDouble(feature, 2) - 0.9) < 1e-6);
        cr_assert_str_eq(OGR_F_GetFieldAsString(feature, 5), i == 0 ? "field" : "");
        found[i].type = g->OGR_G_GetGeometryType(geometry);
        if (found[i].type == wkbMultiPolygon) one = g->OGR_G_GetGeometryRef(geometry, 0);
        found[i].holes = g->OGR_G_GetGeometryCount(one) - 1;
        found[i].area = OGR_F_GetFieldAsDouble(feature, 4);
        OGREnvelope box;
        g->OGR_G_GetEnvelope(geometry, &box);
        memcpy(found[i].envelope, (double[4]){box.MinX, box.MinY, box.MaxX, box.MaxY}, sizeof found[i].envelope);
        g->OGR_F_Destroy(feature);
    }
    cr_assert(g->OGR_L_GetNextFeature(layer) == NULL);
    g->GDALClose(d);
}

/* 440 pixels of 100 m2 and 8, in the CRS: on the ellipsoid 1 / 0.9996^2 of it at UTM's middle meridian. */
Test(geo_map, polygons) {
    scene s = {"a.tif", 40, 30, 1, 32633, GDT_Byte, UTM, NAN, NULL, ramp};
    seen found[2];
    char crs[20];
    make_scene(&s);
    write_masks("a.tif", "a.gpkg", SAMC_GEO_GPKG, 0);
    read_polygons("a.gpkg", found, crs);
    cr_assert_str_eq(crs, "32633");
    cr_assert(found[0].type == wkbMultiPolygon && found[0].holes == 1 && found[1].holes == 1);
    cr_assert(fabs(found[0].area - 44000 / (0.9996 * 0.9996)) < 0.05, "%f", found[0].area);
    cr_assert(fabs(found[1].area - 800 / (0.9996 * 0.9996)) < 0.001, "%f", found[1].area);
    cr_assert(found[0].envelope[0] == 500020 && found[0].envelope[3] == 5399970 && found[0].envelope[2] == 500230);
    write_masks("a.tif", "b.gpkg", SAMC_GEO_GPKG, 0);
    char command[400];
    snprintf(command, sizeof command, "cmp '%s' '%s'", at("a.gpkg"), at("b.gpkg"));
    cr_assert_eq(system(command), 0, "the same masks are the same bytes");
    write_masks("a.tif", "a.geojson", SAMC_GEO_GEOJSON, 0);
    read_polygons("a.geojson", found, crs);
    cr_assert_str_eq(crs, "4326");
    cr_assert(found[0].type == wkbPolygon && found[0].holes == 1);
    cr_assert(fabs(found[0].area - 44000 / (0.9996 * 0.9996)) < 0.05);
    cr_assert(found[0].envelope[0] > 15 && found[0].envelope[2] < 15.01 && found[0].envelope[1] > 48.7);
    /* degrees: rows of pixels are no geodesics; by the sphere's zones of WGS 84 near the equator */
    s = (scene){"degrees.tif", 40, 30, 1, 4326, GDT_Byte, {10, 0.01, 0, 0.15, 0, -0.01}, NAN, NULL, ramp};
    make_scene(&s);
    write_masks("degrees.tif", "degrees.gpkg", SAMC_GEO_GPKG, 0);
    read_polygons("degrees.gpkg", found, crs);
    cr_assert_str_eq(crs, "4326");
    const double a = 6378137, e2 = 0.00669437999014, meridian = a * (1 - e2) * M_PI / 180, parallel = a * M_PI / 180;
    cr_assert(fabs(found[1].area / (8e-4 * meridian * parallel) - 1) < 1e-5, "%f", found[1].area);
    /* simplified: a hole of one pixel and corners stay, as nothing is to be moved here */
    write_masks("a.tif", "simple.gpkg", SAMC_GEO_GPKG, 25);
    read_polygons("simple.gpkg", found, crs);
    cr_assert(fabs(found[0].area - 44000 / (0.9996 * 0.9996)) < 0.05, "that of the pixels");
}

/* Without a place coordinates are those of pixels, and the file says so. */
Test(geo_map, without_a_place) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    seen found[2];
    char crs[20], text[400] = "";
    make_scene(&s);
    write_masks("a.tif", "a.geojson", SAMC_GEO_GEOJSON, 0);
    read_polygons("a.geojson", found, crs);
    cr_assert(found[0].envelope[0] == 2 && found[0].envelope[1] == 3 && found[0].envelope[3] == 24);
    FILE *file = fopen(at("a.geojson"), "r");
    cr_assert(file != NULL && fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    cr_assert(strstr(text, "columns and rows of the scene's pixels") != NULL, "%s", text);
    write_masks("a.tif", "a.gpkg", SAMC_GEO_GPKG, 0);
    read_polygons("a.gpkg", found, crs);
    cr_assert_str_eq(crs, "none");
    cr_assert(found[0].envelope[0] == 2 && found[0].envelope[1] == 3 && found[0].envelope[3] == 24);
    write_masks("a.tif", "labels.tif", SAMC_GEO_COG, 0);
}

/* Neither do maps that nothing ties to the earth have degrees. */
Test(geo_map, a_building_site) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {100, 2, 0, 90, 0, -2}, NAN, NULL, ramp};
    seen found[2];
    char crs[20];
    make_scene(&s);
    GDALDatasetH d = g->GDALOpenEx(at("a.tif"), GDAL_OF_RASTER | GDAL_OF_UPDATE, NULL, NULL, NULL);
    OGRSpatialReferenceH site = g->OSRNewSpatialReference("LOCAL_CS[\"site\",UNIT[\"metre\",1]]");
    cr_assert(d != NULL && site != NULL && g->GDALSetSpatialRef(d, site) == CE_None);
    g->OSRRelease(site);
    g->GDALClose(d);
    write_masks("a.tif", "a.geojson", SAMC_GEO_GEOJSON, 0);
    read_polygons("a.geojson", found, crs);
    cr_assert(found[0].envelope[0] == 104 && found[0].envelope[3] == 84);
    cr_assert(found[0].area == 4 * 440, "%f", found[0].area);
}

static double random_value(int x, int y, int band) {
    static uint32_t state = 11;
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 24) + 0 * (x + y + band);
}

/* Random masks are valid polygons for GEOS too, of as many pixels; simplified ones are valid. */
Test(geo_map, valid_polygons) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    make_scene(&s);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    for (int simple = 0; simple < 2; simple++) {
        const samc_geo_writer_options options = {.size = sizeof options, .simplify = 1.5 * simple, .scratch = folder};
        int64_t areas[200];
        samc_geo_writer *writer;
        cr_assert_eq(samc_geo_writer_open(geo, at("a.gpkg"), SAMC_GEO_GPKG, &options, &writer, &error), SAMC_OK);
        for (int i = 0; i < 200; i++) {
            uint8_t bytes[24 * 20];
            samc_rle rle = {.size = sizeof rle};
            for (int p = 0; p < 24 * 20; p++) bytes[p] = random_value(0, 0, 0) < 80 + i % 100;
            cr_assert_eq(samc_rle_from_bytes(bytes, 24, 20, &rle, &error), SAMC_OK);
            cr_assert_eq(samc_rle_measure(&rle, &areas[i], NULL, &error), SAMC_OK);
            const samc_geo_mask mask = {.size = sizeof mask,
                                        .id = i + 1,
                                        .x = 1,
                                        .y = 2,
                                        .width = 24,
                                        .height = 20,
                                        .counts = rle.counts,
                                        .count = rle.count};
            cr_assert_eq(samc_geo_writer_add(writer, &mask, &error), SAMC_OK, "%s", error.message);
            samc_rle_free(&rle);
        }
        cr_assert_eq(samc_geo_writer_commit(writer, &error), SAMC_OK);
        GDALDatasetH d = g->GDALOpenEx(at("a.gpkg"), GDAL_OF_VECTOR, NULL, NULL, NULL);
        OGRLayerH layer = g->GDALDatasetGetLayer(d, 0);
        for (int i = 0; i < 200; i++) {
            OGRFeatureH feature = g->OGR_L_GetNextFeature(layer);
            OGRGeometryH geometry = g->OGR_F_GetGeometryRef(feature);
            cr_assert(g->OGR_G_IsValid(geometry), "mask %d", i);
            if (!simple) cr_assert_eq(OGR_G_Area(geometry), (double)areas[i]);
            g->OGR_F_Destroy(feature);
        }
        g->GDALClose(d);
    }
    samc_geo_close(geo);
}

Test(geo_map, boxes) {
    const scene s = {"a.tif", 40, 30, 1, 32633, GDT_Byte, UTM, NAN, NULL, ramp};
    double *boxes;
    int count, passed_over;
    make_scene(&s);
    write_masks("a.tif", "a.gpkg", SAMC_GEO_GPKG, 0);
    write_masks("a.tif", "a.geojson", SAMC_GEO_GEOJSON, 0);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(samc_geo_boxes(geo, at(i ? "a.geojson" : "a.gpkg"), &boxes, &count, &passed_over, &error), SAMC_OK,
                     "%s", error.message);
        cr_assert(count == 2 && passed_over == 0);
        const double want[8] = {2, 3, 23, 24, 5, 5, 8, 8};
        for (int k = 0; k < 8; k++) cr_assert(fabs(boxes[k] - want[k]) < 1e-3, "%d: %f", k, boxes[k]);
        free(boxes);
    }
    write_text("elsewhere.geojson",
               "{\"type\":\"FeatureCollection\",\"features\":[{\"type\":\"Feature\",\"properties\":{},"
               "\"geometry\":{\"type\":\"Point\",\"coordinates\":[3,4]}},{\"type\":\"Feature\",\"properties\":{},"
               "\"geometry\":null},{\"type\":\"Feature\",\"properties\":{},"
               "\"geometry\":{\"type\":\"Point\",\"coordinates\":[15.001,48.751]}}]}");
    cr_assert_eq(samc_geo_boxes(geo, at("elsewhere.geojson"), &boxes, &count, &passed_over, &error), SAMC_OK);
    cr_assert(count == 0 && passed_over == 3, "%d, %d", count, passed_over);
    free(boxes);
    cr_assert_eq(samc_geo_boxes(geo, at("a.tif"), &boxes, &count, NULL, &error), SAMC_FORMAT);
    cr_assert_eq(samc_geo_boxes(geo, "https://127.0.0.1:9/a.geojson", &boxes, &count, NULL, &error), SAMC_UNSUPPORTED);
    samc_geo_close(geo);
}

/* What was begun and not completed leaves nothing; so does what could not be written. */
Test(geo_map, nothing_is_left) {
    const scene s = {"a.tif", 40, 30, 1, 32633, GDT_Byte, UTM, NAN, NULL, ramp};
    uint32_t counts[4];
    samc_geo_writer *writer;
    const samc_geo_writer_options options = {.size = sizeof options, .scratch = folder};
    make_scene(&s);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    for (int format = SAMC_GEO_GPKG; format <= SAMC_GEO_COG; format++)
        for (int wrong = 0; wrong < 2; wrong++) {
            cr_assert_eq(samc_geo_writer_open(geo, at("out"), (samc_geo_format)format, &options, &writer, &error),
                         SAMC_OK);
            samc_geo_mask mask = square(1, 2, 3, 10, counts);
            cr_assert_eq(samc_geo_writer_add(writer, &mask, &error), SAMC_OK);
            mask.x = 20;
            if (wrong) {
                cr_assert_eq(samc_geo_writer_add(writer, &mask, &error), SAMC_INVALID_ARGUMENT);
                cr_assert_eq(samc_geo_writer_commit(writer, &error), SAMC_INVALID_ARGUMENT);
            } else {
                samc_geo_writer_abandon(writer);
            }
            char command[200];
            snprintf(command, sizeof command, "test \"$(ls -A '%s')\" = a.tif", folder);
            cr_assert_eq(system(command), 0, "format %d", format);
        }
    samc_geo_close(geo);
}

/* A CRS that is a link is not asked for. */
Test(geo_map, no_link_is_followed) {
    const scene s = {"a.tif", 40, 30, 1, 32633, GDT_Byte, UTM, NAN, NULL, ramp};
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    char text[400];
    double *boxes;
    int count, passed_over;
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    cr_assert(listener >= 0 && bind(listener, (struct sockaddr *)&here, length) == 0 && listen(listener, 4) == 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&here, &length), 0);
    snprintf(text, sizeof text,
             "{\"type\":\"FeatureCollection\",\"crs\":{\"type\":\"link\",\"properties\":{\"href\":"
             "\"http://127.0.0.1:%d/crs\"}},\"features\":[{\"type\":\"Feature\",\"properties\":{},\"geometry\":"
             "{\"type\":\"Point\",\"coordinates\":[3,4]}}]}",
             ntohs(here.sin_port));
    write_text("link.geojson", text);
    make_scene(&s);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    if (samc_geo_boxes(geo, at("link.geojson"), &boxes, &count, &passed_over, &error) == SAMC_OK) free(boxes);
    cr_assert_lt(accept(listener, NULL, NULL), 0, "it was asked for");
    close(listener);
    samc_geo_close(geo);
}

/* What does not fit is an error and leaves nothing. */
Test(geo_map, a_full_disk) {
    const scene s = {"a.tif", 40, 30, 1, 32633, GDT_Byte, UTM, NAN, NULL, ramp};
    const struct rlimit little = {1500, 1500};
    uint32_t counts[4];
    samc_geo_writer *writer;
    const samc_geo_writer_options options = {.size = sizeof options, .scratch = folder};
    make_scene(&s);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &little), 0); /* of this test's process alone */
    for (int format = SAMC_GEO_GPKG; format <= SAMC_GEO_COG; format++) {
        samc_status status = samc_geo_writer_open(geo, at("out"), (samc_geo_format)format, &options, &writer, &error);
        const bool open = status == SAMC_OK;
        for (int i = 0; i < 9 && status == SAMC_OK; i++) {
            const samc_geo_mask mask = square(i + 1, 2, 3, 10, counts);
            status = samc_geo_writer_add(writer, &mask, &error);
        }
        if (status == SAMC_OK) status = samc_geo_writer_commit(writer, &error);
        else if (open) samc_geo_writer_abandon(writer);
        cr_assert_eq(status, SAMC_IO, "format %d: %s", format, error.message);
        char command[200];
        snprintf(command, sizeof command, "test \"$(ls -A '%s')\" = a.tif", folder);
        cr_assert_eq(system(command), 0, "format %d", format);
    }
    samc_geo_close(geo);
}
