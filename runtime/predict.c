/* Prediction: prompts are checked, grouped into batches that decode together, and their masks finished on demand. */
#include "runtime/base/abi.h"
#include "runtime/cuda.h"
#include "runtime/model/decoder.h"
#include "runtime/numeric.h"
#include "kernels/place.h"
#include "runtime/session.h"
#include "kernels/finish_masks/finish_masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FEWEST_PLANNED = 64 }; /* prompts on a device: as few fit in what was planned, or in what is free beside it */
enum { MAX_POINTS = 4096 };   /* of one prompt; attention among tokens is quadratic */
#define MOST 1e15f            /* of coordinates and mask inputs: squares of it, and sums of these, are finite */

static bool all_fit(const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        if (!(fabsf(values[i]) <= MOST)) return false;
    return true;
}

/* What prompts are on: embeddings, or the images that were set. */
typedef struct subjects {
    samc_embedding *const *embeddings; /* [count], or NULL: the session's images */
    int count;
} subjects;

static samc_status check_prompt(samc_session *s, const subjects *on, const samc_prompt *p, int index) {
    samc_error *error = &s->error;
    int64_t low = samc__low_res(&s->model->net.config);
    if (p->image < 0 || p->image >= on->count)
        return samc__fail(error, SAMC_NO_IMAGE, "prompt %d is on image %d, but %d %s", index, p->image, on->count,
                          on->embeddings != NULL ? "embedding(s) were given" : "image(s) were set");
    if (p->point_count < 0 || p->point_count > MAX_POINTS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "prompt %d has %d points; 0 to %d are allowed", index,
                          p->point_count, MAX_POINTS);
    if (p->point_count == 0 && p->box == NULL && p->mask_input == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "prompt %d has no point, no box and no mask", index);
    const samc__recipe *recipe = &s->model->net.config.recipe;
    if (recipe->asked == SAMC__ASKED_BOX && (p->point_count > 0 || p->mask_input != NULL))
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "prompt %d has %s, but the model's recipe, %s, is for a box and nothing else", index,
                          p->point_count > 0 ? "points" : "a mask", recipe->name);
    if (p->point_count > 0 && (p->points == NULL || p->labels == NULL))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "prompt %d has points without coordinates or labels", index);
    for (int i = 0; i < p->point_count; i++)
        if (p->labels[i] != 0 && p->labels[i] != 1)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "prompt %d: label %d is %d; it must be 0 or 1", index, i,
                              p->labels[i]);
    if (!all_fit(p->points, 2 * (int64_t)p->point_count) || (p->box && !all_fit(p->box, 4)) ||
        (p->mask_input && !all_fit(p->mask_input, low * low)))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "prompt %d has a value that is not finite, or beyond %g", index,
                          (double)MOST);
    return SAMC_OK;
}

/* How many prompts from the first on are on image `image` and can be decoded in one batch with `like`, at most `most`.
 */
static int alike(const samc__decoder_spec *d, const samc_prompt *prompts, int most, const samc_prompt *like,
                 int image) {
    int n = 0, tokens = samc__prompt_tokens(d, like);
    while (n < most && prompts[n].image == image && samc__prompt_tokens(d, &prompts[n]) == tokens &&
           !prompts[n].mask_input == !like->mask_input)
        n++;
    return n;
}

/* Decodes a batch into the host's memory. */
static samc_status decode_into(samc_session *s, const samc__prompt_batch *batch, bool multimask, samc_result *r,
                               int begin) {
    const size_t masks = (size_t)batch->count * (size_t)r->masks, low = (size_t)r->low_res;
    const struct {
        float *to;
        size_t bytes;
    } of[] = {{r->logits + (size_t)begin * (size_t)r->masks * low * low, masks * low * low * sizeof(float)},
              {r->iou + begin * r->masks, masks * sizeof(float)},
              {r->object ? r->object + begin : NULL, r->object ? (size_t)batch->count * sizeof(float) : 0}};
    enum { PARTS = sizeof of / sizeof *of };
    void *tensors[PARTS] = {NULL};
    samc_status status = SAMC_OK;
    for (int i = 0; i < PARTS && status == SAMC_OK && of[i].to; i++)
        status = samc__lend(&s->exec, of[i].to, of[i].bytes, false, &tensors[i]);
    const samc__decoded to = {tensors[0], tensors[1], tensors[2]};
    if (status == SAMC_OK) status = samc__decode(&s->exec, &s->model->net, batch, multimask, &to);
    for (int i = 0; i < PARTS && of[i].to; i++) { /* all go back, also after one that failed */
        samc_status last = samc__collect(&s->exec, of[i].to, tensors[i], status == SAMC_OK ? of[i].bytes : 0);
        if (status == SAMC_OK) status = last;
    }
    return status;
}

