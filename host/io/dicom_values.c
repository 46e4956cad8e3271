/* DICOM: what its elements mean, and which pixels are read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/dicom.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

static samc_status damaged(const samc__dicom *d, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: %s", d->name, what);
}

int samc__dicom_decimals(const char *text, double *values, int most) {
    int count = 0;
    for (const char *at = text; *at != '\0' && count < most; count++) {
        const size_t length = strcspn(at, "\\");
        char number[64], *rest;
        if (length >= sizeof number || strspn(at, "0123456789+-.eE ") < length) return -1;
        memcpy(number, at, length);
        number[length] = '\0';
        values[count] = samc__read_double(number, &rest);
        while (*rest == ' ') rest++;
        if (rest == number || *rest != '\0' || !isfinite(values[count])) return -1;
        at += length + (at[length] != '\0');
    }
    return count;
}

samc__dicom_colours samc__dicom_colours_of(const char *name) {
    static const struct {
        const char *name;
        samc__dicom_colours colours;
    } rows[] = {{"MONOCHROME1", SAMC__DICOM_GREY_INVERTED},
                {"MONOCHROME2", SAMC__DICOM_GREY},
                {"PALETTE COLOR", SAMC__DICOM_PALETTE},
                {"RGB", SAMC__DICOM_RGB},
                {"YBR_FULL", SAMC__DICOM_YBR},
                {"YBR_FULL_422", SAMC__DICOM_YBR_422},
                {"YBR_ICT", SAMC__DICOM_RGB},
                {"YBR_RCT", SAMC__DICOM_RGB}}; /* which JPEG 2000 undoes */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(name, rows[i].name) == 0) return rows[i].colours;
    return SAMC__DICOM_UNKNOWN;
}

bool samc__dicom_is_grey(const samc__dicom *d) {
    return d->colours == SAMC__DICOM_GREY || d->colours == SAMC__DICOM_GREY_INVERTED;
}

bool samc__dicom_is_ct(const samc__dicom *d) { return strcmp(d->modality, "CT") == 0; }

/* ---- What is read ---------------------------------------------------------------------------- */

static samc_status without_pixels(const samc__dicom *d, samc_error *error) {
    const size_t length = strspn(d->modality, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    if (strcmp(d->sop_class, "1.2.840.10008.1.3.10") == 0)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: a DICOMDIR, which is a list of files and no image", d->name);
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM without pixels%s%.*s", d->name,
                      length > 0 ? ", of modality " : "", (int)length, d->modality);
}

static bool is_table(const samc__dicom_table *table, int most_bits) {
    return table->words != NULL && table->bits >= 1 && table->bits <= most_bits && table->entries <= 65536 &&
           table->size * 2 >= (size_t)table->entries;
}

static samc_status check_palette(const samc__dicom *d, samc_error *error) {
    if (d->colours == SAMC__DICOM_PALETTE && d->palette[0].entries > 0 && d->palette[0].words == NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM whose palette is in segments, which samc does not read",
                          d->name);
    for (int i = 0; i < 3 && d->colours == SAMC__DICOM_PALETTE; i++)
        if (!is_table(&d->palette[i], 16)) return damaged(d, "its palette", error);
    return SAMC_OK;
}

/* A window counts where it means something, tables have to be whole. */
samc_status samc__dicom_check_place(const samc__dicom *d, samc__dicom_place *p, samc_error *error) {
    if (p->window.kind == SAMC__SCALE_DEFAULT) p->window.kind = SAMC__SCALE_WINDOW;
    p->has_window = p->has_window && samc__window_is_sane(p->window);
    if (p->modality.entries > 0 && !is_table(&p->modality, 16)) return damaged(d, "its table of the modality", error);
    if (p->voi.entries > 0 && !is_table(&p->voi, 16)) return damaged(d, "its table of the display", error);
    return SAMC_OK;
}

static samc_status check_samples(samc__dicom *d, samc_error *error) {
    const int bits = d->allocated;
    const bool grey = d->samples == 1, colours = d->colours >= SAMC__DICOM_RGB;
    if (d->stored == 0) d->stored = bits;
    if (d->high < 0) d->high = d->stored - 1;
    if (d->floats > 0) {
        if (bits != 8 * d->floats || !grey || !samc__dicom_is_grey(d) || d->outline.coding != SAMC__DICOM_NATIVE)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM of floats that are no grey picture", d->name);
        d->stored = bits, d->high = bits - 1;
        return SAMC_OK;
    }
    if (bits != 1 && bits != 8 && bits != 16 && bits != 32)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM of %d bits a sample", d->name, bits);
    if (d->stored < 1 || d->stored > bits || d->high >= bits || d->high + 1 < d->stored)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: %d bits up to bit %d of %d", d->name, d->stored,
                          d->high, bits);
    if (d->colours == SAMC__DICOM_UNKNOWN || (colours && d->samples != 3) || (!colours && !grey) ||
        (bits == 1 && (!grey || d->outline.coding != SAMC__DICOM_NATIVE)) ||
        (d->colours == SAMC__DICOM_YBR_422 && d->outline.coding == SAMC__DICOM_NATIVE &&
         (bits != 8 || d->columns % 2 != 0)) ||
        (colours && (d->is_signed || ((d->colours != SAMC__DICOM_RGB) && bits != 8))))
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: DICOM of %d samples of %d bits in colours that samc does not "
                          "read",
                          d->name, d->samples, bits);
    return SAMC_OK;
}

samc_status samc__dicom_check(samc__dicom *d, samc_error *error) {
    const samc__dicom_outline *o = &d->outline;
    if (o->pixels == 0) return without_pixels(d, error);
    if (d->rows <= 0 || d->columns <= 0)
        return samc__fail(error, SAMC_FORMAT, "%s: image without pixels (%lld x %lld)", d->name, (long long)d->columns,
                          (long long)d->rows);
    SAMC__TRY(check_samples(d, error));
    SAMC__TRY(check_palette(d, error));
    SAMC__TRY(samc__dicom_check_place(d, &d->place, error));
    if (o->coding != SAMC__DICOM_NATIVE)
        return o->length == UINT32_MAX ? SAMC_OK : damaged(d, "compressed pixels that are not in fragments", error);
    if (o->length == UINT32_MAX) return damaged(d, "pixels in fragments that are not compressed", error);
    const int64_t bits = d->rows * d->columns * d->allocated * (d->colours == SAMC__DICOM_YBR_422 ? 2 : d->samples);
    const bool odd = o->big && o->words && o->length % 2 != 0; /* half a word */
    if (d->frames > INT64_MAX / 8 / bits || (bits * d->frames + 7) / 8 > (int64_t)o->length - odd)
        return samc__fail(error, SAMC_FORMAT, "%s: truncated DICOM: %lld frames of %lld x %lld in %lu bytes", d->name,
                          (long long)d->frames, (long long)d->columns, (long long)d->rows, (unsigned long)o->length);
    return SAMC_OK;
}
