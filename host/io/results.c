/* Files and records of masks. Names are <stem>_<prompt>_<mask> with .png, _overlay.png, _cutout.png or .npy. */
#include "host/io/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/npy.h"
#include "host/io/overlay.h"
#include "host/io/png.h"
#include "host/io/text.h"
#include "runtime/base/status.h"

/* In the order of their bits; no suffix: not a file. */
static const char *const format_names[] = {"png", "rle", "overlay", "cutout", "npy"};
static const char *const suffixes[] = {".png", NULL, "_overlay.png", "_cutout.png", ".npy"};
enum { FORMATS = sizeof format_names / sizeof *format_names };

unsigned samc__formats_parse(const char *text) { return samc__text_list(text, format_names, FORMATS); }

samc_status samc__results_begin(samc__results *results, const char *image, const samc__picture *picture,
                                const char *folder, unsigned bits, samc_error *error) {
    const char *slash = strrchr(image, '/'), *name = strcmp(image, "-") == 0 ? "stdin"
                                                     : slash == NULL         ? image
                                                                             : slash + 1;
    const char *dot = strrchr(name, '.');
    *results = (samc__results){.picture = picture, .folder = folder, .formats = bits};
    results->stem = dot == NULL || dot == name ? strdup(name) : strndup(name, (size_t)(dot - name));
    results->records = json_array();
    if (bits & (SAMC__FORMAT_OVERLAY | SAMC__FORMAT_CUTOUT))
        results->canvas = malloc((size_t)picture->width * (size_t)picture->height * 4);
    bool canvas_missing = (bits & (SAMC__FORMAT_OVERLAY | SAMC__FORMAT_CUTOUT)) != 0 && results->canvas == NULL;
    if (results->stem != NULL && results->records != NULL && !canvas_missing) return SAMC_OK;
    samc__results_end(results);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its results", image);
}

void samc__results_end(samc__results *results) {
    free(results->stem);
    free(results->canvas);
    json_decref(results->records);
    *results = (samc__results){0};
}

static samc_status write_file(samc__results *results, const char *path, samc__format format, const uint8_t *mask,
                              const samc_prompt *prompt, int number, samc_error *error) {
    const samc__picture *picture = results->picture;
    int width = picture->width, height = picture->height;
    size_t count = (size_t)width * (size_t)height, shape[2] = {(size_t)height, (size_t)width};
    if (format == SAMC__FORMAT_NPY) return samc__npy_write(path, SAMC__NPY_BOOL, 2, shape, mask, error);
    if (format == SAMC__FORMAT_OVERLAY) {
        samc__picture copy = {results->canvas, width, height};
        memcpy(copy.pixels, picture->pixels, count * 3);
        SAMC__TRY(samc__overlay_mask(&copy, mask, number, error));
        samc__overlay_prompt(&copy, prompt);
        return samc__png_write(path, copy.pixels, width, height, 3, error);
    }
    if (format == SAMC__FORMAT_CUTOUT) {
        samc__cutout(picture, mask, results->canvas);
        return samc__png_write(path, results->canvas, width, height, 4, error);
    }
    uint8_t *grey = malloc(count); /* [height, width], 0 and 255 */
    if (grey == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < count; i++) grey[i] = mask[i] ? 255 : 0;
    samc_status status = samc__png_write(path, grey, width, height, 1, error);
    free(grey);
    return status;
}

/* {"size": [h, w], "counts": "..."}; NULL with an error. */
static json_t *rle_record(const samc_mask *mask, samc_error *error) {
    char *text = malloc(mask->rle_length + 1);
    json_t *record = NULL;
    if (text == NULL) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
    else if (samc_mask_rle(mask, text, error) == SAMC_OK) {
        record = json_pack("{s:[i, i], s:s}", "size", mask->height, mask->width, "counts", text);
        if (record == NULL) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
    }
    free(text);
    return record;
}

samc_status samc__results_add(samc__results *results, const samc_mask *mask, const uint8_t *bytes,
                              const samc_prompt *prompt, int number, samc_error *error) {
    json_t *files = json_object(), *rle = NULL;
    samc_status status = files == NULL ? samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for results") : SAMC_OK;
    for (int i = 0; status == SAMC_OK && i < FORMATS; i++) {
        if (!(results->formats & 1u << i) || suffixes[i] == NULL) continue;
        char *path;
        size_t length = strlen(results->folder);
        const char *slash = length > 0 && results->folder[length - 1] == '/' ? "" : "/";
        if (asprintf(&path, "%s%s%s_%d_%d%s", results->folder, slash, results->stem, mask->prompt, mask->index,
                     suffixes[i]) < 0) {
            status = samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for results");
            break;
        }
        status = write_file(results, path, (samc__format)(1u << i), bytes, prompt, number, error);
        if (status == SAMC_OK && json_object_set_new(files, format_names[i], samc__text_json(path)) != 0)
            status = samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for results");
        free(path);
    }
    if (status == SAMC_OK && results->formats & SAMC__FORMAT_RLE) {
        rle = rle_record(mask, error);
        if (rle == NULL) status = error->status;
    }
    if (status != SAMC_OK) {
        json_decref(files);
        return status;
    }
    json_t *record =
        json_pack("{s:i, s:i, s:o, s:o, s:I, s:[i, i, i, i], s:o, s:o*}", "prompt", mask->prompt, "mask", mask->index,
                  "predicted_iou", samc__text_number((double)mask->predicted_iou), "stability_score",
                  samc__text_number((double)mask->stability_score), "area", (json_int_t)mask->area, "bbox",
                  mask->bbox[0], mask->bbox[1], mask->bbox[2], mask->bbox[3], "files", files, "rle", rle);
    if (record == NULL || json_array_append_new(results->records, record) != 0)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for results");
    return SAMC_OK;
}
