/* Parity with the original implementation: every golden case through the public interface, with gates that can see a
 * mistake.
 *
 *     parity_test GOLDEN_DIR [--backend ref|cpu|cuda] [--precision f32|f16|bf16] [--threads N]
 *
 * GOLDEN_DIR holds tiny.safetensors and cases.safetensors as written by make_golden.py, whose first lines list the
 * tensors. Prints one row for each comparison and exits with 1 if any is beyond its gate, with 2 if it could not run.
 * On a GPU the libraries may sum in another order where more rows come together: what is equal to the bit on a CPU is
 * held to the gate of the largest error there. */
#include "tests/parity/gates.h"
#include "weights/checkpoint.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const backend_names[] = {"auto", "ref", "cpu", "cuda"};

enum { MAX_IMAGES = 16, MAX_CASES = 64, MAX_PROMPTS = 128, MAX_MASKS = 4 * MAX_PROMPTS };

typedef struct golden_image {
    const char *name;
    samc_image image;
    float *embedding; /* [C, grid, grid], the original's */
    float *own;       /* [C, grid, grid], samc's from samc_set_image() */
} golden_image;

typedef struct golden_case {
    const char *name;
    int image; /* index of its image */
    bool multimask;
    int prompts, masks;             /* P, M */
    int points;                     /* of each prompt */
    int mask_from;                  /* case whose first mask is the mask input, or -1 */
    float *xy, *boxes, *mask_input; /* [P, points, 2], [P, 4], [P, low, low]; NULL if there are none */
    int32_t *labels;                /* [P, points] */
    float *logits, *iou;            /* [P, M, low, low], [P, M] */
    const uint8_t *bits;            /* [P, M, ceil(h * w / 8)] */
    float *stability;               /* [P, M, 2] */
    float *near;                    /* [near_count] */
    int64_t near_count;
    float *own_logits, *own_iou; /* samc's, each prompt predicted alone */
    float *object, *own_object;  /* [P] logits of there being an object, of models that have them */
} golden_case;

typedef struct suite {
    samc__checkpoint *file;
    samc_model *model;
    samc_model_info info;
    samc_session *session;
    const char *cases_name, *settings[2]; /* --cases, or NULL; --set, ended by NULL */
    int64_t low2, embedding_size;         /* low * low, C * grid * grid */
    int images, cases, prompts;
    golden_image image[MAX_IMAGES];
    golden_case item[MAX_CASES];
    const gates *gate;
    double nmse_gate;     /* of this model on this backend */
    bool to_the_bit;      /* whether company must not change a result */
    double iou_deviation; /* of the reference, over all cases */
    int64_t wrong_pixels; /* of full-size masks */
    double mask_iou[MAX_MASKS];
    int masks_compared, failures;
} suite;

/* What was worst over all rows of one tensor, printed at the end beside the noise floor. */
typedef struct worst {
    const char *tensor;
    double nmse, max;
} worst;
static worst worst_rows[] = {{"embedding", 0, 0}, {"logits", 0, 0}, {"iou", 0, 0}};

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("parity_test: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(2);
}

static void must(suite *s, samc_status status, const char *what) {
    if (status != SAMC_OK) die("%s: %s", what, samc_last_error(s->session));
}

