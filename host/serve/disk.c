/* Embeddings on disk: a file each, by the image's SHA-256 and by what the embedding depends on beside it (the model's
 * tensors, recipe, settings, arithmetic, samc's version). Written under another name and renamed, with a checksum over
 * all of it; the least recently used go. Several servers may share a folder, whatever their models are: nothing about
 * it is kept in memory. A file that is not as it should be is removed and counts as not there. */
#include "host/serve/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY = 32, NAME = KEY + 1 + (SAMC__ID - 1) + 4, LEVELS = 8, STALE_SECONDS = 3600 };

typedef struct head {
    char magic[8];
    uint32_t width, height;
    uint64_t values;       /* floats that follow */
    unsigned char sum[32]; /* SHA-256 of the name, the fields above, and the values */
} head;

static const char magic[8] = "samcemb1";

static samc_status fail(samc_error *error, const char *path, const char *what) {
    error->status = SAMC_IO;
    snprintf(error->message, sizeof error->message, "--cache-dir %s: %s", path, what);
    return SAMC_IO;
}

static bool hash_parts(unsigned char sum[32], int count, const void *const *part, const size_t *size) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    bool good = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1;
    for (int i = 0; i < count && good; i++) good = EVP_DigestUpdate(hash, part[i], size[i]) == 1;
    good = good && EVP_DigestFinal_ex(hash, sum, NULL) == 1;
    EVP_MD_CTX_free(hash);
    return good;
}

static bool checksum(const char *name, const head *h, const float *values, unsigned char sum[32]) {
    const void *part[] = {name, h, values};
    const size_t size[] = {strlen(name), offsetof(head, sum), (size_t)h->values * sizeof *values};
    return hash_parts(sum, 3, part, size);
}

/* What embeddings depend on beside the image. */
static samc_status make_key(const samc_model *model, const samc_model_info *info, char key[KEY + 1],
                            samc_error *error) {
    char tensors[65];
    unsigned char sum[32];
    const samc_status status = samc_model_hash(model, tensors, error);
    if (status != SAMC_OK) return status;
    const void *part[] = {tensors,       info->recipe_fields, info->encoder_fields,
                          info->changed, info->arithmetic,    samc_version()};
    size_t size[6];
    for (int i = 0; i < 6; i++) size[i] = strlen(part[i]) + 1;
    if (!hash_parts(sum, 6, part, size)) return fail(error, "", "SHA-256 cannot be computed");
    for (int i = 0; i < KEY / 2; i++) snprintf(key + 2 * i, 3, "%02x", sum[i]);
    return SAMC_OK;
}

samc_status samc__disk_open(samc__serve *serve, samc_error *error) {
    samc__disk *disk = &serve->disk;
    const char *path = serve->options.cache_dir;
    struct stat about;
    disk->folder = -1;
    if (path == NULL) return SAMC_OK;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return fail(error, path, strerror(errno));
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return fail(error, path, strerror(errno));
    samc_status status = SAMC_OK;
    if (fstat(folder, &about) != 0 || about.st_uid != geteuid() || (about.st_mode & 077) != 0)
        status = fail(error, path, "is to be a folder of this user alone (chmod 700)");
    else if (faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) != 0) status = fail(error, path, strerror(errno));
    else status = make_key(serve->options.model, &serve->info, disk->key, error);
    for (int i = 0, channels, side; samc_model_level(serve->options.model, i, NULL, &channels, &side) == SAMC_OK; i++) {
        if (i == LEVELS && status == SAMC_OK) status = fail(error, path, "this model has too many levels");
        if (i < LEVELS) disk->level[disk->levels++] = (size_t)channels * (size_t)side * (size_t)side;
    }
    for (int i = 0; i < disk->levels; i++) disk->values += disk->level[i];
    if (status == SAMC_OK) disk->folder = folder;
    else close(folder);
    return status;
}

void samc__disk_close(samc__serve *serve) {
    if (serve->disk.folder > 0) close(serve->disk.folder);
    serve->disk.folder = -1;
}

