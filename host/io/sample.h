/* Samples of a WebDataset: the entries of a tar that an image becomes. */
#ifndef SAMC_HOST_IO_SAMPLE_H
#define SAMC_HOST_IO_SAMPLE_H

#include "host/io/masks.h"

enum { SAMC__SAMPLES_END = 1024 }; /* zeros at the end of a tar */

typedef struct samc__sample {
    const char *member;   /* the image's name in its archive, without . and .. */
    const uint8_t *bytes; /* [size], the image's file, which goes in front. NULL: it does not */
    size_t size;
    bool label_map; /* 16-bit grey, the number of the smallest mask on each pixel: KEY.png, beside a copied image, which
                       may have that name, KEY.labels.png */
} samc__sample;

/* Appends the image, KEY.json and the label map to a spool; KEY is the member's name without its extension. Names,
 * contents and sizes are all that the bytes depend on. */
samc_status samc__sample_append(samc__spool *spool, const samc__sample *sample, const samc_masks *image,
                                samc_error *error);

#endif
