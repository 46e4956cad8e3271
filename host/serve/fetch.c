/* Addresses by libcurl, which is loaded when somebody wants it: with all that it needs it would otherwise make every
 * start of the program slower. Files by openat2(). */
#include "host/serve/fetch.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef SAMC_CURL
#include <curl/curl.h>
#endif

static samc_status fail(samc_error *error, samc_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->status = status;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

/* ---- Rules ----------------------------------------------------------------------------------- */

/* The part of a rule that is the host, with its brackets; *port: 0 where it has none, -1 where that is no number. */
static size_t split(const char *rule, int *port) {
    const char *close = *rule == '[' ? strchr(rule, ']') : NULL;
    const size_t length = close != NULL ? (size_t)(close + 1 - rule) : strcspn(rule, ":");
    const char *rest = rule + length;
    *port = 0;
    if (*rest == '\0') return length;
    const size_t digits = strspn(rest + 1, "0123456789");
    *port = *rest == ':' && digits > 0 && digits < 6 && rest[1 + digits] == '\0' ? atoi(rest + 1) : -1;
    if (*port < 1 || *port > 65535) *port = -1;
    return length;
}

bool samc__fetch_host_valid(const char *rule) {
    int port;
    const size_t length = split(rule, &port);
    if (port < 0 || length == 0 || length > 255) return false;
    if (*rule == '[') { /* an IPv6 address, closed; the least is [::] */
        char address[INET6_ADDRSTRLEN];
        struct in6_addr parsed;
        if (rule[length - 1] != ']' || length - 2 >= sizeof address) return false;
        memcpy(address, rule + 1, length - 2);
        address[length - 2] = '\0';
        return inet_pton(AF_INET6, address, &parsed) == 1;
    }
    return strspn(rule, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") >= length;
}

bool samc__network_read(const char *text, samc__network *network) {
    char address[64];
    const char *slash = strchr(text, '/');
    const size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    int bits = 128;
    if (length >= sizeof address) return false;
    memcpy(address, text, length);
    address[length] = '\0';
    memset(network, 0, sizeof *network);
    const bool four = inet_pton(AF_INET, address, network->address + 12) == 1;
    if (four) network->address[10] = network->address[11] = 0xff;
    else if (inet_pton(AF_INET6, address, network->address) != 1) return false;
    if (slash != NULL) {
        const size_t digits = strspn(slash + 1, "0123456789");
        if (digits < 1 || digits > 3 || slash[1 + digits] != '\0') return false;
        bits = atoi(slash + 1) + (four ? 96 : 0);
    }
    network->bits = bits;
    return bits <= 128;
}

static bool in4(uint32_t address, uint32_t net, int bits) { return (address ^ net) >> (32 - bits) == 0; }

static bool public4(uint32_t a) {
    static const struct {
        uint32_t net;
        int bits;
    } others[] = {
        {0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},  {0xa9fe0000, 16},
        {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24}, {0xc0586300, 24}, {0xc0a80000, 16},
        {0xc6120000, 15}, {0xc6336400, 24}, {0xcb007100, 24}, {0xe0000000, 3} /* multicast and reserved */
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (in4(a, others[i].net, others[i].bits)) return false;
    return true;
}

static uint32_t four_at(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* 2000::/3 is what is given out; some of it holds IPv4 addresses, which count as what they are. */
static bool public6(const uint8_t b[16]) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff},
                         translated[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(b, mapped, 12) == 0 || memcmp(b, translated, 12) == 0) return public4(four_at(b + 12));
    if (b[0] >> 5 != 1) return false;
    if (b[0] == 0x20 && b[1] == 0x02) return public4(four_at(b + 2));       /* 6to4 */
    if (b[0] == 0x20 && b[1] == 0x01 && (b[2] & 0xfe) == 0) return false;   /* Teredo and special uses */
    return !(b[0] == 0x20 && b[1] == 0x01 && b[2] == 0x0d && b[3] == 0xb8); /* documentation */
}

bool samc__fetch_is_public(const struct sockaddr *address) {
    if (address->sa_family == AF_INET)
        return public4(ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr));
    if (address->sa_family == AF_INET6)
        return public6(((const struct sockaddr_in6 *)(const void *)address)->sin6_addr.s6_addr);
    return false;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static samc_status read_whole(int file, size_t size, void **bytes, size_t *used, samc_error *error) {
    char *to = malloc(size + 1);
    size_t got = 0;
    if (to == NULL) return fail(error, SAMC_OUT_OF_MEMORY, "no memory for the file");
    while (got < size) {
        const ssize_t n = read(file, to + got, size - got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break; /* it became shorter: what is there is no image then */
        got += (size_t)n;
    }
    *bytes = to;
    *used = got;
    return SAMC_OK;
}

samc_status samc__fetch_file(const char *root, const char *path, size_t most, void **bytes, size_t *size,
                             samc_error *error) {
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                                 .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    struct stat s;
    const int folder = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return fail(error, SAMC_IO, "the folder of --media-root cannot be opened");
    const long file = syscall(SYS_openat2, folder, path, &how, sizeof how);
    close(folder);
    if (file < 0) return fail(error, SAMC_FORMAT, "there is no file '%.200s' below --media-root", path);
    samc_status status = SAMC_OK;
    if (fstat((int)file, &s) != 0 || !S_ISREG(s.st_mode))
        status = fail(error, SAMC_FORMAT, "'%.200s' is not a file", path);
    else if (s.st_size < 1 || (uintmax_t)s.st_size > most)
        status =
            fail(error, SAMC_FORMAT, "'%.200s' has %lld bytes; 1 to %zu are taken", path, (long long)s.st_size, most);
    else status = read_whole((int)file, (size_t)s.st_size, bytes, size, error);
    close((int)file);
    return status;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

#ifdef SAMC_CURL

static struct {
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_perform)(CURL *);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    void (*slist_free_all)(struct curl_slist *);
    void (*release)(void *);
    CURLU *(*url)(void);
    CURLUcode (*url_set)(CURLU *, CURLUPart, const char *, unsigned);
    CURLUcode (*url_get)(CURLU *, CURLUPart, char **, unsigned);
    void (*url_cleanup)(CURLU *);
} curl;
static bool loaded;

samc_status samc__fetch_start(samc_error *error) {
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    static const struct {
        const char *name;
        void *to;
    } calls[] = {{"curl_global_init", &curl.global_init},
                 {"curl_easy_init", &curl.easy_init},
                 {"curl_easy_setopt", &curl.easy_setopt},
                 {"curl_easy_perform", &curl.easy_perform},
                 {"curl_easy_getinfo", &curl.easy_getinfo},
                 {"curl_easy_cleanup", &curl.easy_cleanup},
                 {"curl_easy_strerror", &curl.easy_strerror},
                 {"curl_slist_append", &curl.slist_append},
                 {"curl_slist_free_all", &curl.slist_free_all},
                 {"curl_free", &curl.release},
                 {"curl_url", &curl.url},
                 {"curl_url_set", &curl.url_set},
                 {"curl_url_get", &curl.url_get},
                 {"curl_url_cleanup", &curl.url_cleanup}};
    void *library = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return fail(error, SAMC_UNSUPPORTED, "--fetch-host takes libcurl, which is not there");
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        void *call = dlsym(library, calls[i].name);
        if (call == NULL) return fail(error, SAMC_UNSUPPORTED, "libcurl has no %s", calls[i].name);
        memcpy(calls[i].to, &call, sizeof call);
    }
    loaded = curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return loaded ? SAMC_OK : fail(error, SAMC_OUT_OF_MEMORY, "libcurl cannot be used");
}

/* An address taken apart by the library that connects: nobody else reads it otherwise. */
typedef struct parts {
    CURLU *handle;
    char *scheme, *host, *port;
} parts;

static void parts_free(parts *p) {
    curl.release(p->scheme);
    curl.release(p->host);
    curl.release(p->port);
    curl.url_cleanup(p->handle);
}

static bool parts_of(const char *url, parts *p) {
    *p = (parts){.handle = loaded ? curl.url() : NULL};
    if (p->handle == NULL) return false;
    const bool good = curl.url_set(p->handle, CURLUPART_URL, url, CURLU_DISALLOW_USER) == CURLUE_OK &&
                      curl.url_get(p->handle, CURLUPART_SCHEME, &p->scheme, 0) == CURLUE_OK &&
                      (strcmp(p->scheme, "http") == 0 || strcmp(p->scheme, "https") == 0) &&
                      curl.url_get(p->handle, CURLUPART_HOST, &p->host, 0) == CURLUE_OK && strlen(p->host) < 256 &&
                      curl.url_get(p->handle, CURLUPART_PORT, &p->port, CURLU_DEFAULT_PORT) == CURLUE_OK;
    if (!good) parts_free(p);
    return good;
}

bool samc__fetch_origin(const char *url, char origin[SAMC__ORIGIN]) {
    parts p;
    if (!parts_of(url, &p)) return false;
    snprintf(origin, SAMC__ORIGIN, "%s://%s:%s", p.scheme, p.host, p.port);
    for (char *c = origin; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z') *c = (char)(*c - 'A' + 'a');
    parts_free(&p);
    return true;
}

/* One transfer. */
typedef struct transfer {
    const samc__fetch_rules *rules;
    bool anywhere; /* the rule names the port */
    bool refused;  /* an address was not public */
    char *bytes;
    size_t used, room, most;
    bool large, memory;
} transfer;

/* The rule that allows it. */
static bool allowed(const samc__fetch_rules *rules, const parts *p, bool *anywhere) {
    const bool usual = strcmp(p->port, strcmp(p->scheme, "http") == 0 ? "80" : "443") == 0;
    bool found = false;
    *anywhere = false;
    for (int i = 0; rules->hosts[i] != NULL; i++) {
        int port;
        const size_t length = split(rules->hosts[i], &port);
        if (strlen(p->host) != length || strncasecmp(p->host, rules->hosts[i], length) != 0) continue;
        if (port == 0 ? !usual : port != atoi(p->port)) continue;
        found = true;
        *anywhere |= port != 0;
    }
    return found;
}

bool samc__fetch_matches(const char *rule, const char *url) {
    const samc__fetch_rules one = {.hosts = (const char *const[]){rule, NULL}};
    bool anywhere;
    parts p;
    if (!parts_of(url, &p)) return false;
    const bool found = allowed(&one, &p, &anywhere);
    parts_free(&p);
    return found;
}

static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address) {
    transfer *t = context;
    (void)purpose;
    if (!t->anywhere && !samc__fetch_is_public(&address->addr)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static int keep_on(void *context, curl_off_t down, curl_off_t of, curl_off_t up, curl_off_t to) {
    const samc__fetch_rules *rules = ((const transfer *)context)->rules;
    (void)down, (void)of, (void)up, (void)to;
    return rules->stop != NULL && rules->stop(rules->context);
}

static size_t take(char *data, size_t one, size_t count, void *context) {
    transfer *t = context;
    const size_t size = one * count;
    if (size > t->most - t->used) {
        t->large = true;
        return 0;
    }
    if (t->used + size > t->room) {
        const size_t room = 2 * t->room + size;
        char *grown = realloc(t->bytes, room);
        t->memory = grown == NULL;
        if (grown == NULL) return 0;
        t->bytes = grown;
        t->room = room;
    }
    memcpy(t->bytes + t->used, data, size);
    t->used += size;
    return size;
}

static void set_up(CURL *easy, const samc__fetch_rules *rules, const parts *p, transfer *t) {
    curl.easy_setopt(easy, CURLOPT_CURLU, p->handle);
    curl.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl.easy_setopt(easy, CURLOPT_PROXY, "");
    curl.easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)(rules->seconds < 15 ? rules->seconds : 15));
    curl.easy_setopt(easy, CURLOPT_TIMEOUT, (long)rules->seconds);
    curl.easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl.easy_setopt(easy, CURLOPT_OPENSOCKETDATA, t);
    curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl.easy_setopt(easy, CURLOPT_WRITEDATA, t);
    curl.easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl.easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, keep_on);
    curl.easy_setopt(easy, CURLOPT_XFERINFODATA, t);
    curl.easy_setopt(easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)rules->most);
}

