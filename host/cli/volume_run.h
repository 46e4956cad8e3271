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
    bool asked; /* of samc auto: an option below was given, so that the input is a volume whatever it looks like */
    samc_link_options link;
    /* From here on its own. */
    samc_volume *volume;
    samc_volume_info info;
    samc_model *model;
    samc_session *session;
    char *journal;  /* <output>.samc-journal */
    bool begun;     /* a slice is done */
    double printed; /* when progress was last */
} samc__cli_volume;

/* Of samc auto. */
enum { SAMC__VOLUME_AXIS = 4000, SAMC__VOLUME_TIME, SAMC__VOLUME_IOU, SAMC__VOLUME_GAP, SAMC__VOLUME_LENGTH };
enum { SAMC__VOLUME_MOST_TIME = 1 << 20 /* of --volume: series over time have thousands */ };
#define SAMC__VOLUME_OPTIONS                                                                                           \
    {"axis", required_argument, NULL, SAMC__VOLUME_AXIS}, {"volume", required_argument, NULL, SAMC__VOLUME_TIME},      \
        {"link-iou", required_argument, NULL, SAMC__VOLUME_IOU},                                                       \
        {"max-gap", required_argument, NULL, SAMC__VOLUME_GAP}, {                                                      \
        "min-length", required_argument, NULL, SAMC__VOLUME_LENGTH                                                     \
    }
#define SAMC__VOLUME_HELP                                                                                              \
    "Volumes: a NIfTI file, or with one of these options DICOM slices. -o is a file, .nii, .nii.gz, .dcm or\n"         \
    ".json, or a folder, DIR/:\n"                                                                                      \
    "      --axis i|j|k, --volume T           as of 'samc volume', and --scale, --window and --resume too\n"           \
    "      --link-iou X                       masks of neighbouring slices with so much IoU are one object (0.5)\n"    \
    "      --max-gap N                        slices that an object may miss (1)\n"                                    \
    "      --min-length N                     objects on fewer slices are left out (1)\n"

samc__cli_volume samc__cli_volume_begin(void);
/* Takes one of these options; SAMC__EXIT_OK, or wrong usage with a message. */
int samc__cli_volume_option(samc__cli_volume *volume, const samc__cli *cli, int option, const char *text);
/* Whether samc auto takes its inputs for a volume. */
bool samc__cli_volume_wanted(const samc__cli_volume *volume, char **inputs, int count);

/* "i", "j", "k" or 0, 1, 2; wrong usage with a message. */
int samc__cli_volume_axis(samc__cli_volume *volume, const char *text);
/* SAMC_INVALID_ARGUMENT where the output's file is the one at `path`, which was given to be read. */
samc_status samc__cli_volume_spare(const samc__cli_volume *volume, const char *path, samc_error *error);
/* Opens the volume, and says what is wrong with the output's name or with a run that is there before anything else is
 * done. */
samc_status samc__cli_volume_open(samc__cli_volume *volume, samc_error *error);
/* Of samc segment: slice `slice` of the volume at volume->path as a picture; volume->axis, if it is not given, becomes
 * the volume's own. The volume is closed again. */
samc_status samc__cli_volume_picture(samc__cli_volume *volume, int slice, samc_image *image, samc_scale *scale,
                                     samc_error *error);
/* Whether a picture at `path` is none for it is a volume by its looks: a NIfTI file or a folder of slices. */
bool samc__cli_volume_looks(const char *path);
/* What results of such a slice are called, "ct_k0057" of "ct.nii.gz", "1.2.3_k0057" of the folder "1.2.3"; to be freed,
 * NULL without memory. */
char *samc__cli_volume_stem(const samc__cli_volume *volume, int slice);
/* Opens the model and a session. */
samc_status samc__cli_volume_model(samc__cli_volume *volume, samc_error *error);
/* For samc_propagate_options and samc_link_options; the context is the samc__cli_volume. */
samc_status samc__cli_volume_progress(void *context, int64_t done, int64_t total);
/* Writes the result, then the journal goes, then one JSON object says what is in it. */
samc_status samc__cli_volume_finish(samc__cli_volume *volume, const samc_segmentation *result, samc_error *error);
/* With the message of a failure, which says how to go on where something is kept. Returns the exit code. */
int samc__cli_volume_end(samc__cli_volume *volume, samc_status status, const samc_error *error);

#endif
