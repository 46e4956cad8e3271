/* Detectors against `transformers`, on the golden data of tests/parity/detector_reference.py or what that wrote in full
 * shape: from pixels and tokens (where the file has phrases, from these) to boxes, logits and maps.
 *
 *     detector_test FOLDER [--backend ref|cpu] [--precision f32|bf16] [--threads N] [--time]
 *
 * Prints one row for each comparison and exits with 1 if any is beyond its gate, with 2 if it could not run. --time:
 * the seconds of each step beside it. */
#include "runtime/memory.h"
#include "runtime/model/detector.h"
#include "runtime/model/tokenizer.h"
#include "runtime/threads.h"
#include "tests/parity/gates.h"
#include "kernels/place.h"
#include "weights/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

typedef struct suite {
    samc__checkpoint *file;
    samc__relate_opened model;
    const samc__text_image *net;
    samc__exec exec;
    samc_error error;
    const gates *gate;
    int count, failures; /* phrases */
    float *text;         /* [count, dim] */
    bool time;
} suite;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("detector_test: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void must(suite *s, samc_status status) {
    if (status != SAMC_OK) die("%s", s->error.message);
}

/* A tensor's values, to free(). */
static float *read_golden(const suite *s, const char *image, const char *name, const samc__tensor **tensor) {
    char full[128];
    snprintf(full, sizeof full, image ? "image.%s.%s" : "%s%s", image ? image : "", name);
    *tensor = samc__checkpoint_find(s->file, full);
    if (*tensor == NULL) die("cases.safetensors has no %s", full);
    float *values = malloc((size_t)samc__tensor_elements(*tensor) * sizeof *values);
    samc__tensor_read_f32(*tensor, values);
    return values;
}

/* `scale` > 0 is what errors are measured by, instead of the values' own deviation. */
static void compare(suite *s, const char *image, const char *name, const float *value, int64_t n, double scale) {
    const samc__tensor *tensor;
    float *golden = read_golden(s, image, name, &tensor);
    double nmse, most;
    if (samc__tensor_elements(tensor) != n) die("%s %s has %lld values", image ? image : "", name, (long long)n);
    errors_of(golden, value, n, scale > 0 ? scale : deviation_of(golden, n), &nmse, &most);
    const bool good = nmse <= s->gate->nmse && most <= s->gate->max;
    printf("%-12s %-12s nmse %.2e of %.0e, largest %.2e of %.0e%s\n", image ? image : "", name, nmse, s->gate->nmse,
           most, s->gate->max, good ? "" : "  FAILED");
    s->failures += !good;
    free(golden);
}

/* Processor time, of all threads: what a machine shared with others can tell. */
static double processor(void) { return (double)clock() / CLOCKS_PER_SEC; }

static double lap(suite *s, const char *what, double began) {
    const double now = processor();
    if (s->time) printf("%-12s %-12s %.3f s\n", "", what, now - began);
    return processor();
}

/* ---- Phrases --------------------------------------------------------------------------------- */

/* What the file's phrases become is what transformers made of them. */
static void check_tokens(suite *s, const char *phrases, const float *golden, int context) {
    samc__json list, item;
    const char *cursor = NULL;
    size_t at;
    samc__tokenizer *tokenizer;
    int32_t ids[256];
    samc__tokens tokens;
    must(s, samc__tokenizer_create(&tokenizer, &s->error));
    if (samc__json_check(phrases, strlen(phrases), &list, &at) != NULL) die("malformed phrases");
    for (int i = 0; samc__json_next(list, &cursor, NULL, &item); i++) {
        char text[1024];
        if (i == s->count || !samc__json_string(item, text, sizeof text)) die("malformed phrases");
        must(s, samc__tokenize(tokenizer, text, context, ids, &tokens, &s->error));
        for (int t = 0; t < tokens.count; t++)
            if ((float)ids[t] != golden[(int64_t)i * context + t]) {
                printf("'%s': token %d is %d\n", text, t, (int)ids[t]);
                s->failures++;
                break;
            }
    }
    samc__tokenizer_free(tokenizer);
}

static void take_phrases(suite *s) {
    const samc__text_image *net = s->net;
    const samc__tensor *tensor;
    float *golden = read_golden(s, NULL, "ids", &tensor);
    const int context = (int)tensor->shape[1], end = net->config.text.vocabulary - 1;
    s->count = (int)tensor->shape[0];
    if (context != net->config.text.context) die("another context");
    const char *phrases = samc__checkpoint_metadata(s->file, "phrases");
    if (phrases != NULL) check_tokens(s, phrases, golden, context);
    int32_t *ids = malloc((size_t)(s->count * context) * sizeof *ids);
    int *ends = calloc((size_t)s->count, sizeof *ends);
    for (int i = 0; i < s->count * context; i++) ids[i] = (int32_t)golden[i];
    for (int i = 0; i < s->count; i++)
        while (ids[i * context + ends[i]] != end) ends[i]++; /* the first, as argmax finds it */
    s->text = malloc((size_t)(s->count * net->config.dim) * sizeof *s->text);
    const double began = processor();
    if (net->config.kind == SAMC__TEXT_IMAGE_OWLV2)
        must(s, samc__owlv2_text(&s->exec, net, ids, ends, s->count, s->text));
    else must(s, samc__text_features(&s->exec, net, ids, ends, s->count, s->text));
    lap(s, "text", began);
    compare(s, NULL, "text", s->text, (int64_t)s->count * net->config.dim, 0);
    free(golden), free(ids), free(ends);
}

