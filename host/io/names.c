/* Which names are those of images, what lists hold, and which names of inputs cannot have results: those that are too
 * long, and those whose results would be in each other's way. */
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/io/file.h"
#include "host/io/inputs.h"
#include "runtime/base/status.h"

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the list of inputs");
}

static const char *last_component(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- Images and lists ------------------------------------------------------------------------ */

/* Whether a file found in a folder or an archive is taken for an image. Formats that samc does not read count too: they
 * end in errors.jsonl instead of being lost in silence. */
bool samc__inputs_is_image(const char *const *globs, const char *key) {
    static const char *const endings[] = {"jpg", "jpeg", "jpe",  "jfif", "mpo",   "png",  "apng", "bmp", "dib",
                                          "gif", "psd",  "pbm",  "pgm",  "ppm",   "pnm",  "tga",  "ico", "qoi",
                                          "tif", "tiff", "webp", "avif", "avifs", "heic", "heif", "jp2", "j2k",
                                          "jpf", "jpx",  "j2c",  "jxl",  "dcm",   "dicom"};
    const char *name = last_component(key), *dot = strrchr(name, '.');
    if (name[0] == '.') return false;
    if (globs != NULL && globs[0] != NULL) {
        for (const char *const *glob = globs; *glob != NULL; glob++)
            if (fnmatch(*glob, strchr(*glob, '/') ? key : name, 0) == 0) return true;
        return false;
    }
    for (size_t i = 0; dot != NULL && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot + 1, endings[i]) == 0) return true;
    return false;
}

