/* DICOM: the stored values of one frame, wherever its bytes are, and what the modality and the display make of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/dicom.h"
#include "host/io/image_format.h"
#include "runtime/base/status.h"

static samc_status damaged(const samc__dicom *d, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: %s", d->name, what);
}

static samc_status no_memory(const samc__dicom *d, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", d->name);
}

/* ---- The JPEG family ------------------------------------------------------------------------- */

/* What a JPEG or JPEG-LS says of its frame, up to the first scan. */
static bool read_markers(const uint8_t *bytes, size_t size, samc__dicom_stream *stream, samc__dicom_stored *s) {
    if (size < 4 || bytes[0] != 0xff || bytes[1] != 0xd8) return false;
    for (size_t at = 2; size - at >= 4;) {
        const uint8_t *segment = bytes + at;
        if (segment[0] != 0xff) return false;
        if (segment[1] == 0xff) {
            at++;
            continue;
        }
        size_t length = samc__big16(segment + 2);
        int marker = segment[1];
        if (length < 2 || size - at - 2 < length) return false;
        if (marker == 0xda) return stream->width > 0;
        bool frame =
            (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc) || marker == 0xf7;
        if (marker == 0xe0 && length >= 7 && memcmp(segment + 4, "JFIF", 4) == 0) s->ycc = true;
        if (frame && stream->width > 0) return false; /* two of them */
        if (frame) {
            if (length < 8) return false;
            stream->bits = segment[4];
            stream->height = (int)samc__big16(segment + 5);
            stream->width = (int)samc__big16(segment + 7);
            stream->samples = segment[9];
            if (length < 8 + 3 * (size_t)stream->samples) return false;
            if (stream->samples == 3)
                s->rgb = (segment[10] == 'R' && segment[13] == 'G' && segment[16] == 'B') ||
                         (segment[10] == 'r' && segment[13] == 'g' && segment[16] == 'b');
        }
        at += 2 + length;
    }
    return false;
}

static samc_status read_jpeg(const samc__dicom *d, const uint8_t *bytes, size_t size, samc__dicom_stored *s,
                             samc_error *error) {
    const bool ls = d->outline.coding == SAMC__DICOM_JPEG_LS;
    const char *what = ls ? "its JPEG-LS" : "its JPEG";
    samc__dicom_stream stream = {.data = bytes, .size = size};
    if (!read_markers(bytes, size, &stream, s)) return damaged(d, what, error);
    if (stream.width != d->columns || stream.height != d->rows || stream.samples != d->samples ||
        stream.bits > d->allocated || stream.bits < 2 || stream.bits > 16)
        return samc__fail(error, SAMC_FORMAT,
                          "%s: damaged DICOM: %s is %d x %d of %d samples of %d bits, and not what "
                          "it says",
                          d->name, what, stream.width, stream.height, stream.samples, stream.bits);
    s->bytes = stream.bits > 8 ? 2 : 1;
    size_t room = (size_t)(s->pixels * s->samples * s->bytes);
    s->owned = calloc(room, 1); /* whatever a codec leaves out */
    if (s->owned == NULL) return no_memory(d, error);
    if (!(ls ? samc__dicom_jpeg_ls : samc__dicom_jpeg)(&stream, s->owned, room)) return damaged(d, what, error);
    s->data = s->owned;
    s->shift = stream.bits > d->stored ? s->shift : 0;
    return SAMC_OK;
}

/* Whether a segment of run lengths unpacks to so many bytes: DCMTK is content with fewer. */
static bool is_whole(const uint8_t *from, size_t size, int64_t count) {
    size_t at = 0;
    while (count > 0) {
        if (at >= size) return false;
        const int code = from[at++];
        if (code == 128) continue;
        const size_t literal = code < 128 ? (size_t)code + 1 : 1;
        if (size - at < literal) return false;
        at += literal;
        count -= code < 128 ? code + 1 : 257 - code;
    }
    return true;
}

/* The segments of a frame: one for each byte of a pixel, and whole (PS3.5, annex G). */
static bool are_whole(const samc__dicom *d, const uint8_t *bytes, size_t size) {
    const int planes = d->samples * d->allocated / 8;
    if (size < 64 || samc__little32(bytes) != (uint32_t)planes) return false;
    for (int i = 0; i < planes; i++) {
        const uint64_t from = samc__little32(bytes + 4 + 4 * i);
        const uint64_t to = i + 1 < planes ? samc__little32(bytes + 8 + 4 * i) : size;
        if (from < 64 || to > size || from > to || !is_whole(bytes + from, to - from, d->rows * d->columns))
            return false;
    }
    return true;
}

