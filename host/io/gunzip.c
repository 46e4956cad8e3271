/* Random access to gzip: states of inflate at the borders of its blocks, as zlib lets them be taken (Z_BLOCK,
 * inflateGetDictionary) and begun from (inflatePrime, inflateSetDictionary). */
#include "host/io/gunzip.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "runtime/base/status.h"

enum {
    BLOCK = 1 << 16,       /* of the file, at a time */
    WINDOW = 1 << 15,      /* what deflate refers back to */
    MOST_STATES = 256,     /* and so many windows at most */
    LEAST_SPAN = 1 << 20,  /* between two of them, of decompressed bytes */
    TAIL = 1 << 20,        /* bytes behind the wanted ones that are looked at for the stream's end */
    MOST_RATIO = 1032,     /* of deflate: 258 bytes in two bits */
    GZIP = 16 + MAX_WBITS, /* header and checksum are zlib's work */
    RAW = -MAX_WBITS       /* within a member, whose header is behind and whose checksum was looked at before */
};

typedef struct state {
    int64_t out, in; /* bytes that were decompressed, and bytes of the file that this took */
    int bits;        /* of the byte before `in` that are still to be read */
    unsigned length; /* of the window */
    uint8_t *window; /* owned */
} state;

struct samc__gunzip {
    int handle;
    char *name; /* owned */
    int64_t size, span;
    state states[MOST_STATES];
    int count;
    z_stream zlib;
    bool open, raw;
    int64_t next;       /* of the file, behind what zlib has */
    int64_t position;   /* of what comes out next */
    uint8_t in[BLOCK];  /* what zlib reads */
    uint8_t out[BLOCK]; /* what nobody wants */
};

static samc_status damaged(const samc__gunzip *g, const char *reason, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged gzip file: %s", g->name, reason);
}

static samc_status cut_off(const samc__gunzip *g, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: cut off: its gzip stream ends after %lld of %lld bytes", g->name,
                      (long long)g->position, (long long)g->size);
}

/* More of the file for zlib; *end where there is none. */
static samc_status feed(samc__gunzip *g, bool *end, samc_error *error) {
    ssize_t got;
    *end = false;
    if (g->zlib.avail_in > 0) return SAMC_OK;
    do got = pread(g->handle, g->in, BLOCK, g->next);
    while (got < 0 && errno == EINTR);
    if (got < 0) return samc__fail(error, SAMC_IO, "%s: cannot read: %s", g->name, strerror(errno));
    *end = got == 0;
    g->next += got;
    g->zlib.next_in = g->in;
    g->zlib.avail_in = (uInt)got;
    return SAMC_OK;
}

/* Takes the checksum and length behind a raw stream, which were compared when the file was opened. */
static samc_status pass_trailer(samc__gunzip *g, samc_error *error) {
    for (unsigned left = 8; left > 0;) {
        bool end;
        SAMC__TRY(feed(g, &end, error));
        if (end) return cut_off(g, error);
        unsigned piece = g->zlib.avail_in < left ? g->zlib.avail_in : left;
        g->zlib.next_in += piece;
        g->zlib.avail_in -= piece;
        left -= piece;
    }
    return SAMC_OK;
}

/* Decompresses up to `size` bytes; *done says how many came, fewer also at a border of blocks where `borders`. At the
 * end of a member the next one is begun, and *member is set. */
static samc_status inflate_some(samc__gunzip *g, bool borders, uint8_t *bytes, size_t size, size_t *done, bool *member,
                                samc_error *error) {
    bool end;
    *done = 0;
    *member = false;
    SAMC__TRY(feed(g, &end, error));
    if (end) return cut_off(g, error);
    g->zlib.next_out = bytes;
    g->zlib.avail_out = (uInt)(size < BLOCK ? size : BLOCK);
    uInt room = g->zlib.avail_out;
    int code = inflate(&g->zlib, borders ? Z_BLOCK : Z_NO_FLUSH);
    *done = room - g->zlib.avail_out;
    g->position += (int64_t)*done;
    if (code == Z_MEM_ERROR) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", g->name);
    if (code == Z_NEED_DICT || (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR))
        return damaged(g, g->zlib.msg != NULL ? g->zlib.msg : "not a gzip stream", error);
    if (code != Z_STREAM_END) return SAMC_OK;
    if (g->raw) SAMC__TRY(pass_trailer(g, error));
    g->raw = false;
    *member = true;
    return inflateReset2(&g->zlib, GZIP) == Z_OK ? SAMC_OK : damaged(g, "zlib cannot go on", error);
}

static samc_status keep_state(samc__gunzip *g, samc_error *error) {
    state *s = &g->states[g->count];
    uint8_t *window = malloc(WINDOW);
    uInt length = 0;
    if (window == NULL || inflateGetDictionary(&g->zlib, window, &length) != Z_OK) {
        free(window);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", g->name);
    }
    *s = (state){.out = g->position,
                 .in = g->next - g->zlib.avail_in,
                 .bits = g->zlib.data_type & 7,
                 .length = length,
                 .window = window};
    g->count++;
    return SAMC_OK;
}

