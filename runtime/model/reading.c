/* What reading a configuration is made of. */
#include "runtime/model/reading.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/decimal.h"

/* ---- Reports --------------------------------------------------------------------------------- */

samc__text samc__shape_text(int rank, const int64_t *shape) {
    samc__text text;
    size_t used = (size_t)snprintf(text.text, sizeof text.text, "[");
    for (int i = 0; i < rank && used < sizeof text.text; i++)
        used +=
            (size_t)snprintf(text.text + used, sizeof text.text - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < sizeof text.text) snprintf(text.text + used, sizeof text.text - used, "]");
    return text;
}

void samc__report_add(samc__report *report, const char *kind, const char *format, ...) {
    char item[320];
    int used = 0;
    report->count++;
    if (report->kind == NULL || strcmp(report->kind, kind) != 0)
        used = snprintf(item, sizeof item, "%s%s ", report->kind ? "; " : "", kind);
    else used = snprintf(item, sizeof item, ", ");
    va_list arguments;
    va_start(arguments, format);
    int more = samc__print_list(item + used, sizeof item - (size_t)used, format, arguments);
    va_end(arguments);
    size_t length = (size_t)used + (size_t)(more < 0 ? 0 : more);
    /* Once one was left out, so are all later ones: "and N more" stands at the end. */
    if (length >= sizeof item || report->used + length >= sizeof report->text || report->left_out > 0) {
        report->left_out++;
        return;
    }
    memcpy(report->text + report->used, item, length + 1);
    report->used += length;
    report->kind = kind;
}

samc_status samc__report_finish(samc__report *report, const samc__checkpoint *checkpoint, samc_error *error) {
    if (report->count == 0) return SAMC_OK;
    if (checkpoint->architecture != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: weights of %s (tensor %s); samc runs SAM's own architecture only", checkpoint->label,
                          checkpoint->architecture, checkpoint->characteristic.text);
    /* "model-00001-of-00002.safetensors" */
    const char *of = strstr(checkpoint->label, "-of-");
    int part, parts;
    if (of != NULL && of - checkpoint->label >= 6 && sscanf(of - 6, "-%5d-of-%5d", &part, &parts) == 2 && parts > 1)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: one of the %d files of a checkpoint; give the folder, or its index (.index.json)",
                          checkpoint->label, parts);
    char more[48] = "";
    if (report->left_out > 0) snprintf(more, sizeof more, " ... and %zu more", report->left_out);
    return samc__fail(error, SAMC_MISMATCH, "%s: not a complete SAM model: %s%s", checkpoint->label, report->text,
                      more);
}

/* ---- Shapes ---------------------------------------------------------------------------------- */

int samc__read_side(const samc__tensor *tensor, int axis) {
    int64_t value = tensor != NULL && axis < tensor->rank ? tensor->shape[axis] : 0;
    return value > 0 && value <= 1 << 24 ? (int)value : 0;
}

const samc__tensor *samc__read_tensor(samc__reading *r, const char *name, int rank) {
    const samc__tensor *tensor = samc__checkpoint_find(r->checkpoint, name);
    if (tensor == NULL) {
        samc__report_add(&r->report, "missing", "%s", name);
        return NULL;
    }
    bool sane = tensor->rank == rank;
    for (int i = 0; i < rank && sane; i++) sane = samc__read_side(tensor, i) > 0;
    if (sane) return tensor;
    samc__report_add(&r->report, "misshapen", "%s %s", name, samc__shape_text(tensor->rank, tensor->shape).text);
    return NULL;
}

int samc__read_layers(const samc__reading *r, const char *prefix) {
    size_t length = strlen(prefix);
    int layers = 0;
    for (size_t i = 0; i < samc__checkpoint_count(r->checkpoint); i++) {
        const char *name = samc__checkpoint_at(r->checkpoint, i)->name;
        if (strncmp(name, prefix, length) != 0) continue;
        int index = 0;
        const char *at = name + length;
        for (; *at >= '0' && *at <= '9' && index < 100000; at++) index = index * 10 + (*at - '0');
        if (at > name + length && *at == '.' && index >= layers) layers = index + 1;
    }
    return layers;
}

