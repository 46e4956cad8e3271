/* Samples of more than 8 bits as 8-bit RGB. */
#include "host/io/image_format.h"

static uint8_t of_float(float value) { return value >= 255 ? 255 : value > 0 ? (uint8_t)value : 0; /* NaN too */ }

void samc__samples_to_rgb(const void *samples, samc__sample_type sample, int channels, size_t count, uint8_t *rgb) {
    const uint16_t *whole = samples;
    const float *real = samples;
    for (size_t i = 0; i < count; i++)
        for (size_t c = 0; c < 3; c++) {
            size_t at = channels == 1 ? i : i * 3 + c;
            *rgb++ = sample == SAMC__SAMPLE_U16 ? (uint8_t)(whole[at] >> 8) : of_float(real[at]);
        }
}
