/* Models of text and images against transformers: every golden case, with gates that can see a mistake.
 *
 *     text_parity_test GOLDEN_DIR [--backend ref|cpu] [--precision f32|bf16] [--threads N] [--model FILE] [--time N]
 *
 * --time: 100 phrases of five words and one picture, N times; the least seconds of the clock and of the processors.
 *
 * GOLDEN_DIR holds a model's folder and cases.safetensors as written by make_text_golden.py. Prints one row for each
 * comparison and exits with 1 if any is beyond its gate, with 2 if it could not run. */
#include "kernels/place.h"
#include "runtime/memory.h"
#include "runtime/model/text_image.h"
#include "runtime/threads.h"
#include "tests/parity/gates.h"
#include "weights/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("text_parity_test: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

typedef struct suite {
    samc__checkpoint *cases;
    samc__relate_opened model;
    const samc__text_image *net;
    samc__exec exec;
    samc__memory memory;
    samc_error error;
    const gates *gate;
    int failures;
} suite;

static const samc__tensor *find(const suite *s, const char *name) {
    const samc__tensor *found = samc__checkpoint_find(s->cases, name);
    if (found == NULL) die("no tensor %s", name);
    return found;
}

static float *floats(const suite *s, const char *name) {
    const samc__tensor *t = find(s, name);
    float *values = malloc((size_t)samc__tensor_elements(t) * sizeof *values);
    if (values == NULL) die("out of memory");
    samc__tensor_read_f32(t, values);
    return values;
}

static void *allocate(size_t bytes) {
    void *block = calloc(bytes, 1);
    if (block == NULL) die("out of memory");
    return block;
}

static void must(const suite *s, samc_status status, const char *what) {
    if (status != SAMC_OK) die("%s: %s", what, s->error.message);
}

/* The rows of the summary, by parity_test's names: features of images, similarities, features of phrases. */
static struct {
    const char *name, *row;
    double nmse, largest;
} worst[] = {{"image", "embedding", 0, 0}, {"similarity", "logits", 0, 0}, {"text", "iou", 0, 0}};
enum { ROWS = sizeof worst / sizeof *worst };

static void compare(suite *s, const char *name, const float *reference, const float *value, int64_t n) {
    double nmse, largest;
    errors_of(reference, value, n, deviation_of(reference, n), &nmse, &largest);
    const bool ok = nmse <= s->gate->nmse && largest <= s->gate->max;
    printf("%-22s %9.1e %9.1e %9.1e %9.1e  %s\n", name, nmse, s->gate->nmse, largest, s->gate->max, ok ? "ok" : "FAIL");
    s->failures += !ok;
    for (int i = 0; i < ROWS; i++)
        if (strcmp(name, worst[i].name) == 0) worst[i].nmse = nmse, worst[i].largest = largest;
}

static void check_equal(suite *s, const char *name, const void *a, const void *b, size_t bytes) {
    const bool ok = memcmp(a, b, bytes) == 0;
    printf("%-22s %s\n", name, ok ? "equal" : "DIFFERS");
    s->failures += !ok;
}

/* All phrases together, and one by one, which is to be the same to the bit. */
static float *texts(suite *s, int *count) {
    const samc__text_image *net = s->net;
    float *ids = floats(s, "ids"), *ends = floats(s, "ends"), *expected = floats(s, "text");
    const int phrases = (int)find(s, "ids")->shape[0], context = net->config.text.context, dim = net->config.dim;
    if (find(s, "ids")->shape[1] != context || find(s, "text")->shape[1] != dim) die("another model's cases");
    int32_t *tokens = allocate((size_t)(phrases * context) * sizeof *tokens);
    int *at = allocate((size_t)phrases * sizeof *at);
    float *own = allocate((size_t)(phrases * dim) * sizeof *own), *alone = allocate((size_t)dim * sizeof *alone);
    for (int i = 0; i < phrases * context; i++) tokens[i] = (int32_t)ids[i];
    for (int i = 0; i < phrases; i++) at[i] = (int)ends[i];
    must(s, samc__text_features(&s->exec, net, tokens, at, phrases, own), "phrases");
    compare(s, "text", expected, own, (int64_t)phrases * dim);
    for (int i = 0; i < phrases; i += 3) {
        must(s, samc__text_features(&s->exec, net, tokens + i * context, at + i, 1, alone), "a phrase");
        check_equal(s, "a phrase alone", alone, own + i * dim, (size_t)dim * sizeof *own);
    }
    free(ids), free(ends), free(expected), free(tokens), free(at), free(alone);
    *count = phrases;
    return own;
}

static float *pictures(suite *s, int *count) {
    const samc__text_image *net = s->net;
    float *expected = floats(s, "image");
    const int images = (int)find(s, "image")->shape[0], dim = net->config.dim, side = net->config.vision.side;
    samc_image *list = allocate((size_t)images * sizeof *list);
    float *own = allocate((size_t)(images * dim) * sizeof *own), *alone = allocate((size_t)dim * sizeof *alone);
    uint8_t *bytes = allocate(3 * (size_t)side * (size_t)side);
    for (int i = 0; i < images; i++) {
        char name[32];
        snprintf(name, sizeof name, "image.%d", i);
        const samc__tensor *t = find(s, name);
        list[i] = (samc_image){.pixels = t->data, .width = (int)t->shape[1], .height = (int)t->shape[0]};
        list[i].row_bytes = 3 * (ptrdiff_t)list[i].width;
        snprintf(name, sizeof name, "prepared.%d", i);
        must(s, samc__clip_prepare(&list[i], side, bytes, &s->error), "preparing");
        check_equal(s, name, bytes, find(s, name)->data, 3 * (size_t)side * (size_t)side);
    }
    must(s, samc__clip_image(&s->exec, net, list, images, own), "images");
    compare(s, "image", expected, own, (int64_t)images * dim);
    must(s, samc__clip_image(&s->exec, net, list + images - 1, 1, alone), "an image");
    check_equal(s, "an image alone", alone, own + (images - 1) * dim, (size_t)dim * sizeof *own);
    free(expected), free(list), free(alone), free(bytes);
    *count = images;
    return own;
}

