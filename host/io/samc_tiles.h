/* samc_io, continued: every mask of a scene, a picture too large to be seen at once. It is cut into tiles at full
 * resolution and at levels of half the size each, down to one that a single tile covers; masks that a tile cuts are
 * left to the next level; one mask stays for an object, the finer one. What comes out hardly depends on where tiles
 * begin, and not at all on threads, devices, shards or interruptions. As samc_archive:
 *   samc_tiles_open()   looks at the scene; nothing is written
 *   samc_tiles_run()    works, to the end or until samc_tiles_stop()
 *   samc_tiles_get_counts()
 *   samc_tiles_close() */
#ifndef SAMC_TILES_H
#define SAMC_TILES_H

#include "samc_io.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct samc_tiles samc_tiles;

/* What the masks of a scene are written as, samc_output bits: <output>/<the scene's name without its extension> and
 *   SAMC_OUTPUT_COCO                .coco.json, a COCO data set of one image; of scenes below 2^32 pixels
 *   SAMC_OUTPUT_JSONL               .masks.jsonl, a mask a line, its run lengths those of its box
 *   SAMC_OUTPUT_OVERLAY             .overlay.png, every mask in its colour, at a level of at most 2048 pixels a side
 *   SAMC_OUTPUT_GPKG, GEOJSON, COG  .gpkg, .geojson, .masks.tif (samc_geo_format), of scenes that GDAL reads; of any
 *                                   other COG is a tiled TIFF with overviews, where the build has libtiff */
enum {
    SAMC_OUTPUT_SCENE = SAMC_OUTPUT_COCO | SAMC_OUTPUT_JSONL | SAMC_OUTPUT_OVERLAY | SAMC_OUTPUT_GPKG |
                        SAMC_OUTPUT_GEOJSON | SAMC_OUTPUT_COG
};

typedef struct samc_tiles_options {
    size_t size;
    const char *input;  /* the scene: a picture file, or with GDAL what that opens */
    const char *output; /* the folder for results, made where it is missing */
    unsigned formats;   /* of these; 0: COCO and OVERLAY, of a scene with a place GPKG and OVERLAY */
    int tile;           /* 1024: side of a tile's core, in which points belong to it; 128 to 8192. The points along it
                           are samc_auto_options' points_per_side */
    int halo;           /* what the model sees around it, 32 to less than half of the tile; 0: an eighth of it */
    int levels;         /* 0: down to one that a single tile covers; else at most so many */
    int64_t origin_x, origin_y; /* 0, 0: where a core begins, in pixels of the scene */
    bool stitch;         /* pieces of what no tile sees whole at full resolution (rivers, fields) are put together */
    int shard, shards;   /* this run takes the tile rows of one part; 0 of 1 */
    bool resume;         /* go on with a run that is there; else one that is there is an error */
    bool no_sync;        /* leave it to the system when results reach the disk */
    int batch;           /* tiles computed together; 0: 1 on a CPU, 8 on a GPU. Never changes the result */
    const char *scale;   /* of samples of more than 8 bits, see samc_samples_scale(), once for the scene; NULL: the
                            default */
    int page;            /* of a document, from 0 */
    const char *bands;   /* of what GDAL reads, see samc_geo_options; NULL: its default */
    double simplify;     /* of outlines, see samc_geo_writer_options */
    int64_t most_pixels; /* of a picture that cannot be read by rows and is decoded whole; 0: SAMC_IMAGE_MOST_PIXELS */
} samc_tiles_options;

SAMC_API samc_status samc_tiles_default_options(samc_tiles_options *options);

/* Opens the scene and checks the options, of which everything stays the caller's until the end. */
SAMC_API samc_status samc_tiles_open(const samc_tiles_options *options, samc_tiles **tiles, samc_error *error);

typedef enum samc_tiles_phase { SAMC_TILES_TILES, SAMC_TILES_REFINING, SAMC_TILES_WRITING } samc_tiles_phase;

typedef struct samc_tiles_counts {
    size_t size;
    int64_t width, height; /* of the scene */
    int levels;
    int64_t tiles;               /* of all levels and shards */
    int phase;                   /* samc_tiles_phase */
    int64_t total, done, before; /* of the phase, of this shard: tiles, windows, masks; `before`: by earlier runs */
    int64_t masks;               /* that the tiles gave */
    int64_t kept;                /* one for each object; 0 until that is known */
    int64_t bad;                 /* parts of the scene that could not be read, named in errors.jsonl */
    const char *first_bad;       /* the first of these in words, or "" */
    int waiting;                 /* shards that are not through, so that nothing is written; -1: another process is
                                    writing it */
    double seconds;              /* that samc_tiles_run() took, 0 before its end */
} samc_tiles_counts;

/* From the thread that runs, also in `tick`, or after the run. Before it the total is 0. */
SAMC_API samc_status samc_tiles_get_counts(const samc_tiles *tiles, samc_tiles_counts *counts, samc_error *error);

typedef struct samc_tiles_events {
    size_t size;
    void *context;
    void (*tick)(void *context); /* after each group of tiles, from the thread that called samc_tiles_run() */
} samc_tiles_events;

/* Works with one session for each device, up to 64, on `model` or copies of it. `automatic`: NULL: the model's own
 * options; grids and crops of them are not looked at. `labels`: NULL, or what masks are named with (samc_text.h).
 * `events` may be NULL. Parts of the scene that cannot be read are no failure: they are left out and counted.
 * SAMC_STOPPED: samc_tiles_stop() came before the end, and a run with `resume` goes on. */
SAMC_API samc_status samc_tiles_run(samc_tiles *tiles, const samc_model *model, samc_session *const *sessions,
                                    int session_count, const samc_auto_options *automatic, const samc_phrases *labels,
                                    const samc_tiles_events *events, samc_error *error);
/* Ends the run, or the one to come, after the tiles at work. From any thread. NULL is allowed. */
SAMC_API void samc_tiles_stop(samc_tiles *tiles);
SAMC_API void samc_tiles_close(samc_tiles *tiles); /* NULL is allowed; never while it runs */

#ifdef __cplusplus
}
#endif
#endif
