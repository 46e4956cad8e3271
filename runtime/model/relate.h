/* Models that relate text and images, as the runtime above sees them: one table a family, whose network is its own
 * business. Numbers cross on the host: a phrase is one row of features, and so is a crop.
 *
 *   text -> tokens -> features [count, dim]         once a run
 *   image -> scene                                  once an image
 *   scene, features -> boxes and logits, or a map   for any number of phrases
 */
#ifndef SAMC_RUNTIME_MODEL_RELATE_H
#define SAMC_RUNTIME_MODEL_RELATE_H

#include "kernels/ops.h"

/* What is known of a network that is open. */
typedef struct samc__relate_facts {
    int image_size;     /* side of the square that it sees */
    int context;        /* most tokens of a phrase, its beginning and end among them */
    int dim;            /* features of a phrase, and of what it is compared with */
    int boxes;          /* of a scene; 0 where the family has none */
    int map_side;       /* of a map; 0 likewise */
    size_t scene_bytes; /* of a scene in memory; 0 likewise */
    float logit_scale;  /* what cosines are multiplied by before a softmax over labels */
    int64_t parameters;
    size_t weight_bytes;
    const char *dtype, *note; /* as stored; what of the file was ignored or chosen, "". As long as the network */
} samc__relate_facts;

/* Every function may be called from any thread, with an exec of the thread's own. Those of a kind that a family has not
 * are NULL. */
typedef struct samc__relate {
    const char *name; /* "OWLv2" */
    samc_detector_kind kind;
    void (*facts)(const void *net, samc__relate_facts *facts);
    samc_status (*hash)(const void *net, char hex[65], samc_error *error);
    void (*close)(void *net); /* NULL is allowed */
    /* Optional. The first tensor of the file that is not finite, NULL: none; *nan: it holds what is no number. */
    const char *(*spoilt)(const void *net, bool *nan);
    /* ids [context]: beginning, tokens, end, padding behind. *end: where the end is. *cut: the text was longer. `text`
     * is valid UTF-8. */
    samc_status (*tokens)(const void *net, const char *text, int32_t *ids, int *end, bool *cut, samc_error *error);
    /* ids [count, context], ends [count] -> features [count, dim], as this family compares them. */
    samc_status (*text)(const samc__exec *exec, const void *net, const int32_t *ids, const int *ends, int count,
                        float *features);
    /* BOXES, MAPS. An image of any size -> a scene, which goes back by `forget`. */
    samc_status (*see)(const samc__exec *exec, const void *net, const samc_image *image, void **scene);
    void (*forget)(void *scene); /* NULL is allowed */
    /* BOXES. corners [boxes, 4]: x0 y0 x1 y1 in pixels of the image, which they may leave. */
    samc_status (*corners)(const void *net, const void *scene, float *corners);
    /* BOXES. logits [boxes, count] of phrases, before the sigmoid. */
    samc_status (*classify)(const samc__exec *exec, const void *net, const void *scene, const float *features,
                            int count, float *logits);
    /* MAPS. map [map_side, map_side]: logits of one phrase, over the whole image. */
    samc_status (*map)(const samc__exec *exec, const void *net, const void *scene, const float *features, float *map);
    /* LABELS, and families that hold such a network too. features [count, dim] of images, of length 1. */
    samc_status (*image)(const samc__exec *exec, const void *net, const samc_image *images, int count, float *features);
} samc__relate;

/* A network that was opened, and what an exec for it is made of. */
typedef struct samc__relate_opened {
    const samc__relate *family;
    void *net;
    samc__ops ops;
    const samc__packed *packed; /* NULL: none */
    int threads;
    samc_backend backend;
    char backend_note[600];
} samc__relate_opened;

/* Finds out which family a file or folder is, and opens it. SAMC_UNSUPPORTED: it is of another, which the error names.
 */
samc_status samc__relate_open(const char *path, const samc_options *options, samc__relate_opened *opened,
                              samc_error *error);

#endif
