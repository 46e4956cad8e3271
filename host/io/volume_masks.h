/* Masks of a volume's objects, slice by slice: run lengths in a JSON, or a folder of pictures with that JSON in it. */
#ifndef SAMC_HOST_IO_VOLUME_MASKS_H
#define SAMC_HOST_IO_VOLUME_MASKS_H

#include "host/io/segmentation.h"

/* Whether a name is that of a JSON, "*.json", or of a folder, which ends in a slash. */
bool samc__volume_masks_are(const char *path);
/* A JSON is there whole or not at all; of a folder the JSON, masks.json, comes last. Of an earlier run the pictures
 * that its JSON names go first, and then that one. */
samc_status samc__volume_masks_write(const samc_segmentation *segmentation, const char *path, samc_error *error);

#endif
