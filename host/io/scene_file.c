/* Scenes from picture files: rows become a band of rows of the level that is asked for. */
#include "host/io/scene_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/io/rows.h"
#include "runtime/base/spool.h"
#include "runtime/base/status.h"

/* After so many bytes of pixels, pages of the mapped file are given back: they stay in the page cache, which is
 * nobody's memory. */
enum { FORGET_EVERY = 32 << 20 };

static _Atomic int64_t most_band = SAMC__SCENE_BAND;

void samc__scene_file_set_band(int64_t bytes) { atomic_store(&most_band, bytes); }

/* Rows [first, next) of a level, each in its place modulo `room`. */
typedef struct band {
    int level; /* -1: none yet */
    int64_t first, next, room;
    size_t row;     /* bytes */
    uint8_t *bytes; /* [room, row], NULL: in the file; owned */
    uint8_t *valid; /* [room], of whole rows; owned */
    int handle;     /* of the file, -1: none */
} band;

typedef struct scene_file {
    samc__rows rows;
    const char *folder;
    band band;
    uint8_t *row;    /* [width, 3] of the scene; owned */
    uint64_t *sums;  /* [width of the level, 3]; owned */
    uint8_t *broken; /* [height], 1: the row cannot be read; owned */
    char told[512];  /* of the last of these */
    int64_t lost;    /* rows from here on cannot be read: what comes from the top ends at the first failure */
    samc_error why;  /* that a row could not be read for another reason; SAMC_OK: none */
    int64_t read;    /* bytes of pixels since pages were given back */
} scene_file;

static samc_status no_memory(const samc__scene_source *s, samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for a band of its pixels", s->name);
}

/* ---- Rows of the scene ----------------------------------------------------------------------- */

/* Notes that a row cannot be read. What rows have in common is told of once. */
static void note_broken(samc__scene_source *s, int64_t y, const samc_error *why) {
    scene_file *f = s->context;
    if (f->rows.format->rows_at == NULL) f->lost = y = f->rows.at; /* perhaps on the way to that row */
    char text[512];
    if (f->lost <= y) snprintf(text, sizeof text, "%.440s, and nothing from row %lld on", why->message, (long long)y);
    else snprintf(text, sizeof text, "%.500s", why->message); /* which says what rows these are */
    if (!f->broken[y] && strcmp(text, f->told) != 0) samc__scene_bad(s, text);
    snprintf(f->told, sizeof f->told, "%s", text);
    f->broken[y] = 1;
}

/* Gives the mapped pages back; of a file that is only read they come again as they were. */
static void forget_pages(scene_file *f) {
    if (f->rows.map != NULL) madvise(f->rows.map, f->rows.map_size, MADV_DONTNEED);
    f->read = 0;
}

/* The scene's row y into f->row; false where it cannot be read. */
static bool read_row(samc__scene_source *s, int64_t y) {
    scene_file *f = s->context;
    samc_error why = {0};
    if ((f->read += s->width * 3) > FORGET_EVERY) forget_pages(f);
    if (y >= f->lost) return false;
    samc_status status = samc__rows_read(&f->rows, y, 1, f->row, &why);
    if (status == SAMC_OK) return true;
    if (status == SAMC_OUT_OF_MEMORY || status == SAMC_IO) f->why = why; /* the machine's, not the picture's */
    else note_broken(s, y, &why);
    return false;
}

/* Row y of a level into out [width of the level, 3]. Returns whether there is any of it. */
static bool make_row(samc__scene_source *s, int level, int64_t y, uint8_t *out) {
    scene_file *f = s->context;
    const int64_t width = samc__scene_side(s->width, level), each = (int64_t)1 << level;
    int64_t rows = 0;
    if (level == 0) {
        bool there = read_row(s, y);
        if (there) memcpy(out, f->row, (size_t)width * 3);
        else memset(out, 0, (size_t)width * 3);
        return there;
    }
    memset(f->sums, 0, (size_t)width * 3 * sizeof *f->sums);
    for (int64_t at = y << level; at < s->height && at < (y + 1) << level; at++) {
        if (!read_row(s, at)) continue;
        rows++;
        const uint8_t *pixel = f->row;
        for (int64_t x = 0; x < width; x++) {
            const int64_t left = s->width - (x << level), columns = left < each ? left : each;
            uint64_t sum[3] = {0};
            for (int64_t i = 0; i < columns; i++, pixel += 3)
                for (int c = 0; c < 3; c++) sum[c] += pixel[c];
            for (int c = 0; c < 3; c++) f->sums[x * 3 + c] += sum[c];
        }
    }
    for (int64_t x = 0; x < width; x++) {
        const int64_t left = s->width - (x << level), columns = left < each ? left : each;
        const uint64_t pixels = (uint64_t)(rows * columns);
        for (int c = 0; c < 3; c++) out[x * 3 + c] = pixels ? (uint8_t)((f->sums[x * 3 + c] + pixels / 2) / pixels) : 0;
    }
    return rows > 0;
}

/* ---- The band -------------------------------------------------------------------------------- */

static void free_band(band *b) {
    if (b->handle >= 0) close(b->handle);
    free(b->bytes);
    free(b->valid);
    *b = (band){.level = -1, .handle = -1};
}

static const char *folder_of(const scene_file *f) { return f->folder != NULL ? f->folder : SAMC__SPOOL_FOLDER; }

static samc_status open_temporary(const samc__scene_source *s, samc_error *error) {
    scene_file *f = s->context;
    const char *folder = folder_of(f);
    f->band.handle = samc__unnamed_file(folder);
    if (f->band.handle >= 0) return SAMC_OK;
    if (errno == ENOMEM) return no_memory(s, error);
    return samc__fail(error, SAMC_IO, "%s: cannot create a temporary file for a band of pixels: %s", folder,
                      strerror(errno));
}

