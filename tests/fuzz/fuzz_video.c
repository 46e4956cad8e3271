/* Fuzzes reading y4m and raw video, and writes what was read. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/io/samc_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const char *path, const samc_video_format *as) {
    samc_video_format format = SAMC_INIT(samc_video_format);
    samc_video *in, *out;
    samc_error error;
    bool there = true;
    if (samc_video_open(path, as, &in, &error) != SAMC_OK) return;
    if (samc_video_get_format(in, &format, &error) != SAMC_OK) abort();
    if (format.width <= 1024 && format.height <= 1024) { /* others cost time and tell nothing more */
        uint8_t *rgb = malloc((size_t)format.width * (size_t)format.height * 3);
        if (samc_video_begin("/dev/null", &format, &out, &error) != SAMC_OK) abort();
        while (there && samc_video_read(in, rgb, &there, &error) == SAMC_OK)
            if (there && samc_video_write(out, rgb, &error) != SAMC_OK) abort();
        samc_video_close(out, NULL);
        free(rgb);
    }
    samc_video_close(in, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int file = memfd_create("video", MFD_CLOEXEC);
    if (file < 0 || (size > 0 && write(file, data, size) != (ssize_t)size)) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    read_all(path, NULL);
    read_all(path, &(samc_video_format){.size = sizeof(samc_video_format), .width = 3, .height = 5});
    close(file);
    return 0;
}
