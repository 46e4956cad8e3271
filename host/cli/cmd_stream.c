/* samc stream: masks of the frames of a camera or a video. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "host/cli/numbers.h"
#include "host/cli/points.h"

static const char help[] =
    "Usage: samc stream INPUT [PROMPT...] [OPTIONS]\n"
    "\n"
    "Masks of every frame of a video, as the frames come: with the same prompts for all, or without one every mask\n"
    "there is. Prints a line of JSON for each frame. Each frame is looked at by itself; nothing is tracked.\n"
    "\n"
    "  INPUT                 a y4m video of 8 bits (YUV4MPEG2: 420, 422, 444, mono), a file, a pipe, or - for\n"
    "                        standard input: ffmpeg -i VIDEO -pix_fmt yuv420p -f yuv4mpegpipe - | samc stream -\n"
    "      --frames WxH[@R]  INPUT is raw RGB of 8 bits (ffmpeg -pix_fmt rgb24 -f rawvideo), R frames a second\n"
    "      --matrix N        601 or 709, of y4m, which does not say it (709 from 1280 x 720 on, else 601)\n"
    "      --full-range      luma is 0 to 255; else 16 to 235 unless the header says XCOLORRANGE=FULL\n"
    "\n"
    "Prompts, in pixels of a frame, (0, 0) being the centre of the top left one; each gives its best mask:\n"
    "      --point X,Y[,L]   a point on the object (L = 1, the default) or off it (L = 0); all are one prompt,\n"
    "                        with at most one box\n"
    "      --box X0,Y0,X1,Y1 a box around the object; several without points are several prompts\n"
    "      --prompts FILE    a JSON list, as 'samc segment' takes it\n"
    "      --single          of the single-mask output, where the best of three is the default\n"
    "      --points-per-side N, --pred-iou-thresh X, ...  without prompts: as 'samc auto' has them\n"
    "\n"
    "Time:\n"
    "      --every           no frame is dropped. Else the latest frame wins: one that is still waiting when the\n"
    "                        next one comes is dropped. A file is read at its frame rate (25 where it has none), a\n"
    "                        pipe as it comes\n"
    "      --clock SECONDS   no waiting: as if every frame took so long to compute, by which alone frames are\n"
    "                        dropped: what a machine would do that needs so long\n"
    "\n"
    "Results:\n"
    "  -o, --output FILE     the lines of JSON (default: standard output, unless the overlay goes there)\n"
    "      --overlay FILE    the video with every mask in its colour, as y4m 420, - for standard output:\n"
    "                        ... | samc stream - --box 10,20,200,180 --overlay - | ffmpeg -i - out.mp4\n"
    "                        A dropped frame shows the one that won, so that the video keeps its time\n"
    "      --stats FILE      counts and latency as JSON; on standard error they are always said\n"
    "\n"
    "A line: {\"frame\": 12, \"time\": 0.4, \"latency\": 0.031, \"masks\": [...]}, masks as --format rle of 'samc "
    "auto' "
    "has\n"
    "them, of prompts one for each; {\"frame\": 12, \"error\": ...} where a frame gave no finite masks (exit code "
    "3).\n";

enum {
    FRAMES = SAMC__CLI_OWN,
    MATRIX,
    FULL_RANGE,
    POINT,
    BOX,
    PROMPTS,
    SINGLE,
    EVERY,
    CLOCK,
    OVERLAY,
    STATS,
    FIRST,
    MOST_NUMBERS = 32
};

/* The command line, and all that has to be released. */
typedef struct request {
    samc__cli cli;
    const char *input, *output, *overlay, *stats, *prompts_file;
    const char *given[MOST_NUMBERS]; /* by the index of samc_auto_option() */
    bool single, every, simulated;
    double cost, now; /* of a frame by the simulated clock; what that says */
    samc_video_format format;
    samc_video *in, *out;
    FILE *lines;
    samc_prompts *prompts;
    samc_model *model;
    samc_session *session;
    samc_stream *stream;
    int64_t shown; /* frames of the overlay so far */
    uint8_t *drawn;
    int64_t failed;
    /* Of the thread that reads. */
    bool paced;
    atomic_bool over; /* nobody wants more frames */
    samc_status status;
    samc_error error;
} request;

