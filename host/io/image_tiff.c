/* TIFF and BigTIFF through libtiff, which reads from memory here, keeps its
 * warnings to itself, and may allocate what a header has promised. Strips and
 * tiles are decoded one by one; JPEG's YCbCr comes as RGB from libjpeg, other
 * YCbCr of subsampled planes from libtiff's own RGBA reader: as in Pillow,
 * whose pixels these are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tiffio.h>

#include "host/io/image_tiff.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

/* Pictures above are read, but not in tiles or strips of this many bytes more
 * than theirs. */
#define SPARE_BYTES ((int64_t)64 << 20)

typedef struct reader {
    const samc__image_file *file;
    uint64_t at;
    TIFF *tiff;
    char message[512]; /* libtiff's first */
    bool lost;         /* pixels are missing, which libtiff only warns of */
    int pages;
    uint32_t width, height;
    uint16_t photometric, compression;
    samc__tiff_layout layout;
    bool rgba; /* by libtiff's RGBA reader */
} reader;

const char *samc__image_tiff_decoder(void) {
    static char text[64];
    const char *version = strstr(TIFFGetVersion(), "Version ");
    size_t length = version != NULL ? strcspn(version + 8, "\n") : 0;
    snprintf(text, sizeof text, "libtiff %.*s", (int)(length < 32 ? length : 32), version != NULL ? version + 8 : "");
    return text;
}

bool samc__tiff_recognise(const samc__image_file *file) {
    static const char *const marks[] = {"II*\0", "MM\0*", "II+\0", "MM\0+"};
    for (int i = 0; i < 4; i++)
        if (file->size >= 8 && memcmp(file->bytes, marks[i], 4) == 0) return true;
    return false;
}

/* ---- libtiff's view of the file -------------------------------------------------------------- */

static tmsize_t read_bytes(thandle_t handle, void *to, tmsize_t size) {
    reader *r = handle;
    uint64_t left = r->at < r->file->size ? r->file->size - r->at : 0;
    if (size < 0) return 0;
    if ((uint64_t)size > left) size = (tmsize_t)left;
    if (size > 0) memcpy(to, r->file->bytes + r->at, (size_t)size);
    r->at += (uint64_t)size;
    return size;
}

static tmsize_t write_bytes(thandle_t handle, void *from, tmsize_t size) {
    (void)handle, (void)from, (void)size;
    return 0;
}

static toff_t seek(thandle_t handle, toff_t offset, int whence) {
    reader *r = handle;
    r->at = whence == SEEK_SET ? offset : whence == SEEK_CUR ? r->at + offset : r->file->size + offset;
    return r->at;
}

static int close_nothing(thandle_t handle) {
    (void)handle;
    return 0;
}

static toff_t size_of(thandle_t handle) { return ((reader *)handle)->file->size; }

static int on_error(TIFF *tiff, void *handle, const char *module, const char *format, va_list values) {
    reader *r = handle;
    (void)tiff, (void)module;
    if (r->message[0] == '\0') samc__print_list(r->message, sizeof r->message, format, values);
    for (char *c = r->message; *c != '\0'; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
    return 1;
}

/* Of the warnings those that say that pixels are made up. */
static int on_warning(TIFF *tiff, void *handle, const char *module, const char *format, va_list values) {
    static const char *const losses[] = {"Premature end of JPEG", "Corrupt JPEG data", "Improper JPEG strip/tile size"};
    reader *r = handle;
    char text[256];
    (void)tiff, (void)module;
    samc__print_list(text, sizeof text, format, values);
    for (int i = 0; i < 3; i++) {
        if (strstr(text, losses[i]) == NULL) continue;
        r->lost = true;
        if (r->message[0] == '\0') snprintf(r->message, sizeof r->message, "%s", text);
    }
    return 1;
}

static samc_status failed(const reader *r, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged TIFF%s%s", r->file->name, r->message[0] == '\0' ? "" : ": ",
                      r->message);
}

static samc_status truncated(const reader *r, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: truncated TIFF", r->file->name);
}

/* ---- Directories ----------------------------------------------------------------------------- */

