/* Runs over scenes: what samc_tiles.h promises, made of a source of pixels, a plan, engines and sinks. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "host/io/abi.h"
#include "host/io/auto_options.h"
#include "host/io/describe.h"
#include "host/io/geo.h"
#include "host/io/identity.h"
#include "host/io/label_tiff.h"
#include "host/io/pipeline.h"
#include "host/io/scene_run.h"
#include "host/io/scene_write.h"
#include "host/io/text.h"
#include "runtime/base/abi.h"
#include "runtime/base/status.h"

static const unsigned formats[] = {SAMC_OUTPUT_COCO, SAMC_OUTPUT_JSONL,   SAMC_OUTPUT_OVERLAY,
                                   SAMC_OUTPUT_GPKG, SAMC_OUTPUT_GEOJSON, SAMC_OUTPUT_COG};
enum { FORMATS = sizeof formats / sizeof *formats, MAPS = SAMC_OUTPUT_GPKG | SAMC_OUTPUT_GEOJSON | SAMC_OUTPUT_COG };

struct samc_tiles {
    samc_tiles_options options;
    char *stem;    /* of the results' names; owned */
    samc_geo *geo; /* the source's, or NULL */
    bool placed;
    samc__scene_source source;
    samc__scene_plan plan; /* once it runs */
    samc__scene_counts counts;
    atomic_bool stopping;
    bool ran;
    double seconds;
    const samc_tiles_events *events;
};

samc_status samc_tiles_default_options(samc_tiles_options *options) {
    const samc_tiles_options own = {.size = sizeof own, .tile = 1024, .shards = 1};
    return samc__abi_give(SAMC__IO(samc_tiles_options), &own, options, NULL);
}

/* ---- Opening ------------------------------------------------------------------------------------ */

static samc__scene_tiling tiling_of(const samc_tiles_options *o, int points) {
    return (samc__scene_tiling){
        .tile = o->tile, .halo = o->halo, .levels = o->levels, .points = points, .origin = {o->origin_x, o->origin_y}};
}

static samc_status check(const samc_tiles_options *o, samc_error *error) {
    const samc__scene_tiling tiling = tiling_of(o, 1);
    if (o->input == NULL || o->output == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_tiles_open: no input or no output");
    SAMC__TRY(samc__scene_tiling_check(&tiling, error));
    if (o->shards < 1 || o->shards > SAMC__SCENE_SHARDS || o->shard < 0 || o->shard >= o->shards)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "shard %d of %d", o->shard, o->shards);
    if (o->batch < 0 || o->batch > 256)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "batch must be 0 to 256, not %d", o->batch);
    if ((o->formats & ~(unsigned)SAMC_OUTPUT_SCENE) != 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "scenes are written as coco, jsonl, overlay, gpkg, geojson and cog");
    if (!(o->simplify >= 0.0 && o->simplify < 1e12))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "simplify must be a distance, not %g", o->simplify);
    return SAMC_OK;
}

static samc_status open_source(samc_tiles *t, samc_error *error) {
    const samc_tiles_options *o = &t->options;
    samc__image_options image = {.most = o->most_pixels > 0 ? o->most_pixels : SAMC_IMAGE_MOST_PIXELS, .page = o->page};
    if (o->page == 0 && samc__geo_is(o->input)) {
        const samc_geo_options geo = {.size = sizeof geo, .bands = o->bands, .scale = o->scale};
        samc_geo_info info = SAMC_INIT(samc_geo_info);
        SAMC__TRY(samc_geo_open(o->input, &geo, &t->geo, error));
        samc__geo_source(t->geo, &t->source);
        SAMC__TRY(samc_geo_get_info(t->geo, &info, error));
        t->placed = info.placed;
        return SAMC_OK;
    }
    if (o->bands != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: bands are chosen of what GDAL reads%s", o->input,
                          samc_geo_library() == NULL ? ", which this samc was built without" : "");
    SAMC__TRY(samc__scale_parse(o->scale, &image.scale, error));
    return samc__scene_file_open(&t->source, o->input, &image, NULL, error);
}

