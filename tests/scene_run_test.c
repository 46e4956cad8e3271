/* Runs over a scene with an engine of this test: whatever interrupts them and however they are shared, the results have
 * the same bytes. */
#include <criterion/criterion.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/io/file.h"
#include "host/io/png.h"
#include "host/io/scene_run.h"
#include "runtime/base/status.h"

enum { WIDTH = 700, HEIGHT = 500 };
static const samc__image_options all = {.most = SAMC__IMAGE_MAX_PIXELS};
static char base[64];

/* ---- The engine ------------------------------------------------------------------------------ */

static atomic_int calls; /* tiles, windows and files so far; the process ends itself at that one */
static int die_at, fail_every;

static samc_status work(samc_error *error) {
    const int number = atomic_fetch_add(&calls, 1) + 1;
    if (number == die_at) raise(SIGKILL);
    return fail_every > 0 && number % fail_every == 0 ? samc__fail(error, SAMC_OUT_OF_MEMORY, "drawn") : SAMC_OK;
}

static samc_status rectangle(const samc__scene_plan *plan, samc__scene_record record, int64_t x, int64_t y,
                             int64_t side, samc__scene_emit emit, void *context, samc_error *error) {
    record.x = x = x < plan->width ? x : plan->width - 1;
    record.y = y = y < plan->height ? y : plan->height - 1;
    record.width = x + side < plan->width ? side : plan->width - x;
    record.height = y + side < plan->height ? side : plan->height - y;
    record.area = record.width * record.height;
    record.count = 2;
    const uint32_t counts[2] = {0, (uint32_t)record.area};
    return emit(context, &record, counts, error);
}

/* Three squares for each tile, scored by its pixels. */
samc_status samc__scene_tiles(const samc__scene_engine *engine, const samc__scene_item *items, int count,
                              const uint8_t *const *rgb, const uint8_t *const *valid, samc__scene_emit emit,
                              void *context, samc_error *error) {
    for (int i = 0; i < count; i++) {
        const samc__scene_window *w = &items[i].window;
        uint32_t sum = 1, there = 0;
        SAMC__TRY(work(error));
        for (int k = 0; k < w->width * w->height; k++) {
            for (int c = 0; c < 3; c++) sum = sum * 31 + rgb[i][3 * k + c];
            there += valid[i][k];
        }
        samc__scene_record r = {.level = w->level, .tile_row = items[i].row, .tile_column = items[i].column};
        r.refined = r.phrase = -1;
        r.stability = (float)there;
        for (; r.index < 3; r.index++) { /* the third is that of a neighbour, too */
            const int64_t x = r.index < 2 ? items[i].x0 : items[i].x0 / 256 * 256 + 60;
            r.iou = (float)(sum >> (8 + 8 * r.index) & 255) / 256;
            SAMC__TRY(rectangle(engine->plan, r, (x + 5) << w->level, (items[i].y0 + 5) << w->level,
                                ((int64_t)40 + 20 * r.index) << w->level, emit, context, error));
        }
    }
    return SAMC_OK;
}

samc_status samc__scene_refine_plan_make(samc__scene_refine_plan *refine, const samc__scene_plan *plan,
                                         const samc__scene_record *records, int64_t count, const uint8_t *keep,
                                         samc_error *error) {
    (void)error;
    *refine = (samc__scene_refine_plan){.items = calloc((size_t)count + 1, sizeof *refine->items),
                                        .order = calloc((size_t)count + 1, sizeof *refine->order)};
    for (int64_t i = 0; i < count; i++) {
        if (!keep[i] || records[i].level == 0) continue;
        refine->order[refine->count] = i;
        refine->items[refine->count] = (samc__scene_refining){
            .window = {.width = (int)plan->width / 2, .height = 8}, .order = &refine->order[refine->count], .count = 1};
        refine->count++;
    }
    return SAMC_OK;
}

void samc__scene_refine_plan_free(samc__scene_refine_plan *refine) {
    free(refine->items);
    free(refine->order);
    *refine = (samc__scene_refine_plan){0};
}

samc_status samc__scene_refine(const samc__scene_engine *engine, const samc__scene_refining *item, const uint8_t *rgb,
                               const uint8_t *valid, const samc__scene_masks *masks, samc__scene_emit emit,
                               void *context, samc_error *error) {
    samc__scene_record r = masks->records[item->order[0]];
    uint32_t counts[2];
    SAMC__TRY(work(error));
    SAMC__TRY(masks->read(masks->context, item->order[0], counts, error));
    cr_assert(counts[0] == 0 && counts[1] == r.area && valid[0] == 1);
    r.refined = 0;
    r.object = rgb[item->order[0] % 8];
    return rectangle(engine->plan, r, r.x + 1, r.y, r.width, emit, context, error);
}

