/* The whole engine on a GPU: the same results as on the CPU, and how fast. tools/gpu_check.sh builds and runs it; needs no file but its own.
 *
 *     end_to_end weights SHAPES MODEL                     makes a model file from a seed: vit_b, vit_l, vit_h, or the shapes of a file
 *     end_to_end oracle MODEL RESULTS                     what the reference path computes for it
 *     end_to_end parity MODEL RESULTS --precision P       the same on the GPU, against that
 *     end_to_end speed MODEL --precision P                encoder, decoder, automatic masks, and where the time goes
 *
 * Options: --backend ref|cpu for the first two (cpu), --seed N for the first, --name NAME, --size WIDTHxHEIGHT, --points N (a side, of automatic masks), --seconds S
 * (for each figure), --batches 1,8,32, --json FILE (one line for each figure, as soon as it is known). Exit 1 if something differs. */
#include "tests/gpu/random_model.h"
#include "tests/parity/gates.h"

#include "host/roofline.h"
#include "runtime/session.h"

#include <cuda_runtime_api.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPTS = 8, MASKS = 3, MOST_AUTO = 4096, MOST_BATCH = 64, MOST_POINTS = 1024, MOST_RUNS = 400, MOST_OPERATORS = 32 };

typedef struct request {
    const char *verb, *model, *second, *name, *json;
    const gates *gate;
    samc_backend oracle;
    int width, height, points, seed, batches[8], batch_count;
    double seconds;
} request;

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("end_to_end: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void *allocate(size_t bytes) {
    void *block = calloc(bytes + 1, 1);
    if (block == NULL) die("out of memory");
    return block;
}

/* One line of JSON, also printed. Rows begin with what was asked for. */
typedef struct row { char text[2000]; } row;
static void add(row *r, const char *format, ...) {
    va_list arguments;
    size_t used = strlen(r->text);
    va_start(arguments, format);
    vsnprintf(r->text + used, sizeof r->text - used, format, arguments);
    va_end(arguments);
}
static row begin(const request *r, const char *what) {
    row line = {""};
    add(&line, "{\"what\":\"%s\",\"model\":\"%s\",\"precision\":\"%s\",\"image\":[%d,%d]", what, r->name, r->gate->name, r->height, r->width);
    return line;
}
static void finish(const request *r, row *line) {
    add(line, "}");
    puts(line->text);
    fflush(stdout);
    FILE *file = r->json ? fopen(r->json, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "%s\n", line->text);
    fclose(file);
}

typedef struct engine {
    samc_model *model;
    samc_session *session;
    samc_model_info info;
} engine;

static void must(const engine *e, samc_status status, const char *what) {
    if (status != SAMC_OK) die("%s: %s", what, samc_last_error(e->session));
}

static engine open_engine(const char *path, samc_backend backend, samc_precision precision) {
    engine e = {NULL, NULL, {0}};
    samc_options options = {.backend = backend, .precision = precision, .threads = 0};
    samc_error error;
    if (samc_model_open(path, &options, &e.model, &error) != SAMC_OK || samc_session_create(e.model, &e.session, &error) != SAMC_OK) die("%s", error.message);
    samc_model_get_info(e.model, &e.info);
    return e;
}

static void close_engine(engine *e) {
    samc_session_destroy(e->session);
    samc_model_close(e->model);
}

static samc_image scene(const request *r, uint64_t seed) {
    uint8_t *pixels = allocate((size_t)r->width * (size_t)r->height * 3);
    random_scene(pixels, r->width, r->height, seed);
    return (samc_image){pixels, r->width, r->height, (ptrdiff_t)r->width * 3};
}

/* ---- The same results ---------------------------------------------------------------------------------------------------- */

/* Everything that one run yields; as it is written to a file. */
typedef struct outcome {
    int64_t width, height, embedding_count, low2, autos;
    float *embedding, *logits; /* [PROMPTS, MASKS, low, low] */
    float iou[PROMPTS * MASKS];
    uint8_t *masks; /* [PROMPTS, MASKS, height, width] */
    struct { int64_t area, bbox[4]; } found[MOST_AUTO];
} outcome;

