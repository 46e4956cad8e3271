/* Automatic masks of one image: what runtime/auto.c carries along, and its second half, from logits to run lengths. */
#ifndef SAMC_RUNTIME_AUTO_MASKS_H
#define SAMC_RUNTIME_AUTO_MASKS_H

#include "runtime/auto_list.h"
#include "runtime/session.h"
#include "kernels/finish_masks/finish_masks.h"

enum {
    SAMC__RUNS = 131072,       /* of a ragged mask of two megapixels; a mask with more is encoded twice */
    SAMC__DEVICE_RUNS = 16384, /* the same where many masks lie in a GPU's memory */
    SAMC__FIRST_RUNS = 4096,   /* of each mask that are asked down from a GPU before it is known how many there are */
};

typedef struct samc__crop {
    int x0, y0, x1, y1, layer;
} samc__crop; /* x1, y1 exclusive */

/* Width and height of an everyday photograph for a model, three to two and twice as large as what it sees: 2252 x 1536
 * for SAM. */
void samc__everyday_size(const samc__config *config, int *width, int *height);

/* Room for masks in the image's size on their way to run lengths. */
typedef struct samc__room {
    size_t bits;   /* bytes */
    int64_t masks; /* at a time, at most */
    int64_t runs;  /* of a mask */
} samc__room;

/* For a round of `prompts` prompts on a device. */
samc__room samc__device_room(const samc__config *config, int prompts);

typedef struct samc__finisher {
    samc__room room;
    /* Tensors. */
    uint64_t *bits;   /* [room.bits] */
    int64_t *lengths; /* [room.masks] */
    uint32_t *counts; /* [room.masks, room.runs] */
} samc__finisher;

/* False where there is not enough memory; then nothing stays allocated. */
bool samc__finisher_allocate(const samc__exec *exec, samc__room room, samc__finisher *finisher);
void samc__finisher_release(const samc__exec *exec, samc__finisher *finisher);

/* Points of one crop that are decoded together. Of tensors, everything but the logits is one block, the head, which
 * comes down at once. */
typedef struct samc__round {
    struct samc__generator *g; /* of the image */
    samc__crop crop;
    samc__frame frame; /* of the crop */
    int image, n;      /* the session's; points */
    bool ends_crop, ends_image;
    int box; /* that the head comes down in */
    /* Tensors. */
    float *logits; /* [batch, masks, low, low] */
    char *head;
    float *iou;              /* [batch, masks] */
    float *object;           /* [batch], or of each mask where it was asked for once more; of models that have it */
    int32_t *picked;         /* how many passed the predicted IoU */
    int32_t *index;          /* [batch * masks] which */
    samc__mask_stats *stats; /* [batch * masks] theirs */
    size_t head_bytes;
    /* The host's. */
    double *xy;                   /* [batch, 2] pixels of the crop */
    samc__found *found;           /* [batch * masks] masks that passed so far */
    samc_prompt *prompts;         /* [batch] */
    const samc_prompt **pointers; /* [batch] */
    float *points;                /* [batch, 2] */
    int32_t *own_index;           /* [batch * masks] of `found` */
} samc__round;

/* The tensors of rounds of `batch` points; false where there is not enough memory; then nothing stays allocated. */
bool samc__round_allocate(const samc__exec *exec, const samc_model *model, int batch, samc__round *round);
void samc__round_release(const samc__exec *exec, samc__round *round);
/* Points `round` into its two blocks. */
void samc__round_at(const samc_model *model, int batch, void *logits, void *head, samc__round *round);

/* One call of samc_auto(). On a device a round is started before the one before it is finished, which may be another
 * crop's or the image's before: two of everything that belongs to rounds and images. */
typedef struct samc__auto_run {
    samc_session *s;
    const samc_auto_options *o;
    int masks, low; /* masks of a prompt, side of the low-resolution logits */
    int batch;      /* points decoded together */
    samc__finisher finisher;
    samc__round rounds[2], *pending; /* the one started and not finished, or NULL */
    int next;                        /* round to start */
    bool open;                       /* what rounds need is allocated */
    struct samc__generator *images;  /* [2] */
} samc__auto_run;

/* What one image needs on its way. */
typedef struct samc__generator {
    samc__auto_run *run;
    samc_session *s;
    const samc_auto_options *o;
    const samc_image *image;
    int index; /* of the call's images */
    samc_auto_callback callback;
    void *context;
    int64_t bits_masks; /* masks of this image that the run's bits hold */
    int encoded;        /* the session's image that holds the whole image's embedding; -1: encode it, as crops do */
    struct samc__group *ahead; /* images to encode while masks of this one are made, or NULL */
    int64_t points;            /* of all crops */
    int64_t crop_first;        /* of `found`, the first of the crop that is not suppressed yet */
    samc__found_list found;
    samc_runs *runs; /* of those, and of masks that were found and suppressed */
    samc_auto_stats total;
} samc__generator;

/* Whether small regions are filled in the low-resolution logits, as SAM 2 does it, and not in masks. */
static inline bool samc__fills(const samc__generator *g) {
    return g->o->min_mask_region_area > 0 && g->s->model->net.config.decoder.high_res;
}

/* Asks for each mask of a round once more: with its point, with itself as the mask input, and for one mask. */
samc_status samc__ask_again(samc__round *round);
/* Fills small holes and removes small islands in a round's logits. */
samc_status samc__fill_regions(samc__round *round);

/* Room for rounds and for masks of `image`: as much as there is memory for. */
samc_status samc__run_open(samc__auto_run *run, const samc_image *image, int64_t *bits_masks);
void samc__run_close(samc__auto_run *run);

/* The round to fill in; then starts it and, on a device, finishes the one started before it, on a host itself. */
samc__round *samc__round_next(samc__auto_run *run);
samc_status samc__round_push(samc__round *round);
/* All rounds of an image were pushed: it ends with the last of them. */
samc_status samc__rounds_end_image(samc__generator *g);
/* Finishes what was started. */
samc_status samc__rounds_finish(samc__auto_run *run);

/* What a round's end may be: that of a crop, of which masks are suppressed then, and of an image, which is reported
 * then. */
samc_status samc__crop_end(samc__generator *g);
samc_status samc__image_end(samc__generator *g);
/* Starts the images after this one. Returns the seconds that it took. */
double samc__encode_ahead(samc__generator *g);

/* Statistics of the masks that passed the predicted IoU, behind the decoding and before the host knows which these are.
 */
samc_status samc__round_statistics(const samc__round *round);

/* Takes the `n` masks that passed so far, the round's `found` with their IoU and point and `own_index` with their
 * places in its logits, and adds to g->found those that pass stability and edge. Both arrays are used up. */
samc_status samc__auto_masks(samc__round *round, int64_t n, const samc__mask_stats *stats);

/* postprocess_small_regions: clean every mask, then suppress again, preferring masks that did not change. */
samc_status samc__auto_small_regions(samc__generator *g);

#endif
