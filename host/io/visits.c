/* Lines that are appended and synced one by one. A line that was not written whole is the last one, and is cut off; a
 * damaged one before others means that somebody else was at the file, and nothing is done to it. */
#include "host/io/visits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "host/io/crc.h"
#include "host/io/file.h"
#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

static const char magic[] = "samc volume 1 ";
enum { SUM = 9 /* " " and eight digits */ };
#define MOST_JOURNAL ((size_t)1 << 32)

static samc_status reserve(samc__visits *v, size_t more, samc_error *error) {
    if (v->room - v->size >= more) return SAMC_OK;
    size_t room = 2 * v->room + more;
    char *grown = realloc(v->text, room);
    if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for a line", v->path);
    v->text = grown;
    v->room = room;
    return SAMC_OK;
}

static unsigned sum_of(const char *line, size_t length) {
    uint32_t table[256];
    samc__crc_table(table);
    return samc__crc(table, line, length);
}

/* The line that stands in `text`, with its sum, to the end of the file. */
static samc_status write_line(samc__visits *v, samc_error *error) {
    SAMC__TRY(reserve(v, SUM + 2, error));
    v->size += (size_t)sprintf(v->text + v->size, " %08x\n", sum_of(v->text, v->size));
    for (size_t at = 0; at < v->size;) {
        ssize_t written = write(v->file, v->text + at, v->size - at);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return samc__fail(error, SAMC_IO, "%s: cannot write: %s", v->path, strerror(errno));
        at += (size_t)written;
    }
    v->size = 0;
    if (fdatasync(v->file) != 0 && errno != EINVAL)
        return samc__fail(error, SAMC_IO, "%s: cannot write: %s", v->path, strerror(errno));
    return SAMC_OK;
}

/* Whether a line without its end is whole; its sum is cut off. */
static bool is_whole(char *line, size_t length) {
    char sum[SUM + 1];
    if (length < SUM) return false;
    snprintf(sum, sizeof sum, " %08x", sum_of(line, length - SUM));
    if (memcmp(sum, line + length - SUM, SUM) != 0) return false;
    line[length - SUM] = '\0';
    return true;
}

/* Looks at every line of what is there; *good is where the last whole one ends, 0: nothing was begun. */
static samc_status scan(samc__visits *v, const char *identity, size_t *good, samc_error *error) {
    size_t at = 0, head = sizeof magic - 1;
    *good = 0;
    for (int64_t line = 1; at < v->size; line++) {
        char *begin = v->text + at, *end = memchr(begin, '\n', v->size - at);
        bool whole = end != NULL && is_whole(begin, (size_t)(end - begin));
        if (line == 1 && memcmp(begin, magic, v->size < head ? v->size : head) != 0)
            return samc__fail(error, SAMC_MISMATCH, "%s: is there, and is no journal of a volume", v->path);
        if (!whole && (end == NULL || end + 1 == v->text + v->size)) break; /* it was being written */
        if (!whole)
            return samc__fail(error, SAMC_FORMAT, "%s: line %" PRId64 " is damaged; remove it to begin anew", v->path,
                              line);
        if (line == 1 && strcmp(begin + head, identity) != 0)
            return samc__fail(error, SAMC_MISMATCH,
                              "%s: the run that is to go on had another volume, model, prompts or options", v->path);
        at = *good = (size_t)(end + 1 - v->text);
        if (line == 1) v->at = at;
    }
    return SAMC_OK;
}

