// The public header compiles alone as C++ and links with C names.
#include "samc.h"

extern "C" int header_test_cpp(void);

int header_test_cpp(void) {
    samc_error error;
    samc_model *model = nullptr;
    samc_status status = samc_model_open("/nonexistent", nullptr, &model, &error);
    return status == SAMC_OK || model != nullptr || error.message[0] == 0;
}
