/* How fast the whole engine is on a GPU. Each figure is a part of its own: a child computes them one after another, and
 * where it fails or hangs, that figure has failed and a new child goes on with the next. */
#include "tests/gpu/end_to_end.h"

#include "bench/forecast/roofline.h"
#include "runtime/session.h"

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_POINTS = 1024, MOST_RUNS = 400, MOST_OPERATORS = 32, FIGURE_SECONDS = 90 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

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
    samc__aim aim;
} bench;

static void wait_for_device(void) {
    cudaError_t code = cudaDeviceSynchronize();
    if (code != cudaSuccess) die("%s", cudaGetErrorString(code));
}

static samc_status take_stats(void *context, int image, const samc_mask *masks, int count,
                              const samc_auto_stats *stats) {
    bench *b = context;
    (void)image, (void)masks, (void)count;
    b->stats = *stats;
    return SAMC_OK;
}

static void encode(bench *b) {
    must(&b->engine, samc_set_images(b->engine.session, b->images, b->batch), "the encoder");
}
static void automatic(bench *b) {
    must(&b->engine, samc_auto(b->engine.session, b->images, 1, &b->automatic, take_stats, b), "automatic masks");
}
enum { MOST_CLICKS = 256 };
static void click(bench *b) { /* `batch` prompts on the image that is set, their logits on the host */
    static const int32_t label = 1;
    float points[MOST_CLICKS][2];
    samc_prompt prompts[MOST_CLICKS];
    samc_result *result = NULL;
    for (int i = 0; i < b->batch; i++) {
        points[i][0] = (float)(b->request->width * (i % 8 + 1)) / 9,
        points[i][1] = (float)(b->request->height * (i / 8 % 8 + 1)) / 9;
        prompts[i] =
            (samc_prompt){.size = sizeof(samc_prompt), .points = points[i], .labels = &label, .point_count = 1};
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
        if (samc__seconds() - begun > 10 * b->request->seconds)
            break; /* slow beyond all expectation: better one figure than none */
    }
    qsort(times, (size_t)n, sizeof *times, ascending);
    *fastest = times[0], *runs = n;
    return times[n / 2];
}

/* Beside what was measured: the aim, and what arithmetic predicts for the device (milliseconds). */
static void add_prediction(row *line, double measured_ms, double predicted_ms, double aim_ms) {
    if (aim_ms > 0) row_add(line, ",\"aim_ms\":%.4g,\"of_aim_percent\":%.1f", aim_ms, 100 * aim_ms / measured_ms);
    if (predicted_ms > 0)
        row_add(line, ",\"predicted_ms\":%.4g,\"prediction_error_percent\":%.1f", predicted_ms,
                100 * (predicted_ms / measured_ms - 1));
}

/* Predicted milliseconds of a pass over `images` images, of all prompts, or of their post-processing; 0 where nothing
 * is predicted. */
typedef enum part { ENCODE, DECODE, POST } part;
static double predicted(const bench *b, part what, int count) {
    static samc__workload load;
    samc_status status;
    if (b->gpu == NULL || b->request->gate->precision == SAMC_PRECISION_F32) return 0;
    load.rows = 0;
    load.capability = b->gpu->capability;
    if (what == ENCODE)
        status = samc__count_encode(b->shapes, count, b->request->width, b->request->height, &load, NULL);
    else if (what == DECODE) status = samc__count_decode(b->shapes, count, &load, NULL);
    else status = samc__count_post(b->shapes, count, b->request->width, b->request->height, &load, NULL);
    return status == SAMC_OK ? 1e3 * samc__roofline_total(b->gpu, &load) : 0;
}

static void add_memory(const bench *b, row *line) {
    samc_memory memory = SAMC_INIT(samc_memory);
    samc_session_memory(b->engine.session, &memory);
    size_t free_bytes = 0, total = 0;
    if (cudaMemGetInfo(&free_bytes, &total) == cudaSuccess)
        row_add(line, ",\"used_of_device_bytes\":%zu", total - free_bytes);
    row_add(line, ",\"peak_bytes\":%zu,\"weight_bytes\":%zu,\"planned_bytes\":%zu",
            memory.device_peak + b->engine.info.weight_bytes, b->engine.info.weight_bytes, b->engine.info.device_bytes);
}

