/* Encoding: the encoder, and what is made of its features once an image. */
#include "runtime/model/encode.h"

#include "kernels/place.h"
#include "kernels/upscale_map/upscale_map.h"

static samc_status upscale(const samc__exec *exec, const samc__network *net, const samc__upscaling *w, samc__view x,
                           bool added, const samc__features *features) {
    samc__upscale_map_args args = {
        .x = x, .up1 = w->up1, .norm = w->norm, .up2 = w->up2, .y = features->level[1], .grid = net->config.grid};
    if (added) args.add = args.y;
    return samc__upscale_map(exec, &args);
}

static samc_status encode_finer(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                                const samc__features *features) {
    const samc__config *c = &net->config;
    const samc__encoder *encoder = samc__encoder_of(c);
    const samc__hq_weights *w = &net->weights.hq;
    samc__features all = *features;
    all.early = samc__view3(NULL, images, (int64_t)c->grid * c->grid, encoder->early_channels(c));
    all.early.data = samc__tensor_allocate(exec, (size_t)samc__elements(all.early) * sizeof(float));
    if (all.early.data == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the finer features of %d image(s)", images);
    samc_status status = encoder->encode(exec, net, inputs, images, &all);
    if (status == SAMC_OK) status = upscale(exec, net, &w->embedding, all.level[0], false, &all);
    if (status == SAMC_OK) status = upscale(exec, net, &w->early, all.early, true, &all);
    samc__tensor_release(exec, all.early.data);
    return status;
}

samc_status samc__encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                         const samc__features *features) {
    if (samc__has_hq(&net->config)) return encode_finer(exec, net, inputs, images, features);
    return samc__encoder_of(&net->config)->encode(exec, net, inputs, images, features);
}
