/* Fuzzes the reader of the journal: what it accepts prints again as the bytes that were read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc__record record;
    samc__journal_scan scan;
    char line[SAMC__JOURNAL_LINE];
    if (samc__record_parse((const char *)data, size, &record)) {
        int n = samc__record_print(&record, line);
        if ((size_t)n != size + 1 || memcmp(line, data, size) != 0) abort();
    }
    FILE *file = fmemopen((void *)data, size, "rb");
    if (file == NULL) return 0; /* no bytes */
    if (samc__journal_read(file, &scan)) {
        if (scan.good < 0 || (size_t)scan.good > size || scan.last.number < -1 || scan.damaged < 0 ||
            (scan.foreign && scan.good != 0))
            abort();
        for (int64_t i = 0; i < scan.failed_count; i++)
            if (scan.failed[i] < 0 || scan.failed[i] > scan.last.number ||
                (i > 0 && scan.failed[i] <= scan.failed[i - 1]))
                abort();
    }
    free(scan.failed);
    fclose(file);
    return 0;
}
