// samc_io.h compiles alone as C++ and links with C names.
#include "host/io/samc_io.h"

extern "C" int io_header_test_cpp(void);

int io_header_test_cpp(void) {
    samc_rle rle = SAMC_INIT(samc_rle);
    const uint8_t mask[2] = {0, 1};
    samc_status status = samc_rle_from_bytes(mask, 2, 1, &rle, nullptr);
    bool right = status == SAMC_OK && rle.count == 2;
    samc_rle_free(&rle);
    samc_propagate_options propagate = SAMC_INIT(samc_propagate_options);
    right = right && samc_propagate_default_options(&propagate, nullptr) == SAMC_OK && propagate.carry == 0;
    right = right && !samc_volume_is(nullptr);
    return right && samc_outputs_parse("rle,coco", SAMC_OUTPUT_ARCHIVE) == (SAMC_OUTPUT_RLE | SAMC_OUTPUT_COCO) ? 0 : 1;
}
