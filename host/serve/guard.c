/* Who may ask: the Host header, so that no page can reach a local server by a name of its own (DNS rebinding); Origin,
 * so that no other page can; the body's type, which a form cannot send; the token. */
#include "host/serve/base64.h"
#include "host/serve/internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_TOKEN = 4096 };

static void add_host(samc__guard *g, const char *name, int port) {
    const char *colon = strchr(name, ':'); /* one is before a port, several are an address of IPv6 */
    const bool six = colon != NULL && strchr(colon + 1, ':') != NULL && *name != '[';
    if (g->host_count + 2 > (int)(sizeof g->hosts / sizeof *g->hosts)) return;
    char *host = g->hosts[g->host_count++];
    snprintf(host, sizeof *g->hosts, six ? "[%s]:%d" : "%s:%d", name, port);
    snprintf(g->hosts[g->host_count++], sizeof *g->hosts, six ? "[%s]" : "%s",
             name); /* behind a proxy, or at port 80 */
}

void samc__guard_init(samc__guard *g, const samc__serve_options *o, int port) {
    g->host_count = 0;
    g->token = o->token;
    g->origins = o->origins;
    add_host(g, "127.0.0.1", port);
    add_host(g, "localhost", port);
    add_host(g, "::1", port);
    add_host(g, o->address, port);
    for (int i = 0; i < SAMC__SERVE_HOSTS && o->hosts[i] != NULL; i++) add_host(g, o->hosts[i], port);
}

static bool known_host(const samc__guard *g, const char *host) {
    for (int i = 0; i < g->host_count; i++)
        if (strcasecmp(host, g->hosts[i]) == 0) return true;
    return false;
}

static bool allowed_origin(const samc__guard *g, const char *origin) {
    for (int i = 0; g->origins[i] != NULL; i++)
        if (strcmp(origin, g->origins[i]) == 0) return true;
    return false;
}

static bool known_origin(const samc__guard *g, const char *origin) {
    if (allowed_origin(g, origin)) return true;
    const char *host = strncmp(origin, "http://", 7) == 0    ? origin + 7
                       : strncmp(origin, "https://", 8) == 0 ? origin + 8
                                                             : NULL;
    return host != NULL && known_host(g, host);
}

/* In a time that depends on the lengths alone. */
static bool same(const char *given, size_t length, const char *token) {
    const size_t own = strlen(token);
    unsigned different = length != own;
    for (size_t i = 0; i < length; i++) different |= (unsigned)(given[i] ^ token[own == 0 ? 0 : i % own]);
    return different == 0;
}

/* The password of Basic credentials, "user:password" in base 64; its length, or -1. */
static long basic_password(const char *text, char out[MOST_TOKEN]) {
    const long used = samc__base64_read(text, strlen(text), out, MOST_TOKEN);
    const char *colon = used > 0 ? memchr(out, ':', (size_t)used) : NULL;
    if (colon == NULL) return -1;
    const long skip = colon - out + 1;
    memmove(out, colon + 1, (size_t)(used - skip));
    return used - skip;
}

/* As Bearer, as Django's "Token", as the password of Basic, or in a header "Token": labelling tools differ. */
static bool shows_token(const samc__guard *g, const samc__request *r) {
    const char *header = samc__request_header(r, "Authorization"), *plain = samc__request_header(r, "Token");
    char password[MOST_TOKEN];
    if (plain != NULL) return same(plain, strlen(plain), g->token);
    if (header == NULL || strlen(header) > MOST_TOKEN) return false;
    if (strncasecmp(header, "Bearer ", 7) == 0) return same(header + 7, strlen(header + 7), g->token);
    if (strncasecmp(header, "Token ", 6) == 0) return same(header + 6, strlen(header + 6), g->token);
    if (strncasecmp(header, "Basic ", 6) != 0) return false;
    const long length = basic_password(header + 6, password);
    return length >= 0 && same(password, (size_t)length, g->token);
}

