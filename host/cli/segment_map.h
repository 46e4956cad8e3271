/* samc segment on a scene: prompts in the coordinates of its map, or in its pixels, each in a window around it. */
#ifndef SAMC_HOST_CLI_SEGMENT_MAP_H
#define SAMC_HOST_CLI_SEGMENT_MAP_H

#include "host/cli/cli.h"

enum { SAMC__MAP_FORMATS = SAMC_OUTPUT_GPKG | SAMC_OUTPUT_GEOJSON };

/* What the command line says of it. */
typedef struct samc__map_request {
    enum { SAMC__CRS_NONE, SAMC__CRS_MAP, SAMC__CRS_PIXEL } crs;  /* NONE: the image is no scene */
    const char *boxes, *bands;                                    /* --boxes FILE, --bands LIST; NULL */
    double simplify;                                              /* map units */
    const char *points[SAMC_MOST_POINTS], *box[SAMC_MOST_POINTS]; /* as they were given */
    int point_count, box_count;
} samc__map_request;

enum { SAMC__MAP_CRS = SAMC__CLI_OWN + 100, SAMC__MAP_BOXES, SAMC__MAP_BANDS, SAMC__MAP_SIMPLIFY };
#define SAMC__MAP_OPTIONS                                                                                              \
    {"crs", required_argument, NULL, SAMC__MAP_CRS}, {"boxes", required_argument, NULL, SAMC__MAP_BOXES},              \
        {"bands", required_argument, NULL, SAMC__MAP_BANDS}, {                                                         \
        "simplify", required_argument, NULL, SAMC__MAP_SIMPLIFY                                                        \
    }

/* One of these; SAMC__EXIT_OK, or wrong usage with a message. */
int samc__map_option(samc__map_request *request, const samc__cli *cli, int option, const char *text);
/* Whether what was given goes together; `others`: something that does not go with scenes. */
int samc__map_check(const samc__map_request *request, const samc__cli *cli, unsigned formats, bool others);

/* A scene that is being worked on. */
typedef struct samc__map samc__map;

/* Opens the scene and reads the prompts. *usage: the command line is at fault. */
samc_status samc__map_open(const samc__map_request *request, const samc__cli *cli, const char *path, samc__map **map,
                           bool *usage, samc_error *error);
int samc__map_prompts(const samc__map *map);
const samc_geo_info *samc__map_info(const samc__map *map);
samc_status samc__map_scale(const samc__map *map, samc_scale *scale, samc_error *error);
/* Begins the files of polygons, <output>/<stem>.gpkg and so on. */
samc_status samc__map_begin(samc__map *map, unsigned formats, const char *output, const char *stem, samc_error *error);

/* Some prompts and the window that all of them are in. */
typedef struct samc__map_view {
    int64_t x, y;          /* of the scene */
    samc_image image;      /* samc_image_free()'s */
    samc_prompts *prompts; /* in pixels of the window; samc_prompts_free()'s */
    int *numbers;          /* [prompts] of all; free()'s */
} samc__map_view;

/* The next window, of `side` pixels where the prompts are not larger; false in *more, with nothing in the view: there
 * are no prompts left. */
samc_status samc__map_next(samc__map *map, int side, samc__map_view *view, bool *more, samc_error *error);
/* Writes a mask of a window to the files of polygons. *id is its number there, 0: it is empty. */
samc_status samc__map_add(samc__map *map, const samc__map_view *view, const samc_mask *mask, int64_t *id,
                          samc_error *error);
/* The files get their names. */
samc_status samc__map_commit(samc__map *map, samc_error *error);
void samc__map_close(samc__map *map); /* NULL is allowed */

#endif
