/* Reading archives as they come. */
#include "host/io/feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/file.h"
#include "host/io/key.h"
#include "runtime/base/status.h"

samc__feed samc__feed_begin(const samc__collector *c, const atomic_bool *stopping, atomic_llong *found,
                            atomic_llong *skipped) {
    const samc__record *last = &c->last;
    samc__feed f = {.inputs = c->inputs,
                    .globs = c->globs,
                    .stopping = stopping,
                    .found = found,
                    .skipped = skipped,
                    .shard = c->options->shard,
                    .shards = c->options->shards,
                    .stems = c->options->formats & (SAMC_OUTPUT_SA1B | SAMC_OUTPUT_WEBDATASET),
                    .maps = c->options->copy_images && c->options->label_maps,
                    .pictures = c->options->formats & SAMC_OUTPUT_PNG,
                    .samples = c->options->formats & SAMC_OUTPUT_WEBDATASET,
                    .units = c->units,
                    .member = -1,
                    .passed = -1,
                    .images = samc__record_images(last),
                    .command.handle = -1};
    if (last->number >= 0) {
        f.unit = last->unit + (last->member < 0);
        f.passed = last->member;
    }
    return f;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static uint64_t *place_of(uint64_t *table, size_t room, uint64_t hash) {
    size_t at = (size_t)hash % room;
    while (table[at] != 0 && table[at] != hash) at = (at + 1) % room;
    return &table[at];
}

/* FNV-1a: of ten million names two are taken for one once in 400,000 times. */
static uint64_t hash_of(const char *name, size_t length) {
    uint64_t hash = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < length; i++) hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ull;
    return hash + (hash == 0);
}

static bool is_noted(const samc__feed *f, const char *name) {
    return f->seen_room > 0 && *place_of(f->seen, f->seen_room, hash_of(name, strlen(name))) != 0;
}

/* Notes a name of the archive; *twice where it was there before. False without memory. */
static bool note_name(samc__feed *f, const char *name, size_t length, bool *twice) {
    uint64_t hash = hash_of(name, length);
    if (2 * f->seen_count >= f->seen_room) {
        size_t room = f->seen_room ? 2 * f->seen_room : 256;
        uint64_t *grown = calloc(room, sizeof *grown);
        if (grown == NULL) return false;
        for (size_t i = 0; i < f->seen_room; i++)
            if (f->seen[i] != 0) *place_of(grown, room, f->seen[i]) = f->seen[i];
        free(f->seen);
        f->seen = grown;
        f->seen_room = room;
    }
    uint64_t *place = place_of(f->seen, f->seen_room, hash);
    *twice = *place != 0;
    f->seen_count += *place == 0;
    *place = hash;
    return true;
}

/* Members that have a result of another for a folder, "a.png" and "a.png.json/b.png": *twice for the second of them.
 * Notes what such a folder would be the result of, with two slashes in front, which no key has. */
static bool note_folders(samc__feed *f, const char *key, bool *twice) {
    static const char *const ends[] = {".json", ".overlay.png", ""};
    char *name = malloc(strlen(key) + 3); /* of another member, as it is noted */
    bool good = name != NULL, ignored;
    for (const char *at = strchr(key, '/'); at != NULL && good; at = strchr(at + 1, '/'))
        for (int i = 0; i < (f->pictures ? 3 : 2) && good; i++) {
            size_t length = (size_t)(at - key), end = strlen(ends[i]);
            if (length <= end || memcmp(at - end, ends[i], end) != 0) continue;
            snprintf(name, length - end + 3, "//%s", key);
            size_t stem = f->stems ? samc__name_stem(name + 2) : length - end;
            if (end == 0 && f->stems && stem == length) continue; /* of an image it would have an extension */
            name[stem + 2] = '\0';
            *twice = *twice || is_noted(f, name + 2);
            good = note_name(f, name, stem + 2, &ignored);
        }
    if (good) {
        snprintf(name, strlen(key) + 3, "//%s", key);
        if (f->stems) name[samc__name_stem(key) + 2] = '\0';
        *twice = *twice || is_noted(f, name);
    }
    free(name);
    return good;
}

/* Notes what a member's results are called; *twice where a name was there before. Where images are copied and have
 * label maps beside them, those of a.png and a copied a.labels.png are one. False without memory. */
