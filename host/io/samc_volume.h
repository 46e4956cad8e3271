/* Volumes: medical images of three dimensions, and what is segmented in them slice by slice. samc_io.h includes this.
 *
 * One object, from a point on one slice:
 *
 *     samc_volume *volume = NULL;
 *     samc_annotations *marks = NULL;
 *     samc_segmentation *result = NULL;
 *     const float point[2] = {130, 96};
 *     const int32_t on = 1;
 *     samc_volume_prompt prompt = {.size = sizeof prompt, .object = 0, .slice = 57, .points = point, .labels = &on,
 *                                  .point_count = 1};
 *     samc_volume_open("ct.nii.gz", NULL, &volume, &error);
 *     samc_annotations_create(volume, -1, &marks, &error);          // across the axis of the widest spacing
 *     samc_annotations_object(marks, "liver", NULL, &error);        // object 0, label 1
 *     samc_annotations_add(marks, &prompt, &error);
 *     samc_propagate(session, model, volume, marks, NULL, &result, &error);
 *     samc_segmentation_write(result, volume, "liver.nii.gz", &error);
 *
 * Axes are those of the file: i, j and k of NIfTI; the columns, the rows and the slices of a DICOM series, in the order
 * of their position. Slices lie across one of them: across k their x is i and their y is j, across j i and k, across i
 * j and k. Millimetres are RAS+, as nibabel and ITK-SNAP show them: x to the right, y to the front, z to the head; of
 * DICOM's own, x and y are the negative.
 *
 * Values (Hounsfield units, after slope and intercept) become 8 bits before anything else is done with them, by one
 * scale for all slices; these are the grey RGB picture that a model's recipe then resizes and normalises, as MedSAM and
 * micro-sam do it too. */
#ifndef SAMC_VOLUME_H
#define SAMC_VOLUME_H

#include "samc_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Volumes --------------------------------------------------------------------------------- */

/* Voxels that are read by slices, when they are wanted. One thread at a time. */
typedef struct samc_volume samc_volume;

typedef struct samc_volume_options {
    size_t size;
    int time;          /* of a file of four dimensions, which of its volumes, from 0 */
    const char *scale; /* of samc_samples_scale(), over all voxels. NULL: how the file asks to be shown, else
                          "window:auto", MedSAM's rule */
} samc_volume_options;

/* A NIfTI file, or DICOM slices in a folder, a zip or a tar; `options` may be NULL. On failure *volume is NULL. */
SAMC_API samc_status samc_volume_open(const char *path, const samc_volume_options *options, samc_volume **volume,
                                      samc_error *error);
SAMC_API void samc_volume_close(samc_volume *volume); /* NULL is allowed */
/* Whether samc_volume_open() would take a path for a volume, by its first bytes. */
SAMC_API bool samc_volume_is(const char *path);

typedef struct samc_volume_info {
    size_t size;
    int extent[3];       /* voxels along i, j, k */
    int times;           /* volumes in the file */
    double spacing[3];   /* mm along i, j, k */
    double affine[3][4]; /* (i, j, k, 1) to the voxel's centre in mm, RAS+ */
    const char *format;  /* "NIfTI-1", "DICOM", ...; as long as the volume */
    int axis;         /* that slices lie across unless told otherwise: of the widest spacing, of equal ones the last */
    const char *note; /* what people should know of it, in one line, or ""; as long as the volume */
} samc_volume_info;

SAMC_API samc_status samc_volume_get_info(const samc_volume *volume, samc_volume_info *info, samc_error *error);
/* The voxel, in parts of one, where a point in millimetres is. */
SAMC_API samc_status samc_volume_locate(const samc_volume *volume, const double mm[3], double voxel[3],
                                        samc_error *error);
/* Slice `index` across `axis` (0 i, 1 j, 2 k) as the picture that a model gets; samc_image_free()'s. The first call
 * reads all of the volume once or twice, for the numbers of its scale. */
SAMC_API samc_status samc_volume_slice(samc_volume *volume, int axis, int index, samc_image *image, samc_error *error);
/* The values [height, width] of a slice, as the file means them; NaN counts for nothing. SAMC_UNSUPPORTED of colours.
 */
