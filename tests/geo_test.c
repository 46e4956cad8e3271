/* Scenes through GDAL: windows, levels, scale and what has no data; what is refused; boxes and masks on the map. The
 * files are made here. */
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

static void begin(void) {
    g = samc__gdal_load(&error);
    cr_assert(g != NULL, "%s", error.message);
    strcpy(folder, "/tmp/samc-geo-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void end(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(system(command), 0);
}

static const char *at(const char *name) {
    static char paths[4][160];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 160, "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text) {
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

static GDALDatasetH begin_scene(const scene *s) {
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

static void make_scene(const scene *s) {
    char **before = samc__gdal_enter(g);
    g->GDALClose(begin_scene(s));
    samc__gdal_leave(g, before);
}

static double ramp(int x, int y, int band) { return (x * 3 + y * 5 + band * 50) % 256; }
static double wide_ramp(int x, int y, int band) { return x == 3 && y == 2 ? 0 : 1000 + x + 10 * y + 100 * band; }

#define UTM                                                                                                            \
    { 500000, 10, 0, 5400000, 0, -10 }

static samc_geo *open_scene(const char *name, const char *bands, const char *scale) {
    samc_geo *geo;
    const samc_geo_options options = {sizeof options, bands, scale};
    cr_assert_eq(samc_geo_open(at(name), &options, &geo, &error), SAMC_OK, "%s", error.message);
    return geo;
}

static void refuse(const char *path, samc_status status, const char *says) {
    samc_geo *geo;
    cr_assert_eq(samc_geo_open(path, NULL, &geo, &error), status, "%s: %s", path, error.message);
    cr_assert(geo == NULL && strstr(error.message, says) != NULL, "%s", error.message);
}

TestSuite(geo, .init = begin, .fini = end);

Test(geo, bands_and_places) {
    const scene s = {"a.tif", 40, 30, 5, 32633, GDT_Byte, UTM, NAN, NULL, ramp};
    make_scene(&s);
    samc_geo_info info = SAMC_INIT(samc_geo_info);
    samc_geo *geo = open_scene("a.tif", "3,2,1", NULL);
    samc_image image = SAMC_INIT(samc_image);
    cr_assert_eq(samc_geo_get_info(geo, &info, &error), SAMC_OK);
    cr_assert(info.width == 40 && info.height == 30 && info.bands == 5 && info.used_count == 3 && info.used[0] == 3);
    cr_assert(info.placed && info.north_up && !info.degrees && !info.masked && info.overviews == 0);
    cr_assert_str_eq(info.crs, "EPSG:32633");
    cr_assert_str_eq(info.driver, "GTiff");
    cr_assert_eq(samc_geo_read(geo, 7, 5, 11, 9, &image, &error), SAMC_OK, "%s", error.message);
    for (int y = 0; y < 9; y++)
        for (int x = 0; x < 11; x++)
            for (int c = 0; c < 3; c++)
                cr_assert_eq(image.pixels[(y * 11 + x) * 3 + c], (int)ramp(7 + x, 5 + y, 3 - c));
    samc_image_free(&image);
    const double pixel[2] = {4.5, 2};
    double map[2], back[2];
    cr_assert_eq(samc_geo_to_map(geo, pixel, map, &error), SAMC_OK);
    cr_assert(map[0] == 500045 && map[1] == 5399980);
    cr_assert_eq(samc_geo_to_pixel(geo, map, back, &error), SAMC_OK);
    cr_assert(back[0] == 4.5 && back[1] == 2);
    cr_assert_eq(samc_geo_read(geo, 30, 0, 11, 9, &image, &error), SAMC_INVALID_ARGUMENT);
    samc_geo_close(geo);
    static const char *const wrong[] = {"0", "6", "1,2", "1,2,3,4", "a", "1,", "1;2;3", "99999999999999999999"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const samc_geo_options options = {sizeof options, wrong[i], NULL};
        cr_assert_eq(samc_geo_open(at("a.tif"), &options, &geo, &error), SAMC_INVALID_ARGUMENT, "%s", wrong[i]);
    }
    geo = open_scene("a.tif", "5", NULL);
    cr_assert_eq(samc_geo_read(geo, 0, 0, 40, 30, &image, &error), SAMC_OK);
    for (int c = 0; c < 3; c++) cr_assert_eq(image.pixels[3 * 5 + c], (int)ramp(5, 0, 5));
    samc_image_free(&image);
    samc_geo_close(geo);
}

/* The mean of a level over what has data, by overviews where they have its size, and where they have not. */
static void check_levels(const char *name, const scene *s, bool exact) {
    samc_geo *geo = open_scene(name, NULL, "0,4096");
    for (int level = 0; level < 4; level++) {
        const int64_t width = samc__scene_side(s->width, level), height = samc__scene_side(s->height, level);
        uint8_t *rgb = malloc((size_t)(3 * width * height)), *part = malloc((size_t)(3 * width * height)),
                *valid = malloc((size_t)(width * height));
        samc__scene_window w = {level, 0, 0, (int)width, (int)height};
        cr_assert_eq(samc__geo_window(geo, &w, rgb, valid, &error), SAMC_OK, "%s", error.message);
        for (int64_t y = 0; y < height && exact; y++)
            for (int64_t x = 0; x < width; x++) {
                int sum = 0, count = 0;
                for (int64_t j = y << level; j < (y + 1) << level && j < s->height; j++)
                    for (int64_t i = x << level; i < (x + 1) << level && i < s->width; i++) {
                        const double value = s->value((int)i, (int)j, 1);
                        if (value == s->nodata) continue;
                        sum += (int)floor(value * 255 / 4096 + 0.5);
                        count++;
                    }
                cr_assert_eq(valid[y * width + x], count > 0);
                cr_assert_eq(rgb[3 * (y * width + x)], count > 0 ? (sum + count / 2) / count : 0);
            }
        w = (samc__scene_window){level, width / 3, height / 4, (int)(width - width / 3), (int)(height / 2)};
        cr_assert_eq(samc__geo_window(geo, &w, part, NULL, &error), SAMC_OK);
        for (int y = 0; y < w.height; y++)
            cr_assert_eq(
                memcmp(part + (size_t)(3 * y * w.width), rgb + 3 * ((w.y + y) * width + w.x), (size_t)(3 * w.width)), 0,
                "a window is a part of the whole, level %d", level);
        free(rgb);
        free(part);
        free(valid);
    }
    samc_geo_close(geo);
}

Test(geo, levels_and_nodata) {
    const char *const tiled[] = {"TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16", NULL};
    scene s = {"strips.tif", 101, 75, 1, 32633, GDT_UInt16, UTM, 0, NULL, wide_ramp};
    make_scene(&s);
    check_levels("strips.tif", &s, true);
    s.name = "tiles.tif", s.how = tiled;
    make_scene(&s);
    check_levels("tiles.tif", &s, true);
    s.name = "float.tif", s.type = GDT_Float32;
    make_scene(&s);
    check_levels("float.tif", &s, true);
    char **before = samc__gdal_enter(g);
    const char *const how[] = {"BLOCKSIZE=128", "OVERVIEW_COUNT=2", "OVERVIEW_RESAMPLING=AVERAGE", NULL};
    GDALDatasetH d = g->GDALOpenEx(at("tiles.tif"), GDAL_OF_RASTER, NULL, NULL, NULL);
    GDALDatasetH cog =
        g->GDALCreateCopy(g->GDALGetDriverByName("COG"), at("cog.tif"), d, false, (char **)how, NULL, NULL);
    cr_assert(d != NULL && cog != NULL, "%s", g->CPLGetLastErrorMsg());
    g->GDALClose(cog);
    g->GDALClose(d);
    samc__gdal_leave(g, before);
    samc_geo *geo = open_scene("cog.tif", NULL, "0,4096");
    cr_assert_eq(geo->info.overviews, 2);
    cr_assert(geo->info.masked);
    samc_geo_close(geo);
    check_levels("cog.tif", &s, false);
}

static double mostly_nothing(int x, int y, int band) { return x < 10 ? 65535 : 100 + 2 * y + band * 0; }
static double constant(int x, int y, int band) { return 7 + 0 * x + 0 * y + 0 * band; }

/* Numbers are those of what has data; a constant scene is black. */
Test(geo, one_scale) {
    scene s = {"a.tif", 30, 50, 1, 0, GDT_UInt16, {0}, 65535, NULL, mostly_nothing};
    make_scene(&s);
    samc_scale scale = SAMC_INIT(samc_scale);
    samc_geo *geo = open_scene("a.tif", NULL, "minmax");
    cr_assert_eq(samc_geo_get_scale(geo, &scale, &error), SAMC_OK);
    cr_assert(scale.low == 100 && scale.high == 198 && scale.sample == SAMC_SAMPLE_U16);
    samc_geo_close(geo);
    geo = open_scene("a.tif", NULL, NULL);
    cr_assert_eq(samc_geo_get_scale(geo, &scale, &error), SAMC_OK);
    cr_assert_str_eq(scale.name, "percentiles");
    cr_assert(scale.low > 100 && scale.high < 198);
    cr_assert(!geo->info.placed && geo->info.crs[0] == '\0');
    double pixel[2] = {0, 0}, map[2];
    cr_assert_eq(samc_geo_to_map(geo, pixel, map, &error), SAMC_MISMATCH);
    samc_geo_close(geo);
    s = (scene){"constant.tif", 30, 50, 3, 0, GDT_Float32, {0}, NAN, NULL, constant};
    make_scene(&s);
    geo = open_scene("constant.tif", NULL, NULL);
    samc_image image = SAMC_INIT(samc_image);
    cr_assert_eq(samc_geo_read(geo, 0, 0, 30, 50, &image, &error), SAMC_OK);
    for (int i = 0; i < 30 * 50 * 3; i++) cr_assert_eq(image.pixels[i], 0);
    samc_image_free(&image);
    samc_geo_close(geo);
}

/* A tile that cannot be read has no data; the rest is there, and it is told of once. */
static char told[2][512];
static int tellings;
static void tell(void *context, const char *text) {
    (void)context;
    if (tellings < 2) strcpy(told[tellings], text);
    tellings++;
}

Test(geo, corrupt_tile) {
    const char *const tiled[] = {"TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=32", "COMPRESS=DEFLATE", NULL};
    const scene s = {"a.tif", 96, 96, 1, 0, GDT_Byte, {0}, NAN, tiled, ramp};
    make_scene(&s);
    char **before = samc__gdal_enter(g);
    GDALDatasetH d = g->GDALOpenEx(at("a.tif"), GDAL_OF_RASTER, NULL, NULL, NULL);
    const char *offset = g->GDALGetMetadataItem(g->GDALGetRasterBand(d, 1), "BLOCK_OFFSET_1_1", "TIFF");
    cr_assert(offset != NULL);
    const long place = atol(offset);
    g->GDALClose(d);
    samc__gdal_leave(g, before);
    FILE *file = fopen(at("a.tif"), "r+");
    fseek(file, place, SEEK_SET);
    for (int i = 0; i < 20; i++) fputc(0xff, file);
    fclose(file);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    samc_image image = SAMC_INIT(samc_image);
    cr_assert_eq(samc_geo_read(geo, 0, 0, 96, 96, &image, &error), SAMC_FORMAT);
    cr_assert(strstr(error.message, "32 x 32 pixels at 32, 32 cannot be read") != NULL, "%s", error.message);
    cr_assert_eq(samc_geo_read(geo, 0, 0, 96, 32, &image, &error), SAMC_OK, "%s", error.message);
    samc_image_free(&image);
    samc__scene_source source;
    samc__geo_source(geo, &source);
    source.report = tell;
    static uint8_t rgb[96 * 96 * 3], valid[96 * 96];
    for (int level = 0; level < 3; level++) {
        const samc__scene_window w = {level, 0, 0, 96 >> level, 96 >> level};
        cr_assert_eq(source.read(&source, &w, rgb, valid, &error), SAMC_OK);
        for (int y = 0; y < w.height; y++)
            for (int x = 0; x < w.width; x++) {
                const bool bad = x << level >= 32 && x << level < 64 && y << level >= 32 && y << level < 64;
                cr_assert_eq(valid[y * w.width + x], !bad);
                if (level == 0 || bad) cr_assert_eq(rgb[3 * (y * w.width + x)], bad ? 0 : (int)ramp(x, y, 1));
            }
    }
    cr_assert(source.bad == 1 && tellings == 1);
    cr_assert(strstr(told[0], "32 x 32 pixels at 32, 32 cannot be read") != NULL, "%s", told[0]);
    cr_assert_str_eq(source.first_bad, told[0]);
    source.close(&source);
}

/* Alpha, an internal mask, a palette. */
static double see_through(int x, int y, int band) { return band == 4 ? (x + y) % 2 * 200 : 9 * band; }
Test(geo, alpha_and_palette) {
    const char *const alpha[] = {"PHOTOMETRIC=RGB", "ALPHA=YES", NULL};
    const scene s = {"alpha.tif", 8, 8, 4, 0, GDT_Byte, {0}, NAN, alpha, see_through};
    make_scene(&s);
    samc_geo *geo = open_scene("alpha.tif", NULL, NULL);
    uint8_t rgb[8 * 8 * 3], valid[8 * 8];
    const samc__scene_window w = {0, 0, 0, 8, 8};
    cr_assert_eq(samc__geo_window(geo, &w, rgb, valid, &error), SAMC_OK);
    for (int i = 0; i < 64; i++) {
        cr_assert_eq(valid[i], (i / 8 + i % 8) % 2);
        for (int c = 0; c < 3; c++) cr_assert_eq(rgb[3 * i + c], valid[i] ? 9 * (c + 1) : 0);
    }
    samc_geo_close(geo);
}

Test(geo, refused) {
    refuse("/vsicurl/http://127.0.0.1:9/a.tif", SAMC_UNSUPPORTED, "only files of this machine");
    refuse("http://127.0.0.1:9/a.tif", SAMC_UNSUPPORTED, "only files of this machine");
    refuse("/vsizip/a.zip/b.tif", SAMC_UNSUPPORTED, "only files of this machine");
    refuse(at("missing.tif"), SAMC_IO, "no such file");
    refuse(folder, SAMC_UNSUPPORTED, "not a regular file");
    write_text("wms.tif", "<GDAL_WMS><Service name=\"TMS\"><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service>"
                          "</GDAL_WMS>");
    refuse(at("wms.tif"), SAMC_FORMAT, "");
    const char *const complex[] = {NULL};
    const scene s = {"complex.tif", 4, 4, 1, 0, GDT_CFloat32, {0}, NAN, complex, ramp};
    make_scene(&s);
    refuse(at("complex.tif"), SAMC_UNSUPPORTED, "CFloat32");
}

static void make_vrt(const char *name, const char *attributes, const char *file, const char *more) {
    char text[2000];
    snprintf(text, sizeof text,
             "<VRTDataset rasterXSize=\"40\" rasterYSize=\"30\"%s><VRTRasterBand dataType=\"Byte\" band=\"1\">"
             "<SimpleSource><SourceFilename %s</SourceFilename><SourceBand>1</SourceBand></SimpleSource>"
             "</VRTRasterBand>%s</VRTDataset>",
             attributes, file, more);
    write_text(name, text);
}

Test(geo, vrt_stays_in_its_folder) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    char path[200];
    make_scene(&s);
    make_vrt("good.vrt", "", "relativeToVRT=\"1\">a.tif", "");
    make_vrt("nested.vrt", "", "relativeToVRT=\"1\">good.vrt", "");
    for (int i = 0; i < 2; i++) {
        samc_geo *geo = open_scene(i ? "nested.vrt" : "good.vrt", NULL, NULL);
        samc_image image = SAMC_INIT(samc_image);
        cr_assert_eq(samc_geo_read(geo, 0, 0, 40, 30, &image, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(image.pixels[3 * 7], (int)ramp(7, 0, 1));
        samc_image_free(&image);
        samc_geo_close(geo);
    }
    cr_assert_eq(mkdir(at("below"), 0700), 0);
    cr_assert_eq(symlink(at("a.tif"), at("below/link.tif")), 0);
    make_vrt("below/up.vrt", "", "relativeToVRT=\"1\">../a.tif", "");
    make_vrt("below/link.vrt", "", "relativeToVRT=\"1\">link.tif", "");
    refuse(at("below/up.vrt"), SAMC_UNSUPPORTED, "its own folder");
    refuse(at("below/link.vrt"), SAMC_UNSUPPORTED, "its own folder");
    snprintf(path, sizeof path, ">%s", at("a.tif"));
    static const char *const outside[] = {NULL,
                                          "relativeToVRT=\"0\">a.tif",
                                          ">a.tif",
                                          "relativeToVRT=\"1\">/vsicurl/http://127.0.0.1:9/a.tif",
                                          "relativeToVRT=\"1\">http://127.0.0.1:9/a.tif",
                                          "relativeToVRT=\"1\">GTIFF_DIR:1:a.tif",
                                          "relativeToVRT=\"1\">b.tif"};
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
        make_vrt("bad.vrt", "", outside[i] ? outside[i] : path, "");
        refuse(at("bad.vrt"), SAMC_UNSUPPORTED, "its own folder");
    }
    make_vrt("self.vrt", "", "relativeToVRT=\"1\">self.vrt", "");
    refuse(at("self.vrt"), SAMC_UNSUPPORTED, "more than");
    write_text("wms.xml",
               "<GDAL_WMS><Service name=\"TMS\"><ServerUrl>http://127.0.0.1:9/</ServerUrl></Service></GDAL_WMS>");
    make_vrt("wms.vrt", "", "relativeToVRT=\"1\">wms.xml", "");
    refuse(at("wms.vrt"), SAMC_FORMAT, "none of the rasters");
    make_vrt("kind.vrt", " subClass=\"VRTWarpedDataset\"", "relativeToVRT=\"1\">a.tif", "");
    refuse(at("kind.vrt"), SAMC_UNSUPPORTED, "VRTWarpedDataset");
    make_vrt("derived.vrt", "", "relativeToVRT=\"1\">a.tif",
             "<VRTRasterBand dataType=\"Byte\" band=\"2\" subClass=\"VRTDerivedRasterBand\"/>");
    refuse(at("derived.vrt"), SAMC_UNSUPPORTED, "VRTDerivedRasterBand");
    make_vrt("options.vrt", "", "relativeToVRT=\"1\">a.tif", "<OpenOptions/>");
    refuse(at("options.vrt"), SAMC_UNSUPPORTED, "OpenOptions");
    write_text("text.vrt", "<VRTDataset rasterXSize=\"4\"");
    refuse(at("text.vrt"), SAMC_FORMAT, "");
}

/* ---- On the map ------------------------------------------------------------------------------ */

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

Test(geo, labels) {
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
Test(geo, polygons) {
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
Test(geo, without_a_place) {
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

static double random_value(int x, int y, int band) {
    static uint32_t state = 11;
    state = state * 1664525u + 1013904223u;
    return (double)(state >> 24) + 0 * (x + y + band);
}

/* Random masks are valid polygons for GEOS too, of as many pixels; simplified ones are valid. */
Test(geo, valid_polygons) {
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

Test(geo, boxes) {
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
               "\"geometry\":null}]}");
    cr_assert_eq(samc_geo_boxes(geo, at("elsewhere.geojson"), &boxes, &count, &passed_over, &error), SAMC_OK);
    cr_assert(count == 0 && passed_over == 2);
    free(boxes);
    cr_assert_eq(samc_geo_boxes(geo, at("a.tif"), &boxes, &count, NULL, &error), SAMC_FORMAT);
    cr_assert_eq(samc_geo_boxes(geo, "https://127.0.0.1:9/a.geojson", &boxes, &count, NULL, &error), SAMC_UNSUPPORTED);
    samc_geo_close(geo);
}

/* What was begun and not completed leaves nothing; so does what could not be written. */
Test(geo, nothing_is_left) {
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
