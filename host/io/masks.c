/* Masks as text, and the calls that write them. Records have the keys of SamAutomaticMaskGenerator, in its order. */
#include "host/io/masks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/text.h"
#include "runtime/base/abi.h"
#include "runtime/base/status.h"

samc_status samc__masks_no_memory(const samc_masks *image, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its %d masks", image->source, image->count);
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* {"size": [h, w], "counts": "..."}, written past the library: the counts of a ragged mask are a hundred thousand
 * characters, and of those it would have to look at, only the backslash needs another before it. */
static bool print_segmentation(FILE *to, const samc_mask *mask, samc_error *error) {
    char *counts = malloc(mask->rle_length + 1), *at, *next;
    if (counts == NULL) return false;
    bool good = samc_mask_rle(mask, counts, error) == SAMC_OK &&
                fprintf(to, "{\"size\": [%d, %d], \"counts\": \"", mask->height, mask->width) > 0;
    for (at = counts; good && (next = strchr(at, '\\')) != NULL; at = next + 1)
        good = fwrite(at, 1, (size_t)(next + 1 - at), to) == (size_t)(next + 1 - at) && fputc('\\', to) != EOF;
    good = good && fputs(at, to) != EOF && fputs("\"}", to) != EOF;
    free(counts);
    return good;
}

/* What not every mask has, behind its other fields: what text had to do with it. And point_coords is the point that
 * found it; of a mask that a prompt asked for there is none. */
static json_t *finish(json_t *fields, const samc_mask *m) {
    if (fields != NULL && m->object_score != 0.0f) /* of models that have it */
        json_object_set_new(fields, "object_score", samc__text_number((double)m->object_score));
    if (m->point[0] == 0.0 && m->point[1] == 0.0) json_object_del(fields, "point_coords");
    if (fields == NULL || m->label == NULL) return fields;
    json_object_set_new(fields, "label", samc__text_json(m->label));
    json_object_set_new(fields, "score", samc__text_number((double)m->score));
    if (m->box[2] > m->box[0])
        json_object_set_new(
            fields, "box",
            json_pack("[f, f, f, f]", (double)m->box[0], (double)m->box[1], (double)m->box[2], (double)m->box[3]));
    return fields;
}

/* Without its segmentation, which print() puts where null is. Of a detection alone what is known of it. */
static json_t *record(const samc_mask *m) {
    if (m->runs == NULL) return finish(json_object(), m);
    json_t *fields =
        json_pack("{s:n, s:I, s:[i, i, i, i], s:o, s:[[o, o]], s:o, s:[i, i, i, i]}", "segmentation", "area",
                  (json_int_t)m->area, "bbox", m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3], "predicted_iou",
                  samc__text_number((double)m->predicted_iou), "point_coords", samc__text_number(m->point[0]),
                  samc__text_number(m->point[1]), "stability_score", samc__text_number((double)m->stability_score),
                  "crop_box", m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3]);
    return finish(fields, m);
}

/* COCO's number of a mask's label. */
static int category_of(const samc_mask *m) { return m->label ? m->phrase + 1 : 1; }

/* Of a detection without its mask. */
static json_t *box_annotation(const samc_mask *m, int64_t image_id) {
    const double x = (double)m->box[0], y = (double)m->box[1], width = (double)m->box[2] - x,
                 height = (double)m->box[3] - y;
    json_t *fields =
        json_pack("{s:I, s:i, s:[], s:f, s:[f, f, f, f], s:i}", "image_id", (json_int_t)image_id, "category_id",
                  category_of(m), "segmentation", "area", width * height, "bbox", x, y, width, height, "iscrowd", 0);
    return finish(fields, m);
}

