/* samc auto: every mask of images and archives of them, as SamAutomaticMaskGenerator and scripts/amg.py make them. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/archive.h"
#include "host/io/auto_output.h"
#include "host/io/budget.h"
#include "host/cli/cli.h"
#include "host/io/collect.h"
#include "host/io/fold.h"
#include "runtime/base/status.h"

static const char help[] =
    "Usage: samc auto INPUT... -o OUTDIR [OPTIONS]\n"
    "\n"
    "Finds every mask of each image: a grid of points, filtered by predicted IoU, stability and overlap. Options have "
    "the names\n"
    "of scripts/amg.py of the original; defaults are the model's own where its metadata gives them, else the "
    "original's.\n"
    "\n"
    "  INPUT...                               image files: JPEG, PNG, BMP, GIF (first frame), PSD, PGM, PPM or TGA\n"
    "                                         folders: all images in them and in their folders, not hidden ones; "
    "symbolic links are followed\n"
    "                                         archives: .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst (.tgz, ...), .zip; "
    "other members than images\n"
    "                                         are passed over, links give the image that they lead to\n"
    "                                         @FILE or - : a list of any of these, a line each (or ended by zero "
    "bytes), - from standard input\n"
    "      --input PATH                       an image, or a folder without its folders; the results are amg.py's: "
    "--format png, with\n"
    "                                         --convert-to-rle rle\n"
    "      --checkpoint FILE                  as --model\n"
    "      --model-type NAME                  default, vit_h, vit_l or vit_b: refuses a model of another size\n"
    "      --convert-to-rle                   as --format rle\n"
    "  -o, --output DIR                       where the results go; created if missing. Required\n"
    "      --format LIST                      any of rle, png, overlay, jsonl, coco; default rle, and overlay too\n"
    "                                         where at most 8 image files are named and no folder, archive or list\n"
    "                                           rle      <name>.json, amg.py's list of records with COCO run lengths\n"
    "                                           png      <name>/0.png, 1.png, ... and metadata.csv, as amg.py\n"
    "                                           overlay  <name>.overlay.png, every mask in its colour\n"
    "                                           jsonl    masks.jsonl, one line an image\n"
    "                                           coco     annotations.json, a COCO data set\n"
    "                                         <name> is the image's name with its extension: its path below the folder "
    "that was given,\n"
    "                                         the line of the list, <archive>/<member>. Equal names are refused\n"
    "      --glob PATTERN                     take files of folders and archives by name, not by extension; with a / "
    "it is matched\n"
    "                                         against the path below the folder. May be given several times\n"
    "      --shard I/N                        only every N-th image of the sorted inputs, from the I-th on, I = 0 to "
    "N-1 (0/1)\n"
    "      --resume                           go on with a run that was interrupted (or begin it); the rest of the "
    "line must be the same\n"
    "      --retry-failed                     with --resume: images recorded in errors.jsonl are tried again, behind "
    "all others\n"
    "      --lines-per-file N                 images in one file of jsonl; more than that make masks-00000.jsonl, ... "
    "(10000)\n"
    "      --max-pixels N                     larger images are refused by their header (178956970, which is the "
    "most)\n"
    "      --no-sync                          leave it to the system when results reach the disk: what is done "
    "survives a kill of\n"
    "                                         samc, not a loss of power\n"
    "      --stats FILE.json                  seconds and counts for each image; a table of the stages on standard "
    "error\n"
    "      --batch-images N                   images computed together, 1 to 256 (4, on a GPU 16); never changes the "
    "result\n"
    "      --load-threads N, --write-threads N  threads that read and decode images, and that write results (2 each on "
    "a CPU,\n"
    "                                         on a GPU 2 to 8 and 2 to 4 for each, by the processors that there are)\n"
    "      --queue N                          images that may wait between two stages, 1 to 10000 (4)\n"
    "      --memory BYTES                     what decoded pictures and members of archives may hold at a time, with "
    "K, M or G for 2^10, ...\n"
    "                                         (a quarter of the memory of the machine or of the control group); one "
    "picture always passes\n"
    "      --points-per-side N                points along one side of the grid (32)\n"
    "      --points-per-batch N               most points decoded together; never changes the result (64 on a CPU; on "
    "a GPU as\n"
    "                                         many as its memory holds, up to 1024)\n"
    "      --pred-iou-thresh X                least predicted IoU; 0 or less: any (0.88)\n"
    "      --stability-score-thresh X         least stability score; 0 or less: any (0.95)\n"
    "      --stability-score-offset X         logits the threshold is moved by to measure stability (1.0)\n"
    "      --box-nms-thresh X                 IoU of boxes above which the worse mask goes; above 1: none (0.7)\n"
    "      --crop-n-layers N                  also run on 4, 16, ... crops of the image (0)\n"
    "      --crop-nms-thresh X                as --box-nms-thresh, between crops (0.7)\n"
    "      --crop-overlap-ratio X             overlap of crops as a part of the shorter side (0.341)\n"
    "      --crop-n-points-downscale-factor N points a side are divided by it in each layer of crops (1)\n"
    "      --min-mask-region-area N           holes and islands below N pixels are removed (0)\n"
    "\n"
    "Standard output is one JSON object a line for each image as it is done: image, size [h, w], masks (how many).\n"
    "A bad image is recorded in OUTDIR/errors.jsonl and the run goes on. A second run into the same folder needs "
    "--resume; the\n"
    "journal that it goes by is in OUTDIR/.samc.\n"
    "Exit codes beside those below: 3 all images are done, but some failed; 128 + N stopped by signal N, go on with "
    "--resume.\n"
    "Example: samc auto photos shards/*.tar -o out --format coco,overlay --points-per-side 16\n";

/* Options that set one number, in the order of their values from OPTION_FIRST, with what samc_auto_check() takes. A
 * threshold beyond 0 to 1 turns its filter off, one way or the other, as in amg.py. */