static bool note_results(samc__feed *f, const char *key, bool *twice) {
    const char ends[2][12] = {"", ".labels.png"};
    size_t stem = f->stems ? samc__name_stem(key) : strlen(key), lengths[2] = {strlen(key), stem};
    bool good = note_name(f, key, stem, twice), others[2] = {false, false};
    for (int i = 0; i < 2 && good && f->maps && !*twice; i++) {
        char *name = NULL; /* with a slash in front, which no stem has */
        good = asprintf(&name, "/%.*s%s", (int)lengths[i], key, ends[i]) > 0 &&
               note_name(f, name, strlen(name), &others[i]);
        free(name);
    }
    *twice = *twice || others[0] || others[1];
    return good && (f->samples || note_folders(f, key, twice));
}

/* The two names of a member, in one piece that the job owns. */
static samc_status name_job(samc__job *job, const char *unit, const char *path, const char *key, const char *name) {
    size_t first = strlen(unit) + strlen(key) + 2, second = strlen(path) + strlen(name) + 2;
    job->names = malloc(first + second);
    if (job->names == NULL) {
        job->code = ENOMEM;
        return samc__fail(&job->error, SAMC_OUT_OF_MEMORY, "%s/%s: out of memory", path, name);
    }
    snprintf(job->names, first, "%s/%s", unit, key);
    snprintf(job->names + first, second, "%s/%s", path, name);
    job->key = job->names;
    job->member_name = job->names + strlen(unit) + 1;
    job->source = job->names + first;
    return SAMC_OK;
}

/* ---- Units ----------------------------------------------------------------------------------- */

static void close_unit(samc__feed *f) {
    samc__tar_close(f->tar);
    samc__command_abandon(&f->command);
    free(f->seen);
    f->tar = NULL;
    f->seen = NULL;
    f->seen_room = f->seen_count = 0;
    f->member = f->passed = -1;
}

void samc__feed_close(samc__feed *f) { close_unit(f); }

static samc_status open_unit(samc__feed *f, const samc__input *input, const char *path, samc__job *job) {
    samc__flow flow = {.handle = STDIN_FILENO, .stopping = f->stopping};
    f->command.handle = -1;
    if (input->origin == SAMC__FROM_FILE) return samc__tar_open(path, &f->tar, &job->code, &job->error);
    if (input->origin == SAMC__FROM_COMMAND) {
        job->code = EIO; /* until it runs: no process, no descriptor */
        SAMC__TRY(samc__command_open(f->inputs->text + f->inputs->tars[input->tar], path, &f->command, &job->error));
        flow.handle = f->command.handle;
    } else {
        flow.head_size = f->inputs->head_size;
        memcpy(flow.head, f->inputs->head, flow.head_size);
    }
    return samc__tar_open_flow(path, &flow, &f->tar, &job->code, &job->error);
}

/* The end of an archive, with what is wrong with it in job->error. A command that failed says nothing about its images,
 * so that the run has to stop. */
static bool end_unit(samc__feed *f, const char *path, samc__job *job) {
    samc_error why;
    if (f->command.process > 0 && samc__command_finish(&f->command, path, f->stopping, &why) != SAMC_OK) {
        job->error = why;
        job->code = EIO;
    }
    /* What is behind it is not read by trying again, as an image would be: the run has to stop. */
    if (job->error.status == SAMC_OUT_OF_MEMORY && job->code == 0) job->code = ENOMEM;
    job->ends = true;
    job->member = -1;
    job->image = f->images;
    job->last = f->unit + 1 == f->units;
    if (job->error.status != SAMC_OK && !samc__file_is_outage(job->code)) f->images++, atomic_fetch_add(f->found, 1);
    close_unit(f);
    f->unit++;
    return true;
}

/* ---- Members --------------------------------------------------------------------------------- */

/* Reads the member into the job. False: the archive cannot be read further, which job->error says. */
static bool read_bytes(samc__feed *f, samc__job *job) {
    samc_status status = samc__tar_read(f->tar, SAMC__IMAGE_MAX_FILE, &job->bytes, &job->size, &job->error);
    if (status == SAMC_OUT_OF_MEMORY) job->error.status = SAMC_UNSUPPORTED; /* what has gone by is not read again */
    if (status == SAMC_OK || !samc__tar_broken(f->tar)) return true;
    job->code = samc__tar_code(f->tar);
    return false;
}

