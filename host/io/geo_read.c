/* Pixels of scenes through GDAL: samples, what has data, the scale that all of it shares, and levels. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/geo_scene.h"

/* Samples that are read at a time, where more is wanted than is kept; those that a scale is found on at least; by how
 * much a side is reduced at most where there are no overviews, so that sums of bytes have 32 bits. */
enum { CHUNK = 4 << 20, LOOK_AT_LEAST = 1 << 20, MOST_STEPS = 12 };

typedef struct rectangle {
    int x, y, width, height;
} rectangle;

static samc_status no_memory(const samc_geo *geo, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its pixels", geo->name);
}

static GDALRasterBandH band_at(const samc_geo *geo, int channel, int level) {
    GDALRasterBandH band = geo->g->GDALGetRasterBand(geo->dataset, geo->info.used[channel]);
    return level == 0 ? band : geo->g->GDALGetOverview(band, geo->overview[level]);
}

static size_t sample_size(const samc_geo *geo) {
    return geo->type == GDT_Byte ? 1 : geo->type == GDT_UInt16 ? sizeof(uint16_t) : sizeof(float);
}

/* ---- Samples --------------------------------------------------------------------------------- */

/* Floats that are no numbers, in all channels, are no data. */
static void drop_nan(const samc_geo *geo, const float *samples, uint8_t *valid, int width) {
    for (int x = 0; x < width; x++) {
        bool any = false;
        for (int c = 0; c < geo->channels; c++) any = any || isfinite(samples[x * geo->channels + c]);
        valid[x] = valid[x] && any;
    }
}

/* A part of a window whose first sample is at `samples`, of rows of `pitch` pixels. False where it cannot be read. */
static bool read_part(const samc_geo *geo, int level, const rectangle *r, char *samples, uint8_t *valid, int pitch) {
    const samc__gdal *g = geo->g;
    const size_t size = sample_size(geo), pixel = size * (size_t)geo->channels;
    bool all = false;
    uint8_t *mask = NULL;
    for (int c = 0; c < geo->channels; c++)
        if (g->GDALRasterIO(band_at(geo, c, level), GF_Read, r->x, r->y, r->width, r->height,
                            samples + (size_t)c * size, r->width, r->height, geo->type, (int)pixel,
                            (int)pixel * pitch) != CE_None)
            return false;
    for (int c = 0; c < geo->channels; c++) all = all || g->GDALGetMaskFlags(band_at(geo, c, level)) & GMF_ALL_VALID;
    for (int y = 0; y < r->height; y++) memset(valid + (size_t)y * (size_t)pitch, all, (size_t)r->width);
    if (!all && (mask = malloc((size_t)r->width * (size_t)r->height)) == NULL) return false;
    for (int c = 0; !all && c < geo->channels; c++) {
        GDALRasterBandH band = band_at(geo, c, level);
        if (c > 0 && g->GDALGetMaskFlags(band) & GMF_PER_DATASET) break; /* the first one's */
        if (g->GDALRasterIO(g->GDALGetMaskBand(band), GF_Read, r->x, r->y, r->width, r->height, mask, r->width,
                            r->height, GDT_Byte, 0, 0) != CE_None) {
            free(mask);
            return false;
        }
        for (int y = 0; y < r->height; y++)
            for (int x = 0; x < r->width; x++)
                valid[(size_t)y * (size_t)pitch + (size_t)x] |= mask[(size_t)y * (size_t)r->width + (size_t)x] != 0;
    }
    free(mask);
    for (int y = 0; geo->type == GDT_Float32 && y < r->height; y++)
        drop_nan(geo, (const float *)(const void *)(samples + (size_t)y * (size_t)pitch * pixel),
                 valid + (size_t)y * (size_t)pitch, r->width);
    return true;
}

/* Notes a block that cannot be read, and tells the source of it once. */
static samc_status note_bad(samc_geo *geo, int level, int64_t block, int64_t blocks, const rectangle *r,
                            samc_error *error) {
    if (geo->bad[level] == NULL && (geo->bad[level] = calloc((size_t)blocks, 1)) == NULL) return no_memory(geo, error);
    const bool known = geo->bad[level][block];
    geo->bad[level][block] = 1;
    const char *said = geo->g->CPLGetLastErrorMsg();
    char text[512];
    snprintf(text, sizeof text, "%.200s: %d x %d pixels at %d, %d%s cannot be read: %.*s", geo->name, r->width,
             r->height, r->x, r->y, level > 0 ? " of an overview" : "", (int)strcspn(said, "\n"), said);
    if (geo->first_bad[0] == '\0') strcpy(geo->first_bad, text);
    if (geo->source != NULL && !known) samc__scene_bad(geo->source, text);
    return SAMC_OK;
}