/* Ids are hexadecimal: nothing else becomes part of a name. */
static bool make_name(const samc__disk *disk, const char *id, char name[NAME + 1]) {
    if (disk->folder <= 0 || strlen(id) != SAMC__ID - 1 || strspn(id, "0123456789abcdef") != SAMC__ID - 1) return false;
    snprintf(name, NAME + 1, "%s-%s.emb", disk->key, id);
    return true;
}

bool samc__disk_has(samc__serve *serve, const char *id) {
    char name[NAME + 1];
    return make_name(&serve->disk, id, name) && faccessat(serve->disk.folder, name, R_OK, 0) == 0;
}

bool samc__disk_drop(samc__serve *serve, const char *id) {
    char name[NAME + 1];
    return make_name(&serve->disk, id, name) && unlinkat(serve->disk.folder, name, 0) == 0;
}

/* ---- Reading and writing --------------------------------------------------------------------- */

static bool read_all(int file, void *to, size_t size) {
    for (size_t at = 0; at < size;) {
        const ssize_t got = read(file, (char *)to + at, size - at);
        if (got == 0 || (got < 0 && errno != EINTR)) return false;
        if (got > 0) at += (size_t)got;
    }
    return true;
}

static bool write_all(int file, const void *from, size_t size) {
    for (size_t at = 0; at < size;) {
        const ssize_t written = write(file, (const char *)from + at, size - at);
        if (written < 0 && errno != EINTR) return false;
        if (written > 0) at += (size_t)written;
    }
    return true;
}

