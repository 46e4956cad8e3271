/* Masks of what phrases name: a detector's boxes and maps become prompts, and those masks. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/abi.h"
#include "runtime/detect.h"
#include "runtime/session.h"

enum { TOGETHER = 64 }; /* detections that are asked for at a time: what their logits and results take */

/* One call of samc_text(). */
typedef struct text_run {
    samc_session *s; /* NULL: boxes only */
    const samc_phrases *phrases;
    samc_text_options o;
    samc_auto_callback callback;
    void *context;
    samc_error *error; /* the run's own, never NULL */
} text_run;

/* One image of it. */
typedef struct text_image {
    const samc_image *image;   /* to be encoded; NULL: there is an embedding */
    samc_embedding *embedding; /* of the session's model */
    int index, width, height;
    const samc_scene *scene;
    samc__desk desk;
    samc__detections found;
    samc_mask *masks; /* [found.count] */
    samc_runs *runs;
    samc_auto_stats stats;
    float *map, *prompts; /* [side, side] of `phrase`, [TOGETHER, low, low]; NULL of a detector of boxes */
    int *scratch;         /* [2, side, side] */
    int phrase;           /* whose map is there; -1: none */
} text_image;

/* ---- Prompts --------------------------------------------------------------------------------- */

static samc_status allocate_maps(const text_run *r, text_image *t) {
    const size_t side = (size_t)r->phrases->detector->facts.map_side, low = samc__low_res(&r->s->model->net.config);
    t->phrase = -1;
    if (r->phrases->detector->opened.family->kind != SAMC_DETECTOR_MAPS ||
        r->s->model->net.config.recipe.asked == SAMC__ASKED_BOX)
        return SAMC_OK;
    t->map = malloc(side * side * sizeof *t->map);
    t->scratch = malloc(2 * side * side * sizeof *t->scratch);
    t->prompts = malloc(TOGETHER * low * low * sizeof *t->prompts);
    return t->map && t->scratch && t->prompts ? SAMC_OK
                                              : samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory for a heat map");
}

/* What SAM is asked with for a detection: its box, and of a map its peak and the part itself. */
static samc_status make_prompt(const text_run *r, text_image *t, int which, float *mask, samc_prompt *prompt) {
    static const int32_t on_the_object = 1;
    const samc_detection *d = &t->found.items[which];
    const samc__config *config = &r->s->model->net.config;
    *prompt = (samc_prompt){.size = sizeof *prompt, .box = d->box};
    if (t->map == NULL) return SAMC_OK;
    if (t->phrase != d->phrase) {
        const samc_detector *detector = r->phrases->detector;
        SAMC__TRY(samc__scene_map(&t->desk, t->scene, r->phrases->features + (int64_t)d->phrase * detector->facts.dim,
                                  t->map));
        t->phrase = d->phrase;
    }
    const samc__frame frame = samc__frame_of(&config->recipe, t->width, t->height);
    const samc__heat heat = {t->map, r->phrases->detector->facts.map_side, r->o.threshold, t->scratch};
    samc__map_prompt(&heat, d->point, &frame, config->recipe.frame, samc__low_res(config), mask);
    prompt->points = d->point;
    prompt->labels = &on_the_object;
    prompt->point_count = 1;
    prompt->mask_input = mask;
    return SAMC_OK;
}

/* ---- Masks ----------------------------------------------------------------------------------- */

/* What a detection says of its mask. */
static void tell(const text_run *r, const text_image *t, int which, samc_mask *mask) {
    const samc_detection *d = &t->found.items[which];
    mask->size = sizeof *mask;
    mask->image = t->index;
    mask->prompt = mask->index = which;
    mask->label = r->phrases->texts[d->phrase];
    mask->phrase = d->phrase;
    mask->score = d->score;
    mask->point[0] = (double)d->point[0], mask->point[1] = (double)d->point[1];
    memcpy(mask->box, d->box, sizeof mask->box);
}

/* The run lengths go from the result, which ends with the batch, to those of the image. */
static samc_status keep_runs(const text_run *r, text_image *t, samc_mask *mask) {
    samc__run_place place;
    uint32_t *counts = malloc(mask->count_length * sizeof *counts);
    samc_status status = counts ? samc_mask_counts(mask, counts, r->error)
                                : samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    if (status == SAMC_OK) status = samc__runs_add(t->runs, counts, mask->count_length, &place, r->error);
    free(counts);
    if (status == SAMC_OK) mask->runs = t->runs, mask->runs_at = place.at;
    return status;
}