/* The same block by block: those that cannot be read have no data. */
static samc_status read_blocks(samc_geo *geo, int level, const rectangle *w, char *samples, uint8_t *valid,
                               samc_error *error) {
    const samc__gdal *g = geo->g;
    GDALRasterBandH band = band_at(geo, 0, level);
    const int width = g->GDALGetRasterBandXSize(band), height = g->GDALGetRasterBandYSize(band);
    const size_t pixel = sample_size(geo) * (size_t)geo->channels;
    int bw, bh;
    g->GDALGetBlockSize(band, &bw, &bh);
    const int64_t columns = (width + (int64_t)bw - 1) / bw, rows = (height + (int64_t)bh - 1) / bh;
    for (int by = w->y / bh; by <= (w->y + w->height - 1) / bh; by++)
        for (int bx = w->x / bw; bx <= (w->x + w->width - 1) / bw; bx++) {
            const int x0 = bx * bw > w->x ? bx * bw : w->x, y0 = by * bh > w->y ? by * bh : w->y;
            const int64_t right = (int64_t)(bx + 1) * bw, below = (int64_t)(by + 1) * bh;
            const int x1 = (int)(right < w->x + (int64_t)w->width ? right : w->x + (int64_t)w->width),
                      y1 = (int)(below < w->y + (int64_t)w->height ? below : w->y + (int64_t)w->height);
            const rectangle part = {x0, y0, x1 - x0, y1 - y0};
            const size_t at = (size_t)(y0 - w->y) * (size_t)w->width + (size_t)(x0 - w->x);
            g->CPLErrorReset();
            if (read_part(geo, level, &part, samples + at * pixel, valid + at, w->width)) continue;
            for (int y = 0; y < part.height; y++)
                memset(valid + at + (size_t)y * (size_t)w->width, 0, (size_t)part.width);
            const rectangle whole = {bx * bw, by * bh, (int)(right < width ? bw : width - (int64_t)bx * bw),
                                     (int)(below < height ? bh : height - (int64_t)by * bh)};
            SAMC__TRY(note_bad(geo, level, by * columns + bx, rows * columns, &whole, error));
        }
    return SAMC_OK;
}

static samc_status read_samples(samc_geo *geo, int level, const rectangle *window, void *samples, uint8_t *valid,
                                samc_error *error) {
    if (read_part(geo, level, window, samples, valid, window->width)) return SAMC_OK;
    return read_blocks(geo, level, window, samples, valid, error);
}

samc_status samc__geo_samples(samc_geo *geo, const samc__scene_window *w, void *samples, uint8_t *valid,
                              samc_error *error) {
    const int level = w->level, width = w->width, height = w->height;
    const int64_t x = w->x, y = w->y;
    GDALRasterBandH band = band_at(geo, 0, level);
    const int last_x = geo->g->GDALGetRasterBandXSize(band) - 1, last_y = geo->g->GDALGetRasterBandYSize(band) - 1;
    const size_t pixel = sample_size(geo) * (size_t)geo->channels;
    const rectangle window = {(int)x, (int)y, width, height};
    if (x + width - 1 <= last_x && y + height - 1 <= last_y)
        return read_samples(geo, level, &window, samples, valid, error);
    /* An overview whose side was rounded down: its last column or row stands for the one behind it too. */
    const int x0 = x < last_x ? (int)x : last_x, y0 = y < last_y ? (int)y : last_y;
    const int x1 = x + width - 1 < last_x ? (int)x + width - 1 : last_x,
              y1 = y + height - 1 < last_y ? (int)y + height - 1 : last_y;
    const rectangle there = {x0, y0, x1 - x0 + 1, y1 - y0 + 1};
    char *some = malloc((size_t)there.width * (size_t)there.height * (pixel + 1));
    if (some == NULL) return no_memory(geo, error);
    uint8_t *some_valid = (uint8_t *)some + (size_t)there.width * (size_t)there.height * pixel;
    samc_status status = read_samples(geo, level, &there, some, some_valid, error);
    for (int row = 0; status == SAMC_OK && row < height; row++)
        for (int column = 0; column < width; column++) {
            const int from_x = x + column < last_x ? (int)x + column : last_x,
                      from_y = y + row < last_y ? (int)y + row : last_y;
            const size_t from = (size_t)(from_y - y0) * (size_t)there.width + (size_t)(from_x - x0),
                         to = (size_t)row * (size_t)width + (size_t)column;
            memcpy((char *)samples + to * pixel, some + from * pixel, pixel);
            valid[to] = some_valid[from];
        }
    free(some);
    return status;
}