typedef enum kind { WHOLE, REAL } kind;
static const struct {
    const char *name;
    kind kind;
    size_t offset; /* in samc_auto_options */
    double least, most;
} numbers[] = {
    {"points-per-side", WHOLE, offsetof(samc_auto_options, points_per_side), 1, 1024},
    {"points-per-batch", WHOLE, offsetof(samc_auto_options, points_per_batch), 1, 4096},
    {"pred-iou-thresh", REAL, offsetof(samc_auto_options, pred_iou_thresh), -1000, 1000},
    {"stability-score-thresh", REAL, offsetof(samc_auto_options, stability_score_thresh), -1000, 1000},
    {"stability-score-offset", REAL, offsetof(samc_auto_options, stability_score_offset), 0, 1e6},
    {"box-nms-thresh", REAL, offsetof(samc_auto_options, box_nms_thresh), -1000, 1000},
    {"crop-n-layers", WHOLE, offsetof(samc_auto_options, crop_n_layers), 0, 6},
    {"crop-nms-thresh", REAL, offsetof(samc_auto_options, crop_nms_thresh), -1000, 1000},
    {"crop-overlap-ratio", REAL, offsetof(samc_auto_options, crop_overlap_ratio), 0, 0.999},
    {"crop-n-points-downscale-factor", WHOLE, offsetof(samc_auto_options, crop_n_points_downscale_factor), 1, 1024},
    {"min-mask-region-area", WHOLE, offsetof(samc_auto_options, min_mask_region_area), 0, 999999999},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers, MOST_GLOBS = 64, FEW_IMAGES = 8, MOST_SHARDS = 100000 };
enum {
    OPTION_INPUT = SAMC__CLI_OWN,
    OPTION_CHECKPOINT,
    OPTION_MODEL_TYPE,
    OPTION_CONVERT,
    OPTION_FORMAT,
    OPTION_STATS,
    OPTION_GLOB,
    OPTION_RESUME,
    OPTION_RETRY,
    OPTION_NO_SYNC,
    OPTION_MEMORY,
    OPTION_SHARD,
    OPTION_LINES,
    OPTION_PIXELS,
    OPTION_BATCH,
    OPTION_LOAD,
    OPTION_WRITE,
    OPTION_QUEUE, /* parse_own() */
    OPTION_FIRST
};

/* What the command line said. */
typedef struct request {
    samc__cli cli;
    const char *output, *stats;        /* stats may be NULL */
    const char *input, *checkpoint;    /* amg.py's --input and --checkpoint, or NULL */
    int model_type;                    /* of model_types, -1: any */
    const char *given[NUMBERS];        /* text of each number, NULL: the default */
    const char *globs[MOST_GLOBS + 1]; /* ended by NULL */
    bool resume, no_sync, convert_to_rle;
    samc__archive_options archive;
} request;

