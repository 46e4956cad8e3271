/* A COCO data set that is edited image by image, by several at a time: every change is a whole new file, and nobody's
 * change is made to what its author has not seen. What is not understood, other images and other fields, stays as it
 * is. Calls are safe from any thread. */
#ifndef SAMC_HOST_SERVE_COCO_H
#define SAMC_HOST_SERVE_COCO_H

#include "host/serve/coco_file.h"

enum { SAMC__ETAG = 17 }; /* of what an image, or the classes, were when they were read: 16 hexadecimal digits */

/* All calls below look first whether another program changed the file, and read it again then. */

/* {"classes": [{"id", "name"}], "etag"} */
samc_status samc__coco_classes(samc__coco *coco, json_t **classes, samc_error *error);
/* Of `count` images, by their names, how many annotations they have, and whether they are done. */
samc_status samc__coco_states(samc__coco *coco, const char *const *names, size_t count, int *annotations, bool *done,
                              samc_error *error);
/* {"etag", "done", "width", "height", "objects": [...]}; sizes as the file has them, or null. */
samc_status samc__coco_image(samc__coco *coco, const char *name, json_t **image, samc_error *error);

/* Changes are made only where `etag` is that of what is there: SAMC_MISMATCH else. SAMC_INVALID_ARGUMENT: what is
 * wanted makes no sense; SAMC_UNSUPPORTED: it cannot be done. In all these cases nothing is changed. */

/* [{"id"?, "name"}]: those with an id get the name, those without are new, those that are missing go, unless an
 * annotation has them. *classes as above. */
samc_status samc__coco_set_classes(samc__coco *coco, const char *etag, const json_t *wanted, json_t **classes,
                                   samc_error *error);
/* {"width", "height", "done", "objects": [{"id"?, "uid"?, "class", "segmentation"?, ...}]} (coco.c); *saved:
 * {"etag", "ids": of the objects}. */
samc_status samc__coco_set_image(samc__coco *coco, const char *name, const char *etag, const json_t *wanted,
                                 json_t **saved, samc_error *error);
/* Adds the classes that are not there yet, "a,b,c"; the file is written with the first change. */
samc_status samc__coco_add_classes(samc__coco *coco, const char *list, samc_error *error);

#endif