/* ---- The scale ------------------------------------------------------------------------------- */

/* How large parts of a level are read that is gone through: whole blocks, about CHUNK samples. */
static void choose_part(const samc_geo *geo, int level, int64_t width, int64_t height, int *part_width,
                        int *part_height) {
    int bw, bh;
    geo->g->GDALGetBlockSize(band_at(geo, 0, level), &bw, &bh);
    const int64_t most = CHUNK / geo->channels;
    int64_t h = bh < height ? bh : height, w = bw < width ? bw : width;
    if (h * w > most) { /* one block is much: what GDAL holds of it is its own matter */
        w = w < most ? w : most;
        h = most / w;
    }
    if (w * h < most && w < width) w = most / (w * h) * w < width ? most / (w * h) * w : width;
    if (w == width) h = h * (most / (w * h)) < height ? h * (most / (w * h)) : height;
    *part_width = (int)w;
    *part_height = (int)h;
}

/* Samples with data, one behind the other. */
static size_t compact(const samc_geo *geo, void *samples, const uint8_t *valid, size_t pixels) {
    const size_t size = sample_size(geo) * (size_t)geo->channels;
    size_t count = 0;
    for (size_t i = 0; i < pixels; i++)
        if (valid[i]) memmove((char *)samples + count++ * size, (char *)samples + i * size, size);
    return count * (size_t)geo->channels;
}

static samc_status look(samc_geo *geo, int level, void *samples, uint8_t *valid, int part_width, int part_height,
                        samc_error *error) {
    const int64_t width = samc__scene_side(geo->info.width, level), height = samc__scene_side(geo->info.height, level);
    for (int64_t y = 0; y < height; y += part_height)
        for (int64_t x = 0; x < width; x += part_width) {
            const int w = (int)(width - x < part_width ? width - x : part_width),
                      h = (int)(height - y < part_height ? height - y : part_height);
            SAMC__TRY(samc__geo_samples(geo, &(samc__scene_window){level, x, y, w, h}, samples, valid, error));
            samc__scaler_look(&geo->scaler, samples, compact(geo, samples, valid, (size_t)w * (size_t)h));
        }
    samc__scaler_end_pass(&geo->scaler);
    return SAMC_OK;
}

