/* Running encoder and decoder over addresses that hold nothing. */
#include "runtime/rehearse.h"
#include "kernels/finish_masks/finish_masks.h"
#include "kernels/mask_rle/mask_rle.h"
#include "kernels/select_masks/select_masks.h"

#include "runtime/auto_masks.h"
#include "runtime/model/decoder.h"
#include "runtime/model/encode.h"

char *const samc__nowhere = (char *)((uintptr_t)1 << 40);

static samc_status move(const samc__exec *exec, void *to, const void *from, size_t pitch, size_t bytes, size_t rows) {
    (void)exec, (void)to, (void)from, (void)pitch, (void)bytes, (void)rows;
    return SAMC_OK;
}
static samc_status copy(const samc__exec *exec, void *to, size_t to_pitch, const void *from, size_t from_pitch,
                        size_t bytes, size_t rows) {
    (void)exec, (void)to, (void)to_pitch, (void)from, (void)from_pitch, (void)bytes, (void)rows;
    return SAMC_OK;
}
static samc_status image(const samc__exec *exec, const samc_image *picture, const uint8_t **pixels, ptrdiff_t *pitch) {
    (void)exec;
    *pixels = (const uint8_t *)samc__nowhere;
    *pitch = 3 * (ptrdiff_t)picture->width;
    return SAMC_OK;
}
static samc_status image_read(const samc__exec *exec) {
    (void)exec;
    return SAMC_OK;
}
static samc_status wait_for(const samc__exec *exec, const samc__exec *earlier) {
    (void)exec, (void)earlier;
    return SAMC_OK;
}

static samc_status fetch(const samc__exec *exec, int number, const void *tensor, size_t pitch, size_t bytes,
                         size_t rows) {
    (void)exec, (void)number, (void)tensor, (void)pitch, (void)bytes, (void)rows;
    return SAMC_OK;
}
static samc_status fetched(const samc__exec *exec, int number, const void **contents) {
    (void)exec, (void)number;
    *contents = samc__nowhere;
    return SAMC_OK;
}

static void *allocate(const samc__exec *exec, size_t bytes) { return (void)exec, (void)bytes, samc__nowhere; }
static void release(const samc__exec *exec, void *tensor) { (void)exec, (void)tensor; }

samc__place samc__place_nowhere(void *(*own_allocate)(const samc__exec *exec, size_t bytes),
                                void (*own_release)(const samc__exec *exec, void *tensor)) {
    return (samc__place){false,
                         own_allocate ? own_allocate : allocate,
                         own_release ? own_release : release,
                         move,
                         move,
                         copy,
                         image,
                         image_read,
                         wait_for,
                         fetch,
                         fetched};
}

samc_status samc__rehearse_model(const samc__config *config, samc__dtype precision, samc_model *model,
                                 samc_error *error) {
    samc__tensor_list tensors;
    *model = (samc_model){.net = {.config = *config, .precision = precision, .weight_type = precision},
                          .backend = SAMC_BACKEND_CUDA,
                          .device = (struct samc__cuda_device *)samc__nowhere};
    SAMC__TRY(samc__tensors_list(config, &model->net.weights, &tensors, error));
    samc__tensors_point(&tensors, samc__nowhere, precision);
    samc__tensors_free(&tensors);
    return SAMC_OK;
}

samc_status samc__rehearse_encode(const samc__exec *exec, const samc_model *model, int images, int width, int height) {
    samc_image inputs[64];
    for (int i = 0; i < images; i++)
        inputs[i] =
            (samc_image){sizeof(samc_image), (const uint8_t *)samc__nowhere, width, height, 3 * (ptrdiff_t)width};
    samc__features features =
        samc__features_at(&model->net.config, model->net.precision, samc__nowhere, images, 0, images);
    return samc__encode(exec, &model->net, inputs, images, &features);
}

