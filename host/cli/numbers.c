/* samc_auto_option()'s options on the command line. */
#include "host/cli/numbers.h"

#include <string.h>

/* Flags, and what they set. */
static const struct {
    const char *number, *name, *value;
} flags[] = {{"use-m2m", "use-m2m", "1"}, {"multimask-output", "no-multimask", "0"}};
enum { FLAGS = sizeof flags / sizeof *flags };

static int flag_of(int index) {
    int flag = 0;
    while (flag < FLAGS && strcmp(flags[flag].number, samc_auto_option(index)) != 0) flag++;
    return flag;
}

struct option samc__cli_number_option(int index, int value) {
    const int flag = flag_of(index);
    if (flag < FLAGS) return (struct option){flags[flag].name, no_argument, NULL, value};
    return (struct option){samc_auto_option(index), required_argument, NULL, value};
}

const char *samc__cli_number_given(int index, const char *argument) {
    const int flag = flag_of(index);
    return flag < FLAGS ? flags[flag].value : argument;
}

samc_status samc__cli_numbers_apply(const char *const *given, samc_auto_options *options, samc_error *error) {
    for (int i = 0; samc_auto_option(i) != NULL; i++)
        if (given[i] != NULL) SAMC__TRY(samc_auto_set(options, samc_auto_option(i), given[i], error));
    return SAMC_OK;
}
