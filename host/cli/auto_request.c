/* The command line of samc auto and samc text: options, their checks, the help. */
#include <stdlib.h>
#include <string.h>

#include "host/cli/auto_request.h"
#include "host/cli/numbers.h"

const char samc__auto_help[] =
    "Usage: samc auto INPUT... -o OUTDIR [OPTIONS]\n"
    "\n"
    "Finds every mask of each image: a grid of points, filtered by predicted IoU, stability and overlap. Options have "
    "the names\n"
    "of scripts/amg.py of the original; defaults are the model's own where its metadata gives them, else the "
    "original's.\n"
    "\n"
    "  INPUT...                               image files: JPEG, PNG, WebP, TIFF, ... ('samc info' lists them)\n"
    "                                         folders: all images in them and in their folders, not hidden ones; "
    "symbolic links are followed\n"
    "                                         archives: .tar, .tar.gz, .tar.xz, .tar.bz2, .tar.zst (.tgz, ...), .zip; "
    "other members than images\n"
    "                                         are passed over, links give the image that they lead to\n"
    "                                         @FILE or - : a list of any of these, a line each (or ended by zero "
    "bytes), - from standard input\n"
    "                                         - or 'pipe:COMMAND': a tar from standard input, or from a shell's "
    "command "
    "(not in a list)\n"
    "                                         '{00000..00099}.tar': a hundred inputs\n"
    "      --input PATH                       an image, or a folder without its folders; the results are amg.py's: "
    "--format png, with\n"
    "                                         --convert-to-rle rle\n"
    "      --checkpoint FILE                  as --model\n"
    "      --model-type NAME                  default, vit_h, vit_l or vit_b: refuses a model of another size\n"
    "      --convert-to-rle                   as --format rle\n"
    "  -o, --output DIR                       where the results go; created if missing. Required\n"
    "      --format LIST                      any of rle, png, overlay, jsonl, coco, sa1b, webdataset; default rle, "
    "and overlay "
    "too\n"
    "                                         where at most 8 image files are named and no folder, archive or list\n"
    "                                           rle      <name>.json, amg.py's list of records with COCO run lengths\n"
    "                                           png      <name>/0.png, 1.png, ... and metadata.csv, as amg.py\n"
    "                                           overlay  <name>.overlay.png, every mask in its colour\n"
    "                                           jsonl    masks.jsonl, one line an image\n"
    "                                           coco     annotations.json, a COCO data set\n"
    "                                           sa1b     <name without its extension>.json, as SA-1B has them\n"
    "                                           webdataset  <archive>.tar for each input archive, with KEY.json, as "
    "sa1b, of each image\n"
    "                                         <name> is the image's name with its extension: its path below the folder "
    "that was given,\n"
    "                                         the line of the list, <archive>/<member>. Equal names are refused\n"
    "      --glob PATTERN                     take files of folders and archives by name, not by extension; with a / "
    "it is matched\n"
    "                                         against the path below the folder. May be given several times\n"
    "      --shard I/N                        only every N-th image of the sorted inputs, from the I-th on, I = 0 to "
    "N-1 (0/1)\n"
    "      --shard-by input|image             what --shard counts. image: all images are listed first. input: an "
    "archive "
    "is one unit, read\n"
    "                                         once as it comes, whatever its size (image; input where an input or the "
    "format needs it)\n"
    "      --copy-images, --label-maps        webdataset: with the images; with KEY.png, the mask on each pixel in "
    "16-bit "
    "grey\n"
    "                                         (KEY.labels.png beside copied images)\n"
    "      --resume                           go on with a run that was interrupted (or begin it); the rest of the "
    "line must be the same\n"
    "      --retry-failed                     with --resume: images recorded in errors.jsonl are tried again, behind "
    "all others\n"
    "      --lines-per-file N                 images in one file of jsonl; more than that make masks-00000.jsonl, ... "
    "(10000)\n"
    "      --max-pixels N                     larger images are refused by their header (178956970, which is the "
    "most)\n"
    "      --scale SCALE                      how samples of 16 bits and floats become the 8 bits of a model's input: "
    "minmax,\n"
    "                                         P0.5-99.5 (percentiles), A,B (values) or high-byte; once for a whole "
    "image. Default: high-byte\n"
    "                                         of 16-bit colours, minmax of 16-bit grey and of floats; 8-bit images are "
    "never scaled\n"
    "      --window WINDOW                    the same by a window of DICOM: C,W (centre, width), soft-tissue, lung, "
    "bone, brain or auto\n"
    "      --page N, --frame N                of each image's pages or frames, from 0 (0): TIFF, GIF, WebP, AVIF, ...\n"
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
    "      --pred-iou-thresh X                least predicted IoU; 0 or less: any (0.88, or the model's)\n"
    "      --stability-score-thresh X         least stability score; 0 or less: any (0.95)\n"
    "      --stability-score-offset X         logits the threshold is moved by to measure stability (1.0)\n"
    "      --box-nms-thresh X                 IoU of boxes above which the worse mask goes; above 1: none (0.7)\n"
    "      --crop-n-layers N                  also run on 4, 16, ... crops of the image (0)\n"
    "      --crop-nms-thresh X                as --box-nms-thresh, between crops (0.7)\n"
    "      --crop-overlap-ratio X             overlap of crops as a part of the shorter side (0.341)\n"
    "      --crop-n-points-downscale-factor N points a side are divided by it in each layer of crops (1)\n"
    "      --min-mask-region-area N           holes and islands below N pixels are removed (0)\n"
    "      --use-m2m                          ask for each mask once more, with itself as the mask input\n"
    "      --no-multimask                     one mask for each point, not three\n"
    "      --labels LIST                      \"car,person,...\" or @FILE, a label a line: each mask gets the one that "
    "fits "
    "it best, or\n"
    "                                         background, with a score; COCO gets these as categories. With\n"
    "      --clip FILE                        a CLIP, or a CLIPSeg, as Hugging Face has them: the folder or "
    "model.safetensors\n"
    "\n" SAMC__VOLUME_HELP "\n" SAMC__TILES_HELP
    "Standard output is one JSON object a line for each image as it is done: image, size [h, w], masks (how many).\n"
    "A bad image is recorded in OUTDIR/errors.jsonl and the run goes on. A second run into the same folder needs "
    "--resume; the\n"
    "journal that it goes by is in OUTDIR/.samc.\n"
    "Exit codes beside those below: 3 all images are done, but some failed; 128 + N stopped by signal N, go on with "
    "--resume.\n"
    "Example: samc auto photos shards/*.tar -o out --format coco,overlay --points-per-side 16\n";

