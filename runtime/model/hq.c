/* SAM-HQ's tensors and settings. */
#include "runtime/model/hq.h"

#include <stdio.h>

const samc__setting samc__hq_settings[] = {
    {"mask_threshold", -1000, 1000, offsetof(samc__config, recipe.threshold)},
    {"hq_token_only", 0, 1, offsetof(samc__config, hq_token_only)},
    {.name = NULL},
};

static void upscaling(samc__tensor_list *list, samc__upscaling *to, const char *name, int64_t in, int64_t middle,
                      int64_t out) {
    char base[64], first[72], last[72];
    snprintf(base, sizeof base, "mask_decoder.%s", name);
    snprintf(first, sizeof first, "%s.0", base);
    snprintf(last, sizeof last, "%s.3", base);
    samc__list_convolution(list, &to->up1, SAMC__ROLE_OPERAND, first, SAMC__SHAPE4(in, middle, 2, 2), middle);
    samc__list_norm(list, &to->norm, base, "1", middle, 1e-6f);
    samc__list_convolution(list, &to->up2, SAMC__ROLE_OPERAND, last, SAMC__SHAPE4(middle, out, 2, 2), out);
}

void samc__hq_tensors(samc__tensor_list *list, const samc__config *config, samc__hq_weights *to) {
    static const char refine[] = "mask_decoder.embedding_maskfeature";
    const int64_t C = config->decoder.channels, early = samc__encoder_of(config)->early_channels(config);
    samc__list_tensor(list, &to->token, SAMC__ROLE_VECTOR, "mask_decoder", "hf_token.weight", SAMC__SHAPE2(1, C));
    samc__list_linear(list, &to->mlp[0], SAMC__ROLE_SHARED, "mask_decoder.hf_mlp", "layers.0", C, C);
    samc__list_linear(list, &to->mlp[1], SAMC__ROLE_SHARED, "mask_decoder.hf_mlp", "layers.1", C, C);
    samc__list_linear(list, &to->mlp[2], SAMC__ROLE_SHARED, "mask_decoder.hf_mlp", "layers.2", C / 8, C);
    upscaling(list, &to->early, "compress_vit_feat", early, C, C / 8);
    upscaling(list, &to->embedding, "embedding_encoder", C, C / 4, C / 8);
    samc__list_convolution(list, &to->conv1, SAMC__ROLE_OPERAND, "mask_decoder.embedding_maskfeature.0",
                           SAMC__SHAPE4(C / 4, C / 8, 3, 3), C / 4);
    samc__list_norm(list, &to->norm, refine, "1", C / 4, 1e-6f);
    samc__list_convolution(list, &to->conv2, SAMC__ROLE_OPERAND, "mask_decoder.embedding_maskfeature.3",
                           SAMC__SHAPE4(C / 8, C / 4, 3, 3), C / 8);
}