static samc_video *interrupted; /* what a signal ends */
static volatile sig_atomic_t received;

static void on_signal(int number) {
    received = number;
    samc_video_stop(interrupted);
}

static double simulated_clock(void *context) { return ((request *)context)->now; }

/* Seconds between frames; 25 a second where nobody said. */
static double interval(const request *r) {
    return r->format.rate > 0 && r->format.rate_scale > 0 ? (double)r->format.rate_scale / r->format.rate : 0.04;
}

/* ---- Frames in ------------------------------------------------------------------------------- */

/* A frame goes from the video to the stream. *there false: there is none any more. */
static samc_status bring(request *r, uint8_t *rgb, int64_t number, bool *there, samc_error *error) {
    SAMC__TRY(samc_video_read(r->in, rgb, there, error));
    if (!*there) return SAMC_OK;
    const samc_image image = {sizeof image, rgb, r->format.width, r->format.height, (ptrdiff_t)r->format.width * 3};
    return samc_stream_push(r->stream, &image, number, error);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Until a frame is due, or the run is over. */
static void wait_until(const request *r, double due) {
    for (double left; received == 0 && !atomic_load(&r->over) && (left = due - seconds()) > 0;) {
        const struct timespec some = {0, left < 0.1 ? (long)(left * 1e9) : 100000000};
        clock_nanosleep(CLOCK_MONOTONIC, 0, &some, NULL);
    }
}

/* The thread that reads. */
static void *read_frames(void *context) {
    request *r = context;
    uint8_t *rgb = malloc((size_t)r->format.width * (size_t)r->format.height * 3);
    const double began = seconds();
    bool there = true;
    if (rgb == NULL) r->status = samc__cli_error(&r->error, SAMC_OUT_OF_MEMORY, "no memory for a frame");
    for (int64_t number = 0; there && r->status == SAMC_OK; number++) {
        if (r->paced) wait_until(r, began + interval(r) * (double)number);
        r->status = bring(r, rgb, number, &there, &r->error);
    }
    if (r->status == SAMC_STOPPED) r->status = SAMC_OK; /* who stopped it knows why */
    samc_stream_finish(r->stream);
    free(rgb);
    return NULL;
}

/* ---- Results out ----------------------------------------------------------------------------- */

static samc_status cannot_write(const request *r, samc_error *error) {
    return samc__cli_error(error, SAMC_IO, "%s: cannot be written: %s", r->output ? r->output : "standard output",
                           strerror(errno));
}

static samc_status print_frame(request *r, const samc_stream_frame *f, const samc_masks *masks, samc_error *error) {
    char *text, time[40] = "";
    size_t size;
    if (r->lines == NULL) return SAMC_OK;
    SAMC__TRY(samc_masks_text(masks, 1, SAMC_OUTPUT_RLE, &text, &size, error));
    if (r->format.rate > 0) snprintf(time, sizeof time, "\"time\": %.6f, ", (double)f->number * interval(r));
    bool good = fprintf(r->lines, "{\"frame\": %lld, %s\"latency\": %.6f, \"masks\": %s}\n", (long long)f->number, time,
                        f->latency, text) > 0 &&
                fflush(r->lines) == 0;
    samc_io_free(text);
    return good ? SAMC_OK : cannot_write(r, error);
}

static samc_status show_frame(request *r, const samc_stream_frame *f, const samc_masks *masks, samc_error *error) {
    if (r->out == NULL) return SAMC_OK;
    memcpy(r->drawn, f->image->pixels, (size_t)f->image->width * (size_t)f->image->height * 3);
    SAMC__TRY(samc_masks_draw(masks, r->drawn, error));
    for (; r->shown <= f->number; r->shown++) SAMC__TRY(samc_video_write(r->out, r->drawn, error));
    return SAMC_OK;
}

/* The next frame's masks. *there false: it was the last one. */
static samc_status answer(request *r, bool *there, samc_error *error) {
    samc_stream_frame f = SAMC_INIT(samc_stream_frame);
    samc_status status = samc_stream_next(r->stream, &f, error);
    *there = true;
    if (status == SAMC_NUMERIC) { /* of this frame alone */
        r->failed++;
        json_t *line = json_pack("{s:I, s:s}", "frame", (json_int_t)f.number, "error", error->message);
        char *text = line ? json_dumps(line, 0) : NULL;
        bool good =
            text != NULL && (r->lines == NULL || (fprintf(r->lines, "%s\n", text) > 0 && fflush(r->lines) == 0));
        free(text);
        json_decref(line);
        return good ? SAMC_OK : cannot_write(r, error);
    }
    if (status != SAMC_OK) return status;
    *there = f.image != NULL;
    if (f.image == NULL) return SAMC_OK;
    const samc_masks masks = {.size = sizeof masks,
                              .source = r->input,
                              .width = f.image->width,
                              .height = f.image->height,
                              .image = f.image,
                              .masks = f.masks,
                              .count = f.count};
    SAMC__TRY(print_frame(r, &f, &masks, error));
    return show_frame(r, &f, &masks, error);
}

/* With a thread that reads, as time goes. */
static samc_status run_live(request *r, samc_error *error) {
    pthread_t reader;
    bool there = true;
    samc_status status = SAMC_OK;
    if (pthread_create(&reader, NULL, read_frames, r) != 0)
        return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "no thread to read frames with");
    while (there && status == SAMC_OK) status = answer(r, &there, error);
    atomic_store(&r->over, true);
    samc_stream_stop(r->stream);
    samc_video_stop(r->in);
    pthread_join(reader, NULL);
    if (status == SAMC_OK && r->status != SAMC_OK) {
        *error = r->error;
        status = r->status;
    }
    return status;
}

