/* JPEG through libjpeg-turbo with its defaults (accurate integer DCT, fancy upsampling), which are Pillow's and
 * OpenCV's, so that the pixels are theirs bit for bit. Lost data is an error, where Pillow and OpenCV would hand out
 * grey blocks; a missing end marker behind data that is all there is none. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

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
    const char *name; /* the file's, where its rows are read one by one */
    uint8_t *row;     /* [width, 4], one row of CMYK */
    bool ended;       /* the file ended without a marker that says so */
    unsigned scanned; /* a bit for each component that a scan has had */
} jpeg_reader;

static void on_error(j_common_ptr common) {
    jpeg_reader *reader = common->client_data;
    if (reader->message[0] == '\0') common->err->format_message(common, reader->message);
    longjmp(reader->leave, 1);
}

/* Warnings about lost pixels are errors. The others (bytes between markers, odd headers) leave the picture whole, and
 * whether the end of the file does is seen when all has been read. */
static void on_message(j_common_ptr common, int level) {
    jpeg_reader *reader = common->client_data;
    int code = common->err->msg_code;
    if (level < 0 && code == JWRN_JPEG_EOF) reader->ended = true;
    if (level < 0 && (code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE || code == JWRN_ARITH_BAD_CODE ||
                      code == JWRN_MUST_RESYNC || code == JWRN_BOGUS_PROGRESSION))
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
    for (int i = 0; i < reader->jpeg.comps_in_scan; i++)
        reader->scanned |= 1u << reader->jpeg.cur_comp_info[i]->component_index;
}

/* Whether the file had all of the picture, where it ended without the marker for that. A scan that breaks off is an
 * error on its own; here it is about scans that are not there. */
static bool all_scanned(const jpeg_reader *reader) {
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (jpeg->arith_code) return false; /* whose decoder does not tell when its data ends early */
    if (reader->scanned != (1u << jpeg->num_components) - 1) return false;
    for (int c = 0; c < jpeg->num_components && jpeg->progressive_mode; c++)
        for (int k = 0; k < DCTSIZE2; k++)
            if (jpeg->coef_bits[c][k] != 0)
                return false; /* bits of it that a later scan would have brought; -1 for all */
    return true;
}

