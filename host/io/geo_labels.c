/* Masks as a raster of their ids, which becomes a cloud-optimised GeoTIFF. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/geo_out.h"

static samc_status fail(const samc__geo_out *out, samc_error *error, int reason) {
    return samc__fail(error, SAMC_IO, "%s: %s", out->path, strerror(reason));
}

static samc_status label_open(samc__geo_out *out, samc_error *error) {
    const samc_geo_info *info = &out->geo->info;
    if (asprintf(&out->raw, "%s.raw", out->path) < 0) out->raw = NULL;
    if (asprintf(&out->header, "%s.hdr", out->path) < 0) out->header = NULL;
    if (out->raw == NULL || out->header == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    out->labels.name = out->path, out->labels.width = info->width, out->labels.height = info->height;
    return samc__label_raster_open(&out->labels, out->raw, NULL, error);
}

static samc_status label_add(samc__geo_out *out, const samc_geo_mask *mask, samc_error *error) {
    return samc__label_raster_add(&out->labels, mask, error);
}

/* What GDAL knows the raw file by. */
static samc_status write_header(const samc__geo_out *out, samc_error *error) {
    const samc_geo_info *info = &out->geo->info;
    FILE *file = fopen(out->header, "we");
    if (file == NULL) return fail(out, error, errno);
    fprintf(file,
            "ENVI\nsamples = %lld\nlines = %lld\nbands = 1\nheader offset = 0\nfile type = ENVI Standard\n"
            "data type = 13\ninterleave = bsq\nbyte order = %d\n",
            (long long)info->width, (long long)info->height, __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
    const bool ok = !ferror(file);
    return fclose(file) == 0 && ok ? SAMC_OK : fail(out, error, errno);
}

/* The raw file as a dataset with a place, which is another one that leads to it. */
static GDALDatasetH place(const samc__geo_out *out, GDALDatasetH raw) {
    const samc__gdal *g = out->geo->g;
    GDALDatasetH placed = g->GDALCreateCopy(g->GDALGetDriverByName("VRT"), "", raw, false, NULL, NULL, NULL);
    OGRSpatialReferenceH crs = g->GDALGetSpatialRef(out->geo->dataset);
    double transform[6];
    memcpy(transform, out->geo->info.transform, sizeof transform);
    if (placed == NULL) return NULL;
    if (out->geo->info.placed) g->GDALSetGeoTransform(placed, transform);
    if (out->geo->info.placed && crs != NULL) g->GDALSetSpatialRef(placed, crs);
    g->GDALSetRasterNoDataValue(g->GDALGetRasterBand(placed, 1), 0);
    return placed;
}

static samc_status label_close(samc__geo_out *out, samc_error *error) {
    static const char *const envi[] = {"ENVI", NULL};
    static const char *const how[] = {"COMPRESS=DEFLATE",
                                      "PREDICTOR=STANDARD",
                                      "BLOCKSIZE=512",
                                      "RESAMPLING=NEAREST",
                                      "OVERVIEW_RESAMPLING=NEAREST",
                                      "BIGTIFF=IF_SAFER",
                                      "NUM_THREADS=1",
                                      NULL};
    const samc__gdal *g = out->geo->g;
    GDALDriverH cog = g->GDALGetDriverByName("COG");
    if (cog == NULL) return samc__fail(error, SAMC_UNSUPPORTED, "this GDAL has no driver for COG");
    SAMC__TRY(write_header(out, error));
    GDALDatasetH raw = g->GDALOpenEx(out->raw, GDAL_OF_RASTER | GDAL_OF_READONLY, envi, NULL, NULL);
    GDALDatasetH placed = raw != NULL ? place(out, raw) : NULL;
    GDALDatasetH made =
        placed != NULL ? g->GDALCreateCopy(cog, out->path, placed, false, (char **)how, NULL, NULL) : NULL;
    samc_status status = made != NULL ? samc__gdal_close(g, made, out->path, error)
                                      : samc__gdal_fail(g, error, SAMC_IO, out->path, "the raster cannot be written");
    if (placed != NULL) g->GDALClose(placed);
    if (raw != NULL) g->GDALClose(raw);
    return status;
}

static void label_free(samc__geo_out *out) {
    samc__label_raster_close(&out->labels);
    if (out->raw != NULL) unlink(out->raw);
    if (out->header != NULL) unlink(out->header);
    free(out->raw);
    free(out->header);
}

const samc__geo_kind samc__geo_label_kind = {".tif", label_open, label_add, label_close, label_free};
