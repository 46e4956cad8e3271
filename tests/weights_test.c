/* Checkpoints that people have, and what becomes of them: readers, names, configuration, loading, hashing.
 *
 * The files come from tests/make_weights_fixtures.py, that is from PyTorch itself. weights_hostile_test.c has the
 * broken ones.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tests/weights_model.h"

/* ---- Readers --------------------------------------------------------------------------------- */

Test(weights, every_dtype) {
    samc__checkpoint *c = open_ok(DATA "dtypes.pth");
    static const struct {
        const char *name;
        samc__dtype dtype;
    } types[] = {
        {"f32", SAMC__F32},   {"f16", SAMC__F16},   {"bf16", SAMC__BF16}, {"f64", SAMC__F64},  {"i64", SAMC__OTHER},
        {"i32", SAMC__OTHER}, {"i16", SAMC__OTHER}, {"i8", SAMC__OTHER},  {"u8", SAMC__OTHER}, {"bool", SAMC__OTHER},
        {"c64", SAMC__OTHER}, {"u16", SAMC__OTHER}, {"f8", SAMC__OTHER},
    };
    cr_assert_eq(samc__checkpoint_count(c), sizeof types / sizeof *types);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        const samc__tensor *t = find(c, types[i].name);
        cr_assert_eq(t->dtype, types[i].dtype, "%s", types[i].name);
        cr_assert(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 3, "%s", types[i].name);
        cr_assert_not_null(t->data);
        if (t->dtype == SAMC__OTHER) continue;
        float values[6];
        samc__tensor_read_f32(t, values);
        for (int j = 0; j < 6; j++) cr_assert_eq(values[j], j * 0.5f - 2, "%s[%d] is %g", types[i].name, j, values[j]);
    }
    samc__checkpoint_close(c);
}

/* base[i][j] = (8 i + j) / 2 - 2 is [6, 8]; every tensor is a view of it. */
static float base(int64_t i, int64_t j) { return (float)(8 * i + j) / 2 - 2; }

Test(weights, strided_and_offset_views) {
    samc__checkpoint *c = open_ok(DATA "views.pth");
    float v[64];
    const samc__tensor *t = find(c, "transposed");
    cr_assert(t->shape[0] == 8 && t->shape[1] == 6 && t->stride[0] == 1 && t->stride[1] == 8);
    cr_assert_null(samc__tensor_direct_f32(t));
    samc__tensor_read_f32(t, v);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 6; j++) cr_assert_eq(v[6 * i + j], base(j, i));

    cr_assert_not_null(samc__tensor_direct_f32(find(c, "base")));
    t = find(c, "row");
    cr_assert_not_null(samc__tensor_direct_f32(t));
    cr_assert_eq(samc__tensor_direct_f32(t)[5], base(2, 5));
    samc__tensor_read_f32(find(c, "column"), v);
    for (int i = 0; i < 6; i++) cr_assert_eq(v[i], base(i, 3));
    samc__tensor_read_f32(find(c, "steps"), v); /* base[1::2, 2:7:2] */
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) cr_assert_eq(v[3 * i + j], base(1 + 2 * i, 2 + 2 * j));
    t = find(c, "cube"); /* base as [3, 2, 8], permuted to [8, 3, 2] */
    cr_assert(t->rank == 3 && t->shape[0] == 8 && t->shape[1] == 3 && t->shape[2] == 2);
    samc__tensor_read_f32(t, v);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 6; j++) cr_assert_eq(v[6 * i + j], base(j, i));
    /* From the middle, as converting in chunks does. */
    samc__tensor_copy_f32(t, 17, 5, v);
    for (int i = 0; i < 5; i++) cr_assert_eq(v[i], base((17 + i) % 6, (17 + i) / 6));
    samc__tensor_read_f32(find(c, "expanded"), v);
    for (int i = 0; i < 5; i++) cr_assert_eq(v[i], base(0, 0));
    t = find(c, "scalar");
    samc__tensor_read_f32(t, v);
    cr_assert(t->rank == 0 && samc__tensor_elements(t) == 1 && v[0] == base(1, 1));
    t = find(c, "empty");
    cr_assert(t->rank == 2 && samc__tensor_elements(t) == 0);
    samc__tensor_read_f32(t, v);
    samc__tensor_read_f32(find(c, "parameter"), v);
    for (int i = 0; i < 16; i++) cr_assert_eq(v[i], base(3 + i / 8, i % 8));
    t = find(c, "half");
    cr_assert_eq(t->dtype, SAMC__F16);
    samc__tensor_read_f32(t, v);
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 6; j++) cr_assert_eq(v[6 * i + j], base(j, i));
    samc__tensor_read_f32(find(c, "bfloat"), v); /* base[::3, 1:] */
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 7; j++) cr_assert_eq(v[7 * i + j], base(3 * i, 1 + j));
    samc__checkpoint_close(c);
}

