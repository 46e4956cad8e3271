/* Names that other programs give to tensors: Hugging Face's layouts of SAM and SAM 2 and SAM 2's own, which become
 * SAM's as far as that goes, and models of other architectures, which are refused by their name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/reader.h"

/* ---- Hugging Face's SamModel ----------------------------------------------------------------- */

/* Beginnings of names, `#` a number that is carried over; what follows stays. The first that fits counts. */
typedef const char *const renaming[2];
static renaming of_huggingface[] = {
    {"vision_encoder.patch_embed.projection.", "image_encoder.patch_embed.proj."},
    {"vision_encoder.layers.#.layer_norm1.", "image_encoder.blocks.#.norm1."},
    {"vision_encoder.layers.#.layer_norm2.", "image_encoder.blocks.#.norm2."},
    {"vision_encoder.layers.#.", "image_encoder.blocks.#."},
    {"vision_encoder.neck.conv1.", "image_encoder.neck.0."},
    {"vision_encoder.neck.layer_norm1.", "image_encoder.neck.1."},
    {"vision_encoder.neck.conv2.", "image_encoder.neck.2."},
    {"vision_encoder.neck.layer_norm2.", "image_encoder.neck.3."},
    {"vision_encoder.", "image_encoder."},
    {"shared_image_embedding.positional_embedding", "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"},
    {"prompt_encoder.shared_embedding.positional_embedding",
     "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"},
    {"prompt_encoder.point_embed.#.", "prompt_encoder.point_embeddings.#."},
    {"prompt_encoder.mask_embed.conv1.", "prompt_encoder.mask_downscaling.0."},
    {"prompt_encoder.mask_embed.layer_norm1.", "prompt_encoder.mask_downscaling.1."},
    {"prompt_encoder.mask_embed.conv2.", "prompt_encoder.mask_downscaling.3."},
    {"prompt_encoder.mask_embed.layer_norm2.", "prompt_encoder.mask_downscaling.4."},
    {"prompt_encoder.mask_embed.conv3.", "prompt_encoder.mask_downscaling.6."},
    {"mask_decoder.transformer.layers.#.layer_norm1.", "mask_decoder.transformer.layers.#.norm1."},
    {"mask_decoder.transformer.layers.#.layer_norm2.", "mask_decoder.transformer.layers.#.norm2."},
    {"mask_decoder.transformer.layers.#.layer_norm3.", "mask_decoder.transformer.layers.#.norm3."},
    {"mask_decoder.transformer.layers.#.layer_norm4.", "mask_decoder.transformer.layers.#.norm4."},
    {"mask_decoder.transformer.layer_norm_final_attn.", "mask_decoder.transformer.norm_final_attn."},
    {"mask_decoder.upscale_conv1.", "mask_decoder.output_upscaling.0."},
    {"mask_decoder.upscale_layer_norm.", "mask_decoder.output_upscaling.1."},
    {"mask_decoder.upscale_conv2.", "mask_decoder.output_upscaling.3."},
    /* SamHQModel's */
    {"mask_decoder.hq_token.", "mask_decoder.hf_token."},
    {"mask_decoder.compress_vit_conv1.", "mask_decoder.compress_vit_feat.0."},
    {"mask_decoder.compress_vit_norm.", "mask_decoder.compress_vit_feat.1."},
    {"mask_decoder.compress_vit_conv2.", "mask_decoder.compress_vit_feat.3."},
    {"mask_decoder.encoder_conv1.", "mask_decoder.embedding_encoder.0."},
    {"mask_decoder.encoder_norm.", "mask_decoder.embedding_encoder.1."},
    {"mask_decoder.encoder_conv2.", "mask_decoder.embedding_encoder.3."},
    {"mask_decoder.mask_conv1.", "mask_decoder.embedding_maskfeature.0."},
    {"mask_decoder.mask_norm.", "mask_decoder.embedding_maskfeature.1."},
    {"mask_decoder.mask_conv2.", "mask_decoder.embedding_maskfeature.3."},
    {NULL, NULL},
};

