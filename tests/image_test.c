/* Image decoding: the pixels of Pillow and OpenCV bit for bit, and an error for every file that ends early or lies.
 * Fixtures and expected pixels are made by make_image_fixtures.py. */
#include <criterion/criterion.h>

#include <dirent.h>

#include "host/io/image_format.h"
#include "tests/image_fixture.h"

/* Of a fixture's name: the format that it is of, up to the first mark; and the page, behind "@". */
static int parse_name(const char *file, char name[256], char format[256]) {
    size_t length = strlen(file) - strlen(".ppm");
    snprintf(name, 256, "%.*s", (int)length, file);
    snprintf(format, 256, "%.*s", (int)strcspn(name, "_.@"), name);
    char *at = strchr(name, '@');
    if (at != NULL) *at = '\0';
    return at != NULL ? atoi(at + 1) : 0;
}

/* Every NAME.ppm holds the pixels of NAME, NAME@1.ppm those of its second page, and the header alone tells their
 * number. */
Test(image, pixels_of_pillow) {
    DIR *folder = opendir(SAMC_TEST_DATA "/images");
    cr_assert(folder != NULL);
    int compared = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char name[256], format[256];
        size_t length = strlen(entry->d_name), size, expected_size;
        if (length < 5 || strcmp(entry->d_name + length - 4, ".ppm") != 0) continue;
        int page = parse_name(entry->d_name, name, format);
        if (is_off(format)) continue;
        uint8_t *expected = fixture(entry->d_name, &expected_size), *bytes = fixture(name, &size);
        int width, height, header;
        cr_assert_eq(sscanf((char *)expected, "P6 %d %d 255%n", &width, &height, &header), 2);
        header++;
        samc__picture picture;
        samc_error error = {0};
        const samc__image_options options = {.most = SAMC__IMAGE_MAX_PIXELS, .page = page};
        uint8_t *copy = malloc(size); /* of exactly this size, for AddressSanitizer */
        memcpy(copy, bytes, size);
        cr_assert_eq(samc__image_decode_within(copy, size, name, &options, &picture, &error), SAMC_OK, "%s",
                     error.message);
        free(copy);
        cr_assert_eq(picture.width, width, "%s: width %d, not %d", name, picture.width, width);
        cr_assert_eq(picture.height, height, "%s: height %d, not %d", name, picture.height, height);
        cr_assert_eq(expected_size - (size_t)header, (size_t)width * (size_t)height * 3);
        for (int i = 0; i < width * height * 3; i++)
            cr_assert_eq(picture.pixels[i], expected[header + i], "%s: pixel %d,%d channel %d is %d, not %d", name,
                         i / 3 % width, i / 3 / width, i % 3, picture.pixels[i], expected[header + i]);
        samc__picture_free(&picture);
        samc__image_extent extent;
        cr_assert_eq(samc__image_size(bytes, size, name, page, &extent, &error), SAMC_OK, "%s", error.message);
        cr_assert((extent.width == width && extent.height == height) ||
                      (extent.width == height && extent.height == width),
                  "%s", name);
        cr_assert_eq(extent.bytes, (int64_t)width * height * 3);
        cr_assert_geq(extent.peak, extent.bytes);
        cr_assert_gt(extent.pages, page);
        cr_assert_eq(samc__image_size(bytes, size, name, extent.pages, &extent, &error), SAMC_INVALID_ARGUMENT,
                     "%s: %s", name, error.message);
        cr_assert_not_null(strstr(error.message, "is wanted, but the last of"), "%s", error.message);
        free(bytes);
        free(expected);
        compared++;
    }
    closedir(folder);
    cr_assert_geq(compared, 144, "only %d fixtures", compared);
}