samc_status samc__geo_measure(samc_geo *geo, samc__scale scale, samc_error *error) {
    if (geo->type == GDT_Byte) return SAMC_OK;
    const char *bits = geo->g->GDALGetMetadataItem(geo->g->GDALGetRasterBand(geo->dataset, geo->info.used[0]), "NBITS",
                                                   "IMAGE_STRUCTURE");
    const int count = bits != NULL ? atoi(bits) : 16;
    const samc__sampling sampling = {.sample = geo->type == GDT_UInt16 ? SAMC_SAMPLE_U16 : SAMC_SAMPLE_F32,
                                     .channels = geo->channels,
                                     .bits = count >= 9 && count <= 16 ? count : 16};
    SAMC__TRY(samc__scaler_begin(&geo->scaler, scale, sampling, geo->name, error));
    int level = 0, part_width, part_height;
    for (int l = 1; l < SAMC__SCENE_LEVELS; l++)
        if (geo->overview[l] >= 0 &&
            samc__scene_side(geo->info.width, l) * samc__scene_side(geo->info.height, l) >= LOOK_AT_LEAST)
            level = l;
    choose_part(geo, level, samc__scene_side(geo->info.width, level), samc__scene_side(geo->info.height, level),
                &part_width, &part_height);
    const size_t pixels = (size_t)part_width * (size_t)part_height;
    void *samples = malloc(pixels * sample_size(geo) * (size_t)geo->channels);
    uint8_t *valid = malloc(pixels);
    samc_status status = samples && valid ? SAMC_OK : no_memory(geo, error);
    while (status == SAMC_OK && geo->scaler.passes > 0)
        status = look(geo, level, samples, valid, part_width, part_height, error);
    free(samples);
    free(valid);
    if (status == SAMC_OK) geo->scale = samc__scaler_report(&geo->scaler);
    return status;
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* Samples to colours; pixels without data are black. */
static void colour(const samc_geo *geo, const void *samples, const uint8_t *valid, size_t pixels, uint8_t *rgb) {
    const uint8_t *bytes = samples;
    if (geo->type != GDT_Byte) samc__scaler_apply(&geo->scaler, samples, pixels, rgb);
    else if (geo->channels == 3) memcpy(rgb, bytes, 3 * pixels);
    for (size_t i = 0; i < pixels; i++) {
        if (!valid[i]) memset(rgb + 3 * i, 0, 3);
        else if (geo->palette != NULL) memcpy(rgb + 3 * i, geo->palette[bytes[i]], 3);
        else if (geo->type == GDT_Byte && geo->channels == 1) memset(rgb + 3 * i, bytes[i], 3);
    }
}

/* Rooms for one part. */
typedef struct rooms {
    void *samples;
    uint8_t *valid, *rgb;
    uint32_t *sums; /* [height, width, 4] of the window: colours and how many */
} rooms;

static void free_rooms(rooms *r) {
    free(r->samples);
    free(r->valid);
    free(r->rgb);
    free(r->sums);
}

/* Adds a part of level `from`, whose first pixel is (x, y) there, to the sums. */
static void add_part(const samc__scene_window *w, int steps, int64_t x, int64_t y, int width, int height, rooms *r) {
    for (int row = 0; row < height; row++)
        for (int column = 0; column < width; column++) {
            const size_t i = (size_t)row * (size_t)width + (size_t)column;
            if (!r->valid[i]) continue;
            uint32_t *sum = r->sums + 4 * ((size_t)(((y + row) >> steps) - w->y) * (size_t)w->width +
                                           (size_t)(((x + column) >> steps) - w->x));
            for (int c = 0; c < 3; c++) sum[c] += r->rgb[3 * i + (size_t)c];
            sum[3]++;
        }
}

/* From level `from`, which has more pixels, in parts. */
static samc_status reduce(samc_geo *geo, const samc__scene_window *w, int from, uint8_t *rgb, uint8_t *valid, rooms *r,
                          samc_error *error) {
    const int steps = w->level - from;
    const int64_t level_width = samc__scene_side(geo->info.width, from),
                  level_height = samc__scene_side(geo->info.height, from);
    const int64_t x0 = w->x << steps, y0 = w->y << steps;
    int64_t x1 = (w->x + w->width) << steps, y1 = (w->y + w->height) << steps;
    x1 = x1 < level_width ? x1 : level_width, y1 = y1 < level_height ? y1 : level_height;
    int part_width, part_height;
    choose_part(geo, from, level_width, level_height, &part_width, &part_height);
    const size_t room = (size_t)part_width * (size_t)part_height, pixels = (size_t)w->width * (size_t)w->height;
    r->samples = malloc(room * sample_size(geo) * (size_t)geo->channels);
    r->valid = malloc(room);
    r->rgb = malloc(3 * room);
    r->sums = calloc(pixels, 4 * sizeof *r->sums);
    if (r->samples == NULL || r->valid == NULL || r->rgb == NULL || r->sums == NULL) return no_memory(geo, error);
    /* Parts are those of the level, whatever the window: blocks are read whole. */
    for (int64_t y = y0 - y0 % part_height; y < y1; y += part_height)
        for (int64_t x = x0 - x0 % part_width; x < x1; x += part_width) {
            const int64_t left = x > x0 ? x : x0, top = y > y0 ? y : y0;
            const int width = (int)((x + part_width < x1 ? x + part_width : x1) - left),
                      height = (int)((y + part_height < y1 ? y + part_height : y1) - top);
            SAMC__TRY(samc__geo_samples(geo, &(samc__scene_window){from, left, top, width, height}, r->samples,
                                        r->valid, error));
            colour(geo, r->samples, r->valid, (size_t)width * (size_t)height, r->rgb);
            add_part(w, steps, left, top, width, height, r);
        }
    for (size_t i = 0; i < pixels; i++) {
        const uint32_t *sum = r->sums + 4 * i, count = sum[3];
        for (size_t c = 0; c < 3; c++) rgb[3 * i + c] = count ? (uint8_t)((sum[c] + (uint64_t)count / 2) / count) : 0;
        if (valid != NULL) valid[i] = count > 0;
    }
    return SAMC_OK;
}

static samc_status read_window(samc_geo *geo, const samc__scene_window *w, uint8_t *rgb, uint8_t *valid,
                               samc_error *error) {
    int from = w->level;
    rooms r = {0};
    while (from > 0 && geo->overview[from] < 0) from--;
    if (w->level - from > MOST_STEPS)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: level %d without overviews (gdaladdo makes them; by more than 2^%d nothing is reduced)",
                          geo->name, w->level, MOST_STEPS);
    samc_status status;
    if (from == w->level) {
        const size_t pixels = (size_t)w->width * (size_t)w->height;
        r.samples = malloc(pixels * sample_size(geo) * (size_t)geo->channels);
        r.valid = malloc(pixels);
        status = r.samples && r.valid ? samc__geo_samples(geo, w, r.samples, r.valid, error) : no_memory(geo, error);
        if (status == SAMC_OK) colour(geo, r.samples, r.valid, pixels, rgb);
        if (status == SAMC_OK && valid != NULL) memcpy(valid, r.valid, pixels);
    } else {
        status = reduce(geo, w, from, rgb, valid, &r, error);
    }
    free_rooms(&r);
    return status;
}

