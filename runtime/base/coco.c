/* COCO's compressed run lengths, as in pycocotools' maskApi.c. */
#include "runtime/base/coco.h"

/* Each count, from the fourth on as the difference to the one two before it, in groups of five bits, the lowest first;
 * bit 5 says that more follow, the last group's bit 4 is the sign. 48 makes it printable. */
size_t samc__runs_pack(const uint32_t *counts, size_t count, char *text) {
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        int64_t value = counts[i];
        if (i > 2) value -= counts[i - 2];
        for (bool more = true; more;) {
            int group = value & 31;
            value >>= 5;
            more = group & 16 ? value != -1 : value != 0;
            text[length++] = (char)((more ? group | 32 : group) + 48);
        }
    }
    return length;
}

size_t samc__runs_count(const char *text, size_t length) {
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += !((text[i] - 48) & 32);
    return count;
}

bool samc__runs_unpack(const char *text, size_t length, uint32_t *counts) {
    size_t count = 0;
    for (size_t i = 0; i < length;) {
        int64_t value = 0;
        bool more = true;
        for (int shift = 0; more; shift += 5) {
            int group = i < length ? text[i++] - 48 : -1;
            if (group < 0 || group > 63 || shift > 30) return false;
            value |= (int64_t)(group & 31) << shift;
            more = group & 32;
            if (!more && group & 16) value -= (int64_t)1 << (shift + 5);
        }
        if (count > 2) value += counts[count - 2];
        if (value < 0 || value > UINT32_MAX) return false;
        counts[count++] = (uint32_t)value;
    }
    return true;
}
