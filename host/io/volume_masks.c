/* Masks of a volume's objects, slice by slice, as samc segment writes those of a picture. */
#include "host/io/volume_masks.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "host/io/file.h"
#include "runtime/base/json.h"
#include "runtime/base/status.h"
#include "runtime/base/writer.h"

#define MOST_JSON ((size_t)1 << 30) /* of an earlier run, that is read */

static bool is_folder(const char *path) {
    const size_t length = strlen(path);
    return length > 0 && path[length - 1] == '/';
}

static bool is_json(const char *path) {
    const size_t length = strlen(path);
    return length > 5 && strcasecmp(path + length - 5, ".json") == 0;
}

bool samc__volume_masks_are(const char *path) { return is_folder(path) || is_json(path); }

static samc_status no_memory(const char *path, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

/* One mask as 0 and 255; `pixels` has room for it. */
static samc_status write_picture(const samc_rle *mask, const char *folder, const char *name, uint8_t *pixels,
                                 samc_error *error) {
    char *path;
    SAMC__TRY(samc_rle_to_bytes(mask, pixels, error));
    for (size_t i = 0; i < (size_t)mask->width * (size_t)mask->height; i++) pixels[i] = pixels[i] != 0 ? 255 : 0;
    if (asprintf(&path, "%s%s", folder, name) < 0) return no_memory(folder, error);
    samc_status status = samc_png_write(path, pixels, mask->width, mask->height, 1, error);
    free(path);
    return status;
}

/* Removes a file of the folder where there is one. */
static samc_status remove_file(const char *folder, const char *name, samc_error *error) {
    char *path;
    if (asprintf(&path, "%s%s", folder, name) < 0) return no_memory(folder, error);
    samc_status status = SAMC_OK;
    if (unlink(path) != 0 && errno != ENOENT)
        status = samc__fail(error, SAMC_IO, "%s: cannot be removed: %s", path, strerror(errno));
    free(path);
    return status;
}

/* "0057_1.png": a JSON that somebody else wrote names nothing that is not such a picture of its own folder. */
static bool is_picture(const char *name) {
    const size_t slice = strspn(name, "0123456789");
    if (slice < 4 || name[slice] != '_') return false;
    const size_t label = strspn(name + slice + 1, "0123456789");
    return label > 0 && strcmp(name + slice + 1 + label, ".png") == 0;
}

static samc_status remove_named(const char *folder, samc__json all, samc_error *error) {
    samc__json object, mask;
    for (const char *o = NULL; samc__json_next(samc__json_get(all, "objects"), &o, NULL, &object);)
        for (const char *m = NULL; samc__json_next(samc__json_get(object, "masks"), &m, NULL, &mask);) {
            char name[40];
            const bool named = samc__json_string(samc__json_get(mask, "file"), name, sizeof name);
            if (named && is_picture(name)) SAMC__TRY(remove_file(folder, name, error));
        }
    return SAMC_OK;
}

/* Removes what an earlier run left in the folder: the pictures that its JSON names, or this run's would stand among
 * them; and then the JSON, which must not name pictures that are being replaced. */
static samc_status remove_earlier(const char *folder, const char *json, samc_error *error) {
    uint8_t *bytes = NULL;
    size_t size, at;
    int code;
    samc__json all;
    samc_error none = {0};
    if (samc__file_read_regular(json, MOST_JSON, &bytes, &size, &code, &none) == SAMC_OK) {
        samc_status status = SAMC_OK;
        if (samc__json_check((const char *)bytes, size, &all, &at) == NULL) status = remove_named(folder, all, error);
        free(bytes);
        SAMC__TRY(status);
    }
    return remove_file(folder, "masks.json", error);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A writer that is fed by a text, which stays short. */
typedef struct output {
    samc__writer writer;
    samc__json_text text;
    const char *path;
} output;

static samc_status flush(output *to, size_t beyond, samc_error *error) {
    if (to->text.failed) return no_memory(to->path, error);
    if (to->text.used <= beyond) return SAMC_OK;
    const samc_status status = samc__writer_append(&to->writer, to->text.data, to->text.used, error);
    to->text.used = 0;
    return status;
}

static void put(output *to, const char *bytes) { samc__json_put(&to->text, bytes, strlen(bytes)); }

static void put_key(output *to, const char *before, const char *key) {
    put(to, before);
    samc__json_put_string(&to->text, key);
    put(to, ": ");
}

static void put_integers(output *to, const char *before, const char *key, const int *values, int count) {
    put_key(to, before, key);
    for (int i = 0; i < count; i++) {
        put(to, i == 0 ? "[" : ", ");
        samc__json_put_integer(&to->text, values[i]);
    }
    put(to, "]");
}

static samc_status put_mask(output *to, const samc_rle *mask, int slice, float iou, const char *file,
                            samc_error *error) {
    int64_t area;
    int bbox[4];
    char *counts;
    SAMC__TRY(samc_rle_measure(mask, &area, bbox, error));
    SAMC__TRY(samc_rle_to_string(mask, &counts, error));
    put_key(to, "{", "slice");
    samc__json_put_integer(&to->text, slice);
    put_key(to, ", ", "predicted_iou");
    if (isfinite(iou)) samc__json_put_float(&to->text, iou);
    else put(to, "null");
    put_key(to, ", ", "area");
    samc__json_put_integer(&to->text, area);
    put_integers(to, ", ", "bbox", bbox, 4);
    if (file != NULL) {
        put_key(to, ", ", "file");
        samc__json_put_string(&to->text, file);
    }
    put_key(to, ", ", "rle");
    put_integers(to, "{", "size", (const int[]){mask->height, mask->width}, 2);
    put_key(to, ", ", "counts");
    samc__json_put_string(&to->text, counts);
    put(to, "}}");
    free(counts);
    return flush(to, 1 << 16, error);
}

/* The slices of an object; with a folder their pictures, too. */
static samc_status put_object(output *to, const samc_segmentation *s, int object, const char *folder, uint8_t *pixels,
                              samc_error *error) {
    bool any = false;
    put_key(to, object == 0 ? "{" : ",\n {", "name");
    samc__json_put_string(&to->text, s->names[object]);
    put_key(to, ", ", "label");
    samc__json_put_integer(&to->text, object + 1);
    put_key(to, ", ", "masks");
    for (int slice = 0; slice < s->space.slices; slice++) {
        char name[40];
        int64_t area = 0;
        const samc_rle *mask = samc__segmentation_at(s, object, slice);
        if (mask->counts == NULL) continue;
        SAMC__TRY(samc_rle_measure(mask, &area, NULL, error));
        if (area == 0) continue;
        snprintf(name, sizeof name, "%04d_%d.png", slice, object + 1);
        if (folder != NULL) SAMC__TRY(write_picture(mask, folder, name, pixels, error));
        put(to, any ? ",\n  " : "[\n  ");
        any = true;
        const float iou = s->iou[(size_t)object * (size_t)s->space.slices + (size_t)slice];
        SAMC__TRY(put_mask(to, mask, slice, iou, folder != NULL ? name : NULL, error));
    }
    put(to, any ? "]}" : "[]}");
    return SAMC_OK;
}

static samc_status write_json(output *to, const samc_segmentation *s, const char *folder, uint8_t *pixels,
                              samc_error *error) {
    SAMC__TRY(samc__writer_open(&to->writer, to->path, error));
    put_integers(to, "{", "size", s->space.extent, 3);
    put_key(to, ", ", "spacing");
    for (int i = 0; i < 3; i++) {
        put(to, i == 0 ? "[" : ", ");
        samc__json_put_double(&to->text, s->space.spacing[i]);
    }
    put_key(to, "], ", "axis");
    samc__json_put_string(&to->text, (const char[2]){"ijk"[s->space.axis]});
    put_key(to, ", ", "objects");
    put(to, "[\n ");
    for (int o = 0; o < s->objects; o++) SAMC__TRY(put_object(to, s, o, folder, pixels, error));
    put(to, "]}\n");
    SAMC__TRY(flush(to, 0, error));
    return samc__writer_commit(&to->writer, error);
}

samc_status samc__volume_masks_write(const samc_segmentation *s, const char *path, samc_error *error) {
    const bool folder = is_folder(path);
    output to = {.writer.handle = -1, .writer.folder = -1, .path = path};
    char *inside = NULL;
    uint8_t *pixels = malloc((size_t)s->space.width * (size_t)s->space.height);
    samc_status status = pixels != NULL ? SAMC_OK : no_memory(path, error);
    if (status == SAMC_OK && folder) status = samc_folder_create(path, error);
    if (status == SAMC_OK && folder) {
        if (asprintf(&inside, "%smasks.json", path) < 0) {
            inside = NULL;
            status = no_memory(path, error);
        } else to.path = inside;
    }
    if (status == SAMC_OK && folder) status = remove_earlier(path, inside, error);
    if (status == SAMC_OK) status = write_json(&to, s, folder ? path : NULL, pixels, error);
    samc__writer_abandon(&to.writer);
    free(to.text.data);
    free(inside);
    free(pixels);
    return status;
}
