/* The files of a scene's masks that need no map. */
#include "host/io/scene_write.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/masks.h"
#include "host/io/overlay.h"
#include "host/io/scene_spans.h"
#include "host/io/text.h"
#include "runtime/base/coco.h"
#include "runtime/base/status.h"

enum { OVERLAY_SIDE = 2048 };

typedef struct writing {
    samc_output output;
    samc__scene_source *scene;
    const samc_phrases *labels;
    const char *path; /* the run's */
    FILE *file;       /* NULL: not open */
    int64_t written;
    uint32_t *counts; /* [room] of the whole picture */
    char *text;       /* [7 * room + 1] */
    int64_t room;
    int level;          /* of the overlay */
    int32_t *labels_at; /* [its height, its width]: the id on each pixel */
} writing;

static samc_status failed(const writing *w, samc_error *error) {
    return samc__fail(error, SAMC_IO, "%s: cannot be written: %s", w->path, strerror(errno));
}

static samc_status make_room(writing *w, int64_t count, samc_error *error) {
    if (count <= w->room) return SAMC_OK;
    free(w->counts);
    free(w->text);
    w->counts = malloc((size_t)count * sizeof *w->counts);
    w->text = malloc((size_t)count * SAMC__RUN_CHARACTERS + 1);
    w->room = w->counts != NULL && w->text != NULL ? count : 0;
    return w->room > 0 ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a mask's run lengths");
}

/* ---- JSON --------------------------------------------------------------------------------------- */

/* Run lengths of the box -> of the scene, into w->counts; returns how many. A run is cut once at each column. */
static int64_t spread(const writing *w, const samc__scene_record *r, const uint32_t *counts) {
    const int64_t full = w->scene->height;
    int64_t position = 0, end = 0, n = 0;
    for (int64_t i = 0; i < r->count; position += counts[i++])
        for (int64_t p = position; i % 2 == 1 && p < position + counts[i];) {
            const int64_t in_column = r->height - p % r->height, rest = position + counts[i] - p;
            const int64_t size = in_column < rest ? in_column : rest;
            const int64_t start = (r->x + p / r->height) * full + r->y + p % r->height;
            if (n > 0 && start == end) {
                w->counts[n - 1] += (uint32_t)size;
            } else {
                w->counts[n++] = (uint32_t)(start - end);
                w->counts[n++] = (uint32_t)size;
            }
            end = start + size;
            p += size;
        }
    if (w->scene->width * full > end) w->counts[n++] = (uint32_t)(w->scene->width * full - end);
    return n;
}

/* {"size": [h, w], "counts": "..."}; of a text only the backslash needs another before it. */
static bool print_counts(const writing *w, int64_t height, int64_t width, const uint32_t *counts, int64_t count) {
    const size_t length = samc__runs_pack(counts, (size_t)count, w->text);
    bool good = fprintf(w->file, "{\"size\": [%lld, %lld], \"counts\": \"", (long long)height, (long long)width) > 0;
    for (size_t i = 0; i < length && good; i++)
        good = (w->text[i] != '\\' || fputc('\\', w->file) != EOF) && fputc(w->text[i], w->file) != EOF;
    return good && fputs("\"}", w->file) != EOF;
}

/* What both say of a mask behind its segmentation, without braces. */
static bool print_facts(const writing *w, const samc__scene_record *r) {
    json_t *fields =
        json_pack("{s:I, s:[I, I, I, I], s:o, s:o, s:[[o, o]], s:i}", "area", (json_int_t)r->area, "bbox",
                  (json_int_t)r->x, (json_int_t)r->y, (json_int_t)r->width, (json_int_t)r->height, "predicted_iou",
                  samc__text_number((double)r->iou), "stability_score", samc__text_number((double)r->stability),
                  "point_coords", samc__text_number(r->point[0]), samc__text_number(r->point[1]), "level", r->level);
    if (fields != NULL && r->refined >= 0) json_object_set_new(fields, "refined", json_integer(r->refined));
    if (fields != NULL && r->object != 0.0f)
        json_object_set_new(fields, "object_score", samc__text_number((double)r->object));
    const char *label = w->labels != NULL && r->phrase >= 0 ? samc_phrases_text(w->labels, r->phrase) : NULL;
    if (fields != NULL && label != NULL) {
        json_object_set_new(fields, "label", samc__text_json(label));
        json_object_set_new(fields, "score", samc__text_number((double)r->phrase_score));
    }
    char *text = fields ? json_dumps(fields, JSON_REAL_PRECISION(17)) : NULL;
    const bool good = text != NULL && fputs(text + 1, w->file) != EOF; /* with the closing brace */
    free(text);
    json_decref(fields);
    return good;
}

