/* BMP and DIB (a BMP without its file header): headers of 12, 40, 52, 56, 64, 108 and 124 bytes, 1 to 32 bits, colour
 * masks, RLE4 and RLE8, rows from either end. Pixels are Pillow's: n bits become v * 255 / (2^n - 1), rounded down. */
#include <string.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

enum { RAW = 0, RLE8 = 1, RLE4 = 2, MASKS = 3 };

typedef struct bitmap {
    int64_t width, height;
    bool top_down;
    uint32_t bits, compression;
    uint32_t masks[3];              /* red, green, blue; all 0 where a palette says the colour */
    size_t palette, colours, entry; /* where the palette begins, its entries, bytes of one */
    size_t data;                    /* where pixels begin */
} bitmap;

static bool known_header(uint32_t size) {
    return size == 12 || size == 40 || size == 52 || size == 56 || size == 64 || size == 108 || size == 124;
}

bool samc__bmp_recognise(const samc__image_file *file) {
    if (file->size >= 2 && memcmp(file->bytes, "BM", 2) == 0) return true;
    /* A DIB: a header's size, one plane, a sensible number of bits. */
    if (file->size < 16 || !known_header(samc__little32(file->bytes))) return false;
    const uint8_t *planes = file->bytes + (file->bytes[0] == 12 ? 8 : 12);
    uint32_t bits = samc__little16(planes + 2);
    return samc__little16(planes) == 1 &&
           (bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32);
}

/* Bits of a mask in one piece: how far up it lies and its largest value. */
static bool mask_range(uint32_t mask, unsigned *shift, uint32_t *most) {
    if (mask == 0) return false;
    *shift = (unsigned)__builtin_ctz(mask);
    *most = mask >> *shift;
    return (*most & (*most + 1)) == 0;
}

static samc_status damaged(const samc__image_file *file, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged BMP: %s", file->name, what);
}

static samc_status read_header(const samc__image_file *file, bitmap *b, samc_error *error) {
    const uint8_t *bytes = file->bytes;
    size_t start = memcmp(bytes, "BM", 2) == 0 ? 14 : 0, given = 0;
    *b = (bitmap){0};
    if (file->size < start + 12) return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
    if (start > 0) given = samc__little32(bytes + 10);
    const uint8_t *header = bytes + start;
    uint32_t length = samc__little32(header);
    if (!known_header(length))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: BMP with a header of %u bytes", file->name, length);
    if (length > file->size - start) return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
    size_t at = start + length;
    if (length == 12) {
        b->width = samc__little16(header + 4);
        b->height = samc__little16(header + 6);
        b->bits = samc__little16(header + 10);
        b->entry = 3;
    } else {
        int32_t height = (int32_t)samc__little32(header + 8);
        b->width = (int32_t)samc__little32(header + 4);
        b->top_down = height < 0;
        b->height = height < 0 ? -(int64_t)height : height;
        b->bits = samc__little16(header + 14);
        b->compression = samc__little32(header + 16);
        b->colours = samc__little32(header + 32);
        b->entry = 4;
    }
    if (b->bits != 1 && b->bits != 2 && b->bits != 4 && b->bits != 8 && b->bits != 16 && b->bits != 24 && b->bits != 32)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: BMP of %u bits a pixel", file->name, b->bits);
    bool palette = b->bits <= 8, os2 = length == 64; /* whose compression 3 and 4 are others */
    if (b->compression > (os2 ? RLE4 : MASKS) || (b->compression == RLE8 && b->bits != 8) ||
        (b->compression == RLE4 && b->bits != 4) || (b->compression == MASKS && palette))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: BMP of %u bits with compression %u", file->name, b->bits,
                          b->compression);
    if (palette) {
        if (b->colours == 0) b->colours = (size_t)1 << b->bits;
        if (b->colours > 65536) return damaged(file, "more than 65536 colours", error);
        b->palette = at;
        at += b->colours * b->entry;
        /* Writers that forget the palette point at its beginning. */
        if (start > 0 && given == start + length) given += b->colours * 4;
    } else if (b->compression == MASKS) {
        if (length == 40) at += 12; /* they lie behind the header, which larger ones took in */
        if (at > file->size) return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
        for (int c = 0; c < 3; c++) b->masks[c] = samc__little32(header + 40 + 4 * c);
    }
    if (b->bits == 16 && b->compression == RAW) memcpy(b->masks, (uint32_t[]){0x7c00, 0x3e0, 0x1f}, sizeof b->masks);
    if (b->bits > 16 && (b->compression == RAW || (b->bits == 32 && (b->masks[0] | b->masks[1] | b->masks[2]) == 0)))
        memcpy(b->masks, (uint32_t[]){0xff0000, 0xff00, 0xff}, sizeof b->masks);
    unsigned shift;
    uint32_t most;
    for (int c = 0; c < 3 && !palette; c++)
        if (!mask_range(b->masks[c], &shift, &most) || (b->bits < 32 && b->masks[c] >> b->bits != 0))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: BMP with colour masks %08x %08x %08x", file->name,
                              b->masks[0], b->masks[1], b->masks[2]);
    b->data = given != 0 ? given : at;
    return SAMC_OK;
}

samc_status samc__bmp_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    bitmap b;
    SAMC__TRY(read_header(file, &b, error));
    *extent = (samc__image_extent){.width = b.width, .height = b.height};
    return SAMC_OK;
}