/* How many of the `left` prompts from the first on go together, on *images images: those on the first's, and on the
 * images after it, as long as they have as many such prompts: their embeddings lie one after another. */
static int together(const samc__decoder_spec *d, const samc_prompt *first, int left, int *images) {
    int each = alike(d, first, left, first, first->image), n = 1;
    while ((n + 1) * each <= left && alike(d, first + n * each, each, first, first->image + n) == each) n++;
    *images = n;
    return n * each;
}

/* The same for a session: on a device also no more than its memory was planned for, which automatic masks decide; of
 * embeddings one at a time, as they lie wherever they lie. */
static int batch_of(const samc_session *s, const subjects *on, const samc_prompt *first, int left, int *images) {
    const samc__decoder_spec *d = &s->model->net.config.decoder;
    const int most = left < s->decode_most ? left : s->decode_most;
    int n = on->embeddings != NULL ? alike(d, first, most, first, first->image) : together(d, first, most, images);
    if (s->cuda == NULL || n <= FEWEST_PLANNED) return n;
    int fitting = samc__cuda_session_prompts(s->cuda, s->model, n, *images, samc__prompt_tokens(d, first),
                                             first->mask_input != NULL, s->image_count);
    if (fitting >= n) return n;
    return on->embeddings != NULL ? fitting : together(d, first, fitting, images);
}

static const samc__frame *frame_of(const samc_session *s, const subjects *on, int image) {
    return on->embeddings != NULL ? samc__embedding_frame(on->embeddings[image]) : &s->images[image].frame;
}

/* The features of images [first, first + images), and their cache where prompts without a mask input need it. */
static samc_status read_subjects(samc_session *s, const subjects *on, int first, int images, samc__features *features,
                                 samc__image_cache *cache) {
    if (on->embeddings != NULL) return samc__embedding_read(s, on->embeddings[first], features, cache);
    *features = samc__session_features(s, first, images);
    return cache != NULL ? samc__session_cache(s, first, images, cache) : SAMC_OK;
}

/* Room for a batch of the session. */
typedef struct batch_room {
    const samc_prompt **prompts;
    samc__frame *frame;
} batch_room;

static samc_status predict_batches(samc_session *s, const subjects *on, const samc_prompt *prompts, int count,
                                   bool multimask, const batch_room *room, samc_result *r) {
    for (int begin = 0; begin < count;) {
        const samc_prompt *first = &prompts[begin];
        int images = 1, n = batch_of(s, on, first, count - begin, &images);
        for (int i = 0; i < n; i++) {
            room->prompts[i] = first + i;
            room->frame[i / (n / images)] = r->frame[begin + i] = *frame_of(s, on, first[i].image);
            r->image[begin + i] = first[i].image;
        }
        samc__image_cache cache = {0};
        samc__features features;
        SAMC__TRY(read_subjects(s, on, first->image, images, &features, first->mask_input == NULL ? &cache : NULL));
        samc__prompt_batch args = {
            .prompts = room->prompts,
            .count = n,
            .images = images,
            .tokens = samc__prompt_tokens(&s->model->net.config.decoder, first),
            .masked = first->mask_input != NULL,
            .frame = room->frame,
            .features = features,
            .cache = cache,
            .key_pe = s->key_pe,
        };
        samc_status status = decode_into(s, &args, multimask, r, begin);
        if (status == SAMC_OUT_OF_MEMORY && samc__session_fewer_prompts(s, n)) continue;
        SAMC__TRY(status);
        for (int i = begin * r->masks; i < (begin + n) * r->masks; i++)
            if (!isfinite(r->iou[i]))
                return samc__numeric_fail(s, on->embeddings ? -1 : prompts[i / r->masks].image, "a predicted IoU");
        for (int i = begin; i < begin + n && r->object != NULL; i++)
            if (!isfinite(r->object[i]))
                return samc__numeric_fail(s, on->embeddings ? -1 : prompts[i].image, "an object score");
        begin += n;
    }
    return SAMC_OK;
}