/* A marker of two bytes says that the picture is at its end. Without it all the pixels are there. */
Test(image, truncated_jpeg) { check_truncated("jpeg_420.jpg", 2); }
Test(image, truncated_progressive_jpeg) { check_truncated("jpeg_420_progressive.jpg", 2); }
Test(image, truncated_cmyk_jpeg) { check_truncated("jpeg_cmyk.jpg", 2); }
Test(image, truncated_restart_jpeg) { check_truncated("jpeg_restart.jpg", 2); }
Test(image, truncated_arithmetic_jpeg) { check_truncated("jpeg_arithmetic.jpg", 0); } /* nothing else tells its end */
Test(image, truncated_png) { check_truncated("png_rgb.png", 0); }
Test(image, truncated_interlaced_png) { check_truncated("png_interlaced.png", 0); }
Test(image, truncated_palette_png) { check_truncated("png_palette_transparent.png", 0); }
Test(image, truncated_cgbi_png) { check_truncated("cgbi_interlaced.png", 0); }
Test(image, truncated_bmp) { check_truncated("bmp_rgb.bmp", 3); } /* padding of the last row */
Test(image, truncated_palette_bmp) { check_truncated("bmp_palette.bmp", 3); }
Test(image, truncated_masks_bmp) { check_truncated("bmp_52_masks565.bmp", 3); }
Test(image, truncated_rle4_bmp) { check_truncated("bmp_rle4.bmp", 4); } /* end of row, end of picture */
Test(image, truncated_rle8_bmp) { check_truncated("bmp_rle8.bmp", 4); }
Test(image, truncated_dib) { check_truncated("bmp.dib", 3); }
Test(image, truncated_gif) { check_truncated("gif.gif", 4); } /* end code, block end, trailer */
Test(image, truncated_interlaced_gif) { check_truncated("gif_interlaced.gif", 4); }
Test(image, truncated_tga) { check_truncated("tga_rgb.tga", 26); } /* TGA 2.0 footer */
Test(image, truncated_rle_tga) { check_truncated("tga_rle.tga", 26); }
Test(image, truncated_rle_tga_without_footer) { check_truncated("tga_right_rle.tga", 0); }
Test(image, truncated_palette_tga) { check_truncated("tga_palette16.tga", 0); }
Test(image, truncated_psd) { check_truncated("psd.psd", 0); }
Test(image, truncated_packed_psd) { check_truncated("psd_packed.psd", 0); }
Test(image, truncated_pgm) { check_truncated("pgm.pgm", 0); }
Test(image, truncated_pbm) { check_truncated("pbm.pbm", 0); }
Test(image, truncated_letters) { check_truncated("pbm_letters.pbm", 1); }

/* A flipped bit in a PNG is never a picture. */
Test(image, damaged_png) {
    size_t size;
    uint8_t *bytes = fixture("png_rgb.png", &size);
    for (size_t at = 8; at < size; at++) {
        samc_image picture = SAMC_INIT(samc_image);
        samc_error error = {0};
        bytes[at] ^= 0x10;
        cr_assert_neq(decode(bytes, size, "damaged.png", &picture, &error), SAMC_OK,
                      "a flipped bit at %zu was accepted", at);
        bytes[at] ^= 0x10;
    }
    free(bytes);
}

Test(image, damaged_jpeg_scan_is_reported) {
    size_t size;
    uint8_t *bytes = fixture("jpeg_444.jpg", &size);
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error = {0};
    /* A marker in the middle of the entropy-coded data ends it early. */
    bytes[size - 100] = 0xff;
    bytes[size - 99] = 0xd9;
    cr_assert_eq(decode(bytes, size, "x.jpg", &picture, &error), SAMC_FORMAT);
    cr_assert_str_eq(error.message, "x.jpg: damaged JPEG: Corrupt JPEG data: premature end of data segment");
    free(bytes);
}

Test(image, other_formats_are_named) {
    size_t size;
    uint8_t *bytes = fixture("refused.exr", &size);
    check_refused((char *)bytes, size, "a.exr", SAMC_UNSUPPORTED,
                  "a.exr: an OpenEXR image is not a supported image format (JPEG, PNG, GIF");
    free(bytes);
    static const struct {
        const char *format, *bytes;
        size_t size;
        const char *says;
    } optional[] = {{"WEBP", "RIFF\x10\0\0\0WEBPVP8 ", 16, "a WebP image is not"},
                    {"TIFF", "II*\0\x08\0\0\0\0\0\0\0\0\0\0\0", 16, "a TIFF image is not"},
                    {"HEIF",
                     "\0\0\0\x18"
                     "ftypheic\0\0\0\0",
                     16, "a HEIC image is not"}};
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++)
        if (is_off(optional[i].format))
            check_refused(optional[i].bytes, optional[i].size, "a", SAMC_UNSUPPORTED, optional[i].says);
    check_refused("hello, world", 12, "a.txt", SAMC_UNSUPPORTED, "a.txt: a text file is not a supported image format");
    check_refused("", 0, "a.jpg", SAMC_FORMAT, "a.jpg: empty file");
    check_refused("hello, world, this is no targa", 30, "a.tga", SAMC_FORMAT, "a.tga: damaged TGA, or none");
}

