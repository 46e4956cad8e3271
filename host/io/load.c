/* Loading one image. */
#include "host/io/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/file.h"
#include "runtime/base/status.h"

void samc__job_drop_bytes(samc__job *job, samc__budget *budget) {
    if (job->counted) samc__budget_change(budget, SAMC__MEMBERS, (int64_t)job->size, 0);
    free(job->bytes);
    job->bytes = NULL;
    job->counted = false;
}

void samc__job_drop_pixels(samc__job *job, samc__budget *budget) {
    free(job->picture.pixels);
    job->picture.pixels = NULL;
    samc__budget_change(budget, SAMC__PICTURES, job->held, 0);
    job->held = 0;
}

void samc__job_leave(samc__job *job, samc__budget *budget) {
    samc__job_drop_pixels(job, budget);
    if (job->in_flight) samc__budget_leave(budget);
    job->in_flight = false;
}

static samc_status read_file(const samc__inputs *inputs, samc__job *job) {
    const char *source = job->source;
    samc_status status = SAMC_OK;
    for (int attempt = 0; attempt < 2;
         attempt++) { /* a folder may have been away for a moment, and be there again when it is asked for */
        status =
            samc__file_read_regular(source, SAMC__IMAGE_MAX_FILE, &job->bytes, &job->size, &job->code, &job->error);
        if (status == SAMC_OK || job->code == 0 || samc__load_is_outage(inputs, job)) break;
    }
    return status;
}

/* Takes memory as the header says, decodes, and keeps what the picture needs. */
static samc_status decode(const samc_archive_options *o, const char *source, samc__budget *budget, samc__job *job) {
    samc__image_extent extent;
    samc__image_options options = {.most = o->max_pixels, .page = o->page};
    SAMC__TRY(samc__scale_parse(o->scale, &options.scale, &job->error));
    SAMC__TRY(samc__image_size(job->bytes, job->size, source, options.page, &extent, &job->error));
    if (extent.width > o->max_pixels / extent.height) extent.peak = 0; /* refused below, before anything is allocated */
    if (!samc__budget_take(budget, SAMC__PICTURES, extent.peak)) return SAMC_STOPPED;
    job->held = extent.peak;
    SAMC__TRY(samc__image_decode_within(job->bytes, job->size, source, &options, &job->picture, &job->error));
    int64_t bytes = (int64_t)job->picture.width * job->picture.height * 3;
    samc__budget_change(budget, SAMC__PICTURES, job->held, bytes);
    job->held = bytes;
    return SAMC_OK;
}

samc_status samc__load(const samc_archive_options *o, const samc__inputs *inputs, samc__budget *budget,
                       samc__job *job) {
    if (!samc__budget_enter(budget, job->alone)) return SAMC_STOPPED;
    job->in_flight = true;
    samc_status status = job->bytes == NULL ? read_file(inputs, job) : SAMC_OK;
    if (status == SAMC_OK) status = decode(o, job->source, budget, job);
    if (job->unit < 0 || job->member < 0) samc__job_drop_bytes(job, budget); /* others could not be read again */
    if (status != SAMC_OK) samc__job_leave(job, budget);
    return status;
}

bool samc__load_is_outage(const samc__inputs *inputs, samc__job *job) {
    if (job->error.status == SAMC_OK || job->code == 0) return false;
    if (samc__file_is_outage(job->code)) return true;
    if (samc__input_root_lives(inputs, job->input)) return false;
    samc_error why = job->error;
    const samc__root *root = &inputs->roots[inputs->items[job->input].root];
    samc__fail(&job->error, SAMC_IO,
               "%.300s: the folder of the inputs is gone, or another one is in its place (%.500s)",
               inputs->text + root->path, why.message);
    job->code = ESTALE; /* known now */
    return true;
}
