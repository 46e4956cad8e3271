/* DICOM: where each frame stands among the fragments of compressed pixels (PS3.5, A.4), found once when the file is
 * opened. The guard has walked over these items: they hold what their lengths promise, and a delimiter follows. */
#include <stdlib.h>
#include <string.h>

#include "host/io/dicom.h"
#include "host/io/image_format.h"
#include "runtime/base/status.h"

enum { HEAD = 8 }; /* of an item: its tag and length */

static samc_status damaged(const samc__dicom *d, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: %s", d->name, what);
}

/* A fragment, or the table before all of them. */
typedef struct item {
    size_t at; /* of its tag, in the outline's bytes */
    const uint8_t *value;
    size_t length;
} item;

/* The item at `at`, which moves behind it; false at the delimiter. */
static bool next_item(const samc__dicom_outline *o, size_t *at, item *to) {
    if (o->size - *at < HEAD || samc__little32(o->bytes + *at) != 0xe000fffe) return false;
    *to = (item){*at, o->bytes + *at + HEAD, samc__little32(o->bytes + *at + 4)};
    if (to->length > o->size - *at - HEAD) return false;
    *at += HEAD + to->length;
    return true;
}

static uint64_t little64(const uint8_t *at) { return samc__little32(at) | (uint64_t)samc__little32(at + 4) << 32; }

/* What says where frames begin. */
typedef struct rule {
    enum { ONE, EACH, TABLE_32, TABLE_64, STREAM } kind;
    const uint8_t *table; /* counted from `base` */
    size_t base;
    uint8_t marker; /* of a STREAM: what each frame begins with, behind 0xff */
} rule;

/* Whether fragment `f` is the first of a frame, before which `frame` others have begun. */
static bool begins(const rule *r, const item *f, int64_t frame) {
    switch (r->kind) {
    case ONE:
        return frame == 0;
    case EACH:
        return true;
    case TABLE_32:
        return samc__little32(r->table + 4 * frame) == f->at - r->base;
    case TABLE_64:
        return little64(r->table + 8 * frame) == f->at - r->base;
    default:
        return f->length >= 2 && f->value[0] == 0xff && f->value[1] == r->marker;
    }
}

static bool is_zero(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0) return false;
    return true;
}

/* As many fragments as frames are one each, for none is of two frames: no table, of which there are wrong ones, has a
 * say in that. Else the extended table, else the basic one; where neither says anything (some are all zeros) the frames
 * of a JPEG can be told by how they begin. */
static rule rule_of(const samc__dicom *d, const item *basic, size_t base, int64_t fragments) {
    const samc__dicom_outline *o = &d->outline;
    const size_t frames = (size_t)d->frames;
    if (frames == 1) return (rule){.kind = ONE};
    if (fragments == d->frames) return (rule){.kind = EACH};
    if (o->offsets.size == 8 * frames && !is_zero(o->bytes + o->offsets.at, o->offsets.size))
        return (rule){.kind = TABLE_64, .table = o->bytes + o->offsets.at, .base = base};
    if (basic->length == 4 * frames && !is_zero(basic->value, basic->length))
        return (rule){.kind = TABLE_32, .table = basic->value, .base = base};
    return (rule){.kind = STREAM, .marker = o->coding == SAMC__DICOM_JPEG_2000 ? 0x4f : 0xd8};
}

samc_status samc__dicom_find_frames(samc__dicom *d, samc_error *error) {
    const samc__dicom_outline *o = &d->outline;
    size_t at = o->pixels;
    item basic, f;
    if (!next_item(o, &at, &basic)) return damaged(d, "its fragments", error);
    const size_t base = at;
    int64_t fragments = 0, frame = 0;
    while (next_item(o, &at, &f)) fragments++;
    if (fragments == 0) return damaged(d, "its fragments", error);
    if (d->frames > fragments) return damaged(d, "where its frames begin", error);
    d->starts = malloc(((size_t)d->frames + 1) * sizeof *d->starts);
    if (d->starts == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", d->name);
    const rule r = rule_of(d, &basic, base, fragments);
    bool good = r.kind != STREAM || o->coding != SAMC__DICOM_RLE;
    for (at = base; good && next_item(o, &at, &f);) {
        const bool left = frame < d->frames;
        if (left && begins(&r, &f, frame)) d->starts[frame++] = f.at;
        else good = frame > 0 && (left || r.kind != STREAM || !begins(&r, &f, frame)); /* nobody's, or one too many */
    }
    if (!good || frame != d->frames) return damaged(d, "where its frames begin", error);
    d->starts[frame] = at;
    return SAMC_OK;
}

/* How long a frame is by the table beside the extended one: its last fragment may be longer, by what fills it up. */
static bool cut(const samc__dicom_outline *o, int64_t frames, int64_t frame, size_t *size) {
    if (o->lengths.size != 8 * (size_t)frames) return true;
    const uint64_t said = little64(o->bytes + o->lengths.at + 8 * frame);
    if (said > *size) return false;
    if (said > 0) *size = (size_t)said;
    return true;
}

samc_status samc__dicom_fragments(const samc__dicom *d, int64_t frame, const uint8_t **bytes, size_t *size,
                                  uint8_t **owned, samc_error *error) {
    const samc__dicom_outline *o = &d->outline;
    const size_t begin = d->starts[frame], end = d->starts[frame + 1];
    item f;
    *owned = NULL;
    *size = 0;
    int count = 0;
    for (size_t at = begin; at < end && next_item(o, &at, &f); count++) *size += f.length, *bytes = f.value;
    if (*size == 0) return damaged(d, "a frame without fragments", error);
    if (count > 1) {
        uint8_t *to = malloc(*size);
        if (to == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", d->name);
        *bytes = *owned = to;
        for (size_t at = begin; at < end && next_item(o, &at, &f); to += f.length) memcpy(to, f.value, f.length);
    }
    return cut(o, d->frames, frame, size) ? SAMC_OK : damaged(d, "the length of a frame", error);
}
