/* Binary PGM and PPM (P5, P6). stb_image ignores the maximum value in their header, hence these lines. */
#include <stdlib.h>

#include "host/image.h"
#include "runtime/status.h"

/* Next decimal number of the header, after blanks and comments; -1 where there is none below 2^30. */
static int64_t header_number(const uint8_t *bytes, size_t size, size_t *at) {
    bool comment = false;
    for (; *at < size; ++*at) {
        uint8_t c = bytes[*at];
        if (c == '#') comment = true;
        if (c == '\n' || c == '\r') comment = false;
        else if (!comment && c != ' ' && (c < '\t' || c > '\r')) break;
    }
    int64_t value = -1;
    for (; *at < size && bytes[*at] >= '0' && bytes[*at] <= '9'; ++*at) {
        value = (value < 0 ? 0 : value) * 10 + (bytes[*at] - '0');
        if (value >= 1 << 30) return -1;
    }
    return value;
}

samc_status samc__image_decode_pnm(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                   samc_error *error) {
    size_t at = 2, channels = bytes[1] == '6' ? 3 : 1;
    int64_t width = header_number(bytes, size, &at);
    int64_t height = header_number(bytes, size, &at);
    int64_t maximum = header_number(bytes, size, &at);
    if (width < 0 || height < 0 || maximum < 1 || maximum > 65535 || at >= size)
        return samc__fail(error, SAMC_FORMAT, "%s: malformed PNM header", name);
    at++; /* the one blank that ends the header */
    SAMC__TRY(samc__image_check_size(name, width, height, most, error));
    size_t pixels = (size_t)(width * height), wide = maximum > 255 ? 2 : 1;
    if (size - at < pixels * channels * wide) return samc__fail(error, SAMC_FORMAT, "%s: truncated PNM", name);
    *picture = (samc__picture){.pixels = malloc(pixels * 3), .width = (int)width, .height = (int)height};
    if (picture->pixels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    const uint8_t *from = bytes + at; /* [height, width, channels] of one or two bytes, the high one first */
    for (size_t i = 0; i < pixels * 3; i++) {
        const uint8_t *sample = from + (channels == 3 ? i : i / 3) * wide;
        int64_t value = wide == 2 ? sample[0] << 8 | sample[1] : sample[0];
        if (value > maximum) value = maximum;
        /* Full range is taken as it is (the high byte of 16 bits), any other range is stretched to it. */
        picture->pixels[i] = (uint8_t)(maximum == 255     ? value
                                       : maximum == 65535 ? value >> 8
                                                          : (value * 255 + maximum / 2) / maximum);
    }
    return SAMC_OK;
}