typedef struct chain {
    const uint8_t *bytes;
    uint64_t size;
    bool big, little; /* BigTIFF; byte order */
} chain;

static uint64_t number(const chain *c, uint64_t at, unsigned bytes) {
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) value = value << 8 | c->bytes[at + (c->little ? bytes - 1 - i : i)];
    return value;
}

/* Where the directory behind the one at `at` begins; 0: there is none. */
static uint64_t next_of(const chain *c, uint64_t at) {
    unsigned counted = c->big ? 8 : 2, entry = c->big ? 20 : 12, offset = c->big ? 8 : 4;
    if (at > c->size || c->size - at < counted) return 0;
    uint64_t entries = number(c, at, counted);
    if (entries > (c->size - at) / entry) return 0;
    uint64_t end = at + counted + entries * entry;
    return end > c->size || c->size - end < offset ? 0 : number(c, end, offset);
}

/* Counts the directories, each once where the chain bites its tail, and finds
 * the file's page; 0: there is none. Brent's search for the period, so that
 * nothing need be remembered. */
static uint64_t find_page(const chain *c, int page, int *pages) {
    uint64_t first = c->big ? (c->size >= 16 ? number(c, 8, 8) : 0) : number(c, 4, 4);
    uint64_t slow = first, fast = next_of(c, first), power = 1, period = 1, count = 1;
    if (first == 0) return *pages = 0, 0;
    for (; fast != 0 && fast != slow; fast = next_of(c, fast), period++, count++)
        if (power == period) {
            slow = fast;
            power *= 2;
            period = 0;
        }
    if (fast != 0) { /* a cycle of that period: the directories before it and in it */
        uint64_t ahead = first, behind = first;
        for (uint64_t i = 0; i < period; i++) ahead = next_of(c, ahead);
        for (count = period; ahead != behind; count++) {
            ahead = next_of(c, ahead);
            behind = next_of(c, behind);
        }
    }
    *pages = count > INT32_MAX ? INT32_MAX : (int)count;
    uint64_t found = first;
    for (int i = 0; i < page && i < *pages; i++) found = next_of(c, found);
    return found;
}

static samc_status open_page(reader *r, int64_t most_bytes, samc_error *error) {
    const uint8_t *bytes = r->file->bytes;
    chain c = {bytes, r->file->size, bytes[2] == 43 || bytes[3] == 43, bytes[0] == 'I'};
    uint64_t directory = find_page(&c, r->file->page, &r->pages);
    if (r->pages == 0) return samc__fail(error, SAMC_FORMAT, "%s: TIFF without a picture", r->file->name);
    if (r->file->page < 0 || r->file->page >= r->pages) return samc__image_no_page(r->file, r->pages, error);
    if (directory >= r->file->size) return truncated(r, error);
    TIFFOpenOptions *options = TIFFOpenOptionsAlloc();
    if (options == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    TIFFOpenOptionsSetErrorHandlerExtR(options, on_error, r);
    TIFFOpenOptionsSetWarningHandlerExtR(options, on_warning, r);
    TIFFOpenOptionsSetMaxSingleMemAlloc(options, most_bytes);
    /* h: no directory yet, m: nothing is mapped */
    r->tiff =
        TIFFClientOpenExt("TIFF", "rhm", r, read_bytes, write_bytes, seek, close_nothing, size_of, NULL, NULL, options);
    TIFFOpenOptionsFree(options);
    if (r->tiff == NULL || !TIFFSetSubDirectory(r->tiff, directory)) return failed(r, error);
    return SAMC_OK;
}

static uint16_t field(const reader *r, uint32_t tag, uint16_t otherwise) {
    uint16_t value;
    return TIFFGetFieldDefaulted(r->tiff, tag, &value) ? value : otherwise;
}

static int orientation_of(const reader *r) {
    uint16_t value;
    uint32_t size;
    void *packet;
    if (TIFFGetField(r->tiff, TIFFTAG_ORIENTATION, &value)) return value >= 1 && value <= 8 ? value : 1;
    int found = TIFFGetField(r->tiff, TIFFTAG_XMLPACKET, &size, &packet) ? samc__xmp_orientation(packet, size) : 0;
    return found != 0 ? found : 1;
}

/* ---- What the picture is --------------------------------------------------------------------- */

static samc_status unsupported(const reader *r, const char *what, int number, samc_error *error) {
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: TIFF %s %d", r->file->name, what, number);
}

/* How YCbCr comes: as RGB by libjpeg, as it is where nothing is subsampled,
 * else by libtiff's RGBA reader. */
static void choose_ycbcr(reader *r) {
    uint16_t across = 2, down = 2;
    if (r->compression == COMPRESSION_JPEG && !r->layout.separate) {
        TIFFSetField(r->tiff, TIFFTAG_JPEGCOLORMODE, JPEGCOLORMODE_RGB);
        return;
    }
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_YCBCRSUBSAMPLING, &across, &down);
    if (r->compression == COMPRESSION_NONE && across == 1 && down == 1) r->layout.colours = TIFF_YCBCR;
    else r->rgba = true;
}

