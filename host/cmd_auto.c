/* samc auto: every mask of images, as SamAutomaticMaskGenerator and scripts/amg.py make them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/auto_output.h"
#include "host/cli.h"
#include "host/embedding.h"
#include "runtime/status.h"

static const char help[] =
    "Usage: samc auto IMAGE... -o OUTDIR [OPTIONS]\n"
    "\n"
    "Finds every mask of each image: a grid of points, filtered by predicted IoU, stability and overlap. Options have the names\n"
    "of scripts/amg.py of the original; defaults are the model's own where its metadata gives them, else the original's.\n"
    "\n"
    "  IMAGE...                               JPEG, PNG, BMP, GIF (first frame), PSD, PGM, PPM or TGA\n"
    "  -o, --output DIR                       where the results go; created if missing. Required\n"
    "      --format LIST                      any of rle, png, overlay, jsonl; default rle,overlay\n"
    "                                           rle      <image>.json, amg.py's list of records with COCO run lengths\n"
    "                                           png      <image>/0.png, 1.png, ... and metadata.csv, as amg.py\n"
    "                                           overlay  <image>.overlay.png, every mask in its colour\n"
    "                                           jsonl    masks.jsonl, one line an image\n"
    "      --stats FILE.json                  seconds and counts for each stage\n"
    "      --points-per-side N                points along one side of the grid (32)\n"
    "      --points-per-batch N               points decoded together; never changes the result (64)\n"
    "      --pred-iou-thresh X                least predicted IoU, 0 to 1 (0.88)\n"
    "      --stability-score-thresh X         least stability score, 0 to 1 (0.95)\n"
    "      --stability-score-offset X         logits the threshold is moved by to measure stability (1.0)\n"
    "      --box-nms-thresh X                 IoU of boxes above which the worse mask goes (0.7)\n"
    "      --crop-n-layers N                  also run on 4, 16, ... crops of the image (0)\n"
    "      --crop-nms-thresh X                as --box-nms-thresh, between crops (0.7)\n"
    "      --crop-overlap-ratio X             overlap of crops as a part of the shorter side (0.341)\n"
    "      --crop-n-points-downscale-factor N points a side are divided by it in each layer of crops (1)\n"
    "      --min-mask-region-area N           holes and islands below N pixels are removed (0)\n"
    "\n"
    "Standard output is one JSON object a line for each image: image, size [h, w], masks (how many).\n"
    "Example: samc auto photo.jpg -o out --points-per-side 16\n";

/* Options that set one number, in the order of their values from OPTION_FIRST. */
typedef enum kind { WHOLE, REAL } kind;
static const struct {
    const char *name;
    kind kind;
    size_t offset; /* in samc_auto_options */
} numbers[] = {
    {"points-per-side", WHOLE, offsetof(samc_auto_options, points_per_side)},
    {"points-per-batch", WHOLE, offsetof(samc_auto_options, points_per_batch)},
    {"pred-iou-thresh", REAL, offsetof(samc_auto_options, pred_iou_thresh)},
    {"stability-score-thresh", REAL, offsetof(samc_auto_options, stability_score_thresh)},
    {"stability-score-offset", REAL, offsetof(samc_auto_options, stability_score_offset)},
    {"box-nms-thresh", REAL, offsetof(samc_auto_options, box_nms_thresh)},
    {"crop-n-layers", WHOLE, offsetof(samc_auto_options, crop_n_layers)},
    {"crop-nms-thresh", REAL, offsetof(samc_auto_options, crop_nms_thresh)},
    {"crop-overlap-ratio", REAL, offsetof(samc_auto_options, crop_overlap_ratio)},
    {"crop-n-points-downscale-factor", WHOLE, offsetof(samc_auto_options, crop_n_points_downscale_factor)},
    {"min-mask-region-area", WHOLE, offsetof(samc_auto_options, min_mask_region_area)},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers, OPTION_FORMAT = SAMC__CLI_OWN, OPTION_STATS, OPTION_FIRST };

/* What the command line said. */
typedef struct request {
    samc__cli cli;
    const char *output, *stats;
    unsigned formats;
    const char *given[NUMBERS]; /* text of each number, NULL: the default */
    char **images;
    int count;
} request;

/* A decimal number and nothing else. */
static bool parse_real(const char *text, double *value) {
    char *end;
    if (*text == '\0' || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    *value = strtod(text, &end);
    return *end == '\0' && end != text && *value > -1e30 && *value < 1e30;
}

/* Applies the given numbers over `options`; returns the name of the one that is wrong, or NULL. */
static const char *apply_numbers(const request *r, samc_auto_options *options) {
    for (int i = 0; i < NUMBERS; i++) {
        if (r->given[i] == NULL) continue;
        void *field = (char *)options + numbers[i].offset;
        bool good = numbers[i].kind == WHOLE ? samc__cli_integer(r->given[i], 0, 999999999, field) : parse_real(r->given[i], field);
        if (!good) return numbers[i].name;
    }
    return NULL;
}

/* The callback's way from samc_auto() to the files. */
typedef struct sink {
    samc__auto_output *output;
    const char *image;
    const samc__picture *picture;
    samc_auto_stats stats;
    int masks;
    samc_error *error;
} sink;

static samc_status receive(void *context, int image, const samc_auto_mask *masks, int count, const samc_auto_stats *stats) {
    sink *s = context;
    (void)image;
    s->stats = *stats;
    s->masks = count;
    return samc__auto_output_add(s->output, s->image, s->picture, masks, count, s->error);
}

static json_t *stats_json(const char *image, const sink *s) {
    const samc_auto_stats *t = &s->stats;
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f, s:f}}", "image", samc__cli_string(image),
                     "crops", (json_int_t)t->crops, "prompts", (json_int_t)t->prompts, "masks", (json_int_t)t->masks,
                     "after_iou", (json_int_t)t->after_iou, "after_stability", (json_int_t)t->after_stability,
                     "after_edge", (json_int_t)t->after_edge, "after_nms", (json_int_t)t->after_nms, "kept", (json_int_t)t->kept,
                     "seconds", "encode", t->encode_seconds, "decode", t->decode_seconds, "post", t->post_seconds);
}