enum { MOST_SHARDS = 100000 };
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
    OPTION_SHARD_BY,
    OPTION_COPY,
    OPTION_LABEL_MAPS,
    OPTION_SHARD,
    OPTION_LINES,
    OPTION_PIXELS,
    OPTION_BATCH,
    OPTION_LOAD,
    OPTION_WRITE,
    OPTION_QUEUE, /* parse_own() */
    OPTION_FIRST  /* of samc_auto_option() */
};

/* amg.py's --model-type: the sizes of the original's build_sam.py. */
static const struct {
    const char *name;
    int dim, depth;
} model_types[] = {{"vit_h", 1280, 32}, {"vit_l", 1024, 24}, {"vit_b", 768, 12}, {"default", 1280, 32}};
enum { MODEL_TYPES = sizeof model_types / sizeof *model_types };

static samc_status check_model_type(const samc__auto_request *r, const char *path, const samc_model *model,
                                    samc_error *error) {
    samc_model_info info = SAMC_INIT(samc_model_info);
    int is = 0;
    if (r->model_type < 0) return SAMC_OK;
    samc_model_get_info(model, &info);
    while (is < MODEL_TYPES && (info.encoder_dim != model_types[is].dim || info.encoder_depth != model_types[is].depth))
        is++;
    const char *wanted = model_types[r->model_type].name;
    int dim = model_types[r->model_type].dim, depth = model_types[r->model_type].depth;
    if (info.encoder_dim == dim && info.encoder_depth == depth) return SAMC_OK;
    return samc__cli_error(error, SAMC_MISMATCH,
                           "%s: --model-type %s is an encoder of %d blocks of %d channels, this one%s%s has %d of %d",
                           path, wanted, depth, dim, is < MODEL_TYPES ? ", a " : "",
                           is < MODEL_TYPES ? model_types[is].name : "", info.encoder_depth, info.encoder_dim);
}

