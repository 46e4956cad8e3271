/* samc-forecast: what a GPU should need for a model, by arithmetic alone: operator calls of the model (workload.h) by
 * the data sheets of roofline.c. Takes no weights, runs on no GPU, is no measurement. */
#include "bench/forecast/roofline.h"

#include "runtime/base/status.h"

#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: samc-forecast a100|a100-40gb|h100|h200 [--model vit_b|vit_l|vit_h|FILE] [--recorded FILE] [--json]\n"
    "\n"
    "What the GPU should need for encoder, decoder and automatic masks in bf16: a forecast by arithmetic, never "
    "measured.\n"
    "\n"
    "      --model NAME      official shapes without a file, or those of a checkpoint (vit_h)\n"
    "      --recorded FILE   also the forecast's error against a results.json of tools/gpu_check.sh\n"
    "      --json            one JSON object instead of tables\n";

/* The layers with a GELU by each of the ways that linear_choice.c knows: what a recorded run would decide. NULL without
 * such layers. */
static json_t *gelu_ways(const samc__gpu *d, const samc__workload *load) {
    static const char *const ways[] = {"own", "cuBLASLt + GELU", "wgmma"};
    json_t *all = json_object();
    for (int way = 0; way < (d->capability == 90 ? 3 : 2); way++) {
        double seconds = 0.0;
        for (int i = 0; i < load->rows; i++) {
            samc__work w = load->row[i];
            const char *bound;
            if (strcmp(w.op, "linear") != 0 || w.gelu_bytes <= 0) continue;
            if (way == 0) w.blocks = 0; /* as linear_kernel() of bench/forecast/workload.c counts them */
            w.form = ways[way], w.launches = way == 1 ? 2 : 1, w.pass_bytes = way == 1 ? w.gelu_bytes : 0.0;
            seconds += (double)w.calls * samc__roofline(d, &w, &bound);
        }
        json_object_set_new(all, ways[way], json_real(1e3 * seconds));
    }
    return all;
}

/* One row for each operator and form; the bound is that of the shape which takes longest. */
static json_t *rows_of(const samc__gpu *d, const samc__workload *load) {
    json_t *rows = json_array();
    bool done[SAMC__MOST_WORK] = {false};
    for (int i = 0; i < load->rows; i++) {
        const samc__work *first = &load->row[i];
        double flops = 0, tensor = 0, bytes = 0, seconds = 0, longest = 0;
        json_int_t calls = 0;
        const char *bound = "", *of_longest = "";
        for (int j = i; j < load->rows; j++) {
            const samc__work *w = &load->row[j];
            if (done[j] || strcmp(w->op, first->op) != 0 || strcmp(w->form, first->form) != 0) continue;
            double n = (double)w->calls, time = n * samc__roofline(d, w, &bound);
            if (time > longest) longest = time, of_longest = bound;
            calls += w->calls, flops += n * w->flops, tensor += n * w->tensor, bytes += n * (w->bytes + w->pass_bytes),
                seconds += time;
            done[j] = true;
        }
        if (calls > 0)
            json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:f, s:f, s:f, s:s, s:f}", "operator", first->op,
                                                  "form", first->form, "calls", calls, "gflop", 1e-9 * flops,
                                                  "tensor_gflop", 1e-9 * tensor, "megabytes", 1e-6 * bytes, "bound",
                                                  of_longest, "predicted_ms", 1e3 * seconds));
    }
    return rows;
}

static double number(const json_t *object, const char *key) { return json_number_value(json_object_get(object, key)); }
static const char *text(const json_t *object, const char *key) {
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : "";
}

static void print_rows(const char *title, const json_t *rows) {
    size_t index;
    json_t *row;
    double sum = 0;
    printf("\n%-32s %6s %10s %12s %10s  %-7s %12s\n", title, "calls", "GFLOP", "on tensor", "MB", "bound",
           "predicted ms");
    json_array_foreach(rows, index, row) {
        char name[64];
        snprintf(name, sizeof name, "%s%s%s", text(row, "operator"), *text(row, "form") ? ", " : "", text(row, "form"));
        printf("  %-30s %6lld %10.1f %12.1f %10.1f  %-7s %12.3f\n", name,
               (long long)json_integer_value(json_object_get(row, "calls")), number(row, "gflop"),
               number(row, "tensor_gflop"), number(row, "megabytes"), text(row, "bound"), number(row, "predicted_ms"));
        sum += number(row, "predicted_ms");
    }
    printf("  %-30s %58.3f\n", "sum", sum);
}

/* ---- A recorded run -------------------------------------------------------------------------- */

