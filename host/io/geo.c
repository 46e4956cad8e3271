/* Scenes through GDAL: what a file is, which of its bands are read, and where it lies. */
#include "host/io/geo.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/io/abi.h"
#include "host/io/geo_scene.h"

enum { MOST_BANDS = 65535 };

const char *samc_geo_library(void) { return "GDAL " GDAL_RELEASE_NAME; }

/* ---- Opening --------------------------------------------------------------------------------- */

samc_status samc__geo_find_file(const char *path, char *real, samc_error *error) {
    struct stat information;
    if (strncmp(path, "/vsi", 4) == 0 || strstr(path, "://") != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: only files of this machine are opened, not addresses and not GDAL's virtual files",
                          path);
    if (realpath(path, real) == NULL || strncmp(real, "/vsi", 4) == 0 || stat(real, &information) != 0)
        return samc__fail(error, SAMC_IO, "%s: there is no such file", path);
    return S_ISREG(information.st_mode) ? SAMC_OK : samc__fail(error, SAMC_UNSUPPORTED, "%s: not a regular file", path);
}

static samc_status open_dataset(samc_geo *geo, const char *path, samc_error *error) {
    char real[PATH_MAX];
    const samc__gdal *g = geo->g;
    SAMC__TRY(samc__geo_find_file(path, real, error));
    GDALDriverH driver = g->GDALIdentifyDriverEx(real, GDAL_OF_RASTER, samc__gdal_rasters, NULL);
    if (driver != NULL && strcmp(g->GDALGetDriverShortName(driver), "VRT") == 0)
        SAMC__TRY(samc__geo_check_vrt(g, path, real, &geo->parts, error));
    SAMC__TRY(samc__geo_check_beside(g, path, real, error));
    geo->dataset = g->GDALOpenEx(real, GDAL_OF_RASTER | GDAL_OF_READONLY, samc__gdal_rasters, NULL, NULL);
    if (geo->dataset == NULL)
        return samc__gdal_fail(g, error, SAMC_FORMAT, path, "none of the rasters that are opened through GDAL");
    /* Before anything that would look for overviews. */
    if (g->GDALGetMetadataItem(geo->dataset, "OVERVIEW_FILE", "OVERVIEWS") != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: it names another file as its overviews", path);
    return SAMC_OK;
}

/* "3,2,1" or "4" */
static samc_status parse_bands(samc_geo *geo, const char *text, samc_error *error) {
    samc_geo_info *info = &geo->info;
    const char *at = text;
    for (info->used_count = 0; info->used_count < 3;) {
        char *end;
        const long band = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : 0;
        if (band < 1 || band > info->bands || (*end != ',' && *end != '\0')) break;
        info->used[info->used_count++] = (int)band;
        at = end;
        if (*at++ == '\0') {
            if (info->used_count != 2) return SAMC_OK;
            break;
        }
    }
    return samc__fail(error, SAMC_INVALID_ARGUMENT,
                      "%s: bands are one number or three, such as 3,2,1, from 1 to %d, not '%.40s'", geo->name,
                      info->bands, text);
}

/* The red, green and blue ones; else the first three, or the first. */
static void choose_bands(samc_geo *geo) {
    const samc__gdal *g = geo->g;
    samc_geo_info *info = &geo->info;
    int colour[3] = {0};
    for (int b = info->bands; b >= 1; b--) {
        const GDALColorInterp meaning = g->GDALGetRasterColorInterpretation(g->GDALGetRasterBand(geo->dataset, b));
        for (int c = 0; c < 3; c++)
            if (meaning == (GDALColorInterp)(GCI_RedBand + c)) colour[c] = b;
    }
    const bool named = colour[0] && colour[1] && colour[2];
    info->used_count = named || info->bands >= 3 ? 3 : 1;
    for (int c = 0; c < info->used_count; c++) info->used[c] = named ? colour[c] : c + 1;
}

/* How samples are read, and a palette. */
static samc_status choose_type(samc_geo *geo, samc_error *error) {
    const samc__gdal *g = geo->g;
    geo->type = GDT_Byte;
    for (int c = 0; c < geo->info.used_count; c++) {
        const GDALDataType type = g->GDALGetRasterDataType(g->GDALGetRasterBand(geo->dataset, geo->info.used[c]));
        if (g->GDALDataTypeIsComplex(type))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: samples of the type %s", geo->name,
                              g->GDALGetDataTypeName(type));
        const bool wide = type != GDT_Byte && type != GDT_UInt16;
        if (wide || (geo->type != GDT_Byte && geo->type != type) || (c > 0 && type != geo->type)) {
            if (wide || geo->type == GDT_Float32) geo->type = GDT_Float32;
            else geo->type = GDT_UInt16; /* bytes among them keep their values */
        } else {
            geo->type = type;
        }
    }
    geo->channels = geo->info.used_count;
    GDALRasterBandH first = g->GDALGetRasterBand(geo->dataset, geo->info.used[0]);
    GDALColorTableH table = geo->type == GDT_Byte && geo->channels == 1 ? g->GDALGetRasterColorTable(first) : NULL;
    if (table == NULL) return SAMC_OK;
    geo->palette = calloc(256, sizeof *geo->palette);
    if (geo->palette == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", geo->name);
    const int entries = g->GDALGetColorEntryCount(table);
    for (int i = 0; i < entries && i < 256; i++) {
        GDALColorEntry entry;
        if (!g->GDALGetColorEntryAsRGB(table, i, &entry)) continue;
        const short values[3] = {entry.c1, entry.c2, entry.c3};
        for (int c = 0; c < 3; c++)
            geo->palette[i][c] = (uint8_t)(values[c] < 0 ? 0 : values[c] > 255 ? 255 : values[c]);
    }
    return SAMC_OK;
}

/* Whether an overview's side is that of a level: rounded up, as gdaladdo does, or down, as COGs are made. */
static bool fits(int64_t side, int64_t whole, int level) {
    return side == samc__scene_side(whole, level) || (side == whole >> level && side > 0);
}

/* Which overviews are levels, in all bands that are used. */
static void find_overviews(samc_geo *geo) {
    const samc__gdal *g = geo->g;
    const int64_t width = geo->info.width, height = geo->info.height;
    for (int level = 0; level < SAMC__SCENE_LEVELS; level++) geo->overview[level] = -1;
    const int count = g->GDALGetOverviewCount(g->GDALGetRasterBand(geo->dataset, geo->info.used[0]));
    for (int level = 1; level < SAMC__SCENE_LEVELS; level++) {
        for (int i = 0; i < count && geo->overview[level] < 0; i++) {
            bool all = true;
            for (int c = 0; all && c < geo->info.used_count; c++) {
                GDALRasterBandH band = g->GDALGetRasterBand(geo->dataset, geo->info.used[c]);
                GDALRasterBandH small = i < g->GDALGetOverviewCount(band) ? g->GDALGetOverview(band, i) : NULL;
                all = small != NULL && fits(g->GDALGetRasterBandXSize(small), width, level) &&
                      fits(g->GDALGetRasterBandYSize(small), height, level);
            }
            if (all) geo->overview[level] = i;
        }
        geo->info.overviews += geo->overview[level] >= 0;
        if (width >> level == 0 && height >> level == 0) break;
    }
}

static void find_place(samc_geo *geo) {
    const samc__gdal *g = geo->g;
    samc_geo_info *info = &geo->info;
    info->placed = g->GDALGetGeoTransform(geo->dataset, info->transform) == CE_None;
    const double *t = info->transform, determinant = t[1] * t[5] - t[2] * t[4];
    for (int i = 0; i < 6; i++) info->placed = info->placed && isfinite(t[i]);
    info->placed = info->placed && determinant != 0 && isfinite(determinant);
    if (!info->placed) memset(info->transform, 0, sizeof info->transform);
    info->north_up = info->placed && t[2] == 0 && t[4] == 0;
    OGRSpatialReferenceH crs = g->GDALGetSpatialRef(geo->dataset);
    if (crs == NULL) return;
    const char *authority = g->OSRGetAuthorityName(crs, NULL), *code = g->OSRGetAuthorityCode(crs, NULL);
    if (authority != NULL && code != NULL) snprintf(info->crs, sizeof info->crs, "%s:%s", authority, code);
    else snprintf(info->crs, sizeof info->crs, "%s", g->OSRGetName(crs) ? g->OSRGetName(crs) : "without a name");
    info->degrees = g->OSRIsGeographic(crs);
}

static void find_masks(samc_geo *geo) {
    const samc__gdal *g = geo->g;
    geo->info.masked = geo->type == GDT_Float32;
    for (int c = 0; c < geo->info.used_count; c++) {
        GDALRasterBandH band = g->GDALGetRasterBand(geo->dataset, geo->info.used[c]);
        geo->info.masked = geo->info.masked || !(g->GDALGetMaskFlags(band) & GMF_ALL_VALID);
    }
}

static samc_status open_geo(samc_geo *geo, const char *path, const samc_geo_options *options, samc_error *error) {
    const samc__gdal *g = geo->g;
    samc__scale scale;
    SAMC__TRY(samc__scale_parse(options->scale ? options->scale : "P2-98", &scale, error));
    SAMC__TRY(open_dataset(geo, path, error));
    geo->info.width = g->GDALGetRasterXSize(geo->dataset);
    geo->info.height = g->GDALGetRasterYSize(geo->dataset);
    geo->info.bands = g->GDALGetRasterCount(geo->dataset);
    snprintf(geo->info.driver, sizeof geo->info.driver, "%s",
             g->GDALGetDriverShortName(g->GDALGetDatasetDriver(geo->dataset)));
    if (geo->info.bands < 1 || geo->info.bands > MOST_BANDS || geo->info.width < 1 || geo->info.height < 1)
        return samc__fail(error, SAMC_FORMAT, "%s: no raster bands in it", path);
    if (geo->info.width > 1 << 24 || geo->info.height > 1 << 24)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: a scene of %lld x %lld pixels: a side has at most %d", path,
                          (long long)geo->info.width, (long long)geo->info.height, 1 << 24);
    choose_bands(geo);
    if (options->bands != NULL) SAMC__TRY(parse_bands(geo, options->bands, error));
    SAMC__TRY(choose_type(geo, error));
    SAMC__TRY(samc__geo_check_crs(g, path, g->GDALGetSpatialRef(geo->dataset), error));
    find_overviews(geo);
    find_place(geo);
    find_masks(geo);
    return samc__geo_measure(geo, scale, error);
}

