/* Opening a model: file -> configuration -> checked and bound weights -> operator table. */
#include "runtime/model.h"

#include "kernels/cpu/caps.h"
#include "runtime/base/abi.h"
#include "runtime/cuda_plan.h"
#include "runtime/flops.h"
#include "runtime/host_plan.h"
#include "runtime/model/eight.h"
#include "runtime/model/pack.h"
#include "runtime/model/recipe_choice.h"
#include "runtime/model/settings.h"
#include "runtime/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes the GPU where that was asked for, or is there and was not ruled out; leaves the backend AUTO where it is not.
 */
static samc_status choose_device(const samc_options *options, samc_model *model, samc_error *error) {
    model->backend = options->backend;
    model->cudnn = options->cudnn;
    if (options->precision == SAMC_PRECISION_INT8 && options->backend == SAMC_BACKEND_CUDA)
        return samc__fail(error, SAMC_UNSUPPORTED, "on a GPU samc computes in f32, f16 or bf16, not in int8");
    if (options->precision == SAMC_PRECISION_INT8 && options->backend == SAMC_BACKEND_AUTO)
        model->backend = SAMC_BACKEND_CPU;
    if (model->backend == SAMC_BACKEND_AUTO || model->backend == SAMC_BACKEND_CUDA) {
        samc_error why = {0};
        samc_status status = samc__cuda_open(options->device, &model->device, &why);
        if (status == SAMC_OK) {
            model->backend = SAMC_BACKEND_CUDA;
            model->net.precision = options->precision == SAMC_PRECISION_F32   ? SAMC__F32
                                   : options->precision == SAMC_PRECISION_F16 ? SAMC__F16
                                                                              : SAMC__BF16;
            model->net.weight_type = model->net.precision;
            samc__cuda_table(&model->net.ops);
            snprintf(model->backend_note, sizeof model->backend_note, "%s", samc__cuda_note(model->device));
            return SAMC_OK;
        }
        if (options->backend == SAMC_BACKEND_CUDA) {
            if (error != NULL) *error = why;
            return status;
        }
        snprintf(model->backend_note, sizeof model->backend_note, "%.250s; using the CPU", why.message);
        model->backend = SAMC_BACKEND_CPU;
    }
    return SAMC_OK;
}

/* The rung of 16 bits where there is one and it has all that this model needs; else the table is left alone, and what
 * is lacking noted: activations are then f32, as on machines without one. */
static const char *choose_low(samc_model *model) {
    samc__network *net = &model->net;
    samc__ops low = net->ops;
    const char *rung = samc__ops_low(&low, model->caps);
    samc_error lacking;
    const size_t used = strlen(model->backend_note);
    if (rung == NULL) return NULL;
    net->precision = SAMC__BF16;
    if (samc__host_serves(model, &lacking) == SAMC_OK) {
        net->ops = low;
        return rung;
    }
    net->precision = SAMC__F32;
    snprintf(model->backend_note + used, sizeof model->backend_note - used, "%s%.250s", used ? "; " : "",
             lacking.message);
    return NULL;
}

/* The table of a host, and the types that its models are kept and computed in. */
static samc_status choose_host(const samc_options *options, samc_model *model, samc_error *error) {
    samc__network *net = &model->net;
    if (options->precision == SAMC_PRECISION_F16)
        return samc__fail(error, SAMC_UNSUPPORTED, "on a CPU samc computes in f32 or bf16, not in f16");
    net->precision = SAMC__F32;
    net->weight_type = options->precision == SAMC_PRECISION_BF16   ? SAMC__BF16
                       : options->precision == SAMC_PRECISION_INT8 ? SAMC__I8
                                                                   : SAMC__F32;
    const char *rung = NULL, *low = NULL, *eight = NULL;
    samc__ops_ref(&net->ops);
    if (model->backend == SAMC_BACKEND_CPU) {
        SAMC__TRY(samc__options_caps(&model->caps, error));
        rung = samc__ops_cpu(&net->ops, model->caps);
        if (net->weight_type != SAMC__F32) low = choose_low(model);
    }
    if ((rung || low) && net->weight_type == SAMC__I8) eight = net->ops.linear8_by;
    snprintf(model->arithmetic, sizeof model->arithmetic, "%s%s%s%s by %s", eight ? "int8 by " : "", eight ? eight : "",
             eight ? " and " : "",
             low                                       ? "bf16"
             : net->weight_type == SAMC__F32           ? "f32"
             : eight || net->weight_type == SAMC__BF16 ? "f32 on weights of bf16"
                                                       : "f32 on weights of int8",
             low    ? low
             : rung ? rung
                    : "plain C");
    if ((rung || low) && (model->packed = samc__packed_create()) == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to open a model");
    return SAMC_OK;
}

/* Resolves AUTO and refuses what this build does not have. */
static samc_status choose_backend(const samc_options *options, samc_model *model, samc_error *error) {
    if (options->threads < 0 || options->threads > SAMC__MAX_THREADS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "threads must be 0 to %d, not %d", SAMC__MAX_THREADS,
                          options->threads);
    if (options->precision < SAMC_PRECISION_AUTO || options->precision > SAMC_PRECISION_INT8)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "unknown precision %d", (int)options->precision);
    if (options->device < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "GPUs are numbered from 0; there is no %d", options->device);
    model->threads = options->threads ? options->threads : samc__processors();
    SAMC__TRY(choose_device(options, model, error));
    if (model->backend == SAMC_BACKEND_CUDA) return SAMC_OK;
    if (model->backend != SAMC_BACKEND_REF && model->backend != SAMC_BACKEND_CPU)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "unknown backend %d", (int)options->backend);
    return SAMC_OK;
}

