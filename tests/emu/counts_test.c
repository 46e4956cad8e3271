/* What automatic masks cost beside arithmetic: memory as it is planned for ViT-H; kernels started, copies, and times
 * that the host waits for the device, counted by the twin for sixteen images in ViT-H's depth, eight together. The
 * counts hang on depth, on images encoded together and on points decoded together, and on nothing else: the model is
 * narrow, its grid small and its points few, in as many rounds as ViT-H's 1024 points are planned to take.
 *
 *     counts_test FILE [ROUNDS]        where a model may be written; other rounds only to look at their counts */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_control.h"
#include "runtime/auto_masks.h"
#include "runtime/cuda_device.h"
#include "runtime/cuda_plan.h"
#include "runtime/rehearse.h"
#include "bench/forecast/workload.h"
#include "runtime/model/tensors.h"
#include "weights/safetensors.h"

enum { IMAGES = 16, WIDTH = 61, HEIGHT = 43, SIDE = 4, MOST_TENSORS = 1024 };

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("FAILED counts_test.c:%d: %s\n", __LINE__, #condition);                                             \
            fflush(stdout);                                                                                            \
            _Exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static uint8_t pixels[IMAGES][WIDTH * HEIGHT * 3];
static samc__output_tensor tensors[MOST_TENSORS];

/* Anything that is not constant: what the masks look like does not matter. */
static samc_status fill(void *context, size_t index, int64_t first, int64_t count, void *bytes, samc_error *error) {
    uint64_t x = (index + 1) * 0x9e3779b97f4a7c15u + (uint64_t)first;
    float *to = bytes;
    (void)context, (void)error;
    for (int64_t i = 0; i < count; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        to[i] = ((float)(x >> 40) / 8388608.0f - 1.0f) * (tensors[index].rank == 1 ? 1.0f : 0.3f);
    }
    return SAMC_OK;
}

/* ViT-H's depth and global blocks, the decoder's shapes that its tensor-core kernels take. */
static void write_model(const char *path) {
    samc__config c = {.recipe = {.side = 128, .frame = 128},
                      .grid = 8,
                      .encoder = {.vit = {.patch_size = 16,
                                          .embed_dim = 64,
                                          .depth = 32,
                                          .num_heads = 1,
                                          .mlp_dim = 128,
                                          .window_size = 7,
                                          .use_rel_pos = true,
                                          .use_abs_pos = true,
                                          .qkv_bias = true}},
                      .decoder = {.channels = 128,
                                  .mask_in_chans = 16,
                                  .norm_eps = 1e-5f,
                                  .depth = 2,
                                  .heads = 8,
                                  .mlp_dim = 128,
                                  .inner = 64,
                                  .mask_at = 1,
                                  .hq_at = -1,
                                  .object_at = -1,
                                  .masks = 4,
                                  .iou_depth = 3,
                                  .iou_dim = 128}};
    static samc__weights views;
    samc__tensor_list list;
    samc_error error = {0};
    for (int block = 7; block < c.encoder.vit.depth; block += 8) c.encoder.vit.global_attn[block] = true;
    EXPECT(samc__tensors_list(&c, &views, &list, &error) == SAMC_OK && list.count <= MOST_TENSORS);
    for (size_t i = 0; i < list.count; i++) {
        const samc__entry *e = &list.at[i];
        tensors[i] = (samc__output_tensor){.name = e->name, .dtype = SAMC__F32, .rank = e->rank};
        memcpy(tensors[i].shape, e->shape, sizeof e->shape);
    }
    samc_status status = samc__safetensors_write(path, tensors, list.count, NULL, 0, fill, NULL, &error);
    if (status != SAMC_OK) printf("%s\n", error.message);
    EXPECT(status == SAMC_OK);
    samc__tensors_free(&list);
}

typedef struct seen {
    int images;
    int64_t masks;
} seen;

static samc_status take(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    seen *s = context;
    (void)image, (void)masks, (void)stats;
    s->images++, s->masks += count;
    return SAMC_OK;
}

/* ViT-H in bf16: 8 images together and 512 points where there is memory, 3.5 GB beside the weights with the photographs
 * that are on their way; with less, what is planned fits, and prompts stay many as long as images can give way. Returns
 * the rounds of 1024 points. */
static int plan_vit_h(void) {
    static struct samc__cuda_device device = {.capability = 90};
    static samc_model model;
    samc__shapes *shapes = NULL;
    samc__session_plan plan;
    int width, height;
    EXPECT(samc__shapes_open("vit_h", &shapes, NULL) == SAMC_OK &&
           samc__rehearse_model(samc__shapes_config(shapes), SAMC__BF16, &model, NULL) == SAMC_OK);
    model.device = &device;
    samc__everyday_size(&model.net.config, &width, &height);
    size_t picture = 3 * (size_t)width * (size_t)height, before = SIZE_MAX;
    samc__session_size most = samc__fitting_size(&model, (size_t)80 << 30);
    EXPECT(most.images == 8 && most.groups == 2 && most.prompts == 512);
    EXPECT(samc__plan_session(&model, most, &plan, NULL) == SAMC_OK);
    size_t all = samc__plan_bytes(&plan) + (size_t)most.images * picture;
    printf("ViT-H, %d points and %d images together: %.2f GB to encode, %.2f GB to decode, %.2f GB behind it, %.2f GB "
           "with photographs\n",
           most.prompts, most.images, 1e-9 * (double)(plan.encode.arena + plan.encode.scratch),
           1e-9 * (double)(plan.decode.arena + plan.decode.scratch),
           1e-9 * (double)(plan.post.arena + plan.post.scratch), 1e-9 * (double)all);
    EXPECT(all <= 3500000000u);
    for (size_t room = (size_t)3 << 30; room > (size_t)200 << 20; room = room / 8 * 7) {
        samc__session_size size = samc__fitting_size(&model, room);
        EXPECT(samc__plan_session(&model, size, &plan, NULL) == SAMC_OK);
        size_t bytes = samc__plan_bytes(&plan) + (size_t)size.images * picture;
        EXPECT(bytes <= before && (size.prompts >= 256 || (size.images == 1 && size.groups == 1)));
        EXPECT(bytes <= room || (size.prompts == 1 && size.images == 1));
        before = bytes;
    }
    samc__shapes_close(shapes);
    return 1024 / most.prompts;
}

int main(int argc, char **argv) {
    EXPECT(argc > 1);
    int rounds = plan_vit_h();
    if (argc > 2) rounds = atoi(argv[2]);
    write_model(argv[1]);
    samc_options options = {
        .size = sizeof options, .backend = SAMC_BACKEND_CUDA, .precision = SAMC_PRECISION_BF16, .threads = 1};
    samc_model *model;
    samc_session *session;
    samc_error error = {0};
    samc_image images[IMAGES];
    samc_emu_settings settings = {.memory = (uint64_t)8 << 30};
    samc_emu_begin(&settings);
    if (samc_model_open(argv[1], &options, &model, &error) != SAMC_OK ||
        samc_session_create(model, &session, &error) != SAMC_OK) {
        printf("FAILED: %s\n", error.message);
        return 1;
    }
    for (int i = 0; i < IMAGES; i++) {
        for (int j = 0; j < WIDTH * HEIGHT * 3; j++) pixels[i][j] = (uint8_t)((j * (i + 3) + j / 97) % 251);
        images[i] = (samc_image){sizeof(samc_image), pixels[i], WIDTH, HEIGHT, 3 * WIDTH};
    }
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_model_get_info(model, &info);
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &automatic);
    automatic.points_per_side = SIDE;
    automatic.points_per_batch = SIDE * SIDE / rounds;
    automatic.pred_iou_thresh = automatic.stability_score_thresh = 0;
    seen s = {0};
    samc_emu_counts before = samc_emu_counted(), after;
    samc_status status = samc_auto(session, images, IMAGES, &automatic, take, &s);
    if (status != SAMC_OK) printf("%s\n", samc_last_error(session));
    EXPECT(status == SAMC_OK && s.images == IMAGES && s.masks > IMAGES && session->encode_most == 8);
    after = samc_emu_counted();
    double launches = (double)(after.launches - before.launches) / IMAGES,
           copies = (double)(after.copies - before.copies) / IMAGES;
    double waits = (double)(after.waits - before.waits) / IMAGES, masks = (double)s.masks / IMAGES;
    printf(
        "%d rounds of points, %d images together: an image takes %.1f launches, %.1f copies, %.1f waits; %.1f masks\n",
        rounds, session->encode_most, launches, copies, waits, masks);
    if (argc == 2) EXPECT(launches <= 150 && waits <= 4);
    /* All of it in the memory that was planned, but for the images' buffers. */
    samc_memory memory = SAMC_INIT(samc_memory);
    samc_session_memory(session, &memory);
    printf("device memory: planned %zu, peak %zu bytes\n", info.device_bytes, memory.device_peak);
    EXPECT(info.device_bytes > 0 && memory.device_peak <= info.device_bytes + 8 * sizeof pixels[0]);
    samc_session_destroy(session);
    samc_model_close(model);
    return 0;
}