static void make_room(outcome *o) {
    o->embedding = allocate((size_t)o->embedding_count * sizeof(float));
    o->logits = allocate((size_t)(PROMPTS * MASKS * o->low2) * sizeof(float));
    o->masks = allocate((size_t)(PROMPTS * MASKS * o->width * o->height));
}

static void transfer(outcome *o, const char *path, bool write) {
    FILE *file = fopen(path, write ? "wb" : "rb");
    if (file == NULL) die("%s cannot be opened", path);
    bool ok = (write ? fwrite(o, sizeof *o, 1, file) : fread(o, sizeof *o, 1, file)) == 1;
    if (!write) make_room(o);
    const struct { void *data; size_t bytes; } parts[] = {{o->embedding, (size_t)o->embedding_count * sizeof(float)},
                                                          {o->logits, (size_t)(PROMPTS * MASKS * o->low2) * sizeof(float)},
                                                          {o->masks, (size_t)(PROMPTS * MASKS * o->width * o->height)}};
    for (size_t i = 0; i < 3 && ok; i++)
        ok = (write ? fwrite(parts[i].data, 1, parts[i].bytes, file) : fread(parts[i].data, 1, parts[i].bytes, file)) == parts[i].bytes;
    if (fclose(file) != 0 || !ok) die("%s could not be %s", path, write ? "written" : "read");
}

static samc_status keep(void *context, int image, const samc_auto_mask *masks, int count, const samc_auto_stats *stats) {
    outcome *o = context;
    (void)image, (void)stats;
    for (int i = 0; i < count && o->autos < MOST_AUTO; i++, o->autos++) {
        o->found[o->autos].area = masks[i].area;
        for (int j = 0; j < 4; j++) o->found[o->autos].bbox[j] = masks[i].bbox[j];
    }
    return SAMC_OK;
}

/* Points, several of them, boxes, both; the last with a mask of the reference's as further prompt (NULL: its own first). */
static void predict_all(engine *e, const samc_image *image, const float *mask_input, outcome *o) {
    static const int32_t labels[2] = {1, 0};
    float points[PROMPTS][4], boxes[PROMPTS][4];
    samc_prompt prompts[PROMPTS];
    for (int i = 0; i < PROMPTS; i++) {
        float x = (float)image->width, y = (float)image->height, at = (float)(i + 1) / (PROMPTS + 1);
        points[i][0] = at * x, points[i][1] = (1 - at) * y, points[i][2] = 0.9f * x, points[i][3] = 0.2f * y;
        boxes[i][0] = 0.1f * x, boxes[i][1] = 0.5f * at * y, boxes[i][2] = 0.5f * (1 + at) * x, boxes[i][3] = 0.9f * y;
        prompts[i] = (samc_prompt){.points = points[i], .labels = labels, .point_count = 1 + (i == 3)};
        if (i == 4) prompts[i] = (samc_prompt){.box = boxes[i]};
        if (i == 5 || i == 6) prompts[i].box = boxes[i];
    }
    for (int first = 0, count = PROMPTS - 1; first < PROMPTS; first += count, count = 1) {
        samc_result *result = NULL;
        if (first > 0) prompts[first].mask_input = mask_input ? mask_input : o->logits;
        must(e, samc_predict(e->session, prompts + first, count, true, &result), "prompts");
        memcpy(o->logits + first * MASKS * o->low2, samc_result_logits(result), (size_t)(count * MASKS * o->low2) * sizeof(float));
        memcpy(o->iou + first * MASKS, samc_result_iou(result), (size_t)(count * MASKS) * sizeof(float));
        for (int i = 0; i < count * MASKS; i++)
            must(e, samc_result_mask(e->session, result, i / MASKS, i % MASKS, o->masks + (first * MASKS + i) * o->width * o->height, NULL), "masks");
        samc_result_free(result);
    }
}

