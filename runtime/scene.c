/* Scenes: an image as a detector sees it, asked for phrases. */
#include "runtime/detect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/abi.h"
#include "runtime/session.h"

enum { PHRASES_TOGETHER = 256 }; /* whose logits are held for every box at a time */

samc_status samc_default_text_options(samc_text_options *options) {
    const samc_text_options own = {.nms = 0.3};
    return samc__abi_give(SAMC__ABI(samc_text_options), &own, options, NULL);
}

samc_status samc__text_options_take(const samc_text_options *given, const samc_detector *detector,
                                    samc_text_options *own, samc_error *error) {
    *own = SAMC_INIT(samc_text_options);
    samc_default_text_options(own);
    if (given != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_text_options), given, own, error));
    if (!(own->threshold >= 0 && own->threshold < 1))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "threshold must be at least 0 and below 1, not %g",
                          own->threshold);
    if (!(own->nms >= 0)) return samc__fail(error, SAMC_INVALID_ARGUMENT, "nms must be at least 0, not %g", own->nms);
    if (own->top < 0) return samc__fail(error, SAMC_INVALID_ARGUMENT, "top must be at least 0, not %d", own->top);
    const samc__relate *family = detector->opened.family;
    if (family->kind == SAMC_DETECTOR_LABELS)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s gives labels to masks that are there; to find what phrases name takes OWLv2 or CLIPSeg",
                          family->name);
    if (own->threshold == 0) own->threshold = family->kind == SAMC_DETECTOR_MAPS ? 0.3 : 0.1;
    return SAMC_OK;
}

static samc_status see(samc_scene *scene, const samc_image *given, samc_error *error) {
    samc_image image = SAMC_INIT(samc_image);
    samc__desk desk;
    const samc__relate_opened *opened = &scene->detector->opened;
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_image), given, &image, error));
    SAMC__TRY(samc__check_image(error, &image, 0));
    if (opened->family->see == NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s looks for nothing in images", opened->family->name);
    scene->width = image.width, scene->height = image.height;
    samc_status status = samc__desk_open(&desk, scene->detector, error);
    if (status == SAMC_OK) status = opened->family->see(&desk.exec, opened->net, &image, &scene->scene);
    samc__desk_close(&desk);
    return status;
}

