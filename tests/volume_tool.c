/* What the tests in Python ask of volumes, one question a run:
 *     volume_tool info FILE TIME                  JSON of the volume's info
 *     volume_tool values FILE TIME AXIS           floats of all slices across the axis, in order, to the standard
 * output volume_tool labels FILE TIME TO COUNT [NAME...]    [k, j, i] uint16 of the standard input as labels An error
 * is one line on the standard error, and 1. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/labels.h"

static int print_info(const samc__volume_info *info) {
    printf("{\"extent\": [%d, %d, %d], \"times\": %d, \"channels\": %d, \"format\": \"%s\", \"window\": \"%s\", "
           "\"note\": \"%s\", ",
           info->extent[0], info->extent[1], info->extent[2], info->times, info->channels, info->format, info->window,
           info->note);
    printf("\"spacing\": [%.17g, %.17g, %.17g], \"affine\": [", info->spacing[0], info->spacing[1], info->spacing[2]);
    for (int i = 0; i < 3; i++)
        printf("[%.17g, %.17g, %.17g, %.17g], ", info->affine[i][0], info->affine[i][1], info->affine[i][2],
               info->affine[i][3]);
    printf("[0, 0, 0, 1]]}\n");
    return 0;
}

static samc_status write_values(samc__volume *volume, int axis, samc_error *error) {
    const samc__volume_info *info = samc__volume_get_info(volume);
    const size_t size = (size_t)info->extent[axis == 0] * (size_t)info->extent[axis == 2 ? 1 : 2];
    float *values = malloc(size * (size_t)info->channels * sizeof *values);
    samc_status status = SAMC_OK;
    for (int i = 0; i < info->extent[axis] && status == SAMC_OK; i++) {
        status = samc__volume_slice(volume, axis, i, values, error);
        if (status == SAMC_OK) fwrite(values, sizeof *values, size * (size_t)info->channels, stdout);
    }
    free(values);
    return status;
}

typedef struct planes {
    uint16_t *values;
    size_t slice;
} planes;

static samc_status plane(void *context, int k, uint16_t *labels, samc_error *error) {
    const planes *all = context;
    (void)error;
    memcpy(labels, all->values + (size_t)k * all->slice, all->slice * sizeof *labels);
    return SAMC_OK;
}

static samc_status write_labels(samc__volume *volume, char **argv, samc_error *error) {
    const samc__volume_info *info = samc__volume_get_info(volume);
    planes all = {.slice = (size_t)info->extent[0] * (size_t)info->extent[1]};
    const size_t size = all.slice * (size_t)info->extent[2];
    all.values = malloc(size * sizeof *all.values);
    if (fread(all.values, sizeof *all.values, size, stdin) != size) exit(2);
    const samc__labels labels = {.count = atoi(argv[5]),
                                 .names = argv[6] != NULL ? (const char *const *)(argv + 6) : NULL,
                                 .slice = plane,
                                 .context = &all};
    samc_status status = samc__labels_write(argv[4], volume, &labels, error);
    free(all.values);
    return status;
}

int main(int argc, char **argv) {
    samc__volume *volume;
    samc_error error = {0};
    if (argc < 4) return 2;
    samc_status status = samc__volume_open(argv[2], atoi(argv[3]), &volume, &error);
    if (status == SAMC_OK && strcmp(argv[1], "info") == 0) print_info(samc__volume_get_info(volume));
    if (status == SAMC_OK && strcmp(argv[1], "values") == 0 && argc > 4)
        status = write_values(volume, atoi(argv[4]), &error);
    if (status == SAMC_OK && strcmp(argv[1], "labels") == 0 && argc > 5) status = write_labels(volume, argv, &error);
    samc__volume_close(volume);
    if (status != SAMC_OK) fprintf(stderr, "%s\n", error.message);
    return status != SAMC_OK;
}
