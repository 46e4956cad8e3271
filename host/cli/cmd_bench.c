/* samc bench: how fast this machine encodes, decodes prompts and finds every mask, and where the time goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "host/cli/bench.h"

static const char help[] =
    "Usage: samc bench [--stage encoder|decoder|prompt|auto|all] [--model FILE] [--image FILE] [OPTIONS]\n"
    "\n"
    "Times the stages of samc on one image: percentiles of several runs, images and masks a second by their median, "
    "least\n"
    "processor time, GFLOP/s and the share of what this machine was measured to reach with factors of the precision's\n"
    "type, then every operator of one more run. A percentile is a run's time: of less than 100 runs p99 is the "
    "slowest.\n"
    "Before that the cold start, from opening the model to the first mask, and behind it the process's memory. "
    "Decoding\n"
    "the image is not timed.\n"
    "\n"
    "      --stage NAME      encoder: one image, resize included; decoder: one-point prompts in a batch of 64, low-res "
    "logits;\n"
    "                        prompt: one-point prompts one at a time on the same image, as clicks come;\n"
    "                        auto: every mask of the image, all thresholds at their defaults; all (default: all)\n"
    "      --image FILE      the image; default: a synthetic one of 1500 x 1000 pixels. Encoder and decoder take the "
    "same\n"
    "                        time whatever it shows, auto does not\n"
    "      --runs N          timed runs after one warm-up (5)\n"
    "      --reference       compare the masks of 64 one-point prompts on the image with those of the model in f32 on "
    "the\n"
    "                        CPU: their IoU, mask by mask, and of those with the highest predicted IoU\n"
    "      --reference-model FILE  the same with another file of the model, such as the one that was quantised\n"
    "      --json            one JSON object on standard output instead of a table\n"
    "\n"
    "Example: samc bench --stage encoder --threads 2\n"
    "         samc bench --precision bf16 --image photo.jpg --reference --json\n";

enum { OPTION_STAGE = SAMC__CLI_OWN, OPTION_IMAGE, OPTION_RUNS, OPTION_REFERENCE, OPTION_REFERENCE_MODEL, OPTION_JSON };
static const char *const stage_names[] = {"encoder", "decoder", "prompt", "auto"};
enum stage { ENCODER, DECODER, PROMPT, AUTO };
enum { STAGES = sizeof stage_names / sizeof *stage_names, PROMPTS = SAMC__BENCH_PROMPTS };

typedef struct request {
    samc__cli cli;
    const char *image, *reference_model; /* NULL: a made-up image, the model itself */
    bool stages[STAGES], reference, json;
    int runs;
} request;

/* What runs, and what was measured of it. */
typedef struct bench {
    samc_model *model;
    samc_session *session;
    samc_model_info info;
    samc__bench_work work;
    samc_peaks peaks;
    samc__bench_cold cold;
    samc__bench_memory memory;
    samc__bench_masks masks; /* for --reference */
    double kept;             /* masks that samc_auto() gave in its last run */
    char path[4096], machine[512];
} bench;

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static samc_status count_masks(void *kept, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)image, (void)masks, (void)stats;
    *(double *)kept = count;
    return SAMC_OK;
}

static samc_status run_stage(bench *b, int stage) {
    samc_result *result = NULL;
    if (stage == ENCODER) return samc_set_image(b->session, &b->work.image);
    if (stage == AUTO) return samc_auto(b->session, &b->work.image, 1, NULL, count_masks, &b->kept);
    samc_status status = samc_predict(b->session, b->work.prompts, stage == DECODER ? PROMPTS : 1, true, &result);
    samc_result_free(result);
    return status;
}