/* Files of 8 bits have a home on hosts alone; models opened in int8 must have something to keep so. */
static samc_status check_int8(samc_model *model, samc_error *error) {
    const char *label = model->checkpoint->label;
    const bool stored = samc__eight_stored(&model->tensors, model->checkpoint);
    if (stored && model->device != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: a model of 8-bit weights, which samc does not compute with on a GPU; take the file that "
                          "it was made from, or --backend cpu",
                          label);
    if (model->net.weight_type != SAMC__I8) return SAMC_OK;
    SAMC__TRY(samc__eight_possible(&model->tensors, model->checkpoint, error));
    if (!stored)
        samc__checkpoint_add_note(model->checkpoint,
                                  "weights are rounded to 8 bits as they are; 'samc convert --dtype int8 --calibrate "
                                  "DIR' makes them more exact");
    return SAMC_OK;
}

static samc_status load_weights(samc_model *model, samc_error *error) {
    samc__network *net = &model->net;
    SAMC__TRY(check_int8(model, error));
    const samc__narrowing narrow = {net->weight_type, model->packed},
                          *on_host = model->device || net->weight_type == SAMC__F32 ? NULL : &narrow;
    SAMC__TRY(
        samc__tensors_load(&model->tensors, model->checkpoint, on_host, &model->owned, &model->owned_bytes, error));
    if (model->packed == NULL) return SAMC_OK;
    if (!samc__has_hq(&net->config)) /* its maps are made of the keys */
        SAMC__TRY(samc__up_fold_make(&net->config, &net->weights, &net->up_fold, error));
    return samc__pack_weights(net, &model->tensors, model->checkpoint, model->owned, model->owned_bytes, model->packed,
                              error);
}

/* Whether the caller gave images another size than the file's. */
static bool is_resized(const samc_model *model, const samc__given *given) {
    samc__config file;
    samc_error ignored;
    const samc__given own = {.recipe = given->recipe};
    if (given->image_size == 0) return false;
    return samc__config_read(model->checkpoint, &own, &file, &ignored) != SAMC_OK ||
           file.recipe.side != model->net.config.recipe.side;
}

static samc_status apply_settings(samc_model *model, const char *const *given, const char *path, samc_error *error) {
    const samc__setting *settings =
        samc__has_hq(&model->net.config) ? samc__hq_settings : samc__encoder_of(&model->net.config)->settings;
    samc__config *config = &model->net.config, file = *config;
    SAMC__TRY(samc__settings_apply(settings, given, config, path, error));
    SAMC__TRY(samc__settings_print(settings, config, NULL, model->settings, sizeof model->settings, error));
    return samc__settings_print(settings, config, &file, model->changed, sizeof model->changed, error);
}

/* The size too is told of among what was changed. */
static samc_status note_size(samc_model *model, const samc__given *given, samc_error *error) {
    const size_t used = strlen(model->changed), room = sizeof model->changed - used;
    if (!is_resized(model, given)) return SAMC_OK;
    const int more = snprintf(model->changed + used, room, "%simage_size=%d", used ? "," : "", given->image_size);
    return more > 0 && (size_t)more < room ? SAMC_OK
                                           : samc__fail(error, SAMC_OUT_OF_MEMORY, "no room for the model's settings");
}

