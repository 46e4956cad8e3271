/* Files of automatic masks. Records have the keys of SamAutomaticMaskGenerator, in its order. */
#include "host/auto_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli.h"
#include "host/overlay.h"
#include "host/png.h"
#include "host/rle.h"
#include "runtime/status.h"

unsigned samc__auto_formats_parse(const char *text) {
    static const char *const names[] = {"rle", "png", "overlay", "jsonl"}; /* in the order of their bits */
    return samc__cli_list(text, names, sizeof names / sizeof *names);
}

static samc_status no_memory(const char *image, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its masks", image);
}

/* "<folder>/<name of the image><suffix>"; NULL without memory. */
static char *output_path(const samc__auto_output *output, const char *image, const char *suffix) {
    const char *slash = strrchr(image, '/');
    char *path = NULL;
    return asprintf(&path, "%s/%s%s", output->folder, slash ? slash + 1 : image, suffix) < 0 ? NULL : path;
}

/* The run lengths of a record as this folder's other modules take them; they stay the record's. */
static samc__rle rle_of(const samc_auto_mask *mask, const samc__picture *picture) {
    return (samc__rle){(uint32_t *)mask->counts, (size_t)mask->count_length, picture->height, picture->width};
}

static json_t *record(const samc_auto_mask *m, const samc__picture *picture, samc_error *error) {
    samc__rle rle = rle_of(m, picture);
    char *counts = NULL;
    if (samc__rle_to_string(&rle, &counts, error) != SAMC_OK) return NULL;
    json_t *json = json_pack("{s:{s:[i, i], s:s}, s:I, s:[i, i, i, i], s:f, s:[[f, f]], s:f, s:[i, i, i, i]}",
                             "segmentation", "size", picture->height, picture->width, "counts", counts,
                             "area", (json_int_t)m->area, "bbox", m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3],
                             "predicted_iou", (double)m->predicted_iou, "point_coords", m->point[0], m->point[1],
                             "stability_score", (double)m->stability_score,
                             "crop_box", m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
    free(counts);
    if (json == NULL) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for a record");
    return json;
}

/* Doubles that were doubles in the original (point_coords) need all their digits. */
static char *dump(const json_t *json) { return json_dumps(json, JSON_REAL_PRECISION(17)); }

static samc_status write_json(const samc__auto_output *output, const char *image, const json_t *records, samc_error *error) {
    char *path = output_path(output, image, ".json"), *text = dump(records);
    samc_status status = path == NULL || text == NULL ? no_memory(image, error) : samc__file_write(path, text, strlen(text), error);
    free(text);
    free(path);
    return status;
}

static samc_status append_line(samc__auto_output *output, const char *image, const samc__picture *picture, json_t *records, samc_error *error) {
    json_t *line = json_pack("{s:o, s:[i, i], s:O}", "image", samc__cli_string(image), "size", picture->height, picture->width, "masks", records);
    char *text = line ? dump(line) : NULL;
    samc_status status = text == NULL ? no_memory(image, error) : samc__writer_append(&output->jsonl, text, strlen(text), error);
    if (status == SAMC_OK) status = samc__writer_append(&output->jsonl, "\n", 1, error);
    free(text);
    json_decref(line);
    return status;
}

/* amg.py's write_masks_to_folder: pictures numbered from 0 and a table. */
static samc_status write_folder(const samc__auto_output *output, const char *image, const samc__picture *picture,
                                const samc_auto_mask *masks, int count, uint8_t *pixels, samc_error *error) {
    static const char header[] = "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
                                 "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h";
    char *folder = output_path(output, image, ""), *table = NULL, *path = NULL;
    size_t table_size = 0, size = (size_t)picture->width * (size_t)picture->height;
    FILE *text = folder ? open_memstream(&table, &table_size) : NULL;
    samc_status status = text == NULL ? no_memory(image, error) : samc__folder_create(folder, error);
    if (status == SAMC_OK) fputs(header, text);
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        const samc_auto_mask *m = &masks[i];
        samc__rle rle = rle_of(m, picture);
        status = samc__rle_decode(&rle, pixels, error);
        for (size_t j = 0; j < size && status == SAMC_OK; j++) pixels[j] = pixels[j] ? 255 : 0;
        if (status == SAMC_OK && asprintf(&path, "%s/%d.png", folder, i) < 0) path = NULL, status = no_memory(image, error);
        if (status == SAMC_OK) status = samc__png_write(path, pixels, picture->width, picture->height, 1, error);
        free(path);
        path = NULL;
        if (status == SAMC_OK)
            fprintf(text, "\n%d,%lld,%d,%d,%d,%d,%.17g,%.17g,%.9g,%.9g,%d,%d,%d,%d", i, (long long)m->area, m->bbox[0], m->bbox[1],
                    m->bbox[2], m->bbox[3], m->point[0], m->point[1], (double)m->predicted_iou, (double)m->stability_score,
                    m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
    }
    if (text != NULL && fclose(text) != 0 && status == SAMC_OK) status = no_memory(image, error);
    if (status == SAMC_OK && asprintf(&path, "%s/metadata.csv", folder) < 0) path = NULL, status = no_memory(image, error);
    if (status == SAMC_OK) status = samc__file_write(path, table, table_size, error);
    free(path);
    free(table);
    free(folder);
    return status;
}

