/* Phrases and detectors on the command line: what text, segment --text and auto --labels share. */
#ifndef SAMC_HOST_CLI_PHRASES_H
#define SAMC_HOST_CLI_PHRASES_H

#include "host/cli/cli.h"

/* Values of the options below; those of the subcommands stay below them. */
enum {
    SAMC__TEXT_PHRASE = 2000,
    SAMC__TEXT_FILE,
    SAMC__TEXT_DETECTOR,
    SAMC__TEXT_THRESHOLD,
    SAMC__TEXT_NMS,
    SAMC__TEXT_TOP,
    SAMC__TEXT_LABELS,
    SAMC__TEXT_CLIP,
    SAMC__TEXT_BOXES,
    SAMC__TEXT_HEAT,
    SAMC__TEXT_END
};

/* How phrases are looked for. */
#define SAMC__TEXT_SEARCH                                                                                              \
    {"detector", required_argument, NULL, SAMC__TEXT_DETECTOR},                                                        \
        {"threshold", required_argument, NULL, SAMC__TEXT_THRESHOLD},                                                  \
        {"nms", required_argument, NULL, SAMC__TEXT_NMS}, {                                                            \
        "top", required_argument, NULL, SAMC__TEXT_TOP                                                                 \
    }

typedef struct samc__cli_phrases {
    const char **strings; /* [count], the command line's or in `owned` */
    char **owned;         /* [owned_count] lines of files, pieces of lists */
    int count, room, owned_count;
    bool given; /* one of the options above was */
    const char *detector, *labels;
    samc_text_options options;
    bool heat;
    int64_t max_pixels;  /* of one image, 0: the most */
    samc_detector *open; /* and what it made of the strings */
    samc_phrases *phrases;
} samc__cli_phrases;

samc__cli_phrases samc__cli_phrases_begin(void);
void samc__cli_phrases_end(samc__cli_phrases *text);

/* A phrase of the command line, which stays there. False without memory. */
bool samc__cli_phrases_add(samc__cli_phrases *text, const char *phrase);
/* One of the options above; SAMC__EXIT_OK, or wrong usage with a message. */
int samc__cli_phrases_option(samc__cli_phrases *text, const samc__cli *cli, int option, const char *argument);

/* A detector with the options of the command line, of which it takes what it can, and notes on it. */
samc_status samc__cli_detector_open(const samc__cli *cli, const char *path, samc_detector **detector,
                                    samc_detector_info *info, samc_error *error);
/* Whether it finds what phrases name. */
samc_status samc__cli_detector_finds(const char *path, const samc_detector_info *info, samc_error *error);

/* Opens the detector and encodes the phrases, once for all images; notes those that were cut. Without a file: which
 * ones there are. *usage: the command line is at fault. */
samc_status samc__cli_phrases_open(samc__cli_phrases *text, const samc__cli *cli, bool *usage, samc_error *error);

/* The maps of all phrases as 8-bit grey pictures of the image's size, <stem>_heat_<phrase>.png in a folder. */
samc_status samc__cli_phrases_heat(const samc__cli_phrases *text, const samc_image *image, const char *folder,
                                   const char *stem, samc_error *error);

/* The arguments of samc text: the first is an input and the others phrases, unless options gave these: then all are
 * inputs. *inputs: how many arguments there are, and then inputs. SAMC__EXIT_OK, or wrong usage with a message. */
int samc__text_split(samc__cli_phrases *text, const samc__cli *cli, char **arguments, int *inputs);
/* Whether an input is one image and its formats are those of one. */
bool samc__text_is_one(const char *input, unsigned formats);
/* One image like samc segment. Returns the exit code. */
int samc__text_of_one(const samc__cli *cli, samc__cli_phrases *text, const char *image, const char *output,
                      unsigned formats);
/* What does not go with many; SAMC__EXIT_OK, or wrong usage with a message. */
int samc__text_of_many(const samc__cli *cli, const samc__cli_phrases *text, unsigned *formats);
/* The whole command: samc auto's, which looks for phrases. */
int samc__text_command(const char *help, int argc, char **argv);

/* samc segment by phrases alone: one image and its files; 0: the default formats. */
int samc__segment_phrases(const samc__cli *cli, samc__cli_phrases *text, const char *image, const char *output,
                          unsigned formats);
enum {
    SAMC__SEGMENT_FORMATS =
        SAMC_OUTPUT_PNG | SAMC_OUTPUT_RLE | SAMC_OUTPUT_OVERLAY | SAMC_OUTPUT_CUTOUT | SAMC_OUTPUT_NPY
};

#endif
