/* The process that images are decoded in may compute and nothing else: here its decoder is one that tries. */
#include <criterion/criterion.h>

#include "host/serve/internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* In place of the system's: after so many no more processes are to be had. */
static int forks_left = -1;

pid_t fork(void) {
    if (forks_left == 0) return errno = EAGAIN, -1;
    if (forks_left > 0) forks_left--;
    pid_t (*own)(void);
    *(void **)&own = dlsym(RTLD_NEXT, "fork");
    return own();
}

/* In place of the library's: nothing to prepare, and what the first word says. */
void samc_image_prepare(void) {}
samc_status samc_image_decode_with(const void *bytes, size_t size, const char *name, const samc_image_options *options,
                                   samc_image *image, samc_scale *applied, samc_error *error) {
    (void)name;
    char word[32] = "";
    memcpy(word, bytes, size < sizeof word - 1 ? size : sizeof word - 1);
    if (strcmp(word, "open") == 0) open("/etc/passwd", O_RDONLY);
    if (strcmp(word, "write") == 0 && write(STDERR_FILENO, "x", 1) < 0 && errno == EBADF) {
        strcpy(error->message, "nobody hears it");
        return SAMC_IO;
    }
    if (strcmp(word, "socket") == 0) socket(AF_INET, SOCK_STREAM, 0);
    if (strcmp(word, "fork") == 0) fork();
    if (strcmp(word, "exec") == 0) execl("/bin/true", "true", NULL);
    if (strcmp(word, "kill") == 0) kill(getppid(), SIGKILL);
    if (strcmp(word, "crash") == 0) abort();
    if (strcmp(word, "refuse") == 0) {
        error->status = SAMC_UNSUPPORTED;
        strcpy(error->message, "not such a file");
        return SAMC_UNSUPPORTED;
    }
    uint8_t *pixels = malloc(2 * 3 * 3);
    if (pixels == NULL) return SAMC_OUT_OF_MEMORY;
    if (strcmp(word, "memory") == 0) { /* more than it may have: a failure, not a machine without memory */
        free(pixels);
        pixels = malloc((size_t)6 << 30);
        if (pixels == NULL) return SAMC_OUT_OF_MEMORY;
    }
    for (int i = 0; i < 18; i++) pixels[i] = (uint8_t)(7 * i);
    *image = (samc_image){.size = sizeof *image, .pixels = pixels, .width = 2, .height = 3, .row_bytes = 6};
    if (strcmp(word, "large") == 0) image->width = 1 << 20, image->height = 1 << 20;
    if (strcmp(options->scale, "1,2") == 0) applied->name = "range", applied->low = 1, applied->high = 2;
    return SAMC_OK;
}

static samc_status decode(samc__decoders *d, const char *word, samc_image *image, samc_error *error) {
    *image = (samc_image)SAMC_INIT(samc_image);
    *error = (samc_error){0};
    const samc_image_options how = {.size = sizeof how, .most_pixels = 100};
    return samc__decoders_decode(d, word, strlen(word), &how, image, NULL, error);
}

Test(decoders, may_compute_and_nothing_else) {
    static const char *const tries[] = {"open", "socket", "fork", "exec", "kill", "crash", "large"};
    samc__decoders *d = NULL;
    samc_image image;
    samc_error error;
    cr_assert_eq(samc__decoders_start(&d, &error), SAMC_OK);
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        cr_expect_eq(decode(d, tries[i], &image, &error), SAMC_FORMAT, "%s: %s", tries[i], error.message);
        cr_expect_not_null(strstr(error.message, "decoder was stopped"), "%s: %s", tries[i], error.message);
    }
    cr_expect_eq(decode(d, "write", &image, &error), SAMC_IO); /* libraries that complain go on */
    cr_expect_str_eq(error.message, "nobody hears it");
    cr_expect_eq(decode(d, "memory", &image, &error), SAMC_OUT_OF_MEMORY);
    cr_expect_eq(decode(d, "refuse", &image, &error), SAMC_UNSUPPORTED);
    cr_expect_str_eq(error.message, "not such a file");
    const samc_image_options how = {.size = sizeof how, .most_pixels = 100, .scale = "1,2"};
    char scaled[SAMC__SCALED];
    cr_expect_eq(samc__decoders_decode(d, "", 0, &how, &image, NULL, &error), SAMC_FORMAT);
    cr_expect_eq(samc__decoders_decode(d, "fine", 4, &how, &image, scaled, &error), SAMC_OK);
    cr_expect_str_eq(scaled, "{\"name\": \"range\", \"low\": 1.0, \"high\": 2.0, \"samples\": \"u8\"}");
    free((void *)(uintptr_t)image.pixels);
    cr_assert_eq(decode(d, "fine", &image, &error), SAMC_OK, "%s", error.message); /* after all that */
    cr_expect(image.width == 2 && image.height == 3 && image.pixels[17] == 119);
    free((void *)(uintptr_t)image.pixels);
    samc__decoders_stop(d);
}

Test(decoders, say_when_there_is_no_process_to_be_had) {
    samc__decoders *d = NULL;
    samc_image image;
    samc_error error;
    forks_left = 1; /* that one is the nursery, which hands on what is left */
    cr_assert_eq(samc__decoders_start(&d, &error), SAMC_OK);
    forks_left = -1;
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(decode(d, "fine", &image, &error), SAMC_OUT_OF_MEMORY, "%s", error.message);
        cr_expect_not_null(strstr(error.message, "try again"), "%s", error.message);
    }
    cr_expect_not(samc__decoders_gone(d), "it may have some later");
    samc__decoders_stop(d);

    forks_left = 0;
    cr_assert_eq(samc__decoders_start(&d, &error), SAMC_IO);
    cr_expect_null(d);
}

Test(decoders, say_when_their_nursery_is_gone) {
    samc__decoders *d = NULL;
    samc_image image;
    samc_error error;
    siginfo_t end = {0};
    cr_assert_eq(samc__decoders_start(&d, &error), SAMC_OK);
    cr_expect_not(samc__decoders_gone(d));
    cr_assert_eq(kill(samc__decoders_process(d), SIGKILL), 0);
    cr_assert_eq(waitid(P_PID, (id_t)samc__decoders_process(d), &end, WEXITED | WNOWAIT), 0);
    cr_expect_eq(decode(d, "fine", &image, &error), SAMC_OUT_OF_MEMORY, "%s", error.message);
    cr_expect(samc__decoders_gone(d));
    samc__decoders_stop(d);
}
