/* Frames from memory, in an order that the test decides: by a clock of its own, and no thread but where one has to
 * wait.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/samc_io.h"
#include "tests/engine.h"

enum { WIDTH = 40, HEIGHT = 32 };

/* A frame whose pixels follow from its number. */
static samc_image frame(int number, uint8_t *pixels) {
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                pixels[(y * WIDTH + x) * 3 + c] = (uint8_t)(((x + number) / 8 % 2 ? 200 : 40) + 5 * c + y);
    return (samc_image){sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
}

typedef struct bench {
    samc_model *model;
    samc_session *session;
    samc_prompts *prompts;
    samc_stream_options options;
    samc_stream *stream;
    double now;
} bench;

static double read_clock(void *context) { return ((bench *)context)->now; }

/* One point and one box. */
static void begin(bench *b, bool every) {
    static const float point[2] = {20, 16}, box[4] = {2, 3, 30, 28};
    static const int32_t label = 1;
    *b = (bench){.model = open_model(SAMC_BACKEND_CPU, 1)};
    b->session = open_session(b->model);
    cr_assert_eq(samc_prompts_create(&b->prompts, NULL), SAMC_OK);
    const samc_prompt prompts[2] = {
        {.size = sizeof *prompts, .points = point, .labels = &label, .point_count = 1},
        {.size = sizeof *prompts, .box = box},
    };
    for (int i = 0; i < 2; i++) cr_assert_eq(samc_prompts_add(b->prompts, &prompts[i], NULL), SAMC_OK);
    b->options = (samc_stream_options){.size = sizeof b->options,
                                       .prompts = b->prompts,
                                       .every = every,
                                       .room = 2,
                                       .clock = read_clock,
                                       .clock_context = b};
    cr_assert_eq(samc_stream_create(b->session, &b->options, &b->stream, NULL), SAMC_OK);
}

static void end(bench *b) {
    samc_stream_destroy(b->stream);
    samc_session_destroy(b->session);
    samc_prompts_free(b->prompts);
    samc_model_close(b->model);
}

static void push(bench *b, int number) {
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    samc_image image = frame(number, pixels);
    samc_error error = {0};
    cr_assert_eq(samc_stream_push(b->stream, &image, number, &error), SAMC_OK, "%s", error.message);
    memset(pixels, 0, sizeof pixels); /* the stream has its own */
}

static samc_stream_frame next(bench *b) {
    samc_stream_frame f = SAMC_INIT(samc_stream_frame);
    samc_error error = {0};
    cr_assert_eq(samc_stream_next(b->stream, &f, &error), SAMC_OK, "%s", error.message);
    return f;
}

static samc_stream_counts counts_of(bench *b) {
    samc_stream_counts c = SAMC_INIT(samc_stream_counts);
    cr_assert_eq(samc_stream_get_counts(b->stream, &c, NULL), SAMC_OK);
    return c;
}

/* The masks are those of samc_predict() on the same pixels, the best of each prompt. */
static void check_masks(bench *b, const samc_stream_frame *f) {
    static uint8_t pixels[WIDTH * HEIGHT * 3], expected[WIDTH * HEIGHT], got[WIDTH * HEIGHT];
    const samc_image image = frame((int)f->number, pixels);
    cr_assert(f->image->width == WIDTH && f->image->height == HEIGHT);
    cr_assert_eq(memcmp(f->image->pixels, pixels, sizeof pixels), 0);
    samc_session *session = open_session(b->model);
    samc_result *result;
    samc_mask mask = SAMC_INIT(samc_mask);
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK);
    cr_assert_eq(samc_predict(session, samc_prompts_at(b->prompts, 0), 2, true, &result), SAMC_OK);
    cr_assert_eq(f->count, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(samc_result_mask(session, result, i, samc_result_best(result, i), &mask), SAMC_OK);
        const samc_mask *m = samc_mask_at(f->masks, i);
        cr_expect(m->prompt == i && m->index == mask.index && m->predicted_iou == mask.predicted_iou);
        cr_assert_eq(samc_mask_bytes(&mask, expected, NULL), SAMC_OK);
        cr_assert_eq(samc_mask_bytes(m, got, NULL), SAMC_OK);
        cr_expect_eq(memcmp(expected, got, sizeof got), 0);
    }
    samc_result_free(result);
    samc_session_destroy(session);
}

