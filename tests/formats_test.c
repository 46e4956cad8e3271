/* Image formats that are read by libraries, beyond the pixels that image_test.c compares: samples of more than 8 bits,
 * files that are cut, headers that promise too much. */
#include <math.h>

#include "host/io/image_format.h"
#include "tests/image_fixture.h"

Test(formats, truncated_webp) { check_truncated("webp_lossy.webp", 0); }
Test(formats, truncated_lossless_webp) { check_truncated("webp_lossless.webp", 0); }
Test(formats, truncated_animated_webp) { check_truncated("webp_animated.webp", 0); }
Test(formats, truncated_tiff) { check_truncated("tiff_strips.tif", 0); }
Test(formats, truncated_lzw_tiff) { check_truncated("tiff_lzw.tif", 0); }
Test(formats, truncated_jpeg_tiff) { check_truncated("tiff_jpeg.tif", 0); }
Test(formats, truncated_fax_tiff) { check_truncated("tiff_group4.tif", 4); } /* where a next directory would be */
Test(formats, truncated_tiled_tiff) { check_truncated("tiff_tiled.tif", 0); }
Test(formats, truncated_planar_tiff) { check_truncated("tiff_planar.tif", 0); }

Test(formats, truncated_avif) { check_truncated("avif_420.avif", 0); }
Test(formats, truncated_animated_avif) { check_truncated("avif_animated.avif", 0); }
Test(formats, truncated_heif) { check_truncated("heif_444.heic", 0); }
Test(formats, truncated_jxl) { check_truncated("jxl_rgb.jxl", 0); }
Test(formats, truncated_jxl_container) { check_truncated("jxl_container.jxl", 0); }
Test(formats, truncated_qoi) { check_truncated("qoi.qoi", 8); } /* its end is marked */
Test(formats, truncated_ico) { check_truncated("ico_png.ico", 0); }
Test(formats, truncated_jpeg2000) { check_truncated("jpeg2000_rgb.jp2", 2); } /* the mark of its end */
Test(formats, truncated_jpeg2000_stream) { check_truncated("jpeg2000_stream.j2k", 2); }

