/* Hiera, the encoder of SAM 2. */
#include "runtime/model/hiera.h"

void samc__hiera_tensors(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights) {
    samc__hiera_weights *to = &weights->hiera;
    samc__list_convolution(list, &to->patch, SAMC__ROLE_OPERAND, "image_encoder.trunk.patch_embed.proj",
                           SAMC__SHAPE4(config->encoder.hiera.embed_dim, 3, 7, 7), config->encoder.hiera.embed_dim);
}

samc_status samc__hiera_encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               const samc__features *features) {
    (void)net, (void)inputs, (void)images, (void)features;
    return samc__fail(exec->error, SAMC_UNSUPPORTED, "SAM 2's images cannot be encoded yet");
}
