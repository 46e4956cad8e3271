/* Opening a model of text and images: file -> configuration -> checked and bound weights -> operator table. */
#include "runtime/model/text_image.h"

#include "kernels/cpu/caps.h"
#include "runtime/base/abi.h"
#include "runtime/cuda.h"
#include "runtime/model/pack.h"
#include "runtime/model/tensors.h"
#include "runtime/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static samc_status check_options(const samc_options *o, const char *label, samc_error *error) {
    if (o->threads < 0 || o->threads > SAMC__MAX_THREADS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "threads must be 0 to %d, not %d", SAMC__MAX_THREADS,
                          o->threads);
    if (o->backend < SAMC_BACKEND_AUTO || o->backend > SAMC_BACKEND_CUDA)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "unknown backend %d", (int)o->backend);
    if (o->backend == SAMC_BACKEND_CUDA)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: models of text and images run on the CPU alone as yet", label);
    if (o->precision == SAMC_PRECISION_F16 || o->precision == SAMC_PRECISION_INT8)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: models of text and images compute in f32 or bf16", label);
    return SAMC_OK;
}

/* The table, and the types that the model is kept and computed in. */
static samc_status choose(const samc_options *options, samc__text_image *net, samc__relate_opened *o,
                          samc_error *error) {
    const char *rung = NULL, *low = NULL;
    unsigned caps = 0;
    o->threads = options->threads ? options->threads : samc__processors();
    o->backend = options->backend == SAMC_BACKEND_REF ? SAMC_BACKEND_REF : SAMC_BACKEND_CPU;
    net->precision = SAMC__F32;
    net->weight_type = options->precision == SAMC_PRECISION_BF16 ? SAMC__BF16 : SAMC__F32;
    samc__ops_ref(&o->ops);
    if (o->backend == SAMC_BACKEND_CPU) {
        SAMC__TRY(samc__options_caps(&caps, error));
        rung = samc__ops_cpu(&o->ops, caps);
        if (net->weight_type == SAMC__BF16) low = samc__ops_low(&o->ops, caps);
        if (low != NULL) net->precision = SAMC__BF16;
    }
    snprintf(net->arithmetic, sizeof net->arithmetic, "%s by %s",
             low                              ? "bf16"
             : net->weight_type == SAMC__BF16 ? "f32 on weights of bf16"
                                              : "f32",
             low    ? low
             : rung ? rung
                    : "plain C");
    if ((rung || low) && (net->packed = samc__packed_create()) == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to open a model");
    o->packed = net->packed;
    return SAMC_OK;
}

static samc_status load(samc__text_image *net, samc_error *error) {
    const samc__narrowing narrow = {net->weight_type, net->packed};
    SAMC__TRY(samc__tensors_load(&net->tensors, net->checkpoint, net->weight_type == SAMC__F32 ? NULL : &narrow,
                                 &net->owned, &net->owned_bytes, error));
    net->parameters = samc__tensors_parameters(&net->tensors);
    if (net->packed == NULL || net->weight_type != SAMC__F32) return SAMC_OK;
    return samc__pack_list(&net->tensors, net->checkpoint, net->owned, net->owned_bytes, net->packed, error);
}

static samc_status open_model(const char *path, const samc_options *options, samc__text_image *net,
                              samc__relate_opened *o, samc_error *error) {
    samc__text_image_kind kind;
    SAMC__TRY(check_options(options, path, error));
    SAMC__TRY(samc__checkpoint_open(path, &net->checkpoint, error));
    SAMC__TRY(samc__text_image_recognise(net->checkpoint, &kind, error));
    SAMC__TRY(samc__text_image_read(net->checkpoint, kind, &net->config, error));
    SAMC__TRY(samc__text_image_list(&net->config, &net->weights, &net->tensors, error));
    SAMC__TRY(choose(options, net, o, error));
    SAMC__TRY(load(net, error));
    return samc__tokenizer_create(&net->tokenizer, error);
}

samc_status samc__relate_open(const char *path, const samc_options *options, samc__relate_opened *opened,
                              samc_error *error) {
    *opened = (samc__relate_opened){0};
    samc__text_image *net = calloc(1, sizeof *net);
    if (net == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory to open the model", path);
    const samc_status status = open_model(path, options, net, opened, error);
    if (status != SAMC_OK) {
        samc__text_image_close(net);
        return status;
    }
    opened->net = net;
    opened->family = samc__text_image_family_of(&net->config)->relate;
    return SAMC_OK;
}
