/* Beginning a run, or going on with one. A collected file is in the state folder while it grows and in the output
 * folder when it is complete; one that failed images are added to goes back. */
#include "host/io/resume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/tar.h"
#include "host/io/text.h"
#include "runtime/base/status.h"

static const char images_name[] = "images.part";
enum { LOOK_AHEAD = 1000, BEGINNING = 4096, PIECE = 1 << 16 };

/* ---- Names ----------------------------------------------------------------------------------- */

static void errors_name(const samc__collector *c, char *name) {
    samc__archive_file_name(c->options, "errors", ".jsonl", -1, name);
}
static void coco_name(const samc__collector *c, char *name) {
    samc__archive_file_name(c->options, "annotations", ".json", -1, name);
}

/* The file of JSON lines of a part; one file needs no number. */
static void lines_name(const samc__collector *c, int64_t part, char *name) {
    samc__archive_file_name(c->options, "masks", ".jsonl",
                            part > 0 || c->units >= 0 || c->total > c->options->lines_per_file ? part : -1, name);
}

/* Where a collected file is. */
typedef struct place {
    bool growing,
        published; /* in the state folder, in the output folder; both: a crash came in the middle of a rename */
    bool same;
    struct stat grown, shown;
} place;

static place find(const samc__collector *c, const char *name) {
    place p;
    p.growing = samc__store_stat(c->store, false, name, &p.grown);
    p.published = samc__store_stat(c->store, true, name, &p.shown);
    p.same = p.growing && p.published && p.grown.st_ino == p.shown.st_ino && p.grown.st_dev == p.shown.st_dev;
    return p;
}

/* A file or a result of the output folder that is not known: <name><suffix>. */
static samc_status refuse(const samc__collector *c, const char *name, const char *suffix, samc_error *error) {
    if (!c->journal->resumed)
        return samc__fail(error, SAMC_IO, "%s/%s%s: exists already and is not from this run", c->store->root, name,
                          suffix);
    return samc__fail(
        error, SAMC_IO,
        "%s/%s%s: exists already and is not from this run, or %s/journal has lost its record; nothing was touched",
        c->store->root, name, suffix, c->store->state);
}

/* ---- Looking --------------------------------------------------------------------------------- */

/* A published file that is to grow again has to be what the journal says. */
static samc_status check_published(const samc__collector *c, const char *name, const place *p, int64_t length,
                                   samc_error *error) {
    SAMC__TRY(samc__stream_check(c->store, true, name, length, error));
    if (p->shown.st_size == length) return SAMC_OK;
    return samc__store_fail(c->store, true, name, SAMC_FORMAT, error,
                            "%lld bytes, but the journal says %lld: it was changed", (long long)p->shown.st_size,
                            (long long)length);
}

static samc_status check_lines(const samc__collector *c, samc_error *error) {
    int64_t each = c->options->lines_per_file, next = c->last.number + 1;
    char name[SAMC__STORE_NAME];
    if (next > 0) { /* the file that the last record is in */
        lines_name(c, (next - 1) / each, name);
        place p = find(c, name);
        bool whole = next % each == 0, complete = whole || next >= c->total, continues = !whole && next < c->end;
        if (p.growing) SAMC__TRY(samc__stream_check(c->store, false, name, c->last.lines, error));
        if (p.published && (!complete || (p.growing && !p.same))) return refuse(c, name, "", error);
        if (!p.growing && !p.published && (!complete || continues))
            SAMC__TRY(samc__stream_check(c->store, false, name, c->last.lines, error));
        if (p.published && !p.growing && continues) SAMC__TRY(check_published(c, name, &p, c->last.lines, error));
    }
    /* Files of the records to come; also the empty one of an empty shard. */
    for (int64_t part = (next + each - 1) / each;
         (part * each < c->end && (c->units < 0 || part * each < next + LOOK_AHEAD * each)) ||
         (c->end == 0 && part == 0 && !c->journal->resumed);
         part++) {
        lines_name(c, part, name);
        if (find(c, name).published) return refuse(c, name, "", error);
        SAMC__TRY(samc__stream_check(c->store, false, name, 0, error));
    }
    return SAMC_OK;
}

static int64_t coco_length(const samc__collector *c) {
    return c->last.annotations + (int64_t)strlen(samc__coco_before_images) + c->last.images +
           (int64_t)strlen(samc__coco_after_images);
}