samc_status samc__auto_request_open(const samc__auto_request *r, samc_model **models, int *model_count,
                                    samc_auto_options *automatic, samc_error *error) {
    char path[4096];
    *model_count = 1;
    if (!r->text.options.boxes_only) {
        if (!samc__cli_find_model(&r->cli, path, error)) return SAMC_IO;
        SAMC__TRY(samc__cli_open_models(&r->cli, path, models, model_count, error));
        SAMC__TRY(check_model_type(r, path, models[0], error));
    }
    samc_default_auto_options(models[0], automatic);
    return samc__cli_numbers_apply(r->given, automatic, error);
}

/* "2/8" */
static bool parse_shard(const char *text, samc_archive_options *o) {
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
} own_numbers[] = {{"shard", 0},          {"lines-per-file", 999999999}, {"max-pixels", SAMC_IMAGE_MOST_PIXELS},
                   {"batch-images", 256}, {"load-threads", 64},          {"write-threads", 64},
                   {"queue", 10000}};

/* SAMC__EXIT_OK, or wrong usage with a message. */
static int parse_own(samc__auto_request *r, int option, const char *text) {
    int value = 0;
    samc_archive_options *o = &r->archive;
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

/* Whether an option means many images, or that one is treated like many. */
static bool is_of_many(int option) {
    return option >= OPTION_STATS && option < OPTION_FIRST && option != OPTION_MEMORY && option != OPTION_PIXELS;
}

enum { MOST_OPTIONS = 128 };

/* The options of samc auto, or of samc text. */
static void make_table(const samc__auto_request *r, struct option table[MOST_OPTIONS]) {
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
                                        {"shard-by", required_argument, NULL, OPTION_SHARD_BY},
                                        {"copy-images", no_argument, NULL, OPTION_COPY},
                                        {"label-maps", no_argument, NULL, OPTION_LABEL_MAPS},
                                        {"shard", required_argument, NULL, OPTION_SHARD},
                                        {"lines-per-file", required_argument, NULL, OPTION_LINES},
                                        {"max-pixels", required_argument, NULL, OPTION_PIXELS},
                                        {"batch-images", required_argument, NULL, OPTION_BATCH},
                                        {"load-threads", required_argument, NULL, OPTION_LOAD},
                                        {"write-threads", required_argument, NULL, OPTION_WRITE},
                                        {"queue", required_argument, NULL, OPTION_QUEUE},
                                        {"memory", required_argument, NULL, OPTION_MEMORY},
                                        SAMC__CLI_IMAGE};
    static const struct option search[] = {{"phrase", required_argument, NULL, SAMC__TEXT_PHRASE},
                                           {"phrases", required_argument, NULL, SAMC__TEXT_FILE},
                                           {"boxes-only", no_argument, NULL, SAMC__TEXT_BOXES},
                                           {"heat", no_argument, NULL, SAMC__TEXT_HEAT},
                                           SAMC__TEXT_SEARCH},
                               labels[] = {{"labels", required_argument, NULL, SAMC__TEXT_LABELS},
                                           {"clip", required_argument, NULL, SAMC__TEXT_CLIP},
                                           SAMC__TILES_OPTIONS,
                                           SAMC__VOLUME_OPTIONS};
    static const struct option common[] = {SAMC__CLI_COMMON};
    enum { AMG = 4, OWN = sizeof own / sizeof *own, TEXT = sizeof search / sizeof *search };
    _Static_assert(OWN + TEXT + sizeof labels / sizeof *labels + SAMC__AUTO_NUMBERS + sizeof common / sizeof *common <=
                       MOST_OPTIONS,
                   "table");
    const int skipped = r->looks ? AMG : 0; /* amg.py's are of samc auto alone */
    int rows = OWN - skipped;
    memcpy(table, own + skipped, (size_t)rows * sizeof *own);
    for (size_t i = 0; i < (r->looks ? TEXT : sizeof labels / sizeof *labels); i++)
        table[rows++] = r->looks ? search[i] : labels[i];
    for (int i = 0; !r->looks && i < SAMC__AUTO_NUMBERS && samc_auto_option(i) != NULL; i++)
        table[rows++] = samc__cli_number_option(i, OPTION_FIRST + i);
    memcpy(table + rows, common, sizeof common);
}