static samc_status add_coco(writing *w, int64_t id, const samc__scene_record *r, const uint32_t *counts,
                            samc_error *error) {
    SAMC__TRY(make_room(w, 2 * (r->count + r->width) + 2, error));
    const int64_t n = spread(w, r, counts);
    const int category = w->labels != NULL && r->phrase >= 0 ? r->phrase + 1 : 1;
    const bool good =
        fprintf(w->file, "%s{\"id\": %lld, \"image_id\": 1, \"category_id\": %d, \"iscrowd\": 0, \"segmentation\": ",
                w->written++ > 0 ? ",\n" : "\n", (long long)id, category) > 0 &&
        print_counts(w, w->scene->height, w->scene->width, w->counts, n) && fputs(", ", w->file) != EOF &&
        print_facts(w, r);
    return good ? SAMC_OK : failed(w, error);
}

static samc_status add_line(writing *w, int64_t id, const samc__scene_record *r, const uint32_t *counts,
                            samc_error *error) {
    SAMC__TRY(make_room(w, r->count, error));
    const bool good = fprintf(w->file, "{\"id\": %lld, \"segmentation\": ", (long long)id) > 0 &&
                      print_counts(w, r->height, r->width, counts, r->count) && fputs(", ", w->file) != EOF &&
                      print_facts(w, r) && fputc('\n', w->file) != EOF;
    return good ? SAMC_OK : failed(w, error);
}

static samc_status end_coco(writing *w, samc_error *error) {
    const char *slash = strrchr(w->scene->name, '/');
    json_t *image = json_pack("{s:i, s:o, s:I, s:I}", "id", 1, "file_name",
                              samc__text_json(slash != NULL ? slash + 1 : w->scene->name), "width",
                              (json_int_t)w->scene->width, "height", (json_int_t)w->scene->height);
    char scale[160];
    if (image != NULL && w->scene->scale.name != NULL && samc_scale_json(&w->scene->scale, scale, NULL) == SAMC_OK)
        json_object_set_new(image, "scale", json_loads(scale, 0, NULL));
    char *text = image ? json_dumps(image, JSON_REAL_PRECISION(17)) : NULL;
    const bool good = text != NULL && fputs(samc__coco_before_images, w->file) != EOF && fputs(text, w->file) != EOF &&
                      fputs(samc__coco_after_images, w->file) != EOF;
    free(text);
    json_decref(image);
    return good ? SAMC_OK : failed(w, error);
}

/* ---- A picture ---------------------------------------------------------------------------------- */

/* Pixels of the level whose middle pixel of the scene is in the mask. */
static samc_status add_overlay(writing *w, int64_t id, const samc__scene_record *r, const uint32_t *counts,
                               samc_error *error) {
    samc__spans spans = {0};
    const int64_t f = (int64_t)1 << w->level, half = f / 2, width = samc__scene_side(w->scene->width, w->level),
                  height = samc__scene_side(w->scene->height, w->level);
    SAMC__TRY(samc__spans_of_record(&spans, r, counts, error));
    for (int64_t i = 0; i < spans.count; i++) {
        const samc__span *s = &spans.at[i];
        const int64_t column = s->x >> w->level;
        if (s->x % f != half || column >= width) continue;
        for (int64_t row = s->y0 > half ? (s->y0 - half + f - 1) >> w->level : 0; row < height; row++) {
            if (row * f + half >= s->y1) break;
            w->labels_at[row * width + column] = (int32_t)id;
        }
    }
    samc__spans_free(&spans);
    return SAMC_OK;
}

