/* Models of 8-bit weights: made, calibrated, opened, the same on every table as multiplied out, and refused. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/engine.h"
#include "tests/weights_model.h"

#include "kernels/cpu/caps.h"
#include "runtime/model.h"
#include "runtime/model/eight.h"

enum { SIDE = 96 };
static uint8_t pixels[SIDE * SIDE * 3];
static samc_image picture(void) {
    uint32_t state = 7;
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        pixels[i] = (uint8_t)((i / 3 % SIDE * 2 + i / 3 / SIDE) / 2 + (state = state * 1664525u + 1013904223u) % 64);
    return (samc_image){sizeof(samc_image), pixels, SIDE, SIDE, 3 * SIDE};
}

static samc_status try_open(const char *path, samc_backend backend, samc_precision precision, int threads,
                            samc_model **model, samc_error *error) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = backend, .precision = precision, .threads = threads};
    return samc_model_open(path, &options, model, error);
}

/* The embedding of `copies` pictures' last; *count: how many floats. */
static float *embedding_of(const char *path, samc_backend backend, samc_precision precision, int threads, int copies,
                           int64_t *count) {
    samc_model *model;
    samc_error error;
    samc_image images[8];
    cr_assert_eq(try_open(path, backend, precision, threads, &model, &error), SAMC_OK, "%s", error.message);
    samc_session *session = open_session(model);
    for (int i = 0; i < copies; i++) images[i] = picture();
    cr_assert_eq(samc_set_images(session, images, copies), SAMC_OK, "%s", samc_last_error(session));
    const samc__config *c = &model->net.config;
    *count = (int64_t)c->grid * c->grid * c->decoder.channels;
    float *values = malloc((size_t)*count * sizeof *values);
    cr_assert_eq(samc_get_embedding(session, copies - 1, values), SAMC_OK);
    samc_session_destroy(session);
    samc_model_close(model);
    return values;
}

static double cosine(const float *x, const float *y, int64_t count) {
    double xy = 0, xx = 0, yy = 0;
    for (int64_t i = 0; i < count; i++) xy += (double)x[i] * y[i], xx += (double)x[i] * x[i], yy += (double)y[i] * y[i];
    return xy / sqrt(xx * yy);
}

/* Without the rungs of bf16, whose activations are rounded too: SAMC_CPU_CAPS of what the comparison is about. */
static void only(const char *caps) { cr_assert_eq(setenv("SAMC_CPU_CAPS", caps, 1), 0); }
#ifdef __x86_64__
static const char widest[] = "sse2,avx2,avx512,avx512vnni,avxvnni";
static const char *const tables[] = {"sse2", "sse2,avx2", "sse2,avx2,avxvnni", "sse2,avx2,avx512"};
#else
static const char widest[] = "neon";
static const char *const tables[] = {"neon"};
#endif

