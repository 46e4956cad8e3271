#!/usr/bin/env python3
"""Calibrated random weights for models of the SAM family.

A freshly initialised SAM is useless for parity: its mask logits have a deviation of 0.07 and its IoU predictions lie
near 0, so that half a pixel, a wrong GELU or a wrong epsilon hide below any loose gate. The weights made here are
random, but scaled layer by layer on one image until the activations look like those of a trained model:

  attention scores        deviation 2 along the keys
  relative positions      deviation 0.5 of the query's length
  biases                  N(0, 0.1); LayerNorm gains U(0.5, 1.5)
  mask logits             deviation 5
  IoU predictions         deviation 0.1 about 0.8
  residual branches       deviation 0.1 and less than the gains of one LayerNorm in the decoder and the neck, so that
                          the variances that the LayerNorms see are small enough (0.02 to 0.3) for a wrong epsilon to
                          show

Run it to write a checkpoint that segment_anything and samc both load:

  python calibrate.py MODEL OUT.pth [--image PHOTO] [--seed N]

MODEL is vit_b, vit_l, vit_h, mobile, hq_tiny, hq_b, hq_l, hq_h, efficientvit_l0 to efficientvit_xl1, sam2_tiny,
sam2_small, sam2_base_plus, sam2_large or medsam2 (sam2_models.py), or tiny, tiny_mobile, tiny_hq, tiny_efficientvit or
tiny_sam2.

Batch norms get means N(0, 0.5) and variances U(0.5, 2), before convolutions are scaled to what these expect.

Requires torch, torchvision, segment-anything, numpy and pillow below 12.2; for MobileSAM mobilesam-mirror 1.0.0 and
timm; for SAM-HQ segment-anything-hq 0.3 and timm; for EfficientViT-SAM efficientsam 1.0.0.
"""

import argparse
import importlib
import json
import math
import types
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import sam2_models
import torch
from PIL import Image
from segment_anything.modeling.common import LayerNorm2d

SCORES = 2.0  # deviation of attention scores along the keys
BRANCH = 0.1  # deviation of what a block adds to its residual stream, and of inputs to LayerNorm2d
INPUT = 0.2  # deviation of the patch embedding and of the position table
NARROW = 0.25  # factor on the gains of the neck's last norm and of the decoder's norms
LOGITS = 5.0
IOU_MEAN, IOU_DEVIATION = 0.8, 0.1


@dataclass(frozen=True)
class Config:
    """What distinguishes one model of the family from another, under the original's argument names."""

    embed_dim: int
    depth: int
    num_heads: int
    global_attn_indexes: tuple
    img_size: int = 1024
    patch_size: int = 16
    window_size: int = 14
    mlp_ratio: float = 4.0
    out_chans: int = 256
    decoder_depth: int = 2
    decoder_num_heads: int = 8
    decoder_mlp_dim: int = 2048
    mask_in_chans: int = 16
    iou_head_hidden_dim: int = 256
    hq: bool = False  # SAM-HQ's decoder

    def metadata(self):
        """The JSON of the safetensors metadata `samc.config`: what tensor shapes alone do not tell."""
        keys = (
            "img_size patch_size embed_dim depth num_heads mlp_ratio window_size global_attn_indexes out_chans "
            "decoder_num_heads"
        )
        config = {key: getattr(self, key) for key in keys.split()}
        config |= {"pixel_mean": [123.675, 116.28, 103.53], "pixel_std": [58.395, 57.12, 57.375]}
        return json.dumps(config)


