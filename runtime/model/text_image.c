/* Reading, listing and writing what all models of text and images have: the two towers. */
#include "runtime/model/text_image.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const samc__text_image_family *const families[SAMC__TEXT_IMAGES] = {
    [SAMC__TEXT_IMAGE_CLIP] = &samc__family_clip,
    [SAMC__TEXT_IMAGE_OWLV2] = &samc__family_owlv2,
    [SAMC__TEXT_IMAGE_CLIPSEG] = &samc__family_clipseg,
};

const samc__text_image_family *samc__text_image_family_of(const samc__text_image_config *config) {
    return families[config->kind];
}

/* ---- Which of them --------------------------------------------------------------------------- */

/* What else has such names, or is asked for by mistake: a piece of a tensor's name. The first that occurs counts. */
static const struct {
    const char *piece, *what;
} others[] = {
    {"owlvit.", "OWL-ViT, the first version of OWLv2"},
    {"image_encoder.", "SAM, which relates no text to images"},
    {"logit_bias", "SigLIP"},
    {"vision_model.head.probe", "SigLIP"},
    {"positional_embedding", "CLIP by the names of OpenAI and open_clip; save it by transformers' CLIPModel"},
    {"text_model.embeddings.", "a text tower alone, or of a family that samc does not know"},
};

bool samc__text_image_is(const samc__checkpoint *checkpoint, samc__text_image_kind *kind) {
    for (int i = 0; i < SAMC__TEXT_IMAGES; i++) {
        if (samc__checkpoint_find(checkpoint, families[i]->mark) == NULL) continue;
        *kind = (samc__text_image_kind)i;
        return true;
    }
    return false;
}

samc_status samc__text_image_recognise(const samc__checkpoint *checkpoint, samc__text_image_kind *kind,
                                       samc_error *error) {
    if (samc__text_image_is(checkpoint, kind)) return SAMC_OK;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        for (size_t t = 0; t < samc__checkpoint_count(checkpoint); t++)
            if (strstr(samc__checkpoint_at(checkpoint, t)->name, others[i].piece) != NULL)
                return samc__fail(error, SAMC_UNSUPPORTED, "%s: weights of %s; a model of text and images is wanted",
                                  checkpoint->label, others[i].what);
    return samc__fail(error, SAMC_MISMATCH, "%s: no model of text and images is in it", checkpoint->label);
}

/* ---- Reading --------------------------------------------------------------------------------- */

#define TEXT "text_config"
#define VISION "vision_config"

static const samc__foreign_name names[] = {
    {"text_dim", TEXT, "hidden_size"},
    {"text_mlp_dim", TEXT, "intermediate_size"},
    {"text_depth", TEXT, "num_hidden_layers"},
    {"text_heads", TEXT, "num_attention_heads"},
    {"text_act", TEXT, "hidden_act"},
    {"text_eps", TEXT, "layer_norm_eps"},
    {"context", TEXT, "max_position_embeddings"},
    {"vocabulary", TEXT, "vocab_size"},
    {"vision_dim", VISION, "hidden_size"},
    {"vision_mlp_dim", VISION, "intermediate_size"},
    {"vision_depth", VISION, "num_hidden_layers"},
    {"vision_heads", VISION, "num_attention_heads"},
    {"vision_act", VISION, "hidden_act"},
    {"vision_eps", VISION, "layer_norm_eps"},
    {"img_size", VISION, "image_size"},
    {"patch_size", VISION, "patch_size"},
    {"dim", NULL, "projection_dim"},
    {"decoder_heads", NULL, "decoder_num_attention_heads"},
    {"extract_layers", NULL, "extract_layers"},
    {"conditional_layer", NULL, "conditional_layer"},
    {NULL, NULL, NULL},
};

/* The names of activations in files. */
static const struct {
    const char *name;
    samc__act act;
} activations[] = {{"quick_gelu", SAMC__ACT_GELU_QUICK},
                   {"gelu", SAMC__ACT_GELU},
                   {"gelu_new", SAMC__ACT_GELU_TANH},
                   {"gelu_pytorch_tanh", SAMC__ACT_GELU_TANH}};

static void read_act(samc__reading *r, const char *key, samc__act *act) {
    const samc__json field = samc__read_field(r, key);
    if (field.begin == NULL) return;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (samc__json_equals(field, activations[i].name)) {
            *act = activations[i].act;
            return;
        }
    samc__read_fail(r, SAMC_UNSUPPORTED, "%s says %s %s, which samc does not know", samc__read_where(r),
                    samc__read_name(r, key).text, samc__printable(field.begin, (size_t)(field.end - field.begin)).text);
}