samc_status samc_geo_open(const char *path, const samc_geo_options *given, samc_geo **geo, samc_error *error) {
    samc_geo_options options = {.size = sizeof options};
    if (path == NULL || geo == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no path, or no place for it");
    *geo = NULL;
    if (given != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_geo_options), given, &options, error));
    const samc__gdal *g = samc__gdal_load(error);
    if (g == NULL) return SAMC_UNSUPPORTED;
    samc_geo *made = calloc(1, sizeof *made);
    if (made == NULL || (made->name = strdup(path)) == NULL) {
        free(made);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    }
    made->g = g;
    made->info.size = sizeof made->info;
    made->scale.size = sizeof made->scale;
    char **before = samc__gdal_enter(g);
    const samc_status status = open_geo(made, path, &options, error);
    samc__gdal_leave(g, before);
    if (status == SAMC_OK) *geo = made;
    else samc_geo_close(made);
    return status;
}

void samc_geo_close(samc_geo *geo) {
    if (geo == NULL) return;
    char **before = samc__gdal_enter(geo->g);
    if (geo->dataset != NULL) geo->g->GDALClose(geo->dataset);
    samc__gdal_leave(geo->g, before);
    for (int i = 0; i < SAMC__SCENE_LEVELS; i++) free(geo->bad[i]);
    samc__scaler_end(&geo->scaler);
    samc__geo_files_end(&geo->parts);
    free(geo->palette);
    free(geo->name);
    free(geo);
}

