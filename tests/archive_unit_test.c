/* Parts of the archive run by themselves: the queue, the records of the journal, lists and names, the store. The run as
 * a whole is archive_test.py's. */
#include <criterion/criterion.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/io/budget.h"
#include "host/io/inputs.h"
#include "host/io/key.h"
#include "host/io/journal.h"
#include "host/io/queue.h"
#include "host/io/store.h"
#include "host/io/stream.h"

/* ---- Queue ----------------------------------------------------------------------------------- */

enum { ITEMS = 20000, PRODUCERS = 3, CONSUMERS = 4 };
static samc__queue queue;
static int seen[PRODUCERS * ITEMS];

static void *produce(void *argument) {
    int *items = argument;
    for (int i = 0; i < ITEMS; i++) cr_assert(samc__queue_push(&queue, &items[i]));
    samc__queue_finish(&queue);
    return NULL;
}

static void *consume(void *argument) {
    void *items[7];
    (void)argument;
    for (int n; (n = samc__queue_pop_some(&queue, items, 7)) > 0;)
        for (int i = 0; i < n; i++) __atomic_fetch_add((int *)items[i], 1, __ATOMIC_RELAXED);
    return NULL;
}

Test(queue, every_item_arrives_once) {
    pthread_t threads[PRODUCERS + CONSUMERS];
    cr_assert(samc__queue_create(&queue, 5, PRODUCERS));
    for (int i = 0; i < PRODUCERS; i++) pthread_create(&threads[i], NULL, produce, seen + i * ITEMS);
    for (int i = 0; i < CONSUMERS; i++) pthread_create(&threads[PRODUCERS + i], NULL, consume, NULL);
    for (int i = 0; i < PRODUCERS + CONSUMERS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < PRODUCERS * ITEMS; i++) cr_assert_eq(seen[i], 1, "item %d arrived %d times", i, seen[i]);
    cr_assert(samc__queue_mean_fill(&queue) <= 5.0);
    samc__queue_destroy(&queue);
}

static void *push_two(void *argument) {
    samc__queue *q = argument;
    return (void *)(intptr_t)(samc__queue_push(q, q) + samc__queue_push(q, q));
}

Test(queue, closing_wakes_who_waits) {
    samc__queue q;
    pthread_t thread;
    void *pushed;
    cr_assert(samc__queue_create(&q, 1, 1));
    pthread_create(&thread, NULL, push_two, &q); /* the second waits for room */
    while (samc__queue_count(&q) == 0) usleep(1000);
    usleep(20000);
    samc__queue_close(&q);
    pthread_join(thread, &pushed);
    cr_assert_eq((intptr_t)pushed, 1);
    cr_assert_null(samc__queue_pop(&q));
    cr_assert_not(samc__queue_push(&q, &q));
    samc__queue_destroy(&q);
}

/* ---- Journal --------------------------------------------------------------------------------- */

Test(journal, records_come_back) {
    char line[SAMC__JOURNAL_LINE];
    samc__record r, records[] = {{.number = 0},
                                 {7, 5, true, false, 123456789012, 3, 1, 2, 3, 4, 0, -1, -1},
                                 {9, 5, false, true, 12, 3, 1, 2, 3, 4, 77, 6, -1},
                                 {INT64_MAX, INT64_MAX, false, false, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX,
                                  INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX - 1, INT64_MAX - 1}};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        int n = samc__record_print(&records[i], line);
        cr_assert_eq(line[n - 1], '\n');
        cr_assert(samc__record_parse(line, (size_t)n - 1, &r));
        cr_assert_eq(memcmp(&r.masks, &records[i].masks, sizeof r - offsetof(samc__record, masks)), 0);
        cr_assert(r.number == records[i].number && r.image == records[i].image && r.failed == records[i].failed &&
                  r.ended == records[i].ended);
        for (int at = 0; at < n - 1; at++) /* any changed character is noticed */
            for (int bit = 0; bit < 8; bit++) {
                line[at] ^= (char)(1 << bit);
                cr_assert_not(samc__record_parse(line, (size_t)n - 1, &r), "character %d, bit %d", at, bit);
                line[at] ^= (char)(1 << bit);
            }
        for (int length = 0; length < n - 1; length++) cr_assert_not(samc__record_parse(line, (size_t)length, &r));
    }
}

