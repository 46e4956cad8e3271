/* The archive job by its public header: five steps, events, counts, stopping and going on. That results survive is
 * tested through the program (archive_test.py). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/samc_io.h"
#include "tests/engine.h"

enum { IMAGES = 12 };

static char folder[64];
static const char *inputs[] = {"in"};

static void enter(void) {
    snprintf(folder, sizeof folder, "/tmp/samc-job-%ld", (long)getpid());
    cr_assert(mkdir(folder, 0777) == 0 && chdir(folder) == 0 && mkdir("in", 0777) == 0);
    for (int i = 0; i < IMAGES; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/%02d.ppm", i);
        FILE *file = fopen(name, "w");
        if (i == 5) fputs("P6 broken", file);
        else {
            fprintf(file, "P6 %d 30 255\n", 40 + i);
            for (int p = 0; p < (40 + i) * 30 * 3; p++) fputc((p * 37 + i) >> 3 & 255, file);
        }
        fclose(file);
    }
    fclose(fopen("in/readme.txt", "w"));
}
static void leave(void) {
    char command[96];
    snprintf(command, sizeof command, "cd / && rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}
TestSuite(job, .init = enter, .fini = leave);

static samc_archive_options options_for(const char *output) {
    samc_archive_options options = SAMC_INIT(samc_archive_options);
    cr_assert_eq(samc_archive_default_options(&options, NULL), SAMC_OK);
    options.inputs = inputs;
    options.input_count = 1;
    options.output = output;
    options.formats = SAMC_OUTPUT_JSONL | SAMC_OUTPUT_COCO;
    options.batch_images = 2;
    return options;
}

/* At most 7 images under way at a time (one in each stage and 4 in the queues between them), and so at most 7 in one
 * commit: a run that is ended at one of its first three images has at most 9 of the 12 done, however the threads run.
 */
static void narrow(samc_archive_options *options) {
    options->queue = options->load_threads = options->write_threads = options->batch_images = 1;
}

static samc_auto_options automatic(void) {
    samc_auto_options options = SAMC_INIT(samc_auto_options);
    cr_assert_eq(samc_default_auto_options(NULL, &options), SAMC_OK);
    options.points_per_side = 2;
    options.pred_iou_thresh = options.stability_score_thresh = -1;
    return options;
}

/* What a run told of itself, and when it is to be stopped. */
typedef struct told {
    samc_archive *archive;
    int done, failed, masks, ticks, stop_after, fail_after;
    char last[256];
    bool ordered;
} told;

static samc_status hear(void *context, const samc_archive_image *image, samc_error *error) {
    told *t = context;
    t->ordered = (t->done + t->failed == 0 || strcmp(t->last, image->name) < 0) && strstr(image->source, image->name);
    snprintf(t->last, sizeof t->last, "%s", image->name);
    if (image->error == NULL) cr_expect(image->height == 30 && image->width >= 40);
    image->error == NULL ? t->done++ : t->failed++;
    t->masks += image->masks;
    if (t->stop_after > 0 && t->stop_after == t->done) samc_archive_stop(t->archive);
    if (t->fail_after == 0 || t->fail_after != t->done) return SAMC_OK;
    snprintf(error->message, sizeof error->message, "enough");
    return error->status = SAMC_IO;
}

static void tick(void *context) { ((told *)context)->ticks++; }

static samc_archive_counts counts_of(const samc_archive *archive) {
    samc_archive_counts counts = SAMC_INIT(samc_archive_counts);
    cr_assert_eq(samc_archive_get_counts(archive, &counts, NULL), SAMC_OK);
    return counts;
}

/* One run from its opening to its end. */
static samc_status run(const samc_archive_options *options, told *t, samc_archive_counts *counts, samc_error *error) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_auto_options masks = automatic();
    const samc_archive_events events = {sizeof events, t, hear, tick, 0};
    samc_session *session = NULL;
    samc_status status = samc_archive_open(options, &t->archive, error);
    if (status == SAMC_OK) status = samc_archive_begin(t->archive, model, &masks, error);
    if (status == SAMC_OK) {
        session = open_session(model);
        status = samc_archive_run(t->archive, &session, 1, &events, error);
    }
    if (t->archive != NULL) *counts = counts_of(t->archive);
    samc_archive_close(t->archive);
    t->archive = NULL;
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}

static char *slurp(const char *path) {
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL, "%s is missing", path);
    char *text = calloc(1, 1 << 22);
    cr_assert(fread(text, 1, (1 << 22) - 1, file) > 0);
    fclose(file);
    return text;
}

