#!/usr/bin/env python3
"""Proves that the parity test can see a mistake: every mutation of the sources must turn its gates red.

Copies the tree, builds the library and parity_test once, then applies one mutation at a time, rebuilds what it touches
and runs parity_test on the golden data with the reference backend. Prints each mutation's worst error beside the gate
and the noise floor, and ends with 1 if a mutation survives, if the clean tree fails, or if a mutation no longer fits
the sources.

  python mutations.py [--source ROOT] [--work DIR] [--only WORD]

Needs the compiler and libraries of a normal build, and nothing but Python's standard library.
"""

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# The mutations: name -> edits (file, text that must occur exactly once, replacement).
TANH_GELU = "(0.5f * ({x}) * (1.0f + tanhf(0.79788456f * (({x}) + 0.044715f * ({x}) * ({x}) * ({x})))))"


def epsilon(file, listed, right, wrong):
    f = lambda value: value if value.endswith(("eps", "f")) else f"{value}f"
    return [(file, f"{listed}, {f(right)})", f"{listed}, {f(wrong)})")]


def encoder_epsilon(listed):
    return epsilon("runtime/model/vit.c", listed, "1e-6", "1e-5")


def map_epsilon(listed):
    return epsilon("runtime/model/tensors.c", listed, "1e-6", "1e-5")


def decoder_epsilon(listed):
    return [("runtime/model/tensors.c", f"{listed}, d->norm_eps)", f"{listed}, 1e-6f)")]


ANTIALIASED = """/* torch's interpolate(antialias=True): a triangle as wide as the scale factor. */
static float antialiased(const samc__finish_masks_args *a, const float *square, int y, int x) {
    float ry = (float)a->new_height / (float)a->height, rx = (float)a->new_width / (float)a->width;
    float sy = ry > 1.0f ? ry : 1.0f, sx = rx > 1.0f ? rx : 1.0f;
    float cy = ((float)y + 0.5f) * ry, cx = ((float)x + 0.5f) * rx;
    float sum = 0.0f, weights = 0.0f;
    for (int i = (int)(cy - sy) - 1; i <= (int)(cy + sy) + 1; i++)
        for (int j = (int)(cx - sx) - 1; j <= (int)(cx + sx) + 1; j++) {
            float dy = ((float)i + 0.5f - cy) / sy, dx = ((float)j + 0.5f - cx) / sx;
            float wy = 1.0f - (dy < 0 ? -dy : dy), wx = 1.0f - (dx < 0 ? -dx : dx);
            if (i < 0 || j < 0 || i >= a->new_height || j >= a->new_width || wy <= 0.0f || wx <= 0.0f) continue;
            sum += wy * wx * square[(int64_t)i * a->new_width + j];
            weights += wy * wx;
        }
    return sum / weights;
}

static void finish_one("""

