/* Video through pipes: YUV4MPEG2 ("y4m") and raw RGB in, y4m out. Sizes are checked before anything is allocated, and
 * memory is that of one frame. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/abi.h"
#include "runtime/base/status.h"

enum {
    MOST_HEADER = 1024,    /* characters of a line */
    MOST_SIDE = 16384,     /* of a frame, with... */
    MOST_PIXELS = 1 << 25, /* ...at most these: 8192 x 4096 */
    TICK = 100             /* milliseconds between looks at `stopping` */
};

/* 2^16 times what the samples of a pixel count. */
typedef struct weights {
    int luma, red_cr, green_cb, green_cr, blue_cb; /* to RGB */
    int from, chroma_from;                         /* the samples that are 0 */
    int y[3], cb[3], cr[3];                        /* from RGB */
} weights;

struct samc_video {
    char *name; /* for messages; owned */
    int handle;
    bool owns, writes, failed, ended;
    atomic_bool stopping;
    samc_video_format format;
    weights w;
    uint8_t *frame; /* [frame_size] as the file has it; owned */
    size_t frame_size;
    int64_t frames;      /* read or written so far */
    uint8_t ahead[4096]; /* bytes read beyond a line */
    size_t ahead_at, ahead_size;
};

/* ---- Colours --------------------------------------------------------------------------------- */

static int fixed(double value) { return (int)(value * 65536 + (value < 0 ? -0.5 : 0.5)); }

static weights weights_of(int matrix, bool full) {
    const double red = matrix == 601 ? 0.299 : 0.2126, blue = matrix == 601 ? 0.114 : 0.0722, green = 1 - red - blue;
    const double luma = full ? 1 : 255.0 / 219, chroma = full ? 1 : 255.0 / 224; /* to the full range */
    const double to_cb = 1 / (2 * (1 - blue) * chroma), to_cr = 1 / (2 * (1 - red) * chroma);
    return (weights){.luma = fixed(luma),
                     .red_cr = fixed(2 * (1 - red) * chroma),
                     .green_cb = fixed(2 * (1 - blue) * blue / green * chroma),
                     .green_cr = fixed(2 * (1 - red) * red / green * chroma),
                     .blue_cb = fixed(2 * (1 - blue) * chroma),
                     .from = full ? 0 : 16,
                     .chroma_from = 128,
                     .y = {fixed(red / luma), fixed(green / luma), fixed(blue / luma)},
                     .cb = {fixed(-red * to_cb), fixed(-green * to_cb), fixed((1 - blue) * to_cb)},
                     .cr = {fixed((1 - red) * to_cr), fixed(-green * to_cr), fixed(-blue * to_cr)}};
}

static uint8_t rounded(int value, int bits) {
    value = (value + (1 << (bits - 1))) >> bits;
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* Pixels that a chroma sample covers, as shifts. */
static void chroma_of(int layout, int *across, int *down) {
    *across = layout == SAMC_VIDEO_420 || layout == SAMC_VIDEO_422;
    *down = layout == SAMC_VIDEO_420;
}

static void to_rgb(const samc_video *v, uint8_t *rgb) {
    const samc_video_format *f = &v->format;
    const weights *w = &v->w;
    int across, down;
    chroma_of(f->layout, &across, &down);
    const size_t width = (size_t)f->width, height = (size_t)f->height, columns = (width + (size_t)across) >> across;
    const uint8_t *luma = v->frame, *cb = luma + width * height, *cr = cb + columns * ((height + (size_t)down) >> down);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++, rgb += 3) {
            const int light = w->luma * (*luma++ - w->from);
            const size_t at = (y >> down) * columns + (x >> across);
            const bool grey = f->layout == SAMC_VIDEO_MONO;
            const int blue = grey ? 0 : cb[at] - w->chroma_from, red = grey ? 0 : cr[at] - w->chroma_from;
            rgb[0] = rounded(light + w->red_cr * red, 16);
            rgb[1] = rounded(light - w->green_cb * blue - w->green_cr * red, 16);
            rgb[2] = rounded(light + w->blue_cb * blue, 16);
        }
}