/* What is told of recipe and encoder: the file's own, before settings change it. */
static samc_status keep_recipe(samc_model *model, samc_error *error) {
    samc__recipe_note(model->checkpoint, &model->net.config);
    model->recipe_fields = samc__recipe_text(&model->net.config.recipe);
    model->encoder_fields = samc__config_text(&model->net.config);
    return model->recipe_fields != NULL && model->encoder_fields != NULL
               ? SAMC_OK
               : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the model's recipe");
}

samc_status samc_model_open(const char *path, const samc_options *options, samc_model **out, samc_error *error) {
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_model_open: no place for the model");
    *out = NULL;
    if (path == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_model_open: no path");
    samc_options own = SAMC_INIT(samc_options);
    samc_default_options(&own);
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_options), options, &own, error));
    samc_model *model = calloc(1, sizeof *model);
    if (model == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory to open the model", path);
    samc_status status = choose_backend(&own, model, error);
    if (status == SAMC_OK) status = samc__checkpoint_open(path, &model->checkpoint, error);
    const samc__given given = {own.recipe, own.image_size};
    if (status == SAMC_OK) status = samc__config_read(model->checkpoint, &given, &model->net.config, error);
    if (status == SAMC_OK) status = keep_recipe(model, error);
    if (status == SAMC_OK) status = apply_settings(model, own.settings, path, error);
    if (status == SAMC_OK) status = note_size(model, &given, error);
    if (status == SAMC_OK) status = samc__tensors_list(&model->net.config, &model->net.weights, &model->tensors, error);
    if (status == SAMC_OK && model->device == NULL) {
        /* What was converted to 8 bits is meant to be computed so. */
        if (own.precision == SAMC_PRECISION_AUTO && model->backend == SAMC_BACKEND_CPU &&
            samc__eight_stored(&model->tensors, model->checkpoint))
            own.precision = SAMC_PRECISION_INT8;
        status = choose_host(&own, model, error);
    }
    if (status == SAMC_OK) status = load_weights(model, error);
    model->parameters = samc__tensors_parameters(&model->tensors);
    if (status == SAMC_OK && model->device != NULL) {
        status = samc__cuda_load(model->device, &model->tensors, model->net.precision, error);
        free(model->owned);
        model->owned = NULL;
    }
    if (status == SAMC_OK) status = samc__encode_flops(&model->net.config, &model->encode_flops, error);
    if (status != SAMC_OK) {
        samc_model_close(model);
        return status;
    }
    *out = model;
    return SAMC_OK;
}

void samc_model_close(samc_model *model) {
    if (model == NULL) return;
    samc__packed_destroy(model->packed);
    free(model->net.up_fold);
    free(model->recipe_fields);
    free(model->encoder_fields);
    free(model->hash);
    samc__cuda_close(model->device);
    free(model->owned);
    samc__tensors_free(&model->tensors);
    samc__checkpoint_close(model->checkpoint);
    free(model);
}

samc_status samc_model_hash(const samc_model *model, char hex[65], samc_error *error) {
    if (model == NULL || hex == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_model_hash: no model or no room");
    const char *known = __atomic_load_n(&model->hash, __ATOMIC_ACQUIRE);
    if (known != NULL) {
        memcpy(hex, known, 65);
        return SAMC_OK;
    }
    SAMC__TRY(samc__tensors_hash(&model->tensors, model->checkpoint, NULL, hex, error));
    char *mine = strdup(hex), *none = NULL; /* kept: of a large model it takes seconds, and each embedding file asks */
    if (!__atomic_compare_exchange_n((char **)&model->hash, &none, mine, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        free(mine);
    return SAMC_OK;
}

int samc__encode_batch(const samc__config *config) {
    int tokens = config->grid * config->grid, images = 8192 / tokens;
    return images < 1 ? 1 : images > 16 ? 16 : images;
}

/* On a device as many as 2 GB hold of keys and, twice, of logits: decoding goes on while what was decoded before
 * becomes masks. */
static int device_batch(const samc__config *config) {
    int64_t tokens = (int64_t)config->grid * config->grid, keys = 2 * tokens * config->decoder.channels,
            logits = 64 * tokens * samc__given_masks(&config->decoder, true);
    if (samc__has_hq(config)) keys *= 3; /* and the map: 16 times the cells, an eighth of the channels */
    int prompts = 1024;
    while (prompts > 64 && prompts * (keys + 2 * logits) > 2000000000) prompts /= 2;
    return prompts;
}

int samc__decode_batch(const samc__config *config, int threads) {
    int tokens = config->grid * config->grid, prompts = 16384 / tokens;
    if (threads == 0) return device_batch(config);
    if (prompts < threads) prompts = threads;
    return prompts > 64 ? 64 : prompts < 1 ? 1 : prompts;
}