static samc__journal_scan scan(const char *text, size_t size) {
    samc__journal_scan found;
    FILE *file = fmemopen((void *)text, size, "rb");
    cr_assert(samc__journal_read(file, &found));
    fclose(file);
    free(found.failed);
    return found;
}

Test(journal, ends_where_a_loss_of_power_cut_it) {
    char text[4096] = "samc journal 3\n";
    size_t ends[41], size = strlen(text), sector = 1024;
    for (int i = 0; i < 40; i++) {
        ends[i] = size;
        samc__record_print(&(samc__record){.number = i, .image = i, .masks = 10 * i}, text + size);
        size = strlen(text);
    }
    ends[40] = size;
    samc__journal_scan found = scan(text, size);
    cr_assert(found.good == (int64_t)size && found.last.number == 39 && found.last.masks == 390 && found.damaged == 0);
    for (size_t cut = ends[0]; cut < size; cut++) { /* torn anywhere: the whole records before */
        int whole = 0;
        while (whole < 40 && ends[whole + 1] <= cut) whole++;
        found = scan(text, cut);
        cr_assert(found.good == (int64_t)ends[whole] && found.last.number == whole - 1 && found.damaged == 0, "%zu",
                  cut);
    }
    cr_assert(ends[12] < sector && size > sector);
    memset(text + ends[12], 0, sector - ends[12]); /* a sector that did not reach the disk, with good ones behind it */
    found = scan(text, size);
    cr_assert(found.good == (int64_t)ends[12] && found.last.number == 11 && found.damaged == 0);
    text[sector] = '\0'; /* zeros that end in the middle of one are no loss of power */
    cr_assert_eq(scan(text, size).damaged, 14);
}

Test(journal, tells_damage_by_its_line) {
    char text[4096] = "samc journal 3\n", line[SAMC__JOURNAL_LINE];
    size_t ends[6], size = strlen(text);
    for (int i = 0; i < 5; i++) {
        ends[i] = size;
        samc__record_print(&(samc__record){.number = i, .image = i, .masks = 10 * i}, text + size);
        size = strlen(text);
    }
    for (size_t at = ends[0]; at + 1 < size; at++) { /* any bit of any record, but the last line's end */
        int which = 0;
        while (at >= ends[which + 1] && which < 4) which++;
        for (int bit = 0; bit < 8; bit++) {
            text[at] ^= (char)(1 << bit);
            samc__journal_scan found = scan(text, size);
            cr_assert_eq(found.damaged, which + 2, "byte %zu, bit %d: %lld", at, bit, (long long)found.damaged);
            text[at] ^= (char)(1 << bit);
        }
    }
    int n = samc__record_print(&(samc__record){.number = 9, .image = 9}, line);
    memcpy(text + size, line, (size_t)n); /* a number too far */
    cr_assert_eq(scan(text, size + (size_t)n).damaged, 7);
    cr_assert(scan("samc journal 2\n", 15).foreign);
    cr_assert(scan("samc", 4).foreign);
}

Test(journal, knows_what_failed_and_was_resolved) {
    static const struct {
        int64_t image;
        bool failed;
    } records[] = {{0, true}, {1, false}, {2, true}, {3, true}, {2, false}, {0, true}, {3, false}};
    char text[4096] = "samc journal 3\n";
    samc__journal_scan found;
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        samc__record_print(
            &(samc__record){.number = (int64_t)i, .image = records[i].image, .failed = records[i].failed, .unit = -1},
            text + strlen(text));
    FILE *file = fmemopen(text, strlen(text), "rb");
    cr_assert(samc__journal_read(file, &found));
    fclose(file);
    cr_assert(found.last.number == 6 && found.failed_count == 1 && found.failed[0] == 0);
    free(found.failed);
}

/* ---- Lists and names ------------------------------------------------------------------------- */

