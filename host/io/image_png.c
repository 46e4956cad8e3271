/* PNG, unpacked row by row with zlib: every colour type and depth, interlaced or not, and Apple's CgBI variant, which
 * has no zlib header and stores blue, green, red, multiplied by alpha. Alpha and transparent colours are dropped. 16
 * bits are handed out as they are, but Apple's, which keep the high byte. Animations give their default picture. Memory
 * is what the picture needs, whatever its packed data would unpack to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "host/io/crc.h"
#include "host/io/image_format.h"
#include "runtime/base/status.h"

enum { GREY = 0, COLOURS = 2, PALETTE = 3, GREY_ALPHA = 4, COLOURS_ALPHA = 6 };

typedef struct png {
    uint32_t width, height;
    int depth, type, interlaced;
    bool apple;              /* CgBI */
    size_t channels;         /* of the file */
    uint8_t palette[256][3]; /* entries that are not there are black */
} png;

typedef struct chunk {
    size_t length;
    const uint8_t *type, *data;
} chunk;

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

bool samc__png_recognise(const samc__image_file *file) {
    return file->size >= 8 && memcmp(file->bytes, signature, 8) == 0;
}

static samc_status truncated(const samc__image_file *file, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: truncated PNG", file->name);
}

/* The chunk at *at, and on to the next one; fails at the end of the file. */
static samc_status next_chunk(const samc__image_file *file, size_t *at, chunk *c, samc_error *error) {
    size_t left = file->size - *at;
    if (left < 12) return truncated(file, error);
    *c =
        (chunk){.length = samc__big32(file->bytes + *at), .type = file->bytes + *at + 4, .data = file->bytes + *at + 8};
    if (c->length > left - 12) return truncated(file, error);
    *at += c->length + 12;
    return SAMC_OK;
}

static bool is(const chunk *c, const char *type) { return memcmp(c->type, type, 4) == 0; }

/* The header is the first chunk, or follows Apple's. */
static samc_status read_header(const samc__image_file *file, png *p, size_t *at, samc_error *error) {
    chunk c = {0};
    *p = (png){0};
    *at = sizeof signature;
    SAMC__TRY(next_chunk(file, at, &c, error));
    if (is(&c, "CgBI")) {
        p->apple = true;
        SAMC__TRY(next_chunk(file, at, &c, error));
    }
    if (!is(&c, "IHDR") || c.length != 13)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged PNG: no header", file->name);
    p->width = samc__big32(c.data);
    p->height = samc__big32(c.data + 4);
    p->depth = c.data[8];
    p->type = c.data[9];
    p->interlaced = c.data[12];
    static const uint8_t channels[] = {[GREY] = 1, [COLOURS] = 3, [PALETTE] = 1, [GREY_ALPHA] = 2, [COLOURS_ALPHA] = 4};
    p->channels = p->type < (int)sizeof channels ? channels[p->type] : 0;
    bool depth = p->depth == 8 || (p->depth == 16 && p->type != PALETTE) ||
                 ((p->depth == 1 || p->depth == 2 || p->depth == 4) && (p->type == GREY || p->type == PALETTE));
    if (p->channels == 0 || !depth || c.data[10] != 0 || c.data[11] != 0 || p->interlaced > 1)
        return samc__fail(error, SAMC_FORMAT,
                          "%s: damaged PNG: colour type %d of %d bits, compression %d, filter %d, interlace %d",
                          file->name, p->type, p->depth, c.data[10], c.data[11], p->interlaced);
    return SAMC_OK;
}

static size_t row_bytes(const png *p, size_t width) { return (width * p->channels * (size_t)p->depth + 7) / 8; }

/* 16 bits of grey or colours stay that. */
static bool is_wide(const png *p) { return p->depth == 16 && !p->apple; }
static int wide_channels(const png *p) { return p->type == GREY || p->type == GREY_ALPHA ? 1 : 3; }

samc_status samc__png_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    png p;
    size_t at;
    SAMC__TRY(read_header(file, &p, &at, error));
    *extent = (samc__image_extent){.width = p.width, .height = p.height};
    if (is_wide(&p)) extent->sample = SAMC_SAMPLE_U16, extent->channels = wide_channels(&p);
    /* Two rows and zlib's window, or later the picture once more, when it is turned. */
    int64_t rows = 2 * (int64_t)row_bytes(&p, p.width) + (1 << 16), turned = 0;
    if (p.width < 1 << 30 && p.height < 1 << 30)
        turned = (int64_t)p.width * 3 * p.height; /* larger ones are refused all the same */
    extent->peak = turned > rows ? turned : rows;
    return SAMC_OK;
}