/* The runs of a stage. The cold start was the warm-up of encoder and prompt. */
static samc_status time_stage(bench *b, int stage, int runs, samc__bench_stage *s) {
    *s = (samc__bench_stage){.name = stage_names[stage], .runs = runs, .rows = {{.size = sizeof *s->rows}}};
    if (stage == DECODER) SAMC__TRY(run_stage(b, stage));
    SAMC__TRY(samc_profile_begin(b->session)); /* counts operations; of auto it is the warm-up too */
    samc_status status = run_stage(b, stage);
    samc_profile_end(b->session, s->rows, SAMC__BENCH_ROWS, &s->row_count);
    for (int i = 0; i < runs && status == SAMC_OK; i++) {
        double start = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
        status = run_stage(b, stage);
        s->seconds[i] = now(CLOCK_MONOTONIC) - start;
        used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
        s->busy = i == 0 || used < s->busy ? used : s->busy;
    }
    const double units = stage == DECODER ? PROMPTS : 1;
    for (int i = 0; i < s->row_count; i++) s->flops += s->rows[i].flops / units;
    for (int i = 0; i < runs; i++) s->seconds[i] /= units;
    s->busy /= units;
    qsort(s->seconds, (size_t)runs, sizeof *s->seconds, samc__bench_ascending);
    s->images = stage == ENCODER || stage == AUTO;
    s->masks = stage == AUTO ? b->kept : stage == ENCODER ? 0 : b->info.multimask_outputs;
    return status;
}

/* 1500 x 1000 pixels of gradients; samc's time does not depend on them. */
static samc_status synthetic(samc_image *image, samc_error *error) {
    enum { WIDTH = 1500, HEIGHT = 1000 };
    uint8_t *pixels = malloc(WIDTH * HEIGHT * 3);
    if (pixels == NULL) return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for the image");
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
        pixels[i] = (uint8_t)(i / 3 % WIDTH / 6 + i / (3 * WIDTH) / 8 + i % 3 * 20);
    *image =
        (samc_image){.size = sizeof *image, .pixels = pixels, .width = WIDTH, .height = HEIGHT, .row_bytes = WIDTH * 3};
    return SAMC_OK;
}

static samc_status make_work(const request *r, samc__bench_work *work, samc_error *error) {
    static const int32_t foreground = 1;
    work->image.size = sizeof work->image;
    SAMC__TRY(r->image ? samc_image_load(r->image, 0, &work->image, error) : synthetic(&work->image, error));
    for (int i = 0; i < PROMPTS; i++) {
        work->points[i][0] = (float)work->image.width * ((float)(i % 8) + 0.5f) / 8.0f;
        work->points[i][1] = (float)work->image.height * ((float)(i / 8) + 0.5f) / 8.0f;
        work->prompts[i] = (samc_prompt){
            .size = sizeof(samc_prompt), .points = work->points[i], .labels = &foreground, .point_count = 1};
    }
    return SAMC_OK;
}

static void ask_with_boxes(samc__bench_work *work) {
    for (int i = 0; i < PROMPTS; i++) {
        for (int k = 0; k < 4; k++)
            work->boxes[i][k] = work->points[i][k % 2] + (k < 2 ? -1.0f : 1.0f) / 16.0f *
                                                             (float)(k % 2 ? work->image.height : work->image.width);
        work->prompts[i] = (samc_prompt){.size = sizeof(samc_prompt), .box = work->boxes[i]};
    }
}

/* From nothing to the first mask; what the model turns out to be; what the machine can do. */
static samc_status start(const request *r, bench *b, samc_error *error) {
    double begin = now(CLOCK_MONOTONIC), end;
    b->memory.before = samc__bench_bytes("VmRSS:");
    SAMC__TRY(samc__cli_open_model(&r->cli, b->path, &b->model, error));
    b->cold.open = (end = now(CLOCK_MONOTONIC)) - begin;
    samc_model_get_info(b->model, &b->info);
    if (b->info.boxes_only) ask_with_boxes(&b->work);
    b->memory.opened = samc__bench_bytes("VmRSS:"), b->memory.opening = samc__bench_bytes("VmHWM:");
    begin = now(CLOCK_MONOTONIC);
    SAMC__TRY(samc_session_create(b->model, &b->session, error));
    b->cold.session = (end = now(CLOCK_MONOTONIC)) - begin;
    samc_status status = run_stage(b, ENCODER);
    b->cold.image = now(CLOCK_MONOTONIC) - end;
    end = now(CLOCK_MONOTONIC);
    if (status == SAMC_OK) status = run_stage(b, PROMPT);
    b->cold.prompt = now(CLOCK_MONOTONIC) - end;
    if (status != SAMC_OK) return samc__cli_error(error, status, "%s", samc_last_error(b->session));
    samc__bench_machine(&b->info, b->machine, sizeof b->machine);
    status = samc_measure_peaks(b->info.threads, &b->peaks);
    return status == SAMC_OK ? SAMC_OK : samc__cli_error(error, status, "the machine's peak could not be measured");
}