/* ---- Images ---------------------------------------------------------------------------------- */

static void check_boxes(suite *s, const char *name, const samc_image *image) {
    samc__owlv2_scene *scene;
    double began = processor();
    must(s, samc__owlv2_see(&s->exec, s->net, image, &scene));
    began = lap(s, "see", began);
    const int64_t n = scene->boxes;
    float *corners = malloc((size_t)(4 * n) * sizeof *corners);
    float *logits = malloc((size_t)(n * s->count) * sizeof *logits);
    must(s, samc__owlv2_classify(&s->exec, scene, s->text, s->count, logits));
    lap(s, "classify", began);
    samc__owlv2_corners(scene, corners);
    compare(s, name, "corners", corners, 4 * n, 0);
    compare(s, name, "logits", logits, n * s->count, 0);
    compare(s, name, "objectness", scene->objectness, n, 0);
    free(corners), free(logits), free(scene);
}

static void check_maps(suite *s, const char *name, const samc_image *image) {
    samc__clipseg_scene *scene;
    const int64_t side = s->net->config.vision.side, area = side * side;
    float *maps = malloc((size_t)(s->count * area) * sizeof *maps);
    double began = processor();
    must(s, samc__clipseg_see(&s->exec, s->net, image, &scene));
    began = lap(s, "see", began);
    for (int i = 0; i < s->count; i++)
        must(s, samc__clipseg_map(&s->exec, s->net, scene, s->text + (int64_t)i * s->net->config.dim, maps + i * area));
    lap(s, "maps", began);
    compare(s, name, "maps", maps, s->count * area, 0);
    free(maps), free(scene);
}

static void check_image(suite *s, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "image.%s.pixels", name);
    const samc__tensor *tensor = samc__checkpoint_find(s->file, full); /* bytes [height, width, 3] */
    if (tensor == NULL) die("cases.safetensors has no %s", full);
    const samc_image image = {.pixels = tensor->data,
                              .width = (int)tensor->shape[1],
                              .height = (int)tensor->shape[0],
                              .row_bytes = 3 * tensor->shape[1]};
    if (s->net->config.kind == SAMC__TEXT_IMAGE_OWLV2) check_boxes(s, name, &image);
    else check_maps(s, name, &image);
}

/* ---- Options --------------------------------------------------------------------------------- */

static const char *option(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 2; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return otherwise;
}

static void open_suite(suite *s, const char *folder, const char *backend, const char *precision, int threads) {
    char path[4096];
    samc_options options = SAMC_INIT(samc_options);
    samc_default_options(&options);
    s->gate = gates_named(precision);
    if (s->gate == NULL) die("no precision %s", precision);
    options.backend = strcmp(backend, "ref") == 0 ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU;
    options.precision = s->gate->precision, options.threads = threads;
    must(s, samc__relate_open(folder, &options, &s->model, &s->error));
    s->net = s->model.net;
    if (s->model.family->see == NULL) die("%s is no detector", s->model.family->name);
    snprintf(path, sizeof path, "%s/cases.safetensors", folder);
    must(s, samc__checkpoint_open(path, &s->file, &s->error));
    static samc__memory memory;
    s->exec = (samc__exec){.ops = &s->model.ops,
                           .error = &s->error,
                           .workers = threads,
                           .pool = samc__pool_create(threads),
                           .parallel = samc__pool_run,
                           .memory = &memory,
                           .allocate = samc__memory_allocate,
                           .release = samc__memory_release,
                           .place = &samc__place_host,
                           .packed = s->model.packed};
    printf("%s, %s\n", folder, s->net->arithmetic);
}

int main(int argc, char **argv) {
    suite s = {0};
    char name[64];
    if (argc < 2) die("usage: detector_test FOLDER [--backend ref|cpu] [--precision f32|bf16] [--threads N] [--time]");
    s.time = strcmp(argv[argc - 1], "--time") == 0;
    open_suite(&s, argv[1], option(argc, argv, "--backend", "cpu"), option(argc, argv, "--precision", "f32"),
               atoi(option(argc, argv, "--threads", "2")));
    take_phrases(&s);
    const char *images = samc__checkpoint_metadata(s.file, "images");
    for (int used = 0; images != NULL && sscanf(images, "%63s%n", name, &used) == 1; images += used)
        check_image(&s, name);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    if (s.time) printf("peak %.0f MB\n", (double)usage.ru_maxrss / 1024);
    free(s.text);
    samc__checkpoint_close(s.file);
    s.model.family->close(s.model.net);
    samc__pool_destroy(s.exec.pool);
    printf(s.failures ? "%d FAILED\n" : "all within their gates\n", s.failures);
    return s.failures > 0;
}
