/* samc serve: the engine behind HTTP, until it is told to stop. */
#include "host/cli/phrases.h"
#include "host/serve/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "Usage: samc serve [DIR] [OPTIONS]\n"
    "\n"
    "Serves a page to click in, at http://127.0.0.1:8765/, and an interface for programs (/openapi.json).\n"
    "Ends what runs and stops on an interrupt or SIGTERM. With a folder its images, and those of the\n"
    "folders below it, are labelled on the page.\n"
    "\n"
    "      --annotations FILE  what is labelled, as COCO, read and written (default:\n"
    "                        DIR/annotations.coco.json)\n"
    "      --classes A,B,C   classes that are there from the beginning\n"
    "      --listen ADDRESS  where to listen (default: 127.0.0.1, this machine alone); elsewhere needs\n"
    "                        --token-file\n"
    "      --port N          0 to 65535 (default: 8765; 0: any that is free)\n"
    "      --token-file FILE what requests have to show, in its first line: as Bearer, as Token, as the\n"
    "                        password of Basic, or in a header Token\n"
    "      --host NAME       a name, with its port if it is not the usual one, that the server is reached by\n"
    "                        beside its address (a proxy's); may be given several times\n"
    "      --allow-origin O  a page of another server that may ask, such as https://example.org; may be\n"
    "                        given several times\n"
    "      --cache SIZE      images that are kept, with their embeddings (default: 1G)\n"
    "      --cache-dir DIR   keeps embeddings there too, so that images sent again, or asked for by their id,\n"
    "                        are not encoded again, after a restart neither; a folder of this user alone\n"
    "      --cache-disk SIZE of it (default: 4G)\n"
    "      --max-pixels N    of an image (default: 67108864)\n"
    "      --max-body SIZE   of a request (default: 32M)\n"
    "      --detector FILE   OWLv2 or CLIPSeg, as 'samc text' takes them: finds what phrases name\n"
    "      --fetch-host HOST[:PORT]\n"
    "                        where images may be fetched from that Label Studio names; its own first. Without\n"
    "                        PORT at public addresses alone; may be given several times\n"
    "      --label-studio-token-file FILE\n"
    "                        what the first --fetch-host wants to be shown, in its first line\n"
    "      --media-root DIR  files that Label Studio may name, as its local files\n"
    "      --trust CIDR      addresses whose CVAT shows no token, such as 172.16.0.0/12; may be given several times\n"
    "      --sessions N      prompts that are decoded at a time, 1 to 8; each takes memory of its own (default: 2\n"
    "                        on a CPU of several threads, else 1)\n"
    "      --queue N         requests that may wait for a stage before others are sent away (default: 64)\n"
    "      --waiting SIZE    of bodies and replies in memory, and again of images before they are encoded,\n"
    "                        before others are sent away or wait (default: 512M)\n"
    "      --connections N   at a time (default: 1024)\n"
    "      --client-connections N, --client-requests N\n"
    "                        of one address, at a time (default: 64 and 32; this machine's own: no limit)\n"
    "      --patience N      seconds for who sends or takes nothing, or little (default: 30)\n"
    "\n"
    "Example: samc serve --model sam_vit_b.safetensors\n";

enum { LISTEN = SAMC__CLI_OWN, PORT, TOKEN_FILE, HOST, ORIGIN, CACHE, MAX_PIXELS, MAX_BODY, QUEUE, WAITING };
enum { CONNECTIONS = WAITING + 1, CLIENT_CONNECTIONS, CLIENT_REQUESTS, PATIENCE, CACHE_DIR, CACHE_DISK, DETECTOR };
enum { FETCH_HOST = DETECTOR + 1, MEDIA_ROOT, STUDIO_TOKEN, TRUST, ANNOTATIONS, CLASSES, SESSIONS };

/* Bytes as "512M", "2G" or a plain number; false where it is none, or beyond 2^50. */
static bool size_of(const char *text, size_t *bytes) {
    char *end;
    if (*text < '0' || *text > '9') return false;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    const int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    if (shift > 0) end++;
    if (errno != 0 || *end != '\0' || number == 0 || number > ((unsigned long long)1 << 50 >> shift)) return false;
    *bytes = (size_t)number << shift;
    return true;
}

