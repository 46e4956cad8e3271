/* Asking a session about the objects on one slice: what is annotated, or what the slice beside it says. */
#ifndef SAMC_HOST_IO_ASK_H
#define SAMC_HOST_IO_ASK_H

#include "host/io/annotations.h"
#include "host/io/carry.h"
#include "host/io/likeness.h"

/* Pictures of slices, of one size: of a volume, or a test's. */
typedef struct samc__slices {
    void *context;
    const char *name; /* for messages */
    /* samc_image_free()'s. */
    samc_status (*read)(void *context, int slice, samc_image *image, samc_error *error);
} samc__slices;

/* One question. */
typedef struct samc__question {
    int object;
    const samc__annotation *given; /* it is annotated here; else: */
    const samc_rle *before;        /* the mask that the prompt is from */
    const samc_rle *model;         /* the mask that the answer should look like: `before`, or a part of it */
    int model_slice;               /* where that is */
    samc_rle answer;               /* owned, or counts NULL */
    float iou;                     /* predicted */
    double likeness;               /* of the answer; of one that was given 0 */
    double own;                    /* and that which `model` has on its slice */
} samc__question;

enum { SAMC__ASK_GREYS = 3 /* slices whose values are kept: this one, that beside it, one that is annotated */ };

typedef struct samc__asker {
    samc_session *session;
    const samc__slices *slices;
    samc__carry_frame frame;
    unsigned carry[2]; /* samc_carry bits, each a prompt of its own; 0: none */
    double box_extension;
    bool single; /* the model gives one mask for a prompt, and takes boxes alone */
    bool twice;  /* an answer is asked for again by its own box */
    struct samc__grey {
        int slice;
        uint8_t *pixels; /* [height, width]; owned, or NULL: none */
    } greys[SAMC__ASK_GREYS];
    int next_grey;
    float *logits; /* [BATCH, low_res, low_res]; owned, or NULL */
} samc__asker;

/* The grey values of a slice [height, width], until three others were asked for. */
samc_status samc__ask_grey(samc__asker *asker, int slice, const uint8_t **grey, samc_error *error);
/* The same of a picture that is there. */
samc_status samc__ask_keep_grey(samc__asker *asker, int slice, const samc_image *image, samc_error *error);

/* Answers questions [count] about the slice that is the session's image. An annotated slice gets the mask that the
 * model trusts most, of three where a point alone leaves open what is meant, else of one. From a slice beside it there
 * are three, and three more for the box of the best of these: the one counts that looks most like the object there. */
samc_status samc__ask(samc__asker *asker, int slice, samc__question *questions, int count, samc_error *error);
void samc__ask_end(samc__asker *asker);

#endif