/* The logits as they are given, where the recipe bounds them. */
static samc_status clamp_logits(samc_session *s, samc_result *r) {
    const float most = s->model->net.config.recipe.clamp;
    size_t count = (size_t)r->prompts * (size_t)r->masks * (size_t)r->low_res * (size_t)r->low_res;
    if (most == 0) return SAMC_OK;
    r->clamped = malloc(count * sizeof *r->clamped);
    if (r->clamped == NULL)
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the result of %d prompt(s)", r->prompts);
    for (size_t i = 0; i < count; i++) {
        float logit = r->logits[i];
        r->clamped[i] = logit > most ? most : logit < -most ? -most : logit;
    }
    return SAMC_OK;
}

static samc_status predict_into(samc_session *s, const subjects *on, const samc_prompt *prompts, int count,
                                bool multimask, samc_result *r) {
    size_t most = (size_t)(count < s->decode_most ? count : s->decode_most);
    batch_room room = {malloc(most * sizeof *room.prompts), malloc(most * sizeof *room.frame)};
    samc_status status = room.prompts && room.frame
                             ? predict_batches(s, on, prompts, count, multimask, &room, r)
                             : samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for %d prompt(s)", count);
    free(room.prompts);
    free(room.frame);
    return status;
}

static samc_status predict(samc_session *s, const subjects *on, const samc_prompt *prompts, int count, bool multimask,
                           samc_result **out) {
    if (on->count == 0) return samc__fail(&s->error, SAMC_NO_IMAGE, "no image was set before samc_predict");
    SAMC__TRY(samc__session_enter(s));
    for (int i = 0; i < count; i++) SAMC__TRY(check_prompt(s, on, &prompts[i], i));
    if (s->model->net.config.recipe.asked == SAMC__ASKED_BOX) multimask = false;

    size_t low = samc__low_res(&s->model->net.config),
           masks = (size_t)samc__given_masks(&s->model->net.config.decoder, multimask);
    samc_result *r = calloc(1, sizeof *r);
    if (r != NULL) {
        *r = (samc_result){.prompts = count, .masks = (int)masks, .low_res = (int)low};
        r->logits = calloc((size_t)count * masks, low * low * sizeof(float));
        r->iou = calloc((size_t)count * masks, sizeof(float));
        r->frame = calloc((size_t)count, sizeof *r->frame);
        if (s->model->net.config.decoder.object_at >= 0) r->object = calloc((size_t)count, sizeof *r->object);
        r->image = calloc((size_t)count, sizeof *r->image);
        r->made = calloc((size_t)count * masks, sizeof *r->made);
        r->runs = samc__runs_create(NULL);
    }
    samc_status status = SAMC_OK;
    if (r == NULL || !r->logits || !r->iou || (s->model->net.config.decoder.object_at >= 0 && !r->object) ||
        !r->frame || !r->image || !r->made || !r->runs)
        status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the result of %d prompt(s)", count);
    else status = predict_into(s, on, prompts, count, multimask, r);
    if (status == SAMC_OK) status = clamp_logits(s, r);
    if (status != SAMC_OK) {
        samc_result_free(r);
        return status;
    }
    *out = r;
    return SAMC_OK;
}

samc_status samc__predict(samc_session *s, const samc_prompt *prompts, int count, bool multimask, samc_result **out) {
    const subjects images = {.count = s->image_count};
    return predict(s, &images, prompts, count, multimask, out);
}

/* Of prompts as the caller has them. */
static samc_status predict_given(samc_session *s, const subjects *on, const samc_prompt *prompts, int count,
                                 bool multimask, samc_result **out) {
    const void *own = prompts;
    SAMC__TRY(samc__abi_array(SAMC__ABI(samc_prompt), prompts, count, &own, &s->error));
    samc_status status = predict(s, on, own, count, multimask, out);
    samc__abi_array_free(prompts, own);
    return status;
}

