/* TGA: grey, colours and palettes, raw and in runs, from any of the four corners. Nothing but a footer that is often
 * missing says that a file is one, so that without it the name has to. Pixels are Pillow's. */
#include <string.h>
#include <strings.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

typedef struct targa {
    int64_t width, height;
    int kind;              /* 1 palette, 2 colours, 3 grey */
    bool runs, right, top; /* packed; the first pixel lies on the right, at the top */
    size_t depth, data;    /* bits a pixel; where pixels begin */
    size_t first, colours, entry,
        palette; /* first entry of the palette in the file, their number, bits of one; where they lie */
} targa;

bool samc__tga_recognise(const samc__image_file *file) {
    static const char footer[] = "TRUEVISION-XFILE."; /* with its zero */
    const char *dot = strrchr(file->name, '.');
    return (dot != NULL && strcasecmp(dot, ".tga") == 0) ||
           (file->size >= 18 + 26 && memcmp(file->bytes + file->size - sizeof footer, footer, sizeof footer) == 0);
}

static samc_status read_header(const samc__image_file *file, targa *t, samc_error *error) {
    const uint8_t *header = file->bytes;
    if (file->size < 18) return samc__fail(error, SAMC_FORMAT, "%s: truncated TGA", file->name);
    bool palette = header[1] == 1;
    *t = (targa){.width = samc__little16(header + 12),
                 .height = samc__little16(header + 14),
                 .kind = header[2] & 7,
                 .runs = header[2] & 8,
                 .right = header[17] & 0x10,
                 .top = header[17] & 0x20,
                 .depth = header[16],
                 .palette = 18 + (size_t)header[0],
                 .data = 18 + (size_t)header[0]};
    bool known = t->kind == 1   ? t->depth == 8
                 : t->kind == 2 ? t->depth == 16 || t->depth == 24 || t->depth == 32
                                : t->kind == 3 && (t->depth == 8 || t->depth == 16 || (t->depth == 1 && !t->runs));
    if (header[1] > 1 || header[2] > 11 || !known)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged TGA, or none (type %d of %zu bits)", file->name, header[2],
                          t->depth);
    if (palette) {
        t->first = samc__little16(header + 3);
        t->colours = samc__little16(header + 5);
        t->entry = header[7] == 15 ? 16 : header[7];
        if (t->entry != 16 && t->entry != 24 && t->entry != 32)
            return samc__fail(error, SAMC_FORMAT, "%s: damaged TGA: a palette of %zu bits", file->name, t->entry);
        t->data += t->colours * (t->entry / 8);
    }
    return SAMC_OK;
}

samc_status samc__tga_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    targa t = {0};
    SAMC__TRY(read_header(file, &t, error));
    *extent = (samc__image_extent){.width = t.width, .height = t.height};
    return SAMC_OK;
}

/* Blue, green, red of 16, 24 or 32 bits. */
static void colour(const uint8_t *from, size_t bits, uint8_t *rgb) {
    if (bits == 16) {
        uint32_t value = samc__little16(from);
        for (int c = 0; c < 3; c++) rgb[c] = (uint8_t)((value >> (10 - 5 * c) & 31) * 255 / 31);
    } else {
        for (int c = 0; c < 3; c++) rgb[c] = from[2 - c];
    }
}

static void pixel(const targa *t, uint8_t palette[256][3], const uint8_t *from, uint8_t *rgb) {
    if (t->kind == 2) colour(from, t->depth, rgb);
    else if (t->kind == 1) memcpy(rgb, palette[*from], 3);
    else memset(rgb, *from, 3); /* grey, and with 16 bits alpha behind it */
}

samc_status samc__tga_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    targa t = {0};
    (void)extent;
    (void)orientation;
    SAMC__TRY(read_header(file, &t, error));
    uint8_t palette[256][3] = {0};
    if (t.entry == 0) /* a palette's indices without a palette are greys */
        for (int i = 0; i < 256; i++) memset(palette[i], i, 3);
    for (size_t i = 0, bytes = t.entry / 8; i < t.colours && t.first + i < 256; i++) {
        if (t.palette + (i + 1) * bytes > file->size)
            return samc__fail(error, SAMC_FORMAT, "%s: truncated TGA", file->name);
        colour(file->bytes + t.palette + i * bytes, t.entry, palette[t.first + i]);
    }
    size_t width = (size_t)t.width, height = (size_t)t.height, bytes = t.depth / 8, at = t.data;
    size_t left = 0;   /* pixels left of the packet, which may go over the end of a row */
    bool same = false; /* they are all the one at `at` */
    for (size_t y = 0; y < height; y++) {
        uint8_t *row = (uint8_t *)samples + (t.top ? y : height - 1 - y) * width * 3;
        for (size_t x = 0; x < width; x++) {
            uint8_t *to = row + (t.right ? width - 1 - x : x) * 3;
            if (t.runs && left == 0) {
                if (at >= file->size) return samc__fail(error, SAMC_FORMAT, "%s: truncated TGA", file->name);
                same = file->bytes[at] & 0x80;
                left = (size_t)(file->bytes[at++] & 0x7f) + 1;
            }
            if (at >= file->size || file->size - at < bytes)
                return samc__fail(error, SAMC_FORMAT, "%s: truncated TGA", file->name);
            if (t.depth == 1) {
                memset(to, file->bytes[at] >> (7 - x % 8) & 1 ? 255 : 0, 3);
                if (x % 8 == 7 || x == width - 1) at++;
                continue;
            }
            pixel(&t, palette, file->bytes + at, to);
            left -= t.runs;
            if (!same || left == 0) at += bytes;
        }
    }
    return SAMC_OK;
}