/* Its memory, its masks where they are to be compared; then the model is closed. */
static samc_status finish(const request *r, bench *b, samc_error *error) {
    samc_memory memory = SAMC_INIT(samc_memory);
    b->memory.peak = samc__bench_bytes("VmHWM:");
    samc_session_memory(b->session, &memory);
    b->memory.weights = (int64_t)b->info.weight_bytes;
    b->memory.session = (int64_t)memory.peak, b->memory.device = (int64_t)memory.device_peak;
    samc_status status = r->reference ? samc__bench_masks_make(b->session, &b->work, &b->masks, error) : SAMC_OK;
    samc_session_destroy(b->session);
    samc_model_close(b->model);
    b->session = NULL, b->model = NULL;
    return status;
}

static const char *backend_name(samc_backend backend) {
    return backend == SAMC_BACKEND_CUDA ? "cuda" : backend == SAMC_BACKEND_REF ? "ref" : "cpu";
}

static void print_head(const request *r, const bench *b) {
    printf("%s\n%s in %s%s%s, %d threads, image %d x %d, %d runs\npeak", b->machine, backend_name(b->info.backend),
           samc__cli_precision(b->info.precision), b->info.arithmetic[0] ? ": " : "", b->info.arithmetic,
           b->info.threads, b->work.image.width, b->work.image.height, r->runs);
    const double peaks[] = {b->peaks.f32, b->peaks.bf16, b->peaks.int8};
    const char *const names[] = {"f32", "bf16", "int8"}, *const by[] = {b->peaks.f32_by, b->peaks.bf16_by,
                                                                        b->peaks.int8_by};
    for (int i = 0; i < 3; i++)
        if (peaks[i] > 0.0) printf("%s %s %.0f GFLOP/s (%s)", i ? "," : "", names[i], peaks[i], by[i]);
    putchar('\n');
}

/* Adds one part of the report, printed unless it is JSON that is asked for. */
static samc_status report(const request *r, json_t *all, const char *name, json_t *part, void (*print)(const json_t *),
                          samc_error *error) {
    if (part != NULL && !r->json) print(part), fflush(stdout);
    int failed = json_is_array(json_object_get(all, name)) ? json_array_append_new(json_object_get(all, name), part)
                                                           : json_object_set_new(all, name, part);
    return failed ? samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for the results") : SAMC_OK;
}

static samc_status measure(const request *r, bench *b, json_t *all, samc_error *error) {
    samc__bench_stage *stage = malloc(sizeof *stage);
    samc_status status = report(r, all, "cold_start", samc__bench_cold_json(&b->cold), samc__bench_print_cold, error);
    if (stage == NULL) status = samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for the results");
    for (int i = 0; i < STAGES && status == SAMC_OK; i++) {
        if (!r->stages[i] || (i == AUTO && b->info.boxes_only)) continue; /* which auto has none of */
        status = time_stage(b, i, r->runs, stage);
        if (status != SAMC_OK) samc__cli_error(error, status, "%s", samc_last_error(b->session));
        else
            status = report(r, all, "stages", samc__bench_stage_json(stage, &b->info, &b->peaks),
                            samc__bench_print_stage, error);
    }
    free(stage);
    if (status == SAMC_OK) status = finish(r, b, error);
    if (status == SAMC_OK)
        status = report(r, all, "memory", samc__bench_memory_json(&b->memory), samc__bench_print_memory, error);
    if (status != SAMC_OK || !r->reference) return status;
    json_t *reference = NULL;
    SAMC__TRY(samc__bench_compare(&r->cli, r->reference_model ? r->reference_model : b->path, &b->work, &b->masks,
                                  &reference, error));
    return report(r, all, "reference", reference, samc__bench_print_reference, error);
}