static void similarities(suite *s, float *image, int images, float *text, int phrases) {
    const samc__text_image *net = s->net;
    const int dim = net->config.dim;
    float *expected = floats(s, "similarity"), *own = allocate((size_t)(images * phrases) * sizeof *own);
    const double scale = exp((double)*samc__f32(net->weights.logit_scale));
    samc__unit_features(image, images, dim, 0), samc__unit_features(text, phrases, dim, 0);
    for (int i = 0; i < images * phrases; i++) {
        double sum = 0;
        for (int c = 0; c < dim; c++) sum += (double)image[i / phrases * dim + c] * (double)text[i % phrases * dim + c];
        own[i] = (float)(scale * sum);
    }
    compare(s, "similarity", expected, own, (int64_t)images * phrases);
    free(expected), free(own);
}

static double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void take_times(suite *s, int times) {
    enum { PHRASES = 100, END = 6 };
    const int context = s->net->config.text.context, dim = s->net->config.dim;
    int32_t *ids = allocate((size_t)(PHRASES * context) * sizeof *ids);
    int ends[PHRASES];
    float *out = allocate((size_t)(PHRASES * dim) * sizeof *out);
    const samc__tensor *t = find(s, "image.0");
    const samc_image image = {.pixels = t->data,
                              .width = (int)t->shape[1],
                              .height = (int)t->shape[0],
                              .row_bytes = 3 * (ptrdiff_t)t->shape[1]};
    double least[2][2] = {{1e9, 1e9}, {1e9, 1e9}};
    for (int i = 0; i < PHRASES; i++) ends[i] = END;
    for (int i = 0; i < 2 * times; i++) {
        const double clock = samc__seconds(), processors = processor_seconds();
        must(s,
             i % 2 ? samc__clip_image(&s->exec, s->net, &image, 1, out)
                   : samc__text_features(&s->exec, s->net, ids, ends, PHRASES, out),
             "timing");
        least[i % 2][0] = fmin(least[i % 2][0], samc__seconds() - clock);
        least[i % 2][1] = fmin(least[i % 2][1], processor_seconds() - processors);
    }
    printf("100 phrases: %.3f s, %.3f s of processors; a picture: %.3f s, %.3f s\n", least[0][0], least[0][1],
           least[1][0], least[1][1]);
    free(ids), free(out);
}

int main(int argc, char **argv) {
    samc_options options = {.size = sizeof options, .backend = SAMC_BACKEND_CPU};
    static suite s;
    const char *model = NULL;
    int times = 0;
    char cases[4096];
    if (argc < 2) die("text_parity_test GOLDEN_DIR [--backend B] [--precision P] [--threads N] [--model FILE]");
    s.gate = gates_named("f32");
    for (int i = 2; i + 1 < argc; i += 2)
        if (strcmp(argv[i], "--backend") == 0)
            options.backend = strcmp(argv[i + 1], "ref") == 0 ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU;
        else if (strcmp(argv[i], "--precision") == 0) s.gate = gates_named(argv[i + 1]);
        else if (strcmp(argv[i], "--threads") == 0) options.threads = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--time") == 0) times = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--model") == 0) model = argv[i + 1];
        else die("%s ?", argv[i]);
    if (s.gate == NULL) die("no such precision");
    options.precision = s.gate->precision;
    snprintf(cases, sizeof cases, "%s/cases.safetensors", argv[1]);
    must(&s, samc__checkpoint_open(cases, &s.cases, &s.error), "cases");
    must(&s, samc__relate_open(model ? model : argv[1], &options, &s.model, &s.error), "opening");
    s.net = s.model.net;
    s.exec = (samc__exec){.ops = &s.model.ops,
                          .error = &s.error,
                          .workers = s.model.threads,
                          .pool = samc__pool_create(s.model.threads),
                          .parallel = samc__pool_run,
                          .memory = &s.memory,
                          .allocate = samc__memory_allocate,
                          .release = samc__memory_release,
                          .packed = s.model.packed,
                          .place = &samc__place_host};
    printf("%s, %s; %s\n%-22s %9s %9s %9s %9s\n", argv[1], s.net->arithmetic, samc__checkpoint_note(s.net->checkpoint),
           "", "NMSE", "gate", "max/dev", "gate");
    int phrases, images;
    float *text = texts(&s, &phrases), *image = pictures(&s, &images);
    similarities(&s, image, images, text, phrases);
    free(text), free(image);
    if (times > 0) take_times(&s, times);
    if (s.memory.current != 0) die("memory is kept");
    samc__pool_destroy(s.exec.pool);
    samc__memory_drop(&s.memory);
    samc__text_image_close(s.model.net);
    samc__checkpoint_close(s.cases);
    printf("\nworst of each, its gates, and 0 for no noise known\n");
    for (int i = 0; i < ROWS; i++)
        printf("%-10s %9.1e %9.1e %9.1e %9.1e %9.1e %9.1e\n", worst[i].row, worst[i].nmse, worst[i].largest,
               s.gate->nmse, s.gate->max, 0.0, 0.0);
    printf("%d comparison(s) beyond their gates\n", s.failures);
    return s.failures > 0;
}
