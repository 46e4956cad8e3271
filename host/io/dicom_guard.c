/* What DCMTK is to be spared: it parses by recursion, makes an object of each element and inflates whatever there is,
 * so that a kilobyte could take its stack and a megabyte the memory. Here the elements are walked over first, without
 * looking at what they say: how deep they are nested, how many there are, whether lengths hold, where the pixels are.
 */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "host/io/dicom.h"
#include "host/io/image_format.h"
#include "runtime/base/status.h"

enum {
    MOST_DEPTH = 32,           /* of sequences */
    MOST_ELEMENTS = 1 << 20,   /* with items and fragments, some 200 bytes each to DCMTK */
    MOST_INFLATED = 128 << 20, /* of a data set that is deflated */
    ITEM = (int)0xfffee000,    /* these three are in all transfer syntaxes */
    ITEM_END = (int)0xfffee00d,
    SEQUENCE_END = (int)0xfffee0dd
};
#define ENDLESS UINT32_MAX

typedef struct element {
    uint32_t tag; /* group << 16 | element */
    char vr[2];   /* zeros: implicit */
    uint32_t length;
} element;

typedef struct reader {
    samc__dicom_outline *outline;
    const char *name;
    const uint8_t *bytes;
    size_t at, end; /* of what is being read: an item's, a sequence's */
    bool big, implicit;
    int64_t elements;
} reader;

static uint32_t two(const uint8_t *at, bool big) { return big ? samc__big16(at) : samc__little16(at); }
static uint32_t four(const uint8_t *at, bool big) { return big ? samc__big32(at) : samc__little32(at); }

static samc_status truncated(const reader *r, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: truncated DICOM", r->name);
}

static samc_status damaged(const reader *r, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: %s", r->name, what);
}

/* ---- Elements -------------------------------------------------------------------------------- */

static bool is_letter(uint8_t c) { return c >= 'A' && c <= 'Z'; }

/* One of DCMTK's own, of its dictionary ("ox", "na"), which it takes from a file too and reads in ways of its own. */
static bool is_inner(const uint8_t *vr) { return vr[0] >= 'a' && vr[0] <= 'z' && vr[1] >= 'a' && vr[1] <= 'z'; }

/* Those whose length has four bytes, behind two that are 0: all but these old ones. What is no kind at all is to be
 * read as DCMTK does, or it would take other bytes for lengths than were looked at: two capital letters for a kind that
 * is yet to come, which will be long, anything else for a short one. */
static bool is_long(const uint8_t *vr) {
    static const char names[] = "AEASATCSDADSDTFDFLISLOLTPNSHSLSSSTTMUIULUS";
    if (!is_letter(vr[0]) || !is_letter(vr[1])) return false;
    for (const char *name = names; *name != '\0'; name += 2)
        if (memcmp(vr, name, 2) == 0) return false;
    return true;
}

