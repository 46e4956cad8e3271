/* Scenes, and files beside them, that name files of other folders. */
#include "tests/geo_fixture.h"

TestSuite(geo_beside, .init = begin, .fini = end);

static void refuse(const char *name, const char *says) {
    samc_geo *geo;
    const samc_status status = samc_geo_open(at(name), NULL, &geo, &error);
    cr_assert_eq(status, SAMC_UNSUPPORTED, "%s: %d", name, status);
    cr_assert(strstr(error.message, says) != NULL, "%s: %s", name, error.message);
}

/* It opens, and its pixels are the ramp's. */
static void check_opens(const char *name) {
    samc_geo *geo = open_scene(name, NULL, NULL);
    samc_image image = SAMC_INIT(samc_image);
    cr_assert_eq(samc_geo_read(geo, 0, 0, 40, 30, &image, &error), SAMC_OK, "%s: %s", name, error.message);
    cr_assert_eq(image.pixels[3 * (4 * 40 + 7)], (int)ramp(7, 4, 1), "%s", name);
    samc_image_free(&image);
    samc_geo_close(geo);
}

static char *load(const char *name, size_t *size) {
    FILE *file = fopen(at(name), "rb");
    cr_assert(file != NULL && fseek(file, 0, SEEK_END) == 0);
    *size = (size_t)ftell(file);
    char *bytes = malloc(*size);
    rewind(file);
    cr_assert_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* Puts other bytes of the same length into a file, wherever it has these. */
static void patch(const char *name, const char *from, const char *to) {
    size_t size, length = strlen(from), found = 0;
    char *bytes = load(name, &size);
    cr_assert_eq(strlen(to), length);
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, from, length) == 0) memcpy(bytes + i, to, length), found++;
    FILE *file = fopen(at(name), "wb");
    cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
    free(bytes);
    cr_assert_gt(found, 0, "%s is not in %s", from, name);
}

static void make_copy(const char *driver, const char *name, const char *const *how) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    make_scene(&s);
    char **before = samc__gdal_enter(g);
    GDALDatasetH from = g->GDALOpenEx(at("a.tif"), GDAL_OF_RASTER, NULL, NULL, NULL);
    GDALDatasetH made =
        g->GDALCreateCopy(g->GDALGetDriverByName(driver), at(name), from, false, (char **)how, NULL, NULL);
    cr_assert(made != NULL, "%s", g->CPLGetLastErrorMsg());
    g->GDALClose(made);
    g->GDALClose(from);
    samc__gdal_leave(g, before);
}

static void make_vrt(const char *name, const char *file, const char *more) {
    char text[1000];
    snprintf(text, sizeof text,
             "<VRTDataset rasterXSize=\"40\" rasterYSize=\"30\">%s<VRTRasterBand dataType=\"Byte\" band=\"1\">"
             "<SimpleSource><SourceFilename relativeToVRT=\"1\">%s</SourceFilename><SourceBand>1</SourceBand>"
             "</SimpleSource></VRTRasterBand></VRTDataset>",
             more, file);
    write_text(name, text);
}

/* Imagine's pixels in another file. */
Test(geo_beside, imagine_pixels) {
    make_copy("HFA", "aaaaaaaa.img", (const char *const[]){"USE_SPILL=YES", NULL});
    make_vrt("top.vrt", "aaaaaaaa.img", "");
    check_opens("aaaaaaaa.img");
    check_opens("top.vrt");
    cr_assert_eq(mkdir(at("else"), 0700), 0);
    cr_assert_eq(rename(at("aaaaaaaa.ige"), at("else/aaa.ige")), 0);
    cr_assert_eq(symlink(at("else/aaa.ige"), at("aaaaaaaa.ige")), 0);
    refuse("aaaaaaaa.img", "another folder");
    refuse("top.vrt", "another folder");
    cr_assert_eq(unlink(at("aaaaaaaa.ige")), 0);
    patch("aaaaaaaa.img", "aaaaaaaa.ige", "else/aaa.ige");
    refuse("aaaaaaaa.img", "another folder");
}

/* Where the file that is named is not there, GDAL takes its own name with that extension; and any node of the type. */
Test(geo_beside, imagine_own_name) {
    make_copy("HFA", "aaaaaaaa.img", (const char *const[]){"USE_SPILL=YES", NULL});
    patch("aaaaaaaa.img", "aaaaaaaa.ige", "zzzzzzzz.ige");
    check_opens("aaaaaaaa.img");
    cr_assert_eq(mkdir(at("else"), 0700), 0);
    cr_assert_eq(rename(at("aaaaaaaa.ige"), at("else/aaa.ige")), 0);
    cr_assert_eq(symlink(at("else/aaa.ige"), at("aaaaaaaa.ige")), 0);
    refuse("aaaaaaaa.img", "another folder");
    cr_assert_eq(unlink(at("aaaaaaaa.ige")), 0);
    patch("aaaaaaaa.img", "zzzzzzzz.ige", "else/aaa.ige");
    patch("aaaaaaaa.img", "ExternalRasterDMS", "AnyNameOfSeventee");
    refuse("aaaaaaaa.img", "another folder");
}

