/* Pictures for people: a mask tinted and outlined on its image, with the prompt that asked for it; or cut out of it. */
#ifndef SAMC_HOST_IO_OVERLAY_H
#define SAMC_HOST_IO_OVERLAY_H

#include "host/io/image.h"

/* Tints the pixels of `mask` [height, width] in the index-th of a list of distinct colours and outlines them. Line
 * widths grow with the picture. */
samc_status samc__overlay_mask(samc__picture *picture, const uint8_t *mask, int index, samc_error *error);

/* The same for many masks at once: label i + 1 takes the i-th colour, 0 none. labels: [height, width]. */
samc_status samc__overlay_labels(samc__picture *picture, const int32_t *labels, samc_error *error);

/* Draws a prompt: points on the object as green dots with a plus, points on the background as red dots with a minus,
 * both rimmed white; the box as a white-rimmed frame. What lies outside the picture is clipped. */
void samc__overlay_prompt(samc__picture *picture, const samc_prompt *prompt);

/* rgba: [height, width, 4]; the image where the mask is set, transparent black elsewhere. */
void samc__cutout(const samc_image *image, const uint8_t *mask, uint8_t *rgba);

#endif
