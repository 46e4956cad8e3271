/* What opening a model takes of this process's memory, for memory_test.py.
 *
 *     open_memory make PATH               writes a model of half the widths and cells of ViT-B and all of its depth
 *     open_memory open PATH PRECISION     opens one with f32 or bf16 and prints the bytes resident because of that:
 * with the model open, and the most on the way there */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/tensors.h"
#include "runtime/samc.h"
#include "weights/safetensors.h"

enum { MOST_TENSORS = 512, MOST = 4096 };

static void die(const char *what) {
    fprintf(stderr, "open_memory: %s\n", what);
    exit(1);
}

/* Values that differ from bit to bit, of the size that weights have. */
static samc_status fill(void *context, size_t index, int64_t first, int64_t count, void *bytes, samc_error *error) {
    float *to = bytes;
    uint32_t x = (uint32_t)first * 2654435761u + (uint32_t)index;
    (void)context, (void)error;
    for (int64_t i = 0; i < count; i++, x = x * 1664525u + 1013904223u) to[i] = (float)(int32_t)x * 0x1p-36f;
    return SAMC_OK;
}

static void make(const char *path) {
    static samc__weights views;
    static samc__output_tensor out[MOST_TENSORS];
    samc__config c = {
        .grid = 45,
        .recipe = {.name = "sam", .side = 720, .frame = 720, .mean = {120, 115, 100}, .std = {58, 57, 56}},
        .encoder = {.vit = {.patch_size = 16,
                            .embed_dim = 384,
                            .depth = 12,
                            .num_heads = 6,
                            .mlp_dim = 1536,
                            .window_size = 14,
                            .use_rel_pos = true,
                            .use_abs_pos = true,
                            .qkv_bias = true}},
        .decoder = {.channels = 128,
                    .mask_in_chans = 16,
                    .norm_eps = 1e-5f,
                    .depth = 2,
                    .heads = 8,
                    .mlp_dim = 1024,
                    .inner = 64,
                    .mask_at = 1,
                    .hq_at = -1,
                    .object_at = -1,
                    .masks = 4,
                    .iou_depth = 3,
                    .iou_dim = 128}};
    samc__tensor_list list;
    samc__json_text text = {0};
    samc_error error;
    for (int i = 2; i < 12; i += 3) c.encoder.vit.global_attn[i] = true;
    if (samc__tensors_list(&c, &views, &list, &error) != SAMC_OK) die(error.message);
    if (list.count > MOST_TENSORS) die("too many tensors");
    for (size_t i = 0; i < list.count; i++) {
        out[i] = (samc__output_tensor){.name = list.at[i].name, .dtype = SAMC__F32, .rank = list.at[i].rank};
        memcpy(out[i].shape, list.at[i].shape, sizeof list.at[i].shape);
    }
    samc__config_write(&c, (samc__json){NULL, NULL}, &text);
    const samc__metadata metadata = {(char *)"samc.config", text.data};
    if (samc__safetensors_write(path, out, list.count, &metadata, 1, fill, NULL, &error) != SAMC_OK) die(error.message);
    free(text.data);
    samc__tensors_free(&list);
}

/* A line of /proc/self/status, in bytes. */
static long long status_of(const char *name) {
    char line[256];
    long long kilobytes = -1;
    FILE *file = fopen("/proc/self/status", "r");
    if (file == NULL) die("no /proc/self/status");
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0) sscanf(line + strlen(name), ": %lld", &kilobytes);
    fclose(file);
    if (kilobytes < 0) die("a line of /proc/self/status is missing");
    return kilobytes * 1024;
}

static void measure(const char *path, const char *precision) {
    samc_options options = SAMC_INIT(samc_options);
    samc_model *model = NULL;
    samc_error error;
    samc_default_options(&options);
    options.backend = SAMC_BACKEND_CPU;
    options.threads = 1;
    options.precision = strcmp(precision, "f32") == 0 ? SAMC_PRECISION_F32 : SAMC_PRECISION_BF16;
    const long long before = status_of("VmRSS");
    if (samc_model_open(path, &options, &model, &error) != SAMC_OK) die(error.message);
    samc_model_info info = SAMC_INIT(samc_model_info);
    if (samc_model_get_info(model, &info) != SAMC_OK) die("no info");
    printf("%lld %lld %zu\n", status_of("VmRSS") - before, status_of("VmHWM") - before, info.weight_bytes);
    samc_model_close(model);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "make") == 0) make(argv[2]);
    else if (argc == 4 && strcmp(argv[1], "open") == 0) measure(argv[2], argv[3]);
    else die("usage: make PATH | open PATH f32|bf16");
    return 0;
}