/* ---- The results ------------------------------------------------------------------------------ */

static FILE *written;

static samc_status open_text(samc__scene_sink *sink, const samc__scene_source *scene, const char *path,
                             samc_error *error) {
    (void)sink;
    SAMC__TRY(work(error));
    written = fopen(path, "wx");
    cr_assert(written != NULL, "%s: %s", path, strerror(errno));
    fprintf(written, "%d x %d\n", (int)scene->width, (int)scene->height);
    return SAMC_OK;
}

static samc_status add_text(samc__scene_sink *sink, int64_t id, const samc__scene_record *r, const uint32_t *counts,
                            samc_error *error) {
    (void)sink;
    (void)error;
    fprintf(written, "%d: %d %d %d %d, level %d, %g %g %g, refined %d, %u\n", (int)id, (int)r->x, (int)r->y,
            (int)r->width, (int)r->height, r->level, r->iou, r->stability, r->object, r->refined, counts[1]);
    return SAMC_OK;
}

static samc_status close_text(samc__scene_sink *sink, samc_error *error) {
    (void)sink;
    SAMC__TRY(work(error));
    fclose(written);
    written = NULL;
    return SAMC_OK;
}

static void abandon_text(samc__scene_sink *sink) {
    (void)sink;
    if (written != NULL) fclose(written);
    written = NULL;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

typedef struct request {
    const char *scene, *output;
    int shard, shards, points;
    bool resume;
    int sessions; /* 0: one */
    int stop_at;  /* groups of tiles or windows after which it is stopped; 0: never */
} request;

static atomic_bool stopping;
static int stop_in;

static void on_tick(void *context, const samc__scene_counts *counts) {
    (void)context;
    cr_assert_leq(counts->done, counts->total);
    if (stop_in > 0 && --stop_in == 0) stopping = true;
}

static samc_status go(const request *q, samc__scene_counts *counts, samc_error *error) {
    samc__scene_source source;
    samc__scene_plan plan;
    samc__scene_tiling tiling = {.tile = 128, .halo = 32, .points = 4};
    cr_assert_eq(samc__scene_file_open(&source, q->scene, &all, NULL, error), SAMC_OK, "%s", error->message);
    cr_assert_eq(samc__scene_plan_make(&plan, source.width, source.height, &tiling, error), SAMC_OK);
    samc__scene_engine engines[8];
    for (int i = 0; i < 8; i++) engines[i] = (samc__scene_engine){.plan = &plan};
    samc__scene_sink sink = {".txt", NULL, open_text, add_text, close_text, abandon_text};
    json_t *options = json_pack("{s:i, s:i}", "points", q->points, "shards", q->shards ? q->shards : 1);
    stopping = false;
    stop_in = q->stop_at;
    const samc__scene_job job = {.output = q->output,
                                 .input = "scene.png",
                                 .stem = "scene",
                                 .shard = q->shard,
                                 .shards = q->shards ? q->shards : 1,
                                 .resume = q->resume,
                                 .no_sync = true,
                                 .options = options,
                                 .source = &source,
                                 .plan = &plan,
                                 .engines = engines,
                                 .engine_count = q->sessions ? q->sessions : 1,
                                 .batch = q->sessions > 2 ? 2 : 1,
                                 .thresholds = {.box = 0.7, .mask = 0.5},
                                 .sinks = &sink,
                                 .sink_count = 1,
                                 .stopping = &stopping,
                                 .tick = on_tick};
    samc_status status = samc__scene_run(&job, counts, error);
    json_decref(options);
    source.close(&source);
    return status;
}

/* A path below the test's folder; good for eight calls. */
static const char *at(const char *name) {
    static char paths[8][256];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, 256, "%s/%s", base, name);
    return path;
}

static char *text_of(const char *path, size_t *size) {
    uint8_t *bytes;
    samc_error error;
    cr_assert_eq(samc__file_read(path, 1 << 24, &bytes, size, &error), SAMC_OK, "%s", error.message);
    return (char *)bytes;
}

static void same(const char *a, const char *b) {
    size_t one, other;
    char *x = text_of(a, &one), *y = text_of(b, &other);
    cr_assert(one == other && memcmp(x, y, one) == 0, "%s and %s differ", a, b);
    free(x);
    free(y);
}