static const samc__tensor *tower_tensor(samc__reading *r, const char *prefix, const char *name, int rank) {
    char full[160];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return samc__read_tensor(r, full, rank);
}

static int tower_layers(const samc__reading *r, const char *prefix, const char *name) {
    char full[160];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return samc__read_layers(r, full);
}

/* What neither tensors nor a file that says nothing tells: transformers' defaults, with heads of 64 as all of these
 * models have them but the largest. */
static void assume(samc__plain *p) {
    p->heads = p->dim / 64 > 0 ? p->dim / 64 : 1;
    p->act = SAMC__ACT_GELU_QUICK;
    p->eps = 1e-5f;
}

static void read_plain(samc__reading *r, const char *tower, samc__plain *p) {
    char key[32];
#define KEY(leaf) (snprintf(key, sizeof key, "%s_%s", tower, leaf), key)
    samc__merge_count(r, KEY("dim"), &p->dim, true);
    samc__merge_count(r, KEY("mlp_dim"), &p->mlp_dim, true);
    samc__merge_count(r, KEY("depth"), &p->depth, true);
    samc__merge_count(r, KEY("heads"), &p->heads, false);
    read_act(r, KEY("act"), &p->act);
    const samc__json eps = samc__read_field(r, KEY("eps"));
    if (eps.begin != NULL) samc__merge_float(r, KEY("eps"), eps, &p->eps, true);
#undef KEY
}

static void read_towers(samc__reading *r, samc__text_image_config *c) {
    const char *p = c->prefix;
    const samc__tensor *tokens = tower_tensor(r, p, "text_model.embeddings.token_embedding.weight", 2),
                       *words = tower_tensor(r, p, "text_model.embeddings.position_embedding.weight", 2),
                       *text = tower_tensor(r, p, "text_model.encoder.layers.0.mlp.fc1.weight", 2),
                       *out = tower_tensor(r, p, "text_projection.weight", 2),
                       *patch = tower_tensor(r, p, "vision_model.embeddings.patch_embedding.weight", 4),
                       *places = tower_tensor(r, p, "vision_model.embeddings.position_embedding.weight", 2),
                       *vision = tower_tensor(r, p, "vision_model.encoder.layers.0.mlp.fc1.weight", 2);
    samc__text_spec *t = &c->text;
    samc__vision_spec *v = &c->vision;
    if (r->report.count > 0) return;
    t->vocabulary = samc__read_side(tokens, 0), t->context = samc__read_side(words, 0);
    t->plain = (samc__plain){.dim = samc__read_side(tokens, 1),
                             .depth = tower_layers(r, p, "text_model.encoder.layers."),
                             .mlp_dim = samc__read_side(text, 0),
                             .causal = true};
    v->patch = samc__read_side(patch, 2);
    v->table_grid = v->grid = (int)lround(sqrt((double)samc__read_side(places, 0) - 1));
    v->side = v->grid * v->patch;
    v->plain = (samc__plain){.dim = samc__read_side(patch, 0),
                             .depth = tower_layers(r, p, "vision_model.encoder.layers."),
                             .mlp_dim = samc__read_side(vision, 0)};
    c->dim = samc__read_side(out, 0);
    assume(&t->plain), assume(&v->plain);
    read_plain(r, "text", &t->plain);
    read_plain(r, "vision", &v->plain);
    samc__merge_count(r, "context", &t->context, true);
    samc__merge_count(r, "vocabulary", &t->vocabulary, true);
    samc__merge_count(r, "patch_size", &v->patch, true);
    samc__merge_count(r, "dim", &c->dim, true);
    samc__merge_triple(r, "pixel_mean", v->mean, false);
    samc__merge_triple(r, "pixel_std", v->std, true);
}

static samc_status check(const samc__text_image_config *c, const char *label, samc_error *error) {
    const samc__plain *t = &c->text.plain, *v = &c->vision.plain;
    const samc__bounds bounds[] = {
        {"text width", t->dim, 1, 4096},
        {"text depth", t->depth, 1, SAMC__PLAIN_BLOCKS},
        {"text heads", t->heads, 1, 256},
        {"text MLP width", t->mlp_dim, 1, 65536},
        {"context", c->text.context, 3, 256},
        {"vocabulary", c->text.vocabulary, 2, 1 << 20},
        {"vision width", v->dim, 1, 4096},
        {"vision depth", v->depth, 1, SAMC__PLAIN_BLOCKS},
        {"vision heads", v->heads, 1, 256},
        {"vision MLP width", v->mlp_dim, 1, 65536},
        {"patch_size", c->vision.patch, 1, 64},
        {"grid", c->vision.grid, 1, 128},
        {"grid of positions", c->vision.table_grid, 1, 128},
        {"projection width", c->dim, 1, 4096},
    };
    const samc__multiple multiples[] = {
        {"text width", t->dim, "text heads", t->heads},
        {"vision width", v->dim, "vision heads", v->heads},
    };
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    SAMC__TRY(samc__check_multiples(label, multiples, sizeof multiples / sizeof *multiples, error));
    const samc__text_image_family *family = samc__text_image_family_of(c);
    return family->check != NULL ? family->check(c, label, error) : SAMC_OK;
}