static void to_planes(const samc_video *v, const uint8_t *rgb) {
    const weights *w = &v->w;
    const size_t width = (size_t)v->format.width, height = (size_t)v->format.height, columns = (width + 1) / 2;
    uint8_t *luma = v->frame, *cb = luma + width * height, *cr = cb + columns * ((height + 1) / 2);
    for (size_t i = 0; i < width * height; i++)
        luma[i] =
            rounded(w->y[0] * rgb[3 * i] + w->y[1] * rgb[3 * i + 1] + w->y[2] * rgb[3 * i + 2] + w->from * 65536, 16);
    for (size_t y = 0; y < height; y += 2)
        for (size_t x = 0; x < width; x += 2) {
            const size_t right = x + 1 < width ? 3 : 0, below = y + 1 < height ? width * 3 : 0; /* edges count twice */
            const uint8_t *p = rgb + (y * width + x) * 3;
            int sum[3];
            for (size_t c = 0; c < 3; c++) sum[c] = p[c] + p[c + right] + p[c + below] + p[c + right + below];
            *cb++ = rounded(w->cb[0] * sum[0] + w->cb[1] * sum[1] + w->cb[2] * sum[2] + (128 << 18), 18);
            *cr++ = rounded(w->cr[0] * sum[0] + w->cr[1] * sum[1] + w->cr[2] * sum[2] + (128 << 18), 18);
        }
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Some bytes, waiting for them; 0 at the end. */
static samc_status read_some(samc_video *v, uint8_t *to, size_t most, size_t *got, samc_error *error) {
    struct pollfd file = {.fd = v->handle, .events = POLLIN};
    *got = 0;
    while (!atomic_load(&v->stopping)) {
        const int ready = poll(&file, 1, TICK);
        if (ready == 0 || (ready < 0 && errno == EINTR)) continue; /* the signal may have stopped it: no read() then */
        ssize_t count = read(v->handle, to, most);
        if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (count < 0) return samc__fail(error, SAMC_IO, "%s: cannot be read: %s", v->name, strerror(errno));
        *got = (size_t)count;
        return SAMC_OK;
    }
    return SAMC_OK;
}

/* Fills as much of `to` as there is. */
static samc_status fill(samc_video *v, uint8_t *to, size_t size, size_t *got, samc_error *error) {
    size_t part = v->ahead_size - v->ahead_at < size ? v->ahead_size - v->ahead_at : size;
    memcpy(to, v->ahead + v->ahead_at, part);
    v->ahead_at += part;
    for (*got = part; *got < size; *got += part) {
        SAMC__TRY(read_some(v, to + *got, size - *got, &part, error));
        if (part == 0) break;
    }
    return SAMC_OK;
}

/* A line without its line feed; *length -1 where the file ends before it begins. */
static samc_status read_line(samc_video *v, char line[MOST_HEADER], int *length, samc_error *error) {
    for (*length = 0; *length < MOST_HEADER; ++*length) {
        if (v->ahead_at == v->ahead_size) {
            v->ahead_at = 0;
            SAMC__TRY(read_some(v, v->ahead, sizeof v->ahead, &v->ahead_size, error));
            if (v->ahead_size == 0 && *length == 0) {
                *length = -1;
                return SAMC_OK;
            }
            if (v->ahead_size == 0) return samc__fail(error, SAMC_FORMAT, "%s: the video ends within a line", v->name);
        }
        char c = (char)v->ahead[v->ahead_at++];
        line[*length] = c == '\n' ? '\0' : c;
        if (c == '\n') return SAMC_OK;
    }
    return samc__fail(error, SAMC_FORMAT, "%s: not a y4m video: a line of more than %d bytes", v->name, MOST_HEADER);
}

static samc_status write_all(samc_video *v, const void *bytes, size_t size, samc_error *error) {
    const char *at = bytes;
    while (size > 0 && !v->failed) {
        ssize_t written = write(v->handle, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            v->failed = true;
            return samc__fail(error, SAMC_IO, "%s: cannot be written: %s", v->name, strerror(errno));
        }
        at += written;
        size -= (size_t)written;
    }
    return v->failed ? samc__fail(error, SAMC_IO, "%s: writing had failed before", v->name) : SAMC_OK;
}

/* ---- Headers --------------------------------------------------------------------------------- */

static bool whole_number(const char *text, char end, int most, int *value) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != end) return false;
    *value = atoi(text);
    return *value <= most;
}