/* The values of a file, to be freed; NULL: not there, or *damaged. */
static float *read_file(const samc__disk *disk, const char *name, head *h, bool *damaged) {
    unsigned char sum[32];
    struct stat about;
    const int file = openat(disk->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    float *values = NULL;
    *damaged = file >= 0 || errno == ELOOP;
    if (file < 0) return NULL;
    if (fstat(file, &about) == 0 && S_ISREG(about.st_mode) &&
        about.st_size == (off_t)(sizeof *h + disk->values * sizeof *values) && read_all(file, h, sizeof *h) &&
        memcmp(h->magic, magic, sizeof magic) == 0 && h->values == disk->values && h->width - 1 < INT32_MAX &&
        h->height - 1 < INT32_MAX) {
        values = malloc(disk->values * sizeof *values);
        *damaged = values != NULL && !(read_all(file, values, disk->values * sizeof *values) &&
                                       checksum(name, h, values, sum) && memcmp(sum, h->sum, sizeof sum) == 0);
    }
    if (*damaged) {
        free(values);
        values = NULL;
    } else if (values != NULL) futimens(file, NULL); /* used now */
    close(file);
    return values;
}

samc_embedding *samc__disk_read(samc__serve *serve, samc_session *session, const char *id, int *width, int *height) {
    samc__disk *disk = &serve->disk;
    char name[NAME + 1];
    const float *level[LEVELS];
    head h;
    bool damaged;
    samc_embedding *embedding = NULL;
    if (!make_name(disk, id, name)) return NULL;
    float *values = read_file(disk, name, &h, &damaged);
    if (values != NULL) {
        level[0] = values;
        for (int i = 1; i < disk->levels; i++) level[i] = level[i - 1] + disk->level[i - 1];
        damaged = samc_set_levels(session, level, disk->levels, (int)h.width, (int)h.height) != SAMC_OK ||
                  samc_embedding_of(session, 0, &embedding) != SAMC_OK;
        *width = (int)h.width, *height = (int)h.height;
    }
    free(values);
    if (damaged) unlinkat(disk->folder, name, 0);
    samc__metrics_add(serve, damaged ? &serve->metrics.disk_damaged : &serve->metrics.disk_hits,
                      damaged || embedding != NULL);
    return embedding;
}

typedef struct entry {
    char name[NAME + 1];
    off_t size;
    struct timespec used;
} entry;

static int older_first(const void *left, const void *right) {
    const struct timespec *a = &((const entry *)left)->used, *b = &((const entry *)right)->used;
    if (a->tv_sec != b->tv_sec) return a->tv_sec < b->tv_sec ? -1 : 1;
    return (a->tv_nsec > b->tv_nsec) - (a->tv_nsec < b->tv_nsec);
}

/* Whether it is a file of ours: an embedding, or one that was never finished, which goes when it is old. */
static bool is_ours(int folder, const char *name, const struct stat *about) {
    const size_t length = strlen(name);
    if (!S_ISREG(about->st_mode)) return false;
    if (strncmp(name, "writing-", 8) == 0 && time(NULL) - about->st_mtime > STALE_SECONDS) unlinkat(folder, name, 0);
    return length == NAME && name[KEY] == '-' && strcmp(name + NAME - 4, ".emb") == 0;
}

/* Removes the least recently used until the rest fits, `more` bytes added. */
static void make_room(const samc__disk *disk, size_t most, size_t more) {
    const int own = openat(disk->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *all = own >= 0 ? fdopendir(own) : NULL;
    entry *list = NULL;
    size_t count = 0, room = 0, bytes = more;
    if (all == NULL && own >= 0) close(own);
    for (const struct dirent *d; all != NULL && (d = readdir(all)) != NULL;) {
        struct stat about;
        if (fstatat(own, d->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !is_ours(own, d->d_name, &about)) continue;
        if (count == room) {
            void *grown = realloc(list, (room = 2 * room + 64) * sizeof *list);
            if (grown == NULL) break;
            list = grown;
        }
        memcpy(list[count].name, d->d_name, sizeof list->name); /* it is as long as it has to be */
        list[count].size = about.st_size;
        list[count++].used = about.st_mtim;
        bytes += (size_t)about.st_size;
    }
    if (count > 0) qsort(list, count, sizeof *list, older_first);
    for (size_t i = 0; i < count && bytes > most; i++) {
        unlinkat(disk->folder, list[i].name, 0);
        bytes -= (size_t)list[i].size;
    }
    free(list);
    if (all != NULL) closedir(all);
}

/* Each under a name of its own, so that servers do not meet; whose rename comes last wins, with the same content. */
static bool write_file(const samc__disk *disk, const char *name, const head *h, const float *values) {
    enum { ATTEMPTS = 100 }; /* in containers all servers have the same number */
    char under[64];
    static atomic_uint number;
    int file = -1;
    for (int i = 0; file < 0 && i < ATTEMPTS; i++) {
        snprintf(under, sizeof under, "writing-%ld-%u", (long)getpid(), atomic_fetch_add(&number, 1));
        file = openat(disk->folder, under, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST) break;
    }
    if (file < 0) return false;
    bool good = write_all(file, h, sizeof *h) && write_all(file, values, (size_t)h->values * sizeof *values);
    good = close(file) == 0 && good && renameat(disk->folder, under, disk->folder, name) == 0;
    if (!good) unlinkat(disk->folder, under, 0);
    return good;
}

void samc__disk_write(samc__serve *serve, samc_session *session, const char *id, int width, int height) {
    samc__disk *disk = &serve->disk;
    char name[NAME + 1];
    const size_t bytes = sizeof(head) + disk->values * sizeof(float);
    if (!make_name(disk, id, name) || bytes > serve->options.cache_disk) return;
    float *values = malloc(disk->values * sizeof *values), *to = values;
    head h = {.width = (uint32_t)width, .height = (uint32_t)height, .values = disk->values};
    memcpy(h.magic, magic, sizeof magic);
    bool good = values != NULL;
    for (int i = 0; i < disk->levels && good; to += disk->level[i++])
        good = samc_get_level(session, 0, i, to) == SAMC_OK;
    good = good && checksum(name, &h, values, h.sum);
    if (good) {
        make_room(disk, serve->options.cache_disk, bytes);
        good = write_file(disk, name, &h, values);
    }
    free(values);
    samc__metrics_add(serve, good ? &serve->metrics.disk_writes : &serve->metrics.disk_failures, 1);
}