/* By a clock that says what it is told: frame n comes at n times the interval, and takes `cost`. */
static samc_status run_simulated(request *r, samc_error *error) {
    uint8_t *rgb = malloc((size_t)r->format.width * (size_t)r->format.height * 3);
    samc_status status = rgb ? SAMC_OK : samc__cli_error(error, SAMC_OUT_OF_MEMORY, "no memory for a frame");
    double idle = 0; /* from when on the engine is */
    bool there = true, waits = false, answered;
    for (int64_t number = 0; status == SAMC_OK && (there || waits);) {
        const double due = interval(r) * (double)number;
        if (there && (!waits || (!r->every && due <= idle))) { /* nothing to do before it comes, or it takes a place */
            r->now = r->every && due < idle ? idle : due;
            status = bring(r, rgb, number++, &there, error);
            waits = waits || there;
            if (there && r->now > idle) idle = r->now;
            continue;
        }
        r->now = idle += r->cost;
        waits = false;
        status = answer(r, &answered, error);
    }
    free(rgb);
    return status;
}

/* ---- The command ----------------------------------------------------------------------------- */

static samc_status open_all(request *r, int *exit_code, samc_error *error) {
    char model_path[4096];
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    if (r->prompts_file != NULL) SAMC__TRY(samc_prompts_read(r->prompts_file, &r->prompts, error));
    SAMC__TRY(samc_video_open(r->input, &r->format, &r->in, error));
    SAMC__TRY(samc_video_get_format(r->in, &r->format, error));
    samc_status status = r->prompts == NULL
                             ? SAMC_OK
                             : samc_prompts_check(r->prompts, r->prompts_file ? r->prompts_file : r->input,
                                                  r->format.width, r->format.height, error);
    if (status != SAMC_OK && r->prompts_file == NULL) *exit_code = SAMC__EXIT_USAGE;
    SAMC__TRY(status);
    if (!samc__cli_find_model(&r->cli, model_path, error)) return SAMC_IO;
    SAMC__TRY(samc__cli_open_model(&r->cli, model_path, &r->model, error));
    SAMC__TRY(samc_session_create(r->model, &r->session, error));
    samc_default_auto_options(r->model, &automatic);
    SAMC__TRY(samc__cli_numbers_apply(r->given, &automatic, error));
    const samc_stream_options options = {.size = sizeof options,
                                         .prompts = r->prompts,
                                         .automatic = &automatic,
                                         .single = r->single,
                                         .every = r->every,
                                         .clock = r->simulated ? simulated_clock : NULL,
                                         .clock_context = r};
    SAMC__TRY(samc_stream_create(r->session, &options, &r->stream, error));
    const bool lines_taken = r->output == NULL && r->overlay != NULL && strcmp(r->overlay, "-") == 0;
    const bool standard = r->output == NULL || strcmp(r->output, "-") == 0;
    if (!lines_taken && (r->lines = standard ? stdout : fopen(r->output, "we")) == NULL)
        return samc__cli_error(error, SAMC_IO, "%s: %s", r->output, strerror(errno));
    if (r->overlay == NULL) return SAMC_OK;
    if ((r->drawn = malloc((size_t)r->format.width * (size_t)r->format.height * 3)) == NULL)
        return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "no memory for a frame");
    return samc_video_begin(r->overlay, &r->format, &r->out, error);
}

