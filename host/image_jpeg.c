/* JPEG through libjpeg-turbo with its defaults (accurate integer DCT, fancy upsampling), which are Pillow's and
 * OpenCV's, so that the pixels are theirs bit for bit. Lost data is an error, where Pillow and OpenCV would hand out
 * grey blocks. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "host/image.h"
#include "runtime/status.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *samc__image_jpeg_decoder(void) { return "libjpeg-turbo " TEXT(LIBJPEG_TURBO_VERSION); }

/* All that lives across a longjmp() is in here, out of reach of the compiler's registers. */
typedef struct jpeg_reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf leave;
    char message[JMSG_LENGTH_MAX + 1];
    uint8_t *row; /* [width, 4], one row of CMYK */
} jpeg_reader;

static void on_error(j_common_ptr common) {
    jpeg_reader *reader = common->client_data;
    if (reader->message[0] == '\0') common->err->format_message(common, reader->message);
    longjmp(reader->leave, 1);
}

/* Warnings about lost pixels are errors. The others (bytes between markers, odd headers) leave the picture whole. */
static void on_message(j_common_ptr common, int level) {
    int code = common->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                      code == JWRN_ARITH_BAD_CODE || code == JWRN_MUST_RESYNC || code == JWRN_BOGUS_PROGRESSION))
        on_error(common);
}

/* A progressive file of a few kilobytes can hold thousands of scans, each of which costs a pass over the whole picture.
 */
static void on_progress(j_common_ptr common) {
    jpeg_reader *reader = common->client_data;
    if (reader->jpeg.input_scan_number > 500) {
        snprintf(reader->message, sizeof reader->message, "more than 500 scans");
        on_error(common);
    }
}

/* Pillow's arithmetic: round(a * b / 255). */
static int multiply_255(int a, int b) {
    int product = a * b + 128;
    return ((product >> 8) + product) >> 8;
}

/* Pillow takes every four-channel JPEG as Adobe writes them, inverted, and converts with the black channel. */
static void cmyk_to_rgb(const uint8_t *cmyk, uint8_t *rgb, int width) {
    for (int x = 0; x < width; x++, cmyk += 4, rgb += 3)
        for (int c = 0; c < 3; c++) {
            int value = cmyk[3] - multiply_255(255 - cmyk[c], cmyk[3]);
            rgb[c] = (uint8_t)(value < 0 ? 0 : value);
        }
}

/* Straight through; errors inside libjpeg leave by longjmp(). */
static samc_status read_jpeg(jpeg_reader *reader, const uint8_t *bytes, size_t size, const char *name,
                             int64_t most, samc__picture *picture, int *orientation, samc_error *error) {
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = reader;
    jpeg_mem_src(jpeg, bytes, size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    SAMC__TRY(samc__image_check_size(name, jpeg->image_width, jpeg->image_height, most, error));
    if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG with %d colour components", name, jpeg->num_components);
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker != NULL; marker = marker->next)
        if (marker->data_length > 6 && memcmp(marker->data, "Exif\0\0", 6) == 0) {
            *orientation = samc__exif_orientation(marker->data + 6, marker->data_length - 6);
            break;
        }

    int width = (int)jpeg->image_width, height = (int)jpeg->image_height;
    bool cmyk = jpeg->num_components == 4;
    picture->width = width;
    picture->height = height;
    picture->pixels = malloc((size_t)width * (size_t)height * 3);
    if (cmyk) reader->row = malloc((size_t)width * 4);
    if (picture->pixels == NULL || (cmyk && reader->row == NULL))
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for %d x %d pixels", name, width, height);

    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB; /* grey becomes RGB in the library, YCCK becomes CMYK */
    reader->progress.progress_monitor = on_progress;
    jpeg->progress = &reader->progress;
    jpeg_start_decompress(jpeg);
    while (jpeg->output_scanline < jpeg->output_height) {
        uint8_t *to = picture->pixels + (size_t)jpeg->output_scanline * (size_t)width * 3;
        uint8_t *row = cmyk ? reader->row : to;
        jpeg_read_scanlines(jpeg, &row, 1);
        if (cmyk) cmyk_to_rgb(row, to, width);
    }
    jpeg_finish_decompress(jpeg); /* reads up to the end-of-image marker: without one the file is truncated */
    return SAMC_OK;
}

samc_status samc__image_decode_jpeg(const uint8_t *bytes, size_t size, const char *name, int64_t most, samc__picture *picture,
                                    int *orientation, samc_error *error) {
    samc_status status;
    jpeg_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->jpeg.client_data = reader;
    if (setjmp(reader->leave) == 0) status = read_jpeg(reader, bytes, size, name, most, picture, orientation, error);
    else status = samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG: %s", name, reader->message);
    jpeg_destroy_decompress(&reader->jpeg);
    free(reader->row);
    free(reader);
    return status;
}
