/* Packed weights: the layout, and a hash table from the address of a weight to its panels. */
#include "kernels/cpu/packed.h"

#include <stdlib.h>
#include <string.h>

typedef struct entry {
    const void *w; /* NULL: free */
    int64_t n, k;  /* of a weight of f32: views of a file may begin at one address and have other shapes */
    samc__dtype dtype;
    bool lent; /* the panels lie in memory of the weight's */
    bool taps; /* of a convolution, by tap */
    void *panels;
} entry;

struct samc__packed {
    size_t slots, used; /* slots is a power of two */
    entry *entries;
    size_t bytes;
};

void samc__pack_panel(const float *w, int64_t n, int64_t k, int64_t row_stride, int64_t stride, int64_t panel,
                      float *out) {
    int64_t first = panel * SAMC__PANEL, columns = n - first < SAMC__PANEL ? n - first : SAMC__PANEL;
    enum { BLOCK = 16 }; /* of k, so that the rows of w that are read stay in the nearest cache */
    for (int64_t begin = 0; begin < k; begin += BLOCK) {
        int64_t end = begin + BLOCK < k ? begin + BLOCK : k;
        for (int64_t column = 0; column < columns; column++) {
            const float *row = w + (first + column) * row_stride;
            for (int64_t i = begin; i < end; i++) out[i * SAMC__PANEL + column] = row[i * stride];
        }
        for (int64_t i = begin; i < end; i++)
            for (int64_t column = columns; column < SAMC__PANEL; column++) out[i * SAMC__PANEL + column] = 0.0f;
    }
}

enum { PAIRS = 32 }; /* of k, packed at a time: 256 bytes of a row */

/* Up to 2 PAIRS elements of a row, `stride` apart, rounded as samc__float_to_bf16() does; zeros behind them. */
static inline void round_pairs(const float *row, int64_t count, int64_t stride, uint32_t *pairs) {
    uint32_t bits[2 * PAIRS];
    if (count == 2 * PAIRS && stride == 1) memcpy(bits, row, sizeof bits);
    else
        for (int64_t i = 0; i < 2 * PAIRS; i++) bits[i] = i < count ? samc__float_to_bits(row[i * stride]) : 0;
    for (int i = 0; i < 2 * PAIRS; i++) { /* without branches, for vectors */
        const uint32_t x = bits[i], rounded = x + 0x7fffu + (x >> 16 & 1u), quiet = x | 0x400000u;
        bits[i] = ((x & 0x7fffffffu) > 0x7f800000u ? quiet : rounded) >> 16;
    }
    for (int i = 0; i < PAIRS; i++) pairs[i] = bits[2 * i] | bits[2 * i + 1] << 16;
}

void samc__pack_panel_bf16(const float *w, int64_t n, int64_t k, int64_t row_stride, int64_t stride, int64_t panel,
                           uint16_t *out) {
    const int64_t first = panel * SAMC__PANEL, columns = n - first < SAMC__PANEL ? n - first : SAMC__PANEL;
    uint32_t pairs[SAMC__PANEL][PAIRS] = {0};
    for (int64_t i = 0; i < k; i += 2 * PAIRS, out += 2 * PAIRS * SAMC__PANEL) {
        for (int64_t column = 0; column < columns; column++)
            round_pairs(w + (first + column) * row_stride + i * stride, k - i < 2 * PAIRS ? k - i : 2 * PAIRS, stride,
                        pairs[column]);
        for (int64_t pair = 0; pair < PAIRS && i + 2 * pair < samc__packed_k(k); pair++)
            for (int64_t column = 0; column < SAMC__PANEL; column++) {
                const uint16_t both[2] = {(uint16_t)pairs[column][pair], (uint16_t)(pairs[column][pair] >> 16)};
                memcpy(out + 2 * (pair * SAMC__PANEL + column), both, sizeof both);
            }
    }
}

void samc__pack_taps(const float *w, int64_t n, int64_t c, int64_t panel, float *out) {
    for (int64_t tap = 0; tap < 9; tap++) /* each is a matrix with rows 9 c apart */
        samc__pack_panel(w + tap, n, c, 9 * c, 9, panel, out + tap * c * SAMC__PANEL);
}