/* The type of the picture's samples. */
static samc_status choose_sample(reader *r, samc_error *error) {
    samc__tiff_layout *l = &r->layout;
    bool wide = l->bits == 16 || l->bits == 32 || l->bits == 64;
    bool number = l->format == SAMPLEFORMAT_UINT || l->format == SAMPLEFORMAT_VOID || l->format == SAMPLEFORMAT_INT;
    if (!number && !(wide && l->format == SAMPLEFORMAT_IEEEFP))
        return unsupported(r, "of samples of format", l->format, error);
    if (l->bits == 0 || (l->bits > 16 && !wide)) return unsupported(r, "of bits a sample:", l->bits, error);
    l->sample = SAMC_SAMPLE_U8;
    if (!number || l->bits > 16 || (l->format == SAMPLEFORMAT_INT && l->bits > 8)) l->sample = SAMC_SAMPLE_F32;
    else if (l->bits > 8 && l->used != 4) l->sample = SAMC_SAMPLE_U16;
    if (l->format == SAMPLEFORMAT_INT && l->bits != 8 && l->bits < 16)
        return unsupported(r, "of signed samples of bits:", l->bits, error);
    if (l->sample == SAMC_SAMPLE_F32 && l->used == 4) l->used = l->colours == TIFF_CMYK ? 4 : 3;
    if (l->sample != SAMC_SAMPLE_U8 && (l->colours != TIFF_PLAIN || l->used == 4))
        return unsupported(r, "of palettes or inks with bits a sample:", l->bits, error);
    return SAMC_OK;
}