/* Nothing is to be added, and the file is where its reader wants it. */
static bool coco_is_through(const samc__collector *c, const place *p) {
    return c->journal->resumed && c->last.number + 1 >= c->total && c->last.number + 1 == c->end && !p->growing;
}

static samc_status check_coco(const samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME];
    coco_name(c, name);
    place p = find(c, name);
    bool complete = c->journal->resumed && c->last.number + 1 >= c->total;
    if (p.growing) SAMC__TRY(samc__stream_check(c->store, false, name, c->last.annotations, error));
    if (p.published && (!complete || (p.growing && !p.same))) return refuse(c, name, "", error);
    if (coco_is_through(c, &p)) return SAMC_OK;
    if (!p.growing && !p.published) SAMC__TRY(samc__stream_check(c->store, false, name, c->last.annotations, error));
    if (!p.growing && p.published) return check_published(c, name, &p, coco_length(c), error);
    return samc__stream_check(c->store, false, images_name, c->last.images, error);
}

/* Whether errors.jsonl, of which the journal has nothing, holds lines that the run before wrote and did not come to
 * record. */
static bool errors_are_ours(const samc__collector *c, const char *name, const struct stat *information) {
    char begun[BEGINNING];
    FILE *file;
    samc_error ignored;
    if (!c->journal->resumed || !S_ISREG(information->st_mode)) return false;
    if (information->st_size == 0) return true;
    const samc__mark *mark = NULL;
    for (int i = 0; i < c->left_count && mark == NULL; i++)
        if (strcmp(c->left[i].mark, "-") == 0) mark = &c->left[i];
    if (mark == NULL || samc__store_read(c->store, true, name, &file, &ignored) != SAMC_OK) return false;
    size_t size = fread(begun, 1, sizeof begun, file);
    fclose(file);
    json_t *image = samc__text_json(mark->text);
    char *quoted = image ? json_dumps(image, JSON_ENCODE_ANY) : NULL, *line = NULL;
    int length = quoted ? asprintf(&line, "{\"image\": %s, \"name\": ", quoted) : -1;
    size_t alike = 0;
    while (length > 0 && alike < size && alike < (size_t)length && begun[alike] == line[alike]) alike++;
    bool ours = length > 0 && (alike == size || alike == (size_t)length);
    while (!ours && alike < size && begun[alike] == '\0') ours = ++alike == size; /* bytes that a loss of power took */
    if (length >= 0) free(line);
    free(quoted);
    json_decref(image);
    return ours;
}

static samc_status check_errors(const samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME];
    struct stat information;
    errors_name(c, name);
    if (c->last.errors > 0) return samc__stream_check(c->store, true, name, c->last.errors, error);
    if (!samc__store_stat(c->store, true, name, &information) || errors_are_ours(c, name, &information)) return SAMC_OK;
    return refuse(c, name, "", error);
}

static bool is_marked(const samc__collector *c, int64_t number, const char *mark, const struct stat *information) {
    for (int i = 0; i < c->left_count; i++)
        if (c->left[i].number == number && strcmp(c->left[i].mark, mark) == 0 &&
            samc__store_same(&c->left[i].result, information))
            return true;
    return false;
}

/* The names of the results that come next. Those further on are seen when it is their turn: nothing is written over
 * then either. */
static samc_status check_results(const samc__collector *c, samc_error *error) {
    if (c->units >= 0) return SAMC_OK; /* nobody knows them */
    for (int64_t number = c->last.number + 1; number < c->end && number <= c->last.number + LOOK_AHEAD; number++) {
        int64_t input;
        samc__collector_image(c, number, &input);
        for (int i = 0; i < SAMC__RESULT_FILES && samc__input_reason(c->inputs, input) == NULL; i++) {
            const samc__result_file *file = &samc__result_files[i];
            struct stat information;
            char key[SAMC__KEY_ROOM];
            bool there;
            if (!(c->options->formats & file->format)) continue;
            samc__result_key(file, samc__input_key(c->inputs, input), key);
            SAMC__TRY(samc__store_look(c->store, key, file->suffix, &information, &there, error));
            if (there && !is_marked(c, number, file->mark, &information)) return refuse(c, key, file->suffix, error);
        }
    }
    return SAMC_OK;
}

/* What a unit's archive is called. */
static void samples_key(const samc__collector *c, int64_t unit, char key[SAMC__KEY_ROOM]) {
    const char *name = samc__input_key(c->inputs, samc__collector_unit(c, unit));
    snprintf(key, SAMC__KEY_ROOM, "%.*s", (int)samc__tar_stem(name), name);
}