static samc_status read_rle(const samc__dicom *d, const uint8_t *bytes, size_t size, samc__dicom_stored *s,
                            samc_error *error) {
    size_t room = (size_t)(s->pixels * s->samples * s->bytes);
    if (!are_whole(d, bytes, size)) return damaged(d, "its run lengths", error);
    s->owned = calloc(room, 1);
    if (s->owned == NULL) return no_memory(d, error);
    if (!samc__dicom_rle(d, bytes, size, s->owned, room)) return damaged(d, "its run lengths", error);
    s->data = s->owned;
    s->planar = true;
    return SAMC_OK;
}

static samc_status read_jpeg_2000(const samc__dicom *d, const uint8_t *bytes, size_t size, samc__dicom_stored *s,
                                  samc_error *error) {
#ifdef SAMC_WITH_JPEG2000
    const samc__image_file file = {.bytes = bytes, .size = size, .name = d->name};
    samc__image_extent extent;
    int bits = 0;
    if (!samc__jpeg2000_recognise(&file)) return damaged(d, "its JPEG 2000", error);
    SAMC__TRY(samc__jpeg2000_header(&file, &extent, error));
    if (extent.width != d->columns || extent.height != d->rows)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: its JPEG 2000 is %lld x %lld, and not what it says",
                          d->name, (long long)extent.width, (long long)extent.height);
    s->owned = calloc((size_t)(s->pixels * s->samples), 4);
    if (s->owned == NULL) return no_memory(d, error);
    SAMC__TRY(samc__jpeg2000_stored(&file, s->pixels, s->samples, (int32_t *)(void *)s->owned, &bits, error));
    s->data = s->owned;
    s->bytes = 4;
    s->planar = true;
    s->shift = bits > d->stored ? s->shift : 0;
    return SAMC_OK;
#else
    (void)bytes, (void)size, (void)s;
    return samc__fail(error, SAMC_UNSUPPORTED,
                      "%s: DICOM whose pixels are JPEG 2000: this samc was built without "
                      "OpenJPEG",
                      d->name);
#endif
}

/* ---- Frames ---------------------------------------------------------------------------------- */

/* Bits of a frame that is not compressed. */
static int64_t frame_bits(const samc__dicom *d) {
    return d->rows * d->columns * d->allocated * (d->colours == SAMC__DICOM_YBR_422 ? 2 : d->samples);
}

static void read_native(const samc__dicom *d, int64_t frame, samc__dicom_stored *s) {
    const samc__dicom_outline *o = &d->outline;
    const int64_t begin = frame_bits(d) * frame;
    s->big = o->big;
    s->swapped = o->big && o->words && d->allocated <= 8;
    s->planar = d->planar == 1 && d->samples == 3;
    s->halved = d->colours == SAMC__DICOM_YBR_422;
    const int64_t odd = s->swapped ? begin / 8 % 2 : 0; /* words begin at the pixels' beginning */
    s->data = o->bytes + o->pixels + begin / 8 - odd;
    s->first_bit = begin % 8 + 8 * odd;
}

int64_t samc__dicom_peak(const samc__dicom *d) {
    const int64_t samples = d->rows * d->columns * d->samples;
    const samc__dicom_outline *o = &d->outline;
    if (o->coding == SAMC__DICOM_NATIVE) return 2 * (int64_t)o->inflated_size;
    /* Values of 1 or 2 bytes, of JPEG 2000 of 4, once in the codec and once outside; the fragments in a row, and in the
     * codec. */
    return samples * (o->coding == SAMC__DICOM_JPEG_2000 ? 12 : 2 * d->allocated / 8 + 4) + 2 * (int64_t)o->size +
           ((int64_t)4 << 20);
}

