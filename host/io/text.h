/* Lists of names and JSON strings. */
#ifndef SAMC_HOST_IO_TEXT_H
#define SAMC_HOST_IO_TEXT_H

#include <jansson.h>

/* A list such as "png,overlay" as bits; `names[i]` stands for bit i. 0 where a name is unknown or the list is empty. */
unsigned samc__text_list(const char *text, const char *const *names, int count);
/* The text as a JSON string; bytes that are not UTF-8 (file names may hold any) become U+FFFD. NULL without memory. */
json_t *samc__text_json(const char *text);
/* The number, or null where it is NaN or infinite: JSON has neither, and Jansson refuses them. NULL without memory. */
json_t *samc__text_number(double value);

#endif
