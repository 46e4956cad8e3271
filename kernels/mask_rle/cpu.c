/* mask_rle for AVX2 and AVX-512: words of 64 columns through which the boundary passes are turned, 64 rows at a time.
 *
 * Down a turned column the pixels are bits in the order of the runs, so that each transition is written once, where it
 * belongs: no counting by column and no places. One pass over the rows counts all transitions and finds the words that
 * have none. */
#include "kernels/cpu/linear.h"
#include "kernels/cpu/vec.h"
#include "kernels/mask_rle/mask_rle.h"

#include <string.h>

enum { WORD = 64 };

typedef struct rle_task {
    const samc__mask_rle_args *args;
    int64_t words, blocks; /* of a row, of a column */
    uint64_t
        *scratch; /* [workers][words + WORD * blocks]: transitions of a word's columns, turned columns [WORD][blocks] */
} rle_task;

/* Transitions of the mask, and in touched [words] which columns have any. Row 0 differs from the foot of the column to
 * its left. */
static int64_t count_changes(const rle_task *t, const uint64_t *mask, uint64_t *touched) {
    const samc__mask_rle_args *a = t->args;
    int64_t words = t->words, total = 0;
    const uint64_t *foot = mask + (a->height - 1) * words;
    uint64_t last = a->width % WORD ? (UINT64_C(1) << a->width % WORD) - 1 : ~UINT64_C(0); /* columns that exist */
    for (int64_t w = 0; w < words; w++) {
        touched[w] =
            (mask[w] ^ (foot[w] << 1 | (w > 0 ? foot[w - 1] >> 63 : 0))) & (w == words - 1 ? last : ~UINT64_C(0));
        total += __builtin_popcountll(touched[w]);
    }
    for (int64_t y = 1; y < a->height; y++, mask += words) {
        for (int64_t w = 0; w < words - 1; w++) {
            uint64_t change = mask[words + w] ^ mask[w];
            touched[w] |= change;
            total += __builtin_popcountll(change);
        }
        uint64_t change = (mask[2 * words - 1] ^ mask[words - 1]) & last;
        touched[words - 1] |= change;
        total += __builtin_popcountll(change);
    }
    return total;
}

/* bytes [8][16] = byte columns of sixteen rows. */
SAMC__INLINE void turn_bytes(const uint64_t *rows, unsigned char *bytes) {
    __m128i r[16], s[16];
    for (int i = 0; i < 16; i++) r[i] = _mm_loadl_epi64((const __m128i *)(rows + i));
    for (int i = 0; i < 8; i++) s[i] = _mm_unpacklo_epi8(r[i], r[i + 8]); /* row i, row i + 8 of each byte column */
    for (int i = 0; i < 4; i++) r[i] = _mm_unpacklo_epi8(s[i], s[i + 4]), r[i + 4] = _mm_unpackhi_epi8(s[i], s[i + 4]);
    for (int half = 0; half < 8; half += 4) /* byte columns 0 to 3, 4 to 7 */
        for (int i = 0; i < 2; i++) {
            s[half + i] = _mm_unpacklo_epi8(r[half + i], r[half + i + 2]);
            s[half + i + 2] = _mm_unpackhi_epi8(r[half + i], r[half + i + 2]);
        }
    for (int quarter = 0; quarter < 8; quarter += 2) {
        _mm_storeu_si128((__m128i *)(bytes + quarter * WORD), _mm_unpacklo_epi8(s[quarter], s[quarter + 1]));
        _mm_storeu_si128((__m128i *)(bytes + (quarter + 1) * WORD), _mm_unpackhi_epi8(s[quarter], s[quarter + 1]));
    }
}

/* Bit y of columns[c * stride] = bit c of the row `y` of `count` <= 64; rows are `words` apart. */
static void turn(const uint64_t *rows, int64_t words, int64_t count, uint64_t *columns, int64_t stride) {
    uint64_t own[WORD], any = 0, all = ~UINT64_C(0);
    unsigned char bytes[8 * WORD]; /* [8 byte columns][64 rows] */
    memset(own + count, 0, (size_t)(WORD - count) * sizeof *own);
    for (int64_t y = 0; y < count; y++) own[y] = rows[y * words], any |= own[y], all &= own[y];
    if (any == 0 || all == ~UINT64_C(0)) { /* bits beyond `count` are not read */
        for (int c = 0; c < WORD; c++) columns[c * stride] = any;
        return;
    }
    for (int y = 0; y < WORD; y += 16) turn_bytes(own + y, bytes + y);
    for (int column = 0; column < 8; column++) {
        __m256i low = _mm256_loadu_si256((const __m256i *)(bytes + column * WORD)),
                high = _mm256_loadu_si256((const __m256i *)(bytes + column * WORD + 32));
        for (int bit = 7; bit >= 0; bit--) {
            columns[(8 * column + bit) * stride] =
                (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
            low = _mm256_add_epi8(low, low), high = _mm256_add_epi8(high, high);
        }
    }
}

static void encode_one(const rle_task *t, int64_t index, int worker) {
    const samc__mask_rle_args *a = t->args;
    const uint64_t *mask = a->bits + index * a->height * t->words;
    uint64_t *touched = t->scratch + worker * (t->words + WORD * t->blocks), *columns = touched + t->words;
    uint64_t before = 0; /* the pixel before, down the columns */
    int64_t total = count_changes(t, mask, touched), blocks = t->blocks;
    int foot = (a->height - 1) % WORD;
    uint64_t valid = foot == WORD - 1 ? ~UINT64_C(0) : (UINT64_C(1) << (foot + 1)) - 1;
    a->lengths[index] = total + 1;
    if (total + 1 > a->capacity) return;
    uint32_t *counts = a->counts + index * a->capacity, previous = 0;
    for (int64_t w = 0; w < t->words; w++) {
        if (touched[w] == 0) continue;
        for (int64_t b = 0; b < blocks; b++)
            turn(mask + b * WORD * t->words + w, t->words, b < blocks - 1 ? WORD : foot + 1, columns + b, blocks);
        for (int64_t c = 0; c < WORD && w * WORD + c < a->width; c++) {
            uint32_t position = (uint32_t)(w * WORD + c) * (uint32_t)a->height;
            for (int64_t b = 0; b < blocks; b++, position += WORD) {
                uint64_t column = columns[c * blocks + b], change = column ^ (column << 1 | before);
                before = column >> 63;
                if (b == blocks - 1) change &= valid, before = column >> foot & 1;
                for (; change; change &= change - 1) {
                    uint32_t here = position + (uint32_t)__builtin_ctzll(change);
                    *counts++ = here - previous;
                    previous = here;
                }
            }
        }
    }
    *counts = (uint32_t)a->width * (uint32_t)a->height - previous;
}

static void encode_range(void *context, int64_t begin, int64_t end, int worker) {
    for (int64_t index = begin; index < end; index++) encode_one(context, index, worker);
}

samc_status SAMC__RUNG(samc__mask_rle)(const samc__exec *exec, const samc__mask_rle_args *a) {
    rle_task t = {.args = a, .words = (a->width + WORD - 1) / WORD, .blocks = (a->height + WORD - 1) / WORD};
    t.scratch = exec->allocate(exec->memory, (size_t)(exec->workers * (t.words + WORD * t.blocks)) * sizeof *t.scratch);
    if (t.scratch == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode masks");
    samc__parallel(exec, (double)a->masks * (double)a->height * (double)t.words * 8, a->masks, 1, encode_range, &t);
    exec->release(exec->memory, t.scratch);
    return SAMC_OK;
}
