/* Masks as pictures. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/masks.h"
#include "host/io/overlay.h"
#include "host/io/png.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

/* ---- Pictures -------------------------------------------------------------------------------- */

/* A file of the folder that is whole, or goes again. */
static samc_status write_into(int folder, const char *name, const char *path, bool sync, const void *bytes, size_t size,
                              samc_error *error) {
    samc__writer writer;
    SAMC__TRY(samc__writer_create(&writer, folder, name, path, error));
    writer.sync = sync;
    SAMC__TRY(samc__writer_append(&writer, bytes, size, error));
    return samc__writer_commit(&writer, error);
}

static samc_status write_mask(int folder, const char *path, bool sync, int index, const samc_mask *mask,
                              const samc_masks *image, uint8_t *pixels, samc_error *error) {
    size_t size = (size_t)image->width * (size_t)image->height;
    char name[24];
    uint8_t *png;
    SAMC__TRY(samc_mask_bytes(mask, pixels, error));
    for (size_t j = 0; j < size; j++) pixels[j] = pixels[j] ? 255 : 0;
    snprintf(name, sizeof name, "%d.png", index);
    SAMC__TRY(samc__png_encode(path, pixels, image->width, image->height, 1, &png, &size, error));
    samc_status status = write_into(folder, name, path, sync, png, size, error);
    free(png);
    return status;
}

/* A label in quotes, those in it twice, and its score. */
static void print_label(FILE *to, const samc_mask *mask) {
    fputs(",\"", to);
    for (const char *at = mask->label; at != NULL && *at != '\0'; at++) fputs(*at == '"' ? "\"\"" : (char[2]){*at}, to);
    samc__print_file(to, "\",%.9g", (double)mask->score);
}

/* amg.py's write_masks_to_folder; behind its columns those of labels. */
samc_status samc__masks_write_pictures(int folder, const char *path, bool sync, const samc_masks *image,
                                       samc_error *error) {
    static const char header[] = "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
                                 "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h";
    char *table = NULL;
    size_t table_size = 0;
    uint8_t *pixels = malloc((size_t)image->width * (size_t)image->height);
    FILE *text = open_memstream(&table, &table_size);
    samc_status status = text == NULL || pixels == NULL ? samc__masks_no_memory(image, error) : SAMC_OK;
    const bool labelled = image->count > 0 && image->masks->label != NULL;
    if (status == SAMC_OK) fprintf(text, "%s%s", header, labelled ? ",label,score" : "");
    for (int i = 0; i < image->count && status == SAMC_OK; i++) {
        const samc_mask *m = samc_mask_at(image->masks, i);
        status = write_mask(folder, path, sync, i, m, image, pixels, error);
        samc__print_file(text, "\n%d,%lld,%d,%d,%d,%d,%.17g,%.17g,%.9g,%.9g,%d,%d,%d,%d", i, (long long)m->area,
                         m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3], m->point[0], m->point[1],
                         (double)m->predicted_iou, (double)m->stability_score, m->crop_box[0], m->crop_box[1],
                         m->crop_box[2], m->crop_box[3]);
        if (labelled) print_label(text, m);
    }
    if (text != NULL && fclose(text) != 0 && status == SAMC_OK) status = samc__masks_no_memory(image, error);
    if (status == SAMC_OK) status = write_into(folder, "metadata.csv", path, sync, table, table_size, error);
    free(table);
    free(pixels);
    return status;
}

/* A copy to draw on; its pixels are to be freed, NULL without memory. */
static samc__picture copy_of(const samc_image *image, int channels) {
    size_t row = (size_t)image->width * 3;
    samc__picture copy = {.pixels = malloc((size_t)image->height * (size_t)image->width * (size_t)channels),
                          .width = image->width,
                          .height = image->height};
    for (int y = 0; copy.pixels != NULL && channels == 3 && y < image->height; y++)
        memcpy(copy.pixels + (size_t)y * row, image->pixels + y * image->row_bytes, row);
    return copy;
}

static int by_area_descending(const void *a, const void *b, void *context) {
    const samc_mask *x = samc_mask_at(context, *(const int *)a), *y = samc_mask_at(context, *(const int *)b);
    return x->area != y->area ? (x->area < y->area ? 1 : -1) : *(const int *)a - *(const int *)b;
}

/* Gives the pixels of a mask a label in columns [width, height]: runs go down the columns. */
static samc_status label(const samc_mask *mask, int32_t *columns, int32_t with, samc_error *error) {
    int64_t size = (int64_t)mask->width * mask->height, position = 0;
    uint32_t *counts = malloc(mask->count_length * sizeof *counts);
    samc_status status = counts ? samc_mask_counts(mask, counts, error)
                                : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
    for (size_t run = 0; status == SAMC_OK && run < mask->count_length; position += counts[run++])
        for (int64_t p = position; run % 2 == 1 && p < position + counts[run] && p < size; p++) columns[p] = with;
    free(counts);
    return status;
}

