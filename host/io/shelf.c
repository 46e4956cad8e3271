/* One archive at a time is open. Links stand in the list behind the file that they lead to, whose bytes are kept for
 * them. */
#include "host/io/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/image.h"
#include "runtime/base/status.h"

void samc__shelf_close(samc__shelf *s) {
    samc__tar_close(s->tar);
    free(s->bytes);
    *s = (samc__shelf){.archive = -1};
}

/* Goes to the member, opening its archive or starting again where it lies further in front. */
static void find_member(samc__shelf *s, const samc__inputs *inputs, const samc__input *input) {
    samc__tar_entry entry = {0};
    const char *source = inputs->text + input->source;
    if (s->archive != input->tar || s->member > input->member || (s->member == input->member && s->gone)) {
        samc__shelf_close(s);
        s->archive = input->tar;
        s->member = -1;
        samc__tar_open(inputs->text + inputs->tars[input->tar], &s->tar, &s->code, &s->broken);
    }
    if (s->broken.status != SAMC_OK || s->member == input->member) return;
    free(s->bytes);
    s->bytes = NULL;
    s->gone = false;
    s->bad = (samc_error){0};
    while (s->broken.status == SAMC_OK && s->member < input->member) {
        samc_status status = samc__tar_next(s->tar, &entry, &s->broken);
        if (status != SAMC_OK) s->code = samc__tar_code(s->tar);
        else if (entry.name == NULL)
            samc__fail(&s->broken, SAMC_FORMAT, "%s: the archive is shorter than when it was listed", source);
        else s->member += entry.kind == SAMC__TAR_FILE;
    }
    if (s->broken.status != SAMC_OK) return;
    size_t length = strlen(source), n = strlen(entry.name);
    bool same = input->target ? strcmp(inputs->text + input->target, entry.name) == 0
                              : length >= n && strcmp(source + length - n, entry.name) == 0;
    if (!same) samc__fail(&s->broken, SAMC_FORMAT, "%s: the archive has changed since it was listed", source);
}

samc_status samc__shelf_read(samc__shelf *s, const samc__inputs *inputs, const samc__input *input, bool again,
                             uint8_t **bytes, size_t *size, int *code, samc_error *error) {
    const char *source = inputs->text + input->source;
    find_member(s, inputs, input);
    if (s->broken.status != SAMC_OK) {
        *error = s->broken;
        *code = s->code;
        return s->broken.status;
    }
    if (s->bytes == NULL && s->bad.status == SAMC_OK) {
        samc_status status = samc__tar_read(s->tar, SAMC__IMAGE_MAX_FILE, &s->bytes, &s->size, error);
        if (status != SAMC_OK && samc__tar_broken(s->tar)) {
            s->broken = *error;
            s->code = *code = samc__tar_code(s->tar);
        } else if (status == SAMC_OUT_OF_MEMORY) {
            s->gone = true;
        } else if (status != SAMC_OK) {
            s->bad = *error;
        }
        SAMC__TRY(status);
    }
    if (s->bad.status != SAMC_OK) {
        *error = s->bad;
        return s->bad.status;
    }
    *size = s->size;
    *bytes = s->bytes;
    if (!again) {
        s->bytes = NULL; /* the caller's now */
        s->gone = true;
        return SAMC_OK;
    }
    *bytes = malloc(s->size + 1);
    if (*bytes == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory for %zu bytes", source, s->size);
    memcpy(*bytes, s->bytes, s->size);
    return SAMC_OK;
}
