/* A labelling configuration of Label Studio, XML: where drawn regions go and what the image is called. */
#ifndef SAMC_HOST_SERVE_LABEL_CONFIG_H
#define SAMC_HOST_SERVE_LABEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum { SAMC__CONFIG_NAME = 128, SAMC__CONFIG_LABELS = 64 };

typedef struct samc__label_config {
    bool brush;                    /* the first of BrushLabels and PolygonLabels is the former */
    char from[SAMC__CONFIG_NAME];  /* its name */
    char to[SAMC__CONFIG_NAME];    /* of the image that it is for */
    char value[SAMC__CONFIG_NAME]; /* the key of a task's data where that is, "image" of "$image" */
    char label[SAMC__CONFIG_LABELS][SAMC__CONFIG_NAME]; /* those of the regions, the first ones */
    int labels;
} samc__label_config;

/* NULL, or what is wrong, in one line. Reads no more than the text: no entities but those that XML has itself, no
 * document types, nothing nested in memory; time and room do not depend on what it says. */
const char *samc__label_config_read(const char *text, size_t size, samc__label_config *config);

#endif
