/* Embedding files: in 16 bits, in memory, damaged. What else there is to them is api_test.c's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/engine.h"

enum { WIDTH = 61, HEIGHT = 43 };

/* Levels of numbers between those of 16 bits, saved in type `type` and loaded again: rounded to the nearest, ties to
 * even. */
static void expect_rounded(const samc_model *model, samc_precision type, const char *path) {
    static const float given[] = {
        1.0f + 0x1p-11f, 1.0f + 0x3p-11f, 1.0f + 0x1p-11f + 0x1p-20f, 1.0f + 0x1p-8f, 1.0f + 0x3p-8f, 65519.9f,
        -0x1p-24f,       0x1p-25f,        0x1p-25f * 1.01f,           -0.0f,          0x1.8p-24f,     3.0f};
    static const float in_f16[] = {1.0f,      1.0f + 0x1p-9f, 1.0f + 0x1p-10f, 1.0f + 0x1p-8f, 1.0f + 0x3p-8f, 65504.0f,
                                   -0x1p-24f, 0.0f,           0x1p-24f,        -0.0f,          0x1p-23f,       3.0f};
    static const float in_bf16[] = {1.0f,      1.0f,     1.0f,        1.0f,  1.0f + 0x1p-6f, 65536.0f,
                                    -0x1p-24f, 0x1p-25f, 0x1.02p-25f, -0.0f, 0x1.8p-24f,     3.0f};
    enum { COUNT = sizeof given / sizeof *given };
    const float *expected = type == SAMC_PRECISION_F16 ? in_f16 : type == SAMC_PRECISION_BF16 ? in_bf16 : given;
    samc_session *session = open_session(model), *other = open_session(model);
    float *levels[2];
    size_t floats[2];
    uint8_t *bytes = NULL;
    size_t size = 0;
    for (int level = 0; level < 2; level++) {
        int channels, side;
        samc_model_level(model, level, NULL, &channels, &side);
        floats[level] = (size_t)channels * (size_t)side * (size_t)side;
        levels[level] = malloc(floats[level] * sizeof(float));
        for (size_t i = 0; i < floats[level]; i++) levels[level][i] = given[(i + (size_t)level) % COUNT];
    }
    cr_assert_eq(samc_set_levels(session, (const float *const *)levels, 2, WIDTH, HEIGHT), SAMC_OK);
    cr_assert_eq(samc_save_embedding_as(session, 0, type, path), SAMC_OK, "%s", samc_last_error(session));
    cr_assert_eq(samc_pack_embedding(session, 0, type, &bytes, &size), SAMC_OK, "%s", samc_last_error(session));
    const size_t each = type == SAMC_PRECISION_F32 ? 4 : 2, values = (floats[0] + floats[1]) * each;
    cr_expect(size > values && size < values + 1024, "%zu bytes of values in a file of %zu", values, size);
    uint8_t *file = malloc(size + 1);
    FILE *saved = fopen(path, "rb");
    cr_expect_eq(fread(file, 1, size + 1, saved), size);
    cr_expect_eq(memcmp(file, bytes, size), 0, "in memory as on the disk");
    fclose(saved);
    for (int from = 0; from < 2; from++) {
        if (from == 0) cr_assert_eq(samc_load_embedding(other, path), SAMC_OK, "%s", samc_last_error(other));
        else cr_assert_eq(samc_unpack_embedding(other, bytes, size), SAMC_OK, "%s", samc_last_error(other));
        for (int level = 0; level < 2; level++) {
            cr_assert_eq(samc_get_level(other, 0, level, levels[level]), SAMC_OK);
            for (size_t i = 0; i < floats[level]; i++)
                cr_assert_eq(memcmp(&levels[level][i], &expected[(i + (size_t)level) % COUNT], 4), 0, "%a became %a",
                             (double)given[(i + (size_t)level) % COUNT], (double)levels[level][i]);
        }
    }
    /* A part of a file, and a value that it does not hold. */
    const size_t parts[] = {0, 8, 9, 100, size - values, size - 1};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        uint8_t *part = malloc(parts[i] + (parts[i] == 0)); /* a block as long as that: one byte more is seen */
        memcpy(part, bytes, parts[i]);
        cr_expect_eq(samc_unpack_embedding(other, part, parts[i]), SAMC_FORMAT, "%zu bytes", parts[i]);
        free(part);
    }
    memset(bytes + size - values, 0xff, each); /* NaN in each type */
    cr_expect_eq(samc_unpack_embedding(other, bytes, size), SAMC_FORMAT);
    for (int level = 0; level < 2; level++) free(levels[level]);
    free(bytes);
    free(file);
    samc_session_destroy(session);
    samc_session_destroy(other);
}

Test(embedding, embeddings_in_16_bits) {
    samc_options options = {.size = sizeof options, .backend = SAMC_BACKEND_CPU};
    samc_model *model = NULL;
    cr_assert_eq(samc_model_open(SAMC_TEST_DATA "/golden_hq/tiny.safetensors", &options, &model, NULL), SAMC_OK);
    samc_session *session = open_session(model), *other = open_session(model);
    char path[] = "api_test.XXXXXX";
    close(mkstemp(path));
    for (int type = SAMC_PRECISION_F32; type <= SAMC_PRECISION_BF16; type++)
        expect_rounded(model, (samc_precision)type, path);
    /* Beyond f16 nothing is written, and what was there stays. */
    int channels, side, sides[2];
    float *levels[2];
    for (int level = 0; level < 2; level++) {
        samc_model_level(model, level, NULL, &channels, &side);
        sides[level] = side;
        levels[level] = calloc((size_t)channels * (size_t)side * (size_t)side, sizeof(float));
    }
    levels[1][(size_t)sides[1]] = -65520.0f;
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(samc_set_levels(session, (const float *const *)levels, 2, WIDTH, HEIGHT), SAMC_OK);
    cr_expect_eq(samc_save_embedding_as(session, 0, SAMC_PRECISION_F16, path), SAMC_UNSUPPORTED);
    cr_expect_not_null(strstr(samc_last_error(session), "hq_features is -65520, which F16 cannot hold"), "%s",
                       samc_last_error(session));
    cr_expect_eq(samc_pack_embedding(session, 0, SAMC_PRECISION_F16, &bytes, &size), SAMC_UNSUPPORTED);
    cr_expect(bytes == NULL && size == 0);
    cr_expect_eq(samc_load_embedding(other, path), SAMC_OK, "the file before");
    cr_expect_eq(samc_save_embedding_as(session, 0, SAMC_PRECISION_BF16, path), SAMC_OK);
    cr_expect_eq(samc_save_embedding_as(session, 0, SAMC_PRECISION_INT8, path), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_save_embedding_as(session, 0, (samc_precision)-1, path), SAMC_INVALID_ARGUMENT);
    remove(path);
    for (int level = 0; level < 2; level++) free(levels[level]);
    samc_session_destroy(session);
    samc_session_destroy(other);
    samc_model_close(model);
}
