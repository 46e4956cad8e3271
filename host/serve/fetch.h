/* What a tool names instead of sending it: addresses that were allowed, and files below a folder. */
#ifndef SAMC_HOST_SERVE_FETCH_H
#define SAMC_HOST_SERVE_FETCH_H

#include "host/serve/serve.h"

#include <sys/socket.h>

enum { SAMC__ORIGIN = 300 }; /* "https://name:65535" */

/* Once, before there are threads; SAMC_UNSUPPORTED: this build has no libcurl. */
samc_status samc__fetch_start(samc_error *error);

/* "http://name:80" of an http or https address, in lower case, with its port; false where it is none, or says a user or
 * a password. */
bool samc__fetch_origin(const char *url, char origin[SAMC__ORIGIN]);

/* Whether anybody may reach the address: not this machine, not its network, nothing reserved. */
bool samc__fetch_is_public(const struct sockaddr *address);

/* Whether a rule allows an address. */
bool samc__fetch_matches(const char *rule, const char *url);

typedef struct samc__fetch_rules {
    const char *const *hosts; /* ended by NULL */
    size_t most;              /* bytes */
    int seconds;
    bool (*stop)(void *context); /* asked about once a second: whether nobody wants it any more; or NULL */
    void *context;
} samc__fetch_rules;

/* GET of an address whose host is among the rules'. One with a port is for that port, at any address; one without is
 * for the usual ports, at public addresses. The address that was looked at is the one that is connected to; redirects
 * are answers like others, which are no success; no proxy is asked. `token`, or NULL, goes along as Authorization:
 * Token. *bytes: to be freed. SAMC_INVALID_ARGUMENT: a rule forbids it. SAMC_STOPPED: by rules->stop. */
samc_status samc__fetch_get(const samc__fetch_rules *rules, const char *url, const char *token, void **bytes,
                            size_t *size, samc_error *error);

/* A regular file below a folder: no link and no ".." leads out of it, whoever changes it meanwhile. */
samc_status samc__fetch_file(const char *root, const char *path, size_t most, void **bytes, size_t *size,
                             samc_error *error);

#endif