static samc_status collect(void *context, const char *text) {
    strcat(strcat(context, text), "|");
    return SAMC_OK;
}

Test(lists, lines_and_zero_bytes) {
    static const struct {
        const char *text;
        size_t size;
        const char *lines;
    } cases[] = {{"", 0, ""},
                 {"a", 1, "a|"},
                 {"a\nb\n", 4, "a|b|"},
                 {"\n\na\r\n\r\nb c\r", 11, "a|b c|"},
                 {"a\nb\0c\0", 6, "a\nb|c|"},
                 {"\0\0a", 3, "a|"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char lines[64] = "";
        cr_assert_eq(samc__list_lines((const uint8_t *)cases[i].text, cases[i].size, collect, lines, NULL), SAMC_OK);
        cr_expect_str_eq(lines, cases[i].lines);
    }
}

Test(lists, keys_stay_below_the_output) {
    static const struct {
        const char *path, *key;
        bool inside;
    } cases[] = {{"a/b.jpg", "a/b.jpg", true},
                 {"/a//b.jpg", "a/b.jpg", true},
                 {"./a/./b.jpg", "a/b.jpg", true},
                 {"../a.jpg", "a.jpg", false},
                 {"a/../../b.jpg", "a/b.jpg", false},
                 {"..", "", false},
                 {"/", "", true},
                 {"...jpg", "...jpg", true},
                 {"a/..b", "a/..b", true},
                 {"", "", true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char key[64];
        cr_expect_eq(samc__key_of_path(cases[i].path, key), cases[i].inside, "%s", cases[i].path);
        cr_expect_str_eq(key, cases[i].key);
    }
}

/* ---- Store ----------------------------------------------------------------------------------- */

static char folder[64];

static void enter_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/samc-store-%ld", (long)getpid());
    cr_assert_eq(mkdir(folder, 0777), 0);
}

static void leave_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

static bool there(const char *name) {
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static void write_scratch(const samc__store *store, const char *scratch) {
    samc__writer writer;
    samc_error error;
    cr_assert_eq(samc__store_create(store, scratch, &writer, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc__writer_append(&writer, "new", 3, &error), SAMC_OK);
    cr_assert_eq(samc__writer_commit(&writer, &error), SAMC_OK);
}

TestSuite(store, .init = enter_folder, .fini = leave_folder);

Test(store, publishes_and_refuses_what_is_not_its_own) {
    samc__store store = {.sync = true};
    samc_error error;
    struct stat result, other;
    char scratch[SAMC__STORE_NAME];
    cr_assert_eq(samc__store_open(&store, folder, ".samc", &error), SAMC_OK, "%s", error.message);
    samc__store_scratch(5, ".json", scratch);
    write_scratch(&store, scratch);
    cr_assert_eq(fstatat(store.tmp, scratch, &result, 0), 0);
    cr_assert_eq(samc__store_publish(&store, scratch, "a/b/c.jpg", ".json", &error), SAMC_OK);
    cr_assert(there("a/b/c.jpg.json"));
    cr_assert_eq(store.folder_count, 4, "the output, the state folder, a, b: %d",
                 store.folder_count); /* names that were made and are not synced yet */
    cr_assert_eq(samc__store_sync_folders(&store, &error), SAMC_OK);
    write_scratch(&store, scratch);
    cr_assert_eq(samc__store_publish(&store, scratch, "a/b/c.jpg", ".json", &error), SAMC_IO);
    cr_assert_not_null(strstr(error.message, "c.jpg.json: exists already"));
    /* Another file than was marked stays, that one goes. */
    other = result;
    other.st_size++;
    cr_assert_eq(samc__store_take_back(&store, scratch, "a/b/c.jpg", ".json", &other, &error), SAMC_OK);
    cr_assert(there("a/b/c.jpg.json"));
    cr_assert_eq(samc__store_take_back(&store, scratch, "a/b/c.jpg", ".json", &result, &error), SAMC_OK);
    cr_assert_not(there("a/b/c.jpg.json"));
    cr_assert_eq(samc__store_publish(&store, scratch, "a/b/c.jpg", ".json", &error), SAMC_OK);
    /* Names of samc's own, and links on the way. */
    char link[128];
    snprintf(link, sizeof link, "%s/link", folder);
    cr_assert_eq(symlink("a", link), 0);
    write_scratch(&store, "x");
    cr_assert_eq(samc__store_publish(&store, "x", ".samc/journal", "", &error), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(samc__store_publish(&store, "x", "link/x", "", &error), SAMC_IO);
    cr_assert_not_null(strstr(error.message, "/link: is a symbolic link"), "%s", error.message);
    write_scratch(&store, "5.more");
    cr_assert_eq(samc__store_recover(&store, &error), SAMC_OK);
    cr_assert_eq(samc__store_clear(&store, &error), SAMC_OK);
    cr_assert(!there(".samc/tmp/5.more") && there(".samc/tmp"));
    samc__store second = {0};
    cr_assert_eq(samc__store_open(&second, folder, ".samc", &error), SAMC_IO, "two processes");
    cr_assert_not_null(strstr(error.message, "another process"));
    samc__store_close(&second);
    cr_assert(there(".samc"), "the second took the first's folder away");
    store.begun = true;
    samc__store_close(&store);
    cr_assert(there(".samc"));
}

Test(store, leaves_nothing_of_a_run_that_did_not_begin) {
    char root[128], inside[160];
    samc_error error;
    snprintf(root, sizeof root, "%s/x/y", folder);
    snprintf(inside, sizeof inside, "%s/.samc/tmp", root);
    samc__store store = {0};
    cr_assert_eq(samc__store_open(&store, root, ".samc", &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(access(inside, F_OK), 0);
    samc__store_close(&store);
    cr_assert(there("x") && !there("x/y"));
}

Test(store, streams_are_cut_to_their_length) {
    samc__store store = {0};
    samc__stream stream;
    samc_error error;
    struct stat information;
    cr_assert_eq(samc__store_open(&store, folder, ".samc", &error), SAMC_OK);
    cr_assert_eq(samc__stream_open(&stream, &store, false, "lines", 0, &error), SAMC_OK);
    cr_assert_eq(samc__stream_append(&stream, &store, "one\ntwo\n", 8, &error), SAMC_OK);
    samc__stream_close(&stream);
    cr_assert_eq(samc__stream_check(&store, false, "lines", 9, &error), SAMC_FORMAT);
    cr_assert_eq(samc__stream_open(&stream, &store, false, "lines", 9, &error), SAMC_FORMAT, "bytes are missing");
    samc__stream_close(&stream);
    cr_assert(samc__store_stat(&store, false, "lines", &information) && information.st_size == 8,
              "cut before it was known to fit");
    cr_assert_eq(samc__stream_open(&stream, &store, false, "lines", 4, &error), SAMC_OK);
    cr_assert_eq(samc__stream_append(&stream, &store, "2\n", 2, &error), SAMC_OK);
    cr_assert(!there("lines") && there(".samc/lines"));
    cr_assert_eq(samc__stream_publish(&stream, &store, &error), SAMC_OK);
    cr_assert(there("lines") && !there(".samc/lines"));
    cr_assert_eq(samc__stream_open(&stream, &store, true, "lines", 0, &error), SAMC_IO, "somebody else's");
    cr_assert_eq(samc__stream_open(&stream, &store, true, "lines", 6, &error), SAMC_OK);
    samc__stream_close(&stream);
    /* A second name is somebody's copy, unless a crash in the middle of a rename has left it. */
    cr_assert_eq(linkat(store.top, "lines", store.folder, "lines", 0), 0);
    cr_assert_eq(samc__stream_check(&store, true, "lines", 6, &error), SAMC_OK);
    cr_assert_eq(samc__store_move(&store, "lines", false, &error), SAMC_OK);
    cr_assert(!there("lines") && there(".samc/lines"));
    cr_assert_eq(linkat(store.folder, "lines", store.top, "copy", 0), 0);
    cr_assert_eq(samc__stream_check(&store, false, "lines", 6, &error), SAMC_IO);
    cr_assert_not_null(strstr(error.message, "hard links"), "%s", error.message);
    samc__store_close(&store);
}

/* ---- Budget ---------------------------------------------------------------------------------- */

static void put_text(const char *name, const char *text) {
    char path[256], command[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(command, sizeof command, "mkdir -p $(dirname %s)", path);
    cr_assert_eq(system(command), 0);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

TestSuite(budget, .init = enter_folder, .fini = leave_folder);

Test(budget, is_a_quarter_of_what_the_control_group_allows) {
    int64_t machine = samc__budget_default(folder); /* no groups at all */
    cr_assert_gt(machine, 1 << 24);
    put_text("proc/self/cgroup", "0::/a/b\n"); /* version 2 */
    cr_assert_eq(samc__budget_default(folder), machine, "no limit anywhere");
    put_text("sys/fs/cgroup/a/b/memory.max", "max\n");
    cr_assert_eq(samc__budget_default(folder), machine);
    put_text("sys/fs/cgroup/a/memory.max", "40000000\n");
    cr_assert_eq(samc__budget_default(folder), 10000000, "that of the group above");
    put_text("sys/fs/cgroup/a/b/memory.max", "20000000\n");
    cr_assert_eq(samc__budget_default(folder), 5000000);
    put_text("proc/self/cgroup", "0::/not/there\n"); /* seen from within a container */
    put_text("sys/fs/cgroup/memory.max", "8000000\n");
    cr_assert_eq(samc__budget_default(folder), 2000000);
    put_text("proc/self/cgroup", "5:cpu,memory:/x\n1:name=systemd:/y\n"); /* version 1 */
    put_text("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    cr_assert_eq(samc__budget_default(folder), machine);
    put_text("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "16000000\n");
    cr_assert_eq(samc__budget_default(folder), 4000000);
}

static void *take_picture(void *argument) { return (void *)(intptr_t)samc__budget_take(argument, SAMC__PICTURES, 80); }
static void *enter(void *argument) { return (void *)(intptr_t)samc__budget_enter(argument, false); }

/* What a thread that had to wait came back with, after `release` was called; -1 where it did not wait. */
static intptr_t waited(samc__budget *b, void *(*body)(void *), void (*release)(samc__budget *)) {
    pthread_t thread;
    void *answer;
    struct timespec soon;
    pthread_create(&thread, NULL, body, b);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 30000000;
    if (soon.tv_nsec >= 1000000000) soon.tv_sec++, soon.tv_nsec -= 1000000000;
    bool went = pthread_timedjoin_np(thread, &answer, &soon) == 0;
    release(b);
    if (went) return -1;
    pthread_join(thread, &answer);
    return (intptr_t)answer;
}

static void give_picture(samc__budget *b) { samc__budget_change(b, SAMC__PICTURES, 500, 0); }

Test(budget, one_always_passes_and_others_wait) {
    samc__budget b;
    samc__budget_create(&b, 100);
    cr_assert(samc__budget_take(&b, SAMC__PICTURES, 500) && samc__budget_take(&b, SAMC__MEMBERS, 500));
    cr_assert_eq(waited(&b, take_picture, give_picture), 1, "a picture does not wait for members");
    cr_assert_eq(b.bytes[SAMC__PICTURES], 80);
    samc__budget_change(&b, SAMC__MEMBERS, 500, 0);
    cr_assert(samc__budget_take(&b, SAMC__MEMBERS, 20));
    cr_assert(samc__budget_enter(&b, false) && !samc__budget_reserve(&b));
    cr_assert(samc__budget_enter(&b, true), "the one that it is reserved for");
    samc__budget_leave(&b);
    samc__budget_leave(&b);
    cr_assert(samc__budget_reserve(&b));
    cr_assert_eq(waited(&b, enter, samc__budget_release), 1);
    cr_assert_eq(waited(&b, take_picture, samc__budget_close), 0, "sent away");
    cr_assert(!samc__budget_enter(&b, false));
    samc__budget_destroy(&b);
}
