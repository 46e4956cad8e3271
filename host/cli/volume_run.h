/* What samc volume and samc auto on a volume share: how it is read, how far it is, what came out. */
#ifndef SAMC_HOST_CLI_VOLUME_RUN_H
#define SAMC_HOST_CLI_VOLUME_RUN_H

#include "host/cli/cli.h"

typedef struct samc__cli_volume {
    const samc__cli *cli;
    const char *path, *output;
    int axis; /* of --axis, -1: by the spacing */
    int time; /* of --volume */
    bool resume;
    /* From here on its own. */
    samc_volume *volume;
    samc_volume_info info;
    samc_model *model;
    samc_session *session;
    char *journal;  /* <output>.samc-journal */
    double printed; /* when progress was last */
} samc__cli_volume;

/* "i", "j", "k" or 0, 1, 2; wrong usage with a message. */
int samc__cli_volume_axis(samc__cli_volume *volume, const char *text);
/* Opens the volume, and says what is wrong with the output's name or with a run that is there before anything else is
 * done. */
samc_status samc__cli_volume_open(samc__cli_volume *volume, samc_error *error);
/* Opens the model and a session. */
samc_status samc__cli_volume_model(samc__cli_volume *volume, samc_error *error);
/* For samc_propagate_options and samc_link_options; the context is the samc__cli_volume. */
samc_status samc__cli_volume_progress(void *context, int64_t done, int64_t total);
/* Writes the result, then the journal goes, then one JSON object says what is in it. */
samc_status samc__cli_volume_finish(samc__cli_volume *volume, const samc_segmentation *result, samc_error *error);
/* With the message of a failure, which says how to go on where something is kept. Returns the exit code. */
int samc__cli_volume_end(samc__cli_volume *volume, samc_status status, const samc_error *error);

#endif