Test(weights, unaligned_f32_is_read_but_not_used_in_place) {
    bytes b = safetensors_of("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    const float expected[2] = {1.5f, -2.25f};
    memcpy(b.data + b.size - 8, expected, 8);
    for (size_t shift = 0; shift < 4; shift++) {
        uint8_t *block = malloc(b.size + shift); /* 16-byte aligned; the data begins at an offset known modulo 4 */
        float values[2];
        samc_error error;
        samc__checkpoint *c;
        memcpy(block + shift, b.data, b.size);
        cr_assert_eq(samc__checkpoint_open_memory(block + shift, b.size, "m", &c, &error), SAMC_OK, "%s",
                     error.message);
        bool aligned = (shift + b.size - 8) % 4 == 0;
        cr_assert_eq(samc__tensor_direct_f32(find(c, "a")) != NULL, aligned);
        samc__tensor_read_f32(find(c, "a"), values);
        cr_assert_arr_eq(values, expected, sizeof values);
        samc__checkpoint_close(c);
        free(block);
    }
    clear(&b);
}

Test(weights, wrappers_prefixes_and_protocols) {
    static const char *const files[] = {
        DATA "plain.pth",        DATA "state_dict.pth", DATA "model_state_dict.pth", DATA "nested.pth",
        DATA "prefix_extra.pth", DATA "protocol3.pth",  DATA "protocol4.pth",        DATA "protocol5.pth",
        DATA "zip64.pth",        DATA "sparse.pth",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        float values[4];
        samc__checkpoint *c = open_ok(files[i]);
        const samc__tensor *t = find(c, "image_encoder.pos_embed");
        cr_assert(t->rank == 2 && t->shape[0] == 2 && t->shape[1] == 2, "%s", files[i]);
        samc__tensor_read_f32(t, values);
        for (int j = 0; j < 4; j++) cr_assert_eq(values[j], j * 0.5f - 2, "%s", files[i]);
        find(c, "mask_decoder.iou_token.weight");
        cr_assert_str_eq(samc__checkpoint_path(c), files[i]);
        cr_assert_null(samc__checkpoint_metadata(c, "format"));
        samc__checkpoint_close(c);
    }
    samc__checkpoint *c =
        open_ok(DATA "prefix_extra.pth"); /* the buffers are the model's, other tensors beside it are not */
    find(c, "pixel_mean");
    cr_assert_null(samc__checkpoint_find(c, "head.weight"));
    samc__checkpoint_close(c);
    c = open_ok(DATA "prefix_mixed.pth"); /* two prefixes: the one that has more of the model */
    find(c, "image_encoder.pos_embed");
    cr_assert_eq(samc__checkpoint_count(c), 2);
    samc__checkpoint_close(c);
    bytes b = safetensors_of("{\"module.image_encoder.a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]},"
                             "\"module.sam.mask_decoder.b\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}",
                             0);
    cr_assert_eq(samc__checkpoint_open_memory(b.data, b.size, "m", &c, NULL), SAMC_OK);
    find(c, "module.image_encoder.a"); /* two that have as much: nothing is guessed */
    samc__checkpoint_close(c);
    clear(&b);
    c = open_ok(DATA "sparse.pth"); /* unreadable, and known by name so that its use can be reported */
    cr_assert(find(c, "image_encoder.sparse")->dtype == SAMC__OTHER && find(c, "image_encoder.sparse")->data == NULL);
    samc__checkpoint_close(c);
}

/* SamHQModel's own tensors become what segment_anything_hq calls them. */
Test(weights, names_of_sam_hq) {
    static const char *const names[][2] = {
        {"mask_decoder.hq_token.weight", "mask_decoder.hf_token.weight"},
        {"mask_decoder.hq_mask_mlp.proj_in.weight", "mask_decoder.hf_mlp.layers.0.weight"},
        {"mask_decoder.hq_mask_mlp.layers.0.bias", "mask_decoder.hf_mlp.layers.1.bias"},
        {"mask_decoder.hq_mask_mlp.proj_out.weight", "mask_decoder.hf_mlp.layers.2.weight"},
        {"mask_decoder.compress_vit_conv1.weight", "mask_decoder.compress_vit_feat.0.weight"},
        {"mask_decoder.compress_vit_norm.bias", "mask_decoder.compress_vit_feat.1.bias"},
        {"mask_decoder.compress_vit_conv2.bias", "mask_decoder.compress_vit_feat.3.bias"},
        {"mask_decoder.encoder_conv1.weight", "mask_decoder.embedding_encoder.0.weight"},
        {"mask_decoder.encoder_norm.weight", "mask_decoder.embedding_encoder.1.weight"},
        {"mask_decoder.encoder_conv2.weight", "mask_decoder.embedding_encoder.3.weight"},
        {"mask_decoder.mask_conv1.bias", "mask_decoder.embedding_maskfeature.0.bias"},
        {"mask_decoder.mask_norm.weight", "mask_decoder.embedding_maskfeature.1.weight"},
        {"mask_decoder.mask_conv2.weight", "mask_decoder.embedding_maskfeature.3.weight"},
        {"mask_decoder.output_hypernetworks_mlps.2.proj_out.bias",
         "mask_decoder.output_hypernetworks_mlps.2.layers.1.bias"},
        {"vision_encoder.layers.3.layer_norm2.weight", "image_encoder.blocks.3.norm2.weight"},
    };
    enum { NAMES = sizeof names / sizeof *names };
    char header[8192] = "{";
    for (size_t i = 0; i < NAMES; i++)
        snprintf(header + strlen(header), sizeof header - strlen(header),
                 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}", i ? "," : "", names[i][0]);
    strcat(header, "}");
    bytes file = safetensors_of(header, 0);
    samc_error error;
    samc__checkpoint *c = NULL;
    cr_assert_eq(samc__checkpoint_open_memory(file.data, file.size, "hq", &c, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(samc__checkpoint_count(c), (size_t)NAMES);
    for (size_t i = 0; i < NAMES; i++)
        cr_expect_not_null(samc__checkpoint_find(c, names[i][1]), "%s did not become %s", names[i][0], names[i][1]);
    samc__checkpoint_close(c);
    clear(&file);
}

Test(weights, refusals_say_what_to_do) {
    static const struct {
        const char *path;
        samc_status status;
        const char *part;
    } files[] = {
        {DATA "legacy.pth", SAMC_UNSUPPORTED, "torch.save(torch.load(p), q)"},
        {DATA "deflated.pth", SAMC_UNSUPPORTED, "re-save"},
        {DATA "big_endian.pth", SAMC_UNSUPPORTED, "little-endian"},
        {DATA "script.pth", SAMC_UNSUPPORTED, "TorchScript"},
        {DATA "module.pth", SAMC_FORMAT, "state_dict()"},
        {DATA "list.pth", SAMC_FORMAT, "state_dict()"},
        {DATA "not_torch.zip", SAMC_FORMAT, "no data.pkl"},
        {DATA "model_f32.sha256", SAMC_FORMAT, "neither safetensors nor"},
        {DATA "absent.pth", SAMC_IO, "No such file"},
        {SAMC_TEST_DATA, SAMC_IO, "a folder with neither model.safetensors nor"},
        {"/dev/null", SAMC_IO, "not a regular file"},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        samc_error error;
        samc__checkpoint *c = (samc__checkpoint *)&error;
        samc_status status = samc__checkpoint_open(files[i].path, &c, &error);
        expect_error(status, &error, files[i].status, files[i].part);
        expect_error(status, &error, files[i].status, files[i].path);
        cr_assert_null(c);
    }
}

/* ---- Models ---------------------------------------------------------------------------------- */

Test(weights, configuration_from_shapes) {
    model m;
    model_open(&m, DATA "model_f32.pth");
    const samc__config *c = &m.config;
    const int found[] = {c->recipe.side,
                         c->encoder.vit.patch_size,
                         c->grid,
                         c->encoder.vit.embed_dim,
                         c->encoder.vit.depth,
                         c->encoder.vit.num_heads,
                         c->encoder.vit.mlp_dim,
                         c->encoder.vit.window_size,
                         c->decoder.channels,
                         c->decoder.mask_in_chans,
                         c->decoder.depth,
                         c->decoder.heads,
                         c->decoder.mlp_dim,
                         c->decoder.inner,
                         c->decoder.masks,
                         c->decoder.iou_depth,
                         c->decoder.iou_dim,
                         c->encoder.vit.global_attn[0],
                         c->encoder.vit.global_attn[1],
                         c->encoder.vit.use_rel_pos,
                         c->encoder.vit.use_abs_pos,
                         c->encoder.vit.qkv_bias};
    const int expected[] = {16, 4, 4, 16, 2, 2, 32, 2, 16, 4, 1, 8, 24, 8, 4, 2, 12, 0, 1, 1, 1, 1};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++)
        cr_assert_eq(found[i], expected[i], "field %zu is %d instead of %d", i, found[i], expected[i]);
    cr_assert(c->recipe.mean[0] == 123.675f && c->recipe.std[2] == 57.375f && c->recipe.threshold == 0 &&
              c->name[0] == 0);
    /* The hash was computed by Python from the same state_dict(). */
    bytes hex = read_file(DATA "model_f32.sha256");
    cr_assert_eq(hex.size, 65);
    cr_assert_arr_eq(m.hash, hex.data, 64);
    clear(&hex);
    model_close(&m);
}

/* What operators get of a tensor's shape, and the type that a device gives it. */
Test(weights, roles_make_views) {
    static model m;
    model_open(&m, DATA "model_f32.pth");
    const samc__vit_weights *v = &m.weights.encoder.vit;
    const samc__weights *w = &m.weights;
    cr_expect(samc__is2(v->patch.w, 16, 3 * 4 * 4) && samc__is1(v->patch.b, 16)); /* [16, 3, 4, 4] */
    cr_expect(samc__is2(v->pos_embed, 16, 16));                                   /* [1, 4, 4, 16] */
    cr_expect(samc__is2(v->neck.conv1.w, 16, 16) && samc__is4(v->neck.conv2, 16, 16, 3, 3));
    cr_expect(samc__is1(w->point_embed[3], 16) && samc__is1(w->iou_token, 16) && samc__is2(w->mask_tokens, 4, 16));
    cr_expect(samc__is2(w->mask_conv3.w, 16, 4) && samc__is4(w->mask_conv2.w, 4, 1, 2, 2)); /* 1 x 1: a matrix */
    cr_expect(samc__is4(w->up1.w, 16, 4, 2, 2) && samc__is2(w->hyper[3][2].w, 2, 16));
    cr_expect_eq(v->blocks[1].pad_qkv.data, v->blocks[1].qkv.b.data);
    cr_expect(w->layers[0].norm1.eps == 1e-5f && v->blocks[0].norm1.eps == 1e-6f && w->final_attn.heads == 8);
    for (size_t i = 0; i < m.list.count; i++) {
        const samc__entry *e = &m.list.at[i];
        int64_t elements = 1;
        for (int side = 0; side < e->rank; side++) elements *= e->shape[side];
        cr_expect_eq(samc__elements(*e->view), elements, "%s", e->name);
        bool matrix = e->role == SAMC__ROLE_MATRIX || e->role == SAMC__ROLE_SHARED;
        cr_expect(!matrix || e->view->rank == 2, "%s", e->name);
    }
    static char there;
    samc__tensors_point(&m.list, &there, SAMC__BF16);
    cr_expect(v->patch.w.dtype == SAMC__BF16 && v->patch.b.dtype == SAMC__F32 && v->pos_embed.dtype == SAMC__F32);
    cr_expect(v->blocks[0].rel_pos_h.dtype == SAMC__BF16 && v->blocks[0].pad_qkv.dtype == SAMC__BF16);
    cr_expect(w->up1.w.dtype == SAMC__BF16 && w->mask_tokens.dtype == SAMC__F32 && w->pe_gaussian.dtype == SAMC__F32);
    model_close(&m);
}

/* Tokens and levels that no operator lays out yet are refused, whoever fills the configuration. */
Test(weights, decoders_that_are_not_run_are_refused) {
    static model m;
    model_open(&m, DATA "model_f32.pth");
    samc_error e;
    for (int i = 0; i < 6; i++) {
        samc__config c = m.config;
        samc__decoder_spec *d = &c.decoder;
        cr_assert_eq(samc__config_check(&c, "m", &e), SAMC_OK);
        if (i == 0) d->iou_at = -1;
        if (i == 1) d->mask_at = 2;
        if (i == 2) d->hq_at = 4; /* not behind the mask tokens */
        if (i == 3) d->object_at = 0;
        if (i == 4) d->high_res = true;
        if (i == 5) d->masks = 17;
        expect_error(samc__config_check(&c, "m", &e), &e, SAMC_UNSUPPORTED, "m: ");
    }
    model_close(&m);
}

Test(weights, types_load_to_the_same_floats) {
    model f32, f16, bf16;
    model_open(&f32, DATA "model_f32.pth");
    model_open(&f16, DATA "model_wrapped_f16.pth"); /* with an optimizer, NumPy scalars, argparse.Namespace around it */
    model_open(&bf16, DATA "model_bf16.safetensors"); /* written by Python's safetensors */
    expect_same_values(&f32, &f16);
    expect_same_values(&f32, &bf16);
    cr_assert_eq(f32.owned_bytes, 0, "aligned f32 must be used in place");
    cr_assert_null(f32.owned);
    cr_assert_gt(f16.owned_bytes, 50000);
    cr_assert_eq((uintptr_t)f16.weights.encoder.vit.pos_embed.data % 64, 0);
    cr_assert_str_neq(f32.hash, f16.hash);
    model_close(&f32);
    model_close(&f16);
    model_close(&bf16);
}

/* Infers and checks; on failure the error says why. */
static samc_status examine(const char *path, samc__config *config, samc_error *error) {
    static samc__weights views;
    samc__tensor_list list = {0};
    samc__checkpoint *c = open_ok(path);
    samc_status status = samc__config_infer(c, config, error);
    if (status == SAMC_OK) status = samc__tensors_list(config, &views, &list, error);
    if (status == SAMC_OK) status = samc__tensors_check(&list, c, error);
    samc__tensors_free(&list);
    samc__checkpoint_close(c);
    return status;
}

Test(weights, all_defects_at_once) {
    char folder[64], path[96];
    samc__config config;
    samc_error e;
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    write_changed(path, (change){.drop = "no_mask_embed", .reshape = "norm_final_attn", .extra = "mask_decoder.x"});
    samc_status status = examine(path, &config, &e);
    expect_error(status, &e, SAMC_MISMATCH, "missing prompt_encoder.no_mask_embed.weight;");
    expect_error(status, &e, SAMC_MISMATCH, "mask_decoder.transformer.norm_final_attn.weight [17] instead of [16],");
    expect_error(status, &e, SAMC_MISMATCH, "mask_decoder.transformer.norm_final_attn.bias [17] instead of [16];");
    expect_error(status, &e, SAMC_MISMATCH, "unexpected mask_decoder.x");
    expect_error(status, &e, SAMC_MISMATCH, path);

    write_changed(path, (change){.drop = "bias"}); /* 60 of them: as many as fit, then the count of the rest */
    status = examine(path, &config, &e);
    expect_error(status, &e, SAMC_MISMATCH, "missing image_encoder.patch_embed.proj.bias, ");
    const char *more = strstr(e.message, " ... and ");
    cr_assert_not_null(more);
    int listed = 1, left = atoi(more + strlen(" ... and "));
    for (const char *at = e.message; (at = strstr(at, ", ")) != NULL && at < more; at++) listed++;
    cr_assert(listed + left == 60 && left > 0, "%d + %d: %s", listed, left, e.message);

    write_changed(path, (change){.drop = "mask_tokens"}); /* one that the configuration is read from */
    expect_error(examine(path, &config, &e), &e, SAMC_MISMATCH, "missing mask_decoder.mask_tokens.weight");
    write_changed(path, (change){.reshape = "pos_embed"});
    expect_error(examine(path, &config, &e), &e, SAMC_MISMATCH,
                 "image_encoder.pos_embed [2, 4, 4, 16] instead of [1, 4, 4, 16]");
    write_changed(path, (change){.extra = "pixel_mean"}); /* known to be carried along */
    cr_assert_eq(examine(path, &config, &e), SAMC_OK, "%s", e.message);
    remove_folder(folder);
}

Test(weights, metadata_and_shapes_must_agree) {
    static const struct {
        const char *drop, *config;
        samc_status status;
        const char *part;
    } cases[] = {
        {NULL, "{\"depth\":3}", SAMC_MISMATCH, "samc.config says depth 3, the tensors say 2"},
        {NULL, "{\"num_heads\":4}", SAMC_MISMATCH, "num_heads 4, the tensors say 2"},
        {NULL, "{\"img_size\":32}", SAMC_MISMATCH, "img_size 32, the tensors say 16"},
        {NULL, "{\"mlp_ratio\":4}", SAMC_MISMATCH, "mlp_ratio 4, the tensors say 2"},
        {NULL, "{\"window_size\":3,\"global_attn_indexes\":[1]}", SAMC_MISMATCH, "window_size 3, the tensors say 2"},
        {NULL, "{\"window_size\":2,\"global_attn_indexes\":[0]}", SAMC_MISMATCH, "block 0 is global"},
        {NULL, "{\"window_size\":2,\"global_attn_indexes\":[2]}", SAMC_FORMAT, "global_attn_indexes"},
        {NULL, "{\"use_rel_pos\":false}", SAMC_MISMATCH, "use_rel_pos 0, the tensors say 1"},
        {NULL, "{\"depth\":\"two\"}", SAMC_FORMAT, "depth is not a whole number"},
        {NULL, "{\"pixel_std\":[1,0,1]}", SAMC_FORMAT, "pixel_std"},
        {NULL, "{\"pixel_mean\":[1,2]}", SAMC_FORMAT, "pixel_mean"},
        {NULL, "{\"decoder_num_heads\":3}", SAMC_MISMATCH, "out_chans 16 is not a multiple of decoder_num_heads 3"},
        {NULL, "{\"preprocess\":{\"resize\":\"stretch\"}}", SAMC_UNSUPPORTED,
         "resize \"stretch\"; samc can only do \"longest_side\", \"squash\""},
        {NULL, "[1]", SAMC_FORMAT, "not a JSON object"},
        {NULL, "{\"depth\":2,\"depth\":3}", SAMC_FORMAT, "depth occurs twice"},
        {"rel_pos", NULL, SAMC_MISMATCH, "num_heads is unknown: there are no tensors"},
        {"rel_pos", "{\"num_heads\":2}", SAMC_MISMATCH, "window_size is unknown"},
        {"rel_pos", "{\"num_heads\":3,\"window_size\":2}", SAMC_MISMATCH,
         "embed_dim 16 is not a multiple of num_heads 3"},
        {"rel_pos", "{\"num_heads\":0,\"window_size\":2}", SAMC_UNSUPPORTED, "num_heads is 0"},
        {"pos_embed", NULL, SAMC_MISMATCH, "missing image_encoder.pos_embed"},
        {"rel_pos_w", NULL, SAMC_MISMATCH, "missing image_encoder.blocks.0.attn.rel_pos_w, image_encoder.blocks.1"},
        {NULL, "{\"window_size\":2,\"global_attn_indexes\":[1],\"mlp_ratio\":2.0,\"num_heads\":2}", SAMC_OK, ""},
        {"rel_pos", "{\"num_heads\":4,\"window_size\":2,\"global_attn_indexes\":[0]}", SAMC_OK, ""},
        {"rel_pos", "{\"num_heads\":4,\"window_size\":4}", SAMC_OK, ""},
        {"rel_pos", "{\"num_heads\":4,\"window_size\":65}", SAMC_UNSUPPORTED, "window_size is 65 on a grid of 4 x 4"},
        {"pos_embed", "{\"use_abs_pos\":false}", SAMC_OK, ""},
        {"qkv.bias", "{\"qkv_bias\":false}", SAMC_OK, ""},
        {"qkv.bias", "{}", SAMC_MISMATCH, "missing image_encoder.blocks.0.attn.qkv.bias"},
        {NULL, "{\"preprocess\":{\"resize\":\"squash\"}}", SAMC_UNSUPPORTED,
         "no encoder of samc is used with the model's recipe (resize squash to 16, filter bilinear_antialias,"},
        {NULL, "{\"preprocess\":{\"filter\":\"torch_antialias\"}}", SAMC_UNSUPPORTED, "filter torch_antialias,"},
        {NULL, "{\"preprocess\":{\"range\":\"min_max\"}}", SAMC_UNSUPPORTED, "range min_max,"},
        {NULL, "{\"preprocess\":{\"masks\":\"bicubic\"}}", SAMC_UNSUPPORTED, "masks bicubic)"},
        {NULL, "{\"preprocess\":{\"frame\":32}}", SAMC_UNSUPPORTED, "prompts in 32,"},
        {NULL, "{\"preprocess\":{\"logit_clamp\":32}}", SAMC_UNSUPPORTED, "logits within 32)"},
        {NULL, "{\"preprocess\":{\"pad\":\"none\"}}", SAMC_UNSUPPORTED, "pad \"none\""},
        {NULL, "{\"preprocess\":{\"frame\":0}}", SAMC_FORMAT, "frame is not a whole number from 1"},
        {NULL, "{\"preprocess\":{\"masks\":1}}", SAMC_FORMAT, "masks is not a string"},
        {NULL, "{\"preprocess\":{\"logit_clamp\":-1}}", SAMC_FORMAT, "logit_clamp"},
        {NULL, "{\"preprocess\":{\"frame\":16,\"range\":\"bytes\",\"masks\":\"via_square\"}}", SAMC_OK, ""},
    };
    char folder[64], path[96];
    samc__config config = {0};
    scratch_folder(folder);
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        samc_error e = {0};
        write_changed(path, (change){.drop = cases[i].drop, .config = cases[i].config});
        samc_status status = examine(path, &config, &e);
        cr_assert_eq(status, cases[i].status, "case %zu: status %d: %s", i, status, e.message);
        cr_assert_not_null(strstr(e.message, cases[i].part), "case %zu: %s", i, e.message);
        if (i == 22)
            cr_assert(config.encoder.vit.num_heads == 4 && config.encoder.vit.window_size == 2 &&
                      config.encoder.vit.global_attn[0] && !config.encoder.vit.global_attn[1]);
        if (i == 23)
            cr_assert(config.encoder.vit.window_size == 0 && config.encoder.vit.global_attn[0] &&
                      config.encoder.vit.global_attn[1]);
    }
    remove_folder(folder);
}
