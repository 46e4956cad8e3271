/* Structs of samc_io.h whose size was never set, is that of no version, or is a later version's. */
#include <string.h>
#include <unistd.h>

#include "host/io/abi.h"
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
