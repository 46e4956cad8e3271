/* The masks of an image as text and pictures, from prompts and automatic masks alike: the one set of writers, for files
 * of one image and for the files that the images of an archive share. */
#ifndef SAMC_HOST_IO_MASKS_H
#define SAMC_HOST_IO_MASKS_H

#include "host/io/image.h"
#include "runtime/base/spool.h"
#include "runtime/base/writer.h"

/* What is kept of an image as text for files that several images share. Owned. */
typedef struct samc__masks_text {
    samc__spool line;        /* the JSON line with its line feed */
    samc__spool annotations; /* COCO: a line for each mask, `"image_id": ...}`, to be opened with `{"id": n, ` */
    char *image;             /* COCO: the entry of the image */
    samc__spool sample;      /* the entries of a tar (sample.h) */
} samc__masks_text;

/* Fills what `formats` needs; `image_id` is COCO's; `folder` is for what is too much for the memory, NULL: /var/tmp. */
samc_status samc__masks_text_make(samc__masks_text *text, const samc_masks *image, unsigned formats, int64_t image_id,
                                  const char *folder, samc_error *error);
void samc__masks_text_free(samc__masks_text *text);

/* A COCO data set is a header and annotations, this, the images, that. The header, whose categories are the phrases
 * (NULL: "object"), is to be freed; NULL without memory. */
char *samc__coco_header(const samc_phrases *phrases);
extern const char samc__coco_before_images[], samc__coco_after_images[];

/* Appends amg.py's bare list of records to a writer that is open. */
samc_status samc__masks_write_records(samc__writer *writer, const samc_masks *image, samc_error *error);
/* Appends SA-1B's object of the image. */
samc_status samc__masks_write_sa1b(samc__writer *writer, const samc_masks *image, samc_error *error);
/* The same appended to a spool. */
samc_status samc__masks_spool_sa1b(samc__spool *spool, const samc_masks *image, samc_error *error);
/* The name without its last extension: *length of it. "a/b.jpg" gives "a/b"; a name that is all extension stays. */
size_t samc__name_stem(const char *name);
/* Writes 0.png, 1.png, ... and metadata.csv into a new folder, which is open; `path` is for messages. `sync`: they are
 * on the disk, their names are when the folder is synced. */
samc_status samc__masks_write_pictures(int folder, const char *path, bool sync, const samc_masks *image,
                                       samc_error *error);
/* labels: [height, width], which get the number of the smallest mask on each pixel, from 1, or 0. */
samc_status samc__masks_label(const samc_masks *image, int32_t *labels, samc_error *error);
/* Every mask in its colour, on a picture of the image's size. */
samc_status samc__masks_draw(const samc_masks *image, samc__picture *picture, samc_error *error);
samc_status samc__masks_write_overlay(samc__writer *writer, const samc_masks *image, samc_error *error);

/* Whether an image is one, and of this size; `name` is for the message. */
samc_status samc__image_fits(const samc_image *image, int width, int height, const char *name, samc_error *error);
/* "<source>: out of memory for its 12 masks" */
samc_status samc__masks_no_memory(const samc_masks *image, samc_error *error);
/* One of them as a file: PNG, OVERLAY, CUTOUT or NPY; what samc_mask_write() says, checked. */
samc_status samc__mask_write(const samc_mask *mask, samc_output output, const samc_image *image,
                             const samc_prompt *prompt, int colour, const char *path, samc_error *error);
/* A new folder of pictures at a path; existing files of their names are an error. */
samc_status samc__masks_write_folder(const char *path, const samc_masks *image, samc_error *error);

#endif
