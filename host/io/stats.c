/* Seconds and counts of each image, written as the images are done. */
#include "host/io/stats.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/text.h"
#include "runtime/base/status.h"

samc_status samc__stats_open(samc__stats *stats, const char *path, samc_error *error) {
    SAMC__TRY(samc__writer_open(&stats->writer, path, error));
    stats->open = true;
    return SAMC_OK;
}

samc_status samc__stats_add(samc__stats *stats, const samc__job *job, samc_error *error) {
    const samc_auto_stats *t = &job->stats;
    if (!stats->open) return SAMC_OK;
    json_t *json = json_pack(
        "{s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:f, s:f, s:f, s:f, s:f, s:f}, s:{s:i, s:i, s:i, s:i}}",
        "image", samc__text_json(job->source), "crops", (json_int_t)t->crops, "prompts", (json_int_t)t->prompts,
        "masks", (json_int_t)t->masks, "after_iou", (json_int_t)t->after_iou, "after_stability",
        (json_int_t)t->after_stability, "after_edge", (json_int_t)t->after_edge, "after_nms", (json_int_t)t->after_nms,
        "kept", (json_int_t)t->kept, "seconds", "load", job->load_seconds, "encode", t->encode_seconds, "decode",
        t->decode_seconds, "post", t->post_seconds, "write", job->write_seconds, "commit", job->commit_seconds,
        "waiting", "load", job->fill[0], "compute", job->fill[1], "write", job->fill[2], "commit", job->fill[3]);
    char *text = json ? json_dumps(json, JSON_REAL_PRECISION(6)) : NULL;
    json_decref(json);
    samc_status status = text ? samc__writer_append(&stats->writer, stats->begun ? ",\n" : "[\n", 2, error)
                              : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", stats->writer.path);
    stats->begun = true;
    if (status == SAMC_OK) status = samc__writer_append(&stats->writer, text, strlen(text), error);
    free(text);
    return status;
}

samc_status samc__stats_finish(samc__stats *stats, samc_error *error) {
    if (!stats->open || stats->writer.handle < 0) return SAMC_OK; /* after a failure, which was told */
    stats->open = false;
    SAMC__TRY(samc__writer_append(&stats->writer, stats->begun ? "\n]\n" : "[]\n", 3, error));
    return samc__writer_commit(&stats->writer, error);
}

void samc__stats_abandon(samc__stats *stats) {
    samc__writer_abandon(&stats->writer);
    stats->open = false;
}
