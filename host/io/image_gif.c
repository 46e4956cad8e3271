/* GIF through giflib: a frame on its screen, with those before it. As in Pillow a frame that reaches beyond the screen
 * enlarges it, what the first one does not cover has the transparent colour or else colour 0, and transparency itself
 * is dropped. */
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
    int transparent;   /* index of the frame, -1 where there is none */
    int disposal;      /* what becomes of a frame when the next one comes; goes on until another is said */
    int width, height; /* of the screen, as far as the frames up to this one have enlarged it */
    bool in_frame;     /* its description has been read */
    bool ran_out;      /* the file ended before giflib had what it wanted */
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

/* Up to the description of the next frame; the caller closes r->gif whatever comes back. */
static samc_status find_frame(reader *r, samc_error *error) {
    int code = 0;
    r->transparent = -1;
    r->in_frame = false;
    if (r->gif == NULL) r->gif = DGifOpen(r, read_bytes, &code);
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
        bool graphics = kind == GRAPHICS_EXT_FUNC_CODE && block != NULL && block[0] >= 4;
        if (graphics && block[1] & 1) r->transparent = block[4];
        if (graphics && (block[1] >> 2 & 7) != 0) r->disposal = block[1] >> 2 & 7;
        while (block != NULL)
            if (DGifGetExtensionNext(r->gif, &block) != GIF_OK) return failed(r, r->gif->Error, error);
    }
}

static void finish(reader *r) {
    if (r->gif != NULL) DGifCloseFile(r->gif, NULL);
}

/* Past blocks of data, up to and with the empty one; false where the file ends before. */
static bool skip_blocks(const samc__image_file *file, size_t *at) {
    while (*at < file->size) {
        size_t length = file->bytes[*at];
        if (length > file->size - *at - 1) return false;
        *at += 1 + length;
        if (length == 0) return true;
    }
    return false;
}

/* Counts the frames, and measures the screen as it is with the wanted one; what comes behind damage does not count. */
static void measure(const samc__image_file *file, samc__image_extent *extent) {
    const uint8_t *bytes = file->bytes;
    size_t at = 13 + (file->size > 10 && bytes[10] & 0x80 ? (size_t)3 << ((bytes[10] & 7) + 1) : 0), largest = 0;
    int frames = 0;
    if (file->size < 13) return; /* which giflib has refused */
    int64_t width = samc__little16(bytes + 6), height = samc__little16(bytes + 8);
    while (at < file->size && bytes[at] != ';') {
        if (bytes[at] == '!') {
            at += 2;
        } else if (bytes[at] == ',' && file->size - at >= 11) {
            const uint8_t *frame = bytes + at + 1; /* left, top, width, height, flags */
            int64_t right = samc__little16(frame) + samc__little16(frame + 4);
            int64_t bottom = samc__little16(frame + 2) + samc__little16(frame + 6);
            if (frames <= file->page) {
                if (right > width) width = right;
                if (bottom > height) height = bottom;
                if (samc__little16(frame + 4) > largest) largest = samc__little16(frame + 4);
            }
            frames++;
            at += 11 + (frame[8] & 0x80 ? (size_t)3 << ((frame[8] & 7) + 1) : 0);
        } else {
            break;
        }
        if (at >= file->size || !skip_blocks(file, &at)) break;
    }
    *extent = (samc__image_extent){.width = width, .height = height, .pages = frames > 0 ? frames : 1};
    /* A row, giflib's tables, and of later frames what lay under them. */
    extent->peak = (int64_t)largest + (1 << 16) + (file->page > 0 ? samc__image_room(extent, 3, 0) : 0);
}

bool samc__gif_recognise(const samc__image_file *file) {
    return file->size >= 6 && (memcmp(file->bytes, "GIF87a", 6) == 0 || memcmp(file->bytes, "GIF89a", 6) == 0);
}