static void time_encoder(bench *b) {
    double fastest;
    int runs;
    row line = row_begin(b->request, "encoder");
    double seconds = time_of(b, encode, &fastest, &runs), ms = 1e3 * seconds / b->batch;
    row_add(&line, ",\"batch\":%d,\"runs\":%d,\"ms\":%.4g,\"fastest_ms\":%.4g,\"images_per_second\":%.4g", b->batch,
            runs, ms, 1e3 * fastest / b->batch, 1e3 / ms);
    double aim = b->batch == 1 ? b->aim.images_alone : b->batch == 8 ? b->aim.images_together : 0;
    add_prediction(&line, ms, predicted(b, ENCODE, b->batch) / b->batch, aim > 0 ? 1e3 / aim : 0);
    add_memory(b, &line);
    row_finish(b->request, &line);
}

/* All prompts of automatic masks on the image that is set, as many at a time as there, and nothing that leaves the
 * device. */
static void decode(bench *b) {
    static const int32_t label = 1;
    samc_session *s = b->engine.session;
    samc__image_cache cache;
    static float points[MOST_POINTS][2];
    static samc_prompt prompts[MOST_POINTS];
    static const samc_prompt *pointers[MOST_POINTS];
    int all = b->request->points * b->request->points,
        most = s->decode_most < MOST_POINTS ? s->decode_most : MOST_POINTS;
    must(&b->engine, samc__session_cache(s, 0, 1, &cache), "the image cache");
    for (int i = 0; i < most; i++) {
        points[i][0] = (float)(b->request->width * (i % 32 + 1)) / 33,
        points[i][1] = (float)(b->request->height * (i / 32 + 1)) / 33;
        prompts[i] =
            (samc_prompt){.size = sizeof(samc_prompt), .points = points[i], .labels = &label, .point_count = 1};
        pointers[i] = &prompts[i];
    }
    for (int i = 0, now; i < all; i += now) {
        now = all - i < most ? all - i : most;
        samc__prompt_batch batch = {.prompts = pointers,
                                    .count = now,
                                    .images = 1,
                                    .tokens = 2,
                                    .frame = &s->images[0].frame,
                                    .features = samc__session_features(s, 0, 1),
                                    .cache = cache,
                                    .key_pe = s->key_pe};
        must(&b->engine,
             samc__decode(&s->exec, &s->model->net, &batch, true, &(samc__decoded){b->logits, b->iou, NULL}),
             "the decoder");
    }
}

static void time_decoder(bench *b) {
    double fastest;
    int runs, prompts = b->request->points * b->request->points;
    samc_session *s = b->engine.session;
    size_t masks = (size_t)((s->decode_most < MOST_POINTS ? s->decode_most : MOST_POINTS) *
                            b->engine.info.multimask_outputs),
           low = (size_t)b->engine.info.low_res;
    row line = row_begin(b->request, "decoder");
    b->batch = 1;
    encode(b);
    b->logits = samc__tensor_allocate(&s->exec, masks * low * low * sizeof(float));
    b->iou = samc__tensor_allocate(&s->exec, masks * sizeof(float));
    if (b->logits == NULL || b->iou == NULL) die("no memory for the logits of %d prompts", s->decode_most);
    double seconds = time_of(b, decode, &fastest, &runs);
    samc__tensor_release(&s->exec, b->logits);
    samc__tensor_release(&s->exec, b->iou);
    row_add(&line, ",\"prompts\":%d,\"runs\":%d,\"ms\":%.4g,\"prompts_per_second\":%.5g", prompts, runs, 1e3 * seconds,
            prompts / seconds);
    add_prediction(&line, 1e3 * seconds, predicted(b, DECODE, prompts), 0);
    row_finish(b->request, &line);
    static const int together[] = {1, 64, MOST_CLICKS};
    for (int i = 0; i < 3 && (i < 2 || together[i] <= prompts); i++) { /* the emulation asks for few points */
        int count = together[i];
        row clicks = row_begin(b->request, "prompts");
        b->batch = count;
        double each = time_of(b, click, &fastest, &runs) / count;
        row_add(&clicks, ",\"together\":%d,\"runs\":%d,\"ms_each_with_logits_on_the_host\":%.4g", count, runs,
                1e3 * each);
        row_finish(b->request, &clicks);
    }
}

static void time_automatic(bench *b) {
    double fastest;
    int runs, prompts = b->request->points * b->request->points;
    row line = row_begin(b->request, "automatic");
    double ms = 1e3 * time_of(b, automatic, &fastest, &runs);
    const samc_auto_stats *s = &b->stats;
    row_add(&line, ",\"prompts\":%d,\"runs\":%d,\"ms\":%.4g,\"fastest_ms\":%.4g,\"images_per_second\":%.4g", prompts,
            runs, ms, 1e3 * fastest, 1e3 / ms);
    add_prediction(&line, ms, predicted(b, ENCODE, 1) + predicted(b, DECODE, prompts) + predicted(b, POST, prompts),
                   b->aim.automatic_ms);
    /* Where the host waited: it is not told of the encoder's end before the decoder's. */
    row_add(&line,
            ",\"host_encode_ms\":%.4g,\"host_decode_ms\":%.4g,\"host_post_ms\":%.4g,\"masks\":%lld,\"after_iou\":%lld,"
            "\"after_stability\":%lld,\"after_nms\":%lld,\"kept\":%lld",
            1e3 * s->encode_seconds, 1e3 * s->decode_seconds, 1e3 * s->post_seconds, (long long)s->masks,
            (long long)s->after_iou, (long long)s->after_stability, (long long)s->after_nms, (long long)s->kept);
    add_memory(b, &line);
    row_finish(b->request, &line);
}

