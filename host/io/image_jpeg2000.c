/* JPEG 2000, as a codestream and in JP2's boxes, through OpenJPEG. The size is read from the codestream's own header
 * here, before the library sees the file: a kilobyte can ask for 65,535 tiles of it, or for a picture of any size. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openjpeg.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

enum {
    MOST_TILES = 16384,
    PIECE_BYTES = 600, /* that the library keeps of a code block, and of its precinct where it is the only one there */
    SPARE_PIECES = 65536 /* more than one for each eight samples of a picture, and eight of each tile's component */
};

typedef struct reader {
    const samc__image_file *file;
    size_t at;
    char message[256]; /* the library's first error */
} reader;

/* What becomes of the components: an image's samples, or `stored`, their values. */
typedef struct taking {
    const samc__image_extent *extent;
    void *samples;
    int64_t pixels;
    int components;
    int32_t *stored;
    int *bits;
} taking;

/* Of the codestream's SIZ, and of the boxes in front of it. */
typedef struct promise {
    int64_t width, height, tiles, tile_width, tile_height;
    int64_t pieces;            /* code blocks of the picture */
    unsigned components, bits; /* of the first one */
    unsigned palette;          /* colours' samples; 0: there is none */
    bool boxes;
} promise;

const char *samc__image_jpeg2000_decoder(void) {
    static char text[32];
    snprintf(text, sizeof text, "OpenJPEG %.16s", opj_version());
    return text;
}

static const uint8_t boxes[12] = {0, 0, 0, 12, 'j', 'P', ' ', ' ', '\r', '\n', 0x87, '\n'};
static const uint8_t stream_start[4] = {0xff, 0x4f, 0xff, 0x51}; /* SOC, SIZ */

bool samc__jpeg2000_recognise(const samc__image_file *file) {
    return (file->size >= 12 && memcmp(file->bytes, boxes, 12) == 0) ||
           (file->size >= 4 && memcmp(file->bytes, stream_start, 4) == 0);
}

static samc_status truncated(const samc__image_file *file, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: truncated JPEG 2000", file->name);
}

/* Finds the codestream among the boxes, and a palette in the header's. */
static samc_status find_stream(const samc__image_file *file, promise *p, size_t *at, samc_error *error) {
    p->boxes = memcmp(file->bytes, boxes, 4) == 0;
    size_t end = file->size; /* of the boxes that are looked at */
    for (*at = 0; p->boxes;) {
        if (end - *at < 8) return truncated(file, error);
        const uint8_t *box = file->bytes + *at;
        uint64_t length = samc__big32(box), head = 8;
        if (length == 1) {
            if (end - *at < 16) return truncated(file, error);
            length = (uint64_t)samc__big32(box + 8) << 32 | samc__big32(box + 12);
            head = 16;
        }
        if (memcmp(box + 4, "jp2c", 4) == 0) {
            *at += head;
            break;
        }
        if (length < head) return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG 2000: no codestream", file->name);
        if (length > end - *at) return truncated(file, error);
        if (memcmp(box + 4, "pclr", 4) == 0) { /* entries (2 bytes), samples of each */
            if (length < head + 3)
                return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG 2000: no palette", file->name);
            if (box[head + 2] > p->palette) p->palette = box[head + 2];
        }
        *at += memcmp(box + 4, "jp2h", 4) == 0 ? head : length; /* into the header */
    }
    return SAMC_OK;
}

static int64_t parts(int64_t size, int bits) { return (size + ((int64_t)1 << bits) - 1) >> bits; }

/* Code blocks of a tile's component, coded as `how` says: levels, log2 of a block's sides less 2, two bytes that do not
 * count, and where `precincts` is set log2 of their sides, a byte for each resolution. -1: it cannot be. */
static int64_t blocks_of(const promise *p, const uint8_t *how, size_t size, bool precincts) {
    if (size < 5) return -1;
    int levels = how[0], across = (how[1] & 15) + 2, down = (how[2] & 15) + 2;
    if (levels > 32 || (precincts && size < 6 + (size_t)levels)) return -1;
    int64_t width = p->width < p->tile_width ? p->width : p->tile_width, blocks = 0;
    int64_t height = p->height < p->tile_height ? p->height : p->tile_height;
    for (int r = 0; r <= levels; r++) {
        int64_t w = parts(width, levels - r), h = parts(height, levels - r);
        int half = r > 0;
        int wide = precincts ? (how[5 + r] & 15) - half : 15, high = precincts ? (how[5 + r] >> 4) - half : 15;
        if (wide < 0 || high < 0) return -1;
        if (half && w == 1 && h == 1) continue; /* its three parts have no sample */
        blocks += (half ? 3 : 1) * parts(parts(w, half), across < wide ? across : wide) *
                  parts(parts(h, half), down < high ? down : high);
    }
    return blocks;
}

