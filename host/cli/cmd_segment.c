/* samc segment: masks for prompts in one image. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/points.h"
#include "host/cli/segment.h"

static const char help[] =
    "Usage: samc segment IMAGE PROMPT... -o OUTDIR [OPTIONS]\n"
    "\n"
    "Segments what the prompts name in an image. Prints one JSON object on standard output and writes\n"
    "pictures to OUTDIR.\n"
    "\n"
    "  IMAGE                 JPEG, PNG, WebP, TIFF, ... ('samc info' lists them), or - for standard\n"
    "                        input. EXIF orientation is applied; coordinates and sizes are those of the\n"
    "                        upright image\n" SAMC__CLI_SCALE_HELP "\n"
    "Prompts, in pixels, (0, 0) being the centre of the top left pixel:\n"
    "      --point X,Y[,L]   a point on the object (L = 1, the default) or off it (L = 0); has to be inside\n"
    "                        the image. All points are one prompt, together with at most one box\n"
    "      --box X0,Y0,X1,Y1 a box around the object; may reach over the image's edge and is not clipped.\n"
    "                        Several boxes without points are several prompts\n"
    "      --prompts FILE    a JSON list of {\"points\": [[x, y], ...], \"labels\": [1, 0, ...],\n"
    "                        \"box\": [x0, y0, x1, y1]}, - for standard input; an entry has points or a box\n"
    "                        or both, labels default to 1, other keys are errors. Not together with\n"
    "                        --point or --box\n"
    "      --mask-input FILE low-res logits from an earlier --logits as a further prompt (.npy, float32,\n"
    "                        16 or 64): [h, w], [1, h, w] or, one for each prompt, [P, 1, h, w]. Alone,\n"
    "                        each mask is a prompt\n"
    "      --text PHRASE     what to look for, several times for several; with --detector FILE, --threshold,\n"
    "                        --nms and --top of 'samc text'. One mask for each thing that is found. Not together\n"
    "                        with other prompts\n"
    "\n"
    "Volumes (NIfTI; DICOM slices: a folder, a .zip, a .tar, a file of many frames), one slice as the image:\n"
    "      --slice N, --axis i|j|k, --volume T  slice N, from 0, across the axis (as of 'samc volume', which follows\n"
    "                        objects through all slices); x and y are the other two, in the order i, j, k. The grey\n"
    "                        values are those of the whole volume. Files are called <stem>_<axis><slice>_...\n"
    "\n"
    "Scenes that lie on a map (GeoTIFF, COG, JPEG 2000, ... of any size; 'samc info' says whether there is GDAL):\n"
    "      --crs map|pixel   --point and --box are in the coordinates of the scene's map, or in its pixels; the\n"
    "                        model gets a window around each\n"
    "      --boxes FILE      a box around each feature of a GeoJSON or GeoPackage file, in whatever CRS\n"
    "      --bands LIST      three of its bands, or one, from 1: 3,2,1\n"
    "      --simplify X      outlines may move by X in the units of the map (0)\n"
    "      --scale           is P2-98 here unless it is given, of the whole scene\n"
    "\n"
    "Results:\n"
    "  -o, --output DIR      folder for the files, made if missing; files of the same names are replaced.\n"
    "                        Required unless --format is rle\n"
    "      --format LIST     what each mask is written as (default: png,overlay), of\n"
    "                          png      8-bit mask, 0 and 255      <stem>_<prompt>_<mask>.png\n"
    "                          overlay  tinted on the image        <stem>_<prompt>_<mask>_overlay.png\n"
    "                          cutout   RGBA, background removed   <stem>_<prompt>_<mask>_cutout.png\n"
    "                          npy      NumPy bool [h, w]          <stem>_<prompt>_<mask>.npy\n"
    "                          rle      COCO run lengths, in the JSON\n"
    "                          gpkg, geojson  of scenes: polygons of all masks, <stem>.gpkg in the scene's CRS and\n"
    "                                   <stem>.geojson by RFC 7946; the default of scenes is gpkg,overlay\n"
    "      --logits FILE     low-res logits of all masks before any threshold: .npy, float32\n"
    "                        [prompts, masks, h, w]\n"
    "      --single          one mask for each prompt, where three (whole, part, subpart) are the default\n"
    "      --embedding FILE  of 'samc embed'; skips the encoder. For .safetensors model and image size are\n"
    "                        checked, a .npy is taken as it is\n"
    "\n"
    "The JSON: {\"image\": path, \"size\": [h, w], \"masks\": [{\"prompt\": 0, \"mask\": 0, \"predicted_iou\": ...,\n"
    "\"stability_score\": ..., \"area\": pixels, \"bbox\": [x, y, w, h], \"files\": {format: path},\n"
    "\"rle\": {\"size\": [h, w], \"counts\": ...}}, ...]}, masks in the model's order, \"rle\" with --format rle;\n"
    "of an image that was scaled \"scale\": {\"name\", \"low\", \"high\", \"samples\"};\n"
    "of phrases \"label\", \"score\" and \"box\" [x0, y0, x1, y1] too; of scenes \"crs\", and of each mask \"id\", as "
    "in\n"
    "the polygons, and \"window\" [x, y, w, h], that its pixels and pictures are of.\n"
    "\n"
    "Examples: samc segment photo.jpg --point 320,240 --point 400,250,0 -o out\n"
    "          detector photo.jpg | samc segment photo.jpg --prompts - --single --format rle\n";

/* Prompts that the library is given at a time: bounds the memory for logits, whatever the length of the list. */
enum { BATCH = 64 };

