// emu_memory.cc - device memory for tests (Buffer of emu.h): between unreadable pages, what lies around it is checked.
#include "emu_memory.h"
#include "emu.h"

#include <algorithm>
#include <sys/mman.h>

#ifdef SAMC_EMU_ASAN
extern "C" {
void __asan_poison_memory_region(const void *, size_t);
void __asan_unpoison_memory_region(const void *, size_t);
}
#endif

namespace emu {

char *map_pages(size_t bytes) {
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) fail("no memory");
    return static_cast<char *>(p);
}

void guard_page(char *page) {
    if (mprotect(page, kPage, PROT_NONE) != 0) fail("mprotect failed");
}

static std::vector<const Buffer *> live_buffers;
const std::vector<const Buffer *> &buffers() { return live_buffers; }

Buffer::Buffer(size_t bytes, int fill) : bytes_(bytes) {
    live_buffers.push_back(this);
    size_t inner = (bytes + kPage - 1) / kPage * kPage + kPage;
    map_bytes_ = inner + 2 * kPage; // unreadable page, filled page and data, unreadable page
    map_ = map_pages(map_bytes_);
    guard_page(map_);
    guard_page(map_ + map_bytes_ - kPage);
    std::memset(map_ + kPage, 0xa5, inner);
    data_ = map_ + map_bytes_ - kPage - ((bytes + 15) & ~size_t(15));
    std::memset(data_, fill, bytes);
#ifdef SAMC_EMU_ASAN
    __asan_poison_memory_region(map_ + kPage, size_t(as<char>() - map_) - kPage);
#endif
}

Buffer::~Buffer() {
    live_buffers.erase(std::find(live_buffers.begin(), live_buffers.end(), this));
#ifdef SAMC_EMU_ASAN
    __asan_unpoison_memory_region(map_ + kPage, map_bytes_ - 2 * kPage);
#endif
    munmap(map_, map_bytes_);
}

void Buffer::check() const {
    const char *begin = as<char>(), *end = begin + bytes_;
    for (const char *p = map_ + kPage; p < map_ + map_bytes_ - kPage; p++)
        if ((p < begin || p >= end) && *p != char(0xa5))
            fail("%s wrote outside a buffer of %zu bytes, at offset %zd", now.kernel, bytes_, p - begin);
}

} // namespace emu
