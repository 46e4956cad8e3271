/* DICOM slices in the order of their place: only headers are read at first, and a slice's pixels when it is asked for.
 * All slices have to be of one series, one size and one direction, and stand at equal distances. */
#include "host/io/dicom_series.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/dicom_files.h"
#include "host/io/image_dicom.h"
#include "host/io/samc_io.h"
#include "host/io/volume.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

typedef struct slice {
    int file, frame;
    double position[3], along; /* mm in LPS, and of it what is along the normal */
} slice;

typedef struct series {
    const char *path; /* in messages, until it is open */
    samc__dicom_files files;
    slice *slices; /* [count], by place */
    int count, room;
    double row[3], column[3], normal[3]; /* directions in which i, j and k grow */
    double spacing[2];                   /* from row to row, from column to column */
    bool placed;                         /* the slices say where they are */
    int first;                           /* the file that all others are held against */
    samc__dicom header;                  /* its header, but for what is owned */
    samc__dicom open;                    /* of the file that was read last */
    samc__dicom_stored stored;
    samc__dicom_place place;
    int open_file, open_frame; /* -1: none */
    uint8_t *rgb;              /* [rows, columns, 3] of the frame, where the slices are in colours */
} series;

static const char segmentations[] = "1.2.840.10008.5.1.4.1.1.66.4"; /* Segmentation Storage */

static double dot(const double *a, const double *b) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }
static const char *name_of(const series *s, int k) { return s->files.items[s->slices[k].file].name; }

/* ---- Headers --------------------------------------------------------------------------------- */

static samc_status other(const series *s, int file, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: %s than %s", s->files.items[file].name, what,
                      s->files.items[s->first].name);
}

/* Whether a slice belongs to those before it. */
static samc_status check_same(const series *s, const samc__dicom *d, int file, samc_error *error) {
    const samc__dicom *h = &s->header;
    if (strcmp(d->series, h->series) != 0) return other(s, file, "of another series", error);
    if (d->rows != h->rows || d->columns != h->columns) return other(s, file, "of another size", error);
    if (samc__dicom_is_grey(d) != samc__dicom_is_grey(h) || d->colours != h->colours)
        return other(s, file, "in other colours", error);
    return SAMC_OK;
}

/* The directions of all slices; those of a first one decide. */
static samc_status take_directions(series *s, const samc__dicom_place *p, int file, samc_error *error) {
    const double *o = p->orientation;
    if (!p->has_orientation || !p->has_position || !p->has_spacing) {
        if (s->count > 0 && s->placed) return other(s, file, "without a place, otherwise", error);
        return SAMC_OK;
    }
    if (s->count > 0 && !s->placed) return other(s, file, "with a place, otherwise", error);
    if (fabs(dot(o, o) - 1) > 0.02 || fabs(dot(o + 3, o + 3) - 1) > 0.02 || fabs(dot(o, o + 3)) > 0.02)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: directions that are none", s->files.items[file].name);
    if (!(p->spacing[0] > 0) || !(p->spacing[1] > 0))
        return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: a spacing of %g x %g mm", s->files.items[file].name,
                          p->spacing[0], p->spacing[1]);
    if (s->count == 0) {
        memcpy(s->row, o, sizeof s->row);
        memcpy(s->column, o + 3, sizeof s->column);
        memcpy(s->spacing, p->spacing, sizeof s->spacing);
        for (int i = 0; i < 3; i++)
            s->normal[i] = o[(i + 1) % 3] * o[3 + (i + 2) % 3] - o[(i + 2) % 3] * o[3 + (i + 1) % 3];
        s->placed = true;
        return SAMC_OK;
    }
    for (int i = 0; i < 3; i++)
        if (fabs(o[i] - s->row[i]) > 1e-3 || fabs(o[3 + i] - s->column[i]) > 1e-3)
            return other(s, file, "of another orientation", error);
    for (int i = 0; i < 2; i++)
        if (fabs(p->spacing[i] - s->spacing[i]) > 1e-3 * s->spacing[i])
            return other(s, file, "of another spacing of pixels", error);
    return SAMC_OK;
}