typedef samc__segment_request request;
typedef samc__segment_work work;

/* --mask-input: one mask for each prompt; alone, each mask becomes a prompt. */
static samc_status attach_masks(request *r, work *w, samc_error *error) {
    size_t side = (size_t)w->info.low_res, count = 1;
    SAMC__TRY(samc_npy_read(r->mask_input, &w->masks, error));
    const samc_array *masks = &w->masks;
    const size_t *plane = masks->shape + masks->rank - 2;
    bool fits = masks->rank >= 2 && plane[0] == side && plane[1] == side &&
                (masks->rank == 2 || masks->shape[masks->rank - 3] == 1);
    if (!fits)
        return samc__cli_error(error, SAMC_MISMATCH,
                               "%s: mask input is not of shape [h, w], [1, h, w] or [P, 1, h, w] with h = w = %zu",
                               r->mask_input, side);
    if (masks->rank == 4) count = masks->shape[0];
    for (size_t i = 0; i < count * side * side; i++)
        if (!isfinite(masks->values[i]))
            return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "%s: mask input holds NaN or infinity", r->mask_input);
    if (samc_prompts_count(r->prompts) == 0)
        for (size_t i = 0; i < count; i++) SAMC__TRY(samc_prompts_add(r->prompts, &SAMC_INIT(samc_prompt), error));
    if (count != (size_t)samc_prompts_count(r->prompts))
        return samc__cli_error(error, SAMC_MISMATCH, "%s: mask input holds %zu masks, but there are %d prompts",
                               r->mask_input, count, samc_prompts_count(r->prompts));
    for (size_t i = 0; i < count; i++)
        SAMC__TRY(samc_prompts_set_mask(r->prompts, (int)i, masks->values + i * side * side, error));
    return SAMC_OK;
}

/* What the library would say too, after the image was encoded. */
static samc_status check_boxes(const request *r, const work *w, samc_error *error) {
    bool others = r->mask_input != NULL;
    for (int i = 0; i < samc_prompts_count(r->prompts); i++)
        others = others || samc_prompts_at(r->prompts, i)->point_count > 0;
    if (!others) return SAMC_OK;
    return samc__cli_error(error, SAMC_UNSUPPORTED,
                           "%s: its recipe, %s, is for boxes alone; points and masks mean nothing to it",
                           r->cli.model ? r->cli.model : "the default model", w->info.recipe);
}

static samc_status set_image(const request *r, work *w, samc_error *error) {
    if (r->embedding != NULL)
        return samc_embedding_load(w->session, w->model, r->embedding, r->image, w->image.width, w->image.height,
                                   error);
    samc__cli_note(&r->cli, "encoding %s (%d x %d)", r->image, w->image.width, w->image.height);
    return samc_session_check(w->session, samc_set_image(w->session, &w->image), r->image, error);
}