/* Those of Sam2Model and Sam2VideoModel, before the ones above. */
static renaming of_huggingface_2[] = {
    {"vision_encoder.backbone.patch_embed.projection.", "image_encoder.trunk.patch_embed.proj."},
    {"vision_encoder.backbone.blocks.#.layer_norm1.", "image_encoder.trunk.blocks.#.norm1."},
    {"vision_encoder.backbone.blocks.#.layer_norm2.", "image_encoder.trunk.blocks.#.norm2."},
    {"vision_encoder.backbone.blocks.#.mlp.proj_in.", "image_encoder.trunk.blocks.#.mlp.layers.0."},
    {"vision_encoder.backbone.blocks.#.mlp.proj_out.", "image_encoder.trunk.blocks.#.mlp.layers.1."},
    {"vision_encoder.backbone.", "image_encoder.trunk."},
    {"vision_encoder.neck.convs.#.", "image_encoder.neck.convs.#.conv."},
    {"mask_decoder.transformer.layers.#.mlp.proj_in.", "mask_decoder.transformer.layers.#.mlp.lin1."},
    {"mask_decoder.transformer.layers.#.mlp.proj_out.", "mask_decoder.transformer.layers.#.mlp.lin2."},
    {"mask_decoder.transformer.layers.#.self_attn.o_proj.", "mask_decoder.transformer.layers.#.self_attn.out_proj."},
    {"mask_decoder.transformer.layers.#.cross_attn_token_to_image.o_proj.",
     "mask_decoder.transformer.layers.#.cross_attn_token_to_image.out_proj."},
    {"mask_decoder.transformer.layers.#.cross_attn_image_to_token.o_proj.",
     "mask_decoder.transformer.layers.#.cross_attn_image_to_token.out_proj."},
    {"mask_decoder.transformer.final_attn_token_to_image.o_proj.",
     "mask_decoder.transformer.final_attn_token_to_image.out_proj."},
    {"no_memory_embedding", "no_mem_embed"},
    {NULL, NULL},
};

/* SAM2Base's. */
static renaming of_sam2[] = {
    {"sam_prompt_encoder.", "prompt_encoder."},
    {"sam_mask_decoder.transformer.layers.#.mlp.layers.0.", "mask_decoder.transformer.layers.#.mlp.lin1."},
    {"sam_mask_decoder.transformer.layers.#.mlp.layers.1.", "mask_decoder.transformer.layers.#.mlp.lin2."},
    {"sam_mask_decoder.", "mask_decoder."},
    {NULL, NULL},
};

/* The MLPs name their first and last layer by words and count from 0 between them; which number the last one has is
 * known only when all names have been seen. */
enum { IOU_HEAD, HYPER, HQ, OBJECT, MLPS };
static const struct {
    const char *name, *into;
    bool numbered;
} mlps[MLPS] = {
    [IOU_HEAD] = {"mask_decoder.iou_prediction_head.", "mask_decoder.iou_prediction_head.", false},
    [HYPER] = {"mask_decoder.output_hypernetworks_mlps.", "mask_decoder.output_hypernetworks_mlps.", true},
    [HQ] = {"mask_decoder.hq_mask_mlp.", "mask_decoder.hf_mlp.", false},
    [OBJECT] = {"mask_decoder.pred_obj_score_head.", "mask_decoder.pred_obj_score_head.", false},
};

/* The digits at `at`, behind which a dot stands; 0 if there are none, or too many for a number of layers. */
static size_t number_at(const char *at, int *value) {
    size_t length = strspn(at, "0123456789");
    if (length == 0 || length > 4 || at[length] != '.') return 0;
    *value = atoi(at);
    return length;
}

/* What follows the name of an MLP, "proj_in.weight", and which MLP it is; NULL for other names. */
static const char *mlp_layer(const char *name, int *which) {
    for (*which = 0; *which < MLPS; ++*which) {
        int number;
        size_t length = strlen(mlps[*which].name);
        if (strncmp(name, mlps[*which].name, length) != 0) continue;
        if (!mlps[*which].numbered) return name + length;
        size_t digits = number_at(name + length, &number);
        return digits > 0 ? name + length + digits + 1 : NULL;
    }
    return NULL;
}

/* The number of the last layer of each kind of MLP: one more than of those between the first and it, 1 without any. */
static void find_last(const samc__checkpoint *c, int last[MLPS]) {
    for (int i = 0; i < MLPS; i++) last[i] = 1;
    for (size_t i = 0; i < c->count; i++) {
        int which, number;
        const char *layer = mlp_layer(c->tensors[i].name, &which);
        if (layer == NULL || strncmp(layer, "layers.", 7) != 0 || number_at(layer + 7, &number) == 0) continue;
        if (number + 2 > last[which]) last[which] = number + 2;
    }
}

