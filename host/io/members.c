/* Listing an archive. Links are resolved as a file system would once the archive is unpacked into an empty folder, over
 * the names in the archive alone: what leads out of that folder leads nowhere. */
#include "host/io/members.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/key.h"
#include "runtime/base/status.h"

/* Linux's own limits, and a bound for archives that are made to keep one busy: a million links five folders deep take a
 * tenth of it. */
enum { MOST_HOPS = 40, MOST_PATH = 4096, MOST_LOOKUPS = 100000000 };

/* A name in the index. */
typedef struct samc__place {
    size_t name; /* in members->clean */
    int64_t item;
} samc__place;

/* ---- The list -------------------------------------------------------------------------------- */

/* Copies text into the pool; returns its offset, 0 for "" and, with *good false, without memory. */
static size_t keep(samc__members *m, const char *text, bool *good) {
    size_t length = strlen(text) + 1;
    if (length == 1) return 0;
    if (m->room - m->used < length) {
        size_t room = (m->room + length) * 2;
        char *grown = realloc(m->text, room);
        if (grown == NULL) {
            *good = false;
            return 0;
        }
        m->text = grown;
        m->room = room;
    }
    memcpy(m->text + m->used, text, length);
    m->used += length;
    return m->used - length;
}

static bool add(samc__members *m, const samc__tar_entry *entry, int64_t number) {
    if (m->count == m->items_room) {
        int64_t room = m->items_room ? 2 * m->items_room : 256;
        samc__member *grown = realloc(m->items, (size_t)room * sizeof *grown);
        if (grown == NULL) return false;
        m->items = grown;
        m->items_room = room;
    }
    bool good = true;
    m->items[m->count] = (samc__member){keep(m, entry->name, &good), keep(m, entry->link, &good), entry->kind, number};
    m->count++;
    return good;
}

samc_status samc__members_list(const char *path, samc__members *m, samc_error *damage, samc_error *error) {
    samc__tar *tar = NULL;
    samc__tar_entry entry;
    int code;
    *m = (samc__members){.text = calloc(1, 4096), .used = 1, .room = 4096};
    *damage = (samc_error){0};
    bool good = m->text != NULL;
    samc_status status = good ? samc__tar_open(path, &tar, &code, damage) : SAMC_OK;
    for (int64_t number = -1; good && status == SAMC_OK;) {
        status = samc__tar_next(tar, &entry, damage);
        code = samc__tar_code(tar);
        if (status != SAMC_OK || entry.name == NULL) break;
        good = add(m, &entry, number += entry.kind == SAMC__TAR_FILE);
    }
    samc__tar_close(tar);
    if (!good || status == SAMC_OUT_OF_MEMORY)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its list", path);
    if (status == SAMC_OK || code == 0) return SAMC_OK;
    *error = *damage;
    return status;
}

void samc__members_free(samc__members *m) {
    free(m->text);
    free(m->items);
    free(m->index);
    free(m->clean);
    *m = (samc__members){0};
}

/* ---- Links ----------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b, void *context) {
    const samc__place *x = a, *y = b;
    int order = strcmp((char *)context + x->name, (char *)context + y->name);
    return order ? order : (x->item > y->item) - (x->item < y->item);
}

static bool make_index(samc__members *m) {
    if (m->index != NULL) return true;
    size_t used = 0;
    m->clean = malloc(m->used + (size_t)m->count);
    m->index = malloc(((size_t)m->count + 1) * sizeof *m->index);
    if (m->clean == NULL || m->index == NULL) return false;
    for (int64_t i = 0; i < m->count; i++) {
        if (!samc__key_of_path(samc__member_name(m, i), m->clean + used))
            continue; /* leads out of the archive: nothing leads to it */
        m->index[m->index_count++] = (samc__place){used, i};
        used += strlen(m->clean + used) + 1;
    }
    if (m->index_count > 0) qsort_r(m->index, (size_t)m->index_count, sizeof *m->index, by_name, m->clean);
    return true;
}

/* The last member whose name is the first `length` characters of `path`, as unpacking would leave it; -1 where there is
 * none. */
