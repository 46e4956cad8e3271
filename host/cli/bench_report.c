/* What samc bench measured, as JSON and for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/bench.h"

/* ---- The machine ----------------------------------------------------------------------------- */

/* The value of a field of /proc/cpuinfo's first processor, or "". */
static void processor_field(const char *name, char *value, size_t size) {
    char line[512];
    FILE *file = fopen("/proc/cpuinfo", "r");
    value[0] = '\0';
    while (file != NULL && value[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        size_t length = strcspn(line, "\t:");
        const char *at = strchr(line, ':');
        if (at == NULL || strlen(name) != length || strncmp(line, name, length) != 0) continue;
        at += strspn(at, ": ");
        snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
    }
    if (file != NULL) fclose(file);
}

void samc__bench_machine(const samc_model_info *info, char *text, size_t size) {
    char name[128], family[16], model[16];
    samc_machine machine = SAMC_INIT(samc_machine);
    processor_field("model name", name, sizeof name);
    processor_field("cpu family", family, sizeof family);
    processor_field("model", model, sizeof model);
    if (family[0] != '\0') { /* a virtual machine may give the name of a whole line of processors */
        snprintf(text, size, "%s (family %s, model %s)", name, family, model);
    } else {
        processor_field("CPU implementer", family, sizeof family);
        processor_field("CPU part", model, sizeof model);
        snprintf(text, size, "%s (implementer %s, part %s)", name[0] ? name : "a processor", family[0] ? family : "?",
                 model[0] ? model : "?");
    }
    size_t used = strlen(text);
    if (info->backend == SAMC_BACKEND_CUDA && samc_get_machine(&machine) == SAMC_OK)
        snprintf(text + used, size - used, ", %s", machine.cuda);
}

int64_t samc__bench_bytes(const char *name) {
    char line[256];
    long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) sscanf(line + strlen(name), "%lld", &kilobytes);
    if (file != NULL) fclose(file);
    return kilobytes * 1024;
}

/* ---- Numbers --------------------------------------------------------------------------------- */

int samc__bench_ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double samc__bench_percentile(const double *sorted, int count, int percent) {
    return sorted[(count * percent + 99) / 100 - 1];
}

/* What products of this precision run against; *type is whose peak it is. On a GPU the CPU's says nothing. */
static double peak_of(const samc_peaks *peaks, samc_backend backend, samc_precision precision, const char **type) {
    *type = samc__cli_precision(precision);
    if (backend == SAMC_BACKEND_CUDA) return 0.0;
    if (strcmp(*type, "bf16") == 0 && peaks->bf16 > 0.0) return peaks->bf16;
    if (strcmp(*type, "int8") == 0 && peaks->int8 > 0.0) return peaks->int8;
    *type = "f32";
    return peaks->f32;
}

static json_t *share(double gflops, double peak) { return samc__cli_number(gflops / peak); } /* null without a peak */

static json_t *rate(double count, double seconds) { return count > 0.0 ? json_real(count / seconds) : json_null(); }

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *peak_json(double gflops, const char *instruction) {
    return gflops > 0.0 ? json_pack("{s:f, s:s}", "gflops", gflops, "instruction", instruction) : json_null();
}

json_t *samc__bench_peaks_json(const samc_peaks *peaks) {
    return json_pack("{s:o, s:o, s:o}", "f32", peak_json(peaks->f32, peaks->f32_by), "bf16",
                     peak_json(peaks->bf16, peaks->bf16_by), "int8", peak_json(peaks->int8, peaks->int8_by));
}

json_t *samc__bench_stage_json(const samc__bench_stage *s, const samc_model_info *info, const samc_peaks *peaks) {
    const char *type, *own_type;
    double peak = peak_of(peaks, info->backend, info->precision, &type);
    double median = samc__bench_percentile(s->seconds, s->runs, 50);
    double gflops = s->flops / median * 1e-9;
    json_t *operators = json_array();
    for (int i = 0; i < s->row_count; i++) {
        const samc_profile_row *row = &s->rows[i];
        double own = row->flops / row->seconds * 1e-9;
        double own_peak = peak_of(peaks, info->backend, row->precision, &own_type);
        json_array_append_new(operators, json_pack("{s:s, s:I, s:f, s:o, s:o, s:s}", "name", row->name, "calls",
                                                   (json_int_t)row->calls, "seconds", row->seconds, "gflops",
                                                   samc__cli_number(own), "share_of_peak", share(own, own_peak),
                                                   "peak_type", own_type));
    }
    json_t *stage = json_pack("{s:s, s:s, s:f, s:f, s:f, s:o, s:o, s:o}", "name", s->name, "precision",
                              samc__cli_precision(info->precision), "median_s", median, "min_s", s->seconds[0],
                              "processor_s", s->busy, "gflops", samc__cli_number(gflops), "share_of_peak",
                              share(gflops, peak), "operators", operators);
    static const int percents[] = {50, 90, 95, 99};
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "p%d_s", percents[i]);
        json_object_set_new(stage, name, json_real(samc__bench_percentile(s->seconds, s->runs, percents[i])));
    }
    json_object_set_new(stage, "images_per_s", rate(s->images, median));
    json_object_set_new(stage, "masks_per_s", rate(s->masks, median));
    json_object_set_new(stage, "peak_type", json_string(type));
    return stage;
}