static void make(const char *name) {
    uint8_t *rgb = malloc(WIDTH * HEIGHT * 3), *png;
    uint32_t state = 5;
    size_t size;
    samc_error error;
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) rgb[i] = (uint8_t)((state = state * 1664525 + 1013904223) >> 24);
    cr_assert_eq(samc__png_encode("a", rgb, WIDTH, HEIGHT, 3, &png, &size, &error), SAMC_OK);
    cr_assert_eq(samc__file_write(at(name), png, size, &error), SAMC_OK);
    free(rgb);
    free(png);
}

static void begin(void) {
    snprintf(base, sizeof base, "/tmp/samc-run-%ld", (long)getpid());
    cr_assert_eq(mkdir(base, 0777), 0);
    make("scene.png");
}

static void end(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", base);
    cr_assert_eq(system(command), 0);
}

static samc__scene_counts run_once(const char *output) {
    samc__scene_counts counts;
    samc_error error = {0};
    cr_assert_eq(go(&(request){.scene = at("scene.png"), .output = output}, &counts, &error), SAMC_OK, "%s",
                 error.message);
    return counts;
}

/* Goes on in processes that end themselves at the n-th piece of work, n drawn by `dice`; returns how many died. */
static int run_killed(const request *given, uint32_t *dice, int most) {
    int died = 0;
    for (bool over = false; !over; died += !over) {
        request q = *given;
        q.resume = true;
        *dice = *dice * 1664525 + 1013904223;
        pid_t child = fork();
        if (child == 0) {
            samc__scene_counts counts;
            samc_error error;
            calls = 0;
            die_at = 1 + (int)(*dice >> 8) % most;
            _exit(go(&q, &counts, &error) == SAMC_OK ? 0 : 1);
        }
        int how;
        cr_assert_eq(waitpid(child, &how, 0), child);
        over = WIFEXITED(how);
        cr_assert(over ? WEXITSTATUS(how) == 0 : WTERMSIG(how) == SIGKILL);
    }
    return died;
}

TestSuite(scene_run, .init = begin, .fini = end);

Test(scene_run, once) {
    samc__scene_counts counts = run_once(at("a"));
    cr_assert(counts.phase == SAMC__SCENE_WRITING && counts.left > 20 && counts.left < counts.masks, "%d of %d",
              (int)counts.left, (int)counts.masks);
    cr_assert(counts.bad == 0 && counts.waiting == 0);
    size_t size;
    char *text = text_of(at("a/scene.txt"), &size);
    int lines = 0, refined = 0, last = INT32_MAX;
    for (char *line = text;
         (line = memchr(line, '\n', (size_t)(text + size - line))) != NULL && ++line < text + size;) {
        int id, width, height, area;
        cr_assert_eq(sscanf(line, "%d: %*d %*d %d %d", &id, &width, &height), 3);
        area = width * height;
        cr_assert(id == ++lines && area <= last);
        last = area;
        refined += strncmp(strchr(strstr(line, "refined"), ' '), " 0,", 3) == 0;
    }
    cr_assert(lines == counts.left && refined > 0 && refined < lines);
    free(text);
    samc_error error;
    request again = {.scene = at("scene.png"), .output = at("a")};
    cr_assert_eq(go(&again, &counts, &error), SAMC_MISMATCH);
    cr_assert(strstr(error.message, "holds a run already") != NULL);
    again.resume = true;
    calls = 0;
    cr_assert_eq(go(&again, &counts, &error), SAMC_OK);
    cr_assert(calls == 0 && counts.left == lines, "it is done");
    again.points = 3;
    cr_assert_eq(go(&again, &counts, &error), SAMC_MISMATCH);
    cr_assert(strstr(error.message, "points is 3, the run was begun with 0") != NULL, "%s", error.message);
}

Test(scene_run, killed) {
    uint32_t dice = 11;
    run_once(at("a"));
    const int pieces = calls;
    calls = 0;
    int died = 0;
    for (int i = 0; died < 10; i++) {
        char name[16];
        snprintf(name, sizeof name, "b%d", i);
        died += run_killed(&(request){.scene = at("scene.png"), .output = at(name)}, &dice, pieces / 2);
        char path[32];
        snprintf(path, sizeof path, "b%d/scene.txt", i);
        same(at("a/scene.txt"), at(path));
    }
}

Test(scene_run, stopped) {
    run_once(at("a"));
    request q = {.scene = at("scene.png"), .output = at("b"), .resume = true, .stop_at = 3};
    samc__scene_counts counts;
    samc_error error;
    int stops = 0;
    samc_status status;
    while ((status = go(&q, &counts, &error)) == SAMC_STOPPED) stops++;
    cr_assert(status == SAMC_OK && stops > 10, "%d: %s", stops, error.message);
    same(at("a/scene.txt"), at("b/scene.txt"));
}

