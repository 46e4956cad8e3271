/* Stages without a server: work of these tests, which waits where it is told to, and what happened in which order. */
#include <criterion/criterion.h>

#include "host/serve/internal.h"

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- In place of the server ------------------------------------------------------------------ */

void MHD_suspend_connection(struct MHD_Connection *connection) { (void)connection; }
void samc__reply_error(samc__request *r, unsigned status, const char *format, ...) {
    (void)format;
    if (r->reply.status == 0) r->reply.status = status;
}
void samc__reply_failure(samc__request *r, const samc_error *error) { samc__reply_error(r, 500, "%s", error->message); }
void samc__reply_header(samc__request *r, const char *name, const char *format, ...) {
    (void)format;
    r->reply.header[r->reply.headers++].name = name;
}
static void (*handler)(samc__request *request);
void samc__request_handle(samc__request *r) { handler(r); }
bool samc__request_gone(samc__request *r) { return atomic_load(&r->gone); }
samc__request *samc__request_keep(samc__request *r) { return r; }
void samc__request_release(samc__request *r) { (void)r; }
samc_status samc_session_create(const samc_model *model, samc_session **session, samc_error *error) {
    static char one[64];
    static atomic_int made;
    (void)model, (void)error;
    return *session = (samc_session *)(void *)&one[atomic_fetch_add(&made, 1) % 64], SAMC_OK;
}
static sem_t stopped;
void samc_session_stop(samc_session *session) {
    if (session != NULL) sem_post(&stopped);
}
void samc_session_destroy(samc_session *session) { (void)session; }

/* ---- What happened --------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char story[256];
static sem_t began, go, ended;

static void tell(const char *what) {
    pthread_mutex_lock(&lock);
    strcat(story, what);
    pthread_mutex_unlock(&lock);
}

void samc__request_finish(samc__request *r) {
    if (r->reply.status == 0) r->reply.status = 200;
    if (r->reply.status != 200) tell(r->reply.status == 503 ? "x" : "!");
    sem_post(&ended);
}

static samc__serve *serve_with(int sessions) {
    static samc__serve serve;
    samc_error error;
    memset(&serve, 0, sizeof serve);
    serve.options.sessions = sessions;
    serve.options.queue = 4;
    serve.options.waiting_bytes = 100;
    serve.patience = 3600; /* nothing here goes by time */
    story[0] = '\0';
    sem_init(&began, 0, 0), sem_init(&go, 0, 0), sem_init(&ended, 0, 0), sem_init(&stopped, 0, 0);
    cr_assert_eq(samc__stages_start(&serve, &error), SAMC_OK);
    return &serve;
}

static samc__serve *serve_new(void) { return serve_with(1); }

static void serve_free(samc__serve *serve) {
    samc__stages_stop(serve);
    samc__stages_free(serve);
}

static int in_stage(samc__serve *serve, samc__stage stage) {
    int waiting, working;
    samc__stage_count(serve, stage, &waiting, &working);
    return waiting + working;
}

static void wait_for(sem_t *what, int times) {
    for (int i = 0; i < times; i++) sem_wait(what);
}

static void click(samc__request *r, samc_session *session) {
    (void)session;
    sem_post(&began);
    sem_wait(&go);
    tell("c");
    samc__request_finish(r);
}

static void tell_it(samc__request *r, samc_session *session) {
    (void)session;
    tell(r->id);
    samc__request_finish(r);
}

/* Automatic masks: three batches of points, before each of which others may go first. */
static void automatic(samc__request *r, samc_session *session) {
    (void)session;
    for (int i = 0; i < 3; i++) {
        sem_post(&began);
        sem_wait(&go);
        samc__stages_give_way(r->serve);
        tell("a");
    }
    samc__request_finish(r);
}

static void gives_way(samc__request *r, samc_session *session) {
    (void)session;
    sem_post(&began);
    samc__stages_give_way(r->serve);
    tell("a");
    samc__request_finish(r);
}