static samc_status run(const request *r, samc_error *error) {
    bench *b = calloc(1, sizeof *b);
    json_t *all = NULL;
    if (b == NULL) return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for the results");
    b->info.size = sizeof b->info, b->peaks.size = sizeof b->peaks;
    samc_status status = samc__cli_find_model(&r->cli, b->path, error) ? SAMC_OK : SAMC_IO;
    if (r->reference_model != NULL && access(r->reference_model, R_OK) != 0) /* which is opened long after this */
        status = samc__cli_error(error, SAMC_IO, "%s: %s", r->reference_model, strerror(errno));
    if (status == SAMC_OK) status = make_work(r, &b->work, error);
    if (status == SAMC_OK) status = start(r, b, error);
    if (status == SAMC_OK) {
        all = json_pack("{s:o, s:s, s:i, s:f, s:[i, i], s:i, s:[]}", "model", samc__cli_text(b->path), "backend",
                        backend_name(b->info.backend), "threads", b->info.threads, "peak_gflops", b->peaks.f32,
                        "image_size", b->work.image.height, b->work.image.width, "runs", r->runs, "stages");
        json_object_set_new(all, "machine", samc__cli_text(b->machine));
        json_object_set_new(all, "precision", json_string(samc__cli_precision(b->info.precision)));
        json_object_set_new(all, "arithmetic", json_string(b->info.arithmetic));
        json_object_set_new(all, "peaks", samc__bench_peaks_json(&b->peaks));
        if (!r->json) print_head(r, b);
        status = measure(r, b, all, error);
    }
    if (status == SAMC_OK && r->json && samc__cli_print_json(json_incref(all)) != SAMC__EXIT_OK)
        status = samc__cli_error(error, SAMC_IO, "the results could not be printed");
    json_decref(all);
    samc__bench_masks_free(&b->masks);
    samc_session_destroy(b->session);
    samc_model_close(b->model);
    if (r->image) samc_image_free(&b->work.image);
    else free((void *)b->work.image.pixels);
    free(b);
    return status;
}

int samc__cmd_bench(int argc, char **argv) {
    static const struct option table[] = {{"stage", required_argument, NULL, OPTION_STAGE},
                                          {"image", required_argument, NULL, OPTION_IMAGE},
                                          {"runs", required_argument, NULL, OPTION_RUNS},
                                          {"reference", no_argument, NULL, OPTION_REFERENCE},
                                          {"reference-model", required_argument, NULL, OPTION_REFERENCE_MODEL},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          SAMC__CLI_COMMON};
    request r = {.cli = samc__cli_begin("bench", help), .runs = 5};
    bool known = false;
    for (int option; (option = samc__cli_next(&r.cli, argc, argv, "", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return r.cli.exit_code;
        if (option == OPTION_IMAGE) r.image = optarg;
        if (option == OPTION_JSON) r.json = true;
        if (option == OPTION_REFERENCE || option == OPTION_REFERENCE_MODEL) r.reference = true;
        if (option == OPTION_REFERENCE_MODEL) r.reference_model = optarg;
        if (option == OPTION_RUNS && !samc__cli_integer(optarg, 1, SAMC__BENCH_RUNS, &r.runs))
            return samc__cli_usage(&r.cli, "--runs is a whole number from 1 to %d, not '%s'", SAMC__BENCH_RUNS, optarg);
        if (option != OPTION_STAGE) continue;
        bool all = strcmp(optarg, "all") == 0;
        known = all;
        for (int i = 0; i < STAGES; i++) {
            r.stages[i] = all || strcmp(optarg, stage_names[i]) == 0;
            known |= r.stages[i];
        }
        if (!known)
            return samc__cli_usage(&r.cli, "--stage is encoder, decoder, prompt, auto or all, not '%s'", optarg);
    }
    if (argc != optind) return samc__cli_usage(&r.cli, "no argument is expected, not '%s'", argv[optind]);
    for (int i = 0; i < STAGES; i++) r.stages[i] |= !known;
    samc_error error;
    if (run(&r, &error) != SAMC_OK) return samc__cli_fail(error.message);
    return SAMC__EXIT_OK;
}
