"""SAM 2 as a reference: sam2 1.1.0's own modules in any shape, with calibrated random weights as calibrate.py's.

Requires sam2 (SAM2_BUILD_CUDA=0), hydra-core and iopath beside what calibrate.py requires.
"""

import json
import math
from dataclasses import dataclass

import numpy as np
import torch

SCORES, BRANCH, INPUT, NARROW = 2.0, 0.1, 0.2, 0.25
# Of each mask token: the first one's masks are not always stable, the last one's logits go beyond their limits of 32.
LOGITS = 3.5, 5.0, 5.0, 16.0
IOU_MEAN, IOU_DEVIATION = 1.4, 0.6  # of logits: 0.8 and 0.1 of probabilities
OBJECT_DEVIATION = 3.0


@dataclass(frozen=True)
class Sam2:
    """The arguments of Hiera and of SAM2Base."""

    embed_dim: int = 96
    num_heads: int = 1
    stages: tuple = (1, 2, 7, 2)
    global_att_blocks: tuple = (5, 7, 9)
    window_spec: tuple = (8, 4, 14, 7)
    window_pos_embed_bkg_spatial_size: tuple = (7, 7)
    img_size: int = 1024
    out_chans: int = 256
    decoder_num_heads: int = 8
    decoder_mlp_dim: int = 2048
    iou_head_hidden_dim: int = 256
    patch_size: int = 16
    own: str = ""  # the configuration of a published model

    def metadata(self):
        keys = "img_size embed_dim num_heads stages window_spec global_att_blocks decoder_num_heads"
        return json.dumps({key: getattr(self, key) for key in keys.split()})

    def build(self):
        if self.own:
            from sam2.build_sam import build_sam2

            extra = [f"++model.image_size={self.img_size}"]
            return build_sam2(self.own, None, device="cpu", hydra_overrides_extra=extra).eval()
        from sam2.modeling.backbones.hieradet import Hiera
        from sam2.modeling.backbones.image_encoder import FpnNeck, ImageEncoder
        from sam2.modeling.position_encoding import PositionEmbeddingSine
        from sam2.modeling.sam.mask_decoder import MaskDecoder
        from sam2.modeling.sam.transformer import TwoWayTransformer
        from sam2.modeling.sam2_base import SAM2Base

        keys = "embed_dim num_heads stages global_att_blocks window_spec window_pos_embed_bkg_spatial_size"
        trunk = Hiera(**{key: getattr(self, key) for key in keys.split()})
        neck = FpnNeck(
            PositionEmbeddingSine(self.out_chans),
            self.out_chans,
            trunk.channel_list,
            fpn_top_down_levels=[2, 3],
            fpn_interp_model="nearest",
        )
        model = SAM2Base(
            ImageEncoder(trunk, neck, scalp=1),
            torch.nn.Module(),
            torch.nn.Module(),
            image_size=self.img_size,
            directly_add_no_mem_embed=True,
            use_high_res_features_in_sam=True,
            iou_prediction_use_sigmoid=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
        )
        model.sam_mask_decoder = MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(2, self.out_chans, self.decoder_num_heads, self.decoder_mlp_dim),
            transformer_dim=self.out_chans,
            iou_head_depth=3,
            iou_head_hidden_dim=self.iou_head_hidden_dim,
            use_high_res_features=True,
            iou_prediction_use_sigmoid=True,
            dynamic_multimask_via_stability=True,
            pred_obj_scores=True,
            pred_obj_scores_mlp=True,
        )
        return model.eval()


CONFIGS = {
    # Sides of 40, 20, 10 and 5; windows of 6 and 3 do not divide theirs, the first block of a stage has the windows of
    # the one before.
    "tiny_sam2": Sam2(
        embed_dim=8,
        stages=(1, 2, 3, 2),
        global_att_blocks=(4,),
        window_spec=(8, 4, 6, 3),
        window_pos_embed_bkg_spatial_size=(3, 3),
        img_size=160,
        out_chans=32,
        decoder_num_heads=4,
        decoder_mlp_dim=64,
        iou_head_hidden_dim=32,
    )
}
for size, letter in (("tiny", "t"), ("small", "s"), ("base_plus", "b+"), ("large", "l")):
    CONFIGS[f"sam2_{size}"] = Sam2(own=f"configs/sam2.1/sam2.1_hiera_{letter}.yaml")
