/* PBM, PGM and PPM, binary (P4, P5, P6) and in letters (P1, P2, P3). */
#include <math.h>
#include <string.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

typedef struct netpbm {
    int64_t width, height, maximum;
    int kind; /* 1 bits, 2 greys, 3 colours */
    bool letters;
    size_t data;
} netpbm;

/* Past blanks and comments. */
static void skip(const samc__image_file *file, size_t *at) {
    bool comment = false;
    for (; *at < file->size; ++*at) {
        uint8_t c = file->bytes[*at];
        if (c == '#') comment = true;
        if (c == '\n' || c == '\r') comment = false;
        else if (!comment && c != ' ' && (c < '\t' || c > '\r')) break;
    }
}

/* The next decimal number; -1 where there is none below 2^30. */
static int64_t number(const samc__image_file *file, size_t *at) {
    skip(file, at);
    int64_t value = -1;
    for (; *at < file->size && file->bytes[*at] >= '0' && file->bytes[*at] <= '9'; ++*at) {
        value = (value < 0 ? 0 : value) * 10 + (file->bytes[*at] - '0');
        if (value >= 1 << 30) return -1;
    }
    return value;
}

bool samc__pnm_recognise(const samc__image_file *file) {
    return file->size >= 3 && file->bytes[0] == 'P' && file->bytes[1] >= '1' && file->bytes[1] <= '6' &&
           (file->bytes[2] == ' ' || file->bytes[2] == '#' || (file->bytes[2] >= '\t' && file->bytes[2] <= '\r'));
}

static samc_status read_header(const samc__image_file *file, netpbm *p, samc_error *error) {
    int digit = file->bytes[1] - '0';
    *p = (netpbm){.kind = digit > 3 ? digit - 3 : digit, .letters = digit <= 3, .data = 2, .maximum = 1};
    p->width = number(file, &p->data);
    p->height = number(file, &p->data);
    if (p->kind > 1) p->maximum = number(file, &p->data);
    if (p->width < 0 || p->height < 0 || p->maximum < 1 || p->maximum > 65535 || p->data >= file->size)
        return samc__fail(error, SAMC_FORMAT, "%s: malformed PNM header", file->name);
    p->data++; /* the one blank that ends the header */
    return SAMC_OK;
}

samc_status samc__pnm_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    netpbm p;
    SAMC__TRY(read_header(file, &p, error));
    *extent = (samc__image_extent){.width = p.width, .height = p.height};
    return SAMC_OK;
}

/* Full range is taken as it is, 16 bits by their high byte, any other range is stretched to it as Pillow does: greys
 * above 8 bits to 16 first. */
static uint8_t scale(const netpbm *p, int64_t value) {
    if (value > p->maximum) value = p->maximum;
    if (p->maximum == 255) return (uint8_t)value;
    if (p->maximum == 65535) return (uint8_t)(value >> 8);
    double part = (double)value / (double)p->maximum;
    return p->maximum > 255 && p->kind == 2 ? (uint8_t)((int)nearbyint(part * 65535) >> 8)
                                            : (uint8_t)nearbyint(part * 255);
}

/* Bits are ink: 1 is black. */
static samc_status read_bits(const samc__image_file *file, const netpbm *p, uint8_t *rgb, samc_error *error) {
    size_t width = (size_t)p->width, height = (size_t)p->height, row = (width + 7) / 8, at = p->data;
    if (!p->letters && file->size - at < row * height)
        return samc__fail(error, SAMC_FORMAT, "%s: truncated PNM", file->name);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++, rgb += 3) {
            bool ink;
            if (p->letters) {
                skip(file, &at);
                if (at >= file->size) return samc__fail(error, SAMC_FORMAT, "%s: truncated PNM", file->name);
                uint8_t letter = file->bytes[at++]; /* no blank is needed between two */
                if (letter != '0' && letter != '1')
                    return samc__fail(error, SAMC_FORMAT, "%s: damaged PNM: neither 0 nor 1", file->name);
                ink = letter == '1';
            } else {
                ink = file->bytes[at + y * row + x / 8] >> (7 - x % 8) & 1;
            }
            memset(rgb, ink ? 0 : 255, 3);
        }
    return SAMC_OK;
}

static samc_status read_letters(const samc__image_file *file, const netpbm *p, uint8_t *samples, size_t count,
                                size_t copies, samc_error *error) {
    size_t at = p->data;
    for (size_t i = 0; i < count; i++) {
        skip(file, &at);
        if (at >= file->size) return samc__fail(error, SAMC_FORMAT, "%s: truncated PNM", file->name);
        int64_t value = number(file, &at);
        if (value < 0 || value > p->maximum)
            return samc__fail(error, SAMC_FORMAT, "%s: damaged PNM: no number up to %lld", file->name,
                              (long long)p->maximum);
        memset(samples + i * copies, scale(p, value), copies);
    }
    return SAMC_OK;
}

samc_status samc__pnm_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    netpbm p;
    (void)orientation;
    SAMC__TRY(read_header(file, &p, error));
    if (p.kind == 1) return read_bits(file, &p, samples, error);
    size_t pixels = (size_t)(extent->width * extent->height), wide = p.maximum > 255 ? 2 : 1;
    size_t count = pixels * (p.kind == 3 ? 3 : 1), copies = p.kind == 3 ? 1 : 3; /* of a grey */
    if (p.letters) return read_letters(file, &p, samples, count, copies, error);
    if (file->size - p.data < count * wide) return samc__fail(error, SAMC_FORMAT, "%s: truncated PNM", file->name);
    const uint8_t *from = file->bytes + p.data; /* [height, width, channels] of one or two bytes, the high one first */
    for (size_t i = 0; i < count; i++, from += wide)
        memset((uint8_t *)samples + i * copies, scale(&p, wide == 2 ? (int64_t)samc__big16(from) : *from), copies);
    return SAMC_OK;
}
