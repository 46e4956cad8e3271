/* Recipes. Resizes and mask paths against the libraries that models were trained with: golden data of
 * make_recipe_fixtures.py, through the references and every rung of the CPU table. Then the metadata. */
#include <criterion/criterion.h>

#include "kernels/cpu/caps.h"
#include "kernels/finish_masks/finish_masks.h"
#include "kernels/ops.h"
#include "kernels/preprocess/preprocess.h"
#include "runtime/memory.h"
#include "runtime/model/published.h"
#include "runtime/model/reading.h"
#include "runtime/model/recipe.h"
#include "runtime/model/skimage.h"
#include "runtime/threads.h"
#include "weights/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Golden data ----------------------------------------------------------------------------- */

static samc__checkpoint *open_data(const char *name) {
    char path[512];
    samc_error error;
    samc__checkpoint *file = NULL;
    snprintf(path, sizeof path, "%s/recipe/%s.safetensors", SAMC_TEST_DATA, name);
    cr_assert_eq(samc__checkpoint_open(path, &file, &error), SAMC_OK, "%s", error.message);
    return file;
}

static const samc__tensor *find(const samc__checkpoint *file, const char *name, const char *part) {
    char key[128];
    snprintf(key, sizeof key, "%s/%s", name, part);
    return samc__checkpoint_find(file, key);
}

/* NULL where there is none. */
static float *floats(const samc__tensor *tensor) {
    if (tensor == NULL) return NULL;
    float *values = malloc((size_t)samc__tensor_elements(tensor) * sizeof *values);
    cr_assert(values != NULL && tensor->dtype == SAMC__F32);
    samc__tensor_read_f32(tensor, values);
    return values;
}

/* ---- Operators on every table ---------------------------------------------------------------- */

typedef struct table {
    const char *name;
    samc__ops ops;
} table;
enum { TABLES = 4 };

static void fill_tables(table tables[TABLES]) {
    static const char *const names[TABLES] = {"ref", "sse2 or neon", "avx2", "avx512"};
    unsigned have = samc__caps_detect(),
             caps[TABLES] = {0, SAMC__CAP_VEC16, SAMC__CAP_AVX2, SAMC__CAP_AVX2 | SAMC__CAP_AVX512};
    for (int i = 0; i < TABLES; i++) {
        tables[i].name = names[i];
        samc__ops_ref(&tables[i].ops);
        if (i > 0) samc__ops_cpu(&tables[i].ops, caps[i] & have);
    }
}

static samc__exec exec_on(const samc__ops *ops, samc_error *error, samc__memory *memory, samc__pool *pool) {
    return (samc__exec){.ops = ops,
                        .error = error,
                        .workers = 2,
                        .pool = pool,
                        .parallel = samc__pool_run,
                        .memory = memory,
                        .allocate = samc__memory_allocate,
                        .release = samc__memory_release};
}

/* ---- Resizes --------------------------------------------------------------------------------- */

enum { SIDE = 24, VALUES = 3 * SIDE * SIDE, PATCH = 6, GRID = SIDE / PATCH };
static const char *const image_names[] = {"photo", "small", "near", "wide", "long", "noise", "even", "dot"};
enum { IMAGES = sizeof image_names / sizeof *image_names };

typedef struct resize {
    samc__filter filter;
    samc__range range;
    float mean[3], std[3];
} resize;

/* An image squashed to SIDE x SIDE -> [SIDE, SIDE, 3]; returns the longest filter of an axis. */
static double resized(const table *t, const samc__tensor *image, const resize *how, float *pixels) {
    static float patches[VALUES];
    samc_error error;
    samc__memory memory = {0};
    samc__pool *pool = samc__pool_create(2);
    samc__exec exec = exec_on(&t->ops, &error, &memory, pool);
    int height = (int)image->shape[0], width = (int)image->shape[1];
    samc__preprocess_args args = {
        .rgb = image->data,
        .row_bytes = 3 * (ptrdiff_t)width,
        .height = height,
        .width = width,
        .new_height = SIDE,
        .new_width = SIDE,
        .patch = PATCH,
        .grid = GRID,
        .filter = how->filter,
        .range = how->range,
        .patches = samc__view2(patches, GRID * GRID, 3 * PATCH * PATCH),
    };
    memcpy(args.mean, how->mean, sizeof args.mean);
    memcpy(args.std, how->std, sizeof args.std);
    cr_assert_eq(samc__preprocess(&exec, &args), SAMC_OK, "%s", error.message);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                pixels[(y * SIDE + x) * 3 + c] =
                    patches[((y / PATCH * GRID + x / PATCH) * 3 + c) * PATCH * PATCH + y % PATCH * PATCH + x % PATCH];
    samc__pool_destroy(pool);
    double longest = fmax(height, width) / SIDE;
    return 2 * fmax(longest, 1) + 1;
}