static samc_status no_memory(const request *r, samc_error *error) {
    return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its results", r->image);
}

/* The picture, or the slice. */
static samc_status load_image(request *r, work *w, int64_t most_pixels, samc_error *error) {
    if (r->slice >= 0) return samc__cli_volume_picture(&r->volume, r->slice, &w->image, &w->scale, error);
    if (samc__cli_volume_looks(r->image))
        return samc__cli_error(error, SAMC_UNSUPPORTED,
                               "%s: a volume: --slice N takes one of its slices, 'samc volume' follows objects",
                               r->image);
    return samc__cli_load_image(&r->cli, r->image, most_pixels, &w->image, &w->scale, error);
}

/* Predicts prompts [first, first + count) and writes their masks and logits. */
static samc_status predict_batch(const request *r, work *w, int first, int count, samc_error *error) {
    samc_result *result = NULL;
    SAMC__TRY(samc_session_check(
        w->session, samc_predict(w->session, samc_prompts_at(r->prompts, first), count, !r->single, &result), r->image,
        error));
    int masks = samc_result_masks(result);
    size_t low_res = (size_t)w->info.low_res,
           shape[4] = {(size_t)samc_prompts_count(r->prompts), (size_t)masks, low_res, low_res};
    samc_status status = SAMC_OK;
    if (r->logits != NULL) {
        if (w->logits == NULL) status = samc_npy_begin(r->logits, SAMC_NPY_F32, 4, shape, &w->logits, error);
        if (status == SAMC_OK)
            status = samc_writer_append(w->logits, samc_result_logits(result),
                                        (size_t)count * (size_t)masks * low_res * low_res * sizeof(float), error);
    }
    for (int p = 0; p < count; p++)
        for (int m = 0; status == SAMC_OK && m < masks; m++) {
            samc_mask mask = SAMC_INIT(samc_mask);
            status = samc_session_check(w->session, samc_result_mask(w->session, result, p, m, &mask), r->image, error);
            mask.prompt += first; /* of all prompts, not of these */
            if (status == SAMC_OK)
                status = samc__segment_add_mask(r, w, &mask, samc__segment_number(w, mask.prompt) * masks + m, error);
        }
    samc_result_free(result);
    return status;
}

/* What names of files begin with, the list of records, the folder. */
static samc_status begin_results(const request *r, work *w, samc_error *error) {
    const char *slash = strrchr(r->image, '/');
    const char *name = strcmp(r->image, "-") == 0 ? "stdin" : slash ? slash + 1 : r->image, *dot = strrchr(name, '.');
    w->stem = r->slice >= 0                ? samc__cli_volume_stem(&r->volume, r->slice)
              : dot == NULL || dot == name ? strdup(name)
                                           : strndup(name, (size_t)(dot - name));
    w->records = json_array();
    if (w->stem == NULL || w->records == NULL) return no_memory(r, error);
    return r->output != NULL ? samc_folder_create(r->output, error) : SAMC_OK;
}

/* samc_text()'s callback: what was found becomes a prompt, that overlays show, and a record. */
typedef struct finding {
    const request *r;
    work *w;
    samc_error *error;
} finding;

static samc_status take_found(void *context, int image, const samc_mask *masks, int count,
                              const samc_auto_stats *stats) {
    const finding *f = context;
    (void)image, (void)stats;
    for (int i = 0; i < count; i++) {
        samc_mask mask = *samc_mask_at(masks, i);
        const samc_prompt prompt = {.size = sizeof prompt, .box = mask.box};
        SAMC__TRY(samc_prompts_add(f->r->prompts, &prompt, f->error));
        mask.index = 0; /* the one mask of its prompt */
        if (mask.runs != NULL) {
            SAMC__TRY(samc__segment_add_mask(f->r, f->w, &mask, i, f->error));
            continue;
        }
        json_t *record = json_pack("{s:i}", "prompt", i);
        if (record != NULL) samc__segment_add_label(record, &mask);
        if (record == NULL || json_array_append_new(f->w->records, record) != 0) return no_memory(f->r, f->error);
    }
    return SAMC_OK;
}

