/* QOI: pixels one after the other, each new, near the last one, one of the last 64, or a run. Alpha is dropped, but
 * takes part in where a pixel is remembered. */
#include <string.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

bool samc__qoi_recognise(const samc__image_file *file) {
    return file->size >= 14 && memcmp(file->bytes, "qoif", 4) == 0;
}

samc_status samc__qoi_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    (void)error;
    extent->width = samc__big32(file->bytes + 4);
    extent->height = samc__big32(file->bytes + 8);
    return SAMC_OK;
}

typedef union pixel {
    struct {
        uint8_t r, g, b, a;
    };
    uint8_t bytes[4];
} pixel;

/* The pixel that the bytes at `at` say, whose first says what they are; returns their number. */
static size_t next_pixel(const uint8_t *at, const pixel seen[64], pixel *p) {
    uint8_t low = at[0] & 63;
    if (at[0] >= 0xfe) { /* three or four bytes as they are */
        memcpy(p->bytes, at + 1, at[0] == 0xfe ? 3 : 4);
        return at[0] == 0xfe ? 4 : 5;
    }
    if (at[0] >> 6 == 0) {
        *p = seen[low];
        return 1;
    }
    if (at[0] >> 6 == 1) {
        for (int c = 0; c < 3; c++) p->bytes[c] = (uint8_t)(p->bytes[c] + (low >> (4 - 2 * c) & 3) - 2);
        return 1;
    }
    p->r = (uint8_t)(p->r + low - 32 + (at[1] >> 4) - 8);
    p->g = (uint8_t)(p->g + low - 32);
    p->b = (uint8_t)(p->b + low - 32 + (at[1] & 15) - 8);
    return 2;
}

samc_status samc__qoi_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    pixel seen[64] = {0}, p = {{0, 0, 0, 255}};
    size_t at = 14, run = 0;
    uint8_t *to = samples;
    (void)orientation;
    for (int64_t i = 0; i < extent->width * extent->height; i++, to += 3) {
        if (run > 0) {
            run--;
        } else {
            /* What a pixel takes at most, beyond the end as zeros. */
            uint8_t bytes[5] = {0};
            size_t left = at < file->size ? file->size - at : 0;
            memcpy(bytes, file->bytes + at, left < 5 ? left : 5);
            if (bytes[0] >> 6 == 3 && bytes[0] < 0xfe) {
                run = bytes[0] & 63;
                at++;
            } else {
                at += next_pixel(bytes, seen, &p);
                seen[(p.r * 3 + p.g * 5 + p.b * 7 + p.a * 11) % 64] = p;
            }
            if (at > file->size) return samc__fail(error, SAMC_FORMAT, "%s: truncated QOI", file->name);
        }
        memcpy(to, p.bytes, 3);
    }
    return SAMC_OK;
}