static resize bytes_of(samc__filter filter) {
    return (resize){filter, SAMC__RANGE_255, {0.0f, 0.0f, 0.0f}, {1.0f, 1.0f, 1.0f}};
}

/* In units of the values that are summed, which are at most 1: each of the two passes, here and there, rounds a sum of
 * `terms` terms that many times (a random walk; six deviations of it), and its products and weights. */
static double rounding(double terms) { return 2 * 2 * (6 * sqrt(terms / 12) + 3) * 0x1p-24; }

/* Bytes are the library's wherever its own value before rounding is farther than `bound` from where rounding turns
 * (`turn` above a whole number), and never off by more than one. Returns how many were compared so. */
static int compare_bytes(const char *what, const float *pixels, const uint8_t *bytes, const float *raw, double turn,
                         double bound) {
    int sure = 0;
    for (int i = 0; i < VALUES; i++) {
        double at = raw ? raw[i] - turn - floor(raw[i] - turn) : 0.5; /* 0 and 1: where it turns */
        bool near = at < bound || at > 1 - bound;
        sure += !near;
        cr_assert(pixels[i] == (float)bytes[i] || (near && fabsf(pixels[i] - (float)bytes[i]) <= 1),
                  "%s: value %d is %g, not %d (from %.9g)", what, i, (double)pixels[i], bytes[i],
                  raw ? (double)raw[i] : 0.0);
    }
    return sure;
}

/* For each table and image. */
static void each_resize(const char *file, void (*check)(const table *t, const char *what, const samc__tensor *image,
                                                        const samc__checkpoint *golden, const char *name)) {
    table tables[TABLES];
    fill_tables(tables);
    samc__checkpoint *images = open_data("images"), *golden = open_data(file);
    for (int t = 0; t < TABLES; t++)
        for (int i = 0; i < IMAGES; i++) {
            char what[64];
            snprintf(what, sizeof what, "%s on %s", image_names[i], tables[t].name);
            check(&tables[t], what, samc__checkpoint_find(images, image_names[i]), golden, image_names[i]);
        }
    samc__checkpoint_close(golden);
    samc__checkpoint_close(images);
}

static void check_pillow(const table *t, const char *what, const samc__tensor *image, const samc__checkpoint *golden,
                         const char *name) {
    float pixels[VALUES];
    resize how = bytes_of(SAMC__FILTER_PILLOW_U8);
    resized(t, image, &how, pixels);
    cr_expect_eq(compare_bytes(what, pixels, find(golden, name, "u8")->data, NULL, 0.5, 0), VALUES);
}
Test(resize, pillow) { each_resize("resize_pillow_u8", check_pillow); }

