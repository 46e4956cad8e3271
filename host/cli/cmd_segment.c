/* samc segment: masks for prompts in one image. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/cli.h"
#include "host/io/embedding.h"
#include "host/io/file.h"
#include "host/io/image.h"
#include "host/io/npy.h"
#include "host/io/prompts.h"
#include "host/io/results.h"
#include "host/io/text.h"
#include "runtime/base/status.h"

static const char help[] =
    "Usage: samc segment IMAGE PROMPT... -o OUTDIR [OPTIONS]\n"
    "\n"
    "Segments what the prompts name in an image. Prints one JSON object on standard output and writes\n"
    "pictures to OUTDIR.\n"
    "\n"
    "  IMAGE                 JPEG, PNG, BMP, GIF (first frame), PSD, PGM, PPM or TGA, or - for standard\n"
    "                        input. EXIF orientation is applied; coordinates and sizes are those of the\n"
    "                        upright image\n"
    "\n"
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
    "      --logits FILE     low-res logits of all masks before any threshold: .npy, float32\n"
    "                        [prompts, masks, h, w]\n"
    "      --single          one mask for each prompt, where three (whole, part, subpart) are the default\n"
    "      --embedding FILE  of 'samc embed'; skips the encoder. For .safetensors model and image size are\n"
    "                        checked, a .npy is taken as it is\n"
    "\n"
    "The JSON: {\"image\": path, \"size\": [h, w], \"masks\": [{\"prompt\": 0, \"mask\": 0, \"predicted_iou\": ...,\n"
    "\"stability_score\": ..., \"area\": pixels, \"bbox\": [x, y, w, h], \"files\": {format: path},\n"
    "\"rle\": {\"size\": [h, w], \"counts\": ...}}, ...]}, masks in the model's order, \"rle\" with --format rle.\n"
    "\n"
    "Examples: samc segment photo.jpg --point 320,240 --point 400,250,0 -o out\n"
    "          detector photo.jpg | samc segment photo.jpg --prompts - --single --format rle\n";

/* Prompts that the library is given at a time: bounds the memory for logits, whatever the length of the list. */
enum { BATCH = 64, MAX_ARGUMENTS = SAMC__MAX_POINTS };

/* The command line, parsed. */
typedef struct request {
    samc__cli cli;
    const char *image, *output, *prompts_file, *mask_input, *logits, *embedding;
    unsigned formats;
    bool single;
    samc__prompts prompts;
} request;

/* Everything that has to be released, whatever happened. */
typedef struct work {
    samc__picture picture;
    samc__array masks; /* --mask-input, [P, low_res, low_res] */
    samc_model *model;
    samc_session *session;
    samc_model_info info;
    samc__results results;
    samc__writer logits;
    bool logits_open;
    uint8_t *bytes; /* of one mask, [height, width] */
} work;

/* --mask-input: one mask for each prompt; alone, each mask becomes a prompt. */
static samc_status attach_masks(request *r, work *w, samc_error *error) {
    size_t side = (size_t)w->info.low_res, count = 1;
    SAMC__TRY(samc__npy_read(r->mask_input, &w->masks, error));
    const samc__array *masks = &w->masks;
    const size_t *plane = masks->shape + masks->rank - 2;
    bool fits = masks->rank >= 2 && plane[0] == side && plane[1] == side &&
                (masks->rank == 2 || masks->shape[masks->rank - 3] == 1);
    if (!fits)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: mask input is not of shape [h, w], [1, h, w] or [P, 1, h, w] with h = w = %zu",
                          r->mask_input, side);
    if (masks->rank == 4) count = masks->shape[0];
    for (size_t i = 0; i < count * side * side; i++)
        if (!isfinite(masks->values[i]))
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: mask input holds NaN or infinity", r->mask_input);
    if (r->prompts.count == 0)
        for (size_t i = 0; i < count; i++) SAMC__TRY(samc__prompts_add(&r->prompts, NULL, NULL, 0, NULL, error));
    if (count != (size_t)r->prompts.count)
        return samc__fail(error, SAMC_MISMATCH, "%s: mask input holds %zu masks, but there are %d prompts",
                          r->mask_input, count, r->prompts.count);
    for (size_t i = 0; i < count; i++) r->prompts.items[i].mask_input = masks->values + i * side * side;
    return SAMC_OK;
}

static samc_status set_image(const request *r, work *w, samc_error *error) {
    if (r->embedding != NULL)
        return samc__embedding_load(w->session, &w->info, r->embedding, r->image, w->picture.width, w->picture.height,
                                    error);
    samc_image image = {sizeof(samc_image), w->picture.pixels, w->picture.width, w->picture.height,
                        (ptrdiff_t)w->picture.width * 3};
    samc__cli_note(&r->cli, "encoding %s (%d x %d)", r->image, image.width, image.height);
    return samc__session_check(w->session, samc_set_image(w->session, &image), r->image, error);
}