static int64_t find(const samc__members *m, const char *path, size_t length) {
    int64_t low = 0, high = m->index_count; /* the first place behind all that are not greater */
    while (low < high) {
        int64_t middle = (low + high) / 2;
        const char *name = m->clean + m->index[middle].name;
        int order = strncmp(name, path, length);
        if (order == 0 && name[length] != '\0') order = 1;
        if (order <= 0) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return -1;
    const samc__place *place = &m->index[low - 1];
    const char *name = m->clean + place->name;
    return strlen(name) == length && memcmp(name, path, length) == 0 ? place->item : -1;
}

/* Appends `path` to the clean path `to`, component by component; false where it leaves the archive. */
static bool append(char *to, const char *path) {
    if (*path == '/') return false;
    size_t used = strlen(to);
    while (*path != '\0') {
        size_t n = strcspn(path, "/");
        if (n == 2 && memcmp(path, "..", 2) == 0) {
            if (used == 0) return false;
            while (used > 0 && to[used - 1] != '/') used--;
            if (used > 0) used--;
        } else if (n > 0 && !(n == 1 && *path == '.')) {
            if (used > 0) to[used++] = '/';
            memcpy(to + used, path, n);
            used += n;
        }
        to[used] = '\0';
        path += n;
        while (*path == '/') path++;
    }
    return true;
}

/* Puts what a link leads to in place of the first `length` characters of `path`, which are its name; there is room for
 * both. */
static bool replace(const samc__members *m, const samc__member *link, char *path, size_t length, char *scratch) {
    const char *target = m->text + link->link;
    strcpy(scratch, path + length); /* "", or "/" and the rest */
    if (link->kind == SAMC__TAR_HARD_LINK) length = 0;
    while (length > 0 && path[length - 1] != '/') length--; /* a symbolic link starts at its own folder */
    path[length > 0 ? length - 1 : 0] = '\0';
    /* GNU tar takes a hard link's leading / away as it does that of names */
    while (link->kind == SAMC__TAR_HARD_LINK && *target == '/') target++;
    return append(path, target) && append(path, scratch + (*scratch == '/'));
}

int64_t samc__members_follow(samc__members *m, int64_t i, const char **reason) {
    enum { ROOM = MOST_PATH + 1 };
    char *path = malloc(2 * ROOM), *scratch = path ? path + ROOM : NULL;
    int64_t found = path && make_index(m) ? i : -2;
    *reason = "out of memory";
    if (found >= 0 && strlen(samc__member_name(m, i)) > MOST_PATH) {
        *reason = "which is too long a way";
        found = -1;
    }
    for (int hops = 0; found >= 0; hops++) {
        const samc__member *link = &m->items[found];
        size_t length = hops == 0 ? 0 : strlen(path);
        if (hops == 0) {
            samc__key_of_path(samc__member_name(m, i), path);
            length = strlen(path);
        } else { /* the first link on the way, from the front, or the file at the end */
            bool met = false;
            for (length = strcspn(path, "/"), found = -1; !met; length += 1 + strcspn(path + length + 1, "/")) {
                found = ++m->lookups <= MOST_LOOKUPS ? find(m, path, length) : -1;
                met = found >= 0 &&
                      (m->items[found].kind == SAMC__TAR_SYMBOLIC_LINK || m->items[found].kind == SAMC__TAR_HARD_LINK);
                if (met || path[length] == '\0') break;
            }
            *reason = m->lookups <= MOST_LOOKUPS ? "which the archive does not hold"
                                                 : "and its links are too many to be followed";
            if (found < 0) break;
            link = &m->items[found];
            if (link->kind == SAMC__TAR_FILE) break;
            *reason = "which is no file";
            if (!met) found = -1;
            if (!met) break;
        }
        bool fits = strlen(path) + strlen(m->text + link->link) + 2 <= ROOM;
        *reason = hops == MOST_HOPS ? "over too many other links"
                  : !fits           ? "which is too long a way"
                                    : "which is outside the archive";
        if (hops == MOST_HOPS || !fits || !replace(m, link, path, length, scratch)) found = -1;
    }
    free(path);
    return found;
}
