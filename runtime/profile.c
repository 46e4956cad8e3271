/* Profiles: one row for each operator that ran. */
#include "runtime/base/abi.h"
#include "runtime/session.h"

#include <string.h>

/* What an operator computes with. Of a model with weights of 8 bits only its matrices are, and some of them, where they
 * are packed: without a rung they are floats. */
static samc_precision precision_of(const char *name, const samc_model *model) {
    const samc__network *net = &model->net;
    static const char *const list[][2] = {
#define SAMC_OP(name, cpu, gpu, low) {#name, #low},
#include "kernels/list.h"
#undef SAMC_OP
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(list[i][0], name) == 0 && strcmp(list[i][1], "F32") == 0) return SAMC_PRECISION_F32;
    if (net->weight_type == SAMC__I8 && model->packed != NULL && strcmp(name, "linear") == 0)
        return SAMC_PRECISION_INT8;
    return samc__precision_of(net->precision);
}

static void record(void *opaque, const char *name, double flops, double seconds) {
    samc__profile *profile = opaque;
    int i = 0;
    while (i < profile->count && profile->rows[i].name != name) i++; /* names are literals of one list */
    if (i == profile->count) {
        if (i == SAMC__PROFILE_ROWS) return;
        profile->rows[profile->count++] = (samc_profile_row){.name = name};
    }
    profile->rows[i].calls++;
    profile->rows[i].seconds += seconds;
    profile->rows[i].flops += flops;
}

samc_status samc_profile_begin(samc_session *session) {
    SAMC__TRY(samc__session_begin(session));
    session->profile.count = 0;
    session->exec.trace = &session->profile;
    session->exec.record = record;
    session->encoder.trace = &session->profile;
    session->encoder.record = record;
    session->post.trace = &session->profile;
    session->post.record = record;
    return samc__session_end(session, SAMC_OK);
}

samc_status samc_profile_end(samc_session *session, samc_profile_row *rows, int capacity, int *count) {
    SAMC__TRY(samc__session_begin(session));
    session->exec.trace = NULL;
    session->encoder.trace = NULL;
    session->post.trace = NULL;
    int ran = session->profile.count;
    for (int i = 0; i < ran; i++) {
        samc_profile_row *row = &session->profile.rows[i];
        row->precision = precision_of(row->name, session->model);
    }
    samc_status status = SAMC_OK;
    if (rows != NULL && capacity > 0)
        status = samc__abi_give_array(SAMC__ABI(samc_profile_row), session->profile.rows,
                                      ran < capacity ? ran : capacity, rows, &session->error);
    if (count != NULL) *count = ran;
    return samc__session_end(session, status);
}
