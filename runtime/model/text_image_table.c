/* What the tables of all families have, and CLIP's own. */
#include "runtime/model/text_image.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/model/tensors.h"
#include "weights/safetensors.h"

void samc__text_image_facts(const samc__text_image *net, samc__relate_facts *facts) {
    const samc__narrowing narrow = {net->weight_type, net->packed};
    *facts = (samc__relate_facts){
        .image_size = net->config.vision.side,
        .context = net->config.text.context,
        .dim = net->config.dim,
        .logit_scale = (float)exp((double)*samc__f32(net->weights.logit_scale)),
        .parameters = net->parameters,
        .weight_bytes = samc__tensors_bytes(&net->tensors, &narrow),
        .dtype = samc__dtype_name(samc__checkpoint_find(net->checkpoint, net->tensors.at[1].name)->dtype),
        .note = samc__checkpoint_note(net->checkpoint),
    };
}

samc_status samc__text_image_hash(const void *of, char hex[65], samc_error *error) {
    const samc__text_image *net = of;
    samc__json_text config = {0}; /* the tensors do not tell heads, activations, pixels' means ... */
    samc__text_image_write(&net->config, &config);
    const samc_status status = config.failed
                                   ? samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a model's configuration")
                                   : samc__tensors_hash(&net->tensors, net->checkpoint, config.data, hex, error);
    free(config.data);
    return status;
}

void samc__text_image_close(void *of) {
    samc__text_image *net = of;
    if (net == NULL) return;
    samc__packed_destroy(net->packed);
    samc__tokenizer_free(net->tokenizer);
    free(net->owned);
    samc__tensors_free(&net->tensors);
    samc__checkpoint_close(net->checkpoint);
    free(net);
}

const char *samc__text_image_spoilt(const void *of, bool *nan) {
    const samc__text_image *net = of;
    return samc__tensors_spoilt(&net->tensors, net->checkpoint, nan);
}

samc_status samc__text_image_tokens(const void *of, const char *text, int32_t *ids, int *end, bool *cut,
                                    samc_error *error) {
    const samc__text_image *net = of;
    samc__tokens tokens;
    SAMC__TRY(samc__tokenize(net->tokenizer, text, net->config.text.context, ids, &tokens, error));
    for (int i = 0; i < tokens.count; i++)
        if (ids[i] >= net->config.text.vocabulary)
            return samc__fail(error, SAMC_UNSUPPORTED,
                              "token %d of CLIP's vocabulary is beyond the %d of the model, which takes another",
                              ids[i], net->config.text.vocabulary);
    *end = tokens.end, *cut = tokens.cut;
    return SAMC_OK;
}

samc_status samc__clip_relate_text(const samc__exec *exec, const void *of, const int32_t *ids, const int *ends,
                                   int count, float *features) {
    const samc__text_image *net = of;
    SAMC__TRY(samc__text_features(exec, net, ids, ends, count, features));
    samc__unit_features(features, count, net->config.dim, 0);
    return SAMC_OK;
}

samc_status samc__clip_relate_image(const samc__exec *exec, const void *of, const samc_image *images, int count,
                                    float *features) {
    const samc__text_image *net = of;
    SAMC__TRY(samc__clip_image(exec, net, images, count, features));
    samc__unit_features(features, count, net->config.dim, 0);
    return SAMC_OK;
}

static void facts(const void *net, samc__relate_facts *to) { samc__text_image_facts(net, to); }

const samc__relate samc__relate_clip = {
    .name = "CLIP",
    .kind = SAMC_DETECTOR_LABELS,
    .facts = facts,
    .hash = samc__text_image_hash,
    .close = samc__text_image_close,
    .spoilt = samc__text_image_spoilt,
    .tokens = samc__text_image_tokens,
    .text = samc__clip_relate_text,
    .image = samc__clip_relate_image,
};
