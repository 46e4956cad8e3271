/* Finding the files of a series and mapping them. */
#include "host/io/dicom_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/file.h"
#include "host/io/image.h"
#include "host/io/tar.h"
#include "runtime/base/spool.h"
#include "runtime/base/status.h"

enum {
    MOST_FILES = 32767, /* slices of a volume */
    MOST_DEPTH = 16,    /* of folders */
    LOOKED_AT = 16,     /* files before a folder is none of DICOM */
    MOST_SPOOL_GB = 64
};

static samc_status no_memory(const char *path, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
}

static samc_status add(samc__dicom_files *f, const char *folder, const char *name, const samc__dicom_file *file,
                       samc_error *error) {
    if (f->count == MOST_FILES)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %d DICOM files", folder, MOST_FILES);
    if (f->count == f->room) {
        int room = f->room == 0 ? 64 : 2 * f->room;
        samc__dicom_file *grown = realloc(f->items, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(folder, error);
        f->items = grown;
        f->room = room;
    }
    samc__dicom_file *to = &f->items[f->count];
    *to = *file;
    to->name = strdup(name);
    if (to->name == NULL) return no_memory(folder, error);
    f->count++;
    return SAMC_OK;
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* Maps a file if it is DICOM. `folder`: it is one of many, and may be something else. */
static samc_status map_file(samc__dicom_files *f, const char *path, bool folder, samc_error *error) {
    struct stat information;
    int handle, code;
    uint8_t head[132];
    SAMC__TRY(samc__file_open(path, &handle, &information, &code, error));
    const ssize_t got = pread(handle, head, sizeof head, 0);
    samc__dicom_file file = {.size = (size_t)information.st_size, .owned = true};
    if (got <= 0 || !samc__dicom_is(head, (size_t)got)) {
        close(handle);
        return folder ? SAMC_OK : samc__fail(error, SAMC_FORMAT, "%s: not DICOM", path);
    }
    void *map = mmap(NULL, file.size, PROT_READ, MAP_PRIVATE, handle, 0);
    close(handle);
    if (map == MAP_FAILED) return samc__fail(error, SAMC_IO, "%s: cannot be mapped: %s", path, strerror(errno));
    file.bytes = map;
    samc_status status = add(f, path, path, &file, error);
    if (status != SAMC_OK) munmap(map, file.size);
    return status;
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }
static int is_shown(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* A folder that is being read, within those above it. */
typedef struct level {
    const struct level *above;
    dev_t device;
    ino_t inode;
    int depth;
} level;

static level level_of(const struct stat *folder, const level *above) {
    return (level){above, folder->st_dev, folder->st_ino, above == NULL ? 0 : above->depth + 1};
}

/* Whether to go into a folder: not into one that a link leads back to. */
static bool goes_on(const struct stat *folder, const level *above) {
    if (!S_ISDIR(folder->st_mode) || above->depth >= MOST_DEPTH) return false;
    for (; above != NULL; above = above->above)
        if (above->device == folder->st_dev && above->inode == folder->st_ino) return false;
    return true;
}

static samc_status map_folder(samc__dicom_files *f, const char *path, const level *at, samc_error *error) {
    struct dirent **entries;
    const int count = scandir(path, &entries, is_shown, by_name);
    if (count < 0) return samc__fail(error, SAMC_IO, "%s: cannot be read: %s", path, strerror(errno));
    samc_status status = SAMC_OK;
    for (int i = 0; i < count; i++) {
        char *name = NULL;
        struct stat information;
        if (status == SAMC_OK && asprintf(&name, "%s/%s", path, entries[i]->d_name) < 0) {
            name = NULL;
            status = no_memory(path, error);
        }
        if (status == SAMC_OK && stat(name, &information) == 0) {
            if (S_ISREG(information.st_mode)) status = map_file(f, name, true, error);
            else if (goes_on(&information, at)) {
                const level below = level_of(&information, at);
                status = map_folder(f, name, &below, error);
            }
        }
        free(name);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* ---- Archives -------------------------------------------------------------------------------- */

static samc_status spool(samc__dicom_files *f, const char *path, const uint8_t *bytes, size_t size, samc_error *error) {
    if (f->spool == 0) {
        int handle = samc__unnamed_file(SAMC__SPOOL_FOLDER);
        if (handle < 0)
            return samc__fail(error, SAMC_IO, "%s: no temporary file in /var/tmp: %s", path, strerror(errno));
        f->spool = handle + 1;
    }
    if (f->spooled + size > (size_t)MOST_SPOOL_GB << 30)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: unpacked it has more than %d GB", path, MOST_SPOOL_GB);
    for (size_t done = 0; done < size;) {
        const ssize_t put = pwrite(f->spool - 1, bytes + done, size - done, (off_t)(f->spooled + done));
        if (put < 0 && errno != EINTR)
            return samc__fail(error, SAMC_IO, "%s: cannot be unpacked into /var/tmp: %s", path, strerror(errno));
        if (put > 0) done += (size_t)put;
    }
    f->spooled += size;
    return SAMC_OK;
}

static samc_status unpack(samc__dicom_files *f, samc__tar *tar, const char *path, samc_error *error) {
    samc__tar_entry entry;
    while (true) {
        SAMC__TRY(samc__tar_next(tar, &entry, error));
        if (entry.name == NULL) return SAMC_OK;
        if (entry.kind != SAMC__TAR_FILE) continue;
        char *name;
        uint8_t *bytes;
        size_t size;
        if (asprintf(&name, "%s:%s", path, entry.name) < 0) return no_memory(path, error);
        samc_status status = samc__tar_read(tar, SAMC__IMAGE_MAX_FILE, &bytes, &size, error);
        if (status == SAMC_OK) {
            const samc__dicom_file file = {.size = size, .at = f->spooled};
            const bool wanted = samc__dicom_is(bytes, size);
            if (wanted) status = spool(f, path, bytes, size, error);
            if (wanted && status == SAMC_OK) status = add(f, path, name, &file, error);
            free(bytes);
        }
        free(name);
        SAMC__TRY(status);
    }
}

static samc_status map_archive(samc__dicom_files *f, const char *path, samc_error *error) {
    samc__tar *tar;
    int code;
    SAMC__TRY(samc__tar_open(path, &tar, &code, error));
    samc_status status = unpack(f, tar, path, error);
    samc__tar_close(tar);
    if (status != SAMC_OK || f->count == 0) return status;
    f->map = mmap(NULL, f->spooled, PROT_READ, MAP_PRIVATE, f->spool - 1, 0);
    if (f->map == MAP_FAILED) {
        f->map = NULL;
        return samc__fail(error, SAMC_IO, "%s: cannot be mapped: %s", path, strerror(errno));
    }
    for (int i = 0; i < f->count; i++) f->items[i].bytes = (const uint8_t *)f->map + f->items[i].at;
    return SAMC_OK;
}

/* ---- Both ------------------------------------------------------------------------------------ */

samc_status samc__dicom_files_open(const char *path, samc__dicom_files *f, samc_error *error) {
    struct stat information;
    *f = (samc__dicom_files){0};
    if (stat(path, &information) != 0) return samc__fail(error, SAMC_IO, "%s: %s", path, strerror(errno));
    const bool folder = S_ISDIR(information.st_mode);
    const level top = level_of(&information, NULL);
    SAMC__TRY(folder               ? map_folder(f, path, &top, error)
              : samc__tar_is(path) ? map_archive(f, path, error)
                                   : map_file(f, path, false, error));
    return f->count > 0 ? SAMC_OK : samc__fail(error, SAMC_FORMAT, "%s: no DICOM file in it", path);
}

void samc__dicom_files_close(samc__dicom_files *f) {
    for (int i = 0; i < f->count; i++) {
        if (f->items[i].owned) munmap((void *)(uintptr_t)f->items[i].bytes, f->items[i].size);
        free(f->items[i].name);
    }
    if (f->map != NULL) munmap(f->map, f->spooled);
    if (f->spool > 0) close(f->spool - 1);
    free(f->items);
    *f = (samc__dicom_files){0};
}

/* 1, or 0, of the first of the files below a folder that has pixels by its looks; -1: none of `left` has told. */
static int look(const char *path, const level *at, int *left) {
    struct dirent **entries;
    const int count = scandir(path, &entries, is_shown, by_name);
    int found = -1;
    for (int i = 0; i < count; i++) {
        char *name = NULL;
        struct stat information;
        uint8_t head[132];
        if (found < 0 && *left > 0 && asprintf(&name, "%s/%s", path, entries[i]->d_name) >= 0 &&
            stat(name, &information) == 0) {
            if (goes_on(&information, at)) {
                const level below = level_of(&information, at);
                found = look(name, &below, left);
            }
            if (S_ISREG(information.st_mode)) {
                const int handle = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
                const ssize_t got = handle < 0 ? -1 : pread(handle, head, sizeof head, 0);
                if (handle >= 0) close(handle);
                --*left;
                if (got > 0 && samc__dicom_is(head, (size_t)got)) found = 1;
            }
        }
        free(name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return found;
}

bool samc__dicom_files_are(const char *path, bool folder) {
    int left = LOOKED_AT, code;
    samc__tar *tar;
    samc__tar_entry entry;
    if (folder) {
        struct stat information;
        if (stat(path, &information) != 0) return false;
        const level top = level_of(&information, NULL);
        return look(path, &top, &left) == 1;
    }
    if (!samc__tar_is(path) || samc__tar_open(path, &tar, &code, NULL) != SAMC_OK) return false;
    bool found = false;
    while (!found && left > 0 && samc__tar_next(tar, &entry, NULL) == SAMC_OK && entry.name != NULL) {
        uint8_t *bytes;
        size_t size;
        if (entry.kind != SAMC__TAR_FILE) continue;
        left--;
        if (samc__tar_read(tar, SAMC__IMAGE_MAX_FILE, &bytes, &size, NULL) != SAMC_OK) break;
        found = samc__dicom_is(bytes, size);
        free(bytes);
    }
    samc__tar_close(tar);
    return found;
}
