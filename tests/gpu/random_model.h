/* A model file and a picture made from a seed, for machines that have neither checkpoints nor photographs.
 *
 * The weights are random but calibrated as tests/parity/calibrate.py does it, so that errors show: attention scores
 * with a deviation of about 2, logits of 5, IoU predictions of 0.1 about 0.8. What is said there by measuring each
 * layer is said here by arithmetic; only the last layers of the decoder are measured, by running the reference path
 * once. */
#ifndef SAMC_TESTS_GPU_RANDOM_MODEL_H
#define SAMC_TESTS_GPU_RANDOM_MODEL_H

#include "runtime/samc.h"

/* Writes `path` in the shapes of "vit_b", "vit_l", "vit_h" or of a model file, and calibrates it with `options`, a CPU
 * backend. */
samc_status random_model_write(const char *shapes, uint64_t seed, const char *path, const samc_options *options,
                               samc_error *error);

/* Large shapes, fine texture and noise; `pixels` [height, width, 3]. */
void random_scene(uint8_t *pixels, int width, int height, uint64_t seed);

#endif
