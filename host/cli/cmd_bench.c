/* samc bench: how fast this machine encodes, decodes prompts and finds every mask, and where the time goes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/cli/cli.h"

static const char help[] =
    "Usage: samc bench [--stage encoder|decoder|prompt|auto|all] [--model FILE] [--image FILE] [OPTIONS]\n"
    "\n"
    "Times the stages of samc on one image: median and fastest of several runs, least processor time, GFLOP/s and the\n"
    "share of this machine's measured f32 peak, then every operator. Loading and decoding files is not timed.\n"
    "\n"
    "      --stage NAME      encoder: one image, resize included; decoder: one-point prompts in a batch of 64, low-res "
    "logits;\n"
    "                        prompt: one-point prompts one at a time on the same image, as clicks come;\n"
    "                        auto: every mask of the image, all thresholds at their defaults; all (default: all)\n"
    "      --image FILE      the image; default: a synthetic one of 1500 x 1000 pixels. Encoder and decoder take the "
    "same\n"
    "                        time whatever it shows, auto does not\n"
    "      --runs N          timed runs after one warm-up (5)\n"
    "      --json            one JSON object on standard output instead of a table\n"
    "\n"
    "Example: samc bench --stage encoder --threads 2\n";

enum {
    OPTION_STAGE = SAMC__CLI_OWN,
    OPTION_IMAGE,
    OPTION_RUNS,
    OPTION_JSON,
    PROMPTS = 64,
    MOST_RUNS = 999,
    MOST_ROWS = 64
};
static const char *const stage_names[] = {"encoder", "decoder", "prompt", "auto"};
enum stage { ENCODER, DECODER, PROMPT, AUTO };
enum { STAGES = sizeof stage_names / sizeof *stage_names };

typedef struct request {
    samc__cli cli;
    const char *image;
    bool stages[STAGES], json;
    int runs;
} request;

/* What a stage needs to run. */
typedef struct bench {
    samc_session *session;
    samc_image image;
    samc_prompt prompts[PROMPTS];
    float points[PROMPTS][2];
} bench;

static double now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static samc_status ignore(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)context, (void)image, (void)masks, (void)count, (void)stats;
    return SAMC_OK;
}

static samc_status run_stage(bench *b, int stage) {
    samc_result *result = NULL;
    if (stage == ENCODER) return samc_set_image(b->session, &b->image);
    if (stage == AUTO) return samc_auto(b->session, &b->image, 1, NULL, ignore, NULL);
    samc_status status = samc_predict(b->session, b->prompts, stage == DECODER ? PROMPTS : 1, true, &result);
    samc_result_free(result);
    return status;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One row of the result; the decoder's seconds are those of one prompt. */
static json_t *stage_json(int stage, double median, double fastest, double busy, double flops, double peak,
                          const samc_profile_row *rows, int count) {
    json_t *operators = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(operators, json_pack("{s:s, s:I, s:f, s:o}", "name", rows[i].name, "calls",
                                                   (json_int_t)rows[i].calls, "seconds", rows[i].seconds, "gflops",
                                                   samc__cli_number(rows[i].flops / rows[i].seconds * 1e-9)));
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:o, s:o, s:o}", "name", stage_names[stage], "precision", "f32",
                     "median_s", median, "min_s", fastest, "processor_s", busy, "gflops",
                     samc__cli_number(flops / median * 1e-9), "share_of_peak",
                     samc__cli_number(flops / median * 1e-9 / peak), "operators", operators);
}

static void print_stage(const json_t *row) {
    size_t index;
    json_t *operator;
    double median = json_real_value(json_object_get(row, "median_s")),
           share = json_real_value(json_object_get(row, "share_of_peak"));
    printf("%-8s %s  median %10.2f ms   fastest %10.2f ms   processor %10.2f ms   %7.1f GFLOP/s   %4.1f %% of peak\n",
           json_string_value(json_object_get(row, "name")), json_string_value(json_object_get(row, "precision")),
           1e3 * median, 1e3 * json_real_value(json_object_get(row, "min_s")),
           1e3 * json_real_value(json_object_get(row, "processor_s")), json_real_value(json_object_get(row, "gflops")),
           100 * share);
    json_array_foreach(json_object_get(row, "operators"), index, operator)
        printf("    %-18s %6lld calls %10.2f ms %8.1f GFLOP/s\n", json_string_value(json_object_get(operator, "name")),
               (long long)json_integer_value(json_object_get(operator, "calls")),
               1e3 * json_real_value(json_object_get(operator, "seconds")),
               json_real_value(json_object_get(operator, "gflops")));
}

