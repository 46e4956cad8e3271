/* The whole engine on a GPU: the same results as on the CPU, and how fast. Verbs of samc-gpu (main.cc), which need no
 * file but their own.
 *
 *     hello                                       which GPU there is, or why none can be used
 *     weights SHAPES MODEL                        makes a model file from a seed: vit_b, vit_l, vit_h, or the shapes of
 * a file oracle MODEL RESULTS                        what the reference path computes for it parity MODEL RESULTS
 * --precision P          the same on the GPU, against that bytes MODEL --precision P                   whether company
 * changes a result: 1, 2, 8 images, 64 and 1024 points together speed MODEL --precision P                   encoder,
 * decoder, and where the time goes auto MODEL --precision P                    automatic masks, and where their time
 * goes
 *
 * Options: --backend ref|cpu for weights and oracle (cpu), --seed N for the first, --name NAME, --size WIDTHxHEIGHT,
 * --points N (a side, of automatic masks), --seconds S (for each figure), --batches 1,8,32, --json FILE (one line for
 * each figure, as soon as it is known). Exit 1 if something differs. */
#include "tests/gpu/end_to_end.h"
#include "tests/gpu/random_model.h"
#include "tests/gpu/verbs.h"

#include "runtime/cuda_device.h"
#include "runtime/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPTS = 8, MASKS = 3, MOST_AUTO = 4096 };

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("samc-gpu: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

void *allocate(size_t bytes) {
    void *block = calloc(bytes + 1, 1);
    if (block == NULL) die("out of memory");
    return block;
}

void row_add(row *r, const char *format, ...) {
    va_list arguments;
    size_t used = strlen(r->text);
    va_start(arguments, format);
    vsnprintf(r->text + used, sizeof r->text - used, format, arguments);
    va_end(arguments);
}
row row_begin(const request *r, const char *what) {
    row line = {""};
    row_add(&line, "{\"what\":\"%s\",\"model\":\"%s\",\"precision\":\"%s\",\"image\":[%d,%d]", what, r->name,
            r->gate->name, r->height, r->width);
    return line;
}
void row_finish(const request *r, row *line) {
    row_add(line, "}");
    puts(line->text);
    fflush(stdout);
    FILE *file = r->json ? fopen(r->json, "a") : NULL;
    if (file == NULL) return;
    fprintf(file, "%s\n", line->text);
    fclose(file);
}

void must(const engine *e, samc_status status, const char *what) {
    if (status != SAMC_OK) die("%s: %s", what, samc_last_error(e->session));
}

engine open_engine(const char *path, samc_backend backend, samc_precision precision) {
    engine e = {NULL, NULL, {0}};
    samc_options options = {.size = sizeof(samc_options), .backend = backend, .precision = precision, .threads = 0};
    samc_error error;
    if (samc_model_open(path, &options, &e.model, &error) != SAMC_OK ||
        samc_session_create(e.model, &e.session, &error) != SAMC_OK)
        die("%s", error.message);
    e.info.size = sizeof e.info;
    samc_model_get_info(e.model, &e.info);
    return e;
}

void close_engine(engine *e) {
    samc_session_destroy(e->session);
    samc_model_close(e->model);
}

samc_image scene(const request *r, uint64_t seed) {
    uint8_t *pixels = allocate((size_t)r->width * (size_t)r->height * 3);
    random_scene(pixels, r->width, r->height, seed);
    return (samc_image){sizeof(samc_image), pixels, r->width, r->height, (ptrdiff_t)r->width * 3};
}

/* ---- The same results ------------------------------------------------------------------------ */

/* Everything that one run yields; as it is written to a file. */
typedef struct outcome {
    int64_t width, height, embedding_count, low2, autos;
    float *embedding, *logits; /* [PROMPTS, MASKS, low, low] */
    float iou[PROMPTS * MASKS];
    uint8_t *masks; /* [PROMPTS, MASKS, height, width] */
    struct {
        int64_t area, bbox[4];
    } found[MOST_AUTO];
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
    const struct {
        void *data;
        size_t bytes;
    } parts[] = {{o->embedding, (size_t)o->embedding_count * sizeof(float)},
                 {o->logits, (size_t)(PROMPTS * MASKS * o->low2) * sizeof(float)},
                 {o->masks, (size_t)(PROMPTS * MASKS * o->width * o->height)}};
    for (size_t i = 0; i < 3 && ok; i++)
        ok = (write ? fwrite(parts[i].data, 1, parts[i].bytes, file) : fread(parts[i].data, 1, parts[i].bytes, file)) ==
             parts[i].bytes;
    if (fclose(file) != 0 || !ok) die("%s could not be %s", path, write ? "written" : "read");
}

static samc_status keep(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    outcome *o = context;
    (void)image, (void)stats;
    for (int i = 0; i < count && o->autos < MOST_AUTO; i++, o->autos++) {
        o->found[o->autos].area = masks[i].area;
        for (int j = 0; j < 4; j++) o->found[o->autos].bbox[j] = masks[i].bbox[j];
    }
    return SAMC_OK;
}

/* Points, several of them, boxes, both; the last with a mask of the reference's as further prompt (NULL: its own
 * first). */
static void predict_all(engine *e, const samc_image *image, const float *mask_input, outcome *o) {
    static const int32_t labels[2] = {1, 0};
    float points[PROMPTS][4], boxes[PROMPTS][4];
    samc_prompt prompts[PROMPTS];
    for (int i = 0; i < PROMPTS; i++) {
        float x = (float)image->width, y = (float)image->height, at = (float)(i + 1) / (PROMPTS + 1);
        points[i][0] = at * x, points[i][1] = (1 - at) * y, points[i][2] = 0.9f * x, points[i][3] = 0.2f * y;
        boxes[i][0] = 0.1f * x, boxes[i][1] = 0.5f * at * y, boxes[i][2] = 0.5f * (1 + at) * x, boxes[i][3] = 0.9f * y;
        prompts[i] = (samc_prompt){
            .size = sizeof(samc_prompt), .points = points[i], .labels = labels, .point_count = 1 + (i == 3)};
        if (i == 4) prompts[i] = (samc_prompt){.size = sizeof(samc_prompt), .box = boxes[i]};
        if (i == 5 || i == 6) prompts[i].box = boxes[i];
    }
    for (int first = 0, count = PROMPTS - 1; first < PROMPTS; first += count, count = 1) {
        samc_result *result = NULL;
        if (first > 0) prompts[first].mask_input = mask_input ? mask_input : o->logits;
        must(e, samc_predict(e->session, prompts + first, count, true, &result), "prompts");
        memcpy(o->logits + first * MASKS * o->low2, samc_result_logits(result),
               (size_t)(count * MASKS * o->low2) * sizeof(float));
        memcpy(o->iou + first * MASKS, samc_result_iou(result), (size_t)(count * MASKS) * sizeof(float));
        for (int i = 0; i < count * MASKS; i++) {
            samc_mask mask = SAMC_INIT(samc_mask);
            samc_error error;
            must(e, samc_result_mask(e->session, result, i / MASKS, i % MASKS, &mask), "masks");
            if (samc_mask_bytes(&mask, o->masks + (first * MASKS + i) * o->width * o->height, &error) != SAMC_OK)
                die("%s", error.message);
        }
        samc_result_free(result);
    }
}

/* Returns the gate of its mean squared errors. */
static double run_all(const request *r, samc_backend backend, samc_precision precision, const outcome *like,
                      outcome *o) {
    engine e = open_engine(r->model, backend, precision);
    if (e.info.multimask_outputs != MASKS)
        die("%s: %d masks for a prompt, not %d", r->model, e.info.multimask_outputs, MASKS);
    samc_image image = scene(r, 1);
    *o = (outcome){.width = r->width,
                   .height = r->height,
                   .low2 = (int64_t)e.info.low_res * e.info.low_res,
                   .embedding_count = (int64_t)e.info.embed_channels * e.info.grid * e.info.grid};
    make_room(o);
    must(&e, samc_set_image(e.session, &image), "the image");
    must(&e, samc_get_embedding(e.session, 0, o->embedding), "the embedding");
    predict_all(&e, &image, like ? like->logits : NULL, o);
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(e.model, &automatic);
    automatic.points_per_side = r->points;
    automatic.pred_iou_thresh = 0.8,
    automatic.stability_score_thresh = 0.5; /* random masks are less stable than trained ones */
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
    const struct {
        const char *what;
        const float *expected, *actual;
        int64_t count;
    } values[] = {{"embedding", reference.embedding, own.embedding, own.embedding_count},
                  {"logits", reference.logits, own.logits, PROMPTS * MASKS * own.low2},
                  {"iou", reference.iou, own.iou, PROMPTS * MASKS}};
    row line = row_begin(r, "parity");
    bool same = true, exact = r->gate->precision == SAMC_PRECISION_F32;
    /* A random model's logits are small differences of large features, and the tails of many values are long: in 16
     * bits four times the squares of the trained-like golden model are allowed (gates.h: the rounding of activations,
     * and the tensor cores' sums for this depth and width), and ten deviations of that noise. What counts is the IoU of
     * the masks. */
    double most_nmse = exact ? gate : 4 * gate, most = exact ? r->gate->max : 10 * sqrt(most_nmse);
    for (int i = 0; i < 3; i++) {
        double nmse, largest;
        errors_of(values[i].expected, values[i].actual, values[i].count,
                  deviation_of(values[i].expected, values[i].count), &nmse, &largest);
        same &= nmse <= most_nmse && largest <= most;
        row_add(&line, ",\"%s_nmse\":%.3g,\"%s_max\":%.3g", values[i].what, isfinite(nmse) ? nmse : 1e300,
                values[i].what, isfinite(largest) ? largest : 1e300);
    }
    double median;
    int64_t pixels = PROMPTS * MASKS * own.width * own.height, different = compare_masks(&reference, &own, &median),
            found = 0;
    /* In f32 only pixels whose logit is within the gate of the threshold: 0.4 of a deviation's pixels lie there at
     * most, on either side. */
    same &= median >= least_mask_iou && (!exact || (double)different <= 0.8 * most * (double)pixels);
    for (int64_t i = 0; i < reference.autos; i++) /* the same area and box */
        for (int64_t j = 0; j < own.autos; j++)
            if (memcmp(&reference.found[i], &own.found[j], sizeof own.found[j]) == 0) {
                found++;
                break;
            }
    row_add(&line,
            ",\"gate_nmse\":%.3g,\"gate_max\":%.3g,\"pixels\":%lld,\"pixels_different\":%lld,\"median_mask_iou\":%.6f",
            most_nmse, most, (long long)pixels, (long long)different, median);
    row_add(&line, ",\"automatic_masks\":%lld,\"of_reference\":%lld,\"the_same\":%lld,\"status\":\"%s\"",
            (long long)own.autos, (long long)reference.autos, (long long)found, same ? "ok" : "failed");
    row_finish(r, &line);
    return !same;
}

/* ---- The same bytes, whatever the company ---------------------------------------------------- */

typedef struct bytes {
    uint64_t hash;
    long long count;
} bytes;

static void mix(bytes *to, const void *data, size_t size) { /* FNV-1a */
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++) to->hash = (to->hash ^ at[i]) * 1099511628211u;
    to->count += (long long)size;
}