/* A decimal number within the bounds and nothing else. */
static bool parse_real(const char *text, double least, double most, double *value) {
    char *end;
    if (*text == '\0' || strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    *value = strtod(text, &end);
    return *end == '\0' && end != text && *value >= least && *value <= most;
}

/* Applies the given numbers over `options`; returns which one is wrong, or -1. */
static int apply_numbers(const request *r, samc_auto_options *options) {
    for (int i = 0; i < NUMBERS; i++) {
        if (r->given[i] == NULL) continue;
        void *field = (char *)options + numbers[i].offset;
        double least = numbers[i].least, most = numbers[i].most;
        bool good = numbers[i].kind == WHOLE ? samc__cli_integer(r->given[i], (int)least, (int)most, field)
                                             : parse_real(r->given[i], least, most, field);
        if (!good) return i;
    }
    return -1;
}

/* amg.py's --model-type: the sizes of the original's build_sam.py. */
static const struct {
    const char *name;
    int dim, depth;
} model_types[] = {{"vit_h", 1280, 32}, {"vit_l", 1024, 24}, {"vit_b", 768, 12}, {"default", 1280, 32}};
enum { MODEL_TYPES = sizeof model_types / sizeof *model_types };

static samc_status check_model_type(const request *r, const char *path, const samc_model *model, samc_error *error) {
    samc_model_info info = SAMC_INIT(samc_model_info);
    int is = 0;
    if (r->model_type < 0) return SAMC_OK;
    samc_model_get_info(model, &info);
    while (is < MODEL_TYPES && (info.encoder_dim != model_types[is].dim || info.encoder_depth != model_types[is].depth))
        is++;
    const char *wanted = model_types[r->model_type].name;
    int dim = model_types[r->model_type].dim, depth = model_types[r->model_type].depth;
    if (info.encoder_dim == dim && info.encoder_depth == depth) return SAMC_OK;
    return samc__fail(error, SAMC_MISMATCH,
                      "%s: --model-type %s is an encoder of %d blocks of %d channels, this one%s%s has %d of %d", path,
                      wanted, depth, dim, is < MODEL_TYPES ? ", a " : "", is < MODEL_TYPES ? model_types[is].name : "",
                      info.encoder_depth, info.encoder_dim);
}

/* ---- The run --------------------------------------------------------------------------------- */

/* What another run must share to go on with this one: all that the results depend on. */
static json_t *describe(const samc__archive_options *o, const samc_model *model, samc_error *error) {
    static const char *const backends[] = {"auto", "ref", "cpu", "cuda"};   /* in the order of samc_backend */
    static const char *const precisions[] = {"auto", "f32", "f16", "bf16"}; /* in the order of samc_precision */
    char hash[65], formats[64];
    samc_model_info info = SAMC_INIT(samc_model_info);
    if (samc_model_hash(model, hash, error) != SAMC_OK) return NULL;
    samc_model_get_info(model, &info);
    samc__auto_formats_print(o->formats, formats);
    json_t *json =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:I}", "samc", samc_version(), "model", hash, "backend",
                  backends[info.backend], "precision", precisions[info.precision], "format", formats, "shards",
                  o->shards, "lines-per-file", (json_int_t)o->lines_per_file, "max-pixels", (json_int_t)o->max_pixels);
    for (int i = 0; i < NUMBERS && json != NULL; i++) {
        const char *field = (const char *)&o->automatic + numbers[i].offset;
        if (numbers[i].offset == offsetof(samc_auto_options, points_per_batch)) continue; /* never changes the result */
        json_object_set_new(json, numbers[i].name,
                            numbers[i].kind == WHOLE ? json_integer(*(const int *)field)
                                                     : json_real(*(const double *)field));
    }
    if (json != NULL && *info.changed) json_object_set_new(json, "set", json_string(info.changed));
    if (json == NULL) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    return json;
}

/* Everything is looked at before anything is changed: the run before, files of the same names, names that the folder
 * holds for the same. */
static samc_status look(const request *r, samc__store *store, samc__journal *journal, samc__collector *collector,
                        const json_t *description, const samc__archive_options *o, const samc__inputs *inputs,
                        samc_error *error) {
    bool folds;
    if (samc__journal_exists(store) && !r->resume)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: holds a run already; go on with it by --resume, or choose another folder", r->output);
    SAMC__TRY(samc__journal_exists(store) ? samc__journal_check(journal, store, description, inputs, error)
                                          : samc__journal_agree(store, description, error));
    *collector = samc__collector_plan(o, inputs, store, journal);
    SAMC__TRY(samc__collector_check(collector, error));
    SAMC__TRY(samc__store_folds(store, &folds, error));
    return folds ? samc__inputs_check_folded(inputs, o->formats & SAMC__AUTO_PNG, error) : SAMC_OK;
}

