/* Slices of a volume as pictures: the values of all of them by one scale. */
#ifndef SAMC_HOST_IO_SLICES_H
#define SAMC_HOST_IO_SLICES_H

#include "host/io/ask.h"
#include "host/io/scale.h"
#include "host/io/volume.h"

struct samc_volume {
    samc__volume *file;
    char *path; /* owned */
    const samc__volume_info *info;
    samc__scale scale;
    bool scaled; /* the scaler has seen all of it */
    samc__scaler scaler;
};

/* What samc__slices reads from: a volume, across one axis. */
typedef struct samc__across {
    samc_volume *volume;
    int axis;
} samc__across;

samc__slices samc__slices_of(samc__across *across);

/* What a journal has to agree in: the volume, its scale, the model, and what `more` says; to be freed. */
samc_status samc__slices_identity(samc_volume *volume, const samc_model *model, const char *more, char **identity,
                                  samc_error *error);

#endif
