/* samc-host-side: what one core does of the work around the model, stage by stage.
 *
 *   samc-host-side photographs FOLDER COUNT EXAMPLE...    makes COUNT photographs
 *   samc-host-side stages FOLDER COUNT IMAGES             times every stage over IMAGES images, COUNT distinct ones;
 *                                                         overlays, which take longest, of every tenth
 *
 * Seconds are the thread's own, so that other work on the machine does not count. One JSON object on standard output.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/host_side/photographs.h"
#include "bench/host_side/stand_in.h"
#include "host/io/file.h"
#include "host/io/samc_io.h"
#include "runtime/base/status.h"

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

enum { TENTH = 10 };
enum { READ, DECODE, RLE, COCO, OVERLAY, STAGES };
static const char *const names[STAGES] = {"read", "decode", "rle", "coco", "overlay"};

typedef struct totals {
    double seconds[STAGES], bytes[STAGES]; /* bytes: in for READ, out for the others */
} totals;

static double file_bytes(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) return 0.0;
    fseek(file, 0, SEEK_END);
    double bytes = (double)ftell(file);
    fclose(file);
    return bytes;
}

/* Each stage by the functions that the archive job calls for it. */
static samc_status one_image(const char *folder, int number, bool overlay, totals *t, samc_error *error) {
    static const samc_output outputs[STAGES] = {
        [RLE] = SAMC_OUTPUT_RLE, [COCO] = SAMC_OUTPUT_COCO, [OVERLAY] = SAMC_OUTPUT_OVERLAY};
    char path[4096], out[4096];
    uint8_t *bytes = NULL;
    size_t size = 0;
    int code;
    samc_image picture = SAMC_INIT(samc_image);
    samc_mask made[STAND_IN_MASKS];
    snprintf(path, sizeof path, "%s/%d.jpg", folder, number);
    snprintf(out, sizeof out, "%s/out", folder);
    double start = thread_seconds();
    SAMC__TRY(samc__file_read_regular(path, (size_t)1 << 29, &bytes, &size, &code, error));
    double there = thread_seconds();
    samc_status status = samc_image_decode(bytes, size, path, SAMC_IMAGE_MOST_PIXELS, &picture, error);
    double decoded = thread_seconds();
    free(bytes);
    t->seconds[READ] += there - start, t->bytes[READ] += (double)size;
    t->seconds[DECODE] += decoded - there, t->bytes[DECODE] += 3.0 * picture.width * picture.height;
    if (status == SAMC_OK) status = stand_in_masks(picture.width, picture.height, made, error);
    if (status != SAMC_OK) return samc_image_free(&picture), status;
    samc_masks masks = {.size = sizeof masks,
                        .source = path,
                        .width = picture.width,
                        .height = picture.height,
                        .image = &picture,
                        .masks = made,
                        .count = STAND_IN_MASKS};
    for (int stage = RLE; stage < (overlay ? STAGES : OVERLAY) && status == SAMC_OK; stage++) {
        start = thread_seconds();
        status = samc_masks_write(&masks, 1, outputs[stage], out, error);
        t->seconds[stage] += thread_seconds() - start;
        t->bytes[stage] += file_bytes(out);
    }
    samc_runs_release(made[0].runs);
    samc_image_free(&picture);
    return status;
}

int main(int argc, char **argv) {
    samc_error error = {0};
    totals t = {0};
    bool making = argc > 4 && strcmp(argv[1], "photographs") == 0;
    if (!making && (argc != 5 || strcmp(argv[1], "stages") != 0)) {
        fprintf(stderr, "usage: samc-host-side photographs FOLDER COUNT EXAMPLE...\n"
                        "       samc-host-side stages FOLDER COUNT IMAGES\n");
        return 2;
    }
    int count = atoi(argv[3]), images = making ? 0 : atoi(argv[4]);
    samc_status status =
        making ? make_photographs(argv[2], argv + 4, argc - 4 < 8 ? argc - 4 : 8, count, &error) : SAMC_OK;
    for (int i = 0; i < images && status == SAMC_OK; i++)
        status = one_image(argv[2], i % count, i % TENTH == 0, &t, &error);
    if (status != SAMC_OK) return fprintf(stderr, "%s\n", error.message), 1;
    if (making) return 0;
    printf("{\"images\": %d, \"masks\": %d", images, STAND_IN_MASKS);
    for (int i = 0; i < STAGES; i++) {
        int of = i == OVERLAY ? (images + TENTH - 1) / TENTH : images;
        printf(", \"%s\": {\"seconds\": %.6f, \"bytes\": %.0f}", names[i], t.seconds[i] / of, t.bytes[i] / of);
    }
    printf("}\n");
    return 0;
}
