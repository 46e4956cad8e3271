/* Samples of TIFF files as the pixels that Pillow makes of them. */
#include <string.h>

#include <tiff.h>

#include "host/io/image_tiff.h"
#include "runtime/base/dtype.h"

/* The index-th of whole numbers of `bits`, which are packed from the highest bit down; those of 16 bits are the
 * machine's. */
static uint32_t whole(const uint8_t *row, size_t index, unsigned bits) {
    uint16_t pair;
    if (bits == 8) return row[index];
    if (bits == 16) return memcpy(&pair, row + 2 * index, 2), pair;
    size_t first = index * bits, last = first + bits - 1;
    uint32_t value = 0;
    for (size_t at = first / 8; at <= last / 8; at++) value = value << 8 | row[at];
    return value >> (7 - last % 8) & ((1u << bits) - 1);
}

static float real(const uint8_t *row, size_t index, const samc__tiff_layout *layout) {
    union {
        uint16_t u16;
        int16_t s16;
        uint32_t u32;
        int32_t s32;
        uint64_t u64;
        int64_t s64;
        float f32;
        double f64;
    } v;
    memcpy(&v, row + index * (layout->bits / 8), layout->bits / 8u);
    if (layout->format == SAMPLEFORMAT_IEEEFP)
        return layout->bits == 16 ? samc__f16_to_float(v.u16) : layout->bits == 32 ? v.f32 : (float)v.f64;
    if (layout->format == SAMPLEFORMAT_INT)
        return layout->bits == 16 ? (float)v.s16 : layout->bits == 32 ? (float)v.s32 : (float)v.s64;
    return layout->bits == 32 ? (float)v.u32 : (float)v.u64;
}

/* Below 8 bits the range is stretched, of 16 the high byte stays. */
static uint8_t byte_of(const samc__tiff_layout *layout, uint32_t value) {
    if (layout->colours == TIFF_PALETTE || layout->bits == 8) return (uint8_t)(layout->inverted ? 255 - value : value);
    if (layout->bits > 8) return (uint8_t)(value >> (layout->bits - 8));
    uint32_t most = (1u << layout->bits) - 1;
    return (uint8_t)((layout->inverted ? most - value : value) * 255 / most);
}

void samc__tiff_store(const samc__tiff_layout *layout, const samc__tiff_block *block, void *to) {
    size_t used = (size_t)layout->used, step = layout->separate ? 1 : layout->per_pixel;
    size_t first = layout->separate ? (size_t)block->plane : 0, count = layout->separate ? 1 : used;
    bool spread = layout->sample == SAMC_SAMPLE_U8 && used == 1; /* a grey or an index becomes three bytes */
    for (size_t y = 0; y < block->rows; y++) {
        const uint8_t *row = block->from + y * block->stride;
        size_t pixel = (block->y + y) * block->width + block->x;
        for (size_t x = 0; x < block->columns; x++, pixel++)
            for (size_t c = 0; c < count; c++) {
                size_t at = pixel * used + first + c, from = x * step + c;
                if (layout->sample == SAMC_SAMPLE_F32) {
                    ((float *)to)[at] = real(row, from, layout);
                    continue;
                }
                uint32_t value = whole(row, from, layout->bits);
                if (layout->sample == SAMC_SAMPLE_U16) ((uint16_t *)to)[at] = (uint16_t)value;
                else if (layout->colours == TIFF_PALETTE)
                    for (int i = 0; i < 3; i++) ((uint8_t *)to)[pixel * 3 + (size_t)i] = layout->palette[i][value] >> 8;
                else if (spread) memset((uint8_t *)to + pixel * 3, byte_of(layout, value), 3);
                else ((uint8_t *)to)[at] = byte_of(layout, value);
            }
    }
}

void samc__tiff_four_to_rgb(const samc__tiff_layout *layout, const uint8_t *four, size_t count, uint8_t *rgb) {
    for (size_t i = 0; i < count; i++, four += 4, rgb += 3) {
        if (layout->colours == TIFF_CMYK) { /* not inverted, as JPEG's are */
            const uint8_t inverted[4] = {(uint8_t)~four[0], (uint8_t)~four[1], (uint8_t)~four[2], (uint8_t)~four[3]};
            samc__cmyk_to_rgb(inverted, rgb, 1);
            continue;
        }
        uint32_t alpha = four[3];
        for (int c = 0; c < 3; c++) {
            uint32_t value = alpha == 0 ? 0 : four[c] * 255u / alpha;
            rgb[c] = (uint8_t)(value > 255 ? 255 : value);
        }
    }
}