/* Its overviews in another file, and the file that this belongs to. */
Test(geo_beside, imagine_overviews) {
    make_copy("HFA", "aaaaaaaa.img", NULL);
    CPLSetThreadLocalConfigOption("HFA_USE_RRD", "YES");
    GDALDatasetH d = g->GDALOpenEx(at("aaaaaaaa.img"), GDAL_OF_RASTER | GDAL_OF_UPDATE, NULL, NULL, NULL);
    cr_assert_eq(GDALBuildOverviews(d, "NEAREST", 1, (int[]){2}, 0, NULL, NULL, NULL), CE_None);
    g->GDALClose(d);
    CPLSetThreadLocalConfigOption("HFA_USE_RRD", NULL);
    cr_assert_eq(access(at("aaaaaaaa.rrd"), F_OK), 0);
    check_opens("aaaaaaaa.img");
    samc_geo *geo = open_scene("aaaaaaaa.img", NULL, NULL);
    cr_assert_eq(geo->info.overviews, 1);
    samc_geo_close(geo);
    patch("aaaaaaaa.img", "aaaaaaaa.rrd", "aa(aaaaa.rrd");
    check_opens("aaaaaaaa.img"); /* its own name again */
    cr_assert_eq(mkdir(at("else"), 0700), 0);
    cr_assert_eq(rename(at("aaaaaaaa.rrd"), at("else/aa.rrd")), 0);
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "aaaaaaaa.rrd" : "aa(aaaaa.rrd";
        cr_assert_eq(symlink(at("else/aa.rrd"), at(name)), 0);
        refuse("aaaaaaaa.img", "another folder");
        cr_assert_eq(unlink(at(name)), 0);
    }
    cr_assert_eq(rename(at("else/aa.rrd"), at("aaaaaaaa.rrd")), 0);
    patch("aaaaaaaa.img", "aa(aaaaa.rrd", "aaaaaaaa.rrd");
    patch("aaaaaaaa.rrd", "aaaaaaaa.img", "../bbbbb.img");
    refuse("aaaaaaaa.img", "another folder");
    patch("aaaaaaaa.rrd", "../bbbbb.img", "aaaaaaaa.img");
    check_opens("aaaaaaaa.img");
    patch("aaaaaaaa.img", "aaaaaaaa.rrd", "../bbbbb.rrd");
    refuse("aaaaaaaa.img", "another folder");
    /* as .aux beside any other, a picture too */
    make_copy("PNG", "picture.png", NULL);
    static const char *const beside[] = {"a.aux", "a.AUX", "a.tif.aux", "picture.aux"};
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(link(at("aaaaaaaa.img"), at(beside[i])), 0);
        cr_assert(i < 3 || samc__geo_is(at("picture.png")), "who opens it is told why not");
        refuse(i < 3 ? "a.tif" : "picture.png", "another folder");
        cr_assert_eq(unlink(at(beside[i])), 0);
    }
    check_opens("a.tif");
    cr_assert_not(samc__geo_is(at("picture.png")));
}

