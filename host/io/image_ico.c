/* ICO: of its pictures the one that Pillow takes, the largest, and of equal ones that of the fewest colours. It is a
 * PNG, or a DIB of twice its height, whose lower half is a mask that does not count here. */
#include <string.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

bool samc__ico_recognise(const samc__image_file *file) {
    return file->size >= 22 && memcmp(file->bytes, "\0\0\1\0", 4) == 0 && samc__little16(file->bytes + 4) > 0;
}

/* Bits a pixel, as far as an entry [16] of the directory says them; 256: it does not. */
static int depth_of(const uint8_t *entry) {
    int bits = (int)samc__little16(entry + 6), colours = 0;
    if (bits > 0) return bits;
    while (1 << colours < entry[2]) colours++;
    return colours > 0 ? colours : 256;
}

static int area_of(const uint8_t *entry) { return (entry[0] > 0 ? entry[0] : 256) * (entry[1] > 0 ? entry[1] : 256); }

/* The chosen picture as a file of its own. */
static samc_status choose(const samc__image_file *file, samc__image_file *picture, bool *png, samc_error *error) {
    const uint8_t *best = file->bytes + 6;
    size_t count = samc__little16(file->bytes + 4);
    if ((file->size - 6) / 16 < count) return samc__fail(error, SAMC_FORMAT, "%s: truncated ICO", file->name);
    for (size_t i = 1; i < count; i++) {
        const uint8_t *entry = file->bytes + 6 + 16 * i;
        int more = area_of(entry) - area_of(best);
        if (more > 0 || (more == 0 && depth_of(entry) < depth_of(best))) best = entry;
    }
    size_t offset = samc__little32(best + 12);
    if (offset >= file->size || file->size - offset < 12)
        return samc__fail(error, SAMC_FORMAT, "%s: truncated ICO", file->name);
    *picture = (samc__image_file){.bytes = file->bytes + offset, .size = file->size - offset, .name = file->name};
    *png = samc__png_recognise(picture);
    return SAMC_OK;
}

samc_status samc__ico_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    samc__image_file picture;
    bool png;
    SAMC__TRY(choose(file, &picture, &png, error));
    SAMC__TRY(png ? samc__png_header(&picture, extent, error) : samc__icon_header(&picture, extent, error));
    extent->pages = 1;
    return SAMC_OK;
}

samc_status samc__ico_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    samc__image_file picture;
    bool png;
    SAMC__TRY(choose(file, &picture, &png, error));
    return png ? samc__png_decode(&picture, extent, samples, orientation, error)
               : samc__icon_decode(&picture, extent, samples, error);
}
