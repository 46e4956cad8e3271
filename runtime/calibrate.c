/* Calibration: an f32 model that watches what its linear layers read. */
#include "runtime/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/linear/linear.h"
#include "runtime/base/abi.h"
#include "runtime/base/eight_bits.h"
#include "runtime/model/eight.h"
#include "runtime/session.h"

/* The model's table with another `linear` in it, found by the table's address. */
typedef struct watch {
    samc__ops ops;
    const samc__ops *own;
    const samc__tensor_list *list;
    samc__maxima maxima;
} watch;

struct samc_calibration {
    char *input, *recipe; /* recipe: NULL, what the options gave */
    int image_size;       /* the same, 0 */
    samc_model *model;
    samc_session *session;
    watch watch;
};

static samc_status watched_linear(const samc__exec *exec, const samc__linear_args *args) {
    watch *w = (watch *)(void *)exec->ops;
    const int64_t k = args->x.n[1], stride = args->x_stride ? args->x_stride : k;
    for (size_t i = 0; i < w->list->count; i++) {
        float *most = w->maxima.of[i];
        if (most == NULL || w->list->at[i].view->data != args->p.w.data) continue;
        for (int64_t row = 0; row < args->x.n[0]; row++) {
            const float *x = samc__f32(args->x) + row * stride;
            for (int64_t j = 0; j < k; j++) most[j] = fabsf(x[j]) > most[j] ? fabsf(x[j]) : most[j];
        }
    }
    return w->own->linear(exec, args);
}

static samc_status begin(samc_calibration *c, const char *input, const samc_options *given, samc_error *error) {
    samc_options options = SAMC_INIT(samc_options);
    samc_default_options(&options);
    if (given != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_options), given, &options, error));
    options.backend = SAMC_BACKEND_CPU, options.precision = SAMC_PRECISION_F32;
    c->input = strdup(input);
    if (options.recipe != NULL) c->recipe = strdup(options.recipe);
    c->image_size = options.image_size;
    if (c->input == NULL || (options.recipe != NULL && c->recipe == NULL))
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory to calibrate", input);
    SAMC__TRY(samc_model_open(input, &options, &c->model, error));
    /* What converting would refuse, before all images are encoded for it. */
    SAMC__TRY(samc__eight_possible(&c->model->tensors, c->model->checkpoint, error));
    if (samc__eight_stored(&c->model->tensors, c->model->checkpoint))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: in 8 bits already; take the file that it was made from", input);
    SAMC__TRY(samc_session_create(c->model, &c->session, error));
    const samc__tensor_list *list = &c->model->tensors;
    c->watch = (watch){.ops = c->model->net.ops, .own = &c->model->net.ops, .list = list};
    c->watch.ops.linear = watched_linear;
    c->watch.maxima.of = calloc(list->count, sizeof *c->watch.maxima.of);
    bool done = c->watch.maxima.of != NULL;
    for (size_t i = 0; i < list->count && done; i++)
        if (list->at[i].norm != NULL)
            done = (c->watch.maxima.of[i] = calloc((size_t)list->at[i].view->n[1], sizeof(float))) != NULL;
    if (!done) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory to calibrate", input);
    c->session->exec.ops = c->session->encoder.ops = c->session->post.ops = &c->watch.ops;
    return SAMC_OK;
}

samc_status samc_calibration_create(const char *input, const samc_options *options, samc_calibration **out,
                                    samc_error *error) {
    if (out != NULL) *out = NULL;
    if (out == NULL || input == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_calibration_create: no path, or no place for the result");
    samc_calibration *c = calloc(1, sizeof *c);
    if (c == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory to calibrate", input);
    samc_status status = begin(c, input, options, error);
    if (status == SAMC_OK) *out = c;
    else samc_calibration_destroy(c);
    return status;
}

samc_status samc_calibration_add(samc_calibration *c, const samc_image *image, samc_error *error) {
    if (c == NULL || image == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_calibration_add: no calibration, or no image");
    samc_status status = samc_set_images(c->session, image, 1);
    if (status != SAMC_OK) return samc__fail(error, status, "%s", samc_last_error(c->session));
    c->watch.maxima.images++;
    return SAMC_OK;
}

samc_status samc_calibration_convert(const samc_calibration *c, const char *output, samc_error *error) {
    if (c == NULL || output == NULL || *output == '\0')
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_calibration_convert: no calibration, or no path");
    if (c->watch.maxima.images == 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: no image was added to calibrate with", c->input);
    const samc_convert_options options = {sizeof options, SAMC_STORAGE_INT8, c->recipe, c->image_size};
    return samc__convert(c->model->checkpoint, output, &options, &c->watch.maxima, error);
}

void samc_calibration_destroy(samc_calibration *c) {
    if (c == NULL) return;
    for (size_t i = 0; c->watch.maxima.of != NULL && i < c->watch.list->count; i++) free(c->watch.maxima.of[i]);
    free(c->watch.maxima.of);
    samc_session_destroy(c->session);
    samc_model_close(c->model);
    free(c->input);
    free(c->recipe);
    free(c);
}

/* ---- Weights ---------------------------------------------------------------------------------- */

/* Both kept away from where a norm's gain would be nothing or everything. */
static float factor_of(float input, float weight) {
    const float factor = sqrtf(input) / sqrtf(weight);
    if (!(input > 0.0f && weight > 0.0f)) return 1.0f;
    return factor < 0x1p-10f ? 0x1p-10f : factor > 0x1p10f ? 0x1p10f : factor;
}

samc_status samc__eight_make(samc__eight *eight, const samc__checkpoint *checkpoint, const samc__entry *e,
                             const float *maxima, samc_error *error) {
    const samc__tensor *input = samc__checkpoint_find(checkpoint, e->name);
    const int64_t n = e->view->n[0], k = e->view->n[1];
    float *row = malloc((size_t)k * sizeof *row);
    int8_t *q = malloc((size_t)k);
    samc_status status = SAMC_OK;
    snprintf(eight->scale_name, sizeof eight->scale_name, "%s.scale", e->name);
    eight->scales = malloc((size_t)n * sizeof(float));
    if (maxima != NULL) eight->factors = calloc((size_t)k, sizeof(float));
    if (row == NULL || q == NULL || eight->scales == NULL || (maxima != NULL && eight->factors == NULL))
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    for (int64_t i = 0; i < n && maxima != NULL && status == SAMC_OK; i++) { /* the largest weight of each column */
        samc__tensor_copy_f32(input, i * k, k, row);
        for (int64_t j = 0; j < k; j++)
            eight->factors[j] = fabsf(row[j]) > eight->factors[j] ? fabsf(row[j]) : eight->factors[j];
    }
    for (int64_t j = 0; j < k && maxima != NULL && status == SAMC_OK; j++)
        eight->factors[j] = factor_of(maxima[j], eight->factors[j]);
    for (int64_t i = 0; i < n && status == SAMC_OK; i++) {
        samc__tensor_copy_f32(input, i * k, k, row);
        for (int64_t j = 0; j < k && eight->factors != NULL; j++) row[j] *= eight->factors[j];
        eight->scales[i] = samc__int8_row(row, k, q);
        if (!(eight->scales[i] <= 0x1p126f))
            status = samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s is not finite: 8 bits cannot hold it",
                                checkpoint->label, e->name);
    }
    free(row);
    free(q);
    return status;
}

void samc__eight_free(samc__eight *eight) {
    free(eight->factors);
    free(eight->scales);
}