static samc_status begin(samc__store *store, samc__journal *journal, samc__collector *collector,
                         const json_t *description, const samc__inputs *inputs, samc_error *error) {
    SAMC__TRY(samc__store_recover(store, error));
    if (!journal->resumed) SAMC__TRY(samc__journal_claim(store, description, error));
    SAMC__TRY(journal->resumed ? samc__journal_resume(journal, store, error)
                               : samc__journal_create(journal, store, inputs, error));
    return samc__collector_open(collector, error);
}

/* Begins or goes on: the journal, then the pipeline. */
static samc_status run_journaled(const request *r, samc__archive_options *o, const samc__inputs *inputs,
                                 samc_model *const *models, int count, samc__archive_result *result,
                                 samc_error *error) {
    char name[128];
    samc__journal journal = {.stream.handle = -1, .last.number = -1};
    samc__collector collector = {.lines.handle = -1,
                                 .annotations.handle = -1,
                                 .images.handle = -1,
                                 .errors.handle = -1,
                                 .marks.stream.handle = -1};
    samc__store store = {.sync = !r->no_sync};
    samc__writer stats = {.handle = -1, .folder = -1};
    json_t *description = describe(o, models[0], error);
    if (description == NULL) return error->status;
    samc__archive_state_name(o, name);
    samc_status status = samc__store_open(&store, r->output, name, error);
    if (status == SAMC_OK) status = look(r, &store, &journal, &collector, description, o, inputs, error);
    if (status == SAMC_OK && r->stats != NULL)
        status = samc__writer_open(&stats, r->stats, error); /* a pipe waits here, and can be interrupted */
    if (status == SAMC_OK) status = begin(&store, &journal, &collector, description, inputs, error);
    if (status == SAMC_OK && journal.last.number >= 0)
        samc__cli_note(&r->cli, "going on after %lld images", (long long)journal.last.number + 1);
    o->stats = r->stats != NULL ? &stats : NULL;
    if (status == SAMC_OK) {
        samc__signals signals = samc__signals_open();
        samc_session *sessions[SAMC__CLI_DEVICES + 1] = {NULL}; /* one for each device, ended by NULL */
        for (int i = 0; i < count && status == SAMC_OK; i++)
            status = samc_session_create(models[i], &sessions[i], error);
        if (status == SAMC_OK) status = samc__archive_run(o, sessions, count, &signals, &collector, result, error);
        for (int i = 0; i < count; i++) {
            samc__cli_note_session(&r->cli, sessions[i]);
            samc_session_destroy(sessions[i]);
        }
        samc__signals_close(&signals);
    }
    samc_error ignored; /* what is left there goes with the next run, too */
    if (store.begun) samc__store_clear(&store, &ignored);
    samc__writer_abandon(&stats);
    samc__collector_close(&collector);
    samc__journal_close(&journal);
    samc__store_close(&store);
    json_decref(description);
    return status;
}

/* Threads and batches that nobody asked for: on a CPU the computing has all processors anyway; a GPU wants 30
 * photographs a second decoded, each 30 to 60 ms of one of them, and takes half of a batch through the encoder at once.
 */
static void choose_sizes(samc__archive_options *o, const samc_model *model, int devices) {
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_machine machine = SAMC_INIT(samc_machine);
    samc_model_get_info(model, &info);
    samc_get_machine(&machine);
    bool gpu = info.backend == SAMC_BACKEND_CUDA;
    if (o->batch_images == 0) o->batch_images = gpu ? 16 : 4;
    int load = gpu ? machine.processors / 2 : 2, write = gpu ? machine.processors / 4 : 2, most = gpu ? devices : 1;
    if (o->load_threads == 0) o->load_threads = load < 2 ? 2 : load > 8 * most ? 8 * most : load;
    if (o->write_threads == 0) o->write_threads = write < 2 ? 2 : write > 4 * most ? 4 * most : write;
    if (o->load_threads > 64) o->load_threads = 64;
    if (o->write_threads > 64) o->write_threads = 64;
}