/* The first line of the file, which others had better not be able to read. */
static samc_status read_token(const char *path, char token[SAMC__SERVE_TOKEN + 2], samc_error *error) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return samc__cli_error(error, SAMC_IO, "%s: %s", path, strerror(errno));
    const bool read = fgets(token, SAMC__SERVE_TOKEN + 2, file) != NULL;
    fclose(file);
    if (read) token[strcspn(token, "\r\n")] = '\0';
    if (!read || strlen(token) < 8 || strlen(token) > SAMC__SERVE_TOKEN)
        return samc__cli_error(error, SAMC_FORMAT, "%s: its first line is to be a token of 8 to %d characters", path,
                               SAMC__SERVE_TOKEN);
    return SAMC_OK;
}

static bool is_loopback(const char *address) { return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0; }

static samc_status open_detector(const samc__cli *cli, const char *path, samc_detector **detector, samc_error *error) {
    samc_detector_info info = SAMC_INIT(samc_detector_info);
    if (path == NULL) return SAMC_OK;
    SAMC__TRY(samc__cli_detector_open(cli, path, detector, &info, error));
    return samc__cli_detector_finds(path, &info, error);
}

/* The folder that is labelled. */
typedef struct labels {
    const char *path, *annotations, *classes;
} labels;

static samc_status open_folder(const samc__cli *cli, const labels *l, samc__folder **folder, samc_error *error) {
    if (l->path == NULL) return SAMC_OK;
    const samc_status status = samc__folder_open(l->path, l->annotations, l->classes, folder, error);
    if (status != SAMC_OK) return status;
    const samc__folder *f = *folder;
    samc__cli_note(cli, "%s: %zu images; annotations in %s", l->path, f->count, f->annotations_path);
    if (f->outside > 0)
        samc__cli_note(cli, "%s: %zu left out: links that lead out of the folder, or names not in UTF-8", l->path,
                       f->outside);
    if (!f->writable)
        samc__cli_note(cli, "%s cannot be written: nothing is saved (--annotations FILE)", f->annotations_path);
    return SAMC_OK;
}

