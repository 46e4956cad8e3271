/* AVIF through libavif, in one thread: its pixels are Pillow's (libheif's of the same files are not). Alpha is dropped
 * once colours are no longer multiplied by it; how the picture is turned says its container, which goes before EXIF. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <avif/avif.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

const char *samc__image_avif_decoder(void) {
    static char text[32];
    snprintf(text, sizeof text, "libavif %s", avifVersion());
    return text;
}

bool samc__avif_recognise(const samc__image_file *file) {
    if (file->size < 12 || memcmp(file->bytes + 4, "ftyp", 4) != 0) return false;
    return avifPeekCompatibleFileType(&(avifROData){file->bytes, file->size});
}

static samc_status failed(const samc__image_file *file, avifResult result, samc_error *error) {
    if (result == AVIF_RESULT_OUT_OF_MEMORY)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    if (result == AVIF_RESULT_TRUNCATED_DATA) return samc__fail(error, SAMC_FORMAT, "%s: truncated AVIF", file->name);
    if (result == AVIF_RESULT_NOT_IMPLEMENTED || result == AVIF_RESULT_NO_CODEC_AVAILABLE)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: AVIF: %s", file->name, avifResultToString(result));
    return samc__fail(error, SAMC_FORMAT, "%s: damaged AVIF: %s", file->name, avifResultToString(result));
}

/* Reads the container; `most`: pixels that the stream may have, 0: as many as libavif takes. The caller destroys the
 * decoder, which may be NULL. */
static samc_status open_file(const samc__image_file *file, uint32_t most, avifDecoder **out, samc_error *error) {
    avifDecoder *decoder = *out = avifDecoderCreate();
    if (decoder == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    decoder->maxThreads = 1;
    decoder->strictFlags &= ~(avifStrictFlags)(AVIF_STRICT_CLAP_VALID | AVIF_STRICT_PIXI_REQUIRED); /* as Pillow */
    if (most > 0) decoder->imageSizeLimit = most;
    avifResult result = avifDecoderSetIOMemory(decoder, file->bytes, file->size);
    if (result == AVIF_RESULT_OK) result = avifDecoderParse(decoder);
    if (result != AVIF_RESULT_OK) return failed(file, result, error);
    if (file->page < 0 || file->page >= decoder->imageCount)
        return samc__image_no_page(file, decoder->imageCount, error);
    return SAMC_OK;
}

samc_status samc__avif_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    avifDecoder *decoder;
    samc_status status = open_file(file, 0, &decoder, error);
    if (status == SAMC_OK) {
        extent->width = decoder->image->width;
        extent->height = decoder->image->height;
        extent->pages = decoder->imageCount;
        /* Planes of 16 bits in the codec, with those that later frames refer to, and RGBA. */
        extent->peak = samc__image_room(extent, decoder->imageCount > 1 ? 64 : 20, 32 << 20);
    }
    if (decoder != NULL) avifDecoderDestroy(decoder);
    return status;
}

/* Turned to the left by quarters, then mirrored, as an EXIF orientation. */
static int turned(const avifImage *image) {
    static const int of[4][3] = {{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}};
    int quarters = image->transformFlags & AVIF_TRANSFORM_IROT ? image->irot.angle & 3 : 0;
#if AVIF_VERSION >= 1000000
    int mirror = image->imir.axis & 1;
#else
    int mirror = image->imir.mode & 1;
#endif
    return of[quarters][image->transformFlags & AVIF_TRANSFORM_IMIR ? 1 + mirror : 0];
}

/* As Pillow: what the container says replaces EXIF's; XMP counts where neither says anything. */
static int orientation_of(const avifImage *image) {
    int exif = samc__exif_orientation(image->exif.data, image->exif.size), container = turned(image);
    if (container != (exif != 0 ? exif : 1)) return container;
    int xmp = exif == 0 ? samc__xmp_orientation(image->xmp.data, image->xmp.size) : 0;
    return exif != 0 ? exif : xmp != 0 ? xmp : 1;
}

static samc_status read_frame(const samc__image_file *file, avifDecoder *decoder, const samc__image_extent *extent,
                              uint8_t *rgb, samc_error *error) {
    avifResult result = avifDecoderNthImage(decoder, (uint32_t)file->page);
    if (result != AVIF_RESULT_OK) return failed(file, result, error);
    const avifImage *image = decoder->image;
    if (image->width != extent->width || image->height != extent->height)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged AVIF: its picture has another size", file->name);
    bool alpha = decoder->alphaPresent; /* libavif converts colours another way with it */
    size_t pixels = (size_t)extent->bytes / 3;
    avifRGBImage out;
    avifRGBImageSetDefaults(&out, image);
    out.depth = 8;
    out.format = alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    out.ignoreAlpha = !alpha;
    out.rowBytes = (uint32_t)extent->width * (alpha ? 4 : 3);
    out.pixels = alpha ? malloc(pixels * 4) : rgb;
    if (out.pixels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    result = avifImageYUVToRGB(image, &out);
    for (size_t i = 0; i < pixels && alpha && result == AVIF_RESULT_OK; i++) memcpy(rgb + 3 * i, out.pixels + 4 * i, 3);
    if (alpha) free(out.pixels);
    return result == AVIF_RESULT_OK ? SAMC_OK : failed(file, result, error);
}

samc_status samc__avif_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              int *orientation, samc_error *error) {
    avifDecoder *decoder;
    samc_status status = open_file(file, (uint32_t)(extent->bytes / 3), &decoder, error);
    if (status == SAMC_OK) {
        *orientation = orientation_of(decoder->image);
        status = read_frame(file, decoder, extent, samples, error);
    }
    if (decoder != NULL) avifDecoderDestroy(decoder);
    return status;
}
