/* Numbers for Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4). */
#include "host/serve/internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double edges[SAMC__BUCKETS] = {.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60};
static const char *const stage_names[SAMC__STAGES] = {"decode", "encode", "predict", "auto",
                                                      "parse",  "text",   "fetch",   "files"};

void samc__metrics_init(samc__metrics *m) { pthread_mutex_init(&m->lock, NULL); }

void samc__metrics_request(samc__serve *serve, const samc__request *r, unsigned code) {
    samc__metrics *m = &serve->metrics;
    const int route = r->route == NULL ? -1 : (int)(r->route - samc__routes);
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < sizeof m->requests / sizeof *m->requests; i++) {
        if (m->requests[i].count > 0 && (m->requests[i].route != route || m->requests[i].code != code)) continue;
        m->requests[i].route = route;
        m->requests[i].code = code;
        m->requests[i].count++;
        break;
    }
    pthread_mutex_unlock(&m->lock);
}

void samc__metrics_seconds(samc__serve *serve, samc__stage stage, double seconds) {
    samc__metrics *m = &serve->metrics;
    int i = 0;
    while (i < SAMC__BUCKETS && seconds > edges[i]) i++;
    pthread_mutex_lock(&m->lock);
    m->seconds[stage].bucket[i]++;
    m->seconds[stage].sum += seconds;
    pthread_mutex_unlock(&m->lock);
}

void samc__metrics_add(samc__serve *serve, int64_t *counter, int64_t count) {
    pthread_mutex_lock(&serve->metrics.lock);
    *counter += count;
    pthread_mutex_unlock(&serve->metrics.lock);
}

/* A text that grows. */
typedef struct text {
    char *data;
    size_t used, room;
} text;

