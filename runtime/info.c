/* What may be asked of an opened model. */
#include "runtime/auto_masks.h"
#include "runtime/base/abi.h"
#include "runtime/cuda_plan.h"
#include "runtime/host_plan.h"

/* The type that the file keeps its tensors in, or "mixed". */
static const char *stored_type(const samc_model *model) {
    unsigned seen = 0;
    for (size_t i = 0; i < model->tensors.count; i++) {
        samc__dtype type = samc__checkpoint_find(model->checkpoint, model->tensors.at[i].name)->dtype;
        seen |= 1u << (type == SAMC__F64 ? SAMC__F32 : type); /* narrowed, and noted */
    }
    if (seen & 1u << SAMC__I8) return "int8"; /* and what is never in 8 bits beside it */
    return seen == 1u << SAMC__F32    ? "f32"
           : seen == 1u << SAMC__F16  ? "f16"
           : seen == 1u << SAMC__BF16 ? "bf16"
                                      : "mixed";
}

const char *samc__precision_name(samc_precision precision) {
    static const char *const names[] = {"auto", "f32", "f16", "bf16", "int8"}; /* in the order of samc_precision */
    return names[precision];
}

static size_t weight_bytes(const samc_model *model) {
    if (model->device != NULL) return samc__cuda_weight_bytes(model->device);
    return samc__tensors_bytes(&model->tensors, &(samc__narrowing){model->net.weight_type, model->packed});
}

samc_status samc_model_get_info(const samc_model *model, samc_model_info *out) {
    if (model == NULL) return SAMC_INVALID_ARGUMENT;
    const samc__config *c = &model->net.config;
    samc_model_info info = {
        .image_size = c->recipe.side,
        .grid = c->grid,
        .embed_channels = c->decoder.channels,
        .decoder_depth = c->decoder.depth,
        .decoder_heads = c->decoder.heads,
        .multimask_outputs = c->recipe.asked == SAMC__ASKED_BOX ? 1 : samc__given_masks(&c->decoder, true),
        .low_res = samc__low_res(c),
        .mask_threshold = c->recipe.threshold,
        .parameters = model->parameters,
        .file_bytes = samc__checkpoint_bytes(model->checkpoint),
        .name = c->name,
        .licence = c->licence,
        .card = c->card,
        .dtype = stored_type(model),
        .backend = model->backend,
        .threads = model->threads,
        .precision = samc__precision_of(model->net.weight_type),
        .backend_note = model->backend_note,
        .file_note = samc__checkpoint_note(model->checkpoint),
        .encode_flops = model->encode_flops,
        .weight_bytes = weight_bytes(model),
        .device_bytes = model->device ? samc__cuda_planned_bytes(model, samc__cuda_fitting_size(model)) : 0,
        .settings = model->settings,
        .changed = model->changed,
        .arithmetic = model->arithmetic,
        .recipe = c->recipe.name[0] != '\0' ? c->recipe.name : samc__encoder_of(c)->name,
        .recipe_from = c->recipe_from,
        .recipe_fields = model->recipe_fields,
        .encoder_fields = model->encoder_fields,
        .boxes_only = c->recipe.asked == SAMC__ASKED_BOX,
        .squash = c->recipe.resize == SAMC__RESIZE_SQUASH,
    };
    if (model->device) {
        info.encode_bytes = samc__cuda_encode_bytes(model);
    } else {
        int width, height;
        samc__everyday_size(c, &width, &height);
        SAMC__TRY(samc__encode_bytes(model, 1, width, height, &info.encode_bytes, NULL));
        SAMC__TRY(
            samc__predict_bytes(model, samc__decode_batch(c, model->threads), 1, 2, false, &info.predict_bytes, NULL));
    }
    samc__encoder_of(c)->describe(c, &info);
    if (samc__has_hq(c)) info.family = "SAM-HQ";
    return samc__abi_give(SAMC__ABI(samc_model_info), &info, out, NULL);
}