/* The checksum behind the last wanted byte, where the stream ends soon after it. */
static samc_status check_end(samc__gunzip *g, samc_error *error) {
    for (size_t tail = 0, done; tail < TAIL; tail += done) {
        bool member;
        SAMC__TRY(inflate_some(g, false, g->out, BLOCK, &done, &member, error));
        if (member) break;
    }
    return SAMC_OK;
}

static samc_status make_index(samc__gunzip *g, samc_error *error) {
    bool member = false;
    while (g->position < g->size) {
        size_t done, left = (size_t)(g->size - g->position < BLOCK ? g->size - g->position : BLOCK);
        SAMC__TRY(inflate_some(g, true, g->out, left, &done, &member, error));
        const int at = g->zlib.data_type; /* 128: behind a block or a header; 64: behind the last block */
        const int64_t last = g->count > 0 ? g->states[g->count - 1].out : -g->span;
        if (!member && (at & 128) && !(at & 64) && g->position - last >= g->span && g->count < MOST_STATES)
            SAMC__TRY(keep_state(g, error));
    }
    /* All that was wanted is there, and its member may have ended with it. */
    return member ? SAMC_OK : check_end(g, error);
}

samc_status samc__gunzip_open(int handle, const char *name, int64_t packed, int64_t size, samc__gunzip **gunzip,
                              samc_error *error) {
    *gunzip = NULL;
    if (size / MOST_RATIO > packed)
        return samc__fail(error, SAMC_FORMAT, "%s: cut off: %lld bytes of gzip cannot hold the %lld that are wanted",
                          name, (long long)packed, (long long)size);
    samc__gunzip *g = calloc(1, sizeof *g);
    if (g != NULL) g->name = strdup(name);
    if (g == NULL || g->name == NULL || inflateInit2(&g->zlib, GZIP) != Z_OK) {
        if (g != NULL) free(g->name);
        free(g);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    }
    g->open = true;
    g->handle = handle;
    g->size = size;
    g->span = size / (MOST_STATES - 1) + 1;
    if (g->span < LEAST_SPAN) g->span = LEAST_SPAN;
    samc_status status = make_index(g, error);
    if (status != SAMC_OK) samc__gunzip_close(g);
    else *gunzip = g;
    return status;
}

/* The last state at or before `at`; there is always one at 0, behind the first member's header. */
static const state *state_before(const samc__gunzip *g, int64_t at) {
    int low = 0, high = g->count; /* states[low].out <= at < states[high].out */
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (g->states[middle].out <= at) low = middle;
        else high = middle;
    }
    return &g->states[low];
}

static samc_status begin_at(samc__gunzip *g, const state *s, samc_error *error) {
    g->zlib.avail_in = 0;
    g->next = s->in - (s->bits > 0);
    g->position = s->out;
    g->raw = true;
    bool good = inflateReset2(&g->zlib, RAW) == Z_OK;
    if (good && s->bits > 0) {
        bool end;
        SAMC__TRY(feed(g, &end, error));
        if (end) return cut_off(g, error);
        good = inflatePrime(&g->zlib, s->bits, *g->zlib.next_in >> (8 - s->bits)) == Z_OK;
        g->zlib.next_in++;
        g->zlib.avail_in--;
    }
    if (good && s->length > 0) good = inflateSetDictionary(&g->zlib, s->window, s->length) == Z_OK;
    return good ? SAMC_OK : damaged(g, "zlib cannot go back", error);
}

samc_status samc__gunzip_read(samc__gunzip *g, int64_t at, void *bytes, size_t size, samc_error *error) {
    const state *s = state_before(g, at);
    uint8_t *to = bytes;
    size_t done;
    bool member;
    if (at < 0 || (uint64_t)at + size > (uint64_t)g->size)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: read beyond its end", g->name);
    samc_status status = SAMC_OK;
    if (at < g->position || s->out > g->position) status = begin_at(g, s, error);
    while (status == SAMC_OK && g->position < at) {
        size_t left = (size_t)(at - g->position < BLOCK ? at - g->position : BLOCK);
        status = inflate_some(g, false, g->out, left, &done, &member, error);
    }
    while (status == SAMC_OK && size > 0) {
        status = inflate_some(g, false, to, size, &done, &member, error);
        to += done;
        size -= done;
    }
    if (status != SAMC_OK) g->position = INT64_MAX; /* the next read begins at a state */
    return status;
}

void samc__gunzip_close(samc__gunzip *g) {
    if (g == NULL) return;
    if (g->open) inflateEnd(&g->zlib);
    for (int i = 0; i < g->count; i++) free(g->states[i].window);
    free(g->name);
    free(g);
}

size_t samc__gunzip_head(const uint8_t *packed, size_t size, uint8_t *bytes, size_t room) {
    z_stream zlib = {.next_in = (uint8_t *)packed, .avail_in = (uInt)size, .next_out = bytes, .avail_out = (uInt)room};
    if (inflateInit2(&zlib, GZIP) != Z_OK) return 0;
    while (inflate(&zlib, Z_SYNC_FLUSH) == Z_STREAM_END && zlib.avail_in > 0 && zlib.avail_out > 0)
        if (inflateReset(&zlib) != Z_OK) break; /* the next member */
    inflateEnd(&zlib);
    return room - zlib.avail_out;
}
