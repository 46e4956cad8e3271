/* The interface between binaries: sizes and offsets of every public struct of samc.h and samc_io.h, and programs that
 * were compiled with an older or a newer header than the library. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "host/io/abi.h"
#include "tests/engine.h"

/* ---- Golden layout (64 bits) ----------------------------------------------------------------- */

/* Rows of fields are added and never changed: a field that moves breaks every program there is. They are in order, and
 * what is added begins at or behind the size before it. */
typedef struct row {
    const char *name;
    size_t golden, now, bytes, aligned; /* offset of a field; of a struct its size, and `bytes` is 0 */
} row;
#define ROW(...)                                                                                                       \
    { __VA_ARGS__ }
#define STRUCT(type, golden) ROW(#type, golden, sizeof(type), 0, _Alignof(type))
#define SIZE_OF(type, member) sizeof(((type *)0)->member), _Alignof(__typeof__(((type *)0)->member))
#define FIELD(type, member, golden) ROW(#type "." #member, golden, offsetof(type, member), SIZE_OF(type, member))

static const row rows[] = {
    STRUCT(samc_error, 1028),
    FIELD(samc_error, status, 0),
    FIELD(samc_error, message, 4),
    STRUCT(samc_options, 56),
    FIELD(samc_options, size, 0),
    FIELD(samc_options, backend, 8),
    FIELD(samc_options, precision, 12),
    FIELD(samc_options, threads, 16),
    FIELD(samc_options, device, 20),
    FIELD(samc_options, cudnn, 24),
    FIELD(samc_options, settings, 32),
    FIELD(samc_options, recipe, 40),
    FIELD(samc_options, image_size, 48),
    STRUCT(samc_model_info, 272),
    FIELD(samc_model_info, size, 0),
    FIELD(samc_model_info, image_size, 8),
    FIELD(samc_model_info, patch_size, 12),
    FIELD(samc_model_info, grid, 16),
    FIELD(samc_model_info, encoder_dim, 20),
    FIELD(samc_model_info, encoder_depth, 24),
    FIELD(samc_model_info, encoder_heads, 28),
    FIELD(samc_model_info, encoder_mlp_dim, 32),
    FIELD(samc_model_info, window_size, 36),
    FIELD(samc_model_info, global_blocks, 40),
    FIELD(samc_model_info, embed_channels, 44),
    FIELD(samc_model_info, decoder_depth, 48),
    FIELD(samc_model_info, decoder_heads, 52),
    FIELD(samc_model_info, multimask_outputs, 56),
    FIELD(samc_model_info, low_res, 60),
    FIELD(samc_model_info, mask_threshold, 64),
    FIELD(samc_model_info, parameters, 72),
    FIELD(samc_model_info, file_bytes, 80),
    FIELD(samc_model_info, name, 88),
    FIELD(samc_model_info, licence, 96),
    FIELD(samc_model_info, card, 104),
    FIELD(samc_model_info, dtype, 112),
    FIELD(samc_model_info, backend, 120),
    FIELD(samc_model_info, precision, 124),
    FIELD(samc_model_info, backend_note, 128),
    FIELD(samc_model_info, file_note, 136),
    FIELD(samc_model_info, threads, 144),
    FIELD(samc_model_info, weight_bytes, 152),
    FIELD(samc_model_info, encode_flops, 160),
    FIELD(samc_model_info, encode_bytes, 168),
    FIELD(samc_model_info, predict_bytes, 176),
    FIELD(samc_model_info, device_bytes, 184),
    FIELD(samc_model_info, settings, 192),
    FIELD(samc_model_info, changed, 200),
    FIELD(samc_model_info, arithmetic, 208),
    FIELD(samc_model_info, recipe, 216),
    FIELD(samc_model_info, recipe_from, 224),
    FIELD(samc_model_info, recipe_fields, 232),
    FIELD(samc_model_info, boxes_only, 240),
    FIELD(samc_model_info, family, 248),
    FIELD(samc_model_info, squash, 256),
    FIELD(samc_model_info, encoder_fields, 264),
    STRUCT(samc_convert_options, 32),
    FIELD(samc_convert_options, size, 0),
    FIELD(samc_convert_options, storage, 8),
    FIELD(samc_convert_options, recipe, 16),
    FIELD(samc_convert_options, image_size, 24),
    STRUCT(samc_memory, 40),
    FIELD(samc_memory, size, 0),
    FIELD(samc_memory, current, 8),
    FIELD(samc_memory, peak, 16),
    FIELD(samc_memory, device_current, 24),
    FIELD(samc_memory, device_peak, 32),
    STRUCT(samc_profile_row, 48),
    FIELD(samc_profile_row, size, 0),
    FIELD(samc_profile_row, name, 8),
    FIELD(samc_profile_row, calls, 16),
    FIELD(samc_profile_row, seconds, 24),
    FIELD(samc_profile_row, flops, 32),
    FIELD(samc_profile_row, precision, 40),
    STRUCT(samc_image, 32),
    FIELD(samc_image, size, 0),
    FIELD(samc_image, pixels, 8),
    FIELD(samc_image, width, 16),
    FIELD(samc_image, height, 20),
    FIELD(samc_image, row_bytes, 24),
    STRUCT(samc_prompt, 56),
    FIELD(samc_prompt, size, 0),
    FIELD(samc_prompt, points, 8),
    FIELD(samc_prompt, labels, 16),
    FIELD(samc_prompt, point_count, 24),
    FIELD(samc_prompt, box, 32),
    FIELD(samc_prompt, mask_input, 40),
    FIELD(samc_prompt, image, 48),
    STRUCT(samc_mask, 160),
    FIELD(samc_mask, size, 0),
    FIELD(samc_mask, image, 8),
    FIELD(samc_mask, prompt, 12),
    FIELD(samc_mask, index, 16),
    FIELD(samc_mask, predicted_iou, 20),
    FIELD(samc_mask, stability_score, 24),
    FIELD(samc_mask, object_score, 28),
    FIELD(samc_mask, label, 32),
    FIELD(samc_mask, area, 40),
    FIELD(samc_mask, bbox, 48),
    FIELD(samc_mask, crop_box, 64),
    FIELD(samc_mask, point, 80),
    FIELD(samc_mask, width, 96),
    FIELD(samc_mask, height, 100),
    FIELD(samc_mask, runs, 104),
    FIELD(samc_mask, runs_at, 112),
    FIELD(samc_mask, rle_length, 120),
    FIELD(samc_mask, count_length, 128),
    FIELD(samc_mask, phrase, 136),
    FIELD(samc_mask, score, 140),
    FIELD(samc_mask, box, 144),
    STRUCT(samc_point_grid, 24),
    FIELD(samc_point_grid, size, 0),
    FIELD(samc_point_grid, xy, 8),
    FIELD(samc_point_grid, count, 16),
    STRUCT(samc_auto_options, 128),
    FIELD(samc_auto_options, size, 0),
    FIELD(samc_auto_options, points_per_side, 8),
    FIELD(samc_auto_options, points_per_batch, 12),
    FIELD(samc_auto_options, pred_iou_thresh, 16),
    FIELD(samc_auto_options, stability_score_thresh, 24),
    FIELD(samc_auto_options, stability_score_offset, 32),
    FIELD(samc_auto_options, box_nms_thresh, 40),
    FIELD(samc_auto_options, crop_n_layers, 48),
    FIELD(samc_auto_options, crop_nms_thresh, 56),
    FIELD(samc_auto_options, crop_overlap_ratio, 64),
    FIELD(samc_auto_options, crop_n_points_downscale_factor, 72),
    FIELD(samc_auto_options, point_grids, 80),
    FIELD(samc_auto_options, min_mask_region_area, 88),
    FIELD(samc_auto_options, temporary_folder, 96),
    FIELD(samc_auto_options, progress, 104),
    FIELD(samc_auto_options, progress_context, 112),
    FIELD(samc_auto_options, multimask_output, 120),
    FIELD(samc_auto_options, use_m2m, 121),
    FIELD(samc_auto_options, cut_sides, 124),
    STRUCT(samc_auto_stats, 96),
    FIELD(samc_auto_stats, size, 0),
    FIELD(samc_auto_stats, crops, 8),
    FIELD(samc_auto_stats, prompts, 16),
    FIELD(samc_auto_stats, masks, 24),
    FIELD(samc_auto_stats, after_iou, 32),
    FIELD(samc_auto_stats, after_stability, 40),
    FIELD(samc_auto_stats, after_edge, 48),
    FIELD(samc_auto_stats, after_nms, 56),
    FIELD(samc_auto_stats, kept, 64),
    FIELD(samc_auto_stats, encode_seconds, 72),
    FIELD(samc_auto_stats, decode_seconds, 80),
    FIELD(samc_auto_stats, post_seconds, 88),
    STRUCT(samc_machine, 552),
    FIELD(samc_machine, size, 0),
    FIELD(samc_machine, processors, 8),
    FIELD(samc_machine, cpu, 12),
    FIELD(samc_machine, cuda, 268),
    FIELD(samc_machine, has_cuda, 524),
    FIELD(samc_machine, cuda_driver, 525),
    FIELD(samc_machine, cuda_built, 526),
    FIELD(samc_machine, cuda_devices, 528),
    FIELD(samc_machine, bf16, 536),
    FIELD(samc_machine, int8, 544),
    STRUCT(samc_peaks, 56),
    FIELD(samc_peaks, size, 0),
    FIELD(samc_peaks, f32, 8),
    FIELD(samc_peaks, bf16, 16),
    FIELD(samc_peaks, int8, 24),
    FIELD(samc_peaks, f32_by, 32),
    FIELD(samc_peaks, bf16_by, 40),
    FIELD(samc_peaks, int8_by, 48),
    STRUCT(samc_detector_info, 88),
    FIELD(samc_detector_info, size, 0),
    FIELD(samc_detector_info, kind, 8),
    FIELD(samc_detector_info, labels, 12),
    FIELD(samc_detector_info, image_size, 16),
    FIELD(samc_detector_info, map_side, 20),
    FIELD(samc_detector_info, context, 24),
    FIELD(samc_detector_info, parameters, 32),
    FIELD(samc_detector_info, weight_bytes, 40),
    FIELD(samc_detector_info, backend, 48),
    FIELD(samc_detector_info, threads, 52),
    FIELD(samc_detector_info, name, 56),
    FIELD(samc_detector_info, dtype, 64),
    FIELD(samc_detector_info, backend_note, 72),
    FIELD(samc_detector_info, file_note, 80),
    STRUCT(samc_phrase_options, 24),
    FIELD(samc_phrase_options, size, 0),
    FIELD(samc_phrase_options, templates, 8),
    FIELD(samc_phrase_options, background, 16),
    STRUCT(samc_text_options, 48),
    FIELD(samc_text_options, size, 0),
    FIELD(samc_text_options, threshold, 8),
    FIELD(samc_text_options, nms, 16),
    FIELD(samc_text_options, top, 24),
    FIELD(samc_text_options, boxes_only, 28),
    FIELD(samc_text_options, progress, 32),
    FIELD(samc_text_options, progress_context, 40),
    STRUCT(samc_detection, 40),
    FIELD(samc_detection, size, 0),
    FIELD(samc_detection, phrase, 8),
    FIELD(samc_detection, score, 12),
    FIELD(samc_detection, box, 16),
    FIELD(samc_detection, point, 32),
    STRUCT(samc_image_header, 48),
    FIELD(samc_image_header, size, 0),
    FIELD(samc_image_header, width, 8),
    FIELD(samc_image_header, height, 16),
    FIELD(samc_image_header, peak_bytes, 24),
    FIELD(samc_image_header, format, 32),
    FIELD(samc_image_header, pages, 40),
    STRUCT(samc_image_options, 32),
    FIELD(samc_image_options, size, 0),
    FIELD(samc_image_options, most_pixels, 8),
    FIELD(samc_image_options, scale, 16),
    FIELD(samc_image_options, page, 24),
    STRUCT(samc_samples, 48),
    FIELD(samc_samples, size, 0),
    FIELD(samc_samples, values, 8),
    FIELD(samc_samples, width, 16),
    FIELD(samc_samples, height, 20),
    FIELD(samc_samples, channels, 24),
    FIELD(samc_samples, row_bytes, 32),
    FIELD(samc_samples, sample, 40),
    FIELD(samc_samples, bits, 44),
    STRUCT(samc_scale, 40),
    FIELD(samc_scale, size, 0),
    FIELD(samc_scale, name, 8),
    FIELD(samc_scale, low, 16),
    FIELD(samc_scale, high, 24),
    FIELD(samc_scale, sample, 32),
    STRUCT(samc_rle, 32),
    FIELD(samc_rle, size, 0),
    FIELD(samc_rle, width, 8),
    FIELD(samc_rle, height, 12),
    FIELD(samc_rle, count, 16),
    FIELD(samc_rle, counts, 24),
    STRUCT(samc_array, 56),
    FIELD(samc_array, size, 0),
    FIELD(samc_array, rank, 8),
    FIELD(samc_array, shape, 16),
    FIELD(samc_array, values, 48),
    STRUCT(samc_masks, 72),
    FIELD(samc_masks, size, 0),
    FIELD(samc_masks, source, 8),
    FIELD(samc_masks, name, 16),
    FIELD(samc_masks, width, 24),
    FIELD(samc_masks, height, 28),
    FIELD(samc_masks, image, 32),
    FIELD(samc_masks, masks, 40),
    FIELD(samc_masks, count, 48),
    FIELD(samc_masks, phrases, 56),
    FIELD(samc_masks, scale, 64),
    STRUCT(samc_archive_options, 152),
    FIELD(samc_archive_options, size, 0),
    FIELD(samc_archive_options, inputs, 8),
    FIELD(samc_archive_options, input_count, 16),
    FIELD(samc_archive_options, globs, 24),
    FIELD(samc_archive_options, glob_count, 32),
    FIELD(samc_archive_options, flat, 40),
    FIELD(samc_archive_options, output, 48),
    FIELD(samc_archive_options, formats, 56),
    FIELD(samc_archive_options, shard, 60),
    FIELD(samc_archive_options, shards, 64),
    FIELD(samc_archive_options, lines_per_file, 72),
    FIELD(samc_archive_options, max_pixels, 80),
    FIELD(samc_archive_options, memory, 88),
    FIELD(samc_archive_options, batch_images, 96),
    FIELD(samc_archive_options, load_threads, 100),
    FIELD(samc_archive_options, write_threads, 104),
    FIELD(samc_archive_options, queue, 108),
    FIELD(samc_archive_options, resume, 112),
    FIELD(samc_archive_options, retry_failed, 113),
    FIELD(samc_archive_options, no_sync, 114),
    FIELD(samc_archive_options, stats, 120),
    FIELD(samc_archive_options, shard_by, 128),
    FIELD(samc_archive_options, copy_images, 132),
    FIELD(samc_archive_options, label_maps, 133),
    FIELD(samc_archive_options, scale, 136),
    FIELD(samc_archive_options, page, 144),
    STRUCT(samc_archive_image, 48),
    FIELD(samc_archive_image, size, 0),
    FIELD(samc_archive_image, source, 8),
    FIELD(samc_archive_image, name, 16),
    FIELD(samc_archive_image, error, 24),
    FIELD(samc_archive_image, width, 32),
    FIELD(samc_archive_image, height, 36),
    FIELD(samc_archive_image, masks, 40),
    STRUCT(samc_archive_events, 40),
    FIELD(samc_archive_events, size, 0),
    FIELD(samc_archive_events, context, 8),
    FIELD(samc_archive_events, image, 16),
    FIELD(samc_archive_events, tick, 24),
    FIELD(samc_archive_events, wake, 32),
    STRUCT(samc_archive_counts, 88),
    FIELD(samc_archive_counts, size, 0),
    FIELD(samc_archive_counts, inputs, 8),
    FIELD(samc_archive_counts, skipped, 16),
    FIELD(samc_archive_counts, images, 24),
    FIELD(samc_archive_counts, total, 32),
    FIELD(samc_archive_counts, done, 40),
    FIELD(samc_archive_counts, before, 48),
    FIELD(samc_archive_counts, failures, 56),
    FIELD(samc_archive_counts, masks, 64),
    FIELD(samc_archive_counts, seconds, 72),
    FIELD(samc_archive_counts, by_input, 80),
    STRUCT(samc_stream_options, 48),
    FIELD(samc_stream_options, size, 0),
    FIELD(samc_stream_options, prompts, 8),
    FIELD(samc_stream_options, automatic, 16),
    FIELD(samc_stream_options, single, 24),
    FIELD(samc_stream_options, every, 25),
    FIELD(samc_stream_options, room, 28),
    FIELD(samc_stream_options, clock, 32),
    FIELD(samc_stream_options, clock_context, 40),
    STRUCT(samc_stream_frame, 48),
    FIELD(samc_stream_frame, size, 0),
    FIELD(samc_stream_frame, number, 8),
    FIELD(samc_stream_frame, image, 16),
    FIELD(samc_stream_frame, masks, 24),
    FIELD(samc_stream_frame, count, 32),
    FIELD(samc_stream_frame, latency, 40),
    STRUCT(samc_stream_counts, 72),
    FIELD(samc_stream_counts, size, 0),
    FIELD(samc_stream_counts, pushed, 8),
    FIELD(samc_stream_counts, done, 16),
    FIELD(samc_stream_counts, dropped, 24),
    FIELD(samc_stream_counts, failed, 32),
    FIELD(samc_stream_counts, seconds, 40),
    FIELD(samc_stream_counts, p50, 48),
    FIELD(samc_stream_counts, p95, 56),
    FIELD(samc_stream_counts, p99, 64),
    STRUCT(samc_video_format, 40),
    FIELD(samc_video_format, size, 0),
    FIELD(samc_video_format, width, 8),
    FIELD(samc_video_format, height, 12),
    FIELD(samc_video_format, rate, 16),
    FIELD(samc_video_format, rate_scale, 20),
    FIELD(samc_video_format, layout, 24),
    FIELD(samc_video_format, matrix, 28),
    FIELD(samc_video_format, full_range, 32),
    STRUCT(samc_archive_stage, 48),
    FIELD(samc_archive_stage, size, 0),
    FIELD(samc_archive_stage, name, 8),
    FIELD(samc_archive_stage, threads, 16),
    FIELD(samc_archive_stage, seconds, 24),
    FIELD(samc_archive_stage, waiting, 32),
    FIELD(samc_archive_stage, room, 40),
    STRUCT(samc_archive_text, 32),
    FIELD(samc_archive_text, size, 0),
    FIELD(samc_archive_text, phrases, 8),
    FIELD(samc_archive_text, options, 16),
    FIELD(samc_archive_text, labels, 24),
#include "tests/abi_rows.h" /* those of samc_geo.h and so on */
};

