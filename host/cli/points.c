/* Points and boxes of the command line. */
#include "host/cli/points.h"

int samc__cli_point(samc__cli_points *a, const samc__cli *cli, const char *text) {
    samc_error error;
    if (a->point_count == SAMC_MOST_POINTS) return samc__cli_usage(cli, "more than %d points", SAMC_MOST_POINTS);
    if (samc_parse_point(text, a->points + 2 * a->point_count, a->labels + a->point_count, &error) != SAMC_OK)
        return samc__cli_usage(cli, "%s", error.message);
    a->point_count++;
    return SAMC__EXIT_OK;
}

int samc__cli_box(samc__cli_points *a, const samc__cli *cli, const char *text) {
    samc_error error;
    if (a->box_count == SAMC_MOST_POINTS)
        return samc__cli_usage(cli, "more than %d boxes; use --prompts", SAMC_MOST_POINTS);
    if (samc_parse_box(text, a->boxes + 4 * a->box_count, &error) != SAMC_OK)
        return samc__cli_usage(cli, "%s", error.message);
    a->box_count++;
    return SAMC__EXIT_OK;
}

int samc__cli_points_build(const samc__cli_points *a, const samc__cli *cli, samc_prompts **prompts) {
    samc_error error;
    if (a->point_count > 0 && a->box_count > 1)
        return samc__cli_usage(cli, "points with %d boxes: give one box, or use --prompts", a->box_count);
    samc_status status = samc_prompts_create(prompts, &error);
    const samc_prompt points = {.size = sizeof points,
                                .points = a->points,
                                .labels = a->labels,
                                .point_count = a->point_count,
                                .box = a->box_count > 0 ? a->boxes : NULL};
    if (status == SAMC_OK && a->point_count > 0) status = samc_prompts_add(*prompts, &points, &error);
    for (int i = 0; a->point_count == 0 && status == SAMC_OK && i < a->box_count; i++)
        status = samc_prompts_add(*prompts, &(samc_prompt){.size = sizeof points, .box = a->boxes + 4 * i}, &error);
    return status == SAMC_OK ? SAMC__EXIT_OK : samc__cli_fail(error.message);
}
