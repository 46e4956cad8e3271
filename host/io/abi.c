/* The table of the structs that cross the interface. */
#include "host/io/abi.h"

const samc__abi samc__io_rows[SAMC__IO_COUNT] = {SAMC__IO_LIST(SAMC__ABI_ROW)};