/* One of the options. SAMC__EXIT_OK, or wrong usage with a message. */
static int take_option(samc__auto_request *r, int option) {
    r->many = r->many || is_of_many(option);
    if (option == 'o') r->archive.output = optarg;
    if (option == OPTION_STATS) r->archive.stats = optarg;
    if (option == OPTION_CHECKPOINT) r->checkpoint = optarg;
    if (option == OPTION_CONVERT) r->convert_to_rle = true;
    if (option == OPTION_INPUT && r->input != NULL)
        return samc__cli_usage(&r->cli, "--input is given twice; name several as INPUT...");
    if (option == OPTION_INPUT) r->input = optarg;
    if (option == OPTION_MODEL_TYPE) {
        for (r->model_type = 0; r->model_type < MODEL_TYPES && strcmp(optarg, model_types[r->model_type].name) != 0;)
            r->model_type++;
        if (r->model_type == MODEL_TYPES)
            return samc__cli_usage(&r->cli, "--model-type is default, vit_h, vit_l or vit_b, not '%s'", optarg);
    }
    if (option == OPTION_MEMORY && !parse_memory(optarg, &r->archive.memory))
        return samc__cli_usage(
            &r->cli, "--memory is a whole number from 1 to 999999999, with or without K, M or G behind it, not '%s'",
            optarg);
    if (option == OPTION_SHARD_BY) {
        bool input = strcmp(optarg, "input") == 0;
        if (!input && strcmp(optarg, "image") != 0)
            return samc__cli_usage(&r->cli, "--shard-by is input or image, not '%s'", optarg);
        r->archive.shard_by = input ? SAMC_SHARD_BY_INPUT : SAMC_SHARD_BY_IMAGE;
    }
    if (option == OPTION_COPY) r->archive.copy_images = true;
    if (option == OPTION_LABEL_MAPS) r->archive.label_maps = true;
    if (option == OPTION_RESUME) r->archive.resume = true;
    if (option == OPTION_RETRY) r->archive.retry_failed = true;
    if (option == OPTION_NO_SYNC) r->archive.no_sync = true;
    if (option >= OPTION_FIRST) r->given[option - OPTION_FIRST] = samc__cli_number_given(option - OPTION_FIRST, optarg);
    if (option == OPTION_FORMAT) r->format = optarg;
    if (option == OPTION_GLOB && r->archive.glob_count == SAMC__AUTO_GLOBS)
        return samc__cli_usage(&r->cli, "more than %d times --glob", SAMC__AUTO_GLOBS);
    if (option == OPTION_GLOB) r->globs[r->archive.glob_count++] = optarg;
    if (option >= OPTION_SHARD && option < OPTION_FIRST && parse_own(r, option, optarg) != SAMC__EXIT_OK)
        return SAMC__EXIT_USAGE;
    return SAMC__EXIT_OK;
}

/* The name of an option that scenes do not have, else NULL. */
static const char *not_of_scenes(int option, const struct option *table) {
    static const int none[] = {OPTION_INPUT,    OPTION_CONVERT, OPTION_STATS,      OPTION_GLOB,  OPTION_RETRY,
                               OPTION_SHARD_BY, OPTION_COPY,    OPTION_LABEL_MAPS, OPTION_LINES, OPTION_LOAD,
                               OPTION_WRITE,    OPTION_QUEUE,   OPTION_MEMORY};
    size_t i = 0;
    const bool number = option >= OPTION_FIRST && option < OPTION_FIRST + SAMC__AUTO_NUMBERS;
    while (i < sizeof none / sizeof *none && none[i] != option) i++;
    if (i == sizeof none / sizeof *none && !number) return NULL;
    while (table->val != option) table++;
    if (!number) return table->name; /* of the numbers those of crops: there are none but the tiles */
    return strncmp(table->name, "crop-", 5) == 0 && strcmp(table->name, "crop-nms-thresh") != 0 ? table->name : NULL;
}

