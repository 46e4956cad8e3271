// emu_memory.h - pages for the emulation's stacks and buffers.
#ifndef SAMC_TESTS_EMU_EMU_MEMORY_H
#define SAMC_TESTS_EMU_EMU_MEMORY_H

#include <cstddef>

namespace emu {

constexpr size_t kPage = 4096;
char *map_pages(size_t bytes);
void guard_page(char *page); // nobody may touch it

} // namespace emu

#endif
