/* Models as Hugging Face's programs lay them into folders: in one file or in several with an index, and with their
 * configuration beside them. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "weights/reader.h"

enum { PATH_ROOM = 4096, MOST_PARTS = 512, MOST_TEXT = 1 << 20 };

samc_status samc__folder_find(const char *folder, const char *label, char *path, size_t room, samc_error *error) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
                                        "pytorch_model.bin.index.json"};
    const char *slash = *folder != '\0' && folder[strlen(folder) - 1] == '/' ? "" : "/";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if ((size_t)snprintf(path, room, "%s%s%s", folder, slash, names[i]) >= room)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: the folder's name is too long", label);
        if (access(path, F_OK) == 0) return SAMC_OK;
    }
    return samc__fail(error, SAMC_IO, "%s: a folder with neither %s nor %s, nor the index of one in several files",
                      label, names[0], names[2]);
}

/* The path of a file that lies beside another one's. */
static samc_status beside(const samc__checkpoint *checkpoint, const char *name, char path[PATH_ROOM],
                          samc_error *error) {
    const char *slash = strrchr(checkpoint->path, '/');
    size_t folder = slash ? (size_t)(slash - checkpoint->path) + 1 : 0;
    if (folder + strlen(name) >= PATH_ROOM)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: its path is too long", checkpoint->label);
    memcpy(path, checkpoint->path, folder);
    strcpy(path + folder, name);
    return SAMC_OK;
}

/* ---- Several files --------------------------------------------------------------------------- */

/* The files that an index names, each once. */
typedef struct parts {
    char *names[MOST_PARTS]; /* owned, in their order */
    size_t count;
} parts;

static int compare_strings(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }
static int compare_tensors(const void *a, const void *b) {
    return strcmp(((const samc__tensor *)a)->name, ((const samc__tensor *)b)->name);
}

/* Where the name is in the list, or NULL. */
static char **find_part(parts *p, const char *name) {
    return bsearch(&name, p->names, p->count, sizeof *p->names, compare_strings);
}

