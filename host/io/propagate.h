/* From slice to slice: which slice is asked with what, when an object ends, and the run over all of them. */
#ifndef SAMC_HOST_IO_PROPAGATE_H
#define SAMC_HOST_IO_PROPAGATE_H

#include "host/io/ask.h"
#include "host/io/segmentation.h"

/* How one slice of an object comes about. */
typedef enum samc__step_role {
    SAMC__STEP_NONE, /* the object is annotated nowhere */
    SAMC__STEP_GIVEN,
    SAMC__STEP_FORWARD,  /* from the slice before */
    SAMC__STEP_BACKWARD, /* from the slice behind */
    SAMC__STEP_MIDDLE    /* from both: the one in the middle of an odd gap */
} samc__step_role;

typedef struct samc__step {
    samc__step_role role;
    int origin;   /* the annotated slice that it comes from; of a middle the one before */
    bool between; /* two annotated slices: the object is there, whatever its masks are like */
} samc__step;

samc__step samc__step_of(const samc_annotations *annotations, int object, int slice);

/* When an object ends. */
typedef struct samc__ending {
    double least_iou, most_growth, least_likeness; /* as samc_propagate_options */
    int64_t most_area;                             /* of its annotated slices; 0: none is known */
} samc__ending;

/* Whether `now` goes on from `before`: neither empty nor too large, too different or unlike the object. `match` is that
 * of `now`, `own` the IoU that the annotated mask has on its slice. */
bool samc__goes_on(const samc__ending *ending, const samc_rle *before, const samc_rle *now, const samc__match *match,
                   double own);

/* The annotations and the options as one line of text: what results depend on. *said is to be freed. */
samc_status samc__propagate_said(const samc_annotations *annotations, const samc_propagate_options *options,
                                 char **said, samc_error *error);

/* As samc_propagate(); `identity` is what a journal has to agree in, or NULL. */
samc_status samc__propagate(samc_session *session, const samc_model *model, const samc__slices *slices,
                            const samc_annotations *annotations, const samc_propagate_options *options,
                            const char *identity, samc_segmentation **segmentation, samc_error *error);

#endif
