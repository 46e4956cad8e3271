/* Where the pixels of a scene come from: windows of it, at full resolution or reduced by a power of two. */
#ifndef SAMC_HOST_IO_SCENE_SOURCE_H
#define SAMC_HOST_IO_SCENE_SOURCE_H

#include <stdio.h>

#include "host/io/image.h"

/* At level l a pixel is the mean of 2^l x 2^l of the scene, counted from its corner; at the right and the lower edge of
 * what there is of them. */
enum { SAMC__SCENE_LEVELS = 24 };

static inline int64_t samc__scene_side(int64_t side, int level) { return (side + ((int64_t)1 << level) - 1) >> level; }

typedef struct samc__scene_window {
    int level;
    int64_t x, y; /* of the level's pixels */
    int width, height;
} samc__scene_window; /* all of it inside the level */

typedef struct samc__scene_source {
    const char *name;      /* for messages, the source's own */
    int64_t width, height; /* of the scene */
    samc_scale scale;      /* that its samples were scaled by */
    bool threads;          /* may be read by several threads at a time */
    void *context;
    /* Fills rgb [height, width, 3] and, unless it is NULL, valid [height, width]: 1 where the scene has data, 0 where
     * it has none or cannot be read; the mean of a level is over what has data, without any the pixel is black. Parts
     * that cannot be read are no failure, but are told of once each, by samc__scene_bad(). Windows whose
     * `y` grows while the level stays are cheap, as a file is read once then; any order is right. */
    samc_status (*read)(struct samc__scene_source *source, const samc__scene_window *window, uint8_t *rgb,
                        uint8_t *valid, samc_error *error);
    void (*close)(struct samc__scene_source *source); /* also one that could not be opened */
    int64_t bad;
    char first_bad[512];
    void (*report)(void *context, const char *text); /* of each, set by who wants to know; NULL: nobody */
    void *report_context;
} samc__scene_source;

/* A source says of a part that it cannot be read, once: "scene.tif: ..., from row 512 on". The same part has the same
 * text in every run. */
static inline void samc__scene_bad(samc__scene_source *source, const char *text) {
    if (source->bad++ == 0) snprintf(source->first_bad, sizeof source->first_bad, "%s", text);
    if (source->report != NULL) source->report(source->report_context, text);
}

/* A picture of any format. Where it can be read by rows (rows.h), memory holds a row of it and one band of pixels, the
 * rows of a level that the last windows touched; a band of more than SAMC__SCENE_BAND bytes lies in a file without a
 * name in `folder`, NULL: /var/tmp. `folder` stays the caller's. */
enum { SAMC__SCENE_BAND = 160 << 20 };
samc_status samc__scene_file_open(samc__scene_source *source, const char *path, const samc__image_options *options,
                                  const char *folder, samc_error *error);
/* Another limit, for tests. */
void samc__scene_file_set_band(int64_t bytes);

#endif