/* Counts and latency, for people and for programs. */
static samc_status tell(const request *r, samc_error *error) {
    samc_stream_counts c = SAMC_INIT(samc_stream_counts);
    SAMC__TRY(samc_stream_get_counts(r->stream, &c, error));
    const double rate = c.seconds > 0 ? (double)c.done / c.seconds : 0;
    samc__cli_note(
        &r->cli,
        "%lld frames: %lld done, %lld dropped, %lld failed; %.1f a second; latency p50 %.1f ms, p95 %.1f ms, "
        "p99 %.1f ms",
        (long long)c.pushed, (long long)c.done, (long long)c.dropped, (long long)c.failed, rate, 1e3 * c.p50,
        1e3 * c.p95, 1e3 * c.p99);
    if (r->stats == NULL) return SAMC_OK;
    json_t *json =
        json_pack("{s:I, s:I, s:I, s:I, s:f, s:f, s:{s:f, s:f, s:f}}", "frames", (json_int_t)c.pushed, "done",
                  (json_int_t)c.done, "dropped", (json_int_t)c.dropped, "failed", (json_int_t)c.failed, "seconds",
                  c.seconds, "rate", rate, "latency", "p50", c.p50, "p95", c.p95, "p99", c.p99);
    char *text = json ? json_dumps(json, JSON_REAL_PRECISION(9)) : NULL;
    samc_writer *writer;
    json_decref(json);
    if (text == NULL) return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory");
    samc_status status = samc_writer_open(r->stats, &writer, error);
    if (status == SAMC_OK && (status = samc_writer_append(writer, text, strlen(text), error)) == SAMC_OK)
        status = samc_writer_append(writer, "\n", 1, error);
    free(text);
    if (status == SAMC_OK) return samc_writer_commit(writer, error);
    if (status != SAMC_OK) samc_writer_abandon(writer);
    return status;
}

