/* Settings of a model: a list of names, each of a number in its configuration. */
#include "runtime/model/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/base/status.h"

typedef struct setting {
    const char *name;
    double least, most;
    size_t offset; /* of a float in samc__config */
} setting;

static const setting known[] = {
    {"mask_threshold", -1000, 1000, offsetof(samc__config, recipe.threshold)},
};
enum { KNOWN = sizeof known / sizeof *known };

/* "a, b" */
static void list_names(char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (int i = 0; i < KNOWN && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", known[i].name);
}

static samc_status apply(samc__config *config, const char *given, samc_error *error) {
    char names[200];
    const char *equals = strchr(given, '=');
    size_t length = equals ? (size_t)(equals - given) : strlen(given), at;
    int i = 0;
    list_names(names, sizeof names);
    while (i < KNOWN && (strlen(known[i].name) != length || strncmp(known[i].name, given, length) != 0)) i++;
    if (equals == NULL || i == KNOWN)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "setting '%.100s': this model takes NAME=VALUE with the names %s", given, names);
    samc__json value;
    double number = 0;
    bool good = samc__json_check(equals + 1, strlen(equals + 1), &value, &at) == NULL &&
                samc__json_number(value, &number) && number >= known[i].least && number <= known[i].most;
    if (!good)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "setting '%.100s': %s takes a number from %g to %g", given,
                          known[i].name, known[i].least, known[i].most);
    *(float *)(void *)((char *)config + known[i].offset) = (float)number;
    return SAMC_OK;
}

samc_status samc__settings_apply(samc__config *config, const char *const *settings, char *text, size_t size,
                                 samc_error *error) {
    for (; settings != NULL && *settings != NULL; settings++) SAMC__TRY(apply(config, *settings, error));
    samc__json_text all = {0};
    for (int i = 0; i < KNOWN; i++) {
        if (i > 0) samc__json_put(&all, ",", 1);
        samc__json_put(&all, known[i].name, strlen(known[i].name));
        samc__json_put(&all, "=", 1);
        samc__json_put_float(&all, *(const float *)(const void *)((const char *)config + known[i].offset));
    }
    bool good = !all.failed && all.used < size;
    if (good) memcpy(text, all.data, all.used + 1);
    free(all.data);
    return good ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the model's settings");
}