/* Passes SAMC_OK on, else with the session's message in the run's own error. */
static samc_status of_session(const text_run *r, samc_status status) {
    if (status != SAMC_OK) *r->error = r->s->error;
    return status;
}

/* Whether samc_session_stop() was called, which this takes back. */
static samc_status check_stop(const text_run *r) {
    if (r->s == NULL || !atomic_exchange(&r->s->stop, false)) return SAMC_OK;
    return samc__fail(r->error, SAMC_STOPPED, "stopped on request");
}

static samc_status ask(const text_run *r, text_image *t, int first, int count) {
    samc_prompt prompts[TOGETHER];
    samc_result *result = NULL;
    const size_t low = samc__low_res(&r->s->model->net.config);
    double start = samc__seconds();
    for (int i = 0; i < count; i++)
        SAMC__TRY(make_prompt(r, t, first + i, t->prompts ? t->prompts + (size_t)i * low * low : NULL, &prompts[i]));
    SAMC__TRY(of_session(r, t->embedding != NULL ? samc__predict_on(r->s, t->embedding, prompts, count, false, &result)
                                                 : samc__predict(r->s, prompts, count, false, &result)));
    double decoded = samc__seconds();
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        samc_mask *mask = &t->masks[first + i];
        mask->size = sizeof *mask;
        status = of_session(r, samc__result_mask(r->s, result, i, 0, mask));
        if (status == SAMC_OK) status = keep_runs(r, t, mask);
        if (status == SAMC_OK) tell(r, t, first + i, mask);
    }
    samc_result_free(result);
    t->stats.decode_seconds += decoded - start;
    t->stats.post_seconds += samc__seconds() - decoded;
    return status;
}

static samc_status report(const text_run *r, const text_image *t, int done) {
    if (r->o.progress == NULL) return SAMC_OK;
    samc_status status = r->o.progress(r->o.progress_context, t->index, done, t->found.count);
    return status == SAMC_OK ? SAMC_OK : samc__fail(r->error, status, "the callback stopped at image %d", t->index);
}

static samc_status make_masks(const text_run *r, text_image *t) {
    double start = samc__seconds();
    SAMC__TRY(allocate_maps(r, t));
    t->runs = samc__runs_create(NULL);
    if (t->runs == NULL) return samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    if (t->found.count == 0) return SAMC_OK;
    if (t->embedding == NULL) SAMC__TRY(of_session(r, samc__set_images(r->s, t->image, 1)));
    t->stats.encode_seconds += samc__seconds() - start;
    for (int first = 0; first < t->found.count; first += TOGETHER) {
        SAMC__TRY(check_stop(r));
        SAMC__TRY(report(r, t, first));
        SAMC__TRY(ask(r, t, first, t->found.count - first < TOGETHER ? t->found.count - first : TOGETHER));
    }
    return SAMC_OK;
}

static samc_status work_on(const text_run *r, text_image *t) {
    double start = samc__seconds();
    SAMC__TRY(samc__scene_find(&t->desk, t->scene, r->phrases, &r->o, &t->found));
    const int count = t->found.count;
    t->stats.encode_seconds += samc__seconds() - start;
    t->masks = calloc((size_t)count + 1, sizeof *t->masks);
    if (t->masks == NULL) return samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory for %d masks", count);
    for (int i = 0; i < count; i++) {
        tell(r, t, i, &t->masks[i]);
        t->masks[i].crop_box[2] = t->masks[i].width = t->width;
        t->masks[i].crop_box[3] = t->masks[i].height = t->height;
    }
    if (!r->o.boxes_only) SAMC__TRY(make_masks(r, t));
    SAMC__TRY(report(r, t, count));
    t->stats.prompts = t->stats.masks = t->stats.after_iou = t->stats.after_stability = t->stats.after_edge =
        t->stats.after_nms = t->stats.kept = count;
    samc_status status = r->callback(r->context, t->index, t->masks, count, &t->stats);
    return status == SAMC_OK ? SAMC_OK : samc__fail(r->error, status, "the callback stopped at image %d", t->index);
}

