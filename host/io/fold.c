/* Folding of case. File systems differ in what they fold beyond letters that have a pair (composed characters, the
 * German sharp s); what is not seen here meets a name that exists when it is published, which is an error and no loss.
 */
#include "host/io/fold.h"

#include <limits.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "runtime/base/status.h"

char *samc__fold(const char *text) {
    size_t length = strlen(text), used = 0;
    char *folded = malloc(length * 2 + MB_LEN_MAX + 1); /* no letter's pair is longer than twice its bytes */
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before = utf8 ? uselocale(utf8) : (locale_t)0;
    mbstate_t in = {0}, out = {0};
    for (size_t at = 0; folded != NULL && at < length;) {
        wchar_t letter;
        size_t read = mbrtowc(&letter, text + at, length - at, &in);
        size_t written = read == 0 || read > length - at
                             ? (size_t)-1
                             : wcrtomb(folded + used, (wchar_t)towlower(towupper((wint_t)letter)), &out);
        if (written == (size_t)-1) { /* no UTF-8: the byte as it is */
            folded[used++] = text[at++];
            in = out = (mbstate_t){0};
        } else {
            used += written;
            at += read;
        }
    }
    if (folded != NULL) folded[used] = '\0';
    if (utf8) uselocale(before);
    if (utf8) freelocale(utf8);
    return folded;
}

samc_status samc__inputs_check_folded(const samc__inputs *inputs, bool pictures, samc_error *error) {
    samc__inputs folded = *inputs; /* the same sources under folded keys */
    char *text = NULL;
    size_t size = 0;
    samc_status status = SAMC_OK;
    FILE *memory = open_memstream(&text, &size);
    folded.items = malloc(((size_t)inputs->count + 1) * sizeof *folded.items);
    if (memory == NULL || folded.items == NULL)
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the names of results");
    if (status == SAMC_OK) {
        memcpy(folded.items, inputs->items, (size_t)inputs->count * sizeof *folded.items);
        fwrite(inputs->text, 1, inputs->used, memory);
    }
    for (int64_t i = 0; status == SAMC_OK && i < inputs->count; i++) {
        char *key = samc__fold(samc__input_key(inputs, i));
        folded.items[i].key = (size_t)ftello(memory);
        if (key == NULL || fwrite(key, strlen(key) + 1, 1, memory) != 1)
            status = samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the names of results");
        free(key);
    }
    if (memory != NULL && fclose(memory) != 0 && status == SAMC_OK)
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for the names of results");
    folded.text = text;
    folded.used = folded.room = size;
    samc_error why;
    if (status == SAMC_OK && samc__inputs_check_names(&folded, pictures, &why) != SAMC_OK)
        status = samc__fail(error, why.status, "the output folder does not tell upper and lower case apart: %s",
                            why.message);
    free(folded.text);
    free(folded.items);
    return status;
}
