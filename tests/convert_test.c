/* samc_convert(): values, metadata and hashes that it keeps, what it refuses, and what it leaves behind then. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/weights_model.h"

Test(convert, keeps_values_and_hash) {
    static const char *const inputs[] = {DATA "model_f32.pth", DATA "model_wrapped_f16.pth",
                                         DATA "model_bf16.safetensors"};
    static const char *const own[] = {"F32", "F16", "BF16"};
    char folder[64], path[96];
    samc_error e;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    for (int i = 0; i < 3; i++) {
        for (int storage = SAMC_STORAGE_KEEP; storage <= SAMC_STORAGE_BF16; storage++) {
            model from, to;
            model_open(&from, inputs[i]);
            cr_assert_eq(samc_convert(inputs[i], path, (samc_storage)storage, &e), SAMC_OK, "%s", e.message);
            model_open(&to, path);
            expect_same_values(&from, &to); /* exact in every type, see make_weights_fixtures.py */
            bool same_type = storage == SAMC_STORAGE_KEEP || storage - 1 == i;
            cr_assert_eq(strcmp(from.hash, to.hash) == 0, same_type, "%s as %d", inputs[i], storage);
            const samc__tensor *t = find(to.checkpoint, "image_encoder.pos_embed");
            cr_assert_str_eq(samc__dtype_name(t->dtype), own[storage == SAMC_STORAGE_KEEP ? i : storage - 1]);
            if (t->dtype == SAMC__F32) cr_assert_eq(to.owned_bytes, 0, "f32 is used in place");
            cr_assert_str_eq(samc__checkpoint_metadata(to.checkpoint, "format"), "pt");
            cr_assert_str_eq(samc__checkpoint_metadata(to.checkpoint, "samc.converter_version"), SAMC_VERSION);
            cr_assert_eq(strlen(samc__checkpoint_metadata(to.checkpoint, "samc.source_sha256")), 64);
            cr_assert_eq(memcmp(&from.config.recipe, &to.config.recipe, sizeof from.config.recipe), 0);
            cr_assert_eq(memcmp(&from.config.grid, &to.config.grid, /* what knows it from where may differ */
                                offsetof(samc__config, automatic) - offsetof(samc__config, grid)),
                         0);
            model_close(&from);
            model_close(&to);
        }
    }
    cr_assert_eq(files_in(folder), 1, "no temporary files are left");
    remove_folder(folder);
}

/* Every element says where it belongs: tensor and index, as bytes. */
static samc_status numbered(void *context, size_t index, int64_t first, int64_t count, void *to, samc_error *error) {
    (void)context, (void)error;
    for (int64_t i = 0; i < count; i++) {
        uint32_t value = (uint32_t)(first + i) ^ (uint32_t)index << 13;
        memcpy((uint8_t *)to + i * (index == 1 ? 4 : 2), &value, index == 1 ? 4 : 2);
    }
    return SAMC_OK;
}

Test(convert, writer_streams_and_keeps_f32_aligned) {
    char folder[64], path[96];
    samc_error e;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    const samc__output_tensor outputs[] = {{.name = "a", .dtype = SAMC__F16, .rank = 2, .shape = {3, 300001}},
                                           {.name = "b", .dtype = SAMC__F32, .rank = 1, .shape = {600000}},
                                           {.name = "c", .dtype = SAMC__BF16, .rank = 0}};
    cr_assert_eq(samc__safetensors_write(path, outputs, 3, NULL, 0, numbered, NULL, &e), SAMC_OK, "%s", e.message);
    samc__checkpoint *c = open_ok(path);
    cr_assert_eq((uintptr_t)find(c, "b")->data % 64, 0);
    for (int t = 0; t < 3; t++) {
        const samc__tensor *tensor = find(c, outputs[t].name);
        int64_t elements = samc__tensor_elements(tensor);
        cr_assert(tensor->dtype == outputs[t].dtype && elements == (t == 0 ? 900003 : t == 1 ? 600000 : 1));
        uint8_t *expected = malloc((size_t)elements * 4);
        numbered(NULL, (size_t)t, 0, elements, expected, NULL);
        cr_assert_arr_eq(tensor->data, expected, (size_t)elements * samc__dtype_size(tensor->dtype));
        free(expected);
    }
    samc__checkpoint_close(c);
    remove_folder(folder);
}

