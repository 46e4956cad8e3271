/* Which recipe a model is used with, and where that is known from. */
#include "runtime/model/recipe_choice.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/published.h"

static const samc__recipe *find(const samc__encoder *encoder, const char *name) {
    for (int i = 0; i < encoder->recipe_count; i++)
        if (strcmp(encoder->recipes[i].name, name) == 0) return &encoder->recipes[i];
    return NULL;
}

/* "sam, medsam, micro-sam" */
static void list_names(const samc__encoder *encoder, char *text, size_t size) {
    size_t used = 0;
    *text = '\0';
    for (int i = 0; i < encoder->recipe_count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", encoder->recipes[i].name);
}

static bool is_name(const char *text) {
    size_t length = strlen(text);
    return length > 0 && length < SAMC__RECIPE_NAME &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == length;
}

/* ---- From a file ----------------------------------------------------------------------------- */

/* A mistyped key would silently be another recipe. */
static void refuse_others(samc__reading *r, samc__json object, const char *const *known) {
    const char *cursor = NULL;
    for (samc__json key, value; samc__json_next(object, &cursor, &key, &value);) {
        int i = 0;
        while (known[i] != NULL && !samc__json_equals(key, known[i])) i++;
        if (known[i] == NULL)
            samc__read_fail(r, SAMC_FORMAT, "%s: %s is no field of a recipe", samc__read_where(r),
                            samc__printable(key.begin, (size_t)(key.end - key.begin)).text);
    }
}

static void read_file(samc__reading *r, const samc__encoder *encoder, const char *text, samc__config *config) {
    static const char *const fields[] = {"name", "pixel_mean", "pixel_std", "mask_threshold", "preprocess", NULL};
    static const char *const steps[] = {"resize", "filter",      "order",  "pad",     "channels", "range", "masks",
                                        "frame",  "logit_clamp", "levels", "prompts", "sigmoid",  NULL};
    static const samc__checkpoint nothing = {.label = ""}; /* without buffers, and nothing beside it */
    samc__reading of = {.checkpoint = &nothing, .error = r->error, .where = r->where};
    r->status = samc__read_object(text, r->checkpoint->label, r->where, &of.json, r->error);
    if (r->status != SAMC_OK) return;
    refuse_others(r, of.json, fields);
    refuse_others(r, samc__json_get(of.json, "preprocess"), steps);
    samc__recipe_read(&of, encoder->recipes, &config->recipe);
    const samc__json name = samc__json_get(of.json, "name");
    strcpy(config->recipe.name, "custom");
    if (name.begin != NULL && (!samc__json_string(name, config->recipe.name, SAMC__RECIPE_NAME) ||
                               !is_name(config->recipe.name) || find(encoder, config->recipe.name) != NULL))
        samc__read_fail(r, SAMC_FORMAT, "%s: name is not one of its own, of at most %d letters, digits, '.', '_', '-'",
                        r->where, SAMC__RECIPE_NAME - 1);
    if (r->status != SAMC_OK || of.status == SAMC_OK) return;
    char message[600]; /* which begins with the label of nothing */
    snprintf(message, sizeof message, "%s", r->error ? r->error->message + 2 : "");
    samc__read_fail(r, of.status, "%s", message);
}

static void from_file(samc__reading *r, const samc__encoder *encoder, const char *path, samc__config *config) {
    const char *wrong, *slash = strrchr(path, '/'), *before = r->where;
    bool absent;
    char shown[100];
    char *text = samc__text_of_file(path, &absent, &wrong);
    snprintf(shown, sizeof shown, "%s",
             samc__printable(slash ? slash + 1 : path, strlen(slash ? slash + 1 : path)).text);
    if (text == NULL) return samc__read_fail(r, SAMC_IO, "the recipe %s cannot be read: %s", shown, wrong);
    r->where = shown;
    read_file(r, encoder, text, config);
    r->where = before;
    config->recipe_free = true;
    snprintf(config->recipe_from, sizeof config->recipe_from, "the caller, by %.60s", shown);
    free(text);
}

/* ---- The choice ------------------------------------------------------------------------------ */

static void from_caller(samc__reading *r, const samc__encoder *encoder, const char *given, samc__config *config) {
    const size_t length = strlen(given);
    if (strchr(given, '/') != NULL || (length > 5 && strcmp(given + length - 5, ".json") == 0))
        return from_file(r, encoder, given, config);
    const samc__recipe *named = find(encoder, given);
    char names[160];
    list_names(encoder, names, sizeof names);
    if (named == NULL || *given == '\0')
        return samc__read_fail(r, SAMC_INVALID_ARGUMENT,
                               "'%.60s' is no recipe that its encoder is used with; those are %s, and a FILE.json",
                               given, *names ? names : "without a name");
    const int side = config->recipe.side;
    config->recipe = *named;
    config->recipe.side = side;
    if (named->frame == 0) config->recipe.frame = side;
    strcpy(config->recipe_from, "the caller");
}

/* The recipe that the metadata names: an encoder's own, or one that was given by a file when this one was made. */
static const samc__recipe *from_name(samc__reading *r, const samc__encoder *encoder, char name[SAMC__RECIPE_NAME]) {
    const samc__json field = samc__read_field(r, "recipe");
    if (field.begin == NULL) return NULL;
    if (!samc__json_string(field, name, SAMC__RECIPE_NAME) || !is_name(name)) {
        *name = '\0';
        samc__read_malformed(r, "recipe", "the name of a recipe");
    }
    return find(encoder, name);
}

/* What a name and fields come to: the fields have to be those of the name, and without one some encoder's. */
static void settle(samc__reading *r, const samc__encoder *encoder, const char *name, const samc__recipe *own,
                   samc__config *config) {
    samc__recipe *recipe = &config->recipe;
    if (*name != '\0' && find(encoder, name) == NULL) { /* somebody's own */
        config->recipe_free = true;
        strcpy(recipe->name, name);
    } else if (*name != '\0' && !samc__recipe_is(recipe, own)) {
        samc__read_fail(r, SAMC_MISMATCH, "%s says recipe %s, and fields of another", samc__read_where(r), name);
    } else {
        for (int i = 0; i < encoder->recipe_count; i++)
            if (samc__recipe_is(recipe, &encoder->recipes[i])) strcpy(recipe->name, encoder->recipes[i].name);
    }
}

void samc__recipe_choose(samc__reading *r, const samc__encoder *encoder, const char *given, samc__config *config) {
    const samc__recipe *own = encoder->recipes;
    const samc__published *published = NULL;
    const char *beside;
    char name[SAMC__RECIPE_NAME] = "", *from = config->recipe_from;
    const size_t room = sizeof config->recipe_from;
    if (r->report.count > 0 || r->status != SAMC_OK || config->recipe.side == 0)
        return samc__recipe_read(r, own, &config->recipe); /* and then tells what is wrong */
    config->recipe_said = given != NULL || samc__read_field(r, "recipe").begin != NULL;
    if (given != NULL) return from_caller(r, encoder, given, config);
    const bool told = r->json.begin != NULL && r->names == NULL,
               processor = samc__checkpoint_beside(r->checkpoint, SAMC__BESIDE_PREPROCESSOR, &beside) != NULL;
    const samc__recipe *named = from_name(r, encoder, name);
    if (named != NULL) own = named;
    if (!told && !processor) published = samc__published_find(samc__published_files, r->checkpoint, encoder->name);
    if (published != NULL && find(encoder, published->recipe) != NULL) own = find(encoder, published->recipe);
    samc__recipe_read(r, own, &config->recipe);
    settle(r, encoder, name, own, config);
    config->recipe_assumed = !told && !processor && published == NULL && encoder->recipe_count > 1;
    if (told) snprintf(from, room, "the file's metadata");
    else if (processor) snprintf(from, room, "%s", beside);
    else if (published != NULL) snprintf(from, room, "the hash of the published %s", published->name);
    else if (config->recipe_assumed) snprintf(from, room, "assumed");
    else snprintf(from, room, "the only one of its kind");
}

void samc__recipe_note(samc__checkpoint *checkpoint, const samc__config *config) {
    char names[160];
    if (!config->recipe_assumed) return;
    list_names(samc__encoder_of(config), names, sizeof names);
    samc__checkpoint_add_note(checkpoint, "nothing says its recipe, %s is assumed (of %s, or FILE.json)",
                              config->recipe.name, names);
}