static samc_status outcome(CURL *easy, CURLcode code, const parts *p, transfer *t, samc_error *error) {
    long status = 0;
    curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_ABORTED_BY_CALLBACK) return fail(error, SAMC_STOPPED, "nobody waits for the image any more");
    if (t->refused && code != CURLE_OK) /* else another of its addresses was public, and was taken */
        return fail(error, SAMC_INVALID_ARGUMENT,
                    "%.200s is at an address that is not public; name it with its port (--fetch-host HOST:PORT)",
                    p->host);
    if (t->large || code == CURLE_FILESIZE_EXCEEDED)
        return fail(error, SAMC_FORMAT, "%.200s sends more than the %zu bytes that are taken", p->host, t->most);
    if (t->memory) return fail(error, SAMC_OUT_OF_MEMORY, "no memory for the image");
    if (code != CURLE_OK) return fail(error, SAMC_FORMAT, "%.200s: %s", p->host, curl.easy_strerror(code));
    if (status >= 300 && status < 400)
        return fail(error, SAMC_FORMAT, "%.200s answers with a redirect (%ld), which is not followed", p->host, status);
    if (status != 200) return fail(error, SAMC_FORMAT, "%.200s answers with %ld", p->host, status);
    return t->used > 0 ? SAMC_OK : fail(error, SAMC_FORMAT, "%.200s answers with nothing", p->host);
}

