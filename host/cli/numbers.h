/* samc_auto_option()'s options on the command line. Two of them are flags there: --use-m2m, --no-multimask. */
#ifndef SAMC_HOST_CLI_NUMBERS_H
#define SAMC_HOST_CLI_NUMBERS_H

#include <getopt.h>

#include "host/cli/cli.h"

/* The row of getopt_long()'s table of number `index`, which gets `value`. */
struct option samc__cli_number_option(int index, int value);
/* What was given for a number: the argument, or a flag's meaning. */
const char *samc__cli_number_given(int index, const char *argument);
/* Sets the numbers whose text is not NULL. */
samc_status samc__cli_numbers_apply(const char *const *given, samc_auto_options *options, samc_error *error);

#endif