samc_status samc__list_lines(const uint8_t *bytes, size_t size, samc_status (*line)(void *, const char *),
                             void *context, samc_error *error) {
    int separator = memchr(bytes, '\0', size) != NULL ? '\0' : '\n';
    for (size_t at = separator == '\n' ? samc__file_mark(bytes, size) : 0; at < size;) {
        const uint8_t *end = memchr(bytes + at, separator, size - at);
        size_t whole = end != NULL ? (size_t)(end - bytes) - at : size - at, n = whole;
        if (separator == '\n' && n > 0 && bytes[at + n - 1] == '\r') n--;
        if (n > 0) {
            char *text = strndup((const char *)bytes + at, n);
            if (text == NULL) return no_memory(error);
            samc_status status = line(context, text);
            free(text);
            SAMC__TRY(status);
        }
        at += whole + 1;
    }
    return SAMC_OK;
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Keys in order, so that one can be looked up. */
typedef struct index {
    const char *text;
    size_t *keys; /* [count], sorted */
    size_t count;
} index_of_keys;

static int by_text(const void *a, const void *b, void *context) {
    const char *text = context;
    return strcmp(text + *(const size_t *)a, text + *(const size_t *)b);
}

/* Whether the first `length` characters of `name` are a key. */
static bool is_key(const index_of_keys *index, const char *name, size_t length) {
    for (size_t low = 0, high = index->count; low < high;) {
        size_t middle = (low + high) / 2;
        const char *key = index->text + index->keys[middle];
        int order = strncmp(key, name, length);
        if (order == 0 && key[length] != '\0') order = 1;
        if (order == 0) return true;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return false;
}

static bool ends_with(const char *name, size_t length, const char *end) {
    size_t n = strlen(end);
    return length > n && memcmp(name + length - n, end, n) == 0;
}

/* Files and folders of the run itself, which no image may have in its way. */
static bool is_reserved(const char *name) {
    return fnmatch(".samc*", name, 0) == 0 || fnmatch("masks*.jsonl", name, 0) == 0 ||
           fnmatch("annotations*.json", name, 0) == 0 || fnmatch("errors*.jsonl", name, 0) == 0;
}

/* Whether results would need the first `length` characters of `key` both as a folder and as another image's results. */
static bool folder_is_taken(const index_of_keys *index, const char *key, size_t length, bool pictures) {
    if (key[length] != '\0' && pictures && is_key(index, key, length)) return true;
    return (ends_with(key, length, ".json") && is_key(index, key, length - 5)) ||
           (ends_with(key, length, ".overlay.png") && is_key(index, key, length - 12));
}

static samc_status check_key(const index_of_keys *index, const char *key, bool pictures, samc_error *error) {
    size_t first = strcspn(key, "/"), length = strlen(key);
    char name[NAME_MAX + 8] = "";
    if (first < NAME_MAX) snprintf(name, sizeof name, "%.*s%s", (int)first, key, first == length ? ".json" : "");
    bool taken = is_reserved(name);
    if (first == length && pictures && first < NAME_MAX) {
        name[first] = '\0';
        taken = taken || is_reserved(name);
    }
    for (size_t at = first; at < length && !taken; at += 1 + strcspn(key + at + 1, "/"))
        taken = folder_is_taken(index, key, at, pictures);
    if (pictures && !taken) taken = folder_is_taken(index, key, length, pictures);
    return taken
               ? samc__fail(error, SAMC_INVALID_ARGUMENT,
                            "the results of '%s' would be in the way of another image's or of the run's own files", key)
               : SAMC_OK;
}

/* Whether a component, or all of it with the output folder before it, is longer than a file system takes. */
bool samc__key_is_too_long(const char *key) {
    if (strlen(key) > PATH_MAX / 2 || strlen(last_component(key)) + strlen(".overlay.png") > NAME_MAX) return true;
    while (strcspn(key, "/") <= NAME_MAX) {
        key += strcspn(key, "/");
        if (*key++ == '\0') return false;
    }
    return true;
}

samc_status samc__inputs_check_names(samc__inputs *in, bool pictures, samc_error *error) {
    index_of_keys index = {.keys = malloc(((size_t)in->count + 1) * sizeof(size_t))};
    if (index.keys == NULL) return no_memory(error);
    for (int64_t i = 0; i < in->count; i++) {
        if (in->items[i].reason == 0 && samc__key_is_too_long(samc__input_key(in, i))) {
            char *reason = NULL;
            if (asprintf(&reason, "%.500s: its name is too long for the names of its results",
                         samc__input_source(in, i)) < 0)
                reason = NULL;
            in->items[i].reason = reason ? samc__inputs_keep(in, reason) : 0;
            free(reason);
            if (in->items[i].reason == 0) {
                free(index.keys);
                return no_memory(error);
            }
        }
        if (in->items[i].reason == 0)
            index.keys[index.count++] = in->items[i].key; /* what cannot be read writes nothing */
    }
    index.text = in->text;
    if (index.count > 0) qsort_r(index.keys, index.count, sizeof *index.keys, by_text, in->text);
    samc_status status = SAMC_OK;
    for (size_t i = 1; i < index.count && status == SAMC_OK; i++)
        if (strcmp(in->text + index.keys[i - 1], in->text + index.keys[i]) == 0) {
            const char *a = NULL, *b = NULL; /* the sources of the two */
            for (int64_t j = 0; j < in->count; j++)
                if (in->items[j].reason == 0 && strcmp(samc__input_key(in, j), in->text + index.keys[i]) == 0)
                    *(a == NULL ? &a : &b) = samc__input_source(in, j);
            status = samc__fail(error, SAMC_INVALID_ARGUMENT, "'%.300s' and '%.300s' would write the same files", a, b);
        }
    for (size_t i = 0; i < index.count && status == SAMC_OK; i++)
        status = check_key(&index, in->text + index.keys[i], pictures, error);
    free(index.keys);
    return status;
}

samc_status samc__inputs_check_stems(const samc__inputs *inputs, size_t (*stem)(const char *name), bool archives,
                                     samc_error *error) {
    samc__inputs stems = *inputs; /* the same sources under shorter keys */
    stems.items = malloc(((size_t)inputs->count + 1) * sizeof *stems.items);
    stems.text = malloc(stems.room = inputs->used);
    samc_status status = stems.items != NULL && stems.text != NULL ? SAMC_OK : no_memory(error);
    if (status == SAMC_OK) {
        memcpy(stems.items, inputs->items, (size_t)inputs->count * sizeof *stems.items);
        memcpy(stems.text, inputs->text, inputs->used);
        for (int64_t i = 0; i < inputs->count; i++) { /* keys that differ have texts of their own */
            char *key = stems.text + stems.items[i].key;
            bool archive = inputs->units && stems.items[i].tar >= 0;
            if (stems.items[i].reason == 0 && (archives || !archive)) key[stem(key)] = '\0';
        }
        status = samc__inputs_check_names(&stems, false, error);
    }
    free(stems.text);
    free(stems.items);
    return status;
}