Test(convert, carries_metadata_over) {
    char folder[64], first[96], second[96];
    samc_error e;
    scratch_folder(folder);
    snprintf(first, sizeof first, "%s/1.safetensors", folder);
    snprintf(second, sizeof second, "%s/2.safetensors", folder);
    write_changed(first, (change){.config = "{\"decoder_num_heads\":4,\"mask_threshold\":0.25,\"pixel_mean\":[1,2,3.1],"
                                            "\"mine\":7,\"automatic\":{\"pred_iou_thresh\":0.5}}"});
    /* The same tensors again, with a name, a licence and a card. */
    samc__checkpoint *c = open_ok(first);
    const samc__tensor *t = samc__checkpoint_at(c, 0);
    samc__metadata metadata[] = {{(char *)"samc.config", (char *)samc__checkpoint_metadata(c, "samc.config")},
                                 {(char *)"samc.name", (char *)"tiny"},
                                 {(char *)"samc.licence", (char *)"Apache-2.0"},
                                 {(char *)"samc.card", (char *)"a card with \"quotes\" and \u00e9"}};
    change all = {0};
    samc__output_tensor outputs[160];
    for (size_t i = 0; i < samc__checkpoint_count(c); i++) {
        t = samc__checkpoint_at(c, i);
        outputs[i] = (samc__output_tensor){.name = t->name, .dtype = t->dtype, .rank = t->rank};
        memcpy(outputs[i].shape, t->shape, sizeof t->shape);
        all.inputs[i] = t;
    }
    cr_assert_eq(samc__safetensors_write(second, outputs, samc__checkpoint_count(c), metadata, 4, zeros, &all, &e),
                 SAMC_OK);
    samc__checkpoint_close(c);
    cr_assert_eq(samc_convert(second, first, SAMC_STORAGE_F16, &e), SAMC_OK, "%s", e.message);
    model m;
    model_open(&m, first);
    cr_assert_str_eq(m.config.name, "tiny");
    cr_assert_str_eq(m.config.licence, "Apache-2.0");
    cr_assert_str_eq(m.config.card, "a card with \"quotes\" and \u00e9");
    cr_assert(m.config.decoder.heads == 4 && m.config.recipe.threshold == 0.25f && m.config.recipe.mean[2] == 3.1f);
    const char *config = samc__checkpoint_metadata(m.checkpoint, "samc.config");
    cr_assert_not_null(strstr(config, "\"mine\":7"), "%s", config);
    cr_assert_not_null(strstr(config, "\"pred_iou_thresh\":0.5,"), "%s", config);
    cr_assert_not_null(strstr(config, "\"stability_score_thresh\":0.95"), "%s", config);
    cr_assert_not_null(strstr(config, "\"global_attn_indexes\":[1]"), "%s", config);
    model_close(&m);
    remove_folder(folder);
}

Test(convert, refuses_and_leaves_nothing_behind) {
    char folder[64], path[96], link_path[96];
    samc_error e;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    snprintf(link_path, sizeof link_path, "%s/link", folder);
    /* Onto itself, also through another name. */
    cr_assert_eq(samc_convert(DATA "model_f32.pth", path, SAMC_STORAGE_KEEP, &e), SAMC_OK);
    bytes before = read_file(path), after;
    cr_assert_eq(link(path, link_path), 0);
    expect_error(samc_convert(path, path, SAMC_STORAGE_F16, &e), &e, SAMC_INVALID_ARGUMENT, "the same file");
    expect_error(samc_convert(path, link_path, SAMC_STORAGE_F16, &e), &e, SAMC_INVALID_ARGUMENT, "the same file");
    cr_assert_eq(unlink(link_path), 0);
    /* A folder that is not there, one that is the output, a device, bad arguments, broken input. */
    expect_error(samc_convert(path, "/nonexistent/x.safetensors", SAMC_STORAGE_KEEP, &e), &e, SAMC_IO,
                 "/nonexistent/x");
    expect_error(samc_convert(path, folder, SAMC_STORAGE_KEEP, &e), &e, SAMC_IO, "is a directory");
    expect_error(samc_convert(path, "/dev/full", SAMC_STORAGE_KEEP, &e), &e, SAMC_IO,
                 "No space left"); /* written into, not replaced */
    expect_error(samc_convert(NULL, path, SAMC_STORAGE_KEEP, &e), &e, SAMC_INVALID_ARGUMENT, "no path");
    expect_error(samc_convert(path, link_path, (samc_storage)9, &e), &e, SAMC_INVALID_ARGUMENT, "storage");
    expect_error(samc_convert(DATA "plain.pth", link_path, SAMC_STORAGE_KEEP, &e), &e, SAMC_MISMATCH, "missing");
    /* A full disk: the limit on file sizes fails the write in the same place. The old file survives. */
    struct rlimit limit = {20000, RLIM_INFINITY}, unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    samc_status status = samc_convert(DATA "model_f32.pth", path, SAMC_STORAGE_KEEP, &e);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &unlimited), 0);
    expect_error(status, &e, SAMC_IO, "cannot write");
    after = read_file(path);
    cr_assert_eq(after.size, before.size);
    cr_assert_arr_eq(after.data, before.data, before.size);
    cr_assert_eq(files_in(folder), 1);
    clear(&before);
    clear(&after);
    remove_folder(folder);
}

Test(convert, reports_overflow) {
    char folder[64], path[96], out[96];
    samc_error e;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    cr_assert_eq(samc_convert(DATA "model_f32.pth", path, SAMC_STORAGE_KEEP, &e), SAMC_OK);
    samc__checkpoint *c = open_ok(path);
    bytes b = read_file(path);
    const samc__tensor *t = find(c, "mask_decoder.iou_token.weight");
    size_t at = (size_t)((const uint8_t *)t->data - c->bytes) + 4 * 7;
    samc__checkpoint_close(c);
    static const struct {
        float value;
        samc_storage storage;
        bool fits;
    } cases[] = {
        {65519.0f, SAMC_STORAGE_F16, true}, {65520.0f, SAMC_STORAGE_F16, false}, {-1e6f, SAMC_STORAGE_F16, false},
        {1e6f, SAMC_STORAGE_BF16, true},    {3.4e38f, SAMC_STORAGE_BF16, false}, {3.4e38f, SAMC_STORAGE_F32, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memcpy(b.data + at, &cases[i].value, 4);
        FILE *file = fopen(path, "wb");
        cr_assert_eq(fwrite(b.data, 1, b.size, file), b.size);
        cr_assert_eq(fclose(file), 0);
        samc_status status = samc_convert(path, out, cases[i].storage, &e);
        if (cases[i].fits) cr_assert(status == SAMC_OK && unlink(out) == 0, "%s", e.message);
        else expect_error(status, &e, SAMC_UNSUPPORTED, "tensor mask_decoder.iou_token.weight has values beyond");
        cr_assert_eq(files_in(folder), 1, "case %zu", i);
    }
    clear(&b);
    remove_folder(folder);
}
