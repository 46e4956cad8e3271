/* What clients may take: connections, requests in flight, memory, and time. One that trickles is cut off, however it
 * does so; when connections run out, the one that was silent the longest makes room. */
#include "host/serve/internal.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum {
    SLOWEST = 16 << 10, /* bytes a second of a body or a reply */
    SPARE = 16,         /* connections that are kept free, if need be by closing silent ones */
    OTHER_FILES = 64,   /* that the server has open beside connections */
    FILES_EACH = 4,     /* of a decoder at work */
    ENDED = 4,          /* times that the watch finds a body's end missing before it believes it */
    UNSENT = 256 << 10, /* bytes of a reply, twice, that the kernel may hold: what waits is on our account */
};

typedef struct address {
    unsigned char bytes[16]; /* of IPv6 the first eight, which are one network's; of IPv4 all, after ::ffff: */
    bool own;                /* this machine's */
} address;

struct samc__client {
    struct samc__client *newer, *older;
    address from;
    int socket;
    samc__phase phase;
    double until; /* seconds; 0: as long as it takes */
    int ended;    /* times in a row that the watch found nothing more to come, in the middle of a body */
};

static address address_of(const struct sockaddr *from) {
    address a = {0};
    if (from->sa_family == AF_INET6) {
        const struct in6_addr *six = &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
        a.own = IN6_IS_ADDR_LOOPBACK(six);
        memcpy(a.bytes, six, IN6_IS_ADDR_V4MAPPED(six) ? 16 : 8);
    } else if (from->sa_family == AF_INET) {
        const void *four = &((const struct sockaddr_in *)(const void *)from)->sin_addr;
        a.bytes[10] = a.bytes[11] = 0xff;
        memcpy(a.bytes + 12, four, 4);
        a.own = a.bytes[12] == 127;
    }
    return a;
}

/* With the lock held, as what follows. */
static void unlink_client(samc__clients *all, samc__client *c) {
    *(c->older != NULL ? &c->older->newer : &all->first) = c->newer;
    *(c->newer != NULL ? &c->newer->older : &all->last) = c->older;
    c->newer = c->older = NULL;
}

static void link_last(samc__clients *all, samc__client *c) {
    c->older = all->last;
    *(all->last != NULL ? &all->last->newer : &all->first) = c;
    all->last = c;
}

static int count_of(const samc__clients *all, const address *from, bool at_work) {
    int count = 0;
    for (const samc__client *c = all->first; c != NULL; c = c->newer)
        count += memcmp(c->from.bytes, from->bytes, sizeof from->bytes) == 0 && (!at_work || c->phase == SAMC__WORKS);
    return count;
}

/* HTTP's thread then finds it closed, and tells everybody else. */
static void hang_up(samc__client *c) {
    c->until = 0;
    shutdown(c->socket, SHUT_RDWR);
}

/* What an address may have: this machine's own are many clients, or a proxy's, unless a number was given. */
static int most_of(const address *from, int given, int usual) {
    return given > 0 ? given : from->own ? INT_MAX : usual;
}

enum MHD_Result samc__clients_accept(void *context, const struct sockaddr *from, socklen_t length) {
    enum { USUAL = 64 };
    samc__serve *serve = context;
    samc__clients *all = &serve->clients;
    const address a = address_of(from);
    (void)length;
    pthread_mutex_lock(&all->lock);
    const bool more = count_of(all, &a, false) < most_of(&a, serve->options.client_connections, USUAL);
    all->shed += !more;
    pthread_mutex_unlock(&all->lock);
    return more ? MHD_YES : MHD_NO;
}

static samc__client *client_new(struct MHD_Connection *connection, double until) {
    const union MHD_ConnectionInfo *from = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS),
                                   *fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    samc__client *c = from != NULL && fd != NULL ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) return NULL;
    c->from = address_of(from->client_addr);
    c->socket = fd->connect_fd;
    c->until = until;
    setsockopt(c->socket, SOL_SOCKET, SO_SNDBUF, &(int){UNSENT}, sizeof(int)); /* else what is usual there, MB */
    return c;
}

void samc__clients_notify(void *context, struct MHD_Connection *connection, void **own,
                          enum MHD_ConnectionNotificationCode code) {
    samc__serve *serve = context;
    samc__clients *all = &serve->clients;
    samc__client *c = *own;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *own = c = client_new(connection, samc__serve_seconds() + serve->options.idle_seconds);
        if (c == NULL) return; /* without memory nobody looks after it but MHD, which knows silence alone */
        pthread_mutex_lock(&all->lock);
        link_last(all, c);
        if (++all->count > all->most - SPARE) {
            samc__client *oldest = all->first;
            while (oldest != c && (oldest->phase != SAMC__IDLE || oldest->until == 0)) oldest = oldest->newer;
            if (oldest != c) hang_up(oldest), all->shed++;
        }
        pthread_mutex_unlock(&all->lock);
    } else if (c != NULL) { /* its socket is open still */
        pthread_mutex_lock(&all->lock);
        unlink_client(all, c);
        all->count--;
        pthread_mutex_unlock(&all->lock);
        free(c);
        *own = NULL;
    }
}

