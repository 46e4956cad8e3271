/* samc segment: masks as files and as records. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/segment.h"

typedef samc__segment_request request;
typedef samc__segment_work work;

static samc_status no_memory(const request *r, samc_error *error) {
    return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its results", r->image);
}

int samc__segment_number(const work *w, int prompt) {
    return w->view.numbers != NULL ? w->view.numbers[prompt] : prompt;
}

/* Files are called <stem>_<prompt>_<mask> and one of these. In the order of samc_output's bits. */
static const struct {
    samc_output output;
    const char *name, *suffix;
} files[] = {{SAMC_OUTPUT_PNG, "png", ".png"},
             {SAMC_OUTPUT_OVERLAY, "overlay", "_overlay.png"},
             {SAMC_OUTPUT_CUTOUT, "cutout", "_cutout.png"},
             {SAMC_OUTPUT_NPY, "npy", ".npy"}};

/* Writes a mask in every format that is a file; `number` counts masks and chooses the colour. */
static samc_status write_files(const request *r, const work *w, const samc_mask *mask, int number, json_t *written,
                               samc_error *error) {
    samc_status status = SAMC_OK;
    for (size_t i = 0; status == SAMC_OK && i < sizeof files / sizeof *files; i++) {
        char *path;
        size_t length = r->output == NULL ? 0 : strlen(r->output);
        const char *slash = length > 0 && r->output[length - 1] == '/' ? "" : "/";
        if (!(r->formats & files[i].output)) continue;
        if (asprintf(&path, "%s%s%s_%d_%d%s", r->output, slash, w->stem, samc__segment_number(w, mask->prompt),
                     mask->index, files[i].suffix) < 0)
            return no_memory(r, error);
        status = samc_mask_write(mask, files[i].output, &w->image, samc_prompts_at(r->prompts, mask->prompt), number,
                                 path, error);
        if (status == SAMC_OK && json_object_set_new(written, files[i].name, samc__cli_text(path)) != 0)
            status = no_memory(r, error);
        free(path);
    }
    return status;
}

void samc__segment_add_label(json_t *record, const samc_mask *mask) {
    json_object_set_new(record, "label", samc__cli_text(mask->label));
    json_object_set_new(record, "score", samc__cli_number((double)mask->score));
    json_object_set_new(record, "box",
                        json_pack("[f, f, f, f]", (double)mask->box[0], (double)mask->box[1], (double)mask->box[2],
                                  (double)mask->box[3]));
}

/* Writes a mask in every format and appends its record. */
samc_status samc__segment_add_mask(const request *r, work *w, const samc_mask *mask, int number, samc_error *error) {
    json_t *written = json_object(), *rle = NULL;
    int64_t id = 0;
    samc_status status = written ? write_files(r, w, mask, number, written, error) : no_memory(r, error);
    if (status == SAMC_OK && w->map != NULL) status = samc__map_add(w->map, &w->view, mask, &id, error);
    if (status == SAMC_OK && r->formats & SAMC_OUTPUT_RLE) {
        char *text = malloc(mask->rle_length + 1);
        status = text ? samc_mask_rle(mask, text, error) : no_memory(r, error);
        if (status == SAMC_OK) rle = json_pack("{s:[i, i], s:s}", "size", mask->height, mask->width, "counts", text);
        if (status == SAMC_OK && rle == NULL) status = no_memory(r, error);
        free(text);
    }
    if (status != SAMC_OK) {
        json_decref(written);
        return status;
    }
    json_t *record = json_pack(
        "{s:i, s:i, s:o, s:o, s:I, s:[i, i, i, i], s:o, s:o*}", "prompt", samc__segment_number(w, mask->prompt), "mask",
        mask->index, "predicted_iou", samc__cli_number((double)mask->predicted_iou), "stability_score",
        samc__cli_number((double)mask->stability_score), "area", (json_int_t)mask->area, "bbox", mask->bbox[0],
        mask->bbox[1], mask->bbox[2], mask->bbox[3], "files", written, "rle", rle);
    if (record != NULL && mask->object_score != 0.0f) /* of models that have it */
        json_object_set_new(record, "object_score", samc__cli_number((double)mask->object_score));
    if (record != NULL && mask->label != NULL) samc__segment_add_label(record, mask);
    if (record != NULL && w->map != NULL) {
        json_object_set_new(record, "id", id > 0 ? json_integer(id) : json_null());
        json_object_set_new(
            record, "window",
            json_pack("[I, I, i, i]", (json_int_t)w->view.x, (json_int_t)w->view.y, w->image.width, w->image.height));
    }
    return record && json_array_append_new(w->records, record) == 0 ? SAMC_OK : no_memory(r, error);
}