/* A TGA says that it is one by its name or by its footer. */
Test(image, tga_by_its_footer) {
    size_t size;
    uint8_t *bytes = fixture("tga_rgb.tga", &size); /* Pillow writes the footer */
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error = {0};
    cr_assert_eq(decode(bytes, size, "picture", &picture, &error), SAMC_OK, "%s", error.message);
    samc_image_free(&picture);
    check_refused((char *)bytes, size - 26, "picture", SAMC_UNSUPPORTED, "picture: not a supported image format");
    free(bytes);
}

/* Bombs are refused by what their headers say, before anything is allocated. */
Test(image, absurd_sizes) {
    size_t size;
    uint8_t *bytes = fixture("jpeg_444.jpg", &size);
    uint8_t *frame = memmem(bytes, size, "\xff\xc0", 2); /* marker, length, precision, height, width */
    cr_assert(frame != NULL);
    memcpy(frame + 5, "\xff\xdc\xff\xdc", 4);
    check_refused((char *)bytes, size, "bomb.jpg", SAMC_UNSUPPORTED,
                  "bomb.jpg: image of 65500 x 65500 pixels is larger than the limit");
    memcpy(frame + 5, "\0\x1d\0\0", 4);
    check_refused((char *)bytes, size, "empty.jpg", SAMC_FORMAT, "empty.jpg: ");
    free(bytes);

    /* Signature and IHDR of 100000 x 100000 with its right checksum, an IEND. */
    static const char png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\1\x86\xa0\0\1\x86\xa0\x08\2\0\0\0\x27\x30\x9c\x9f"
                              "\0\0\0\0IEND\xae\x42\x60\x82";
    check_refused(png, sizeof png - 1, "bomb.png", SAMC_UNSUPPORTED,
                  "bomb.png: image of 100000 x 100000 pixels is larger than the limit");
    check_refused("P6 100000 100000 255\n", 21, "bomb.ppm", SAMC_UNSUPPORTED,
                  "100000 x 100000 pixels is larger than the limit");
    check_refused("P6 0 10 255\n", 12, "none.ppm", SAMC_FORMAT, "image without pixels (0 x 10)");
    check_refused("P6 10 10 70000\n", 15, "odd.ppm", SAMC_FORMAT, "malformed PNM header");
    check_refused("P6 99999999999999999999 1 255\n", 30, "odd.ppm", SAMC_FORMAT, "malformed PNM header");
}

