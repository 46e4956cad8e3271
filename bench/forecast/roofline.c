/* One call takes max(tensor flops / (tensor peak x share), plain flops / (fp32 peak x share), bytes / (bandwidth x
 * share)), the first for as many whole waves of blocks as it has, then the bytes of a second pass where it makes one,
 * plus what its launches cost and, for nms, the walk of one block. Attention goes at the published rate of its class;
 * other kernels of samc's at a share of what mma.sync reaches by the static loop mix (tests/emu/budget/loop_mix.md: 63
 * % of a Hopper's peak). Shares are assumptions, listed below and printed with every forecast. */
#include "bench/forecast/roofline.h"

#include <math.h>
#include <string.h>

static const samc__gpu gpus[] = {
    {"a100", "A100 SXM 80 GB", 312e12, 19.5e12, 2.039e12, 108, 80, 1.0, 190e12, 20e9},
    {"a100-40gb", "A100 SXM 40 GB", 312e12, 19.5e12, 1.555e12, 108, 80, 1.0, 190e12, 20e9},
    {"h100", "H100 SXM", 989e12, 66.9e12, 3.35e12, 132, 90, 0.63, 321e12, 40e9},
    {"h200", "H200 SXM", 989e12, 66.9e12, 4.8e12, 132, 90, 0.63, 321e12, 40e9},
};
enum { GPUS = sizeof gpus / sizeof *gpus };

const double samc__memory_share = 0.80, samc__plain_share = 0.50, samc__launch_seconds = 2.5e-6;
static const double step_seconds = 1.5e-6; /* nms, 32 boxes */
static const double wait = 20e-6, waits = 4;
const samc__tensor_assumption samc__tensor_assumptions[] = {
    {"linear", "cuBLASLt", SAMC__OF_PEAK, 0.70},        /* of the peak */
    {"linear", "cuBLASLt + GELU", SAMC__OF_PEAK, 0.70}, /* the product; bias and GELU are a pass by bandwidth */
    {"linear", "wgmma", SAMC__OF_PEAK,
     0.70}, /* one block on a multiprocessor: its epilogue is added, nothing runs beside it */
    {"linear", "own", SAMC__OF_MMA_SYNC, 0.75}, /* of what mma.sync reaches, as all below */
    {"attention_relpos", NULL, SAMC__OF_ATTENTION, 1.0},
    {"conv3x3", NULL, SAMC__OF_MMA_SYNC, 0.60},
    {"embed_mask", NULL, SAMC__OF_MMA_SYNC, 0.60},
    {"token_attention", NULL, SAMC__OF_MMA_SYNC, 0.30}, /* few rows */
    {"token_to_image", NULL, SAMC__OF_MMA_SYNC, 0.60},
    {"image_to_token", NULL, SAMC__OF_MMA_SYNC, 0.60},
    {"upscale_masks", NULL, SAMC__OF_MMA_SYNC, 0.60},
};
const int samc__tensor_assumption_count = sizeof samc__tensor_assumptions / sizeof *samc__tensor_assumptions;

const samc__gpu *samc__gpu_named(const char *name) {
    for (int i = 0; i < GPUS; i++)
        if (strcmp(gpus[i].name, name) == 0) return &gpus[i];
    return NULL;
}

const samc__gpu *samc__gpu_of(const char *reported) {
    for (int i = GPUS - 1; i >= 0; i--) { /* of two A100 the driver says which one it is */
        char chip[5] = {0};
        memcpy(chip, gpus[i].what, sizeof chip - 1);
        bool smaller = strcmp(gpus[i].name, "a100-40gb") == 0;
        if (strstr(reported, chip) != NULL && smaller == (strstr(reported, "40GB") != NULL)) return &gpus[i];
    }
    return NULL;
}

double samc__tensor_share(const samc__gpu *gpu, const char *op, const char *form) {
    for (int i = 0; i < samc__tensor_assumption_count; i++) {
        const samc__tensor_assumption *a = &samc__tensor_assumptions[i];
        if (strcmp(a->op, op) == 0 && (a->form == NULL || strcmp(a->form, form) == 0))
            return a->share * (a->of == SAMC__OF_ATTENTION  ? gpu->attention / gpu->tensor
                               : a->of == SAMC__OF_MMA_SYNC ? gpu->mma_sync
                                                            : 1.0);
    }
    return 0.0;
}

double samc__roofline(const samc__gpu *gpu, const samc__work *w, const char **bound) {
    double share = samc__tensor_share(gpu, w->op, w->form),
           overhead = w->launches * samc__launch_seconds + w->steps * step_seconds;
    double whole = w->blocks > 0 ? ceil(w->blocks / gpu->sms) / (w->blocks / gpu->sms)
                                 : 1.0; /* the last wave is as long as the others */
    double tensor = w->tensor > 0 && share > 0 ? whole * w->tensor / (gpu->tensor * share) : 0.0;
    double plain = w->plain / (gpu->plain * samc__plain_share),
           memory = w->bytes / (gpu->bandwidth * samc__memory_share);
    double most = strcmp(w->form, "wgmma") == 0 ? fmax(tensor + plain, memory) : fmax(tensor, fmax(plain, memory));
    *bound = overhead > most  ? (w->steps ? "walk" : "launch")
             : most == tensor ? "tensor"
             : most == memory ? "memory"
                              : "fp32";
    return most + w->pass_bytes / (gpu->bandwidth * samc__memory_share) + overhead;
}

double samc__roofline_total(const samc__gpu *gpu, const samc__workload *load) {
    double seconds = 0.0;
    const char *bound;
    for (int i = 0; i < load->rows; i++)
        seconds += (double)load->row[i].calls * samc__roofline(gpu, &load->row[i], &bound);
    return seconds;
}

double samc__upload_seconds(const samc__gpu *gpu, int width, int height) { return 3.0 * width * height / gpu->link; }
double samc__wait_seconds(void) { return waits * wait; }

bool samc__aims(const char *model, samc__aim *aim) {
    static const struct {
        const char *model;
        samc__aim aim;
    } aims[] = {{"vit_h", {80, 0, 25}}, {"vit_b", {400, 500, 14}}};
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++) {
        if (strcmp(aims[i].model, model) != 0) continue;
        *aim = aims[i].aim;
        return true;
    }
    return false;
}