void samc__pack_taps_bf16(const float *w, int64_t n, int64_t c, int64_t panel, uint16_t *out) {
    const int64_t first = panel * SAMC__PANEL, columns = n - first < SAMC__PANEL ? n - first : SAMC__PANEL;
    memset(out, 0, (size_t)(SAMC__PANEL * samc__packed_k(9 * c)) * sizeof *out);
    for (int64_t i = 0; i < c; i++) /* in the order of w, whose lines are read once then */
        for (int64_t tap = 0; tap < 9; tap++) {
            const int64_t to = tap * c + i;
            const float *in = w + first * 9 * c + i * 9 + tap;
            uint16_t *at = out + to / 2 * 2 * SAMC__PANEL + to % 2;
            for (int64_t column = 0; column < columns; column++)
                at[2 * column] = samc__float_to_bf16(in[column * 9 * c]);
        }
}

samc__panels8 samc__panels8_of(const void *block, int64_t n, int64_t k) {
    const int64_t columns = samc__panels(n) * SAMC__PANEL;
    const char *sums = (const char *)block + columns * samc__packed_k8(k);
    return (samc__panels8){block, (const void *)sums, (const void *)(sums + columns * (int64_t)sizeof(int32_t))};
}

void samc__pack_panel_int8(const int8_t *rows, const float *scales, int64_t n, int64_t k, int64_t panel, void *block) {
    const int64_t first = panel * SAMC__PANEL, columns = n - first < SAMC__PANEL ? n - first : SAMC__PANEL;
    const samc__panels8 at = samc__panels8_of(block, n, k);
    int8_t *out = (int8_t *)at.panels + first * samc__packed_k8(k);
    int32_t *sums = (int32_t *)at.sums + first;
    float *own = (float *)at.scales + first;
    memset(out, 0, (size_t)(SAMC__PANEL * samc__packed_k8(k)));
    memset(sums, 0, SAMC__PANEL * sizeof *sums);
    memset(own, 0, SAMC__PANEL * sizeof *own);
    for (int64_t column = 0; column < columns; column++) {
        const int8_t *row = rows + column * k;
        for (int64_t i = 0; i < k; i++) {
            out[(i / 4 * SAMC__PANEL + column) * 4 + i % 4] = row[i];
            sums[column] += row[i];
        }
        own[column] = scales[column];
    }
}

samc__packed *samc__packed_create(void) {
    samc__packed *packed = calloc(1, sizeof *packed);
    if (packed == NULL) return NULL;
    packed->slots = 64;
    packed->entries = calloc(packed->slots, sizeof *packed->entries);
    if (packed->entries == NULL) {
        free(packed);
        return NULL;
    }
    return packed;
}

void samc__packed_destroy(samc__packed *packed) {
    if (packed == NULL) return;
    for (size_t i = 0; i < packed->slots; i++)
        if (!packed->entries[i].lent) free(packed->entries[i].panels);
    free(packed->entries);
    free(packed);
}

