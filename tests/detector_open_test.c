/* Folders of detectors that say something samc does not do, or that does not fit their tensors: each is refused, by
 * name. The models are the tiny ones of tests/parity/detector_reference.py. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/model/relate.h"
#include "weights/checkpoint.h"

/* The file's text with `old` replaced by `new`, into the folder. */
static void put_changed(const char *from, const char *folder, const char *name, const char *old, const char *new) {
    char path[1400];
    const char *wrong;
    bool absent;
    snprintf(path, sizeof path, "%s/%s", from, name);
    char *text = samc__text_of_file(path, &absent, &wrong), *at = old != NULL ? strstr(text, old) : NULL;
    cr_assert(old == NULL || at != NULL, "%s has no %s", name, old);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    if (at != NULL) {
        fwrite(text, 1, (size_t)(at - text), file);
        fputs(new, file);
        fputs(at + strlen(old), file);
    } else {
        fputs(text, file);
    }
    fclose(file);
    free(text);
}

static samc_status open_changed(const char *family, const char *name, const char *old, const char *new,
                                samc__relate_opened *opened, samc_error *error) {
    char from[1024], folder[] = "/tmp/samc-detector-XXXXXX", path[1200], model[1200];
    static const char *const texts[] = {"config.json", "preprocessor_config.json"};
    snprintf(from, sizeof from, "%s/golden_%s", SAMC_TEST_DATA, family);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(model, sizeof model, "%s/model.safetensors", from);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    cr_assert_eq(symlink(model, path), 0);
    for (int i = 0; i < 2; i++)
        put_changed(from, folder, texts[i], name != NULL && strcmp(name, texts[i]) == 0 ? old : NULL, new);
    samc_options options = SAMC_INIT(samc_options);
    samc_default_options(&options);
    options.threads = 1;
    const samc_status status = samc__relate_open(folder, &options, opened, error);
    unlink(path);
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, texts[i]);
        unlink(path);
    }
    rmdir(folder);
    return status;
}

Test(detector_open, as_they_are) {
    static const char *const families[] = {"owlv2", "clipseg"};
    for (int i = 0; i < 2; i++) {
        samc__relate_opened opened;
        samc__relate_facts facts;
        samc_error error = {0};
        char hex[65];
        cr_assert_eq(open_changed(families[i], NULL, NULL, NULL, &opened, &error), SAMC_OK, "%s", error.message);
        opened.family->facts(opened.net, &facts);
        cr_assert_eq(facts.image_size, i == 0 ? 96 : 80);
        cr_assert_eq(facts.boxes, i == 0 ? 36 : 0);
        cr_assert_eq(facts.map_side, i == 0 ? 0 : 80);
        cr_assert_eq(facts.context, i == 0 ? 16 : 77);
        cr_assert_eq(opened.family->kind, i == 0 ? SAMC_DETECTOR_BOXES : SAMC_DETECTOR_MAPS);
        cr_assert_eq(opened.family->hash(opened.net, hex, &error), SAMC_OK);
        cr_assert_eq(strlen(hex), 64);
        opened.family->close(opened.net);
    }
}

Test(detector_open, refused) {
    static const struct {
        const char *family, *file, *old, *new, *says;
    } cases[] = {
        {"owlv2", "config.json", "\"owlv2\"", "\"owlvit\"", "model_type"},
        {"owlv2", "config.json", "\"quick_gelu\"", "\"selu\"", "selu"},
        {"owlv2", "config.json", "\"image_size\": 96", "\"image_size\": 768", "768"},
        {"owlv2", "config.json", "\"max_position_embeddings\": 16", "\"max_position_embeddings\": 77", "77"},
        {"owlv2", "config.json", "\"num_attention_heads\": 3", "\"num_attention_heads\": 5", "heads"},
        {"owlv2", "preprocessor_config.json", "\"do_pad\": true", "\"do_pad\": false", "do_pad"},
        {"owlv2", "preprocessor_config.json", "\"height\": 96", "\"height\": 960", "size.height"},
        {"owlv2", "preprocessor_config.json", "\"resample\": 2", "\"resample\": 3", "resample"},
        {"owlv2", "preprocessor_config.json", "Owlv2Image", "OwlViTImage", "OwlViTImage"},
        {"owlv2", "preprocessor_config.json", "0.00392156862745098", "1.0", "rescale_factor"},
        {"clipseg", "config.json", "\"clipseg\"", "\"clip\"", "model_type"},
        {"clipseg", "config.json", "\"conditional_layer\": 0", "\"conditional_layer\": 1", "conditional_layer"},
        {"clipseg", "config.json", "    1,\n    2,\n    4", "    2,\n    1,\n    4", "extract_layers"},
        {"clipseg", "config.json", "    1,\n    2,\n    4", "    1,\n    2,\n    9", "extract_layers"},
        {"clipseg", "config.json", "    1,\n    2,\n    4", "    1,\n    2", "extract_layers"},
        {"clipseg", "config.json", "\"decoder_num_attention_heads\": 2", "\"decoder_num_attention_heads\": 3", "heads"},
        {"clipseg", "preprocessor_config.json", "\"height\": 80", "\"height\": 90", "size"},
        {"clipseg", "preprocessor_config.json", "\"width\": 80", "\"width\": 96", "size.width"},
        {"clipseg", "preprocessor_config.json", "ViTImage", "BlipImage", "BlipImage"},
        {"clipseg", "preprocessor_config.json", "\"do_normalize\": true", "\"do_normalize\": false", "do_normalize"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc__relate_opened opened;
        samc_error error = {0};
        const samc_status status =
            open_changed(cases[i].family, cases[i].file, cases[i].old, cases[i].new, &opened, &error);
        cr_assert(status == SAMC_MISMATCH || status == SAMC_UNSUPPORTED || status == SAMC_FORMAT, "case %zu: %d", i,
                  (int)status);
        cr_assert_not_null(strstr(error.message, cases[i].says), "case %zu: %s", i, error.message);
    }
}

/* A size that is a number, as files of older versions have it. */
Test(detector_open, older_files) {
    samc__relate_opened opened;
    samc__relate_facts facts;
    samc_error error = {0};
    cr_assert_eq(open_changed("clipseg", "preprocessor_config.json",
                              "\"size\": {\n    \"height\": 80,\n    \"width\": 80\n  }", "\"size\": 112", &opened,
                              &error),
                 SAMC_OK, "%s", error.message);
    opened.family->facts(opened.net, &facts);
    cr_assert_eq(facts.map_side, 112);
    opened.family->close(opened.net);
}
