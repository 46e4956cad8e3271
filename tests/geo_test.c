/* Scenes through GDAL: windows, levels, scale and what has no data; what is refused. */
#include "tests/geo_fixture.h"

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
                                          "relativeToVRT=\"0\" relativeToVRT=\"1\">a.tif",
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

/* GDAL takes what lies beside a file as its overviews or mask, of whatever kind. */
Test(geo, files_beside_lead_nowhere) {
    scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    static const char *const beside[] = {"a.tif.ovr", "a.tif.msk"};
    make_scene(&s);
    make_vrt("top.vrt", "", "relativeToVRT=\"1\">a.tif", "");
    for (int i = 0; i < 2; i++) {
        write_text(beside[i],
                   "<VRTDataset rasterXSize=\"20\" rasterYSize=\"15\"><VRTRasterBand dataType=\"Byte\" band=\"1\" "
                   "subClass=\"VRTRawRasterBand\"><SourceFilename>/etc/passwd</SourceFilename></VRTRasterBand>"
                   "</VRTDataset>");
        refuse(at("a.tif"), SAMC_UNSUPPORTED, "is no TIFF");
        refuse(at("top.vrt"), SAMC_UNSUPPORTED, "is no TIFF");
        cr_assert_eq(unlink(at(beside[i])), 0);
    }
    make_vrt("names.vrt", "", "relativeToVRT=\"1\">a.tif",
             "<Metadata domain=\"OVERVIEWS\"><MDI key=\"OVERVIEW_FILE\">/etc/passwd</MDI></Metadata>");
    make_vrt("top.vrt", "", "relativeToVRT=\"1\">names.vrt", "");
    refuse(at("names.vrt"), SAMC_UNSUPPORTED, "as its overviews");
    refuse(at("top.vrt"), SAMC_UNSUPPORTED, "as its overviews");
    s.name = "a.tif.ovr", s.width = 20, s.height = 15;
    make_scene(&s);
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    cr_assert_eq(geo->info.overviews, 1);
    samc_geo_close(geo);
}
