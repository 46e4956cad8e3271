/* DICOM: what a file says of its pixels, and the pixels of one frame. DCMTK parses and decodes (dicom.cc); of a file's
 * elements the few that make up a picture and its place are looked at, never one that says who the patient is, and none
 * of its text is in messages but the transfer syntax and the modality. A build without DCMTK knows a DICOM when it sees
 * one, and refuses it.
 *
 *   dicom_guard.c   what is checked before DCMTK sees a byte
 *   dicom.cc        elements, run lengths, JPEG, JPEG-LS: the one file that is C++
 *   dicom_fragments.c   which fragments are a frame's
 *   dicom_values.c  which pixels are read, and what the modality and the display make of them
 *   image_dicom.c   as an image; dicom_series.c: as a volume */
#ifndef SAMC_HOST_IO_DICOM_H
#define SAMC_HOST_IO_DICOM_H

#ifdef __cplusplus
extern "C" {
#endif

#include "host/io/scale.h"

typedef enum samc__dicom_coding {
    SAMC__DICOM_NATIVE,
    SAMC__DICOM_RLE,
    SAMC__DICOM_JPEG,
    SAMC__DICOM_JPEG_LS,
    SAMC__DICOM_JPEG_2000
} samc__dicom_coding;

typedef enum samc__dicom_colours {
    SAMC__DICOM_UNKNOWN,
    SAMC__DICOM_GREY,
    SAMC__DICOM_GREY_INVERTED,
    SAMC__DICOM_PALETTE,
    SAMC__DICOM_RGB,
    SAMC__DICOM_YBR,
    SAMC__DICOM_YBR_422
} samc__dicom_colours;

/* ---- Before DCMTK (dicom_guard.c) ---- */

/* Bytes of a value, in an outline's. */
typedef struct samc__dicom_span {
    size_t at, size;
} samc__dicom_span;

/* What a walk over all elements says. */
typedef struct samc__dicom_outline {
    samc__dicom_coding coding;
    bool big, implicit;
    char sop_class[65];   /* that group 2 names; "": none */
    const uint8_t *bytes; /* the file's, or `inflated` */
    size_t size;
    size_t begin;      /* of the data set, in `bytes` */
    uint8_t *inflated; /* owned; NULL: it was not deflated */
    size_t inflated_size;
    size_t pixels;                     /* where their value begins in `bytes`; 0: there are none */
    uint32_t tag;                      /* theirs */
    uint32_t length;                   /* UINT32_MAX: in fragments */
    bool words;                        /* said to be words of 16 bits */
    samc__dicom_span offsets, lengths; /* of frames, 64 bits each: the extended offset table and that beside it */
} samc__dicom_outline;

/* Whether DCMTK's dictionary has a sequence for this tag (dicom.cc). */
bool samc__dicom_is_sequence(uint32_t tag);
/* By the first 132 bytes or the first element. */
bool samc__dicom_is(const uint8_t *bytes, size_t size);
bool samc__dicom_has_preamble(const uint8_t *bytes, size_t size);
/* outline->inflated is to be freed, also after a failure. */
samc_status samc__dicom_guard(const uint8_t *bytes, size_t size, const char *name, samc__dicom_outline *outline,
                              samc_error *error);

/* ---- The file (dicom.cc) ---- */

/* A look-up table: value `first` + i becomes entry i, of so many bits; entries 0: there is none. */
typedef struct samc__dicom_table {
    const uint16_t *words; /* the data set's */
    size_t size;           /* of them */
    int entries, first, bits;
} samc__dicom_table;

/* What an enhanced object says of each frame, and others once. */
typedef struct samc__dicom_place {
    bool has_position, has_orientation, has_spacing, has_window;
    double position[3], orientation[6]; /* mm in LPS; the directions of a row and of a column */
    double spacing[2];                  /* mm, from row to row and from column to column */
    double thickness, tilt;             /* mm, degrees; 0: not said */
    double slope, intercept;            /* of stored values */
    samc__dicom_table modality, voi;
    samc__scale window; /* the first */
} samc__dicom_place;

enum { SAMC__DICOM_UID = 65 };

typedef struct samc__dicom {
    const char *name;
    samc__dicom_outline outline;
    void *held;     /* what dicom.cc keeps */
    size_t *starts; /* [frames + 1] of compressed ones: where their first fragments are; owned */
    int64_t rows, columns, frames;
    int samples, planar, allocated, stored, high; /* high: the uppermost bit of the stored ones */
    bool is_signed;
    int floats; /* bytes of a sample that is a float; 0: they are whole numbers */
    samc__dicom_colours colours;
    bool has_padding;
    int64_t padding[2]; /* from, to: stored values that are none */
    samc__dicom_table palette[3];
    char modality[17], sop_class[SAMC__DICOM_UID], sop[SAMC__DICOM_UID], series[SAMC__DICOM_UID];
    char reference[SAMC__DICOM_UID]; /* of the frame of reference */
    samc__dicom_place place;         /* of the frame that is wanted */
} samc__dicom;

/* Reads up to the pixels, and checks what they are. The bytes have to stay. samc__dicom_close() also after a failure.
 */
samc_status samc__dicom_open(const uint8_t *bytes, size_t size, const char *name, int64_t frame, samc__dicom *dicom,
                             samc_error *error);
/* The place of another frame. */
samc_status samc__dicom_place_of(const samc__dicom *dicom, int64_t frame, samc__dicom_place *place, samc_error *error);
void samc__dicom_close(samc__dicom *dicom);
/* DCMTK's data set of what stands before the pixels, for dicom_seg.cc; NULL: none was read. */
void *samc__dicom_data(const samc__dicom *dicom);
/* DCMTK reads its dictionary of elements from a file when the first one is looked up: a process that is to lose its
 * rights calls this before. */
void samc__dicom_prepare(void);
const char *samc__dicom_library(void); /* "DCMTK 3.6.7" */

/* After all other checks, of compressed pixels: fills in `starts`. */
samc_status samc__dicom_find_frames(samc__dicom *dicom, samc_error *error);

/* What a JPEG or JPEG-LS says of itself, which holds. */
typedef struct samc__dicom_stream {
    const uint8_t *data;
    size_t size;
    int width, height, samples;
    int bits; /* 2 to 16 */
} samc__dicom_stream;

/* The bytes of a frame's fragments in a row: the file's, or `owned`, which is to be freed. */
samc_status samc__dicom_fragments(const samc__dicom *dicom, int64_t frame, const uint8_t **bytes, size_t *size,
                                  uint8_t **owned, samc_error *error);
/* Fills out [samples, height, width] of run lengths, of allocated / 8 bytes in the machine's order, and of the JPEGs
 * [height, width, samples] of 1 byte, above 8 bits of 2, whose colours are not converted. False: they are damaged, or
 * there is no memory. */
bool samc__dicom_rle(const samc__dicom *dicom, const uint8_t *bytes, size_t size, void *out, size_t room);
bool samc__dicom_jpeg(const samc__dicom_stream *stream, void *out, size_t room);
bool samc__dicom_jpeg_ls(const samc__dicom_stream *stream, void *out, size_t room);

/* ---- Values (dicom_values.c, dicom_frame.c) ---- */

/* After all elements: whether pixels of this kind are read. */
samc_status samc__dicom_check(samc__dicom *dicom, samc_error *error);
samc_status samc__dicom_check_place(const samc__dicom *dicom, samc__dicom_place *place, samc_error *error);
samc__dicom_colours samc__dicom_colours_of(const char *name);
/* Numbers in decimal, apart by backslashes: how many of the first `most` there are; -1 where one is none. */
int samc__dicom_decimals(const char *text, double *values, int most);
bool samc__dicom_is_grey(const samc__dicom *dicom);
bool samc__dicom_is_ct(const samc__dicom *dicom);

/* Values of a frame as they are stored. */
typedef struct samc__dicom_stored {
    const uint8_t *data;
    uint8_t *owned; /* or NULL */
    int64_t pixels; /* of the frame */
    int samples;    /* of a pixel */
    int bytes;      /* of a sample, 1, 2 or 4; 0: one bit */
    int floats;     /* bytes of one, 4 or 8; 0: whole numbers */
    bool big;
    bool swapped; /* bytes in words of the other order */
    bool planar;
    bool halved; /* colours of 4:2:2: Y Y B R for two pixels */
    int shift, bits;
    bool is_signed;
    int64_t first_bit; /* of one-bit samples */
    bool ycc, rgb;     /* what the colours are, whatever the file says */
} samc__dicom_stored;

/* Bytes that decoding a frame allocates. */
int64_t samc__dicom_peak(const samc__dicom *dicom);
/* `stored` is to be freed, also after a failure. */
samc_status samc__dicom_frame(const samc__dicom *dicom, int64_t frame, samc__dicom_stored *stored, samc_error *error);
void samc__dicom_frame_free(samc__dicom_stored *stored);
int64_t samc__dicom_whole(const samc__dicom_stored *stored, int64_t pixel, int sample);
/* Entry of a table for a value, which is held within it. */
int samc__dicom_entry(const samc__dicom_table *table, double value);
/* Rows first to first + count - 1 after the modality's table or line, padding as NaN; `voi`: and after the table of
 * the display. */
void samc__dicom_values(const samc__dicom *dicom, const samc__dicom_place *place, const samc__dicom_stored *stored,
                        int64_t first, int64_t count, bool voi, float *values);

#ifdef __cplusplus
}
#endif

#endif
