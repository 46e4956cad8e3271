/* What the library says of itself: its version and the texts of its statuses. They are exported, so that they are not
 * in base, which libsamc_io holds a copy of. */
#include "runtime/samc.h"

const char *samc_status_text(samc_status status) {
    static const char *const texts[] = {
#define SAMC_STATUS_TEXT(name, text) text,
        SAMC_STATUS_LIST(SAMC_STATUS_TEXT)
#undef SAMC_STATUS_TEXT
    };
    size_t index = (size_t)status;
    return index < sizeof texts / sizeof *texts ? texts[index] : "unknown status";
}

const char *samc_version(void) { return SAMC_VERSION; }
int samc_abi(void) { return SAMC_ABI; }