static samc_status mix_masks(void *context, int image, const samc_mask *masks, int count,
                             const samc_auto_stats *stats) {
    (void)image, (void)stats;
    for (int i = 0; i < count; i++) {
        samc_error error;
        char *rle = allocate(masks[i].rle_length + 1);
        if (samc_mask_rle(&masks[i], rle, &error) != SAMC_OK) die("%s", error.message);
        mix(context, rle, masks[i].rle_length);
        mix(context, masks[i].bbox, sizeof masks[i].bbox);
        mix(context, &masks[i].predicted_iou, sizeof masks[i].predicted_iou);
        mix(context, &masks[i].stability_score, sizeof masks[i].stability_score);
        free(rle);
    }
    return SAMC_OK;
}

/* Embeddings of images alone, in a pair and among eight; automatic masks of all points by 64 and by 1024. */
static int check_bytes(const request *r) {
    enum { IMAGES = 8 };
    static const int companies[] = {2, IMAGES}, together[] = {64, 1024};
    engine e = open_engine(r->model, SAMC_BACKEND_CUDA, r->gate->precision);
    const size_t size = (size_t)e.info.embed_channels * (size_t)e.info.grid * (size_t)e.info.grid;
    samc_image images[IMAGES];
    float *alone[IMAGES], *now = allocate(size * sizeof *now);
    int64_t different[2] = {0, 0};
    bytes masks[2] = {{14695981039346656037u, 0}, {14695981039346656037u, 0}};
    for (int i = 0; i < IMAGES; i++) {
        images[i] = scene(r, (uint64_t)i + 1);
        alone[i] = allocate(size * sizeof *now);
        must(&e, samc_set_image(e.session, &images[i]), "an image alone");
        must(&e, samc_get_embedding(e.session, 0, alone[i]), "an image alone");
    }
    for (int c = 0; c < 2; c++) {
        must(&e, samc_set_images(e.session, images, companies[c]), "images together");
        for (int i = 0; i < companies[c]; i++) {
            must(&e, samc_get_embedding(e.session, i, now), "images together");
            for (size_t at = 0; at < size; at++) different[c] += memcmp(&now[at], &alone[i][at], sizeof *now) != 0;
        }
    }
    for (int c = 0; c < 2; c++) {
        samc_auto_options automatic = SAMC_INIT(samc_auto_options);
        samc_default_auto_options(e.model, &automatic);
        automatic.points_per_side = r->points, automatic.points_per_batch = together[c];
        automatic.pred_iou_thresh = 0.8, automatic.stability_score_thresh = 0.5;
        must(&e, samc_auto(e.session, images, 1, &automatic, mix_masks, &masks[c]), "automatic masks");
    }
    const bool points = masks[0].count == masks[1].count && masks[0].hash == masks[1].hash && masks[0].count > 0;
    const bool same = different[0] == 0 && different[1] == 0 && points;
    row line = row_begin(r, "bytes");
    row_add(&line,
            ",\"values\":%zu,\"different_of_two\":%lld,\"different_of_eight\":%lld,\"points\":%d,\"mask_bytes_by_64\":%"
            "lld,\"mask_bytes_by_1024\":%lld",
            size, (long long)different[0], (long long)different[1], r->points * r->points, masks[0].count,
            masks[1].count);
    row_add(&line, ",\"points_equal\":%s,\"status\":\"%s\"", points ? "true" : "false", same ? "equal" : "not equal");
    row_finish(r, &line);
    for (int i = 0; i < IMAGES; i++) free(alone[i]), free((void *)images[i].pixels);
    free(now);
    close_engine(&e);
    return !same;
}