samc_status samc__gif_header(const samc__image_file *file, samc__image_extent *extent, samc_error *error) {
    reader r = {.file = file};
    samc_status status = find_frame(&r, error);
    if (status == SAMC_OK) measure(file, extent);
    if (status == SAMC_OK && file->page == 0) { /* of which giflib knows all */
        const GifImageDesc *frame = &r.gif->Image;
        int64_t right = (int64_t)frame->Left + frame->Width, bottom = (int64_t)frame->Top + frame->Height;
        extent->width = r.gif->SWidth > right ? r.gif->SWidth : right;
        extent->height = r.gif->SHeight > bottom ? r.gif->SHeight : bottom;
    }
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

/* A part of the canvas [extent->height, extent->width, 3]. */
typedef struct area {
    int left, top, width, height;
} area;

static void fill(uint8_t *rgb, size_t stride, area part, const uint8_t colour[3]) {
    for (int y = part.top; y < part.top + part.height; y++)
        for (int x = part.left; x < part.left + part.width; x++)
            memcpy(rgb + ((size_t)y * stride + (size_t)x) * 3, colour, 3);
}

static void copy_area(uint8_t *rgb, size_t stride, area part, uint8_t *kept, bool back) {
    size_t row = (size_t)part.width * 3;
    for (int y = 0; y < part.height; y++) {
        uint8_t *at = rgb + ((size_t)(part.top + y) * stride + (size_t)part.left) * 3;
        memcpy(back ? at : kept + (size_t)y * row, back ? kept + (size_t)y * row : at, row);
    }
}

static void read_palette(const reader *r, uint8_t palette[256][3]) {
    const ColorMapObject *map = r->gif->Image.ColorMap != NULL ? r->gif->Image.ColorMap : r->gif->SColorMap;
    int colours = map == NULL ? 0 : map->ColorCount < 256 ? map->ColorCount : 256;
    for (int i = 0; i < colours; i++) {
        palette[i][0] = map->Colors[i].Red;
        palette[i][1] = map->Colors[i].Green;
        palette[i][2] = map->Colors[i].Blue;
    }
    samc__palette_complete(palette, (size_t)colours); /* without one, indices are greys */
}

/* Draws the frame; of later ones than the first, the transparent pixels leave what is there. */
static samc_status draw(reader *r, size_t stride, bool first, uint8_t palette[256][3], uint8_t *rgb,
                        samc_error *error) {
    const GifImageDesc *frame = &r->gif->Image;
    uint8_t *line = malloc((size_t)frame->Width);
    if (line == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    samc_status status = SAMC_OK;
    for (int i = 0; i < frame->Height && status == SAMC_OK; i++) {
        if (DGifGetLine(r->gif, line, frame->Width) != GIF_OK) {
            status = failed(r, r->gif->Error, error);
            break;
        }
        size_t y = (size_t)(frame->Top + row_of(i, frame->Height, frame->Interlace));
        uint8_t *to = rgb + (y * stride + (size_t)frame->Left) * 3;
        for (int x = 0; x < frame->Width; x++, to += 3)
            if (first || line[x] != r->transparent) memcpy(to, palette[line[x]], 3);
    }
    free(line);
    return status;
}

/* What the frame before left to be done when this one comes. */
typedef struct disposal {
    area part;
    uint8_t colour[3], *kept; /* what lay under the frame, where that comes back */
    bool due;
} disposal;

/* Notes what is to be done about this frame, before it is drawn: 2: its part gets the transparent or the background's
 * colour, 3: what was there comes back; of the first frame, whose screen has nothing on it, the transparent colour. */
static samc_status note_disposal(reader *r, size_t stride, bool first, uint8_t palette[256][3], uint8_t *rgb,
                                 disposal *d, samc_error *error) {
    const GifImageDesc *frame = &r->gif->Image;
    free(d->kept);
    *d = (disposal){.part = {frame->Left, frame->Top, frame->Width, frame->Height}};
    int background = r->gif->SColorMap != NULL ? r->gif->SBackGroundColor : 0;
    int colour = r->transparent >= 0 ? r->transparent : background;
    d->due = r->disposal == 2 || (r->disposal == 3 && (!first || r->transparent >= 0));
    memcpy(d->colour, palette[colour & 255], 3);
    if (r->disposal != 3 || first) return SAMC_OK;
    if ((d->kept = malloc((size_t)frame->Width * (size_t)frame->Height * 3)) == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->file->name);
    copy_area(rgb, stride, d->part, d->kept, false);
    return SAMC_OK;
}

/* A frame that reaches beyond the screen: what is new has its colour 0, or is black where it has a transparent one. */
static void enlarge(reader *r, size_t stride, uint8_t palette[256][3], uint8_t *rgb) {
    const GifImageDesc *frame = &r->gif->Image;
    static const uint8_t black[3] = {0};
    const uint8_t *colour = r->transparent >= 0 ? black : palette[0];
    int right = frame->Left + frame->Width, bottom = frame->Top + frame->Height;
    int width = right > r->width ? right : r->width, height = bottom > r->height ? bottom : r->height;
    fill(rgb, stride, (area){r->width, 0, width - r->width, r->height}, colour);
    fill(rgb, stride, (area){0, r->height, width, height - r->height}, colour);
    r->width = width;
    r->height = height;
}

static samc_status read_frame(reader *r, size_t stride, bool first, disposal *d, uint8_t *rgb, samc_error *error) {
    const GifImageDesc *frame = &r->gif->Image;
    uint8_t palette[256][3];
    if (frame->Width <= 0 || frame->Height <= 0)
        return samc__fail(error, SAMC_FORMAT, "%s: GIF with a frame that has no pixels", r->file->name);
    read_palette(r, palette);
    if (first) {
        int right = frame->Left + frame->Width, bottom = frame->Top + frame->Height;
        r->width = right > r->gif->SWidth ? right : r->gif->SWidth;
        r->height = bottom > r->gif->SHeight ? bottom : r->gif->SHeight;
        if (frame->Width < r->width || frame->Height < r->height) /* else nothing is touched before there are pixels */
            fill(rgb, stride, (area){0, 0, r->width, r->height}, palette[r->transparent >= 0 ? r->transparent : 0]);
    } else {
        if (d->due && d->kept != NULL) copy_area(rgb, stride, d->part, d->kept, true);
        else if (d->due) fill(rgb, stride, d->part, d->colour);
        enlarge(r, stride, palette, rgb);
    }
    SAMC__TRY(note_disposal(r, stride, first, palette, rgb, d, error));
    return draw(r, stride, first, palette, rgb, error);
}

samc_status samc__gif_decode(const samc__image_file *file, const samc__image_extent *extent, void *samples,
                             int *orientation, samc_error *error) {
    reader r = {.file = file};
    disposal d = {0};
    samc_status status = SAMC_OK;
    (void)orientation;
    for (int i = 0; i <= file->page && status == SAMC_OK; i++) {
        status = find_frame(&r, error);
        if (status == SAMC_OK) {
            const GifImageDesc *frame = &r.gif->Image; /* giflib and measure() see the same; a picture hangs on it */
            if (frame->Left + (int64_t)frame->Width > extent->width ||
                frame->Top + (int64_t)frame->Height > extent->height)
                status = samc__fail(error, SAMC_FORMAT, "%s: damaged GIF: a frame beyond its screen", file->name);
        }
        if (status == SAMC_OK) status = read_frame(&r, (size_t)extent->width, i == 0, &d, samples, error);
    }
    if (status == SAMC_OK && (r.width != extent->width || r.height != extent->height))
        status = samc__fail(error, SAMC_FORMAT, "%s: damaged GIF: its screen is another", file->name);
    free(d.kept);
    finish(&r);
    return status;
}
