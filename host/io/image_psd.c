/* PSD: the merged picture of 8 or, in grey and colours, 16 bits, plain or in PackBits. Layers are not looked at, alpha
 * is dropped. */
#include <stdlib.h>
#include <string.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

enum { GREY = 1, INDEXED = 2, COLOURS = 3, CMYK = 4, DUOTONE = 8, MULTICHANNEL = 7 };

typedef struct photoshop {
    int64_t width, height;
    uint32_t channels, depth, mode;
    size_t palette, used; /* where the palette lies; channels that make the picture */
    size_t data;          /* the two bytes of the compression */
} photoshop;

bool samc__psd_recognise(const samc__image_file *file) {
    return file->size >= 4 && memcmp(file->bytes, "8BPS", 4) == 0;
}

static samc_status truncated(const samc__image_file *file, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: truncated PSD", file->name);
}

static samc_status read_header(const samc__image_file *file, photoshop *p, samc_error *error) {
    const uint8_t *bytes = file->bytes;
    if (file->size < 30) return truncated(file, error);
    *p = (photoshop){.width = samc__big32(bytes + 18),
                     .height = samc__big32(bytes + 14),
                     .channels = samc__big16(bytes + 12),
                     .depth = samc__big16(bytes + 22),
                     .mode = samc__big16(bytes + 24),
                     .palette = 30,
                     .data = 26};
    bool grey = p->mode == GREY || p->mode == DUOTONE || p->mode == MULTICHANNEL;
    p->used = p->mode == COLOURS ? 3 : p->mode == CMYK ? 4 : 1;
    if (samc__big16(bytes + 4) != 1 || !(grey || p->mode == INDEXED || p->mode == COLOURS || p->mode == CMYK) ||
        !(p->depth == 8 || (p->depth == 16 && (p->mode == GREY || p->mode == COLOURS))))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: PSD of version %u, colour mode %u and %u bits", file->name,
                          samc__big16(bytes + 4), p->mode, p->depth);
    if (p->channels < p->used)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged PSD: %u channels", file->name, p->channels);
    if (p->mode == INDEXED && samc__big32(bytes + 26) != 768)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged PSD: a palette of %u bytes", file->name,
                          samc__big32(bytes + 26));
    return SAMC_OK;
}

samc_status samc__psd_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    photoshop p = {0};
    SAMC__TRY(read_header(file, &p, error));
    *extent = (samc__image_extent){
        .width = p.width, .height = p.height, .peak = p.width * (2 + 4)}; /* a row as stored and one of pixels */
    return SAMC_OK;
}

/* A row of `size` bytes in PackBits, from `length` bytes that hold nothing else but codes that mean nothing. */
static bool unpack(const uint8_t *from, size_t length, uint8_t *to, size_t size) {
    size_t at = 0, done = 0;
    while (done < size) {
        if (at == length) return false;
        size_t code = from[at++], count = code < 128 ? code + 1 : 257 - code;
        if (code == 128) continue; /* means nothing */
        if (count > size - done || length - at < (code < 128 ? count : 1)) return false;
        if (code < 128) memcpy(to + done, from + at, count);
        else memset(to + done, from[at], count);
        at += code < 128 ? count : 1;
        done += count;
    }
    while (at < length && from[at] == 128) at++;
    return at == length;
}

/* Channel by channel, all rows of one before the next: where each of the next rows begins is kept for every channel. */
static samc_status read_rows(const samc__image_file *file, const photoshop *p, uint8_t *rgb, uint8_t *row,
                             uint8_t *pixels, samc_error *error) {
    size_t width = (size_t)p->width, height = (size_t)p->height, size = width * p->depth / 8, at = p->data + 2;
    size_t begin[4] = {0}; /* of each channel's next row */
    uint32_t compression = samc__big16(file->bytes + p->data);
    const uint8_t *lengths = file->bytes + at; /* [channels, height] of two bytes, where packed */
    if (compression > 1)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: PSD with compression %u", file->name, compression);
    if (compression == 1) {
        if ((file->size - at) / 2 / p->channels < height) return truncated(file, error);
        at += 2 * p->channels * height;
        for (size_t c = 0; c < p->used; c++) {
            begin[c] = at;
            for (size_t y = 0; y < height; y++) at += samc__big16(lengths + 2 * (c * height + y));
        }
    } else {
        for (size_t c = 0; c < p->used; c++, at += size * height) begin[c] = at;
    }
    if (at > file->size) return truncated(file, error);
    for (size_t y = 0; y < height; y++, rgb += width * 3) {
        for (size_t c = 0; c < p->used; c++) {
            const uint8_t *from = file->bytes + begin[c];
            size_t length = compression == 1 ? samc__big16(lengths + 2 * (c * height + y)) : size;
            begin[c] += length;
            if (compression == 1 && !unpack(from, length, row, size))
                return samc__fail(error, SAMC_FORMAT, "%s: damaged PSD: a packed row is no row", file->name);
            if (compression == 1) from = row;
            for (size_t x = 0; x < width; x++)
                pixels[x * p->used + c] = from[x * p->depth / 8]; /* the high byte of 16 bits */
        }
        if (p->used == 4) samc__cmyk_to_rgb(pixels, rgb, width);
        else if (p->used == 3) memcpy(rgb, pixels, width * 3);
        for (size_t x = 0; x < width && p->used == 1; x++)
            for (size_t c = 0; c < 3; c++)
                rgb[x * 3 + c] = p->mode == INDEXED ? file->bytes[p->palette + c * 256 + pixels[x]] : pixels[x];
    }
    return SAMC_OK;
}

samc_status samc__psd_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    photoshop p = {0};
    (void)orientation;
    SAMC__TRY(read_header(file, &p, error));
    for (int section = 0; section < 3; section++) { /* palette, resources, layers */
        if (file->size - p.data < 4) return truncated(file, error);
        size_t length = samc__big32(file->bytes + p.data);
        if (length > file->size - p.data - 4) return truncated(file, error);
        p.data += 4 + length;
    }
    if (file->size - p.data < 2) return truncated(file, error);
    size_t width = (size_t)extent->width;
    uint8_t *row = malloc(width * 2), *pixels = malloc(width * 4); /* [width] samples; [width, used] */
    samc_status status = row == NULL || pixels == NULL
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name)
                             : read_rows(file, &p, samples, row, pixels, error);
    free(row);
    free(pixels);
    return status;
}