static samc_status transfer_all(const samc__fetch_rules *rules, const parts *p, const char *token, transfer *t,
                                samc_error *error) {
    CURL *easy = curl.easy_init();
    struct curl_slist *headers = NULL;
    char line[SAMC__SERVE_TOKEN + 32];
    if (easy == NULL) return fail(error, SAMC_OUT_OF_MEMORY, "no memory for a connection");
    set_up(easy, rules, p, t);
    if (token != NULL) {
        snprintf(line, sizeof line, "Authorization: Token %.*s", SAMC__SERVE_TOKEN, token);
        headers = curl.slist_append(NULL, line);
        curl.easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    }
    const CURLcode code = curl.easy_perform(easy);
    const samc_status status = outcome(easy, code, p, t, error);
    curl.easy_cleanup(easy);
    curl.slist_free_all(headers);
    return status;
}

samc_status samc__fetch_get(const samc__fetch_rules *rules, const char *url, const char *token, void **bytes,
                            size_t *size, samc_error *error) {
    parts p;
    transfer t = {.rules = rules, .most = rules->most};
    if (!loaded) return fail(error, SAMC_INVALID_ARGUMENT, "images are fetched from nowhere (--fetch-host HOST:PORT)");
    if (!parts_of(url, &p))
        return fail(error, SAMC_INVALID_ARGUMENT, "the image's address is not one of http or https");
    samc_status status =
        allowed(rules, &p, &t.anywhere)
            ? transfer_all(rules, &p, token, &t, error)
            : fail(error, SAMC_INVALID_ARGUMENT, "images are not fetched from %.200s:%s (--fetch-host %.200s:%s)",
                   p.host, p.port, p.host, p.port);
    parts_free(&p);
    if (status != SAMC_OK) {
        free(t.bytes);
        return status;
    }
    *bytes = t.bytes;
    *size = t.used;
    return SAMC_OK;
}

#else

samc_status samc__fetch_start(samc_error *error) {
    return fail(error, SAMC_UNSUPPORTED, "this build fetches nothing: libcurl was not there when it was configured");
}

bool samc__fetch_matches(const char *rule, const char *url) {
    (void)rule, (void)url;
    return false;
}

bool samc__fetch_origin(const char *url, char origin[SAMC__ORIGIN]) {
    (void)url;
    origin[0] = '\0';
    return false;
}

samc_status samc__fetch_get(const samc__fetch_rules *rules, const char *url, const char *token, void **bytes,
                            size_t *size, samc_error *error) {
    (void)rules, (void)url, (void)token, (void)bytes, (void)size;
    return fail(error, SAMC_UNSUPPORTED, "this build fetches no addresses");
}

#endif
