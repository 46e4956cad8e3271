/* Draws masks and prompts. Shapes are drawn from their distance functions, so that their edges are smooth. */
#include "host/io/overlay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

typedef struct colour {
    uint8_t rgb[3];
} colour;

static const colour white = {{255, 255, 255}}, green = {{30, 160, 60}}, red = {{220, 40, 40}},
                    frame_colour = {{30, 160, 60}};

/* Bright and told apart on photographs; the first is the blue of the original's notebooks. */
static const colour palette[] = {
    {{30, 144, 255}},  {{255, 140, 0}},  {{230, 50, 200}},  {{250, 220, 30}}, {{0, 205, 190}},  {{255, 80, 80}},
    {{150, 100, 255}}, {{150, 225, 40}}, {{255, 150, 190}}, {{90, 200, 255}}, {{200, 130, 70}}, {{120, 120, 255}},
};

/* 1 for pictures up to about 800 pixels: the unit in which lines and dots are drawn. */
static float scale_of(const samc__picture *picture) {
    int longest = picture->width > picture->height ? picture->width : picture->height;
    return fmaxf(1.0f, (float)longest / 800.0f);
}

/* Mixes a colour into a pixel, `cover` from 0 to 1. */
static void blend(uint8_t *pixel, colour with, float cover) {
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)((float)pixel[c] + ((float)with.rgb[c] - (float)pixel[c]) * cover + 0.5f);
}

/* Distance to the nearest pixel of another label in thirds of a pixel, at most 255, 0 where the label is 0: the 3-4
 * chamfer in two passes, one from each corner. The picture's border is no edge. */
static void distance_inside(const int32_t *labels, int width, int height, uint8_t *distance) {
    static const struct { int x, y, cost; } neighbours[4] = {{-1, 0, 3}, {0, -1, 3}, {-1, -1, 4}, {1, -1, 4}};
    size_t count = (size_t)width * (size_t)height;
    for (size_t i = 0; i < count; i++) distance[i] = labels[i] ? 255 : 0;
    for (int pass = 0; pass < 2; pass++) {
        int sign = pass == 0 ? 1 : -1;
        for (size_t i = 0; i < count; i++) {
            size_t at = pass == 0 ? i : count - 1 - i;
            if (distance[at] == 0) continue;
            int x = (int)(at % (size_t)width), y = (int)(at / (size_t)width), nearest = distance[at];
            for (int n = 0; n < 4; n++) {
                int nx = x + sign * neighbours[n].x, ny = y + sign * neighbours[n].y;
                if (nx < 0 || nx >= width || ny < 0 || ny >= height) continue;
                size_t beside = (size_t)ny * (size_t)width + (size_t)nx;
                int through = (labels[beside] == labels[at] ? distance[beside] : 0) + neighbours[n].cost;
                if (through < nearest) nearest = through;
            }
            distance[at] = (uint8_t)nearest;
        }
    }
}