/* What is coded how says a marker segment of the main header or of a tile's; the one that makes most blocks counts, as
 * if all were coded so. Markers that the library would look for beyond their segments are refused. */
static samc_status read_coding(const samc__image_file *file, promise *p, unsigned marker, const uint8_t *body,
                               size_t size, samc_error *error) {
    static const uint8_t others[] = {0x50, 0x55, 0x57, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f,
                                     0x60, 0x61, 0x63, 0x64, 0x74, 0x75, 0x77, 0x78};
    if (memchr(others, (int)(marker & 255), sizeof others) != NULL) return SAMC_OK;
    if (marker != 0xff52 && marker != 0xff53)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 with a marker 0x%04x", file->name, marker);
    size_t skip = marker == 0xff52 ? 5 : 2; /* COD: style, order, layers (2), transform; COC: component, style */
    int64_t blocks = size < skip ? -1 : blocks_of(p, body + skip, size - skip, body[marker == 0xff52 ? 0 : 1] & 1);
    if (blocks < 0) return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG 2000: no code blocks", file->name);
    if (blocks > INT64_MAX / 8 / MOST_TILES) blocks = INT64_MAX / 8 / MOST_TILES;
    blocks *= p->tiles * p->components;
    if (blocks > p->pieces) p->pieces = blocks;
    if (p->pieces > (p->width * p->height / 8 + p->tiles * 8) * p->components + SPARE_PIECES)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 of %lld x %lld pixels in %lld code blocks",
                          file->name, (long long)p->width, (long long)p->height, (long long)p->pieces);
    return SAMC_OK;
}

/* The marker segments from `at` on, and those of all tiles' parts; where the file is cut off, so is this. */
static samc_status read_segments(const samc__image_file *file, promise *p, size_t at, samc_error *error) {
    size_t part = 0, part_size = 0; /* where the tile's part begins that `at` is in */
    while (at <= file->size && file->size - at >= 4) {
        const uint8_t *segment = file->bytes + at;
        unsigned marker = samc__big16(segment), length = samc__big16(segment + 2);
        if (marker < 0xff00 || marker == 0xffd9) return SAMC_OK; /* none, which the library refuses; the end */
        if (marker == 0xff93) { /* the part's data; where it has no size they are all the rest */
            if (part_size == 0 || part_size < at - part || part_size > file->size - part) return SAMC_OK;
            at = part + part_size;
            part_size = 0;
            if (file->size - at < 2 || samc__big16(file->bytes + at) != 0xff90) return SAMC_OK;
            continue;
        }
        if (length < 2 || file->size - at - 2 < length) return SAMC_OK;
        if (marker == 0xff90) {
            if (length < 10) return SAMC_OK;
            part = at;
            part_size = samc__big32(segment + 6);
        } else {
            SAMC__TRY(read_coding(file, p, marker, segment + 4, length - 2, error));
        }
        at += 2 + (size_t)length;
    }
    return SAMC_OK;
}

static samc_status read_promise(const samc__image_file *file, promise *p, samc_error *error) {
    size_t at;
    *p = (promise){0};
    SAMC__TRY(find_stream(file, p, &at, error));
    if (file->size < at || file->size - at < 45) return truncated(file, error);
    const uint8_t *siz = file->bytes + at;
    if (memcmp(siz, stream_start, 4) != 0)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG 2000: no codestream", file->name);
    int64_t right = samc__big32(siz + 8), bottom = samc__big32(siz + 12), left = samc__big32(siz + 16),
            top = samc__big32(siz + 20), tile_left = samc__big32(siz + 32), tile_top = samc__big32(siz + 36);
    p->tile_width = samc__big32(siz + 24);
    p->tile_height = samc__big32(siz + 28);
    p->components = samc__big16(siz + 40);
    p->bits = (siz[42] & 0x7fu) + 1;
    p->width = right - left;
    p->height = bottom - top;
    if (p->tile_width == 0 || p->tile_height == 0 || tile_left > left || tile_top > top)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG 2000: no tiles", file->name);
    if (p->width <= 0 || p->height <= 0) return SAMC_OK; /* refused as such */
    p->tiles = ((right - tile_left + p->tile_width - 1) / p->tile_width) *
               ((bottom - tile_top + p->tile_height - 1) / p->tile_height);
    if (p->components < 1 || p->components > 4)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 of %u components", file->name, p->components);
    if (p->palette > 4)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 with a palette of %u components", file->name,
                          p->palette);
    if (p->bits > 31) return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 of %u bits", file->name, p->bits);
    if (p->tiles > MOST_TILES)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 of %lld tiles", file->name, (long long)p->tiles);
    if (p->width > ((int64_t)1 << 40) / p->height) return SAMC_OK; /* refused as too large */
    return read_segments(file, p, at + 4 + samc__big16(siz + 4), error);
}