/* No field is missing above: what lies between two of them is less than the second one's alignment. */
Test(abi, layout) {
    size_t end = 0, structs = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const row *r = &rows[i];
        cr_expect_eq(r->now, r->golden, "%s: %zu, was %zu", r->name, r->now, r->golden);
        if (r->bytes == 0) {
            end = 0, structs++;
            continue;
        }
        cr_expect(r->now >= end && r->now - end < r->aligned, "a field before %s is not in the list", r->name);
        end = r->now + r->bytes;
    }
    cr_expect_eq(structs, SAMC__ABI_COUNT + SAMC__IO_COUNT + 1, "all structs and samc_error");
}

Test(abi, versions) {
    int major, minor;
    cr_assert_eq(sscanf(samc_version(), "%d.%d.", &major, &minor), 2);
    cr_expect_str_eq(SAMC_VERSION, SAMC_PROJECT_VERSION, "header and CMake");
    cr_expect(samc_abi() == SAMC_ABI && (major > 0 || minor == SAMC_ABI));
}

/* ---- Programs of other versions -------------------------------------------------------------- */

/* Options before `settings`, and before anything of samc_model_info that came later. */
typedef struct old_options {
    size_t size;
    samc_backend backend;
    samc_precision precision;
    int threads, device;
    bool cudnn;
} old_options;
enum { OLD_INFO = offsetof(samc_model_info, settings) };

