/* Opening models of text and images: what lies beside a file, what contradicts it, what is refused by its name; and
 * that a converted file is the same model. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/text_image.h"
#include "tests/weights_model.h"

static const char golden[] = SAMC_TEST_DATA "/golden_clip";
static const samc_options options = {.size = sizeof(samc_options), .backend = SAMC_BACKEND_CPU, .threads = 1};

/* The file's text with the first `from` replaced; free() it. */
static char *changed(const char *name, const char *from, const char *to) {
    char path[300];
    bool absent;
    const char *wrong;
    snprintf(path, sizeof path, "%s/%s", golden, name);
    char *text = samc__text_of_file(path, &absent, &wrong);
    cr_assert_not_null(text);
    char *at = from ? strstr(text, from) : text;
    cr_assert_not_null(at, "%s", from);
    char *out = malloc(strlen(text) + strlen(to) + 1);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + (from ? strlen(from) : 0));
    free(text);
    return out;
}

static void write_text(const char *folder, const char *name, const char *text) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* A folder with the golden weights and, where they are given, texts beside them. */
static samc_status open_with(const char *config, const char *preprocessor, samc__relate_opened *o, samc_error *e) {
    char folder[64], path[300], target[300];
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    snprintf(target, sizeof target, "%s/model.safetensors", golden);
    cr_assert_eq(symlink(target, path), 0);
    if (config) write_text(folder, "config.json", config);
    if (preprocessor) write_text(folder, "preprocessor_config.json", preprocessor);
    const samc_status status = samc__relate_open(folder, &options, o, e);
    remove_folder(folder);
    return status;
}

static void refused(samc_status status, const char *file, const char *from, const char *to, const char *word) {
    samc__relate_opened o;
    samc_error e;
    char *text = changed(file, from, to);
    const bool config = strcmp(file, "config.json") == 0;
    char *other = changed(config ? "preprocessor_config.json" : "config.json", NULL, "");
    cr_expect_eq(open_with(config ? text : other, config ? other : text, &o, &e), status, "%s: %s", to, e.message);
    cr_expect_not_null(strstr(e.message, word), "%s: %s", word, e.message);
    free(text), free(other);
}

Test(text_open, what_contradicts_is_named) {
    refused(SAMC_MISMATCH, "config.json", "\"hidden_size\": 48", "\"hidden_size\": 64", "text_config.hidden_size 64");
    refused(SAMC_MISMATCH, "config.json", "\"patch_size\": 8", "\"patch_size\": 16", "vision_config.patch_size 16");
    refused(SAMC_MISMATCH, "config.json", "\"image_size\": 40", "\"image_size\": 48", "vision_config.image_size 48");
    refused(SAMC_MISMATCH, "config.json", "\"model_type\": \"clip\"", "\"model_type\": \"sam\"", "model_type");
    refused(SAMC_UNSUPPORTED, "config.json", "\"quick_gelu\"", "\"swish\"", "hidden_act");
    refused(SAMC_MISMATCH, "config.json", "\"num_attention_heads\": 3", "\"num_attention_heads\": 5", "heads");
    refused(SAMC_MISMATCH, "preprocessor_config.json", "\"height\": 40", "\"height\": 41", "crop_size.height 41");
    refused(SAMC_MISMATCH, "preprocessor_config.json", "\"resample\": 3", "\"resample\": 2", "resample 2");
    refused(SAMC_UNSUPPORTED, "preprocessor_config.json", "\"do_center_crop\": true", "\"do_center_crop\": false",
            "do_center_crop");
    refused(SAMC_UNSUPPORTED, "preprocessor_config.json", "CLIPImageProcessor", "ViTImageProcessor", "ViTImage");
    refused(SAMC_FORMAT, "preprocessor_config.json", "0.48145466,", "", "image_mean");
}

Test(text_open, what_nobody_says_is_told) {
    samc__relate_opened o;
    samc_error e;
    samc__relate_facts facts;
    char *config = changed("config.json", NULL, "");
    /* Heads of 64 do not fit these widths: without config.json there is one. */
    cr_assert_eq(open_with(NULL, NULL, &o, &e), SAMC_OK, "%s", e.message);
    o.family->facts(o.net, &facts);
    cr_expect_not_null(strstr(facts.note, "without config.json"));
    cr_expect_eq(((const samc__text_image *)o.net)->config.text.plain.heads, 1);
    o.family->close(o.net);
    cr_assert_eq(open_with(config, NULL, &o, &e), SAMC_OK, "%s", e.message);
    o.family->facts(o.net, &facts);
    cr_expect_str_empty(facts.note);
    cr_expect_eq(((const samc__text_image *)o.net)->config.text.plain.heads, 3);
    o.family->close(o.net);
    free(config);
}

Test(text_open, other_models_are_refused_by_name) {
    samc__relate_opened o;
    samc_error e;
    cr_expect_eq(samc__relate_open(SAMC_TEST_DATA "/golden/tiny.safetensors", &options, &o, &e), SAMC_UNSUPPORTED);
    cr_expect_not_null(strstr(e.message, "weights of SAM"), "%s", e.message);
}

Test(text_open, a_converted_file_is_the_same_model) {
    samc__relate_opened folder, file;
    samc_error e;
    char at[64], path[96], hash[2][65];
    scratch_folder(at);
    snprintf(path, sizeof path, "%s/m.safetensors", at);
    cr_assert_eq(samc_convert(golden, path, SAMC_STORAGE_KEEP, &e), SAMC_OK, "%s", e.message);
    cr_assert_eq(samc__relate_open(golden, &options, &folder, &e), SAMC_OK, "%s", e.message);
    cr_assert_eq(samc__relate_open(path, &options, &file, &e), SAMC_OK, "%s", e.message);
    const samc__text_image *a = folder.net, *b = file.net;
    cr_expect_eq(memcmp(&a->config, &b->config, sizeof a->config), 0);
    cr_assert_eq(folder.family->hash(a, hash[0], &e), SAMC_OK);
    cr_assert_eq(folder.family->hash(b, hash[1], &e), SAMC_OK);
    cr_expect_str_eq(hash[0], hash[1]);
    folder.family->close(folder.net), file.family->close(file.net);
    cr_expect_eq(samc_convert(golden, path, SAMC_STORAGE_INT8, &e), SAMC_UNSUPPORTED);
    remove_folder(at);
}
