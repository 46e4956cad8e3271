/* Masks over the antimeridian and around the poles. */
#include "tests/geo_fixture.h"

TestSuite(geo_wgs84, .init = begin, .fini = end);

enum { WIDTH = 40, HEIGHT = 30 };

/* The mask [x, x + w) x [y, y + h), without a pixel in its middle. */
typedef struct box {
    int x, y, w, h;
} box;

static bool in_mask(const box *b, int x, int y) {
    const int middle = b->w * b->h / 2 + b->h / 2;
    if (x == b->x + middle / b->h && y == b->y + middle % b->h) return false;
    return x >= b->x && x < b->x + b->w && y >= b->y && y < b->y + b->h;
}

static void write_mask(const samc_geo *geo, const box *b, samc_geo_format format, const char *name) {
    const samc_geo_writer_options options = {.size = sizeof options, .scratch = folder};
    const uint32_t size = (uint32_t)(b->w * b->h), middle = size / 2 + (uint32_t)b->h / 2;
    const uint32_t counts[4] = {0, middle, 1, size - middle - 1};
    samc_geo_writer *writer;
    cr_assert_eq(samc_geo_writer_open(geo, at(name), format, &options, &writer, &error), SAMC_OK, "%s", error.message);
    const samc_geo_mask mask = {.size = sizeof mask,
                                .id = 1,
                                .x = b->x,
                                .y = b->y,
                                .width = b->w,
                                .height = b->h,
                                .counts = counts,
                                .count = 4};
    cr_assert_eq(samc_geo_writer_add(writer, &mask, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_geo_writer_commit(writer, &error), SAMC_OK, "%s", error.message);
}

/* Its only geometry, the caller's, and its area. */
static OGRGeometryH read_mask(const char *name, double *area) {
    GDALDatasetH d = g->GDALOpenEx(at(name), GDAL_OF_VECTOR, NULL, NULL, NULL);
    cr_assert(d != NULL);
    OGRFeatureH feature = g->OGR_L_GetNextFeature(g->GDALDatasetGetLayer(d, 0));
    OGRGeometryH geometry = g->OGR_F_GetGeometryRef(feature);
    *area = OGR_F_GetFieldAsDouble(feature, 4);
    geometry = geometry != NULL ? g->OGR_G_Clone(geometry) : NULL;
    g->OGR_F_Destroy(feature);
    g->GDALClose(d);
    return geometry;
}

/* No ring has a corner beyond 180 degrees, nor an edge that could be meant to go around the other way. */
static void check_rings(OGRGeometryH geometry) {
    for (int i = 0; i < g->OGR_G_GetGeometryCount(geometry); i++) check_rings(g->OGR_G_GetGeometryRef(geometry, i));
    for (int i = 0; i < g->OGR_G_GetPointCount(geometry); i++) {
        const double x = g->OGR_G_GetX(geometry, i), before = i > 0 ? g->OGR_G_GetX(geometry, i - 1) : x;
        cr_assert(x >= -180 && x <= 180 && fabs(x - before) <= 90, "%f to %f", before, x);
    }
}

/* GeoJSON has the mask's pixels, and no others. */
static void check_pixels(const samc_geo *geo, const box *b, OGRGeometryH geometry) {
    OGRSpatialReferenceH from = g->OSRClone(g->GDALGetSpatialRef(geo->dataset)), to = g->OSRNewSpatialReference(NULL);
    cr_assert_eq(g->OSRImportFromEPSG(to, 4326), OGRERR_NONE);
    g->OSRSetAxisMappingStrategy(from, OAMS_TRADITIONAL_GIS_ORDER);
    g->OSRSetAxisMappingStrategy(to, OAMS_TRADITIONAL_GIS_ORDER);
    OGRCoordinateTransformationH change = g->OCTNewCoordinateTransformation(from, to);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            double map[2];
            int ok;
            samc_geo_to_map(geo, (const double[2]){x + 0.51, y + 0.52}, map, NULL); /* no longitude of 180 */
            cr_assert(g->OCTTransformEx(change, 1, &map[0], &map[1], NULL, &ok));
            OGRGeometryH point = g->OGR_G_CreateGeometry(wkbPoint);
            OGR_G_SetPoint_2D(point, 0, remainder(map[0], 360), map[1]);
            cr_assert_eq(OGR_G_Contains(geometry, point), in_mask(b, x, y), "%d, %d", x, y);
            g->OGR_G_DestroyGeometry(point);
        }
    g->OCTDestroyCoordinateTransformation(change);
    g->OSRRelease(from);
    g->OSRRelease(to);
}