/* Every pixel takes the label of the smallest mask on it, so that parts show on their wholes. */
samc_status samc__masks_label(const samc_masks *image, int32_t *labels, samc_error *error) {
    int64_t width = image->width, height = image->height;
    int32_t *columns = calloc((size_t)(width * height), sizeof *columns); /* [width, height], mask + 1 */
    int *order = malloc(((size_t)image->count + 1) * sizeof *order);
    samc_status status = !columns || !order ? samc__masks_no_memory(image, error) : SAMC_OK;
    if (status == SAMC_OK) {
        for (int i = 0; i < image->count; i++) order[i] = i;
        qsort_r(order, (size_t)image->count, sizeof *order, by_area_descending, (void *)image->masks);
    }
    for (int i = 0; i < image->count && status == SAMC_OK; i++)
        status = label(samc_mask_at(image->masks, order[i]), columns, order[i] + 1, error);
    for (int64_t x0 = 0; x0 < width && status == SAMC_OK; x0 += 16) /* turned a cache line at a time */
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = x0; x < x0 + 16 && x < width; x++) labels[y * width + x] = columns[x * height + y];
    free(order);
    free(columns);
    return status;
}

/* On the picture's pixels, which may be the image's own. */
samc_status samc__masks_draw(const samc_masks *image, samc__picture *picture, samc_error *error) {
    int32_t *labels = malloc((size_t)image->width * (size_t)image->height * sizeof *labels); /* [height, width] */
    samc_status status = labels ? samc__masks_label(image, labels, error) : samc__masks_no_memory(image, error);
    if (status == SAMC_OK) status = samc__overlay_labels(picture, labels, error);
    free(labels);
    return status;
}

samc_status samc__masks_write_overlay(samc__writer *writer, const samc_masks *image, samc_error *error) {
    samc__picture copy = copy_of(image->image, 3);
    samc_status status = copy.pixels ? samc__masks_draw(image, &copy, error) : samc__masks_no_memory(image, error);
    uint8_t *png = NULL;
    size_t png_size;
    if (status == SAMC_OK)
        status = samc__png_encode(image->source, copy.pixels, copy.width, copy.height, 3, &png, &png_size, error);
    if (status == SAMC_OK) status = samc__writer_append(writer, png, png_size, error);
    free(png);
    free(copy.pixels);
    return status;
}

samc_status samc__masks_write_folder(const char *path, const samc_masks *image, samc_error *error) {
    SAMC__TRY(samc_folder_create(path, error));
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return samc__fail(error, SAMC_IO, "%s: %s", path, strerror(errno));
    samc_status status = samc__masks_write_pictures(folder, path, false, image, error);
    close(folder);
    return status;
}

/* ---- One mask -------------------------------------------------------------------------------- */

samc_status samc__mask_write(const samc_mask *mask, samc_output output, const samc_image *image,
                             const samc_prompt *prompt, int colour, const char *path, samc_error *error) {
    int width = mask->width, height = mask->height, channels = output == SAMC_OUTPUT_CUTOUT ? 4 : 3;
    size_t count = (size_t)width * (size_t)height, shape[2] = {(size_t)height, (size_t)width};
    uint8_t *bytes = malloc(count);
    samc__picture copy = {0};
    bool shown = output == SAMC_OUTPUT_OVERLAY || output == SAMC_OUTPUT_CUTOUT;
    if (shown) copy = copy_of(image, channels);
    samc_status status = bytes == NULL || (shown && copy.pixels == NULL)
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path)
                             : samc_mask_bytes(mask, bytes, error);
    if (status != SAMC_OK) {
        /* told */
    } else if (output == SAMC_OUTPUT_NPY) {
        status = samc_npy_write(path, SAMC_NPY_BOOL, 2, shape, bytes, error);
    } else if (output == SAMC_OUTPUT_PNG) {
        for (size_t i = 0; i < count; i++) bytes[i] = bytes[i] ? 255 : 0;
        status = samc_png_write(path, bytes, width, height, 1, error);
    } else {
        if (output == SAMC_OUTPUT_CUTOUT) samc__cutout(image, bytes, copy.pixels);
        else status = samc__overlay_mask(&copy, bytes, colour, error);
        if (output == SAMC_OUTPUT_OVERLAY && status == SAMC_OK && prompt != NULL) samc__overlay_prompt(&copy, prompt);
        if (status == SAMC_OK) status = samc_png_write(path, copy.pixels, width, height, channels, error);
    }
    free(copy.pixels);
    free(bytes);
    return status;
}