samc_status samc__jpeg2000_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    promise p;
    SAMC__TRY(read_promise(file, &p, error));
    *extent = (samc__image_extent){.width = p.width, .height = p.height};
    if (p.components == 1 && p.bits > 8 && p.palette == 0) {
        extent->sample = SAMC_SAMPLE_U16;
        extent->channels = 1;
        extent->bits = (int)(p.bits < 16 ? p.bits : 16);
    }
    /* Whole numbers of 32 bits, of the picture and of its largest tile twice; what is kept of each tile; the palette's
     * colours. */
    int64_t components = p.palette > 0 ? 5 : p.components;
    extent->peak = samc__image_room(extent, components * 8, (int64_t)file->size + ((int64_t)4 << 20)) +
                   p.tiles * (6000 + components * 1500) + p.pieces * PIECE_BYTES;
    return SAMC_OK;
}

/* ---- The library's view of the file ---------------------------------------------------------- */

static OPJ_SIZE_T read_bytes(void *to, OPJ_SIZE_T size, void *user) {
    reader *r = user;
    size_t left = r->file->size - r->at;
    if (left == 0) return (OPJ_SIZE_T)-1;
    if (size > left) size = left;
    memcpy(to, r->file->bytes + r->at, size);
    r->at += size;
    return size;
}

static OPJ_BOOL seek(OPJ_OFF_T to, void *user) {
    reader *r = user;
    if (to < 0 || (uint64_t)to > r->file->size) return OPJ_FALSE;
    r->at = (size_t)to;
    return OPJ_TRUE;
}

static OPJ_OFF_T skip(OPJ_OFF_T bytes, void *user) {
    reader *r = user;
    if (bytes < 0 || (uint64_t)bytes > r->file->size - r->at) return -1;
    r->at += (size_t)bytes;
    return bytes;
}

static void on_error(const char *message, void *user) {
    reader *r = user;
    if (r->message[0] == '\0') snprintf(r->message, sizeof r->message, "%.*s", (int)strcspn(message, "\n"), message);
}

