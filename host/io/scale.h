/* Samples of 16 bits and floats to the 8-bit RGB that models take: once for a whole picture, however it is read. The
 * numbers that it needs (least, most, percentiles) are exact, and found in memory that does not grow with the picture:
 * in one pass over all samples, of floats' percentiles in two.
 *
 *     value = floor((sample - low) * 255 / (high - low) + 0.5), held within 0 to 255, in f64
 *
 * A sample that is NaN or infinite counts for nothing and becomes 0; so does every one where low is high. DICOM's
 * windows have formulas of their own (PS3.3, C.11.2.1), which are rounded and held alike. */
#ifndef SAMC_HOST_IO_SCALE_H
#define SAMC_HOST_IO_SCALE_H

#include "host/io/samc_io.h"

typedef enum samc__scale_kind {
    SAMC__SCALE_DEFAULT, /* what the file asks for, else HIGH_BYTE of colours of 16 bits, else MINMAX */
    SAMC__SCALE_MINMAX,
    SAMC__SCALE_PERCENTILES, /* low and high are per cent */
    SAMC__SCALE_RANGE,       /* low and high are samples */
    SAMC__SCALE_HIGH_BYTE,
    SAMC__SCALE_WINDOW, /* of these three, low is the window's centre and high its width */
    SAMC__SCALE_WINDOW_EXACT,
    SAMC__SCALE_SIGMOID,
    SAMC__SCALE_TABLE, /* samples that a table of the file made: from low to high; nothing that can be asked for */
    SAMC__SCALE_AUTO   /* MedSAM's: of CT a window for soft tissue, else percentiles 0.5 and 99.5 of what is above 0 */
} samc__scale_kind;

typedef struct samc__scale {
    samc__scale_kind kind;
    double low, high;
} samc__scale;

/* A text of samc_samples_scale()'s; NULL or "": the default. SAMC_INVALID_ARGUMENT. */
samc_status samc__scale_parse(const char *text, samc__scale *scale, samc_error *error);

/* Whether a window's numbers mean something: a width of at least 1, of the last two kinds above 0. */
bool samc__window_is_sane(samc__scale window);

/* What samples are. */
typedef struct samc__sampling {
    samc_sample sample; /* SAMC_SAMPLE_U16 or _F32 */
    int channels;       /* 1 or 3 */
    int bits;           /* of U16, 9 to 16 */
    samc__scale own;    /* what the file asks for, or the default */
    bool inverted;      /* the greatest sample is black */
    bool ct;            /* samples are Hounsfield units, for SAMC__SCALE_AUTO */
} samc__sampling;

size_t samc__sample_bytes(samc_sample sample);

typedef struct samc__scaler {
    samc__sampling type;
    samc__scale scale;
    int passes;              /* over all samples that are still to come */
    uint64_t count;          /* of finite samples */
    uint32_t least, most;    /* of their keys, which have their order */
    uint64_t *bins;          /* [room * 65536]; owned */
    uint8_t *bytes;          /* [65536], of each U16; owned */
    uint64_t place[4];       /* of the order statistics around both percentiles */
    uint32_t key[4], bin[4]; /* theirs; in the second pass the upper half of each, and where its lower halves count */
    uint64_t below[4];       /* samples in the bins below */
    double low, high;        /* when no pass is left */
} samc__scaler;

/* `name` is that of the picture, in messages: "high-byte" is of 16 bits alone. */
samc_status samc__scaler_begin(samc__scaler *scaler, samc__scale scale, samc__sampling type, const char *name,
                               samc_error *error);
/* While there are passes left: every sample once, in any order, then the end of the pass. */
void samc__scaler_look(samc__scaler *scaler, const void *samples, size_t count);
void samc__scaler_end_pass(samc__scaler *scaler);
/* After the last pass: samples [pixels, channels] to rgb [pixels, 3]. */
void samc__scaler_apply(const samc__scaler *scaler, const void *samples, size_t pixels, uint8_t *rgb);
/* What was done, for the record. */
samc_scale samc__scaler_report(const samc__scaler *scaler);
void samc__scaler_end(samc__scaler *scaler);

/* All of it for a picture in memory: rows of samples `row_bytes` apart, of which `type` says more than `samples`, to
 * rgb [height, width, 3]. */
samc_status samc__scale_picture(samc__scale scale, samc__sampling type, const samc_samples *samples, const char *name,
                                uint8_t *rgb, samc_scale *report, samc_error *error);

#endif