/* What the header says is held against the limit, and the picture is read where it is at it. */
Test(formats, limit) {
    static const char *const names[][2] = {{"WEBP", "webp_lossy.webp"},
                                           {"WEBP", "webp_animated.webp"},
                                           {"TIFF", "tiff_raw.tif"},
                                           {"TIFF", "tiff_ycbcr_planar_jpeg.tif"},
                                           {"AVIF", "avif_420.avif"},
                                           {"AVIF", "avif_animated.avif"},
                                           {"HEIF", "heif_444.heic"},
                                           {"JPEG2000", "jpeg2000_tiles.jp2"},
                                           {"JXL", "jxl_rgb.jxl"},
                                           {"QOI", "qoi.qoi"},
                                           {"JPEG2000", "jpeg2000_stream.j2k"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (is_off(names[i][0])) continue;
        const char *name = names[i][1];
        size_t size;
        uint8_t *bytes = fixture(name, &size);
        samc_image picture = SAMC_INIT(samc_image);
        samc_error error = {0};
        cr_assert_eq(samc_image_decode(bytes, size, name, 37 * 29 - 1, &picture, &error), SAMC_UNSUPPORTED, "%s", name);
        cr_assert_not_null(strstr(error.message, "37 x 29 pixels is larger than the limit of 1072 pixels"), "%s",
                           error.message);
        cr_assert_eq(samc_image_decode(bytes, size, name, 37 * 29, &picture, &error), SAMC_OK, "%s", error.message);
        samc_image_free(&picture);
        free(bytes);
    }
}

/* Small files that ask for much: their headers are enough to refuse them. */
Test(formats, bombs) {
    static const struct {
        const char *format, *name;
        size_t at;
        const char *bytes;
        size_t count;
        const char *says;
    } bombs[] = {
        {"JPEG2000", "jpeg2000_stream.j2k", 8, "\0\1\x86\xa0\0\1\x86\xa0\0\0\0\0\0\0\0\0\0\1\x86\xa0\0\1\x86\xa0", 24,
         "larger than the limit"},
        {"JPEG2000", "jpeg2000_stream.j2k", 8, "\0\0\x10\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\4\0\0\0\4", 24, "tiles"},
        {"QOI", "qoi.qoi", 4, "\0\1\x86\xa0\0\1\x86\xa0", 8, "larger than the limit"},
        {"QOI", "qoi.qoi", 4, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "image of 4294967295 x 4294967295"},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof *bombs; i++) {
        if (is_off(bombs[i].format)) continue;
        size_t size;
        uint8_t *bytes = fixture(bombs[i].name, &size);
        memcpy(bytes + bombs[i].at, bombs[i].bytes, bombs[i].count);
        check_refused((char *)bytes, size, bombs[i].name, SAMC_UNSUPPORTED, bombs[i].says);
        free(bytes);
    }
}

/* A hundred bytes that ask for gigabytes: a codestream of 2000 x 2000 pixels whose code blocks, or precincts, are tiny,
 * as the main header says it or a tile's own. `tiny`: a precinct of one sample; else no precincts, and 64 x 64 or 4 x 4
 * in a block. */
static size_t put_coding(uint8_t *to, bool tiny, int block) {
    const uint8_t segment[] = {0xff, 0x52, 0, tiny ? 13 : 12, tiny, 0, 0, 1, 0, 0, (uint8_t)block, (uint8_t)block,
                               0,    1,    0};
    memcpy(to, segment, sizeof segment);
    return sizeof segment - !tiny;
}

static size_t put_codestream(uint8_t *to, bool tiny, int block, bool in_tile) {
    static const uint8_t size[] = "\xff\x4f\xff\x51\0\x2f\0\0\0\0\7\xd0\0\0\7\xd0\0\0\0\0\0\0\0\0\0\0\7\xd0\0\0\7\xd0"
                                  "\0\0\0\0\0\0\0\0\0\3\7\1\1\7\1\1\7\1\1";
    uint8_t *at = to;
    memcpy(at, size, sizeof size - 1);
    at += sizeof size - 1;
    at += in_tile ? put_coding(at, false, 4) : put_coding(at, tiny, block);
    memcpy(at, "\xff\x5c\0\4\x40\x40\xff\x90\0\x0a\0\0\0\0\0\0\0\1", 18); /* one part, without a size */
    at += 18;
    if (in_tile) at += put_coding(at, tiny, block);
    memcpy(at, "\xff\x93\xff\xd9", 4);
    return (size_t)(at + 4 - to);
}

Test(formats, jpeg2000_code_blocks) {
    uint8_t bytes[128];
    samc_image_header plain = SAMC_INIT(samc_image_header), small = SAMC_INIT(samc_image_header);
    if (is_off("JPEG2000")) return;
    for (int in_tile = 0; in_tile < 2; in_tile++) {
        size_t length = put_codestream(bytes, true, 4, in_tile);
        check_refused((char *)bytes, length, "a.j2k", SAMC_UNSUPPORTED, "2000 x 2000 pixels in 12000000 code blocks");
        length = put_codestream(bytes, false, 4, in_tile);
        cr_assert_eq(samc_image_read_header(bytes, length, "a.j2k", &plain, NULL), SAMC_OK);
        length = put_codestream(bytes, false, 0, in_tile); /* read, but what 750,000 blocks take is in the promise */
        cr_assert_eq(samc_image_read_header(bytes, length, "a.j2k", &small, NULL), SAMC_OK);
        cr_assert_gt(small.peak_bytes, plain.peak_bytes + INT64_C(300000000));
    }
    size_t length = put_codestream(bytes, false, 4, false);
    bytes[52] = 0x33; /* a marker that nobody knows, behind which the library would look for one that it knows */
    check_refused((char *)bytes, length, "a.j2k", SAMC_UNSUPPORTED, "a marker 0xff33");
}

/* A palette makes as many components as it says, whatever the codestream has. */
Test(formats, jpeg2000_palette) {
    static const uint8_t palette[] = {0, 0, 0, 12, 'p', 'c', 'l', 'r', 0, 1, 255, 7};
    if (is_off("JPEG2000")) return;
    size_t size;
    uint8_t *bytes = fixture("jpeg2000_grey.jp2", &size), *header = memmem(bytes, size, "jp2h", 4);
    uint8_t *wide = malloc(size + sizeof palette);
    size_t before = (size_t)(header + 4 - bytes);
    memcpy(wide, bytes, before);
    memcpy(wide + before, palette, sizeof palette);
    memcpy(wide + before + sizeof palette, bytes + before, size - before);
    check_refused((char *)wide, size + sizeof palette, "a.jp2", SAMC_UNSUPPORTED, "a palette of 255 components");
    free(wide);
    free(bytes);
}

/* Channels that nobody asks for are decoded all the same: a picture of 2 x 2 with 17 of them is refused, with 16
 * its promise counts them. */
Test(formats, jxl_extra_channels) {
    static const uint8_t most[] = {
        0xff, 0x0a, 0x08, 0x10, 0x50, 0xa7, 0x03, 0xe8, 0x00, 0x3a, 0x80, 0x0e, 0xa0, 0x03, 0xe8, 0x00, 0x3a,
        0x80, 0x0e, 0xa0, 0x03, 0xe8, 0x00, 0x3a, 0x80, 0x0e, 0xa0, 0x03, 0xe8, 0x00, 0x3a, 0x80, 0x0e, 0x90,
        0x08, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00, 0xd4, 0x00, 0x4b, 0x12, 0xa5,
        0x42, 0x85, 0x24, 0x12, 0x42, 0x71, 0x30, 0xa4, 0x54, 0xc7, 0xce, 0xbb, 0x69, 0xd8, 0x02, 0x00, 0xf9,
        0x7a, 0xdd, 0x47, 0x3c, 0x23, 0x1d, 0xe9, 0x48, 0x47, 0x3a, 0xd2, 0x91, 0x8e, 0x74, 0xa4, 0x23, 0x1d,
        0xe9, 0x48, 0x47, 0x3a, 0xd2, 0x91, 0x8e, 0x74, 0xa4, 0xbf, 0xff, 0xf5, 0xf5, 0x7c, 0xfb, 0x00};
    static const uint8_t more[] = {
        0xff, 0x0a, 0x08, 0x10, 0xd0, 0xa7, 0x03, 0xe8, 0x00, 0x3a, 0x80, 0x0e, 0xa0, 0x03, 0xe8, 0x00, 0x3a, 0x80,
        0x0e, 0xa0, 0x03, 0xe8, 0x00, 0x3a, 0x80, 0x0e, 0xa0, 0x03, 0xe8, 0x00, 0x3a, 0x80, 0x0e, 0xa0, 0x03, 0x24,
        0x08, 0x00, 0x00, 0x00, 0x00, 0x08, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0xd8, 0x00, 0x4b, 0x12, 0xa5, 0x42,
        0x85, 0x24, 0x12, 0x42, 0x71, 0x30, 0xa4, 0x54, 0xc7, 0xce, 0xbb, 0x69, 0xd8, 0x02, 0x00, 0xf9, 0x7a, 0xdd,
        0x47, 0x3c, 0x23, 0x1d, 0xe9, 0x48, 0x47, 0x3a, 0xd2, 0x91, 0x8e, 0x74, 0xa4, 0x23, 0x1d, 0xe9, 0x48, 0x47,
        0x3a, 0xd2, 0x91, 0x8e, 0x74, 0xa4, 0x23, 0xfd, 0xfd, 0xaf, 0xaf, 0xe7, 0xdb, 0x07};
    samc_error error = {0};
    samc__image_extent extent;
    if (is_off("JXL")) return;
    check_refused((const char *)more, sizeof more, "a.jxl", SAMC_UNSUPPORTED, "JPEG XL of 17 extra channels");
    cr_assert_eq(samc__image_size(most, sizeof most, "a.jxl", 0, &extent, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(extent.peak, (32 << 20) + 4 * (32 + 12 * 15 + 3));
}

/* Sets a value of a little endian TIFF's first directory. */
static void set_tag(uint8_t *bytes, uint32_t tag, uint32_t value) {
    uint8_t *directory = bytes + samc__little32(bytes + 4);
    for (uint32_t i = 0; i < samc__little16(directory); i++) {
        uint8_t *entry = directory + 2 + 12 * i;
        if (samc__little16(entry) != tag) continue;
        entry[2] = 4; /* a long */
        for (int b = 0; b < 4; b++) entry[8 + b] = (uint8_t)(value >> 8 * b);
        return;
    }
    cr_assert_fail("no tag %u", tag);
}

Test(formats, tiff_bombs) {
    if (is_off("TIFF")) return;
    size_t size;
    uint8_t *bytes = fixture("tiff_raw.tif", &size);
    set_tag(bytes, 256, 60000);
    set_tag(bytes, 257, 60000);
    check_refused((char *)bytes, size, "a.tif", SAMC_UNSUPPORTED, "60000 x 60000 pixels is larger than the limit");
    free(bytes);
    bytes = fixture("tiff_tiled.tif", &size);
    set_tag(bytes, 322, 1 << 15);
    set_tag(bytes, 323, 1 << 15);
    check_refused((char *)bytes, size, "a.tif", SAMC_UNSUPPORTED, "37 x 29 pixels in pieces of 3221225472 bytes");
    free(bytes);
    /* A directory without places for all the pieces that its picture has. */
    bytes = fixture("tiff_planar_tiled.tif", &size);
    set_tag(bytes, 256, 4133);
    check_refused((char *)bytes, size, "a.tif", SAMC_FORMAT, "a.tif: damaged TIFF: a piece of it is nowhere");
    free(bytes);
    /* A chain of directories that bites its tail is as long as there are different ones. */
    samc__image_extent extent;
    samc_error error = {0};
    bytes = fixture("tiff_pages.tif", &size);
    uint8_t *first = bytes + samc__little32(bytes + 4), *last = first;
    for (uint32_t next; (next = samc__little32(last + 2 + 12 * samc__little16(last))) != 0;) last = bytes + next;
    memcpy(last + 2 + 12 * samc__little16(last), first + 2 + 12 * samc__little16(first), 4); /* to the second one */
    cr_assert_eq(samc__image_size(bytes, size, "a.tif", 2, &extent, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(extent.pages, 3);
    samc_image_header header = SAMC_INIT(samc_image_header);
    cr_assert_eq(samc_image_read_header(bytes, size, "a.tif", &header, &error), SAMC_OK, "%s", error.message);
    cr_assert(header.pages == 3 && header.width == 37 && strcmp(header.format, "TIFF") == 0);
    cr_assert_eq(samc__image_size(bytes, size, "a.tif", 3, &extent, &error), SAMC_INVALID_ARGUMENT);
    free(bytes);
}

/* What is cropped is decoded first, and counts. */
Test(formats, heif_crop) {
    if (is_off("HEIF")) return;
    size_t size;
    samc_error error = {0};
    samc__image_extent extent;
    uint8_t *bytes = fixture("heif_444.heic", &size), *at = memmem(bytes, size, "ispe", 4);
    memcpy(at + 8, "\0\0\10\0\0\0\10\0", 8); /* 2048 x 2048, of which 37 x 29 stay */
    cr_assert_eq(samc__image_size(bytes, size, "a.heic", 0, &extent, &error), SAMC_OK, "%s", error.message);
    cr_assert(extent.width == 37 && extent.height == 29 && extent.peak > INT64_C(24) * 2048 * 2048);
    memcpy(at + 8, "\0\0\x40\0\0\0\x40\0", 8);
    check_refused((char *)bytes, size, "a.heic", SAMC_UNSUPPORTED, "16384 x 16384 pixels, cropped to 37 x 29");
    free(bytes);
}

/* A grid says its size once more, by which its canvas is made. */
Test(formats, heif_grid) {
    if (is_off("HEIF")) return;
    size_t size;
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error = {0};
    uint8_t *bytes = fixture("heif_grid.heic", &size), *at = memmem(bytes, size, "mdat", 4);
    memcpy(at + 8, "\0\0\x3e\x80\0\0\x3e\x80", 8);
    cr_assert_eq(decode(bytes, size, "a.heic", &picture, &error), SAMC_UNSUPPORTED, "%s", error.message);
    cr_assert(strstr(error.message, "16000x16000 exceeds") != NULL && strchr(error.message, '\n') == NULL, "%s",
              error.message);
    free(bytes);
}

/* A picture that is turned is there twice for a moment, which counts. */
Test(formats, turned_tiff) {
    if (is_off("TIFF")) return;
    size_t size;
    samc_error error = {0};
    samc__image_extent extent;
    uint8_t *bytes = fixture("tiff_orientation.tif", &size);
    set_tag(bytes, 256, 4000);
    set_tag(bytes, 257, 4000);
    cr_assert_eq(samc__image_size(bytes, size, "a.tif", 0, &extent, &error), SAMC_OK, "%s", error.message);
    cr_assert_geq(extent.peak, INT64_C(2) * 4000 * 4000 * 3);
    free(bytes);
}

/* Samples of more than 8 bits come as they are. What make_format_fixtures.py wrote: value(x, y) = 977 x + 131 y, and of
 * colours one more in each. */
static double written(int x, int y, int channel, double less, int modulo, int divisor) {
    int value = 977 * x + 131 * y + channel;
    return (modulo > 0 ? value % modulo : value) / divisor - less;
}

Test(formats, wide_samples) {
    static const struct {
        const char *format, *name;
        samc_sample sample;
        int channels;
        double less;
        int modulo, divisor;
    } files[] = {{"TIFF", "deep_u16.tif", SAMC_SAMPLE_U16, 1, 0, 0, 1},
                 {"TIFF", "deep_u16_big.tif", SAMC_SAMPLE_U16, 1, 0, 0, 1},
                 {"TIFF", "deep_u12.tif", SAMC_SAMPLE_U16, 1, 0, 4096, 1},
                 {"TIFF", "deep_u16_planar.tif", SAMC_SAMPLE_U16, 3, 0, 0, 1},
                 {"TIFF", "deep_i16.tif", SAMC_SAMPLE_F32, 1, 5000, 0, 1},
                 {"TIFF", "deep_u32.tif", SAMC_SAMPLE_F32, 1, 0, 0, 1},
                 {"TIFF", "deep_f32.tif", SAMC_SAMPLE_F32, 1, 5000, 0, 1},
                 {"TIFF", "deep_f64.tif", SAMC_SAMPLE_F32, 1, 5000, 0, 1},
                 {"TIFF", "deep_f16.tif", SAMC_SAMPLE_F32, 1, 0, 0, 8},
                 {"TIFF", "deep_f32_rgb.tif", SAMC_SAMPLE_F32, 3, 0, 0, 1},
                 {"JPEG2000", "deep_u16.jp2", SAMC_SAMPLE_U16, 1, 0, 0, 1},
                 {"JXL", "deep_u16.jxl", SAMC_SAMPLE_U16, 1, 0, 0, 1}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size;
        union {
            uint16_t whole[13 * 11 * 3];
            float real[13 * 11 * 3];
        } samples;
        samc_error error = {0};
        samc__image_extent extent = {0};
        int orientation = 1;
        if (is_off(files[i].format)) continue;
        uint8_t *bytes = fixture(files[i].name, &size);
        const samc__image_file file = {.bytes = bytes, .size = size, .name = files[i].name};
        const samc__image_format *format;
        cr_assert_eq(samc__image_open(&file, &format, &extent, &error), SAMC_OK, "%s", error.message);
        cr_assert(extent.width == 13 && extent.height == 11 && extent.sample == files[i].sample &&
                      extent.channels == files[i].channels,
                  "%s", files[i].name);
        cr_assert_eq(format->decode(&file, &extent, &samples, &orientation, &error), SAMC_OK, "%s", error.message);
        for (int at = 0; at < 13 * 11 * extent.channels; at++) {
            double got = extent.sample == SAMC_SAMPLE_U16 ? samples.whole[at] : (double)samples.real[at];
            int pixel = at / extent.channels;
            double wanted =
                written(pixel % 13, pixel / 13, at % extent.channels, files[i].less, files[i].modulo, files[i].divisor);
            /* A half holds 11 bits. */
            cr_assert(fabs(got - wanted) <= (files[i].divisor == 8 ? wanted / 2048 : 0), "%s: %d is %g, not %g",
                      files[i].name, at, got, wanted);
        }
        free(bytes);
    }
}