/* Exif\0\0 and XMP segments in front of the picture. Those of EXIF are one block, of XMP the last one counts. */
static samc_status find_orientation(const jpeg_reader *reader, const char *name, int *orientation, samc_error *error) {
    static const char exif[] = "Exif\0", xmp[] = "http://ns.adobe.com/xap/1.0/"; /* with their zeros */
    size_t size = 0;
    int of_xmp = 0;
    for (jpeg_saved_marker_ptr marker = reader->jpeg.marker_list; marker != NULL; marker = marker->next) {
        if (marker->data_length >= sizeof exif && memcmp(marker->data, exif, sizeof exif) == 0)
            size += marker->data_length;
        if (marker->data_length >= sizeof xmp && memcmp(marker->data, xmp, sizeof xmp) == 0)
            of_xmp = samc__xmp_orientation(marker->data + sizeof xmp, marker->data_length - sizeof xmp);
    }
    uint8_t *block = malloc(size > 0 ? size : 1);
    if (block == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    size = 0;
    for (jpeg_saved_marker_ptr marker = reader->jpeg.marker_list; marker != NULL; marker = marker->next) {
        if (marker->data_length < sizeof exif || memcmp(marker->data, exif, sizeof exif) != 0) continue;
        memcpy(block + size, marker->data + sizeof exif, marker->data_length - sizeof exif);
        size += marker->data_length - sizeof exif;
    }
    int of_exif = samc__exif_orientation(block, size);
    free(block);
    *orientation = of_exif != 0 ? of_exif : of_xmp != 0 ? of_xmp : 1;
    return SAMC_OK;
}

/* Reads up to the first scan. Errors inside libjpeg leave by longjmp(), here as below. */
static void read_header(jpeg_reader *reader, const samc__image_file *file) {
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->client_data = reader;
    jpeg_mem_src(jpeg, file->bytes, file->size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
}

static samc_status measure(const jpeg_reader *reader, const samc__image_file *file, samc__image_extent *extent,
                           samc_error *error) {
    const struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    if (jpeg->num_components != 1 && jpeg->num_components != 3 && jpeg->num_components != 4)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG with %d colour components", file->name,
                          jpeg->num_components);
    *extent = (samc__image_extent){.width = jpeg->image_width, .height = jpeg->image_height};
    /* Coefficients of the whole picture, where they come in several scans, then the picture once more, when it is
     * turned. */
    int64_t pixels = extent->width * extent->height, coefficients = 0;
    for (int c = 0; c < jpeg->num_components && (jpeg->progressive_mode || jpeg->comps_in_scan < jpeg->num_components);
         c++)
        coefficients += (int64_t)jpeg->comp_info[c].width_in_blocks * jpeg->comp_info[c].height_in_blocks * DCTSIZE2 *
                        (int64_t)sizeof(JCOEF);
    extent->peak = coefficients > 3 * pixels ? coefficients : 3 * pixels;
    return SAMC_OK;
}

/* From the header up to the first row of pixels; of several scans this reads all but the last. */
static samc_status start_pixels(jpeg_reader *reader, const samc__image_file *file, int *orientation,
                                samc_error *error) {
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    SAMC__TRY(find_orientation(reader, file->name, orientation, error));
    bool cmyk = jpeg->num_components == 4;
    if (cmyk && (reader->row = malloc((size_t)jpeg->image_width * 4)) == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB; /* grey becomes RGB in the library, YCCK becomes CMYK */
    reader->progress.progress_monitor = on_progress;
    jpeg->progress = &reader->progress;
    jpeg_start_decompress(jpeg);
    return SAMC_OK;
}

/* The next row, and behind the last one what the file ends with. */
static samc_status next_row(jpeg_reader *reader, const char *name, uint8_t *rgb, samc_error *error) {
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    uint8_t *row = reader->row != NULL ? reader->row : rgb;
    jpeg_read_scanlines(jpeg, &row, 1);
    if (reader->row != NULL) samc__cmyk_to_rgb(row, rgb, jpeg->image_width);
    if (jpeg->output_scanline < jpeg->output_height) return SAMC_OK;
    bool whole = all_scanned(reader); /* asked before what it asks is gone */
    jpeg_finish_decompress(jpeg);     /* reads up to the end marker */
    if (reader->ended && !whole)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG: Premature end of JPEG file", name);
    return SAMC_OK;
}

static samc_status read_pixels(jpeg_reader *reader, const samc__image_file *file, uint8_t *rgb, int *orientation,
                               samc_error *error) {
    read_header(reader, file);
    SAMC__TRY(start_pixels(reader, file, orientation, error));
    const size_t row = (size_t)reader->jpeg.image_width * 3, height = reader->jpeg.image_height;
    for (size_t y = 0; y < height; y++) SAMC__TRY(next_row(reader, file->name, rgb + y * row, error));
    return SAMC_OK;
}

static jpeg_reader *create_reader(const char *name, samc_error *error) {
    jpeg_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) {
        samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
        return NULL;
    }
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->errors.error_exit = on_error;
    reader->errors.emit_message = on_message;
    reader->jpeg.client_data = reader;
    return reader;
}

static void destroy_reader(jpeg_reader *reader) {
    jpeg_destroy_decompress(&reader->jpeg);
    free(reader->row);
    free(reader);
}

static samc_status damaged(const jpeg_reader *reader, const char *name, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG: %s", name, reader->message);
}

/* Runs one of the two, which reads the header, or the pixels where there is room for them. */
static samc_status with_reader(const samc__image_file *file, samc__image_extent *extent, uint8_t *rgb, int *orientation,
                               samc_error *error) {
    samc_status status;
    jpeg_reader *reader = create_reader(file->name, error);
    if (reader == NULL) return SAMC_OUT_OF_MEMORY;
    if (setjmp(reader->leave) != 0) {
        status = damaged(reader, file->name, error);
    } else if (rgb == NULL) {
        read_header(reader, file);
        status = measure(reader, file, extent, error);
    } else {
        status = read_pixels(reader, file, rgb, orientation, error);
    }
    destroy_reader(reader);
    return status;
}

bool samc__jpeg_recognise(const samc__image_file *file) {
    return file->size >= 3 && memcmp(file->bytes, "\xff\xd8\xff", 3) == 0;
}

samc_status samc__jpeg_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    return with_reader(file, extent, NULL, NULL, error);
}

samc_status samc__jpeg_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              int *orientation, samc_error *error) {
    (void)extent;
    return with_reader(file, NULL, samples, orientation, error);
}

/* ---- Rows ------------------------------------------------------------------------------------ */

samc_status samc__jpeg_rows_open(const samc__image_file *file, void **rows, int *orientation, samc_error *error) {
    samc_status status;
    jpeg_reader *reader = create_reader(file->name, error);
    *rows = NULL;
    if (reader == NULL) return SAMC_OUT_OF_MEMORY;
    reader->name = file->name;
    if (setjmp(reader->leave) != 0) {
        status = damaged(reader, file->name, error);
    } else {
        read_header(reader, file);
        bool scans = jpeg_has_multiple_scans(&reader->jpeg);
        status = scans ? SAMC_OK : start_pixels(reader, file, orientation, error);
        if (status == SAMC_OK && !scans) {
            *rows = reader;
            return SAMC_OK;
        }
    }
    destroy_reader(reader);
    return status;
}

samc_status samc__jpeg_rows_next(void *rows, void *samples, samc_error *error) {
    jpeg_reader *reader = rows;
    if (setjmp(reader->leave) != 0) return damaged(reader, reader->name, error);
    return next_row(reader, reader->name, samples, error);
}

void samc__jpeg_rows_close(void *rows) { destroy_reader(rows); }
