/* The writers and the parsers of the host: .npy, run lengths, PNG, overlays, atomic files, prompts. Run lengths are
 * compared with pycocotools' (rle.txt, made by make_image_fixtures.py). */
#include <criterion/criterion.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/masks.h"
#include "host/io/file.h"
#include "host/io/overlay.h"
#include "host/io/samc_io.h"
#include "runtime/runs.h"

#ifndef SAMC_TEST_DATA
#define SAMC_TEST_DATA "tests/data"
#endif

/* A fresh folder; each test runs in a process of its own, which begins in it. */
static char folder[64];

static void enter_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/samc-writers-%ld", (long)getpid());
    cr_assert_eq(mkdir(folder, 0777), 0);
}

static int files_in_folder(void) {
    int count = 0;
    DIR *open = opendir(folder);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(open);
    return count;
}

static const char *in_folder(const char *name) {
    static char path[2][256];
    static int turn;
    turn ^= 1;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void leave_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(npy, .init = enter_folder, .fini = leave_folder);
TestSuite(files, .init = enter_folder, .fini = leave_folder);
TestSuite(png, .init = enter_folder, .fini = leave_folder);

/* ---- Files ----------------------------------------------------------------------------------- */

Test(files, replaced_whole) {
    samc_error error = {0};
    const char *path = in_folder("a.bin");
    uint8_t *bytes;
    size_t size;
    umask(027);
    cr_assert_eq(samc__file_write(path, "old", 3, &error), SAMC_OK, "%s", error.message);
    samc__writer writer;
    cr_assert_eq(samc__writer_open(&writer, path, &error), SAMC_OK);
    cr_assert_eq(samc__writer_append(&writer, "new", 3, &error), SAMC_OK);
    cr_assert_eq(samc__writer_append(&writer, "er", 2, &error), SAMC_OK);
    cr_assert_eq(samc__file_read(path, 100, &bytes, &size, &error), SAMC_OK);
    cr_assert(size == 3 && memcmp(bytes, "old", 3) == 0, "visible before it was complete");
    free(bytes);
    cr_assert_eq(samc__writer_commit(&writer, &error), SAMC_OK);
    cr_assert_eq(samc__file_read(path, 100, &bytes, &size, &error), SAMC_OK);
    cr_assert(size == 5 && memcmp(bytes, "newer", 5) == 0);
    free(bytes);
    struct stat information;
    cr_assert_eq(stat(path, &information), 0);
    cr_assert_eq(information.st_mode & 0777, 0640, "the umask decides, not %o", information.st_mode & 0777);
    cr_assert_eq(files_in_folder(), 1);
}

/* A size limit stands for the full disk: write() fails in the middle of the file. */
Test(files, full_disk_leaves_the_old_file) {
    samc_error error = {0};
    const char *path = in_folder("a.bin");
    uint8_t *bytes, *big = calloc(1, 100000);
    size_t size;
    cr_assert_eq(samc__file_write(path, "old", 3, &error), SAMC_OK);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = {5000, 5000};
    setrlimit(RLIMIT_FSIZE, &limit);
    cr_assert_eq(samc__file_write(path, big, 100000, &error), SAMC_IO);
    cr_assert(strncmp(error.message, path, strlen(path)) == 0 &&
                  strstr(error.message, "cannot write: File too large") != NULL,
              "%s", error.message);
    cr_assert_eq(files_in_folder(), 1, "the temporary file stayed");
    cr_assert_eq(samc__file_read(path, 100, &bytes, &size, &error), SAMC_OK);
    cr_assert(size == 3 && memcmp(bytes, "old", 3) == 0);
    free(bytes);
    free(big);
}

Test(files, abandoned_and_impossible) {
    samc_error error = {0};
    samc__writer writer;
    cr_assert_eq(samc__writer_open(&writer, in_folder("b"), &error), SAMC_OK);
    samc__writer_abandon(&writer);
    cr_assert_eq(files_in_folder(), 0);
    cr_assert_eq(samc__writer_append(&writer, "x", 1, &error), SAMC_IO);
    cr_assert_eq(samc__file_write("/no/such/folder/x.png", "x", 1, &error), SAMC_IO);
    cr_assert_str_eq(error.message, "/no/such/folder/x.png: cannot write: No such file or directory");
    cr_assert_eq(samc__file_write(folder, "x", 1, &error), SAMC_IO);
    cr_assert(strstr(error.message, "is a directory") != NULL);
}

Test(files, folders) {
    samc_error error = {0};
    cr_assert_eq(samc_folder_create(in_folder("a/b//c/"), &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_folder_create(in_folder("a/b/c"), &error), SAMC_OK, "existing ones are fine");
    cr_assert_eq(samc__file_write(in_folder("a/b/c/x"), "x", 1, &error), SAMC_OK);
    cr_assert_eq(samc_folder_create(in_folder("a/b/c/x"), &error), SAMC_IO);
    cr_assert_eq(samc_folder_create(in_folder("a/b/c/x/y"), &error), SAMC_IO);
    cr_assert_eq(samc_folder_create("/", &error), SAMC_OK);
}

Test(files, reading_is_bounded) {
    samc_error error = {0};
    uint8_t *bytes;
    size_t size;
    cr_assert_eq(samc__file_write(in_folder("a"), "12345", 5, &error), SAMC_OK);
    cr_assert_eq(samc__file_read(in_folder("a"), 4, &bytes, &size, &error), SAMC_UNSUPPORTED);
    cr_assert_eq(samc__file_read("/dev/zero", 1 << 20, &bytes, &size, &error), SAMC_UNSUPPORTED);
}

/* ---- .npy ------------------------------------------------------------------------------------ */

Test(npy, round_trip) {
    samc_error error = {0};
    float values[24];
    for (int i = 0; i < 24; i++) values[i] = 0.1f * (float)i - 1;
    for (int rank = 1; rank <= 4; rank++) {
        static const size_t shapes[4][4] = {{24}, {4, 6}, {2, 3, 4}, {2, 3, 1, 4}};
        samc_array array = {.size = sizeof array};
        cr_assert_eq(samc_npy_write(in_folder("a.npy"), SAMC_NPY_F32, rank, shapes[rank - 1], values, &error), SAMC_OK);
        cr_assert_eq(samc_npy_read(in_folder("a.npy"), &array, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(array.rank, rank);
        cr_assert_eq(memcmp(array.shape, shapes[rank - 1], (size_t)rank * sizeof(size_t)), 0);
        cr_assert_eq(memcmp(array.values, values, sizeof values), 0);
        samc_array_free(&array);
    }
}

/* The bytes that numpy.save() writes for numpy.array([True, False, True]). */
Test(npy, bytes_of_numpy) {
    static const char expected[] = "\x93NUMPY\x01\0v\0{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }"
                                   "                                                            \n\x01\0\x01";
    samc_error error = {0};
    size_t size, shape[1] = {3};
    uint8_t *bytes;
    cr_assert_eq(samc_npy_write(in_folder("a.npy"), SAMC_NPY_BOOL, 1, shape, "\1\0\1", &error), SAMC_OK);
    cr_assert_eq(samc__file_read(in_folder("a.npy"), 1000, &bytes, &size, &error), SAMC_OK);
    cr_assert_eq(size, sizeof expected - 1);
    cr_assert_eq(memcmp(bytes, expected, size), 0);
    free(bytes);
}

/* A file of the given version-1 header text and data. */
static samc_status read_npy(const char *header, const void *data, size_t size, samc_array *array, samc_error *error) {
    size_t length = strlen(header);
    uint8_t *bytes = malloc(10 + length + size);
    memcpy(bytes, "\x93NUMPY\1\0", 8);
    bytes[8] = (uint8_t)length;
    bytes[9] = 0;
    memcpy(bytes + 10, header, length);
    memcpy(bytes + 10 + length, data, size);
    samc_status status = samc_npy_decode(bytes, 10 + length + size, "x.npy", array, error);
    free(bytes);
    return status;
}

Test(npy, other_types) {
    static const uint16_t halves[3] = {0x3c00, 0xc100, 0x0001};
    static const double doubles[3] = {1, -2.5, 1e-3};
    samc_array array = {.size = sizeof array};
    samc_error error = {0};
    cr_assert_eq(read_npy("{\"shape\": (3,), 'descr':'<f2', 'fortran_order':False}\n", halves, 6, &array, &error),
                 SAMC_OK, "%s", error.message);
    cr_assert(array.values[0] == 1 && array.values[1] == -2.5f && array.values[2] == 0x1p-24f);
    samc_array_free(&array);
    cr_assert_eq(read_npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3, 1), }\n", doubles, 24, &array, &error),
                 SAMC_OK);
    cr_assert(array.rank == 2 && array.values[0] == 1 && array.values[1] == -2.5f && array.values[2] == 1e-3f);
    samc_array_free(&array);
}

Test(npy, refused) {
    static const struct {
        const char *header, *reason;
    } cases[] = {
        {"{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }", "not of type float32"},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "not of type float32"},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", "Fortran order"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }", "truncated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", "8 bytes of data, its shape needs 4"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "a single number"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }", "a side of zero"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 2), }", "more than 4 dimensions"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2147483648, 2147483648, 2147483648, 2147483648), }",
         "truncated"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", "malformed shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "malformed shape"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), 'more': 1}", "malformed header"},
        {"{'descr': '<f4', 'fortran_order': False}", "malformed header"},
        {"{'descr': '<f4', 'shape': (2,)}", "malformed header"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), } x", "malformed header"},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", "malformed"},
        {"", "malformed header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc_array array = {.size = sizeof array};
        samc_error error = {0};
        cr_assert_eq(read_npy(cases[i].header, "12345678", 8, &array, &error), SAMC_FORMAT, "accepted: %s",
                     cases[i].header);
        cr_assert(strncmp(error.message, "x.npy: ", 7) == 0 && strstr(error.message, cases[i].reason) != NULL,
                  "%s: '%s'", cases[i].header, error.message);
        cr_assert(array.values == NULL);
    }
}