static samc_status run(const request *r, const samc__inputs *inputs, samc__archive_result *result, samc_error *error) {
    char model_path[4096];
    samc_model *models[SAMC__CLI_DEVICES];
    int count = 0;
    samc__archive_options o = r->archive;
    if (!samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    samc_status status = samc__cli_open_models(&r->cli, model_path, models, &count, error);
    if (status == SAMC_OK) status = check_model_type(r, model_path, models[0], error);
    if (status == SAMC_OK) {
        o.automatic.size = sizeof o.automatic;
        samc_default_auto_options(models[0], &o.automatic);
        apply_numbers(r, &o.automatic);
        status = samc_auto_check(&o.automatic, error);
    }
    if (status == SAMC_OK) choose_sizes(&o, models[0], count);
    if (status == SAMC_OK) status = run_journaled(r, &o, inputs, models, count, result, error);
    for (int i = 0; i < SAMC__CLI_DEVICES; i++) samc_model_close(models[i]);
    return status;
}

/* "2/8" */
static bool parse_shard(const char *text, samc__archive_options *o) {
    char first[12];
    const char *slash = strchr(text, '/');
    if (slash == NULL || slash - text > 9) return false;
    memcpy(first, text, (size_t)(slash - text));
    first[slash - text] = '\0';
    return samc__cli_integer(slash + 1, 1, MOST_SHARDS, &o->shards) &&
           samc__cli_integer(first, 0, o->shards - 1, &o->shard);
}

/* "512M" */
static bool parse_memory(const char *text, int64_t *bytes) {
    static const char suffixes[] = "KMG";
    char number[12] = "";
    size_t length = strspn(text, "0123456789");
    const char *suffix = text[length] != '\0' ? strchr(suffixes, text[length]) : NULL;
    int value;
    if (length >= sizeof number || (text[length] != '\0' && (suffix == NULL || text[length + 1] != '\0'))) return false;
    memcpy(number, text, length);
    if (!samc__cli_integer(number, 1, 999999999, &value)) return false;
    *bytes = (int64_t)value << (suffix ? 10 * (suffix - suffixes + 1) : 0);
    return true;
}

/* Options of the pipeline with a number, from OPTION_SHARD on. */
static const struct {
    const char *name;
    int most;
} own_numbers[] = {{"shard", 0},          {"lines-per-file", 999999999}, {"max-pixels", SAMC__IMAGE_MAX_PIXELS},
                   {"batch-images", 256}, {"load-threads", 64},          {"write-threads", 64},
                   {"queue", 10000}};

/* SAMC__EXIT_OK, or wrong usage with a message. */
static int parse_own(request *r, int option, const char *text) {
    int value = 0;
    samc__archive_options *o = &r->archive;
    const char *name = own_numbers[option - OPTION_SHARD].name;
    int most = own_numbers[option - OPTION_SHARD].most;
    if (option == OPTION_SHARD)
        return parse_shard(text, o)
                   ? SAMC__EXIT_OK
                   : samc__cli_usage(&r->cli, "--shard is I/N with N from 1 to %d and I from 0 to N - 1, not '%s'",
                                     MOST_SHARDS, text);
    if (!samc__cli_integer(text, 1, most, &value))
        return samc__cli_usage(&r->cli, "--%s is a whole number from 1 to %d, not '%s'", name, most, text);
    if (option == OPTION_LINES) o->lines_per_file = value;
    if (option == OPTION_PIXELS) o->max_pixels = value;
    if (option == OPTION_BATCH) o->batch_images = value;
    if (option == OPTION_LOAD) o->load_threads = value;
    if (option == OPTION_WRITE) o->write_threads = value;
    if (option == OPTION_QUEUE) o->queue = value;
    return SAMC__EXIT_OK;
}

/* What is freed goes back to the system. glibc would keep up to 32 MB of it for each thread, so that --memory would
 * bound what is in use and not what the process holds. */
static void keep_no_pictures(void) {
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 16 << 20); /* else 128 KB from then on: small images would come back as page faults */
#endif
}

/* Whether somebody named a few pictures to look at, not an archive to work through: an overlay of a photograph takes
 * longer to write than a GPU needs for its masks. */
static bool few_images(const samc__inputs *inputs, char **arguments, int count) {
    struct stat s;
    if (count > FEW_IMAGES || inputs->tar_count > 0) return false;
    for (int i = 0; i < count; i++)
        if (arguments[i][0] == '@' || strcmp(arguments[i], "-") == 0 ||
            (stat(arguments[i], &s) == 0 && S_ISDIR(s.st_mode)))
            return false;
    return true;
}