samc_status samc__geo_window(samc_geo *geo, const samc__scene_window *w, uint8_t *rgb, uint8_t *valid,
                             samc_error *error) {
    const int64_t width = samc__scene_side(geo->info.width, w->level < 0 ? 0 : w->level),
                  height = samc__scene_side(geo->info.height, w->level < 0 ? 0 : w->level);
    if (w->level < 0 || w->level >= SAMC__SCENE_LEVELS || w->x < 0 || w->y < 0 || w->width < 1 || w->height < 1 ||
        w->x > width - w->width || w->y > height - w->height || (int64_t)w->width * w->height > SAMC_IMAGE_MOST_PIXELS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a window of %d x %d pixels at %lld, %lld of level %d",
                          geo->name, w->width, w->height, (long long)w->x, (long long)w->y, w->level);
    char **before = samc__gdal_enter(geo->g);
    const samc_status status = read_window(geo, w, rgb, valid, error);
    samc__gdal_leave(geo->g, before);
    return status;
}

samc_status samc_geo_read(samc_geo *geo, int64_t x, int64_t y, int width, int height, samc_image *image,
                          samc_error *error) {
    samc_image made = {.size = sizeof made, .width = width, .height = height, .row_bytes = (ptrdiff_t)width * 3};
    const samc__scene_window window = {0, x, y, width, height};
    SAMC__TRY(samc__abi_give(SAMC__ABI(samc_image), &(samc_image){0}, image, error));
    if (geo == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene");
    const bool fits = width > 0 && height > 0 && (int64_t)width * height <= SAMC_IMAGE_MOST_PIXELS;
    uint8_t *pixels = malloc(fits ? (size_t)width * (size_t)height * 3 : 1);
    geo->first_bad[0] = '\0';
    samc_status status = pixels ? samc__geo_window(geo, &window, pixels, NULL, error) : no_memory(geo, error);
    if (status == SAMC_OK && geo->first_bad[0] != '\0') status = samc__fail(error, SAMC_FORMAT, "%s", geo->first_bad);
    if (status != SAMC_OK) {
        free(pixels);
        return status;
    }
    made.pixels = pixels;
    return samc__abi_give(SAMC__ABI(samc_image), &made, image, error);
}

/* ---- As a source ----------------------------------------------------------------------------- */

static samc_status source_read(samc__scene_source *source, const samc__scene_window *window, uint8_t *rgb,
                               uint8_t *valid, samc_error *error) {
    return samc__geo_window(source->context, window, rgb, valid, error);
}

static void source_close(samc__scene_source *source) {
    samc_geo_close(source->context);
    *source = (samc__scene_source){0};
}

static void forget_bad(samc_geo *geo) {
    for (int level = 0; level < SAMC__SCENE_LEVELS; level++) {
        free(geo->bad[level]);
        geo->bad[level] = NULL;
    }
    geo->first_bad[0] = '\0';
}

void samc__geo_source(samc_geo *geo, samc__scene_source *source) {
    *source = (samc__scene_source){.name = geo->name,
                                   .width = geo->info.width,
                                   .height = geo->info.height,
                                   .scale = geo->scale,
                                   .context = geo,
                                   .read = source_read,
                                   .close = source_close};
    forget_bad(geo); /* that were met when the scale was found: they are told of again */
    geo->source = source;
}
