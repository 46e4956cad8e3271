/* preprocess for AVX2 and AVX-512: the reference's fixed-point arithmetic, one pixel's channels or eight bytes at a
 * time.
 *
 * Products and sums are the same 32-bit integers, and a pixel has 256 values, so that normalisation is a table made
 * with the reference's own expression: the result is the same to the bit. Filters other than Pillow's are the
 * reference's alone. */
#include "kernels/cpu/linear.h"
#include "kernels/cpu/vec.h"
#include "kernels/resize_axis.h"
#include "kernels/preprocess/preprocess.h"

#include <string.h>

typedef struct preprocess_task {
    const samc__preprocess_args *args;
    const samc__resize_axis *horizontal, *vertical; /* NULL: that axis keeps its size, and Pillow skips its pass */
    float value[3][256];                            /* normalised, by channel */
    uint16_t half[3][256];                          /* the same in bf16 */
    uint8_t *scratch;                               /* [workers]([slots + 1][line], [input_line]) */
    size_t line, input_line;                        /* bytes, with room for reading and writing beyond the end */
} preprocess_task;

SAMC__INLINE __m128i load_pixel(const uint8_t *p) { /* three channels and a byte that is ignored */
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return _mm_cvtepu8_epi32(_mm_cvtsi32_si128(bytes));
}

/* One input row -> [out_width, 3] at the start of a line. Reads one byte beyond the row's last pixel. */
static void resize_row(const samc__resize_axis *x, const uint8_t *in, int out_width, uint8_t *out) {
    const __m128i half = _mm_set1_epi32(1 << (SAMC__RESIZE_BITS - 1));
    for (int i = 0; i < out_width; i++) {
        const int32_t *weight = x->weight + (size_t)i * (size_t)x->taps;
        const uint8_t *pixel = in + (size_t)x->first[i] * 3;
        __m128i even = half, odd = _mm_setzero_si128();
        int j = 0, count = x->count[i];
        for (; j + 1 < count; j += 2) {
            even = _mm_add_epi32(even, _mm_mullo_epi32(load_pixel(pixel + 3 * j), _mm_set1_epi32(weight[j])));
            odd = _mm_add_epi32(odd, _mm_mullo_epi32(load_pixel(pixel + 3 * j + 3), _mm_set1_epi32(weight[j + 1])));
        }
        if (j < count)
            even = _mm_add_epi32(even, _mm_mullo_epi32(load_pixel(pixel + 3 * j), _mm_set1_epi32(weight[j])));
        __m128i sum = _mm_srai_epi32(_mm_add_epi32(even, odd), SAMC__RESIZE_BITS);
        sum = _mm_packus_epi16(_mm_packs_epi32(sum, sum), sum); /* clipped to 0 .. 255 */
        int32_t bytes = _mm_cvtsi128_si32(sum);
        memcpy(out + 3 * i, &bytes, sizeof bytes); /* the fourth byte is overwritten by the next pixel */
    }
}

/* `count` rows `line` bytes apart, starting with slot `first` of `slots` -> one row of `bytes` bytes. */
static void mix_rows(const uint8_t *ring, size_t line, int slots, int first, int count, const int32_t *weight,
                     size_t bytes, uint8_t *out) {
    for (size_t i = 0; i < bytes; i += 8) {
        __m256i sum = _mm256_set1_epi32(1 << (SAMC__RESIZE_BITS - 1));
        for (int j = 0, slot = first % slots; j < count; j++) {
            __m256i pixel = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(ring + (size_t)slot * line + i)));
            sum = _mm256_add_epi32(sum, _mm256_mullo_epi32(pixel, _mm256_set1_epi32(weight[j])));
            if (++slot == slots) slot = 0;
        }
        sum = _mm256_srai_epi32(sum, SAMC__RESIZE_BITS);
        __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
        _mm_storel_epi64((__m128i *)(out + i), _mm_packus_epi16(words, words));
    }
}