/* Collects the inputs and runs. Returns the exit code. */
static int run_inputs(request *r, char **arguments, int count) {
    samc__inputs inputs;
    samc__archive_result result = {0};
    samc_error error = {0};
    keep_no_pictures();
    const samc__inputs_options options = {.globs = r->globs, .exclude = r->output, .flat = r->input};
    if (samc__inputs_collect(&inputs, (const char *const *)arguments, count, &options, &error) != SAMC_OK)
        return error.status == SAMC_INVALID_ARGUMENT ? samc__cli_usage(&r->cli, "%s", error.message)
                                                     : samc__cli_fail(error.message);
    if (r->archive.formats == 0 && r->input != NULL)
        r->archive.formats = r->convert_to_rle ? SAMC__AUTO_RLE : SAMC__AUTO_PNG;
    if (r->archive.formats == 0)
        r->archive.formats = !r->convert_to_rle && few_images(&inputs, arguments, count)
                                 ? SAMC__AUTO_RLE | SAMC__AUTO_OVERLAY
                                 : SAMC__AUTO_RLE;
    samc_status status = samc__inputs_check_names(&inputs, r->archive.formats & SAMC__AUTO_PNG, &error);
    int code = SAMC__EXIT_OK;
    if (status != SAMC_OK) {
        code = samc__cli_usage(&r->cli, "%s", error.message);
    } else if (inputs.count == 0) {
        code = samc__cli_fail("the inputs hold no image");
    } else {
        if (inputs.skipped > 0) samc__cli_note(&r->cli, "%lld other files passed over", (long long)inputs.skipped);
        status = run(r, &inputs, &result, &error);
        char message[1400];
        if (status != SAMC_OK && result.done > 0) {
            snprintf(message, sizeof message, "%s (%lld of %lld images are done and kept; --resume goes on)",
                     error.message, (long long)result.done, (long long)result.total);
            code = samc__cli_fail(message);
        } else if (status != SAMC_OK) {
            code = samc__cli_fail(error.message);
        } else if (result.signal != 0) {
            snprintf(message, sizeof message,
                     "stopped by signal %d; %lld of %lld images are done and kept; --resume goes on", result.signal,
                     (long long)result.done, (long long)result.total);
            samc__cli_fail(message);
            code = 128 + result.signal;
        } else if (result.failures > 0) {
            snprintf(message, sizeof message, "%lld of %lld images failed; the reasons are in errors.jsonl in %s",
                     (long long)result.failures, (long long)result.total, r->output);
            samc__cli_fail(message);
            code = SAMC__EXIT_PARTLY;
        }
    }
    samc__inputs_free(&inputs);
    return code;
}