/* The same for phrases. */
static samc_status segment_text(request *r, work *w, int *exit_code, samc_error *error) {
    char model_path[4096];
    bool usage;
    samc__cli_phrases *t = r->text;
    const bool masks = !t->options.boxes_only;
    if (masks && !samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    if (t->detector != NULL) SAMC__TRY(load_image(r, w, t->max_pixels, error));
    samc_status status = samc__cli_phrases_open(t, &r->cli, &usage, error);
    if (usage) *exit_code = SAMC__EXIT_USAGE;
    SAMC__TRY(status);
    if (masks) SAMC__TRY(samc__cli_open_model(&r->cli, model_path, &w->model, error));
    if (masks) SAMC__TRY(samc_session_create(w->model, &w->session, error));
    SAMC__TRY(samc_prompts_create(&r->prompts, error));
    SAMC__TRY(begin_results(r, w, error));
    samc__cli_note(&r->cli, "looking for %d phrases in %s (%d x %d)", samc_phrases_count(t->phrases), r->image,
                   w->image.width, w->image.height);
    if (t->heat) SAMC__TRY(samc__cli_phrases_heat(t, &w->image, r->output, w->stem, error));
    samc_error own = {0}, why = {0};
    finding f = {r, w, &own};
    status = samc_text(w->session, t->phrases, &w->image, 1, &t->options, take_found, &f, &why);
    if (status == SAMC_OK) return SAMC_OK;
    return own.status != SAMC_OK ? samc__cli_error(error, status, "%s", own.message)
                                 : samc__cli_error(error, status, "%s: %s", r->image, why.message);
}

/* From the request to everything written; the records are in w->results. Cheap checks come before the encoder runs. */
static samc_status segment(request *r, work *w, int *exit_code, samc_error *error) {
    char model_path[4096];
    if (!samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    if (r->prompts_file != NULL) SAMC__TRY(samc_prompts_read(r->prompts_file, &r->prompts, error));
    SAMC__TRY(load_image(r, w, 0, error));
    const char *origin = r->prompts_file == NULL ? r->image : r->prompts_file;
    samc_status status = samc_prompts_check(r->prompts, origin, w->image.width, w->image.height, error);
    if (status != SAMC_OK) {
        if (r->prompts_file == NULL) *exit_code = SAMC__EXIT_USAGE;
        return status;
    }
    SAMC__TRY(samc__cli_open_model(&r->cli, model_path, &w->model, error));
    samc_model_get_info(w->model, &w->info);
    if (w->info.boxes_only) SAMC__TRY(check_boxes(r, w, error));
    if (r->mask_input != NULL) SAMC__TRY(attach_masks(r, w, error));
    SAMC__TRY(begin_results(r, w, error));
    SAMC__TRY(samc_session_create(w->model, &w->session, error));
    SAMC__TRY(set_image(r, w, error));
    const int prompts = samc_prompts_count(r->prompts);
    for (int first = 0; first < prompts; first += BATCH) {
        int count = prompts - first < BATCH ? prompts - first : BATCH;
        SAMC__TRY(predict_batch(r, w, first, count, error));
        if (prompts > BATCH) samc__cli_note(&r->cli, "%d of %d prompts", first + count, prompts);
    }
    samc_writer *logits = w->logits;
    w->logits = NULL;
    return logits != NULL ? samc_writer_commit(logits, error) : SAMC_OK;
}

/* One window of a scene after the other. */
static samc_status segment_view(request *r, work *w, samc_error *error) {
    w->image = w->view.image;
    w->view.image = (samc_image){.size = sizeof w->image};
    r->prompts = w->view.prompts;
    w->view.prompts = NULL;
    if (w->info.boxes_only) SAMC__TRY(check_boxes(r, w, error));
    SAMC__TRY(set_image(r, w, error));
    const int prompts = samc_prompts_count(r->prompts);
    for (int first = 0; first < prompts; first += BATCH)
        SAMC__TRY(predict_batch(r, w, first, prompts - first < BATCH ? prompts - first : BATCH, error));
    return SAMC_OK;
}

static void end_view(request *r, work *w) {
    samc_prompts_free(w->view.prompts);
    samc_prompts_free(r->prompts);
    r->prompts = NULL;
    free(w->view.numbers);
    samc_image_free(&w->view.image);
    samc_image_free(&w->image);
    w->view = (samc__map_view){.image.size = sizeof w->image};
}

/* The same in windows of a scene. */
static samc_status segment_scene(request *r, work *w, int *exit_code, samc_error *error) {
    char model_path[4096];
    bool usage, more;
    if (!samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    samc_status status = samc__map_open(r->map, &r->cli, r->image, &w->map, &usage, error);
    if (usage) *exit_code = SAMC__EXIT_USAGE;
    SAMC__TRY(status);
    SAMC__TRY(samc__map_scale(w->map, &w->scale, error));
    SAMC__TRY(samc__cli_open_model(&r->cli, model_path, &w->model, error));
    samc_model_get_info(w->model, &w->info);
    SAMC__TRY(begin_results(r, w, error));
    SAMC__TRY(samc_session_create(w->model, &w->session, error));
    if (r->output != NULL) SAMC__TRY(samc__map_begin(w->map, r->formats, r->output, w->stem, error));
    for (;;) {
        SAMC__TRY(samc__map_next(w->map, w->info.image_size, &w->view, &more, error));
        if (!more) return samc__map_commit(w->map, error);
        SAMC__TRY(segment_view(r, w, error));
        end_view(r, w);
    }
}

/* What is printed at the end. */
static json_t *make_answer(const request *r, const work *w) {
    const bool scene = w->map != NULL;
    const samc_geo_info *info = scene ? samc__map_info(w->map) : NULL;
    json_t *answer = json_pack("{s:o, s:[I, I], s:O}", "image", samc__cli_text(r->image), "size",
                               scene ? (json_int_t)info->height : (json_int_t)w->image.height,
                               scene ? (json_int_t)info->width : (json_int_t)w->image.width, "masks", w->records);
    if (scene) json_object_set_new(answer, "crs", info->crs[0] != '\0' ? samc__cli_text(info->crs) : json_null());
    if (r->slice >= 0) {
        json_object_set_new(answer, "axis", json_stringn(&"ijk"[r->volume.axis], 1));
        json_object_set_new(answer, "slice", json_integer(r->slice));
    }
    samc__cli_add_scale(answer, &w->scale);
    return answer;
}

static int run(request *r) {
    work w = {.image.size = sizeof w.image,
              .scale.size = sizeof w.scale,
              .masks.size = sizeof w.masks,
              .view.image.size = sizeof w.image,
              .info.size = sizeof w.info};
    samc_error error;
    int exit_code = SAMC__EXIT_FAILURE;
    samc_status (*const way)(request *, work *, int *, samc_error *) = r->text->count > 0 ? segment_text
                                                                       : r->mapped        ? segment_scene
                                                                                          : segment;
    if (way(r, &w, &exit_code, &error) != SAMC_OK) {
        if (exit_code == SAMC__EXIT_USAGE) samc__cli_usage(&r->cli, "%s", error.message);
        else samc__cli_fail(error.message);
    } else {
        if (r->text->count > 0)
            samc__cli_note(&r->cli, "%zu found of %d phrases", json_array_size(w.records), r->text->count);
        else
            samc__cli_note(&r->cli, "%zu masks for %d prompts", json_array_size(w.records),
                           w.map != NULL ? samc__map_prompts(w.map) : samc_prompts_count(r->prompts));
        exit_code = samc__cli_print_json(make_answer(r, &w));
    }
    samc_writer_abandon(w.logits);
    free(w.stem);
    json_decref(w.records);
    samc__cli_note_session(&r->cli, w.session);
    samc_session_destroy(w.session);
    samc_model_close(w.model);
    samc_array_free(&w.masks);
    if (w.map != NULL) end_view(r, &w);
    samc__map_close(w.map);
    samc_image_free(&w.image);
    return exit_code;
}

/* Turns them into prompts, by the rules of the help text. */
static int build_prompts(request *r, samc__cli_points *a) {
    const bool others = r->prompts_file || r->mask_input || r->embedding || r->logits || r->text->given ||
                        r->text->count > 0 || r->cli.page != 0;
    int code = samc__map_check(r->map, &r->cli, r->formats, others);
    if (code != SAMC__EXIT_OK || r->mapped) return code;
    for (int i = 0; i < r->map->point_count && code == SAMC__EXIT_OK; i++)
        code = samc__cli_point(a, &r->cli, r->map->points[i]);
    for (int i = 0; i < r->map->box_count && code == SAMC__EXIT_OK; i++)
        code = samc__cli_box(a, &r->cli, r->map->box[i]);
    if (code != SAMC__EXIT_OK) return code;
    if (r->text->count > 0) {
        if (a->point_count + a->box_count > 0 || r->prompts_file || r->mask_input || r->embedding || r->logits)
            return samc__cli_usage(&r->cli, "--text goes without --point, --box, --prompts, --mask-input, --embedding "
                                            "and --logits");
        return SAMC__EXIT_OK;
    }
    if (r->text->given) return samc__cli_usage(&r->cli, "--detector, --threshold, --nms and --top go with --text");
    if (r->prompts_file != NULL) {
        if (a->point_count + a->box_count > 0)
            return samc__cli_usage(&r->cli, "--prompts goes without --point and --box");
        return SAMC__EXIT_OK;
    }
    if (a->point_count + a->box_count == 0 && r->mask_input == NULL)
        return samc__cli_usage(&r->cli, "no prompt: give --point, --box, --prompts, --mask-input or --text");
    return samc__cli_points_build(a, &r->cli, &r->prompts);
}

enum { POINT = SAMC__CLI_OWN, BOX, PROMPTS, MASK_INPUT, SINGLE, EMBEDDING, FORMAT, LOGITS, SLICE };

/* --axis, --volume and --slice go together. */
static int check_slice(request *r) {
    r->volume.path = r->image;
    if (r->slice < 0)
        return r->volume.asked ? samc__cli_usage(&r->cli, "--axis and --volume go with --slice") : SAMC__EXIT_OK;
    if (r->cli.page != 0 || r->mapped)
        return samc__cli_usage(&r->cli, "--slice goes without --page, --frame, --crs and --boxes");
    return SAMC__EXIT_OK;
}

/* Keeps the text of a point or a box. */
static int keep(const request *r, const char **texts, int *count, const char *what) {
    if (*count == SAMC_MOST_POINTS)
        return samc__cli_usage(&r->cli, "more than %d %s; use --prompts", SAMC_MOST_POINTS, what);
    texts[(*count)++] = optarg;
    return SAMC__EXIT_OK;
}

static int parse(request *r, samc__cli_points *a, int argc, char **argv) {
    static const struct option table[] = {{"point", required_argument, NULL, POINT},
                                          {"box", required_argument, NULL, BOX},
                                          {"prompts", required_argument, NULL, PROMPTS},
                                          {"mask-input", required_argument, NULL, MASK_INPUT},
                                          {"single", no_argument, NULL, SINGLE},
                                          {"embedding", required_argument, NULL, EMBEDDING},
                                          {"format", required_argument, NULL, FORMAT},
                                          {"logits", required_argument, NULL, LOGITS},
                                          {"slice", required_argument, NULL, SLICE},
                                          {"axis", required_argument, NULL, SAMC__VOLUME_AXIS},
                                          {"volume", required_argument, NULL, SAMC__VOLUME_TIME},
                                          SAMC__MAP_OPTIONS,
                                          {"output", required_argument, NULL, 'o'},
                                          {"text", required_argument, NULL, SAMC__TEXT_PHRASE},
                                          SAMC__TEXT_SEARCH,
                                          SAMC__CLI_IMAGE,
                                          SAMC__CLI_COMMON};
    for (int option; (option = samc__cli_next(&r->cli, argc, argv, "o:", table)) != -1;) {
        int code = SAMC__EXIT_OK;
        if (option >= SAMC__TEXT_PHRASE && option < SAMC__VOLUME_AXIS) {
            code = samc__cli_phrases_option(r->text, &r->cli, option, optarg);
            if (code != SAMC__EXIT_OK) return code;
            continue;
        }
        switch (option) {
        case POINT:
            code = keep(r, r->map->points, &r->map->point_count, "points");
            break;
        case BOX:
            code = keep(r, r->map->box, &r->map->box_count, "boxes");
            break;
        case PROMPTS:
            r->prompts_file = optarg;
            break;
        case MASK_INPUT:
            r->mask_input = optarg;
            break;
        case SINGLE:
            r->single = true;
            break;
        case EMBEDDING:
            r->embedding = optarg;
            break;
        case LOGITS:
            r->logits = optarg;
            break;
        case SAMC__MAP_CRS:
        case SAMC__MAP_BOXES:
        case SAMC__MAP_BANDS:
        case SAMC__MAP_SIMPLIFY:
            code = samc__map_option(r->map, &r->cli, option, optarg);
            break;
        case SAMC__VOLUME_AXIS:
        case SAMC__VOLUME_TIME:
            code = samc__cli_volume_option(&r->volume, &r->cli, option, optarg);
            break;
        case SLICE:
            if (!samc__cli_integer(optarg, 0, 1 << 20, &r->slice))
                code = samc__cli_usage(&r->cli, "--slice is a whole number from 0 on, not '%s'", optarg);
            break;
        case 'o':
            r->output = optarg;
            break;
        case FORMAT:
            r->formats = samc_outputs_parse(optarg, (unsigned)SAMC__SEGMENT_FORMATS | SAMC__MAP_FORMATS);
            if (r->formats == 0)
                return samc__cli_usage(
                    &r->cli,
                    "--format is a list of png, rle, overlay, cutout and npy, of scenes gpkg and geojson, not '%s'",
                    optarg);
            break;
        default:
            return r->cli.exit_code; /* SAMC__CLI_STOP */
        }
        if (code != SAMC__EXIT_OK) return code;
    }
    if (argc - optind != 1) return samc__cli_usage(&r->cli, "give one IMAGE, not %d", argc - optind);
    r->image = argv[optind];
    if (r->map->boxes != NULL && r->map->crs == SAMC__CRS_NONE) r->map->crs = SAMC__CRS_MAP;
    r->mapped = r->map->crs != SAMC__CRS_NONE;
    if (r->formats == 0)
        r->formats = r->mapped ? SAMC_OUTPUT_GPKG | SAMC_OUTPUT_OVERLAY : SAMC_OUTPUT_PNG | SAMC_OUTPUT_OVERLAY;
    if (r->output == NULL && r->formats != SAMC_OUTPUT_RLE) return samc__cli_usage(&r->cli, "-o OUTDIR is missing");
    if (r->prompts_file != NULL && strcmp(r->prompts_file, "-") == 0 && strcmp(r->image, "-") == 0)
        return samc__cli_usage(&r->cli, "image and prompts cannot both come from standard input");
    if (r->embedding != NULL && samc_embedding_format_of(r->embedding) == SAMC_EMBEDDING_UNKNOWN)
        return samc__cli_usage(&r->cli, "the embedding '%s' ends in neither .safetensors nor .npy", r->embedding);
    int exit_code = check_slice(r);
    if (exit_code == SAMC__EXIT_OK) exit_code = build_prompts(r, a);
    return exit_code == SAMC__EXIT_OK ? run(r) : exit_code;
}

int samc__segment_phrases(const samc__cli *cli, samc__cli_phrases *text, const char *image, const char *output,
                          unsigned formats) {
    request r = {.cli = *cli,
                 .image = image,
                 .output = output,
                 .formats = formats ? formats : SAMC_OUTPUT_PNG | SAMC_OUTPUT_OVERLAY,
                 .text = text,
                 .slice = -1};
    int exit_code = run(&r);
    samc_prompts_free(r.prompts);
    return exit_code;
}

int samc__cmd_segment(int argc, char **argv) {
    samc__cli_phrases text = samc__cli_phrases_begin();
    request r = {.cli = samc__cli_begin("segment", help), .text = &text, .map = calloc(1, sizeof *r.map), .slice = -1};
    r.volume = samc__cli_volume_begin();
    r.volume.cli = &r.cli;
    samc__cli_points *a = calloc(1, sizeof *a);
    int exit_code = a && r.map ? parse(&r, a, argc, argv) : samc__cli_fail("out of memory");
    samc_prompts_free(r.prompts);
    samc__cli_phrases_end(&text);
    free(r.map);
    free(a);
    return exit_code;
}
