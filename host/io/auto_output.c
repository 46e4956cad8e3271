/* Files of automatic masks. Records have the keys of SamAutomaticMaskGenerator, in its order. */
#include "host/io/auto_output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/overlay.h"
#include "host/io/png.h"
#include "host/io/rle.h"
#include "host/io/text.h"
#include "runtime/base/status.h"

static const char *const format_names[] = {"rle", "png", "overlay", "jsonl", "coco"}; /* in the order of their bits */
enum { FORMATS = sizeof format_names / sizeof *format_names };

unsigned samc__auto_formats_parse(const char *text) { return samc__text_list(text, format_names, FORMATS); }

void samc__auto_formats_print(unsigned formats, char *text) {
    *text = '\0';
    for (int i = 0; i < FORMATS; i++)
        if (formats & 1u << i) strcat(strcat(text, *text ? "," : ""), format_names[i]);
}

static samc_status no_memory(const samc__auto_image *image, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its %d masks", image->source, image->count);
}

/* The run lengths of a record; the caller frees them. */
static samc_status rle_of(const samc_mask *mask, const samc__picture *picture, samc__rle *rle, samc_error *error) {
    *rle =
        (samc__rle){malloc(mask->count_length * sizeof(uint32_t)), mask->count_length, picture->height, picture->width};
    if (rle->counts == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for run lengths");
    samc_status status = samc_mask_counts(mask, rle->counts, error);
    if (status != SAMC_OK) samc__rle_free(rle);
    return status;
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* {"size": [h, w], "counts": "..."}, written past the library: the counts of a ragged mask are a hundred thousand
 * characters, and of those it would have to look at, only the backslash needs another before it. */
static bool print_segmentation(FILE *to, const samc_mask *mask, const samc__picture *picture, samc_error *error) {
    char *counts = malloc(mask->rle_length + 1), *at, *next;
    if (counts == NULL) return false;
    bool good = samc_mask_rle(mask, counts, error) == SAMC_OK &&
                fprintf(to, "{\"size\": [%d, %d], \"counts\": \"", picture->height, picture->width) > 0;
    for (at = counts; good && (next = strchr(at, '\\')) != NULL; at = next + 1)
        good = fwrite(at, 1, (size_t)(next + 1 - at), to) == (size_t)(next + 1 - at) && fputc('\\', to) != EOF;
    good = good && fputs(at, to) != EOF && fputs("\"}", to) != EOF;
    free(counts);
    return good;
}

/* Without its segmentation, which print() puts where null is. */
static json_t *record(const samc_mask *m) {
    return json_pack("{s:n, s:I, s:[i, i, i, i], s:o, s:[[o, o]], s:o, s:[i, i, i, i]}", "segmentation", "area",
                     (json_int_t)m->area, "bbox", m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3], "predicted_iou",
                     samc__text_number((double)m->predicted_iou), "point_coords", samc__text_number(m->point[0]),
                     samc__text_number(m->point[1]), "stability_score", samc__text_number((double)m->stability_score),
                     "crop_box", m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
}

/* COCO's fields first. Its box is that of pycocotools, a pixel wider and higher than the original's. */
static json_t *annotation(const samc_mask *m, int64_t image_id) {
    int grow = m->area > 0;
    return json_pack("{s:I, s:i, s:n, s:I, s:[i, i, i, i], s:i, s:o, s:o, s:[[o, o]], s:[i, i, i, i]}", "image_id",
                     (json_int_t)image_id, "category_id", 1, "segmentation", "area", (json_int_t)m->area, "bbox",
                     m->bbox[0], m->bbox[1], m->bbox[2] + grow, m->bbox[3] + grow, "iscrowd", 0, "predicted_iou",
                     samc__text_number((double)m->predicted_iou), "stability_score",
                     samc__text_number((double)m->stability_score), "point_coords", samc__text_number(m->point[0]),
                     samc__text_number(m->point[1]), "crop_box", m->crop_box[0], m->crop_box[1], m->crop_box[2],
                     m->crop_box[3]);
}

/* A mask's fields from the `skip`th character on, and its segmentation among them. Doubles that were doubles in the
 * original (point_coords) need all their digits. Takes the reference. */
static bool print(FILE *to, json_t *fields, int skip, const samc_mask *mask, const samc__picture *picture,
                  samc_error *error) {
    static const char key[] = "\"segmentation\": ";
    char *text = fields ? json_dumps(fields, JSON_REAL_PRECISION(17)) : NULL,
         *place = text ? strstr(text, key) + strlen(key) : NULL;
    bool good = text != NULL && fprintf(to, "%.*s", (int)(place - text) - skip, text + skip) >= 0 &&
                print_segmentation(to, mask, picture, error) && fputs(place + strlen("null"), to) != EOF;
    free(text);
    json_decref(fields);
    return good;
}

/* A stream into a file or a spool: nobody holds the text of an image, gigabytes for thousands of ragged masks. */
typedef struct sink {
    samc__writer *writer; /* one of the two */
    samc__spool *spool;
    samc_error error; /* of the first that failed */
} sink;

static ssize_t pour(void *cookie, const char *data, size_t bytes) {
    sink *s = cookie;
    samc_status status = s->writer ? samc__writer_append(s->writer, data, bytes, &s->error)
                                   : samc__spool_append(s->spool, data, bytes, &s->error);
    return status == SAMC_OK ? (ssize_t)bytes : 0;
}

static FILE *open_sink(sink *s) { return fopencookie(s, "w", (cookie_io_functions_t){.write = pour}); }

/* Closes the stream; `good` as far as the caller knows. What failed is told by the sink, or it was memory. */
static samc_status close_sink(sink *s, FILE *to, bool good, const samc__auto_image *image, samc_error *error) {
    if (to != NULL && fclose(to) != 0) good = false;
    if (good) return SAMC_OK;
    return s->error.status != SAMC_OK ? samc__fail(error, s->error.status, "%s: %s", image->source, s->error.message)
                                      : no_memory(image, error);
}

/* Records one by one: the tree of one mask at a time is enough. */
static bool print_records(FILE *to, const samc__auto_image *image, samc_error *error) {
    bool good = fputc('[', to) != EOF;
    for (int i = 0; i < image->count && good; i++)
        good = (i == 0 || fputs(", ", to) != EOF) &&
               print(to, record(&image->masks[i]), 0, &image->masks[i], image->picture, error);
    return good && fputc(']', to) != EOF;
}

samc_status samc__auto_write_records(samc__writer *writer, const samc__auto_image *image, samc_error *error) {
    sink s = {.writer = writer};
    FILE *to = open_sink(&s);
    return close_sink(&s, to, to != NULL && print_records(to, image, &s.error), image, error);
}

static samc_status make_line(const samc__auto_image *image, samc__spool *line, samc_error *error) {
    sink s = {.spool = line};
    json_t *name = samc__text_json(image->source);
    char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    FILE *to = open_sink(&s);
    bool good = to != NULL && quoted != NULL &&
                fprintf(to, "{\"image\": %s, \"size\": [%d, %d], \"masks\": ", quoted, image->picture->height,
                        image->picture->width) > 0 &&
                print_records(to, image, &s.error) && fputs("}\n", to) != EOF;
    free(quoted);
    json_decref(name);
    return close_sink(&s, to, good, image, error);
}

static samc_status make_coco(const samc__auto_image *image, samc__auto_text *text, int64_t image_id,
                             samc_error *error) {
    sink s = {.spool = &text->annotations};
    FILE *to = open_sink(&s);
    bool good = to != NULL;
    for (int i = 0; i < image->count && good; i++) /* without their opening braces */
        good = print(to, annotation(&image->masks[i], image_id), 1, &image->masks[i], image->picture, &s.error) &&
               fputc('\n', to) != EOF;
    SAMC__TRY(close_sink(&s, to, good, image, error));
    json_t *entry =
        json_pack("{s:I, s:o, s:i, s:i}", "id", (json_int_t)image_id, "file_name", samc__text_json(image->key), "width",
                  image->picture->width, "height", image->picture->height);
    text->image = entry ? json_dumps(entry, 0) : NULL;
    json_decref(entry);
    return text->image ? SAMC_OK : no_memory(image, error);
}

samc_status samc__auto_text_make(samc__auto_text *text, const samc__auto_image *image, unsigned formats,
                                 int64_t image_id, samc_error *error) {
    *text = (samc__auto_text){.line.folder = image->scratch, .annotations.folder = image->scratch};
    samc_status status = formats & SAMC__AUTO_JSONL ? make_line(image, &text->line, error) : SAMC_OK;
    if (status == SAMC_OK && formats & SAMC__AUTO_COCO) status = make_coco(image, text, image_id, error);
    if (status != SAMC_OK) samc__auto_text_free(text);
    return status;
}

void samc__auto_text_free(samc__auto_text *text) {
    samc__spool_free(&text->line);
    samc__spool_free(&text->annotations);
    free(text->image);
    *text = (samc__auto_text){0};
}

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
                              const samc__auto_image *image, uint8_t *pixels, samc_error *error) {
    size_t size = (size_t)image->picture->width * (size_t)image->picture->height;
    char name[24];
    uint8_t *png;
    SAMC__TRY(samc_mask_bytes(mask, pixels, error));
    for (size_t j = 0; j < size; j++) pixels[j] = pixels[j] ? 255 : 0;
    snprintf(name, sizeof name, "%d.png", index);
    SAMC__TRY(samc__png_encode(path, pixels, image->picture->width, image->picture->height, 1, &png, &size, error));
    samc_status status = write_into(folder, name, path, sync, png, size, error);
    free(png);
    return status;
}

/* amg.py's write_masks_to_folder. */
samc_status samc__auto_write_pictures(int folder, const char *path, bool sync, const samc__auto_image *image,
                                      samc_error *error) {
    static const char header[] = "id,area,bbox_x0,bbox_y0,bbox_w,bbox_h,point_input_x,point_input_y,predicted_iou,"
                                 "stability_score,crop_box_x0,crop_box_y0,crop_box_w,crop_box_h";
    char *table = NULL;
    size_t table_size = 0;
    uint8_t *pixels = malloc((size_t)image->picture->width * (size_t)image->picture->height);
    FILE *text = open_memstream(&table, &table_size);
    samc_status status = text == NULL || pixels == NULL ? no_memory(image, error) : SAMC_OK;
    if (status == SAMC_OK) fputs(header, text);
    for (int i = 0; i < image->count && status == SAMC_OK; i++) {
        const samc_mask *m = &image->masks[i];
        status = write_mask(folder, path, sync, i, m, image, pixels, error);
        fprintf(text, "\n%d,%lld,%d,%d,%d,%d,%.17g,%.17g,%.9g,%.9g,%d,%d,%d,%d", i, (long long)m->area, m->bbox[0],
                m->bbox[1], m->bbox[2], m->bbox[3], m->point[0], m->point[1], (double)m->predicted_iou,
                (double)m->stability_score, m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
    }
    if (text != NULL && fclose(text) != 0 && status == SAMC_OK) status = no_memory(image, error);
    if (status == SAMC_OK) status = write_into(folder, "metadata.csv", path, sync, table, table_size, error);
    free(table);
    free(pixels);
    return status;
}

static int by_area_descending(const void *a, const void *b, void *context) {
    const samc_mask *masks = context, *x = &masks[*(const int *)a], *y = &masks[*(const int *)b];
    return x->area != y->area ? (x->area < y->area ? 1 : -1) : *(const int *)a - *(const int *)b;
}

/* Every pixel takes the colour of the smallest mask on it, so that parts show on their wholes. */
samc_status samc__auto_write_overlay(samc__writer *writer, const samc__auto_image *image, samc_error *error) {
    const samc__picture *picture = image->picture;
    int64_t width = picture->width, height = picture->height, size = width * height;
    int32_t *columns = calloc((size_t)size, sizeof *columns); /* [width, height], mask + 1: runs go down the columns */
    int32_t *labels = malloc((size_t)size * sizeof *labels);  /* [height, width] */
    int *order = malloc(((size_t)image->count + 1) * sizeof *order);
    samc__picture copy = {malloc((size_t)size * 3), picture->width, picture->height};
    samc_status status = !columns || !labels || !order || !copy.pixels ? no_memory(image, error) : SAMC_OK;
    if (status == SAMC_OK) {
        memcpy(copy.pixels, picture->pixels, (size_t)size * 3);
        for (int i = 0; i < image->count; i++) order[i] = i;
        qsort_r(order, (size_t)image->count, sizeof *order, by_area_descending, (void *)image->masks);
    }
    for (int i = 0; i < image->count && status == SAMC_OK; i++) {
        samc__rle rle = {0};
        int64_t position = 0;
        status = rle_of(&image->masks[order[i]], picture, &rle, error);
        for (size_t run = 0; run < rle.count; position += rle.counts[run++])
            for (int64_t p = position; run % 2 == 1 && p < position + rle.counts[run] && p < size; p++)
                columns[p] = order[i] + 1;
        samc__rle_free(&rle);
    }
    for (int64_t x0 = 0; x0 < width && status == SAMC_OK; x0 += 16) /* turned a cache line at a time */
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = x0; x < x0 + 16 && x < width; x++) labels[y * width + x] = columns[x * height + y];
    if (status == SAMC_OK) status = samc__overlay_labels(&copy, labels, error);
    uint8_t *png = NULL;
    size_t png_size;
    if (status == SAMC_OK)
        status = samc__png_encode(image->source, copy.pixels, copy.width, copy.height, 3, &png, &png_size, error);
    if (status == SAMC_OK) status = samc__writer_append(writer, png, png_size, error);
    free(png);
    free(copy.pixels);
    free(order);
    free(labels);
    free(columns);
    return status;
}
