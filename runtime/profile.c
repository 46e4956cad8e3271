/* Profiles: one row for each operator that ran. */
#include "runtime/session.h"

#include <string.h>

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

int samc_profile_end(samc_session *session, samc_profile_row *rows, int capacity) {
    if (samc__session_begin(session) != SAMC_OK) return 0;
    session->exec.trace = NULL;
    session->encoder.trace = NULL;
    session->post.trace = NULL;
    int count = session->profile.count;
    if (rows != NULL && capacity > 0)
        memcpy(rows, session->profile.rows, (size_t)(count < capacity ? count : capacity) * sizeof *rows);
    samc__session_end(session, SAMC_OK);
    return count;
}
