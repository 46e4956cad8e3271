/* Names of what masks are written as, and JSON strings. */
#ifndef SAMC_HOST_IO_TEXT_H
#define SAMC_HOST_IO_TEXT_H

#include <jansson.h>

#include "host/io/samc_io.h"

/* Bits to "rle,overlay". `text` has room for 64 characters. */
void samc__outputs_print(unsigned bits, char *text);
/* The text as a JSON string; bytes that are not UTF-8 (file names may hold any) become U+FFFD. NULL without memory. */
json_t *samc__text_json(const char *text);
/* The number, or null where it is NaN or infinite: JSON has neither, and Jansson refuses them. NULL without memory. */
json_t *samc__text_number(double value);

#endif