static int say_hello(void) {
    char text[512];
    samc__cuda_device *device = NULL;
    samc_error error;
    if (samc__cuda_open(0, &device, &error) != SAMC_OK) {
        printf("%s\n", error.message);
        return 1;
    }
    samc__cuda_close(device);
    samc__cuda_describe(text, sizeof text);
    printf("%s\n", text);
    return 0;
}

/* ---- The program ----------------------------------------------------------------------------- */

static void read_batches(request *r, const char *text) {
    r->batch_count = 0;
    for (char *end; *text; text = *end == ',' ? end + 1 : end) {
        long n = strtol(text, &end, 10);
        if (end == text || n < 1 || n > MOST_BATCH || r->batch_count == 8)
            die("--batches takes numbers up to %d, not '%s'", MOST_BATCH, text);
        r->batches[r->batch_count++] = (int)n;
    }
}

static request parse(int argc, char **argv) {
    request r = {.gate = &all_gates[0],
                 .oracle = SAMC_BACKEND_CPU,
                 .width = 1500,
                 .height = 1000,
                 .points = 8,
                 .seed = 1,
                 .batches = {8, 1, 32},
                 .batch_count = 3,
                 .seconds = 2};
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
        else if (strcmp(option, "--backend") == 0)
            r.oracle = strcmp(value, "ref") == 0 ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU;
        else if (strcmp(option, "--precision") == 0 && gates_named(value)) r.gate = gates_named(value);
        else if (strcmp(option, "--size") != 0 || sscanf(value, "%dx%d", &r.width, &r.height) != 2)
            die("option %s %s is unknown", option, value);
    }
    r.verb = words[0], r.model = words[1], r.second = words[2];
    if (r.model == NULL || r.width < 1 || r.height < 1 || r.points < 1)
        die("see the head of tests/gpu/end_to_end.c for what it takes");
    if (r.second == NULL && strcmp(r.verb, "speed") != 0 && strcmp(r.verb, "auto") != 0 && strcmp(r.verb, "bytes") != 0)
        die("%s takes two files", r.verb);
    if (r.name == NULL) r.name = r.model;
    return r;
}