samc_status samc__dicom_frame(const samc__dicom *d, int64_t frame, samc__dicom_stored *s, samc_error *error) {
    *s = (samc__dicom_stored){.pixels = d->rows * d->columns,
                              .samples = d->samples,
                              .bytes = d->allocated / 8,
                              .floats = d->floats,
                              .shift = d->high + 1 - d->stored,
                              .bits = d->stored,
                              .is_signed = d->is_signed};
    if (frame < 0 || frame >= d->frames) return damaged(d, "no such frame", error);
    if (d->outline.coding == SAMC__DICOM_NATIVE) {
        read_native(d, frame, s);
        return SAMC_OK;
    }
    const uint8_t *bytes = NULL;
    uint8_t *owned;
    size_t size = 0;
    samc_status status = samc__dicom_fragments(d, frame, &bytes, &size, &owned, error);
    if (status == SAMC_OK && d->outline.coding == SAMC__DICOM_RLE) status = read_rle(d, bytes, size, s, error);
    else if (status == SAMC_OK && d->outline.coding == SAMC__DICOM_JPEG_2000)
        status = read_jpeg_2000(d, bytes, size, s, error);
    else if (status == SAMC_OK) status = read_jpeg(d, bytes, size, s, error);
    free(owned);
    return status;
}

void samc__dicom_frame_free(samc__dicom_stored *s) {
    free(s->owned);
    *s = (samc__dicom_stored){0};
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Where the sample stands among all, counted in samples. */
static int64_t place_of(const samc__dicom_stored *s, int64_t pixel, int sample) {
    if (s->halved) return pixel / 2 * 4 + (sample == 0 ? pixel % 2 : 1 + sample);
    return s->planar ? sample * s->pixels + pixel : pixel * s->samples + sample;
}

static uint32_t raw_of(const samc__dicom_stored *s, int64_t i) {
    const uint8_t *at = s->data + i * s->bytes;
    switch (s->bytes) {
    case 0:
        i += s->first_bit;
        return s->data[s->swapped ? (i >> 3) ^ 1 : i >> 3] >> (i & 7) & 1u;
    case 1:
        return s->data[s->swapped ? (i + s->first_bit / 8) ^ 1 : i];
    case 2:
        return s->big ? samc__big16(at) : samc__little16(at);
    default:
        return s->big ? samc__big32(at) : samc__little32(at);
    }
}

int64_t samc__dicom_whole(const samc__dicom_stored *s, int64_t pixel, int sample) {
    const uint64_t mask = ((uint64_t)1 << s->bits) - 1;
    const uint64_t value = raw_of(s, place_of(s, pixel, sample)) >> s->shift & mask;
    const bool negative = s->is_signed && value >> (s->bits - 1) != 0;
    return negative ? (int64_t)value - (int64_t)mask - 1 : (int64_t)value;
}

static double float_at(const samc__dicom_stored *s, int64_t pixel) {
    const uint8_t *at = s->data + pixel * s->floats;
    uint64_t low = s->big ? samc__big32(at) : samc__little32(at), bits = low;
    float single;
    double value;
    if (s->floats == 8) {
        uint64_t high = s->big ? samc__big32(at + 4) : samc__little32(at + 4);
        bits = s->big ? low << 32 | high : high << 32 | low;
        memcpy(&value, &bits, 8);
        return value;
    }
    uint32_t half = (uint32_t)bits;
    memcpy(&single, &half, 4);
    return (double)single;
}

int samc__dicom_entry(const samc__dicom_table *table, double value) {
    double place = floor(value) - table->first;
    int i = place <= 0 ? 0 : place >= table->entries - 1 ? table->entries - 1 : (int)place;
    /* Entries of 8 bits may stand in twos in a word, the first one in its lower half. */
    if (table->size >= (size_t)table->entries) return table->words[i];
    return table->words[i / 2] >> i % 2 * 8 & 255;
}

void samc__dicom_values(const samc__dicom *d, const samc__dicom_place *p, const samc__dicom_stored *s, int64_t first,
                        int64_t count, bool voi, float *values) {
    for (int64_t i = first * d->columns; i < (first + count) * d->columns; i++) {
        double value;
        if (s->floats > 0) {
            value = float_at(s, i) * p->slope + p->intercept;
        } else {
            int64_t stored = samc__dicom_whole(s, i, 0);
            if (d->has_padding && stored >= d->padding[0] && stored <= d->padding[1]) {
                *values++ = NAN;
                continue;
            }
            value = p->modality.entries > 0 ? samc__dicom_entry(&p->modality, (double)stored)
                                            : (double)stored * p->slope + p->intercept;
        }
        if (voi && p->voi.entries > 0) value = samc__dicom_entry(&p->voi, value);
        *values++ = (float)value;
    }
}
