/* A volume: the voxels of a NIfTI file or of a series of DICOM slices, where they are in the patient, and its slices
 * across any axis on demand, so that nobody holds all of it. Labels go back into the same space (labels.h).
 *
 * Axes are those of the file: i is the fastest of NIfTI and the column of DICOM, j the row there, k the slice, in the
 * order of the position for DICOM. Nothing is turned or mirrored: a slice across k has the pixels that a viewer of the
 * single DICOM slice shows. Where a voxel's centre is in the room says the affine, in millimetres of RAS+, the world of
 * NIfTI: x grows to the patient's right, y to the front, z to the head. DICOM's LPS is turned into it.
 *
 * Values are what the file says they mean: scl_slope and scl_inter, or the modality's LUT (HU), are applied, in double
 * precision, and rounded to float once. What counts for nothing is NaN: a NaN, DICOM's padding. How they become 8 bits
 * is the caller's (scale.h). No tag of a patient is in messages: they name the file and what is wrong. */
#ifndef SAMC_HOST_IO_VOLUME_H
#define SAMC_HOST_IO_VOLUME_H

#include "host/io/file.h"

enum { SAMC__VOLUME_MOST_SIDE = 32767 };           /* along i, j and k; NIfTI-1 can say no more */
#define SAMC__VOLUME_MOST_BYTES ((int64_t)1 << 36) /* of all voxels of a file as they are stored */

typedef struct samc__volume samc__volume;

typedef struct samc__volume_info {
    int extent[3];       /* voxels along i, j, k; 1 to SAMC__VOLUME_MOST_SIDE */
    int times;           /* volumes in the file: of a 4-D NIfTI; at least 1 */
    int channels;        /* 1, or 3: RGB, 0 to 255 */
    double spacing[3];   /* mm along i, j, k, positive and finite: the lengths of the affine's columns */
    double affine[3][4]; /* (i, j, k, 1) to the voxel's centre, mm in RAS+ */
    const char *format;  /* "NIfTI-1", "NIfTI-2", "DICOM"; a literal */
    char window[64];     /* how the file asks to be shown, for samc__scale_parse(): "window:40,400"; "": nothing */
    bool inverted;       /* small values are white: MONOCHROME1 */
    bool ct;             /* values are Hounsfield units, as the file says */
    char note[128];      /* what people should know of it, one line; "": nothing */
} samc__volume_info;

/* A file or a folder; which source it is says its content. `time` is the volume of a 4-D file, from 0. On failure
 * *volume is NULL. */
samc_status samc__volume_open(const char *path, int time, samc__volume **volume, samc_error *error);
/* Whether samc__volume_open() would take it for a volume, by its first bytes. An image is none. */
bool samc__volume_is(const char *path);
const samc__volume_info *samc__volume_get_info(const samc__volume *volume);
/* The values [height, width, channels] of slice `index` across `axis` (0 i, 1 j, 2 k): across k [j, i], across j
 * [k, i], across i [k, j]. In any order; neighbours are cheap in either direction. */
samc_status samc__volume_slice(samc__volume *volume, int axis, int index, float *values, samc_error *error);
/* 64 hexadecimal digits that are others where a voxel, the space or `time` is another: reads all of it once. */
samc_status samc__volume_identity(samc__volume *volume, char identity[65], samc_error *error);
void samc__volume_close(samc__volume *volume); /* NULL is allowed */

/* Labels of a volume's voxels, for who writes them (labels.h). */
typedef struct samc__labels {
    int count;                /* labels are 1 to count, 0 is nothing; at most SAMC__LABELS_MOST */
    const char *const *names; /* [count] of them, UTF-8; NULL, or NULL for one: "Object 1" */
    /* Fills labels [j, i] of slice k. Asked for in order. */
    samc_status (*slice)(void *context, int k, uint16_t *labels, samc_error *error);
    void *context;
    bool automatic; /* nobody prompted for them */
} samc__labels;

/* ---- Between volume.c and the sources: a row of its table ---- */

typedef struct samc__volume_source {
    const char *name;
    /* By the path's kind and the first bytes [size], at most 1024; none of a folder. */
    bool (*recognise)(const char *path, bool folder, const uint8_t *head, size_t size);
    /* Fills info and *state, which close() gets also where this fails after it was set. */
    samc_status (*open)(const char *path, int time, samc__volume_info *info, void **state, samc_error *error);
    /* Rows first to first + count - 1 of slice k to values [count, extent[0], channels]. */
    samc_status (*rows)(void *state, int k, int first, int count, float *values, samc_error *error);
    void (*close)(void *state);
} samc__volume_source;

extern const samc__volume_source samc__volume_nifti; /* nifti.c */
extern const samc__volume_source samc__volume_dicom; /* dicom_series.c, with SAMC_WITH_DICOM */
/* For the writers of labels. */
const samc__volume_source *samc__volume_get_source(const samc__volume *volume, void **state);

#endif