static void save(const char *name, const char *bytes, size_t size) {
    FILE *file = fopen(at(name), "wb");
    cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

static uint32_t number_at(const char *bytes, size_t at) {
    uint32_t number;
    memcpy(&number, bytes + at, sizeof number);
    return number;
}

/* A tree of nodes that has no end, and one whose nodes' names have none. */
Test(geo_beside, imagine_loops) {
    make_copy("HFA", "aaaaaaaa.img", NULL);
    size_t size;
    char *bytes = load("aaaaaaaa.img", &size);
    const uint32_t root = number_at(bytes, number_at(bytes, 16) + 8), most = 1 << 17;
    memcpy(bytes + root + 12, &root, 4); /* its own child */
    save("aaaaaaaa.img", bytes, size);
    refuse("aaaaaaaa.img", "more nodes");
    memcpy(bytes + root + 16, (uint32_t[]){(uint32_t)size, most}, 8);
    memcpy(bytes + root + 24, "RRDNamesList", 13);
    save("aaaaaaaa.img", bytes, size);
    refuse("aaaaaaaa.img", "names of more bytes");
    free(bytes);
}

/* A name that the file's dictionary has among the words that there are to choose from. */
Test(geo_beside, imagine_words) {
    make_copy("HFA", "aaaaaaaa.img", (const char *const[]){"USE_SPILL=YES", NULL});
    static const char *const names[] = {"../x/a.ige", "aaaaaaaa.ige", "words.ige", "else.ige"};
    static const char pixels[] = "{1:oEmif_String,fileName,2:LlayerStackValid";
    cr_assert_eq(link(at("aaaaaaaa.ige"), at("words.ige")), 0);
    cr_assert_eq(mkdir(at("else"), 0700), 0);
    cr_assert_eq(rename(at("words.ige"), at("else/a.ige")), 0);
    cr_assert_eq(link(at("aaaaaaaa.ige"), at("words.ige")), 0);
    cr_assert_eq(symlink(at("else/a.ige"), at("else.ige")), 0);
    size_t size;
    char *bytes = load("aaaaaaaa.img", &size), *made = malloc(2 * size + 100);
    const uint32_t header = number_at(bytes, 16), end = (uint32_t)size;
    const char *dictionary = bytes + number_at(bytes, header + 14), *from = strstr(dictionary, pixels);
    cr_assert(from != NULL);
    for (int i = 0; i < 4; i++) { /* at the end of the file, with another type of the name */
        memcpy(made, bytes, size);
        memcpy(made + header + 14, &end, 4);
        const int length = sprintf(made + size, "%.*s{1:e2:%s,another,string,}Word,{1:oWord%s",
                                   (int)(from - dictionary), dictionary, names[i], from + strlen("{1:oEmif_String"));
        char *data = memmem(made, size, "aaaaaaaa.ige", 12); /* behind its length and place, before four numbers */
        cr_assert(data != NULL);
        memcpy(data - 8, "\0\0", 2);
        memmove(data - 6, data + 13, 24);
        save("aaaaaaaa.img", made, size + (size_t)length + 1);
        if (i == 1 || i == 2) check_opens("aaaaaaaa.img");
        else refuse("aaaaaaaa.img", "another folder");
    }
    free(bytes);
    free(made);
}

Test(geo_beside, headers) {
    make_copy("RST", "b.rst", NULL);
    check_opens("b.rst");
    FILE *file = fopen(at("b.rdc"), "a");
    cr_assert(file != NULL && fputs("\n ref. system  : ../secret\n", file) >= 0 && fclose(file) == 0);
    refuse("b.rst", "another folder");
    make_copy("RRASTER", "c.grd", NULL);
    check_opens("c.grd");
    file = fopen(at("c.grd"), "a");
    cr_assert(file != NULL && fputs("\nprojection=+init=/etc/passwd:1\n", file) >= 0 && fclose(file) == 0);
    refuse("c.grd", "another folder");
}

/* Files of shifts in a CRS; @null, as web Mercator has it, is none. */
Test(geo_beside, grids) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    make_scene(&s);
    make_vrt("bad.vrt", "a.tif", "<SRS>+proj=longlat +ellps=bessel +nadgrids=/etc/passwd +no_defs</SRS>");
    refuse("bad.vrt", "names a file");
    make_vrt("up.vrt", "a.tif", "<SRS>+proj=utm +zone=33 +ellps=bessel +nadgrids=@null,../x.gsb +no_defs</SRS>");
    refuse("up.vrt", "names a file");
    make_vrt("init.vrt", "a.tif", "<SRS>+init=/etc/passwd:1</SRS>");
    refuse("init.vrt", "names a file");
    make_vrt("points.vrt", "a.tif", "<GCPList Projection=\"+init=/etc/passwd:1\"/>");
    refuse("points.vrt", "names a file");
    OGRSpatialReferenceH crs = g->OSRNewSpatialReference(NULL);
    cr_assert_eq(OSRImportFromProj4(crs, "+proj=longlat +ellps=bessel +nadgrids=/etc/passwd"), OGRERR_NONE);
    cr_assert_eq(samc__geo_check_crs(g, "a.tif", crs, &error), SAMC_UNSUPPORTED);
    cr_assert_eq(OSRImportFromProj4(crs, "+proj=longlat +ellps=bessel +nadgrids=@null"), OGRERR_NONE);
    cr_assert_eq(samc__geo_check_crs(g, "a.tif", crs, &error), SAMC_OK);
    g->OSRRelease(crs);
    make_vrt("good.vrt", "a.tif",
             "<SRS>+proj=merc +a=6378137 +b=6378137 +units=m +nadgrids=@null +wktext +no_defs</SRS>");
    check_opens("good.vrt");
}

/* What lies beside it as .aux.xml is not looked at. */
Test(geo_beside, aux_xml) {
    const scene s = {"a.tif", 40, 30, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    make_scene(&s);
    cr_assert_eq(mkdir(at("else"), 0700), 0);
    const scene small = {"else/small.tif", 20, 15, 1, 0, GDT_Byte, {0}, NAN, NULL, ramp};
    make_scene(&small);
    write_text("a.tif.aux.xml", "<PAMDataset><Metadata domain=\"OVERVIEWS\"><MDI key=\"OVERVIEW_FILE\">else/small.tif"
                                "</MDI></Metadata></PAMDataset>");
    check_opens("a.tif");
    samc_geo *geo = open_scene("a.tif", NULL, NULL);
    cr_assert_eq(geo->info.overviews, 0);
    samc_geo_close(geo);
}