/* As the function below; returns the exit code. */
static int read_options(samc__auto_request *r, int argc, char **argv, int *inputs) {
    samc_error error;
    struct option table[MOST_OPTIONS];
    int code;
    make_table(r, table);
    r->model_type = -1;
    r->archive.size = sizeof r->archive;
    if (samc_archive_default_options(&r->archive, &error) != SAMC_OK) return samc__cli_fail(error.message);
    r->cli.many_devices = true;
    for (int option; (option = samc__cli_next(&r->cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return r->cli.exit_code;
        if (r->not_of_scenes == NULL) r->not_of_scenes = not_of_scenes(option, table);
        code = option >= SAMC__VOLUME_AXIS   ? samc__cli_volume_option(&r->volume, &r->cli, option, optarg)
               : option >= SAMC__TILES_TILE  ? samc__cli_tiles_option(&r->tiles, &r->cli, option, optarg)
               : option >= SAMC__TEXT_PHRASE ? samc__cli_phrases_option(&r->text, &r->cli, option, optarg)
                                             : take_option(r, option);
        if (code != SAMC__EXIT_OK) return code;
    }
    const unsigned formats = r->tiles.asked ? (unsigned)SAMC_OUTPUT_SCENE
                             : r->looks     ? SAMC_OUTPUT_ARCHIVE | (unsigned)SAMC__SEGMENT_FORMATS
                                            : (unsigned)SAMC_OUTPUT_ARCHIVE;
    if (r->format != NULL && (r->archive.formats = samc_outputs_parse(r->format, formats)) == 0)
        return samc__cli_usage(&r->cli, "--format is a list of %s%s, not '%s'",
                               r->tiles.asked ? "coco, jsonl, overlay, gpkg, geojson and cog"
                                              : "rle, png, overlay, jsonl, coco, sa1b and webdataset",
                               r->looks ? ", of one image cutout and npy" : "", r->format);
    if (r->tiles.first != NULL && !r->tiles.asked)
        return samc__cli_usage(&r->cli, "--%s goes with --tile", r->tiles.first);
    r->archive.globs = r->globs;
    r->archive.scale = r->cli.scale;
    r->archive.page = r->cli.page;
    *inputs = argc - optind;
    if (r->input != NULL)
        argv[optind + (*inputs)++] = (char *)r->input; /* over the NULL at the end, which nothing needs any more */
    if (r->looks && (code = samc__text_split(&r->text, &r->cli, argv + optind, inputs)) != SAMC__EXIT_OK) return code;
    if (*inputs < 1) return samc__cli_usage(&r->cli, "no INPUT given: no IMAGE, folder, archive or list");
    if (r->convert_to_rle && r->archive.formats != 0)
        return samc__cli_usage(&r->cli, "--convert-to-rle is --format rle; give one of them");
    if (r->checkpoint != NULL && r->cli.model != NULL)
        return samc__cli_usage(&r->cli, "--checkpoint and --model are the same thing; give one");
    if (r->checkpoint != NULL) r->cli.model = r->checkpoint;
    r->text.max_pixels = r->archive.max_pixels;
    return SAMC__EXIT_OK;
}

bool samc__auto_request_read(samc__auto_request *r, int argc, char **argv, int *inputs, int *code) {
    *inputs = 0;
    *code = read_options(r, argc, argv, inputs);
    return *code == SAMC__EXIT_OK && *inputs > 0;
}

int samc__auto_request_check(samc__auto_request *r) {
    samc_error error;
    int code;
    if (r->looks && (code = samc__text_of_many(&r->cli, &r->text, &r->archive.formats)) != SAMC__EXIT_OK) return code;
    if (!r->looks && (r->text.labels == NULL) != (r->text.detector == NULL) && r->text.labels == NULL)
        return samc__cli_usage(&r->cli, "--clip goes with --labels");
    if (r->archive.output == NULL) return samc__cli_usage(&r->cli, "-o OUTDIR is missing");
    if (r->archive.retry_failed && !r->archive.resume)
        return samc__cli_usage(&r->cli, "--retry-failed goes with --resume");
    samc_auto_options scratch = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(NULL, &scratch);
    if (samc__cli_numbers_apply(r->given, &scratch, &error) != SAMC_OK)
        return samc__cli_usage(&r->cli, "--%s", error.message);
    return SAMC__EXIT_OK;
}