/* Written to `path` in 8 bits; with an image, calibrated. */
static void make(const char *path, bool calibrated) {
    samc_error error;
    samc_calibration *calibration;
    samc_image image = picture();
    if (!calibrated) {
        cr_assert_eq(samc_convert(model_path, path, SAMC_STORAGE_INT8, &error), SAMC_OK, "%s", error.message);
        return;
    }
    cr_assert_eq(samc_calibration_create(model_path, NULL, &calibration, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_calibration_convert(calibration, path, &error), SAMC_INVALID_ARGUMENT, "no image yet");
    image.width = 0;
    cr_assert_eq(samc_calibration_add(calibration, &image, &error), SAMC_INVALID_ARGUMENT, "an impossible image");
    image.width = SIDE;
    cr_assert_eq(samc_calibration_add(calibration, &image, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_calibration_convert(calibration, model_path, &error), SAMC_INVALID_ARGUMENT, "its own input");
    cr_assert_eq(samc_calibration_convert(calibration, path, &error), SAMC_OK, "%s", error.message);
    samc_calibration_destroy(calibration);
}

/* A file says what opening in int8 would make of the original: the same bytes; it opens in int8 by itself. Any number
 * of threads and images in a batch, the same. */
Test(int8_model, a_file_is_what_opening_makes) {
    char folder[64], path[96];
    int64_t n;
    samc_model *model;
    samc_error error;
    samc_model_info info = SAMC_INIT(samc_model_info);
    only(widest);
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    make(path, false);
    float *of_file = embedding_of(path, SAMC_BACKEND_CPU, SAMC_PRECISION_AUTO, 1, 1, &n),
          *of_original = embedding_of(model_path, SAMC_BACKEND_CPU, SAMC_PRECISION_INT8, 1, 1, &n),
          *batched = embedding_of(path, SAMC_BACKEND_CPU, SAMC_PRECISION_INT8, 3, 3, &n),
          *f32 = embedding_of(model_path, SAMC_BACKEND_CPU, SAMC_PRECISION_F32, 1, 1, &n),
          *bf16 = embedding_of(model_path, SAMC_BACKEND_CPU, SAMC_PRECISION_BF16, 1, 1, &n);
    cr_assert_eq(memcmp(of_file, of_original, (size_t)n * sizeof(float)), 0);
    cr_assert_eq(memcmp(of_file, batched, (size_t)n * sizeof(float)), 0);
    cr_assert_neq(memcmp(of_file, bf16, (size_t)n * sizeof(float)), 0, "8 bits are not computed with");
    cr_assert_gt(cosine(of_file, f32, n), 0.99);
    free(of_file), free(of_original), free(batched), free(f32), free(bf16);

    cr_assert_eq(try_open(path, SAMC_BACKEND_CPU, SAMC_PRECISION_AUTO, 1, &model, &error), SAMC_OK);
    cr_assert_eq(samc_model_get_info(model, &info), SAMC_OK);
    cr_assert_str_eq(info.dtype, "int8");
    cr_assert_eq(info.precision, SAMC_PRECISION_INT8);
    cr_assert_str_eq(info.file_note, "");
    cr_assert_eq(strncmp(info.arithmetic, "int8 by ", 8), 0, "%s", info.arithmetic);
    samc_model_close(model);
    cr_assert_eq(try_open(model_path, SAMC_BACKEND_CPU, SAMC_PRECISION_INT8, 1, &model, &error), SAMC_OK);
    cr_assert_eq(samc_model_get_info(model, &info), SAMC_OK);
    cr_assert_not_null(strstr(info.file_note, "--calibrate"), "%s", info.file_note);
    samc_model_close(model);
    if (samc__caps_soft(samc__caps_detect())) { /* a rung of 16 bits alone packs them too */
        only("amx-soft");
        cr_assert_eq(try_open(path, SAMC_BACKEND_CPU, SAMC_PRECISION_AUTO, 1, &model, &error), SAMC_OK);
        cr_assert_eq(samc_model_get_info(model, &info), SAMC_OK);
        cr_assert_str_eq(info.arithmetic, "int8 by AMX in software and bf16 by AMX in software");
        samc_model_close(model);
    }
    remove_folder(folder);
}

/* Rungs differ in f32's last places, which now and then move a value by a step of 8 bits. The references have f32
 * activations on weights multiplied out. */
Test(int8_model, tables_agree) {
    char folder[64], path[96];
    int64_t n;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    make(path, true);
    only(widest);
    float *first = embedding_of(path, SAMC_BACKEND_CPU, SAMC_PRECISION_INT8, 1, 1, &n);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        only(tables[i]);
        float *other = embedding_of(path, SAMC_BACKEND_CPU, SAMC_PRECISION_INT8, 2, 1, &n);
        cr_assert_gt(cosine(first, other, n), 0.9999, "%s: %.9f", tables[i], cosine(first, other, n));
        free(other);
    }
    only(widest);
    float *ref = embedding_of(path, SAMC_BACKEND_REF, SAMC_PRECISION_INT8, 2, 1, &n),
          *as_f32 = embedding_of(path, SAMC_BACKEND_REF, SAMC_PRECISION_F32, 2, 1, &n),
          *wide = embedding_of(path, SAMC_BACKEND_CPU, SAMC_PRECISION_F32, 2, 1, &n),
          *rounded = embedding_of(path, SAMC_BACKEND_CPU, SAMC_PRECISION_BF16, 2, 1, &n);
    cr_assert_eq(memcmp(ref, as_f32, (size_t)n * sizeof(float)), 0, "bf16 and 8 bits are exact in f32");
    cr_assert_gt(cosine(first, ref, n), 0.99, "%.9f", cosine(first, ref, n));
    cr_assert_gt(cosine(wide, ref, n), 0.9999999, "%.9f", cosine(wide, ref, n));
    cr_assert_gt(cosine(rounded, ref, n), 0.999, "%.9f", cosine(rounded, ref, n));
    free(first), free(ref), free(as_f32), free(wide), free(rounded);
    remove_folder(folder);
}

static double value_of(const samc__checkpoint *c, const char *name, int64_t at) {
    float value;
    samc__tensor_copy_f32(find(c, name), at, 1, &value);
    return value;
}

/* What the norm is divided by the weight is multiplied by, channel by channel. */
Test(int8_model, calibration_moves_scales_between_norm_and_weight) {
    static const char base[] = "image_encoder.blocks.1.";
    char folder[64], path[96], name[3][96];
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    make(path, true);
    samc__checkpoint *from = open_ok(model_path), *to = open_ok(path);
    cr_assert_str_eq(samc__checkpoint_metadata(to, "samc.calibration"), "{\"images\":1,\"alpha\":0.5}");
    for (int layer = 0; layer < 2; layer++) {
        snprintf(name[0], sizeof *name, "%s%s.weight", base, layer ? "norm2" : "norm1");
        snprintf(name[1], sizeof *name, "%s%s.weight", base, layer ? "mlp.lin1" : "attn.qkv");
        snprintf(name[2], sizeof *name, "%s%s.weight.scale", base, layer ? "mlp.lin1" : "attn.qkv");
        const samc__tensor *w = find(to, name[1]);
        const int64_t n = w->shape[0], k = w->shape[1];
        double spread = 0;
        cr_assert_eq(w->dtype, SAMC__I8);
        for (int64_t j = 0; j < k; j++) {
            const double factor = value_of(from, name[0], j) / value_of(to, name[0], j);
            char bias[96];
            snprintf(bias, sizeof bias, "%s%s.bias", base, layer ? "norm2" : "norm1");
            cr_assert_float_eq(value_of(from, bias, j), value_of(to, bias, j) * factor,
                               1e-5 * fabs(value_of(from, bias, j)));
            spread = fmax(spread, fabs(log(factor)));
            for (int64_t i = 0; i < n; i++) {
                int8_t q;
                samc__tensor_copy_raw(w, i * k + j, 1, &q);
                const double scale = value_of(to, name[2], i);
                cr_assert_float_eq(q * scale, value_of(from, name[1], i * k + j) * factor, 0.501 * scale);
            }
        }
        cr_assert_gt(spread, 0.1, "every factor is 1");
    }
    /* lin2 has no norm before it, and the first and the last block are left as they were. */
    cr_assert_eq(find(to, "image_encoder.blocks.1.mlp.lin2.weight")->dtype, SAMC__I8);
    cr_assert_eq(find(to, "image_encoder.blocks.1.attn.proj.weight")->dtype, SAMC__BF16);
    cr_assert_eq(find(to, "image_encoder.blocks.0.attn.qkv.weight")->dtype, SAMC__BF16);
    cr_assert_eq(find(to, "image_encoder.blocks.0.norm1.weight")->dtype, SAMC__F32);
    cr_assert_eq(value_of(to, "image_encoder.blocks.0.norm1.weight", 0),
                 value_of(from, "image_encoder.blocks.0.norm1.weight", 0));
    samc__checkpoint_close(from);
    samc__checkpoint_close(to);
    remove_folder(folder);
}

/* ---- What is wrong ----------------------------------------------------------------------------- */

typedef struct contents {
    char *at;
    size_t size;
} contents;
static contents read_all(const char *path) {
    FILE *file = fopen(path, "rb");
    contents b = {malloc(1 << 22), 0};
    cr_assert_not_null(file);
    b.size = fread(b.at, 1, 1 << 22, file);
    fclose(file);
    return b;
}
static char *find_text(contents b, const char *text) {
    char *at = memmem(b.at, b.size, text, strlen(text));
    cr_assert_not_null(at, "%s", text);
    return at;
}
static void refused(contents b, const char *path, const char *part, const char *tensor) {
    samc_model *model;
    samc_error error;
    FILE *file = fopen(path, "wb");
    fwrite(b.at, 1, b.size, file);
    fclose(file);
    for (int backend = SAMC_BACKEND_REF; backend <= SAMC_BACKEND_CPU; backend++) {
        expect_error(try_open(path, (samc_backend)backend, SAMC_PRECISION_AUTO, 1, &model, &error), &error,
                     SAMC_MISMATCH, part);
        cr_assert_not_null(strstr(error.message, tensor), "%s", error.message);
    }
    expect_error(samc_convert(path, "/nowhere/x", SAMC_STORAGE_KEEP, &error), &error, SAMC_MISMATCH, part);
}

Test(int8_model, wrong_files_are_refused) {
    static const char scale_name[] = "image_encoder.blocks.1.attn.qkv.weight.scale";
    static const float wrong[] = {NAN, 0.0f, -0.01f, INFINITY, 0x1p-140f};
    char folder[64], path[96], text[200];
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    make(path, true);
    contents b = read_all(path);
    samc__checkpoint *c = open_ok(path);
    const samc__tensor *scales = find(c, scale_name);
    char *values = b.at + ((const char *)scales->data - (const char *)c->bytes);
    const int64_t n = scales->shape[0];
    samc__checkpoint_close(c);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        float kept;
        char *at = values + (n - 1) * (int64_t)sizeof kept;
        memcpy(&kept, at, sizeof kept);
        memcpy(at, &wrong[i], sizeof kept);
        refused(b, path, "not positive numbers", scale_name);
        memcpy(at, &kept, sizeof kept);
    }
    char *at = find_text(b, scale_name) + strlen(scale_name) - 1;
    *at = 'f';
    refused(b, path, "without the scales", "image_encoder.blocks.1.attn.qkv.weight");
    *at = 'e';
    at = find_text(b, "image_encoder.blocks.1.attn.qkv.weight.scale\":{\"dtype\":\"F32\"");
    at = memmem(at, 200, "F32", 3);
    memcpy(at, "I32", 3);
    refused(b, path, "not f32", scale_name);
    memcpy(at, "F32", 3);
    /* One side more: [N] and a space become [N,1]. The header ends in spaces, of which one is left out per character.
     */
    snprintf(text, sizeof text, "%s\":{\"dtype\":\"F32\",\"shape\":[%d]", scale_name, (int)n);
    at = find_text(b, text) + strlen(text) - 1;
    char *end = memmem(at, (size_t)(b.at + b.size - at), "}}  ", 4);
    cr_assert_not_null(end, "no room in this header: change the test's model");
    memmove(at + 2, at, (size_t)(end + 2 - at));
    memcpy(at, ",1", 2);
    refused(b, path, "misshapen", scale_name);
    free(b.at);

    /* 8 bits where they do not belong. */
    make(path, false);
    b = read_all(path);
    at = find_text(b, "image_encoder.blocks.1.attn.qkv.weight\"");
    memcpy(at + strlen("image_encoder.blocks."), "0", 1);
    at = find_text(b, "image_encoder.blocks.0.attn.qkv.weight\":{\"dtype\":\"BF16\"");
    memcpy(at + strlen("image_encoder.blocks."), "1", 1);
    refused(b, path, "in 8 bits, which is for other tensors", "image_encoder.blocks.0.attn.qkv.weight");
    free(b.at);
    remove_folder(folder);
}