Test(stream, latest_frame_wins) {
    bench b;
    begin(&b, false);
    for (int i = 0; i < 3; i++) b.now = i, push(&b, i);
    b.now = 2.5;
    samc_stream_frame f = next(&b);
    cr_expect_eq(f.number, 2);
    cr_expect_eq(f.latency, 0.5);
    check_masks(&b, &f);
    push(&b, 7);
    f = next(&b);
    cr_expect_eq(f.number, 7);
    check_masks(&b, &f);
    samc_stream_finish(b.stream);
    f = next(&b);
    cr_expect(f.image == NULL && f.count == 0);
    samc_stream_counts c = counts_of(&b);
    cr_expect(c.pushed == 4 && c.done == 2 && c.dropped == 2 && c.failed == 0, "%d %d", (int)c.done, (int)c.dropped);
    cr_expect_eq(c.seconds, 2.5);
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    const samc_image late = frame(9, pixels);
    cr_expect_eq(samc_stream_push(b.stream, &late, 9, NULL), SAMC_STOPPED);
    end(&b);
}

Test(stream, percentiles_of_latency) {
    bench b;
    begin(&b, false);
    for (int i = 0; i < 20; i++) {
        b.now = 100 * i;
        push(&b, i);
        b.now += 20 - i; /* 20, 19, ... 1 */
        next(&b);
    }
    samc_stream_counts c = counts_of(&b);
    cr_expect(c.p50 == 10 && c.p95 == 19 && c.p99 == 20, "%g %g %g", c.p50, c.p95, c.p99);
    cr_expect_eq(c.seconds, 1901);
    end(&b);
}

static void *push_five(void *context) {
    for (int i = 0; i < 5; i++) push(context, i);
    samc_stream_finish(((bench *)context)->stream);
    return NULL;
}

/* Who pushes waits until there is room, whichever thread is the faster. */
Test(stream, every_frame) {
    bench b;
    pthread_t pusher;
    begin(&b, true);
    cr_assert_eq(pthread_create(&pusher, NULL, push_five, &b), 0);
    for (int i = 0; i < 5; i++) {
        samc_stream_frame f = next(&b);
        cr_expect_eq(f.number, i);
        check_masks(&b, &f);
    }
    cr_expect(next(&b).image == NULL);
    pthread_join(pusher, NULL);
    samc_stream_counts c = counts_of(&b);
    cr_expect(c.pushed == 5 && c.done == 5 && c.dropped == 0);
    end(&b);
}

static void *stop(void *context) {
    samc_stream_stop(((bench *)context)->stream);
    return NULL;
}

/* Both sides that wait are let go. */
Test(stream, stopped) {
    bench b;
    pthread_t other;
    samc_stream_frame f = SAMC_INIT(samc_stream_frame);
    begin(&b, true);
    cr_assert_eq(pthread_create(&other, NULL, stop, &b), 0);
    cr_expect_eq(samc_stream_next(b.stream, &f, NULL), SAMC_STOPPED); /* nothing was pushed, nothing will be */
    pthread_join(other, NULL);
    end(&b);
    begin(&b, true);
    push(&b, 0);
    push(&b, 1);
    cr_assert_eq(pthread_create(&other, NULL, stop, &b), 0);
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    const samc_image image = frame(2, pixels);
    cr_expect_eq(samc_stream_push(b.stream, &image, 2, NULL), SAMC_STOPPED);
    pthread_join(other, NULL);
    cr_expect_eq(samc_stream_next(b.stream, &f, NULL), SAMC_STOPPED);
    end(&b);
}

static void *next_one(void *context) {
    samc_stream_frame f = SAMC_INIT(samc_stream_frame);
    samc_status status = samc_stream_next(((bench *)context)->stream, &f, NULL);
    cr_expect(status == SAMC_OK || status == SAMC_STOPPED); /* whether the stop came in time or not */
    return NULL;
}

static samc_status take_none(void *context, int image, const samc_mask *masks, int count,
                             const samc_auto_stats *stats) {
    (void)context, (void)image, (void)masks, (void)count, (void)stats;
    return SAMC_OK;
}

/* Stopped while prompts are computed, the stream leaves the session as it was: no stop waits for what comes next. */
Test(stream, stopped_at_work) {
    bench b;
    pthread_t other;
    uint8_t pixels[WIDTH * HEIGHT * 3];
    static const float box[4] = {2, 3, 30, 28};
    begin(&b, true);
    samc_stream_destroy(b.stream);
    b.options.room = 1;
    for (int i = 0; i < 300; i++) /* which take their time */
        cr_assert_eq(samc_prompts_add(b.prompts, &(samc_prompt){.size = sizeof(samc_prompt), .box = box}, NULL),
                     SAMC_OK);
    cr_assert_eq(samc_stream_create(b.session, &b.options, &b.stream, NULL), SAMC_OK);
    push(&b, 0);
    cr_assert_eq(pthread_create(&other, NULL, next_one, &b), 0);
    push(&b, 1); /* which waits until the first one is at work */
    samc_stream_stop(b.stream);
    pthread_join(other, NULL);
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(NULL, &automatic);
    automatic.points_per_side = 1;
    const samc_image image = frame(2, pixels);
    cr_expect_eq(samc_auto(b.session, &image, 1, &automatic, take_none, NULL), SAMC_OK, "%s",
                 samc_last_error(b.session));
    end(&b);
}