MUTATIONS = {
    "tanh GELU everywhere": [
        (
            "kernels/ref/math.h",
            "return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));",
            f"return {TANH_GELU.format(x='x')};",
        )
    ],
    "tanh GELU in the encoder": [
        (
            "kernels/ref/math.h",
            "if (act == SAMC__ACT_GELU) return samc__gelu_ref(x);",
            f"if (act == SAMC__ACT_GELU) return {TANH_GELU.format(x='x')};",
        )
    ],
    "tanh GELU in the mask prompt": [("kernels/embed_mask/ref.c", "samc__gelu_ref(x[i])", TANH_GELU.format(x="x[i]"))],
    "tanh GELU in the upscaling": [
        ("kernels/upscale_masks/ref.c", "samc__gelu_ref(pixel[o])", TANH_GELU.format(x="pixel[o]"))
    ],
    "GELU for ReLU in the decoder": [
        (
            "runtime/model/decoder.c",
            "return d->gelu ? SAMC__ACT_GELU : SAMC__ACT_RELU;",
            "return (void)d, SAMC__ACT_GELU;",
        )
    ],
    "epsilon: encoder norm1": encoder_epsilon('norm(list, &to->norm1, base, "norm1", D'),
    "epsilon: encoder norm2": encoder_epsilon('norm(list, &to->norm2, base, "norm2", D'),
    "epsilon: neck, first": epsilon("runtime/model/steps.c", '"image_encoder.neck", "1", C', "1e-6", "1e-5"),
    "epsilon: neck, second": epsilon("runtime/model/steps.c", '"image_encoder.neck", "3", C', "1e-6", "1e-5"),
    "epsilon: mask prompt, first": map_epsilon('mask, "1", M / 4'),
    "epsilon: mask prompt, second": map_epsilon('mask, "4", M'),
    "epsilon: upscaling": map_epsilon('up, "1", C / 4'),
    "epsilon: decoder norm1": decoder_epsilon('base, "norm1", C'),
    "epsilon: decoder norm2": decoder_epsilon('base, "norm2", C'),
    "epsilon: decoder norm3": decoder_epsilon('base, "norm3", C'),
    "epsilon: decoder norm4": decoder_epsilon('base, "norm4", C'),
    "epsilon: decoder, final": decoder_epsilon('transformer, "norm_final_attn", C'),
    "no half pixel on points": [
        (
            "kernels/embed_prompts/ref.c",
            "samc__fourier_ref((xy[0] + 0.5f) / size, (xy[1] + 0.5f) / size,",
            "samc__fourier_ref(xy[0] / size, xy[1] / size,",
        )
    ],
    "no padding point": [
        (
            "runtime/model/decoder.c",
            "int padding = d->box_points ? prompt->point_count > 0 ||",
            "int padding = 0 && d->box_points ? prompt->point_count < 0 ||",
        ),
        ("runtime/model/decoder.c", ": prompt->point_count > 0 && !prompt->box;", ": 0;"),
    ],
    "box corners swapped": [("runtime/model/decoder.c", "of_box ? 2 + corner :", "of_box ? 3 - corner :")],
    "relative positions swapped": [
        ("runtime/model/vit.c", ".rel_h = w->rel_pos_h,", ".rel_h = w->rel_pos_w,"),
        ("runtime/model/vit.c", ".rel_w = w->rel_pos_w,", ".rel_w = w->rel_pos_h,"),
    ],
    "relative positions from scaled q": [
        ("kernels/attention_relpos/ref.c", "rel_x[x] = samc__dot_ref(q,", "rel_x[x] = scale * samc__dot_ref(q,"),
        ("kernels/attention_relpos/ref.c", "float rel_y = samc__dot_ref(q,", "float rel_y = scale * samc__dot_ref(q,"),
    ],
    "pad keys masked": [
        (
            "kernels/attention_relpos/ref.c",
            "samc__softmax_ref(score, keys);",
            "for (int key = 0; key < keys; key++)\n"
            "    if (top + key / s >= a->grid || left + key % s >= a->grid) score[key] = -INFINITY;\n"
            "samc__softmax_ref(score, keys);",
        )
    ],
    # Where three masks are asked for, token 0 is not needed for the output; the other tokens still attend to it.
    "mask token 0 dropped": [
        (
            "runtime/model/decoder.c",
            "typedef struct decoder_buffers {",
            "static int dropped;\ntypedef struct decoder_buffers {",
        ),
        (
            "runtime/model/decoder.c",
            "t = samc__own_tokens(&c->decoder) + sparse,",
            "t = samc__own_tokens(&c->decoder) - dropped + sparse,",
        ),
        (
            "runtime/model/decoder.c",
            "{d->mask_at, w->mask_tokens}",
            "{d->mask_at, samc__view2(samc__f32(w->mask_tokens) + dropped * d->channels,\n"
            "                         w->mask_tokens.n[0] - dropped, d->channels)}",
        ),
        (
            "runtime/model/decoder.c",
            "b->queries + (d->mask_at + first + i) * c",
            "b->queries + (d->mask_at + first - dropped + i) * c",
        ),
        (
            "runtime/model/decoder.c",
            "    decoder_buffers b;\n    size_t bytes = place(net, batch, multimask,",
            "    decoder_buffers b;\n    dropped = multimask;\n" "    size_t bytes = place(net, batch, multimask,",
        ),
    ],
    "position encoding in layer 0": [("runtime/model/decoder.c", ".pe = index == 0 ? absent : pe,", ".pe = pe,")],
    "antialiased mask resize": [
        ("kernels/finish_masks/ref.c", "static void finish_one(", ANTIALIASED),
        (
            "kernels/finish_masks/ref.c",
            ": mix(row0, row1, bilinear_tap(x, a->new_width, a->width), row.t);",
            ": antialiased(a, between, y, x);\n            (void)row0, (void)row1;",
        ),
    ],
    "corner-aligned mask resize": [
        (
            "kernels/finish_masks/ref.c",
            "(float)in_size / (float)out_size * ((float)out + 0.5f) - 0.5f;",
            "(float)in_size / (float)out_size * (float)out;",
        )
    ],
    "image resize not antialiased": [
        (
            "kernels/ref/resize_axis.c",
            "double scale = (double)in / out, support = scale < 1.0 ? 1.0 : scale;",
            "double scale = (double)in / out, support = 1.0;",
        )
    ],
}