/* A scene's mask as GeoJSON, of so many parts; its area in square metres. */
static double check_scene(int epsg, const double transform[6], const box *b, int parts) {
    scene s = {"a.tif", WIDTH, HEIGHT, 1, epsg, GDT_Byte, {0}, NAN, NULL, ramp};
    double area, again;
    memcpy(s.transform, transform, sizeof s.transform);
    make_scene(&s);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    write_mask(geo, b, SAMC_GEO_GEOJSON, "a.geojson");
    OGRGeometryH geometry = read_mask("a.geojson", &area);
    cr_assert(geometry != NULL && g->OGR_G_IsValid(geometry));
    const bool many = g->OGR_G_GetGeometryType(geometry) == wkbMultiPolygon;
    cr_assert_eq(many ? g->OGR_G_GetGeometryCount(geometry) : 1, parts);
    check_rings(geometry);
    check_pixels(geo, b, geometry);
    g->OGR_G_DestroyGeometry(geometry);
    /* in a GeoPackage it is whole, on the map */
    write_mask(geo, b, SAMC_GEO_GPKG, "a.gpkg");
    geometry = read_mask("a.gpkg", &again);
    OGREnvelope found;
    g->OGR_G_GetEnvelope(geometry, &found);
    cr_assert_eq(g->OGR_G_GetGeometryCount(geometry), 1);
    cr_assert(fabs(found.MinX - (transform[0] + b->x * transform[1])) < 1e-6);
    cr_assert(fabs(found.MaxX - (transform[0] + (b->x + b->w) * transform[1])) < 1e-6);
    cr_assert_eq(area, again);
    g->OGR_G_DestroyGeometry(geometry);
    unlink(at("a.gpkg"));
    /* and as a box it comes back to where it was */
    double *boxes;
    int count, passed_over;
    cr_assert_eq(samc_geo_boxes(geo, at("a.geojson"), &boxes, &count, &passed_over, &error), SAMC_OK);
    if (count == 1) {
        const double asked[4] = {b->x, b->y, b->x + b->w, b->y + b->h};
        for (int i = 0; i < 4; i++) { /* what goes around the earth goes on beyond the scene */
            const double most = i % 2 ? HEIGHT : WIDTH, found_at = fmin(fmax(boxes[i], 0), most);
            cr_assert(fabs(found_at - asked[i]) < 0.1, "%d: %f", i, boxes[i]);
        }
    }
    cr_assert_eq(count, 1);
    free(boxes);
    samc_geo_close(geo);
    return area;
}

#define PLACE(west, wide, north, high) ((const double[6]){west, wide, 0, north, 0, -(high)})

Test(geo_wgs84, degrees_over_the_antimeridian) {
    const box b = {2, 3, 30, 21};
    const double far = check_scene(4326, PLACE(10, 0.05, 40, 0.05), &b, 1);
    static const double wests[] = {179.2, -180.8, 539.2};
    for (int i = 0; i < 3; i++) {
        const double area = check_scene(4326, PLACE(wests[i], 0.05, 40, 0.05), &b, 2);
        cr_assert(fabs(area / far - 1) < 1e-9, "%g", area / far - 1);
    }
    check_scene(4326, PLACE(180, 0.05, 40, 0.05), &b, 1); /* all beyond it */
}

