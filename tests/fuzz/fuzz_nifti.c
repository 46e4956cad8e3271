/* NIfTI, packed or not, from any bytes: what opens gives finite places, and every slice or an error. Memory files, so
 * that nothing goes to a disk. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/io/nifti.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void walk(samc__volume *volume) {
    const samc__volume_info *info = samc__volume_get_info(volume);
    const int64_t all = (int64_t)info->extent[0] * info->extent[1] * info->extent[2];
    for (int i = 0; i < 3; i++)
        if (info->extent[i] < 1 || !isfinite(info->spacing[i]) || !isfinite(info->affine[i][3])) abort();
    for (int axis = 0; axis < 3 && all < 1 << 16; axis++) {
        const size_t slice = (size_t)(all / info->extent[axis]);
        float *values = malloc(slice * (size_t)info->channels * sizeof *values);
        for (int i = 0; i < 4; i++)
            (void)samc__volume_slice(volume, axis, info->extent[axis] * (3 - i) / 4, values, NULL);
        free(values);
    }
    /* What is written of the space says the same place. */
    uint8_t head[SAMC__NIFTI_2 + 4];
    samc__nifti back;
    void *state;
    (void)samc__volume_get_source(volume, &state);
    const samc__nifti *space = samc__nifti_of(state);
    const size_t length = samc__nifti_label_header(space, SAMC__NIFTI_U8, 1, head);
    if (samc__nifti_parse(head, length, "labels", &back, NULL) != SAMC_OK) abort();
    if (memcmp(space->affine, back.affine, sizeof back.affine) != 0) abort();
    if (memcmp(space->extent, back.extent, sizeof back.extent) != 0 || back.times != 1) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char path[64];
    samc__volume *volume;
    samc_error error;
    int handle = memfd_create("volume.nii", MFD_CLOEXEC);
    if (handle < 0 || write(handle, bytes, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", handle);
    if (samc__volume_open(path, size > 0 ? bytes[size - 1] % 2 : 0, &volume, &error) == SAMC_OK) walk(volume);
    else if (error.message[0] == '\0') abort();
    samc__volume_close(volume);
    close(handle);
    return 0;
}
