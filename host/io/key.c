/* A path becomes a name below the output folder. */
#include "host/io/key.h"

#include <string.h>

bool samc__key_of_path(const char *path, char *out) {
    bool inside = true;
    char *to = out;
    for (const char *at = path; *at != '\0';) {
        size_t n = strcspn(at, "/");
        bool parent = n == 2 && memcmp(at, "..", 2) == 0;
        if (parent) inside = false;
        if (n > 0 && !parent && !(n == 1 && *at == '.')) {
            if (to != out) *to++ = '/';
            memcpy(to, at, n);
            to += n;
        }
        at += n;
        while (*at == '/') at++;
    }
    *to = '\0';
    return inside;
}