/* COCO's fields first. Its box is that of pycocotools, a pixel wider and higher than the original's. */
static json_t *annotation(const samc_mask *m, int64_t image_id) {
    int grow = m->area > 0;
    if (m->runs == NULL) return box_annotation(m, image_id);
    json_t *fields = json_pack(
        "{s:I, s:i, s:n, s:I, s:[i, i, i, i], s:i, s:o, s:o, s:[[o, o]], s:[i, i, i, i]}", "image_id",
        (json_int_t)image_id, "category_id", category_of(m), "segmentation", "area", (json_int_t)m->area, "bbox",
        m->bbox[0], m->bbox[1], m->bbox[2] + grow, m->bbox[3] + grow, "iscrowd", 0, "predicted_iou",
        samc__text_number((double)m->predicted_iou), "stability_score", samc__text_number((double)m->stability_score),
        "point_coords", samc__text_number(m->point[0]), samc__text_number(m->point[1]), "crop_box", m->crop_box[0],
        m->crop_box[1], m->crop_box[2], m->crop_box[3]);
    return finish(fields, m);
}

/* A mask's fields from the `skip`th character on, and its segmentation among them. Doubles that were doubles in the
 * original (point_coords) need all their digits. Takes the reference. */
static bool print(FILE *to, json_t *fields, int skip, const samc_mask *mask, samc_error *error) {
    static const char key[] = "\"segmentation\": ";
    char *text = fields ? json_dumps(fields, JSON_REAL_PRECISION(17)) : NULL,
         *place = text && mask->runs ? strstr(text, key) + strlen(key) : NULL;
    bool good = text != NULL;
    if (mask->runs == NULL) good = good && fputs(text + skip, to) != EOF; /* a detection alone, without one */
    else
        good = good && fprintf(to, "%.*s", (int)(place - text) - skip, text + skip) >= 0 &&
               print_segmentation(to, mask, error) && fputs(place + strlen("null"), to) != EOF;
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
static samc_status close_sink(sink *s, FILE *to, bool good, const samc_masks *image, samc_error *error) {
    if (to != NULL && fclose(to) != 0) good = false;
    if (good) return SAMC_OK;
    return s->error.status != SAMC_OK ? samc__fail(error, s->error.status, "%s: %s", image->source, s->error.message)
                                      : samc__masks_no_memory(image, error);
}

/* Records one by one: the tree of one mask at a time is enough. */
static bool print_records(FILE *to, const samc_masks *image, samc_error *error) {
    bool good = fputc('[', to) != EOF;
    for (int i = 0; i < image->count && good; i++)
        good = (i == 0 || fputs(", ", to) != EOF) &&
               print(to, record(samc_mask_at(image->masks, i)), 0, samc_mask_at(image->masks, i), error);
    return good && fputc(']', to) != EOF;
}

samc_status samc__masks_write_records(samc__writer *writer, const samc_masks *image, samc_error *error) {
    sink s = {.writer = writer};
    FILE *to = open_sink(&s);
    return close_sink(&s, to, to != NULL && print_records(to, image, &s.error), image, error);
}

size_t samc__name_stem(const char *name) {
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name, *dot = strrchr(last, '.');
    return dot != NULL && dot > last ? (size_t)(dot - name) : strlen(name);
}

/* SA-1B numbers its images sa_1.jpg, WebDataset 000001.jpg: these numbers; else one that the name alone makes, so that
 * it is the same in every run and shard, below 2^53, which is what a double holds. */
static json_int_t image_number(const char *name) {
    const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;
    const char *digits = strncmp(last, "sa_", 3) == 0 ? last + 3 : last;
    size_t length = strspn(digits, "0123456789");
    if (length > 0 && length <= 15 && digits + length == name + samc__name_stem(name)) return strtoll(digits, NULL, 10);
    uint64_t hash = 0xcbf29ce484222325ull; /* FNV-1a */
    for (; *name != '\0'; name++) hash = (hash ^ (uint8_t)*name) * 0x100000001b3ull;
    return (json_int_t)(hash >> 11);
}

/* {"id": 1, ...} of mask `i`, numbered from 1 in its image. */
static json_t *sa1b_annotation(const samc_mask *m, int i) {
    json_t *fields = json_pack("{s:i, s:n, s:[i, i, i, i], s:I, s:o, s:o, s:[i, i, i, i], s:[[o, o]]}", "id", i + 1,
                               "segmentation", "bbox", m->bbox[0], m->bbox[1], m->bbox[2], m->bbox[3], "area",
                               (json_int_t)m->area, "predicted_iou", samc__text_number((double)m->predicted_iou),
                               "stability_score", samc__text_number((double)m->stability_score), "crop_box",
                               m->crop_box[0], m->crop_box[1], m->crop_box[2], m->crop_box[3], "point_coords",
                               samc__text_number(m->point[0]), samc__text_number(m->point[1]));
    return finish(fields, m);
}

/* How the image's samples became 8 bits, with `before` it, where they were more. */
static bool print_scale(FILE *to, const char *before, const samc_scale *scale) {
    char json[160];
    if (scale == NULL || scale->name == NULL) return true;
    return samc_scale_json(scale, json, NULL) == SAMC_OK && fprintf(to, "%s\"scale\": %s", before, json) > 0;
}

/* An object's text without its closing brace, which the scale comes in front of. */
static bool print_image(FILE *to, json_t *entry, const samc_scale *scale) {
    char *text = entry ? json_dumps(entry, 0) : NULL;
    bool good = text != NULL && fprintf(to, "%.*s", (int)strlen(text) - 1, text) > 0 && print_scale(to, ", ", scale) &&
                fputc('}', to) != EOF;
    free(text);
    json_decref(entry);
    return good;
}

/* {"image": {"image_id", "width", "height", "file_name"}, "annotations": [...]} */
static bool print_sa1b(FILE *to, const samc_masks *image, samc_error *error) {
    const char *slash = strrchr(image->name, '/');
    json_t *entry = json_pack("{s:I, s:i, s:i, s:o}", "image_id", image_number(image->name), "width", image->width,
                              "height", image->height, "file_name", samc__text_json(slash ? slash + 1 : image->name));
    bool good = fputs("{\"image\": ", to) != EOF && print_image(to, entry, image->scale) &&
                fputs(", \"annotations\": [", to) != EOF;
    for (int i = 0; i < image->count && good; i++) {
        const samc_mask *mask = samc_mask_at(image->masks, i);
        good = (i == 0 || fputs(", ", to) != EOF) && print(to, sa1b_annotation(mask, i), 0, mask, error);
    }
    return good && fputs("]}", to) != EOF;
}

samc_status samc__masks_write_sa1b(samc__writer *writer, const samc_masks *image, samc_error *error) {
    sink s = {.writer = writer};
    FILE *to = open_sink(&s);
    return close_sink(&s, to, to != NULL && print_sa1b(to, image, &s.error), image, error);
}

samc_status samc__masks_spool_sa1b(samc__spool *spool, const samc_masks *image, samc_error *error) {
    sink s = {.spool = spool};
    FILE *to = open_sink(&s);
    return close_sink(&s, to, to != NULL && print_sa1b(to, image, &s.error), image, error);
}

/* {"image": ..., "size": [h, w], "masks": [...]} and a line feed. */
static bool print_line(FILE *to, const samc_masks *image, samc_error *error) {
    json_t *name = samc__text_json(image->source);
    char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
    bool good = quoted != NULL &&
                fprintf(to, "{\"image\": %s, \"size\": [%d, %d]", quoted, image->height, image->width) > 0 &&
                print_scale(to, ", ", image->scale) && fputs(", \"masks\": ", to) != EOF &&
                print_records(to, image, error) && fputs("}\n", to) != EOF;
    free(quoted);
    json_decref(name);
    return good;
}

static samc_status make_line(const samc_masks *image, samc__spool *line, samc_error *error) {
    sink s = {.spool = line};
    FILE *to = open_sink(&s);
    return close_sink(&s, to, to != NULL && print_line(to, image, &s.error), image, error);
}

/* The entry of the image, without memory NULL. */
static char *coco_image(const samc_masks *image, int64_t image_id) {
    json_t *entry = json_pack("{s:I, s:o, s:i, s:i}", "id", (json_int_t)image_id, "file_name",
                              samc__text_json(image->name), "width", image->width, "height", image->height);
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    bool good = to != NULL && print_image(to, entry, image->scale);
    if (to == NULL) json_decref(entry);
    if (to != NULL && fclose(to) == 0 && good) return text;
    free(text);
    return NULL;
}

static samc_status make_coco(const samc_masks *image, samc__masks_text *text, int64_t image_id, samc_error *error) {
    sink s = {.spool = &text->annotations};
    FILE *to = open_sink(&s);
    bool good = to != NULL;
    for (int i = 0; i < image->count && good; i++) { /* without their opening braces */
        const samc_mask *mask = samc_mask_at(image->masks, i);
        good = print(to, annotation(mask, image_id), 1, mask, &s.error) && fputc('\n', to) != EOF;
    }
    SAMC__TRY(close_sink(&s, to, good, image, error));
    text->image = coco_image(image, image_id);
    return text->image ? SAMC_OK : samc__masks_no_memory(image, error);
}

samc_status samc__masks_text_make(samc__masks_text *text, const samc_masks *image, unsigned formats, int64_t image_id,
                                  const char *folder, samc_error *error) {
    *text = (samc__masks_text){.line.folder = folder, .annotations.folder = folder};
    samc_status status = formats & SAMC_OUTPUT_JSONL ? make_line(image, &text->line, error) : SAMC_OK;
    if (status == SAMC_OK && formats & SAMC_OUTPUT_COCO) status = make_coco(image, text, image_id, error);
    if (status != SAMC_OK) samc__masks_text_free(text);
    return status;
}

void samc__masks_text_free(samc__masks_text *text) {
    samc__spool_free(&text->line);
    samc__spool_free(&text->annotations);
    samc__spool_free(&text->sample);
    free(text->image);
    *text = (samc__masks_text){0};
}

/* ---- Whole files of images ------------------------------------------------------------------- */

const char samc__coco_before_images[] = "\n],\n\"images\": [", samc__coco_after_images[] = "\n]}\n";

/* [{"id": 1, "name": "car", "supercategory": ""}, ...] */
static bool print_categories(FILE *to, const samc_phrases *phrases) {
    const int count = phrases ? samc_phrases_count(phrases) : 1;
    bool good = fputc('[', to) != EOF;
    for (int i = 0; i < count && good; i++) {
        json_t *name = samc__text_json(phrases ? samc_phrases_text(phrases, i) : "object");
        char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
        good = quoted != NULL && fprintf(to, "%s{\"id\": %d, \"name\": %s, \"supercategory\": \"\"}", i > 0 ? ", " : "",
                                         i + 1, quoted) > 0;
        free(quoted);
        json_decref(name);
    }
    return good && fputc(']', to) != EOF;
}

char *samc__coco_header(const samc_phrases *phrases) {
    char *header = NULL;
    size_t size;
    FILE *to = open_memstream(&header, &size);
    if (to == NULL) return NULL;
    bool good = fprintf(to, "{\"info\": {\"description\": \"%s\", \"version\": \"samc %s\"},\n\"categories\": ",
                        phrases ? "masks with labels" : "automatic masks", samc_version()) > 0 &&
                print_categories(to, phrases) && fputs(",\n\"annotations\": [", to) != EOF;
    if (fclose(to) == 0 && good) return header;
    free(header);
    return NULL;
}

/* The bytes that the archive's annotations.json has of the same images. */
static bool print_coco(FILE *to, const samc_masks *images, int count, samc_error *error) {
    char *header = samc__coco_header(count > 0 ? images[0].phrases : NULL);
    int64_t id = 0;
    bool good = header != NULL && fputs(header, to) != EOF;
    free(header);
    for (int i = 0; i < count; i++)
        for (int m = 0; m < images[i].count && good; m++) {
            const samc_mask *mask = samc_mask_at(images[i].masks, m);
            id++;
            good = fprintf(to, "%s\n{\"id\": %lld, ", id > 1 ? "," : "", (long long)id) > 0 &&
                   print(to, annotation(mask, i + 1), 1, mask, error);
        }
    good = good && fputs(samc__coco_before_images, to) != EOF;
    for (int i = 0; i < count && good; i++) {
        char *entry = coco_image(&images[i], i + 1);
        good = entry != NULL && fprintf(to, "%s%s", i > 0 ? ",\n" : "\n", entry) > 0;
        free(entry);
    }
    return good && fputs(samc__coco_after_images, to) != EOF;
}

static bool print_text(FILE *to, samc_output output, const samc_masks *images, int count, samc_error *error) {
    if (output == SAMC_OUTPUT_COCO) return print_coco(to, images, count, error);
    if (output == SAMC_OUTPUT_SA1B) return print_sa1b(to, images, error);
    bool good = true;
    for (int i = 0; i < count && good; i++)
        good = output == SAMC_OUTPUT_RLE ? print_records(to, &images[i], error) : print_line(to, &images[i], error);
    return good;
}

/* The caller's structs, whole. */
typedef struct taken {
    const samc_masks *given; /* the caller's first */
    samc_masks *images;      /* [count], owned */
    int count;
} taken;

static const samc_masks *given_at(const taken *t, int i) {
    return (const samc_masks *)(const void *)((const char *)t->given + (size_t)i * t->given->size);
}

static void give_back(taken *t) {
    for (int i = 0; i < t->count; i++) samc__abi_array_free(given_at(t, i)->masks, t->images[i].masks);
    free(t->images);
}

/* One image: `own` begins as zeros, and what it holds after a failure too is to be given back. */
static samc_status take_image(const samc_masks *given, bool shown, samc_masks *own, samc_error *error) {
    samc_masks image = {0};
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_masks), given, &image, error));
    if (image.source == NULL || image.width <= 0 || image.height <= 0 || image.count < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "masks without a source or a size");
    if (shown) SAMC__TRY(samc__image_fits(image.image, image.width, image.height, image.source, error));
    if (image.name == NULL) image.name = image.source;
    if (image.count > 0) {
        const void *masks;
        SAMC__TRY(samc__abi_array(SAMC__ABI(samc_mask), image.masks, image.count, &masks, error));
        image.masks = masks;
    }
    *own = image;
    for (int m = 0; m < image.count; m++)
        if (image.masks[m].width != image.width || image.masks[m].height != image.height)
            return samc__fail(error, SAMC_MISMATCH, "%s: mask %d is one of %d x %d pixels, the image has %d x %d",
                              image.source, m, image.masks[m].width, image.masks[m].height, image.width, image.height);
    return SAMC_OK;
}