/* Whether the archive of the last record is to be opened again; where a crash came in the middle of its renaming it has
 * both names, and needs no more than that. */
static samc_status find_samples(const samc__collector *c, char name[SAMC__STORE_NAME], bool *growing, bool *twice,
                                samc_error *error) {
    char key[SAMC__KEY_ROOM];
    struct stat grown, shown;
    bool there;
    samc__samples_name(c->last.unit, name);
    samples_key(c, c->last.unit, key);
    *growing = samc__store_stat(c->store, false, name, &grown);
    SAMC__TRY(samc__store_look(c->store, key, ".tar", &shown, &there, error));
    *twice = *growing && there && grown.st_dev == shown.st_dev && grown.st_ino == shown.st_ino;
    return SAMC_OK;
}

static samc_status check_samples(const samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME], key[SAMC__KEY_ROOM];
    struct stat information;
    bool there, growing, twice, over = c->last.member < 0;
    if (c->last.number >= 0) {
        SAMC__TRY(find_samples(c, name, &growing, &twice, error));
        if ((growing && !twice) || !over) SAMC__TRY(samc__stream_check(c->store, false, name, c->last.samples, error));
    }
    int64_t next = c->last.number < 0 ? 0 : c->last.unit + over;
    for (int64_t unit = next; unit < c->units && unit < next + LOOK_AHEAD; unit++) {
        samples_key(c, unit, key);
        SAMC__TRY(samc__store_look(c->store, key, ".tar", &information, &there, error));
        if (there) return refuse(c, key, ".tar", error);
    }
    return SAMC_OK;
}

samc_status samc__collector_check(samc__collector *c, samc_error *error) {
    if (c->journal->resumed) SAMC__TRY(samc__marks_read(c->store, c->last.number, &c->left, &c->left_count, error));
    SAMC__TRY(check_errors(c, error));
    if (c->options->formats & SAMC_OUTPUT_JSONL) SAMC__TRY(check_lines(c, error));
    if (c->options->formats & SAMC_OUTPUT_COCO) SAMC__TRY(check_coco(c, error));
    if (c->options->formats & SAMC_OUTPUT_WEBDATASET) SAMC__TRY(check_samples(c, error));
    SAMC__TRY(samc__stream_check(c->store, false, "marks", 0, error));
    return check_results(c, error);
}

/* ---- Making good ----------------------------------------------------------------------------- */

samc_status samc__resume_take_back(samc__collector *c, samc_error *error) {
    for (int i = 0; i < c->left_count; i++) {
        const samc__mark *mark = &c->left[i];
        char scratch[SAMC__STORE_NAME], key[SAMC__KEY_ROOM];
        const samc__result_file *file = samc__result_files, *end = file + SAMC__RESULT_FILES;
        while (file < end && strcmp(file->mark, mark->mark) != 0) file++;
        if (file == end) continue; /* "-", a failure */
        samc__result_key(file, mark->text, key);
        samc__store_scratch(mark->number, mark->mark, scratch);
        SAMC__TRY(samc__store_take_back(c->store, scratch, key, file->suffix, &mark->result, error));
    }
    return samc__store_sync_folders(c->store, error); /* before the marks go */
}

samc_status samc__resume_errors(samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME];
    struct stat information;
    errors_name(c, name);
    if (c->last.errors > 0) return samc__stream_open(&c->errors, c->store, true, name, c->last.errors, error);
    if (!c->journal->resumed || !samc__store_stat(c->store, true, name, &information)) return SAMC_OK;
    samc__store_remove(c->store, true, name); /* lines that were written and not recorded */
    return samc__store_note(c->store, true, error);
}

static samc_status publish_samples(samc__collector *c, const char *name, samc_error *error) {
    char key[SAMC__KEY_ROOM];
    samples_key(c, c->last.unit, key);
    return samc__store_publish_file(c->store, name, key, ".tar", error);
}

samc_status samc__resume_publish_samples(samc__collector *c, samc_error *error) {
    samc_status status = samc__stream_sync(&c->samples, c->store, error);
    if (status == SAMC_OK) status = publish_samples(c, c->samples.name, error);
    samc__stream_close(&c->samples);
    return status;
}