/* Normalises row `y` of the resized image [new_width, 3] into its place in the patches. */
static void store_row(const preprocess_task *t, int y, const uint8_t *rgb) {
    const samc__preprocess_args *a = t->args;
    int64_t p = a->patch;
    for (int left = 0; left < a->new_width; left += a->patch) {
        const int64_t at = (y / p * a->grid + left / p) * 3 * p * p + y % p * p; /* [3, p, p] at row y % p */
        int count = a->new_width - left < a->patch ? a->new_width - left : a->patch;
        const uint8_t *in = rgb + 3 * left;
        if (a->patches.dtype == SAMC__BF16) {
            uint16_t *patch = (uint16_t *)a->patches.data + at;
            for (int x = 0; x < count; x++)
                for (int c = 0; c < 3; c++) patch[c * p * p + x] = t->half[c][in[3 * x + c]];
            continue;
        }
        float *patch = samc__f32(a->patches) + at;
        for (int x = 0; x < count; x++)
            for (int c = 0; c < 3; c++) patch[c * p * p + x] = t->value[c][in[3 * x + c]];
    }
}

static void preprocess_rows(void *context, int64_t begin, int64_t end, int worker) {
    const preprocess_task *t = context;
    const samc__preprocess_args *a = t->args;
    int slots = t->vertical ? t->vertical->taps : 1, next = 0;
    uint8_t *ring =
        t->scratch + (size_t)worker * ((size_t)(slots + 1) * t->line + t->input_line); /* row r in slot r % slots */
    uint8_t *out = ring + (size_t)slots * t->line, *copy = out + t->line;
    for (int y = (int)begin; y < (int)end; y++) {
        int first = t->vertical ? t->vertical->first[y] : y, count = t->vertical ? t->vertical->count[y] : 1;
        if (next < first || y == begin) next = first;
        for (; next < first + count; next++) {
            const uint8_t *in = a->rgb + (ptrdiff_t)next * a->row_bytes;
            uint8_t *slot = ring + (size_t)(next % slots) * t->line;
            if (t->horizontal && next == a->height - 1) /* nothing may be read beyond the image */
                in = memcpy(copy, in, 3 * (size_t)a->width);
            if (t->horizontal) resize_row(t->horizontal, in, a->new_width, slot);
            else memcpy(slot, in, 3 * (size_t)a->width);
        }
        if (t->vertical)
            mix_rows(ring, t->line, slots, first, count, t->vertical->weight + (size_t)y * (size_t)t->vertical->taps,
                     3 * (size_t)a->new_width, out);
        store_row(t, y, t->vertical ? out : ring);
    }
}

samc_status SAMC__RUNG(samc__preprocess)(const samc__exec *exec, const samc__preprocess_args *a) {
    if (a->filter != SAMC__FILTER_PILLOW_U8 || a->range != SAMC__RANGE_255) return samc__preprocess_ref(exec, a);
    samc__resize_axis horizontal = {0}, vertical = {0};
    bool resize_x = a->new_width != a->width, resize_y = a->new_height != a->height;
    if (!exec->rehearsal)
        memset(a->patches.data, 0, (size_t)samc__elements(a->patches) * samc__dtype_size(a->patches.dtype));
    samc_status status = SAMC_OK;
    if (resize_x) status = samc__resize_axis_init(exec, a->filter, a->width, a->new_width, &horizontal);
    if (resize_y && status == SAMC_OK)
        status = samc__resize_axis_init(exec, a->filter, a->height, a->new_height, &vertical);
    preprocess_task t = {
        .args = a, .horizontal = resize_x ? &horizontal : NULL, .vertical = resize_y ? &vertical : NULL};
    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 256; i++) {
            t.value[c][i] = ((float)(uint8_t)i - a->mean[c]) / a->std[c];
            t.half[c][i] = samc__float_to_bf16(t.value[c][i]);
        }
    if (status == SAMC_OK) {
        size_t slots = resize_y ? (size_t)vertical.taps : 1;
        t.line = (3 * (size_t)a->new_width + 31) / 16 * 16, t.input_line = (3 * (size_t)a->width + 31) / 16 * 16;
        t.scratch = exec->allocate(exec->memory, (size_t)exec->workers * ((slots + 1) * t.line + t.input_line));
        if (t.scratch == NULL) status = samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
        else samc__parallel(exec, 50.0 * a->height * a->new_width, a->new_height, 64, preprocess_rows, &t);
    }
    exec->release(exec->memory, t.scratch);
    exec->release(exec->memory, vertical.block);
    exec->release(exec->memory, horizontal.block);
    return status;
}