samc_status samc__rehearse_decode(const samc__exec *exec, const samc_model *model, int images, int prompts,
                                  int batches) {
    enum { MOST = 1024 };
    static const float point[2] = {0.0f, 0.0f};
    static const int32_t label = 1;
    const samc__config *c = &model->net.config;
    const samc__dtype a = model->net.precision;
    samc__round round[2];
    void *key_pe = samc__tensor_allocate(exec, samc__grid_bytes(model)),
         *block = samc__tensor_allocate(exec, samc__features_bytes(c, a, images));
    const samc__features features = samc__features_at(c, a, block, images, 0, 1);
    for (int i = 0; i < 2; i++) samc__round_allocate(exec, model, prompts, &round[i]);
    samc__image_cache cache =
        samc__image_cache_at(&model->net, 1, samc__tensor_allocate(exec, samc__image_cache_bytes(&model->net, 1)), 0);
    SAMC__TRY(samc__image_cache_make(exec, &model->net, &features, key_pe, 1, &cache));
    samc_prompt prompt = {.points = point, .labels = &label, .point_count = 1};
    const samc_prompt *batch[MOST];
    for (int i = 0; i < prompts; i++) batch[i] = &prompt;
    samc__frame frame = samc__frame_of(&c->recipe, c->recipe.side, c->recipe.side);
    samc__prompt_batch args = {.prompts = batch,
                               .count = prompts,
                               .images = 1,
                               .tokens = samc__prompt_tokens(&c->decoder, &prompt),
                               .frame = &frame,
                               .features = features,
                               .cache = cache,
                               .key_pe = key_pe};
    for (int i = 0; i < batches; i++)
        SAMC__TRY(samc__decode(exec, &model->net, &args, true, &(samc__decoded){round[0].logits, round[0].iou, NULL}));
    return SAMC_OK;
}

samc_status samc__rehearse_predict(const samc__exec *exec, const samc_model *model, int prompts, int images, int tokens,
                                   bool masked) {
    enum { MOST = 1024 };
    const samc__network *net = &model->net;
    samc_prompt prompt = {.size = sizeof prompt};
    const samc_prompt *batch[MOST];
    samc__prompt_batch args = {.prompts = batch,
                               .count = prompts,
                               .images = images,
                               .tokens = tokens,
                               .masked = masked,
                               .features =
                                   samc__features_at(&net->config, net->precision, samc__nowhere, images, 0, images),
                               .key_pe = samc__nowhere};
    for (int i = 0; i < prompts; i++) batch[i] = &prompt;
    if (!masked) {
        void *cache = samc__tensor_allocate(exec, samc__image_cache_bytes(net, images));
        args.cache = samc__image_cache_at(net, images, cache, 0);
        SAMC__TRY(samc__image_cache_make(exec, net, &args.features, samc__nowhere, images, &args.cache));
    }
    float *nowhere = (float *)(void *)samc__nowhere;
    const bool multimask = net->config.decoder.dynamic == 0.0f; /* else one mask takes more: it is chosen among all */
    return samc__decode(exec, net, &args, multimask, &(samc__decoded){nowhere, nowhere, nowhere});
}

samc_status samc__rehearse_post(const samc__exec *exec, const samc_model *model, int prompts) {
    const samc__config *c = &model->net.config;
    samc__finisher f;
    samc__round round;
    int width, height;
    samc__everyday_size(c, &width, &height);
    samc__finisher_allocate(exec, samc__device_room(c, prompts), &f);
    samc__round_at(model, prompts, samc__nowhere, samc__nowhere, &round);
    int64_t low = samc__low_res(c), masks = (int64_t)prompts * samc__given_masks(&c->decoder, true),
            most = f.room.masks;
    const samc__frame frame = samc__frame_of(&c->recipe, width, height);
    samc__finish_masks_args finish = samc__frame_masks(&c->recipe, &frame);
    finish.logits = samc__view3(round.logits, masks, low, low);
    finish.index = round.index, finish.count = masks, finish.picked = round.picked;
    finish.offset = 1.0f, finish.stats = round.stats;
    SAMC__TRY(samc__select_masks(
        exec,
        &(samc__select_masks_args){.iou = round.iou, .count = masks, .index = round.index, .picked = round.picked}));
    SAMC__TRY(samc__finish_masks(exec, &finish));
    finish.bits = f.bits, finish.count = most, finish.picked = NULL;
    SAMC__TRY(samc__finish_masks(exec, &finish));
    return samc__mask_rle(exec, &(samc__mask_rle_args){.bits = f.bits,
                                                       .masks = most,
                                                       .height = height,
                                                       .width = width,
                                                       .counts = f.counts,
                                                       .capacity = f.room.runs,
                                                       .lengths = f.lengths});
}