/* Predicts prompts [first, first + count) and writes their masks and logits. */
static samc_status predict_batch(const request *r, work *w, int first, int count, samc_error *error) {
    samc_result *result = NULL;
    SAMC__TRY(samc__session_check(
        w->session, samc_predict(w->session, r->prompts.items + first, count, !r->single, &result), r->image, error));
    int masks = samc_result_masks(result);
    size_t low_res = (size_t)w->info.low_res, shape[4] = {(size_t)r->prompts.count, (size_t)masks, low_res, low_res};
    samc_status status = SAMC_OK;
    if (r->logits != NULL) {
        if (!w->logits_open) status = samc__npy_begin(&w->logits, r->logits, SAMC__NPY_F32, 4, shape, error);
        w->logits_open = true;
        if (status == SAMC_OK)
            status = samc__writer_append(&w->logits, samc_result_logits(result),
                                         (size_t)count * (size_t)masks * low_res * low_res * sizeof(float), error);
    }
    for (int p = 0; p < count; p++) {
        for (int m = 0; status == SAMC_OK && m < masks; m++) {
            samc_mask mask = SAMC_INIT(samc_mask);
            status =
                samc__session_check(w->session, samc_result_mask(w->session, result, p, m, &mask), r->image, error);
            mask.prompt += first; /* of all prompts, not of these */
            if (status == SAMC_OK) status = samc_mask_bytes(&mask, w->bytes, error);
            if (status == SAMC_OK)
                status = samc__results_add(&w->results, &mask, w->bytes, &r->prompts.items[first + p],
                                           mask.prompt * masks + m, error);
        }
    }
    samc_result_free(result);
    return status;
}

