/* y4m and raw video: pixels against the standards' own arithmetic, and what is refused. */
#include <criterion/criterion.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host/io/samc_io.h"

/* A file of these bytes; the name is static. */
static const char *file_of(const void *bytes, size_t size) {
    static char path[] = "/tmp/samc-video-XXXXXX";
    strcpy(path + sizeof path - 7, "XXXXXX");
    int handle = mkstemp(path);
    cr_assert(handle >= 0 && write(handle, bytes, size) == (ssize_t)size && close(handle) == 0);
    return path;
}

static samc_status open_bytes(const void *bytes, size_t size, const samc_video_format *as, samc_video **video,
                              samc_error *error) {
    const char *path = file_of(bytes, size);
    samc_status status = samc_video_open(path, as, video, error);
    unlink(path);
    return status;
}

/* BT.601 and BT.709 in floating point, from one pixel's samples. */
static void standard(int matrix, bool full, const int sample[3], double rgb[3]) {
    const double kr = matrix == 601 ? 0.299 : 0.2126, kb = matrix == 601 ? 0.114 : 0.0722;
    const double y = full ? sample[0] : (sample[0] - 16) * 255.0 / 219;
    const double cb = (sample[1] - 128) * (full ? 1 : 255.0 / 224), cr = (sample[2] - 128) * (full ? 1 : 255.0 / 224);
    rgb[0] = y + 2 * (1 - kr) * cr;
    rgb[2] = y + 2 * (1 - kb) * cb;
    rgb[1] = (y - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb);
    for (int c = 0; c < 3; c++) rgb[c] = fmin(fmax(rgb[c], 0), 255);
}

/* Layouts with odd sides, so that chroma covers less than it could at the edges. */
static void check_layout(const char *colours, int across, int down, bool grey, int matrix, bool full) {
    enum { W = 5, H = 3 };
    char header[128];
    uint8_t bytes[400], rgb[W * H * 3];
    int columns = (W + across - 1) / across, rows = (H + down - 1) / down;
    int at = snprintf(header, sizeof header, "YUV4MPEG2 W%d H%d F30000:1001 Ip A1:1 C%s%s\nFRAME Ip\n", W, H, colours,
                      full ? " XCOLORRANGE=FULL" : "");
    memcpy(bytes, header, (size_t)at);
    uint8_t *luma = bytes + at, *cb = luma + W * H, *cr = cb + columns * rows;
    for (int i = 0; i < W * H; i++) luma[i] = (uint8_t)(16 + i * 15);
    for (int i = 0; i < columns * rows && !grey; i++) cb[i] = (uint8_t)(i * 37), cr[i] = (uint8_t)(255 - i * 23);
    size_t size = (size_t)at + W * H + (grey ? 0 : 2 * (size_t)(columns * rows));
    const samc_video_format as = {.size = sizeof as, .matrix = matrix};
    samc_video_format is = SAMC_INIT(samc_video_format);
    samc_video *video;
    samc_error error = {0};
    bool there;
    cr_assert_eq(open_bytes(bytes, size, &as, &video, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc_video_get_format(video, &is, NULL), SAMC_OK);
    cr_expect(is.width == W && is.height == H && is.rate == 30000 && is.rate_scale == 1001 && is.full_range == full);
    cr_expect_eq(is.matrix, matrix == 0 ? 601 : matrix);
    cr_assert_eq(samc_video_read(video, rgb, &there, &error), SAMC_OK, "%s", error.message);
    cr_assert(there);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int chroma = y / down * columns + x / across;
            double expected[3];
            standard(is.matrix, full, (int[3]){luma[y * W + x], grey ? 128 : cb[chroma], grey ? 128 : cr[chroma]},
                     expected);
            for (int c = 0; c < 3; c++) /* half a level of rounding, and what 16 bits of a coefficient leave */
                cr_expect_float_eq(rgb[(y * W + x) * 3 + c], expected[c], 0.51, "%s %d: %d,%d,%d is %d, not %g",
                                   colours, is.matrix, x, y, c, rgb[(y * W + x) * 3 + c], expected[c]);
        }
    cr_assert_eq(samc_video_read(video, rgb, &there, &error), SAMC_OK);
    cr_expect_not(there);
    samc_video_close(video, NULL);
}