TINYVIT, HQ, DECODER, EFFICIENTVIT = (
    f"runtime/model/{name}.c" for name in ("tinyvit", "hq", "decoder", "efficientvit")
)
# On golden data of their own: family -> its folder and its mutations, whose names begin with the family's.
FAMILIES = {
    "TinyViT": (
        "golden_mobile",
        {
            "TinyViT: epsilon before attention": epsilon(TINYVIT, 'base, "attn.norm", D', "1e-5", "1e-6"),
            "TinyViT: epsilon before the MLP": epsilon(TINYVIT, 'base, "mlp.norm", D', "1e-5", "1e-6"),
            "TinyViT: epsilon of batch norms": [("weights/fold.c", '"bn", "", 1e-5}', '"bn", "", 1e-3}')],
            "TinyViT: GELU before the residual": [(TINYVIT, "third.act_last = true;", "third.act_last = false;")],
            "TinyViT: padded after the norm": [(TINYVIT, ".qkv_bias = w->pad_qkv,", ".qkv_bias = w->qkv_b,")],
            "TinyViT: biases by column": [
                (
                    "kernels/attention_relpos/ref.c",
                    "table[abs(row - key / s) * s + abs(col - key % s)]",
                    "table[abs(col - key % s) * s + abs(row - key / s)]",
                )
            ],
            "TinyViT: heads of q, k, v apart": [(TINYVIT, ".by_head = true,", ".by_head = false,")],
            "TinyViT: last merge of stride 2": [(TINYVIT, "stage < STAGES - 2 ? 2 : 1", "2")],
            "TinyViT: no GELU in merges": [
                (
                    TINYVIT,
                    ".stride = (int)c->stride,\n                      .act = SAMC__ACT_GELU",
                    ".stride = (int)c->stride",
                )
            ],
        },
    ),
    "SAM-HQ": (
        "golden_hq",
        {
            "SAM-HQ: epsilon of chains": epsilon(HQ, 'base, "1", middle', "1e-6", "1e-5"),
            "SAM-HQ: epsilon of refinement": epsilon(HQ, 'refine, "1", C / 4', "1e-6", "1e-5"),
            "SAM-HQ: the last global block": [
                (
                    "runtime/model/vit.c",
                    "    int block = 0;\n    while (block < v->depth && !v->global_attn[block]) block++;",
                    "    int block = v->depth - 1;\n    while (block > 0 && !v->global_attn[block]) block--;",
                )
            ],
            "SAM-HQ: a mask token for its own": [
                (DECODER, "b->queries + d->hq_at * b->c", "b->queries + (d->hq_at - 1) * b->c")
            ],
            "SAM-HQ: another's token": [
                (DECODER, "{d->hq_at, samc__view2(w->hq.token.data", "{d->hq_at, samc__view2(w->iou_token.data")
            ],
            "SAM-HQ: the worst of three": [
                ("kernels/refine_masks/refine_masks.h", "if (iou[i] > iou[best] ||", "if (iou[i] < iou[best] ||")
            ],
            "SAM-HQ: GELU behind chains": [
                ("runtime/model/encode.c", ".grid = net->config.grid};", ".grid = net->config.grid, .gelu = true};")
            ],
        },
    ),
    "EfficientViT": (
        "golden_efficientvit",
        {
            "EfficientViT: epsilon of the decoder": [
                (EFFICIENTVIT, "config->decoder.norm_eps = norm_eps;", "config->decoder.norm_eps = 1e-5f;")
            ],
            "EfficientViT: epsilon of the embedding": [
                (
                    EFFICIENTVIT,
                    '"image_encoder", "norm", channels, norm_eps)',
                    '"image_encoder", "norm", channels, 1e-5f)',
                )
            ],
            "EfficientViT: epsilon of batch norms": [("weights/fold.c", '"conv.", 1e-6}', '"conv.", 1e-5}')],
            "EfficientViT: GELU by erf": [
                (
                    "kernels/ref/math.h",
                    "if (act == SAMC__ACT_GELU_TANH)\n        return",
                    "if (act == SAMC__ACT_GELU_TANH) return samc__gelu_ref(x);\n"
                    "    if (act == SAMC__ACTS)\n        return",
                )
            ],
            "EfficientViT: bicubic with a = -0.5": [
                (
                    "kernels/cubic_tap.h",
                    "((-0.75f * x + 3.75f) * x - 6.0f) * x + 3.0f",
                    "((-0.5f * x + 2.5f) * x - 4.0f) * x + 2.0f",
                ),
                ("kernels/cubic_tap.h", "(1.25f * x - 2.25f) * x * x + 1.0f", "(1.5f * x - 2.5f) * x * x + 1.0f"),
            ],
            "EfficientViT: bicubic with aligned corners": [
                (
                    "kernels/cubic_tap.h",
                    "(float)in_size / (float)out_size * ((float)out + 0.5f) - 0.5f",
                    "(float)(in_size - 1) / (float)(out_size - 1) * (float)out",
                )
            ],
            "EfficientViT: v padded with 0": [
                ("kernels/linear_attention/ref.c", "(i < dim ? v[i] : 1.0f)", "(i < dim ? v[i] : 0.0f)")
            ],
            "EfficientViT: no ReLU on queries": [
                ("kernels/linear_attention/ref.c", "above += sums[i][j] * relu(q[j]);", "above += sums[i][j] * q[j];")
            ],
            "EfficientViT: heads of k, q, v": [
                (
                    "kernels/linear_attention/ref.c",
                    "*k = qkv + key * wide + dim, *v = k + dim;",
                    "*k = qkv + key * wide, *v = k + 2 * dim;",
                ),
                ("kernels/linear_attention/ref.c", "*q = qkv + query * wide;", "*q = qkv + query * wide + dim;"),
            ],
            "EfficientViT: one set of heads twice": [
                (EFFICIENTVIT, "samc__as(a, samc__view3(b->wide, b->images, n, 3 * d)), mixed}", "mixed, mixed}")
            ],
            "EfficientViT: prompts in its own frame": [
                (EFFICIENTVIT, "{SAMC__RECIPE_OF_SAM, .frame = 1024,", "{SAMC__RECIPE_OF_SAM,")
            ],
            "EfficientViT: first blocks add their input": [
                (EFFICIENTVIT, "if (stride == 1) last.residual = last.y;", "last.residual = last.y;")
            ],
        },
    ),
}
RECIPE, INFER, CHOOSE, UPSCALE = (
    "runtime/model/recipe.h",
    "runtime/model/infer.c",
    "kernels/choose_masks/ref.c",
    "kernels/upscale_masks/ref.c",
)
FAMILIES["SAM 2"] = (
    "golden_sam2",
    {
        "SAM 2: logits not clamped": [(RECIPE, "SAMC__MASKS_DIRECT, .clamp = 32,", "SAMC__MASKS_DIRECT,")],
        "SAM 2: masks through the square": [
            (RECIPE, ".masks = SAMC__MASKS_DIRECT, .clamp = 32,", ".masks = SAMC__MASKS_VIA_SQUARE, .clamp = 32,")
        ],
        "SAM 2: image resize not antialiased": [(RECIPE, "SAMC__FILTER_TORCH_AA_F32", "SAMC__FILTER_BILINEAR")],
        # Not their order among the points, of which no result depends.
        "SAM 2: corners as background and foreground": [(DECODER, "of_box ? 2 + corner :", "of_box ? corner :")],
        "SAM 2: no padding point with a box": [
            (DECODER, "prompt->point_count > 0 || prompt->box :", "prompt->point_count > 0 && !prompt->box :")
        ],
        "SAM 2: IoU without its sigmoid": [(CHOOSE, "return 1.0f / (1.0f + expf(-logit));", "return logit;")],
        "SAM 2: the single mask whatever its stability": [
            (DECODER, "return !multimask && d->dynamic != 0.0f;", "return !multimask && d->dynamic < 0.0f;")
        ],
        "SAM 2: stability at 1": [(INFER, "d->stability_delta = 0.05f", "d->stability_delta = 1.0f")],
        "SAM 2: the first of several": [(CHOOSE, "if (x > probability(iou[best]) || x != x)", "if (x != x)")],
        "SAM 2: the IoU token for the object's": [
            (DECODER, "{d->object_at, samc__view2(w->object_token.data", "{d->object_at, samc__view2(w->iou_token.data")
        ],
        "SAM 2: s1 behind the norm": [
            (UPSCALE, "            add_pixel(a, a->add1, 2, token, i, pixel);\n", ""),
            (
                UPSCALE,
                "pixel[o] = samc__gelu_ref(pixel[o]);",
                "feature[0] = pixel[o];\n            add_pixel(a, a->add1, 2, token, i, pixel);\n"
                "            for (int64_t o = 0; o < c4; o++) pixel[o] = samc__gelu_ref(pixel[o]);",
            ),
        ],
        "SAM 2: s0 behind the GELU": [
            (UPSCALE, "                add_pixel(a, a->add2, 4, token, under, feature);\n", ""),
            (
                UPSCALE,
                "feature[o] = samc__gelu_ref(feature[o]);\n",
                "feature[o] = samc__gelu_ref(feature[o]);\n"
                "                add_pixel(a, a->add2, 4, token, under, feature);\n",
            ),
        ],
    },
)
HIERA, CUBIC = "runtime/model/hiera.c", "runtime/model/cubic.c"
FAMILIES["SAM 2"][1].update(
    {
        # Of the second stage, whose windows could pool as well.
        "SAM 2, Hiera: a stage's first block in its own windows": [
            (HIERA, "h->window_spec[stage - (stage > 0 && i == 0)]", "h->window_spec[stage - (stage > 1 && i == 0)]")
        ],
        "SAM 2, Hiera: the shortcut is projected from the largest": [
            (
                HIERA,
                "    const int64_t d = k->w->shortcut.w.n[0];\n",
                "    const int64_t d = k->w->shortcut.w.n[0], n = y.n[0] / 4;\n"
                "    SAMC__TRY(samc__max_pool(exec, &(samc__max_pool_args){\n"
                "        .x = samc__as(y.dtype, samc__view4(y.data, b->images, side, side, y.n[1])),\n"
                "        .y = samc__as(y.dtype, samc__view4(b->wide, b->images, side / 2, side / 2, y.n[1]))}));\n"
                "    if (d > 0) return samc__linear(exec, &(samc__linear_args){\n"
                "        .x = samc__as(y.dtype, samc__view2(b->wide, n, y.n[1])),\n"
                "        .p = k->w->shortcut, .y = samc__view2(x, n, d)});\n",
            )
        ],
        "SAM 2, Hiera: pads are tokens before the norm": [
            (
                HIERA,
                "samc__list_copy(list, &to->qkv_b, &to->qkv.b);",
                "samc__list_product(list, &to->qkv_b, &to->qkv, &to->norm1.b);",
            )
        ],
        "SAM 2, Hiera: pads are zeros": [(HIERA, ".qkv_bias = k->w->qkv_b,", "")],
        "SAM 2, Hiera: global blocks in windows": [
            (HIERA, ".window = h->global_att[index] ? 0 :", ".window = h->global_att[index] ? h->window_spec[stage] :")
        ],
        "SAM 2, Hiera: as many heads in every stage": [(HIERA, "hiera.num_heads << k->stage", "hiera.num_heads")],
        "SAM 2, Hiera: windows' positions across": [
            (
                HIERA,
                "cell / out % repeat * repeat + cell % out % repeat",
                "cell % out % repeat * repeat + cell / out % repeat",
            )
        ],
        "SAM 2, Hiera: another cubic": [(CUBIC, "const double a = -0.75;", "const double a = -0.5;")],
        "SAM 2, Hiera: the stem a pixel further": [
            (HIERA, "px = x + STRIDE - KERNEL / 2;", "px = x + STRIDE - KERNEL / 2 - 1;")
        ],
        "SAM 2, Hiera: without what stands for no memory": [
            (HIERA, "samc__f32(of[0])[i] + samc__f32(of[1])[i];", "samc__f32(of[0])[i];")
        ],
        "SAM 2, Hiera: the pyramid's rows once": [
            (
                HIERA,
                "both + (size_t)i * row / sizeof(float), 2 * row,",
                "both + (size_t)(i * side) * row / sizeof(float), row,",
            )
        ],
        "SAM 2, Hiera: tanh in the MLP": [(HIERA, ".act = SAMC__ACT_GELU}", ".act = SAMC__ACT_GELU_TANH}")],
    }
)
PLAIN, TEXT, VISION, CLIP_IMAGE = (f"runtime/model/{name}.c" for name in ("plain", "text", "vision", "clip_image"))
FAMILIES["CLIP"] = (
    "golden_clip",
    {
        "CLIP: erf for quick GELU": [
            (
                "kernels/ref/math.h",
                "if (act == SAMC__ACT_GELU_QUICK) return x / (1.0f + expf(-1.702f * x));",
                "if (act == SAMC__ACT_GELU_QUICK) return samc__gelu_ref(x);",
            )
        ],
        "CLIP: words see what follows": [
            (
                "kernels/attention_plain/attention_plain.h",
                "return a->causal ? a->first + i + 1 : a->qkv.n[1];",
                "return (void)i, a->qkv.n[1];",
            )
        ],
        "CLIP: a token before the end": [
            (PLAIN, "row + (p->causal ? g->tokens - 1 : 0);", "row + (p->causal ? g->tokens - 2 : 0);")
        ],
        "CLIP: one token too few": [
            (TEXT, "const int64_t tokens = ends[order[first + b.count]] + 1;", "const int64_t tokens = 3;")
        ],
        "CLIP: positions of the next word": [
            (
                TEXT,
                "samc__view1(w->positions.data, b->groups[i].tokens * d)",
                "samc__view1(samc__f32(w->positions) + d, b->groups[i].tokens * d)",
            )
        ],
        "CLIP: epsilon before attention": epsilon(PLAIN, 'norm1, name, "layer_norm1", D', "p->eps", "1e-6f"),
        "CLIP: epsilon before the MLP": epsilon(PLAIN, 'norm2, name, "layer_norm2", D', "p->eps", "1e-6f"),
        "CLIP: epsilon of words, last": epsilon(TEXT, '"final_layer_norm", D', "spec->plain.eps", "1e-6f"),
        "CLIP: epsilon of patches": epsilon(VISION, 'base, spec->before, D', "spec->plain.eps", "1e-6f"),
        "CLIP: epsilon of pixels, last": epsilon(VISION, '"post_layernorm", D', "spec->plain.eps", "1e-6f"),
        "CLIP: a patch for the class token": [
            (VISION, ".b = samc__view1(positions, d),", ".b = samc__view1(positions + d, d),")
        ],
        "CLIP: torch's cubic for Pillow's": [(CLIP_IMAGE, "const double a = -0.5;", "const double a = -0.75;")],
        "CLIP: cut beside the centre": [
            (CLIP_IMAGE, "w.left = (w.width - side) / 2,", "w.left = (w.width - side + 1) / 2,")
        ],
        "CLIP: pixels not normalised": [
            (CLIP_IMAGE, "own ? v->std : std, sizeof args.std", "own ? (float[]){1, 1, 1} : std, sizeof args.std")
        ],
    },
)
for _, more in FAMILIES.values():
    MUTATIONS |= more