Test(stages, prompts_go_before_automatic_masks) {
    samc__serve *serve = serve_new();
    samc__request all = {.serve = serve}, prompt[2] = {{.serve = serve}, {.serve = serve}};
    cr_assert(samc__stage_submit(&all, SAMC__AUTO, automatic));
    wait_for(&began, 1); /* the first batch is done */
    for (int i = 0; i < 2; i++) cr_assert(samc__stage_submit(&prompt[i], SAMC__PREDICT, click));
    wait_for(&began, 1);                         /* one prompt is at work, one waits */
    sem_post(&go), sem_post(&go), sem_post(&go); /* for both, and for the batch, whoever takes which */
    wait_for(&ended, 2);
    wait_for(&began, 2);
    sem_post(&go), sem_post(&go);
    wait_for(&ended, 1);
    cr_expect_str_eq(story, "ccaaa");
    serve_free(serve);
}

Test(stages, what_is_full_sends_away) {
    samc__serve *serve = serve_new();
    samc__request r[6];
    for (int i = 0; i < 6; i++) r[i] = (samc__request){.serve = serve};
    cr_assert(samc__stage_submit(&r[0], SAMC__PREDICT, click));
    wait_for(&began, 1);
    for (int i = 1; i < 5; i++) cr_assert(samc__stage_submit(&r[i], SAMC__PREDICT, click));
    cr_expect_eq(in_stage(serve, SAMC__PREDICT), 5);
    cr_expect_not(samc__stage_submit(&r[5], SAMC__PREDICT, click));
    cr_expect_eq(r[5].reply.status, 503);
    cr_expect_str_eq(r[5].reply.header[0].name, "Retry-After");
    for (int i = 0; i < 5; i++) sem_post(&go);
    wait_for(&ended, 5);
    cr_expect_str_eq(story, "ccccc");
    serve_free(serve);
}

static samc_session *whose[2];

static void click_of(samc__request *r, samc_session *session) {
    whose[r->id[0] - '0'] = session;
    click(r, session);
}

/* Two at a time, in sessions of their own; automatic masks wait for both. */
Test(stages, prompts_of_several_sessions) {
    samc__serve *serve = serve_with(2);
    samc__request all = {.serve = serve}, prompt[] = {{.serve = serve, .id = "0"}, {.serve = serve, .id = "1"}};
    samc__request third = {.serve = serve, .id = "t"};
    int waiting, working;
    for (int i = 0; i < 2; i++) cr_assert(samc__stage_submit(&prompt[i], SAMC__PREDICT, click_of));
    wait_for(&began, 2); /* both, before either may end */
    cr_expect_neq(whose[0], whose[1]);
    cr_assert(samc__stage_submit(&third, SAMC__PREDICT, tell_it));
    samc__stage_count(serve, SAMC__PREDICT, &waiting, &working);
    cr_expect_eq(waiting, 1);
    cr_expect_eq(working, 2);
    cr_assert(samc__stage_submit(&all, SAMC__AUTO, gives_way));
    wait_for(&began, 1);
    sem_post(&go); /* one ends, and its thread takes the third */
    wait_for(&ended, 2);
    cr_expect_str_eq(story, "ct");
    sem_post(&go);
    wait_for(&ended, 2);
    cr_expect_str_eq(story, "ctca");
    serve_free(serve);
}

/* As many as may wait and one more, whether the thread that takes that one is awake already or not. */
Test(stages, what_a_free_thread_takes_does_not_wait) {
    samc__serve *serve = serve_new();
    samc__request r[6];
    for (int i = 0; i < 6; i++) r[i] = (samc__request){.serve = serve};
    for (int i = 0; i < 5; i++) cr_expect(samc__stage_submit(&r[i], SAMC__PREDICT, click), "%d", i);
    cr_expect_not(samc__stage_submit(&r[5], SAMC__PREDICT, click));
    for (int i = 0; i < 5; i++) sem_post(&go);
    wait_for(&ended, 5);
    serve_free(serve);
}

