/* Files of automatic masks. Records have the keys of SamAutomaticMaskGenerator, in its order. */
#include "host/auto_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli.h"
#include "host/file.h"
#include "host/overlay.h"
#include "host/png.h"
#include "host/rle.h"
#include "runtime/status.h"

static const char *const format_names[] = {"rle", "png", "overlay", "jsonl", "coco"}; /* in the order of their bits */
enum { FORMATS = sizeof format_names / sizeof *format_names };

unsigned samc__auto_formats_parse(const char *text) { return samc__cli_list(text, format_names, FORMATS); }

void samc__auto_formats_print(unsigned formats, char *text) {
    *text = '\0';
    for (int i = 0; i < FORMATS; i++)
        if (formats & 1u << i) strcat(strcat(text, *text ? "," : ""), format_names[i]);
}

static samc_status no_memory(const samc__auto_image *image, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its %d masks", image->source, image->count);
}

/* The run lengths of a record as this folder's other modules take them; they stay the record's. */
static samc__rle rle_of(const samc_auto_mask *mask, const samc__picture *picture) {
    return (samc__rle){(uint32_t *)mask->counts, (size_t)mask->count_length, picture->height, picture->width};
}

/* ---- Text ---------------------------------------------------------------------------------------------------------- */

/* {"size": [h, w], "counts": "..."}, written past the library: the counts of a ragged mask are a hundred thousand characters, and
 * of those it would have to look at, only the backslash needs another before it. */
static bool print_segmentation(FILE *to, const samc_auto_mask *mask, const samc__picture *picture, samc_error *error) {
    samc__rle rle = rle_of(mask, picture);
    char *counts = NULL, *at, *next;
    if (samc__rle_to_string(&rle, &counts, error) != SAMC_OK) return false;
    bool good = fprintf(to, "{\"size\": [%d, %d], \"counts\": \"", picture->height, picture->width) > 0;
    for (at = counts; (next = strchr(at, '\\')) != NULL; at = next + 1)
        good = good && fwrite(at, 1, (size_t)(next + 1 - at), to) == (size_t)(next + 1 - at) && fputc('\\', to) != EOF;
    good = good && fputs(at, to) != EOF && fputs("\"}", to) != EOF;
    free(counts);
    return good;
}

/* Without its segmentation, which print() puts where null is. */
static json_t *record(const samc_auto_mask *m) {
    return json_pack("{s:n, s:I, s:[i, i, i, i], s:f, s:[[f, f]], s:f, s:[i, i, i, i]}", "segmentation", "area", (json_int_t)m->area, "bbox", m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3],
                     "predicted_iou", (double)m->predicted_iou, "point_coords", m->point[0], m->point[1],
                     "stability_score", (double)m->stability_score,
                     "crop_box", m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
}