/* ImageNet's mean and deviation in units of the brightest pixel. */
static void check_floats(const table *t, const char *what, const samc__tensor *image, const samc__checkpoint *golden,
                         const char *name, samc__filter filter) {
    float pixels[VALUES], *raw = floats(find(golden, name, "raw"));
    resize how = {filter, SAMC__RANGE_1, {0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
    double bound = rounding(resized(t, image, &how, pixels)) / 0.224 + 2.7 * 3 * 0x1p-24; /* and normalising */
    for (int i = 0; i < VALUES; i++)
        cr_assert_float_eq(pixels[i], raw[i], bound, "%s: value %d is %.9g, not %.9g (bound %.1e)", what, i,
                           (double)pixels[i], (double)raw[i], bound);
    free(raw);
}
static void check_torch_aa(const table *t, const char *what, const samc__tensor *image, const samc__checkpoint *golden,
                           const char *name) {
    check_floats(t, what, image, golden, name, SAMC__FILTER_TORCH_AA_F32);
}
static void check_bilinear(const table *t, const char *what, const samc__tensor *image, const samc__checkpoint *golden,
                           const char *name) {
    check_floats(t, what, image, golden, name, SAMC__FILTER_BILINEAR);
}
Test(resize, torch_antialiased_floats) { each_resize("resize_torch_aa_f32", check_torch_aa); }
Test(resize, torch_bilinear) { each_resize("resize_bilinear", check_bilinear); }

static void check_torch_u8(const table *t, const char *what, const samc__tensor *image, const samc__checkpoint *golden,
                           const char *name) {
    float pixels[VALUES], *raw = floats(find(golden, name, "raw"));
    const uint8_t *native = find(golden, name, "native")->data;
    resize how = bytes_of(SAMC__FILTER_TORCH_AA_U8);
    double bound = 255 * rounding(resized(t, image, &how, pixels));
    cr_expect_gt(compare_bytes(what, pixels, find(golden, name, "u8")->data, raw, 0.5, bound), VALUES * 9 / 10);
    for (int i = 0; i < VALUES; i++) /* torch's own arithmetic for bytes on CPUs rounds after each pass */
        cr_assert_leq(fabsf(pixels[i] - (float)native[i]), 1, "%s: value %d, native", what, i);
    free(raw);
}
Test(resize, torch_antialiased_bytes) { each_resize("resize_torch_aa_u8", check_torch_u8); }

static void check_cubic(const table *t, const char *what, const samc__tensor *image, const samc__checkpoint *golden,
                        const char *name) {
    float pixels[VALUES], *raw = floats(find(golden, name, "raw")), *out = floats(find(golden, name, "out"));
    const uint8_t *bytes = find(golden, name, "u8")->data;
    resize how = bytes_of(SAMC__FILTER_CUBIC_AA);
    double scale = resized(t, image, &how, pixels);
    /* The Gaussian reaches 2 scales to both sides, the spline 16; absolute weights of the spline's prefilter add up to
     * 3 (its gain at the highest frequency) on each axis. */
    double bound = 255 * 3 * 3 * rounding(4 * scale + 36) + (double)0x1p-10f;
    int sure = compare_bytes(what, pixels, bytes, raw, 0, bound), turns = 0;
    for (int i = 0; i < VALUES; i++) turns += raw[i] == floorf(raw[i]); /* clipped or even: any library's chance */
    cr_expect_geq(sure, (VALUES - turns) * 8 / 10, "%s: %d of %d", what, sure, VALUES - turns);
    int least = 255, most = 0;
    for (int i = 0; i < VALUES; i++) {
        least = bytes[i] < least ? bytes[i] : least;
        most = bytes[i] > most ? bytes[i] : most;
    }
    how.range = SAMC__RANGE_MIN_MAX;
    if (out) resized(t, image, &how, pixels);
    for (int i = 0; out && i < VALUES; i++) {
        double at = raw[i] - floor(raw[i]), step = at < bound || at > 1 - bound ? 1.01 / (most - least) : 0x1p-23;
        cr_assert_float_eq(pixels[i], out[i], step, "%s: value %d is %.9g, not %.9g", what, i, (double)pixels[i],
                           (double)out[i]);
    }
    free(out);
    free(raw);
}
Test(resize, skimage_cubic) { each_resize("resize_cubic_aa", check_cubic); }

/* ---- Masks ----------------------------------------------------------------------------------- */

enum { LOW = 16, SQUARE = 64, MASKS = 2 };

/* A pixel is in the mask where the library's logit is above the threshold, for many thresholds, which pins every value.
 * Where the two are closer than `bound`, either is right. Returns how many pixels were sure. */
static int64_t compare_masks(const table *t, const samc__finish_masks_args *shape, const float *golden) {
    /* A sum of 16 products, whose absolute weights add up to at most 1.5 * 1.5, of logits up to 20, here and there. */
    const double bound = 2 * 2.25 * 20 * (16 + 6) * 0x1p-24;
    samc__finish_masks_args args = *shape;
    int64_t pixels = (int64_t)args.height * args.width, words = (args.width + 63) / 64, sure = 0;
    uint64_t *bits = calloc((size_t)(MASKS * args.height * words), sizeof *bits);
    samc__mask_stats stats[MASKS];
    cr_assert_not_null(bits);
    args.bits = bits, args.stats = stats;
    for (float threshold = -12.0f; threshold <= 12.0f; threshold += 0.171f) {
        samc_error error;
        samc__memory memory = {0};
        samc__pool *pool = samc__pool_create(2);
        samc__exec exec = exec_on(&t->ops, &error, &memory, pool);
        args.threshold = threshold;
        cr_assert_eq(samc__finish_masks(&exec, &args), SAMC_OK, "%s", error.message);
        samc__pool_destroy(pool);
        for (int64_t i = 0; i < MASKS * pixels; i++) {
            int64_t x = i % args.width, row = i / args.width;
            bool in = bits[row * words + x / 64] >> (x % 64) & 1;
            if (fabs((double)golden[i] - (double)threshold) <= bound) continue;
            sure++;
            cr_assert_eq(in, golden[i] > threshold, "%s, path %d to %d x %d: pixel %d is %d at %g, the logit is %.9g",
                         t->name, args.path, args.width, args.height, (int)i, in, (double)threshold, (double)golden[i]);
        }
    }
    free(bits);
    return sure;
}

Test(masks, paths) {
    static const char *const paths[SAMC__MASK_PATHS] = {"via_square", "direct", "bicubic"};
    static const int sizes[][2] = {{45, 30}, {9, 7}, {40, 47}, {1, 5}};
    table tables[TABLES];
    fill_tables(tables);
    samc__checkpoint *file = open_data("masks");
    float *logits = floats(samc__checkpoint_find(file, "logits"));
    for (int path = 0; path < SAMC__MASK_PATHS; path++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            int width = sizes[i][0], height = sizes[i][1];
            double scale = (double)SQUARE / (width > height ? width : height);
            char part[32];
            snprintf(part, sizeof part, "%dx%d", width, height);
            float *golden = floats(find(file, paths[path], part));
            samc__finish_masks_args args = {.logits = samc__view3(logits, MASKS, LOW, LOW),
                                            .path = (samc__mask_path)path,
                                            .height = height,
                                            .width = width};
            if (path == SAMC__MASKS_VIA_SQUARE)
                args.img_size = SQUARE, args.new_width = (int)(width * scale + 0.5),
                args.new_height = (int)(height * scale + 0.5);
            for (int t = 0; t < TABLES; t++) {
                int64_t sure = compare_masks(&tables[t], &args, golden);
                cr_expect_gt(sure, (int64_t)140 * MASKS * width * height * 99 / 100);
            }
            free(golden);
        }
    free(logits);
    samc__checkpoint_close(file);
}

/* ---- Metadata -------------------------------------------------------------------------------- */

/* What a file says that was written with this recipe. */
static samc_status read_back(const samc__checkpoint *file, const samc__recipe *own, const samc__recipe *written,
                             samc__recipe *found, samc_error *error) {
    samc__json_text text = {0};
    samc__json json;
    size_t at;
    samc__json_put(&text, "{", 1);
    samc__recipe_write(written, &text);
    samc__json_put(&text, "}", 1);
    cr_assert(!text.failed && samc__json_check(text.data, text.used, &json, &at) == NULL, "%s", text.data);
    samc__reading r = {.checkpoint = file, .json = json, .status = SAMC_OK, .error = error};
    *found = (samc__recipe){.side = written->side};
    samc__recipe_read(&r, own, found);
    free(text.data);
    return r.status;
}

/* Every recipe is read as it was written; the encoder's own alone may be used. */
Test(metadata, every_recipe) {
    static const samc__recipe sam = {.mean = {123.675f, 116.28f, 103.53f}, .std = {58.395f, 57.12f, 57.375f}};
    samc__checkpoint *file = open_data("masks");
    int count = 0, used = 0;
    enum { FORMS = SAMC__LEVELS * SAMC__ASKED * 2 };
    for (int i = 0; i < SAMC__RESIZES * SAMC__FILTERS * SAMC__RANGES * SAMC__MASK_PATHS * 4 * FORMS; i++) {
        int rest = i;
        samc__recipe recipe = sam, found;
        samc_error error;
        recipe.side = 512, recipe.frame = 512 << (rest % 2), rest /= 2;
        recipe.clamp = rest % 2 ? 32.0f : 0.0f, rest /= 2;
        recipe.resize = (samc__resize)(rest % SAMC__RESIZES), rest /= SAMC__RESIZES;
        recipe.filter = (samc__filter)(rest % SAMC__FILTERS), rest /= SAMC__FILTERS;
        recipe.range = (samc__range)(rest % SAMC__RANGES), rest /= SAMC__RANGES;
        recipe.masks = (samc__mask_path)(rest % SAMC__MASK_PATHS), rest /= SAMC__MASK_PATHS;
        recipe.levels = (samc__levels)(rest % SAMC__LEVELS), rest /= SAMC__LEVELS;
        recipe.asked = (samc__asked)(rest % SAMC__ASKED), rest /= SAMC__ASKED;
        recipe.sigmoid = rest % 2;
        recipe.mean[1] = 0.25f, recipe.threshold = 0.5f;
        cr_assert_eq(read_back(file, &sam, &recipe, &found, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(memcmp(&found, &recipe, sizeof recipe), 0, "recipe %d", i);
        samc_status status = samc__recipe_check(&recipe, &sam, 1, "model.file", &error);
        bool own = recipe.frame == 512 && recipe.clamp == 0 && recipe.resize == SAMC__RESIZE_LONGEST_SIDE &&
                   recipe.filter == SAMC__FILTER_PILLOW_U8 && recipe.range == SAMC__RANGE_255 &&
                   recipe.masks == SAMC__MASKS_VIA_SQUARE && recipe.levels == SAMC__LEVELS_AS_THEY_ARE &&
                   recipe.asked == SAMC__ASKED_ANY && !recipe.sigmoid;
        cr_assert_eq(status, own ? SAMC_OK : SAMC_UNSUPPORTED);
        used += own, count++;
        if (own) continue;
        cr_assert_not_null(strstr(error.message, "model.file: no encoder of samc is used with the model's recipe"));
        cr_assert(strchr(error.message, '\n') == NULL && strstr(error.message, ")") != NULL, "%s", error.message);
        cr_assert_eq(samc__recipe_check(&recipe, &recipe, 1, "model.file", &error), SAMC_OK);
    }
    cr_expect(count == 360 * FORMS && used == 1);
    samc__checkpoint_close(file);
}

/* A published file is known by its size and then its hash; of another size it is not even read. */
Test(published, by_size_then_by_hash) {
    samc__checkpoint *file = open_data("images");
    char hex[65];
    cr_assert_eq(samc__files_hash(file, hex, NULL), SAMC_OK);
    samc__published rows[] = {
        {"a", samc__checkpoint_bytes(file) + 1, hex, "medsam", NULL}, /* another size */
        {"b", samc__checkpoint_bytes(file), "00", "sam", NULL},       /* another hash */
        {"c", 0, hex, "sam", "another kind"},
        {"d", samc__checkpoint_bytes(file), hex, "medsam", NULL},
        {.name = NULL},
    };
    const samc__published *found = samc__published_find(rows, file, "vit");
    cr_assert_not_null(found);
    cr_expect_str_eq(found->name, "d");
    cr_expect_str_eq(samc__published_find(rows, file, "another kind")->name, "c");
    rows[3] = rows[4];
    cr_expect_null(samc__published_find(rows, file, "vit"));
    for (const samc__published *row = samc__published_files; row->name != NULL; row++) {
        cr_expect(strlen(row->sha256) == 64 && strspn(row->sha256, "0123456789abcdef") == 64, "%s", row->name);
        cr_expect((row->size > 0) == (row->encoder == NULL), "%s", row->name);
    }
    samc__checkpoint_close(file);
}

/* An image by scikit-image's resize on `threads` threads, something between its rows; returns how many bytes are off.
 */
static int bytes_off(const samc__tensor *image, const uint8_t *expected, int threads) {
    const int height = (int)image->shape[0], width = (int)image->shape[1], row = 3 * width + 5;
    uint8_t out[VALUES], *rgb = calloc((size_t)height, (size_t)row);
    cr_assert_not_null(rgb);
    for (int y = 0; y < height; y++)
        memcpy(rgb + (size_t)y * (size_t)row, (const uint8_t *)image->data + (size_t)y * 3 * (size_t)width,
               3 * (size_t)width);
    samc_error error;
    samc__memory memory = {0};
    samc__pool *pool = samc__pool_create(threads);
    samc__ops ops;
    samc__ops_ref(&ops);
    samc__exec exec = exec_on(&ops, &error, &memory, pool);
    exec.workers = threads;
    const samc_image picture = {sizeof picture, rgb, width, height, row};
    cr_assert_eq(samc__skimage_resize(&exec, &picture, SIDE, SIDE, out), SAMC_OK);
    int off = 0;
    for (int i = 0; i < VALUES; i++) off += out[i] != expected[i];
    cr_expect_eq(memory.current, 0);
    samc__pool_destroy(pool);
    free(rgb);
    return off;
}

Test(resize, scikit_image_to_the_byte) {
    samc__checkpoint *images = open_data("images"), *golden = open_data("resize_cubic_aa"),
                     *plateau = open_data("../recipes/golden");
    for (int threads = 1; threads <= 3; threads += 2) {
        for (int i = 0; i < IMAGES; i++)
            cr_expect_eq(bytes_off(samc__checkpoint_find(images, image_names[i]),
                                   find(golden, image_names[i], "u8")->data, threads),
                         0, "%s on %d threads", image_names[i], threads);
        /* Even parts: a sum in another order, or another last digit of the pole, is seen there. */
        cr_expect_eq(bytes_off(samc__checkpoint_find(plateau, "plateau.pixels"),
                               samc__checkpoint_find(plateau, "plateau.u8")->data, threads),
                     0);
    }
    samc__checkpoint_close(plateau);
    samc__checkpoint_close(golden);
    samc__checkpoint_close(images);
}
