// ptx.cc - finds the translation of a kernel and runs it.
#include "ptx.h"

#include <map>

namespace emu {

struct Translation {
    PtxKernel *kernel;
    const char *symbol;
};
static std::map<const void *, Translation> &table() {
    static std::map<const void *, Translation> entries;
    return entries;
}

PtxEntry::PtxEntry(const void *host_symbol, PtxKernel *kernel, const char *symbol) {
    table()[host_symbol] = {kernel, symbol};
}

void launch_ptx(const char *name, const void *host_symbol, Index grid, Index block, size_t shared_bytes,
                char *const *parameters) {
    auto entry = table().find(host_symbol);
    if (entry == table().end()) fail("kernel %s has no translated PTX", name);
    PtxKernel *kernel = entry->second.kernel;
    if (launches != nullptr) {
        size_t threads = size_t(block.x) * block.y * block.z;
        launches->insert(std::string(entry->second.symbol) + " " + std::to_string(threads) + " " +
                         std::to_string(shared_bytes));
        return;
    }
    launch(name, grid, block, shared_bytes, [kernel, parameters] { kernel(parameters); });
}

} // namespace emu