@dataclass(frozen=True)
class TinyVit:
    """MobileSAM's. The arguments are TinyViT's; the last stage has the size of the one before."""

    embed_dims: tuple = (64, 128, 160, 320)
    depths: tuple = (2, 2, 6, 2)
    num_heads: tuple = (2, 4, 5, 10)
    window_sizes: tuple = (7, 7, 14, 7)
    mlp_ratio: float = 4.0
    num_classes: int = 1000
    img_size: int = 1024
    out_chans: int = 256
    decoder_depth: int = 2
    decoder_num_heads: int = 8
    decoder_mlp_dim: int = 2048
    mask_in_chans: int = 16
    iou_head_hidden_dim: int = 256
    patch_size: int = 16
    hq: bool = False

    def metadata(self):
        return json.dumps({"img_size": self.img_size, "decoder_num_heads": self.decoder_num_heads})

    def encoder(self):
        """mobile_sam's TinyViT. In other shapes than MobileSAM's own, three constants of it are replaced: the stride of
        the last merge, which it takes from the width, the neck's channels and the embedding's side."""
        from mobile_sam.modeling.tiny_vit_sam import TinyViT

        keys = "img_size num_classes embed_dims depths num_heads window_sizes mlp_ratio"
        encoder = TinyViT(**{key: getattr(self, key) for key in keys.split()}, drop_path_rate=0.0)
        if self == TinyVit():
            return encoder
        encoder.layers[2].downsample.conv2.c.stride = (1, 1)
        c = self.out_chans
        encoder.neck[0] = torch.nn.Conv2d(self.embed_dims[-1], c, 1, bias=False)
        encoder.neck[1], encoder.neck[3] = LayerNorm2d(c), LayerNorm2d(c)
        encoder.neck[2] = torch.nn.Conv2d(c, c, 3, padding=1, bias=False)
        side = self.img_size // self.patch_size

        def forward(self, x):
            x = self.patch_embed(x)
            for layer in self.layers:
                x = layer(x)
            return self.neck(x.view(len(x), side, side, -1).permute(0, 3, 1, 2))

        encoder.forward = types.MethodType(forward, encoder)
        return encoder


@dataclass(frozen=True)
class EfficientVit:
    """EfficientViT-SAM's. The backbone's arguments, and SamNeck's."""

    name: str = ""  # of a model in its own shape
    img_size: int = 512
    width_list: tuple = (8, 8, 16, 16, 32)
    depth_list: tuple = (1, 1, 1, 1, 1)
    expand_list: tuple = (1, 2, 2, 2, 3)
    qkv_dim: int = 8
    head_width: int = 24
    head_depth: int = 1
    out_chans: int = 32
    decoder_depth: int = 2
    decoder_num_heads: int = 4
    decoder_mlp_dim: int = 64
    mask_in_chans: int = 16
    iou_head_hidden_dim: int = 32
    hq: bool = False

    def metadata(self):
        return json.dumps({"img_size": self.img_size, "decoder_num_heads": self.decoder_num_heads})

    def build(self):
        """efficientvit's own, by its name, or put together in the shape. SamNeck's two constants are replaced: the side
        that it upscales to, and what it says of the embedding's width."""
        from efficientsam.models.efficientvit import backbone as backbones, sam as of
        from efficientsam.models.nn.norm import build_norm, set_norm_eps
        from efficientsam.sam_model_zoo import create_efficientvit_sam_model

        if self.name:
            return create_efficientvit_sam_model(self.name, pretrained=False).eval()
        keys = "width_list depth_list expand_list qkv_dim"
        backbone = backbones.EfficientViTLargeBackbone(
            **{key: list(v) if isinstance(v := getattr(self, key), tuple) else v for key in keys.split()}
        )
        neck = of.SamNeck(
            fid_list=["stage4", "stage3", "stage2"],
            in_channel_list=list(self.width_list[:1:-1]),
            head_width=self.head_width,
            head_depth=self.head_depth,
            expand_ratio=2,
            middle_op="fmb",
            out_dim=self.out_chans,
        )
        grid = self.img_size // 8
        for op in neck.input_ops:
            op.op_list[1].size = [grid, grid]
        encoder = of.EfficientViTSamImageEncoder(backbone, neck)
        encoder.norm = build_norm("ln2d", self.out_chans)
        sam = of.EfficientViTSam(
            image_encoder=encoder,
            prompt_encoder=of.PromptEncoder(
                embed_dim=self.out_chans,
                image_embedding_size=(grid, grid),
                input_image_size=(1024, 1024),
                mask_in_chans=self.mask_in_chans,
            ),
            mask_decoder=of.MaskDecoder(
                num_multimask_outputs=3,
                transformer=of.TwoWayTransformer(
                    depth=self.decoder_depth,
                    embedding_dim=self.out_chans,
                    mlp_dim=self.decoder_mlp_dim,
                    num_heads=self.decoder_num_heads,
                ),
                transformer_dim=self.out_chans,
                iou_head_depth=3,
                iou_head_hidden_dim=self.iou_head_hidden_dim,
            ),
            image_size=(1024, self.img_size),
        )
        set_norm_eps(sam, 1e-6)
        return sam.eval()