static samc_status choose_layout(reader *r, samc_error *error) {
    samc__tiff_layout *l = &r->layout;
    uint16_t extra = 0, *kinds = NULL, *map[3];
    l->bits = field(r, TIFFTAG_BITSPERSAMPLE, 1);
    l->per_pixel = field(r, TIFFTAG_SAMPLESPERPIXEL, 1);
    l->format = field(r, TIFFTAG_SAMPLEFORMAT, SAMPLEFORMAT_UINT);
    l->separate = field(r, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG) == PLANARCONFIG_SEPARATE && l->per_pixel > 1;
    r->compression = field(r, TIFFTAG_COMPRESSION, COMPRESSION_NONE);
    r->photometric = field(r, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
    if (r->compression == COMPRESSION_OJPEG) r->photometric = PHOTOMETRIC_YCBCR;
    if (!TIFFIsCODECConfigured(r->compression))
        return unsupported(r, "of a compression that libtiff has not got:", r->compression, error);
    if (l->per_pixel == 0 || l->per_pixel > 32) return unsupported(r, "of samples a pixel:", l->per_pixel, error);
    TIFFGetFieldDefaulted(r->tiff, TIFFTAG_EXTRASAMPLES, &extra, &kinds);
    l->used = 3;
    switch (r->photometric) {
    case PHOTOMETRIC_MINISWHITE:
    case PHOTOMETRIC_MINISBLACK:
        l->used = 1;
        l->inverted = r->photometric == PHOTOMETRIC_MINISWHITE;
        break;
    case PHOTOMETRIC_RGB:
        l->associated = extra >= 1 && kinds[0] == EXTRASAMPLE_ASSOCALPHA && l->per_pixel >= 4;
        l->used = l->associated ? 4 : 3;
        break;
    case PHOTOMETRIC_PALETTE:
        l->used = 1;
        l->colours = TIFF_PALETTE;
        if (l->bits > 8 || !TIFFGetField(r->tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
            return unsupported(r, "with a palette of bits:", l->bits, error);
        for (int c = 0; c < 3; c++) l->palette[c] = map[c];
        break;
    case PHOTOMETRIC_SEPARATED:
        l->used = 4;
        l->colours = TIFF_CMYK;
        break;
    case PHOTOMETRIC_YCBCR:
        choose_ycbcr(r);
        break;
#ifdef SAMC_WITH_LAB
    case PHOTOMETRIC_CIELAB:
        l->colours = TIFF_LAB;
        break;
#endif
    default:
        return unsupported(r, "of colours of kind", r->photometric, error);
    }
    if (!r->rgba && l->per_pixel < l->used) return unsupported(r, "of samples a pixel:", l->per_pixel, error);
    if ((r->photometric == PHOTOMETRIC_YCBCR || l->colours == TIFF_LAB) && l->bits != 8)
        return unsupported(r, "of YCbCr or CIELab of bits:", l->bits, error);
    return choose_sample(r, error);
}

/* Bytes of one strip or tile as it is decoded; 0: libtiff cannot say. */
static int64_t block_bytes(const reader *r) {
    return TIFFIsTiled(r->tiff) ? TIFFTileSize64(r->tiff) : TIFFStripSize64(r->tiff);
}

static samc_status measure(reader *r, samc__image_extent *extent, samc_error *error) {
    if (!TIFFGetField(r->tiff, TIFFTAG_IMAGEWIDTH, &r->width) ||
        !TIFFGetField(r->tiff, TIFFTAG_IMAGELENGTH, &r->height))
        return samc__fail(error, SAMC_FORMAT, "%s: TIFF without a size", r->file->name);
    *extent = (samc__image_extent){.width = r->width, .height = r->height, .pages = r->pages};
    if (samc__image_room(extent, 1, 0) == 0 || r->width > INT64_MAX / 2048 / r->height) return SAMC_OK; /* refused */
    SAMC__TRY(choose_layout(r, error));
    const samc__tiff_layout *l = &r->layout;
    extent->sample = r->rgba ? SAMC_SAMPLE_U8 : l->sample;
    extent->channels = extent->sample == SAMC_SAMPLE_U8 || l->used != 1 ? 3 : 1;
    if (extent->sample == SAMC_SAMPLE_U16) extent->bits = l->bits;
    int64_t pixels = extent->width * extent->height, block = block_bytes(r), raw = pixels * l->per_pixel * 8;
    if (block <= 0) return failed(r, error);
    if (block > raw + SPARE_BYTES)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: TIFF of %u x %u pixels in pieces of %lld bytes", r->file->name,
                          r->width, r->height, (long long)block);
    /* The piece as it is in the file and decoded; codecs' own; four samples a
     * pixel; the RGBA reader's raster. */
    extent->peak = (int64_t)r->file->size + 2 * block + ((int64_t)4 << 20);
    if (l->used == 4 || r->rgba) extent->peak += 4 * pixels;
    /* Of all that nothing is left when the picture is turned, which takes it once more; that of others' samples is in
     * what they take anyway. */
    if (extent->sample == SAMC_SAMPLE_U8 && orientation_of(r) != 1 && extent->peak < 3 * pixels)
        extent->peak = 3 * pixels;
    return SAMC_OK;
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

/* After a failure: whether the file ends before a piece of the picture does,
 * which is the better reason. */
static samc_status explain(const reader *r, samc_error *error) {
    uint32_t pieces = TIFFIsTiled(r->tiff) ? TIFFNumberOfTiles(r->tiff) : TIFFNumberOfStrips(r->tiff);
    for (uint32_t i = 0; i < pieces; i++) {
        uint64_t at = TIFFGetStrileOffset(r->tiff, i), bytes = TIFFGetStrileByteCount(r->tiff, i);
        if (at > r->file->size || bytes > r->file->size - at) return truncated(r, error);
    }
    return failed(r, error);
}

/* For a piece that the directory has no place for libtiff takes the file's first bytes. */
static samc_status check_piece(const reader *r, uint32_t index, samc_error *error) {
    if (TIFFGetStrileByteCount(r->tiff, index) > 0) return SAMC_OK;
    return samc__fail(error, SAMC_FORMAT, "%s: damaged TIFF: a piece of it is nowhere", r->file->name);
}

/* One piece into `to`, all of it: codecs end early without a word. */
static samc_status read_piece(reader *r, samc__tiff_block *b, uint32_t index, uint8_t *piece, tmsize_t size,
                              samc_error *error) {
    tmsize_t wanted = (tmsize_t)(b->stride * b->rows);
    if (wanted > size) return failed(r, error);
    SAMC__TRY(check_piece(r, index, error));
    memset(piece, 0, (size_t)size);
    tmsize_t got = TIFFIsTiled(r->tiff) ? TIFFReadEncodedTile(r->tiff, index, piece, size)
                                        : TIFFReadEncodedStrip(r->tiff, index, piece, size);
    return got < wanted || r->lost ? explain(r, error) : SAMC_OK;
}

/* Strips or tiles, and what a row of them is decoded into before it is samples.
 */
typedef struct bands {
    uint32_t across, down; /* pixels of a piece */
    size_t stride;         /* bytes of a row of one */
    tmsize_t size;         /* of a piece */
    uint8_t *piece, *four; /* four: [down, width, 4], where pixels have so many
                              samples that count; owned */
} bands;

static void free_bands(bands *b) {
    free(b->piece);
    free(b->four);
}

/* To be freed also after a failure. */
static samc_status make_bands(const reader *r, bands *b, samc_error *error) {
    const samc__tiff_layout *l = &r->layout;
    bool tiled = TIFFIsTiled(r->tiff);
    *b = (bands){.across = r->width, .down = r->height, .size = (tmsize_t)block_bytes(r)};
    if (tiled) {
        TIFFGetField(r->tiff, TIFFTAG_TILEWIDTH, &b->across);
        TIFFGetField(r->tiff, TIFFTAG_TILELENGTH, &b->down);
    } else if (!TIFFGetFieldDefaulted(r->tiff, TIFFTAG_ROWSPERSTRIP, &b->down) || b->down > r->height) {
        b->down = r->height;
    }
    tmsize_t stride = tiled ? TIFFTileRowSize(r->tiff) : TIFFScanlineSize(r->tiff);
    uint64_t least = ((uint64_t)b->across * (l->separate ? 1 : l->per_pixel) * l->bits + 7) / 8;
    if (b->across == 0 || b->down == 0 || stride <= 0 || (uint64_t)stride < least) return failed(r, error);
    size_t rows = b->down < r->height ? b->down : r->height;
    b->stride = (size_t)stride;
    b->piece = malloc((size_t)b->size);
    b->four = l->used == 4 ? malloc((size_t)r->width * rows * 4) : NULL;
    return b->piece == NULL || (b->four == NULL && l->used == 4)
               ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name)
               : SAMC_OK;
}

/* The pieces side by side from row y on, into samples [rows, width, channels].
 */
static samc_status read_band(reader *r, const bands *b, uint64_t y, void *samples, samc_error *error) {
    const samc__tiff_layout *l = &r->layout;
    const uint64_t rows = r->height - y < b->down ? r->height - y : b->down;
    const size_t pixels = (size_t)r->width * (size_t)rows;
    for (int plane = 0; plane < (l->separate ? l->used : 1); plane++)
        for (uint64_t x = 0; x < r->width; x += b->across) {
            samc__tiff_block block = {b->piece, b->stride, x,    0, r->width - x < b->across ? r->width - x : b->across,
                                      rows,     r->width,  plane};
            uint32_t index = TIFFIsTiled(r->tiff)
                                 ? TIFFComputeTile(r->tiff, (uint32_t)x, (uint32_t)y, 0, (uint16_t)plane)
                                 : TIFFComputeStrip(r->tiff, (uint32_t)y, (uint16_t)plane);
            SAMC__TRY(read_piece(r, &block, index, b->piece, b->size, error));
            samc__tiff_store(l, &block, b->four != NULL ? (void *)b->four : samples);
        }
    if (b->four != NULL) samc__tiff_four_to_rgb(l, b->four, pixels, samples);
    if (l->colours == TIFF_YCBCR) samc__ycbcr_to_rgb(samples, pixels);
#ifdef SAMC_WITH_LAB
    if (l->colours == TIFF_LAB) {
        for (size_t i = 0; i < pixels * 3; i++) /* a and b have a sign in the file */
            if (i % 3 != 0) ((uint8_t *)samples)[i] ^= 128;
        return samc__lab_to_rgb(samples, pixels, r->file->name, error);
    }
#endif
    return SAMC_OK;
}

static samc_status read_samples(reader *r, const samc__image_extent *extent, uint8_t *samples, samc_error *error) {
    const size_t row = (size_t)r->width * samc__image_pixel(extent);
    bands b;
    samc_status status = make_bands(r, &b, error);
    for (uint64_t y = 0; y < r->height && status == SAMC_OK; y += b.down)
        status = read_band(r, &b, y, samples + y * row, error);
    free_bands(&b);
    return status;
}

/* By libtiff's RGBA reader, a few rows at a time. */
static samc_status read_rgba(reader *r, const samc__image_extent *extent, uint8_t *rgb, samc_error *error) {
    TIFFRGBAImage image;
    char why[1024] = "";
    uint32_t down = r->height, *raster;
    uint32_t pieces = TIFFIsTiled(r->tiff) ? TIFFNumberOfTiles(r->tiff) : TIFFNumberOfStrips(r->tiff);
    for (uint32_t i = 0; i < pieces && r->compression == COMPRESSION_NONE; i++) SAMC__TRY(check_piece(r, i, error));
    if (!TIFFRGBAImageOK(r->tiff, why) || !TIFFRGBAImageBegin(&image, r->tiff, 1, why)) {
        snprintf(r->message, sizeof r->message, "%.500s", why);
        return failed(r, error);
    }
    image.orientation = image.req_orientation = ORIENTATION_TOPLEFT;
    if (!TIFFGetFieldDefaulted(r->tiff, TIFFIsTiled(r->tiff) ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, &down) ||
        down == 0 || down > r->height)
        down = r->height;
    samc_status status = SAMC_OK;
    raster = malloc((size_t)r->width * down * 4);
    if (raster == NULL) status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    for (uint32_t y = 0; y < r->height && status == SAMC_OK; y += down) {
        uint32_t rows = r->height - y < down ? r->height - y : down;
        image.row_offset = (int)y;
        memset(raster, 0, (size_t)r->width * rows * 4);
        if (!TIFFRGBAImageGet(&image, raster, r->width, rows) || r->lost) status = explain(r, error);
        for (size_t i = 0; i < (size_t)r->width * rows; i++, rgb += 3) {
            rgb[0] = (uint8_t)TIFFGetR(raster[i]);
            rgb[1] = (uint8_t)TIFFGetG(raster[i]);
            rgb[2] = (uint8_t)TIFFGetB(raster[i]);
        }
    }
    free(raster);
    TIFFRGBAImageEnd(&image);
    (void)extent;
    return status;
}

samc_status samc__tiff_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    reader r = {.file = file};
    samc_status status = open_page(&r, (int64_t)file->size + SPARE_BYTES, error);
    if (status == SAMC_OK) status = measure(&r, extent, error);
    if (r.tiff != NULL) TIFFClose(r.tiff);
    return status;
}

samc_status samc__tiff_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              int *orientation, samc_error *error) {
    reader r = {.file = file};
    samc__image_extent again;
    samc_status status = open_page(&r, extent->peak + SPARE_BYTES, error);
    if (status == SAMC_OK) status = measure(&r, &again, error);
    if (status == SAMC_OK) {
        *orientation = orientation_of(&r);
        status = r.rgba ? read_rgba(&r, extent, samples, error) : read_samples(&r, extent, samples, error);
    }
    if (r.tiff != NULL) TIFFClose(r.tiff);
    return status;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A band of pieces at a time. Larger ones, a compressed picture in one strip
 * above all, are no rows. */
enum { MOST_BAND = 64 << 20 };

typedef struct rows {
    reader r;
    samc__image_extent extent;
    bands b;
    uint8_t *band; /* [down, width] of samples, from row `first` on; owned */
    uint64_t first, next;
    bool held;   /* the band is there */
    bool broken; /* it cannot be read: */
    samc_error why;
} rows;

static void close_rows(rows *w) {
    if (w->r.tiff != NULL) TIFFClose(w->r.tiff);
    free_bands(&w->b);
    free(w->band);
    free(w);
}

static samc_status open_rows(rows *w, const samc__image_file *file, bool *by_rows, samc_error *error) {
    w->r.file = file;
    SAMC__TRY(open_page(&w->r, (int64_t)file->size + SPARE_BYTES, error));
    SAMC__TRY(measure(&w->r, &w->extent, error));
    if (w->r.rgba || w->r.width == 0 || w->r.height == 0 || w->r.width > INT32_MAX || w->r.height > INT32_MAX)
        return SAMC_OK;
    w->extent.channels = w->extent.channels == 0 ? 3 : w->extent.channels;
    uint32_t down = 0;
    if (!TIFFGetFieldDefaulted(w->r.tiff, TIFFIsTiled(w->r.tiff) ? TIFFTAG_TILELENGTH : TIFFTAG_ROWSPERSTRIP, &down) ||
        down > w->r.height)
        down = w->r.height;
    const int64_t band = (int64_t)down * w->r.width * (int64_t)samc__image_pixel(&w->extent);
    if (band > MOST_BAND || block_bytes(&w->r) > MOST_BAND) return SAMC_OK;
    SAMC__TRY(make_bands(&w->r, &w->b, error));
    w->band = malloc(band > 0 ? (size_t)band : 1);
    if (w->band == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    *by_rows = true;
    return SAMC_OK;
}

samc_status samc__tiff_rows_open(const samc__image_file *file, void **out, int *orientation, samc_error *error) {
    rows *w = calloc(1, sizeof *w);
    bool by_rows = false;
    *out = NULL;
    if (w == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    samc_status status = open_rows(w, file, &by_rows, error);
    if (status == SAMC_OK && by_rows) {
        *orientation = orientation_of(&w->r);
        *out = w;
    } else {
        close_rows(w);
    }
    return status;
}

samc_status samc__tiff_rows_next(void *reading, void *samples, samc_error *error) {
    rows *w = reading;
    const size_t row = (size_t)w->r.width * samc__image_pixel(&w->extent);
    const uint64_t first = w->next - w->next % w->b.down;
    if (!w->held || w->first != first) {
        w->first = first;
        w->held = true;
        samc_error why = {0};
        w->broken = read_band(&w->r, &w->b, first, w->band, &why) != SAMC_OK;
        const uint64_t last = first + w->b.down < w->r.height ? first + w->b.down : w->r.height;
        if (w->broken)
            samc__fail(&w->why, why.status, "%.400s (rows %llu to %llu)", why.message, (unsigned long long)first,
                       (unsigned long long)last - 1);
    }
    if (w->broken) {
        if (error != NULL) *error = w->why;
        return w->why.status;
    }
    memcpy(samples, w->band + (size_t)(w->next - w->first) * row, row);
    w->next++;
    return SAMC_OK;
}

void samc__tiff_rows_at(void *reading, int64_t row) {
    rows *w = reading;
    w->next = (uint64_t)row;
}

void samc__tiff_rows_close(void *reading) { close_rows(reading); }