samc_status samc_geo_get_info(const samc_geo *geo, samc_geo_info *info, samc_error *error) {
    if (geo == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene");
    return samc__abi_give(SAMC__IO(samc_geo_info), &geo->info, info, error);
}

samc_status samc_geo_get_scale(const samc_geo *geo, samc_scale *scale, samc_error *error) {
    if (geo == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene");
    return samc__abi_give(SAMC__IO(samc_scale), &geo->scale, scale, error);
}

bool samc__geo_is(const char *path) {
    static const char *const pictures[] = {"PNG", "JPEG", "WEBP", "BMP"};
    char real[PATH_MAX];
    double transform[6];
    bool is = false;
    const samc__gdal *g = samc__gdal_load(NULL);
    if (g == NULL || samc__geo_find_file(path, real, NULL) != SAMC_OK) return false;
    char **before = samc__gdal_enter(g);
    GDALDriverH driver = g->GDALIdentifyDriverEx(real, GDAL_OF_RASTER, samc__gdal_rasters, NULL);
    if (driver != NULL) {
        bool picture = false;
        for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++)
            picture = picture || strcmp(g->GDALGetDriverShortName(driver), pictures[i]) == 0;
        if (picture && samc__geo_check_beside(g, path, real, NULL) != SAMC_OK)
            picture = false; /* opening it says why */
        GDALDatasetH dataset =
            picture ? g->GDALOpenEx(real, GDAL_OF_RASTER | GDAL_OF_READONLY, samc__gdal_rasters, NULL, NULL) : NULL;
        is = !picture || (dataset != NULL && g->GDALGetGeoTransform(dataset, transform) == CE_None);
        if (dataset != NULL) g->GDALClose(dataset);
    }
    samc__gdal_leave(g, before);
    return is;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static samc_status check_placed(const samc_geo *geo, const void *from, const void *to, samc_error *error) {
    if (geo == NULL || from == NULL || to == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene or place");
    if (geo->info.placed) return SAMC_OK;
    return samc__fail(error, SAMC_MISMATCH, "%s: nothing in it says where on a map it lies", geo->name);
}

samc_status samc_geo_to_map(const samc_geo *geo, const double pixel[2], double map[2], samc_error *error) {
    SAMC__TRY(check_placed(geo, pixel, map, error));
    const double *t = geo->info.transform, x = pixel[0], y = pixel[1];
    map[0] = t[0] + t[1] * x + t[2] * y;
    map[1] = t[3] + t[4] * x + t[5] * y;
    return SAMC_OK;
}

samc_status samc_geo_to_pixel(const samc_geo *geo, const double map[2], double pixel[2], samc_error *error) {
    SAMC__TRY(check_placed(geo, map, pixel, error));
    const double *t = geo->info.transform, x = map[0] - t[0], y = map[1] - t[3];
    const double determinant = t[1] * t[5] - t[2] * t[4];
    pixel[0] = (x * t[5] - y * t[2]) / determinant;
    pixel[1] = (y * t[1] - x * t[4]) / determinant;
    return SAMC_OK;
}