static samc_status add_slice(series *s, const samc__dicom_place *p, int file, int frame, samc_error *error) {
    if (s->count == SAMC__VOLUME_MOST_SIDE)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %d slices", s->path, SAMC__VOLUME_MOST_SIDE);
    SAMC__TRY(take_directions(s, p, file, error));
    if (s->count == s->room) {
        const int room = s->room == 0 ? 64 : 2 * s->room;
        slice *grown = realloc(s->slices, (size_t)room * sizeof *grown);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", s->path);
        s->slices = grown;
        s->room = room;
    }
    slice *to = &s->slices[s->count++];
    *to = (slice){.file = file, .frame = frame, .along = s->count};
    if (!s->placed) return SAMC_OK;
    memcpy(to->position, p->position, sizeof to->position);
    to->along = dot(p->position, s->normal);
    return SAMC_OK;
}

/* The slices of a file; one without pixels is passed over, as a folder has such files beside its slices, and so is a
 * segmentation, that of an earlier run perhaps. */
static samc_status take_file(series *s, int file, samc_error *error) {
    const samc__dicom_file *from = &s->files.items[file];
    samc__dicom d;
    samc__dicom_place place;
    samc_status status = samc__dicom_open(from->bytes, from->size, from->name, 0, &d, error);
    const bool beside = s->files.count > 1 && d.held != NULL;
    const bool passed =
        beside && (strcmp(d.sop_class, segmentations) == 0 || (status != SAMC_OK && d.outline.pixels == 0));
    if (status == SAMC_OK && !passed) {
        if (s->count == 0) {
            s->first = file;
            s->header = d;
            s->header.held = NULL;
            s->header.starts = NULL;
        }
        status = check_same(s, &d, file, error);
        for (int64_t frame = 0; frame < d.frames && status == SAMC_OK; frame++) {
            status = samc__dicom_place_of(&d, frame, &place, error);
            if (status == SAMC_OK) status = add_slice(s, &place, file, (int)frame, error);
        }
    }
    samc__dicom_close(&d);
    return passed ? SAMC_OK : status;
}