enum { ROOM = 2 * SAMC__MAX_NAME };

/* Writes what a table makes of a name into `to`; false: it has nothing that fits. */
static bool rename_by(renaming *table, const char *name, char to[ROOM]) {
    for (; (*table)[0] != NULL; table++) {
        const char *from = (*table)[0], *into = (*table)[1], *hash = strchr(from, '#');
        size_t head = hash ? (size_t)(hash - from) : strlen(from), digits = 0;
        int number;
        if (strncmp(name, from, head) != 0) continue;
        const char *rest = name + head;
        if (hash == NULL) {
            snprintf(to, ROOM, "%s%s", into, rest);
            return true;
        }
        digits = number_at(rest, &number);
        if (digits == 0 || strncmp(rest + digits, hash + 1, strlen(hash + 1)) != 0) continue;
        const char *into_hash = strchr(into, '#');
        snprintf(to, ROOM, "%.*s%.*s%s%s", (int)(into_hash - into), into, (int)digits, rest, into_hash + 1,
                 rest + digits + strlen(hash + 1));
        return true;
    }
    return false;
}

/* Writes SAM's name for Hugging Face's into `to`; a name that is none of theirs stays, and is reported as unexpected
 * later. */
static void translate(const int last[MLPS], bool second, const char *name, char to[ROOM]) {
    int which, number;
    const char *layer = mlp_layer(name, &which);
    if (layer != NULL) {
        static const char in[] = "proj_in.", out[] = "proj_out.";
        const char *own = name + strlen(mlps[which].name); /* the number of one of several */
        char base[SAMC__MAX_NAME + 64];
        snprintf(base, sizeof base, "%s%.*s", mlps[which].into, (int)(layer - own), own);
        if (strncmp(layer, in, strlen(in)) == 0) {
            snprintf(to, ROOM, "%slayers.0.%s", base, layer + strlen(in));
        } else if (strncmp(layer, out, strlen(out)) == 0) {
            snprintf(to, ROOM, "%slayers.%d.%s", base, last[which], layer + strlen(out));
        } else if (strncmp(layer, "layers.", 7) == 0 && number_at(layer + 7, &number) > 0) {
            snprintf(to, ROOM, "%slayers.%d%s", base, number + 1, strchr(layer + 7, '.'));
        } else {
            snprintf(to, ROOM, "%s", name);
        }
        return;
    }
    if (second && rename_by(of_huggingface_2, name, to)) return;
    if (!rename_by(of_huggingface, name, to)) snprintf(to, ROOM, "%s", name);
}