/* A band for windows of `level` up to `rows` high, which holds nothing from row `first` on. */
static samc_status make_band(const samc__scene_source *s, int level, int64_t first, int64_t rows, samc_error *error) {
    scene_file *f = s->context;
    band *b = &f->band;
    free_band(b);
    b->row = (size_t)samc__scene_side(s->width, level) * 3;
    b->room = rows;
    b->valid = malloc((size_t)rows);
    if (b->valid == NULL) return no_memory(s, error);
    if ((int64_t)b->row <= atomic_load(&most_band) / rows) {
        b->bytes = malloc((size_t)rows * b->row);
        if (b->bytes == NULL) return no_memory(s, error);
    } else {
        SAMC__TRY(open_temporary(s, error));
    }
    free(f->sums);
    f->sums = malloc(b->row * sizeof *f->sums);
    if (f->sums == NULL) return no_memory(s, error);
    b->level = level;
    b->first = b->next = first;
    return SAMC_OK;
}

/* `size` bytes at `at` of the file, in or out. */
static samc_status move(const samc__scene_source *s, bool out, uint8_t *bytes, size_t size, int64_t at,
                        samc_error *error) {
    const scene_file *f = s->context;
    for (size_t done = 0; done < size;) {
        ssize_t now = out ? pwrite(f->band.handle, bytes + done, size - done, at + (int64_t)done)
                          : pread(f->band.handle, bytes + done, size - done, at + (int64_t)done);
        if (now == 0 || (now < 0 && errno != EINTR))
            return samc__fail(error, SAMC_IO, "%s: a temporary file of its pixels in %s cannot be %s: %s", s->name,
                              folder_of(f), out ? "written" : "read", now == 0 ? "it is cut off" : strerror(errno));
        if (now > 0) done += (size_t)now;
    }
    return SAMC_OK;
}

/* The band up to row `end`, of which it holds the last. */
static samc_status fill_band(samc__scene_source *s, int64_t end, samc_error *error) {
    scene_file *f = s->context;
    band *b = &f->band;
    uint8_t *spare = b->bytes == NULL ? malloc(b->row) : NULL;
    samc_status status = b->bytes == NULL && spare == NULL ? no_memory(s, error) : SAMC_OK;
    for (; b->next < end && status == SAMC_OK; b->next += status == SAMC_OK) {
        const int64_t at = b->next % b->room;
        uint8_t *out = spare ? spare : b->bytes + (size_t)at * b->row;
        b->valid[at] = make_row(s, b->level, b->next, out);
        if (f->why.status != SAMC_OK) {
            if (error != NULL) *error = f->why;
            status = f->why.status;
            f->why.status = SAMC_OK;
            break;
        }
        if (spare) status = move(s, true, spare, b->row, at * (int64_t)b->row, error);
    }
    if (b->first < b->next - b->room) b->first = b->next - b->room;
    free(spare);
    return status;
}

static samc_status read_window(samc__scene_source *s, const samc__scene_window *w, uint8_t *rgb, uint8_t *valid,
                               samc_error *error) {
    scene_file *f = s->context;
    band *b = &f->band;
    const size_t row = (size_t)w->width * 3;
    if (w->level < 0 || w->level >= SAMC__SCENE_LEVELS || w->x < 0 || w->y < 0 || w->width < 1 || w->height < 1 ||
        w->x > samc__scene_side(s->width, w->level) - w->width ||
        w->y > samc__scene_side(s->height, w->level) - w->height)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a window that is not in the scene", s->name);
    if (b->level != w->level || w->height > b->room) SAMC__TRY(make_band(s, w->level, w->y, w->height, error));
    if (w->y < b->first || w->y > b->next) b->first = b->next = w->y;
    SAMC__TRY(fill_band(s, w->y + w->height, error));
    for (int y = 0; y < w->height; y++) {
        const int64_t at = (w->y + y) % b->room, from = at * (int64_t)b->row + w->x * 3;
        if (b->bytes) memcpy(rgb + (size_t)y * row, b->bytes + from, row);
        else SAMC__TRY(move(s, false, rgb + (size_t)y * row, row, from, error));
        if (valid) memset(valid + (size_t)y * (size_t)w->width, b->valid[at], (size_t)w->width);
    }
    return SAMC_OK;
}

static void close_file(samc__scene_source *s) {
    scene_file *f = s->context;
    if (f != NULL) {
        samc__rows_close(&f->rows);
        free_band(&f->band);
        free(f->row);
        free(f->sums);
        free(f->broken);
        free(f);
    }
    *s = (samc__scene_source){0};
}

samc_status samc__scene_file_open(samc__scene_source *s, const char *path, const samc__image_options *options,
                                  const char *folder, samc_error *error) {
    scene_file *f = calloc(1, sizeof *f);
    *s = (samc__scene_source){.context = f, .read = read_window, .close = close_file};
    if (f == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    f->folder = folder;
    f->band = (band){.level = -1, .handle = -1};
    SAMC__TRY(samc__rows_open(&f->rows, path, options, error));
    forget_pages(f); /* a PNG's sums were checked, samples looked at for their scale */
    s->name = f->rows.name;
    s->width = f->rows.width;
    s->height = f->lost = f->rows.height;
    s->scale = f->rows.scale;
    f->row = malloc((size_t)s->width * 3);
    f->broken = calloc((size_t)s->height, 1);
    return f->row && f->broken ? SAMC_OK : no_memory(s, error);
}