static samc_status end_overlay(writing *w, samc_error *error) {
    samc__picture picture = {.width = (int)samc__scene_side(w->scene->width, w->level),
                             .height = (int)samc__scene_side(w->scene->height, w->level)};
    const samc__scene_window window = {.level = w->level, .width = picture.width, .height = picture.height};
    picture.pixels = malloc((size_t)picture.width * (size_t)picture.height * 3);
    samc_status status = picture.pixels == NULL
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a picture", w->scene->name)
                             : w->scene->read(w->scene, &window, picture.pixels, NULL, error);
    if (status == SAMC_OK) status = samc__overlay_labels(&picture, w->labels_at, error);
    if (status == SAMC_OK) status = samc_png_write(w->path, picture.pixels, picture.width, picture.height, 3, error);
    free(picture.pixels);
    return status;
}

static samc_status begin_overlay(writing *w, samc_error *error) {
    const int64_t side = w->scene->width > w->scene->height ? w->scene->width : w->scene->height;
    for (w->level = 0; samc__scene_side(side, w->level) > OVERLAY_SIDE;) w->level++;
    free(w->labels_at);
    w->labels_at = calloc((size_t)samc__scene_side(w->scene->width, w->level) *
                              (size_t)samc__scene_side(w->scene->height, w->level),
                          sizeof *w->labels_at);
    return w->labels_at != NULL
               ? SAMC_OK
               : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a picture", w->scene->name);
}

/* ---- The sink ----------------------------------------------------------------------------------- */

static samc_status open_file(writing *w, samc_error *error) {
    w->file = fopen(w->path, "wx");
    if (w->file == NULL) return failed(w, error);
    if (w->output != SAMC_OUTPUT_COCO) return SAMC_OK;
    char *header = samc__coco_header(w->labels);
    const bool good = header != NULL && fputs(header, w->file) != EOF;
    free(header);
    return good ? SAMC_OK : failed(w, error);
}

static samc_status sink_open(samc__scene_sink *sink, const samc__scene_source *scene, const char *path,
                             samc_error *error) {
    writing *w = sink->context;
    (void)scene;
    w->path = path;
    w->written = 0;
    return w->output == SAMC_OUTPUT_OVERLAY ? begin_overlay(w, error) : open_file(w, error);
}

static samc_status sink_add(samc__scene_sink *sink, int64_t id, const samc__scene_record *record,
                            const uint32_t *counts, samc_error *error) {
    writing *w = sink->context;
    if (w->output == SAMC_OUTPUT_OVERLAY) return add_overlay(w, id, record, counts, error);
    return w->output == SAMC_OUTPUT_COCO ? add_coco(w, id, record, counts, error)
                                         : add_line(w, id, record, counts, error);
}

static void sink_abandon(samc__scene_sink *sink) {
    writing *w = sink->context;
    if (w->file != NULL) fclose(w->file);
    w->file = NULL;
}

static samc_status sink_close(samc__scene_sink *sink, samc_error *error) {
    writing *w = sink->context;
    if (w->output == SAMC_OUTPUT_OVERLAY) return end_overlay(w, error);
    const samc_status status = w->output == SAMC_OUTPUT_COCO ? end_coco(w, error) : SAMC_OK;
    const bool good = fclose(w->file) == 0;
    w->file = NULL;
    return status != SAMC_OK || good ? status : failed(w, error);
}

samc_status samc__scene_write(samc_output output, samc__scene_source *scene, const samc_phrases *labels,
                              samc__scene_sink *sink, samc_error *error) {
    *sink = (samc__scene_sink){.suffix = output == SAMC_OUTPUT_COCO    ? ".coco.json"
                                         : output == SAMC_OUTPUT_JSONL ? ".masks.jsonl"
                                                                       : ".overlay.png",
                               .open = sink_open,
                               .add = sink_add,
                               .close = sink_close,
                               .abandon = sink_abandon};
    if (output == SAMC_OUTPUT_COCO && scene->width > (int64_t)UINT32_MAX / scene->height)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: %lld x %lld pixels are more than COCO's run lengths can count; write jsonl", scene->name,
                          (long long)scene->width, (long long)scene->height);
    writing *w = calloc(1, sizeof *w);
    if (w == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", scene->name);
    w->output = output, w->scene = scene, w->labels = labels;
    sink->context = w;
    return SAMC_OK;
}

void samc__scene_write_end(samc__scene_sink *sink) {
    writing *w = sink->context;
    if (w == NULL) return;
    sink_abandon(sink);
    free(w->counts);
    free(w->text);
    free(w->labels_at);
    free(w);
    *sink = (samc__scene_sink){0};
}