static samc_status take(const samc_masks *given, int count, samc_output output, taken *t, samc_error *error) {
    bool one = output == SAMC_OUTPUT_RLE || output == SAMC_OUTPUT_PNG || output == SAMC_OUTPUT_OVERLAY ||
               output == SAMC_OUTPUT_SA1B;
    *t = (taken){.given = given};
    if ((given == NULL && count > 0) || count < 0 || (one && count != 1) ||
        (!one && output != SAMC_OUTPUT_JSONL && output != SAMC_OUTPUT_COCO))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%d images are not written as that", count);
    if (count > 0) SAMC__TRY(samc__abi_check_size(SAMC__IO(samc_masks), given, error));
    t->images = calloc((size_t)count + 1, sizeof *t->images);
    samc_status status = t->images ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for masks");
    while (t->count < count && status == SAMC_OK) {
        status = take_image(given_at(t, t->count), output == SAMC_OUTPUT_OVERLAY, &t->images[t->count], error);
        t->count += t->images[t->count].source != NULL;
    }
    if (status != SAMC_OK) give_back(t);
    return status;
}

samc_status samc_masks_text(const samc_masks *given, int count, samc_output output, char **text, size_t *size,
                            samc_error *error) {
    taken t;
    samc_error why = {0};
    if (text == NULL || size == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_masks_text: no place");
    *text = NULL;
    *size = 0;
    if (output == SAMC_OUTPUT_PNG || output == SAMC_OUTPUT_OVERLAY)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_masks_text: pictures are no text");
    SAMC__TRY(take(given, count, output, &t, error));
    FILE *to = open_memstream(text, size);
    bool good = to != NULL && print_text(to, output, t.images, count, &why);
    if (to != NULL && fclose(to) != 0) good = false;
    give_back(&t);
    if (good) return SAMC_OK;
    free(*text);
    *text = NULL;
    *size = 0;
    return why.status != SAMC_OK
               ? samc__fail(error, why.status, "%s", why.message)
               : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the masks of %d images", count);
}

/* Into a file that is there whole, or not at all. */
static samc_status write_file(const samc_masks *images, int count, samc_output output, const char *path,
                              samc_error *error) {
    samc__writer writer;
    SAMC__TRY(samc__writer_open(&writer, path, error));
    samc_status status;
    if (output == SAMC_OUTPUT_OVERLAY) {
        status = samc__masks_write_overlay(&writer, images, error);
    } else {
        const samc_masks file = {.source = path};
        sink s = {.writer = &writer};
        FILE *to = open_sink(&s);
        status = close_sink(&s, to, to != NULL && print_text(to, output, images, count, &s.error), &file, error);
    }
    if (status == SAMC_OK) return samc__writer_commit(&writer, error);
    samc__writer_abandon(&writer);
    return status;
}

samc_status samc_masks_write(const samc_masks *given, int count, samc_output output, const char *path,
                             samc_error *error) {
    taken t;
    if (path == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_masks_write: no path");
    SAMC__TRY(take(given, count, output, &t, error));
    samc_status status = output == SAMC_OUTPUT_PNG ? samc__masks_write_folder(path, t.images, error)
                                                   : write_file(t.images, count, output, path, error);
    give_back(&t);
    return status;
}

samc_status samc_masks_draw(const samc_masks *given, uint8_t *rgb, samc_error *error) {
    samc_masks own = {0};
    taken t = {.given = given, .images = &own, .count = 1};
    if (rgb == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_masks_draw: no pixels to draw on");
    SAMC__TRY(samc__abi_check_size(SAMC__IO(samc_masks), given, error));
    samc_status status = take_image(given, false, &own, error);
    samc__picture picture = {.pixels = rgb, .width = own.width, .height = own.height};
    if (status == SAMC_OK) status = samc__masks_draw(&own, &picture, error);
    if (own.source != NULL) samc__abi_array_free(given_at(&t, 0)->masks, own.masks);
    return status;
}

samc_status samc__image_fits(const samc_image *given, int width, int height, const char *name, samc_error *error) {
    samc_image image = {0};
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_image), given, &image, error));
    if (image.pixels != NULL && image.width == width && image.height == height &&
        image.row_bytes >= (ptrdiff_t)width * 3)
        return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: no image, or not one of %d x %d pixels", name, width, height);
}

samc_status samc_mask_write(const samc_mask *given, samc_output output, const samc_image *image,
                            const samc_prompt *prompt, int colour, const char *path, samc_error *error) {
    samc_mask mask = {0};
    samc_prompt own = {0};
    bool shown = output == SAMC_OUTPUT_OVERLAY || output == SAMC_OUTPUT_CUTOUT;
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_mask), given, &mask, error));
    if (prompt != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_prompt), prompt, &own, error));
    if (path == NULL || colour < 0 || (!shown && output != SAMC_OUTPUT_PNG && output != SAMC_OUTPUT_NPY))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_mask_write: no path, or no file of one mask");
    if (own.point_count < 0 || (own.point_count > 0 && own.points == NULL))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_mask_write: a prompt without its points");
    if (shown) SAMC__TRY(samc__image_fits(image, mask.width, mask.height, path, error));
    return samc__mask_write(&mask, output, image, prompt ? &own : NULL, colour, path, error);
}
