/* The members of one archive, listed, and what the links among them lead to. */
#ifndef SAMC_HOST_IO_MEMBERS_H
#define SAMC_HOST_IO_MEMBERS_H

#include "host/io/tar.h"

typedef struct samc__member {
    size_t name, link; /* as stored in the archive; offsets into the list's text, 0: "" */
    samc__tar_kind kind;
    int64_t number; /* among the regular files; of others that of the file before, -1 before the first */
} samc__member;

typedef struct samc__members {
    char *text; /* 0-terminated names; offset 0 is "" */
    size_t used, room;
    samc__member *items;
    int64_t count, items_room;
    struct samc__place *index; /* names without . and .., sorted; made when the first link is resolved */
    char *clean;               /* their text */
    int64_t index_count, lookups;
} samc__members;

/* Lists an archive. SAMC_OK also where it is damaged, with the reason in *damage and what stands before the damage in
 * the list. Any other status: it cannot be listed. */
samc_status samc__members_list(const char *path, samc__members *members, samc_error *damage, samc_error *error);
void samc__members_free(samc__members *members);

/* The regular file that item `i`, a link, leads to, over other links too. A hard link's text is a path in the archive,
 * a symbolic link's starts at its own folder. -1 where it leaves the archive, leads in a circle or nowhere: *reason
 * says so. -2 without memory. */
int64_t samc__members_follow(samc__members *members, int64_t i, const char **reason);

static inline const char *samc__member_name(const samc__members *m, int64_t i) { return m->text + m->items[i].name; }

#endif
