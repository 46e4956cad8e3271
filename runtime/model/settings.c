/* Settings of a model, by name. */
#include "runtime/model/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/base/status.h"

/* "a, b" */
static void list_names(const samc__setting *known, char *text, size_t size) {
    size_t used = 0;
    snprintf(text, size, "none");
    for (const samc__setting *s = known; s->name != NULL && used < size; s++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", s == known ? "" : ", ", s->name);
}

/* JSON's numbers: no hexadecimal, no NaN, a point whatever the locale is. */
static bool parse(const samc__setting *setting, const char *text, double *number) {
    size_t at;
    samc__json value;
    return samc__json_check(text, strlen(text), &value, &at) == NULL && samc__json_number(value, number) &&
           *number >= setting->least && *number <= setting->most;
}

samc_status samc__settings_apply(const samc__setting *known, const char *const *given, samc__config *config,
                                 const char *path, samc_error *error) {
    char names[200];
    list_names(known, names, sizeof names);
    for (; given != NULL && *given != NULL; given++) {
        const samc__setting *s = known;
        const char *equals = strchr(*given, '=');
        size_t length = equals ? (size_t)(equals - *given) : 0;
        double number = 0;
        while (s->name != NULL && (strlen(s->name) != length || strncmp(s->name, *given, length) != 0)) s++;
        if (s->name == NULL)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: '%.100s' is not NAME=VALUE of a setting it has: %s",
                              path, *given, names);
        if (!parse(s, equals + 1, &number))
            return samc__fail(error, SAMC_INVALID_ARGUMENT,
                              "%s: '%.100s' is not a number from %g to %g; the settings it has: %s", path, *given,
                              s->least, s->most, names);
        *(float *)(void *)((char *)config + s->offset) = (float)number;
    }
    return SAMC_OK;
}

static float value_of(const samc__setting *setting, const samc__config *config) {
    return *(const float *)(const void *)((const char *)config + setting->offset);
}

samc_status samc__settings_print(const samc__setting *known, const samc__config *config, const samc__config *file,
                                 char *text, size_t size, samc_error *error) {
    samc__json_text all = {0};
    for (const samc__setting *s = known; s->name != NULL; s++) {
        if (file != NULL && value_of(s, config) == value_of(s, file)) continue;
        if (all.used > 0) samc__json_put(&all, ",", 1);
        samc__json_put(&all, s->name, strlen(s->name));
        samc__json_put(&all, "=", 1);
        samc__json_put_float(&all, value_of(s, config));
    }
    bool good = !all.failed && all.used < size;
    snprintf(text, size, "%s", good && all.data != NULL ? all.data : "");
    free(all.data);
    return good ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the model's settings");
}