samc_status samc__visits_open(samc__visits *v, const char *path, bool resume, const char *identity, samc_error *error) {
    size_t good = 0;
    *v = (samc__visits){.path = path, .file = -1};
    if (path == NULL) return SAMC_OK;
    v->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_APPEND, 0666);
    if (v->file < 0) return samc__fail(error, SAMC_IO, "%s: cannot open: %s", path, strerror(errno));
    if (flock(v->file, LOCK_EX | LOCK_NB) != 0)
        return samc__fail(error, SAMC_MISMATCH, "%s: another run is at work on it", path);
    uint8_t *bytes = NULL;
    SAMC__TRY(samc__file_read_open(v->file, path, MOST_JOURNAL, &bytes, &v->size, error));
    v->text = (char *)bytes;
    v->room = v->size;
    if (v->size > 0 && !resume)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: a run that did not come to its end is there; go on with it "
                          "(--resume), or remove it",
                          path);
    SAMC__TRY(scan(v, identity, &good, error));
    if (ftruncate(v->file, (off_t)good) != 0)
        return samc__fail(error, SAMC_IO, "%s: cannot write: %s", path, strerror(errno));
    v->size = good;
    if (good > 0) return SAMC_OK;
    size_t length = strlen(identity);
    SAMC__TRY(reserve(v, sizeof magic + length, error));
    memcpy(v->text, magic, sizeof magic - 1);
    memcpy(v->text + sizeof magic - 1, identity, length);
    v->size = sizeof magic - 1 + length;
    return write_line(v, error);
}

/* The next word of the line that is replayed; NULL at its end. Words are ended by a zero byte where they stand. */
static char *word(samc__visits *v) {
    char *begin = v->text + v->at;
    if (*begin == '\0') return NULL;
    size_t length = strcspn(begin, " ");
    v->at += length + (begin[length] != '\0');
    begin[length] = '\0';
    return begin;
}

bool samc__visits_replay(samc__visits *v) {
    if (v->file < 0 || v->at >= v->size) {
        v->size = v->at = 0;
        v->masks = 0;
        return false;
    }
    v->masks = 0;
    word(v); /* its number */
    char *count = word(v);
    if (count != NULL) v->masks = atoi(count);
    return true;
}

samc_status samc__visits_mask(samc__visits *v, int width, int height, samc__visited *visited, bool *there,
                              samc_error *error) {
    char *words[4];
    *there = v->masks-- > 0;
    if (!*there) {
        v->at += strlen(v->text + v->at); /* 0: all words were taken */
        v->at += 1 + SUM;                 /* the zero byte took the place of the sum's blank, and a line feed follows */
        v->number++;
        return SAMC_OK;
    }
    for (int i = 0; i < 4; i++)
        if ((words[i] = word(v)) == NULL)
            return samc__fail(error, SAMC_FORMAT, "%s: visit %" PRId64 " is damaged; remove it to begin anew", v->path,
                              v->number);
    *visited = (samc__visited){.object = atoi(words[0]),
                               .slice = atoi(words[1]),
                               .iou = samc__bits_to_float((uint32_t)strtoul(words[2], NULL, 16)),
                               .mask.size = sizeof visited->mask};
    return samc_rle_from_string(words[3], width, height, &visited->mask, error);
}

samc_status samc__visits_add(samc__visits *v, int object, int slice, const samc_rle *mask, float iou,
                             samc_error *error) {
    enum { NUMBERS = 64 };
    char *text;
    if (v->file < 0) return SAMC_OK;
    SAMC__TRY(samc_rle_to_string(mask, &text, error));
    size_t length = strlen(text);
    samc_status status = reserve(v, length + NUMBERS, error);
    if (status == SAMC_OK)
        v->size += (size_t)sprintf(v->text + v->size, " %d %d %08" PRIx32 " %s", object, slice,
                                   samc__float_to_bits(iou), text);
    if (status == SAMC_OK) v->masks++;
    samc_io_free(text);
    return status;
}

samc_status samc__visits_end(samc__visits *v, samc_error *error) {
    enum { HEAD = 48 };
    if (v->file < 0) return SAMC_OK;
    char head[HEAD];
    size_t length = (size_t)snprintf(head, sizeof head, "%" PRId64 " %d", v->number, v->masks);
    SAMC__TRY(reserve(v, length, error));
    memmove(v->text + length, v->text, v->size);
    memcpy(v->text, head, length);
    v->size += length;
    v->number++;
    v->masks = 0;
    return write_line(v, error);
}

void samc__visits_close(samc__visits *v) {
    if (v->file >= 0) close(v->file);
    free(v->text);
    *v = (samc__visits){.file = -1};
}