/* The raster of ids is GDAL's where that reads the scene; of any other libtiff writes it. */
#ifdef SAMC_WITH_TIFF
enum { PLAIN = SAMC_OUTPUT_COG };
#else
enum { PLAIN = 0 };
#endif

static samc_status check_maps(const samc_tiles *t, samc_error *error) {
    const unsigned maps = t->options.formats & MAPS & ~(unsigned)PLAIN;
    const char *without = samc_geo_library() == NULL ? ", which this samc was built without" : "";
    if (maps == 0 || t->geo != NULL) return SAMC_OK;
    if (maps != SAMC_OUTPUT_COG)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: gpkg and geojson are written of scenes that GDAL reads%s",
                          t->options.input, without);
    return samc__fail(
        error, SAMC_UNSUPPORTED,
        "%s: cog is written by libtiff, which this samc was built without, or of scenes that GDAL reads%s",
        t->options.input, without);
}

static samc_status open_tiles(samc_tiles *t, samc_error *error) {
    const char *slash = strrchr(t->options.input, '/'), *name = slash != NULL ? slash + 1 : t->options.input;
    SAMC__TRY(open_source(t, error));
    if (t->options.formats == 0)
        t->options.formats = (t->placed ? SAMC_OUTPUT_GPKG : SAMC_OUTPUT_COCO) | SAMC_OUTPUT_OVERLAY;
    SAMC__TRY(check_maps(t, error));
    t->stem = strndup(name, samc__name_stem(name));
    return t->stem != NULL ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", t->options.input);
}

samc_status samc_tiles_open(const samc_tiles_options *options, samc_tiles **tiles, samc_error *error) {
    samc_tiles_options own = SAMC_INIT(samc_tiles_options);
    samc_tiles_default_options(&own);
    if (tiles == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_tiles_open: no place for it");
    *tiles = NULL;
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_tiles_options), options, &own, error));
    if (own.halo == 0) own.halo = own.tile / 8 > SAMC__SCENE_LEAST_HALO ? own.tile / 8 : SAMC__SCENE_LEAST_HALO;
    SAMC__TRY(check(&own, error));
    samc_tiles *t = calloc(1, sizeof *t);
    if (t == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", own.input);
    t->options = own;
    const samc_status status = open_tiles(t, error);
    if (status == SAMC_OK) *tiles = t;
    else samc_tiles_close(t);
    return status;
}

void samc_tiles_close(samc_tiles *t) {
    if (t == NULL) return;
    if (t->source.close != NULL) t->source.close(&t->source);
    free(t->stem);
    free(t);
}

/* ---- Running ------------------------------------------------------------------------------------ */