static int by_area_descending(const void *a, const void *b, void *context) {
    const samc_auto_mask *masks = context, *x = &masks[*(const int *)a], *y = &masks[*(const int *)b];
    return x->area != y->area ? (x->area < y->area ? 1 : -1) : *(const int *)a - *(const int *)b;
}

/* Every pixel takes the colour of the smallest mask on it, so that parts show on their wholes. */
static samc_status write_overlay(const samc__auto_output *output, const char *image, const samc__picture *picture,
                                 const samc_auto_mask *masks, int count, uint8_t *pixels, samc_error *error) {
    size_t size = (size_t)picture->width * (size_t)picture->height;
    int32_t *labels = calloc(size, sizeof *labels); /* [height, width], mask + 1 */
    int *order = malloc(((size_t)count + 1) * sizeof *order);
    samc__picture copy = {malloc(size * 3), picture->width, picture->height};
    char *path = output_path(output, image, ".overlay.png");
    samc_status status = !labels || !order || !copy.pixels || !path ? no_memory(image, error) : SAMC_OK;
    if (status == SAMC_OK) {
        memcpy(copy.pixels, picture->pixels, size * 3);
        for (int i = 0; i < count; i++) order[i] = i;
        qsort_r(order, (size_t)count, sizeof *order, by_area_descending, (void *)masks);
    }
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        samc__rle rle = rle_of(&masks[order[i]], picture);
        status = samc__rle_decode(&rle, pixels, error);
        for (size_t j = 0; j < size && status == SAMC_OK; j++)
            if (pixels[j]) labels[j] = order[i] + 1;
    }
    if (status == SAMC_OK) status = samc__overlay_labels(&copy, labels, error);
    if (status == SAMC_OK) status = samc__png_write(path, copy.pixels, copy.width, copy.height, 3, error);
    free(path);
    free(copy.pixels);
    free(order);
    free(labels);
    return status;
}

samc_status samc__auto_output_begin(samc__auto_output *output, const char *folder, unsigned bits, samc_error *error) {
    *output = (samc__auto_output){.folder = folder, .formats = bits, .jsonl = {.handle = -1}};
    SAMC__TRY(samc__folder_create(folder, error));
    if (!(bits & SAMC__AUTO_JSONL)) return SAMC_OK;
    static const char name[] = "masks.jsonl";
    char *path = NULL;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", folder);
    samc_status status = samc__writer_open(&output->jsonl, path, error);
    if (status != SAMC_OK) free(path);
    return status;
}

static void free_path(samc__auto_output *output) {
    free((char *)output->jsonl.path);
    output->jsonl.path = NULL;
}

samc_status samc__auto_output_add(samc__auto_output *output, const char *image, const samc__picture *picture,
                                  const samc_auto_mask *masks, int count, samc_error *error) {
    uint8_t *pixels = malloc((size_t)picture->width * (size_t)picture->height);
    json_t *records = json_array();
    samc_status status = pixels == NULL || records == NULL ? no_memory(image, error) : SAMC_OK;
    if (output->formats & (SAMC__AUTO_RLE | SAMC__AUTO_JSONL))
        for (int i = 0; i < count && status == SAMC_OK; i++) {
            json_t *json = record(&masks[i], picture, error);
            if (json == NULL) status = SAMC_OUT_OF_MEMORY;
            else if (json_array_append_new(records, json) != 0) status = no_memory(image, error);
        }
    if (status == SAMC_OK && output->formats & SAMC__AUTO_RLE) status = write_json(output, image, records, error);
    if (status == SAMC_OK && output->formats & SAMC__AUTO_JSONL) status = append_line(output, image, picture, records, error);
    if (status == SAMC_OK && output->formats & SAMC__AUTO_PNG) status = write_folder(output, image, picture, masks, count, pixels, error);
    if (status == SAMC_OK && output->formats & SAMC__AUTO_OVERLAY) status = write_overlay(output, image, picture, masks, count, pixels, error);
    json_decref(records);
    free(pixels);
    return status;
}

samc_status samc__auto_output_commit(samc__auto_output *output, samc_error *error) {
    samc_status status = output->formats & SAMC__AUTO_JSONL ? samc__writer_commit(&output->jsonl, error) : SAMC_OK;
    free_path(output);
    return status;
}

void samc__auto_output_abandon(samc__auto_output *output) {
    if (output->jsonl.handle >= 0) samc__writer_abandon(&output->jsonl);
    free_path(output);
}