/* ---- Orientation ----------------------------------------------------------------------------- */

/* What the chunks say, 0 where they say nothing. The last of several counts. */
typedef struct metadata {
    int exif, raw, xmp;
} metadata;

/* Unpacks a text, of which only the kind that is looked for is that long; NULL where it cannot. */
static uint8_t *unpack_text(const uint8_t *bytes, size_t length, size_t *size) {
    enum { LIMIT = 1 << 20 }; /* Pillow's */
    uLongf room = LIMIT;
    uint8_t *text = malloc(LIMIT);
    if (text != NULL && uncompress(text, &room, bytes, (uLong)length) != Z_OK) {
        free(text);
        text = NULL;
    }
    *size = room;
    return text;
}

static const uint8_t *after_zero(const uint8_t *at, const uint8_t *end) {
    const uint8_t *zero = memchr(at, 0, (size_t)(end - at));
    return zero == NULL ? NULL : zero + 1;
}

/* A tEXt, zTXt or iTXt chunk whose keyword is one that Pillow looks for an orientation in. */
static void read_text(const chunk *c, metadata *m) {
    const uint8_t *end = c->data + c->length, *text = after_zero(c->data, end);
    if (text == NULL) return;
    size_t key = (size_t)(text - c->data); /* with its zero */
    bool raw = key == sizeof "Raw profile type exif" && memcmp(c->data, "Raw profile type exif", key) == 0;
    bool xmp = key == sizeof "XML:com.adobe.xmp" && memcmp(c->data, "XML:com.adobe.xmp", key) == 0;
    bool exif = key == sizeof "exif" && memcmp(c->data, "exif", key) == 0 && is(c, "tEXt");
    if (!raw && !xmp && !exif) return;
    bool packed = is(c, "zTXt");
    if (packed || is(c, "iTXt")) {
        if (end - text < 2) return;
        if (packed && *text++ != 0) return; /* an unknown compression */
        if (is(c, "iTXt")) {
            packed = text[0] != 0;
            if (packed && text[1] != 0) return;
            text = after_zero(text + 2, end);               /* language */
            if (text != NULL) text = after_zero(text, end); /* translated keyword */
            if (text == NULL) return;
        }
    }
    uint8_t *unpacked = NULL;
    size_t size = (size_t)(end - text);
    if (packed) text = unpacked = unpack_text(text, size, &size);
    if (text == NULL) return;
    if (exif) m->exif = samc__exif_orientation(text, size);
    else if (raw) m->raw = samc__raw_profile_orientation(text, size);
    else m->xmp = samc__xmp_orientation(text, size);
    free(unpacked);
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

/* For messages: its four letters, or the numbers of what are no letters. */
static const char *chunk_name(const chunk *c, char text[16]) {
    bool letters = true;
    for (int i = 0; i < 4; i++) letters = letters && (c->type[i] | 32) >= 'a' && (c->type[i] | 32) <= 'z';
    if (letters) snprintf(text, 16, "%.4s", (const char *)c->type);
    else snprintf(text, 16, "%02x %02x %02x %02x", c->type[0], c->type[1], c->type[2], c->type[3]);
    return text;
}

/* Walks all of them, checks the sums of those that make the picture, fills the palette and finds the orientation. */
static samc_status walk(const samc__image_file *file, png *p, int *orientation, samc_error *error) {
    uint32_t table[256];
    size_t at = sizeof signature;
    metadata m = {0};
    char text[16];
    bool palette = false;
    samc__crc_table(table);
    for (chunk c = {0}; c.type == NULL || !is(&c, "IEND");) {
        SAMC__TRY(next_chunk(file, &at, &c, error));
        bool critical = (c.type[0] & 0x20) == 0;
        bool intact = samc__crc(table, c.type, c.length + 4) == samc__big32(c.data + c.length);
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
        intact = true; /* a fuzzer cannot guess sums, and what lies behind them is to be fuzzed */
#endif
        if (critical && !intact)
            return samc__fail(error, SAMC_FORMAT, "%s: damaged PNG (wrong checksum of a %s chunk)", file->name,
                              chunk_name(&c, text));
        if (!intact) continue;
        if (is(&c, "PLTE")) {
            palette = true;
            memcpy(p->palette, c.data, c.length < sizeof p->palette ? c.length / 3 * 3 : sizeof p->palette);
        } else if (is(&c, "eXIf")) {
            m.exif = samc__exif_orientation(c.data, c.length);
        } else if (is(&c, "tEXt") || is(&c, "zTXt") || is(&c, "iTXt")) {
            read_text(&c, &m);
        } else if (critical && !is(&c, "IHDR") && !is(&c, "IDAT") && !is(&c, "IEND") && !is(&c, "CgBI")) {
            return samc__fail(error, SAMC_UNSUPPORTED,
                              "%s: PNG with an unknown chunk %s that says how it is to be read", file->name,
                              chunk_name(&c, text));
        }
    }
    if (p->type == PALETTE && !palette)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged PNG: no palette", file->name);
    *orientation = m.exif != 0 ? m.exif : m.raw != 0 ? m.raw : m.xmp != 0 ? m.xmp : 1;
    return SAMC_OK;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

typedef struct unpacker {
    const samc__image_file *file;
    z_stream zlib;
    size_t at; /* the next chunk */
} unpacker;

/* `size` bytes of what the IDAT chunks hold. */
static samc_status unpack(unpacker *u, uint8_t *to, size_t size, samc_error *error) {
    u->zlib.next_out = to;
    while (size > 0) {
        while (u->zlib.avail_in == 0) {
            chunk c = {0};
            SAMC__TRY(next_chunk(u->file, &u->at, &c, error));
            if (is(&c, "IEND")) return truncated(u->file, error);
            if (!is(&c, "IDAT")) continue;
            u->zlib.next_in = (Bytef *)c.data;
            u->zlib.avail_in = (uInt)c.length;
        }
        uInt part = size < 1 << 30 ? (uInt)size : 1 << 30;
        u->zlib.avail_out = part;
        int result = inflate(&u->zlib, Z_NO_FLUSH);
        size -= part - u->zlib.avail_out;
        if (size > 0 && result == Z_STREAM_END) return truncated(u->file, error);
        if (result == Z_MEM_ERROR) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", u->file->name);
        if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
            return samc__fail(error, SAMC_FORMAT, "%s: damaged PNG: %s", u->file->name,
                              u->zlib.msg == NULL ? "packed data" : u->zlib.msg);
    }
    return SAMC_OK;
}

static uint8_t paeth(int left, int up, int corner) {
    int guess = left + up - corner, a = abs(guess - left), b = abs(guess - up), c = abs(guess - corner);
    return (uint8_t)(a <= b && a <= c ? left : b <= c ? up : corner);
}

/* Takes the filter out of a row of `size` bytes; `above` is the row before or zeros, `step` the bytes from a pixel to
 * the next. */
static bool unfilter(int filter, uint8_t *row, const uint8_t *above, size_t size, size_t step) {
    switch (filter) {
    case 0:
        return true;
    case 1:
        for (size_t i = step; i < size; i++) row[i] = (uint8_t)(row[i] + row[i - step]);
        return true;
    case 2:
        for (size_t i = 0; i < size; i++) row[i] = (uint8_t)(row[i] + above[i]);
        return true;
    case 3:
        for (size_t i = 0; i < size; i++) row[i] = (uint8_t)(row[i] + ((i < step ? 0 : row[i - step]) + above[i]) / 2);
        return true;
    case 4:
        for (size_t i = 0; i < size; i++)
            row[i] = (uint8_t)(row[i] + (i < step ? above[i] : paeth(row[i - step], above[i], above[i - step])));
        return true;
    default:
        return false;
    }
}

/* Blue, green, red and alpha, which the others were multiplied by. */
static void apple_pixel(const png *p, const uint8_t *from, uint8_t *to) {
    size_t wide = (size_t)p->depth / 8;
    int alpha = p->type == COLOURS_ALPHA ? from[3 * wide] : 255;
    for (size_t c = 0; c < 3; c++) {
        int value = from[(2 - c) * wide];
        if (alpha > 0) value = (value * 255 + alpha / 2) / alpha;
        to[c] = (uint8_t)(value < 255 ? value : 255);
    }
}

static void spread_wide(const png *p, const uint8_t *row, uint16_t *to, size_t count, size_t step) {
    size_t channels = (size_t)wide_channels(p);
    for (size_t x = 0; x < count; x++, to += step * channels, row += p->channels * 2)
        for (size_t c = 0; c < channels; c++) to[c] = (uint16_t)samc__big16(row + c * 2);
}

/* A row of a pass: `count` pixels to places `step` pixels from each other. */
static void spread(const png *p, const uint8_t *row, void *samples, size_t count, size_t step) {
    uint8_t *to = samples;
    if (is_wide(p)) {
        spread_wide(p, row, samples, count, step);
        return;
    }
    size_t depth = (size_t)p->depth, wide = depth / 8, pixel = p->channels * wide;
    for (size_t x = 0; x < count; x++, to += step * 3) {
        if (p->type == GREY || p->type == PALETTE) {
            unsigned mask = (1u << (depth < 8 ? depth : 8)) - 1, value = row[x * depth / 8];
            if (depth < 8) value = value >> (8 - depth - x * depth % 8) & mask;
            if (p->type == PALETTE) memcpy(to, p->palette[value], 3);
            else memset(to, (int)(value * (255 / mask)), 3);
        } else if (p->type == GREY_ALPHA) {
            memset(to, row[x * pixel], 3);
        } else if (p->apple) {
            apple_pixel(p, row + x * pixel, to);
        } else {
            for (size_t c = 0; c < 3; c++) to[c] = row[x * pixel + c * wide];
        }
    }
}

/* A PNG whose rows are being unpacked. */
typedef struct reading {
    png p;
    unpacker u;
    uint8_t *rows[2]; /* the next one, with its filter's number first, and the one before it */
    size_t step;      /* bytes from a pixel to the next; 1 below a byte */
    bool unpacking;
} reading;

static void stop_reading(reading *r) {
    if (r->unpacking) inflateEnd(&r->u.zlib);
    free(r->rows[0]);
    free(r->rows[1]);
}

/* Up to the first row. To be stopped also after a failure. */
static samc_status start_reading(reading *r, const samc__image_file *file, int *orientation, samc_error *error) {
    png *p = &r->p;
    *r = (reading){.u.file = file};
    SAMC__TRY(read_header(file, p, &r->u.at, error));
    SAMC__TRY(walk(file, p, orientation, error));
    size_t size = 1 + row_bytes(p, p->width), bits = p->channels * (size_t)p->depth;
    r->step = bits < 8 ? 1 : bits / 8;
    r->rows[0] = malloc(size);
    r->rows[1] = calloc(size, 1);
    r->unpacking = r->rows[0] != NULL && r->rows[1] != NULL && inflateInit2(&r->u.zlib, p->apple ? -15 : 15) == Z_OK;
    return r->unpacking ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
}

/* A row of `size` bytes without its filter. */
static samc_status next_row(reading *r, size_t size, const uint8_t **row, samc_error *error) {
    SAMC__TRY(unpack(&r->u, r->rows[0], 1 + size, error));
    if (!unfilter(r->rows[0][0], r->rows[0] + 1, r->rows[1] + 1, size, r->step))
        return samc__fail(error, SAMC_FORMAT, "%s: damaged PNG: filter %d", r->u.file->name, r->rows[0][0]);
    uint8_t *above = r->rows[1];
    r->rows[1] = r->rows[0];
    r->rows[0] = above;
    *row = r->rows[1] + 1;
    return SAMC_OK;
}

static samc_status read_passes(reading *r, const samc__image_extent *extent, uint8_t *samples, samc_error *error) {
    static const uint8_t adam7[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                        {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
    static const uint8_t plain[4] = {0, 0, 1, 1}; /* x, y, and the steps of both */
    const png *p = &r->p;
    size_t width = p->width, height = p->height, pixel = samc__image_pixel(extent);
    for (int i = 0; i < (p->interlaced ? 7 : 1); i++) {
        const uint8_t *pass = p->interlaced ? adam7[i] : plain, *row;
        if (pass[0] >= width || pass[1] >= height) continue;
        size_t count = (width - pass[0] + pass[2] - 1) / pass[2], size = row_bytes(p, count);
        memset(r->rows[1], 0, 1 + size);
        for (size_t y = pass[1]; y < height; y += pass[3]) {
            SAMC__TRY(next_row(r, size, &row, error));
            spread(p, row, samples + (y * width + pass[0]) * pixel, count, pass[2]);
        }
    }
    return SAMC_OK;
}

samc_status samc__png_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    reading r;
    samc_status status = start_reading(&r, file, orientation, error);
    if (status == SAMC_OK) status = read_passes(&r, extent, samples, error);
    stop_reading(&r);
    return status;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

samc_status samc__png_rows_open(const samc__image_file *file, void **rows, int *orientation, samc_error *error) {
    reading *r = malloc(sizeof *r);
    *rows = NULL;
    if (r == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    samc_status status = start_reading(r, file, orientation, error);
    if (status == SAMC_OK && !r->p.interlaced) {
        *rows = r;
        return SAMC_OK;
    }
    stop_reading(r);
    free(r);
    return status;
}

samc_status samc__png_rows_next(void *rows, void *samples, samc_error *error) {
    reading *r = rows;
    const uint8_t *row;
    SAMC__TRY(next_row(r, row_bytes(&r->p, r->p.width), &row, error));
    spread(&r->p, row, samples, r->p.width, 1);
    return SAMC_OK;
}

void samc__png_rows_close(void *rows) {
    stop_reading(rows);
    free(rows);
}