/* Several sessions at the same time, of tiles and of outlines: the bytes of one, also killed, or begun by other
 * numbers of them. */
Test(scene_run, sessions) {
    uint32_t dice = 17;
    run_once(at("a"));
    for (int sessions = 2; sessions <= 8; sessions += 3) {
        char name[16], file[32];
        snprintf(name, sizeof name, "b%d", sessions);
        snprintf(file, sizeof file, "%s/scene.txt", name);
        samc__scene_counts counts;
        samc_error error = {0};
        request q = {.scene = at("scene.png"), .output = at(name), .sessions = sessions};
        cr_assert_eq(go(&q, &counts, &error), SAMC_OK, "%s", error.message);
        same(at("a/scene.txt"), at(file));
        snprintf(name, sizeof name, "c%d", sessions);
        snprintf(file, sizeof file, "%s/scene.txt", name);
        q.output = at(name);
        run_killed(&q, &dice, 60); /* more than the calls of one group, 8 sessions with 2 tiles each */
        same(at("a/scene.txt"), at(file));
    }
    request q = {.scene = at("scene.png"), .output = at("d"), .resume = true, .stop_at = 2};
    samc__scene_counts counts;
    samc_error error;
    samc_status status;
    do q.sessions = q.sessions % 8 + 1;
    while ((status = go(&q, &counts, &error)) == SAMC_STOPPED);
    cr_assert(status == SAMC_OK, "%s", error.message);
    same(at("a/scene.txt"), at("d/scene.txt"));
}

/* A session that fails fails the run; what came before is kept, and another run goes on. */
Test(scene_run, a_session_fails) {
    run_once(at("a"));
    samc__scene_counts counts;
    samc_error error;
    request q = {.scene = at("scene.png"), .output = at("b"), .resume = true, .sessions = 4};
    int failures = 0;
    samc_status status;
    calls = 0;
    for (fail_every = 7; (status = go(&q, &counts, &error)) == SAMC_OUT_OF_MEMORY; failures++, fail_every++)
        cr_assert_str_eq(error.message, "drawn");
    fail_every = 0;
    cr_assert(status == SAMC_OK && failures > 3, "%d: %s", failures, error.message);
    same(at("a/scene.txt"), at("b/scene.txt"));
}