/* The head of an element; whether all of its value is there is another question. */
static samc_status head_of(reader *r, element *e, samc_error *error) {
    if (r->end - r->at < 8) return truncated(r, error);
    const uint8_t *at = r->bytes + r->at;
    size_t head = 8;
    *e = (element){.tag = two(at, r->big) << 16 | two(at + 2, r->big)};
    if (r->implicit || e->tag == (uint32_t)ITEM || e->tag == (uint32_t)ITEM_END || e->tag == (uint32_t)SEQUENCE_END) {
        e->length = four(at + 4, r->big);
    } else {
        if (is_inner(at + 4)) return damaged(r, "an element of a kind that does not exist", error);
        memcpy(e->vr, at + 4, 2);
        if (is_long(at + 4) && r->end - r->at < 12) return truncated(r, error);
        e->length = is_long(at + 4) ? four(at + 8, r->big) : two(at + 6, r->big);
        head = is_long(at + 4) ? 12 : 8;
    }
    r->at += head;
    if (++r->elements > MOST_ELEMENTS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM of more than %d elements", r->name, MOST_ELEMENTS);
    return SAMC_OK;
}

static samc_status next(reader *r, element *e, samc_error *error) {
    SAMC__TRY(head_of(r, e, error));
    return e->length != ENDLESS && e->length > r->end - r->at ? truncated(r, error) : SAMC_OK;
}

static bool is_pixels(uint32_t tag) { return tag == 0x7fe00008 || tag == 0x7fe00009 || tag == 0x7fe00010; }

/* Whether DCMTK will read items in a value whose kind is not written: by its dictionary; of private ones, which it
 * knows some of, where there is an item by its looks. */
static bool is_nested(const reader *r, const element *e) {
    if (!r->implicit || e->length < 8 || e->length > r->end - r->at) return false;
    if ((e->tag >> 16 & 1) == 0) return samc__dicom_is_sequence(e->tag);
    const uint8_t *at = r->bytes + r->at;
    return (two(at, r->big) << 16 | two(at + 2, r->big)) == (uint32_t)ITEM;
}

static samc_status read_items(reader *r, const element *sequence, bool fragments, int depth, samc_error *error);

/* Elements up to the end, or to an item's delimiter. */
static samc_status read_elements(reader *r, int depth, samc_error *error) {
    element e;
    while (r->at < r->end) {
        SAMC__TRY(head_of(r, &e, error));
        if (e.tag == (uint32_t)ITEM_END && depth > 0) return SAMC_OK;
        if (depth == 0 && is_pixels(e.tag) && r->outline->pixels == 0) { /* the first: DCMTK passes a second one over */
            r->outline->pixels = r->at;
            r->outline->tag = e.tag;
            r->outline->length = e.length;
            r->outline->words = memcmp(e.vr, "OW", 2) == 0;
        }
        if (depth == 0 && (e.tag == 0x7fe00001 || e.tag == 0x7fe00002) && e.length != ENDLESS)
            *(e.tag == 0x7fe00001 ? &r->outline->offsets : &r->outline->lengths) = (samc__dicom_span){r->at, e.length};
        if (memcmp(e.vr, "SQ", 2) == 0 || e.length == ENDLESS || is_nested(r, &e)) {
            if (is_pixels(e.tag) && !r->implicit && e.vr[0] != 'O') /* DCMTK would read items' elements there */
                return damaged(r, "pixels in items of another kind than fragments", error);
            SAMC__TRY(read_items(r, &e, e.vr[0] == 'O' || is_pixels(e.tag), depth + 1, error));
            continue;
        }
        if (e.length > r->end - r->at) return truncated(r, error);
        r->at += e.length;
    }
    return SAMC_OK;
}

static samc_status read_items(reader *r, const element *sequence, bool fragments, int depth, samc_error *error) {
    const size_t end = r->end;
    const bool big = r->big, implicit = r->implicit, endless = sequence->length == ENDLESS;
    element e = {0};
    if (depth > MOST_DEPTH) return damaged(r, "sequences in more than 32 others", error);
    if (!endless && sequence->length > r->end - r->at) return truncated(r, error);
    if (!endless) r->end = r->at + sequence->length;
    if (memcmp(sequence->vr, "UN", 2) == 0) r->implicit = true, r->big = false; /* PS3.5, 6.2.2 */
    while (endless || r->at < r->end) {
        SAMC__TRY(next(r, &e, error));
        if (e.tag == (uint32_t)SEQUENCE_END && endless) break;
        if (e.tag != (uint32_t)ITEM) return damaged(r, "a sequence of other things than items", error);
        if (e.length == ENDLESS && fragments) return damaged(r, "a fragment without end", error);
        const size_t outer = r->end;
        if (e.length != ENDLESS) r->end = r->at + e.length;
        if (fragments) r->at = r->end;
        else SAMC__TRY(read_elements(r, depth, error));
        r->end = outer;
    }
    r->end = end;
    r->big = big;
    r->implicit = implicit;
    return SAMC_OK;
}

/* ---- Transfer syntaxes ----------------------------------------------------------------------- */

static samc_status find_syntax(const reader *r, const char *uid, samc__dicom_outline *o, bool *deflated,
                               samc_error *error) {
    static const struct {
        const char *end; /* behind 1.2.840.10008.1.2 */
        samc__dicom_coding coding;
    } rows[] = {{"", SAMC__DICOM_NATIVE},       {".1", SAMC__DICOM_NATIVE},       {".1.99", SAMC__DICOM_NATIVE},
                {".2", SAMC__DICOM_NATIVE},     {".5", SAMC__DICOM_RLE},          {".4.50", SAMC__DICOM_JPEG},
                {".4.51", SAMC__DICOM_JPEG},    {".4.53", SAMC__DICOM_JPEG},      {".4.55", SAMC__DICOM_JPEG},
                {".4.57", SAMC__DICOM_JPEG},    {".4.70", SAMC__DICOM_JPEG},      {".4.80", SAMC__DICOM_JPEG_LS},
                {".4.81", SAMC__DICOM_JPEG_LS}, {".4.90", SAMC__DICOM_JPEG_2000}, {".4.91", SAMC__DICOM_JPEG_2000}};
    static const char common[] = "1.2.840.10008.1.2";
    const size_t length = sizeof common - 1;
    const char *end = strncmp(uid, common, length) == 0 ? uid + length : "?";
    *deflated = strcmp(end, ".1.99") == 0;
    o->big = strcmp(end, ".2") == 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(end, rows[i].end) == 0) {
            o->coding = rows[i].coding;
            return SAMC_OK;
        }
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM of a transfer syntax that samc does not read (%s)", r->name,
                      uid);
}