static void *allocate(int64_t bytes) {
    void *block = calloc((size_t)bytes, 1);
    if (block == NULL) die("out of memory");
    return block;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

/* The one comparator of values. A NaN anywhere fails. */
static void compare(suite *s, const char *name, const char *tensor, const float *reference, const float *value,
                    int64_t n, double deviation, double nmse_gate) {
    double nmse, largest;
    errors_of(reference, value, n, deviation, &nmse, &largest);
    bool ok = nmse <= nmse_gate && largest <= s->gate->max;
    printf("%-22s %-24s %9.1e %9.1e %9.1e %9.1e  %s\n", name, tensor, nmse, nmse_gate, largest, s->gate->max,
           ok ? "ok" : "FAIL");
    s->failures += !ok;
    for (size_t i = 0; i < sizeof worst_rows / sizeof *worst_rows; i++)
        if (strncmp(tensor, worst_rows[i].tensor, strlen(worst_rows[i].tensor)) == 0) {
            worst_rows[i].max = fmax(worst_rows[i].max, largest);
            if (isfinite(nmse_gate)) worst_rows[i].nmse = fmax(worst_rows[i].nmse, nmse);
        }
}

/* For what must be equal to the last bit, or exactly as the reference: a count of differences. */
static void expect_none(suite *s, const char *name, const char *what, int64_t differences) {
    printf("%-22s %-24s %9lld %9d %9s %9s  %s\n", name, what, (long long)differences, 0, "", "",
           differences ? "FAIL" : "ok");
    s->failures += differences != 0;
}

static int64_t differing(const suite *s, const float *a, const float *b, int64_t n, double deviation) {
    int64_t count = 0;
    double most = s->gate->max * deviation;
    for (int64_t i = 0; i < n; i++)
        count += s->to_the_bit ? memcmp(&a[i], &b[i], sizeof *a) != 0 : !(fabs((double)a[i] - (double)b[i]) <= most);
    return count;
}

/* ---- Reading the golden data ----------------------------------------------------------------- */

static const samc__tensor *find(const suite *s, const char *kind, const char *name, const char *part) {
    char key[256];
    snprintf(key, sizeof key, "%s.%s.%s", kind, name, part);
    return samc__checkpoint_find(s->file, key);
}

static const char *metadata(const suite *s, const char *kind, const char *name, const char *part) {
    char key[256];
    snprintf(key, sizeof key, "%s.%s.%s", kind, name, part);
    return samc__checkpoint_metadata(s->file, key);
}

/* The tensor's values, or NULL if it is absent; dies if it does not have `elements`. */
static float *read_optional(const suite *s, const char *kind, const char *name, const char *part, int64_t elements) {
    const samc__tensor *tensor = find(s, kind, name, part);
    if (tensor == NULL) return NULL;
    if (tensor->dtype != SAMC__F32 || samc__tensor_elements(tensor) != elements)
        die("%s.%s.%s is misshapen", kind, name, part);
    float *values = allocate(elements * (int64_t)sizeof *values);
    samc__tensor_read_f32(tensor, values);
    return values;
}

static float *read_values(const suite *s, const char *kind, const char *name, const char *part, int64_t elements) {
    float *values = read_optional(s, kind, name, part, elements);
    if (values == NULL) die("%s.%s.%s is missing", kind, name, part);
    return values;
}

/* Bytes (u8) in place; the dtype table of the reader has no type for them, so their number is checked instead. */
static const uint8_t *read_bytes(const suite *s, const char *kind, const char *name, const char *part, int64_t bytes) {
    const samc__tensor *tensor = find(s, kind, name, part);
    if (tensor == NULL || tensor->dtype != SAMC__OTHER || samc__tensor_elements(tensor) != bytes)
        die("%s.%s.%s is missing or misshapen", kind, name, part);
    return tensor->data;
}

static int64_t side(const suite *s, const char *kind, const char *name, const char *part, int axis) {
    const samc__tensor *tensor = find(s, kind, name, part);
    return tensor == NULL || axis >= tensor->rank ? 0 : tensor->shape[axis];
}

/* Splits a list of names in place; returns their number. */
static int split(const suite *s, const char *key, const char **names, int most) {
    const char *list = samc__checkpoint_metadata(s->file, key);
    if (list == NULL) die("cases.safetensors has no list of %s", key);
    int count = 0;
    for (char *name = strtok(strdup(list), " "); name != NULL; name = strtok(NULL, " ")) {
        if (count == most) die("more than %d %s", most, key);
        names[count++] = name;
    }
    return count;
}

static void read_image(suite *s, const char *name) {
    int64_t h = side(s, "image", name, "pixels", 0), w = side(s, "image", name, "pixels", 1);
    s->image[s->images++] = (golden_image){
        .name = name,
        .image = {sizeof(samc_image), read_bytes(s, "image", name, "pixels", h * w * 3), (int)w, (int)h,
                  (ptrdiff_t)(3 * w)},
        .embedding = read_values(s, "image", name, "embedding", s->embedding_size),
        .own = allocate(s->embedding_size * (int64_t)sizeof(float)),
    };
}

static void read_case(suite *s, const char *name) {
    golden_case *c = &s->item[s->cases++];
    int64_t p = side(s, "case", name, "logits", 0), m = side(s, "case", name, "logits", 1);
    const char *image = metadata(s, "case", name, "image"), *multimask = metadata(s, "case", name, "multimask");
    const char *mask_from = metadata(s, "case", name, "mask_from");
    if (image == NULL || multimask == NULL || p < 1) die("case %s is incomplete", name);
    *c = (golden_case){.name = name,
                       .image = -1,
                       .multimask = multimask[0] == '1',
                       .prompts = (int)p,
                       .masks = (int)m,
                       .mask_from = -1};
    for (int i = 0; i < s->images; i++)
        if (strcmp(s->image[i].name, image) == 0) c->image = i;
    for (int i = 0; mask_from && i < s->cases - 1; i++)
        if (strcmp(s->item[i].name, mask_from) == 0) c->mask_from = i;
    if (c->image < 0 || (mask_from && c->mask_from < 0))
        die("case %s names an image or a case that there is not", name);
    const samc_image *of = &s->image[c->image].image;
    c->points = (int)side(s, "case", name, "points", 1);
    c->xy = read_optional(s, "case", name, "points", p * c->points * 2);
    c->boxes = read_optional(s, "case", name, "boxes", p * 4);
    c->mask_input = read_optional(s, "case", name, "mask_input", p * s->low2);
    float *labels = read_optional(s, "case", name, "labels", p * c->points);
    c->labels = allocate(p * c->points * (int64_t)sizeof *c->labels + 1);
    for (int64_t i = 0; i < p * c->points; i++) c->labels[i] = (int32_t)labels[i];
    free(labels);
    c->logits = read_values(s, "case", name, "logits", p * m * s->low2);
    c->iou = read_values(s, "case", name, "iou", p * m);
    c->bits = read_bytes(s, "case", name, "masks", p * m * (((int64_t)of->height * of->width + 7) / 8));
    c->stability = read_values(s, "case", name, "stability", p * m * 2);
    c->near_count = side(s, "case", name, "near", 0);
    c->near = read_values(s, "case", name, "near", c->near_count);
    c->object = read_optional(s, "case", name, "object", p);
    c->own_object = allocate(p * (int64_t)sizeof(float));
    c->own_logits = allocate(p * m * s->low2 * (int64_t)sizeof(float));
    c->own_iou = allocate(p * m * (int64_t)sizeof(float));
    s->prompts += (int)p;
    if (s->prompts > MAX_PROMPTS) die("more than %d prompts", MAX_PROMPTS);
}

static samc_prompt prompt_of(const suite *s, const golden_case *c, int index, int image) {
    return (samc_prompt){
        .size = sizeof(samc_prompt),
        .points = c->xy ? c->xy + (int64_t)index * c->points * 2 : NULL,
        .labels = c->xy ? c->labels + (int64_t)index * c->points : NULL,
        .point_count = c->points,
        .box = c->boxes ? c->boxes + 4 * (int64_t)index : NULL,
        .mask_input = c->mask_input ? c->mask_input + index * s->low2 : NULL,
        .image = image,
    };
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static bool is_near(const golden_case *c, int64_t pixel) {
    for (int64_t i = 0; i < c->near_count; i++)
        if ((int64_t)c->near[i] == pixel) return true;
    return false;
}

/* Area, box and stability of one full-size mask against the mask itself and the original's counts; number of mistakes.
 */
static int64_t wrong_info(const suite *s, const golden_case *c, int64_t index, const samc_image *image,
                          const uint8_t *mask, const samc_mask *info) {
    int64_t area = 0;
    int x0 = image->width, y0 = image->height, x1 = -1, y1 = -1;
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            if (!mask[(int64_t)y * image->width + x]) continue;
            area++;
            x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
        }
    int box[4] = {area ? x0 : 0, area ? y0 : 0, area ? x1 - x0 : 0, area ? y1 - y0 : 0};
    /* A logit within rounding of 1 or -1 may move a count: two pixels are allowed. */
    double above = c->stability[2 * index], below = c->stability[2 * index + 1];
    bool stable = below == 0 ? info->stability_score == 0 : fabs(info->stability_score - above / below) <= 2 / below;
    stable |= s->gate->precision != SAMC_PRECISION_F32; /* 16 bits move many */
    return (info->area != area) + (memcmp(box, info->bbox, sizeof box) != 0) + !stable +
           !(info->predicted_iou == c->own_iou[index]);
}

static void check_masks(suite *s, const golden_case *c, samc_result *result, int prompt, int64_t *pixels,
                        int64_t *facts) {
    const samc_image *image = &s->image[c->image].image;
    int64_t size = (int64_t)image->height * image->width;
    uint8_t *mask = allocate(size);
    for (int m = 0; m < c->masks; m++) {
        int64_t index = (int64_t)prompt * c->masks + m;
        const uint8_t *bits = c->bits + index * ((size + 7) / 8);
        samc_mask info = SAMC_INIT(samc_mask);
        samc_error error;
        must(s, samc_result_mask(s->session, result, 0, m, &info), c->name);
        if (samc_mask_bytes(&info, mask, &error) != SAMC_OK) die("%s: %s", c->name, error.message);
        int64_t common = 0, either = 0;
        for (int64_t i = 0; i < size; i++) {
            int wanted = bits[i / 8] >> (i % 8) & 1;
            if (mask[i] != wanted) *pixels += !is_near(c, index * size + i);
            common += mask[i] & wanted, either += mask[i] | wanted;
        }
        *facts += wrong_info(s, c, index, image, mask, &info);
        c->own_object[prompt] = info.object_score;
        if (s->masks_compared == MAX_MASKS) die("more than %d masks", MAX_MASKS);
        s->mask_iou[s->masks_compared++] = either ? (double)common / (double)either : 1.0;
    }
    free(mask);
}

/* One case, its prompts one by one. Leaves samc's values in the case. */
static void check_case(suite *s, golden_case *c) {
    int64_t logits = c->masks * s->low2, pixels = 0, facts = 0;
    for (int p = 0; p < c->prompts; p++) {
        samc_prompt prompt = prompt_of(s, c, p, 0);
        samc_result *result = NULL;
        must(s, samc_predict(s->session, &prompt, 1, c->multimask, &result), c->name);
        if (samc_result_masks(result) != c->masks)
            die("%s: %d masks instead of %d", c->name, samc_result_masks(result), c->masks);
        memcpy(c->own_logits + p * logits, samc_result_logits(result), (size_t)logits * sizeof(float));
        memcpy(c->own_iou + p * c->masks, samc_result_iou(result), (size_t)c->masks * sizeof(float));
        check_masks(s, c, result, p, &pixels, &facts);
        samc_result_free(result);
    }
    compare(s, c->name, "logits", c->logits, c->own_logits, c->prompts * logits,
            deviation_of(c->logits, c->prompts * logits), s->nmse_gate);
    /* One or three values have no mean to speak of: their NMSE is gated over all cases together. */
    compare(s, c->name, "iou", c->iou, c->own_iou, (int64_t)c->prompts * c->masks, s->iou_deviation, INFINITY);
    if (c->object != NULL) /* calibrated to a deviation of 3 */
        compare(s, c->name, "object", c->object, c->own_object, c->prompts, 3.0, INFINITY);
    if (s->gate->precision == SAMC_PRECISION_F32) expect_none(s, c->name, "mask pixels", pixels);
    s->wrong_pixels += pixels;
    expect_none(s, c->name, "area, box, stability", facts);
}

/* Predicts prompts of several cases in one call and counts values that differ from those predicted one by one. */
static int64_t differing_together(suite *s, int first, int last, bool multimask, bool own_images) {
    samc_prompt prompts[MAX_PROMPTS];
    int count = 0;
    for (int i = first; i < last; i++)
        for (int p = 0; p < s->item[i].prompts && s->item[i].multimask == multimask; p++)
            prompts[count++] = prompt_of(s, &s->item[i], p, own_images ? s->item[i].image : 0);
    if (count == 0) return 0;
    samc_result *result = NULL;
    must(s, samc_predict(s->session, prompts, count, multimask, &result), "many prompts");
    int64_t differences = 0, masks = samc_result_masks(result), at = 0;
    for (int i = first; i < last; i++) {
        const golden_case *c = &s->item[i];
        if (c->multimask != multimask) continue;
        differences +=
            differing(s, samc_result_logits(result) + at * masks * s->low2, c->own_logits, c->prompts * masks * s->low2,
                      deviation_of(c->own_logits, c->prompts * masks * s->low2));
        differences +=
            differing(s, samc_result_iou(result) + at * masks, c->own_iou, c->prompts * masks, s->iou_deviation);
        at += c->prompts;
    }
    samc_result_free(result);
    return differences;
}

/* Sets the image by what was made of it: its embedding, and the finer levels of models that have some. */
static void restore_image(suite *s, const golden_image *image) {
    float *levels[8] = {image->own};
    int count = 1, channels, side;
    for (; samc_model_level(s->model, count, NULL, &channels, &side) == SAMC_OK; count++) {
        levels[count] = allocate((int64_t)channels * side * side * (int64_t)sizeof(float));
        must(s, samc_get_level(s->session, 0, count, levels[count]), image->name);
    }
    must(s, samc_set_levels(s->session, (const float *const *)levels, count, image->image.width, image->image.height),
         image->name);
    for (int i = 1; i < count; i++) free(levels[i]);
}

/* The finer levels of an image, of models whose golden data have them. */
static void check_levels(suite *s, const golden_image *image) {
    int channels, side_of;
    const char *level;
    for (int i = 1; samc_model_level(s->model, i, &level, &channels, &side_of) == SAMC_OK; i++) {
        const int64_t n = (int64_t)channels * side_of * side_of;
        if (find(s, "image", image->name, level) == NULL) continue;
        float *golden = read_values(s, "image", image->name, level, n), *own = allocate(n * (int64_t)sizeof(float));
        char what[64];
        snprintf(what, sizeof what, "embedding, %s", level);
        must(s, samc_get_level(s->session, 0, i, own), image->name);
        compare(s, image->name, what, golden, own, n, deviation_of(golden, n), s->nmse_gate);
        free(golden);
        free(own);
    }
}

/* All cases on one image: one by one, many at once, from its saved embedding, and with earlier results as mask input.
 */
static void check_image(suite *s, int index) {
    golden_image *image = &s->image[index];
    must(s, samc_set_image(s->session, &image->image), image->name);
    must(s, samc_get_embedding(s->session, 0, image->own), image->name);
    compare(s, image->name, "embedding", image->embedding, image->own, s->embedding_size,
            deviation_of(image->embedding, s->embedding_size), s->nmse_gate);
    check_levels(s, image);
    int64_t together = 0, restored = 0;
    for (int i = 0; i < s->cases; i++)
        if (s->item[i].image == index) check_case(s, &s->item[i]);
    for (int i = 0; i < s->cases; i++)
        if (s->item[i].image == index) together += differing_together(s, i, i + 1, s->item[i].multimask, false);
    expect_none(s, image->name, "prompts at once", together);

    restore_image(s, image);
    for (int i = 0; i < s->cases; i++)
        if (s->item[i].image == index) restored += differing_together(s, i, i + 1, s->item[i].multimask, false);
    expect_none(s, image->name, "saved embedding", restored);

    for (int i = 0; i < s->cases; i++) {
        golden_case *c = &s->item[i];
        if (c->image != index || c->mask_from < 0) continue;
        samc_prompt prompt = prompt_of(s, c, 0, 0);
        prompt.mask_input = s->item[c->mask_from].own_logits; /* of its first prompt's first mask */
        samc_result *result = NULL;
        must(s, samc_predict(s->session, &prompt, 1, c->multimask, &result), c->name);
        compare(s, c->name, "logits, own mask fed back", c->logits, samc_result_logits(result), c->masks * s->low2,
                deviation_of(c->logits, c->masks * s->low2), s->nmse_gate);
        samc_result_free(result);
    }
}

/* All images in one call, and all prompts of all images in one call. */
static void check_batch(suite *s) {
    samc_image images[MAX_IMAGES];
    float *embedding = allocate(s->embedding_size * (int64_t)sizeof(float));
    int64_t differences = 0;
    for (int i = 0; i < s->images; i++) images[i] = s->image[i].image;
    must(s, samc_set_images(s->session, images, s->images), "several images");
    for (int i = 0; i < s->images; i++) {
        must(s, samc_get_embedding(s->session, i, embedding), "several images");
        differences += differing(s, embedding, s->image[i].own, s->embedding_size,
                                 deviation_of(s->image[i].own, s->embedding_size));
    }
    free(embedding);
    expect_none(s, "all images", "images at once", differences);
    expect_none(s, "all images", "prompts at once, three", differing_together(s, 0, s->cases, true, true));
    expect_none(s, "all images", "prompts at once, one", differing_together(s, 0, s->cases, false, true));
}

/* Gathers the IoU of all cases, the original's and samc's; returns their number. */
static int64_t gather_iou(const suite *s, float *reference, float *value) {
    int64_t count = 0;
    for (int i = 0; i < s->cases; i++)
        for (int64_t j = 0; j < (int64_t)s->item[i].prompts * s->item[i].masks; j++, count++) {
            reference[count] = s->item[i].iou[j];
            value[count] = s->item[i].own_iou[j];
        }
    return count;
}

/* ---- Program --------------------------------------------------------------------------------- */

static void usage(void) {
    fputs("usage: parity_test GOLDEN_DIR [--backend ref|cpu|cuda] [--precision f32|f16|bf16] [--threads N] [--set "
          "NAME=VALUE]\n"
          "       [--cases FILE]\n",
          stderr);
    exit(2);
}

static samc_options parse(suite *s, int argc, char **argv, const char **directory) {
    samc_options options = SAMC_INIT(samc_options);
    samc_default_options(&options);
    options.backend = SAMC_BACKEND_REF;
    s->gate = &all_gates[0];
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--backend") == 0 && i + 1 < argc) {
            const char *name = argv[++i];
            options.backend = SAMC_BACKEND_CUDA;
            while (options.backend != SAMC_BACKEND_AUTO && strcmp(name, backend_names[options.backend]) != 0)
                options.backend--;
            if (options.backend == SAMC_BACKEND_AUTO) usage();
        } else if (strcmp(argv[i], "--precision") == 0 && i + 1 < argc) {
            s->gate = gates_named(argv[++i]);
            if (s->gate == NULL) usage();
        } else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
            options.threads = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--set") == 0 && i + 1 < argc) {
            s->settings[0] = argv[++i];
            options.settings = s->settings;
        } else if (strcmp(argv[i], "--cases") == 0 && i + 1 < argc) {
            s->cases_name = argv[++i];
        } else if (argv[i][0] != '-' && *directory == NULL) {
            *directory = argv[i];
        } else {
            usage();
        }
    }
    if (*directory == NULL) usage();
    options.precision = s->gate->precision;
    s->to_the_bit = options.backend != SAMC_BACKEND_CUDA;
    return options;
}