/* "30000:1001"; 0:0 is unknown. */
static bool fraction(const char *text, int *rate, int *scale) {
    const char *colon = strchr(text, ':');
    if (colon == NULL || !whole_number(text, ':', 999999999, rate) || !whole_number(colon + 1, '\0', 999999999, scale))
        return false;
    if (*rate == 0 || *scale == 0) *rate = *scale = 0;
    return true;
}

static samc_status layout_of(const samc_video *v, const char *name, int *layout, samc_error *error) {
    static const struct {
        const char *name;
        int layout;
    } known[] = {{"420", SAMC_VIDEO_420},      {"420jpeg", SAMC_VIDEO_420}, {"420mpeg2", SAMC_VIDEO_420},
                 {"420paldv", SAMC_VIDEO_420}, {"422", SAMC_VIDEO_422},     {"444", SAMC_VIDEO_444},
                 {"mono", SAMC_VIDEO_MONO}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0) {
            *layout = known[i].layout;
            return SAMC_OK;
        }
    return samc__fail(error, SAMC_UNSUPPORTED,
                      "%s: y4m with colours '%.40s': 420, 422, 444 and mono of 8 bits are read (ffmpeg -pix_fmt "
                      "yuv420p)",
                      v->name, name);
}

/* The tags of "YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL". */
static samc_status read_tags(samc_video *v, char *line, samc_error *error) {
    samc_video_format *f = &v->format;
    char *rest = line, *tag;
    f->layout = SAMC_VIDEO_420;
    for (strsep(&rest, " "); (tag = strsep(&rest, " ")) != NULL;) {
        bool good = true;
        if (*tag == 'W') good = whole_number(tag + 1, '\0', 999999999, &f->width);
        if (*tag == 'H') good = whole_number(tag + 1, '\0', 999999999, &f->height);
        if (*tag == 'F') good = fraction(tag + 1, &f->rate, &f->rate_scale);
        if (*tag == 'C') SAMC__TRY(layout_of(v, tag + 1, &f->layout, error));
        if (strcmp(tag, "XCOLORRANGE=FULL") == 0) f->full_range = true;
        if (!good) return samc__fail(error, SAMC_FORMAT, "%s: malformed y4m header: '%.60s'", v->name, tag);
    }
    return SAMC_OK;
}

static bool fits(const samc_video_format *f) {
    return f->width > 0 && f->height > 0 && f->width <= MOST_SIDE && f->height <= MOST_SIDE &&
           f->width <= MOST_PIXELS / f->height;
}

/* Everything that follows from the format, once it is whole. */
static samc_status settle(samc_video *v, samc_error *error) {
    samc_video_format *f = &v->format;
    int across, down;
    if (!fits(f))
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: frames of %d x %d pixels: a side has 1 to %d, a frame %d at most", v->name, f->width,
                          f->height, MOST_SIDE, MOST_PIXELS);
    if (f->matrix == 0) f->matrix = f->width >= 1280 || f->height >= 720 ? 709 : 601;
    if (f->matrix != 601 && f->matrix != 709)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a matrix is 601 or 709, not %d", v->name, f->matrix);
    chroma_of(f->layout, &across, &down);
    size_t pixels = (size_t)f->width * (size_t)f->height;
    size_t chroma = (((size_t)f->width + (size_t)across) >> across) * (((size_t)f->height + (size_t)down) >> down);
    v->w = weights_of(f->matrix, f->full_range);
    v->frame_size = f->layout == SAMC_VIDEO_RGB24  ? pixels * 3
                    : f->layout == SAMC_VIDEO_MONO ? pixels
                                                   : pixels + 2 * chroma;
    v->frame = f->layout == SAMC_VIDEO_RGB24 ? NULL : malloc(v->frame_size);
    if (f->layout != SAMC_VIDEO_RGB24 && v->frame == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", v->name);
    return SAMC_OK;
}

