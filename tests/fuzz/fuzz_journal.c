/* Fuzzes the reader of the journal: what it accepts prints again as the bytes that were read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc__record record, last;
    char line[SAMC__JOURNAL_LINE];
    int64_t good;
    if (samc__record_parse((const char *)data, size, &record)) {
        int n = samc__record_print(&record, line);
        if ((size_t)n != size + 1 || memcmp(line, data, size) != 0) abort();
    }
    FILE *file = fmemopen((void *)data, size, "rb");
    if (file == NULL) return 0; /* no bytes */
    if (samc__journal_scan(file, &last, &good) && (good < 0 || (size_t)good > size || last.number < -1)) abort();
    fclose(file);
    return 0;
}