Test(image, pnm_range_is_stretched) {
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error = {0};
    static const char pgm[] = "P5\n3 1\n100\n\x00\x32\x64";
    cr_assert_eq(decode((const uint8_t *)pgm, sizeof pgm - 1, "a.pgm", &picture, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(picture.pixels[0], 0);
    cr_assert_eq(picture.pixels[3], 128);
    cr_assert_eq(picture.pixels[8], 255);
    samc_image_free(&picture);
}

Test(image, missing_and_odd_files) {
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error = {0};
    cr_assert_eq(samc_image_load("/no/such/file.jpg", 0, &picture, &error), SAMC_IO);
    cr_assert_str_eq(error.message, "/no/such/file.jpg: cannot open: No such file or directory");
    cr_assert_eq(samc_image_load("/", 0, &picture, &error), SAMC_IO);
    cr_assert(strstr(error.message, "not a regular file but a folder") != NULL, "%s", error.message);
}

/* Scans of a progressive file, or of one component after the other, that are not there are lost data however whole the
 * others are. */
Test(image, jpeg_without_its_last_scan) {
    size_t size;
    uint8_t *bytes = fixture("jpeg_420_progressive.jpg", &size);
    int scans = 0;
    for (size_t at = size - 2; at > 0; at--) {
        if (bytes[at] != 0xff || bytes[at + 1] != 0xda) continue; /* a scan begins */
        samc_image picture = SAMC_INIT(samc_image);
        samc_error error = {0};
        cr_assert_eq(decode(bytes, at, "x.jpg", &picture, &error), SAMC_FORMAT, "cut before the scan at %zu of %zu", at,
                     size);
        scans++;
    }
    cr_assert_geq(scans, 8);
    free(bytes);
}

/* Entries that a palette has not got are black, not what the memory held before: the same bytes decode to the same
 * pixels. */
Test(image, short_palettes_are_filled) {
    static const char *const names[] = {"bmp_short_palette.bmp", "png_short_palette.png", "tga_short_palette.tga"};
    for (int i = 0; i < 3; i++) {
        size_t size;
        uint8_t *bytes = fixture(names[i], &size);
        samc_image first = SAMC_INIT(samc_image), second = SAMC_INIT(samc_image);
        samc_error error = {0};
        cr_assert_eq(decode(bytes, size, names[i], &first, &error), SAMC_OK, "%s", error.message);
        volatile uint8_t stack[1 << 14]; /* other bytes where the reader's variables will be */
        for (size_t at = 0; at < sizeof stack; at++) stack[at] = (uint8_t)(at * 7 + 1);
        cr_assert_eq(decode(bytes, size, names[i], &second, &error), SAMC_OK, "%s", error.message);
        cr_assert_eq(memcmp(first.pixels, second.pixels, (size_t)first.width * (size_t)first.height * 3), 0, "%s",
                     names[i]);
        samc_image_free(&first);
        samc_image_free(&second);
        free(bytes);
    }
}

/* The header is held against the limit before anything is allocated for the picture. */
Test(image, limit_of_every_format) {
    static const char *const names[] = {"jpeg_420.jpg", "png_rgb.png", "gif.gif",    "bmp_rgb.bmp",
                                        "psd.psd",      "pgm.pgm",     "tga_rgb.tga"};
    for (int i = 0; i < 7; i++) {
        size_t size;
        uint8_t *bytes = fixture(names[i], &size);
        samc_image picture = SAMC_INIT(samc_image);
        samc_error error = {0};
        cr_assert_eq(samc_image_decode(bytes, size, names[i], 37 * 29 - 1, &picture, &error), SAMC_UNSUPPORTED, "%s",
                     names[i]);
        cr_assert(strstr(error.message, "37 x 29 pixels is larger than the limit of 1072 pixels") != NULL, "%s",
                  error.message);
        cr_assert_eq(samc_image_decode(bytes, size, names[i], 37 * 29, &picture, &error), SAMC_OK, "%s", error.message);
        samc_image_free(&picture);
        free(bytes);
    }
}

Test(image, orientation_of_hostile_exif) {
    uint8_t block[64] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06";
    cr_assert_eq(samc__exif_orientation(block, 26), 6);
    for (size_t size = 0; size < 22; size++) cr_assert_eq(samc__exif_orientation(block, size), 0, "of %zu bytes", size);
    block[19] = 9; /* says something, but nothing that there is */
    cr_assert_eq(samc__exif_orientation(block, 26), 1);
    block[17] = 3; /* several values: where they lie */
    memcpy(block + 18, "\0\0\0\x16\0\5\0\6", 8);
    cr_assert_eq(samc__exif_orientation(block, 28), 5);
    cr_assert_eq(samc__exif_orientation(block, 27), 0);
    memcpy(block + 18, "\xff\xff\xff\xfe", 4);
    cr_assert_eq(samc__exif_orientation(block, 64), 0);
    memcpy(block + 14, "\xff\xff\xff\xff", 4);
    cr_assert_eq(samc__exif_orientation(block, 64), 0);
    memcpy(block + 4, "\xff\xff\xff\xff", 4);
    cr_assert_eq(samc__exif_orientation(block, 26), 0);
}
