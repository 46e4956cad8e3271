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
    const samc__likeness *model;   /* what the answer should look like: the object where it is annotated */
    samc_rle answer;               /* owned, or counts NULL */
    float iou;                     /* predicted */
    samc__match match;             /* of the answer; of one that was given 0 */
} samc__question;

enum { SAMC__ASK_CARRIES = 3 /* prompts of a question */ };
enum { SAMC__ASK_GREYS = 3 /* slices whose values are kept: this one, and those that are annotated */ };

typedef struct samc__asker {
    samc_session *session;
    const samc__slices *slices;
    samc__carry_frame frame;
    unsigned carry[SAMC__ASK_CARRIES]; /* samc_carry bits, each a prompt of its own; 0: none */
    double box_extension;
    double least_iou; /* a mask with less with the one before is taken only where there is no other */
    bool single;      /* the model gives one mask for a prompt, and takes boxes alone */
    bool twice;       /* an answer is asked for again by its own box */
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
 * model trusts most, of three where a point alone leaves open what is meant, else of one. From a slice beside it each
 * of `carry` gets three, and the box of the best of these three more. Of those that have `least_iou` with the mask
 * before, or of all where none has, the one counts that the grey values speak for most: not the model's own guess,
 * which does not know what the object looks like. */
samc_status samc__ask(samc__asker *asker, int slice, samc__question *questions, int count, samc_error *error);
void samc__ask_end(samc__asker *asker);

#endif
