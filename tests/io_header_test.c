/* samc_io.h compiles alone as C11 and, in io_header_test.cpp, as C++. */
#include "host/io/samc_io.h"

int io_header_test_cpp(void);

int main(void) {
    samc_archive_options options = SAMC_INIT(samc_archive_options);
    return samc_archive_default_options(&options, NULL) != SAMC_OK || options.shards != 1 || io_header_test_cpp() != 0;
}