# Detectors, which detector_test compares: family -> its golden data, its mutations.
OWLV2, OWLV2_INPUT, CLIPSEG = (f"runtime/model/{name}.c" for name in ("owlv2", "owlv2_input", "clipseg"))
PLAIN, TOWERS = "runtime/model/plain.c", "runtime/model/text_image.c"
DETECTORS = {
    "OWLv2": (
        "golden_owlv2",
        {
            "OWLv2: erf GELU in the towers": [
                (TOWERS, '{"quick_gelu", SAMC__ACT_GELU_QUICK}', '{"quick_gelu", SAMC__ACT_GELU}')
            ],
            "OWLv2: quick GELU in the heads": [
                (OWLV2, ".y = one, .act = SAMC__ACT_GELU}", ".y = one, .act = SAMC__ACT_GELU_QUICK}")
            ],
            "OWLv2: words see what follows": [(TOWERS, ".causal = true};", ".causal = false};")],
            "OWLv2: the token before the end": [
                (PLAIN, "row + (p->causal ? g->tokens - 1 : 0)", "row + (p->causal ? g->tokens - 2 : 0)")
            ],
            "OWLv2: stretched to the square": [
                (
                    OWLV2_INPUT,
                    "fill_axis(&w.y, bell, square, image->height, side);",
                    "fill_axis(&w.y, bell, image->height, image->height, side);",
                )
            ],
            "OWLv2: black behind the norm": [
                (
                    OWLV2_INPUT,
                    "(sum[c] - in->mean[c]) / in->std[c]",
                    "w->x.first[x] + taps >= width ? 0 : (sum[c] - in->mean[c]) / in->std[c]",
                )
            ],
            "OWLv2: no blur": [(OWLV2_INPUT, "return deviation > 0 ?", "return deviation > 1e9f ?")],
            "OWLv2: edges of the blur black": [(OWLV2_INPUT, "if (at < 0) at = -at;", "if (at < 0) at = n;")],
            "OWLv2: patches counted by column": [
                (OWLV2, "log_odds((float)(i % grid + 1)", "log_odds((float)(i / grid + 1)")
            ],
            "OWLv2: a patch's upper left corner": [
                (OWLV2, "log_odds((float)(i % grid + 1)", "log_odds((float)(i % grid)")
            ],
            "OWLv2: corners of the image's width": [
                (OWLV2, "scene->width > scene->height ? scene->width", "scene->width > 0 ? scene->width")
            ],
            "OWLv2: the class token not merged": [
                (OWLV2, "host[d + i] = host[3 * d + i] * host[i % d]", "host[d + i] = host[3 * d + i]")
            ],
            "OWLv2: scaled, then shifted": [
                (
                    OWLV2,
                    "(logits[i * count + k] + scene->shift[i]) * scene->scale[i]",
                    "logits[i * count + k] * scene->scale[i] + scene->shift[i]",
                )
            ],
            "OWLv2: ReLU for ELU": [(OWLV2, "o->scale[i] : expm1f(o->scale[i])", "o->scale[i] : 0")],
        },
    ),
    "CLIPSeg": (
        "golden_clipseg",
        {
            "CLIPSeg: shift and scale exchanged": [
                (
                    CLIPSEG,
                    "host[i % r] * scene->values[i] + host[r + i % r]",
                    "host[r + i % r] * scene->values[i] + host[i % r]",
                )
            ],
            "CLIPSeg: shifted, then scaled": [
                (
                    CLIPSEG,
                    "host[i % r] * scene->values[i] + host[r + i % r]",
                    "host[i % r] * (scene->values[i] + host[r + i % r])",
                )
            ],
            "CLIPSeg: the tower's first block first": [
                (CLIPSEG, "out + i * reduced,", "out + (s->decoder.depth - 1 - i) * reduced,")
            ],
            "CLIPSeg: one block later": [
                (CLIPSEG, "s->after[s->decoder.depth - 1 - i] + 1;", "s->after[s->decoder.depth - 1 - i] + 2;")
            ],
            "CLIPSeg: quick GELU in the decoder": [
                (
                    CLIPSEG,
                    ".act = SAMC__ACT_RELU,\n                               .eps",
                    ".act = SAMC__ACT_GELU_QUICK,\n                               .eps",
                )
            ],
            "CLIPSeg: norms before": [
                (
                    PLAIN,
                    "SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->norm1, .y = x}));\n",
                    "",
                )
            ],
            "CLIPSeg: a pixel's rows as columns": [(CLIPSEG, "y % k2 * k2 + x % k2]", "x % k2 * k2 + y % k2]")],
            "CLIPSeg: CLIP's mean and deviation": [
                (CLIPSEG, "samc__preprocessor_pixels(r, file, json, v);", "(void)0;"),
                (CLIPSEG, "memcpy(v->mean, (float[]){0.485f, 0.456f, 0.406f}, sizeof v->mean);", "(void)0;"),
            ],
        },
    ),
}
for _, more in DETECTORS.values():
    MUTATIONS |= more


