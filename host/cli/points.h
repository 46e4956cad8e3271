/* Points and boxes of the command line: what segment and stream share. */
#ifndef SAMC_HOST_CLI_POINTS_H
#define SAMC_HOST_CLI_POINTS_H

#include "host/cli/cli.h"

typedef struct samc__cli_points {
    float points[SAMC_MOST_POINTS * 2], boxes[SAMC_MOST_POINTS * 4];
    int32_t labels[SAMC_MOST_POINTS];
    int point_count, box_count;
} samc__cli_points;

/* "X,Y[,L]" of --point, "X0,Y0,X1,Y1" of --box. SAMC__EXIT_OK, or wrong usage with a message. */
int samc__cli_point(samc__cli_points *points, const samc__cli *cli, const char *text);
int samc__cli_box(samc__cli_points *points, const samc__cli *cli, const char *text);
/* The prompts that they are: all points with at most one box, or each box for itself. The exit code. */
int samc__cli_points_build(const samc__cli_points *points, const samc__cli *cli, samc_prompts **prompts);

#endif
