/* samc_io.h compiles alone as C11 and, in io_header_test.cpp, as C++. */
#include "host/io/samc_io.h"

int io_header_test_cpp(void);

int main(void) {
    samc_archive_options options = SAMC_INIT(samc_archive_options);
    samc_link_options link = SAMC_INIT(samc_link_options);
    return samc_archive_default_options(&options, NULL) != SAMC_OK || options.shards != 1 ||
           samc_link_default_options(&link, NULL) != SAMC_OK || link.most_gap != 1 || io_header_test_cpp() != 0;
}
