/* One lock and one condition: pictures are few. */
#include "host/io/budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void samc__budget_create(samc__budget *m, int64_t limit) {
    *m = (samc__budget){.limit = limit};
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->freed, NULL);
}

void samc__budget_destroy(samc__budget *m) {
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->freed);
}

bool samc__budget_enter(samc__budget *m, bool alone) {
    pthread_mutex_lock(&m->lock);
    while (m->reserved && !alone && !m->closed) pthread_cond_wait(&m->freed, &m->lock);
    bool open = !m->closed;
    m->pictures += open;
    pthread_mutex_unlock(&m->lock);
    return open;
}

void samc__budget_leave(samc__budget *m) {
    pthread_mutex_lock(&m->lock);
    m->pictures--;
    pthread_mutex_unlock(&m->lock);
}

bool samc__budget_take(samc__budget *m, samc__held kind, int64_t bytes) {
    pthread_mutex_lock(&m->lock);
    /* Where none of its kind holds anything it passes: members wait for pictures to leave, but never pictures for
     * members, which only decoding sets free. */
    while (!m->closed && m->bytes[kind] > 0 && bytes > m->limit - m->bytes[0] - m->bytes[1])
        pthread_cond_wait(&m->freed, &m->lock);
    bool open = !m->closed;
    if (open) m->bytes[kind] += bytes;
    pthread_mutex_unlock(&m->lock);
    return open;
}

void samc__budget_change(samc__budget *m, samc__held kind, int64_t from, int64_t to) {
    pthread_mutex_lock(&m->lock);
    m->bytes[kind] += to - from;
    pthread_cond_broadcast(&m->freed);
    pthread_mutex_unlock(&m->lock);
}

bool samc__budget_reserve(samc__budget *m) {
    pthread_mutex_lock(&m->lock);
    m->reserved = true;
    bool alone = m->pictures == 0;
    pthread_mutex_unlock(&m->lock);
    return alone;
}

void samc__budget_release(samc__budget *m) {
    pthread_mutex_lock(&m->lock);
    m->reserved = false;
    pthread_cond_broadcast(&m->freed);
    pthread_mutex_unlock(&m->lock);
}

void samc__budget_close(samc__budget *m) {
    pthread_mutex_lock(&m->lock);
    m->closed = true;
    pthread_cond_broadcast(&m->freed);
    pthread_mutex_unlock(&m->lock);
}

/* ---- The default ----------------------------------------------------------------------------- */

/* The number in a file; `none` where there is no such file or number ("max"). */
static int64_t number_in(const char *path, int64_t none) {
    char text[64] = "", *end;
    FILE *file = fopen(path, "re");
    if (file == NULL) return none;
    bool read = fgets(text, sizeof text, file) != NULL;
    fclose(file);
    int64_t value = strtoll(text, &end, 10); /* version 1's "no limit" is near 2^63 */
    return read && end != text && value > 0 ? value : none;
}

/* The least of the limits of a control group and those above it. In a container the group's name may be that outside of
 * it, and only the last one, the mount itself, is there. */
static int64_t group_limit(const char *root, const char *mount, char *group, const char *file, int64_t least) {
    for (;;) {
        char *path = NULL;
        if (asprintf(&path, "%s%s%s/%s", root, mount, group, file) < 0) return least;
        int64_t limit = number_in(path, least);
        least = limit < least ? limit : least;
        free(path);
        char *slash = strrchr(group, '/');
        if (slash == NULL) return least;
        *slash = '\0';
    }
}

int64_t samc__budget_default(const char *root) {
    int64_t least = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    char *path = NULL, *line = NULL;
    size_t room = 0;
    if (least <= 0) least = (int64_t)4 << 30;
    FILE *groups = asprintf(&path, "%s/proc/self/cgroup", root) < 0 ? NULL : fopen(path, "re");
    while (groups != NULL && getline(&line, &room, groups) > 0) { /* "4:memory,cpu:/name", or "0::/name" of version 2 */
        char *kinds = strchr(line, ':'), *group = kinds ? strchr(kinds + 1, ':') : NULL;
        if (group == NULL) continue;
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (kinds[1] == '\0') least = group_limit(root, "/sys/fs/cgroup", group, "memory.max", least);
        for (char *rest = NULL, *kind = strtok_r(kinds + 1, ",", &rest); kind != NULL;
             kind = strtok_r(NULL, ",", &rest))
            if (strcmp(kind, "memory") == 0)
                least = group_limit(root, "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", least);
    }
    if (groups != NULL) fclose(groups);
    free(path);
    free(line);
    return least / 4;
}