/* A hole at the antimeridian; a mask of three quarters of the earth. */
Test(geo_wgs84, degrees_of_a_whole_turn) {
    check_scene(4326, PLACE(179.2, 0.05, 40, 0.05), &(const box){15, 3, 2, 21}, 3);
    const double earth = 510065621724088, area = check_scene(4326, PLACE(0, 9, 90, 6), &(const box){0, 0, 40, 30}, 1);
    const double pixel = earth / 40 / 2 * sin(6 * M_PI / 180); /* at the equator, nearly */
    cr_assert(fabs((earth - area) / pixel - 1) < 0.02, "%f", area);
    const double most = check_scene(4326, PLACE(0, 9, 90, 6), &(const box){2, 1, 36, 28}, 2);
    cr_assert(most > 0.85 * earth && most < 0.9 * earth, "%f", most / earth);
}

/* Beside UTM's zone 60 is zone 1, which has the same shape as zones 33 and 34. */
Test(geo_wgs84, utm) {
    const box b = {2, 3, 30, 21};
    for (int south = 0; south < 2; south++) {
        const double *place = PLACE(700000, 5000, 1110000 + 5000000.0 * south, 5000);
        const double area = check_scene(32660 + 100 * south, place, &b, 2),
                     far = check_scene(32633 + 100 * south, place, &b, 1);
        cr_assert(fabs(area / far - 1) < 1e-9, "%g", area / far - 1);
        const double *other = PLACE(100000, 5000, 1110000 + 5000000.0 * south, 5000);
        cr_assert(fabs(check_scene(32601 + 100 * south, other, &b, 2) / check_scene(32634 + 100 * south, other, &b, 1) -
                       1) < 1e-9);
    }
}

/* Around a pole: a polygon that ends at it, whether it lies within, on an edge or on a corner; beside it two, if it is
 * cut at the antimeridian. Areas are those of the map, by the square of its scale. */
Test(geo_wgs84, poles) {
    for (int south = 0; south < 2; south++) {
        const int epsg = south ? 3031 : 3413;
        static const struct {
            box b;
            double west, north;
        } cases[] = {{{2, 3, 30, 21}, -203000, 154000},
                     {{2, 3, 30, 21}, -20000, 154000},
                     {{2, 3, 30, 21}, -20000, 30000},
                     {{2, 3, 30, 21}, -203000, 30000},
                     {{15, 10, 10, 10}, -203000, 154000}};
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            scene s = {"a.tif", WIDTH, HEIGHT, 1, epsg, GDT_Byte, {0}, NAN, NULL, ramp};
            const double *place = PLACE(cases[i].west, 10000, cases[i].north, 10000);
            double area;
            memcpy(s.transform, place, sizeof s.transform);
            make_scene(&s);
            samc_geo *geo = open_scene("a.tif", NULL, NULL);
            write_mask(geo, &cases[i].b, SAMC_GEO_GEOJSON, "a.geojson");
            OGRGeometryH geometry = read_mask("a.geojson", &area);
            cr_assert(geometry != NULL && g->OGR_G_IsValid(geometry), "%d: case %zu", epsg, i);
            check_rings(geometry);
            check_pixels(geo, &cases[i].b, geometry);
            const double pixels = cases[i].b.w * cases[i].b.h - 1, scale = south ? 0.9727 : 0.9698; /* at the pole */
            cr_assert(fabs(area / (pixels * 1e8 / (scale * scale)) - 1) < 0.01, "%d: case %zu: %f", epsg, i, area);
            g->OGR_G_DestroyGeometry(geometry);
            samc_geo_close(geo);
        }
    }
}

/* Units of degrees are not those of all maps: 400 to a turn. */
Test(geo_wgs84, grads) {
    const box b = {2, 3, 30, 21};
    const double area = check_scene(4807, PLACE(1, 0.01, 54, 0.01), &b, 1),
                 degrees = check_scene(4275, PLACE(1 * 0.9 + 2.33722917, 0.009, 54 * 0.9, 0.009), &b, 1);
    cr_assert(fabs(area / degrees - 1) < 1e-7, "%g", area / degrees - 1);
}
