/* Which addresses images are fetched from, and until when. */
#include "host/serve/fetch.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

static bool is_public(const char *text) {
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) return samc__fetch_is_public((const struct sockaddr *)&four);
    cr_assert_eq(inet_pton(AF_INET6, text, &six.sin6_addr), 1, "%s", text);
    return samc__fetch_is_public((const struct sockaddr *)&six);
}

Test(fetch, addresses_that_are_public) {
    static const char *const others[] = {"0.0.0.0",
                                         "0.1.2.3",
                                         "10.0.0.1",
                                         "10.255.255.255",
                                         "100.64.0.1",
                                         "100.127.255.255",
                                         "127.0.0.1",
                                         "127.1.2.3",
                                         "169.254.169.254",
                                         "172.16.0.1",
                                         "172.31.255.255",
                                         "192.0.0.1",
                                         "192.0.2.1",
                                         "192.88.99.1",
                                         "192.168.0.1",
                                         "198.18.0.1",
                                         "198.19.255.255",
                                         "198.51.100.1",
                                         "203.0.113.1",
                                         "224.0.0.1",
                                         "239.255.255.255",
                                         "240.0.0.1",
                                         "255.255.255.255",
                                         "::",
                                         "::1",
                                         "::127.0.0.1",
                                         "::ffff:127.0.0.1",
                                         "::ffff:10.0.0.1",
                                         "::ffff:0:8.8.8.8",
                                         "64:ff9b::127.0.0.1",
                                         "64:ff9b::10.0.0.1",
                                         "64:ff9b:1::8.8.8.8",
                                         "100::1",
                                         "fc00::1",
                                         "fd00::1",
                                         "fe80::1",
                                         "fec0::1",
                                         "ff02::1",
                                         "2001::1",
                                         "2001:10::1",
                                         "2001:db8::1",
                                         "2002:7f00:1::",
                                         "2002:a00:1::",
                                         "2002:c0a8:1::"};
    static const char *const all[] = {
        "1.1.1.1",        "9.255.255.255",   "11.0.0.0",    "100.63.255.255",  "100.128.0.0",    "126.255.255.255",
        "128.0.0.0",      "169.253.255.255", "169.255.0.0", "172.15.255.255",  "172.32.0.0",     "192.167.255.255",
        "192.169.0.0",    "198.17.255.255",  "198.20.0.0",  "223.255.255.255", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
        "2002:808:808::", "2606:4700::1111", "2a00::1",     "2001:4860::1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) cr_expect_not(is_public(others[i]), "%s", others[i]);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) cr_expect(is_public(all[i]), "%s", all[i]);
    cr_expect_not(samc__fetch_is_public(&(struct sockaddr){.sa_family = AF_UNIX}));
}

#ifdef SAMC_CURL

static void start(void) {
    samc_error error;
    cr_assert_eq(samc__fetch_start(&error), SAMC_OK, "%s", error.message);
}

Test(fetch, rules, .init = start) {
    static const struct {
        const char *rule, *url;
        bool matches;
    } cases[] = {
        {"a.org", "http://a.org/x", true},
        {"a.org", "https://A.ORG/x", true},
        {"a.org", "http://a.org:443/x", false},
        {"a.org", "http://a.org:8080/x", false},
        {"a.org:8080", "http://a.org:8080/x", true},
        {"a.org:8080", "https://a.org:8080", true},
        {"a.org:8080", "http://a.org/x", false},
        {"a.org", "http://b.a.org/", false},
        {"a.org", "http://a.org.b/", false},
        {"a.org", "http://a.org@b/", false},
        {"a.org", "http://user@a.org/", false},
        {"a.org", "http://:word@a.org/", false},
        {"a.org", "http://b#@a.org/", false},
        {"a.org", "http://b\\@a.org/", false},
        {"a.org", "ftp://a.org/", false},
        {"a.org", "file://a.org/etc/passwd", false},
        {"a.org", "a.org/x", false},
        {"a.org", "//a.org/x", false},
        {"127.0.0.1:80", "http://2130706433/", true}, /* what connects reads it so, too */
        {"127.0.0.1:80", "http://0x7f.1/", true},
        {"10.0.0.1", "http://2130706433/", false},
        {"[::1]:80", "http://[::1]/", true},
        {"[::1]:80", "http://[::2]/", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(samc__fetch_matches(cases[i].rule, cases[i].url), cases[i].matches, "%s, %s", cases[i].rule,
                     cases[i].url);
}

static bool stop(void *context) {
    ++*(int *)context;
    return true;
}

/* From a server that never answers: it does not even accept, which the system does for it. */
Test(fetch, ends_when_nobody_waits_any_more, .init = start) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    const int listening = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(listening, (struct sockaddr *)&at, length) == 0 && listen(listening, 8) == 0 &&
              getsockname(listening, (struct sockaddr *)&at, &length) == 0);
    char rule[32], url[64];
    int asked = 0;
    samc_error error;
    void *bytes = NULL;
    size_t size = 0;
    snprintf(rule, sizeof rule, "127.0.0.1:%d", ntohs(at.sin_port));
    snprintf(url, sizeof url, "http://%s/", rule);
    const samc__fetch_rules rules = {(const char *const[]){rule, NULL}, 100, 3600, stop, &asked};
    cr_assert_eq(samc__fetch_get(&rules, url, NULL, &bytes, &size, &error), SAMC_STOPPED, "%s", error.message);
    cr_assert(asked > 0 && bytes == NULL);
    close(listening);
}

#endif