/* ---- Places ---------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b) {
    const slice *x = a, *y = b;
    if (x->along != y->along) return x->along < y->along ? -1 : 1;
    return x->file != y->file ? (x->file < y->file ? -1 : 1) : (x->frame > y->frame) - (x->frame < y->frame);
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The distance that most slices have. */
static samc_status usual_step(const series *s, double *step, samc_error *error) {
    double *steps = malloc((size_t)s->count * sizeof *steps);
    if (steps == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", s->path);
    for (int k = 0; k + 1 < s->count; k++) steps[k] = s->slices[k + 1].along - s->slices[k].along;
    qsort(steps, (size_t)s->count - 1, sizeof *steps, by_value);
    *step = steps[(s->count - 1) / 2];
    free(steps);
    return SAMC_OK;
}

/* Equal distances, nothing missing, nothing twice. */
static samc_status check_steps(const series *s, double step, samc_error *error) {
    for (int k = 0; k + 1 < s->count; k++) {
        const double here = s->slices[k + 1].along - s->slices[k].along;
        const char *a = name_of(s, k), *b = name_of(s, k + 1);
        if (here < 1e-3 || here < 0.01 * step)
            return samc__fail(error, SAMC_FORMAT, "%s and %s are at the same place", a, b);
        const double apart = fabs(here - step);
        if (apart <= 0.05 * step || apart <= 0.02) continue;
        const double times = round(here / step);
        if (times >= 2 && fabs(here - times * step) <= 0.1 * step)
            return samc__fail(error, SAMC_FORMAT, "%.0f missing between %s and %s: %g mm, and %g mm elsewhere",
                              times - 1, a, b, here, step);
        return samc__fail(error, SAMC_FORMAT, "%s and %s are %g mm apart, and other slices %g mm", a, b, here, step);
    }
    return SAMC_OK;
}

/* Slices whose corners are not on a line, which a volume cannot be. */
static samc_status check_line(const series *s, const double *step, double length, samc_error *error) {
    for (int k = 0; k < s->count; k++) {
        double apart = 0;
        for (int i = 0; i < 3; i++) {
            const double d = s->slices[k].position[i] - (s->slices[0].position[i] + k * step[i]);
            apart += d * d;
        }
        if (sqrt(apart) > fmax(0.1 * length, 0.1))
            return samc__fail(error, SAMC_FORMAT, "%s is %g mm beside the line of the other slices", name_of(s, k),
                              sqrt(apart));
    }
    return SAMC_OK;
}

/* How the corner of a slice moves from one to the next, [3] in LPS. */
static samc_status find_step(series *s, double thickness, double *step, samc__volume_info *info, samc_error *error) {
    double usual = thickness > 0 ? thickness : 1;
    for (int i = 0; i < 3; i++) step[i] = usual * s->normal[i];
    if (s->count == 1 || !s->placed) return SAMC_OK;
    qsort(s->slices, (size_t)s->count, sizeof *s->slices, by_place);
    if (s->files.count == 1 && s->slices[s->count - 1].along - s->slices[0].along < 1e-6)
        return SAMC_OK; /* frames of one place: in time, or with none of their own */
    SAMC__TRY(usual_step(s, &usual, error));
    SAMC__TRY(check_steps(s, usual, error));
    for (int i = 0; i < 3; i++)
        step[i] = (s->slices[s->count - 1].position[i] - s->slices[0].position[i]) / (s->count - 1);
    const double length = sqrt(dot(step, step)), cosine = dot(step, s->normal) / length;
    SAMC__TRY(check_line(s, step, length, error));
    if (cosine < 0.9998) /* above a degree */
        samc__print(info->note, sizeof info->note,
                    "its slices are tilted by %.1f degrees (the gantry's), and so is the "
                    "volume",
                    acos(cosine) * 180 / 3.14159265358979323846);
    return SAMC_OK;
}

/* ---- The source ------------------------------------------------------------------------------ */

static void close_frame(series *s) {
    samc__dicom_frame_free(&s->stored);
    s->open_frame = -1;
}

static void close_series(void *state) {
    series *s = state;
    if (s == NULL) return;
    close_frame(s);
    samc__dicom_close(&s->open);
    samc__dicom_files_close(&s->files);
    free(s->slices);
    free(s->rgb);
    free(s);
}

static void describe(const series *s, const samc__dicom_place *p, const double *step, samc__volume_info *info) {
    const samc__dicom *h = &s->header;
    static const char *const kinds[] = {"window", "window-exact", "window-sigmoid"};
    info->extent[0] = (int)h->columns;
    info->extent[1] = (int)h->rows;
    info->extent[2] = s->count;
    info->times = 1;
    info->channels = samc__dicom_is_grey(h) ? 1 : 3;
    info->format = "DICOM";
    info->inverted = h->colours == SAMC__DICOM_GREY_INVERTED;
    info->ct = samc__dicom_is_ct(h);
    for (int i = 0; i < 3; i++) { /* LPS to RAS */
        const double sign = i < 2 ? -1 : 1;
        info->affine[i][0] = sign * s->row[i] * s->spacing[1];
        info->affine[i][1] = sign * s->column[i] * s->spacing[0];
        info->affine[i][2] = sign * step[i];
        info->affine[i][3] = sign * s->slices[0].position[i];
    }
    if (p->has_window && info->channels == 1)
        samc__print(info->window, sizeof info->window, "%s:%.9g,%.9g", kinds[p->window.kind - SAMC__SCALE_WINDOW],
                    p->window.low, p->window.high);
}

/* What a volume of slices may be: DICOM's numbers of rows and columns go on to 65535. */
static samc_status check_sides(const series *s, samc_error *error) {
    const int64_t i = s->header.columns, j = s->header.rows, most = SAMC__VOLUME_MOST_SIDE;
    if (i <= most && j <= most && i * j <= SAMC_IMAGE_MOST_PIXELS && i * s->count <= SAMC_IMAGE_MOST_PIXELS &&
        j * s->count <= SAMC_IMAGE_MOST_PIXELS)
        return SAMC_OK;
    return samc__fail(error, SAMC_UNSUPPORTED,
                      "%s: a volume of %lld x %lld x %d voxels, at most %d a side and %lld a slice", s->path,
                      (long long)i, (long long)j, s->count, SAMC__VOLUME_MOST_SIDE, (long long)SAMC_IMAGE_MOST_PIXELS);
}

static samc_status open_series(series *s, samc__volume_info *info, samc_error *error) {
    double step[3];
    SAMC__TRY(samc__dicom_files_open(s->path, &s->files, error));
    for (int i = 0; i < s->files.count; i++) SAMC__TRY(take_file(s, i, error));
    if (s->count == 0) return samc__fail(error, SAMC_FORMAT, "%s: no DICOM file with pixels in it", s->path);
    if (!s->placed && s->files.count > 1 && s->count > 1)
        return samc__fail(error, SAMC_FORMAT, "%s does not say where it is: no position, orientation or spacing",
                          name_of(s, 0));
    if (!s->placed) { /* frames of one file: a millimetre a pixel */
        s->row[0] = s->column[1] = s->normal[2] = 1;
        s->spacing[0] = s->spacing[1] = 1;
    }
    SAMC__TRY(check_sides(s, error));
    const samc__dicom_place place = s->header.place;
    SAMC__TRY(find_step(s, place.thickness, step, info, error));
    describe(s, &place, step, info);
    if (info->channels == 1) return SAMC_OK;
    s->rgb = malloc((size_t)info->extent[0] * (size_t)info->extent[1] * 3);
    return s->rgb != NULL ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", s->path);
}

static samc_status open_source(const char *path, int time, samc__volume_info *info, void **state, samc_error *error) {
    series *s = calloc(1, sizeof *s);
    if (s == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    *state = s;
    s->path = path;
    s->open_file = s->open_frame = -1;
    SAMC__TRY(open_series(s, info, error));
    s->path = NULL;
    return time == 0
               ? SAMC_OK
               : samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: volume %d is wanted, but there is one", path, time);
}

/* The pixels of slice k. */
static samc_status open_frame(series *s, int k, samc_error *error) {
    const slice *from = &s->slices[k];
    const samc__dicom_file *file = &s->files.items[from->file];
    if (s->open_file == from->file && s->open_frame == from->frame) return SAMC_OK;
    close_frame(s);
    if (s->open_file != from->file) {
        samc__dicom_close(&s->open);
        s->open_file = -1;
        samc_status status = samc__dicom_open(file->bytes, file->size, file->name, from->frame, &s->open, error);
        if (status != SAMC_OK) {
            samc__dicom_close(&s->open);
            return status;
        }
        s->open_file = from->file;
    }
    SAMC__TRY(samc__dicom_place_of(&s->open, from->frame, &s->place, error));
    samc_status status = samc__dicom_frame(&s->open, from->frame, &s->stored, error);
    if (status != SAMC_OK) {
        close_frame(s);
        return status;
    }
    if (s->rgb != NULL) samc__dicom_rgb(&s->open, &s->stored, s->rgb);
    s->open_frame = from->frame;
    return SAMC_OK;
}

static samc_status read_rows(void *state, int k, int first, int count, float *values, samc_error *error) {
    series *s = state;
    SAMC__TRY(open_frame(s, k, error));
    if (s->rgb == NULL) {
        samc__dicom_values(&s->open, &s->place, &s->stored, first, count, false, values);
        return SAMC_OK;
    }
    const size_t row = (size_t)s->open.columns * 3;
    for (size_t i = 0; i < (size_t)count * row; i++) values[i] = s->rgb[(size_t)first * row + i];
    return SAMC_OK;
}

static bool recognise(const char *path, bool folder, const uint8_t *head, size_t size) {
    return (!folder && samc__dicom_is(head, size)) || samc__dicom_files_are(path, folder);
}

const samc__volume_source samc__volume_dicom = {
    .name = "DICOM",
    .recognise = recognise,
    .open = open_source,
    .rows = read_rows,
    .close = close_series,
};

int samc__dicom_series_slices(const void *state) { return ((const series *)state)->count; }

samc_status samc__dicom_series_source(const void *state, int k, const uint8_t **bytes, size_t *size, int *frame,
                                      samc_error *error) {
    const series *s = state;
    if (k < 0 || k >= s->count) return samc__fail(error, SAMC_INVALID_ARGUMENT, "slice %d of %d", k, s->count);
    const samc__dicom_file *file = &s->files.items[s->slices[k].file];
    *bytes = file->bytes;
    *size = file->size;
    *frame = s->slices[k].frame;
    return SAMC_OK;
}