static samc_status failed(const reader *r, samc_error *error) {
    if (r->at >= r->file->size) return truncated(r->file, error);
    return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG 2000%s%s", r->file->name, r->message[0] ? ": " : "",
                      r->message);
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* A component's value as a byte, with Pillow's rounding of what is longer, but for what that takes beyond 255. */
static uint8_t byte_of(const opj_image_comp_t *c, int64_t value) {
    if (c->sgnd) value += (int64_t)1 << (c->prec - 1);
    if (c->prec > 8) value = (value + ((int64_t)1 << (c->prec - 9))) >> (c->prec - 8);
    else value <<= 8 - c->prec;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static int32_t value_at(const opj_image_comp_t *c, int64_t x, int64_t y) {
    uint64_t column = (uint64_t)x / c->dx, row = (uint64_t)y / c->dy;
    if (column >= c->w) column = c->w - 1;
    if (row >= c->h) row = c->h - 1;
    return c->data[row * c->w + column];
}

/* Where nothing says what the components are, colours that are subsampled are YCbCr's. */
static OPJ_COLOR_SPACE colours_of(const opj_image_t *image) {
    if (image->color_space != OPJ_CLRSPC_UNKNOWN && image->color_space != OPJ_CLRSPC_UNSPECIFIED)
        return image->color_space;
    if (image->numcomps < 3) return OPJ_CLRSPC_GRAY;
    for (OPJ_UINT32 i = 0; i < image->numcomps; i++)
        if (image->comps[i].dx != 1 || image->comps[i].dy != 1)
            return i == 1 || i == 2 ? OPJ_CLRSPC_SYCC : OPJ_CLRSPC_SRGB;
    return OPJ_CLRSPC_SRGB;
}

static samc_status take_pixels(const reader *r, const opj_image_t *image, const samc__image_extent *extent,
                               void *samples, samc_error *error) {
    for (OPJ_UINT32 i = 0; i < image->numcomps; i++) {
        const opj_image_comp_t *c = &image->comps[i];
        if (c->data == NULL || c->w == 0 || c->h == 0 || c->dx == 0 || c->dy == 0 || c->prec < 1 || c->prec > 31)
            return failed(r, error);
    }
    if ((int64_t)image->x1 - image->x0 != extent->width || (int64_t)image->y1 - image->y0 != extent->height)
        return failed(r, error);
    const opj_image_comp_t *c = image->comps;
    OPJ_COLOR_SPACE colours = colours_of(image);
    if (colours == OPJ_CLRSPC_EYCC || (colours == OPJ_CLRSPC_CMYK && image->numcomps < 4))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG 2000 of colours that samc does not read", r->file->name);
    uint8_t *rgb = samples;
    for (int64_t y = 0; y < extent->height; y++)
        for (int64_t x = 0; x < extent->width; x++) {
            if (extent->sample == SAMC_SAMPLE_U16) {
                int64_t value = (int64_t)value_at(c, x, y) + (c->sgnd ? (int64_t)1 << (c->prec - 1) : 0);
                if (c->prec > 16) value >>= c->prec - 16;
                ((uint16_t *)samples)[y * extent->width + x] = (uint16_t)(value < 0       ? 0
                                                                          : value > 65535 ? 65535
                                                                                          : value);
                continue;
            }
            uint8_t cmyk[4];
            for (int i = 0; i < 3; i++)
                rgb[i] = byte_of(&c[image->numcomps < 3 ? 0 : i], value_at(&c[image->numcomps < 3 ? 0 : i], x, y));
            if (colours == OPJ_CLRSPC_CMYK) {
                for (int i = 0; i < 4; i++) cmyk[i] = (uint8_t)~byte_of(&c[i], value_at(&c[i], x, y));
                samc__cmyk_to_rgb(cmyk, rgb, 1);
            }
            rgb += 3;
        }
    if (colours == OPJ_CLRSPC_SYCC && image->numcomps >= 3 && extent->sample == SAMC_SAMPLE_U8)
        samc__ycbcr_to_rgb(samples, (size_t)extent->bytes / 3);
    return SAMC_OK;
}

/* Of each component its values, whatever its sign. */
static samc_status take_stored(const reader *r, const opj_image_t *image, const taking *t, samc_error *error) {
    if (image->numcomps != (OPJ_UINT32)t->components) return failed(r, error);
    for (int i = 0; i < t->components; i++) {
        const opj_image_comp_t *c = &image->comps[i];
        if (c->data == NULL || c->dx != 1 || c->dy != 1 || (int64_t)c->w * c->h != t->pixels || c->prec > 31)
            return failed(r, error);
        memcpy(t->stored + i * t->pixels, c->data, (size_t)t->pixels * sizeof *t->stored);
        if ((int)c->prec > *t->bits) *t->bits = (int)c->prec;
    }
    return SAMC_OK;
}

static samc_status decode(const samc__image_file *file, const taking *t, samc_error *error) {
    reader r = {.file = file};
    opj_dparameters_t parameters;
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(memcmp(file->bytes, boxes, 4) == 0 ? OPJ_CODEC_JP2 : OPJ_CODEC_J2K);
    opj_stream_t *stream = opj_stream_create(1 << 16, OPJ_TRUE);
    samc_status status = SAMC_OK;
    if (codec == NULL || stream == NULL) {
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    } else {
        opj_stream_set_user_data(stream, &r, NULL);
        opj_stream_set_user_data_length(stream, file->size);
        opj_stream_set_read_function(stream, read_bytes);
        opj_stream_set_seek_function(stream, seek);
        opj_stream_set_skip_function(stream, skip);
        opj_set_default_decoder_parameters(&parameters);
        opj_set_error_handler(codec, on_error, &r);
        if (!opj_setup_decoder(codec, &parameters) || !opj_read_header(stream, codec, &image) ||
            !opj_decode(codec, stream, image) || !opj_end_decompress(codec, stream))
            status = failed(&r, error);
        else if (t->stored != NULL) status = take_stored(&r, image, t, error);
        else status = take_pixels(&r, image, t->extent, t->samples, error);
    }
    if (image != NULL) opj_image_destroy(image);
    if (stream != NULL) opj_stream_destroy(stream);
    if (codec != NULL) opj_destroy_codec(codec);
    return status;
}

samc_status samc__jpeg2000_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                                  int *orientation, samc_error *error) {
    (void)orientation;
    return decode(file, &(taking){.extent = extent, .samples = samples}, error);
}

samc_status samc__jpeg2000_stored(const samc__image_file *file, int64_t pixels, int components, int32_t *samples,
                                  int *bits, samc_error *error) {
    *bits = 0;
    return decode(file, &(taking){.pixels = pixels, .components = components, .stored = samples, .bits = bits}, error);
}
