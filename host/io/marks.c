/* The marks: a line each, "<number> <input> <suffix or /> <kind> <size> <seconds> <nanoseconds>", and an empty one,
 * behind which marks of before may stand. */
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

static samc_status add(samc__marks *marks, int64_t number, int64_t input, const char *suffix, const struct stat *result,
                       samc_error *error) {
    if (marks->room - marks->used < LINE) {
        size_t room = 2 * marks->room + 16 * LINE;
        char *grown = realloc(marks->text, room);
        if (grown == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the names of results");
        marks->text = grown;
        marks->room = room;
    }
    marks->used +=
        (size_t)snprintf(marks->text + marks->used, LINE, "%lld %lld %.19s %o %lld %lld %ld\n", (long long)number,
                         (long long)input, *suffix ? suffix : "/", (unsigned)result->st_mode & S_IFMT,
                         (long long)result->st_size, (long long)result->st_mtim.tv_sec, result->st_mtim.tv_nsec);
    return SAMC_OK;
}

samc_status samc__marks_add(samc__marks *marks, const samc__store *store, int64_t number, int64_t input,
                            const char *suffix, const char *scratch, samc_error *error) {
    struct stat result;
    if (fstatat(store->tmp, scratch, &result, AT_SYMLINK_NOFOLLOW) != 0)
        return samc__fail(error, SAMC_IO, "%s/%s: cannot open: %s", store->scratch, scratch, strerror(errno));
    return add(marks, number, input, suffix, &result, error);
}

samc_status samc__marks_add_failure(samc__marks *marks, int64_t number, int64_t input, samc_error *error) {
    return add(marks, number, input, "-", &(struct stat){0}, error);
}

samc_status samc__marks_write(samc__marks *marks, const samc__store *store, samc_error *error) {
    if (marks->used == 0) return SAMC_OK;
    marks->text[marks->used++] = '\n'; /* there is room: a line is shorter than LINE */
    samc_status status = samc__stream_rewrite(&marks->stream, store, marks->text, marks->used, error);
    marks->used = 0;
    return status;
}

static bool parse(const char *line, samc__mark *mark) {
    long long number, input, size, seconds;
    long nanoseconds;
    unsigned kind;
    char end;
    if (sscanf(line, "%lld %lld %19s %o %lld %lld %ld%c", &number, &input, mark->suffix, &kind, &size, &seconds,
               &nanoseconds, &end) != 8 ||
        end != '\n')
        return false;
    if (strcmp(mark->suffix, "/") == 0) mark->suffix[0] = '\0';
    mark->number = number;
    mark->input = input;
    mark->result = (struct stat){.st_mode = kind, .st_size = size, .st_mtim = {seconds, nanoseconds}};
    return true;
}

samc_status samc__marks_read(const samc__store *store, const samc__inputs *inputs, int64_t last, samc__mark **marks,
                             int *count, samc_error *error) {
    struct stat information;
    FILE *file;
    char line[LINE + 8];
    int room = 0;
    *marks = NULL;
    *count = 0;
    if (!samc__store_stat(store, false, name, &information)) return SAMC_OK;
    SAMC__TRY(samc__store_read(store, false, name, &file, error));
    samc_status status = SAMC_OK;
    while (status == SAMC_OK && fgets(line, sizeof line, file) != NULL) {
        samc__mark mark;
        if (!parse(line, &mark))
            break; /* the end; or they are not whole, were not synced, and nothing got its name by them */
        if (mark.number <= last || mark.input < 0 || mark.input >= inputs->count) continue;
        if (*count == room) {
            room = room ? 2 * room : 64;
            samc__mark *grown = realloc(*marks, (size_t)room * sizeof *grown);
            if (grown == NULL) {
                status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", store->state);
                break;
            }
            *marks = grown;
        }
        (*marks)[(*count)++] = mark;
    }
    fclose(file);
    if (status != SAMC_OK) free(*marks), *marks = NULL, *count = 0;
    return status;
}
