/* GIF through giflib: the first frame on its screen. As in Pillow a frame that reaches beyond the screen enlarges it,
 * what the frame does not cover has the transparent colour or else colour 0, and transparency itself is dropped. */
#include <stdlib.h>
#include <string.h>

#include <gif_lib.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *samc__image_gif_decoder(void) {
    return "giflib " TEXT(GIFLIB_MAJOR) "." TEXT(GIFLIB_MINOR) "." TEXT(GIFLIB_RELEASE);
}

typedef struct reader {
    const samc__image_file *file;
    size_t at;
    GifFileType *gif;
    int transparent; /* index, -1 where there is none */
    bool in_frame;   /* its description has been read */
    bool ran_out;    /* the file ended before giflib had what it wanted */
} reader;

static int read_bytes(GifFileType *gif, GifByteType *to, int count) {
    reader *r = gif->UserData;
    size_t left = r->file->size - r->at, size = (size_t)count < left ? (size_t)count : left;
    memcpy(to, r->file->bytes + r->at, size);
    r->at += size;
    r->ran_out = r->ran_out || size < (size_t)count;
    /* Files exist that end with their last pixel: the length of a block that is not there is 0, which says that there
     * is none. */
    if (size == 0 && count == 1 && r->in_frame) return *to = 0, 1;
    return (int)size;
}

static samc_status failed(const reader *r, int code, samc_error *error) {
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    if (r->ran_out) return samc__fail(error, SAMC_FORMAT, "%s: truncated GIF", r->file->name);
    const char *reason = GifErrorString(code);
    return samc__fail(error, SAMC_FORMAT, "%s: damaged GIF: %s", r->file->name,
                      reason == NULL ? "unknown error" : reason);
}

/* Up to the description of the first frame; the caller closes r->gif whatever comes back. */
static samc_status find_frame(reader *r, samc_error *error) {
    int code = 0;
    r->transparent = -1;
    r->gif = DGifOpen(r, read_bytes, &code);
    if (r->gif == NULL) return failed(r, code, error);
    for (;;) {
        GifRecordType record;
        if (DGifGetRecordType(r->gif, &record) != GIF_OK) return failed(r, r->gif->Error, error);
        if (record == IMAGE_DESC_RECORD_TYPE) {
            if (DGifGetImageDesc(r->gif) != GIF_OK) return failed(r, r->gif->Error, error);
            r->in_frame = true;
            return SAMC_OK;
        }
        if (record == TERMINATE_RECORD_TYPE)
            return samc__fail(error, SAMC_FORMAT, "%s: GIF without a picture", r->file->name);
        int kind;
        GifByteType *block; /* its length and its bytes */
        if (DGifGetExtension(r->gif, &kind, &block) != GIF_OK) return failed(r, r->gif->Error, error);
        if (kind == GRAPHICS_EXT_FUNC_CODE && block != NULL && block[0] >= 4 && block[1] & 1) r->transparent = block[4];
        while (block != NULL)
            if (DGifGetExtensionNext(r->gif, &block) != GIF_OK) return failed(r, r->gif->Error, error);
    }
}

static void finish(reader *r) {
    if (r->gif != NULL) DGifCloseFile(r->gif, NULL);
}

static void measure(const GifFileType *gif, samc__image_extent *extent) {
    int64_t right = (int64_t)gif->Image.Left + gif->Image.Width, bottom = (int64_t)gif->Image.Top + gif->Image.Height;
    *extent = (samc__image_extent){.width = gif->SWidth > right ? gif->SWidth : right,
                                   .height = gif->SHeight > bottom ? gif->SHeight : bottom,
                                   .peak = gif->Image.Width + ((int64_t)1 << 16)}; /* a row, and giflib's tables */
}

bool samc__gif_recognise(const samc__image_file *file) {
    return file->size >= 6 && (memcmp(file->bytes, "GIF87a", 6) == 0 || memcmp(file->bytes, "GIF89a", 6) == 0);
}

samc_status samc__gif_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    reader r = {.file = file};
    samc_status status = find_frame(&r, error);
    if (status == SAMC_OK) measure(r.gif, extent);
    finish(&r);
    return status;
}

/* The row of the picture that a row of the file is. Interlaced ones come in four passes. */
static int row_of(int line, int height, bool interlaced) {
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    if (!interlaced) return line;
    for (int pass = 0; pass < 4; pass++) {
        int rows = height > first[pass] ? (height - first[pass] + step[pass] - 1) / step[pass] : 0;
        if (line < rows) return first[pass] + line * step[pass];
        line -= rows;
    }
    return 0;
}

static samc_status read_frame(reader *r, const samc__image_extent *extent, uint8_t *rgb, uint8_t *line,
                              samc_error *error) {
    const GifImageDesc *frame = &r->gif->Image;
    const ColorMapObject *map = frame->ColorMap != NULL ? frame->ColorMap : r->gif->SColorMap;
    uint8_t palette[256][3];
    int colours = map == NULL ? 0 : map->ColorCount < 256 ? map->ColorCount : 256;
    for (int i = 0; i < colours; i++) {
        palette[i][0] = map->Colors[i].Red;
        palette[i][1] = map->Colors[i].Green;
        palette[i][2] = map->Colors[i].Blue;
    }
    samc__palette_complete(palette, (size_t)colours); /* without one, indices are greys */
    size_t width = (size_t)extent->width;
    const uint8_t *outside = palette[r->transparent >= 0 ? r->transparent : 0];
    bool covers = frame->Width == extent->width &&
                  frame->Height == extent->height; /* then nothing is touched before there are pixels */
    for (size_t i = 0; i < width * (size_t)extent->height && !covers; i++) memcpy(rgb + i * 3, outside, 3);
    for (int i = 0; i < frame->Height; i++) {
        if (DGifGetLine(r->gif, line, frame->Width) != GIF_OK) return failed(r, r->gif->Error, error);
        size_t y = (size_t)(frame->Top + row_of(i, frame->Height, frame->Interlace));
        uint8_t *to = rgb + (y * width + (size_t)frame->Left) * 3;
        for (int x = 0; x < frame->Width; x++, to += 3) memcpy(to, palette[line[x]], 3);
    }
    return SAMC_OK;
}

samc_status samc__gif_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    reader r = {.file = file};
    uint8_t *line = NULL;
    (void)orientation;
    samc_status status = find_frame(&r, error);
    if (status == SAMC_OK && (r.gif->Image.Width <= 0 || r.gif->Image.Height <= 0))
        status = samc__fail(error, SAMC_FORMAT, "%s: GIF whose first frame has no pixels", file->name);
    if (status == SAMC_OK && (line = malloc((size_t)r.gif->Image.Width)) == NULL)
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", file->name);
    if (status == SAMC_OK) status = read_frame(&r, extent, samples, line, error);
    free(line);
    finish(&r);
    return status;
}