Test(job, runs_and_tells) {
    told t = {0};
    samc_error error = {0};
    samc_archive_counts counts;
    samc_archive_options options = options_for("out");
    options.stats = "stats.json";
    cr_assert_eq(run(&options, &t, &counts, &error), SAMC_OK, "%s", error.message);
    cr_expect(t.done == IMAGES - 1 && t.failed == 1 && t.masks > 0 && t.ordered);
    cr_expect(counts.inputs == IMAGES && counts.images == IMAGES && counts.total == IMAGES && counts.done == IMAGES);
    cr_expect(counts.skipped == 1 && counts.before == 0 && counts.failures == 1 && counts.masks == t.masks);
    cr_expect(counts.seconds > 0);
    char *lines = slurp("out/masks.jsonl"), *coco = slurp("out/annotations.json"), *errors = slurp("out/errors.jsonl");
    int line_count = 0;
    for (const char *at = lines; (at = strchr(at, '\n')) != NULL; at++) line_count++;
    cr_expect_eq(line_count, IMAGES - 1);
    cr_expect_not_null(strstr(coco, "\"file_name\": \"11.ppm\""));
    cr_expect_not_null(strstr(errors, "05.ppm"));
    free(lines), free(coco), free(errors);
    char *stats = slurp("stats.json");
    cr_expect(stats[0] == '[' && strcmp(stats + strlen(stats) - 3, "\n]\n") == 0);
    free(stats);
    /* The same run again is refused, and with `resume` there is nothing to do. */
    told again = {0};
    cr_expect_eq(run(&options, &again, &counts, &error), SAMC_MISMATCH);
    cr_expect_not_null(strstr(error.message, "out: holds a run already"), "%s", error.message);
    options.resume = true;
    options.stats = NULL;
    cr_expect_eq(run(&options, &again, &counts, &error), SAMC_OK, "%s", error.message);
    cr_expect(again.done + again.failed == 0 && counts.done == IMAGES && counts.before == IMAGES);
    options.retry_failed = true;
    cr_expect_eq(run(&options, &again, &counts, &error), SAMC_OK, "%s", error.message);
    cr_expect(again.failed == 1 && counts.total == IMAGES + 1 && counts.images == IMAGES && counts.failures == 1);
    options.lines_per_file = 3;
    cr_expect_eq(run(&options, &again, &counts, &error), SAMC_MISMATCH, "another run");
}

/* Stopped from an event, gone on with: the files are those of one run. */
Test(job, stops_and_goes_on) {
    told whole = {0}, first = {.stop_after = 3}, rest = {0};
    samc_error error = {0};
    samc_archive_counts counts;
    samc_archive_options options = options_for("whole");
    cr_assert_eq(run(&options, &whole, &counts, &error), SAMC_OK, "%s", error.message);
    options.output = "parts";
    narrow(&options);
    cr_assert_eq(run(&options, &first, &counts, &error), SAMC_STOPPED, "%s", error.message);
    cr_expect(counts.done >= 3 && counts.done < IMAGES && counts.done == first.done + first.failed);
    cr_expect(access("parts/annotations.json", F_OK) != 0, "not complete, not there");
    options.resume = true;
    cr_assert_eq(run(&options, &rest, &counts, &error), SAMC_OK, "%s", error.message);
    cr_expect(counts.done == IMAGES && counts.before == first.done + first.failed);
    cr_expect(first.done + rest.done == whole.done && first.masks + rest.masks == whole.masks);
    static const char *const files[] = {"masks.jsonl", "annotations.json", "errors.jsonl"};
    for (int i = 0; i < 3; i++) {
        char a[64], b[64];
        snprintf(a, sizeof a, "whole/%s", files[i]);
        snprintf(b, sizeof b, "parts/%s", files[i]);
        char *one = slurp(a), *two = slurp(b);
        cr_expect_str_eq(one, two, "%s", files[i]);
        free(one), free(two);
    }
}

static void *stop_it(void *archive) {
    samc_archive_stop(archive);
    return NULL;
}

