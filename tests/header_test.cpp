// The public header compiles alone as C++ and links with C names.
#include "samc.h"

extern "C" int header_test_cpp(void);

int header_test_cpp(void) {
    samc_error error;
    samc_model *model = nullptr;
    samc_status status = samc_model_open("/nonexistent", nullptr, &model, &error);
    samc_options options = SAMC_INIT(samc_options);
    samc_mask masks[2] = {SAMC_INIT(samc_mask), SAMC_INIT(samc_mask)};
    if (options.size != sizeof options || options.settings != nullptr || samc_default_options(&options) != SAMC_OK ||
        samc_mask_at(masks, 1) != &masks[1])
        return 1;
    return status == SAMC_OK || model != nullptr || error.message[0] == 0;
}
