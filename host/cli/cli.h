/* What the subcommands of the command line share: common options, strict numbers, messages and exit codes. */
#ifndef SAMC_HOST_CLI_CLI_H
#define SAMC_HOST_CLI_CLI_H

#include <getopt.h>
#include <jansson.h>

#include "host/io/samc_io.h"

enum {
    SAMC__EXIT_OK = 0,
    SAMC__EXIT_FAILURE = 1,
    SAMC__EXIT_USAGE = 2,
    SAMC__EXIT_PARTLY = 3 /* samc auto: some images failed */
};

enum { SAMC__CLI_DEVICES = 16, SAMC__CLI_SETTINGS = 32 };

/* The state of one command line. */
typedef struct samc__cli {
    const char *command;                          /* "segment" */
    const char *help;                             /* the text of --help, before the common options */
    samc_options options;                         /* but for its settings: samc__cli_options() */
    const char *settings[SAMC__CLI_SETTINGS + 1]; /* of --set, ended by NULL */
    int setting_count;
    const char *model; /* --model, or NULL */
    const char *scale; /* --scale or --window of images, or NULL */
    bool windowed;     /* it is --window */
    int page;          /* --page of images, or --frame, from 0 */
    bool quiet;
    bool asked_backend;                                                      /* --backend was given */
    enum { SAMC__CLI_ANY_DEVICE, SAMC__CLI_ON_CPU, SAMC__CLI_ON_GPU } place; /* --device cpu, or cuda */
    bool asked_auto;                              /* --backend auto was given, which the answer to is of interest */
    bool many_devices;                            /* --device may be a list; set by the subcommand */
    int devices[SAMC__CLI_DEVICES], device_count; /* of --device; -1: all there are */
    int exit_code;                                /* where samc__cli_next() returned SAMC__CLI_STOP */
} samc__cli;

/* Values of long options without a letter; subcommands number theirs from SAMC__CLI_OWN. */
enum {
    SAMC__CLI_STOP = 1000,
    SAMC__CLI_MODEL,
    SAMC__CLI_BACKEND,
    SAMC__CLI_PRECISION,
    SAMC__CLI_THREADS,
    SAMC__CLI_DEVICE,
    SAMC__CLI_CUDNN,
    SAMC__CLI_SET,
    SAMC__CLI_RECIPE,
    SAMC__CLI_SCALE,
    SAMC__CLI_WINDOW,
    SAMC__CLI_PAGE,
    SAMC__CLI_IMAGE_SIZE,
    SAMC__CLI_VERSION,
    SAMC__CLI_OWN
};

/* The tail of every subcommand's table of long options. */
#define SAMC__CLI_COMMON                                                                                               \
    {"model", required_argument, NULL, SAMC__CLI_MODEL}, {"backend", required_argument, NULL, SAMC__CLI_BACKEND},      \
        {"precision", required_argument, NULL, SAMC__CLI_PRECISION},                                                   \
        {"threads", required_argument, NULL, SAMC__CLI_THREADS},                                                       \
        {"device", required_argument, NULL, SAMC__CLI_DEVICE}, {"cudnn", no_argument, NULL, SAMC__CLI_CUDNN},          \
        {"set", required_argument, NULL, SAMC__CLI_SET}, {"recipe", required_argument, NULL, SAMC__CLI_RECIPE},        \
        {"image-size", required_argument, NULL, SAMC__CLI_IMAGE_SIZE}, {"quiet", no_argument, NULL, 'q'},              \
        {"version", no_argument, NULL, SAMC__CLI_VERSION}, {"help", no_argument, NULL, 'h'}, {                         \
        0                                                                                                              \
    }

/* Of subcommands that read images, with the lines that their help has of it. */
#define SAMC__CLI_IMAGE                                                                                                \
    {"scale", required_argument, NULL, SAMC__CLI_SCALE}, {"window", required_argument, NULL, SAMC__CLI_WINDOW},        \
        {"page", required_argument, NULL, SAMC__CLI_PAGE}, {                                                           \
        "frame", required_argument, NULL, SAMC__CLI_PAGE                                                               \
    }