Test(scene_run, shards) {
    static const int orders[][3] = {{0, 1, 2}, {2, 0, 1}};
    uint32_t dice = 5;
    run_once(at("a"));
    for (int k = 0; k < 2; k++) {
        const char *output = at(k ? "c" : "b");
        for (int i = 0; i < 3; i++) {
            samc__scene_counts counts;
            samc_error error = {0};
            request q = {.scene = at("scene.png"), .output = output, .shard = orders[k][i], .shards = 3};
            if (k) run_killed(&q, &dice, 8);
            else cr_assert_eq(go(&q, &counts, &error), SAMC_OK, "%s", error.message);
            if (!k) cr_assert_eq(counts.waiting, 2 - i);
            if (i < 2) cr_assert_neq(access(at(k ? "c/scene.txt" : "b/scene.txt"), F_OK), 0);
        }
    }
    same(at("a/scene.txt"), at("b/scene.txt"));
    same(at("a/scene.txt"), at("c/scene.txt"));
    samc__scene_counts counts;
    samc_error error;
    request other = {.scene = at("scene.png"), .output = at("b"), .shard = 0, .shards = 2};
    cr_assert_eq(go(&other, &counts, &error), SAMC_MISMATCH);
    cr_assert(strstr(error.message, "shards is 2, the run was begun with 3") != NULL, "%s", error.message);
    char command[300]; /* a shard whose folder cannot be opened is not one that has not begun */
    snprintf(command, sizeof command, "cd %s && rm -r .samc-merge scene.txt .samc-1-of-3 && touch .samc-1-of-3",
             at("b"));
    cr_assert_eq(system(command), 0);
    other.shards = 3, other.resume = true;
    cr_assert_eq(go(&other, &counts, &error), SAMC_IO);
    cr_assert(strstr(error.message, "b/.samc-1-of-3: cannot open the folder") != NULL, "%s", error.message);
    cr_assert_eq(unlink(at("b/.samc-1-of-3")), 0);
    cr_assert_eq(go(&other, &counts, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(counts.waiting, 1);
}

/* Parts that cannot be read are told of once, whoever meets them how often, and the rest is done. */
Test(scene_run, bad_parts) {
    uint32_t dice = 3;
    size_t size;
    char *photograph = text_of(SAMC_TEST_DATA "/../../tools/examples/coffee.jpg", &size);
    samc_error error = {0};
    cr_assert_eq(samc__file_write(at("scene.jpg"), photograph, size / 2, &error), SAMC_OK);
    free(photograph);
    samc__scene_counts counts;
    request q = {.scene = at("scene.jpg"), .output = at("a")};
    cr_assert_eq(go(&q, &counts, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(counts.bad, 1, "%d", (int)counts.bad);
    char *text = text_of(at("a/errors.jsonl"), &size);
    json_t *line = json_loadb(text, size, 0, NULL);
    cr_assert(text[size - 1] == '\n' && memchr(text, '\n', size) == text + size - 1 && line != NULL);
    cr_assert_str_eq(json_string_value(json_object_get(line, "image")), "scene.png");
    cr_assert(strstr(json_string_value(json_object_get(line, "error")), "and nothing from row") != NULL);
    json_decref(line);
    free(text);
    q.output = at("b");
    run_killed(&q, &dice, 6);
    q.output = at("c");
    q.shards = 2;
    for (q.shard = 1; q.shard >= 0; q.shard--) cr_assert_eq(go(&q, &counts, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(counts.bad, 1, "%d", (int)counts.bad);
    static const char *const names[] = {"scene.txt", "errors.jsonl"};
    for (int i = 0; i < 2; i++) {
        char one[32], other[32], third[32];
        snprintf(one, sizeof one, "a/%s", names[i]);
        snprintf(other, sizeof other, "b/%s", names[i]);
        snprintf(third, sizeof third, "c/%s", names[i]);
        same(at(one), at(other));
        same(at(one), at(third));
    }
}

/* Flips a byte, or cuts the file there; `from` the end where it is below 0. */
static void damage(const char *path, long place, bool cut) {
    FILE *file = fopen(path, "r+");
    cr_assert(file != NULL, "%s", path);
    fseek(file, place, place < 0 ? SEEK_END : SEEK_SET);
    long where = ftell(file);
    int byte = fgetc(file);
    fseek(file, where, SEEK_SET);
    if (!cut) fputc(byte ^ 4, file);
    fflush(file);
    if (cut) cr_assert_eq(ftruncate(fileno(file), where), 0);
    fclose(file);
}

Test(scene_run, damage) {
    static const struct {
        const char *name;
        long place;
        bool cut;
        const char *says;
    } cases[] = {{"journal", 40, false, "journal: line 2 is damaged"},
                 {"journal", 3, false, "not a journal of this version"},
                 {"records", -200, true, "but the journal says"},
                 {"records", 300, false, "records: damaged in the entry at byte 256"},
                 {"refined", -1, true, "but the journal says"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16], path[64];
        samc__scene_counts counts;
        samc_error error;
        snprintf(name, sizeof name, "d%zu", i);
        request q = {.scene = at("scene.png"), .output = at(name), .stop_at = 42};
        cr_assert_eq(go(&q, &counts, &error), SAMC_STOPPED);
        cr_assert_eq(counts.phase, SAMC__SCENE_REFINING);
        snprintf(path, sizeof path, "%s/.samc/%s", name, cases[i].name);
        damage(at(path), cases[i].place, cases[i].cut);
        q.resume = true;
        q.stop_at = 0;
        cr_assert_eq(go(&q, &counts, &error), SAMC_FORMAT, "case %zu", i);
        cr_assert(strstr(error.message, cases[i].says) != NULL && strstr(error.message, cases[i].name) != NULL, "%s",
                  error.message);
        snprintf(path, sizeof path, "%s/scene.txt", name);
        cr_assert_neq(access(at(path), F_OK), 0);
    }
}

/* What somebody else's file is called is refused before anything is done, and stays. */
Test(scene_run, taken_name) {
    samc__scene_counts counts;
    samc_error error;
    cr_assert_eq(mkdir(at("a"), 0777), 0);
    cr_assert_eq(samc__file_write(at("a/scene.txt"), "mine", 4, &error), SAMC_OK);
    calls = 0;
    cr_assert_eq(go(&(request){.scene = at("scene.png"), .output = at("a")}, &counts, &error), SAMC_IO);
    cr_assert(strstr(error.message, "a/scene.txt: exists already and is not from this run") != NULL && calls == 0);
    size_t size;
    char *text = text_of(at("a/scene.txt"), &size);
    cr_assert(size == 4 && memcmp(text, "mine", 4) == 0);
    free(text);
}
