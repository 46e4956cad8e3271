#!/usr/bin/env python3
"""Golden data of recipes and of Hugging Face's layout: what the originals make of one picture, from its file to masks,
with the golden model's weights (tests/data/golden/tiny.safetensors).

  medsam     MedSAM_Inference.py: scikit-image's resize, min-max, a box, sigmoid before the one resize
  micro-sam  util._to_image of micro_sam, then SamPredictor
  hf         transformers' SamModel with SamProcessor, whose resize is torchvision's

Writes into OUTDIR (committed: tests/data/recipes) photo.png and golden.safetensors: NAME.boxes or NAME.points [P, ..],
NAME.logits [P, M, low, low] f32, NAME.masks [P, M, ceil(h * w / 8)] u8 (bit i % 8 of byte i / 8 is pixel i), NAME.near
f32: indices into [P, M, h, w] of pixels within 1e-4 deviations of the threshold, a -1 first. plateau.pixels and
plateau.u8: a picture with even parts, where the last bit of a sum decides a byte, and scikit-image's of it at 24 x 24.

  HF_HUB_OFFLINE=1 python make_recipe_golden.py OUTDIR

Requires what calibrate.py requires, scikit-image 0.26 and transformers 5.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from segment_anything import SamPredictor
from skimage import io, transform

from calibrate import CONFIGS, build, synthetic_image
from reference import NEAR, save_safetensors

HERE = Path(__file__).resolve().parent
TINY = HERE.parent / "data" / "golden" / "tiny.safetensors"
BOXES = [[20, 14, 100, 80], [3, 40, 60, 93], [70, 8, 131, 60]]
POINTS = [[66, 48], [30, 70], [100, 20]]


def picture():
    """Levels that a stretch changes, another one for each channel, an even part and one that is saturated."""
    rgb = synthetic_image(96, 132, 21).astype(np.float64)
    rgb = rgb * [0.5, 0.35, 0.6] + [40, 90, 10]
    rgb[:20, :30] = [180, 170, 160]
    rgb[70:, 100:] = [40, 90, 10]
    return np.clip(rgb, 0, 255).astype(np.uint8)


def plateau():
    rng = np.random.default_rng(0)
    rgb = np.full((40, 53, 3), (200, 255, 131), np.uint8)
    rgb[:13, :26] = rng.integers(0, 256, (13, 26, 3))
    rgb[-3:] = 77
    return rgb


def medsam(sam, path, size):
    image = io.imread(path)
    height, width, _ = image.shape
    square = transform.resize(image, (size, size), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    square = (square - square.min()) / np.clip(square.max() - square.min(), a_min=1e-8, a_max=None)
    embedding = sam.image_encoder(torch.tensor(square).float().permute(2, 0, 1)[None])
    logits, masks, near = [], [], []
    for box in BOXES:
        scaled = torch.as_tensor(np.array([box]) / np.array([width, height] * 2) * size, dtype=torch.float)
        sparse, dense = sam.prompt_encoder(points=None, boxes=scaled[:, None, :], masks=None)
        low, _ = sam.mask_decoder(
            image_embeddings=embedding,
            image_pe=sam.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        full = F.interpolate(torch.sigmoid(low), size=(height, width), mode="bilinear", align_corners=False)[0].numpy()
        logits.append(low[0].numpy())
        masks.append(full > 0.5)
        near.append(np.abs(full - 0.5) < NEAR * low.std().item() / 4)  # a sigmoid's steepest slope
    return np.stack(logits), np.stack(masks), np.stack(near)


def to_image(image):  # of micro_sam.util, of an RGB picture
    stretched = image.astype("float32")
    stretched -= stretched.min(axis=(0, 1))[None, None]
    stretched /= stretched.max(axis=(0, 1))[None, None] + 1e-7
    return (stretched * 255).astype("uint8")


def micro_sam(sam, path):
    predictor = SamPredictor(sam)
    predictor.set_image(to_image(np.array(Image.open(path).convert("RGB"))))
    results = [
        predictor.predict(np.array([point]), np.array([1]), multimask_output=True, return_logits=True)
        for point in POINTS
    ]
    logits, full = np.stack([r[2] for r in results]), np.stack([r[0] for r in results])
    return logits, full > 0, np.abs(full) < NEAR * logits.std()


def hf_model(sam, config):
    """The same weights as transformers' SamModel, or SamHQModel, and the processor of its size."""
    sys.path.insert(0, str(HERE.parent / "cases"))
    from checkpoint_files import Tensor, config_json, huggingface
    from transformers import SamConfig, SamHQConfig, SamHQModel, SamImageProcessor, SamModel, SamProcessor

    state = {name: Tensor("F32", t.shape, t.numpy().tobytes()) for name, t in sam.state_dict().items()}
    named = {
        name: torch.frombuffer(bytearray(t.data), dtype=torch.float32).reshape(t.shape)
        for name, t in huggingface(state).items()
    }
    parts = config_json(config.hq)
    parts["vision_config"] |= {
        "hidden_size": config.embed_dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "global_attn_indexes": list(config.global_attn_indexes),
        "image_size": config.img_size,
        "patch_size": config.patch_size,
        "window_size": config.window_size,
        "mlp_dim": int(config.embed_dim * config.mlp_ratio),
        "output_channels": config.out_chans,
        "num_pos_feats": config.out_chans // 2,
    }
    prompt = {"hidden_size": config.out_chans, "image_size": config.img_size, "patch_size": config.patch_size}
    parts["prompt_encoder_config"] |= prompt | {"mask_input_channels": config.mask_in_chans}
    parts["mask_decoder_config"] |= {
        "hidden_size": config.out_chans,
        "num_attention_heads": config.decoder_num_heads,
        "num_hidden_layers": config.decoder_depth,
        "mlp_dim": config.decoder_mlp_dim,
        "iou_head_hidden_dim": config.iou_head_hidden_dim,
    }
    if config.hq:
        parts["mask_decoder_config"]["vit_dim"] = config.embed_dim
    parts = {key: part for key, part in parts.items() if isinstance(part, dict)}
    model = (SamHQModel(SamHQConfig(**parts)) if config.hq else SamModel(SamConfig(**parts))).eval()
    missing, unexpected = model.load_state_dict(named, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    if config.hq:
        upscale_what_was_decoded(model.mask_decoder)
    size, low = config.img_size, config.img_size // 4
    processor = SamImageProcessor(
        size={"longest_edge": size},
        pad_size={"height": size, "width": size},
        mask_size={"longest_edge": low},
        mask_pad_size={"height": low, "width": low},
    )
    return model, SamProcessor(processor)


def upscale_what_was_decoded(decoder):
    """SamHQModel of transformers (5.24) makes its masks of the image's embedding as it went into the decoder, turned
    about its diagonal, where the original and SamModel take what comes out. Weights are trained with the latter.
    """
    decoded = []
    decoder.transformer.register_forward_hook(lambda module, inputs, out: decoded.append(out[1]))

    def instead(module, inputs):
        image = decoded.pop()
        side = int(image.shape[2] ** 0.5)
        return image.transpose(2, 3).reshape(-1, image.shape[3], side, side)

    decoder.upscale_conv1.register_forward_pre_hook(instead)


def hugging_face(model, processor, path, points):
    """Logits and masks of each point as its own prompt: [P, 3, low, low], [P, 3, height, width]; SamHQModel sorts its
    three by IoU, and the first is what the original gives.
    """
    image = Image.open(path).convert("RGB")
    inputs = processor(image, input_points=[[[point] for point in points]], return_tensors="pt")
    sizes = inputs["original_sizes"], inputs["reshaped_input_sizes"]
    out = model(**{k: v for k, v in inputs.items() if k not in ("original_sizes", "reshaped_input_sizes")})
    masks = processor.image_processor.post_process_masks(out.pred_masks, *sizes)[0]
    return out.pred_masks[0].numpy(), masks.numpy()


def main():
    parser = argparse.ArgumentParser(description="Makes the golden data of recipes.")
    parser.add_argument("outdir", type=Path)
    args = parser.parse_args()
    args.outdir.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    config = CONFIGS["tiny"]
    sam = build(config)
    sam.load_state_dict(load_file(TINY))
    path = args.outdir / "photo.png"
    Image.fromarray(picture()).save(path, optimize=True)
    with torch.no_grad():
        made = {"medsam": medsam(sam, path, config.img_size), "micro-sam": micro_sam(sam, path)}
        logits, masks = hugging_face(*hf_model(sam, config), path, POINTS)
        made["hf"] = logits, masks, np.zeros_like(masks)
    tensors = {
        "medsam.boxes": np.array(BOXES, np.float32),
        "micro-sam.points": np.array(POINTS, np.float32),
        "hf.points": np.array(POINTS, np.float32),
    }
    even = plateau()
    small = transform.resize(even, (24, 24), order=3, preserve_range=True, anti_aliasing=True)
    tensors |= {"plateau.pixels": even, "plateau.u8": small.astype(np.uint8)}
    for name, (logits, masks, near) in made.items():
        tensors[f"{name}.logits"] = logits.astype(np.float32)
        tensors[f"{name}.masks"] = np.packbits(masks.reshape(*masks.shape[:2], -1), axis=-1, bitorder="little")
        tensors[f"{name}.near"] = np.concatenate([[-1], np.flatnonzero(near)]).astype(np.float32)
        print(name, "logits", logits.shape, "masks' share %.2f" % masks.mean(), "near", int(near.sum()))
    save_safetensors(args.outdir / "golden.safetensors", tensors, {})


if __name__ == "__main__":
    main()