static samc_status time_stage(const request *r, bench *b, int stage, double peak, json_t *stages, samc_error *error) {
    double seconds[MOST_RUNS], busy = 0.0, flops = 0.0; /* busy: processor time of the run that took least */
    samc_profile_row rows[MOST_ROWS] = {{.size = sizeof *rows}};
    int count = 0;
    if (stage != ENCODER) SAMC__TRY(run_stage(b, ENCODER)); /* auto leaves the session without the image */
    samc_profile_begin(b->session);                         /* the warm-up is the run that counts operations */
    samc_status status = run_stage(b, stage);
    samc_profile_end(b->session, rows, MOST_ROWS, &count);
    for (int i = 0; i < r->runs && status == SAMC_OK; i++) {
        double start = now(CLOCK_MONOTONIC), used = now(CLOCK_PROCESS_CPUTIME_ID);
        status = run_stage(b, stage);
        seconds[i] = now(CLOCK_MONOTONIC) - start;
        used = now(CLOCK_PROCESS_CPUTIME_ID) - used;
        busy = i == 0 || used < busy ? used : busy;
    }
    if (status != SAMC_OK) return samc__cli_error(error, status, "%s", samc_last_error(b->session));
    double units = stage == DECODER ? PROMPTS : 1;
    for (int i = 0; i < count; i++) flops += rows[i].flops / units;
    for (int i = 0; i < r->runs; i++) seconds[i] /= units;
    qsort(seconds, (size_t)r->runs, sizeof *seconds, ascending);
    json_t *row = stage_json(stage, seconds[r->runs / 2], seconds[0], busy / units, flops, peak, rows, count);
    if (row != NULL && !r->json) print_stage(row);
    if (json_array_append_new(stages, row) != 0)
        return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for the results");
    return SAMC_OK;
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

static samc_status run(const request *r, samc_error *error) {
    static const int32_t foreground = 1;
    char model_path[4096];
    samc_model *model = NULL;
    samc_model_info info = SAMC_INIT(samc_model_info);
    bench b = {.image.size = sizeof b.image};
    json_t *stages = json_array();
    if (!samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    samc_status status = r->image ? samc_image_load(r->image, 0, &b.image, error) : synthetic(&b.image, error);
    if (status == SAMC_OK) status = samc__cli_open_model(&r->cli, model_path, &model, error);
    if (status == SAMC_OK) status = samc_session_create(model, &b.session, error);
    if (status == SAMC_OK) {
        samc_model_get_info(model, &info);
        double peak = samc_measure_peak(info.threads);
        for (int i = 0; i < PROMPTS; i++) {
            b.points[i][0] = (float)b.image.width * ((float)(i % 8) + 0.5f) / 8.0f;
            b.points[i][1] = (float)b.image.height * ((float)(i / 8) + 0.5f) / 8.0f;
            b.prompts[i] = (samc_prompt){
                .size = sizeof(samc_prompt), .points = b.points[i], .labels = &foreground, .point_count = 1};
        }
        if (!r->json)
            printf("%s, %d threads, peak %.0f GFLOP/s f32, image %d x %d, %d runs\n",
                   info.backend == SAMC_BACKEND_REF ? "ref" : "cpu", info.threads, peak, b.image.width, b.image.height,
                   r->runs);
        for (int stage = 0; stage < STAGES && status == SAMC_OK; stage++)
            if (r->stages[stage]) status = time_stage(r, &b, stage, peak, stages, error);
        if (status == SAMC_OK && r->json) {
            json_t *all =
                json_pack("{s:s, s:s, s:i, s:f, s:[i, i], s:i, s:O}", "model", model_path, "backend",
                          info.backend == SAMC_BACKEND_REF ? "ref" : "cpu", "threads", info.threads, "peak_gflops",
                          peak, "image_size", b.image.height, b.image.width, "runs", r->runs, "stages", stages);
            if (samc__cli_print_json(all) != SAMC__EXIT_OK)
                status = samc__cli_error(error, SAMC_IO, "the results could not be printed");
        }
    }
    json_decref(stages);
    samc_session_destroy(b.session);
    samc_model_close(model);
    if (r->image) samc_image_free(&b.image);
    else free((void *)b.image.pixels);
    return status;
}

int samc__cmd_bench(int argc, char **argv) {
    static const struct option table[] = {{"stage", required_argument, NULL, OPTION_STAGE},
                                          {"image", required_argument, NULL, OPTION_IMAGE},
                                          {"runs", required_argument, NULL, OPTION_RUNS},
                                          {"json", no_argument, NULL, OPTION_JSON},
                                          SAMC__CLI_COMMON};
    request r = {.cli = samc__cli_begin("bench", help), .runs = 5};
    bool known = false;
    for (int option; (option = samc__cli_next(&r.cli, argc, argv, "", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return r.cli.exit_code;
        if (option == OPTION_IMAGE) r.image = optarg;
        if (option == OPTION_JSON) r.json = true;
        if (option == OPTION_RUNS && !samc__cli_integer(optarg, 1, MOST_RUNS, &r.runs))
            return samc__cli_usage(&r.cli, "--runs is a whole number from 1 to %d, not '%s'", MOST_RUNS, optarg);
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
