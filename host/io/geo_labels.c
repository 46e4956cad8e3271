/* Masks as a raster of their ids: painted into a file as large as the scene, which then becomes a cloud-optimised
 * GeoTIFF. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/geo_out.h"

enum { STRIP = 8 << 20, WRITE = 1 << 16 }; /* pixels of a mask that are turned at a time; that are written at a time */

static samc_status fail(const samc__geo_out *out, samc_error *error, int reason) {
    return samc__fail(error, SAMC_IO, "%s: %s", out->path, strerror(reason));
}

static samc_status label_open(samc__geo_out *out, samc_error *error) {
    const samc_geo_info *info = &out->geo->info;
    if (asprintf(&out->raw, "%s.raw", out->path) < 0) out->raw = NULL;
    if (asprintf(&out->header, "%s.hdr", out->path) < 0) out->header = NULL;
    if (out->raw == NULL || out->header == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    out->labels = open(out->raw, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out->labels < 0) return fail(out, error, errno);
    const int64_t bytes = info->width * info->height * (int64_t)sizeof(uint32_t); /* sides have 24 bits */
    return ftruncate(out->labels, bytes) == 0 ? SAMC_OK : fail(out, error, errno);
}

static samc_status write_all(const samc__geo_out *out, const void *bytes, size_t size, int64_t at, samc_error *error) {
    for (const char *from = bytes; size > 0;) {
        const ssize_t done = pwrite(out->labels, from, size, at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return fail(out, error, done < 0 ? errno : ENOSPC);
        from += done, size -= (size_t)done, at += done;
    }
    return SAMC_OK;
}

/* Columns [from, from + width) of the mask, as bytes [height, width]. Runs go on at *run, *left of which are left. */
static void turn(const samc_geo_mask *mask, int64_t width, size_t *run, int64_t *left, uint8_t *bytes) {
    memset(bytes, 0, (size_t)(width * mask->height));
    for (int64_t at = 0, end = width * mask->height; at < end;) {
        const int64_t count = *left < end - at ? *left : end - at;
        if (*run % 2 == 1)
            for (int64_t i = at; i < at + count; i++) bytes[i % mask->height * width + i / mask->height] = 1;
        at += count;
        *left -= count;
        while (*left == 0 && ++*run < mask->count) *left = mask->counts[*run];
    }
}

static samc_status paint(samc__geo_out *out, const samc_geo_mask *mask, int64_t from, int64_t width,
                         const uint8_t *bytes, const uint32_t *ids, samc_error *error) {
    for (int64_t y = 0; y < mask->height; y++) {
        const uint8_t *row = bytes + y * width;
        for (int64_t x = 0; x < width;) {
            int64_t end = x;
            while (end < width && end - x < WRITE && row[end]) end++;
            if (end > x) {
                const int64_t pixel = (mask->y + y) * out->geo->info.width + mask->x + from + x;
                SAMC__TRY(write_all(out, ids, (size_t)(end - x) * sizeof *ids, pixel * (int64_t)sizeof *ids, error));
            }
            x = end > x ? end : x + 1;
        }
    }
    return SAMC_OK;
}

static samc_status label_add(samc__geo_out *out, const samc_geo_mask *mask, samc_error *error) {
    uint64_t sum = 0;
    for (size_t i = 0; i < mask->count; i++) sum += mask->counts[i];
    if (mask->id < 1 || mask->id > UINT32_MAX)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: a raster of 32 bits has no room for the id %lld", out->path,
                          (long long)mask->id);
    if (sum != (uint64_t)(mask->width * mask->height))
        return samc__fail(error, SAMC_FORMAT, "run lengths of another size than the mask's");
    const int64_t most = STRIP / mask->height > 1 ? STRIP / mask->height : 1;
    const int64_t width = mask->width < most ? mask->width : most;
    uint8_t *bytes = malloc((size_t)(width * mask->height));
    uint32_t *ids = malloc(WRITE * sizeof *ids);
    samc_status status = bytes && ids ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    for (int i = 0; status == SAMC_OK && i < WRITE; i++) ids[i] = (uint32_t)mask->id;
    size_t run = 0;
    int64_t left = mask->counts[0];
    while (left == 0 && ++run < mask->count) left = mask->counts[run];
    for (int64_t from = 0; status == SAMC_OK && from < mask->width; from += width) {
        const int64_t here = mask->width - from < width ? mask->width - from : width;
        turn(mask, here, &run, &left, bytes);
        status = paint(out, mask, from, here, bytes, ids, error);
    }
    free(bytes);
    free(ids);
    return status;
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
    if (out->labels >= 0) close(out->labels);
    if (out->raw != NULL) unlink(out->raw);
    if (out->header != NULL) unlink(out->header);
    free(out->raw);
    free(out->header);
}

const samc__geo_kind samc__geo_label_kind = {".tif", label_open, label_add, label_close, label_free};
