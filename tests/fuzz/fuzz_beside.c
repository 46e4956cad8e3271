/* What scenes name beside them, from any bytes: an Imagine file, another that it may name, which is also its .aux, and
 * a header that is text. The first two bytes say how many of the rest are the first file's. It ends, and says why it
 * refuses. No part of GDAL is called, as there are no overviews or masks. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/geo_scene.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { FILES = 4 };

static void open_files(int files[FILES], char *scene) {
    static const char *const names[FILES] = {"a.img", "b.rrd", "a.aux", "a.rdc"};
    char folder[] = "/tmp/samc-fuzz-XXXXXX", path[64];
    if (mkdtemp(folder) == NULL) abort();
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        files[i] = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (files[i] < 0) abort();
        if (i == 0) strcpy(scene, path);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const samc__gdal none;
    static int files[FILES];
    static char scene[64];
    samc_error error = {0};
    if (size < 2) return 0;
    if (scene[0] == '\0') open_files(files, scene);
    const size_t rest = size - 2, asked = bytes[0] | (size_t)bytes[1] << 8, first = asked < rest ? asked : rest;
    for (int i = 0; i < FILES; i++) {
        const uint8_t *from = bytes + 2 + (i == 0 ? 0 : first);
        const size_t length = i == 0 ? first : rest - first;
        if (ftruncate(files[i], 0) != 0 || pwrite(files[i], from, length, 0) != (ssize_t)length) abort();
    }
    if (samc__geo_check_beside(&none, "scene", scene, &error) != SAMC_OK && error.message[0] == '\0') abort();
    char *text = strndup((const char *)bytes + 2, rest);
    if (samc__geo_names_file(text) && strchr(text, '/') == NULL) abort();
    free(text);
    return 0;
}
