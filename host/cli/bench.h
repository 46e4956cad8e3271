/* What the parts of samc bench share: the work, what was measured of it, and who writes it down. */
#ifndef SAMC_HOST_CLI_BENCH_H
#define SAMC_HOST_CLI_BENCH_H

#include "host/cli/cli.h"

enum { SAMC__BENCH_PROMPTS = 64, SAMC__BENCH_RUNS = 999, SAMC__BENCH_ROWS = 64 };

/* One image and a grid of one-point prompts on it, in pixels; of boxes around these for a model that takes them alone.
 */
typedef struct samc__bench_work {
    samc_image image;
    samc_prompt prompts[SAMC__BENCH_PROMPTS];
    float points[SAMC__BENCH_PROMPTS][2], boxes[SAMC__BENCH_PROMPTS][4];
} samc__bench_work;

/* A stage that ran. Of the decoder everything is of one prompt, but for the operators. */
typedef struct samc__bench_stage {
    const char *name;
    double seconds[SAMC__BENCH_RUNS]; /* of `runs`, ascending */
    int runs;
    double busy;          /* processor seconds of the run that took least */
    double flops;         /* a multiply-add counted as two */
    double images, masks; /* that a run gives; 0: none of them */
    samc_profile_row rows[SAMC__BENCH_ROWS];
    int row_count;
} samc__bench_stage;

/* Seconds from nothing to the first mask; the file may lie in the page cache. */
typedef struct samc__bench_cold {
    double open, session, image, prompt;
} samc__bench_cold;

/* Bytes; of the process as the kernel counts them, 0 where it does not say. */
typedef struct samc__bench_memory {
    int64_t before, opened, opening; /* before the model was opened, then, and the most until then */
    int64_t peak;                    /* the most until the last stage ended */
    int64_t weights, session, device;
} samc__bench_memory;

/* "AMD EPYC (family 26, model 2)", as far as the kernel tells it, and the GPU where it computes. */
void samc__bench_machine(const samc_model_info *info, char *text, size_t size);

/* Bytes of the process by their name in /proc/self/status, "VmRSS:" now, "VmHWM:" the most ever. */
int64_t samc__bench_bytes(const char *name);

/* The share of `sorted` (ascending, 0 < percent <= 100) that is not above the result is at least `percent`; the result
 * is one of them. */
double samc__bench_percentile(const double *sorted, int count, int percent);
int samc__bench_ascending(const void *a, const void *b); /* of doubles, for qsort() */

/* Peaks, a stage, cold start and memory as JSON; NULL: no memory. The peak of a precision is that of its type, or of
 * f32 where the machine has no instruction for it. */
json_t *samc__bench_peaks_json(const samc_peaks *peaks);
json_t *samc__bench_stage_json(const samc__bench_stage *stage, const samc_model_info *info, const samc_peaks *peaks);
json_t *samc__bench_cold_json(const samc__bench_cold *cold);
json_t *samc__bench_memory_json(const samc__bench_memory *memory);

/* Such objects for people. */
void samc__bench_print_stage(const json_t *stage);
void samc__bench_print_cold(const json_t *cold);
void samc__bench_print_memory(const json_t *memory);
void samc__bench_print_reference(const json_t *reference);

/* The masks of all prompts. Session and model may be gone meanwhile. */
typedef struct samc__bench_masks {
    samc_result *result;
    samc_mask *masks; /* [prompts, per_prompt] */
    int per_prompt;
} samc__bench_masks;

samc_status samc__bench_masks_make(samc_session *session, const samc__bench_work *work, samc__bench_masks *masks,
                                   samc_error *error);
void samc__bench_masks_free(samc__bench_masks *masks);

/* How far these masks are from those of the model `path` in f32 on the CPU: their IoU, mask by mask, and of the masks
 * with the highest predicted IoU. */
samc_status samc__bench_compare(const samc__cli *cli, const char *path, const samc__bench_work *work,
                                const samc__bench_masks *masks, json_t **reference, samc_error *error);

#endif