Test(int8_model, what_cannot_be_is_said) {
    char folder[64], path[96], again[96];
    samc_model *model;
    samc_error error;
    samc_calibration *calibration;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    snprintf(again, sizeof again, "%s/n.safetensors", folder);
    make(path, false);
    for (int storage = SAMC_STORAGE_KEEP; storage <= SAMC_STORAGE_INT8; storage++)
        expect_error(samc_convert(path, again, (samc_storage)storage, &error), &error, SAMC_UNSUPPORTED,
                     "in 8 bits already");
    cr_assert_eq(files_in(folder), 1);
    expect_error(try_open(path, SAMC_BACKEND_CUDA, SAMC_PRECISION_INT8, 1, &model, &error), &error, SAMC_UNSUPPORTED,
                 "int8");
    cr_assert_eq(samc_calibration_create(NULL, NULL, &calibration, &error), SAMC_INVALID_ARGUMENT);
    cr_assert_null(calibration);
    cr_assert_eq(samc_calibration_create(model_path, NULL, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_assert_neq(samc_calibration_create("/nowhere", NULL, &calibration, &error), SAMC_OK);
    cr_assert_null(calibration);
    cr_assert_eq(samc_calibration_add(NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc_calibration_convert(NULL, path, &error), SAMC_INVALID_ARGUMENT);
    samc_calibration_destroy(NULL);
    remove_folder(folder);
}

/* A weight that is not finite is named, by whoever would hold it in 8 bits. */
Test(int8_model, weights_that_are_not_finite) {
    char folder[64], path[96], out[96];
    samc_model *model;
    samc_error error;
    const float nan = NAN;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    snprintf(out, sizeof out, "%s/n.safetensors", folder);
    cr_assert_eq(samc_convert(model_path, path, SAMC_STORAGE_F32, &error), SAMC_OK);
    contents b = read_all(path);
    samc__checkpoint *c = open_ok(path);
    const samc__tensor *w = find(c, "image_encoder.blocks.1.mlp.lin2.weight");
    memcpy(b.at + ((const char *)w->data - (const char *)c->bytes) + 400, &nan, sizeof nan);
    samc__checkpoint_close(c);
    FILE *file = fopen(path, "wb");
    fwrite(b.at, 1, b.size, file);
    fclose(file);
    expect_error(try_open(path, SAMC_BACKEND_CPU, SAMC_PRECISION_INT8, 1, &model, &error), &error, SAMC_UNSUPPORTED,
                 "blocks.1.mlp.lin2.weight is not finite");
    expect_error(samc_convert(path, out, SAMC_STORAGE_INT8, &error), &error, SAMC_UNSUPPORTED,
                 "blocks.1.mlp.lin2.weight is not finite");
    free(b.at);
    remove_folder(folder);
}
