// ptx.cc - finds the translation of a kernel and runs it.
#include "ptx.h"

#include <map>

namespace emu {

static std::map<const void *, PtxKernel *> &table() {
    static std::map<const void *, PtxKernel *> entries;
    return entries;
}

PtxEntry::PtxEntry(const void *host_symbol, PtxKernel *kernel) { table()[host_symbol] = kernel; }

void launch_ptx(const char *name, const void *host_symbol, Index grid, Index block, size_t shared_bytes, char *const *parameters) {
    auto entry = table().find(host_symbol);
    if (entry == table().end()) fail("kernel %s has no translated PTX", name);
    PtxKernel *kernel = entry->second;
    launch(name, grid, block, shared_bytes, [kernel, parameters] { kernel(parameters); });
}

} // namespace emu