static int run(request *r) {
    samc_error error = {0}, late = {0};
    struct stat about;
    int exit_code = SAMC__EXIT_FAILURE;
    samc_status status = open_all(r, &exit_code, &error);
    if (status == SAMC_OK) {
        const struct sigaction action = {.sa_handler = on_signal};
        interrupted = r->in;
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        const bool known = strcmp(r->input, "-") == 0 ? fstat(STDIN_FILENO, &about) == 0 : stat(r->input, &about) == 0;
        r->paced = !r->every && known && S_ISREG(about.st_mode);
        status = (r->simulated ? run_simulated : run_live)(r, &error);
        samc_status told = tell(r, &late);
        if (status == SAMC_OK && (status = told) != SAMC_OK) error = late;
    }
    samc_status closed = samc_video_close(r->out, &late);
    if (status == SAMC_OK && (status = closed) != SAMC_OK) error = late;
    if (r->lines != NULL && r->lines != stdout && fclose(r->lines) != 0 && status == SAMC_OK)
        status = cannot_write(r, &error);
    interrupted = NULL;
    samc_stream_destroy(r->stream);
    samc__cli_note_session(&r->cli, r->session);
    samc_session_destroy(r->session);
    samc_model_close(r->model);
    samc_video_close(r->in, NULL);
    free(r->drawn);
    if (status != SAMC_OK && exit_code == SAMC__EXIT_USAGE) return samc__cli_usage(&r->cli, "%s", error.message);
    if (status != SAMC_OK) return samc__cli_fail(error.message);
    return received != 0 ? 128 + received : r->failed > 0 ? SAMC__EXIT_PARTLY : SAMC__EXIT_OK;
}

/* "640x480@29.97" or "640x480" */
static bool parse_frames(const char *text, samc_video_format *f) {
    double rate = 0;
    char end = '\0', shape[64];
    const char *at = strchr(text, '@');
    snprintf(shape, sizeof shape, "%.*s", (int)(at ? at - text : (ptrdiff_t)strlen(text)), text);
    char *x = strchr(shape, 'x');
    if (x == NULL || strlen(text) >= sizeof shape) return false;
    *x = '\0';
    if (!samc__cli_integer(shape, 1, 999999, &f->width) || !samc__cli_integer(x + 1, 1, 999999, &f->height))
        return false;
    if (at == NULL) return true;
    if (strspn(at + 1, "0123456789.") != strlen(at + 1) || sscanf(at + 1, "%lf%c", &rate, &end) != 1) return false;
    if (!(rate >= 0.001 && rate <= 1000)) return false;
    f->rate = (int)(rate * 1000 + 0.5);
    f->rate_scale = 1000;
    return true;
}

static bool parse_seconds(const char *text, double *seconds) {
    char end = '\0';
    return strspn(text, "0123456789.") == strlen(text) && sscanf(text, "%lf%c", seconds, &end) == 1 && *seconds <= 3600;
}

/* SAMC__EXIT_OK, or wrong usage with a message. */
static int take_option(request *r, samc__cli_points *points, int option) {
    const samc__cli *cli = &r->cli;
    if (option >= FIRST) {
        samc_error error;
        samc_auto_options scratch = SAMC_INIT(samc_auto_options);
        samc_default_auto_options(NULL, &scratch);
        const char *given = r->given[option - FIRST] = samc__cli_number_given(option - FIRST, optarg);
        if (samc_auto_set(&scratch, samc_auto_option(option - FIRST), given, &error) != SAMC_OK)
            return samc__cli_usage(cli, "--%s", error.message);
        return SAMC__EXIT_OK;
    }
    switch (option) {
    case FRAMES:
        return parse_frames(optarg, &r->format)
                   ? SAMC__EXIT_OK
                   : samc__cli_usage(cli, "--frames is WIDTHxHEIGHT or WIDTHxHEIGHT@RATE, not '%s'", optarg);
    case MATRIX:
        if (samc__cli_integer(optarg, 601, 709, &r->format.matrix) &&
            (r->format.matrix == 601 || r->format.matrix == 709))
            return SAMC__EXIT_OK;
        return samc__cli_usage(cli, "--matrix is 601 or 709, not '%s'", optarg);
    case POINT:
        return samc__cli_point(points, cli, optarg);
    case BOX:
        return samc__cli_box(points, cli, optarg);
    case CLOCK:
        r->simulated = parse_seconds(optarg, &r->cost);
        return r->simulated ? SAMC__EXIT_OK
                            : samc__cli_usage(cli, "--clock is a number of seconds up to 3600, not '%s'", optarg);
    default:
        break;
    }
    if (option == FULL_RANGE) r->format.full_range = true;
    if (option == PROMPTS) r->prompts_file = optarg;
    if (option == SINGLE) r->single = true;
    if (option == EVERY) r->every = true;
    if (option == OVERLAY) r->overlay = optarg;
    if (option == STATS) r->stats = optarg;
    if (option == 'o') r->output = optarg;
    return SAMC__EXIT_OK;
}

