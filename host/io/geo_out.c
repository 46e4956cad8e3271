/* Files of masks on maps, of all formats: at a path that a run renames, and under a name of their own. */
#include "host/io/geo_out.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/abi.h"
#include "runtime/base/writer.h"

static samc_status no_memory(const char *path, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
}

static void free_out(samc__geo_out *out) {
    if (out->kind != NULL) out->kind->free(out);
    free(out->path);
    free(out);
}

samc_status samc__geo_out_open(const samc_geo *geo, const char *path, samc_geo_format format,
                               const samc_geo_writer_options *options, samc__geo_out **result, samc_error *error) {
    *result = NULL;
    if (format != SAMC_GEO_GPKG && format != SAMC_GEO_GEOJSON && format != SAMC_GEO_COG)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: no format of masks on maps", path);
    if (!(options->simplify >= 0) || !isfinite(options->simplify))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: outlines are simplified by a distance, 0 or more", path);
    samc__geo_out *out = calloc(1, sizeof *out);
    if (out == NULL || (out->path = strdup(path)) == NULL) {
        free(out);
        return no_memory(path, error);
    }
    out->kind = format == SAMC_GEO_COG ? &samc__geo_label_kind : &samc__geo_vector_kind;
    out->geo = geo;
    out->format = format;
    out->options = *options;
    out->labels.file = -1;
    char **before = samc__gdal_enter(geo->g);
    const samc_status status = out->kind->open(out, error);
    samc__gdal_leave(geo->g, before);
    if (status == SAMC_OK) *result = out;
    else samc__geo_out_abandon(out);
    return status;
}

samc_status samc__geo_out_add(samc__geo_out *out, const samc_geo_mask *mask, samc_error *error) {
    const samc_geo_info *info = &out->geo->info;
    if (out->failed) return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a mask could not be written", out->path);
    out->failed = true;
    if (mask->counts == NULL || mask->count == 0 || mask->x < 0 || mask->y < 0 || mask->width < 1 || mask->height < 1 ||
        mask->width > info->width - mask->x || mask->height > info->height - mask->y)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a mask that is not in the scene", out->path);
    char **before = samc__gdal_enter(out->geo->g);
    const samc_status status = out->kind->add(out, mask, error);
    samc__gdal_leave(out->geo->g, before);
    out->failed = status != SAMC_OK;
    return status;
}

samc_status samc__geo_out_close(samc__geo_out *out, samc_error *error) {
    const samc__gdal *g = out->geo->g;
    if (out->failed) {
        samc__geo_out_abandon(out);
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "a mask could not be written");
    }
    char **before = samc__gdal_enter(g);
    const samc_status status = out->kind->close(out, error);
    samc__gdal_leave(g, before);
    if (status != SAMC_OK) {
        samc__geo_out_abandon(out);
        return status;
    }
    free_out(out);
    return SAMC_OK;
}

void samc__geo_out_abandon(samc__geo_out *out) {
    if (out == NULL) return;
    const samc__gdal *g = out->geo->g;
    char **before = samc__gdal_enter(g);
    char *path = out->path;
    out->path = NULL;
    free_out(out);
    unlink(path);
    free(path);
    samc__gdal_leave(g, before);
}

/* ---- As a sink of a scene's run -------------------------------------------------------------- */

typedef struct sink_state {
    const samc_geo *geo;
    samc_geo_format format;
    samc_geo_writer_options options;
    const char *const *labels;
    int label_count;
    samc__geo_out *out;
} sink_state;

static samc_status sink_open(samc__scene_sink *sink, const samc__scene_source *scene, const char *path,
                             samc_error *error) {
    sink_state *s = sink->context;
    if (scene->width != s->geo->info.width || scene->height != s->geo->info.height)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: masks of another scene", path);
    return samc__geo_out_open(s->geo, path, s->format, &s->options, &s->out, error);
}

static samc_status sink_add(samc__scene_sink *sink, int64_t id, const samc__scene_record *r, const uint32_t *counts,
                            samc_error *error) {
    const sink_state *s = sink->context;
    samc_geo_mask mask = samc__geo_mask_of(r, id, counts);
    if (r->phrase >= 0 && r->phrase < s->label_count) mask.label = s->labels[r->phrase];
    mask.score = r->phrase_score;
    return samc__geo_out_add(s->out, &mask, error);
}

static samc_status sink_close(samc__scene_sink *sink, samc_error *error) {
    sink_state *s = sink->context;
    samc__geo_out *out = s->out;
    s->out = NULL;
    return samc__geo_out_close(out, error);
}

static void sink_abandon(samc__scene_sink *sink) {
    sink_state *s = sink->context;
    samc__geo_out_abandon(s->out);
    s->out = NULL;
}

static const char *const suffixes[] = {".gpkg", ".geojson", ".masks.tif"};

