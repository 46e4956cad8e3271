/* WebP through libwebp; animated ones through libwebpdemux, whose frames are the canvas as it is seen. As in Pillow
 * alpha is dropped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

const char *samc__image_webp_decoder(void) {
    static char text[32];
    int version = WebPGetDecoderVersion();
    snprintf(text, sizeof text, "libwebp %d.%d.%d", version >> 16, version >> 8 & 255, version & 255);
    return text;
}

bool samc__webp_recognise(const samc__image_file *file) {
    return file->size >= 12 && memcmp(file->bytes, "RIFF", 4) == 0 && memcmp(file->bytes + 8, "WEBP", 4) == 0;
}

static samc_status truncated(const samc__image_file *file, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: truncated WebP", file->name);
}

static samc_status damaged(const samc__image_file *file, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged WebP", file->name);
}

/* The file's parts, all of which have to be there; the caller gives them back. */
static samc_status open_file(const samc__image_file *file, WebPDemuxer **parts, samc_error *error) {
    WebPDemuxState state;
    *parts = WebPDemuxPartial(&(WebPData){file->bytes, file->size}, &state);
    if (*parts != NULL && state == WEBP_DEMUX_DONE) return SAMC_OK;
    WebPDemuxDelete(*parts);
    *parts = NULL;
    return state == WEBP_DEMUX_PARSE_ERROR ? damaged(file, error) : truncated(file, error);
}

samc_status samc__webp_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    WebPDemuxer *parts;
    SAMC__TRY(open_file(file, &parts, error));
    extent->width = WebPDemuxGetI(parts, WEBP_FF_CANVAS_WIDTH);
    extent->height = WebPDemuxGetI(parts, WEBP_FF_CANVAS_HEIGHT);
    bool animated = WebPDemuxGetI(parts, WEBP_FF_FORMAT_FLAGS) & ANIMATION_FLAG;
    uint32_t frames = WebPDemuxGetI(parts, WEBP_FF_FRAME_COUNT);
    extent->pages = animated && frames < INT32_MAX ? (int)frames : 1;
    /* Lossless pictures are decoded as a whole, twice for a palette's; of animations there are two canvases besides. */
    extent->peak = samc__image_room(extent, animated ? 20 : 10, 1 << 20);
    WebPDemuxDelete(parts);
    return SAMC_OK;
}

/* A chunk of the file; its bytes are the file's own. */
static WebPData chunk(const WebPDemuxer *parts, const char name[4]) {
    WebPChunkIterator found;
    WebPData bytes = {0};
    if (WebPDemuxGetChunk(parts, name, 1, &found)) bytes = found.chunk;
    WebPDemuxReleaseChunkIterator(&found);
    return bytes;
}

static int orientation_of(const WebPDemuxer *parts) {
    WebPData exif = chunk(parts, "EXIF"), xmp = chunk(parts, "XMP ");
    int found = samc__exif_orientation(exif.bytes, exif.size);
    if (found == 0) found = samc__xmp_orientation(xmp.bytes, xmp.size);
    return found != 0 ? found : 1;
}

static samc_status read_still(const samc__image_file *file, const samc__image_extent *extent, uint8_t *rgb,
                              samc_error *error) {
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) return samc__fail(error, SAMC_INTERNAL, "%s: another libwebp", file->name);
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = rgb;
    config.output.u.RGBA.stride = (int)(extent->width * 3);
    config.output.u.RGBA.size = (size_t)extent->bytes;
    VP8StatusCode code = WebPDecode(file->bytes, file->size, &config);
    /* The demuxer saw this size in the container, the decoder in the picture. */
    bool same = config.output.width == extent->width && config.output.height == extent->height;
    WebPFreeDecBuffer(&config.output);
    if (code == VP8_STATUS_OK && same) return SAMC_OK;
    if (code == VP8_STATUS_OUT_OF_MEMORY) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    return code == VP8_STATUS_NOT_ENOUGH_DATA ? truncated(file, error) : damaged(file, error);
}

static samc_status read_frame(const samc__image_file *file, const samc__image_extent *extent, uint8_t *rgb,
                              samc_error *error) {
    WebPAnimDecoderOptions options;
    if (!WebPAnimDecoderOptionsInit(&options))
        return samc__fail(error, SAMC_INTERNAL, "%s: another libwebp", file->name);
    options.color_mode = MODE_RGBA;
    options.use_threads = 0;
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&(WebPData){file->bytes, file->size}, &options);
    if (decoder == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    uint8_t *canvas = NULL; /* [height, width, 4], the decoder's */
    int time;
    bool read = true;
    for (int i = 0; i <= file->page && read; i++) read = WebPAnimDecoderGetNext(decoder, &canvas, &time);
    for (int64_t i = 0; i < extent->width * extent->height && read; i++) memcpy(rgb + 3 * i, canvas + 4 * i, 3);
    WebPAnimDecoderDelete(decoder);
    return read ? SAMC_OK : damaged(file, error);
}

samc_status samc__webp_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                              int *orientation, samc_error *error) {
    WebPDemuxer *parts;
    SAMC__TRY(open_file(file, &parts, error));
    bool animated = WebPDemuxGetI(parts, WEBP_FF_FORMAT_FLAGS) & ANIMATION_FLAG;
    *orientation = orientation_of(parts);
    WebPDemuxDelete(parts);
    return animated ? read_frame(file, extent, samples, error) : read_still(file, extent, samples, error);
}