SAMC_API samc_status samc_volume_values(samc_volume *volume, int axis, int index, float *values, samc_error *error);
/* The scale that is used, found as above. */
SAMC_API samc_status samc_volume_get_scale(samc_volume *volume, samc_scale *scale, samc_error *error);

/* ---- What is annotated ----------------------------------------------------------------------- */

/* Objects, and where they are on some slices. */
typedef struct samc_annotations samc_annotations;

enum { SAMC_MOST_OBJECTS = 65535 };

/* Slices lie across `axis`, -1: that of samc_volume_info. The volume is not needed any more afterwards. */
SAMC_API samc_status samc_annotations_create(const samc_volume *volume, int axis, samc_annotations **annotations,
                                             samc_error *error);
SAMC_API void samc_annotations_free(samc_annotations *annotations); /* NULL is allowed */
/* One object more, from 0 on: its label is one more. `name`, UTF-8, may be NULL ("object 1", ...); a name is given
 * once. `index` may be NULL. */
SAMC_API samc_status samc_annotations_object(samc_annotations *annotations, const char *name, int *index,
                                             samc_error *error);

/* What one slice says of one object. */
typedef struct samc_volume_prompt {
    size_t size;
    int object;
    int slice;
    const float *points;   /* [point_count, 2], x and y on the slice, in voxels, the first one's centre being 0, 0 */
    const int32_t *labels; /* [point_count], 1 on the object, 0 off it; NULL: all on it */
    int point_count;
    const float *box;    /* [4], x0 y0 x1 y1, or NULL */
    const uint8_t *mask; /* [height, width], not 0 on the object, or NULL: the slice's result, as it is. Alone */
} samc_volume_prompt;

/* A copy is kept. More points for the same object on the same slice join the others. SAMC_INVALID_ARGUMENT: a point, a
 * box or a slice outside the volume, a second box, a mask that is empty or beside another prompt; nothing is added. */
SAMC_API samc_status samc_annotations_add(samc_annotations *annotations, const samc_volume_prompt *prompt,
                                          samc_error *error);

/* ---- From slice to slice --------------------------------------------------------------------- */

/* What the next slice is asked with. Bits, to be combined. */
typedef enum samc_carry {
    SAMC_CARRY_BOX = 1,   /* the box of the slice before, a little wider */
    SAMC_CARRY_MASK = 2,  /* the mask of the slice before, as logits */
    SAMC_CARRY_POINTS = 4 /* points deep in the mask, and far off it */
} samc_carry;

typedef struct samc_propagate_options {
    size_t size;
    unsigned carry; /* samc_carry bits; 0: the best by measurement, with the box, with box and points, and with box and
                       mask; of a model that takes boxes alone the box */
    double box_extension;  /* 0.01 of the box's sides, on each side */
    double least_iou;      /* 0.5: an object ends where a slice's mask has less with the one before */
    double least_likeness; /* 0.5: and where the mask looks less like the object than this part of how much that of the
                              annotated slice does, by grey values in it and around it, or more of it like what was
                              around than like the object; 0: grey values end nothing */
    double most_growth;    /* 4: and where it is larger than the largest annotated one times this; 0: it never is */
    const char *journal;   /* NULL, or a file that keeps what is done, for the next run to go on with; the caller's to
                              remove when the result is safe */
    bool resume;           /* go on with a journal that is there; else one that is there is an error */
    /* NULL, or called when a slice is done: `done` of at most `total`. What it returns other than SAMC_OK ends the run
     * with that status; what is done is in the journal. */
    samc_status (*progress)(void *context, int64_t done, int64_t total);
    void *progress_context;
} samc_propagate_options;

SAMC_API samc_status samc_propagate_default_options(samc_propagate_options *options, samc_error *error);

/* Objects of a volume, as labels. */
typedef struct samc_segmentation samc_segmentation;

/* Follows each object from the slices where it is annotated to those beside them, and on: outwards until the object
 * ends or the volume does, between two annotated slices from both to the middle, where the one slice that an odd gap
 * has is asked with both masks. Each slice is encoded once, for all objects on it. `options` may be NULL. `model` is
 * the session's. */
