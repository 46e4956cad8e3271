/* What the command line of samc auto, or of samc text, says: its table of options, their checks and the help. */
#ifndef SAMC_HOST_CLI_AUTO_REQUEST_H
#define SAMC_HOST_CLI_AUTO_REQUEST_H

#include "host/cli/phrases.h"
#include "host/cli/tiles_options.h"
#include "host/cli/volume_run.h"

enum { SAMC__AUTO_GLOBS = 64, SAMC__AUTO_NUMBERS = 32 };

typedef struct samc__auto_request {
    samc__cli cli;
    const char *input, *checkpoint;        /* amg.py's --input and --checkpoint, or NULL */
    int model_type;                        /* of amg.py's four, -1: any */
    const char *given[SAMC__AUTO_NUMBERS]; /* text of each number, NULL: the default */
    const char *globs[SAMC__AUTO_GLOBS];
    bool convert_to_rle;
    samc_archive_options archive;
    samc__cli_phrases text;    /* labels of automatic masks, or what to look for: */
    const char *not_of_scenes; /* an option that was given and that they do not have, or NULL */
    const char *format;        /* --format, or NULL */
    samc__cli_tiles tiles;     /* of a scene */
    bool looks;                /* this is samc text */
    samc__cli_volume volume;   /* of a volume */
    bool many;                 /* an option was given that one image does not have */
} samc__auto_request;

extern const char samc__auto_help[];

/* Reads the options; *inputs: how many arguments are left at argv[optind], where inputs stand. False: the program ends
 * with *code, told already. */
bool samc__auto_request_read(samc__auto_request *request, int argc, char **argv, int *inputs, int *code);
/* What does not go together of many images. SAMC__EXIT_OK, or wrong usage with a message. */
int samc__auto_request_check(samc__auto_request *request);
/* The models, one for each device, and the options of automatic masks on them. On failure too `models`
 * [SAMC__CLI_DEVICES] holds what is open, and NULL. With boxes alone no model is opened. */
samc_status samc__auto_request_open(const samc__auto_request *request, samc_model **models, int *model_count,
                                    samc_auto_options *automatic, samc_error *error);

#endif