int samc__cmd_auto(int argc, char **argv) {
    static const struct option own[] = {{"input", required_argument, NULL, OPTION_INPUT},
                                        {"checkpoint", required_argument, NULL, OPTION_CHECKPOINT},
                                        {"model-type", required_argument, NULL, OPTION_MODEL_TYPE},
                                        {"convert-to-rle", no_argument, NULL, OPTION_CONVERT},
                                        {"output", required_argument, NULL, 'o'},
                                        {"format", required_argument, NULL, OPTION_FORMAT},
                                        {"stats", required_argument, NULL, OPTION_STATS},
                                        {"glob", required_argument, NULL, OPTION_GLOB},
                                        {"resume", no_argument, NULL, OPTION_RESUME},
                                        {"retry-failed", no_argument, NULL, OPTION_RETRY},
                                        {"no-sync", no_argument, NULL, OPTION_NO_SYNC},
                                        {"shard", required_argument, NULL, OPTION_SHARD},
                                        {"lines-per-file", required_argument, NULL, OPTION_LINES},
                                        {"max-pixels", required_argument, NULL, OPTION_PIXELS},
                                        {"batch-images", required_argument, NULL, OPTION_BATCH},
                                        {"load-threads", required_argument, NULL, OPTION_LOAD},
                                        {"write-threads", required_argument, NULL, OPTION_WRITE},
                                        {"queue", required_argument, NULL, OPTION_QUEUE},
                                        {"memory", required_argument, NULL, OPTION_MEMORY}};
    static const struct option common[] = {SAMC__CLI_COMMON};
    enum { OWN = sizeof own / sizeof *own };
    struct option table[OWN + NUMBERS + sizeof common / sizeof *common];
    memcpy(table, own, sizeof own);
    for (int i = 0; i < NUMBERS; i++)
        table[OWN + i] = (struct option){numbers[i].name, required_argument, NULL, OPTION_FIRST + i};
    memcpy(table + OWN + NUMBERS, common, sizeof common);
    request r = {.cli = samc__cli_begin("auto", help),
                 .model_type = -1,
                 .archive = {.shards = 1,
                             .lines_per_file = 10000,
                             .max_pixels = SAMC__IMAGE_MAX_PIXELS,
                             .queue = 4,
                             .memory = samc__budget_default("")}};
    int globs = 0;
    r.cli.many_devices = true;
    for (int option; (option = samc__cli_next(&r.cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return r.cli.exit_code;
        if (option == 'o') r.output = optarg;
        if (option == OPTION_STATS) r.stats = optarg;
        if (option == OPTION_CHECKPOINT) r.checkpoint = optarg;
        if (option == OPTION_CONVERT) r.convert_to_rle = true;
        if (option == OPTION_INPUT && r.input != NULL)
            return samc__cli_usage(&r.cli, "--input is given twice; name several as INPUT...");
        if (option == OPTION_INPUT) r.input = optarg;
        if (option == OPTION_MODEL_TYPE) {
            for (r.model_type = 0; r.model_type < MODEL_TYPES && strcmp(optarg, model_types[r.model_type].name) != 0;)
                r.model_type++;
            if (r.model_type == MODEL_TYPES)
                return samc__cli_usage(&r.cli, "--model-type is default, vit_h, vit_l or vit_b, not '%s'", optarg);
        }
        if (option == OPTION_MEMORY && !parse_memory(optarg, &r.archive.memory))
            return samc__cli_usage(
                &r.cli, "--memory is a whole number from 1 to 999999999, with or without K, M or G behind it, not '%s'",
                optarg);
        if (option == OPTION_RESUME) r.resume = true;
        if (option == OPTION_RETRY) r.archive.retry_failed = true;
        if (option == OPTION_NO_SYNC) r.no_sync = true;
        if (option >= OPTION_FIRST) r.given[option - OPTION_FIRST] = optarg;
        if (option == OPTION_FORMAT && (r.archive.formats = samc__auto_formats_parse(optarg)) == 0)
            return samc__cli_usage(&r.cli, "--format is a list of rle, png, overlay, jsonl and coco, not '%s'", optarg);
        if (option == OPTION_GLOB && globs == MOST_GLOBS)
            return samc__cli_usage(&r.cli, "more than %d times --glob", MOST_GLOBS);
        if (option == OPTION_GLOB) r.globs[globs++] = optarg;
        if (option >= OPTION_SHARD && option < OPTION_FIRST && parse_own(&r, option, optarg) != SAMC__EXIT_OK)
            return SAMC__EXIT_USAGE;
    }
    r.archive.quiet = r.cli.quiet;
    int inputs = argc - optind;
    if (r.input != NULL)
        argv[optind + inputs++] = (char *)r.input; /* over the NULL at the end, which nothing needs any more */
    if (inputs < 1) return samc__cli_usage(&r.cli, "no INPUT given: no IMAGE, folder, archive or list");
    if (r.convert_to_rle && r.archive.formats != 0)
        return samc__cli_usage(&r.cli, "--convert-to-rle is --format rle; give one of them");
    if (r.checkpoint != NULL && r.cli.model != NULL)
        return samc__cli_usage(&r.cli, "--checkpoint and --model are the same thing; give one");
    if (r.checkpoint != NULL) r.cli.model = r.checkpoint;
    if (r.output == NULL) return samc__cli_usage(&r.cli, "-o OUTDIR is missing");
    if (r.archive.retry_failed && !r.resume) return samc__cli_usage(&r.cli, "--retry-failed goes with --resume");
    samc_auto_options scratch;
    int wrong = apply_numbers(&r, &scratch);
    if (wrong >= 0)
        return samc__cli_usage(&r.cli, "--%s is a %snumber from %.9g to %.9g, not '%s'", numbers[wrong].name,
                               numbers[wrong].kind == WHOLE ? "whole " : "", numbers[wrong].least, numbers[wrong].most,
                               r.given[wrong]);
    return run_inputs(&r, argv + optind, inputs);
}
