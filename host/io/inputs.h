/* The images of an archive run in a fixed order: files, folders, archives and lists become one sorted list of names. */
#ifndef SAMC_HOST_IO_INPUTS_H
#define SAMC_HOST_IO_INPUTS_H

#include <sys/types.h>

#include "runtime/samc.h"

/* What the bytes of an archive come from. */
typedef enum samc__origin { SAMC__FROM_FILE, SAMC__FROM_COMMAND, SAMC__FROM_STANDARD_INPUT } samc__origin;

/* One image; or, where members are not listed, one unit of work: a file, or a whole archive. Offsets point into the
 * list's text. `key` is the name that its results carry: a file named on the command line      its last component a
 * file in a folder                    its path below the folder a line of a list                      the path as
 * written there, without a leading / and without . and .. a member of an archive                <key of the
 * archive>/<path in the archive> `source` is where it came from, for messages and records: the path to open, or <path
 * of the archive>/<member>. */
typedef struct samc__input {
    size_t key, source;
    size_t reason;       /* why it cannot be read (a folder that cannot be opened, a damaged archive), or 0 */
    size_t target;       /* of a link in an archive: the name there of the file that it leads to; else 0 */
    int32_t tar;         /* index of its archive, of a unit that is one its own; -1 for a file */
    int32_t root;        /* index of the folder that it was found below */
    int64_t member;      /* number among the regular files of its archive */
    samc__origin origin; /* of a unit */
} samc__input;

/* A folder that inputs were found below, as it was then: where it is gone, or another one is in its place, nothing
 * below it says anything about an image. */
typedef struct samc__root {
    size_t path; /* offset */
    dev_t device;
    ino_t inode; /* 0: there was no such folder */
} samc__root;

typedef struct samc__inputs {
    char *text; /* all names, 0-terminated; offset 0 is "" */
    size_t used, room;
    samc__input *items;
    int64_t count, items_room;
    size_t *tars; /* paths of the archives, or their commands; offsets */
    int32_t tar_count, tars_room;
    samc__root *roots;
    int32_t root_count, roots_room;
    int64_t skipped;   /* files passed over because their names are not those of images */
    bool units;        /* archives are items themselves, and nobody has looked into them */
    uint8_t head[512]; /* [head_size], the beginning of the standard input, where that is an archive */
    size_t head_size;
} samc__inputs;

typedef struct samc__inputs_options {
    const char *const *globs; /* what names must match instead of an image's extension; ended by NULL */
    const char *exclude;      /* a folder that is not entered: the output. NULL: none */
    bool units, listed; /* archives are units of work, or their members always are; neither: as the arguments need it */
    const char *flat;   /* the one of the arguments, this very pointer, below which no folder is entered. NULL: none */
} samc__inputs_options;

/* Collects and sorts. `arguments` are files, folders, archives, "@list", "-" (a list, or an archive, on the standard
 * input) and "pipe:COMMAND", whose output is an archive; ranges in braces are many arguments, unless there is a file of
 * that name. The last two kinds of archives are units of work, and with them all others. What is named there and does
 * not exist is an error at once, and so is what cannot be listed (a folder, an archive), because nobody knows what it
 * holds, and what lies in the output's own state (SAMC_INVALID_ARGUMENT). What turns out to be no image becomes an item
 * with a reason. */
samc_status samc__inputs_collect(samc__inputs *inputs, const char *const *arguments, int count,
                                 const samc__inputs_options *options, samc_error *error);
/* Refuses two inputs whose results would get the same names, and says which. Gives a reason to images whose names are
 * too long for those of their results. `pictures`: each image's results are a folder too. */
samc_status samc__inputs_check_names(samc__inputs *inputs, bool pictures, samc_error *error);
/* The same where results have shorter names: `stem` says how much of a key is kept, of archives that are units too, or
 * only of images. */
samc_status samc__inputs_check_stems(const samc__inputs *inputs, size_t (*stem)(const char *name), bool archives,
                                     samc_error *error);
void samc__inputs_free(samc__inputs *inputs);
/* Copies text into the list's; returns its offset, 0 without memory or for "". */
size_t samc__inputs_keep(samc__inputs *inputs, const char *text);

/* Whether a file of an archive is taken for an image, by its path there; `globs` as above. */
bool samc__inputs_is_image(const char *const *globs, const char *key);
/* Whether a key is longer than a file system takes, with what results add to it. */
bool samc__key_is_too_long(const char *key);

/* Whether the folder that input `i` was found below is still the one that it was. */
bool samc__input_root_lives(const samc__inputs *inputs, int64_t i);

static inline const char *samc__input_key(const samc__inputs *inputs, int64_t i) {
    return inputs->text + inputs->items[i].key;
}
static inline const char *samc__input_source(const samc__inputs *inputs, int64_t i) {
    return inputs->text + inputs->items[i].source;
}
static inline const char *samc__input_reason(const samc__inputs *inputs, int64_t i) {
    return inputs->items[i].reason ? inputs->text + inputs->items[i].reason : NULL;
}

/* Lines of a list: separated by zero bytes if it holds any (find -print0), else by line feeds, with or without a
 * carriage return. A UTF-8 byte order mark before lines is passed over. Calls `line` for each that is not empty, with a
 * 0-terminated copy, until it returns other than SAMC_OK. */
samc_status samc__list_lines(const uint8_t *bytes, size_t size, samc_status (*line)(void *context, const char *text),
                             void *context, samc_error *error);

#endif