bool samc__read_expected(const samc__reading *r, const char *key, bool found) {
    return found || samc__json_kind(samc__read_field(r, key)) != 'f';
}

/* ---- Metadata -------------------------------------------------------------------------------- */

static const char own_config[] = "metadata samc.config";

samc_status samc__read_object(const char *text, const char *label, const char *where, samc__json *json,
                              samc_error *error) {
    enum { MAX_FIELDS = 256 };
    const char *cursor = NULL, *other;
    size_t at;
    int fields = 0;
    const char *wrong = samc__json_check(text, strlen(text), json, &at);
    if (wrong != NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: %s is not valid JSON: %s (byte %zu)", label, where, wrong, at);
    if (!samc__json_is_object(*json))
        return samc__fail(error, SAMC_FORMAT, "%s: %s is not a JSON object", label, where);
    /* A field that occurs twice says two things. */
    for (samc__json key, item, before; samc__json_next(*json, &cursor, &key, &item);) {
        if (++fields > MAX_FIELDS)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: %s has more than %d fields", label, where, MAX_FIELDS);
        char name[64];
        other = NULL;
        if (!samc__json_string(key, name, sizeof name)) continue; /* none of samc's */
        while (samc__json_next(*json, &other, &before, &item) && before.begin < key.begin)
            if (samc__json_equals(before, name))
                return samc__fail(error, SAMC_FORMAT, "%s: %s: %s occurs twice", label, where,
                                  samc__printable(name, strlen(name)).text);
    }
    return SAMC_OK;
}

samc_status samc__read_metadata(const samc__checkpoint *checkpoint, samc__json *json, samc_error *error) {
    const char *text = samc__checkpoint_metadata(checkpoint, "samc.config");
    *json = (samc__json){NULL, NULL};
    return text ? samc__read_object(text, checkpoint->label, own_config, json, error) : SAMC_OK;
}

static const samc__foreign_name *foreign_name(const samc__reading *r, const char *key) {
    const samc__foreign_name *name = r->names;
    while (name->key != NULL && strcmp(name->key, key) != 0) name++;
    return name->key ? name : NULL;
}

/* An object by its path, "a.b"; NULL: the whole. */
static samc__json object_at(samc__json json, const char *path) {
    char key[64];
    for (size_t length; path != NULL && *path != '\0'; path += length + (path[length] == '.')) {
        length = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        json = samc__json_get(json, key);
    }
    return json;
}

samc__json samc__read_field(const samc__reading *r, const char *key) {
    if (r->names == NULL) return samc__json_get(r->json, key);
    const samc__foreign_name *name = foreign_name(r, key);
    if (name == NULL) return (samc__json){NULL, NULL};
    const samc__json field = samc__json_get(object_at(r->json, name->object), name->name);
    return samc__json_kind(field) == 'n' ? (samc__json){NULL, NULL} : field; /* None: not said */
}

const char *samc__read_where(const samc__reading *r) { return r->where ? r->where : own_config; }

samc__text samc__read_name(const samc__reading *r, const char *key) {
    const samc__foreign_name *name = r->names ? foreign_name(r, key) : NULL;
    samc__text text;
    if (name == NULL) snprintf(text.text, sizeof text.text, "%s", key);
    else
        snprintf(text.text, sizeof text.text, "%s%s%s", name->object ? name->object : "", name->object ? "." : "",
                 name->name);
    return text;
}

void samc__read_fail(samc__reading *r, samc_status status, const char *format, ...) {
    char message[400];
    va_list arguments;
    if (r->status != SAMC_OK) return;
    va_start(arguments, format);
    samc__print_list(message, sizeof message, format, arguments);
    va_end(arguments);
    r->status = samc__fail(r->error, status, "%s: %s", r->checkpoint->label, message);
}

void samc__read_contradicts(samc__reading *r, const char *key, double says, double tensors) {
    samc__read_fail(r, SAMC_MISMATCH, "%s says %s %g, the tensors say %g", samc__read_where(r),
                    samc__read_name(r, key).text, says, tensors);
}

void samc__read_malformed(samc__reading *r, const char *key, const char *expected) {
    samc__read_fail(r, SAMC_FORMAT, "%s: %s is not %s", samc__read_where(r), samc__read_name(r, key).text, expected);
}

bool samc__read_count(samc__reading *r, const char *key, int *value) {
    samc__json field = samc__read_field(r, key);
    int64_t count;
    if (field.begin == NULL) return false;
    if (samc__json_integer(field, &count) && count >= 0 && count <= 1 << 24) {
        *value = (int)count;
        return true;
    }
    samc__read_malformed(r, key, "a whole number from 0 to 16777216");
    return false;
}

void samc__merge_count(samc__reading *r, const char *key, int *value, bool known) {
    int says;
    if (!samc__read_count(r, key, &says)) return;
    if (known && says != *value) samc__read_contradicts(r, key, says, *value);
    *value = says;
}

void samc__merge_flag(samc__reading *r, const char *key, bool value) {
    const char kind = samc__json_kind(samc__read_field(r, key));
    if (kind == '\0') return;
    if (kind != 't' && kind != 'f') {
        samc__read_malformed(r, key, "true or false");
    } else if ((kind == 't') != value) {
        samc__read_contradicts(r, key, kind == 't', value);
    }
}

void samc__merge_float(samc__reading *r, const char *key, samc__json field, float *value, bool positive) {
    double number = 0;
    if (samc__json_number(field, &number) && isfinite((float)number) && (!positive || (float)number > 0)) {
        *value = (float)number;
    } else {
        samc__read_malformed(r, key, positive ? "made of positive numbers" : "made of finite numbers");
    }
}

void samc__merge_triple(samc__reading *r, const char *key, float values[3], bool positive) {
    const samc__json field = samc__read_field(r, key);
    const char *cursor = NULL;
    samc__json item;
    int count = 0;
    if (field.begin == NULL) return;
    while (samc__json_next(field, &cursor, NULL, &item) && count < 4) {
        if (count < 3) samc__merge_float(r, key, item, &values[count], positive);
        count++;
    }
    if (count != 3) samc__read_malformed(r, key, "a list of three numbers");
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

samc_status samc__check_bounds(const char *label, const samc__bounds *bounds, size_t count, samc_error *error) {
    for (size_t i = 0; i < count; i++)
        if (bounds[i].value < bounds[i].least || bounds[i].value > bounds[i].most)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: %s is %d; samc can do %d to %d", label, bounds[i].name,
                              bounds[i].value, bounds[i].least, bounds[i].most);
    return SAMC_OK;
}

samc_status samc__check_multiples(const char *label, const samc__multiple *multiples, size_t count, samc_error *error) {
    for (size_t i = 0; i < count; i++)
        if (multiples[i].value % multiples[i].by != 0)
            return samc__fail(error, SAMC_MISMATCH, "%s: %s %d is not a multiple of %s %d", label, multiples[i].name,
                              multiples[i].value, multiples[i].by_name, multiples[i].by);
    return SAMC_OK;
}

/* ---- Writing --------------------------------------------------------------------------------- */

void samc__write_count(samc__json_text *text, const char *key, int value) {
    samc__json_put_key(text, key);
    samc__json_put_integer(text, value);
}

void samc__write_triple(samc__json_text *text, const char *key, const float values[3]) {
    samc__json_put_key(text, key);
    for (int i = 0; i < 3; i++) {
        samc__json_put(text, i == 0 ? "[" : ",", 1);
        samc__json_put_float(text, values[i]);
    }
    samc__json_put(text, "]", 1);
}

void samc__write_flag(samc__json_text *text, const char *key, bool value) {
    samc__json_put_key(text, key);
    samc__json_put(text, value ? "true" : "false", value ? 4 : 5);
}

void samc__write_others(samc__json_text *text, samc__json from, const char *const *except, size_t count) {
    const char *cursor = NULL;
    for (samc__json key, item; samc__json_next(from, &cursor, &key, &item);) {
        bool known = false;
        for (size_t i = 0; i < count; i++) known = known || samc__json_equals(key, except[i]);
        if (known) continue;
        samc__json_put(text, ",", 1); /* something always stands before */
        samc__json_put(text, key.begin, (size_t)(key.end - key.begin));
        samc__json_put(text, ":", 1);
        samc__json_put(text, item.begin, (size_t)(item.end - item.begin));
    }
}