Test(video, pixels) {
    for (int matrix = 0; matrix < 3; matrix++)
        for (int full = 0; full < 2; full++) {
            const int which[] = {0, 601, 709};
            check_layout("420jpeg", 2, 2, false, which[matrix], full);
            check_layout("420mpeg2", 2, 2, false, which[matrix], full);
            check_layout("422", 2, 1, false, which[matrix], full);
            check_layout("444", 1, 1, false, which[matrix], full);
            check_layout("mono", 1, 1, true, which[matrix], full);
        }
}

/* Without a word the matrix goes by the size. */
Test(video, matrix_by_size) {
    static const struct {
        int width, height, matrix;
    } sizes[] = {{720, 576, 601}, {1279, 719, 601}, {1280, 16, 709}, {16, 720, 709}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char header[64];
        samc_video_format is = SAMC_INIT(samc_video_format);
        samc_video *video;
        int size = snprintf(header, sizeof header, "YUV4MPEG2 W%d H%d\n", sizes[i].width, sizes[i].height);
        cr_assert_eq(open_bytes(header, (size_t)size, NULL, &video, NULL), SAMC_OK);
        samc_video_get_format(video, &is, NULL);
        cr_expect(is.matrix == sizes[i].matrix && is.layout == SAMC_VIDEO_420 && is.rate == 0);
        samc_video_close(video, NULL);
    }
}

/* What is written is what is read: of flat colours within what 8 bits of Y'CbCr tell apart. */
Test(video, written_and_read_again) {
    enum { W = 7, H = 6 };
    static const uint8_t colours[][3] = {{0, 0, 0},   {255, 255, 255}, {255, 0, 0},
                                         {0, 255, 0}, {0, 0, 255},     {12, 200, 99}};
    char path[] = "/tmp/samc-video-XXXXXX";
    close(mkstemp(path));
    for (int matrix = 601; matrix <= 709; matrix += 108)
        for (int full = 0; full < 2; full++) {
            const samc_video_format format = {.size = sizeof format,
                                              .width = W,
                                              .height = H,
                                              .rate = 24,
                                              .rate_scale = 1,
                                              .matrix = matrix,
                                              .full_range = full};
            samc_video *video;
            uint8_t rgb[W * H * 3];
            bool there;
            cr_assert_eq(samc_video_begin(path, &format, &video, NULL), SAMC_OK);
            for (int f = 0; f < 6; f++) {
                for (int i = 0; i < W * H; i++) memcpy(rgb + 3 * i, colours[f], 3);
                cr_assert_eq(samc_video_write(video, rgb, NULL), SAMC_OK);
            }
            cr_assert_eq(samc_video_close(video, NULL), SAMC_OK);
            cr_assert_eq(
                samc_video_open(path, &(samc_video_format){.size = sizeof format, .matrix = matrix}, &video, NULL),
                SAMC_OK);
            for (int f = 0; f < 6; f++) {
                cr_assert_eq(samc_video_read(video, rgb, &there, NULL), SAMC_OK);
                cr_assert(there);
                for (int i = 0; i < W * H * 3; i++)
                    cr_expect_leq(abs(rgb[i] - colours[f][i % 3]), 3, "%d: %d not %d", f, rgb[i], colours[f][i % 3]);
            }
            samc_video_close(video, NULL);
        }
    unlink(path);
}

/* A pipe gives bytes as they were written, and a header may come in two writes: here each is a message of a socket, and
 * a read takes one. */