Test(stages, work_of_who_is_gone_is_not_done) {
    samc__serve *serve = serve_new();
    samc__request first = {.serve = serve}, gone = {.serve = serve}, last = {.serve = serve, .id = "z"};
    cr_assert(samc__stage_submit(&first, SAMC__PREDICT, click));
    wait_for(&began, 1);
    cr_assert(samc__stage_submit(&gone, SAMC__PREDICT, tell_it));
    cr_assert(samc__stage_submit(&last, SAMC__PREDICT, tell_it));
    atomic_store(&gone.gone, true);
    sem_post(&go);
    wait_for(&ended, 3);
    cr_expect_str_eq(story, "cxz");
    serve_free(serve);
}

Test(stages, no_image_is_decoded_while_others_fill_their_room) {
    samc__serve *serve = serve_new();
    samc__request image = {.serve = serve, .id = "d"}, prompt = {.serve = serve, .id = "p"};
    atomic_store(&serve->clients.pixels, 100);
    cr_assert(samc__stage_submit(&image, SAMC__DECODE, tell_it));
    cr_assert(samc__stage_submit(&prompt, SAMC__PREDICT, tell_it)); /* the others go on */
    wait_for(&ended, 1);
    cr_expect_str_eq(story, "p");
    cr_expect_eq(in_stage(serve, SAMC__DECODE), 1);
    atomic_store(&serve->clients.pixels, 99);
    samc__stages_room(serve);
    wait_for(&ended, 1);
    cr_expect_str_eq(story, "pd");
    serve_free(serve);
}

/* Brings what a request needs, and goes on with it; whoever brought it here is still at it until then. */
static void bring(samc__request *r, samc_session *session) {
    (void)session;
    r->recalled = true;
    samc__request_go_on(r);
    sem_post(&go);
}

static void needs_more(samc__request *r) {
    if (r->recalled) samc__reply_error(r, 404, "there is none");
    else if (samc__stage_submit(r, SAMC__PREDICT, bring)) wait_for(&go, 1);
}

static void parse(samc__request *r, samc_session *session) {
    (void)session;
    samc__request_go_on(r);
    sem_post(&began);
}

Test(stages, what_was_handed_on_is_finished_once) {
    samc__serve *serve = serve_new();
    samc__request r = {.serve = serve};
    handler = needs_more;
    cr_assert(samc__stage_submit(&r, SAMC__PARSE, parse));
    wait_for(&began, 1);
    serve_free(serve);
    cr_expect_str_eq(story, "!", "finished otherwise than once, by the second stage");
}

static void until_the_end(samc__request *r, samc_session *session) {
    (void)session;
    sem_post(&began);
    while (samc__stages_give_way(r->serve)) sched_yield();
    tell("e");
    samc__request_finish(r);
}

Test(stages, the_end_answers_who_waits_and_takes_nobody_in) {
    samc__serve *serve = serve_new();
    samc__request runs = {.serve = serve}, waits = {.serve = serve, .id = "w"}, late = {.serve = serve};
    cr_assert(samc__stage_submit(&runs, SAMC__AUTO, until_the_end));
    wait_for(&began, 1);
    cr_assert(samc__stage_submit(&waits, SAMC__AUTO, tell_it));
    samc__stages_stop(serve);
    wait_for(&ended, 2);
    cr_expect_str_eq(story, "ex", "what runs ends, what waits is answered");
    cr_expect_eq(waits.reply.status, 503);
    cr_expect_not(samc__stage_submit(&late, SAMC__PREDICT, tell_it));
    cr_expect_eq(late.reply.status, 503);
    samc__stages_free(serve);
}

/* Masks of what phrases name: between batches a session looks at whether it was stopped, and at nothing else. */
static void search(samc__request *r, samc_session *session) {
    cr_assert_not_null(session);
    sem_post(&began);
    wait_for(&stopped, 1);
    samc__reply_error(r, 503, "stopped");
    samc__request_finish(r);
}

Test(stages, the_end_stops_sessions, .timeout = 100) {
    samc__serve *serve = serve_new();
    samc__request r = {.serve = serve};
    cr_assert(samc__stage_submit(&r, SAMC__TEXT, search));
    wait_for(&began, 1);
    serve_free(serve);
    cr_expect_str_eq(story, "x");
}
