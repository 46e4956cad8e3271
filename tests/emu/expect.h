/* What the tests of the engine on the emulated device expect: where it does not hold, the line and the phase, and the
 * end, without the twins' reports of what was not given back. */
#ifndef SAMC_TESTS_EMU_EXPECT_H
#define SAMC_TESTS_EMU_EXPECT_H

#include <stdio.h>
#include <stdlib.h>

static const char *phase = "";

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("FAILED %s:%d, %s: %s\n", __FILE_NAME__, __LINE__, phase, #condition);                              \
            fflush(stdout);                                                                                            \
            _Exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

#endif