static bool trusts(const samc__serve_options *o, const samc__request *r) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    unsigned char own[16] = {[10] = 0xff, [11] = 0xff};
    if (info == NULL || info->client_addr == NULL) return false;
    if (info->client_addr->sa_family == AF_INET)
        memcpy(own + 12, &((const struct sockaddr_in *)(const void *)info->client_addr)->sin_addr, 4);
    else if (info->client_addr->sa_family == AF_INET6)
        memcpy(own, &((const struct sockaddr_in6 *)(const void *)info->client_addr)->sin6_addr, 16);
    else return false;
    for (int i = 0; i < o->trusted_count; i++) {
        const samc__network *n = &o->trusted[i];
        const int whole = n->bits / 8, rest = n->bits % 8;
        if (memcmp(own, n->address, (size_t)whole) == 0 &&
            (rest == 0 || (own[whole] ^ n->address[whole]) >> (8 - rest) == 0))
            return true;
    }
    return false;
}

/* What a form of another page cannot send without the browser asking first. */
static bool known_type(const char *type) {
    static const char *const types[] = {"application/json", "application/octet-stream", "application/dicom", "image/",
                                        NULL};
    for (int i = 0; types[i] != NULL; i++) {
        const size_t length = strlen(types[i]);
        if (strncasecmp(type, types[i], length) == 0 &&
            (types[i][length - 1] == '/' || type[length] == '\0' || type[length] == ';' || type[length] == ' '))
            return true;
    }
    return false;
}

/* Without the token, which a browser does not show yet. The origin itself stands on every reply to it. */
bool samc__guard_preflight(const samc__guard *g, samc__request *r, const char *method) {
    const char *host = samc__request_header(r, "Host"), *origin = samc__request_header(r, "Origin");
    if (strcmp(method, "OPTIONS") != 0 || host == NULL || !known_host(g, host) || origin == NULL ||
        !allowed_origin(g, origin))
        return false;
    samc__reply_header(r, "Access-Control-Allow-Methods", "GET, POST, PUT, DELETE");
    samc__reply_header(r, "Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, Token");
    samc__reply_header(r, "Access-Control-Max-Age", "600");
    if (samc__request_header(r, "Access-Control-Request-Private-Network") != NULL)
        samc__reply_header(r, "Access-Control-Allow-Private-Network", "true");
    samc__reply_bytes(r, MHD_HTTP_NO_CONTENT, "text/plain", NULL, 0);
    return true;
}

bool samc__guard_let_in(const samc__guard *g, samc__request *r) {
    const char *host = samc__request_header(r, "Host"), *origin = samc__request_header(r, "Origin"),
               *type = samc__request_header(r, "Content-Type");
    const bool asks_for_more = strcmp(r->route->method, "GET") != 0 && strcmp(r->route->method, "DELETE") != 0;
    if (host == NULL || !known_host(g, host)) {
        samc__reply_error(r, MHD_HTTP_MISDIRECTED_REQUEST,
                          "the Host header is not a name of this server (--host NAME)");
    } else if (origin != NULL && !known_origin(g, origin)) {
        samc__reply_error(r, MHD_HTTP_FORBIDDEN, "pages of this origin may not ask (--allow-origin ORIGIN)");
    } else if (g->token != NULL && r->route->open != true && !shows_token(g, r) &&
               !(r->route->open == SAMC__TRUSTS && trusts(&r->serve->options, r))) {
        samc__reply_header(r, "WWW-Authenticate", "Basic realm=\"samc\", charset=\"UTF-8\"");
        samc__reply_error(r, MHD_HTTP_UNAUTHORIZED, "the token is missing or wrong");
    } else if (asks_for_more && !(type == NULL && r->route->open == SAMC__TYPELESS && origin == NULL) &&
               (type == NULL || !known_type(type))) {
        samc__reply_error(
            r, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
            "the body is to be application/json, application/octet-stream, application/dicom or image/..., not "
            "%.80s",
            type == NULL ? "of no type" : type);
    }
    return r->reply.status == 0;
}