static void open_suite(suite *s, const char *directory, const samc_options *options) {
    char path[4096];
    samc_error error;
    const char *names[MAX_CASES];
    snprintf(path, sizeof path, "%s/tiny.safetensors", directory);
    if (samc_model_open(path, options, &s->model, &error) != SAMC_OK) die("%s", error.message);
    if (samc_session_create(s->model, &s->session, &error) != SAMC_OK) die("%s", error.message);
    snprintf(path, sizeof path, "%s/%s", directory, s->cases_name ? s->cases_name : "cases.safetensors");
    if (samc__checkpoint_open(path, &s->file, &error) != SAMC_OK) die("%s", error.message);
    s->info.size = sizeof s->info;
    samc_model_get_info(s->model, &s->info);
    s->nmse_gate = nmse_gate(s->gate, &s->info);
    s->low2 = (int64_t)s->info.low_res * s->info.low_res;
    s->embedding_size = (int64_t)s->info.embed_channels * s->info.grid * s->info.grid;
    int images = split(s, "images", names, MAX_IMAGES);
    for (int i = 0; i < images; i++) read_image(s, names[i]);
    int cases = split(s, "cases", names, MAX_CASES);
    for (int i = 0; i < cases; i++) read_case(s, names[i]);
}

static double noise(const suite *s, const char *tensor, const char *part) {
    const char *text = metadata(s, "noise", tensor, part);
    return text ? atof(text) : NAN;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median IoU of full-size masks with the original's. */
static void check_mask_iou(suite *s) {
    qsort(s->mask_iou, (size_t)s->masks_compared, sizeof *s->mask_iou, ascending);
    double median = s->mask_iou[s->masks_compared / 2];
    s->failures += !(median >= least_mask_iou);
    printf(
        "%lld mask pixel(s) differ; IoU of %d masks with the original's: median %.5f (at least %.2f), smallest %.5f\n",
        (long long)s->wrong_pixels, s->masks_compared, median, least_mask_iou, s->mask_iou[0]);
}

int main(int argc, char **argv) {
    static suite s;
    const char *directory = NULL;
    samc_options options = parse(&s, argc, argv, &directory);
    open_suite(&s, directory, &options);
    static float iou[MAX_PROMPTS * 16], own_iou[MAX_PROMPTS * 16];
    int64_t ious = gather_iou(&s, iou, own_iou);
    s.iou_deviation = deviation_of(iou, ious);

    printf("backend %s in %s, %d thread(s), %d images, %d cases, %d prompts\n", backend_names[options.backend],
           s.gate->name, s.info.threads, s.images, s.cases, s.prompts);
    printf("%-22s %-24s %9s %9s %9s %9s\n", "case", "tensor", "NMSE", "gate", "max/dev", "gate");
    for (int i = 0; i < s.images; i++) check_image(&s, i);
    check_batch(&s);
    gather_iou(&s, iou, own_iou);
    compare(&s, "all cases", "iou", iou, own_iou, ious, s.iou_deviation, s.nmse_gate);

    printf("\n%-10s %9s %9s %10s %9s %11s %10s\n", "worst", "NMSE", "max/dev", "NMSE gate", "max gate", "NMSE noise",
           "max noise");
    for (size_t i = 0; i < sizeof worst_rows / sizeof *worst_rows; i++)
        printf("%-10s %9.1e %9.1e %10.1e %9.1e %11.1e %10.1e\n", worst_rows[i].tensor, worst_rows[i].nmse,
               worst_rows[i].max, s.nmse_gate, s.gate->max, noise(&s, worst_rows[i].tensor, "nmse"),
               noise(&s, worst_rows[i].tensor, "max"));
    check_mask_iou(&s);
    printf("%d comparison(s) beyond their gate\n", s.failures);
    samc_session_destroy(s.session);
    samc_model_close(s.model);
    return s.failures ? 1 : 0;
}