static samc_status read_header(samc_video *v, samc_error *error) {
    static const char magic[] = "YUV4MPEG2";
    char line[MOST_HEADER];
    int length;
    /* A file that is something else is said to be that, whatever its lines. */
    SAMC__TRY(read_some(v, v->ahead, sizeof v->ahead, &v->ahead_size, error));
    if (v->ahead_size == 0) return samc__fail(error, SAMC_FORMAT, "%s: an empty video", v->name);
    size_t seen = v->ahead_size < sizeof magic - 1 ? v->ahead_size : sizeof magic - 1;
    bool good = memcmp(v->ahead, magic, seen) == 0; /* as far as a pipe has given it yet */
    if (good) SAMC__TRY(read_line(v, line, &length, error));
    if (!good || length < (int)sizeof magic || memcmp(line, magic, sizeof magic - 1) != 0 ||
        line[sizeof magic - 1] != ' ')
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: not a y4m video (ffmpeg -i VIDEO -pix_fmt yuv420p -f yuv4mpegpipe -), and its size as "
                          "raw RGB was not given",
                          v->name);
    return read_tags(v, line, error);
}

static samc_status create(const char *path, const char *standard, samc_video **video, samc_error *error) {
    samc_video *v = calloc(1, sizeof *v);
    if (v == NULL || (v->name = strdup(strcmp(path, "-") == 0 ? standard : path)) == NULL) {
        free(v);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    }
    v->handle = -1;
    v->format.size = sizeof v->format;
    *video = v;
    return SAMC_OK;
}

static samc_status open_in(samc_video *v, const char *path, const samc_video_format *as, samc_error *error) {
    v->owns = strcmp(path, "-") != 0;
    v->handle = v->owns ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (v->handle < 0) return samc__fail(error, SAMC_IO, "%s: %s", v->name, strerror(errno));
    v->format.matrix = as->matrix;
    if (as->width != 0 || as->height != 0) {
        v->format = *as;
        v->format.layout = SAMC_VIDEO_RGB24;
        return settle(v, error);
    }
    SAMC__TRY(read_header(v, error));
    v->format.full_range = v->format.full_range || as->full_range;
    return settle(v, error);
}

samc_status samc_video_open(const char *path, const samc_video_format *as, samc_video **video, samc_error *error) {
    samc_video_format own = {.size = sizeof own};
    samc_video *v = NULL;
    if (path == NULL || video == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_open: no path or no place for the video");
    *video = NULL;
    if (as != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_video_format), as, &own, error));
    if (own.rate < 0 || own.rate_scale < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_open: a rate below 0");
    SAMC__TRY(create(path, "standard input", &v, error));
    samc_status status = open_in(v, path, &own, error);
    if (status == SAMC_OK) *video = v;
    else samc_video_close(v, NULL);
    return status;
}