samc_status samc_scene_create(const samc_detector *detector, const samc_image *image, samc_scene **out,
                              samc_error *error) {
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_scene_create: no place for the scene");
    *out = NULL;
    if (detector == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_scene_create: no detector");
    samc_scene *scene = calloc(1, sizeof *scene);
    if (scene == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a scene");
    scene->detector = detector;
    samc_status status = see(scene, image, error);
    if (status == SAMC_OK) *out = scene;
    else samc_scene_free(scene);
    return status;
}

void samc_scene_free(samc_scene *scene) {
    if (scene == NULL) return;
    if (scene->detector->opened.family->forget != NULL) scene->detector->opened.family->forget(scene->scene);
    free(scene);
}

size_t samc_scene_bytes(const samc_scene *scene) {
    return scene == NULL ? 0 : sizeof *scene + scene->detector->facts.scene_bytes;
}

static samc_status spoilt(const samc_scene *scene, samc_error *error) {
    return samc__detector_spoilt(scene->detector, "the image", error);
}

/* ---- Maps ------------------------------------------------------------------------------------ */

samc_status samc__scene_map(const samc__desk *desk, const samc_scene *scene, const float *features, float *map) {
    const samc__relate_opened *opened = &scene->detector->opened;
    const int64_t side = scene->detector->facts.map_side;
    SAMC__TRY(opened->family->map(&desk->exec, opened->net, scene->scene, features, map));
    for (int64_t i = 0; i < side * side; i++)
        if (!isfinite(map[i])) return spoilt(scene, desk->exec.error);
    return SAMC_OK;
}

static samc_status find_parts(const samc__desk *desk, const samc_scene *scene, const samc_phrases *phrases,
                              const samc_text_options *o, samc__detections *list) {
    const int side = scene->detector->facts.map_side, dim = scene->detector->facts.dim;
    const size_t pixels = (size_t)side * (size_t)side;
    float *map = malloc(pixels * sizeof *map);
    int *scratch = malloc(2 * pixels * sizeof *scratch);
    const samc__heat heat = {map, side, o->threshold, scratch};
    samc_status status =
        map && scratch ? SAMC_OK : samc__fail(desk->exec.error, SAMC_OUT_OF_MEMORY, "no memory for a map");
    for (int i = 0; i < phrases->count && status == SAMC_OK; i++) {
        status = samc__scene_map(desk, scene, phrases->features + (int64_t)i * dim, map);
        if (status == SAMC_OK && !samc__map_parts(&heat, i, scene->width, scene->height, list))
            status = samc__fail(desk->exec.error, SAMC_OUT_OF_MEMORY, "no memory for the parts of a map");
    }
    free(map);
    free(scratch);
    return status;
}

/* ---- Boxes ----------------------------------------------------------------------------------- */

/* Room for what is known of every box. */
typedef struct boxes {
    float *corners, *logits, *best; /* [n, 4], [n, PHRASES_TOGETHER], [n] */
    int *phrase;                    /* [n] */
} boxes;

static samc_status find_boxes_in(const samc__desk *desk, const samc_scene *scene, const samc_phrases *phrases,
                                 const samc_text_options *o, const boxes *b, samc__detections *list) {
    const samc__relate_opened *opened = &scene->detector->opened;
    const int n = scene->detector->facts.boxes, dim = scene->detector->facts.dim;
    bool finite = true;
    SAMC__TRY(opened->family->corners(opened->net, scene->scene, b->corners));
    for (int i = 0; i < n; i++) b->best[i] = -INFINITY, b->phrase[i] = -1;
    for (int64_t i = 0; i < 4 * (int64_t)n; i++) finite = finite && isfinite(b->corners[i]);
    for (int first = 0; first < phrases->count && finite; first += PHRASES_TOGETHER) {
        int count = phrases->count - first < PHRASES_TOGETHER ? phrases->count - first : PHRASES_TOGETHER;
        SAMC__TRY(opened->family->classify(&desk->exec, opened->net, scene->scene,
                                           phrases->features + (int64_t)first * dim, count, b->logits));
        finite = samc__best_phrases(b->logits, n, first, count, b->best, b->phrase);
    }
    if (!finite) return spoilt(scene, desk->exec.error);
    return samc__boxes_pick(b->corners, b->best, b->phrase, n, o->threshold, scene->width, scene->height, list)
               ? SAMC_OK
               : samc__fail(desk->exec.error, SAMC_OUT_OF_MEMORY, "no memory for boxes");
}

static samc_status find_boxes(const samc__desk *desk, const samc_scene *scene, const samc_phrases *phrases,
                              const samc_text_options *o, samc__detections *list) {
    const size_t n = (size_t)scene->detector->facts.boxes;
    const boxes b = {.corners = malloc(4 * n * sizeof *b.corners),
                     .logits = malloc(n * PHRASES_TOGETHER * sizeof *b.logits),
                     .best = malloc(n * sizeof *b.best),
                     .phrase = malloc(n * sizeof *b.phrase)};
    samc_status status = b.corners && b.logits && b.best && b.phrase
                             ? find_boxes_in(desk, scene, phrases, o, &b, list)
                             : samc__fail(desk->exec.error, SAMC_OUT_OF_MEMORY, "no memory for boxes");
    free(b.corners);
    free(b.logits);
    free(b.best);
    free(b.phrase);
    return status;
}

samc_status samc__scene_find(const samc__desk *desk, const samc_scene *scene, const samc_phrases *phrases,
                             const samc_text_options *o, samc__detections *list) {
    const bool maps = scene->detector->opened.family->kind == SAMC_DETECTOR_MAPS;
    SAMC__TRY(maps ? find_parts(desk, scene, phrases, o, list) : find_boxes(desk, scene, phrases, o, list));
    /* Parts of a map do not overlap, their boxes may. */
    return samc__detections_settle(&desk->exec, list, maps ? 2.0 : o->nms, o->top);
}

/* ---- The public calls ------------------------------------------------------------------------ */

static samc_status check(const samc_scene *scene, const samc_phrases *phrases, samc_error *error) {
    if (scene == NULL || phrases == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene or no phrases");
    if (scene->detector != phrases->detector)
        return samc__fail(error, SAMC_MISMATCH, "scene and phrases are of different detectors");
    return SAMC_OK;
}

samc_status samc_scene_map(const samc_scene *scene, const samc_phrases *phrases, int index, float *map,
                           samc_error *error) {
    samc__desk desk;
    SAMC__TRY(check(scene, phrases, error));
    if (map == NULL || index < 0 || index >= phrases->count)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_scene_map: there is no phrase %d, or no room", index);
    if (scene->detector->opened.family->kind != SAMC_DETECTOR_MAPS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s makes boxes, not maps", scene->detector->opened.family->name);
    samc_status status = samc__desk_open(&desk, scene->detector, error);
    if (status == SAMC_OK)
        status = samc__scene_map(&desk, scene, phrases->features + (int64_t)index * scene->detector->facts.dim, map);
    samc__desk_close(&desk);
    return status;
}

samc_status samc_scene_detect(const samc_scene *scene, const samc_phrases *phrases, const samc_text_options *options,
                              samc_detection *detections, int capacity, int *count, samc_error *error) {
    samc__desk desk;
    samc_text_options own;
    samc__detections list = {0};
    SAMC__TRY(check(scene, phrases, error));
    if (count == NULL || capacity < 0 || (detections == NULL && capacity > 0))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_scene_detect: no place for the detections");
    SAMC__TRY(samc__text_options_take(options, scene->detector, &own, error));
    if (capacity > 0) SAMC__TRY(samc__abi_check_size(SAMC__ABI(samc_detection), detections, error));
    samc_status status = samc__desk_open(&desk, scene->detector, error);
    if (status == SAMC_OK) status = samc__scene_find(&desk, scene, phrases, &own, &list);
    samc__desk_close(&desk);
    if (status == SAMC_OK) *count = list.count;
    if (status == SAMC_OK && capacity > 0)
        status = samc__abi_give_array(SAMC__ABI(samc_detection), list.items,
                                      list.count < capacity ? list.count : capacity, detections, error);
    samc__detections_free(&list);
    return status;
}
