/* What the tests of the public interface share: the tiny calibrated model, opened or the test fails. */
#ifndef SAMC_TESTS_ENGINE_H
#define SAMC_TESTS_ENGINE_H

#include <criterion/criterion.h>

#include "runtime/samc.h"

static const char model_path[] = SAMC_TEST_DATA "/golden/tiny.safetensors";

static inline samc_model *open_model_in(samc_backend backend, samc_precision precision, int threads) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = backend, .precision = precision, .threads = threads};
    samc_model *model = NULL;
    samc_error error;
    cr_assert_eq(samc_model_open(model_path, &options, &model, &error), SAMC_OK, "%s", error.message);
    return model;
}

static inline samc_model *open_model(samc_backend backend, int threads) {
    return open_model_in(backend, SAMC_PRECISION_AUTO, threads);
}

static inline samc_session *open_session(const samc_model *model) {
    samc_session *session = NULL;
    samc_error error;
    cr_assert_eq(samc_session_create(model, &session, &error), SAMC_OK, "%s", error.message);
    return session;
}

#endif
