/* JPEG XL through libjxl, in one thread, turned as the file says. Pixels are in the colours of the file; alpha is
 * dropped. */
#include <stdio.h>
#include <string.h>

#include <jxl/decode.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

const char *samc__image_jxl_decoder(void) {
    static char text[32];
    uint32_t version = JxlDecoderVersion();
    snprintf(text, sizeof text, "libjxl %u.%u.%u", version / 1000000, version / 1000 % 1000, version % 1000);
    return text;
}

bool samc__jxl_recognise(const samc__image_file *file) {
    JxlSignature kind = JxlSignatureCheck(file->bytes, file->size);
    return kind == JXL_SIG_CODESTREAM || kind == JXL_SIG_CONTAINER;
}

static samc_status failed(const samc__image_file *file, JxlDecoderStatus status, samc_error *error) {
    if (status == JXL_DEC_NEED_MORE_INPUT) return samc__fail(error, SAMC_FORMAT, "%s: truncated JPEG XL", file->name);
    return samc__fail(error, SAMC_FORMAT, "%s: damaged JPEG XL", file->name);
}

static samc_status open_file(const samc__image_file *file, int events, JxlDecoder **out, samc_error *error) {
    *out = JxlDecoderCreate(NULL);
    if (*out == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    if (JxlDecoderSubscribeEvents(*out, events) != JXL_DEC_SUCCESS ||
        JxlDecoderSetInput(*out, file->bytes, file->size) != JXL_DEC_SUCCESS)
        return failed(file, JXL_DEC_ERROR, error);
    return SAMC_OK;
}

enum { MOST_EXTRA = 16 }; /* channels beside the colours; pictures have one for alpha, or none */

static void measure(const JxlBasicInfo *info, samc__image_extent *extent) {
    *extent = (samc__image_extent){.width = info->xsize, .height = info->ysize, .pages = 1, .channels = 3};
    if (info->exponent_bits_per_sample > 0 || info->bits_per_sample > 16) extent->sample = SAMC_SAMPLE_F32;
    else if (info->bits_per_sample > 8) extent->sample = SAMC_SAMPLE_U16;
    if (extent->sample != SAMC_SAMPLE_U8 && info->num_color_channels == 1) extent->channels = 1;
    /* Floats of up to four channels, in several stages; of animations also what later frames refer to. Further channels
     * are decoded whole, though nobody asks for them. */
    int64_t extra = info->num_extra_channels > 1 ? info->num_extra_channels - 1 : 0;
    extent->peak = samc__image_room(extent, (info->have_animation ? 64 : 32) + 12 * extra, 32 << 20);
}

samc_status samc__jxl_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    JxlDecoder *decoder = NULL;
    JxlBasicInfo info = {0};
    int frames = 0;
    samc_status status = open_file(file, JXL_DEC_BASIC_INFO | JXL_DEC_FRAME, &decoder, error);
    for (bool more = status == SAMC_OK; more;) {
        JxlDecoderStatus got = JxlDecoderProcessInput(decoder);
        if (got == JXL_DEC_BASIC_INFO) {
            if (JxlDecoderGetBasicInfo(decoder, &info) != JXL_DEC_SUCCESS) status = failed(file, JXL_DEC_ERROR, error);
            more = status == SAMC_OK && info.have_animation; /* whose frames are counted */
        } else if (got == JXL_DEC_FRAME) {
            frames++;
        } else {
            if (got != JXL_DEC_SUCCESS) status = failed(file, got, error);
            more = false;
        }
    }
    if (status == SAMC_OK && info.xsize == 0) status = failed(file, JXL_DEC_ERROR, error);
    if (status == SAMC_OK && info.num_extra_channels > MOST_EXTRA)
        status = samc__fail(error, SAMC_UNSUPPORTED, "%s: JPEG XL of %u extra channels", file->name,
                            info.num_extra_channels);
    if (status == SAMC_OK) measure(&info, extent);
    if (status == SAMC_OK && frames > 0) extent->pages = frames;
    if (decoder != NULL) JxlDecoderDestroy(decoder);
    return status;
}

static samc_status read_frame(const samc__image_file *file, JxlDecoder *decoder, const samc__image_extent *extent,
                              void *samples, samc_error *error) {
    static const JxlDataType types[] = {
        [SAMC_SAMPLE_U8] = JXL_TYPE_UINT8, [SAMC_SAMPLE_U16] = JXL_TYPE_UINT16, [SAMC_SAMPLE_F32] = JXL_TYPE_FLOAT};
    const JxlPixelFormat format = {(uint32_t)extent->channels, types[extent->sample], JXL_NATIVE_ENDIAN, 0};
    size_t size = (size_t)(extent->width * extent->height) * samc__image_pixel(extent), wanted = 0;
    JxlDecoderSkipFrames(decoder, (size_t)file->page);
    for (;;) {
        JxlDecoderStatus got = JxlDecoderProcessInput(decoder);
        if (got == JXL_DEC_FULL_IMAGE) return SAMC_OK;
        if (got != JXL_DEC_NEED_IMAGE_OUT_BUFFER) return failed(file, got, error);
        if (JxlDecoderImageOutBufferSize(decoder, &format, &wanted) != JXL_DEC_SUCCESS || wanted != size ||
            JxlDecoderSetImageOutBuffer(decoder, &format, samples, size) != JXL_DEC_SUCCESS)
            return failed(file, JXL_DEC_ERROR, error);
    }
}

samc_status samc__jxl_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    JxlDecoder *decoder = NULL;
    (void)orientation;
    samc_status status = open_file(file, JXL_DEC_FULL_IMAGE, &decoder, error);
    if (status == SAMC_OK) status = read_frame(file, decoder, extent, samples, error);
    if (decoder != NULL) JxlDecoderDestroy(decoder);
    return status;
}