/* From the request to everything written; the records are in w->results. Cheap checks come before the encoder runs. */
static samc_status segment(request *r, work *w, int *exit_code, samc_error *error) {
    char model_path[4096];
    if (!samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    if (r->prompts_file != NULL) SAMC__TRY(samc__prompts_read(r->prompts_file, &r->prompts, error));
    SAMC__TRY(samc__image_load(r->image, &w->picture, error));
    const char *origin = r->prompts_file == NULL ? r->image : r->prompts_file;
    samc_status status = samc__prompts_check(&r->prompts, origin, w->picture.width, w->picture.height, error);
    if (status != SAMC_OK) {
        if (r->prompts_file == NULL) *exit_code = SAMC__EXIT_USAGE;
        return status;
    }
    SAMC__TRY(samc__cli_open_model(&r->cli, model_path, &w->model, error));
    samc_model_get_info(w->model, &w->info);
    if (r->mask_input != NULL) SAMC__TRY(attach_masks(r, w, error));
    SAMC__TRY(
        samc__results_begin(&w->results, r->image, &w->picture, r->output == NULL ? "" : r->output, r->formats, error));
    w->bytes = malloc((size_t)w->picture.width * (size_t)w->picture.height);
    if (w->bytes == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a mask", r->image);
    if (r->output != NULL) SAMC__TRY(samc__folder_create(r->output, error));
    SAMC__TRY(samc_session_create(w->model, &w->session, error));
    SAMC__TRY(set_image(r, w, error));
    for (int first = 0; first < r->prompts.count; first += BATCH) {
        int count = r->prompts.count - first < BATCH ? r->prompts.count - first : BATCH;
        SAMC__TRY(predict_batch(r, w, first, count, error));
        if (r->prompts.count > BATCH) samc__cli_note(&r->cli, "%d of %d prompts", first + count, r->prompts.count);
    }
    if (r->logits != NULL) SAMC__TRY(samc__writer_commit(&w->logits, error));
    return SAMC_OK;
}

static int run(request *r) {
    work w = {.info.size = sizeof w.info, .logits = {.handle = -1}};
    samc_error error;
    int exit_code = SAMC__EXIT_FAILURE;
    if (segment(r, &w, &exit_code, &error) != SAMC_OK) {
        if (exit_code == SAMC__EXIT_USAGE) samc__cli_usage(&r->cli, "%s", error.message);
        else samc__cli_fail(error.message);
    } else {
        samc__cli_note(&r->cli, "%zu masks for %d prompts", json_array_size(w.results.records), r->prompts.count);
        exit_code = samc__cli_print_json(json_pack("{s:o, s:[i, i], s:O}", "image", samc__text_json(r->image), "size",
                                                   w.picture.height, w.picture.width, "masks", w.results.records));
    }
    samc__writer_abandon(&w.logits);
    samc__results_end(&w.results);
    samc__cli_note_session(&r->cli, w.session);
    samc_session_destroy(w.session);
    samc_model_close(w.model);
    samc__array_free(&w.masks);
    samc__picture_free(&w.picture);
    free(w.bytes);
    samc__prompts_free(&r->prompts);
    return exit_code;
}

/* Points and boxes as they come from the command line. */
typedef struct arguments {
    float points[MAX_ARGUMENTS * 2], boxes[MAX_ARGUMENTS * 4];
    int32_t labels[MAX_ARGUMENTS];
    int point_count, box_count;
} arguments;

/* Turns them into prompts, by the rules of the help text. */
static int build_prompts(request *r, const arguments *a) {
    samc_error error;
    if (r->prompts_file != NULL) {
        if (a->point_count + a->box_count > 0)
            return samc__cli_usage(&r->cli, "--prompts goes without --point and --box");
        return SAMC__EXIT_OK;
    }
    if (a->point_count > 0 && a->box_count > 1)
        return samc__cli_usage(&r->cli, "points with %d boxes: give one box, or use --prompts", a->box_count);
    if (a->point_count + a->box_count == 0 && r->mask_input == NULL)
        return samc__cli_usage(&r->cli, "no prompt: give --point, --box, --prompts or --mask-input");
    samc_status status = SAMC_OK;
    if (a->point_count > 0)
        status = samc__prompts_add(&r->prompts, a->points, a->labels, a->point_count,
                                   a->box_count > 0 ? a->boxes : NULL, &error);
    for (int i = 0; a->point_count == 0 && status == SAMC_OK && i < a->box_count; i++)
        status = samc__prompts_add(&r->prompts, NULL, NULL, 0, a->boxes + 4 * i, &error);
    return status == SAMC_OK ? SAMC__EXIT_OK : samc__cli_fail(error.message);
}

enum { POINT = SAMC__CLI_OWN, BOX, PROMPTS, MASK_INPUT, SINGLE, EMBEDDING, FORMAT, LOGITS };

static int parse(request *r, arguments *a, int argc, char **argv) {
    static const struct option table[] = {
        {"point", required_argument, NULL, POINT},     {"box", required_argument, NULL, BOX},
        {"prompts", required_argument, NULL, PROMPTS}, {"mask-input", required_argument, NULL, MASK_INPUT},
        {"single", no_argument, NULL, SINGLE},         {"embedding", required_argument, NULL, EMBEDDING},
        {"format", required_argument, NULL, FORMAT},   {"logits", required_argument, NULL, LOGITS},
        {"output", required_argument, NULL, 'o'},      SAMC__CLI_COMMON};
    samc_error error;
    bool known;
    for (int option; (option = samc__cli_next(&r->cli, argc, argv, "o:", table)) != -1;) {
        switch (option) {
        case POINT:
            if (a->point_count == MAX_ARGUMENTS) return samc__cli_usage(&r->cli, "more than %d points", MAX_ARGUMENTS);
            if (samc__parse_point(optarg, a->points + 2 * a->point_count, a->labels + a->point_count, &error) !=
                SAMC_OK)
                return samc__cli_usage(&r->cli, "%s", error.message);
            a->point_count++;
            break;
        case BOX:
            if (a->box_count == MAX_ARGUMENTS)
                return samc__cli_usage(&r->cli, "more than %d boxes; use --prompts", MAX_ARGUMENTS);
            if (samc__parse_box(optarg, a->boxes + 4 * a->box_count, &error) != SAMC_OK)
                return samc__cli_usage(&r->cli, "%s", error.message);
            a->box_count++;
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
        case 'o':
            r->output = optarg;
            break;
        case FORMAT:
            r->formats = samc__formats_parse(optarg);
            if (r->formats == 0)
                return samc__cli_usage(&r->cli, "--format is a list of png, rle, overlay, cutout and npy, not '%s'",
                                       optarg);
            break;
        default:
            return r->cli.exit_code; /* SAMC__CLI_STOP */
        }
    }
    if (argc - optind != 1) return samc__cli_usage(&r->cli, "give one IMAGE, not %d", argc - optind);
    r->image = argv[optind];
    if (r->output == NULL && r->formats != SAMC__FORMAT_RLE) return samc__cli_usage(&r->cli, "-o OUTDIR is missing");
    if (r->prompts_file != NULL && strcmp(r->prompts_file, "-") == 0 && strcmp(r->image, "-") == 0)
        return samc__cli_usage(&r->cli, "image and prompts cannot both come from standard input");
    if (r->embedding != NULL) {
        samc__embedding_is_npy(r->embedding, &known);
        if (!known)
            return samc__cli_usage(&r->cli, "the embedding '%s' ends in neither .safetensors nor .npy", r->embedding);
    }
    int exit_code = build_prompts(r, a);
    return exit_code == SAMC__EXIT_OK ? run(r) : exit_code;
}

int samc__cmd_segment(int argc, char **argv) {
    request r = {.cli = samc__cli_begin("segment", help), .formats = SAMC__FORMAT_PNG | SAMC__FORMAT_OVERLAY};
    arguments *a = calloc(1, sizeof *a);
    if (a == NULL) return samc__cli_fail("out of memory");
    int exit_code = parse(&r, a, argc, argv);
    samc__prompts_free(&r.prompts);
    free(a);
    return exit_code;
}
