/* A frame of a DICOM as an image. Grey ones are samples after the modality's table or line, in f32; the window that
 * the file asks for is their scale where no other is given. Colours are RGB. */
#include <stdio.h>
#include <string.h>

#include "host/io/image_dicom.h"
#include "host/io/image_format.h"
#include "runtime/base/status.h"

/* The file's own way to be shown: a table, a window, all there can be of 8 bits and less, else from least to most. */
static samc__scale own_of(const samc__dicom *d) {
    const samc__dicom_place *p = &d->place;
    if (p->voi.entries > 0) return (samc__scale){SAMC__SCALE_TABLE, 0, (double)((1 << p->voi.bits) - 1)};
    if (p->has_window) return p->window;
    if (d->floats == 0 && d->stored <= 8 && p->modality.entries == 0 && p->slope == 1 && p->intercept == 0)
        return (samc__scale){SAMC__SCALE_RANGE, d->is_signed ? -(double)(1 << (d->stored - 1)) : 0,
                             (double)((1 << (d->stored - d->is_signed)) - 1)};
    return (samc__scale){0};
}

bool samc__dicom_recognise(const samc__image_file *file) { return samc__dicom_is(file->bytes, file->size); }

/* What header and pixels say together. */
static void extent_of(const samc__dicom *d, samc__image_extent *extent) {
    *extent = (samc__image_extent){.width = d->columns, .height = d->rows, .pages = (int)d->frames};
    if (samc__dicom_is_grey(d)) {
        extent->sample = SAMC_SAMPLE_F32;
        extent->channels = 1;
        extent->own = own_of(d);
        extent->inverted = d->colours == SAMC__DICOM_GREY_INVERTED;
        extent->ct = samc__dicom_is_ct(d);
    } else if (d->colours == SAMC__DICOM_RGB && d->stored > 8) {
        extent->sample = d->stored > 16 ? SAMC_SAMPLE_F32 : SAMC_SAMPLE_U16;
        extent->bits = d->stored > 16 ? 0 : d->stored;
        if (d->stored > 16) extent->own = (samc__scale){SAMC__SCALE_RANGE, 0, (double)(((int64_t)1 << d->stored) - 1)};
    }
    extent->peak = samc__dicom_peak(d);
}

samc_status samc__dicom_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    samc__dicom d;
    samc_status status = samc__dicom_open(file->bytes, file->size, file->name, file->page, &d, error);
    if (status == SAMC_OK) extent_of(&d, extent);
    samc__dicom_close(&d);
    return status;
}

static uint8_t byte_of(int64_t value, int bits) {
    return (uint8_t)(bits > 8 ? value >> (bits - 8) : bits < 8 ? value * 255 / ((1 << bits) - 1) : value);
}

static void take_palette(const samc__dicom *d, const samc__dicom_stored *s, uint8_t *rgb) {
    for (int64_t i = 0; i < s->pixels; i++)
        for (int c = 0; c < 3; c++, rgb++) {
            const samc__dicom_table *table = &d->palette[c];
            bool wide = table->size >= (size_t)table->entries; /* a byte says no more than 8 bits of its 16 */
            *rgb = byte_of(samc__dicom_entry(table, (double)samc__dicom_whole(s, i, 0)), wide ? table->bits : 8);
        }
}

/* In place, by the numbers of PS3.3, C.7.6.3.1.2. */
static void ycc_to_rgb(uint8_t *pixels, int64_t count) {
    for (int64_t i = 0; i < count; i++, pixels += 3) {
        const double y = pixels[0] + 0.5, b = pixels[1] - 128, r = pixels[2] - 128;
        const double rgb[3] = {y + 1.402 * r, y - 0.114 * 1.772 / 0.587 * b - 0.299 * 1.402 / 0.587 * r, y + 1.772 * b};
        for (int c = 0; c < 3; c++) pixels[c] = (uint8_t)(rgb[c] <= 0 ? 0 : rgb[c] >= 255 ? 255 : rgb[c]);
    }
}

static void take_colours(const samc__dicom *d, const samc__image_extent *extent, const samc__dicom_stored *s,
                         void *samples) {
    const bool said = d->colours == SAMC__DICOM_YBR || d->colours == SAMC__DICOM_YBR_422;
    for (int64_t i = 0; i < s->pixels * 3; i++) {
        int64_t value = samc__dicom_whole(s, i / 3, (int)(i % 3));
        if (extent->sample == SAMC_SAMPLE_U8) ((uint8_t *)samples)[i] = byte_of(value, d->stored);
        else if (extent->sample == SAMC_SAMPLE_U16) ((uint16_t *)samples)[i] = (uint16_t)value;
        else ((float *)samples)[i] = (float)value;
    }
    if ((said || s->ycc) && !s->rgb && extent->sample == SAMC_SAMPLE_U8) ycc_to_rgb(samples, s->pixels);
}

void samc__dicom_rgb(const samc__dicom *d, const samc__dicom_stored *s, uint8_t *rgb) {
    if (d->colours == SAMC__DICOM_PALETTE) take_palette(d, s, rgb);
    else take_colours(d, &(samc__image_extent){.sample = SAMC_SAMPLE_U8}, s, rgb);
}

samc_status samc__dicom_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                               int *orientation, samc_error *error) {
    samc__dicom d;
    samc__dicom_stored s = {0};
    (void)orientation;
    samc_status status = samc__dicom_open(file->bytes, file->size, file->name, file->page, &d, error);
    if (status == SAMC_OK) status = samc__dicom_frame(&d, file->page, &s, error);
    if (status == SAMC_OK) {
        if (d.colours == SAMC__DICOM_PALETTE) take_palette(&d, &s, samples);
        else if (!samc__dicom_is_grey(&d)) take_colours(&d, extent, &s, samples);
        else samc__dicom_values(&d, &d.place, &s, 0, d.rows, file->scale.kind == SAMC__SCALE_DEFAULT, samples);
    }
    samc__dicom_frame_free(&s);
    samc__dicom_close(&d);
    return status;
}
