/* The time that a piece of work should take on a GPU, by arithmetic against its data sheet, and what samc aims at: for
 * samc-forecast and for tools/gpu_check.sh, which sets them beside what it measured. */
#ifndef SAMC_BENCH_FORECAST_ROOFLINE_H
#define SAMC_BENCH_FORECAST_ROOFLINE_H

#include "bench/forecast/workload.h"

/* Data sheets, dense bf16 and fp32 without tensor cores. */
typedef struct samc__gpu {
    const char *name, *what;
    double tensor, plain, bandwidth; /* per second */
    int sms, capability;             /* 90: sm_90 */
    double mma_sync;                 /* share of `tensor` that mma.sync can reach, from the loop mix */
    double
        attention; /* per second, what is published of attention on mma.sync: FlashAttention-2, which samc's is alike */
    double link;   /* bytes per second between pinned memory and the device */
} samc__gpu;

const samc__gpu *samc__gpu_named(const char *name); /* "h100"; NULL where it is not known */
/* By what the driver calls the device, "NVIDIA H100 80GB HBM3"; likewise. */
const samc__gpu *samc__gpu_of(const char *reported);

/* What the arithmetic assumes. */
extern const double samc__memory_share, samc__plain_share, samc__launch_seconds;
typedef enum samc__share_of { SAMC__OF_PEAK, SAMC__OF_MMA_SYNC, SAMC__OF_ATTENTION } samc__share_of;
typedef struct samc__tensor_assumption {
    const char *op, *form; /* NULL: every form */
    samc__share_of of;
    double share;
} samc__tensor_assumption;
extern const samc__tensor_assumption samc__tensor_assumptions[];
extern const int samc__tensor_assumption_count;
double samc__tensor_share(const samc__gpu *gpu, const char *op,
                          const char *form); /* of the peak; 0: not on tensor cores */

/* Seconds of one call, and what bounds it. */
double samc__roofline(const samc__gpu *gpu, const samc__work *work, const char **bound);
double samc__roofline_total(const samc__gpu *gpu, const samc__workload *load);

/* What an image costs beside its kernels, in seconds: its pixels' way to the device, unless other images are computed
 * meanwhile, and the waits of the host, as many as tests/emu/counts_test.c allows. */
double samc__upload_seconds(const samc__gpu *gpu, int width, int height);
double samc__wait_seconds(void);

/* The photograph and the points of the aims. */
enum { SAMC__AIM_WIDTH = 2250, SAMC__AIM_HEIGHT = 1500, SAMC__AIM_PROMPTS = 1024 };
/* What samc aims at on an H100 in bf16: an image alone, 8 together (0: no aim), automatic masks; false for models
 * without an aim. */
typedef struct samc__aim {
    double images_alone, images_together, automatic_ms;
} samc__aim;
bool samc__aims(const char *model, samc__aim *aim);

#endif
