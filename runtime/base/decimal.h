/* Numbers as text, whatever LC_NUMERIC says: a program around the library may have called setlocale(), and then
 * printf() writes "0,5" and strtod() reads no further than the 0 of "0.5". All numbers that are no whole ones are read
 * and written by these (tools/check_style.sh holds it); they change the locale of the calling thread alone, for as long
 * as they run. */
#ifndef SAMC_RUNTIME_BASE_DECIMAL_H
#define SAMC_RUNTIME_BASE_DECIMAL_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stdarg.h>
#include <stdio.h>

/* strtod(), strtof(), snprintf(), vsnprintf(), fprintf() and asprintf(). */
double samc__read_double(const char *text, char **end);
float samc__read_float(const char *text, char **end);
int samc__print(char *to, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));
int samc__print_list(char *to, size_t room, const char *format, va_list values) __attribute__((format(printf, 3, 0)));
int samc__print_file(FILE *to, const char *format, ...) __attribute__((format(printf, 2, 3)));
int samc__print_new(char **to, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