/* config.json becomes what is read, where the file has no metadata of samc's. */
static samc_status beside(samc__reading *r, const samc__text_image_family *family) {
    const char *file, *text = samc__checkpoint_beside(r->checkpoint, SAMC__BESIDE_CONFIG, &file);
    if (text == NULL) return SAMC_OK;
    samc__json json;
    SAMC__TRY(samc__read_object(text, r->checkpoint->label, file, &json, r->error));
    const samc__json type = samc__json_get(json, "model_type");
    if (type.begin != NULL && !samc__json_equals(type, family->model_type))
        return samc__fail(r->error, SAMC_MISMATCH, "%s: %s says model_type %s, but the tensors are those of %s",
                          r->checkpoint->label, file, samc__printable(type.begin, (size_t)(type.end - type.begin)).text,
                          family->name);
    r->json = json, r->where = file, r->names = names;
    return SAMC_OK;
}

samc_status samc__text_image_read(samc__checkpoint *checkpoint, samc__text_image_kind kind,
                                  samc__text_image_config *config, samc_error *error) {
    const samc__text_image_family *family = families[kind];
    samc__reading r = {.checkpoint = checkpoint, .status = SAMC_OK, .error = error};
    *config = (samc__text_image_config){.kind = kind, .vision.before = family->before};
    static const float mean[] = SAMC__CLIP_MEAN, std[] = SAMC__CLIP_STD;
    snprintf(config->prefix, sizeof config->prefix, "%s", family->prefix);
    memcpy(config->vision.mean, mean, sizeof mean);
    memcpy(config->vision.std, std, sizeof std);
    samc__checkpoint_forget(checkpoint, ".position_ids"); /* tables of numbers that old files carry */
    SAMC__TRY(samc__read_metadata(checkpoint, &r.json, error));
    if (r.json.begin == NULL) SAMC__TRY(beside(&r, family));
    if (r.json.begin == NULL)
        samc__checkpoint_add_note(checkpoint, "without config.json: heads of 64, quick GELU and an epsilon of 1e-5 are "
                                              "assumed");
    read_towers(&r, config);
    if (r.status == SAMC_OK && r.report.count == 0 && family->infer != NULL) family->infer(&r, config);
    SAMC__TRY(samc__report_finish(&r.report, checkpoint, error));
    if (r.status != SAMC_OK) return r.status;
    return check(config, checkpoint->label, error);
}

/* ---- preprocessor_config.json ---------------------------------------------------------------- */

samc__json samc__text_image_preprocessor(samc__reading *r, const char **file) {
    samc__json json = {0};
    const char *text = samc__checkpoint_beside(r->checkpoint, SAMC__BESIDE_PREPROCESSOR, file);
    if (text == NULL || r->status != SAMC_OK || r->names == NULL) return json;
    r->status = samc__read_object(text, r->checkpoint->label, *file, &json, r->error);
    const samc__json inner = samc__json_get(json, "image_processor"); /* of processor_config.json */
    return samc__json_is_object(inner) ? inner : json;
}

void samc__preprocessor_kind(samc__reading *r, const char *file, samc__json json, const char *begins) {
    static const char *const kinds[] = {"image_processor_type", "feature_extractor_type"};
    for (int i = 0; i < 2; i++) {
        char kind[64];
        const samc__json type = samc__json_get(json, kinds[i]);
        if (type.begin == NULL || samc__json_kind(type) == 'n') continue;
        if (!samc__json_string(type, kind, sizeof kind) || strncmp(kind, begins, strlen(begins)) != 0)
            samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says %s %s; samc prepares images as %sImageProcessor does",
                            r->checkpoint->label, file, kinds[i],
                            samc__printable(type.begin, (size_t)(type.end - type.begin)).text, begins);
    }
}

