/* The list of a folder's images, and how one of them is read: by its place in the list alone, and only where it lies in
 * the folder, whatever links there are and whenever they were made. */
#include "host/serve/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static samc_status fail(samc_error *error, samc_status status, const char *name, const char *what) {
    error->status = status;
    snprintf(error->message, sizeof error->message, "%s: %s", name, what);
    return status;
}

/* ---- Files in it ----------------------------------------------------------------------------- */

/* Where an open file lies; false where that cannot be said. */
static bool place_of(int handle, char path[PATH_MAX]) {
    char link[40];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    const ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0) return false;
    path[length] = '\0';
    return true;
}

/* Whether what is open lies below the folder: the name that led there says nothing of it. */
static bool inside(const samc__folder *f, int handle) {
    char root[PATH_MAX], path[PATH_MAX];
    if (!place_of(f->handle, root) || !place_of(handle, path)) return false;
    const size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
    return strncmp(path, root, length) == 0 && path[length] == '/';
}

/* Looked at before it is opened (O_PATH), so that no pipe is waited for and no device wakes. */
static int open_image(const samc__folder *f, const char *name, samc_error *error) {
    struct stat information;
    char link[40];
    const int at = openat(f->handle, name, O_PATH | O_CLOEXEC);
    if (at < 0) {
        fail(error, SAMC_IO, name, strerror(errno));
        return -1;
    }
    int handle = -1;
    snprintf(link, sizeof link, "/proc/self/fd/%d", at);
    if (!inside(f, at)) fail(error, SAMC_INVALID_ARGUMENT, name, "a link that leads out of the folder");
    else if (fstat(at, &information) != 0 || !S_ISREG(information.st_mode))
        fail(error, SAMC_INVALID_ARGUMENT, name, "not a file");
    else if ((handle = open(link, O_RDONLY | O_CLOEXEC)) < 0) fail(error, SAMC_IO, name, strerror(errno));
    close(at);
    return handle;
}

samc_status samc__folder_read(const samc__folder *f, const char *name, size_t most, char **bytes, size_t *size,
                              samc_error *error) {
    struct stat information;
    char message[100];
    *bytes = NULL;
    *size = 0;
    const int handle = open_image(f, name, error);
    if (handle < 0) return error->status;
    const size_t room = fstat(handle, &information) == 0 ? (size_t)information.st_size : 0;
    samc_status status = SAMC_OK;
    snprintf(message, sizeof message, "a file of %zu bytes; at most %zu are read (--max-body)", room, most);
    if (room > most) status = fail(error, SAMC_UNSUPPORTED, name, message);
    else if (room == 0) status = fail(error, SAMC_FORMAT, name, "an empty file");
    else if ((*bytes = malloc(room)) == NULL) status = fail(error, SAMC_OUT_OF_MEMORY, name, "no memory for it");
    while (status == SAMC_OK && *size < room) { /* what is added meanwhile is not waited for */
        const ssize_t got = read(handle, *bytes + *size, room - *size);
        if (got == 0) break;
        if (got > 0) *size += (size_t)got;
        else if (errno != EINTR) status = fail(error, SAMC_IO, name, strerror(errno));
    }
    close(handle);
    if (status == SAMC_OK) return SAMC_OK;
    free(*bytes);
    *bytes = NULL;
    return status;
}

/* ---- The list -------------------------------------------------------------------------------- */

static bool make_id(const char *in, const char *name, char id[SAMC__FOLDER_ID]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    const bool good = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
                      EVP_DigestUpdate(hash, in, strlen(in) + 1) == 1 &&
                      EVP_DigestUpdate(hash, name, strlen(name)) == 1 && EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    EVP_MD_CTX_free(hash);
    for (int i = 0; good && i < (SAMC__FOLDER_ID - 1) / 2; i++) snprintf(id + 2 * i, 3, "%02x", digest[i]);
    return good;
}