/* From another thread, and before the run. */
Test(job, stopped_from_elsewhere) {
    samc_error error = {0};
    samc_archive_options options = options_for("out");
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_archive *archive;
    samc_archive_stage stage = SAMC_INIT(samc_archive_stage);
    pthread_t other;
    cr_assert_eq(samc_archive_open(&options, &archive, &error), SAMC_OK);
    cr_assert_eq(samc_archive_begin(archive, model, NULL, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc_archive_get_stage(archive, 0, &stage, &error), SAMC_INVALID_ARGUMENT, "not over");
    cr_assert_eq(pthread_create(&other, NULL, stop_it, archive), 0);
    cr_assert_eq(pthread_join(other, NULL), 0);
    cr_expect_eq(samc_archive_run(archive, &session, 1, NULL, &error), SAMC_STOPPED, "%s", error.message);
    cr_expect_eq(counts_of(archive).done, 0);
    static const char *const names[] = {"load", "compute", "write", "commit", "encode", "decode", "post"};
    for (int i = 0; i < 7; i++) {
        cr_assert_eq(samc_archive_get_stage(archive, i, &stage, &error), SAMC_OK);
        cr_expect_str_eq(stage.name, names[i]);
        cr_expect((stage.room > 0) == (i < 4) && stage.threads > 0);
    }
    cr_expect_eq(samc_archive_get_stage(archive, 7, &stage, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_get_stage(archive, -1, &stage, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_run(archive, &session, 1, NULL, &error), SAMC_INVALID_ARGUMENT, "an archive runs once");
    cr_expect_eq(samc_archive_begin(archive, model, NULL, &error), SAMC_INVALID_ARGUMENT);
    samc_archive_close(archive);
    samc_archive_stop(NULL);
    samc_archive_close(NULL);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* An event that fails ends the run with its error; what is done stays done. */
Test(job, an_event_fails) {
    told t = {.fail_after = 2};
    samc_error error = {0};
    samc_archive_counts counts;
    samc_archive_options options = options_for("out");
    narrow(&options);
    cr_expect_eq(run(&options, &t, &counts, &error), SAMC_IO);
    cr_expect_str_eq(error.message, "enough");
    cr_expect(counts.done >= 2 && counts.done < IMAGES);
}

Test(job, refused) {
    samc_error error = {0};
    samc_archive *archive = (samc_archive *)1;
    const samc_archive_options good = options_for("out");
#define REFUSED(field, value)                                                                                          \
    do {                                                                                                               \
        samc_archive_options bad = good;                                                                               \
        bad.field = value;                                                                                             \
        cr_expect_eq(samc_archive_open(&bad, &archive, &error), SAMC_INVALID_ARGUMENT, #field " = " #value);           \
        cr_expect_null(archive);                                                                                       \
    } while (0)
    REFUSED(inputs, NULL);
    REFUSED(input_count, 0);
    REFUSED(input_count, -1);
    REFUSED(glob_count, 1);
    REFUSED(glob_count, -1);
    REFUSED(output, NULL);
    REFUSED(output, "");
    REFUSED(output, "in");
    REFUSED(formats, SAMC_OUTPUT_NPY);
    REFUSED(formats, 1u << 31);
    REFUSED(shards, 0);
    REFUSED(shard, 1);
    REFUSED(shard, -1);
    REFUSED(lines_per_file, 0);
    REFUSED(max_pixels, 0);
    REFUSED(max_pixels, SAMC_IMAGE_MOST_PIXELS + 1);
    REFUSED(memory, 0);
    REFUSED(batch_images, 257);
    REFUSED(load_threads, 65);
    REFUSED(write_threads, -1);
    REFUSED(queue, 0);
    REFUSED(retry_failed, true);
    const char *holes[] = {NULL}, *missing[] = {"nothing-there"};
    REFUSED(inputs, holes);
    samc_archive_options absent = good;
    absent.inputs = missing;
    cr_expect_eq(samc_archive_open(&absent, &archive, &error), SAMC_IO);
    cr_expect_not_null(strstr(error.message, "nothing-there"), "%s", error.message);
    cr_expect_eq(samc_archive_open(NULL, &archive, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_open(&good, NULL, &error), SAMC_INVALID_ARGUMENT);

    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model), *hole = NULL;
    samc_archive_counts counts = SAMC_INIT(samc_archive_counts);
    samc_auto_options masks = automatic();
    cr_assert_eq(samc_archive_open(&good, &archive, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc_archive_run(archive, &session, 1, NULL, &error), SAMC_INVALID_ARGUMENT, "not begun");
    cr_expect_eq(samc_archive_begin(archive, NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_begin(NULL, model, NULL, &error), SAMC_INVALID_ARGUMENT);
    masks.points_per_side = 0;
    cr_expect_eq(samc_archive_begin(archive, model, &masks, &error), SAMC_INVALID_ARGUMENT);
    cr_expect(access("out", F_OK) != 0, "nothing was made");
    masks.points_per_side = 1;
    cr_assert_eq(samc_archive_begin(archive, model, &masks, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc_archive_run(archive, NULL, 1, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_run(archive, &session, 0, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_run(archive, &session, 65, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_run(archive, &hole, 1, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_run(archive, &session, 1, &(samc_archive_events){0}, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_get_counts(NULL, &counts, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_get_counts(archive, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_archive_run(archive, &session, 1, NULL, &error), SAMC_OK, "none of these was its one run: %s",
                 error.message);
    samc_archive_close(archive);
    samc_session_destroy(session);
    samc_model_close(model);
}
