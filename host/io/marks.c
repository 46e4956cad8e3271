/* The marks: a line each, "<number> <mark or /> <kind> <size> <seconds> <nanoseconds> <text>", and an empty one, behind
 * which marks of before may stand. Bytes of the text that are blanks, controls, % or beyond ASCII stand as %XX. */
#include "host/io/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

static const char name[] = "marks";
enum { LINE = 200 };

samc_status samc__marks_open(samc__marks *marks, samc__store *store, samc_error *error) {
    return samc__stream_open(&marks->stream, store, false, name, 0, error);
}

void samc__marks_close(samc__marks *marks) {
    samc__stream_close(&marks->stream);
    free(marks->text);
    *marks = (samc__marks){.stream.handle = -1};
}

void samc__marks_remove(samc__store *store) { samc__store_remove(store, false, name); }

static bool is_plain(unsigned char c) { return c > ' ' && c < 0x7f && c != '%'; }

static samc_status add(samc__marks *marks, int64_t number, const char *text, const char *mark,
                       const struct stat *result, samc_error *error) {
    size_t most = LINE + 3 * strlen(text);
    if (marks->room - marks->used < most) {
        size_t room = 2 * marks->room + 16 * LINE + most;
        char *grown = realloc(marks->text, room);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the names of results");
        marks->text = grown;
        marks->room = room;
    }
    char *to = marks->text + marks->used;
    to += snprintf(to, LINE, "%lld %.19s %o %lld %lld %ld ", (long long)number, *mark ? mark : "/",
                   (unsigned)result->st_mode & S_IFMT, (long long)result->st_size, (long long)result->st_mtim.tv_sec,
                   result->st_mtim.tv_nsec);
    for (; *text != '\0'; text++)
        if (is_plain((unsigned char)*text)) *to++ = *text;
        else to += sprintf(to, "%%%02X", (unsigned char)*text);
    *to++ = '\n';
    marks->used = (size_t)(to - marks->text);
    return SAMC_OK;
}

samc_status samc__marks_add(samc__marks *marks, const samc__store *store, int64_t number, const char *key,
                            const char *mark, const char *scratch, samc_error *error) {
    struct stat result;
    if (fstatat(store->tmp, scratch, &result, AT_SYMLINK_NOFOLLOW) != 0)
        return samc__fail(error, SAMC_IO, "%s/%s: cannot open: %s", store->scratch, scratch, strerror(errno));
    return add(marks, number, key, mark, &result, error);
}

samc_status samc__marks_add_failure(samc__marks *marks, int64_t number, const char *source, samc_error *error) {
    return add(marks, number, source, "-", &(struct stat){0}, error);
}

samc_status samc__marks_write(samc__marks *marks, const samc__store *store, samc_error *error) {
    if (marks->used == 0) return SAMC_OK;
    marks->text[marks->used++] = '\n'; /* there is room: a line is shorter than LINE */
    samc_status status = samc__stream_rewrite(&marks->stream, store, marks->text, marks->used, error);
    marks->used = 0;
    return status;
}

/* The text behind a line's numbers, up to its line feed, in place; false where it is not one. */
static bool decode(char *text) {
    char *to = text;
    for (; is_plain((unsigned char)*text) || *text == '%'; text++) {
        unsigned value = (unsigned char)*text;
        if (*text == '%') {
            if (strspn(text + 1, "0123456789ABCDEF") < 2 || sscanf(text + 1, "%2X", &value) != 1 || value == 0)
                return false;
            text += 2;
        }
        *to++ = (char)value;
    }
    bool whole = *text == '\n' && text[1] == '\0';
    *to = '\0';
    return whole;
}

/* Leaves the text in the line. */
static bool parse(char *line, samc__mark *mark) {
    long long number, size, seconds;
    long nanoseconds;
    unsigned kind;
    int at = 0;
    if (sscanf(line, "%lld %19s %o %lld %lld %ld %n", &number, mark->mark, &kind, &size, &seconds, &nanoseconds, &at) !=
            6 ||
        at == 0 || line[at] == '\0' || !decode(line + at))
        return false;
    if (strcmp(mark->mark, "/") == 0) mark->mark[0] = '\0';
    mark->number = number;
    mark->text = line + at;
    mark->result = (struct stat){.st_mode = kind, .st_size = size, .st_mtim = {seconds, nanoseconds}};
    return true;
}

static bool keep(samc__mark **marks, int *count, int *room, samc__mark mark) {
    if (*count == *room) {
        int wanted = *room ? 2 * *room : 64;
        samc__mark *grown = realloc(*marks, (size_t)wanted * sizeof *grown);
        if (grown == NULL) return false;
        *marks = grown;
        *room = wanted;
    }
    mark.text = strdup(mark.text);
    (*marks)[*count] = mark;
    *count += mark.text != NULL;
    return mark.text != NULL;
}

samc_status samc__marks_read(const samc__store *store, int64_t last, samc__mark **marks, int *count,
                             samc_error *error) {
    struct stat information;
    FILE *file;
    char *line = NULL;
    size_t length = 0;
    int room = 0;
    *marks = NULL;
    *count = 0;
    if (!samc__store_stat(store, false, name, &information)) return SAMC_OK;
    SAMC__TRY(samc__store_read(store, false, name, &file, error));
    bool memory = true;
    while (memory && getline(&line, &length, file) > 0) {
        samc__mark mark;
        if (!parse(line, &mark))
            break; /* the end; or they are not whole, were not synced, and nothing got its name by them */
        if (mark.number > last) memory = keep(marks, count, &room, mark);
    }
    free(line);
    fclose(file);
    if (memory) return SAMC_OK;
    samc__marks_free(*marks, *count);
    *marks = NULL;
    *count = 0;
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", store->state);
}

void samc__marks_free(samc__mark *marks, int count) {
    for (int i = 0; i < count; i++) free(marks[i].text);
    free(marks);
}