void samc__preprocessor_count(samc__reading *r, const char *file, const char *key, samc__json field, int expected) {
    int64_t number = 0;
    if (field.begin == NULL || (samc__json_integer(field, &number) && number == expected)) return;
    samc__read_fail(r, SAMC_MISMATCH, "%s: %s says %s %s, samc computes with %d", r->checkpoint->label, file, key,
                    samc__printable(field.begin, (size_t)(field.end - field.begin)).text, expected);
}

void samc__preprocessor_pixels(samc__reading *r, const char *file, samc__json json, samc__vision_spec *v) {
    static const char *const steps[] = {"do_resize", "do_rescale", "do_normalize"};
    const char *const keys[] = {"image_mean", "image_std"};
    float *const values[] = {v->mean, v->std};
    for (int i = 0; i < 3; i++)
        if (samc__json_kind(samc__json_get(json, steps[i])) == 'f')
            samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says %s false, which samc does not do", r->checkpoint->label,
                            file, steps[i]);
    const samc__json factor = samc__json_get(json, "rescale_factor");
    double number = 0;
    if (factor.begin != NULL && !(samc__json_number(factor, &number) && fabs(number * 255 - 1) < 1e-6))
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says rescale_factor %s, samc divides by 255", r->checkpoint->label,
                        file, samc__printable(factor.begin, (size_t)(factor.end - factor.begin)).text);
    for (int i = 0; i < 2; i++) {
        const samc__json field = samc__json_get(json, keys[i]);
        const char *cursor = NULL;
        int count = 0;
        if (field.begin == NULL) continue;
        for (samc__json item; count < 4 && samc__json_next(field, &cursor, NULL, &item); count++) {
            const bool good = samc__json_number(item, &number) && (i == 0 || number > 0);
            if (!good || count == 3) count = 4;
            else values[i][count] = (float)number;
        }
        if (!samc__json_is_array(field) || count != 3)
            samc__read_fail(r, SAMC_FORMAT, "%s: %s: %s is not a list of three numbers", r->checkpoint->label, file,
                            keys[i]);
    }
}

/* ---- Listing and writing --------------------------------------------------------------------- */

samc_status samc__text_image_list(const samc__text_image_config *config, samc__text_image_weights *weights,
                                  samc__tensor_list *list, samc_error *error) {
    const samc__text_image_family *family = samc__text_image_family_of(config);
    *list = (samc__tensor_list){0};
    memset(weights, 0, sizeof *weights);
    char scale[32];
    snprintf(scale, sizeof scale, "%slogit_scale", config->prefix);
    samc__list_tensor(list, &weights->logit_scale, SAMC__ROLE_VECTOR, "", scale, (samc__shape){0, {0}});
    samc__list_text(list, &config->text, config->prefix, config->dim, &weights->text);
    samc__list_vision(list, &config->vision, config->prefix, config->dim, &weights->vision);
    if (family->tensors != NULL) family->tensors(list, config, weights);
    if (!list->failed) return SAMC_OK;
    samc__tensors_free(list);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to list the model's tensors");
}

static void write_plain(samc__json_text *text, const char *tower, const samc__plain *p) {
    char key[32];
    const char *act = "";
    for (size_t i = sizeof activations / sizeof *activations; i-- > 0;)
        if (activations[i].act == p->act) act = activations[i].name;
#define KEY(leaf) (snprintf(key, sizeof key, "%s_%s", tower, leaf), key)
    samc__write_count(text, KEY("dim"), p->dim);
    samc__write_count(text, KEY("mlp_dim"), p->mlp_dim);
    samc__write_count(text, KEY("depth"), p->depth);
    samc__write_count(text, KEY("heads"), p->heads);
    samc__json_put_key(text, KEY("act"));
    samc__json_put_string(text, act);
    samc__json_put_key(text, KEY("eps"));
    samc__json_put_double(text, (double)p->eps);
#undef KEY
}

void samc__text_image_write(const samc__text_image_config *config, samc__json_text *text) {
    const samc__text_image_family *family = samc__text_image_family_of(config);
    samc__json_put(text, "{", 1);
    samc__json_put_key(text, "model");
    samc__json_put_string(text, family->name);
    write_plain(text, "text", &config->text.plain);
    samc__write_count(text, "context", config->text.context);
    samc__write_count(text, "vocabulary", config->text.vocabulary);
    write_plain(text, "vision", &config->vision.plain);
    samc__write_count(text, "img_size", config->vision.side);
    samc__write_count(text, "patch_size", config->vision.patch);
    samc__write_count(text, "dim", config->dim);
    samc__write_triple(text, "pixel_mean", config->vision.mean);
    samc__write_triple(text, "pixel_std", config->vision.std);
    if (family->write != NULL) family->write(config, text);
    samc__json_put(text, "}", 1);
}