static samc__client *client_of(const samc__request *r) {
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void samc__client_at(samc__request *r, samc__phase phase, size_t bytes) {
    samc__clients *all = &r->serve->clients;
    samc__client *c = client_of(r);
    if (c == NULL) return;
    const double from = phase == SAMC__RECEIVES ? r->began : samc__serve_seconds();
    pthread_mutex_lock(&all->lock);
    if (phase != c->phase) {
        unlink_client(all, c);
        link_last(all, c);
    }
    c->phase = phase;
    c->ended = 0;
    c->until = phase == SAMC__WORKS ? 0 : from + r->serve->options.idle_seconds + (double)bytes / SLOWEST;
    pthread_mutex_unlock(&all->lock);
}

bool samc__client_may_ask(samc__request *r) {
    enum { USUAL = 32 };
    samc__clients *all = &r->serve->clients;
    const samc__client *c = client_of(r);
    if (c == NULL) return true;
    pthread_mutex_lock(&all->lock);
    const bool more = count_of(all, &c->from, true) < most_of(&c->from, r->serve->options.client_requests, USUAL);
    pthread_mutex_unlock(&all->lock);
    if (!more) samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too many requests of this client wait; try again");
    return more;
}

bool samc__request_hold(samc__request *r, size_t bytes) {
    samc__clients *all = &r->serve->clients;
    if (bytes > r->held) {
        const size_t more = bytes - r->held, before = atomic_fetch_add(&all->bytes, more);
        if (before + more > r->serve->options.waiting_bytes && before > r->held) { /* one alone always fits */
            atomic_fetch_sub(&all->bytes, more);
            samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "too much waits already; try again");
            return false;
        }
    } else atomic_fetch_sub(&all->bytes, r->held - bytes);
    r->held = bytes;
    return true;
}

void samc__request_hold_pixels(samc__request *r, size_t bytes) {
    const bool less = bytes < r->pixels;
    if (less) atomic_fetch_sub(&r->serve->clients.pixels, r->pixels - bytes);
    else atomic_fetch_add(&r->serve->clients.pixels, bytes - r->pixels);
    r->pixels = bytes;
    if (less) samc__stages_room(r->serve);
}

/* ---- Time ------------------------------------------------------------------------------------ */

/* Whether its client ended, and all that it sent was read. libmicrohttpd hears of both at once when they come at once,
 * takes the bytes, and waits for more that cannot come. */
static bool ended(const samc__client *c) {
    char byte;
    const ssize_t got = recv(c->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

/* HTTP's thread may be about to answer what it read: it has several seconds for it. */
static bool breaks_off(samc__client *c) {
    c->ended = c->phase == SAMC__RECEIVES && c->until != 0 && ended(c) ? c->ended + 1 : 0;
    return c->ended == ENDED;
}

static void *watch(void *context) {
    samc__clients *all = context;
    pthread_mutex_lock(&all->lock);
    while (!all->stopping) {
        struct timespec next;
        const double now = samc__serve_seconds();
        for (samc__client *c = all->first; c != NULL; c = c->newer) {
            if (breaks_off(c)) hang_up(c);
            else if (c->until != 0 && now > c->until) hang_up(c), all->cut++;
        }
        clock_gettime(CLOCK_MONOTONIC, &next);
        next.tv_sec++;
        pthread_cond_timedwait(&all->stop, &all->lock, &next);
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

/* As many as there can be files, which the system may allow fewer of than it would. */
static int possible(int wanted, int decoders) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return wanted;
    const rlim_t needed = (rlim_t)(wanted + OTHER_FILES + FILES_EACH * decoders);
    if (files.rlim_cur < needed) {
        files.rlim_cur = files.rlim_max < needed ? files.rlim_max : needed;
        setrlimit(RLIMIT_NOFILE, &files);
        getrlimit(RLIMIT_NOFILE, &files);
    }
    if (files.rlim_cur >= needed) return wanted;
    const long left = (long)files.rlim_cur - OTHER_FILES - FILES_EACH * decoders;
    return left > 2 * SPARE ? (int)left : 2 * SPARE;
}

samc_status samc__clients_start(samc__serve *serve, samc_error *error) {
    enum { DECODERS = 2 };
    samc__clients *all = &serve->clients;
    pthread_condattr_t forward;
    pthread_condattr_init(&forward);
    pthread_condattr_setclock(&forward, CLOCK_MONOTONIC);
    pthread_mutex_init(&all->lock, NULL);
    pthread_cond_init(&all->stop, &forward);
    pthread_condattr_destroy(&forward);
    all->most = possible(serve->options.connections, DECODERS);
    all->watched = pthread_create(&all->watch, NULL, watch, all) == 0;
    if (all->watched) return SAMC_OK;
    *error = (samc_error){SAMC_OUT_OF_MEMORY, "no threads for a server"};
    return SAMC_OUT_OF_MEMORY;
}

void samc__clients_stop(samc__serve *serve) {
    samc__clients *all = &serve->clients;
    if (!all->watched) return;
    pthread_mutex_lock(&all->lock);
    all->stopping = true;
    pthread_cond_signal(&all->stop);
    pthread_mutex_unlock(&all->lock);
    pthread_join(all->watch, NULL);
    pthread_cond_destroy(&all->stop);
    pthread_mutex_destroy(&all->lock);
    all->watched = false;
}