#define SAMC__CLI_SCALE_HELP                                                                                           \
    "      --scale SCALE     how samples of 16 bits and floats become the 8 bits of a model's input: minmax,\n"        \
    "                        P0.5-99.5 (percentiles), A,B (values) or high-byte; once for a whole image.\n"            \
    "                        Default: high-byte of 16-bit colours, minmax of 16-bit grey and of floats;\n"             \
    "                        NaN and infinity count for nothing. 8-bit images are never scaled\n"                      \
    "      --window WINDOW   the same by a window of DICOM: C,W (centre, width), soft-tissue, lung, bone, brain or\n"  \
    "                        auto. Default: the file's own\n"                                                          \
    "      --page N, --frame N  of a document or an animation, from 0 (0): TIFF, GIF, WebP, AVIF, HEIC, ...\n"

samc__cli samc__cli_begin(const char *command, const char *help);
/* The next option of the subcommand's own, -1 after the last one, SAMC__CLI_STOP where the program is to end with
 * cli->exit_code. Common options are taken care of. `letters` are the short options that take an argument, such as
 * "o:". */
int samc__cli_next(samc__cli *cli, int argc, char **argv, const char *letters, const struct option *table);

/* Each prints one line on the standard error and returns the exit code. */
int samc__cli_usage(const samc__cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int samc__cli_fail(const char *message);
/* Progress for people: nothing with --quiet. */
void samc__cli_note(const samc__cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The name that --precision takes. */
const char *samc__cli_precision(samc_precision precision);

/* What a model is opened with; `cli` has to stay where it is until then. */
samc_options samc__cli_options(const samc__cli *cli);
/* Opens the model and notes where a GPU was looked for in vain. */
samc_status samc__cli_open_model(const samc__cli *cli, const char *path, samc_model **model, samc_error *error);
/* The model on each GPU that was asked for, once where it runs on the CPU. On failure too `models` [SAMC__CLI_DEVICES]
 * holds what is open, and NULL. */
samc_status samc__cli_open_models(const samc__cli *cli, const char *path, samc_model **models, int *count,
                                  samc_error *error);
/* Notes what the session had to do differently, if anything. */
void samc__cli_note_session(const samc__cli *cli, const samc_session *session);

/* Seconds that encoding one image takes about, by an assumed rate of the backend and the threads: an order of
 * magnitude, before the model has run. */
double samc__cli_encode_seconds(const samc_model_info *info);
/* "about 3 minutes ..." where that is more than a minute; false where it is not. */
bool samc__cli_slow(const samc_model_info *info, char text[160]);

/* A whole number in decimal within the bounds; nothing else. */
bool samc__cli_integer(const char *text, int least, int most, int *value);
/* Whether both names lead to the same file. */
bool samc__cli_same_file(const char *a, const char *b);
/* Prints the object on one line of the standard output, floats with the nine digits that bring back the same float.
 * Takes the reference; NULL counts as out of memory. Returns the exit code. */
int samc__cli_print_json(json_t *object);

/* Reads an image with --scale and --page; `applied` may be NULL. */
samc_status samc__cli_load_image(const samc__cli *cli, const char *path, int64_t most_pixels, samc_image *image,
                                 samc_scale *applied, samc_error *error);
/* Adds "scale" to an object where an image was scaled. */
void samc__cli_add_scale(json_t *object, const samc_scale *scale);

/* Strings and numbers for JSON: text that is no UTF-8 is mended, NaN and infinity become null. NULL without memory. */
json_t *samc__cli_text(const char *text);
json_t *samc__cli_number(double value);

/* Fills `error` (may be NULL) and returns `status`. */
samc_status samc__cli_error(samc_error *error, samc_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns from the calling function when `expression` is not SAMC_OK. */
#define SAMC__TRY(expression)                                                                                          \
    do {                                                                                                               \
        samc_status status__ = (expression);                                                                           \
        if (status__ != SAMC_OK) return status__;                                                                      \
    } while (0)

/* The model named by --model, or the default model. `path` has room for 4096 bytes. False with a message where there is
 * none. */
bool samc__cli_find_model(const samc__cli *cli, char *path, samc_error *error);

/* The subcommands; argv[0] is the subcommand's name. */
int samc__cmd_convert(int argc, char **argv);
int samc__cmd_info(int argc, char **argv);
int samc__cmd_embed(int argc, char **argv);
int samc__cmd_segment(int argc, char **argv);
int samc__cmd_auto(int argc, char **argv);
int samc__cmd_text(int argc, char **argv);
int samc__cmd_bench(int argc, char **argv);
int samc__cmd_serve(int argc, char **argv);
int samc__cmd_stream(int argc, char **argv);
int samc__cmd_volume(int argc, char **argv);

#endif