/* Run lengths that are kept outlive the frame. */
Test(stream, automatic_masks) {
    bench b;
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    begin(&b, false);
    samc_stream_destroy(b.stream);
    samc_default_auto_options(NULL, &automatic);
    automatic.points_per_side = 4;
    automatic.pred_iou_thresh = automatic.stability_score_thresh = 0;
    b.options.prompts = NULL;
    b.options.automatic = &automatic;
    cr_assert_eq(samc_stream_create(b.session, &b.options, &b.stream, NULL), SAMC_OK);
    push(&b, 3);
    samc_stream_frame f = next(&b);
    cr_assert_gt(f.count, 0);
    samc_mask mask = *samc_mask_at(f.masks, 0);
    samc_runs *runs = samc_runs_keep(mask.runs);
    push(&b, 4);
    next(&b);
    static uint8_t bytes[WIDTH * HEIGHT];
    cr_assert_eq(samc_mask_bytes(&mask, bytes, NULL), SAMC_OK);
    int64_t area = 0;
    for (int i = 0; i < WIDTH * HEIGHT; i++) area += bytes[i];
    cr_expect_eq(area, mask.area);
    samc_runs_release(runs);
    end(&b);
}

/* A frame that the prompts lie outside of fails, by its number, and the next one goes. */
Test(stream, frames_that_fail) {
    bench b;
    uint8_t small[5 * 5 * 3] = {0};
    samc_error error = {0};
    samc_stream_frame f = SAMC_INIT(samc_stream_frame);
    begin(&b, false);
    const samc_image image = {sizeof image, small, 5, 5, 15};
    cr_assert_eq(samc_stream_push(b.stream, &image, 41, NULL), SAMC_OK);
    cr_expect_eq(samc_stream_next(b.stream, &f, &error), SAMC_INVALID_ARGUMENT);
    cr_expect(strstr(error.message, "frame 41") != NULL && f.number == 41 && f.image == NULL, "%s", error.message);
    push(&b, 42);
    cr_expect_eq(next(&b).number, 42);
    cr_expect_eq(counts_of(&b).failed, 1);
    end(&b);
}

Test(stream, refused) {
    bench b;
    samc_error error;
    samc_stream *stream;
    uint8_t pixel[3] = {0};
    begin(&b, false);
    cr_expect_eq(samc_stream_create(NULL, NULL, &stream, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_stream_create(b.session, NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    samc_stream_options options = b.options;
    options.room = -1;
    cr_expect_eq(samc_stream_create(b.session, &options, &stream, &error), SAMC_INVALID_ARGUMENT);
    options = b.options;
    options.size = 0;
    cr_expect_eq(samc_stream_create(b.session, &options, &stream, &error), SAMC_INVALID_ARGUMENT);
    samc_prompts *none;
    cr_assert_eq(samc_prompts_create(&none, NULL), SAMC_OK);
    options = b.options;
    options.prompts = none;
    cr_expect_eq(samc_stream_create(b.session, &options, &stream, &error), SAMC_INVALID_ARGUMENT);
    samc_prompts_free(none);
    const samc_image bad[] = {{sizeof *bad, NULL, 1, 1, 3},
                              {sizeof *bad, pixel, 0, 1, 3},
                              {sizeof *bad, pixel, 1, -1, 3},
                              {sizeof *bad, pixel, 2, 1, 5},
                              {sizeof *bad, pixel, 1 << 20, 1 << 20, 3 << 20},
                              {0, pixel, 1, 1, 3}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(samc_stream_push(b.stream, &bad[i], 0, &error), SAMC_INVALID_ARGUMENT, "%zu", i);
    cr_expect_eq(samc_stream_push(b.stream, NULL, 0, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_stream_push(NULL, bad, 0, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_stream_next(NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_stream_next(b.stream, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_stream_get_counts(b.stream, NULL, &error), SAMC_INVALID_ARGUMENT);
    samc_stream_finish(NULL);
    samc_stream_stop(NULL);
    samc_stream_destroy(NULL);
    end(&b);
}
