/* --tile of samc auto, and the options that go with it. */
#ifndef SAMC_HOST_CLI_TILES_OPTIONS_H
#define SAMC_HOST_CLI_TILES_OPTIONS_H

#include "host/cli/cli.h"

/* Values of the options below. */
enum {
    SAMC__TILES_TILE = 3000,
    SAMC__TILES_HALO,
    SAMC__TILES_LEVELS,
    SAMC__TILES_ORIGIN,
    SAMC__TILES_STITCH,
    SAMC__TILES_BANDS,
    SAMC__TILES_SIMPLIFY,
    SAMC__TILES_END
};

#define SAMC__TILES_OPTIONS                                                                                            \
    {"tile", required_argument, NULL, SAMC__TILES_TILE}, {"halo", required_argument, NULL, SAMC__TILES_HALO},          \
        {"levels", required_argument, NULL, SAMC__TILES_LEVELS},                                                       \
        {"tile-origin", required_argument, NULL, SAMC__TILES_ORIGIN},                                                  \
        {"stitch", no_argument, NULL, SAMC__TILES_STITCH}, {"bands", required_argument, NULL, SAMC__TILES_BANDS}, {    \
        "simplify", required_argument, NULL, SAMC__TILES_SIMPLIFY                                                      \
    }

#define SAMC__TILES_HELP                                                                                               \
    "Scenes: a picture of any size in tiles, without seams. INPUT is one file:\n"                                      \
    "      --tile N                           side of a tile, in which --points-per-side points lie, 128 to 8192 "     \
    "(1024); masks that a\n"                                                                                           \
    "                                         tile cuts are left to the next level\n"                                  \
    "      --halo N                           pixels around it that the model sees too, from 32 (an eighth of the "    \
    "tile)\n"                                                                                                          \
    "      --levels auto, N                   levels of half the size each: until one tile covers the scene (auto)\n"  \
    "      --tile-origin X,Y                  where a tile begins (0,0)\n"                                             \
    "      --stitch                           pieces of what no tile sees whole (rivers, fields) are put together\n"   \
    "      --bands LIST                       of a scene that GDAL reads, such as 3,2,1\n"                             \
    "      --simplify X                       outlines of polygons may move by X, in units of the map (0)\n"           \
    "      --format LIST                      any of coco, jsonl, overlay, cog (a raster of ids), and with GDAL "      \
    "gpkg, "                                                                                                           \
    "geojson; default\n"                                                                                               \
    "                                         coco,overlay, of a scene with a place gpkg,overlay. <name> is the "      \
    "scene's without its\n"                                                                                            \
    "                                         extension: <name>.coco.json, .masks.jsonl, .overlay.png, .gpkg, "        \
    ".geojson,\n"                                                                                                      \
    "                                         .masks.tif\n"                                                            \
    "      --shard I/N, --resume, --no-sync, --batch-images N (tiles), --scale, --page, --max-pixels: as above\n"      \
    "\n"

/* What the command line said of scenes. */
typedef struct samc__cli_tiles {
    samc_tiles_options options;
    bool asked;        /* --tile was given */
    const char *first; /* the first of the others, or NULL */
} samc__cli_tiles;

samc__cli_tiles samc__cli_tiles_begin(void);
/* One of the options above; SAMC__EXIT_OK, or wrong usage with a message. */
int samc__cli_tiles_option(samc__cli_tiles *tiles, const samc__cli *cli, int option, const char *argument);

#endif