samc_status samc__resume_samples(samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME];
    bool growing, twice, over = c->last.member < 0;
    if (c->last.number < 0) return SAMC_OK;
    SAMC__TRY(find_samples(c, name, &growing, &twice, error));
    if (over && twice) return publish_samples(c, name, error);
    if (over && !growing) return SAMC_OK;
    SAMC__TRY(samc__stream_open(&c->samples, c->store, false, name, c->last.samples, error));
    return over ? samc__resume_publish_samples(c, error) : SAMC_OK;
}

/* The file goes back to the state folder, to grow again. */
static samc_status take_file_back(samc__collector *c, const char *name, const place *p, samc_error *error) {
    if (!p->published) return SAMC_OK;
    return samc__store_move(c->store, name, false, error);
}

samc_status samc__resume_publish_lines(samc__collector *c, samc_error *error) {
    int64_t next = c->last.number + 1, each = c->options->lines_per_file;
    if (next == 0 || (next != c->end && next % each != 0)) return SAMC_OK;
    if (c->lines.handle < 0) { /* at the beginning: perhaps a crash came before this */
        char name[SAMC__STORE_NAME];
        lines_name(c, (next - 1) / each, name);
        if (!find(c, name).growing) return SAMC_OK;
        SAMC__TRY(samc__stream_open(&c->lines, c->store, false, name, c->last.lines, error));
    }
    return samc__stream_publish(&c->lines, c->store, error);
}

samc_status samc__resume_next_lines(samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME];
    int64_t next = c->last.number + 1, each = c->options->lines_per_file;
    lines_name(c, next / each, name);
    place p = find(c, name);
    if (next % each != 0) SAMC__TRY(take_file_back(c, name, &p, error));
    return samc__stream_open(&c->lines, c->store, false, name, next % each == 0 ? 0 : c->last.lines, error);
}

samc_status samc__resume_lines(samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME];
    SAMC__TRY(samc__resume_publish_lines(c, error));
    lines_name(c, 0, name);
    bool empty = c->total == 0 && !(c->journal->resumed && find(c, name).published);
    return c->last.number + 1 < c->end || empty ? samc__resume_next_lines(c, error) : SAMC_OK;
}

/* annotations.json becomes what it was before its images were put behind its annotations. */
static samc_status take_coco_back(samc__collector *c, const char *name, const place *p, samc_error *error) {
    char piece[PIECE];
    FILE *from;
    SAMC__TRY(samc__store_read(c->store, true, name, &from, error));
    samc_status status = samc__stream_open(&c->images, c->store, false, images_name, 0, error);
    if (status == SAMC_OK && fseeko(from, c->last.annotations + (off_t)strlen(samc__coco_before_images), SEEK_SET) != 0)
        status = samc__store_fail(c->store, true, name, SAMC_IO, error, "cannot read");
    for (int64_t left = c->last.images; status == SAMC_OK && left > 0;) {
        size_t got = fread(piece, 1, left < PIECE ? (size_t)left : PIECE, from);
        left -= (int64_t)got;
        status = got > 0 ? samc__stream_append(&c->images, c->store, piece, got, error)
                         : samc__store_fail(c->store, true, name, SAMC_IO, error, "cannot read");
    }
    fclose(from);
    if (status == SAMC_OK) status = samc__stream_sync(&c->images, c->store, error);
    samc__stream_close(&c->images);
    if (status == SAMC_OK) status = samc__store_sync_folders(c->store, error);
    return status == SAMC_OK ? take_file_back(c, name, p, error) : status;
}

samc_status samc__resume_coco(samc__collector *c, samc_error *error) {
    char name[SAMC__STORE_NAME], *header;
    coco_name(c, name);
    place p = find(c, name);
    if (coco_is_through(c, &p)) {
        samc__store_remove(c->store, false, images_name);
        return SAMC_OK;
    }
    if (p.growing) SAMC__TRY(take_file_back(c, name, &p, error));
    else if (p.published) SAMC__TRY(take_coco_back(c, name, &p, error));
    SAMC__TRY(samc__stream_open(&c->annotations, c->store, false, name, c->last.annotations, error));
    SAMC__TRY(samc__stream_open(&c->images, c->store, false, images_name, c->last.images, error));
    if (c->annotations.length > 0) return SAMC_OK;
    header = samc__coco_header(c->phrases);
    if (header == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    samc_status status = samc__stream_append(&c->annotations, c->store, header, strlen(header), error);
    free(header);
    return status;
}