static samc_status serve(const samc__cli *cli, const char *detector_path, const labels *labels,
                         samc__serve_options *options, samc_error *error) {
    char model_path[4096];
    samc_model *model = NULL;
    samc_detector *detector = NULL;
    samc__serve *server = NULL;
    sigset_t signals;
    int port = 0, number;
    if (!samc__cli_find_model(cli, model_path, error)) return SAMC_IO;
    /* Every thread inherits the mask: signals are for sigwait() alone. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    samc_status status = samc__serve_prepare(&server, error);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (status == SAMC_OK) status = open_folder(cli, labels, &options->folder, error);
    if (status == SAMC_OK) status = samc__cli_open_model(cli, model_path, &model, error);
    options->model = model;
    if (status == SAMC_OK) status = open_detector(cli, detector_path, &detector, error);
    options->detector = detector;
    if (status == SAMC_OK) status = samc__serve_start(server, options, &port, error);
    if (status == SAMC_OK) {
        const bool six = strchr(options->address, ':') != NULL;
        samc__cli_note(cli, "http://%s%s%s:%d/ (%s)", six ? "[" : "", options->address, six ? "]" : "", port,
                       model_path);
        sigwait(&signals, &number);
        samc__cli_note(cli, "stopping");
    }
    samc__serve_stop(server);
    samc_detector_close(detector);
    samc_model_close(model);
    samc__folder_close(options->folder);
    return status;
}

int samc__cmd_serve(int argc, char **argv) {
    static const struct option table[] = {{"listen", required_argument, NULL, LISTEN},
                                          {"port", required_argument, NULL, PORT},
                                          {"token-file", required_argument, NULL, TOKEN_FILE},
                                          {"host", required_argument, NULL, HOST},
                                          {"allow-origin", required_argument, NULL, ORIGIN},
                                          {"cache", required_argument, NULL, CACHE},
                                          {"max-pixels", required_argument, NULL, MAX_PIXELS},
                                          {"max-body", required_argument, NULL, MAX_BODY},
                                          {"queue", required_argument, NULL, QUEUE},
                                          {"sessions", required_argument, NULL, SESSIONS},
                                          {"waiting", required_argument, NULL, WAITING},
                                          {"connections", required_argument, NULL, CONNECTIONS},
                                          {"client-connections", required_argument, NULL, CLIENT_CONNECTIONS},
                                          {"client-requests", required_argument, NULL, CLIENT_REQUESTS},
                                          {"cache-dir", required_argument, NULL, CACHE_DIR},
                                          {"cache-disk", required_argument, NULL, CACHE_DISK},
                                          {"patience", required_argument, NULL, PATIENCE},
                                          {"detector", required_argument, NULL, DETECTOR},
                                          {"fetch-host", required_argument, NULL, FETCH_HOST},
                                          {"media-root", required_argument, NULL, MEDIA_ROOT},
                                          {"label-studio-token-file", required_argument, NULL, STUDIO_TOKEN},
                                          {"trust", required_argument, NULL, TRUST},
                                          {"annotations", required_argument, NULL, ANNOTATIONS},
                                          {"classes", required_argument, NULL, CLASSES},
                                          SAMC__CLI_COMMON};
    samc__cli cli = samc__cli_begin("serve", help);
    samc__serve_options options = samc__serve_defaults();
    const char *token_file = NULL, *detector = NULL, *studio_file = NULL;
    char token[SAMC__SERVE_TOKEN + 2], studio_token[SAMC__SERVE_TOKEN + 2];
    labels labels = {0};
    struct stat s;
    int hosts = 0, origins = 0, fetches = 0;
    size_t size;
    samc_error error;
    for (int option; (option = samc__cli_next(&cli, argc, argv, "", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return cli.exit_code;
        if (option == LISTEN) options.address = optarg;
        if (option == PORT && !samc__cli_integer(optarg, 0, 65535, &options.port))
            return samc__cli_usage(&cli, "--port is a whole number from 0 to 65535, not '%s'", optarg);
        if (option == ANNOTATIONS) labels.annotations = optarg;
        if (option == CLASSES) labels.classes = optarg;
        if (option == TOKEN_FILE) token_file = optarg;
        if (option == DETECTOR) detector = optarg;
        if (option == MEDIA_ROOT) options.media_root = optarg;
        if (option == STUDIO_TOKEN) studio_file = optarg;
        if (option == FETCH_HOST) {
            if (fetches == SAMC__SERVE_HOSTS - 1) return samc__cli_usage(&cli, "more than %d of --fetch-host", fetches);
            if (!samc__fetch_host_valid(optarg))
                return samc__cli_usage(&cli, "--fetch-host is HOST or HOST:PORT, not '%s'", optarg);
            options.fetch_hosts[fetches++] = optarg;
        }
        if (option == TRUST) {
            if (options.trusted_count == SAMC__SERVE_HOSTS)
                return samc__cli_usage(&cli, "more than %d of --trust", SAMC__SERVE_HOSTS);
            if (!samc__network_read(optarg, &options.trusted[options.trusted_count++]))
                return samc__cli_usage(&cli, "--trust is addresses such as 10.0.0.0/8 or ::1, not '%s'", optarg);
        }
        if (option == HOST) {
            if (hosts == SAMC__SERVE_HOSTS - 1) return samc__cli_usage(&cli, "more than %d of --host", hosts);
            options.hosts[hosts++] = optarg;
        }
        if (option == ORIGIN) {
            if (origins == SAMC__SERVE_ORIGINS - 1)
                return samc__cli_usage(&cli, "more than %d of --allow-origin", origins);
            if (strncmp(optarg, "http://", 7) != 0 && strncmp(optarg, "https://", 8) != 0)
                return samc__cli_usage(&cli, "--allow-origin is such as https://example.org, not '%s'", optarg);
            options.origins[origins++] = optarg;
        }
        if (option == CACHE && !size_of(optarg, &options.embedding_bytes))
            return samc__cli_usage(&cli, "--cache is a size such as 512M or 2G, not '%s'", optarg);
        if (option == MAX_BODY && !size_of(optarg, &options.body_bytes))
            return samc__cli_usage(&cli, "--max-body is a size such as 32M, not '%s'", optarg);
        if (option == MAX_PIXELS) {
            if (!size_of(optarg, &size) || size > (size_t)SAMC_IMAGE_MOST_PIXELS)
                return samc__cli_usage(&cli, "--max-pixels is a number up to %lld, not '%s'",
                                       (long long)SAMC_IMAGE_MOST_PIXELS, optarg);
            options.max_pixels = (int64_t)size;
        }
        if (option == CACHE_DIR) options.cache_dir = optarg;
        if (option == CACHE_DISK && !size_of(optarg, &options.cache_disk))
            return samc__cli_usage(&cli, "--cache-disk is a size such as 4G, not '%s'", optarg);
        if (option == WAITING && !size_of(optarg, &options.waiting_bytes))
            return samc__cli_usage(&cli, "--waiting is a size such as 512M, not '%s'", optarg);
        if (option == CONNECTIONS && !samc__cli_integer(optarg, 64, 100000, &options.connections))
            return samc__cli_usage(&cli, "--connections is a whole number from 64 to 100000, not '%s'", optarg);
        if (option == CLIENT_CONNECTIONS && !samc__cli_integer(optarg, 1, 100000, &options.client_connections))
            return samc__cli_usage(&cli, "--client-connections is a whole number from 1 to 100000, not '%s'", optarg);
        if (option == CLIENT_REQUESTS && !samc__cli_integer(optarg, 1, 100000, &options.client_requests))
            return samc__cli_usage(&cli, "--client-requests is a whole number from 1 to 100000, not '%s'", optarg);
        if (option == PATIENCE && !samc__cli_integer(optarg, 1, 3600, &options.idle_seconds))
            return samc__cli_usage(&cli, "--patience is a whole number from 1 to 3600, not '%s'", optarg);
        if (option == SESSIONS && !samc__cli_integer(optarg, 1, SAMC__SERVE_SESSIONS, &options.sessions))
            return samc__cli_usage(&cli, "--sessions is a whole number from 1 to %d, not '%s'", SAMC__SERVE_SESSIONS,
                                   optarg);
        if (option == QUEUE && !samc__cli_integer(optarg, 1, 100000, &options.queue))
            return samc__cli_usage(&cli, "--queue is a whole number from 1 to 100000, not '%s'", optarg);
    }
    if (argc > optind) labels.path = argv[optind++];
    if (argc != optind) return samc__cli_usage(&cli, "unknown argument '%s'", argv[optind]);
    if (labels.path == NULL && (labels.annotations != NULL || labels.classes != NULL))
        return samc__cli_usage(&cli, "--annotations and --classes belong to a folder: samc serve DIR");
    if (token_file == NULL && !is_loopback(options.address))
        return samc__cli_usage(&cli, "--listen %s lets other machines in: give --token-file FILE", options.address);
    if (token_file != NULL) {
        if (read_token(token_file, token, &error) != SAMC_OK) return samc__cli_fail(error.message);
        options.token = token;
    }
    if (options.media_root != NULL && (stat(options.media_root, &s) != 0 || !S_ISDIR(s.st_mode)))
        return samc__cli_usage(&cli, "--media-root %s: not a folder", options.media_root);
    if (studio_file != NULL) {
        if (read_token(studio_file, studio_token, &error) != SAMC_OK) return samc__cli_fail(error.message);
        options.studio_token = studio_token;
    }
    if (serve(&cli, detector, &labels, &options, &error) != SAMC_OK) return samc__cli_fail(error.message);
    return SAMC__EXIT_OK;
}
