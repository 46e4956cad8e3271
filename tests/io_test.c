/* libsamc_io by its public header: every call, what it gives and what it refuses. Archives are in io_archive_test.c. */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/abi.h"
#include "tests/engine.h"

enum { WIDTH = 61, HEIGHT = 43 };
static const char photo[] = SAMC_TEST_DATA "/images/jpeg_420.jpg", turned[] = SAMC_TEST_DATA "/images/exif_6.jpg";

static char folder[64];
static void enter(void) {
    snprintf(folder, sizeof folder, "/tmp/samc-io-%ld", (long)getpid());
    cr_assert(mkdir(folder, 0777) == 0 && chdir(folder) == 0);
}
static void leave(void) {
    char command[96];
    snprintf(command, sizeof command, "cd / && rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}
TestSuite(io, .init = enter, .fini = leave);

/* The bytes of a file with a 0 behind them, to be freed. */
static uint8_t *slurp(const char *path, size_t *size) {
    FILE *file = fopen(path, "r");
    cr_assert(file != NULL, "%s is missing", path);
    uint8_t *bytes = calloc(1, 1 << 22);
    *size = fread(bytes, 1, (1 << 22) - 1, file);
    fclose(file);
    return bytes;
}

static bool exists(const char *path) { return access(path, F_OK) == 0; }

/* ---- Images ---------------------------------------------------------------------------------- */

Test(io, images_from_everywhere) {
    samc_image loaded = SAMC_INIT(samc_image), decoded = loaded, read_in = loaded, upright = loaded;
    samc_image_header header = SAMC_INIT(samc_image_header);
    samc_error error = {0};
    size_t size;
    uint8_t *bytes = slurp(photo, &size);
    cr_assert_eq(samc_image_load(photo, 0, &loaded, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_image_decode(bytes, size, "memory", 0, &decoded, &error), SAMC_OK, "%s", error.message);
    int pipes[2]; /* what comes in pieces, and cannot be sought in */
    cr_assert(pipe(pipes) == 0 && size < 60000 && write(pipes[1], bytes, size) == (ssize_t)size);
    close(pipes[1]);
    cr_assert_eq(samc_image_read(pipes[0], "a pipe", 0, &read_in, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(close(pipes[0]), 0, "the descriptor stays the caller's");
    size_t pixels = (size_t)loaded.width * (size_t)loaded.height * 3;
    cr_expect(loaded.row_bytes == loaded.width * 3 && decoded.width == loaded.width && read_in.height == loaded.height);
    cr_expect_eq(memcmp(loaded.pixels, decoded.pixels, pixels), 0);
    cr_expect_eq(memcmp(loaded.pixels, read_in.pixels, pixels), 0);
    cr_assert_eq(samc_image_read_header(bytes, size, "memory", &header, &error), SAMC_OK);
    cr_expect(header.width == loaded.width && header.height == loaded.height && header.peak_bytes >= (int64_t)pixels);
    cr_expect_str_eq(header.format, "JPEG");
    free(bytes);
    bytes = slurp(turned, &size);
    cr_assert_eq(samc_image_load(turned, 0, &upright, &error), SAMC_OK);
    cr_assert_eq(samc_image_read_header(bytes, size, "memory", &header, &error), SAMC_OK);
    cr_expect(header.width == upright.height && header.height == upright.width && header.width != header.height);
    free(bytes);
    samc_image *all[] = {&loaded, &decoded, &read_in, &upright};
    for (int i = 0; i < 4; i++) {
        samc_image_free(all[i]);
        samc_image_free(all[i]); /* twice is once */
        cr_expect_null(all[i]->pixels);
    }
}

Test(io, images_refused) {
    samc_image image = SAMC_INIT(samc_image);
    samc_image_header header = SAMC_INIT(samc_image_header);
    samc_error error = {0};
    size_t size;
    uint8_t *bytes = slurp(photo, &size);
    cr_expect_eq(samc_image_load("no.jpg", 0, &image, &error), SAMC_IO);
    cr_expect_str_eq(error.message, "no.jpg: cannot open: No such file or directory");
    cr_expect_eq(samc_image_load(folder, 0, &image, &error), SAMC_IO);
    cr_expect_eq(samc_image_decode(bytes, size, "small.jpg", 100, &image, &error), SAMC_UNSUPPORTED);
    cr_expect_not_null(strstr(error.message, "small.jpg: image of"), "%s", error.message);
    cr_expect_eq(samc_image_decode(bytes, size / 2, "half.jpg", 0, &image, &error), SAMC_FORMAT, "%s", error.message);
    cr_expect_eq(samc_image_decode("", 0, "empty", 0, &image, &error), SAMC_FORMAT);
    cr_expect_eq(samc_image_decode("GIF89a", 6, "cut.gif", 0, &image, &error), SAMC_FORMAT);
    cr_expect_eq(samc_image_decode("<html>", 6, "page", 0, &image, &error), SAMC_UNSUPPORTED);
    cr_expect_not_null(strstr(error.message, "JPEG, PNG, GIF, BMP, PSD, PNM, "), "%s", error.message);
    cr_expect_null(image.pixels);
    cr_expect_eq(samc_image_load(NULL, 0, &image, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_load(photo, 0, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_load(photo, -1, &image, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_load(photo, SAMC_IMAGE_MOST_PIXELS + 1, &image, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_read(-1, "nothing", 0, &image, &error), SAMC_IO);
    cr_expect_eq(samc_image_read(0, NULL, 0, &image, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_decode(NULL, 4, "x", 0, &image, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_decode(bytes, size, NULL, 0, &image, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_read_header(bytes, 3, "x", &header, &error), SAMC_FORMAT);
    cr_expect_eq(samc_image_read_header(NULL, 3, "x", &header, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_image_read_header(bytes, size, "x", NULL, &error), SAMC_INVALID_ARGUMENT);
    samc_image_free(NULL);
    free(bytes);
    int formats = 0;
    for (; samc_image_format(formats) != NULL; formats++) cr_expect_not_null(samc_image_decoder(formats));
    cr_expect(formats >= 7 && samc_image_decoder(formats) == NULL && samc_image_format(-1) == NULL);
    cr_expect(strncmp(samc_image_decoder(0), "libjpeg", 7) == 0 && samc_image_decoder(1)[0] == '\0');
}

/* ---- Run lengths ----------------------------------------------------------------------------- */

/* Random masks there and back, in bytes and in bits, measured by counting. */
Test(io, run_lengths) {
    unsigned seed = 1;
    for (int round = 0; round < 200; round++) {
        int width = 1 + rand_r(&seed) % 150, height = 1 + rand_r(&seed) % 40, sparse = 1 + rand_r(&seed) % 60;
        size_t count = (size_t)width * (size_t)height, row = ((size_t)width + 7) / 8;
        uint8_t *mask = calloc(count, 1), *bits = calloc(row, (size_t)height), *back = malloc(count);
        uint8_t *bits_back = malloc(row * (size_t)height);
        int64_t area = 0, measured;
        int x0 = width, y0 = height, x1 = -1, y1 = -1, box[4];
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                if (rand_r(&seed) % sparse || round % 50 == 0) continue;
                mask[y * width + x] = (uint8_t)(1 + rand_r(&seed) % 255);
                bits[(size_t)y * row + (size_t)x / 8] |= (uint8_t)(0x80 >> x % 8);
                area++;
                x0 = x < x0 ? x : x0, x1 = x > x1 ? x : x1, y0 = y < y0 ? y : y0, y1 = y > y1 ? y : y1;
            }
        samc_rle a = SAMC_INIT(samc_rle), b = a, c = a;
        samc_error error = {0};
        char *text = NULL;
        cr_assert_eq(samc_rle_from_bytes(mask, width, height, &a, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(samc_rle_from_bits(bits, width, height, &b, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(samc_rle_to_string(&a, &text, &error), SAMC_OK);
        cr_assert_eq(samc_rle_from_string(text, width, height, &c, &error), SAMC_OK, "%s", error.message);
        cr_expect(a.count == b.count && memcmp(a.counts, b.counts, a.count * sizeof *a.counts) == 0);
        cr_expect(a.count == c.count && memcmp(a.counts, c.counts, a.count * sizeof *a.counts) == 0);
        cr_assert_eq(samc_rle_to_bytes(&c, back, &error), SAMC_OK);
        cr_assert_eq(samc_rle_to_bits(&c, bits_back, &error), SAMC_OK);
        for (size_t i = 0; i < count; i++) cr_assert_eq(back[i], mask[i] != 0);
        cr_expect_eq(memcmp(bits, bits_back, row * (size_t)height), 0);
        cr_assert_eq(samc_rle_measure(&a, &measured, box, &error), SAMC_OK);
        cr_expect_eq(measured, area);
        const int expected[4] = {x0, y0, x1 - x0, y1 - y0}, none[4] = {0};
        cr_expect_eq(memcmp(box, area ? expected : none, sizeof box), 0, "round %d", round);
        samc_io_free(text);
        samc_rle_free(&a), samc_rle_free(&b), samc_rle_free(&c);
        free(mask), free(bits), free(back), free(bits_back);
    }
}

Test(io, run_lengths_refused) {
    samc_rle rle = SAMC_INIT(samc_rle), own = rle;
    uint8_t mask[6] = {0};
    uint32_t beyond[] = {2, UINT32_MAX, 3}, short_of[] = {2, 3};
    char *text = (char *)mask;
    int box[4];
    cr_expect_eq(samc_rle_from_bytes(NULL, 3, 2, &rle, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_from_bytes(mask, 0, 2, &rle, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_from_bytes(mask, -3, -2, &rle, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_from_bits(mask, INT32_MAX, INT32_MAX, &rle, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_from_bytes(mask, 3, 2, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_from_string(NULL, 3, 2, &rle, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_from_string("6", 3, -2, &rle, NULL), SAMC_INVALID_ARGUMENT);
    static const char *const bad[] = {"", "o", "oooooooooooo", "\x7f", " ", "P", "5", "7"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(samc_rle_from_string(bad[i], 3, 2, &rle, NULL), SAMC_FORMAT, "'%s'", bad[i]);
    cr_expect_null(rle.counts);
    cr_expect_eq(samc_rle_to_bytes(&rle, mask, NULL), SAMC_INVALID_ARGUMENT, "there are none");
    own.width = 3, own.height = 2;
    own.counts = beyond, own.count = 3;
    cr_expect_eq(samc_rle_to_bytes(&own, mask, NULL), SAMC_FORMAT);
    cr_expect_eq(samc_rle_to_bits(&own, mask, NULL), SAMC_FORMAT);
    cr_expect_eq(samc_rle_measure(&own, NULL, box, NULL), SAMC_FORMAT);
    own.counts = short_of, own.count = 2;
    cr_expect_eq(samc_rle_to_string(&own, &text, NULL), SAMC_FORMAT);
    cr_expect_null(text);
    own.count = 1, short_of[0] = 6;
    cr_expect_eq(samc_rle_to_bytes(&own, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_to_bits(&own, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_to_string(&own, NULL, NULL), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_rle_measure(&own, NULL, NULL, NULL), SAMC_OK, "both may be NULL");
    cr_expect_eq(samc_rle_measure(NULL, NULL, NULL, NULL), SAMC_INVALID_ARGUMENT);
    samc_rle_free(NULL);
}

/* ---- Prompts --------------------------------------------------------------------------------- */

Test(io, prompts_are_copies) {
    samc_prompts *prompts;
    samc_error error = {0};
    float points[4] = {1, 2, 3, 4}, box[4] = {0, 0, 9, 9}, logits[4];
    samc_prompt prompt = {.size = sizeof prompt, .points = points, .point_count = 2, .box = box, .image = 3};
    cr_assert_eq(samc_prompts_create(&prompts, &error), SAMC_OK);
    cr_expect(samc_prompts_count(prompts) == 0 && samc_prompts_at(prompts, 0) == NULL);
    cr_assert_eq(samc_prompts_add(prompts, &prompt, &error), SAMC_OK);
    cr_assert_eq(samc_prompts_add(prompts, &SAMC_INIT(samc_prompt), &error), SAMC_OK, "a mask alone, set later");
    points[0] = box[0] = 77;
    const samc_prompt *first = samc_prompts_at(prompts, 0);
    cr_expect(first->points[0] == 1 && first->labels[1] == 1 && first->box[0] == 0 && first->image == 3);
    cr_assert_eq(samc_prompts_set_mask(prompts, 1, logits, &error), SAMC_OK);
    cr_expect(first[1].mask_input == logits && first[1].point_count == 0 && first[1].size == sizeof prompt);
    cr_expect_eq(samc_prompts_set_mask(prompts, 2, logits, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_set_mask(prompts, -1, logits, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_set_mask(NULL, 0, logits, &error), SAMC_INVALID_ARGUMENT);
    prompt.point_count = -1;
    cr_expect_eq(samc_prompts_add(prompts, &prompt, &error), SAMC_INVALID_ARGUMENT);
    prompt.point_count = SAMC_MOST_POINTS + 1;
    cr_expect_eq(samc_prompts_add(prompts, &prompt, &error), SAMC_INVALID_ARGUMENT, "before they are read");
    prompt.point_count = 1, prompt.points = NULL;
    cr_expect_eq(samc_prompts_add(prompts, &prompt, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_add(NULL, &SAMC_INIT(samc_prompt), &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_add(prompts, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect(samc_prompts_count(prompts) == 2 && samc_prompts_at(prompts, 2) == NULL);
    cr_expect(samc_prompts_at(prompts, -1) == NULL && samc_prompts_at(NULL, 0) == NULL &&
              samc_prompts_count(NULL) == 0);
    cr_expect_eq(samc_prompts_check(prompts, "p", 4, 5, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc_prompts_check(prompts, "p", 3, 5, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_check(NULL, "p", 3, 5, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_check(prompts, NULL, 3, 5, &error), SAMC_INVALID_ARGUMENT);
    samc_prompts_free(prompts);
    samc_prompts_free(NULL);
}

Test(io, prompts_from_files) {
    samc_prompts *prompts = (samc_prompts *)1;
    samc_error error = {0};
    float numbers[4];
    int32_t label;
    FILE *file = fopen("p.json", "w");
    fputs("[{\"points\": [[1, 2]]}, {\"box\": [1, 2, 3, 4]}]", file);
    fclose(file);
    cr_assert_eq(samc_prompts_read("p.json", &prompts, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc_prompts_count(prompts), 2);
    samc_prompts_free(prompts);
    cr_expect_eq(samc_prompts_read("no.json", &prompts, &error), SAMC_IO);
    cr_expect_null(prompts);
    cr_expect_eq(samc_prompts_read(NULL, &prompts, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_read("p.json", NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_parse(NULL, 4, "x", &prompts, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_parse("[]", 2, NULL, &prompts, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_parse("[]", 2, "x", NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_prompts_parse("[]", 2, "x", &prompts, &error), SAMC_FORMAT);
    cr_expect_null(prompts);
    cr_expect_eq(samc_parse_point(NULL, numbers, &label, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_parse_point("1,2", NULL, &label, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_parse_point("1,2", numbers, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_parse_box(NULL, numbers, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_parse_box("1,2,3,4", NULL, &error), SAMC_INVALID_ARGUMENT);
}

/* ---- Files ----------------------------------------------------------------------------------- */

Test(io, files_are_whole_or_not_there) {
    samc_writer *writer = NULL;
    samc_error error = {0};
    size_t size;
    cr_assert_eq(samc_folder_create("a/b", &error), SAMC_OK);
    cr_assert_eq(samc_writer_open("a/b/file", &writer, &error), SAMC_OK);
    cr_assert_eq(samc_writer_append(writer, "12", 2, &error), SAMC_OK);
    cr_expect_not(exists("a/b/file"));
    cr_assert_eq(samc_writer_append(writer, NULL, 0, &error), SAMC_OK);
    cr_assert_eq(samc_writer_commit(writer, &error), SAMC_OK);
    uint8_t *bytes = slurp("a/b/file", &size);
    cr_expect(size == 2 && memcmp(bytes, "12", 2) == 0);
    free(bytes);
    cr_assert_eq(samc_writer_open("a/other", &writer, &error), SAMC_OK);
    samc_writer_abandon(writer);
    cr_expect_not(exists("a/other"));
    samc_writer_abandon(NULL);
    cr_expect_eq(samc_writer_open("no/folder/x", &writer, &error), SAMC_IO);
    cr_expect_null(writer);
    cr_expect_eq(samc_writer_open(NULL, &writer, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_writer_open("x", NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_writer_append(NULL, "x", 1, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_writer_commit(NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_folder_create(NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_folder_create("", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_folder_create("a/b/file", &error), SAMC_IO);
    char *text = samc_text_utf8("gr\xfc\xc3\xbc\xe2\x82.png");
    cr_expect_str_eq(text, "gr\xef\xbf\xbd\xc3\xbc\xef\xbf\xbd\xef\xbf\xbd.png");
    samc_io_free(text);
    cr_expect_null(samc_text_utf8(NULL));
}

Test(io, arrays_and_png) {
    samc_array array = SAMC_INIT(samc_array);
    samc_writer *writer;
    samc_error error = {0};
    const size_t shape[4] = {2, 3, 1, 1}, huge[2] = {SIZE_MAX / 2, 8};
    float values[6] = {0, 1, 2, 3, 4, 5};
    cr_assert_eq(samc_npy_begin("a.npy", SAMC_NPY_F32, 2, shape, &writer, &error), SAMC_OK);
    for (int i = 0; i < 6; i++) cr_assert_eq(samc_writer_append(writer, values + i, sizeof *values, &error), SAMC_OK);
    cr_assert_eq(samc_writer_commit(writer, &error), SAMC_OK);
    cr_assert_eq(samc_npy_read("a.npy", &array, &error), SAMC_OK, "%s", error.message);
    cr_expect(array.rank == 2 && array.shape[1] == 3 && memcmp(array.values, values, sizeof values) == 0);
    samc_array_free(&array);
    cr_expect_null(array.values);
    samc_array_free(NULL);
    cr_expect_eq(samc_npy_read(NULL, &array, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_decode(NULL, 3, "x", &array, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_decode("x", 1, NULL, &array, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write(NULL, SAMC_NPY_F32, 2, shape, values, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write("b.npy", SAMC_NPY_F32, 2, NULL, values, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write("b.npy", SAMC_NPY_F32, 2, shape, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write("b.npy", SAMC_NPY_F32, 5, shape, values, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write("b.npy", SAMC_NPY_F32, 0, shape, values, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write("b.npy", (samc_npy_type)9, 2, shape, values, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_write("b.npy", SAMC_NPY_F32, 2, huge, values, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_npy_begin("b.npy", SAMC_NPY_F32, 2, shape, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_not(exists("b.npy"));
    uint8_t *png = NULL, grey[6] = {0, 50, 100, 150, 200, 250};
    size_t size;
    samc_image image = SAMC_INIT(samc_image);
    cr_assert_eq(samc_png_encode(grey, 3, 2, 1, &png, &size, &error), SAMC_OK);
    cr_assert_eq(samc_image_decode(png, size, "x", 0, &image, &error), SAMC_OK);
    for (int i = 0; i < 6; i++) cr_expect_eq(image.pixels[3 * i], grey[i]);
    samc_image_free(&image);
    samc_io_free(png);
    cr_expect_eq(samc_png_encode(grey, 3, 2, 2, &png, &size, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_null(png);
    cr_expect_eq(samc_png_encode(grey, 3, -2, 1, &png, &size, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_png_encode(grey, 65536, 65536, 1, &png, &size, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_png_encode(NULL, 3, 2, 1, &png, &size, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_png_encode(grey, 3, 2, 1, NULL, &size, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_png_write(NULL, grey, 3, 2, 1, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_png_write("a.png", NULL, 3, 2, 1, &error), SAMC_INVALID_ARGUMENT);
}

/* ---- Options by name ------------------------------------------------------------------------- */

Test(io, options_by_name) {
    samc_auto_options options = SAMC_INIT(samc_auto_options);
    samc_error error = {0};
    cr_assert_eq(samc_default_auto_options(NULL, &options), SAMC_OK);
    int count = 0;
    while (samc_auto_option(count) != NULL) count++;
    cr_expect(count == 13 && samc_auto_option(-1) == NULL);
    cr_expect_eq(samc_auto_set(&options, "points-per-side", "16", &error), SAMC_OK);
    cr_expect_eq(samc_auto_set(&options, "pred_iou_thresh", "-0.5e0", &error), SAMC_OK);
    cr_expect(options.points_per_side == 16 && options.pred_iou_thresh == -0.5);
    static const char *const bad[][2] = {{"points-per-side", "0"},      {"points-per-side", "1025"},
                                         {"points-per-side", "1.5"},    {"points-per-side", ""},
                                         {"points-per-side", "-1"},     {"points-per-side", "99999999999"},
                                         {"crop-overlap-ratio", "1"},   {"crop-overlap-ratio", "nan"},
                                         {"crop-overlap-ratio", "0x0"}, {"crop-overlap-ratio", " 0"},
                                         {"crop-overlap-ratio", "1e"},  {"points-per-sid", "3"},
                                         {"points-per-sides", "3"},     {"", "3"}};
    const samc_auto_options before = options;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        cr_expect_eq(samc_auto_set(&options, bad[i][0], bad[i][1], &error), SAMC_INVALID_ARGUMENT, "%s=%s", bad[i][0],
                     bad[i][1]);
    cr_expect_eq(memcmp(&options, &before, sizeof options), 0);
    cr_expect_eq(samc_auto_set(&options, "points-per-side", "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_str_eq(error.message, "points-per-side is a whole number from 1 to 1024, not 'x'");
    cr_expect_eq(samc_auto_set(NULL, "points-per-side", "3", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_auto_set(&options, NULL, "3", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_auto_set(&options, "points-per-side", NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_outputs_parse("rle,coco,rle", SAMC_OUTPUT_ARCHIVE), SAMC_OUTPUT_RLE | SAMC_OUTPUT_COCO);
    cr_expect_eq(samc_outputs_parse("rle,npy", SAMC_OUTPUT_ARCHIVE), 0);
    cr_expect_eq(samc_outputs_parse("", ~0u), 0);
    cr_expect_eq(samc_outputs_parse("rle,", ~0u), 0);
    cr_expect_eq(samc_outputs_parse(NULL, ~0u), 0);
}

/* ---- Sessions and masks ---------------------------------------------------------------------- */

typedef struct scene {
    samc_model *model;
    samc_session *session;
    samc_result *result;
    samc_image image;
    uint8_t *padded; /* the pixels, in rows with bytes behind them */
    samc_mask masks[3];
    samc_prompt prompt;
    float point[2];
} scene;

/* Three masks of a prompt on a picture whose rows lie apart. */
static void set_scene(scene *s) {
    enum { ROW = WIDTH * 3 + 7 };
    static const int32_t label = 1;
    *s = (scene){.point = {20, 20}};
    s->padded = malloc(ROW * HEIGHT);
    memset(s->padded, 0xee, ROW * HEIGHT);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int dx = x - 20, dy = y - 20, inside = dx * dx + dy * dy < 150;
            for (int c = 0; c < 3; c++)
                s->padded[y * ROW + x * 3 + c] = (uint8_t)(inside ? 220 - 40 * c : 40 + x + 2 * y);
        }
    s->image = (samc_image){sizeof s->image, s->padded, WIDTH, HEIGHT, ROW};
    s->prompt = (samc_prompt){.size = sizeof s->prompt, .points = s->point, .labels = &label, .point_count = 1};
    s->model = open_model(SAMC_BACKEND_CPU, 1);
    s->session = open_session(s->model);
    cr_assert_eq(samc_set_image(s->session, &s->image), SAMC_OK);
    cr_assert_eq(samc_predict(s->session, &s->prompt, 1, true, &s->result), SAMC_OK);
    for (int i = 0; i < 3; i++) {
        s->masks[i].size = sizeof s->masks[i];
        cr_assert_eq(samc_result_mask(s->session, s->result, 0, i, &s->masks[i]), SAMC_OK);
    }
}

static void clear_scene(scene *s) {
    samc_result_free(s->result);
    samc_session_destroy(s->session);
    samc_model_close(s->model);
    free(s->padded);
}

Test(io, masks_as_pictures) {
    scene s;
    set_scene(&s);
    samc_error error = {0};
    uint8_t bytes[WIDTH * HEIGHT];
    size_t size;
    const samc_mask *mask = &s.masks[0];
    cr_assert_eq(samc_mask_bytes(mask, bytes, &error), SAMC_OK);
    cr_assert(mask->area > 0 && mask->area < WIDTH * HEIGHT);
    cr_assert_eq(samc_mask_write(mask, SAMC_OUTPUT_PNG, NULL, NULL, 0, "m.png", &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_mask_write(mask, SAMC_OUTPUT_NPY, NULL, NULL, 0, "m.npy", &error), SAMC_OK);
    cr_assert_eq(samc_mask_write(mask, SAMC_OUTPUT_CUTOUT, &s.image, NULL, 0, "c.png", &error), SAMC_OK);
    cr_assert_eq(samc_mask_write(mask, SAMC_OUTPUT_OVERLAY, &s.image, NULL, 0, "o.png", &error), SAMC_OK);
    cr_assert_eq(samc_mask_write(mask, SAMC_OUTPUT_OVERLAY, &s.image, &s.prompt, 0, "p.png", &error), SAMC_OK);
    samc_image png = SAMC_INIT(samc_image), cut = png, over = png, with = png;
    cr_assert_eq(samc_image_load("m.png", 0, &png, &error), SAMC_OK);
    cr_assert_eq(samc_image_load("c.png", 0, &cut, &error), SAMC_OK);
    cr_assert_eq(samc_image_load("o.png", 0, &over, &error), SAMC_OK);
    cr_assert_eq(samc_image_load("p.png", 0, &with, &error), SAMC_OK);
    uint8_t *npy = slurp("m.npy", &size);
    cr_expect(size > sizeof bytes && memcmp(npy + size - sizeof bytes, bytes, sizeof bytes) == 0);
    int drawn = 0;
    for (int i = 0; i < WIDTH * HEIGHT; i++) {
        const uint8_t *pixel = s.image.pixels + i / WIDTH * s.image.row_bytes + i % WIDTH * 3;
        cr_expect_eq(png.pixels[3 * i], bytes[i] * 255);
        for (int c = 0; c < 3; c++) {
            cr_expect_eq(cut.pixels[3 * i + c], bytes[i] ? pixel[c] : 0);
            if (!bytes[i]) cr_expect_eq(over.pixels[3 * i + c], pixel[c], "outside of the mask nothing changes");
        }
        drawn += memcmp(with.pixels + 3 * i, over.pixels + 3 * i, 3) != 0;
    }
    cr_expect(drawn > 20 && drawn < 400, "the prompt is drawn: %d pixels", drawn);
    free(npy);
    samc_image_free(&png), samc_image_free(&cut), samc_image_free(&over), samc_image_free(&with);
    samc_image small = s.image;
    small.width--;
    cr_expect_eq(samc_mask_write(NULL, SAMC_OUTPUT_PNG, NULL, NULL, 0, "x.png", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_write(mask, SAMC_OUTPUT_PNG, NULL, NULL, 0, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_write(mask, SAMC_OUTPUT_COCO, NULL, NULL, 0, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_write(mask, SAMC_OUTPUT_CUTOUT, NULL, NULL, 0, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_write(mask, SAMC_OUTPUT_OVERLAY, &small, NULL, 0, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_mask_write(mask, SAMC_OUTPUT_OVERLAY, &s.image, NULL, -1, "x", &error), SAMC_INVALID_ARGUMENT);
    samc_prompt broken = {.size = sizeof broken, .point_count = 5};
    cr_expect_eq(samc_mask_write(mask, SAMC_OUTPUT_OVERLAY, &s.image, &broken, 0, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_not(exists("x") || exists("x.png"));
    clear_scene(&s);
}

/* Text and files of whole images: one record from prompts as from automatic masks. */
Test(io, masks_as_text) {
    scene s;
    set_scene(&s);
    samc_error error = {0};
    samc_masks images[2] = {{sizeof *images, "a\"b.jpg", NULL, WIDTH, HEIGHT, &s.image, s.masks, 3, NULL, NULL},
                            {sizeof *images, "c.jpg", "c", WIDTH, HEIGHT, NULL, NULL, 0, NULL, NULL}};
    char *text, *rle;
    size_t size;
    cr_assert_eq(samc_masks_text(images, 1, SAMC_OUTPUT_RLE, &rle, &size, &error), SAMC_OK, "%s", error.message);
    cr_expect(size == strlen(rle) && rle[0] == '[' && rle[size - 1] == ']');
    cr_assert_eq(samc_masks_text(images, 2, SAMC_OUTPUT_JSONL, &text, &size, &error), SAMC_OK);
    cr_expect(strncmp(text, "{\"image\": \"a\\\"b.jpg\", \"size\": [43, 61], \"masks\": [", 48) == 0, "%s", text);
    cr_expect(strncmp(strchr(text, '\n') + 1, "{\"image\": \"c.jpg\", \"size\": [43, 61], \"masks\": []}\n", 60) == 0);
    cr_expect_not_null(strstr(text, rle), "the list in the line is the list in the file");
    cr_assert_eq(samc_masks_write(images, 2, SAMC_OUTPUT_JSONL, "m.jsonl", &error), SAMC_OK);
    uint8_t *file = slurp("m.jsonl", &size);
    cr_expect_str_eq((char *)file, text);
    free(file), samc_io_free(text), samc_io_free(rle);
    cr_assert_eq(samc_masks_text(images, 2, SAMC_OUTPUT_COCO, &text, &size, &error), SAMC_OK);
    char area[64];
    snprintf(area, sizeof area, "{\"id\": 3, \"image_id\": 1, ");
    cr_expect_not_null(strstr(text, area), "%s", text);
    cr_expect_not_null(strstr(text, "{\"id\": 2, \"file_name\": \"c\", \"width\": 61, \"height\": 43}\n]}\n"), "%s",
                       text);
    samc_io_free(text);
    cr_assert_eq(samc_masks_text(NULL, 0, SAMC_OUTPUT_COCO, &text, &size, &error), SAMC_OK, "an empty data set");
    samc_io_free(text);
    cr_assert_eq(samc_masks_write(images, 1, SAMC_OUTPUT_PNG, "pictures", &error), SAMC_OK, "%s", error.message);
    cr_expect(exists("pictures/0.png") && exists("pictures/2.png") && exists("pictures/metadata.csv"));
    cr_expect_eq(samc_masks_write(images, 1, SAMC_OUTPUT_PNG, "pictures", &error), SAMC_IO, "nothing is written over");
    cr_assert_eq(samc_masks_write(images, 1, SAMC_OUTPUT_OVERLAY, "over.png", &error), SAMC_OK);
    cr_expect(exists("over.png"));
    cr_expect_eq(samc_masks_write(images + 1, 1, SAMC_OUTPUT_OVERLAY, "x", &error), SAMC_INVALID_ARGUMENT, "no pixels");
    cr_expect_eq(samc_masks_write(images, 2, SAMC_OUTPUT_RLE, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_masks_write(images, 1, SAMC_OUTPUT_CUTOUT, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_masks_write(images, 1, SAMC_OUTPUT_RLE, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_masks_write(images, -1, SAMC_OUTPUT_COCO, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_masks_write(NULL, 1, SAMC_OUTPUT_COCO, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_masks_text(images, 1, SAMC_OUTPUT_PNG, &text, &size, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_masks_text(images, 1, SAMC_OUTPUT_RLE, NULL, &size, &error), SAMC_INVALID_ARGUMENT);
    images[1].width--;
    images[1].masks = s.masks, images[1].count = 3;
    cr_expect_eq(samc_masks_write(images, 2, SAMC_OUTPUT_COCO, "x", &error), SAMC_MISMATCH, "%s", error.message);
    images[1].source = NULL;
    cr_expect_eq(samc_masks_write(images, 2, SAMC_OUTPUT_COCO, "x", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_not(exists("x"));
    clear_scene(&s);
}

Test(io, embeddings) {
    scene s;
    set_scene(&s);
    samc_error error = {0};
    cr_expect_eq(samc_embedding_format_of("a.NPY"), SAMC_EMBEDDING_NPY);
    cr_expect_eq(samc_embedding_format_of("a.npy/b.safetensors"), SAMC_EMBEDDING_SAFETENSORS);
    cr_expect_eq(samc_embedding_format_of("safetensors"), SAMC_EMBEDDING_UNKNOWN);
    cr_expect_eq(samc_embedding_format_of(NULL), SAMC_EMBEDDING_UNKNOWN);
    static const char *const names[] = {"e.npy", "e.safetensors"};
    for (int i = 0; i < 2; i++) {
        samc_result *again = NULL;
        cr_assert_eq(samc_embedding_save(s.session, s.model, names[i], &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(samc_embedding_load(s.session, s.model, names[i], "a.jpg", WIDTH, HEIGHT, &error), SAMC_OK, "%s",
                     error.message);
        cr_assert_eq(samc_predict(s.session, &s.prompt, 1, true, &again), SAMC_OK);
        cr_expect_eq(memcmp(samc_result_iou(again), samc_result_iou(s.result), 3 * sizeof(float)), 0, "%s", names[i]);
        samc_result_free(again);
    }
    cr_expect_eq(samc_embedding_load(s.session, s.model, names[1], "a.jpg", WIDTH, 9, &error), SAMC_MISMATCH);
    cr_expect_not_null(strstr(error.message, "but a.jpg has 61 x 9"), "%s", error.message);
    cr_expect_eq(samc_embedding_load(s.session, s.model, "no.npy", "a.jpg", WIDTH, HEIGHT, &error), SAMC_IO);
    cr_expect_eq(samc_embedding_save(s.session, s.model, "e.txt", &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_embedding_save(NULL, s.model, names[0], &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_embedding_save(s.session, NULL, names[0], &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_embedding_load(s.session, s.model, NULL, "x", 1, 1, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_session_check(s.session, SAMC_OK, "x", &error), SAMC_OK);
    samc_status failed = samc_set_image(s.session, NULL);
    cr_expect_eq(samc_session_check(s.session, failed, "a.jpg", &error), failed);
    cr_expect(strncmp(error.message, "a.jpg: ", 7) == 0 && error.status == failed, "%s", error.message);
    cr_expect_eq(samc_session_check(NULL, SAMC_IO, NULL, &error), SAMC_IO);
    clear_scene(&s);
}