samc_status samc__overlay_labels(samc__picture *picture, const int32_t *labels, samc_error *error) {
    size_t count = (size_t)picture->width * (size_t)picture->height;
    uint8_t *distance = malloc(count); /* [height, width] */
    if (distance == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for an overlay");
    distance_inside(labels, picture->width, picture->height, distance);
    float line = fminf(3.0f * 1.5f * scale_of(picture), 240.0f); /* 1.5 pixels in thirds */
    for (size_t i = 0; i < count; i++) {
        if (distance[i] == 0) continue;
        /* The line is opaque, the inside lets the image through; between them one pixel of transition. */
        float on_line = fminf(fmaxf((line + 3.0f - (float)distance[i]) / 3.0f, 0.0f), 1.0f);
        colour tint = palette[(size_t)(labels[i] - 1) % (sizeof palette / sizeof *palette)];
        blend(picture->pixels + 3 * i, tint, 0.45f + 0.55f * on_line);
    }
    free(distance);
    return SAMC_OK;
}

samc_status samc__overlay_mask(samc__picture *picture, const uint8_t *mask, int index, samc_error *error) {
    size_t count = (size_t)picture->width * (size_t)picture->height;
    int32_t *labels = malloc(count * sizeof *labels);
    if (labels == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for an overlay");
    for (size_t i = 0; i < count; i++) labels[i] = mask[i] ? index + 1 : 0;
    samc_status status = samc__overlay_labels(picture, labels, error);
    free(labels);
    return status;
}

/* A coordinate as a pixel index within 0 and size, however far out it was. */
static int clip(float value, int size) { return (int)fminf(fmaxf(value, 0.0f), (float)size); }

static void draw_disc(samc__picture *picture, float x, float y, float radius, colour with) {
    int x0 = clip(floorf(x - radius), picture->width), x1 = clip(ceilf(x + radius) + 1, picture->width);
    int y0 = clip(floorf(y - radius), picture->height), y1 = clip(ceilf(y + radius) + 1, picture->height);
    for (int py = y0; py < y1; py++)
        for (int px = x0; px < x1; px++) {
            float cover = fminf(fmaxf(radius + 0.5f - hypotf((float)px - x, (float)py - y), 0.0f), 1.0f);
            blend(picture->pixels + ((size_t)py * (size_t)picture->width + (size_t)px) * 3, with, cover);
        }
}

/* The rectangle of half sizes `hx`, `hy` around (x, y). */
static void draw_bar(samc__picture *picture, float x, float y, float hx, float hy, colour with) {
    int x0 = clip(floorf(x - hx), picture->width), x1 = clip(ceilf(x + hx) + 1, picture->width);
    int y0 = clip(floorf(y - hy), picture->height), y1 = clip(ceilf(y + hy) + 1, picture->height);
    for (int py = y0; py < y1; py++)
        for (int px = x0; px < x1; px++) {
            float along = fminf(fmaxf(hx + 0.5f - fabsf((float)px - x), 0.0f), 1.0f);
            float across = fminf(fmaxf(hy + 0.5f - fabsf((float)py - y), 0.0f), 1.0f);
            blend(picture->pixels + ((size_t)py * (size_t)picture->width + (size_t)px) * 3, with, along * across);
        }
}

static void draw_frame(samc__picture *picture, const float box[4], float line, colour with) {
    float h = line / 2, x = (box[0] + box[2]) / 2, y = (box[1] + box[3]) / 2;
    float hx = (box[2] - box[0]) / 2 + h, hy = (box[3] - box[1]) / 2 + h;
    draw_bar(picture, x, box[1], hx, h, with);
    draw_bar(picture, x, box[3], hx, h, with);
    draw_bar(picture, box[0], y, h, hy, with);
    draw_bar(picture, box[2], y, h, hy, with);
}

void samc__overlay_prompt(samc__picture *picture, const samc_prompt *prompt) {
    float scale = scale_of(picture);
    if (prompt->box != NULL) {
        draw_frame(picture, prompt->box, 4.0f * scale, white);
        draw_frame(picture, prompt->box, 2.0f * scale, frame_colour);
    }
    for (int i = 0; i < prompt->point_count; i++) {
        float x = prompt->points[2 * i], y = prompt->points[2 * i + 1], radius = 6.0f * scale;
        bool on = prompt->labels == NULL || prompt->labels[i] == 1;
        draw_disc(picture, x, y, radius + 1.5f * scale, white);
        draw_disc(picture, x, y, radius, on ? green : red);
        draw_bar(picture, x, y, radius * 0.6f, radius * 0.16f, white);
        if (on) draw_bar(picture, x, y, radius * 0.16f, radius * 0.6f, white);
    }
}

void samc__cutout(const samc_image *image, const uint8_t *mask, uint8_t *rgba) {
    for (int y = 0; y < image->height; y++) {
        const uint8_t *row = image->pixels + y * image->row_bytes;
        for (int x = 0; x < image->width; x++, mask++, rgba += 4) {
            if (*mask) memcpy(rgba, row + 3 * x, 3);
            else memset(rgba, 0, 3);
            rgba[3] = *mask ? 255 : 0;
        }
    }
}