Test(video, header_in_two_pieces) {
    static const char bytes[] = "YUV4MPEG2 W2 H2 Cmono XCOLORRANGE=FULL\nFRAME\nabcdFRAME Ip\nefgh";
    const size_t size = sizeof bytes - 1, header = strcspn(bytes, "\n") + 1;
    for (size_t first = 1; first <= header; first++) {
        int ends[2];
        samc_video *video;
        samc_error error = {0};
        uint8_t rgb[12];
        bool there;
        cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
        cr_assert_eq(write(ends[1], bytes, first), (ssize_t)first);
        cr_assert_eq(write(ends[1], bytes + first, size - first), (ssize_t)(size - first));
        close(ends[1]);
        cr_assert(dup2(ends[0], STDIN_FILENO) == STDIN_FILENO && close(ends[0]) == 0);
        cr_assert_eq(samc_video_open("-", NULL, &video, &error), SAMC_OK, "%zu: %s", first, error.message);
        for (int f = 0; f < 2; f++) {
            cr_assert_eq(samc_video_read(video, rgb, &there, &error), SAMC_OK, "%zu: %s", first, error.message);
            for (int i = 0; i < 12; i++) cr_assert_eq(rgb[i], "abcdefgh"[4 * f + i / 3]);
        }
        cr_assert(samc_video_read(video, rgb, &there, &error) == SAMC_OK && !there);
        samc_video_close(video, NULL);
    }
}

static samc_video *waiting;
static void stop_waiting(int number) {
    (void)number;
    samc_video_stop(waiting);
}

/* A signal's handler ends a read that waits for a pipe that says nothing. Where the read goes on, the alarm ends the
 * test. */
