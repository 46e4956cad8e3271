/* Slices are encoded once: who is to be asked again keeps its embedding, in memory or, beyond a budget of the process,
 * in a temporary file without a name. */
#ifndef SAMC_HOST_IO_ENCODINGS_H
#define SAMC_HOST_IO_ENCODINGS_H

#include "host/io/samc_io.h"
#include "runtime/base/spool.h"

typedef struct samc__encodings {
    samc__spool spool;
    struct samc__encoding {
        int64_t at;
        size_t size; /* 0: it is not here */
    } * slices;      /* [count]; owned */
    int count;
    bool full; /* there was no room for one; it and those after it are encoded again */
} samc__encodings;

samc_status samc__encodings_begin(samc__encodings *encodings, int slices, samc_error *error);
/* Keeps that of the session's image; where there is no room that is no failure. */
void samc__encodings_keep(samc__encodings *encodings, samc_session *session, int slice);
/* Makes a kept one the session's image; *there false: it is not here. */
samc_status samc__encodings_set(const samc__encodings *encodings, samc_session *session, int slice, bool *there,
                                samc_error *error);
void samc__encodings_end(samc__encodings *encodings);

#endif