samc_status samc_predict(samc_session *s, const samc_prompt *prompts, int count, bool multimask, samc_result **out) {
    SAMC__TRY(samc__session_begin(s));
    if (out != NULL) *out = NULL;
    const subjects images = {.count = s->image_count};
    return samc__session_end(
        s, out == NULL || prompts == NULL || count < 1
               ? samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_predict: no prompts, or no place for the result")
               : predict_given(s, &images, prompts, count, multimask, out));
}

static samc_status predict_on(samc_session *s, const subjects *on, const samc_prompt *prompts, int count,
                              bool multimask, samc_result **out) {
    if (out == NULL || prompts == NULL || count < 1 || on->embeddings == NULL || on->count < 1)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT,
                          "samc_predict_on: no embeddings, no prompts, or no place for the result");
    for (int i = 0; i < on->count; i++)
        if (on->embeddings[i] == NULL || samc__embedding_model(on->embeddings[i]) != s->model)
            return samc__fail(&s->error, on->embeddings[i] == NULL ? SAMC_INVALID_ARGUMENT : SAMC_MISMATCH,
                              "embedding %d is %s", i,
                              on->embeddings[i] == NULL ? "missing" : "of another model than the session");
    return predict_given(s, on, prompts, count, multimask, out);
}

samc_status samc__predict_on(samc_session *s, samc_embedding *embedding, const samc_prompt *prompts, int count,
                             bool multimask, samc_result **out) {
    const subjects one = {&embedding, 1};
    return predict_on(s, &one, prompts, count, multimask, out);
}

samc_status samc_predict_on(samc_session *s, samc_embedding *const *embeddings, int embedding_count,
                            const samc_prompt *prompts, int count, bool multimask, samc_result **out) {
    SAMC__TRY(samc__session_begin(s));
    if (out != NULL) *out = NULL;
    const subjects on = {embeddings, embedding_count};
    return samc__session_end(s, predict_on(s, &on, prompts, count, multimask, out));
}

void samc_result_free(samc_result *r) {
    if (r == NULL) return;
    free(r->logits);
    free(r->clamped);
    free(r->iou);
    free(r->object);
    free(r->frame);
    free(r->image);
    free(r->made);
    samc_runs_release(r->runs);
    free(r);
}

int samc_result_prompts(const samc_result *r) { return r ? r->prompts : 0; }
int samc_result_masks(const samc_result *r) { return r ? r->masks : 0; }
const float *samc_result_logits(const samc_result *r) { return r == NULL ? NULL : r->clamped ? r->clamped : r->logits; }
const float *samc_result_iou(const samc_result *r) { return r ? r->iou : NULL; }

int samc_result_best(const samc_result *r, int prompt) {
    int best = 0;
    if (r == NULL || prompt < 0 || prompt >= r->prompts) return -1;
    const float *iou = r->iou + (int64_t)prompt * r->masks;
    for (int i = 1; i < r->masks; i++)
        if (iou[i] > iou[best]) best = i;
    return best;
}

/* The run lengths of a mask of `bits`, a tensor, are added to those of the result. */
static samc_status add_runs(samc_session *s, const samc__frame *g, const uint64_t *bits, samc_result *r,
                            samc__run_place *place) {
    enum { USUAL = 16384 }; /* run lengths; a mask with more is looked at twice */
    int64_t capacity = USUAL, length = 0;
    uint32_t *counts = samc__memory_allocate(&s->memory, (size_t)capacity * sizeof *counts);
    for (bool again = false; counts != NULL; again = true) {
        samc_status status = samc__runs_of_bits(&s->exec, bits, g->width, g->height, counts, capacity, &length);
        bool whole = length <= capacity;
        if (status == SAMC_OK && whole) status = samc__runs_add(r->runs, counts, (size_t)length, place, &s->error);
        if (status != SAMC_OK || whole || again) {
            samc__memory_release(&s->memory, counts);
            return status;
        }
        samc__memory_release(&s->memory, counts);
        counts = samc__memory_allocate(&s->memory, (size_t)(capacity = length) * sizeof *counts);
    }
    return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
}

static float sigmoid(float logit) { return 1.0f / (1.0f + expf(-logit)); }

/* Probabilities for logits; what is not finite stays so, to be told of. The threshold becomes a probability too, and
 * the stability's offset what it is about one half. */