static void read_palette(const samc__image_file *file, const bitmap *b, uint8_t palette[256][3]) {
    size_t count = 0;
    for (size_t at = b->palette; count < b->colours && count < 256 && at + 3 <= file->size; count++, at += b->entry)
        for (int c = 0; c < 3; c++) palette[count][c] = file->bytes[at + 2 - (size_t)c]; /* blue, green, red */
    samc__palette_complete(palette, count);
}

static samc_status read_rows(const samc__image_file *file, const bitmap *b, uint8_t palette[256][3], uint8_t *rgb,
                             samc_error *error) {
    size_t width = (size_t)b->width, height = (size_t)b->height, bits = b->bits;
    size_t row = (width * bits + 7) / 8, stride = (width * bits + 31) / 32 * 4;
    if (b->data > file->size || (height - 1) * stride + row > file->size - b->data)
        return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
    unsigned shift[3] = {0};
    uint32_t most[3] = {0};
    for (int c = 0; c < 3 && bits > 8; c++) mask_range(b->masks[c], &shift[c], &most[c]);
    for (size_t y = 0; y < height; y++) {
        const uint8_t *from = file->bytes + b->data + y * stride;
        uint8_t *to = rgb + (b->top_down ? y : height - 1 - y) * width * 3;
        if (bits <= 8) {
            for (size_t x = 0; x < width; x++, to += 3)
                memcpy(to, palette[from[x * bits / 8] >> (8 - bits - x * bits % 8) & ((1u << bits) - 1)], 3);
            continue;
        }
        for (size_t x = 0; x < width; x++, from += bits / 8) {
            uint32_t value = samc__little16(from);
            if (bits > 16) value |= (uint32_t)from[2] << 16;
            if (bits > 24) value |= (uint32_t)from[3] << 24;
            for (int c = 0; c < 3; c++)
                *to++ = (uint8_t)((uint64_t)((value & b->masks[c]) >> shift[c]) * 255 / most[c]);
        }
    }
    return SAMC_OK;
}

/* RLE4 and RLE8: pairs of a count and a colour, or of 0 and an escape. Pixels that are jumped over have colour 0. */
static samc_status read_runs(const samc__image_file *file, const bitmap *b, uint8_t palette[256][3], uint8_t *rgb,
                             samc_error *error) {
    size_t width = (size_t)b->width, height = (size_t)b->height, at = b->data, x = 0, y = 0;
    bool nibbles = b->compression == RLE4;
    for (size_t i = 0; i < width * height; i++) memcpy(rgb + i * 3, palette[0], 3);
    for (;;) {
        if (at > file->size || file->size - at < 2) {
            /* Writers exist that leave out the end mark behind the last row. */
            if (y >= height || (y == height - 1 && x == width)) return SAMC_OK;
            return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
        }
        uint8_t count = file->bytes[at], value = file->bytes[at + 1];
        at += 2;
        size_t run = count > 0 ? count : value, left = x < width && y < height ? width - x : 0;
        const uint8_t *literal = count > 0 ? NULL : file->bytes + at;
        if (count == 0 && value == 1) return SAMC_OK; /* end of the picture */
        if (count == 0 && value == 0) {               /* end of the row */
            x = 0;
            y++;
            continue;
        }
        if (count == 0 && value == 2) { /* a jump to the right and to later rows */
            if (file->size - at < 2) return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
            x += file->bytes[at];
            y += file->bytes[at + 1];
            at += 2;
            if (x > width || y > height) return damaged(file, "a jump out of the picture", error);
            continue;
        }
        if (count == 0) {
            size_t bytes = nibbles ? (run + 1) / 2 : run;
            if (file->size - at < bytes) return samc__fail(error, SAMC_FORMAT, "%s: truncated BMP", file->name);
            if (run > left) return damaged(file, "pixels beyond their row", error);
            at += bytes + (bytes & 1);
        }
        if (run > left) run = left; /* of a run, what is too much is no loss */
        if (run == 0) continue;
        uint8_t *to = rgb + ((b->top_down ? y : height - 1 - y) * width + x) * 3;
        for (size_t i = 0; i < run; i++) {
            uint8_t index = literal == NULL ? value : literal[nibbles ? i / 2 : i];
            if (nibbles) index = i % 2 == 0 ? index >> 4 : index & 15;
            memcpy(to + i * 3, palette[index], 3);
        }
        x += run;
    }
}

static samc_status read_bitmap(const samc__image_file *file, const bitmap *b, uint8_t *rgb, samc_error *error) {
    uint8_t palette[256][3];
    read_palette(file, b, palette);
    return b->compression == RLE4 || b->compression == RLE8 ? read_runs(file, b, palette, rgb, error)
                                                            : read_rows(file, b, palette, rgb, error);
}

samc_status samc__bmp_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    bitmap b;
    (void)extent;
    (void)orientation;
    SAMC__TRY(read_header(file, &b, error));
    return read_bitmap(file, &b, samples, error);
}

/* ---- In icons -------------------------------------------------------------------------------- */

static samc_status read_icon(const samc__image_file *file, bitmap *b, samc_error *error) {
    if (!known_header(samc__little32(file->bytes)))
        return samc__fail(error, SAMC_FORMAT, "%s: damaged icon: neither PNG nor BMP", file->name);
    SAMC__TRY(read_header(file, b, error));
    b->height /= 2;
    return SAMC_OK;
}

samc_status samc__icon_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    bitmap b = {0};
    SAMC__TRY(read_icon(file, &b, error));
    *extent = (samc__image_extent){.width = b.width, .height = b.height};
    return SAMC_OK;
}

samc_status samc__icon_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              samc_error *error) {
    bitmap b = {0};
    (void)extent;
    SAMC__TRY(read_icon(file, &b, error));
    return read_bitmap(file, &b, samples, error);
}
