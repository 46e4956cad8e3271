/* Structs of samc_io.h whose size was never set, is that of no version, or is a later version's. */
#include <string.h>
#include <unistd.h>

#include "host/io/abi.h"
#include "host/io/segmentation.h"
#include "tests/engine.h"

static const char photo[] = SAMC_TEST_DATA "/images/jpeg_420.jpg";

/* Structs whose size was never set, or is that of no version, are refused and not written. */
Test(io_structs, without_a_size) {
    const size_t sizes[] = {0, 8, 5000, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        union {
            size_t size;
            unsigned char bytes[256];
            samc_image image;
            samc_image_header header;
            samc_rle rle;
            samc_array array;
            samc_masks masks;
            samc_mask mask;
            samc_archive_options options;
            samc_auto_options automatic;
            samc_prompt prompt;
        } room, before;
        memset(&room, 0, sizeof room);
        room.size = sizes[i];
        before = room;
        samc_prompts *prompts;
        samc_archive *archive;
        char *text;
        size_t size;
        cr_assert_eq(samc_prompts_create(&prompts, NULL), SAMC_OK);
        const uint8_t pixel = 1;
        const samc_status refused[] = {samc_image_load(photo, 0, &room.image, NULL),
                                       samc_image_decode(&pixel, 1, "x", 0, &room.image, NULL),
                                       samc_image_read(0, "x", 0, &room.image, NULL),
                                       samc_image_read_header(&pixel, 1, "x", &room.header, NULL),
                                       samc_rle_from_bytes(&pixel, 1, 1, &room.rle, NULL),
                                       samc_rle_from_bits(&pixel, 1, 1, &room.rle, NULL),
                                       samc_rle_from_string("01", 1, 1, &room.rle, NULL),
                                       samc_rle_to_string(&room.rle, &text, NULL),
                                       samc_rle_measure(&room.rle, NULL, NULL, NULL),
                                       samc_npy_read("x.npy", &room.array, NULL),
                                       samc_npy_decode(&pixel, 1, "x", &room.array, NULL),
                                       samc_prompts_add(prompts, &room.prompt, NULL),
                                       samc_masks_text(&room.masks, 1, SAMC_OUTPUT_RLE, &text, &size, NULL),
                                       samc_masks_write(&room.masks, 1, SAMC_OUTPUT_COCO, "x.json", NULL),
                                       samc_mask_write(&room.mask, SAMC_OUTPUT_PNG, NULL, NULL, 0, "x.png", NULL),
                                       samc_auto_set(&room.automatic, "points-per-side", "3", NULL),
                                       samc_archive_default_options(&room.options, NULL),
                                       samc_archive_open(&room.options, &archive, NULL)};
        for (size_t j = 0; j < sizeof refused / sizeof *refused; j++)
            cr_expect_eq(refused[j], SAMC_INVALID_ARGUMENT, "size %zu, call %zu: %d", sizes[i], j, (int)refused[j]);
        samc_image_free(&room.image);
        samc_rle_free(&room.rle);
        samc_array_free(&room.array);
        cr_expect_eq(memcmp(&room, &before, sizeof room), 0, "size %zu: nothing is written", sizes[i]);
        samc_prompts_free(prompts);
    }
    for (int i = 0; i < SAMC__IO_COUNT; i++)
        cr_expect(samc__io_rows[i].first > sizeof(size_t) && samc__io_rows[i].first <= samc__io_rows[i].now, "%s",
                  samc__io_rows[i].name);
    cr_expect_not(access("x.json", F_OK) == 0 || access("x.png", F_OK) == 0);
}

/* The same of what volumes take, beside a volume and annotations that are there. */
Test(io_structs, of_volumes_without_a_size) {
    const samc__space space = samc__space_of((const int[3]){4, 3, 2}, (const double[3]){1, 1, 1}, 2);
    char *const names[] = {"one"};
    samc_annotations *a;
    samc_segmentation *s;
    cr_assert_eq(samc__annotations_create(&space, &a, NULL), SAMC_OK);
    cr_assert_eq(samc_annotations_object(a, "one", NULL, NULL), SAMC_OK);
    cr_assert_eq(samc__segmentation_create(&space, 1, names, &s, NULL), SAMC_OK);
    cr_assert_eq(samc__segmentation_finish(s, NULL), SAMC_OK);
    samc_object object = SAMC_INIT(samc_object);
    cr_expect(samc_segmentation_get_object(s, 0, &object, NULL) == SAMC_OK && object.label == 1 && object.first == -1);
    const size_t sizes[] = {0, 8, 5000, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        union {
            size_t size;
            unsigned char bytes[256];
            samc_volume_options options;
            samc_volume_prompt prompt;
            samc_propagate_options propagate;
            samc_link_options link;
            samc_object object;
            samc_rle rle;
            samc_image image;
        } room, before;
        memset(&room, 0, sizeof room);
        room.size = sizes[i];
        before = room;
        samc_volume *volume = NULL;
        const samc_status refused[] = {samc_volume_open(photo, &room.options, &volume, NULL),
                                       samc_volume_slice(NULL, 2, 0, &room.image, NULL),
                                       samc_annotations_add(a, &room.prompt, NULL),
                                       samc_propagate_default_options(&room.propagate, NULL),
                                       samc_link_default_options(&room.link, NULL),
                                       samc_segmentation_get_object(s, 0, &room.object, NULL),
                                       samc_segmentation_mask(s, 0, 0, &room.rle, NULL)};
        for (size_t j = 0; j < sizeof refused / sizeof *refused; j++)
            cr_expect_eq(refused[j], SAMC_INVALID_ARGUMENT, "size %zu, call %zu: %d", sizes[i], j, (int)refused[j]);
        cr_expect_eq(memcmp(&room, &before, sizeof room), 0, "size %zu: nothing is written", sizes[i]);
        cr_expect(volume == NULL && a->count == 0);
    }
    samc_segmentation_free(s);
    samc_annotations_free(a);
}

/* A longer struct is taken where what this library does not know is zero, and filled in with zeros there. */
Test(io_structs, of_a_later_version) {
    struct {
        samc_rle rle;
        int64_t later;
    } longer = {{.size = sizeof longer}, 7};
    const uint8_t mask[6] = {0, 1, 1, 0, 0, 1};
    samc_error error = {0};
    char *text = NULL;
    cr_assert_eq(samc_rle_from_bytes(mask, 3, 2, &longer.rle, &error), SAMC_OK, "%s", error.message);
    cr_expect(longer.later == 0 && longer.rle.size == sizeof longer);
    cr_expect_eq(samc_rle_to_string(&longer.rle, &text, &error), SAMC_OK);
    samc_io_free(text);
    longer.later = 1;
    cr_expect_eq(samc_rle_to_string(&longer.rle, &text, &error), SAMC_UNSUPPORTED);
    cr_expect_null(text);
    samc_rle_free(&longer.rle);
    cr_expect_null(longer.rle.counts);
}