/* A field of ours and one of a version to come. */
typedef struct new_image {
    samc_image image;
    int64_t later;
} new_image;
typedef struct new_prompt {
    samc_prompt prompt;
    int64_t later;
} new_prompt;
typedef struct new_grid {
    samc_point_grid grid;
    int64_t later;
} new_grid;

enum { WIDTH = 40, HEIGHT = 30 };

static samc_image picture(void) {
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37 >> 3);
    return (samc_image){sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
}

/* Shorter structs are read as far as they go, and nothing is written behind them. */
Test(abi, an_older_program) {
    struct {
        old_options options;
        char *settings; /* where a library that did not look at the size would read */
    } old = {{.size = sizeof old.options}, (char *)16};
    samc_model *model = NULL;
    samc_error error;
    cr_assert_eq(samc_default_options((samc_options *)(void *)&old.options), SAMC_OK);
    cr_expect(old.settings == (char *)16 && old.options.size == sizeof old.options);
    old.options.backend = SAMC_BACKEND_REF, old.options.threads = 1;
    cr_assert_eq(samc_model_open(model_path, (samc_options *)(void *)&old.options, &model, &error), SAMC_OK, "%s",
                 error.message);
    samc_model_info info = SAMC_INIT(samc_model_info), whole = info;
    info.size = OLD_INFO;
    info.settings = "untouched";
    cr_assert_eq(samc_model_get_info(model, &info), SAMC_OK);
    cr_assert_eq(samc_model_get_info(model, &whole), SAMC_OK);
    cr_expect(info.size == OLD_INFO && strcmp(info.settings, "untouched") == 0);
    cr_expect(info.grid == whole.grid && info.device_bytes == whole.device_bytes && info.backend == SAMC_BACKEND_REF);
    cr_expect(strstr(whole.settings, "mask_threshold=") != NULL && whole.changed[0] == '\0');
    samc_model_close(model);
}