/* COCO's fields first. Its box is that of pycocotools, a pixel wider and higher than the original's. */
static json_t *annotation(const samc_auto_mask *m, int64_t image_id) {
    int grow = m->area > 0;
    return json_pack("{s:I, s:i, s:n, s:I, s:[i, i, i, i], s:i, s:f, s:f, s:[[f, f]], s:[i, i, i, i]}", "image_id", (json_int_t)image_id,
                     "category_id", 1, "segmentation", "area", (json_int_t)m->area,
                     "bbox", m->bbox[0], m->bbox[1], m->bbox[2] + grow, m->bbox[3] + grow, "iscrowd", 0,
                     "predicted_iou", (double)m->predicted_iou, "stability_score", (double)m->stability_score,
                     "point_coords", m->point[0], m->point[1],
                     "crop_box", m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
}

/* A mask's fields from the `skip`th character on, and its segmentation among them. Doubles that were doubles in the original
 * (point_coords) need all their digits. Takes the reference. */
static bool print(FILE *to, json_t *fields, int skip, const samc_auto_mask *mask, const samc__picture *picture, samc_error *error) {
    static const char key[] = "\"segmentation\": ";
    char *text = fields ? json_dumps(fields, JSON_REAL_PRECISION(17)) : NULL, *place = text ? strstr(text, key) + strlen(key) : NULL;
    bool good = text != NULL && fprintf(to, "%.*s", (int)(place - text) - skip, text + skip) >= 0 &&
                print_segmentation(to, mask, picture, error) && fputs(place + strlen("null"), to) != EOF;
    free(text);
    json_decref(fields);
    return good;
}

/* Text that grows by realloc(), which moves pages; open_memstream() copies what there is and clears twice that, gigabytes for
 * thousands of ragged masks. */
typedef struct growing {
    char *text; /* ended by a NUL */
    size_t length, room;
} growing;

static ssize_t grow(void *cookie, const char *data, size_t bytes) {
    growing *g = cookie;
    if (g->length + bytes >= g->room) {
        size_t room = 2 * (g->length + bytes) + 4096;
        char *more = realloc(g->text, room);
        if (more == NULL) return 0;
        g->text = more, g->room = room;
    }
    memcpy(g->text + g->length, data, bytes);
    g->length += bytes;
    g->text[g->length] = '\0';
    return (ssize_t)bytes;
}

/* A stream into `g`, which is for fclose(); g->text stays, "" at first. NULL: no memory. */
static FILE *open_growing(growing *g) { return grow(g, "", 0), g->text == NULL ? NULL : fopencookie(g, "w", (cookie_io_functions_t){.write = grow}); }

/* Records one by one: the tree of one mask at a time is enough. */
static samc_status make_records(const samc__auto_image *image, char **text, samc_error *error) {
    growing all = {0};
    FILE *to = open_growing(&all);
    bool good = to != NULL && fputc('[', to) != EOF;
    for (int i = 0; i < image->count && good; i++)
        good = (i == 0 || fputs(", ", to) != EOF) && print(to, record(&image->masks[i]), 0, &image->masks[i], image->picture, error);
    good = good && fputc(']', to) != EOF;
    if (to != NULL && fclose(to) != 0) good = false;
    *text = all.text;
    return good ? SAMC_OK : no_memory(image, error);
}

static samc_status make_line(const samc__auto_image *image, const char *records, char **text, samc_error *error) {
    json_t *name = samc__cli_string(image->source);
    char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    int n = quoted == NULL ? -1 : asprintf(text, "{\"image\": %s, \"size\": [%d, %d], \"masks\": %s}\n", quoted, image->picture->height, image->picture->width, records);
    free(quoted);
    json_decref(name);
    if (n < 0) *text = NULL;
    return n < 0 ? no_memory(image, error) : SAMC_OK;
}

static samc_status make_coco(const samc__auto_image *image, samc__auto_text *text, int64_t image_id, samc_error *error) {
    growing all = {0};
    FILE *to = open_growing(&all);
    bool good = to != NULL;
    for (int i = 0; i < image->count && good; i++) /* without their opening braces */
        good = print(to, annotation(&image->masks[i], image_id), 1, &image->masks[i], image->picture, error) && fputc('\n', to) != EOF;
    if (to != NULL && fclose(to) != 0) good = false;
    text->annotations = all.text;
    json_t *entry = json_pack("{s:I, s:o, s:i, s:i}", "id", (json_int_t)image_id, "file_name", samc__cli_string(image->key),
                              "width", image->picture->width, "height", image->picture->height);
    text->image = entry ? json_dumps(entry, 0) : NULL;
    json_decref(entry);
    return good && text->image ? SAMC_OK : no_memory(image, error);
}

samc_status samc__auto_text_make(samc__auto_text *text, const samc__auto_image *image, unsigned formats, int64_t image_id, samc_error *error) {
    *text = (samc__auto_text){0};
    samc_status status = formats & (SAMC__AUTO_RLE | SAMC__AUTO_JSONL) ? make_records(image, &text->records, error) : SAMC_OK;
    if (status == SAMC_OK && formats & SAMC__AUTO_JSONL) status = make_line(image, text->records, &text->line, error);
    if (status == SAMC_OK && formats & SAMC__AUTO_COCO) status = make_coco(image, text, image_id, error);
    if (status != SAMC_OK) samc__auto_text_free(text);
    return status;
}

void samc__auto_text_free(samc__auto_text *text) {
    free(text->records);
    free(text->line);
    free(text->annotations);
    free(text->image);
    *text = (samc__auto_text){0};
}

/* ---- Pictures ------------------------------------------------------------------------------------------------------ */

static samc_status write_mask(const char *folder, int index, const samc_auto_mask *mask, const samc__auto_image *image, uint8_t *pixels, samc_error *error) {
    samc__rle rle = rle_of(mask, image->picture);
    size_t size = (size_t)image->picture->width * (size_t)image->picture->height;
    char *path = NULL;
    SAMC__TRY(samc__rle_decode(&rle, pixels, error));
    for (size_t j = 0; j < size; j++) pixels[j] = pixels[j] ? 255 : 0;
    if (asprintf(&path, "%s/%d.png", folder, index) < 0) return no_memory(image, error);
    samc_status status = samc__png_write(path, pixels, image->picture->width, image->picture->height, 1, error);
    free(path);
    return status;
}

/* amg.py's write_masks_to_folder. */
samc_status samc__auto_write_pictures(const char *folder, const samc__auto_image *image, samc_error *error) {
    static const char header[] = "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
                                 "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h";
    char *table = NULL, *path = NULL;
    size_t table_size = 0;
    uint8_t *pixels = malloc((size_t)image->picture->width * (size_t)image->picture->height);
    FILE *text = open_memstream(&table, &table_size);
    samc_status status = text == NULL || pixels == NULL ? no_memory(image, error) : SAMC_OK;
    if (status == SAMC_OK) fputs(header, text);
    for (int i = 0; i < image->count && status == SAMC_OK; i++) {
        const samc_auto_mask *m = &image->masks[i];
        status = write_mask(folder, i, m, image, pixels, error);
        fprintf(text, "\n%d,%lld,%d,%d,%d,%d,%.17g,%.17g,%.9g,%.9g,%d,%d,%d,%d", i, (long long)m->area, m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3],
                m->point[0], m->point[1], (double)m->predicted_iou, (double)m->stability_score, m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
    }
    if (text != NULL && fclose(text) != 0 && status == SAMC_OK) status = no_memory(image, error);
    if (status == SAMC_OK && asprintf(&path, "%s/metadata.csv", folder) < 0) path = NULL, status = no_memory(image, error);
    if (status == SAMC_OK) status = samc__file_write(path, table, table_size, error);
    free(path);
    free(table);
    free(pixels);
    return status;
}

static int by_area_descending(const void *a, const void *b, void *context) {
    const samc_auto_mask *masks = context, *x = &masks[*(const int *)a], *y = &masks[*(const int *)b];
    return x->area != y->area ? (x->area < y->area ? 1 : -1) : *(const int *)a - *(const int *)b;
}

/* Every pixel takes the colour of the smallest mask on it, so that parts show on their wholes. */
samc_status samc__auto_write_overlay(const char *path, const samc__auto_image *image, samc_error *error) {
    const samc__picture *picture = image->picture;
    int64_t width = picture->width, height = picture->height, size = width * height;
    int32_t *labels = calloc((size_t)size, sizeof *labels); /* [height, width], mask + 1 */
    int *order = malloc(((size_t)image->count + 1) * sizeof *order);
    samc__picture copy = {malloc((size_t)size * 3), picture->width, picture->height};
    samc_status status = !labels || !order || !copy.pixels ? no_memory(image, error) : SAMC_OK;
    if (status == SAMC_OK) {
        memcpy(copy.pixels, picture->pixels, (size_t)size * 3);
        for (int i = 0; i < image->count; i++) order[i] = i;
        qsort_r(order, (size_t)image->count, sizeof *order, by_area_descending, (void *)image->masks);
    }
    for (int i = 0; i < image->count && status == SAMC_OK; i++) {
        const samc_auto_mask *m = &image->masks[order[i]];
        int64_t position = 0; /* down the columns */
        for (int run = 0; run < m->count_length; position += m->counts[run++])
            for (int64_t p = position; run % 2 == 1 && p < position + m->counts[run] && p < size; p++) labels[p % height * width + p / height] = order[i] + 1;
    }
    if (status == SAMC_OK) status = samc__overlay_labels(&copy, labels, error);
    if (status == SAMC_OK) status = samc__png_write(path, copy.pixels, copy.width, copy.height, 3, error);
    free(copy.pixels);
    free(order);
    free(labels);
    return status;
}