# Data that another program reads; its rows are features of images, similarities and features of phrases.
PROGRAMS = {"golden_clip": "text_parity_test"}


def folder_of(name):
    """The golden data that a mutation is shown on."""
    families = {**FAMILIES, **DETECTORS}
    return next((folder for family, (folder, _) in families.items() if name.startswith(family)), "golden")


def run(command, **options):
    """The finished process; stops with its output if it fails and no `check=False` was given."""
    check = options.pop("check", True)
    process = subprocess.run(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if check and process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{process.stdout}\nmutations.py: the command above failed")
    return process


class Tree:
    """A scratch copy of the sources and its build."""

    def __init__(self, source, work):
        self.source, self.root, self.build = source, work / "tree", work / "build"
        ignore = shutil.ignore_patterns(".git", "build", "build-*", "__pycache__", "*.pth")
        shutil.copytree(source, self.root, ignore=ignore)
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        run(
            [
                "cmake",
                "-S",
                self.root,
                "-B",
                self.build,
                *generator,
                "-DCMAKE_BUILD_TYPE=Release",
                "-DCMAKE_C_FLAGS_RELEASE=-O2",
                "-DSAMC_WERROR=OFF",
                "-DSAMC_TESTS=ON",
            ]
        )

    def mutate(self, edits):
        """Applies the edits; returns the files to restore."""
        touched = []
        for file, old, new in edits:
            path = self.root / file
            text = path.read_text()
            if text.count(old) != 1:
                sys.exit(
                    f"mutations.py: {file} has {text.count(old)} times, instead of once: {old}\n"
                    f"Update the mutation to the sources."
                )
            path.write_text(text.replace(old, new))
            touched.append(file)
        return touched

    def restore(self, files):
        for file in files:
            (self.root / file).write_text((self.source / file).read_text())

    def detect(self, folder):
        """Builds and runs detector_test; returns (how far the worst comparison lies beyond its gates, exit code)."""
        run(["cmake", "--build", self.build, "--target", "detector_test", "--parallel", os.cpu_count()])
        golden = self.root / "tests" / "data" / folder
        process = run([self.build / "bin" / "detector_test", golden, "--backend", "ref", "--threads", "1"], check=False)
        rows = re.findall(r"nmse (\S+) of (\S+), largest (\S+) of (\S+?)(?: |$)", process.stdout, re.M)
        factors = [max(float(a) / float(b), float(c) / float(d)) for a, b, c, d in rows]
        return max(factors, default=math.inf), process.returncode

    def test(self, folder="golden"):
        """Builds and runs parity_test; returns (rows of the summary, wrong mask pixels, comparisons beyond the gate,
        exit code).
        """
        program = PROGRAMS.get(folder, "parity_test")
        run(["cmake", "--build", self.build, "--target", program, "--parallel", os.cpu_count()])
        golden = self.root / "tests" / "data" / folder
        process = run([self.build / "bin" / program, golden, "--backend", "ref", "--threads", "1"], check=False)
        summary = process.stdout.partition("\nworst ")[2]
        rows = {
            m[1]: [float(x) for x in m[2].split()]
            for m in re.finditer(r"^(embedding|logits|iou)((?: +\S+){6})$", summary, re.M)
        }
        number = lambda pattern: int(m[1]) if (m := re.search(pattern, summary)) else -1
        return rows, number(r"(\d+) mask pixel"), number(r"(\d+) comparison"), process.returncode


def factor(row):
    """How far a row [NMSE, max, their gates, their noise] lies beyond its gates: the larger quotient."""
    return max(row[0] / row[2], row[1] / row[3])


def main():
    parser = argparse.ArgumentParser(description="Applies source mutations that the parity test must notice.")
    parser.add_argument(
        "--source", type=Path, default=Path(__file__).resolve().parents[2], help="root of the tree (default: this one)"
    )
    parser.add_argument("--work", type=Path, help="scratch directory (default: a temporary one, removed at the end)")
    parser.add_argument("--only", default="", help="only the mutations whose name contains this")
    args = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="samc-mutations-") as temporary:
        tree = Tree(args.source, args.work or Path(temporary))
        clean, pixels, failures, code = tree.test()
        if code != 0 or not clean:
            sys.exit(
                f"mutations.py: the clean tree does not pass parity_test ({failures} comparisons beyond their gates, "
                f"exit {code})"
            )
        for folder, _ in FAMILIES.values():
            if tree.test(folder)[3] != 0:
                sys.exit(f"mutations.py: the clean tree does not pass parity_test on {folder}")
        for folder, _ in DETECTORS.values():
            if tree.detect(folder)[1] != 0:
                sys.exit(f"mutations.py: the clean tree does not pass detector_test on {folder}")
        columns = "%-34s" + "%11s%9s" * 3 + "%9s%8s  %s"
        print(columns % ("", "embedding", "", "logits", "", "IoU", "", "mask", "beyond", ""))
        print(columns % ("mutation", *["NMSE", "max/dev"] * 3, "pixels", "gates", ""))

        def show(name, rows, a, b, pixels="", failures="", verdict=""):
            values = ["%.1e" % rows[t][i] for t in ("embedding", "logits", "iou") for i in (a, b)]
            print(columns % (name, *values, pixels, failures, verdict), flush=True)

        show("(noise floor, fp32 against fp64)", clean, 4, 5)
        show("(clean)", clean, 0, 1, pixels, failures)
        show("(gate)", clean, 2, 3, 0)
        survivors, weakest, touched = [], (float("inf"), ""), []
        for name, edits in MUTATIONS.items():
            if args.only not in name:
                continue
            tree.restore(touched)
            touched = tree.mutate(edits)
            if name.startswith(tuple(DETECTORS)):
                beyond, code = tree.detect(folder_of(name))
                if code == 0:
                    survivors.append(name)
                else:
                    weakest = min(weakest, (beyond, name))
                print("%-40s %s" % (name, "SURVIVED" if code == 0 else "red, %.3g x gate" % beyond), flush=True)
                continue
            rows, pixels, failures, code = tree.test(folder_of(name))
            if not rows:  # it did not get through, which is as red as can be
                print("%-34s stopped with exit code %d" % (name, code))
                continue
            beyond = max(map(factor, rows.values()))
            if code == 0:
                survivors.append(name)
            if beyond > 1:
                weakest = min(weakest, (beyond, name))
            by = "SURVIVED" if code == 0 else "red, %.3g x gate" % beyond if beyond > 1 else "red, by masks"
            show(name, rows, 0, 1, pixels, failures, by)
    print(
        "%d mutations, %d survived; weakest by values: %s, %.3g x gate; %.0f s"
        % (
            sum(args.only in name for name in MUTATIONS),
            len(survivors),
            weakest[1],
            weakest[0],
            time.monotonic() - start,
        )
    )
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
