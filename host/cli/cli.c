/* Shared parts of the command line: options that every subcommand has, messages, the default model. */
#include "host/cli/cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_MODEL "samc-tiny.safetensors"
enum { PATH_ROOM = 4096 };

static const char common_help[] =
    "\n"
    "Common options:\n"
    "  --model FILE          safetensors written by 'samc convert', a PyTorch .pth checkpoint, or Hugging\n"
    "                        Face's model.safetensors, its index or its folder (default: the installed\n"
    "                        " DEFAULT_MODEL ")\n"
    "  --backend NAME        auto, ref, cpu or cuda (default: auto, the fastest one here)\n"
    "  --precision NAME      auto, f32, f16, bf16 or int8 (default: auto, f32 on a CPU, int8 there for\n"
    "                        files of 8 bits, bf16 on a GPU)\n"
    "  --threads N           1 to 256 (default: one for each processor)\n"
    "  --device NAME         cpu, or cuda for a GPU: cuda:N or N which one, from 0 (default: cuda:0 where there is "
    "one); samc auto\n"
    "                        also takes a list such as 0,1, or all\n"
    "      --cudnn           on a GPU: let cuDNN, where it is installed, compute the 3x3 convolution\n"
    "      --set NAME=VALUE  something of the model's own, which 'samc info' names; may be given several times\n"
    "      --recipe NAME     what lies between pixels and encoder and between logits and masks, where the\n"
    "                        file does not say it: sam, medsam, micro-sam, or FILE.json\n"
    "      --image-size N    side of the images that the encoder gets, of models whose tensors do not tell it\n"
    "  -q, --quiet           no progress on standard error, errors only\n"
    "      --version         print the version and exit\n"
    "  -h, --help            print this and exit\n"
    "\n"
    "Exit codes: 0 success, 1 failure (bad file, full disk, ...), 2 wrong usage. An error is one line on\n"
    "standard error.\n";

/* File names and decoders' messages may hold line breaks; an error is one line all the same. */
static void print_line(const char *text) {
    size_t length = strlen(text);
    char *line = malloc(length + 1);
    if (line == NULL) {
        fputs("out of memory", stderr);
    } else {
        for (size_t i = 0; i <= length; i++) line[i] = text[i] != '\0' && (unsigned char)text[i] < ' ' ? ' ' : text[i];
        fputs(line, stderr);
    }
    free(line);
}

int samc__cli_fail(const char *message) {
    fputs("samc: ", stderr);
    print_line(message);
    fputc('\n', stderr);
    return SAMC__EXIT_FAILURE;
}

int samc__cli_usage(const samc__cli *cli, const char *format, ...) {
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fprintf(stderr, "samc %s: ", cli->command);
    print_line(message);
    fprintf(stderr, " (see 'samc %s --help')\n", cli->command);
    return SAMC__EXIT_USAGE;
}