/* What keeps a member from being an image with a result of its own, in job->error. */
static void check_member(const samc__tar_entry *entry, bool inside, bool twice, samc__job *job) {
    const char *what = entry->kind == SAMC__TAR_OTHER ? "not a regular file but a pipe or a device"
                       : entry->kind != SAMC__TAR_FILE
                           ? "a link, which is not followed where archives are read as they "
                             "come (--shard-by image follows it)"
                       : !inside                         ? "its name leads out of the output folder"
                       : twice                           ? "its results would have the names of another member's"
                       : samc__key_is_too_long(job->key) ? "its name is too long for the names of its results"
                                                         : NULL;
    if (what != NULL) samc__fail(&job->error, SAMC_FORMAT, "%.500s: %s", job->source, what);
}

/* The entry that was just read, as an image. False: it is none, and the job is as it was. */
static bool take_member(samc__feed *f, const samc__tar_entry *entry, const char *unit, const char *path, samc__job *job,
                        bool *broken) {
    bool twice = false, image = entry->kind != SAMC__TAR_FOLDER;
    char *key = malloc(strlen(entry->name) + 1);
    bool inside = key != NULL && samc__key_of_path(entry->name, key);
    if (image && key != NULL && !samc__inputs_is_image(f->globs, key)) {
        image = false;
        if (f->member > f->passed) atomic_fetch_add(f->skipped, 1);
    }
    if (image && key != NULL && entry->kind == SAMC__TAR_FILE && inside && !note_results(f, key, &twice))
        job->code = ENOMEM;
    image = image && f->member > f->passed;
    if (key == NULL) job->code = ENOMEM;
    if (job->code == ENOMEM) /* the run has to stop: the names of what is behind it would not be known either */
        samc__fail(&job->error, SAMC_OUT_OF_MEMORY, "%s: out of memory for the names of its members", path);
    if (image && job->error.status == SAMC_OK && name_job(job, unit, path, key, entry->name) == SAMC_OK) {
        check_member(entry, inside, twice, job);
        if (job->error.status == SAMC_OK) *broken = !read_bytes(f, job);
    }
    free(key);
    return image || job->error.status != SAMC_OK;
}

/* A file that is a unit by itself. */
static bool take_file(samc__feed *f, const samc__input *input, samc__job *job) {
    const char *reason = input->reason ? f->inputs->text + input->reason : NULL;
    if (reason != NULL) samc__fail(&job->error, SAMC_IO, "%s", reason);
    job->member = -1;
    job->image = f->images++;
    job->last = f->unit + 1 == f->units;
    f->unit++;
    atomic_fetch_add(f->found, 1);
    return true;
}

bool samc__feed_next(samc__feed *f, samc__job *job) {
    if (f->unit >= f->units) return false;
    int64_t place = f->unit * f->shards + f->shard;
    const samc__input *input = &f->inputs->items[place];
    const char *unit = f->inputs->text + input->key, *path = f->inputs->text + input->source;
    job->input = place;
    job->unit = f->unit;
    job->key = unit;
    job->source = path;
    if (input->tar < 0) return take_file(f, input, job);
    if (f->tar == NULL && open_unit(f, input, path, job) != SAMC_OK) return end_unit(f, path, job);
    while (!atomic_load(f->stopping)) { /* an archive may hold millions of other files than images */
        samc__tar_entry entry;
        bool broken = false;
        if (samc__tar_next(f->tar, &entry, &job->error) != SAMC_OK) {
            job->code = samc__tar_code(f->tar);
            return end_unit(f, path, job);
        }
        if (entry.name == NULL) return end_unit(f, path, job);
        f->member++;
        if (!take_member(f, &entry, unit, path, job, &broken)) continue;
        if (broken) { /* the archive is over, and its end says so, not this image */
            job->key = unit;
            job->source = path;
            free(job->names);
            job->names = NULL;
            return end_unit(f, path, job);
        }
        job->member = f->member;
        job->image = f->images++;
        atomic_fetch_add(f->found, 1);
        return true;
    }
    return false;
}
