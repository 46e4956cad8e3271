/* The images of a folder, for programs that show them one by one. */
#include <stdlib.h>
#include <string.h>

#include "host/io/inputs.h"
#include "host/io/samc_io.h"
#include "runtime/base/status.h"

samc_status samc_folder_list(const char *path, char **names, size_t *count, samc_error *error) {
    if (path == NULL || names == NULL || count == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_folder_list: no path, or no place for the names");
    samc__inputs in = {0};
    /* Archives are units here, which are left out: what lies in them has no file of its own. */
    const samc__inputs_options options = {.units = true};
    size_t used = 0;
    *names = NULL;
    *count = 0;
    SAMC__TRY(samc__inputs_collect(&in, (const char *const[]){path}, 1, &options, error));
    char *text = malloc(in.used + 1);
    for (int64_t i = 0; i < in.count && text != NULL; i++) {
        if (in.items[i].tar >= 0) continue;
        const size_t length = strlen(samc__input_key(&in, i)) + 1;
        memcpy(text + used, samc__input_key(&in, i), length);
        used += length;
        ++*count;
    }
    samc__inputs_free(&in);
    *names = text;
    return text != NULL ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for its images", path);
}
