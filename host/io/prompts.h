/* Prompts from the command line and from JSON: numbers are taken strictly, nothing is guessed. */
#ifndef SAMC_HOST_IO_PROMPTS_H
#define SAMC_HOST_IO_PROMPTS_H

#include "runtime/samc.h"

enum { SAMC__MAX_PROMPTS = 65536, SAMC__MAX_POINTS = 4096 /* in one prompt */ };

typedef struct samc__prompts {
    samc_prompt *items; /* [count] */
    int count, room;
} samc__prompts;

/* Adds a prompt of copies: points [point_count, 2], labels [point_count], box [4] or NULL; all may be absent, for a
 * prompt that is a mask alone. */
samc_status samc__prompts_add(samc__prompts *prompts, const float *points, const int32_t *labels, int point_count,
                              const float *box, samc_error *error);
void samc__prompts_free(samc__prompts *prompts);

/* A JSON list of {"points": [[x, y], ...], "labels": [1, 0, ...], "box": [x0, y0, x1, y1]}. Each entry has points or a
 * box or both; labels default to 1; any other key is an error. Errors name `name`, the entry (from 0) and the reason.
 */
samc_status samc__prompts_parse(const char *json, size_t size, const char *name, samc__prompts *prompts,
                                samc_error *error);
/* The same from a file of at most 64 MiB, or "-" for standard input. */
samc_status samc__prompts_read(const char *path, samc__prompts *prompts, samc_error *error);

/* Refuses points outside an image of this size, which are nearly always a mistake (another scale, x and y swapped), and
 * boxes that do not touch it. Boxes may reach over its edge, as those of detectors do, and are not clipped. */
samc_status samc__prompts_check(const samc__prompts *prompts, const char *name, int width, int height,
                                samc_error *error);

/* "X,Y" or "X,Y,LABEL"; "X0,Y0,X1,Y1" with X0 <= X1 and Y0 <= Y1. */
samc_status samc__parse_point(const char *text, float point[2], int32_t *label, samc_error *error);
samc_status samc__parse_box(const char *text, float box[4], samc_error *error);

#endif