CONFIGS = {
    "mobile": TinyVit(),
    # Sides of 36, 18, 9 and 9, none a multiple of its windows; 0.6 MB.
    "tiny_mobile": TinyVit(
        embed_dims=(16, 32, 48, 64),
        depths=(1, 1, 2, 1),
        num_heads=(1, 2, 3, 2),
        window_sizes=(7, 7, 5, 4),
        mlp_ratio=2.0,
        num_classes=6,
        img_size=144,
        out_chans=32,
        decoder_num_heads=4,
        decoder_mlp_dim=64,
        iou_head_hidden_dim=32,
    ),
    "hq_tiny": TinyVit(hq=True),
    "hq_b": Config(768, 12, 12, (2, 5, 8, 11), hq=True),
    "hq_l": Config(1024, 24, 16, (5, 11, 17, 23), hq=True),
    "hq_h": Config(1280, 32, 16, (7, 15, 23, 31), hq=True),
    "vit_b": Config(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": Config(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": Config(1280, 32, 16, (7, 15, 23, 31)),
    # Everything the large ones have, in 0.5 MB: a grid (9) that windows (4) do not divide, so that five of nine windows
    # are padded, global blocks, two heads of 16, an mlp_ratio and decoder heads that are not the usual ones.
    "tiny": Config(
        32,
        4,
        2,
        (1, 3),
        img_size=144,
        window_size=4,
        mlp_ratio=3.0,
        out_chans=32,
        decoder_num_heads=4,
        decoder_mlp_dim=64,
        iou_head_hidden_dim=32,
    ),
}
CONFIGS["tiny_hq"] = replace(CONFIGS["tiny"], hq=True)
# Sides of 36, 18, 9, 5 and 3, so that the neck upscales by no whole factor; 0.5 MB.
CONFIGS["tiny_efficientvit"] = EfficientVit(img_size=72)
for size, side in {"l0": 512, "l1": 512, "l2": 512, "xl0": 1024, "xl1": 1024}.items():
    CONFIGS[f"efficientvit_{size}"] = EfficientVit(name=f"efficientvit-sam-{size}", img_size=side)
CONFIGS |= sam2_models.CONFIGS
HQ = {"hq_tiny": "vit_tiny", "hq_b": "vit_b", "hq_l": "vit_l", "hq_h": "vit_h"}  # names of segment_anything_hq


def build(config):
    """The original's modules in the given shape, as segment_anything.build_sam puts them together."""
    for name, own in HQ.items():
        if config == CONFIGS[name]:
            return importlib.import_module("segment_anything_hq").sam_model_registry[own]().eval()
    if config == TinyVit():
        return importlib.import_module("mobile_sam").sam_model_registry["vit_t"]().eval()
    if isinstance(config, (EfficientVit, sam2_models.Sam2)):
        return config.build()
    grid = config.img_size // config.patch_size
    of = importlib.import_module("segment_anything_hq.modeling" if config.hq else "segment_anything.modeling")
    return of.Sam(
        image_encoder=config.encoder()
        if isinstance(config, TinyVit)
        else of.ImageEncoderViT(
            depth=config.depth,
            embed_dim=config.embed_dim,
            img_size=config.img_size,
            mlp_ratio=config.mlp_ratio,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            num_heads=config.num_heads,
            patch_size=config.patch_size,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=config.global_attn_indexes,
            window_size=config.window_size,
            out_chans=config.out_chans,
        ),
        prompt_encoder=of.PromptEncoder(
            embed_dim=config.out_chans,
            image_embedding_size=(grid, grid),
            input_image_size=(config.img_size, config.img_size),
            mask_in_chans=config.mask_in_chans,
        ),
        mask_decoder=(partial(of.MaskDecoderHQ, vit_dim=config.embed_dim) if config.hq else of.MaskDecoder)(
            num_multimask_outputs=3,
            transformer=of.TwoWayTransformer(
                depth=config.decoder_depth,
                embedding_dim=config.out_chans,
                mlp_dim=config.decoder_mlp_dim,
                num_heads=config.decoder_num_heads,
            ),
            transformer_dim=config.out_chans,
            iou_head_depth=3,
            iou_head_hidden_dim=config.iou_head_hidden_dim,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    ).eval()


def load(name, path):
    """A model of CONFIGS with the weights of a checkpoint."""
    sam = build(CONFIGS[name])
    state = torch.load(path, map_location="cpu", weights_only=True)
    sam.load_state_dict(state["model"] if "model" in state else state)
    return sam.eval()  # TinyViT gathers its table of biases again


def is_a(module, *names):
    """Packages have copies of each other's classes."""
    return type(module).__name__ in names


def predictor_of(sam):
    """The SamPredictor of the package that the model's class is from."""
    package = type(sam).__module__.split(".")[0]
    if package == "efficientsam":
        return importlib.import_module(type(sam).__module__).EfficientViTSamPredictor(sam)
    return importlib.import_module(package).SamPredictor(sam)


def initialise(sam):
    """Random values whose scale does not depend on torch's default initialisation."""
    encoder = sam.image_encoder
    narrow = {encoder.norm if is_efficientvit(encoder) else encoder.neck[3]} | {
        m for m in sam.mask_decoder.transformer.modules() if isinstance(m, torch.nn.LayerNorm)
    }
    for module in sam.modules():
        factor = NARROW if module in narrow else 1.0
        is_norm = is_a(module, "LayerNorm", "LayerNorm2d", "BatchNorm2d")
        if is_a(module, "BatchNorm2d"):
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.5, 2)
        for name, p in module.named_parameters(recurse=False):
            if is_norm and name == "weight":
                p.uniform_(0.5, 1.5).mul_(factor)
            elif name.startswith("rel_pos"):
                p.normal_(0, 0.5 * p.shape[1] ** -0.5)
            elif name == "attention_biases":
                p.normal_(0, 0.5)
            elif name == "pos_embed":
                p.normal_(0, INPUT)
            elif name == "bias":
                p.normal_(0, 0.1 * factor)
            elif isinstance(module, torch.nn.Embedding):
                p.normal_(0, 1)
            elif isinstance(module, torch.nn.ConvTranspose2d):
                p.normal_(0, p.shape[0] ** -0.5)
            else:
                p.normal_(0, math.prod(p.shape[1:]) ** -0.5)


def scale_output(module, deviation):
    """Forward hook that scales a layer's weight until its output, without the bias, has the deviation."""

    def hook(module, inputs, output):
        bias = (
            0
            if module.bias is None
            else module.bias.reshape([-1] + [1] * (2 if output.ndim == 4 and module.weight.ndim == 4 else 0))
        )
        module.weight *= deviation / (output - bias).std()
        return module.forward(*inputs)

    return module.register_forward_hook(hook)


def score_deviation(q, k):
    """Deviation of q . k / sqrt(head dim) along the keys, from at most 64 queries; q, k: [..., tokens, head dim]."""
    some = torch.linspace(0, q.shape[-2] - 1, min(64, q.shape[-2])).long()
    return (q[..., some, :] @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).std(-1).mean()


def scale_encoder_scores(attention):
    """Forward hook that scales an encoder block's q until its scores have the deviation SCORES."""

    def hook(attention, inputs):
        x = inputs[0]
        q, k, _ = (
            attention.qkv(x)
            .reshape(len(x), -1, 3, attention.num_heads, x.shape[-1] // attention.num_heads)
            .permute(2, 0, 3, 1, 4)
        )
        factor = SCORES / score_deviation(q, k)
        attention.qkv.weight[: x.shape[-1]] *= factor
        attention.qkv.bias[: x.shape[-1]] *= factor

    return attention.register_forward_pre_hook(hook)


def scale_tinyvit_scores(attention):
    """The same for a block of TinyViT, which norms within its attention and has q, k and v of a head side by side."""

    def hook(attention, inputs):
        x = attention.norm(inputs[0])
        qkv = attention.qkv(x).view(*x.shape[:2], attention.num_heads, 3, attention.key_dim).permute(3, 0, 2, 1, 4)
        factor = SCORES / score_deviation(qkv[0], qkv[1])
        for p in (attention.qkv.weight, attention.qkv.bias):
            p.view(attention.num_heads, 3, -1)[:, 0] *= factor

    return attention.register_forward_pre_hook(hook)


def scale_folded(module, deviation):
    """Scales a convolution to deviation 1, as its batch norm expects, and that norm to the deviation."""

    def hook(module, inputs, output):
        module.c.weight /= module.c(*inputs).std()
        factor = deviation / module.bn(module.c(*inputs)).std()
        module.bn.weight *= factor
        module.bn.bias *= factor
        return module.bn(module.c(*inputs))

    return module.register_forward_hook(hook)


def tinyvit_hooks(encoder):
    """Streams of deviation INPUT, to which blocks add BRANCH; what is activated has deviation 1."""
    ends = [encoder.patch_embed.seq[2]] + [layer.downsample.conv3 for layer in encoder.layers[:-1]]
    ends += [block.local_conv for layer in encoder.layers[1:] for block in layer.blocks]
    for module in encoder.modules():
        if is_a(module, "Conv2d_BN"):
            yield scale_folded(module, INPUT if module in ends else 1.0)
        elif is_a(module, "Attention"):
            yield scale_tinyvit_scores(module)
            yield scale_output(module.proj, BRANCH)
        elif is_a(module, "Mlp"):
            yield scale_output(module.fc2, BRANCH)


def is_efficientvit(encoder):
    return is_a(encoder, "EfficientViTSamImageEncoder")


def scale_convolution(module, deviation):
    """Scales a convolution to deviation 0.1, as its batch norm is then made to expect, so that a wrong epsilon of that
    shows, and that norm to the deviation; one without a norm to the deviation."""

    def hook(module, inputs, output):
        if module.norm is None:
            bias = 0 if module.conv.bias is None else module.conv.bias.reshape(-1, 1, 1)
            module.conv.weight *= deviation / (module.conv(*inputs) - bias).std()
            return module.forward(*inputs)
        module.norm.running_mean *= 0.1
        module.norm.running_var *= 0.01
        module.conv.weight *= 0.1 / module.conv(*inputs).std()
        factor = deviation / module.norm(module.conv(*inputs)).std()
        module.norm.weight *= factor
        module.norm.bias *= factor
        return module.forward(*inputs)

    return module.register_forward_hook(hook)


def efficientvit_hooks(encoder):
    """Streams of deviation INPUT, to which blocks add BRANCH; what is activated has deviation 1."""
    deviations = {op.op_list[0]: INPUT for op in encoder.neck.input_ops}
    deviations[encoder.neck.output_ops[0].op_list[0]] = BRANCH
    for block in encoder.modules():
        if is_a(block, "ResidualBlock"):
            last = list(m for m in block.main.modules() if is_a(m, "ConvLayer"))[-1]
            deviations[last] = INPUT if block.shortcut is None else BRANCH
    for module in encoder.modules():
        if is_a(module, "ConvLayer"):
            yield scale_convolution(module, deviations.get(module, 1.0))
        elif is_a(module, "LiteMLA"):
            yield from (scale_output(conv, 1.0) for conv in module.aggreg[0])


def scale_decoder_scores(attention):
    """The same for an attention of the mask decoder."""

    def hook(attention, args, inputs):
        q = attention._separate_heads(attention.q_proj(inputs["q"]), attention.num_heads)
        k = attention._separate_heads(attention.k_proj(inputs["k"]), attention.num_heads)
        factor = SCORES / score_deviation(q, k)
        attention.q_proj.weight *= factor
        attention.q_proj.bias *= factor

    return attention.register_forward_pre_hook(hook, with_kwargs=True)


class Hooks(list):
    """Forward hooks that are removed when the block ends."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for hook in self:
            hook.remove()


def calibrate_encoder(predictor, rgb):
    encoder = predictor.model.image_encoder
    with Hooks() as hooks:
        if is_efficientvit(encoder):
            hooks += efficientvit_hooks(encoder)
        elif is_a(encoder, "TinyViT"):
            hooks += tinyvit_hooks(encoder)
        else:
            hooks += [scale_output(encoder.patch_embed.proj, INPUT)]
            for module in encoder.modules():
                if is_a(module, "Attention"):
                    hooks += [scale_encoder_scores(module), scale_output(module.proj, BRANCH)]
            hooks += [scale_output(block.mlp.lin2, BRANCH) for block in encoder.blocks]
        if not is_efficientvit(encoder):
            hooks += [scale_output(encoder.neck[0], BRANCH), scale_output(encoder.neck[2], BRANCH)]
        predictor.set_image(
            rgb
        )  # every hook has its layer compute again, so that this is the calibrated embedding already


def hq_features(predictor):
    """SAM-HQ's features of the image that is set, as MaskDecoderHQ.forward() makes them."""
    decoder = predictor.model.mask_decoder
    early = predictor.interm_features[0].permute(0, 3, 1, 2)
    return decoder.embedding_encoder(predictor.features) + decoder.compress_vit_feat(early)


def calibrate_decoder(predictor, rgb):
    sam, decoder = predictor.model, predictor.model.mask_decoder
    steps = np.linspace(0.15, 0.85, 3)
    points = np.stack(np.meshgrid(steps * rgb.shape[1], steps * rgb.shape[0]), -1).reshape(-1, 1, 2)
    points = torch.as_tensor(predictor.transform.apply_coords(points, rgb.shape[:2]), dtype=torch.float)
    labels = torch.ones(len(points), 1)
    features, refined = [], []  # of the upscaled embedding, which vectors of tokens are multiplied with; SAM-HQ's
    hq = hasattr(decoder, "hf_mlp")

    def predict(masks=None):
        """Logits and IoU of all mask tokens, for one point per prompt."""
        sparse, dense = sam.prompt_encoder(points=(points, labels), boxes=None, masks=masks)
        finer = {"hq_features": hq_features(predictor)} if hq else {}
        return decoder.predict_masks(
            **finer,
            image_embeddings=predictor.features,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
        )

    with Hooks() as hooks:
        for module in decoder.modules():
            if is_a(module, "Attention"):
                hooks += [scale_decoder_scores(module), scale_output(module.out_proj, BRANCH)]
        hooks += [scale_output(layer.mlp.lin2, BRANCH) for layer in decoder.transformer.layers]
        hooks += [scale_output(decoder.output_upscaling[0], BRANCH), scale_output(decoder.output_upscaling[3], 1.0)]
        hooks += [decoder.output_upscaling.register_forward_hook(lambda m, i, output: features.append(output))]
        if hq:
            for chain in (decoder.embedding_encoder, decoder.compress_vit_feat, decoder.embedding_maskfeature):
                hooks += [scale_output(chain[0], BRANCH), scale_output(chain[3], 1.0)]
            hooks += [
                decoder.embedding_maskfeature.register_forward_hook(lambda m, i, output: refined.append(output))
            ]
        predict()
    # Vectors orthogonal to the mean feature give logits about 0, so that masks are neither empty nor full.
    vectors = [(mlp, features[0]) for mlp in decoder.output_hypernetworks_mlps]
    if hq:
        vectors += [(decoder.hf_mlp, refined[0] + hq_features(predictor))]
    for mlp, of in vectors:
        mean = torch.nn.functional.normalize(of.mean((0, 2, 3)), dim=0)
        for p in mlp.layers[-1].parameters():
            p -= (mean @ p) * mean if p.ndim == 1 else torch.outer(mean, mean @ p)
    logits, iou = predict()
    for i, (mlp, _) in enumerate(vectors):
        for p in mlp.layers[-1].parameters():
            p *= LOGITS / logits[:, i].std()
    last = decoder.iou_prediction_head.layers[-1]
    factor = IOU_DEVIATION / iou.std(0)
    last.weight *= factor[:, None]
    last.bias.copy_(IOU_MEAN - (iou.mean(0) - last.bias) * factor)
    logits, iou = predict()
    downscaling = sam.prompt_encoder.mask_downscaling
    with Hooks([scale_output(downscaling[i], d) for i, d in ((0, BRANCH), (3, BRANCH), (6, NARROW))]):
        predict(logits[:, :1])
    return logits, iou


def calibrate(sam, rgb, seed=1):
    """Fills a model with calibrated random weights; returns one line of what was reached."""
    if is_a(sam, "SAM2Base"):
        return sam2_models.calibrate(sam, rgb, seed)
    torch.manual_seed(seed)
    with torch.no_grad():
        initialise(sam)
        sam.eval()  # TinyViT gathers its table of biases here
        predictor = predictor_of(sam)
        calibrate_encoder(predictor, rgb)
        logits, iou = calibrate_decoder(predictor, rgb)
    return "embedding deviation %.3f, logits %.2f (mean %.2f), IoU %.2f +- %.3f" % (
        predictor.features.std(),
        logits.std(),
        logits.mean(),
        iou.mean(),
        iou.std(),
    )


def synthetic_image(height, width, seed):
    """A picture with large shapes, fine texture and noise, so that nothing has to be downloaded to calibrate and test.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(height, width)
    image = np.full((height, width, 3), rng.uniform(60, 190, 3))
    for _ in range(7):
        cy, cx, r, angle = rng.uniform(0, 1), rng.uniform(0, 1), rng.uniform(0.08, 0.35), rng.uniform(0, np.pi)
        u, v = (x - cx) * np.cos(angle) + (y - cy) * np.sin(angle), (y - cy) * np.cos(angle) - (x - cx) * np.sin(angle)
        inside = (np.abs(u) ** 3 + np.abs(1.6 * v) ** 3) < r**3
        shade = 40 * np.sin(u * rng.uniform(20, 120))[..., None]
        image = np.where(inside[..., None], rng.uniform(20, 235, 3) + shade, image)
    return np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description="Writes calibrated random weights as a PyTorch checkpoint.")
    parser.add_argument("model", choices=CONFIGS)
    parser.add_argument("output", help="checkpoint to write (.pth)")
    parser.add_argument("--image", help="photograph to calibrate on (default: a synthetic picture)")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    size = CONFIGS[args.model].img_size
    rgb = np.array(Image.open(args.image).convert("RGB")) if args.image else synthetic_image(size * 3 // 4, size, 0)
    sam = build(CONFIGS[args.model])
    print(args.model + ": " + calibrate(sam, rgb, args.seed))
    torch.save(sam.state_dict(), args.output)


if __name__ == "__main__":
    main()