Test(video, stopped_by_a_signal) {
    const samc_video_format as = {.size = sizeof as, .width = 2, .height = 1};
    const struct sigaction action = {.sa_handler = stop_waiting};
    int ends[2];
    char path[32];
    uint8_t rgb[6];
    bool there = true;
    cr_assert_eq(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    cr_assert_eq(samc_video_open(path, &as, &waiting, NULL), SAMC_OK);
    sigaction(SIGUSR1, &action, NULL);
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        const struct timespec some = {0, 30000000}; /* by then it waits, most likely; if not, it does not begin */
        nanosleep(&some, NULL);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    alarm(300);
    cr_expect_eq(samc_video_read(waiting, rgb, &there, NULL), SAMC_OK);
    alarm(0);
    cr_expect_not(there);
    waitpid(child, NULL, 0);
    samc_video_close(waiting, NULL);
}

Test(video, raw) {
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
    const samc_video_format as = {.size = sizeof as, .width = 2, .height = 1, .rate = 10, .rate_scale = 1};
    samc_video *video;
    samc_error error = {0};
    uint8_t rgb[6];
    bool there;
    cr_assert_eq(open_bytes(bytes, sizeof bytes, &as, &video, NULL), SAMC_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(samc_video_read(video, rgb, &there, NULL), SAMC_OK);
        cr_expect(there && memcmp(rgb, bytes + 6 * i, 6) == 0);
    }
    cr_expect_eq(samc_video_read(video, rgb, &there, &error), SAMC_FORMAT);
    cr_expect(strstr(error.message, "frame 2 is cut off: 1 of 6 bytes") != NULL && !there, "%s", error.message);
    cr_expect_eq(samc_video_read(video, rgb, &there, &error), SAMC_OK); /* and that was the end */
    cr_expect_not(there);
    samc_video_close(video, NULL);
}

/* Headers and frames that are none; each has its reason in the message. */
Test(video, refused) {
    static const struct {
        const char *bytes;
        samc_status status;
        const char *why;
    } cases[] = {
        {"", SAMC_FORMAT, "empty"},
        {"RIFF....AVI LIST", SAMC_UNSUPPORTED, "not a y4m"},
        {"YUV4", SAMC_FORMAT, "ends within"},
        {"YUV4MPEG W1 H1\n", SAMC_UNSUPPORTED, "not a y4m"},
        {"YUV4MPEG2\n", SAMC_UNSUPPORTED, "not a y4m"},
        {"YUV4MPEG2 W2 H2", SAMC_FORMAT, "ends within"},
        {"YUV4MPEG2 W2\n", SAMC_UNSUPPORTED, "2 x 0 pixels"},
        {"YUV4MPEG2 W0 H0\n", SAMC_UNSUPPORTED, "0 x 0 pixels"},
        {"YUV4MPEG2 W-2 H2\n", SAMC_FORMAT, "'W-2'"},
        {"YUV4MPEG2 W2x H2\n", SAMC_FORMAT, "'W2x'"},
        {"YUV4MPEG2 W99999999999 H2\n", SAMC_FORMAT, "'W99999999999'"},
        {"YUV4MPEG2 W999999999 H999999999\n", SAMC_UNSUPPORTED, "a side has"},
        {"YUV4MPEG2 W16384 H16384\n", SAMC_UNSUPPORTED, "a frame"},
        {"YUV4MPEG2 W2 H2 F30\n", SAMC_FORMAT, "'F30'"},
        {"YUV4MPEG2 W2 H2 C420p10\n", SAMC_UNSUPPORTED, "'420p10'"},
        {"YUV4MPEG2 W2 H2 C411\n", SAMC_UNSUPPORTED, "'411'"},
    };
    samc_video *video;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc_error error = {0};
        cr_expect_eq(open_bytes(cases[i].bytes, strlen(cases[i].bytes), NULL, &video, &error), cases[i].status,
                     "%s: %s", cases[i].bytes, error.message);
        cr_expect(video == NULL && strstr(error.message, cases[i].why) != NULL, "%s: %s", cases[i].bytes,
                  error.message);
    }
    samc_error error = {0};
    char *long_line = malloc(5000);
    memset(long_line, 'X', 5000);
    memcpy(long_line, "YUV4MPEG2 ", 10);
    cr_expect_eq(open_bytes(long_line, 5000, NULL, &video, &error), SAMC_FORMAT);
    free(long_line);
    static const struct {
        const char *bytes, *why;
    } frames[] = {{"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFRAMES\nabcd", "frame 1 does not begin"},
                  {"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFRAM", "ends within"},
                  {"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFRAME\nab", "frame 1 is cut off: 2 of 4"},
                  {"YUV4MPEG2 W2 H2 Cmono\nFRAME\nabcdFRAME\n", "frame 1 is cut off: 0 of 4"}};
    for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
        uint8_t rgb[12];
        bool there;
        cr_assert_eq(open_bytes(frames[i].bytes, strlen(frames[i].bytes), NULL, &video, &error), SAMC_OK);
        cr_expect(samc_video_read(video, rgb, &there, &error) == SAMC_OK && there && rgb[0] == rgb[1]);
        cr_expect_eq(samc_video_read(video, rgb, &there, &error), SAMC_FORMAT);
        cr_expect(!there && strstr(error.message, frames[i].why) != NULL, "%s", error.message);
        samc_video_close(video, NULL);
    }
    cr_expect_eq(samc_video_open("/no/such/file", NULL, &video, &error), SAMC_IO);
    cr_expect_eq(samc_video_open(NULL, NULL, &video, &error), SAMC_INVALID_ARGUMENT);
    samc_video_format as = {.size = sizeof as, .width = 3};
    cr_expect_eq(samc_video_open("/dev/null", &as, &video, &error), SAMC_UNSUPPORTED);
    as = (samc_video_format){.size = sizeof as, .width = 3, .height = 3, .matrix = 5};
    cr_expect_eq(samc_video_open("/dev/null", &as, &video, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_video_begin("/no/such/file", &(samc_video_format){.size = sizeof as, .width = 3, .height = 3},
                                  &video, &error),
                 SAMC_IO);
    cr_expect_eq(samc_video_begin("/tmp/x", NULL, &video, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_video_read(NULL, NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
}

/* A pipe that gives nothing is let go of. */
Test(video, stopped) {
    int ends[2];
    char path[64];
    uint8_t rgb[12];
    bool there = true;
    samc_video *video;
    cr_assert_eq(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
    cr_assert_eq(write(ends[1], "YUV4MPEG2 W2 H2 Cmono\nFRA", 25), 25);
    cr_assert_eq(samc_video_open(path, NULL, &video, NULL), SAMC_OK);
    samc_video_stop(video);
    cr_expect_eq(samc_video_read(video, rgb, &there, NULL), SAMC_OK);
    cr_expect_not(there);
    samc_video_close(video, NULL);
    samc_video_stop(NULL);
    close(ends[0]);
    close(ends[1]);
}
