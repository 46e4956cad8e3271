/* samc auto on a volume: every object of it, as labels. */
#include "host/cli/volume_auto.h"
#include "host/cli/numbers.h"

static samc_status run(samc__auto_request *r, samc_error *error) {
    samc__cli_volume *v = &r->volume;
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_segmentation *result = NULL;
    SAMC__TRY(samc__cli_volume_open(v, error));
    SAMC__TRY(samc__cli_volume_model(v, error));
    SAMC__TRY(samc_default_auto_options(v->model, &automatic));
    SAMC__TRY(samc__cli_numbers_apply(r->given, &automatic, error));
    v->link.journal = v->journal;
    v->link.resume = v->resume;
    v->link.progress = samc__cli_volume_progress;
    v->link.progress_context = v;
    samc_status status =
        samc_volume_auto(v->session, v->model, v->volume, v->axis, &automatic, &v->link, &result, error);
    if (status == SAMC_OK) status = samc__cli_volume_finish(v, result, error);
    samc_segmentation_free(result);
    return status;
}

int samc__volume_auto(samc__auto_request *r, char **inputs, int count) {
    samc_error error = {0};
    samc__cli_volume *v = &r->volume;
    if (count != 1) return samc__cli_usage(&r->cli, "of volumes there is one INPUT, not %d", count);
    if (r->archive.output == NULL) return samc__cli_usage(&r->cli, "-o OUTPUT is missing");
    if (r->archive.formats != 0 || r->text.labels != NULL || r->tiles.asked)
        return samc__cli_usage(&r->cli, "--format, --labels and --tile are not of volumes, whose labels are a file");
    v->cli = &r->cli;
    v->path = inputs[0];
    v->output = r->archive.output;
    v->resume = r->archive.resume;
    samc_status status = run(r, &error);
    return samc__cli_volume_end(v, status, &error);
}
