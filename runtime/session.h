/* A session: the embeddings of the images that were set, and what operators run on. */
#ifndef SAMC_RUNTIME_SESSION_H
#define SAMC_RUNTIME_SESSION_H

#include "runtime/model/decoder.h"
#include "runtime/model/frame.h"
#include "runtime/memory.h"
#include "runtime/model.h"
#include "kernels/place.h"
#include "runtime/runs.h"
#include "runtime/threads.h"
#include "kernels/finish_masks/finish_masks.h"

#include <stdatomic.h>

typedef struct samc__session_image {
    samc__frame frame;
} samc__session_image;

enum { SAMC__PROFILE_ROWS = 64 }; /* more than there are operators */

typedef struct samc__profile {
    samc_profile_row rows[SAMC__PROFILE_ROWS]; /* in order of first use */
    int count;
} samc__profile;

struct samc_session {
    const samc_model *model;
    samc__pool *pool;
    samc__memory memory;
    struct samc__cuda_session *cuda; /* streams and memory on the device, or NULL */
    samc__exec exec;                 /* prompts, masks and everything else */
    samc__exec encoder;              /* images: on a device a stream of its own */
    samc__exec post;                 /* automatic masks behind the decoder: likewise */
    samc__profile profile;
    samc_error error;
    atomic_bool busy; /* a public call is at work */
    bool probing;     /* runtime/numeric.c made it to find out who is at fault */
    bool judged;      /* it has found out: */
    char fault[260];  /* what is wrong with the model, or "" */
    atomic_bool stop; /* samc_session_stop() was called; samc_auto() takes it back */
    int encode_most;  /* images encoded together */
    int decode_most;  /* prompts decoded together: less than the model's batch after the device ran out of memory */
    int groups;     /* of images in samc_auto(): 2 on a device, where the next is encoded while masks of one are made; 1
                       where memory is short */
    char note[260]; /* samc_session_note() */
    void *key_pe;   /* [N, C], position encoding of the grid; tensors in the model's precision */
    void *features; /* of image_count images, samc__session_features() */
    samc__session_image *images;
    int image_count;
    void *cache; /* room for the image cache of `cache_room` images; it holds that of [cached_first, cached_first +
                   cached_images) */
    int cache_room, cached_first, cached_images;
    struct { /* on a device: the embedding that was asked about last, to find it there again */
        samc_embedding *embedding;
        void *features, *cache;
        bool cached;
    } guest;
};

/* What is known of a mask of a result once it was asked for. */
typedef struct samc__made_mask {
    bool done;
    samc__mask_stats stats;
    samc__run_place runs;
} samc__made_mask;

struct samc_result {
    int prompts, masks, low_res;
    float *logits;             /* [prompts, masks, low_res, low_res] */
    float *clamped;            /* these as they are given, where the recipe bounds them; or NULL */
    float *iou;                /* [prompts, masks] */
    float *object;             /* [prompts] logits of there being an object, or NULL */
    struct samc__frame *frame; /* [prompts] of the prompt's image */
    int *image;                /* [prompts] which that was */
    samc__made_mask *made;     /* [prompts, masks] */
    samc_runs *runs;           /* of those */
};

/* Those of images [first, first + count) of the session. */
static inline samc__features samc__session_features(const samc_session *s, int first, int count) {
    const samc__network *net = &s->model->net;
    return samc__features_at(&net->config, net->precision, s->features, s->image_count, first, count);
}

/* Of what is given of each cell of the embedding, [N, C]: the grid's position encoding. */
static inline size_t samc__grid_bytes(const samc_model *model) {
    const samc__level l = samc__level_of(&model->net.config, 0);
    return (size_t)samc__level_elements(&l) * samc__dtype_size(model->net.precision);
}

/* What every public call on a session begins and ends with. Begin fails where there is no session or another call is at
 * work on it; then there is nothing to end. End returns `status`. */
samc_status samc__session_begin(samc_session *session);
samc_status samc__session_end(samc_session *session, samc_status status);

/* Makes the model's device the thread's current one. */
samc_status samc__session_enter(samc_session *session);

/* Refuses an image without pixels, with rows shorter than its width, or larger than anything that counts pixels in 32
 * bits. */
samc_status samc__check_image(samc_error *error, const samc_image *image, int index);
bool samc__size_fits(int width, int height);

/* The public calls of these names, within another. */
samc_status samc__get_level(samc_session *session, int index, int level, float *values);
samc_status samc__set_levels(samc_session *session, const float *const *levels, int count, int width, int height);
samc_status samc__set_images(samc_session *session, const samc_image *images, int count);
samc_status samc__predict(samc_session *session, const samc_prompt *prompts, int count, bool multimask,
                          samc_result **result);
/* The same on an embedding, which is looked at as samc_predict_on() does. */
samc_status samc__predict_on(samc_session *session, samc_embedding *embedding, const samc_prompt *prompts, int count,
                             bool multimask, samc_result **result);
samc_status samc__result_mask(samc_session *session, samc_result *result, int prompt, int index, samc_mask *mask);

/* The image cache of images [first, first + count). It is kept until other images are asked for, so that an image that
 * is prompted again and again pays for it once. */
samc_status samc__session_cache(samc_session *session, int first, int count, samc__image_cache *cache);

/* Makes room for `count` images and drops the ones before; on failure the session has none. */
samc_status samc__session_reserve_images(samc_session *session, int count);
void samc__session_drop_images(samc_session *session);

/* After the device had no memory for `prompts` prompts at a time: half as many from now on, with a note. False: give
 * up. */
bool samc__session_fewer_prompts(samc_session *session, int prompts);

/* The features of an embedding where operators can read them, its frame, and its image cache where `cache` is asked
 * for: its own memory on a host, the session's on a device. */
samc_status samc__embedding_read(samc_session *session, samc_embedding *embedding, samc__features *features,
                                 samc__image_cache *cache);
const samc__frame *samc__embedding_frame(const samc_embedding *embedding);
const samc_model *samc__embedding_model(const samc_embedding *embedding);
/* Gives back what a device's session holds of an embedding. */
void samc__session_drop_embedding(samc_session *session);

/* Encodes images into the session's embeddings from entry `first` on, beside what is done with prompts between two
 * meetings. Levelled: images whose levels are not yet as the recipe wants them. Resized: those that nothing is to be
 * done to before operators see them. */
samc_status samc__session_encode(samc_session *session, const samc_image *images, int count, int first);
samc_status samc__session_encode_levelled(samc_session *session, const samc_image *images, int count, int first);
samc_status samc__session_encode_resized(samc_session *session, const samc_image *images, int count, int first);

/* An image with the levels that the recipe wants, and in the size where operators do not have its filter: itself, or a
 * copy. Both are given back beside it, also after a failure. */
samc_status samc__levels_make(samc_session *session, const samc_image *image, samc_image *levelled);
samc_status samc__resize_make(samc_session *session, const samc_image *image, samc_image *resized);
void samc__prepared_free(samc_session *session, const samc_image *image, samc_image *prepared);
/* Memory of all that and encoding, which takes `encode` by itself. */
size_t samc__prepare_bytes(const samc__recipe *recipe, int images, int width, int height, size_t encode);

/* What was encoded until now is there for prompts, and embeddings that prompts have read until now may be overwritten.
 */
samc_status samc__session_synchronize(samc_session *session);

/* After the device had no memory to encode one group of images beside another: one after the other from now on, with a
 * note. */
void samc__session_one_group(samc_session *session);

#endif