int engine_main(int argc, char **argv) {
    static outcome reference;
    if (argc > 1 && strcmp(argv[1], "hello") == 0) return say_hello();
    request r = parse(argc, argv);
    if (strcmp(r.verb, "weights") == 0) {
        samc_options options = {
            .size = sizeof(samc_options), .backend = r.oracle, .precision = SAMC_PRECISION_F32, .threads = 0};
        samc_error error;
        if (random_model_write(r.model, (uint64_t)r.seed, r.second, &options, &error) != SAMC_OK)
            die("%s", error.message);
    } else if (strcmp(r.verb, "oracle") == 0) {
        run_all(&r, r.oracle, SAMC_PRECISION_F32, NULL, &reference);
        transfer(&reference, r.second, true);
        printf("%lld automatic masks\n", (long long)reference.autos);
    } else if (strcmp(r.verb, "parity") == 0) {
        return check_parity(&r);
    } else if (strcmp(r.verb, "speed") == 0) {
        return run_speed(&r, false);
    } else if (strcmp(r.verb, "auto") == 0) {
        return run_speed(&r, true);
    } else if (strcmp(r.verb, "bytes") == 0) {
        return check_bytes(&r);
    } else {
        die("'%s' is not a verb of this program", r.verb);
    }
    return 0;
}
