/* The public header compiles alone as C11; the same checks run from C++ in header_test.cpp. */
#include "samc.h"

int header_test_cpp(void);

int main(void) {
    samc_options options = samc_default_options();
    return options.threads < 0 || samc_version()[0] == 0 || header_test_cpp() != 0;
}