CONFIGS["medsam2"] = Sam2(own="configs/sam2.1/sam2.1_hiera_t.yaml", img_size=512)

# ---- The predictor ---------------------------------------------------------------------------------


def predictor_of(model):
    """SAM2ImagePredictor, whose sides of features are constants of 1024."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    return predictor


def encode(model, rgb):
    predictor = predictor_of(model)
    predictor.set_image(rgb)
    predictor.original_size, predictor.features = rgb.shape[:2], predictor._features["image_embed"]  # as SamPredictor's
    return predictor


def levels_of(predictor):
    """[C, side, side] each: the embedding, high_res_s0, high_res_s1."""
    features = predictor._features
    return [features["image_embed"][0], *(f[0] for f in features["high_res_feats"])]


def predict(predictor, prompts, multimask):
    """Low-res logits [P, M, low, low], IoU [P, M] and full-size logits [P, M, h, w] as SAM2ImagePredictor.predict()
    computes them; predictor.objects [P] takes the logits that it drops."""
    dtype = next(predictor.model.parameters()).dtype
    as_tensor = lambda a: None if a is None else torch.as_tensor(a, dtype=dtype)
    _, points, labels, boxes = predictor._prep_prompts(prompts.points, prompts.labels, prompts.boxes, None, True)
    mask_input = None if prompts.mask_input is None else as_tensor(prompts.mask_input)[:, None]
    objects = []
    head = predictor.model.sam_mask_decoder.pred_obj_score_head
    hook = head.register_forward_hook(lambda module, inputs, output: objects.append(output[:, 0]))
    full, iou, low = predictor._predict(
        as_tensor(points), labels, as_tensor(boxes), mask_input, multimask, return_logits=True
    )
    hook.remove()
    predictor.objects = objects[-1].numpy()
    return low.numpy(), iou.numpy(), full.numpy()


# ---- Calibration -----------------------------------------------------------------------------------


def initialise(model):
    narrow = {m for m in model.sam_mask_decoder.transformer.modules() if isinstance(m, torch.nn.LayerNorm)}
    for module in model.modules():
        factor = NARROW if module in narrow else 1.0
        is_norm = type(module).__name__ in ("LayerNorm", "LayerNorm2d")
        for name, p in module.named_parameters(recurse=False):
            if is_norm and name == "weight":
                p.uniform_(0.5, 1.5).mul_(factor)
            elif name in ("pos_embed", "pos_embed_window"):
                p.normal_(0, INPUT)
            elif name == "no_mem_embed":
                p.normal_(0, BRANCH / 2)
            elif name == "bias":
                p.normal_(0, 0.1 * factor)
            elif isinstance(module, torch.nn.Embedding):
                p.normal_(0, 1)
            elif isinstance(module, torch.nn.ConvTranspose2d):
                p.normal_(0, p.shape[0] ** -0.5)
            elif p.ndim > 1:
                p.normal_(0, math.prod(p.shape[1:]) ** -0.5)
            else:
                p.normal_(0, 0.1)


def scale_hiera_scores(attention):
    from calibrate import score_deviation

    def hook(attention, inputs):
        x = inputs[0]
        qkv = attention.qkv(x).reshape(len(x), -1, 3, attention.num_heads, attention.dim_out // attention.num_heads)
        q, k, _ = qkv.permute(2, 0, 3, 1, 4)
        factor = SCORES / score_deviation(q, k)
        attention.qkv.weight[: attention.dim_out] *= factor
        attention.qkv.bias[: attention.dim_out] *= factor

    return attention.register_forward_pre_hook(hook)


def encoder_hooks(model):
    from calibrate import scale_output

    trunk, neck, decoder = model.image_encoder.trunk, model.image_encoder.neck, model.sam_mask_decoder
    yield scale_output(trunk.patch_embed.proj, INPUT)
    for block in trunk.blocks:
        yield scale_hiera_scores(block.attn)
        yield scale_output(block.attn.proj, BRANCH)
        yield scale_output(block.mlp.layers[1], BRANCH)
        if block.dim != block.dim_out:
            yield scale_output(block.proj, INPUT)
    for conv in neck.convs:
        yield scale_output(conv.conv, BRANCH)
    yield scale_output(decoder.conv_s0, 0.5)  # beside the second transposed convolution, whose deviation is 1
    yield scale_output(decoder.conv_s1, BRANCH / 2)


def calibrate_decoder(predictor, rgb):
    from calibrate import Hooks, scale_decoder_scores, scale_output

    model, decoder = predictor.model, predictor.model.sam_mask_decoder
    steps = np.linspace(0.15, 0.85, 3)
    points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 1, 2) * model.image_size
    points, labels = torch.as_tensor(points, dtype=torch.float), torch.ones(9, 1)
    features = []

    def run(masks=None):
        """Logits of masks, IoU and objects, of all tokens, before any sigmoid."""
        sparse, dense = model.sam_prompt_encoder(points=(points, labels), boxes=None, masks=masks)
        decoder.iou_prediction_head.sigmoid_output = False
        logits, iou, _, objects = decoder.predict_masks(
            image_embeddings=predictor._features["image_embed"],
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            repeat_image=True,
            high_res_features=predictor._features["high_res_feats"],
        )
        decoder.iou_prediction_head.sigmoid_output = True
        return logits, iou, objects

    up = decoder.output_upscaling
    with Hooks() as hooks:
        for module in decoder.modules():
            if type(module).__name__ == "Attention":
                hooks += [scale_decoder_scores(module), scale_output(module.out_proj, BRANCH)]
        hooks += [scale_output(layer.mlp.layers[1], BRANCH) for layer in decoder.transformer.layers]
        hooks += [scale_output(up[0], BRANCH), scale_output(up[3], 1.0)]
        hooks += [up[4].register_forward_hook(lambda module, inputs, output: features.append(output))]
        run()
    mean = torch.nn.functional.normalize(features[0].mean((0, 2, 3)), dim=0)
    for mlp in decoder.output_hypernetworks_mlps:
        for p in mlp.layers[-1].parameters():
            p -= (mean @ p) * mean if p.ndim == 1 else torch.outer(mean, mean @ p)
    logits, iou, objects = run()
    for i, mlp in enumerate(decoder.output_hypernetworks_mlps):
        for p in mlp.layers[-1].parameters():
            p *= LOGITS[i] / logits[:, i].std()
    for head, of, to, about in (
        (decoder.iou_prediction_head, iou, IOU_DEVIATION, IOU_MEAN),
        (decoder.pred_obj_score_head, objects, OBJECT_DEVIATION, 0.0),
    ):
        last, factor = head.layers[-1], to / of.std(0)
        last.weight *= factor[:, None]
        last.bias.copy_(about - (of.mean(0) - last.bias) * factor)
    logits, iou, _ = run()
    downscaling = model.sam_prompt_encoder.mask_downscaling
    with Hooks([scale_output(downscaling[i], d) for i, d in ((0, BRANCH), (3, BRANCH), (6, NARROW))]):
        run(logits[:, :1].clamp(-32, 32))
    return logits, torch.sigmoid(iou)


def calibrate(model, rgb, seed=1):
    """Fills a model with calibrated random weights; returns one line of what was reached."""
    from calibrate import Hooks

    torch.manual_seed(seed)
    with torch.no_grad():
        initialise(model)
        predictor = predictor_of(model)
        with Hooks(encoder_hooks(model)):
            predictor.set_image(rgb)
        logits, iou = calibrate_decoder(predictor, rgb)
    return "deviations: levels %s, logits %.2f (mean %.2f), IoU %.2f +- %.3f" % (
        " ".join("%.3f" % level.std() for level in levels_of(predictor)),
        logits.std(),
        logits.mean(),
        iou.mean(),
        iou.std(),
    )