static samc_status set_name(samc__checkpoint *checkpoint, size_t index, const char *name, samc_error *error) {
    char *copy = strdup(name);
    if (copy == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    free((char *)checkpoint->tensors[index].name);
    checkpoint->tensors[index].name = copy;
    return SAMC_OK;
}

/* Four embeddings in one table [4, C] become SAM's four [1, C]. */
static samc_status split_points(samc__checkpoint *c, samc_error *error) {
    enum { POINTS = 4 };
    for (size_t i = 0; i < c->count; i++) {
        samc__tensor whole = c->tensors[i];
        if (strcmp(whole.name, "prompt_encoder.point_embed.weight") != 0 || whole.rank != 2 ||
            whole.shape[0] != POINTS || whole.data == NULL || whole.dtype == SAMC__OTHER)
            continue;
        const char *data = whole.data;
        const int64_t step = whole.stride[0] * (int64_t)samc__dtype_size(whole.dtype);
        whole.shape[0] = 1;
        for (int point = POINTS - 1; point >= 0; point--) { /* the first, in place of the table, last */
            char name[64];
            snprintf(name, sizeof name, "prompt_encoder.point_embeddings.%d.weight", point);
            whole.data = data + point * step;
            if (point > 0) SAMC__TRY(samc__checkpoint_add(c, name, strlen(name), &whole, error));
            else SAMC__TRY(set_name(c, i, name, error));
        }
        c->tensors[i].shape[0] = 1;
        return SAMC_OK;
    }
    return SAMC_OK;
}

samc_status samc__huggingface_rename(samc__checkpoint *checkpoint, bool second, samc_error *error) {
    int last[MLPS];
    find_last(checkpoint, last);
    checkpoint->huggingface = true;
    if (second) SAMC__TRY(split_points(checkpoint, error));
    for (size_t i = 0; i < checkpoint->count; i++) {
        char name[ROOM];
        translate(last, second, checkpoint->tensors[i].name, name);
        SAMC__TRY(set_name(checkpoint, i, name, error));
    }
    return SAMC_OK;
}

samc_status samc__sam2_rename(samc__checkpoint *checkpoint, samc_error *error) {
    for (size_t i = 0; i < checkpoint->count; i++) {
        char name[ROOM];
        if (rename_by(of_sam2, checkpoint->tensors[i].name, name)) SAMC__TRY(set_name(checkpoint, i, name, error));
    }
    return SAMC_OK;
}

bool samc__is_sam2_memory(const char *name) {
    /* SAM2Base's, then Sam2VideoModel's. */
    static const char *const memory[] = {"memory_attention.",
                                         "memory_encoder.",
                                         "maskmem_tpos_enc",
                                         "no_mem_pos_enc",
                                         "no_obj_ptr",
                                         "no_obj_embed_spatial",
                                         "mask_downsample.",
                                         "obj_ptr_proj.",
                                         "obj_ptr_tpos_proj.",
                                         "memory_temporal_positional_encoding",
                                         "no_memory_positional_encoding",
                                         "no_object_pointer",
                                         "occlusion_spatial_embedding_parameter",
                                         "object_pointer_proj.",
                                         "temporal_positional_encoding_projection_layer."};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (strncmp(name, memory[i], strlen(memory[i])) == 0) return true;
    return false;
}

/* ---- Other architectures --------------------------------------------------------------------- */

/* Pieces of names that only one family has; the first that occurs counts. A piece begins at a dot or at the start of a
 * name. */
static const struct {
    const char *piece, *architecture;
} architectures[] = {
    {"detector.backbone.vision_backbone.", "SAM 3"},
    {"detr_encoder.", "SAM 3"},
    {"geometry_encoder.", "SAM 3"},
    {"spatial_perceiver.", "EdgeTAM"},
    {"image_encoder.trunk.body.", "EdgeTAM"},
    {"prompt_encoder.invalid_points.", "EfficientSAM"},
    {"image_encoder.backbone.input_stem.", "EfficientViT-B"},
    {"image_encoder.fuse_stage2.", "EdgeSAM"},
    {"image_encoder.features.", "RepViT-SAM"},
    {"MLP_Adapter.", "SAM with adapters"},
    {"Space_Adapter.", "SAM with adapters"},
    {"Depth_Adapter.", "SAM with adapters"},
    {"Adapter.", "SAM with adapters"},
    {"prompt_generator.", "SAM with adapters"},
    {"linear_a_q.", "SAM with LoRA layers that are not merged"},
    {"w_a_000", "SAM with LoRA layers that are not merged"},
    {"lora_A.", "SAM with LoRA layers that are not merged"},
    {"lora_down.", "SAM with LoRA layers that are not merged"},
    {"lora_moe_experts.", "SAM with LoRA layers that are not merged"},
};

bool samc__is_unused(const char *name) {
    static const char *const unused[] = {"image_encoder.norm_head.", "image_encoder.head."}; /* TinyViT's classifier */
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        if (strncmp(name, unused[i], strlen(unused[i])) == 0) return true;
    return false;
}

void samc__find_architecture(samc__checkpoint *checkpoint) {
    const size_t kinds = sizeof architectures / sizeof *architectures;
    size_t best = kinds;
    for (size_t t = 0; t < checkpoint->count; t++)
        for (size_t i = 0; i < best; i++) {
            const char *name = checkpoint->tensors[t].name, *at = strstr(name, architectures[i].piece);
            while (at != NULL && at != name && at[-1] != '.') at = strstr(at + 1, architectures[i].piece);
            if (at == NULL) continue;
            best = i;
            checkpoint->architecture = architectures[i].architecture;
            checkpoint->characteristic = samc__printable(name, strlen(name));
        }
}
