/* The public header compiles alone as C11; the same checks run from C++ in header_test.cpp. */
#include "samc.h"

int header_test_cpp(void);

int main(void) {
    samc_options options = SAMC_INIT(samc_options);
    samc_default_options(&options);
    return samc_abi() != SAMC_ABI || options.threads < 0 || samc_version()[0] == 0 || header_test_cpp() != 0;
}