static samc_status run_image(const request *r, samc_session *session, const samc_auto_options *options, samc__auto_output *output,
                             const char *path, json_t *stats, samc_error *error) {
    samc__picture picture = {0};
    samc_error write_error = {0};
    SAMC__TRY(samc__image_load(path, &picture, error));
    sink s = {.output = output, .image = path, .picture = &picture, .error = &write_error};
    samc_image image = {picture.pixels, picture.width, picture.height, (ptrdiff_t)picture.width * 3};
    samc_status status = samc_auto(session, &image, 1, options, receive, &s);
    if (status != SAMC_OK) { /* a file that could not be written says more than the session does */
        if (write_error.message[0]) *error = write_error;
        else samc__session_check(session, status, path, error);
    } else {
        json_t *line = json_pack("{s:o, s:[i, i], s:i}", "image", samc__cli_string(path), "size", picture.height, picture.width, "masks", s.masks);
        if (samc__cli_print_json(line) != SAMC__EXIT_OK || json_array_append_new(stats, stats_json(path, &s)) != 0)
            status = samc__fail(error, SAMC_IO, "%s: its result could not be printed", path);
        samc__cli_note(&r->cli, "%s: %d masks (%.2f s encode, %.2f s decode, %.2f s post)", path, s.masks, s.stats.encode_seconds,
                       s.stats.decode_seconds, s.stats.post_seconds);
    }
    samc__picture_free(&picture);
    return status;
}

static samc_status run(const request *r, samc_error *error) {
    char model_path[4096];
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc__auto_output output = {.jsonl = {.handle = -1}};
    json_t *stats = json_array();
    samc_status status = SAMC_IO;
    if (!samc__cli_find_model(&r->cli, model_path, error)) return status;
    status = samc_model_open(model_path, &r->cli.options, &model, error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, error);
    if (status == SAMC_OK) status = samc__auto_output_begin(&output, r->output, r->formats, error);
    samc_auto_options options = samc_default_auto_options(model);
    apply_numbers(r, &options);
    for (int i = 0; i < r->count && status == SAMC_OK; i++)
        status = run_image(r, session, &options, &output, r->images[i], stats, error);
    if (status == SAMC_OK) status = samc__auto_output_commit(&output, error);
    else samc__auto_output_abandon(&output);
    if (status == SAMC_OK && r->stats != NULL) {
        char *text = json_dumps(stats, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
        status = text ? samc__file_write(r->stats, text, strlen(text), error) : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->stats);
        free(text);
    }
    json_decref(stats);
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}

int samc__cmd_auto(int argc, char **argv) {
    struct option table[NUMBERS + 16] = {{"output", required_argument, NULL, 'o'},
                                         {"format", required_argument, NULL, OPTION_FORMAT},
                                         {"stats", required_argument, NULL, OPTION_STATS}};
    static const struct option common[] = {SAMC__CLI_COMMON};
    for (int i = 0; i < NUMBERS; i++) table[3 + i] = (struct option){numbers[i].name, required_argument, NULL, OPTION_FIRST + i};
    memcpy(table + 3 + NUMBERS, common, sizeof common);
    request r = {.cli = samc__cli_begin("auto", help), .formats = SAMC__AUTO_RLE | SAMC__AUTO_OVERLAY};
    for (int option; (option = samc__cli_next(&r.cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return r.cli.exit_code;
        if (option == 'o') r.output = optarg;
        if (option == OPTION_STATS) r.stats = optarg;
        if (option >= OPTION_FIRST) r.given[option - OPTION_FIRST] = optarg;
        if (option == OPTION_FORMAT && (r.formats = samc__auto_formats_parse(optarg)) == 0)
            return samc__cli_usage(&r.cli, "--format is a list of rle, png, overlay and jsonl, not '%s'", optarg);
    }
    r.images = argv + optind;
    r.count = argc - optind;
    if (r.count < 1) return samc__cli_usage(&r.cli, "no IMAGE given");
    if (r.output == NULL) return samc__cli_usage(&r.cli, "-o OUTDIR is missing");
    samc_auto_options scratch;
    const char *wrong = apply_numbers(&r, &scratch);
    if (wrong != NULL) return samc__cli_usage(&r.cli, "--%s needs a number", wrong);
    for (int i = 0; i < r.count; i++)
        for (int j = 0; j < i; j++) {
            const char *a = strrchr(r.images[i], '/'), *b = strrchr(r.images[j], '/');
            if (strcmp(a ? a + 1 : r.images[i], b ? b + 1 : r.images[j]) == 0)
                return samc__cli_usage(&r.cli, "'%s' and '%s' would write the same files", r.images[j], r.images[i]);
        }
    samc_error error;
    if (run(&r, &error) != SAMC_OK) return samc__cli_fail(error.message);
    return SAMC__EXIT_OK;
}