samc_status samc_video_get_format(const samc_video *v, samc_video_format *format, samc_error *error) {
    if (v == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_get_format: no video");
    return samc__abi_give(SAMC__IO(samc_video_format), &v->format, format, error);
}

samc_status samc_video_read(samc_video *v, uint8_t *rgb, bool *there, samc_error *error) {
    char line[MOST_HEADER];
    int length = 0;
    size_t got;
    if (v == NULL || rgb == NULL || there == NULL || v->writes)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_read: no video, or no place for a frame");
    *there = false;
    if (v->ended || atomic_load(&v->stopping)) return SAMC_OK;
    if (v->frame != NULL) {
        samc_status status = read_line(v, line, &length, error);
        if (atomic_load(&v->stopping)) return SAMC_OK;
        if (status != SAMC_OK) return status;
        if (length >= 0 && (strncmp(line, "FRAME", 5) != 0 || (line[5] != '\0' && line[5] != ' ')))
            return samc__fail(error, SAMC_FORMAT, "%s: frame %lld does not begin with FRAME", v->name,
                              (long long)v->frames);
    }
    uint8_t *to = v->frame != NULL ? v->frame : rgb;
    got = 0;
    if (length >= 0) SAMC__TRY(fill(v, to, v->frame_size, &got, error));
    if (atomic_load(&v->stopping)) return SAMC_OK;
    v->ended = got < v->frame_size;
    if (length < 0 || (v->frame == NULL && got == 0)) return SAMC_OK;
    if (v->ended)
        return samc__fail(error, SAMC_FORMAT, "%s: frame %lld is cut off: %zu of %zu bytes", v->name,
                          (long long)v->frames, got, v->frame_size);
    if (v->frame != NULL) to_rgb(v, rgb);
    v->frames++;
    *there = true;
    return SAMC_OK;
}

void samc_video_stop(samc_video *v) {
    if (v != NULL) atomic_store(&v->stopping, true);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static samc_status open_out(samc_video *v, const char *path, const samc_video_format *format, samc_error *error) {
    char header[160];
    v->writes = true;
    v->format = *format;
    v->format.layout = SAMC_VIDEO_420;
    if (v->format.rate == 0 || v->format.rate_scale == 0) v->format.rate = 25, v->format.rate_scale = 1;
    SAMC__TRY(settle(v, error));
    v->owns = strcmp(path, "-") != 0;
    v->handle = v->owns ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : STDOUT_FILENO;
    if (v->handle < 0) return samc__fail(error, SAMC_IO, "%s: %s", v->name, strerror(errno));
    int size =
        snprintf(header, sizeof header, "YUV4MPEG2 W%d H%d F%d:%d Ip A1:1 C420jpeg XCOLORRANGE=%s\n", v->format.width,
                 v->format.height, v->format.rate, v->format.rate_scale, v->format.full_range ? "FULL" : "LIMITED");
    return write_all(v, header, (size_t)size, error);
}

samc_status samc_video_begin(const char *path, const samc_video_format *format, samc_video **video, samc_error *error) {
    samc_video_format own;
    samc_video *v = NULL;
    if (path == NULL || video == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_begin: no path or no place for the video");
    *video = NULL;
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_video_format), format, &own, error));
    if (own.rate < 0 || own.rate_scale < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_begin: a rate below 0");
    SAMC__TRY(create(path, "standard output", &v, error));
    samc_status status = open_out(v, path, &own, error);
    if (status == SAMC_OK) *video = v;
    else samc_video_close(v, NULL);
    return status;
}

samc_status samc_video_write(samc_video *v, const uint8_t *rgb, samc_error *error) {
    if (v == NULL || rgb == NULL || !v->writes)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_video_write: no video, or no frame");
    to_planes(v, rgb);
    SAMC__TRY(write_all(v, "FRAME\n", 6, error));
    SAMC__TRY(write_all(v, v->frame, v->frame_size, error));
    v->frames++;
    return SAMC_OK;
}

samc_status samc_video_close(samc_video *v, samc_error *error) {
    samc_status status = SAMC_OK;
    if (v == NULL) return SAMC_OK;
    if (v->owns && v->handle >= 0 && close(v->handle) != 0 && v->writes)
        status = samc__fail(error, SAMC_IO, "%s: cannot be written: %s", v->name, strerror(errno));
    free(v->name);
    free(v->frame);
    free(v);
    return status;
}
