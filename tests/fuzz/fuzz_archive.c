/* Fuzzes the reading of archives: the first byte says by which ending, the rest are the file's bytes. Lists it, follows
 * every link, reads every member, twice, and what was listed has to be what is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/io/members.h"
#include "host/io/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LARGEST = 1 << 20 };

static void follow_links(samc__members *m) {
    const char *reason;
    for (int64_t i = 0; i < m->count; i++) {
        if (m->items[i].kind != SAMC__TAR_HARD_LINK && m->items[i].kind != SAMC__TAR_SYMBOLIC_LINK) continue;
        int64_t file = samc__members_follow(m, i, &reason);
        if (file >= m->count || (file >= 0 && m->items[file].kind != SAMC__TAR_FILE) || (file < 0 && reason == NULL))
            abort();
    }
}

/* Returns how many members came before the end or the damage. */
static int64_t read_members(const char *path, const samc__members *m, bool zip) {
    samc__tar *tar;
    samc__tar_entry entry;
    samc_error error;
    int code;
    int64_t count = 0;
    if (samc__tar_open(path, &tar, &code, &error) != SAMC_OK) return 0;
    while (samc__tar_next(tar, &entry, &error) == SAMC_OK && entry.name != NULL) {
        uint8_t *bytes;
        size_t length;
        if (count >= m->count || strcmp(samc__member_name(m, count), entry.name) != 0) {
            if (!zip) abort();
            break; /* without its directory a zip is read on from where the data ends, and that may lie */
        }
        count++;
        if (entry.kind == SAMC__TAR_FILE && samc__tar_read(tar, LARGEST, &bytes, &length, &error) == SAMC_OK) {
            if (length > LARGEST) abort();
            free(bytes);
        } else if (samc__tar_broken(tar)) {
            break;
        }
    }
    samc__tar_close(tar);
    return count;
}

/* One file in memory for all inputs, under two names, since the ending decides. */
static int open_names(char names[2][64]) {
    char folder[] = "/tmp/samc-fuzz-XXXXXX", target[64];
    int file = memfd_create("archive", 0);
    if (file < 0 || mkdtemp(folder) == NULL) abort();
    snprintf(target, sizeof target, "/proc/%ld/fd/%d", (long)getpid(), file);
    for (int zip = 0; zip < 2; zip++) {
        snprintf(names[zip], sizeof names[zip], "%s/a.%s", folder, zip ? "zip" : "tar");
        if (symlink(target, names[zip]) != 0) abort();
    }
    return file;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static int file = -1;
    static char names[2][64];
    samc__members m;
    samc_error damage, error;
    if (size == 0) return 0;
    if (file < 0) file = open_names(names);
    bool zip = data[0] & 1;
    if (ftruncate(file, 0) != 0 || pwrite(file, data + 1, size - 1, 0) != (ssize_t)size - 1) abort();
    if (samc__members_list(names[zip], &m, &damage, &error) == SAMC_OK) {
        follow_links(&m);
        int64_t count = read_members(names[zip], &m, zip);
        if (read_members(names[zip], &m, zip) != count) abort();
    }
    samc__members_free(&m);
    return 0;
}