/* What goes together. */
static int check_request(request *r, const samc__cli_points *points) {
    bool asked = points->point_count + points->box_count > 0, numbers = false;
    for (int i = 0; i < MOST_NUMBERS; i++) numbers = numbers || r->given[i] != NULL;
    if (asked && r->prompts_file != NULL) return samc__cli_usage(&r->cli, "--prompts goes without --point and --box");
    if (numbers && (asked || r->prompts_file != NULL))
        return samc__cli_usage(&r->cli, "options of automatic masks go without prompts");
    if (r->single && !asked && r->prompts_file == NULL) return samc__cli_usage(&r->cli, "--single goes with prompts");
    if (r->prompts_file != NULL && strcmp(r->prompts_file, "-") == 0 && strcmp(r->input, "-") == 0)
        return samc__cli_usage(&r->cli, "video and prompts cannot both come from standard input");
    if (r->output && r->overlay && strcmp(r->output, "-") == 0 && strcmp(r->overlay, "-") == 0)
        return samc__cli_usage(&r->cli, "lines and overlay cannot both go to standard output");
    return asked ? samc__cli_points_build(points, &r->cli, &r->prompts) : SAMC__EXIT_OK;
}

static int command(request *r, samc__cli_points *points, int argc, char **argv) {
    static const struct option own[] =
        {{"frames", required_argument, NULL, FRAMES},   {"matrix", required_argument, NULL, MATRIX},
         {"full-range", no_argument, NULL, FULL_RANGE}, {"point", required_argument, NULL, POINT},
         {"box", required_argument, NULL, BOX},         {"prompts", required_argument, NULL, PROMPTS},
         {"single", no_argument, NULL, SINGLE},         {"every", no_argument, NULL, EVERY},
         {"clock", required_argument, NULL, CLOCK},     {"overlay", required_argument, NULL, OVERLAY},
         {"stats", required_argument, NULL, STATS},     {"output", required_argument, NULL, 'o'}},
                               common[] = {SAMC__CLI_COMMON};
    enum { OWN = sizeof own / sizeof *own };
    struct option table[OWN + MOST_NUMBERS + sizeof common / sizeof *common];
    int rows = OWN, code;
    memcpy(table, own, sizeof own);
    for (int i = 0; i < MOST_NUMBERS && samc_auto_option(i) != NULL; i++)
        table[rows++] = samc__cli_number_option(i, FIRST + i);
    memcpy(table + rows, common, sizeof common);
    for (int option; (option = samc__cli_next(&r->cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return r->cli.exit_code;
        if ((code = take_option(r, points, option)) != SAMC__EXIT_OK) return code;
    }
    if (argc - optind != 1) return samc__cli_usage(&r->cli, "give one INPUT, not %d", argc - optind);
    r->input = argv[optind];
    code = check_request(r, points);
    return code == SAMC__EXIT_OK ? run(r) : code;
}

int samc__cmd_stream(int argc, char **argv) {
    request r = {.cli = samc__cli_begin("stream", help), .format.size = sizeof r.format};
    samc__cli_points *points = calloc(1, sizeof *points);
    if (points == NULL) return samc__cli_fail("out of memory");
    int code = command(&r, points, argc, argv);
    samc_prompts_free(r.prompts);
    free(points);
    return code;
}