samc_status samc__geo_sink(const samc_geo *geo, samc_geo_format format, const samc_geo_writer_options *options,
                           const char *const *labels, int label_count, samc__scene_sink *sink, samc_error *error) {
    sink_state *s = calloc(1, sizeof *s);
    *sink = (samc__scene_sink){0};
    if (s == NULL) return no_memory(geo->name, error);
    *s = (sink_state){geo,
                      format,
                      options ? *options : (samc_geo_writer_options){.size = sizeof *options},
                      labels,
                      labels ? label_count : 0,
                      NULL};
    s->options.labels = s->options.labels || labels != NULL;
    *sink = (samc__scene_sink){suffixes[format], s, sink_open, sink_add, sink_close, sink_abandon};
    return SAMC_OK;
}

void samc__geo_sink_end(samc__scene_sink *sink) {
    free(sink->context);
    *sink = (samc__scene_sink){0};
}

/* ---- Under a name of its own ----------------------------------------------------------------- */

/* GDAL writes a file in a new folder; its bytes then go where all that samc writes goes. */
struct samc_geo_writer {
    samc__geo_out *out;
    samc__writer writer;
    char *path, *folder, *file; /* owned */
};

static samc_status open_writer(samc_geo_writer *w, const samc_geo *geo, samc_geo_format format,
                               const samc_geo_writer_options *options, samc_error *error) {
    const char *below = options->scratch ? options->scratch : "/var/tmp";
    if (asprintf(&w->folder, "%s/samc-XXXXXX", below) < 0) w->folder = NULL;
    if (w->folder == NULL) return no_memory(w->path, error);
    if (mkdtemp(w->folder) == NULL) {
        const int reason = errno;
        free(w->folder);
        w->folder = NULL;
        return samc__fail(error, SAMC_IO, "%s: no folder for what is being written: %s", below, strerror(reason));
    }
    const char *name = format == SAMC_GEO_GPKG ? "gpkg" : format == SAMC_GEO_GEOJSON ? "geojson" : "tif";
    if (asprintf(&w->file, "%s/masks.%s", w->folder, name) < 0) w->file = NULL;
    if (w->file == NULL) return no_memory(w->path, error);
    return samc__geo_out_open(geo, w->file, format, options, &w->out, error);
}

static void free_writer(samc_geo_writer *w) {
    samc__geo_out_abandon(w->out);
    samc__writer_abandon(&w->writer);
    if (w->file != NULL) unlink(w->file);
    if (w->folder != NULL) rmdir(w->folder);
    free(w->file);
    free(w->folder);
    free(w->path);
    free(w);
}

samc_status samc_geo_writer_open(const samc_geo *geo, const char *path, samc_geo_format format,
                                 const samc_geo_writer_options *given, samc_geo_writer **writer, samc_error *error) {
    samc_geo_writer_options options = {.size = sizeof options};
    if (geo == NULL || path == NULL || writer == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "no scene, no path, or no place for the writer");
    *writer = NULL;
    if (given != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_geo_writer_options), given, &options, error));
    samc_geo_writer *w = calloc(1, sizeof *w);
    if (w == NULL || (w->path = strdup(path)) == NULL) {
        free(w);
        return no_memory(path, error);
    }
    samc_status status = samc__writer_open(&w->writer, w->path, error);
    if (status == SAMC_OK) status = open_writer(w, geo, format, &options, error);
    if (status == SAMC_OK) *writer = w;
    else free_writer(w);
    return status;
}

samc_status samc_geo_writer_add(samc_geo_writer *w, const samc_geo_mask *given, samc_error *error) {
    samc_geo_mask mask = {.size = sizeof mask};
    if (w == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no writer");
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_geo_mask), given, &mask, error));
    return samc__geo_out_add(w->out, &mask, error);
}

static samc_status copy_file(samc_geo_writer *w, samc_error *error) {
    static const size_t room = 1 << 20;
    const int handle = open(w->file, O_RDONLY | O_CLOEXEC);
    char *bytes = malloc(room);
    samc_status status = bytes ? SAMC_OK : no_memory(w->path, error);
    if (handle < 0) status = samc__fail(error, SAMC_IO, "%s: %s", w->file, strerror(errno));
    while (status == SAMC_OK) {
        const ssize_t count = read(handle, bytes, room);
        if (count == 0) break;
        if (count < 0 && errno == EINTR) continue;
        status = count > 0 ? samc__writer_append(&w->writer, bytes, (size_t)count, error)
                           : samc__fail(error, SAMC_IO, "%s: %s", w->file, strerror(errno));
    }
    free(bytes);
    if (handle >= 0) close(handle);
    return status;
}

samc_status samc_geo_writer_commit(samc_geo_writer *w, samc_error *error) {
    if (w == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no writer");
    samc__geo_out *out = w->out;
    w->out = NULL;
    samc_status status = samc__geo_out_close(out, error);
    if (status == SAMC_OK) status = copy_file(w, error);
    if (status == SAMC_OK) status = samc__writer_commit(&w->writer, error);
    free_writer(w);
    return status;
}

void samc_geo_writer_abandon(samc_geo_writer *w) {
    if (w != NULL) free_writer(w);
}