json_t *samc__bench_cold_json(const samc__bench_cold *cold) {
    return json_pack("{s:f, s:f, s:f, s:f, s:f}", "open_s", cold->open, "session_s", cold->session, "first_image_s",
                     cold->image, "first_prompt_s", cold->prompt, "total_s",
                     cold->open + cold->session + cold->image + cold->prompt);
}

/* Bytes, or null where they are not known. */
static json_t *bytes(int64_t count) { return count > 0 ? json_integer(count) : json_null(); }

json_t *samc__bench_memory_json(const samc__bench_memory *memory) {
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "before_bytes", bytes(memory->before), "opened_bytes",
                     bytes(memory->opened), "opening_peak_bytes", bytes(memory->opening), "peak_bytes",
                     bytes(memory->peak), "weight_bytes", (json_int_t)memory->weights, "session_peak_bytes",
                     (json_int_t)memory->session, "device_peak_bytes", (json_int_t)memory->device);
}

/* ---- Text ------------------------------------------------------------------------------------ */

static double number(const json_t *object, const char *name) {
    return json_number_value(json_object_get(object, name));
}

static const char *string(const json_t *object, const char *name) {
    return json_string_value(json_object_get(object, name));
}

/* "  43.6 % of f32 peak", or nothing where there is none. */
static void print_share(const json_t *object) {
    if (json_is_number(json_object_get(object, "share_of_peak")))
        printf("   %4.1f %% of %s peak", 100 * number(object, "share_of_peak"), string(object, "peak_type"));
    putchar('\n');
}

static void print_rate(const json_t *object, const char *name, const char *unit) {
    if (json_is_number(json_object_get(object, name))) printf("   %9.2f %s/s", number(object, name), unit);
}

void samc__bench_print_stage(const json_t *stage) {
    size_t index;
    json_t *operator;
    printf("%-8s %s  median %10.2f ms   fastest %10.2f ms   processor %10.2f ms   %7.1f GFLOP/s", string(stage, "name"),
           string(stage, "precision"), 1e3 * number(stage, "median_s"), 1e3 * number(stage, "min_s"),
           1e3 * number(stage, "processor_s"), number(stage, "gflops"));
    print_share(stage);
    printf("    p50 %.2f   p90 %.2f   p95 %.2f   p99 %.2f ms", 1e3 * number(stage, "p50_s"),
           1e3 * number(stage, "p90_s"), 1e3 * number(stage, "p95_s"), 1e3 * number(stage, "p99_s"));
    print_rate(stage, "images_per_s", "images");
    print_rate(stage, "masks_per_s", "masks");
    putchar('\n');
    json_array_foreach(json_object_get(stage, "operators"), index, operator) {
        printf("    %-18s %6lld calls %10.2f ms %8.1f GFLOP/s", string(operator, "name"),
               (long long)json_integer_value(json_object_get(operator, "calls")), 1e3 * number(operator, "seconds"),
               number(operator, "gflops"));
        if (number(operator, "gflops") > 0.0) print_share(operator);
        else putchar('\n'); /* bytes are what matters */
    }
}

void samc__bench_print_cold(const json_t *cold) {
    printf("cold start: open %.2f ms, session %.2f ms, first image %.2f ms, first prompt %.2f ms: %.2f ms\n",
           1e3 * number(cold, "open_s"), 1e3 * number(cold, "session_s"), 1e3 * number(cold, "first_image_s"),
           1e3 * number(cold, "first_prompt_s"), 1e3 * number(cold, "total_s"));
}

void samc__bench_print_memory(const json_t *memory) {
    printf("memory: %.1f MB before opening, %.1f MB after (at most %.1f MB meanwhile), at most %.1f MB in all; weights "
           "%.1f MB, session at most %.1f MB\n",
           1e-6 * number(memory, "before_bytes"), 1e-6 * number(memory, "opened_bytes"),
           1e-6 * number(memory, "opening_peak_bytes"), 1e-6 * number(memory, "peak_bytes"),
           1e-6 * number(memory, "weight_bytes"), 1e-6 * number(memory, "session_peak_bytes"));
    if (number(memory, "device_peak_bytes") > 0.0)
        printf("GPU memory: session at most %.1f MB\n", 1e-6 * number(memory, "device_peak_bytes"));
}

void samc__bench_print_reference(const json_t *reference) {
    static const char *const which[] = {"iou", "chosen_iou"}, *const title[] = {"mask by mask", "chosen masks"};
    for (int i = 0; i < 2; i++) {
        const json_t *iou = json_object_get(reference, which[i]);
        printf("against f32, %s: IoU median %.4f, p5 %.4f, mean %.4f, least %.4f\n", title[i], number(iou, "median"),
               number(iou, "p5"), number(iou, "mean"), number(iou, "min"));
    }
    printf("against f32: %d masks of %d prompts, the same one chosen for %d\n",
           (int)json_integer_value(json_object_get(reference, "masks")),
           (int)json_integer_value(json_object_get(reference, "prompts")),
           (int)json_integer_value(json_object_get(reference, "same_choice")));
}
