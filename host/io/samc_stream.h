/* Frames as they come: masks of a camera's or a video's pictures with the same prompts for all of them, and the video
 * formats that programs such as ffmpeg speak through a pipe. samc_io.h includes this.
 *
 * Every frame is looked at by itself: nothing follows an object from one to the next. */
#ifndef SAMC_STREAM_H
#define SAMC_STREAM_H

#include "samc_io.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Masks of frames ------------------------------------------------------------------------- */

/* Frames go in on one thread, samc_stream_push(), and come out with their masks on another, samc_stream_next(); or both
 * on one, by turns. Where they come faster than they are computed, the latest one wins: at most one waits, and a newer
 * one takes its place. */
typedef struct samc_stream samc_stream;

typedef struct samc_stream_options {
    size_t size;
    const samc_prompts *prompts; /* of every frame, whose best mask each gives; the caller's, as long as the stream.
                                    NULL: samc_auto() */
    const samc_auto_options *automatic; /* of samc_auto(); NULL: the model's defaults */
    bool single; /* the one mask of the single-mask output, where the best of several is the default */
    bool every;  /* no frame is dropped: samc_stream_push() waits until fewer than `room` wait, 0: 2 */
    int room;
    double (*clock)(void *context); /* seconds, by which latency is measured; NULL: the system's */
    void *clock_context;
} samc_stream_options;

/* The session is the caller's, and nobody else's as long as the stream. */
SAMC_API samc_status samc_stream_create(samc_session *session, const samc_stream_options *options, samc_stream **stream,
                                        samc_error *error);

/* A copy of a frame waits to be computed. `number` is the caller's name for it. From one thread at a time.
 * SAMC_STOPPED: the stream was stopped or finished. */
SAMC_API samc_status samc_stream_push(samc_stream *stream, const samc_image *frame, int64_t number, samc_error *error);
/* No frame comes any more: samc_stream_next() ends behind those that wait. From any thread. */
SAMC_API void samc_stream_finish(samc_stream *stream);
/* Ends what is under way, with SAMC_STOPPED, and all that waits. From any thread. */
SAMC_API void samc_stream_stop(samc_stream *stream);

/* A frame with its masks, which are valid until the next call, run lengths too unless samc_runs_keep() says more. */
typedef struct samc_stream_frame {
    size_t size;
    int64_t number;
    const samc_image *image; /* its pixels; NULL: the stream is at its end */
    const samc_mask *masks;  /* [count], of prompts one each in their order, else as samc_auto() has them */
    int count;
    double latency; /* seconds since it was pushed */
} samc_stream_frame;

/* Waits for a frame and computes it. After a failure frame->number and the message say which one it was, and the stream
 * goes on with the next. */
SAMC_API samc_status samc_stream_next(samc_stream *stream, samc_stream_frame *frame, samc_error *error);

typedef struct samc_stream_counts {
    size_t size;
    int64_t pushed, done, dropped, failed;
    double seconds;       /* from the first frame's push to the last result */
    double p50, p95, p99; /* seconds of latency that so many of the frames that are done needed at most; of the last
                             65536 of them */
} samc_stream_counts;
/* From any thread. */
SAMC_API samc_status samc_stream_get_counts(samc_stream *stream, samc_stream_counts *counts, samc_error *error);
SAMC_API void samc_stream_destroy(samc_stream *stream); /* NULL is allowed; nobody may wait in it */

/* ---- Video ----------------------------------------------------------------------------------- */

typedef enum samc_video_layout {
    SAMC_VIDEO_RGB24, /* raw: [height, width, 3] and nothing else */
    SAMC_VIDEO_420,   /* y4m, 8 bits: C420, C420jpeg, C420mpeg2, C420paldv */
    SAMC_VIDEO_422,
    SAMC_VIDEO_444,
    SAMC_VIDEO_MONO
} samc_video_layout;

/* Of y4m pixels become RGB by the matrix of BT.601 or BT.709, in whole numbers: with 2^16 times its coefficients,
 * rounded, and the sum rounded; a chroma sample is that of every pixel that it covers. */
typedef struct samc_video_format {
    size_t size;
    int width, height;
    int rate, rate_scale; /* frames a second as a fraction, 30000 / 1001; 0 where nobody said */
    int layout;           /* samc_video_layout */
    int matrix;           /* 601 or 709; the header has no word for it: 709 from 1280 x 720 pixels on, in either side */
    bool full_range;      /* 0 to 255; else 16 to 235 and 240. XCOLORRANGE says it; limited where it does not */
} samc_video_format;

/* A video that is read, or written. */
typedef struct samc_video samc_video;

/* Opens a file, a pipe or "-", the standard input, and reads its header. `as`: NULL, or what it is: with a width, raw
 * RGB24 of this size and rate; without one y4m, whose matrix it sets where it is not 0, and whose range where
 * full_range is true. */
SAMC_API samc_status samc_video_open(const char *path, const samc_video_format *as, samc_video **video,
                                     samc_error *error);
SAMC_API samc_status samc_video_get_format(const samc_video *video, samc_video_format *format, samc_error *error);
/* Fills rgb [height, width, 3] with the next frame; *there false: it was the last one. A frame that is cut off is
 * SAMC_FORMAT. */
SAMC_API samc_status samc_video_read(samc_video *video, uint8_t *rgb, bool *there, samc_error *error);
/* Ends a samc_video_read() that waits, and all to come, as the end of the video does. From any thread, and from signal
 * handlers. */
SAMC_API void samc_video_stop(samc_video *video);

/* Begins a y4m of 8-bit 4:2:0 ("-": the standard output), with size, rate (25 where there is none), matrix and range of
 * `format`. The mean of four pixels is their chroma. */
SAMC_API samc_status samc_video_begin(const char *path, const samc_video_format *format, samc_video **video,
                                      samc_error *error);
SAMC_API samc_status samc_video_write(samc_video *video, const uint8_t *rgb, samc_error *error);
/* After a failure to write what was left the error says so; the video is gone in any case. NULL is allowed. */
SAMC_API samc_status samc_video_close(samc_video *video, samc_error *error);

#ifdef __cplusplus
}
#endif
#endif
