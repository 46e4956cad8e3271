/* samc bench --reference: masks beside those of the same prompts in f32. */
#include <stdlib.h>
#include <string.h>

#include "host/cli/bench.h"

samc_status samc__bench_masks_make(samc_session *session, const samc__bench_work *work, samc__bench_masks *m,
                                   samc_error *error) {
    *m = (samc__bench_masks){0};
    samc_status status = samc_set_image(session, &work->image);
    if (status == SAMC_OK) status = samc_predict(session, work->prompts, SAMC__BENCH_PROMPTS, true, &m->result);
    if (status == SAMC_OK) {
        m->per_prompt = samc_result_masks(m->result);
        m->masks = calloc((size_t)(SAMC__BENCH_PROMPTS * m->per_prompt), sizeof *m->masks);
        if (m->masks == NULL) return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for the masks");
    }
    for (int i = 0; status == SAMC_OK && i < SAMC__BENCH_PROMPTS * m->per_prompt; i++) {
        m->masks[i].size = sizeof *m->masks;
        status = samc_result_mask(session, m->result, i / m->per_prompt, i % m->per_prompt, &m->masks[i]);
    }
    return status == SAMC_OK ? SAMC_OK : samc__cli_error(error, status, "%s", samc_last_error(session));
}

void samc__bench_masks_free(samc__bench_masks *m) {
    free(m->masks);
    samc_result_free(m->result);
    *m = (samc__bench_masks){0};
}

/* Two masks of one image; two empty ones are alike. `bytes` is [2, height, width]. */
static samc_status mask_iou(const samc_mask *a, const samc_mask *b, uint8_t *bytes, double *iou, samc_error *error) {
    const int64_t pixels = (int64_t)a->width * a->height;
    uint8_t *other = bytes + pixels;
    int64_t both = 0, any = 0;
    samc_status status = samc_mask_bytes(a, bytes, error);
    if (status == SAMC_OK) status = samc_mask_bytes(b, other, error);
    if (status != SAMC_OK) return status;
    for (int64_t i = 0; i < pixels; i++) both += bytes[i] & other[i], any += bytes[i] | other[i];
    *iou = any > 0 ? (double)both / (double)any : 1.0;
    return SAMC_OK;
}

static json_t *iou_json(double *iou, int count) {
    double sum = 0.0;
    qsort(iou, (size_t)count, sizeof *iou, samc__bench_ascending);
    for (int i = 0; i < count; i++) sum += iou[i];
    return json_pack("{s:f, s:f, s:f, s:f}", "median", samc__bench_percentile(iou, count, 50), "p5",
                     samc__bench_percentile(iou, count, 5), "mean", sum / count, "min", iou[0]);
}

static samc_status compare(const samc__bench_masks *ours, const samc__bench_masks *theirs, json_t **reference,
                           samc_error *error) {
    enum { PROMPTS = SAMC__BENCH_PROMPTS };
    const int each = ours->per_prompt, count = PROMPTS * each;
    if (theirs->per_prompt != each)
        return samc__cli_error(error, SAMC_MISMATCH, "the reference has %d masks a prompt, not %d", theirs->per_prompt,
                               each);
    double *iou = malloc((size_t)count * sizeof *iou), chosen[PROMPTS];
    uint8_t *bytes = malloc(2 * (size_t)ours->masks[0].width * (size_t)ours->masks[0].height);
    samc_status status = iou == NULL || bytes == NULL
                             ? samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory to compare masks")
                             : SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++)
        status = mask_iou(&ours->masks[i], &theirs->masks[i], bytes, &iou[i], error);
    int same = 0;
    for (int i = 0; i < PROMPTS && status == SAMC_OK; i++) {
        int own = samc_result_best(ours->result, i), other = samc_result_best(theirs->result, i);
        status = mask_iou(&ours->masks[i * each + own], &theirs->masks[i * each + other], bytes, &chosen[i], error);
        same += own == other;
    }
    if (status == SAMC_OK)
        *reference =
            json_pack("{s:s, s:i, s:i, s:i, s:o, s:o}", "precision", "f32", "prompts", (int)PROMPTS, "masks", count,
                      "same_choice", same, "iou", iou_json(iou, count), "chosen_iou", iou_json(chosen, PROMPTS));
    free(bytes);
    free(iou);
    return status;
}

samc_status samc__bench_compare(const samc__cli *cli, const char *path, const samc__bench_work *work,
                                const samc__bench_masks *ours, json_t **reference, samc_error *error) {
    samc__cli other = *cli;
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc__bench_masks theirs = {0};
    other.options.precision = SAMC_PRECISION_F32;
    if (other.options.backend != SAMC_BACKEND_REF) other.options.backend = SAMC_BACKEND_CPU;
    samc_status status = samc__cli_open_model(&other, path, &model, error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, error);
    if (status == SAMC_OK) status = samc__bench_masks_make(session, work, &theirs, error);
    if (status == SAMC_OK) status = compare(ours, &theirs, reference, error);
    samc__bench_masks_free(&theirs);
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}