void samc__cli_note(const samc__cli *cli, const char *format, ...) {
    if (cli->quiet) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

samc_options samc__cli_options(const samc__cli *cli) {
    samc_options options = cli->options;
    options.settings = cli->settings;
    return options;
}

samc_status samc__cli_open_model(const samc__cli *cli, const char *path, samc_model **model, samc_error *error) {
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_machine machine = SAMC_INIT(samc_machine);
    char slow[160];
    samc_options options = samc__cli_options(cli);
    SAMC__TRY(samc_model_open(path, &options, model, error));
    samc_model_get_info(*model, &info);
    if (info.backend_note[0] != '\0') { /* only then is the machine worth a look */
        samc_get_machine(&machine);
        if (cli->asked_auto || (machine.cuda_built && machine.cuda_driver))
            samc__cli_note(cli, "%s", info.backend_note);
    }
    if (info.file_note[0] != '\0') samc__cli_note(cli, "%s: %s", path, info.file_note);
    if (samc__cli_slow(&info, slow)) samc__cli_note(cli, "%s: %s", path, slow);
    return SAMC_OK;
}

double samc__cli_encode_seconds(const samc_model_info *info) {
    /* What the encoder was seen to reach, rounded: f32 on one core of today's CPUs, the plain loops of `ref`, bf16 on a
     * data centre's GPU. */
    double rate = info->backend == SAMC_BACKEND_CUDA  ? 100e12
                  : info->backend == SAMC_BACKEND_REF ? 1e9 * info->threads
                                                      : 40e9 * info->threads;
    return info->encode_flops / rate;
}

bool samc__cli_slow(const samc_model_info *info, char text[160]) {
    double seconds = samc__cli_encode_seconds(info);
    if (seconds < 60) return false;
    snprintf(text, 160,
             "a large model for this machine: %.1f TFLOP, about %.*f minutes, to encode any image, however small",
             info->encode_flops * 1e-12, seconds < 600, seconds / 60);
    return true;
}

samc_status samc__cli_open_models(const samc__cli *cli, const char *path, samc_model **models, int *count,
                                  samc_error *error) {
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_machine machine = SAMC_INIT(samc_machine);
    for (int i = 0; i < SAMC__CLI_DEVICES; i++) models[i] = NULL;
    samc_get_machine(&machine);
    *count = 1;
    SAMC__TRY(samc__cli_open_model(cli, path, &models[0], error));
    samc_model_get_info(models[0], &info);
    if (info.backend != SAMC_BACKEND_CUDA) return SAMC_OK;
    int wanted = cli->device_count >= 0                     ? cli->device_count
                 : machine.cuda_devices < SAMC__CLI_DEVICES ? machine.cuda_devices
                                                            : SAMC__CLI_DEVICES;
    samc_options options = samc__cli_options(cli);
    options.backend = SAMC_BACKEND_CUDA; /* none of them may turn out to be the CPU */
    for (; *count < wanted; ++*count) {
        options.device = cli->device_count >= 0 ? cli->devices[*count] : *count;
        SAMC__TRY(samc_model_open(path, &options, &models[*count], error));
    }
    return SAMC_OK;
}

void samc__cli_note_session(const samc__cli *cli, const samc_session *session) {
    if (session != NULL && samc_session_note(session)[0] != '\0') samc__cli_note(cli, "%s", samc_session_note(session));
}

bool samc__cli_integer(const char *text, int least, int most, int *value) {
    size_t length = strlen(text);
    if (length == 0 || length > 9 || strspn(text, "0123456789") != length) return false;
    *value = atoi(text);
    return *value >= least && *value <= most;
}

bool samc__cli_same_file(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

samc__cli samc__cli_begin(const char *command, const char *help) {
    samc__cli cli = {.command = command, .help = help, .options.size = sizeof cli.options};
    samc_default_options(&cli.options);
    return cli;
}

static const char *const precisions[] = {"auto", "f32",  "f16",
                                         "bf16", "int8", NULL}; /* in the order of samc_precision */

const char *samc__cli_precision(samc_precision precision) { return precisions[precision]; }

/* Index of `name` in a list that ends with NULL; -1 where it is not in there. */
static int index_of(const char *name, const char *const *names) {
    for (int i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

/* PyTorch's names "cpu", "cuda", "cuda:1"; "1"; where several may be given also "0,1" or "all". */
static bool parse_devices(samc__cli *cli, const char *text) {
    cli->device_count = 0;
    cli->place = strcmp(text, "cpu") == 0        ? SAMC__CLI_ON_CPU
                 : strncmp(text, "cuda", 4) == 0 ? SAMC__CLI_ON_GPU
                                                 : SAMC__CLI_ANY_DEVICE;
    if (cli->place == SAMC__CLI_ON_CPU || strcmp(text, "cuda") == 0) return true;
    if (cli->place == SAMC__CLI_ON_GPU) {
        cli->device_count = 1;
        return text[4] == ':' && samc__cli_integer(text + 5, 0, 9999, &cli->devices[0]);
    }
    cli->device_count = -1;
    if (cli->many_devices && strcmp(text, "all") == 0) return true;
    for (cli->device_count = 0; cli->device_count < (cli->many_devices ? SAMC__CLI_DEVICES : 1);) {
        char number[8] = "";
        size_t length = strcspn(text, ",");
        int *device = &cli->devices[cli->device_count];
        if (length < sizeof number) memcpy(number, text, length);
        if (!samc__cli_integer(number, 0, 9999, device)) return false;
        for (int i = 0; i < cli->device_count; i++)
            if (cli->devices[i] == *device) return false;
        cli->device_count++;
        text += length;
        if (*text++ == '\0') return true;
    }
    return false;
}

static bool both_scales(samc__cli *cli) {
    cli->exit_code = samc__cli_usage(cli, "--scale and --window say the same thing: one of them");
    return false;
}

/* Returns false where the program is to stop, with the exit code set. */
static bool common_option(samc__cli *cli, int option) {
    static const char *const backends[] = {"auto", "ref", "cpu", "cuda", NULL}; /* in the order of samc_backend */
    static char window[80];
    int index;
    samc_error error = {0};
    cli->exit_code = SAMC__EXIT_OK;
    switch (option) {
    case SAMC__CLI_MODEL:
        cli->model = optarg;
        return true;
    case SAMC__CLI_BACKEND:
        index = index_of(optarg, backends);
        cli->asked_backend = true;
        cli->options.backend = (samc_backend)index;
        cli->asked_auto = index == SAMC_BACKEND_AUTO;
        if (index < 0) cli->exit_code = samc__cli_usage(cli, "--backend is auto, ref, cpu or cuda, not '%s'", optarg);
        return index >= 0;
    case SAMC__CLI_PRECISION:
        index = index_of(optarg, precisions);
        cli->options.precision = (samc_precision)index;
        if (index < 0)
            cli->exit_code = samc__cli_usage(cli, "--precision is auto, f32, f16, bf16 or int8, not '%s'", optarg);
        return index >= 0;
    case SAMC__CLI_THREADS:
        if (samc__cli_integer(optarg, 1, 256, &cli->options.threads)) return true;
        cli->exit_code = samc__cli_usage(cli, "--threads is a whole number from 1 to 256, not '%s'", optarg);
        return false;
    case SAMC__CLI_DEVICE:
        if (parse_devices(cli, optarg)) return true;
        cli->exit_code = samc__cli_usage(
            cli, "--device is %s, not '%s'",
            cli->many_devices ? "cpu, cuda, cuda:N or a list of GPUs (0 to 9999) such as 0,1 without repetition, or all"
                              : "cpu, cuda, cuda:N or the number of one GPU (0 to 9999)",
            optarg);
        return false;
    case SAMC__CLI_CUDNN:
        cli->options.cudnn = true;
        return true;
    case SAMC__CLI_SET:
        if (strchr(optarg, '=') == NULL || *optarg == '=')
            cli->exit_code = samc__cli_usage(cli, "--set is NAME=VALUE, not '%s'", optarg);
        else if (cli->setting_count == SAMC__CLI_SETTINGS)
            cli->exit_code = samc__cli_usage(cli, "more than %d of --set", SAMC__CLI_SETTINGS);
        else cli->settings[cli->setting_count++] = optarg;
        return cli->exit_code == SAMC__EXIT_OK;
    case SAMC__CLI_RECIPE:
        cli->options.recipe = optarg;
        return true;
    case SAMC__CLI_SCALE:
        if (cli->windowed) return both_scales(cli);
        cli->scale = optarg;
        if (samc_scale_check(optarg, &error) == SAMC_OK) return true;
        cli->exit_code = samc__cli_usage(cli, "--scale: %s", error.message);
        return false;
    case SAMC__CLI_WINDOW: /* as long as the process, as all arguments are */
        if (cli->scale != NULL && !cli->windowed) return both_scales(cli);
        snprintf(window, sizeof window, "window:%s", optarg);
        cli->scale = window;
        cli->windowed = true;
        if (strlen(optarg) < 64 && samc_scale_check(window, &error) == SAMC_OK) return true;
        cli->exit_code = samc__cli_usage(cli, "--window: %s", error.message[0] ? error.message : "it is too long");
        return false;
    case SAMC__CLI_PAGE:
        if (samc__cli_integer(optarg, 0, 999999, &cli->page)) return true;
        cli->exit_code = samc__cli_usage(cli, "--page is a whole number from 0 to 999999, not '%s'", optarg);
        return false;
    case SAMC__CLI_IMAGE_SIZE:
        if (samc__cli_integer(optarg, 16, 8192, &cli->options.image_size)) return true;
        cli->exit_code = samc__cli_usage(cli, "--image-size is a whole number from 16 to 8192, not '%s'", optarg);
        return false;
    case 'q':
        cli->quiet = true;
        return true;
    case SAMC__CLI_VERSION:
        printf("samc %s\n", samc_version());
        return false;
    default: /* 'h' */
        fputs(cli->help, stdout);
        fputs(common_help, stdout);
        return false;
    }
}

/* --device cpu or cuda says the backend, in whichever order they come. False with the exit code set where --backend
 * says another. */
static bool settle_device(samc__cli *cli) {
    const samc_backend asked = cli->asked_backend ? cli->options.backend : SAMC_BACKEND_AUTO;
    if (cli->device_count > 0) cli->options.device = cli->devices[0];
    cli->exit_code = SAMC__EXIT_OK;
    if (cli->place == SAMC__CLI_ANY_DEVICE) return true;
    bool on_cpu = cli->place == SAMC__CLI_ON_CPU;
    if (asked != SAMC_BACKEND_AUTO && on_cpu == (asked == SAMC_BACKEND_CUDA)) {
        cli->exit_code =
            samc__cli_usage(cli, "--device %s and --backend %s contradict each other", on_cpu ? "cpu" : "cuda",
                            asked == SAMC_BACKEND_CUDA  ? "cuda"
                            : asked == SAMC_BACKEND_CPU ? "cpu"
                                                        : "ref");
        return false;
    }
    if (asked == SAMC_BACKEND_AUTO) cli->options.backend = on_cpu ? SAMC_BACKEND_CPU : SAMC_BACKEND_CUDA;
    return true;
}

/* The option as it was written, for messages; `before` is optind as it was. */
static const char *option_name(char **argv, int before) {
    return *argv[optind - 1] == '\0' ? argv[optind - 2] : argv[optind > before ? optind - 1 : before];
}

int samc__cli_next(samc__cli *cli, int argc, char **argv, const char *letters, const struct option *table) {
    char shorts[32];
    snprintf(shorts, sizeof shorts, ":%sqh", letters); /* the colon: missing arguments are reported as ':' */
    opterr = 0;
    for (;;) {
        int before = optind, option = getopt_long(argc, argv, shorts, table, NULL);
        if (option == ':') {
            cli->exit_code = samc__cli_usage(cli, "%s needs an argument", argv[optind - 1]);
            return SAMC__CLI_STOP;
        }
        if (option == '?') {
            const char *given = argv[optind > before ? optind - 1 : before];
            cli->exit_code = samc__cli_usage(cli, "unknown or misused option '%s'", given);
            return SAMC__CLI_STOP;
        }
        if (optarg != NULL && *optarg == '\0') { /* a variable of a script that was never set */
            cli->exit_code = samc__cli_usage(cli, "%s needs an argument that is not empty", option_name(argv, before));
            return SAMC__CLI_STOP;
        }
        if (option == -1 && !settle_device(cli)) return SAMC__CLI_STOP;
        bool common = option == 'q' || option == 'h' || (option > SAMC__CLI_STOP && option < SAMC__CLI_OWN);
        if (!common) return option;
        if (!common_option(cli, option)) return SAMC__CLI_STOP;
    }
}

int samc__cli_print_json(json_t *object) {
    if (object == NULL) return samc__cli_fail("out of memory");
    int failed = json_dumpf(object, stdout, JSON_REAL_PRECISION(9));
    json_decref(object);
    if (failed != 0 || fputc('\n', stdout) == EOF || fflush(stdout) != 0)
        return samc__cli_fail("cannot write to standard output");
    return SAMC__EXIT_OK;
}

json_t *samc__cli_text(const char *text) {
    char *clean = samc_text_utf8(text);
    json_t *json = clean ? json_string(clean) : NULL;
    samc_io_free(clean);
    return json;
}

samc_status samc__cli_load_image(const samc__cli *cli, const char *path, int64_t most_pixels, samc_image *image,
                                 samc_scale *applied, samc_error *error) {
    const samc_image_options options = {
        .size = sizeof options, .most_pixels = most_pixels, .scale = cli->scale, .page = cli->page};
    return samc_image_load_with(path, &options, image, applied, error);
}

void samc__cli_add_scale(json_t *object, const samc_scale *scale) {
    char json[160];
    if (scale->name != NULL && samc_scale_json(scale, json, NULL) == SAMC_OK)
        json_object_set_new(object, "scale", json_loads(json, 0, NULL));
}

json_t *samc__cli_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }

samc_status samc__cli_error(samc_error *error, samc_status status, const char *format, ...) {
    if (error == NULL) return status;
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- The default model ----------------------------------------------------------------------- */

bool samc__cli_find_model(const samc__cli *cli, char *path, samc_error *error) {
    if (cli->model != NULL) {
        if (snprintf(path, PATH_ROOM, "%s", cli->model) < PATH_ROOM) return true;
        samc__cli_error(error, SAMC_INVALID_ARGUMENT, "the name of the model is too long");
        return false;
    }
    char program[PATH_ROOM], installed[PATH_ROOM + 64] = "";
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) {
        program[length] = '\0';
        *strrchr(program, '/') = '\0';
        snprintf(installed, sizeof installed, "%s/../share/samc/" DEFAULT_MODEL, program);
        if (access(installed, R_OK) == 0 && strlen(installed) < PATH_ROOM) {
            strcpy(path, installed);
            return true;
        }
    }
    snprintf(path, PATH_ROOM, "%s", SAMC_DEFAULT_MODEL_DIR "/" DEFAULT_MODEL);
    if (access(path, R_OK) == 0) return true;
    samc__cli_error(error, SAMC_IO, "no --model given, and no default model at %s or %s", installed, path);
    return false;
}
