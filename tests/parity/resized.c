/* What the encoder sees of an image: `resized FILTER RANGE SIDE < IMAGE.ppm > VALUES`, FILTER and RANGE by their
 * numbers in preprocess.h, the image squashed to SIDE x SIDE, f32 [SIDE, SIDE, 3]. For recipe_parity.py. */
#include <stdio.h>
#include <stdlib.h>

#include "kernels/ops.h"
#include "kernels/preprocess/preprocess.h"
#include "runtime/memory.h"
#include "runtime/model/skimage.h"
#include "runtime/threads.h"

static void die(const char *what) {
    fprintf(stderr, "resized: %s\n", what);
    exit(1);
}

int main(int argc, char **argv) {
    int width, height;
    if (argc != 4 || scanf("P6 %d %d 255", &width, &height) != 2 || getchar() == EOF) die("wrong usage, or no PPM");
    const int side = atoi(argv[3]);
    const size_t count = 3 * (size_t)width * (size_t)height, values = 3 * (size_t)side * (size_t)side;
    uint8_t *rgb = malloc(count);
    float *patches = malloc(values * sizeof *patches), *out = malloc(values * sizeof *out);
    if (!rgb || !patches || !out || fread(rgb, 1, count, stdin) != count) die("no memory, or the PPM is cut off");
    samc__ops ops;
    samc_error error;
    samc__memory memory = {0};
    samc__pool *pool = samc__pool_create(1);
    samc__ops_ref(&ops);
    samc__exec exec = {.ops = &ops,
                       .error = &error,
                       .workers = 1,
                       .pool = pool,
                       .parallel = samc__pool_run,
                       .memory = &memory,
                       .allocate = samc__memory_allocate,
                       .release = samc__memory_release};
    samc__preprocess_args args = {.rgb = rgb,
                                  .row_bytes = 3 * (ptrdiff_t)width,
                                  .width = width,
                                  .height = height,
                                  .new_width = side,
                                  .new_height = side,
                                  .patch = side,
                                  .grid = 1,
                                  .filter = (samc__filter)atoi(argv[1]),
                                  .range = (samc__range)atoi(argv[2]),
                                  .std = {1, 1, 1},
                                  .patches = samc__view2(patches, 1, 3 * (int64_t)side * side)};
    const samc_image image = {sizeof image, rgb, width, height, 3 * (ptrdiff_t)width};
    uint8_t *square = malloc(values);
    if (atoi(argv[1]) == SAMC__FILTER_CUBIC_AA) { /* resized before operators see it */
        if (samc__skimage_resize(&exec, &image, side, side, square) != SAMC_OK) die(error.message);
        args.rgb = square, args.width = args.height = side, args.row_bytes = 3 * (ptrdiff_t)side;
    }
    if (samc__preprocess(&exec, &args) != SAMC_OK) die(error.message);
    for (size_t i = 0; i < values; i++) out[i] = patches[i % 3 * (values / 3) + i / 3];
    if (fwrite(out, sizeof *out, values, stdout) != values || fflush(stdout) != 0) die("cannot write");
    samc__pool_destroy(pool);
    free(square);
    free(out);
    free(patches);
    free(rgb);
    return 0;
}