static void put(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(text *t, const char *format, ...) {
    va_list arguments;
    if (t->room - t->used < 512) {
        char *grown = realloc(t->data, 2 * t->room + 4096);
        if (grown == NULL) return;
        t->data = grown;
        t->room = 2 * t->room + 4096;
    }
    va_start(arguments, format);
    const int length = vsnprintf(t->data + t->used, t->room - t->used, format, arguments);
    va_end(arguments);
    if (length > 0 && (size_t)length < t->room - t->used) t->used += (size_t)length;
}

static void put_one(text *t, const char *name, const char *kind, const char *help, int64_t value) {
    put(t, "# HELP samc_%s %s\n# TYPE samc_%s %s\nsamc_%s %" PRId64 "\n", name, help, name, kind, name, value);
}

static void put_requests(text *t, const samc__metrics *m) {
    put(t, "# HELP samc_requests_total Requests that were answered.\n# TYPE samc_requests_total counter\n");
    for (size_t i = 0; i < sizeof m->requests / sizeof *m->requests && m->requests[i].count > 0; i++)
        put(t, "samc_requests_total{route=\"%s\",code=\"%u\"} %" PRId64 "\n",
            m->requests[i].route < 0 ? "none" : samc__routes[m->requests[i].route].name, m->requests[i].code,
            m->requests[i].count);
}

static void put_seconds(text *t, const samc__metrics *m) {
    put(t,
        "# HELP samc_seconds From the arrival of a request to the end of its stage.\n# TYPE samc_seconds histogram\n");
    for (int stage = 0; stage < SAMC__PARSE; stage++) {
        int64_t count = 0;
        for (int i = 0; i <= SAMC__BUCKETS; i++) {
            count += m->seconds[stage].bucket[i];
            char edge[24] = "+Inf";
            if (i < SAMC__BUCKETS) snprintf(edge, sizeof edge, "%g", edges[i]);
            put(t, "samc_seconds_bucket{stage=\"%s\",le=\"%s\"} %" PRId64 "\n", stage_names[stage], edge, count);
        }
        put(t, "samc_seconds_sum{stage=\"%s\"} %.6f\nsamc_seconds_count{stage=\"%s\"} %" PRId64 "\n",
            stage_names[stage], m->seconds[stage].sum, stage_names[stage], count);
    }
}

void samc__handle_metrics(samc__request *r) {
    samc__serve *serve = r->serve;
    text t = {0};
    int waiting[SAMC__STAGES], working[SAMC__STAGES];
    for (samc__stage s = 0; s < SAMC__STAGES; s++) samc__stage_count(serve, s, &waiting[s], &working[s]);
    pthread_mutex_lock(&serve->pictures.lock);
    const int64_t bytes = (int64_t)serve->pictures.bytes, count = serve->pictures.count, hits = serve->pictures.hits,
                  misses = serve->pictures.misses, evicted = serve->pictures.evicted;
    pthread_mutex_unlock(&serve->pictures.lock);
    pthread_mutex_lock(&serve->clients.lock);
    const int64_t connections = serve->clients.count, cut = serve->clients.cut, shed = serve->clients.shed;
    pthread_mutex_unlock(&serve->clients.lock);
    pthread_mutex_lock(&serve->metrics.lock);
    put_requests(&t, &serve->metrics);
    put_seconds(&t, &serve->metrics);
    put_one(&t, "images_encoded_total", "counter", "Images that were encoded.", serve->metrics.images);
    put_one(&t, "prompts_total", "counter", "Prompts that were decoded.", serve->metrics.prompts);
    put_one(&t, "prompt_batches_total", "counter", "Times that prompts were decoded, all that waited at once.",
            serve->metrics.batches);
    put_one(&t, "masks_total", "counter", "Masks that were given out.", serve->metrics.masks);
    put_one(&t, "decoders_killed_total", "counter", "Files whose decoder did what it may not.", serve->metrics.killed);
    if (serve->options.cache_dir != NULL) {
        put_one(&t, "disk_hits_total", "counter", "Embeddings that came from the disk.", serve->metrics.disk_hits);
        put_one(&t, "disk_writes_total", "counter", "Embeddings that were written to it.", serve->metrics.disk_writes);
        put_one(&t, "disk_failures_total", "counter", "Embeddings that could not be.", serve->metrics.disk_failures);
        put_one(&t, "disk_damaged_total", "counter", "Files there that were not whole.", serve->metrics.disk_damaged);
    }
    pthread_mutex_unlock(&serve->metrics.lock);
    put_one(&t, "images", "gauge", "Images that are kept.", count);
    put_one(&t, "image_bytes", "gauge", "Bytes of images and embeddings that are kept.", bytes);
    put_one(&t, "image_hits_total", "counter", "Images that were asked for and kept.", hits);
    put_one(&t, "image_misses_total", "counter", "Images that were asked for and not there.", misses);
    put_one(&t, "images_evicted_total", "counter", "Images that left for want of room.", evicted);
    put_one(&t, "connections", "gauge", "Connections that are open.", connections);
    put_one(&t, "connections_cut_total", "counter", "Connections that were closed for being too slow.", cut);
    put_one(&t, "connections_shed_total", "counter", "Connections that were closed because there were too many.", shed);
    put_one(&t, "waiting_bytes", "gauge", "Bytes of bodies and replies in memory.",
            (int64_t)atomic_load(&serve->clients.bytes));
    put_one(&t, "waiting_pixel_bytes", "gauge", "Bytes of images that wait to be encoded.",
            (int64_t)atomic_load(&serve->clients.pixels));
    put(&t, "# HELP samc_waiting Requests in a stage and before it.\n# TYPE samc_waiting gauge\n");
    for (int stage = 0; stage < SAMC__STAGES; stage++)
        put(&t, "samc_waiting{stage=\"%s\"} %d\n", stage_names[stage], waiting[stage] + working[stage]);
    put(&t, "# HELP samc_working Threads of a stage that are at a request.\n# TYPE samc_working gauge\n");
    for (int stage = 0; stage < SAMC__STAGES; stage++)
        put(&t, "samc_working{stage=\"%s\"} %d\n", stage_names[stage], working[stage]);
    if (t.data == NULL) samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory");
    else samc__reply_bytes(r, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", t.data, t.used);
}