SAMC_API samc_status samc_propagate(samc_session *session, const samc_model *model, samc_volume *volume,
                                    const samc_annotations *annotations, const samc_propagate_options *options,
                                    samc_segmentation **segmentation, samc_error *error);

/* ---- Every object of a volume ---------------------------------------------------------------- */

typedef struct samc_link_options {
    size_t size;
    double least_iou;   /* 0.5: of masks on neighbouring slices that are one object */
    int most_gap;       /* 1: slices that an object may miss, and gets by the two masks around them */
    int least_slices;   /* 1: objects on fewer are left out */
    int64_t least_area; /* 0: pixels of a mask; smaller ones are left out */
    double most_part;   /* 0.5: of a slice; larger masks are taken for background and left out */
    const char *journal;
    bool resume;
    samc_status (*progress)(void *context, int64_t done, int64_t total);
    void *progress_context;
} samc_link_options;

SAMC_API samc_status samc_link_default_options(samc_link_options *options, samc_error *error);

/* samc_auto() on every slice across `axis` (-1: the volume's), and masks of neighbouring slices that overlap most
 * become one object, the pair with the highest IoU first. `automatic` and `options` may be NULL. */
SAMC_API samc_status samc_volume_auto(samc_session *session, const samc_model *model, samc_volume *volume, int axis,
                                      const samc_auto_options *automatic, const samc_link_options *options,
                                      samc_segmentation **segmentation, samc_error *error);

/* ---- Results --------------------------------------------------------------------------------- */

SAMC_API void samc_segmentation_free(samc_segmentation *segmentation); /* NULL is allowed */
SAMC_API int samc_segmentation_objects(const samc_segmentation *segmentation);

typedef struct samc_object {
    size_t size;
    const char *name; /* as long as the segmentation */
    int label;        /* its index + 1 */
    int first, last;  /* slices across the axis; -1 where it is on none */
    int slices;       /* with at least one of its voxels */
    int64_t voxels;   /* that are its own in the result: where objects overlap, the later one has them */
    double volume_mm3;
    float predicted_iou; /* mean of its slices; 0 of those that were given */
    int box[6];          /* i0 j0 k0 i1 j1 k1, inclusive; all 0 where there are no voxels */
} samc_object;

SAMC_API samc_status samc_segmentation_get_object(const samc_segmentation *segmentation, int index, samc_object *object,
                                                  samc_error *error);
/* Labels [extent[1], extent[0]] of slice k; 0 is nothing. Where objects overlap, the later one has the voxel. */
SAMC_API samc_status samc_segmentation_labels(const samc_segmentation *segmentation, int k, uint16_t *labels,
                                              samc_error *error);
/* The mask of one object on one slice across the segmentation's axis, also where a later object covers it, as run
 * lengths; samc_rle_free()'s. */
SAMC_API samc_status samc_segmentation_mask(const samc_segmentation *segmentation, int index, int slice, samc_rle *rle,
                                            samc_error *error);
/* Whether samc_segmentation_write() would take a path's name for a volume, before there is anything to write. */
SAMC_API samc_status samc_segmentation_check(const samc_volume *volume, const char *path, samc_error *error);
/* In the space of the volume it was made of: ".nii", ".nii.gz", or ".dcm", a DICOM segmentation of a DICOM series;
 * whole or not at all. Or as masks of its slices across its axis, each object's own, also where a later one covers it:
 * ".json" is {"size", "spacing", "axis", "objects": [{"name", "label", "masks": [{"slice", "predicted_iou", "area",
 * "bbox", "rle": {"size": [h, w], "counts"}}]}]}; a name that ends in "/" is a folder, made where it is missing, that
 * gets <slice>_<label>.png, 0 and 255, as "0057_1.png", and at last masks.json, which names them as "file"; those that
 * a masks.json of an earlier run names are removed. */
SAMC_API samc_status samc_segmentation_write(const samc_segmentation *segmentation, samc_volume *volume,
                                             const char *path, samc_error *error);

#ifdef __cplusplus
}
#endif
#endif