static void make_probabilities(const float *logits, int64_t count, float *to, samc__finish_masks_args *args) {
    for (int64_t i = 0; i < count; i++) to[i] = isfinite(logits[i]) ? sigmoid(logits[i]) : NAN;
    args->threshold = sigmoid(args->threshold);
    args->offset = sigmoid(args->offset) - 0.5f;
}

/* Statistics and run lengths of a mask from its low-resolution logits [low, low]. */
static samc_status finish_mask(samc_session *s, samc_result *r, const samc__frame *g, const float *logits,
                               samc__made_mask *made) {
    const samc__exec *exec = &s->exec;
    int64_t low = r->low_res;
    void *tensors[2] = {NULL, NULL}; /* logits, statistics */
    uint64_t *bits = samc__tensor_allocate(exec, (size_t)g->height * (size_t)((g->width + 63) / 64) * sizeof *bits);
    if (bits == NULL)
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for a mask of %d x %d pixels", g->width, g->height);
    samc__finish_masks_args args = samc__frame_masks(&s->model->net.config.recipe, g);
    args.offset = 1.0f;
    float *own = NULL;
    if (s->model->net.config.recipe.sigmoid) {
        own = samc__memory_allocate(&s->memory, (size_t)(low * low) * sizeof *own);
        if (own != NULL) make_probabilities(logits, low * low, own, &args);
        logits = own;
    }
    samc_status status = logits == NULL
                             ? samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for a mask's probabilities")
                             : samc__lend(exec, (void *)logits, (size_t)(low * low) * sizeof(float), true, &tensors[0]);
    if (status == SAMC_OK) status = samc__lend(exec, &made->stats, sizeof made->stats, false, &tensors[1]);
    args.logits = samc__view3(tensors[0], 1, low, low);
    args.bits = bits, args.stats = tensors[1];
    if (status == SAMC_OK) status = samc__finish_masks(exec, &args);
    samc__collect(exec, NULL, tensors[0], 0);
    samc_status last = samc__collect(exec, &made->stats, tensors[1], status == SAMC_OK ? sizeof made->stats : 0);
    samc__memory_release(&s->memory, own);
    if (status == SAMC_OK) status = last;
    if (status == SAMC_OK && made->stats.spoilt) status = samc__numeric_fail(s, -1, "mask logits");
    if (status == SAMC_OK) status = add_runs(s, g, bits, r, &made->runs);
    samc__tensor_release(exec, bits);
    return status;
}

samc_status samc__result_mask(samc_session *s, samc_result *r, int prompt, int mask_index, samc_mask *out) {
    if (r == NULL || prompt < 0 || prompt >= r->prompts || mask_index < 0 || mask_index >= r->masks)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "the result has no mask %d of prompt %d", mask_index,
                          prompt);
    SAMC__TRY(samc__abi_check_size(SAMC__ABI(samc_mask), out, &s->error));
    SAMC__TRY(samc__session_enter(s));
    const samc__frame *g = &r->frame[prompt];
    int64_t low = r->low_res, index = (int64_t)prompt * r->masks + mask_index;
    samc__made_mask *made = &r->made[index];
    if (!made->done) SAMC__TRY(finish_mask(s, r, g, r->logits + index * low * low, made));
    made->done = true;
    const samc__mask_stats *stats = &made->stats;
    bool empty = stats->area == 0;
    samc_mask mask = {
        .image = r->image[prompt],
        .prompt = prompt,
        .index = mask_index,
        .predicted_iou = r->iou[index],
        .stability_score = stats->below > 0 ? (float)stats->above / (float)stats->below : 0.0f,
        .object_score = r->object ? r->object[prompt] : 0.0f,
        .area = stats->area,
        .bbox = {empty ? 0 : stats->x0, empty ? 0 : stats->y0, empty ? 0 : stats->x1 - stats->x0,
                 empty ? 0 : stats->y1 - stats->y0},
        .crop_box = {0, 0, g->width, g->height},
        .width = g->width,
        .height = g->height,
        .runs = r->runs,
        .runs_at = made->runs.at,
        .rle_length = made->runs.length,
        .count_length = made->runs.count,
    };
    return samc__abi_give(SAMC__ABI(samc_mask), &mask, out, &s->error);
}

samc_status samc_result_mask(samc_session *s, samc_result *r, int prompt, int mask_index, samc_mask *mask) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, samc__result_mask(s, r, prompt, mask_index, mask));
}
