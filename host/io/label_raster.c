/* Masks as a raster of their ids, painted into a file. */
#include "host/io/label_raster.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/spool.h"
#include "runtime/base/status.h"

enum { STRIP = 8 << 20, WRITE = 1 << 16 }; /* pixels of a mask that are turned at a time; that are written at a time */

static samc_status fail(const samc__label_raster *r, samc_error *error, int reason) {
    return samc__fail(error, SAMC_IO, "%s: %s", r->name, strerror(reason));
}

samc_status samc__label_raster_open(samc__label_raster *r, const char *path, const char *folder, samc_error *error) {
    r->file = path != NULL ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : samc__unnamed_file(folder);
    if (r->file < 0) return fail(r, error, errno);
    const int64_t bytes = r->width * r->height * (int64_t)sizeof(uint32_t); /* sides have 24 bits */
    return ftruncate(r->file, bytes) == 0 ? SAMC_OK : fail(r, error, errno);
}

static samc_status write_all(const samc__label_raster *r, const void *bytes, size_t size, int64_t at,
                             samc_error *error) {
    for (const char *from = bytes; size > 0;) {
        const ssize_t done = pwrite(r->file, from, size, at);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return fail(r, error, done < 0 ? errno : ENOSPC);
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

static samc_status paint(const samc__label_raster *r, const samc_geo_mask *mask, int64_t from, int64_t width,
                         const uint8_t *bytes, const uint32_t *ids, samc_error *error) {
    for (int64_t y = 0; y < mask->height; y++) {
        const uint8_t *row = bytes + y * width;
        for (int64_t x = 0; x < width;) {
            int64_t end = x;
            while (end < width && end - x < WRITE && row[end]) end++;
            if (end > x) {
                const int64_t pixel = (mask->y + y) * r->width + mask->x + from + x;
                SAMC__TRY(write_all(r, ids, (size_t)(end - x) * sizeof *ids, pixel * (int64_t)sizeof *ids, error));
            }
            x = end > x ? end : x + 1;
        }
    }
    return SAMC_OK;
}

samc_geo_mask samc__geo_mask_of(const samc__scene_record *r, int64_t id, const uint32_t *counts) {
    return (samc_geo_mask){.size = sizeof(samc_geo_mask),
                           .id = id,
                           .x = r->x,
                           .y = r->y,
                           .width = r->width,
                           .height = r->height,
                           .counts = counts,
                           .count = (size_t)r->count,
                           .level = r->level,
                           .predicted_iou = r->iou,
                           .stability_score = r->stability};
}

samc_status samc__label_raster_add(samc__label_raster *r, const samc_geo_mask *mask, samc_error *error) {
    uint64_t sum = 0;
    for (size_t i = 0; i < mask->count; i++) sum += mask->counts[i];
    if (mask->id < 1 || mask->id > UINT32_MAX)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: a raster of 32 bits has no room for the id %lld", r->name,
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
        status = paint(r, mask, from, here, bytes, ids, error);
    }
    free(bytes);
    free(ids);
    return status;
}

samc_status samc__label_raster_read(const samc__label_raster *r, int64_t x, int64_t y, int64_t count, uint32_t *ids,
                                    samc_error *error) {
    const int64_t from = (y * r->width + x) * (int64_t)sizeof *ids;
    const size_t size = (size_t)count * sizeof *ids;
    for (size_t done = 0; done < size;) {
        const ssize_t now = pread(r->file, (char *)ids + done, size - done, from + (int64_t)done);
        if (now < 0 && errno == EINTR) continue;
        if (now <= 0) return fail(r, error, now < 0 ? errno : EIO);
        done += (size_t)now;
    }
    return SAMC_OK;
}

void samc__label_raster_close(samc__label_raster *r) {
    if (r->file >= 0) close(r->file);
    r->file = -1;
}
