/* samc, the command line: finds the subcommand and hands over. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "host/cli/cli.h"

static const char help[] = "samc - the Segment Anything Model as an inference engine\n"
                           "\n"
                           "Usage: samc COMMAND [OPTIONS]\n"
                           "\n"
                           "  segment   cut out what points, boxes or masks name in an image\n"
                           "  auto      find every mask of images, folders and archives of them\n"
                           "  text      cut out what phrases name, in images and archives of them\n"
                           "  volume    follow objects through the slices of a CT or an MR, NIfTI or DICOM\n"
                           "  stream    masks of the frames of a camera or a video\n"
                           "  embed     encode an image once, to segment it often\n"
                           "  serve     a page to click in, and the engine for other programs, over HTTP\n"
                           "  bench     time every stage on this machine\n"
                           "  convert   turn a PyTorch checkpoint into a safetensors model\n"
                           "  info      say what this machine and a model can do\n"
                           "\n"
                           "'samc COMMAND --help' explains a command. 'samc --version' prints the version.\n"
                           "Example: samc segment photo.jpg --point 320,240 -o out\n"
                           "Exit codes: 0 success, 1 failure, 2 wrong usage.\n";

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    {"segment", samc__cmd_segment}, {"auto", samc__cmd_auto},   {"text", samc__cmd_text},
    {"embed", samc__cmd_embed},     {"bench", samc__cmd_bench}, {"convert", samc__cmd_convert},
    {"info", samc__cmd_info},       {"serve", samc__cmd_serve}, {"stream", samc__cmd_stream},
    {"volume", samc__cmd_volume},
};

#ifndef SAMC_SERVE
int samc__cmd_serve(int argc, char **argv) {
    (void)argc, (void)argv;
    return samc__cli_fail("this build has no server: libmicrohttpd was not there when it was configured");
}
#endif

/* A descriptor from 0 to 2 that came closed is opened before any file can get its number: a progress line must not end
 * up in a journal. Opened the wrong way round, so that reading or writing through it fails as through a closed one. */
static bool open_standard_descriptors(void) {
    for (int descriptor = 0; descriptor <= STDERR_FILENO; descriptor++) {
        if (fcntl(descriptor, F_GETFD) >= 0) continue;
        if (open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY) != descriptor) return false;
    }
    return true;
}

int main(int argc, char **argv) {
    if (!open_standard_descriptors()) return SAMC__EXIT_FAILURE; /* and there is nowhere to say so */
    /* A reader that went away is an error to report, not a reason to die between two files. */
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        fputs("samc: no command given (see 'samc --help')\n", stderr);
        return SAMC__EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        fputs(help, stdout);
        return fflush(stdout) == 0 ? SAMC__EXIT_OK : SAMC__EXIT_FAILURE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("samc %s\n", samc_version());
        return fflush(stdout) == 0 ? SAMC__EXIT_OK : SAMC__EXIT_FAILURE;
    }
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "samc: unknown command '%s' (see 'samc --help')\n", argv[1]);
    return SAMC__EXIT_USAGE;
}