/* Returns the gate of its mean squared errors. */
static double run_all(const request *r, samc_backend backend, samc_precision precision, const outcome *like, outcome *o) {
    engine e = open_engine(r->model, backend, precision);
    if (e.info.multimask_outputs != MASKS) die("%s: %d masks for a prompt, not %d", r->model, e.info.multimask_outputs, MASKS);
    samc_image image = scene(r, 1);
    *o = (outcome){.width = r->width, .height = r->height, .low2 = (int64_t)e.info.low_res * e.info.low_res,
                   .embedding_count = (int64_t)e.info.embed_channels * e.info.grid * e.info.grid};
    make_room(o);
    must(&e, samc_set_image(e.session, &image), "the image");
    must(&e, samc_get_embedding(e.session, 0, o->embedding), "the embedding");
    predict_all(&e, &image, like ? like->logits : NULL, o);
    samc_auto_options automatic = samc_default_auto_options(e.model);
    automatic.points_per_side = r->points;
    automatic.pred_iou_thresh = 0.8, automatic.stability_score_thresh = 0.5; /* random masks are less stable than trained ones */
    must(&e, samc_auto(e.session, &image, 1, &automatic, keep, o), "automatic masks");
    free((void *)image.pixels);
    const double gate = nmse_gate(r->gate, &e.info);
    close_engine(&e);
    return gate;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Differing pixels, and the median IoU of the masks. */
static int64_t compare_masks(const outcome *a, const outcome *b, double *median) {
    int64_t size = a->width * a->height, different = 0;
    double iou[PROMPTS * MASKS];
    for (int m = 0; m < PROMPTS * MASKS; m++) {
        int64_t common = 0, either = 0;
        for (int64_t i = m * size; i < (m + 1) * size; i++) {
            common += a->masks[i] & b->masks[i], either += a->masks[i] | b->masks[i];
            different += a->masks[i] != b->masks[i];
        }
        iou[m] = either ? (double)common / (double)either : 1.0;
    }
    qsort(iou, PROMPTS * MASKS, sizeof *iou, ascending);
    *median = iou[PROMPTS * MASKS / 2];
    return different;
}

static int check_parity(const request *r) {
    static outcome reference, own;
    transfer(&reference, r->second, false);
    if (reference.width != r->width || reference.height != r->height) die("%s is of another image", r->second);
    const double gate = run_all(r, SAMC_BACKEND_CUDA, r->gate->precision, &reference, &own);
    const struct { const char *what; const float *expected, *actual; int64_t count; } values[] = {
        {"embedding", reference.embedding, own.embedding, own.embedding_count},
        {"logits", reference.logits, own.logits, PROMPTS * MASKS * own.low2},
        {"iou", reference.iou, own.iou, PROMPTS * MASKS}};
    row line = begin(r, "parity");
    bool same = true, exact = r->gate->precision == SAMC_PRECISION_F32;
    /* A random model's logits are small differences of large features, and the tails of many values are long: in 16 bits four times the
     * squares of the trained-like golden model are allowed (gates.h: the rounding of activations, and the tensor cores' sums for this depth and
     * width), and ten deviations of that noise. What counts is the IoU of the masks. */
    double most_nmse = exact ? gate : 4 * gate, most = exact ? r->gate->max : 10 * sqrt(most_nmse);
    for (int i = 0; i < 3; i++) {
        double nmse, largest;
        errors_of(values[i].expected, values[i].actual, values[i].count, deviation_of(values[i].expected, values[i].count), &nmse, &largest);
        same &= nmse <= most_nmse && largest <= most;
        add(&line, ",\"%s_nmse\":%.3g,\"%s_max\":%.3g", values[i].what, isfinite(nmse) ? nmse : 1e300, values[i].what, isfinite(largest) ? largest : 1e300);
    }
    double median;
    int64_t pixels = PROMPTS * MASKS * own.width * own.height, different = compare_masks(&reference, &own, &median), found = 0;
    /* In f32 only pixels whose logit is within the gate of the threshold: 0.4 of a deviation's pixels lie there at most, on either side. */
    same &= median >= least_mask_iou && (!exact || (double)different <= 0.8 * most * (double)pixels);
    for (int64_t i = 0; i < reference.autos; i++) /* the same area and box */
        for (int64_t j = 0; j < own.autos; j++)
            if (memcmp(&reference.found[i], &own.found[j], sizeof own.found[j]) == 0) {
                found++;
                break;
            }
    add(&line, ",\"gate_nmse\":%.3g,\"gate_max\":%.3g,\"pixels\":%lld,\"pixels_different\":%lld,\"median_mask_iou\":%.6f", most_nmse, most,
        (long long)pixels, (long long)different, median);
    add(&line, ",\"automatic_masks\":%lld,\"of_reference\":%lld,\"the_same\":%lld,\"status\":\"%s\"", (long long)own.autos, (long long)reference.autos,
        (long long)found, same ? "ok" : "failed");
    finish(r, &line);
    return !same;
}

/* ---- How fast ------------------------------------------------------------------------------------------------------------- */

typedef struct bench {
    const request *request;
    engine engine;
    samc_image images[MOST_BATCH];
    int batch;
    samc_auto_options automatic;
    samc_auto_stats stats; /* of the latest automatic masks */
    float *logits, *iou;   /* tensors of the decoder's figure */
    const samc__gpu *gpu;  /* NULL: nothing is predicted for this device */
    samc__shapes *shapes;
} bench;

static void wait_for_device(void) {
    cudaError_t code = cudaDeviceSynchronize();
    if (code != cudaSuccess) die("%s", cudaGetErrorString(code));
}

static samc_status take_stats(void *context, int image, const samc_auto_mask *masks, int count, const samc_auto_stats *stats) {
    bench *b = context;
    (void)image, (void)masks, (void)count;
    b->stats = *stats;
    return SAMC_OK;
}

static void encode(bench *b) { must(&b->engine, samc_set_images(b->engine.session, b->images, b->batch), "the encoder"); }
static void automatic(bench *b) { must(&b->engine, samc_auto(b->engine.session, b->images, 1, &b->automatic, take_stats, b), "automatic masks"); }
static void click(bench *b) { /* `batch` prompts on the image that is set, their logits on the host */
    static const int32_t label = 1;
    float points[MOST_BATCH][2];
    samc_prompt prompts[MOST_BATCH];
    samc_result *result = NULL;
    for (int i = 0; i < b->batch; i++) {
        points[i][0] = (float)(b->request->width * (i % 8 + 1)) / 9, points[i][1] = (float)(b->request->height * (i / 8 + 1)) / 9;
        prompts[i] = (samc_prompt){.points = points[i], .labels = &label, .point_count = 1};
    }
    must(&b->engine, samc_predict(b->engine.session, prompts, b->batch, true, &result), "prompts");
    samc_result_free(result);
}

/* Median seconds of a run, the device's work included; the first run warms up. */
static double time_of(bench *b, void (*run)(bench *), double *fastest, int *runs) {
    double times[MOST_RUNS], begun = samc__seconds();
    run(b);
    wait_for_device();
    int n = 0, least = b->request->seconds < 0.1 ? 1 : 5;
    while (n < least || (n < MOST_RUNS && samc__seconds() - begun < b->request->seconds)) {
        double start = samc__seconds();
        run(b);
        wait_for_device();
        times[n++] = samc__seconds() - start;
        if (samc__seconds() - begun > 10 * b->request->seconds) break; /* slow beyond all expectation: better one figure than none */
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    *fastest = times[0], *runs = n;
    return times[n / 2];
}

/* Beside what was measured: the aim, and what arithmetic predicts for the device (milliseconds). */
static void add_prediction(row *line, double measured_ms, double predicted_ms, double aim_ms) {
    if (aim_ms > 0) add(line, ",\"aim_ms\":%.4g,\"of_aim_percent\":%.1f", aim_ms, 100 * aim_ms / measured_ms);
    if (predicted_ms > 0) add(line, ",\"predicted_ms\":%.4g,\"prediction_error_percent\":%.1f", predicted_ms, 100 * (predicted_ms / measured_ms - 1));
}

/* Predicted milliseconds of a pass over `images` images, of all prompts, or of their post-processing; 0 where nothing is predicted. */
typedef enum part { ENCODE, DECODE, POST } part;
static double predicted(const bench *b, part what, int count) {
    static samc__workload load;
    samc_status status;
    if (b->gpu == NULL || b->request->gate->precision == SAMC_PRECISION_F32) return 0;
    load.rows = 0;
    load.capability = b->gpu->capability;
    if (what == ENCODE) status = samc__count_encode(b->shapes, count, b->request->width, b->request->height, &load, NULL);
    else if (what == DECODE) status = samc__count_decode(b->shapes, count, &load, NULL);
    else status = samc__count_post(b->shapes, count, b->request->width, b->request->height, &load, NULL);
    return status == SAMC_OK ? 1e3 * samc__roofline_total(b->gpu, &load) : 0;
}

static void add_memory(const bench *b, row *line) {
    samc_memory memory = samc_session_memory(b->engine.session);
    size_t free_bytes = 0, total = 0;
    if (cudaMemGetInfo(&free_bytes, &total) == cudaSuccess) add(line, ",\"used_of_device_bytes\":%zu", total - free_bytes);
    add(line, ",\"peak_bytes\":%zu,\"weight_bytes\":%zu,\"planned_bytes\":%zu", memory.device_peak + b->engine.info.weight_bytes, b->engine.info.weight_bytes,
        b->engine.info.device_bytes);
}

static void time_encoder(bench *b, double aim_images) {
    for (int i = 0; i < b->request->batch_count; i++) {
        double fastest;
        int runs;
        row line = begin(b->request, "encoder");
        b->batch = b->request->batches[i];
        double seconds = time_of(b, encode, &fastest, &runs), ms = 1e3 * seconds / b->batch;
        add(&line, ",\"batch\":%d,\"runs\":%d,\"ms\":%.4g,\"fastest_ms\":%.4g,\"images_per_second\":%.4g", b->batch, runs, ms, 1e3 * fastest / b->batch, 1e3 / ms);
        add_prediction(&line, ms, predicted(b, ENCODE, b->batch) / b->batch, aim_images > 0 ? 1e3 / aim_images : 0);
        add_memory(b, &line);
        finish(b->request, &line);
    }
}

/* All prompts of automatic masks on the image that is set, as many at a time as there, and nothing that leaves the device. */
static void decode(bench *b) {
    static const int32_t label = 1;
    samc_session *s = b->engine.session;
    samc__image_side side;
    float points[MOST_POINTS][2];
    samc_prompt prompts[MOST_POINTS];
    const samc_prompt *pointers[MOST_POINTS];
    int all = b->request->points * b->request->points;
    must(&b->engine, samc__session_side(s, 0, 1, &side), "the image side");
    for (int i = 0; i < MOST_POINTS; i++) {
        points[i][0] = (float)(b->request->width * (i % 32 + 1)) / 33, points[i][1] = (float)(b->request->height * (i / 32 + 1)) / 33;
        prompts[i] = (samc_prompt){.points = points[i], .labels = &label, .point_count = 1};
        pointers[i] = &prompts[i];
    }
    for (int i = 0, now; i < all; i += now) {
        now = all - i < s->decode_most ? all - i : s->decode_most;
        samc__prompt_batch batch = {.prompts = pointers, .count = now, .images = 1, .tokens = 2, .geometry = &s->images[0].geometry, .side = side, .key_pe = s->key_pe};
        must(&b->engine, samc__decode(&s->exec, s->model, &batch, true, b->logits, b->iou), "the decoder");
    }
}

static void time_decoder(bench *b) {
    double fastest;
    int runs, prompts = b->request->points * b->request->points;
    samc_session *s = b->engine.session;
    size_t masks = (size_t)(s->decode_most * b->engine.info.multimask_outputs), low = (size_t)b->engine.info.low_res;
    row line = begin(b->request, "decoder");
    b->batch = 1;
    encode(b);
    b->logits = samc__tensor_allocate(&s->exec, masks * low * low * sizeof(float));
    b->iou = samc__tensor_allocate(&s->exec, masks * sizeof(float));
    if (b->logits == NULL || b->iou == NULL) die("no memory for the logits of %d prompts", s->decode_most);
    double seconds = time_of(b, decode, &fastest, &runs);
    samc__tensor_release(&s->exec, b->logits);
    samc__tensor_release(&s->exec, b->iou);
    add(&line, ",\"prompts\":%d,\"runs\":%d,\"ms\":%.4g,\"prompts_per_second\":%.5g", prompts, runs, 1e3 * seconds, prompts / seconds);
    add_prediction(&line, 1e3 * seconds, predicted(b, DECODE, prompts), 0);
    finish(b->request, &line);
    for (int count = 1; count <= MOST_BATCH; count *= MOST_BATCH) {
        row clicks = begin(b->request, "prompts");
        b->batch = count;
        double each = time_of(b, click, &fastest, &runs) / count;
        add(&clicks, ",\"together\":%d,\"runs\":%d,\"ms_each_with_logits_on_the_host\":%.4g", count, runs, 1e3 * each);
        finish(b->request, &clicks);
    }
}

static void time_automatic(bench *b, double aim_ms) {
    double fastest;
    int runs, prompts = b->request->points * b->request->points;
    row line = begin(b->request, "automatic");
    b->automatic = samc_default_auto_options(b->engine.model);
    b->automatic.points_per_side = b->request->points;
    b->automatic.stability_score_thresh = 0.5; /* as above: with fewer survivors than usual the figure would flatter */
    double ms = 1e3 * time_of(b, automatic, &fastest, &runs);
    const samc_auto_stats *s = &b->stats;
    add(&line, ",\"prompts\":%d,\"runs\":%d,\"ms\":%.4g,\"fastest_ms\":%.4g,\"images_per_second\":%.4g", prompts, runs, ms, 1e3 * fastest, 1e3 / ms);
    add_prediction(&line, ms, predicted(b, ENCODE, 1) + predicted(b, DECODE, prompts) + predicted(b, POST, prompts), aim_ms);
    /* Where the host waited: it is not told of the encoder's end before the decoder's. */
    add(&line, ",\"host_encode_ms\":%.4g,\"host_decode_ms\":%.4g,\"host_post_ms\":%.4g,\"masks\":%lld,\"after_iou\":%lld,\"after_stability\":%lld,\"after_nms\":%lld,\"kept\":%lld",
        1e3 * s->encode_seconds, 1e3 * s->decode_seconds, 1e3 * s->post_seconds, (long long)s->masks, (long long)s->after_iou, (long long)s->after_stability,
        (long long)s->after_nms, (long long)s->kept);
    add_memory(b, &line);
    finish(b->request, &line);
}

/* ---- Where the time goes: the device is waited for after every operator ------------------------------------------------------ */

typedef struct span { const char *name; long long calls; double seconds, flops; } span;
static struct { span of[MOST_OPERATORS]; int count; double since; } spans;

static void record(void *trace, const char *name, double flops, double seconds) {
    int i = 0;
    (void)trace, (void)seconds; /* the host's */
    wait_for_device();
    while (i < spans.count && strcmp(spans.of[i].name, name) != 0) i++;
    if (i == MOST_OPERATORS) return;
    if (i == spans.count) spans.of[spans.count++] = (span){.name = name};
    double now = samc__seconds();
    spans.of[i].calls++, spans.of[i].seconds += now - spans.since, spans.of[i].flops += flops;
    spans.since = now;
}

static void time_operators(bench *b, const char *stage, void (*run)(bench *)) {
    samc_session *s = b->engine.session;
    samc_profile_begin(s);
    s->exec.record = s->encoder.record = record;
    spans.count = 0;
    wait_for_device();
    spans.since = samc__seconds();
    run(b);
    samc_profile_end(s, NULL, 0);
    for (int i = 0; i < spans.count; i++) {
        const span *p = &spans.of[i];
        row line = begin(b->request, "operator");
        add(&line, ",\"stage\":\"%s\",\"operator\":\"%s\",\"calls\":%lld,\"ms\":%.4g,\"tflops\":%.4g", stage, p->name, p->calls, 1e3 * p->seconds,
            1e-12 * p->flops / p->seconds);
        finish(b->request, &line);
    }
}

static void run_speed(const request *r) {
    static bench b;
    struct cudaDeviceProp device;
    samc_error error;
    double aim_images = 0, aim_ms = 0;
    b = (bench){.request = r, .engine = open_engine(r->model, SAMC_BACKEND_CUDA, r->gate->precision)};
    if (cudaGetDeviceProperties(&device, 0) == cudaSuccess) b.gpu = samc__gpu_of(device.name);
    if (samc__shapes_open(r->model, &b.shapes, &error) != SAMC_OK) die("%s", error.message);
    samc__aims(r->name, &aim_images, &aim_ms);
    samc_image one = scene(r, 1), other = scene(r, 2);
    for (int i = 0; i < MOST_BATCH; i++) b.images[i] = i % 2 ? other : one;
    time_encoder(&b, aim_images);
    time_decoder(&b);
    time_automatic(&b, aim_ms);
    b.batch = 1;
    time_operators(&b, "encoder", encode);
    time_operators(&b, "automatic", automatic);
    samc__shapes_close(b.shapes);
    free((void *)one.pixels), free((void *)other.pixels);
    close_engine(&b.engine);
}

/* ---- The program ------------------------------------------------------------------------------------------------------------- */

static void read_batches(request *r, const char *text) {
    r->batch_count = 0;
    for (char *end; *text; text = *end == ',' ? end + 1 : end) {
        long n = strtol(text, &end, 10);
        if (end == text || n < 1 || n > MOST_BATCH || r->batch_count == 8) die("--batches takes numbers up to %d, not '%s'", MOST_BATCH, text);
        r->batches[r->batch_count++] = (int)n;
    }
}

static request parse(int argc, char **argv) {
    request r = {.gate = &all_gates[0], .oracle = SAMC_BACKEND_CPU, .width = 1500, .height = 1000, .points = 8, .seed = 1, .batches = {8, 1, 32}, .batch_count = 3, .seconds = 2};
    const char *words[3] = {NULL, NULL, NULL};
    int count = 0;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (option[0] != '-' && count < 3) {
            words[count++] = option;
            continue;
        }
        if (value == NULL) die("option %s is unknown or lacks its value", option);
        i++;
        if (strcmp(option, "--json") == 0) r.json = value;
        else if (strcmp(option, "--name") == 0) r.name = value;
        else if (strcmp(option, "--seconds") == 0) r.seconds = atof(value);
        else if (strcmp(option, "--points") == 0) r.points = atoi(value);
        else if (strcmp(option, "--seed") == 0) r.seed = atoi(value);
        else if (strcmp(option, "--batches") == 0) read_batches(&r, value);
        else if (strcmp(option, "--backend") == 0) r.oracle = strcmp(value, "ref") == 0 ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU;
        else if (strcmp(option, "--precision") == 0 && gates_named(value)) r.gate = gates_named(value);
        else if (strcmp(option, "--size") != 0 || sscanf(value, "%dx%d", &r.width, &r.height) != 2) die("option %s %s is unknown", option, value);
    }
    r.verb = words[0], r.model = words[1], r.second = words[2];
    if (r.model == NULL || r.width < 1 || r.height < 1 || r.points < 1) die("see the head of end_to_end.c for what it takes");
    if (r.second == NULL && strcmp(r.verb, "speed") != 0) die("%s takes two files", r.verb);
    if (r.name == NULL) r.name = r.model;
    return r;
}

int main(int argc, char **argv) {
    static outcome reference;
    request r = parse(argc, argv);
    if (strcmp(r.verb, "weights") == 0) {
        samc_options options = {.backend = r.oracle, .precision = SAMC_PRECISION_F32, .threads = 0};
        samc_error error;
        if (random_model_write(r.model, (uint64_t)r.seed, r.second, &options, &error) != SAMC_OK) die("%s", error.message);
    } else if (strcmp(r.verb, "oracle") == 0) {
        run_all(&r, r.oracle, SAMC_PRECISION_F32, NULL, &reference);
        transfer(&reference, r.second, true);
        printf("%lld automatic masks\n", (long long)reference.autos);
    } else if (strcmp(r.verb, "parity") == 0) {
        return check_parity(&r);
    } else if (strcmp(r.verb, "speed") == 0) {
        run_speed(&r);
    } else {
        die("'%s' is not weights, oracle, parity or speed", r.verb);
    }
    return 0;
}
