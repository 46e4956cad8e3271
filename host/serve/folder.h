/* A folder whose images are labelled: what lies in it was listed once, and nothing else is ever opened. */
#ifndef SAMC_HOST_SERVE_FOLDER_H
#define SAMC_HOST_SERVE_FOLDER_H

#include "host/serve/coco.h"
#include "host/serve/serve.h"

/* The name of the image with that id, or NULL. */
const char *samc__folder_name(const samc__folder *folder, const char *id);
/* The bytes of an image of the list, at most `most` of them, to be freed. SAMC_INVALID_ARGUMENT: a link leads out of
 * the folder, or it is no file. */
samc_status samc__folder_read(const samc__folder *folder, const char *name, size_t most, char **bytes, size_t *size,
                              samc_error *error);

#endif
