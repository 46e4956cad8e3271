/* Numbers as text in the "C" locale. */
#include "runtime/base/decimal.h"

#include <locale.h>
#include <stdlib.h>

/* The thread's locale becomes "C"; that before is returned. glibc has this one ready: nothing is allocated that would
 * have to be freed, and nothing can fail. Were there none, numbers would be the process'. */
static locale_t begin(void) {
    const locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain != (locale_t)0 ? uselocale(plain) : (locale_t)0;
}

static void end(locale_t before) {
    if (before == (locale_t)0) return;
    const locale_t plain = uselocale(before);
    if (plain != LC_GLOBAL_LOCALE) freelocale(plain);
}

double samc__read_double(const char *text, char **rest) {
    const locale_t before = begin();
    const double value = strtod(text, rest);
    end(before);
    return value;
}

float samc__read_float(const char *text, char **rest) {
    const locale_t before = begin();
    const float value = strtof(text, rest);
    end(before);
    return value;
}

int samc__print_list(char *to, size_t room, const char *format, va_list values) {
    const locale_t before = begin();
    const int length = vsnprintf(to, room, format, values);
    end(before);
    return length;
}

int samc__print(char *to, size_t room, const char *format, ...) {
    va_list values;
    va_start(values, format);
    const int length = samc__print_list(to, room, format, values);
    va_end(values);
    return length;
}

int samc__print_file(FILE *to, const char *format, ...) {
    va_list values;
    const locale_t before = begin();
    va_start(values, format);
    const int length = vfprintf(to, format, values);
    va_end(values);
    end(before);
    return length;
}

int samc__print_new(char **to, const char *format, ...) {
    va_list values;
    const locale_t before = begin();
    va_start(values, format);
    const int length = vasprintf(to, format, values);
    va_end(values);
    end(before);
    return length;
}