static samc_status count(void *context, int image, const samc_mask *masks, int masks_count,
                         const samc_auto_stats *stats) {
    (void)image;
    *(int64_t *)context = stats->prompts;
    cr_expect_eq(stats->size, sizeof *stats);
    for (int i = 0; i < masks_count; i++) cr_expect_eq(samc_mask_at(masks, i)->index, i);
    return SAMC_OK;
}

/* Longer structs are as good where what came later is zero; so are arrays of them, whose stride is theirs. */
Test(abi, a_newer_program) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    new_image images[2] = {{picture(), 0}, {picture(), 0}};
    float points[3][2] = {{5, 5}, {20, 12}, {33, 20}};
    int32_t label = 1;
    new_prompt prompts[3] = {{{0}, 0}};
    for (int i = 0; i < 3; i++)
        prompts[i].prompt = (samc_prompt){.points = points[i], .labels = &label, .point_count = 1, .image = i == 2};
    images[0].image.size = sizeof *images;
    prompts[0].prompt.size = sizeof *prompts;
    samc_image plain[2] = {picture(), picture()};
    samc_prompt own[3];
    for (int i = 0; i < 3; i++) own[i] = prompts[i].prompt, own[i].size = sizeof *own;
    samc_result *result = NULL, *expected = NULL, *none;
    cr_assert_eq(samc_set_images(session, plain, 2), SAMC_OK);
    cr_assert_eq(samc_predict(session, own, 3, true, &expected), SAMC_OK);
    cr_assert_eq(samc_set_images(session, &images[0].image, 2), SAMC_OK, "%s", samc_last_error(session));
    cr_assert_eq(samc_predict(session, &prompts[0].prompt, 3, true, &result), SAMC_OK, "%s", samc_last_error(session));
    cr_expect_eq(memcmp(samc_result_iou(result), samc_result_iou(expected), 9 * sizeof(float)), 0);
    struct {
        samc_mask mask;
        int64_t later, beyond;
    } mask = {.mask.size = offsetof(__typeof__(mask), beyond), .later = 5, .beyond = 7};
    cr_assert_eq(samc_result_mask(session, result, 2, 1, &mask.mask), SAMC_OK);
    cr_expect(mask.mask.size == sizeof mask.mask + 8 && mask.later == 0 && mask.beyond == 7);
    cr_expect(mask.mask.image == 1 && mask.mask.prompt == 2);
    uint8_t bytes[WIDTH * HEIGHT];
    cr_expect_eq(samc_mask_bytes(&mask.mask, bytes, NULL), SAMC_OK);

    double xy[2][2] = {{0.5, 0.5}, {0.25, 0.75}};
    new_grid grids[2] = {{{sizeof *grids, xy[0], 2}, 0}, {{0, xy[1], 1}, 0}};
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(model, &automatic);
    automatic.point_grids = &grids[0].grid, automatic.crop_n_layers = 1;
    int64_t prompted = 0;
    cr_assert_eq(samc_auto(session, &images[0].image, 1, &automatic, count, &prompted), SAMC_OK, "%s",
                 samc_last_error(session));
    cr_expect_eq(prompted, 2 + 4 * 1);

    struct {
        samc_profile_row row;
        int64_t later;
    } profile[3] = {{{.size = sizeof *profile}, 9}, {{0}, 9}, {{0}, 9}};
    int ran;
    cr_assert_eq(samc_profile_begin(session), SAMC_OK);
    cr_assert_eq(samc_set_image(session, &images[0].image), SAMC_OK);
    cr_assert_eq(samc_profile_end(session, &profile[0].row, 2, &ran), SAMC_OK);
    cr_expect(ran > 3 && profile[1].row.calls > 0 && profile[1].row.size == sizeof *profile && profile[1].later == 0);
    cr_expect(profile[2].later == 9 && profile[2].row.calls == 0);

    /* What this library cannot do is refused, wherever in an array it is. */
    images[1].later = prompts[2].later = grids[1].later = 1;
    cr_expect_eq(samc_set_images(session, &images[0].image, 2), SAMC_UNSUPPORTED);
    cr_expect_not_null(strstr(samc_last_error(session), "samc_image: a field beyond"), "%s", samc_last_error(session));
    cr_expect_eq(samc_predict(session, &prompts[0].prompt, 3, true, &none), SAMC_UNSUPPORTED);
    cr_expect_eq(samc_auto(session, plain, 1, &automatic, count, &prompted), SAMC_UNSUPPORTED);
    cr_expect_eq(samc_auto_check(&automatic, NULL), SAMC_UNSUPPORTED);
    samc_result_free(expected);
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* Every struct with every size that no version has. */
Test(abi, sizes_of_no_version) {
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1), *other;
    samc_session *session = open_session(model);
    samc_image good = picture();
    samc_error error;
    samc_result *result = NULL, *none;
    float point[2] = {9, 9};
    int32_t label = 1;
    samc_prompt prompt = {sizeof prompt, .points = point, .labels = &label, .point_count = 1};
    cr_assert_eq(samc_set_image(session, &good), SAMC_OK);
    cr_assert_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_OK);
    const size_t sizes[] = {0, 1, 7, 8, 4097, SIZE_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct {
            _Alignas(16) unsigned char bytes[64];
        } room, before;
        memset(&room, 0x5a, sizeof room);
        memcpy(&room, &sizes[i], sizeof sizes[i]);
        before = room;
        void *bad = &room;
        samc_auto_options automatic = SAMC_INIT(samc_auto_options);
        samc_default_auto_options(model, &automatic);
        automatic.point_grids = bad;
        const samc_status refused[] = {samc_default_options(bad),
                                       samc_model_open(model_path, bad, &other, &error),
                                       samc_model_get_info(model, bad),
                                       samc_session_memory(session, bad),
                                       samc_profile_end(session, bad, 1, NULL),
                                       samc_set_image(session, bad),
                                       samc_predict(session, bad, 1, true, &none),
                                       samc_result_mask(session, result, 0, 0, bad),
                                       samc_mask_bytes(bad, before.bytes, NULL),
                                       samc_mask_rle(bad, (char *)before.bytes, NULL),
                                       samc_mask_counts(bad, (uint32_t *)(void *)before.bytes, NULL),
                                       samc_default_auto_options(model, bad),
                                       samc_auto_check(bad, NULL),
                                       samc_auto_check(&automatic, NULL),
                                       samc_auto(session, bad, 1, NULL, count, NULL),
                                       samc_auto(session, &good, 1, bad, count, NULL),
                                       samc_auto(session, &good, 1, &automatic, count, NULL),
                                       samc_get_machine(bad)};
        for (size_t j = 0; j < sizeof refused / sizeof *refused; j++)
            cr_expect_eq(refused[j], SAMC_INVALID_ARGUMENT, "size %zu, call %zu: %s", sizes[i], j,
                         samc_status_text(refused[j]));
        cr_expect_eq(memcmp(&room, &before, sizeof room), 0, "nothing is written");
    }
    for (int i = 0; i < SAMC__ABI_COUNT + SAMC__IO_COUNT; i++) {
        const samc__abi *type = i < SAMC__ABI_COUNT ? &samc__abi_rows[i] : &samc__io_rows[i - SAMC__ABI_COUNT];
        unsigned char bytes[4096] = {0};
        size_t least = 0, most = 0;
        for (size_t size = 1; size <= sizeof bytes; size++) {
            memcpy(bytes, &size, sizeof size);
            bool known = samc__abi_check(type, bytes, &error) == SAMC_OK;
            cr_expect(known || error.status == SAMC_INVALID_ARGUMENT);
            if (known && least == 0) least = size;
            if (known) most = size;
        }
        cr_expect(least > sizeof(size_t) && most == sizeof bytes, "%s: from %zu to %zu", type->name, least, most);
    }
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
}