/* The index comes from anyone, and may name files of its own folder alone. */
static samc_status add_part(const samc__checkpoint *index, parts *p, samc__json value, samc_error *error) {
    char name[256];
    bool plain = samc__json_string(value, name, sizeof name) && *name != '\0' && *name != '.';
    for (const char *at = name; plain && *at != '\0'; at++) plain = *at != '/' && (unsigned char)*at >= ' ';
    if (!plain)
        return samc__fail(error, SAMC_FORMAT, "%s: weight_map names %s, which is no file beside it", index->label,
                          samc__printable(value.begin, (size_t)(value.end - value.begin)).text);
    if (find_part(p, name) != NULL) return SAMC_OK;
    if (p->count == MOST_PARTS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: names more than %d files", index->label, MOST_PARTS);
    p->names[p->count] = strdup(name);
    if (p->names[p->count] == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", index->label);
    p->count++;
    qsort(p->names, p->count, sizeof *p->names, compare_strings);
    return SAMC_OK;
}

static samc_status open_parts(samc__checkpoint *index, const parts *p, samc_error *error) {
    index->parts = calloc(p->count, sizeof *index->parts);
    if (index->parts == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", index->label);
    for (size_t i = 0; i < p->count; i++) {
        char path[PATH_ROOM];
        SAMC__TRY(beside(index, p->names[i], path, error));
        if (access(path, R_OK) != 0)
            return samc__fail(error, SAMC_IO, "%s: names the file %s, which cannot be read: %s", index->label,
                              samc__printable(p->names[i], strlen(p->names[i])).text, strerror(errno));
        SAMC__TRY(samc__checkpoint_open_part(path, &index->parts[i], error));
        index->part_count++;
    }
    return SAMC_OK;
}

/* Each tensor has to be where the index says. */
static samc_status check_map(const samc__checkpoint *index, parts *p, samc__json map, samc_error *error) {
    const char *cursor = NULL;
    for (samc__json key, value; samc__json_next(map, &cursor, &key, &value);) {
        char file[256], tensor[SAMC__MAX_NAME + 1];
        samc__text shown = samc__printable(key.begin + 1, (size_t)(key.end - key.begin) - 2);
        samc__tensor wanted = {.name = tensor};
        samc__json_string(value, file, sizeof file);
        const samc__checkpoint *part = index->parts[find_part(p, file) - p->names];
        if (!samc__json_string(key, tensor, sizeof tensor) || part->count == 0 ||
            bsearch(&wanted, part->tensors, part->count, sizeof wanted, compare_tensors) == NULL)
            return samc__fail(error, SAMC_MISMATCH, "%s: names the tensor %s, which %s does not hold", index->label,
                              shown.text, samc__printable(file, strlen(file)).text);
    }
    return SAMC_OK;
}

/* The tensors of all files become the index's. */
static samc_status take_tensors(samc__checkpoint *index, samc_error *error) {
    for (size_t i = 0; i < index->part_count; i++) {
        const samc__checkpoint *part = index->parts[i];
        for (size_t k = 0; k < part->count; k++) {
            const samc__tensor *t = &part->tensors[k];
            SAMC__TRY(samc__checkpoint_add(index, t->name, strlen(t->name), t, error));
        }
    }
    return SAMC_OK;
}

static samc_status read_parts(samc__checkpoint *index, parts *p, samc__json map, samc_error *error) {
    const char *cursor = NULL;
    for (samc__json value; samc__json_next(map, &cursor, NULL, &value);) SAMC__TRY(add_part(index, p, value, error));
    if (p->count == 0) return samc__fail(error, SAMC_FORMAT, "%s: weight_map names no file", index->label);
    SAMC__TRY(open_parts(index, p, error));
    SAMC__TRY(check_map(index, p, map, error));
    return take_tensors(index, error);
}

samc_status samc__index_read(samc__checkpoint *index, samc_error *error) {
    samc__json root;
    size_t at;
    if (!index->mapped || index->part)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: the index of a checkpoint in several files, and none of these",
                          index->label);
    if (index->size > 16 * (size_t)MOST_TEXT)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: an index of %zu bytes", index->label, index->size);
    const char *wrong = samc__json_check((const char *)index->bytes, index->size, &root, &at);
    if (wrong != NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: not valid JSON: %s (byte %zu)", index->label, wrong, at);
    const samc__json map = samc__json_get(root, "weight_map");
    if (!samc__json_is_object(map))
        return samc__fail(error, SAMC_FORMAT, "%s: its weight_map is not an object", index->label);
    parts p = {.count = 0};
    samc_status status = read_parts(index, &p, map, error);
    for (size_t i = 0; i < p.count; i++) free(p.names[i]);
    SAMC__TRY(status);
    samc__checkpoint_forget_bytes(index);
    for (size_t i = 0; i < index->part_count; i++) index->size += index->parts[i]->size;
    return samc__checkpoint_select(index, error);
}

/* ---- Beside a model -------------------------------------------------------------------------- */

static const char *const beside_names[SAMC__BESIDE][2] = {{"config.json"},
                                                          {"preprocessor_config.json", "processor_config.json"}};

char *samc__text_of_file(const char *path, bool *absent, const char **wrong) {
    struct stat about;
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    *absent = file < 0 && errno == ENOENT;
    *wrong = strerror(errno);
    if (file < 0) return NULL;
    bool usable = fstat(file, &about) == 0 && S_ISREG(about.st_mode) && about.st_size < MOST_TEXT;
    *wrong = usable ? "out of memory" : "no file of less than a megabyte";
    char *text = usable ? malloc((size_t)about.st_size + 1) : NULL;
    ssize_t got = text ? read(file, text, (size_t)about.st_size) : -1;
    if (text != NULL && got != about.st_size) {
        *wrong = got < 0 ? strerror(errno) : "it is shorter than it was";
        free(text);
        text = NULL;
    }
    if (text != NULL && memchr(text, '\0', (size_t)got) != NULL) { /* behind which nobody would look */
        *wrong = "it holds a zero byte and is no text";
        free(text);
        text = NULL;
    }
    close(file);
    if (text != NULL) text[got] = '\0';
    return text;
}

samc_status samc__beside_read(samc__checkpoint *checkpoint, samc_error *error) {
    for (int i = 0; i < SAMC__BESIDE; i++)
        for (int k = 0; k < 2 && beside_names[i][k] != NULL && checkpoint->beside[i] == NULL; k++) {
            char path[PATH_ROOM];
            const char *wrong;
            bool absent;
            SAMC__TRY(beside(checkpoint, beside_names[i][k], path, error));
            checkpoint->beside[i] = samc__text_of_file(path, &absent, &wrong);
            checkpoint->beside_name[i] = beside_names[i][k];
            if (checkpoint->beside[i] == NULL && !absent)
                return samc__fail(error, SAMC_IO, "%s: %s beside it cannot be read: %s", checkpoint->label,
                                  beside_names[i][k], wrong);
        }
    return SAMC_OK;
}

const char *samc__checkpoint_beside(const samc__checkpoint *checkpoint, samc__beside which, const char **name) {
    *name = checkpoint->beside_name[which];
    return checkpoint->beside[which];
}
