/* What the parts of samc segment share: the request, what is at work, and how masks are written. */
#ifndef SAMC_HOST_CLI_SEGMENT_H
#define SAMC_HOST_CLI_SEGMENT_H

#include "host/cli/phrases.h"
#include "host/cli/segment_map.h"
#include "host/cli/volume_run.h"

/* The command line, parsed. */
typedef struct samc__segment_request {
    samc__cli cli;
    const char *image, *output, *prompts_file, *mask_input, *logits, *embedding;
    unsigned formats;
    bool single;
    samc_prompts *prompts;   /* of phrases: the boxes that were found */
    samc__cli_phrases *text; /* without phrases where there are other prompts */
    samc__map_request *map;  /* with the texts of all points and boxes */
    bool mapped;             /* the image is a scene */
    samc__cli_volume volume;
    int slice; /* of the volume that the image is; -1: it is none */
} samc__segment_request;

/* Everything that has to be released, whatever happened. */
typedef struct samc__segment_work {
    samc_image image;
    samc_scale scale; /* that it was read with */
    samc_array masks; /* --mask-input, [P, low_res, low_res] */
    samc_model *model;
    samc_session *session;
    samc_model_info info;
    samc_writer *logits;
    samc__map *map;      /* of a scene; then image and prompts are those of `view` */
    samc__map_view view; /* its image is moved to `image` */
    char *stem;          /* the image's name without folder and extension, owned */
    json_t *records;     /* list of the masks so far; owned */
} samc__segment_work;

/* What a prompt of the library's is called: of a window, its number among all. */
int samc__segment_number(const samc__segment_work *work, int prompt);
/* Writes a mask in every format and appends its record; `number` counts masks and chooses the colour. */
samc_status samc__segment_add_mask(const samc__segment_request *request, samc__segment_work *work,
                                   const samc_mask *mask, int number, samc_error *error);
/* What a phrase found, in a record. */
void samc__segment_add_label(json_t *record, const samc_mask *mask);

#endif