/* ---- Where the time goes: the device is waited for after every operator ---------------------- */

typedef struct span {
    const char *name;
    long long calls;
    double seconds, flops;
} span;
static struct {
    span of[MOST_OPERATORS];
    int count;
    double since;
} spans;

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
    samc_profile_end(s, NULL, 0, NULL);
    for (int i = 0; i < spans.count; i++) {
        const span *p = &spans.of[i];
        row line = row_begin(b->request, "operator");
        row_add(&line, ",\"stage\":\"%s\",\"operator\":\"%s\",\"calls\":%lld,\"ms\":%.4g,\"tflops\":%.4g", stage,
                p->name, p->calls, 1e3 * p->seconds, 1e-12 * p->flops / p->seconds);
        row_finish(b->request, &line);
    }
}

/* ---- The figures ----------------------------------------------------------------------------- */

static void encoder_operators(bench *b) { time_operators(b, "encoder", encode); }
static void automatic_operators(bench *b) { time_operators(b, "automatic", automatic); }

typedef struct figure {
    const char *name;
    void (*run)(bench *b);
    int batch;
} figure;

static void open_bench(const request *r, bench *b) {
    struct cudaDeviceProp device;
    samc_error error;
    *b = (bench){.request = r, .engine = open_engine(r->model, SAMC_BACKEND_CUDA, r->gate->precision)};
    if (cudaGetDeviceProperties(&device, 0) == cudaSuccess) b->gpu = samc__gpu_of(device.name);
    if (samc__shapes_open(r->model, &b->shapes, &error) != SAMC_OK) die("%s", error.message);
    samc__aims(r->name, &b->aim);
    samc_image one = scene(r, 1), other = scene(r, 2);
    for (int i = 0; i < MOST_BATCH; i++) b->images[i] = i % 2 ? other : one;
    b->automatic.size = sizeof b->automatic;
    samc_default_auto_options(b->engine.model, &b->automatic);
    b->automatic.points_per_side = r->points;
    b->automatic.stability_score_thresh =
        0.5; /* as for parity: with fewer survivors than usual the figure would flatter */
}

/* Written by the child, read by its parent. */
typedef struct progress {
    volatile int next, opened;
} progress;

int run_speed(const request *r, bool automatic_masks) {
    figure figures[16];
    int count = 0, failures = 0;
    if (automatic_masks) {
        figures[count++] = (figure){"automatic masks", time_automatic, 1};
        figures[count++] = (figure){"operators of automatic masks", automatic_operators, 1};
    } else {
        for (int i = 0; i < r->batch_count; i++) figures[count++] = (figure){"encoder", time_encoder, r->batches[i]};
        figures[count++] = (figure){"decoder", time_decoder, 1};
        figures[count++] = (figure){"operators of the encoder", encoder_operators, 1};
    }
    progress *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) die("no memory to share with a child");
    while (shared->next < count) {
        fflush(NULL);
        shared->opened = 0;
        pid_t pid = fork(); /* before this process has touched the device, which no child may inherit */
        if (pid < 0) die("no process for the figures");
        if (pid == 0) {
            static bench b;
            alarm(FIGURE_SECONDS);
            open_bench(r, &b);
            for (shared->opened = 1; shared->next < count; shared->next++) {
                alarm(FIGURE_SECONDS);
                b.batch = figures[shared->next].batch;
                figures[shared->next].run(&b);
            }
            fflush(NULL);
            _exit(0);
        }
        int status = 0;
        if (waitpid(pid, &status, 0) != pid) die("the child for the figures is lost");
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
        const figure *f = &figures[shared->next];
        row line = row_begin(r, "failed");
        row_add(&line, ",\"figure\":\"%s\",\"batch\":%d,\"status\":\"failed\",\"why\":\"%s %d\"", f->name, f->batch,
                WIFSIGNALED(status) ? "signal" : "exit", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        row_finish(r, &line);
        failures++;
        if (!shared->opened) break; /* nor would the others get that far */
        shared->next++;
    }
    return failures != 0;
}