/* By where the folder and its annotations lie, however that was said. */
static bool make_key(const char *path, const char *annotations, char key[SAMC__FOLDER_ID]) {
    const char *slash = strrchr(annotations, '/');
    char *above = slash == NULL ? strdup(".") : strndup(annotations, (size_t)(slash - annotations) + 1);
    char *place = realpath(path, NULL), *other = above != NULL ? realpath(above, NULL) : NULL, *text = NULL;
    if (asprintf(&text, "%s/%s", other != NULL ? other : above, slash == NULL ? annotations : slash + 1) < 0)
        text = NULL;
    const bool good = place != NULL && text != NULL && make_id(place, text, key);
    free(text);
    free(other);
    free(place);
    free(above);
    return good;
}

/* Names that JSON cannot say have no place in COCO either. */
static bool is_text(const char *name) {
    char *text = samc_text_utf8(name);
    const bool same = text != NULL && strcmp(text, name) == 0;
    samc_io_free(text);
    return same;
}

/* A link to nothing stays in the list, and is shown as what cannot be read. */
static bool leads_out(const samc__folder *f, const char *name) {
    const int at = openat(f->handle, name, O_PATH | O_CLOEXEC);
    const bool out = at >= 0 && !inside(f, at);
    if (at >= 0) close(at);
    return out;
}

static samc_status list(samc__folder *f, samc_error *error) {
    size_t count;
    const samc_status status = samc_folder_list(f->path, &f->names, &count, error);
    if (status != SAMC_OK) return status;
    f->name = calloc(count + 1, sizeof *f->name);
    f->id = calloc(count + 1, sizeof *f->id);
    if (f->name == NULL || f->id == NULL) return fail(error, SAMC_OUT_OF_MEMORY, f->path, "no memory for its list");
    const char *name = f->names;
    for (size_t i = 0; i < count; i++, name += strlen(name) + 1) {
        if (!is_text(name) || leads_out(f, name)) {
            f->outside++;
            continue;
        }
        f->name[f->count] = name;
        if (!make_id(f->key, name, f->id[f->count++]))
            return fail(error, SAMC_IO, f->path, "SHA-256 cannot be computed");
    }
    return SAMC_OK;
}

const char *samc__folder_name(const samc__folder *f, const char *id) {
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->id[i], id) == 0) return f->name[i];
    return NULL;
}

/* ---- Opening --------------------------------------------------------------------------------- */

samc_status samc__folder_open(const char *path, const char *annotations, const char *classes, samc__folder **out,
                              samc_error *error) {
    samc__folder *f = calloc(1, sizeof *f);
    *out = NULL;
    if (f == NULL) return fail(error, SAMC_OUT_OF_MEMORY, path, "no memory for its list");
    f->path = strdup(path);
    f->handle = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (annotations != NULL) f->annotations_path = strdup(annotations);
    else if (asprintf(&f->annotations_path, "%s/annotations.coco.json", path) < 0) f->annotations_path = NULL;
    samc_status status = SAMC_OK;
    if (f->path == NULL || f->annotations_path == NULL) status = fail(error, SAMC_OUT_OF_MEMORY, path, "no memory");
    else if (f->handle < 0) status = fail(error, SAMC_IO, path, strerror(errno));
    else if (!make_key(path, f->annotations_path, f->key))
        status = fail(error, SAMC_IO, path, "SHA-256 cannot be computed");
    else status = list(f, error);
    if (status == SAMC_OK) status = samc__coco_open(f->annotations_path, &f->annotations, &f->writable, error);
    if (status == SAMC_OK && classes != NULL) status = samc__coco_add_classes(f->annotations, classes, error);
    if (status == SAMC_OK) *out = f;
    else samc__folder_close(f);
    return status;
}

void samc__folder_close(samc__folder *f) {
    if (f == NULL) return;
    samc__coco_close(f->annotations);
    if (f->handle >= 0) close(f->handle);
    free(f->id);
    free(f->name);
    free(f->names);
    free(f->annotations_path);
    free(f->path);
    free(f);
}
