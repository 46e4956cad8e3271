/* HEIC and its kin through libheif, cropped, turned and mirrored as the file says, and in 8 bits: EXIF repeats what the
 * container says, and does not count. Page 0 is the primary picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libheif/heif.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

const char *samc__image_heif_decoder(void) {
    static char text[32];
    snprintf(text, sizeof text, "libheif %.16s", heif_get_version());
    return text;
}

bool samc__heif_recognise(const samc__image_file *file) {
    static const char brands[][5] = {"heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"};
    if (file->size < 12 || memcmp(file->bytes + 4, "ftyp", 4) != 0) return false;
    for (size_t i = 0; i < sizeof brands / sizeof *brands; i++)
        if (memcmp(file->bytes + 8, brands[i], 4) == 0) return true;
    return false;
}

typedef struct reader {
    const samc__image_file *file;
    struct heif_context *context;
    struct heif_image_handle *handle;
    int pages;
} reader;

static samc_status failed(const reader *r, struct heif_error why, samc_error *error) {
    char text[256];
    snprintf(text, sizeof text, "%s", why.message != NULL ? why.message : "unknown error");
    text[strcspn(text, "\r\n")] = '\0'; /* some of libheif's have a line feed */
    if (why.code == heif_error_Memory_allocation_error)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: HEIF: %s", r->file->name, text);
    if (why.subcode == heif_suberror_End_of_data)
        return samc__fail(error, SAMC_FORMAT, "%s: truncated HEIF", r->file->name);
    if (why.code == heif_error_Unsupported_filetype || why.code == heif_error_Unsupported_feature)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: HEIF: %s", r->file->name, text);
    return samc__fail(error, SAMC_FORMAT, "%s: damaged HEIF: %s", r->file->name, text);
}

/* The picture of the file's page: the primary one, then the others in the file's order. */
static samc_status find_picture(reader *r, samc_error *error) {
    heif_item_id primary, *ids;
    int page = r->file->page;
    r->pages = heif_context_get_number_of_top_level_images(r->context);
    struct heif_error why = heif_context_get_primary_image_ID(r->context, &primary);
    if (why.code != heif_error_Ok) return failed(r, why, error);
    if (page < 0 || page >= r->pages) return samc__image_no_page(r->file, r->pages, error);
    if ((ids = malloc((size_t)r->pages * sizeof *ids)) == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    int count = heif_context_get_list_of_top_level_image_IDs(r->context, ids, r->pages);
    heif_item_id wanted = primary;
    for (int i = 0, others = 0; i < count && page > 0; i++)
        if (ids[i] != primary && ++others == page) wanted = ids[i];
    free(ids);
    why = heif_context_get_image_handle(r->context, wanted, &r->handle);
    return why.code == heif_error_Ok ? SAMC_OK : failed(r, why, error);
}

/* What comes back is closed by close_file(), whatever happened. */
static samc_status open_file(reader *r, samc_error *error) {
    if ((r->context = heif_context_alloc()) == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    heif_context_set_max_decoding_threads(r->context, 0);
    struct heif_error why = heif_context_read_from_memory_without_copy(r->context, r->file->bytes, r->file->size, NULL);
    return why.code == heif_error_Ok ? find_picture(r, error) : failed(r, why, error);
}

static void close_file(reader *r) {
    if (r->handle != NULL) heif_image_handle_release(r->handle);
    if (r->context != NULL) heif_context_free(r->context);
}

/* Pixels that may be there to be cropped, more than four times those that stay. */
#define SPARE_PIXELS ((int64_t)1 << 25)

/* The picture is decoded as it is stored, and cropped then. */
static samc_status measure(const reader *r, samc__image_extent *extent, samc_error *error) {
    samc__image_extent stored = {.width = heif_image_handle_get_ispe_width(r->handle),
                                 .height = heif_image_handle_get_ispe_height(r->handle)};
    *extent = (samc__image_extent){.width = heif_image_handle_get_width(r->handle),
                                   .height = heif_image_handle_get_height(r->handle),
                                   .pages = r->pages};
    if (stored.width * stored.height > 4 * extent->width * extent->height + SPARE_PIXELS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: HEIF of %lld x %lld pixels, cropped to %lld x %lld",
                          r->file->name, (long long)stored.width, (long long)stored.height, (long long)extent->width,
                          (long long)extent->height);
    /* Planes of 16 bits in the codec and here, turned, and RGB. */
    int64_t whole = samc__image_room(&stored, 24, 32 << 20);
    extent->peak = samc__image_room(extent, 24, 32 << 20);
    if (whole > extent->peak) extent->peak = whole;
    return SAMC_OK;
}

samc_status samc__heif_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    reader r = {.file = file};
    samc_status status = open_file(&r, error);
    if (status == SAMC_OK) status = measure(&r, extent, error);
    close_file(&r);
    return status;
}

static samc_status read_picture(reader *r, const samc__image_extent *extent, uint8_t *rgb, samc_error *error) {
    struct heif_image *image = NULL;
    struct heif_decoding_options *options = heif_decoding_options_alloc();
    if (options == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    options->convert_hdr_to_8bit = 1;
    options->strict_decoding = 1;
    /* A grid has a size of its own, which is not to be another than the container's. */
    int width = heif_image_handle_get_ispe_width(r->handle), height = heif_image_handle_get_ispe_height(r->handle);
    heif_context_set_maximum_image_size_limit(r->context, (width > height ? width : height) + 1);
    struct heif_error why =
        heif_decode_image(r->handle, &image, heif_colorspace_RGB, heif_chroma_interleaved_RGB, options);
    heif_decoding_options_free(options);
    if (why.code != heif_error_Ok || image == NULL) return failed(r, why, error);
    int stride = 0;
    const uint8_t *plane = heif_image_get_plane_readonly(image, heif_channel_interleaved, &stride);
    samc_status status = SAMC_OK;
    if (plane == NULL || heif_image_get_width(image, heif_channel_interleaved) != extent->width ||
        heif_image_get_height(image, heif_channel_interleaved) != extent->height || stride < extent->width * 3)
        status = samc__fail(error, SAMC_FORMAT, "%s: damaged HEIF: its picture has another size", r->file->name);
    for (int64_t y = 0; y < extent->height && status == SAMC_OK; y++)
        memcpy(rgb + y * extent->width * 3, plane + y * stride, (size_t)extent->width * 3);
    heif_image_release(image);
    return status;
}

samc_status samc__heif_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              int *orientation, samc_error *error) {
    reader r = {.file = file};
    (void)orientation;
    samc_status status = open_file(&r, error);
    if (status == SAMC_OK) status = read_picture(&r, extent, samples, error);
    close_file(&r);
    return status;
}
