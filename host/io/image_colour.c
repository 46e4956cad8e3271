/* Colours that are no RGB, as Pillow converts them. */
#include "host/io/image_format.h"

/* As Pillow: terms of 6 bits behind the point, whose sums are cut; those below zero are rounded towards it. */
static int term(double factor, int value) { return (int)(factor * (value - 128) * 64 + 0.5); }

void samc__ycbcr_to_rgb(uint8_t *pixels, size_t count) {
    int red[256], green[2][256], blue[256];
    for (int i = 0; i < 256; i++) {
        red[i] = term(1.402, i) >> 6;
        green[0][i] = term(-0.34414, i);
        green[1][i] = term(-0.71414, i);
        blue[i] = term(1.772, i) >> 6;
    }
    for (size_t i = 0; i < count; i++, pixels += 3) {
        int y = pixels[0], cb = pixels[1], cr = pixels[2];
        int rgb[3] = {y + red[cr], y + ((green[0][cb] + green[1][cr]) >> 6), y + blue[cb]};
        for (int c = 0; c < 3; c++) pixels[c] = (uint8_t)(rgb[c] < 0 ? 0 : rgb[c] > 255 ? 255 : rgb[c]);
    }
}
