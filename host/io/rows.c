/* Pictures by rows: the formats' row readers, and the whole picture where there is none. */
#include "host/io/rows.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/file.h"
#include "runtime/base/status.h"

static void close_reader(samc__rows *r) {
    if (r->reader != NULL) r->format->rows_close(r->reader);
    r->reader = NULL;
}

/* From the top. *orientation 1: the rows are the upright picture's. Without a reader this file is not read by rows. */
static samc_status open_reader(samc__rows *r, int *orientation, samc_error *error) {
    *orientation = 1;
    r->at = 0;
    return r->format->rows_open == NULL ? SAMC_OK : r->format->rows_open(&r->file, &r->reader, orientation, error);
}

/* The next row, as samples. */
static samc_status next_row(samc__rows *r, samc_error *error) {
    samc_status status = r->format->rows_next(r->reader, r->samples, error);
    if (status == SAMC_OK) r->at++;
    else if (r->format->rows_at == NULL) close_reader(r);
    return status;
}

/* Goes to where row `first` comes next. */
static samc_status seek(samc__rows *r, int64_t first, samc_error *error) {
    int orientation;
    const bool any = r->format->rows_at != NULL;
    if (r->reader != NULL && first < r->at && !any) close_reader(r);
    if (r->reader == NULL) SAMC__TRY(open_reader(r, &orientation, error));
    if (r->reader == NULL) return samc__fail(error, SAMC_FORMAT, "%s: it changed while it was read", r->file.name);
    if (any && first != r->at) {
        r->format->rows_at(r->reader, first);
        r->at = first;
    }
    while (r->at < first) SAMC__TRY(next_row(r, error));
    return SAMC_OK;
}

/* One pass over the rows that can be read: those that cannot are told of when they are asked for. */
static samc_status look_at_rows(samc__rows *r, samc_error *error) {
    samc_error why = {0};
    SAMC__TRY(seek(r, 0, error));
    while (r->at < r->height) {
        const samc_status status = next_row(r, &why);
        if (status == SAMC_OK) {
            samc__scaler_look(&r->scaler, r->samples, (size_t)r->width * (size_t)r->extent.channels);
            continue;
        }
        if (status == SAMC_OUT_OF_MEMORY || status == SAMC_IO) { /* the machine's, not the picture's */
            if (error != NULL) *error = why;
            return status;
        }
        if (r->format->rows_at == NULL) break;
        if (++r->at < r->height) r->format->rows_at(r->reader, r->at);
    }
    return SAMC_OK;
}

/* The passes that the scale needs. */
static samc_status measure(samc__rows *r, samc__scale scale, samc_error *error) {
    if (r->extent.sample == SAMC_SAMPLE_U8) return SAMC_OK;
    SAMC__TRY(samc__scaler_begin(&r->scaler, scale, samc__image_sampling(&r->extent), r->file.name, error));
    while (r->scaler.passes > 0) {
        SAMC__TRY(look_at_rows(r, error));
        samc__scaler_end_pass(&r->scaler);
    }
    r->scale = samc__scaler_report(&r->scaler);
    return SAMC_OK;
}

static samc_status open_whole(samc__rows *r, const samc__image_options *options, samc_error *error) {
    if (r->extent.width > options->most / r->extent.height)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: image of %lld x %lld pixels, more than the limit of %lld: it cannot be read by rows, so "
                          "that all of it would be decoded at once",
                          r->file.name, (long long)r->extent.width, (long long)r->extent.height,
                          (long long)options->most);
    SAMC__TRY(samc__image_decode_within(r->file.bytes, r->file.size, r->file.name, options, &r->whole, error));
    r->width = r->whole.width;
    r->height = r->whole.height;
    r->scale = r->whole.scale;
    return SAMC_OK;
}

static samc_status begin(samc__rows *r, const samc__image_options *options, samc_error *error) {
    int orientation;
    SAMC__TRY(samc__image_open(&r->file, &r->format, &r->extent, error));
    SAMC__TRY(open_reader(r, &orientation, error));
    if (r->reader != NULL && orientation != 1) close_reader(r);
    if (r->reader == NULL) return open_whole(r, options, error);
    r->by_rows = true;
    r->width = r->extent.width;
    r->height = r->extent.height;
    if (r->width > SAMC__ROWS_MOST_SIDE || r->height > SAMC__ROWS_MOST_SIDE)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: image of %lld x %lld pixels: a side has at most %d",
                          r->file.name, (long long)r->width, (long long)r->height, SAMC__ROWS_MOST_SIDE);
    r->samples = malloc((size_t)r->width * samc__image_pixel(&r->extent));
    if (r->samples == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file.name);
    return measure(r, options->scale, error);
}

samc_status samc__rows_open_bytes(samc__rows *r, const uint8_t *bytes, size_t size, const char *name,
                                  const samc__image_options *options, samc_error *error) {
    *r = (samc__rows){.name = strdup(name)};
    if (r->name == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    r->file = (samc__image_file){bytes, size, r->name, options->page, options->scale};
    return begin(r, options, error);
}

samc_status samc__rows_open(samc__rows *r, const char *path, const samc__image_options *options, samc_error *error) {
    int handle, code;
    struct stat information;
    *r = (samc__rows){.name = strdup(path)};
    if (r->name == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    SAMC__TRY(samc__file_open(path, &handle, &information, &code, error));
    r->map_size = (size_t)information.st_size;
    if (r->map_size > 0) r->map = mmap(NULL, r->map_size, PROT_READ, MAP_PRIVATE, handle, 0);
    close(handle);
    if (r->map == MAP_FAILED) {
        r->map = NULL;
        return samc__fail(error, SAMC_IO, "%s: cannot be mapped", path);
    }
    r->file = (samc__image_file){r->map, r->map_size, r->name, options->page, options->scale};
    return begin(r, options, error);
}

samc_status samc__rows_read(samc__rows *r, int64_t first, int64_t count, uint8_t *rgb, samc_error *error) {
    const size_t row = (size_t)r->width * 3;
    if (first < 0 || count < 0 || first > r->height - count)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: rows %lld to %lld of %lld", r->name, (long long)first,
                          (long long)(first + count - 1), (long long)r->height);
    if (!r->by_rows) {
        memcpy(rgb, r->whole.pixels + (size_t)first * row, (size_t)count * row);
        return SAMC_OK;
    }
    if (count > 0) SAMC__TRY(seek(r, first, error));
    for (; count > 0; count--, rgb += row) {
        SAMC__TRY(next_row(r, error));
        if (r->extent.sample == SAMC_SAMPLE_U8) memcpy(rgb, r->samples, row);
        else samc__scaler_apply(&r->scaler, r->samples, (size_t)r->width, rgb);
    }
    return SAMC_OK;
}

void samc__rows_close(samc__rows *r) {
    close_reader(r);
    samc__scaler_end(&r->scaler);
    samc__picture_free(&r->whole);
    if (r->map != NULL) munmap(r->map, r->map_size);
    free(r->samples);
    free(r->name);
    *r = (samc__rows){0};
}