/* The transfer syntax of group 2, which is explicit and little endian; "" where it says none. And the class. */
static samc_status read_group_2(reader *r, char syntax[65], samc_error *error) {
    element e;
    char *const sop_class = r->outline->sop_class;
    syntax[0] = '\0';
    while (r->end - r->at >= 8 && samc__little16(r->bytes + r->at) == 2) {
        SAMC__TRY(next(r, &e, error));
        if (e.length == ENDLESS) return damaged(r, "a transfer syntax without end", error);
        const uint8_t *at = r->bytes + r->at;
        char *const to = e.tag == 0x00020010 ? syntax : e.tag == 0x00020002 ? sop_class : NULL;
        for (size_t i = 0; to != NULL && i < e.length && i < 64; i++) {
            if (at[i] != '.' && (at[i] < '0' || at[i] > '9')) break;
            to[i] = (char)at[i], to[i + 1] = '\0';
        }
        r->at += e.length;
    }
    return SAMC_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

/* A known element that a file without its first 132 bytes begins with: one of group 2, or of 8. */
static bool begins_bare(const uint8_t *at, size_t size) {
    static const char first[] = {0, 1, 5, 8, 0x12, 0x13, 0x16, 0x18}; /* elements that these groups begin with */
    if (size < 16 || (at[0] != 0 && at[1] != 0)) return false;
    const bool big = at[0] == 0;
    const uint32_t group = two(at, big), code = two(at + 2, big), length = four(at + 4, big);
    if ((group != 2 && group != 8) || code > 255 || memchr(first, (int)code, sizeof first) == NULL) return false;
    static const char kinds[] = "ULUICSOBDATM";
    for (const char *kind = kinds; *kind != '\0'; kind += 2)
        if (memcmp(at + 4, kind, 2) == 0) return true;
    return !big && length > 0 && length <= 64 && length % 2 == 0 && (group == 8 || length == 4);
}

bool samc__dicom_has_preamble(const uint8_t *bytes, size_t size) {
    return size >= 132 && memcmp(bytes + 128, "DICM", 4) == 0;
}

bool samc__dicom_is(const uint8_t *bytes, size_t size) {
    return samc__dicom_has_preamble(bytes, size) || begins_bare(bytes, size);
}

/* Inflates the data set. */
static samc_status inflate_all(const reader *r, uint8_t **inflated, size_t *size, samc_error *error) {
    size_t room = 0;
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)(r->bytes + r->at), .avail_in = (uInt)(r->end - r->at)};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->name);
    int code = Z_OK;
    while (code == Z_OK && *size < MOST_INFLATED) {
        room = room == 0 ? 65536 : room * 2;
        uint8_t *grown = realloc(*inflated, room);
        if (grown == NULL) {
            inflateEnd(&stream);
            return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", r->name);
        }
        *inflated = grown;
        stream.next_out = grown + *size;
        stream.avail_out = (uInt)(room - *size);
        code = inflate(&stream, Z_NO_FLUSH);
        *size = room - stream.avail_out;
    }
    inflateEnd(&stream);
    if (code == Z_BUF_ERROR) return truncated(r, error);
    if (code == Z_OK)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM that inflates to more than %d MB", r->name,
                          MOST_INFLATED >> 20);
    return code == Z_STREAM_END ? SAMC_OK : damaged(r, "its deflated part", error);
}

/* How the elements at `at` are written; what the transfer syntax says of it is not always so. */
static samc_status look(reader *r, bool said, samc_error *error) {
    if (r->end - r->at < 8) return truncated(r, error);
    const uint8_t *at = r->bytes + r->at;
    uint32_t little = two(at, false), big = two(at, true);
    bool turned = little >= 0x100 && big < 0x100 && big % 2 == 0, other = big >= 0x100 && little < 0x100;
    if (said && ((turned && !r->big) || (other && r->big)))
        return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM: it says that it is %s endian and is not", r->name,
                          r->big ? "big" : "little");
    if (!said) r->big = turned;
    r->implicit = !(is_letter(at[4]) && is_letter(at[5]));
    return SAMC_OK;
}

samc_status samc__dicom_guard(const uint8_t *bytes, size_t size, const char *name, samc__dicom_outline *o,
                              samc_error *error) {
    reader r = {
        .outline = o, .name = name, .bytes = bytes, .end = size, .at = samc__dicom_has_preamble(bytes, size) ? 132 : 0};
    char syntax[65];
    bool deflated = false;
    *o = (samc__dicom_outline){0};
    SAMC__TRY(read_group_2(&r, syntax, error));
    if (syntax[0] != '\0') SAMC__TRY(find_syntax(&r, syntax, o, &deflated, error));
    r.big = o->big;
    if (deflated) {
        samc_status status = inflate_all(&r, &o->inflated, &o->inflated_size, error);
        if (status != SAMC_OK) return status;
        r.bytes = o->inflated;
        r.at = 0;
        r.end = o->inflated_size;
    }
    SAMC__TRY(look(&r, syntax[0] != '\0', error));
    if (r.implicit && o->coding != SAMC__DICOM_NATIVE)
        return damaged(&r, "compressed, and its elements do not say their kinds", error);
    o->big = r.big;
    o->implicit = r.implicit;
    o->bytes = r.bytes;
    o->size = r.end;
    o->begin = r.at;
    return read_elements(&r, 0, error);
}