/* The value of a field of a case's name, "op (fields) = values"; -1 where it has no such field. */
static long field(const char *name, const char *wanted) {
    const char *fields = strchr(name, '('), *values = strstr(name, ") =");
    if (fields == NULL || values == NULL) return -1;
    values += 3;
    for (fields++; *fields != ')'; fields += strcspn(fields, " )"), fields += *fields == ' ') {
        char *end;
        const char *comma = strchr(fields, ','); /* "(cuBLASLt, m k n ...": the library is no field */
        if (comma != NULL && comma < values) fields = comma + 2;
        long value = strtol(values, &end, 10);
        if (end == values) return -1;
        size_t length = strcspn(fields, " )");
        if (strlen(wanted) == length && memcmp(fields, wanted, length) == 0) return value;
        values = end;
    }
    return -1;
}

/* A recorded case as work: its own counts of flops and bytes, its launches. False where no time is recorded. */
static bool recorded_work(const json_t *item, samc__work *w) {
    const char *name = text(item, "case");
    *w = (samc__work){.op = text(item, "op"),
                      .form = "",
                      .calls = 1,
                      .bytes = number(item, "bytes"),
                      .launches = (int)json_array_size(json_object_get(item, "launches"))};
    if (strcmp(text(item, "status"), "failed") == 0 || !(number(item, "warm_us") > 0)) return false;
    if (strcmp(w->op, "attention_relpos") == 0) w->form = field(name, "window") > 0 ? "window" : "global";
    if (strcmp(w->op, "linear") == 0)
        w->form = strstr(name, "(cuBLASLt + GELU") ? "cuBLASLt + GELU" : strstr(name, "(cuBLASLt") ? "cuBLASLt" : "own";
    if (strcmp(w->form, "cuBLASLt + GELU") == 0)
        w->pass_bytes = 4.0 * (double)field(name, "m") * (double)field(name, "n"), w->launches = 2;
    if (strcmp(w->op, "nms") == 0) w->steps = (int)((field(name, "count") + 31) / 32);
    if (w->launches == 0) w->launches = 1;
    bool f32 = field(name, "type") == 0 || (strncmp(w->form, "cuBLASLt", 8) == 0 && field(name, "in") == 0);
    bool tensor = !f32 && samc__tensor_share(samc__gpu_named("a100"), w->op, w->form) > 0;
    *(tensor ? &w->tensor : &w->plain) = w->flops = number(item, "flops");
    return true;
}

static samc_status compare(const char *path, const samc__gpu *d, json_t **errors, samc_error *error) {
    json_error_t why;
    json_t *file = json_load_file(path, 0, &why), *times = json_object_get(file, "times"), *item;
    const char *on = text(json_object_get(file, "device"), "name");
    char chip[5]; /* "H100": the first word of what the device is */
    samc_status status = SAMC_OK;
    size_t i;
    snprintf(chip, sizeof chip, "%s", d->what);
    if (file == NULL) return samc__fail(error, SAMC_FORMAT, "%s: %s", path, why.text);
    if (!json_is_array(times) || json_integer_value(json_object_get(file, "samc_gpu_check")) != 1)
        status = samc__fail(error, SAMC_FORMAT, "%s: not a results.json of tools/gpu_check.sh", path);
    else if (json_is_true(json_object_get(file, "rehearsal")))
        status = samc__fail(error, SAMC_MISMATCH, "%s: times of a rehearsal, which ran on no GPU, say nothing", path);
    else if (*on != '\0' && strstr(on, chip) == NULL)
        status = samc__fail(error, SAMC_MISMATCH, "%s: recorded on %s, not on %s", path, on, chip);
    *errors = json_object();
    json_array_foreach(times, i, item) {
        samc__work w;
        const char *bound;
        char name[80];
        if (status != SAMC_OK || !recorded_work(item, &w)) continue;
        double predicted = 1e6 * samc__roofline(d, &w, &bound), measured = number(item, "warm_us");
        snprintf(name, sizeof name, "%s%s%s", w.op, *w.form ? ", " : "", w.form);
        json_t *row = json_object_get(*errors, name);
        json_object_set_new(*errors, name,
                            json_pack("{s:I, s:f, s:f}", "cases", (json_int_t)(number(row, "cases") + 1),
                                      "predicted_us", number(row, "predicted_us") + predicted, "measured_us",
                                      number(row, "measured_us") + measured));
    }
    const char *key;
    json_object_foreach(*errors, key, item) json_object_set_new(
        item, "error_percent", json_real(100 * (number(item, "predicted_us") / number(item, "measured_us") - 1)));
    json_decref(file);
    return status;
}