samc_status samc_tiles_get_counts(const samc_tiles *t, samc_tiles_counts *counts, samc_error *error) {
    if (t == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_tiles_get_counts: no run");
    const samc__scene_counts *c = &t->counts;
    int64_t tiles = 0;
    for (int i = 0; i < t->plan.levels; i++) tiles += (int64_t)t->plan.level[i].rows * t->plan.level[i].columns;
    const samc_tiles_counts own = {.size = sizeof own,
                                   .width = t->source.width,
                                   .height = t->source.height,
                                   .levels = t->plan.levels,
                                   .tiles = tiles,
                                   .phase = (int)c->phase,
                                   .total = c->total,
                                   .done = c->done,
                                   .before = c->before,
                                   .masks = c->masks,
                                   .kept = c->left,
                                   .bad = c->bad,
                                   .first_bad = t->source.first_bad,
                                   .waiting = c->waiting,
                                   .seconds = t->seconds};
    return samc__abi_give(SAMC__IO(samc_tiles_counts), &own, counts, error);
}

void samc_tiles_stop(samc_tiles *t) {
    if (t != NULL) atomic_store(&t->stopping, true);
}

static void tick(void *context, const samc__scene_counts *counts) {
    samc_tiles *t = context;
    t->counts = *counts;
    if (t->events != NULL && t->events->tick != NULL) t->events->tick(t->events->context);
}

/* What another run must share to go on with this one; *description is NULL after a failure. */
static samc_status describe(const samc_tiles *t, const samc_model *model, const samc_auto_options *automatic,
                            const samc_phrases *labels, json_t **description, samc_error *error) {
    const samc_tiles_options *o = &t->options;
    char content[SAMC__IDENTITY];
    *description = NULL;
    SAMC__TRY(t->geo != NULL ? samc__geo_identity(t->geo, content, error)
                             : samc__identity(&o->input, 1, content, error));
    json_t *json = samc__describe_model(model, error);
    if (json == NULL) return SAMC_OUT_OF_MEMORY;
    samc__auto_options_describe(automatic, json);
    json_t *more =
        json_pack("{s:i, s:i, s:i, s:[I, I], s:b, s:i, s:[I, I], s:i, s:f, s:i}", "tile", o->tile, "halo", o->halo,
                  "levels", t->plan.levels, "tile-origin", (json_int_t)o->origin_x, (json_int_t)o->origin_y, "stitch",
                  o->stitch, "formats", (int)o->formats, "size", (json_int_t)t->source.width,
                  (json_int_t)t->source.height, "shards", o->shards, "simplify", o->simplify, "page", o->page);
    bool good = more != NULL && json_object_update(json, more) == 0;
    json_decref(more);
    json_object_set_new(json, "content", samc__text_json(content));
    if (o->scale != NULL) json_object_set_new(json, "scale", samc__text_json(o->scale));
    if (o->bands != NULL) json_object_set_new(json, "bands", samc__text_json(o->bands));
    if (!good) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    if (good && labels != NULL) good = samc__describe_phrases(labels, "labels", json, error);
    if (good) *description = json;
    else json_decref(json);
    return good ? SAMC_OK : SAMC_OUT_OF_MEMORY;
}

/* The sinks that were asked for; *count of them, all to be ended. */
typedef struct sinks {
    samc__scene_sink all[FORMATS];
    void (*end[FORMATS])(samc__scene_sink *);
    int count;
    samc_geo_writer_options geo;
    const char **labels; /* [label_count], owned */
    int label_count;
} sinks;

static samc_status make_sink(samc_tiles *t, samc_output format, const samc_phrases *labels, sinks *s,
                             samc_error *error) {
    samc__scene_sink *sink = &s->all[s->count];
    void (**end)(samc__scene_sink *) = &s->end[s->count++];
    if ((format & MAPS) == 0) {
        *end = samc__scene_write_end;
        return samc__scene_write(format, &t->source, labels, sink, error);
    }
#ifdef SAMC_WITH_TIFF
    if (t->geo == NULL) {
        *end = samc__label_tiff_sink_end;
        return samc__label_tiff_sink(sink, error);
    }
#endif
    *end = samc__geo_sink_end;
    return samc__geo_sink(t->geo,
                          format == SAMC_OUTPUT_GPKG      ? SAMC_GEO_GPKG
                          : format == SAMC_OUTPUT_GEOJSON ? SAMC_GEO_GEOJSON
                                                          : SAMC_GEO_COG,
                          &s->geo, labels != NULL ? s->labels : NULL, s->label_count, sink, error);
}

static samc_status make_sinks(samc_tiles *t, const samc_phrases *labels, sinks *s, samc_error *error) {
    const unsigned bits = t->options.formats;
    *s = (sinks){.geo = {.size = sizeof s->geo, .simplify = t->options.simplify, .labels = labels != NULL}};
    s->label_count = labels != NULL ? samc_phrases_count(labels) : 0;
    s->labels = calloc((size_t)s->label_count + 1, sizeof *s->labels);
    if (s->labels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", t->options.input);
    for (int i = 0; i < s->label_count; i++) s->labels[i] = samc_phrases_text(labels, i);
    for (int i = 0; i < FORMATS; i++)
        if ((bits & formats[i]) != 0) SAMC__TRY(make_sink(t, (samc_output)formats[i], labels, s, error));
    return SAMC_OK;
}

static void end_sinks(sinks *s) {
    for (int i = 0; i < s->count; i++) s->end[i](&s->all[i]);
    free(s->labels);
}

static samc_status run(samc_tiles *t, const samc_model *model, samc_session *const *sessions, int session_count,
                       const samc_auto_options *automatic, const samc_phrases *labels, samc_error *error) {
    const samc_tiles_options *o = &t->options;
    const samc__scene_tiling tiling = tiling_of(o, automatic->points_per_side);
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc__scene_engine engines[SAMC__SCENE_ENGINES];
    sinks sinks = {.count = 0};
    samc_model_get_info(model, &info);
    SAMC__TRY(samc__scene_plan_make(&t->plan, t->source.width, t->source.height, &tiling, error));
    for (int i = 0; i < session_count; i++)
        engines[i] = (samc__scene_engine){.plan = &t->plan,
                                          .session = sessions[i],
                                          .model = model,
                                          .automatic = automatic,
                                          .labels = labels,
                                          .pieces = o->stitch};
    json_t *description;
    samc_status status = describe(t, model, automatic, labels, &description, error);
    if (status == SAMC_OK) status = make_sinks(t, labels, &sinks, error);
    const samc__scene_job job = {.output = o->output,
                                 .input = o->input,
                                 .stem = t->stem,
                                 .shard = o->shard,
                                 .shards = o->shards,
                                 .resume = o->resume,
                                 .no_sync = o->no_sync,
                                 .options = description,
                                 .source = &t->source,
                                 .plan = &t->plan,
                                 .engines = engines,
                                 .engine_count = session_count,
                                 .batch = o->batch > 0                        ? o->batch
                                          : info.backend == SAMC_BACKEND_CUDA ? 8
                                                                              : 1,
                                 .thresholds = {automatic->crop_nms_thresh, SAMC__SCENE_MASK_IOU},
                                 .sinks = sinks.all,
                                 .sink_count = sinks.count,
                                 .stopping = &t->stopping,
                                 .tick = tick,
                                 .context = t};
    if (status == SAMC_OK) status = samc__scene_run(&job, &t->counts, error);
    end_sinks(&sinks);
    json_decref(description);
    return status;
}

samc_status samc_tiles_run(samc_tiles *t, const samc_model *model, samc_session *const *sessions, int session_count,
                           const samc_auto_options *automatic, const samc_phrases *labels,
                           const samc_tiles_events *events, samc_error *error) {
    samc_auto_options own = SAMC_INIT(samc_auto_options);
    samc_tiles_events heard = {.size = sizeof heard};
    if (t == NULL || model == NULL || sessions == NULL || session_count < 1 || session_count > SAMC__SCENE_ENGINES ||
        t->ran)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "samc_tiles_run: no scene that has not run, no model, or no sessions, 1 to %d",
                          SAMC__SCENE_ENGINES);
    for (int i = 0; i < session_count; i++)
        if (sessions[i] == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_tiles_run: session %d: NULL", i);
    SAMC__TRY(samc_default_auto_options(model, &own));
    if (automatic != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_auto_options), automatic, &own, error));
    own.point_grids = NULL, own.crop_n_layers = 0;
    SAMC__TRY(samc_auto_check(&own, error));
    if (events != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_tiles_events), events, &heard, error));
    const double begun = samc__now();
    t->events = &heard;
    t->ran = true;
    const samc_status status = run(t, model, sessions, session_count, &own, labels, error);
    t->events = NULL;
    t->seconds = samc__now() - begun;
    return status;
}