/* The slot of w, or the free one where it would go. */
static entry *slot_of(const samc__packed *packed, const void *w) {
    size_t at = (size_t)(((uintptr_t)w >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (packed->slots - 1);
    while (packed->entries[at].w != NULL && packed->entries[at].w != w) at = (at + 1) & (packed->slots - 1);
    return &packed->entries[at];
}

static bool grow(samc__packed *packed) {
    samc__packed larger = *packed;
    larger.slots *= 2;
    larger.entries = calloc(larger.slots, sizeof *larger.entries);
    if (larger.entries == NULL) return false;
    for (size_t i = 0; i < packed->slots; i++)
        if (packed->entries[i].w != NULL) *slot_of(&larger, packed->entries[i].w) = packed->entries[i];
    free(packed->entries);
    *packed = larger;
    return true;
}

/* The slot for w; *known: it is packed already. NULL: no memory. */
static entry *slot_for(samc__packed *packed, const void *w, bool *known) {
    if (2 * packed->used >= packed->slots && !grow(packed)) return NULL;
    entry *e = slot_of(packed, w);
    *known = e->w != NULL;
    return e;
}

bool samc__packed_add(samc__packed *packed, const float *w, int64_t n, int64_t k, bool replace) {
    bool known;
    entry *e = slot_for(packed, w, &known);
    if (e == NULL || known) return e != NULL;
    size_t bytes = samc__packed_floats(n, k) * sizeof(float); /* a multiple of 128 */
    float *panels = aligned_alloc(64, bytes);
    if (panels == NULL) return false;
    for (int64_t panel = 0; panel < samc__panels(n); panel++)
        samc__pack_panel(w, n, k, k, 1, panel, panels + panel * SAMC__PANEL * k);
    const bool lent = replace && n % SAMC__PANEL == 0;
    if (lent) {
        memcpy((float *)w, panels, bytes);
        free(panels);
        panels = (float *)w;
    } else {
        packed->bytes += bytes;
    }
    *e = (entry){w, n, k, SAMC__F32, lent, false, panels};
    packed->used++;
    return true;
}

bool samc__packed_add_bf16(samc__packed *packed, const float *w, int64_t n, int64_t k) {
    bool known;
    entry *e = slot_for(packed, w, &known);
    if (e == NULL || known) return e != NULL;
    const size_t bytes = samc__packed_halves(n, k) * sizeof(uint16_t); /* a multiple of 2048 */
    uint16_t *panels = aligned_alloc(64, bytes);
    if (panels == NULL) return false;
    for (int64_t panel = 0; panel < samc__panels(n); panel++)
        samc__pack_panel_bf16(w, n, k, k, 1, panel, panels + panel * SAMC__PANEL * samc__packed_k(k));
    packed->bytes += bytes;
    *e = (entry){w, n, k, SAMC__BF16, false, false, panels};
    packed->used++;
    return true;
}

bool samc__packed_add_taps(samc__packed *packed, const float *w, int64_t n, int64_t c, samc__dtype dtype) {
    bool known;
    entry *e = slot_for(packed, w, &known);
    if (e == NULL || known) return e != NULL;
    const int64_t k = dtype == SAMC__F32 ? 9 * c : samc__packed_k(9 * c);
    const size_t bytes = samc__packed_floats(n, k) * samc__dtype_size(dtype);
    void *panels = aligned_alloc(64, bytes); /* a multiple of that: 32 columns */
    if (panels == NULL) return false;
    for (int64_t panel = 0; panel < samc__panels(n); panel++)
        if (dtype == SAMC__F32) samc__pack_taps(w, n, c, panel, (float *)panels + panel * SAMC__PANEL * k);
        else samc__pack_taps_bf16(w, n, c, panel, (uint16_t *)panels + panel * SAMC__PANEL * k);
    packed->bytes += bytes;
    *e = (entry){w, n, 9 * c, dtype, false, true, panels};
    packed->used++;
    return true;
}

/* `bytes`, a multiple of 64, as panels that are their own key. */
static void *room_for(samc__packed *packed, size_t bytes, samc__dtype dtype) {
    bool known;
    void *panels = aligned_alloc(64, bytes);
    entry *e = panels ? slot_for(packed, panels, &known) : NULL;
    if (e == NULL) {
        free(panels);
        return NULL;
    }
    packed->bytes += bytes;
    *e = (entry){panels, 0, 0, dtype, false, false, panels};
    packed->used++;
    return panels;
}
uint16_t *samc__packed_room_bf16(samc__packed *packed, int64_t n, int64_t k) {
    return room_for(packed, samc__packed_halves(n, k) * sizeof(uint16_t), SAMC__BF16);
}
void *samc__packed_room_int8(samc__packed *packed, int64_t n, int64_t k) {
    return room_for(packed, samc__packed_bytes8(n, k), SAMC__I8);
}

static const void *find(const samc__packed *packed, const void *w, samc__dtype dtype) {
    const entry *e = packed ? slot_of(packed, w) : NULL;
    return e && e->dtype == dtype && !e->taps ? e->panels : NULL;
}
const void *samc__packed_find_taps(const samc__packed *packed, const void *w, int64_t n, int64_t c, samc__dtype dtype) {
    const entry *e = packed ? slot_of(packed, w) : NULL;
    return e && e->taps && e->dtype == dtype && e->n == n && e->k == 9 * c ? e->panels : NULL;
}
const float *samc__packed_find(const samc__packed *packed, const void *w, int64_t n, int64_t k) {
    const float *panels = find(packed, w, SAMC__F32);
    const entry *e = panels ? slot_of(packed, w) : NULL;
    return e && e->n == n && e->k == k ? panels : NULL;
}
const uint16_t *samc__packed_find_bf16(const samc__packed *packed, const void *w) {
    return find(packed, w, SAMC__BF16);
}
const void *samc__packed_find_int8(const samc__packed *packed, const void *w) { return find(packed, w, SAMC__I8); }

size_t samc__packed_bytes(const samc__packed *packed) { return packed ? packed->bytes : 0; }
