/* What the tests of checkpoints, models and conversion share. */
#ifndef SAMC_TESTS_WEIGHTS_MODEL_H
#define SAMC_TESTS_WEIGHTS_MODEL_H

#include <criterion/criterion.h>
#include <dirent.h>
#include <unistd.h>

#include "runtime/model/tensors.h"
#include "tests/weights_build.h"
#include "weights/safetensors.h"

#define DATA SAMC_TEST_DATA "/weights/"

static inline samc__checkpoint *open_ok(const char *path) {
    samc_error error;
    samc__checkpoint *checkpoint = NULL;
    samc_status status = samc__checkpoint_open(path, &checkpoint, &error);
    cr_assert_eq(status, SAMC_OK, "%s", error.message);
    return checkpoint;
}

static inline const samc__tensor *find(const samc__checkpoint *checkpoint, const char *name) {
    const samc__tensor *tensor = samc__checkpoint_find(checkpoint, name);
    cr_assert_not_null(tensor, "%s is missing", name);
    return tensor;
}

static inline void expect_error(samc_status status, const samc_error *error, samc_status expected, const char *part) {
    cr_assert_eq(status, expected, "status %d instead of %d: %s", status, expected, error->message);
    cr_assert_eq(error->status, expected);
    cr_assert_not_null(strstr(error->message, part), "\"%s\" is not in: %s", part, error->message);
}

/* A folder of its own for each test, since Criterion runs them at the same time. */
static inline void scratch_folder(char folder[64]) {
    strcpy(folder, "/tmp/samc_weights_XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}
static inline int files_in(const char *folder) {
    int count = 0;
    DIR *directory = opendir(folder);
    cr_assert_not_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) count += entry->d_name[0] != '.';
    closedir(directory);
    return count;
}
static inline void remove_folder(const char *folder) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

typedef struct model {
    samc__checkpoint *checkpoint;
    samc__config config;
    samc__weights weights;
    samc__tensor_list list;
    void *owned;
    size_t owned_bytes;
    char hash[65];
} model;

static inline void model_open(model *m, const char *path) {
    samc_error e;
    m->checkpoint = open_ok(path);
    cr_assert_eq(samc__config_infer(m->checkpoint, &m->config, &e), SAMC_OK, "%s", e.message);
    cr_assert_eq(samc__tensors_list(&m->config, &m->weights, &m->list, &e), SAMC_OK, "%s", e.message);
    samc_status status = samc__tensors_load(&m->list, m->checkpoint, NULL, &m->owned, &m->owned_bytes, &e);
    cr_assert_eq(status, SAMC_OK, "%s", e.message);
    cr_assert_eq(samc__tensors_hash(&m->list, m->checkpoint, NULL, m->hash, &e), SAMC_OK, "%s", e.message);
}
static inline void model_close(model *m) {
    free(m->owned), samc__tensors_free(&m->list), samc__checkpoint_close(m->checkpoint);
}

static inline void expect_same_values(model *a, model *b) {
    cr_assert(a->list.count == 136 && b->list.count == 136, "%zu and %zu tensors", a->list.count, b->list.count);
    for (size_t i = 0; i < a->list.count; i++) {
        const samc__view x = *a->list.at[i].view, y = *b->list.at[i].view;
        cr_assert(x.data != NULL && y.data != NULL, "%s", a->list.at[i].name);
        cr_assert_eq(samc__elements(x), samc__elements(y));
        cr_assert_arr_eq((float *)x.data, (float *)y.data, (size_t)samc__elements(x) * sizeof(float), "tensor %zu", i);
    }
}

/* Writes the tiny model with changes: tensors whose name holds `drop` are left out, `metadata` becomes samc.config. */
typedef struct change {
    const char *drop, *config, *reshape, *extra; /* reshape: one more row; extra: a new tensor [2] */
    const samc__checkpoint *from;
    const samc__tensor *inputs[160];
} change;
static inline samc_status zeros(void *context, size_t index, int64_t first, int64_t count, void *to,
                                samc_error *error) {
    const change *c = context;
    (void)error;
    if (c->inputs[index] == NULL) {
        memset(to, 0, (size_t)count * 4);
    } else {
        samc__tensor_copy_raw(c->inputs[index], first, count, to);
    }
    return SAMC_OK;
}
static inline void write_changed(const char *path, change c) {
    samc__output_tensor outputs[160];
    samc_error error;
    size_t count = 0;
    samc__checkpoint *from = open_ok(DATA "model_f32.pth");
    for (size_t i = 0; i < samc__checkpoint_count(from); i++) {
        const samc__tensor *t = samc__checkpoint_at(from, i);
        if (c.drop != NULL && strstr(t->name, c.drop) != NULL) continue;
        outputs[count] = (samc__output_tensor){.name = t->name, .dtype = t->dtype, .rank = t->rank};
        memcpy(outputs[count].shape, t->shape, sizeof t->shape);
        c.inputs[count] = t;
        if (c.reshape != NULL && strstr(t->name, c.reshape) != NULL) {
            outputs[count].shape[0]++;
            c.inputs[count] = NULL;
        }
        count++;
    }
    if (c.extra != NULL) {
        outputs[count] = (samc__output_tensor){.name = c.extra, .dtype = SAMC__F32, .rank = 1, .shape = {2}};
        c.inputs[count++] = NULL;
    }
    const samc__metadata metadata = {(char *)"samc.config", (char *)c.config};
    samc_status status = samc__safetensors_write(path, outputs, count, &metadata, c.config != NULL, zeros, &c, &error);
    cr_assert_eq(status, SAMC_OK, "%s", error.message);
    samc__checkpoint_close(from);
}

#endif