static samc_status in_scene(const text_run *r, text_image *t) {
    t->width = t->scene->width, t->height = t->scene->height;
    samc_status status = samc__desk_open(&t->desk, r->phrases->detector, r->error);
    if (status == SAMC_OK) status = work_on(r, t);
    samc__desk_close(&t->desk);
    samc__detections_free(&t->found);
    samc_runs_release(t->runs);
    free(t->masks);
    free(t->map);
    free(t->prompts);
    free(t->scratch);
    return status;
}

static samc_status do_image(const text_run *r, const samc_image *image, int index) {
    samc_scene *scene;
    text_image t = {.image = image, .index = index, .stats = {.size = sizeof t.stats, .crops = 1}};
    double start = samc__seconds();
    SAMC__TRY(check_stop(r));
    SAMC__TRY(samc_scene_create(r->phrases->detector, image, &scene, r->error));
    t.stats.encode_seconds = samc__seconds() - start;
    t.scene = scene;
    samc_status status = in_scene(r, &t);
    samc_scene_free(scene);
    return status;
}

static samc_status run(text_run *r, const samc_image *given, int count, const samc_text_options *options) {
    const void *images;
    if (r->phrases == NULL || given == NULL || count < 1 || r->callback == NULL)
        return samc__fail(r->error, SAMC_INVALID_ARGUMENT, "samc_text: no phrases, no images or no callback");
    SAMC__TRY(samc__text_options_take(options, r->phrases->detector, &r->o, r->error));
    if (r->s == NULL && !r->o.boxes_only)
        return samc__fail(r->error, SAMC_INVALID_ARGUMENT, "samc_text: masks take a session");
    samc_status status = samc__abi_array(SAMC__ABI(samc_image), given, count, &images, r->error);
    for (int i = 0; i < count && status == SAMC_OK; i++) status = do_image(r, (const samc_image *)images + i, i);
    samc__abi_array_free(given, images);
    return status;
}

samc_status samc_text(samc_session *session, const samc_phrases *phrases, const samc_image *images, int count,
                      const samc_text_options *options, samc_auto_callback callback, void *context, samc_error *error) {
    samc_error own = {0};
    text_run r = {.s = session, .phrases = phrases, .callback = callback, .context = context, .error = &own};
    if (session != NULL && samc__session_begin(session) != SAMC_OK)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "the session is busy with another call");
    samc_status status = run(&r, images, count, options);
    if (status != SAMC_OK && error != NULL) *error = own;
    if (session == NULL) return status;
    samc__session_drop_images(session);
    if (status != SAMC_OK) session->error = own;
    return samc__session_end(session, status);
}

static samc_status run_on(text_run *r, samc_embedding *embedding, const samc_scene *scene,
                          const samc_text_options *options) {
    text_image t = {.embedding = embedding, .scene = scene, .stats = {.size = sizeof t.stats, .crops = 1}};
    if (r->phrases == NULL || embedding == NULL || scene == NULL || r->callback == NULL)
        return samc__fail(r->error, SAMC_INVALID_ARGUMENT,
                          "samc_text_on: no embedding, no scene, no phrases or no callback");
    const samc__frame *frame = samc__embedding_frame(embedding);
    if (scene->detector != r->phrases->detector)
        return samc__fail(r->error, SAMC_MISMATCH, "scene and phrases are of different detectors");
    if (frame->width != scene->width || frame->height != scene->height)
        return samc__fail(r->error, SAMC_MISMATCH, "embedding and scene are of images of different sizes");
    SAMC__TRY(samc__text_options_take(options, r->phrases->detector, &r->o, r->error));
    SAMC__TRY(check_stop(r));
    return in_scene(r, &t);
}

samc_status samc_text_on(samc_session *session, samc_embedding *embedding, const samc_scene *scene,
                         const samc_phrases *phrases, const samc_text_options *options, samc_auto_callback callback,
                         void *context, samc_error *error) {
    samc_error own = {0};
    text_run r = {.s = session, .phrases = phrases, .callback = callback, .context = context, .error = &own};
    if (session == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_text_on: no session");
    if (samc__session_begin(session) != SAMC_OK)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "the session is busy with another call");
    samc_status status = run_on(&r, embedding, scene, options);
    if (status != SAMC_OK && error != NULL) *error = own;
    if (status != SAMC_OK) session->error = own;
    return samc__session_end(session, status);
}