/* ---- Run lengths ----------------------------------------------------------------------------- */

Test(rle, as_pycocotools) {
    FILE *file = fopen(SAMC_TEST_DATA "/images/rle.txt", "r");
    cr_assert(file != NULL);
    int height, width, cases = 0;
    char *mask, *expected, *text;
    for (; fscanf(file, "%d %d %ms %ms", &height, &width, &mask, &expected) == 4; cases++) {
        size_t count = (size_t)height * (size_t)width;
        cr_assert_eq(strlen(mask), count);
        for (size_t i = 0; i < count; i++) mask[i] = (char)(mask[i] - '0');
        samc_rle rle = {.size = sizeof rle}, back = {.size = sizeof back};
        samc_error error = {0};
        cr_assert_eq(samc_rle_from_bytes((uint8_t *)mask, width, height, &rle, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(samc_rle_to_string(&rle, &text, &error), SAMC_OK);
        cr_assert_str_eq(text, expected);
        cr_assert_eq(samc_rle_from_string(text, width, height, &back, &error), SAMC_OK, "%s", error.message);
        cr_assert(back.count == rle.count && memcmp(back.counts, rle.counts, rle.count * sizeof *rle.counts) == 0);
        uint8_t *decoded = malloc(count);
        cr_assert_eq(samc_rle_to_bytes(&back, decoded, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(memcmp(decoded, mask, count), 0);
        samc_runs *runs = samc__runs_create(NULL);
        samc__run_place place;
        cr_assert_eq(samc__runs_add(runs, rle.counts, rle.count, &place, &error), SAMC_OK);
        samc_mask record = {.size = sizeof record,
                            .width = width,
                            .height = height,
                            .runs = runs,
                            .runs_at = place.at,
                            .rle_length = place.length,
                            .count_length = rle.count};
        memset(decoded, 7, count);
        cr_assert_eq(samc_mask_bytes(&record, decoded, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(memcmp(decoded, mask, count), 0);
        record.height++;
        cr_assert_eq(samc_mask_bytes(&record, decoded, &error), SAMC_FORMAT, "they do not cover it");
        samc_runs_release(runs);
        free(decoded);
        free(text);
        free(mask);
        free(expected);
        samc_rle_free(&rle);
        samc_rle_free(&back);
    }
    fclose(file);
    cr_assert_eq(cases, 11);
}

Test(rle, hostile) {
    samc_rle rle = {.size = sizeof rle};
    samc_error error = {0};
    uint8_t mask[6];
    static const char *const strings[] = {"o", "oooooooooooo", "\x7f", " ", "P", "@"};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++) {
        samc_status status = samc_rle_from_string(strings[i], 3, 2, &rle, &error);
        if (status == SAMC_OK) status = samc_rle_to_bytes(&rle, mask, &error);
        cr_assert_neq(status, SAMC_OK, "'%s' was accepted", strings[i]);
        samc_rle_free(&rle);
    }
    uint32_t beyond[] = {2, UINT32_MAX, 3}, short_of[] = {2, 3};
    cr_assert_eq(samc_rle_to_bytes(&(samc_rle){sizeof rle, 3, 2, 3, beyond}, mask, &error), SAMC_FORMAT);
    cr_assert_eq(samc_rle_to_bytes(&(samc_rle){sizeof rle, 3, 2, 2, short_of}, mask, &error), SAMC_FORMAT);
}

/* ---- PNG and pictures ------------------------------------------------------------------------ */

Test(png, round_trip) {
    samc_error error = {0};
    enum { WIDTH = 67, HEIGHT = 41 };
    uint8_t pixels[WIDTH * HEIGHT * 4];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 7 + i / 67 * 13);
    for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
        samc_image picture = SAMC_INIT(samc_image);
        cr_assert_eq(samc_png_write(in_folder("a.png"), pixels, WIDTH, HEIGHT, channels, &error), SAMC_OK, "%s",
                     error.message);
        cr_assert_eq(samc_image_load(in_folder("a.png"), 0, &picture, &error), SAMC_OK, "%s", error.message);
        cr_assert(picture.width == WIDTH && picture.height == HEIGHT);
        for (int i = 0; i < WIDTH * HEIGHT * 3; i++)
            cr_assert_eq(picture.pixels[i], pixels[channels == 1 ? i / 3 : i / 3 * channels + i % 3],
                         "channels %d, byte %d", channels, i);
        samc_image_free(&picture);
    }
    cr_assert_eq(files_in_folder(), 1);
}

Test(overlay, tint_line_and_rest) {
    enum { SIZE = 60 };
    uint8_t pixels[SIZE * SIZE * 3], mask[SIZE * SIZE] = {0};
    samc_error error = {0};
    memset(pixels, 100, sizeof pixels);
    for (int y = 20; y < SIZE; y++) memset(mask + y * SIZE + 20, 1, 20); /* down to the lower edge */
    samc__picture picture = {.pixels = pixels, .width = SIZE, .height = SIZE};
    cr_assert_eq(samc__overlay_mask(&picture, mask, 0, &error), SAMC_OK);
    for (int i = 0; i < SIZE * SIZE; i++)
        if (!mask[i])
            cr_assert(pixels[3 * i] == 100 && pixels[3 * i + 1] == 100 && pixels[3 * i + 2] == 100,
                      "pixel %d was touched", i);
    static const uint8_t line[3] = {30, 144, 255}, inside[3] = {69, 120, 170};
    const uint8_t *edge = pixels + (40 * SIZE + 20) * 3, *middle = pixels + (40 * SIZE + 30) * 3,
                  *low = pixels + (59 * SIZE + 30) * 3;
    for (int c = 0; c < 3; c++) {
        cr_assert_eq(edge[c], line[c], "outline channel %d is %d", c, edge[c]);
        cr_assert_leq(abs(middle[c] - inside[c]), 1, "inside channel %d is %d", c, middle[c]);
        cr_assert_eq(low[c], middle[c], "the picture's border is no outline");
    }
}

Test(overlay, prompts_are_clipped) {
    enum { SIZE = 50 };
    uint8_t *pixels = malloc(SIZE * SIZE * 3); /* on the heap, so that AddressSanitizer sees its ends */
    memset(pixels, 0, SIZE * SIZE * 3);
    samc__picture picture = {.pixels = pixels, .width = SIZE, .height = SIZE};
    float points[] = {25, 25, 0, 0, 49, 49, 10, 40}, box[] = {-1e9f, 5, 1e9f, 1e30f};
    int32_t labels[] = {1, 1, 1, 0};
    samc__overlay_prompt(
        &picture,
        &(samc_prompt){.size = sizeof(samc_prompt), .points = points, .labels = labels, .point_count = 4, .box = box});
    const uint8_t *on = pixels + (21 * SIZE + 25 - 3) * 3, *off = pixels + ((40 - 4) * SIZE + 10) * 3,
                  *centre = pixels + (25 * SIZE + 25) * 3;
    cr_assert(on[1] > on[0] && on[1] > on[2], "a point on the object is green");
    cr_assert(off[0] > off[1] && off[0] > off[2], "a point off the object is red");
    cr_assert(centre[0] == 255 && centre[1] == 255 && centre[2] == 255);
    free(pixels);
}

Test(overlay, cutout) {
    uint8_t pixels[] = {1, 2, 3, 4, 5, 6}, rgba[8];
    samc__cutout(&(samc_image){sizeof(samc_image), pixels, 2, 1, 6}, (uint8_t[]){0, 1}, rgba);
    cr_assert_eq(memcmp(rgba, (uint8_t[]){0, 0, 0, 0, 4, 5, 6, 255}, 8), 0);
}

/* ---- Prompts --------------------------------------------------------------------------------- */

static samc_status parse(const char *json, samc_prompts **prompts, samc_error *error) {
    return samc_prompts_parse(json, strlen(json), "p.json", prompts, error);
}

Test(prompts, complete) {
    samc_prompts *prompts;
    samc_error error = {0};
    cr_assert_eq(parse("[{\"points\": [[1, 2.5], [3e1, 4]], \"labels\": [0, 1], \"box\": [-1, 0, 700, 10]},"
                       " {\"points\": [[7, 8]]}, {\"box\": [1, 2, 3, 4]}]",
                       &prompts, &error),
                 SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_prompts_count(prompts), 3);
    const samc_prompt *p = samc_prompts_at(prompts, 0);
    cr_assert(p[0].point_count == 2 && p[0].points[0] == 1 && p[0].points[1] == 2.5f && p[0].points[2] == 30 &&
              p[0].points[3] == 4);
    cr_assert(p[0].labels[0] == 0 && p[0].labels[1] == 1 && p[0].box[0] == -1 && p[0].box[2] == 700);
    cr_assert(p[1].point_count == 1 && p[1].labels[0] == 1 && p[1].box == NULL);
    cr_assert(p[2].point_count == 0 && p[2].points == NULL && p[2].box[3] == 4);
    cr_assert_eq(samc_prompts_check(prompts, "p.json", 640, 480, &error), SAMC_OK, "boxes may exceed the image: %s",
                 error.message);
    cr_assert_eq(samc_prompts_check(prompts, "p.json", 640, 8, &error), SAMC_INVALID_ARGUMENT);
    cr_assert_str_eq(error.message, "p.json: prompt 1: point 7,8 is outside the image of 640 x 8 pixels");
    cr_assert_eq(samc_prompts_check(prompts, "p.json", 31, 9, &error), SAMC_OK);
    cr_assert_eq(samc_prompts_check(prompts, "p.json", 30, 9, &error), SAMC_INVALID_ARGUMENT);
    samc_prompts_free(prompts);
    cr_assert_eq(parse("[{\"box\": [700, 2, 703, 4]}]", &prompts, &error), SAMC_OK);
    cr_assert_eq(samc_prompts_check(prompts, "p.json", 640, 480, &error), SAMC_INVALID_ARGUMENT);
    samc_prompts_free(prompts);
}

Test(prompts, refused) {
    static const struct {
        const char *json, *reason;
    } cases[] = {
        {"", "not JSON"},
        {"[", "not JSON"},
        {"{}", "not a JSON list"},
        {"[]", "the list of prompts is empty"},
        {"[3]", "prompt 0: not an object"},
        {"[{}]", "prompt 0: neither"},
        {"[{\"box\": [1,2,3,4]}, {\"bbox\": [1,2,3,4]}]", "prompt 1: unknown key \"bbox\""},
        {"[{\"box\": [1,2,3]}]", "prompt 0: \"box\" is not a list of four numbers"},
        {"[{\"box\": [1,2,3,4,5]}]", "\"box\" is not a list of four numbers"},
        {"[{\"box\": [1,2,3,\"4\"]}]", "\"box\" is not a list of four numbers"},
        {"[{\"box\": null}]", "\"box\" is not a list of four numbers"},
        {"[{\"box\": [5,2,3,4]}]", "not in the order x0,y0,x1,y1"},
        {"[{\"box\": [1,2,3,1e300]}]", "\"box\" is not a list of four numbers"},
        {"[{\"box\": [1,2,3,1e999]}]", "not JSON"},
        {"[{\"box\": [1,2,3,NaN]}]", "not JSON"},
        {"[{\"box\": [1,2,3,4], \"box\": [1,2,3,4]}]", "not JSON"},
        {"[{\"points\": []}]", "\"points\" is empty"},
        {"[{\"points\": [1, 2]}]", "\"points\" is not a list of [x, y]"},
        {"[{\"points\": [[1, 2, 3]]}]", "\"points\" is not a list of [x, y]"},
        {"[{\"points\": {\"x\": 1}}]", "\"points\" is not a list of [x, y]"},
        {"[{\"points\": [[1, 2], [3, 4]], \"labels\": [1]}]", "one label for each point"},
        {"[{\"points\": [[1, 2]], \"labels\": 1}]", "one label for each point"},
        {"[{\"points\": [[1, 2]], \"labels\": [2]}]", "a label is not 1"},
        {"[{\"points\": [[1, 2]], \"labels\": [true]}]", "a label is not 1"},
        {"[{\"points\": [[1, 2]], \"labels\": [-1]}]", "a label is not 1"},
        {"[{\"box\": [1,2,3,4], \"labels\": [1]}]", "\"labels\" without \"points\""},
        {"[{\"box\": [1,2,3,4]}] x", "not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc_prompts *prompts;
        samc_error error = {0};
        cr_assert_eq(parse(cases[i].json, &prompts, &error), SAMC_FORMAT, "accepted: %s", cases[i].json);
        cr_assert(strncmp(error.message, "p.json: ", 8) == 0 && strstr(error.message, cases[i].reason) != NULL,
                  "%s: '%s'", cases[i].json, error.message);
        cr_assert(prompts == NULL);
    }
}

Test(prompts, bounded) {
    size_t count = SAMC_MOST_PROMPTS + 1;
    char *json = malloc(count * 20 + 10), *at = json;
    samc_prompts *prompts;
    samc_error error = {0};
    for (size_t i = 0; i < count; i++) at += sprintf(at, "%s{\"box\":[1,2,3,4]}", i == 0 ? "[" : ",");
    strcpy(at, "]");
    cr_assert_eq(parse(json, &prompts, &error), SAMC_FORMAT);
    cr_assert_str_eq(error.message, "p.json: more than 65536 prompts");
    free(json);
}

Test(prompts, command_line) {
    float numbers[4];
    int32_t label;
    samc_error error = {0};
    cr_assert_eq(samc_parse_point("3.5,-4e0", numbers, &label, &error), SAMC_OK);
    cr_assert(numbers[0] == 3.5f && numbers[1] == -4 && label == 1);
    cr_assert_eq(samc_parse_point("3,4,0", numbers, &label, &error), SAMC_OK);
    cr_assert_eq(label, 0);
    cr_assert_eq(samc_parse_box("1,2,3.25,4", numbers, &error), SAMC_OK);
    cr_assert_eq(numbers[2], 3.25f);
    static const char *const bad_points[] = {"",     "1",      "1,",     "1,2,",  "1,2,3", "1,2,0.5", "1,2,1,1",
                                             "1,2x", "1 ,2",   " 1,2",   "1,nan", "inf,1", "0x10,2",  "1,,2",
                                             "1;2",  "1,2,-1", "1,1e99", "1,2 ",  "1,--2", "1,1e"};
    for (size_t i = 0; i < sizeof bad_points / sizeof *bad_points; i++)
        cr_assert_eq(samc_parse_point(bad_points[i], numbers, &label, &error), SAMC_INVALID_ARGUMENT, "accepted '%s'",
                     bad_points[i]);
    static const char *const bad_boxes[] = {"", "1,2,3", "1,2,3,4,5", "3,2,1,4", "1,4,3,2", "1,2,3,nan", "1,2,3,4,"};
    for (size_t i = 0; i < sizeof bad_boxes / sizeof *bad_boxes; i++)
        cr_assert_eq(samc_parse_box(bad_boxes[i], numbers, &error), SAMC_INVALID_ARGUMENT, "accepted '%s'",
                     bad_boxes[i]);
}

static char *read_spool(const samc__spool *spool) {
    char *text = calloc(1, (size_t)spool->length + 1);
    cr_assert_eq(samc__spool_read(spool, 0, text, (size_t)spool->length, NULL), SAMC_OK);
    return text;
}

/* Text of automatic masks is the same whether run lengths and lines are in memory or in temporary files, and the file
 * of records is the list in the line. */
Test(automatic_text, same_from_temporary_files) {
    enum { MASKS = 40, RUNS = 500 };
    enter_folder();
    char *lines[2] = {NULL}, *annotations[2] = {NULL};
    for (int spilled = 0; spilled < 2; spilled++) {
        samc__spool_set_budget(spilled ? 3000 : SAMC__SPOOL_BUDGET);
        samc_runs *runs = samc__runs_create(folder);
        samc_mask masks[MASKS] = {{0}};
        for (int i = 0; i < MASKS; i++) {
            uint32_t counts[RUNS];
            samc__run_place place;
            for (int j = 0; j < RUNS; j++)
                counts[j] = (uint32_t)(1 + i * 7 % 60 + j * j % 23); /* with backslashes among the characters */
            cr_assert_eq(samc__runs_add(runs, counts, RUNS, &place, NULL), SAMC_OK);
            masks[i] = (samc_mask){.size = sizeof *masks,
                                   .area = i + 1,
                                   .width = 300,
                                   .height = 200,
                                   .runs = runs,
                                   .runs_at = place.at,
                                   .rle_length = place.length,
                                   .count_length = RUNS};
        }
        samc_masks image = {sizeof image, "a.png", "a", 300, 200, NULL, masks, MASKS, NULL, NULL};
        samc__masks_text text;
        cr_assert_eq(samc__masks_text_make(&text, &image, SAMC_OUTPUT_JSONL | SAMC_OUTPUT_COCO, 1, folder, NULL),
                     SAMC_OK);
        cr_expect_eq(text.line.file > 0, spilled);
        lines[spilled] = read_spool(&text.line);
        annotations[spilled] = read_spool(&text.annotations);
        char path[96];
        size_t size;
        uint8_t *records;
        samc_error error;
        snprintf(path, sizeof path, "%s/a.json", folder);
        samc__writer writer;
        cr_assert_eq(samc__writer_open(&writer, path, &error), SAMC_OK);
        cr_assert_eq(samc__masks_write_records(&writer, &image, &error), SAMC_OK);
        cr_assert_eq(samc__writer_commit(&writer, &error), SAMC_OK);
        cr_assert_eq(samc__file_read(path, 1 << 24, &records, &size, &error), SAMC_OK);
        const char *list = strstr(lines[spilled], "\"masks\": ") + 9;
        cr_expect(strlen(list) == size + 2 && memcmp(list, records, size) == 0 && strcmp(list + size, "}\n") == 0);
        cr_expect_not_null(strstr(lines[spilled], "\\\\"), "a backslash, escaped");
        free(records);
        remove(path);
        samc__masks_text_free(&text);
        samc_runs_release(runs);
    }
    cr_expect_str_eq(lines[0], lines[1]);
    cr_expect_str_eq(annotations[0], annotations[1]);
    cr_expect_eq(files_in_folder(), 0);
    for (int i = 0; i < 2; i++) free(lines[i]), free(annotations[i]);
    rmdir(folder);
}
