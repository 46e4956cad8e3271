/* Any bytes as the source of a DICOM segmentation: what of its header goes into the new object, and back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "host/io/labels.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static size_t slice;

/* What goes into a new object from outside is the same each time, so that a run with the same seed repeats. */
ssize_t getrandom(void *bytes, size_t length, unsigned flags) {
    (void)flags;
    memset(bytes, 0x5a, length);
    return (ssize_t)length;
}
time_t time(time_t *at) {
    const time_t now = 1700000000;
    if (at != NULL) *at = now;
    return now;
}

static samc_status some_labels(void *context, int k, uint16_t *labels, samc_error *error) {
    (void)context, (void)error;
    for (size_t i = 0; i < slice; i++) labels[i] = (uint16_t)((i + (size_t)k) % 3);
    return SAMC_OK;
}

/* A name that ends as segmentations do and leads to /dev/null. */
static const char *nowhere(void) {
    static char path[64];
    if (path[0] == '\0') {
        snprintf(path, sizeof path, "/tmp/fuzz-seg-%d.dcm", (int)getpid());
        if (symlink("/dev/null", path) != 0) abort();
    }
    return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const char *const names[] = {"Leber", NULL};
    char path[64];
    samc__volume *volume;
    int handle = memfd_create("slice.dcm", MFD_CLOEXEC);
    if (handle < 0 || write(handle, bytes, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", handle);
    if (samc__volume_open(path, 0, &volume, NULL) == SAMC_OK) {
        const samc__volume_info *info = samc__volume_get_info(volume);
        samc_error error = {0};
        const samc__labels labels = {.count = 2, .names = names, .slice = some_labels};
        slice = (size_t)info->extent[0] * (size_t)info->extent[1];
        if (slice * (size_t)info->extent[2] < 1 << 16 &&
            samc__labels_write(nowhere(), volume, &labels, &error) != SAMC_OK && error.message[0] == '\0')
            abort();
    }
    samc__volume_close(volume);
    close(handle);
    return 0;
}