static void print_errors(json_t *errors, const char *path) {
    const char *key;
    json_t *row;
    printf("\nagainst the recorded run %s, the same arithmetic on the shapes recorded there\n%-32s %6s %14s %14s %9s\n",
           path, "operator", "cases", "predicted us", "measured us", "error");
    json_object_foreach(errors, key, row)
        printf("  %-30s %6d %14.1f %14.1f %+8.0f %%\n", key, (int)number(row, "cases"), number(row, "predicted_us"),
               number(row, "measured_us"), number(row, "error_percent"));
}

/* ---- The report ------------------------------------------------------------------------------ */

/* Counts everything into one object. */
static samc_status report(const samc__shapes *shapes, const char *model, const samc__gpu *d, json_t **out,
                          samc_error *error) {
    static const int batches[] = {1, 2, 4, 8}; /* those that the planner of memory chooses from (runtime/cuda_plan.c) */
    samc__workload encode, one, decode = {.capability = d->capability}, post = {.capability = d->capability};
    json_t *encoder = json_array();
    samc_status status = SAMC_OK;
    double best = 0, alone = 0, together = 0;
    for (int i = 0; i < 4 && status == SAMC_OK; i++) {
        encode = (samc__workload){.capability = d->capability};
        status = samc__count_encode(shapes, batches[i], SAMC__AIM_WIDTH, SAMC__AIM_HEIGHT, &encode, error);
        double ms = 1e3 * samc__roofline_total(d, &encode) / batches[i];
        if (i == 0) one = encode, alone = ms;
        together = ms;
        best = fmax(best, 1e3 / ms);
        json_array_append_new(encoder, json_pack("{s:i, s:f, s:f}", "batch", batches[i], "ms_per_image", ms,
                                                 "images_per_second", 1e3 / ms));
    }
    if (status == SAMC_OK) status = samc__count_decode(shapes, SAMC__AIM_PROMPTS, &decode, error);
    if (status == SAMC_OK)
        status = samc__count_post(shapes, SAMC__AIM_PROMPTS, SAMC__AIM_WIDTH, SAMC__AIM_HEIGHT, &post, error);
    if (status != SAMC_OK) {
        json_decref(encoder);
        return status;
    }
    double decode_ms = 1e3 * samc__roofline_total(d, &decode), post_ms = 1e3 * samc__roofline_total(d, &post);
    double upload_ms = 1e3 * samc__upload_seconds(d, SAMC__AIM_WIDTH, SAMC__AIM_HEIGHT),
           waits_ms = 1e3 * samc__wait_seconds();
    *out = json_pack("{s:s, s:s, s:s, s:[i, i], s:i, s:{s:o, s:o, s:o}, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f}",
                     "what", "prediction, never measured", "model", model, "device", d->what, "image_size",
                     SAMC__AIM_HEIGHT, SAMC__AIM_WIDTH, "prompts", SAMC__AIM_PROMPTS, "operators", "encode",
                     rows_of(d, &one), "decode", rows_of(d, &decode), "post", rows_of(d, &post), "encoder", encoder,
                     "gelu_layers_ms", gelu_ways(d, &one), "best_images_per_second", best, "decode_ms", decode_ms,
                     "post_ms", post_ms, "upload_ms", upload_ms, "waits_ms", waits_ms, "automatic_alone_ms",
                     upload_ms + alone + decode_ms + post_ms + waits_ms, "automatic_ms",
                     together + decode_ms + post_ms + waits_ms);
    if (*out == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the prediction");
    samc__aim aim;
    if (samc__aims(model, &aim))
        json_object_set_new(*out, "aims_on_h100",
                            json_pack("{s:f, s:f, s:f}", "images_per_second_alone", aim.images_alone,
                                      "images_per_second_together", aim.images_together, "automatic_ms",
                                      aim.automatic_ms));
    return SAMC_OK;
}

static void print_report(const json_t *all, const samc__gpu *d) {
    size_t index;
    json_t *row, *operators = json_object_get(all, "operators"), *target = json_object_get(all, "aims_on_h100");
    char title[64];
    printf("prediction, never measured: %s on %s, bf16 (%.0f Tflop/s dense, %.1f fp32, %.2f TB/s, %d SMs)\n",
           text(all, "model"), d->what, 1e-12 * d->tensor, 1e-12 * d->plain, 1e-12 * d->bandwidth, d->sms);
    printf("assumed: bandwidth %.0f %%, fp32 %.0f %%, %.1f us a launch; mma.sync at most %.0f %% of the tensor cores' "
           "peak (loop mix). Of that peak:\n",
           100 * samc__memory_share, 100 * samc__plain_share, 1e6 * samc__launch_seconds, 100 * d->mma_sync);
    for (int i = 0; i < samc__tensor_assumption_count; i++) {
        const samc__tensor_assumption *a = &samc__tensor_assumptions[i];
        printf("%s%s %s%s%.0f %%",
               i == 0             ? "  "
               : i == 4 || i == 9 ? ",\n  "
                                  : ", ",
               a->op, a->form ? a->form : "", a->form ? " " : "",
               100 * samc__tensor_share(d, a->op, a->form ? a->form : ""));
    }
    printf("\nin the totals below: pixels over the link, 4 waits of the host; not in them: scratch, run lengths on "
           "their way back, the host's own work\n");
    snprintf(title, sizeof title, "encode 1 image of %d x %d", SAMC__AIM_WIDTH, SAMC__AIM_HEIGHT);
    print_rows(title, json_object_get(operators, "encode"));
    snprintf(title, sizeof title, "decode %d one-point prompts", SAMC__AIM_PROMPTS);
    print_rows(title, json_object_get(operators, "decode"));
    print_rows("post-processing of all masks", json_object_get(operators, "post"));
    const char *way;
    const char *comma = "";
    printf("\nits layers with a GELU, in ms, by");
    json_object_foreach(json_object_get(all, "gelu_layers_ms"), way, row)
        printf("%s %s %.3f", comma, way, json_real_value(row)),
        comma = ",";
    puts(" (kernels/linear/choice.c chooses; wgmma waits for a run on hardware)");
    printf("\nforecast, aims on an H100 beside it\n");
    json_array_foreach(json_object_get(all, "encoder"), index, row) {
        printf("  encoder, batch %-2d %24.2f ms an image %10.1f images/s", (int)number(row, "batch"),
               number(row, "ms_per_image"), number(row, "images_per_second"));
        long long batch = json_integer_value(json_object_get(row, "batch"));
        double aim = batch == 1   ? number(target, "images_per_second_alone")
                     : batch == 8 ? number(target, "images_per_second_together")
                                  : 0;
        if (aim > 0) printf("   aim %.0f", aim);
        putchar('\n');
    }
    printf("  automatic masks, 32x32 points %6.2f ms = encode (of 8 together) + decode %.2f + post %.2f + waits %.2f; "
           "%.2f ms for an image alone",
           number(all, "automatic_ms"), number(all, "decode_ms"), number(all, "post_ms"), number(all, "waits_ms"),
           number(all, "automatic_alone_ms"));
    if (target) printf("   aim %.0f ms", number(target, "automatic_ms"));
    putchar('\n');
}

/* ---- The command line ------------------------------------------------------------------------ */

static int usage(const char *why) {
    fprintf(stderr, "samc-forecast: %s\n%s", why, help);
    return 2;
}

static samc_status forecast(const char *model, const samc__gpu *d, const char *recorded, bool json, samc_error *error) {
    samc__shapes *shapes = NULL;
    json_t *all = NULL, *errors = NULL;
    samc_status status = samc__shapes_open(model, &shapes, error);
    if (status == SAMC_OK) status = report(shapes, model, d, &all, error);
    if (status == SAMC_OK && recorded != NULL) status = compare(recorded, d, &errors, error);
    if (status == SAMC_OK && json) {
        if (errors != NULL) json_object_set(all, "recorded", errors);
        json_dumpf(all, stdout, JSON_REAL_PRECISION(9));
        putchar('\n');
    } else if (status == SAMC_OK) {
        print_report(all, d);
        if (errors != NULL) print_errors(errors, recorded);
    }
    if (status == SAMC_OK && (fflush(stdout) != 0 || ferror(stdout)))
        status = samc__fail(error, SAMC_IO, "the forecast could not be printed");
    json_decref(errors);
    json_decref(all);
    samc__shapes_close(shapes);
    return status;
}

int main(int argc, char **argv) {
    static const struct option options[] = {{"model", required_argument, NULL, 'm'},
                                            {"recorded", required_argument, NULL, 'r'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *model = "vit_h", *recorded = NULL;
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'm') model = optarg;
        else if (option == 'r') recorded = optarg;
        else if (option == 'j') json = true;
        else if (option == 'h') return fputs(help, stdout) < 0;
        else return usage("no such option");
    }
    const samc__gpu *gpu = optind + 1 == argc ? samc__gpu_named(argv[optind]) : NULL;
    if (gpu == NULL) return usage("one GPU is expected");
    samc_error error;
    if (forecast(model, gpu, recorded, json, &error) == SAMC_OK) return 0;
    fprintf(stderr, "samc-forecast: %s\n", error.message);
    return 1;
}
