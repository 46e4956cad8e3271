#!/usr/bin/env python3
"""Calibrated random models of text and images, by transformers' own classes.

Freshly initialised ones hide mistakes: every score is near 0. Here attention scores have a deviation of 2, gains lie in
U(0.5, 1.5), biases are N(0, 0.1), branches are a tenth of the residual stream, and what the first norms see is small
enough for a wrong epsilon to show.

Requires torch, transformers 5.24.0.
"""

import json
import math
from pathlib import Path

import torch

CLIP = {
    "tiny": dict(
        projection_dim=40,
        text=dict(
            vocab_size=1000,
            hidden_size=48,
            intermediate_size=112,
            num_hidden_layers=3,
            num_attention_heads=3,
            max_position_embeddings=16,
            bos_token_id=998,
            eos_token_id=999,
        ),
        vision=dict(
            hidden_size=60,
            intermediate_size=136,
            num_hidden_layers=3,
            num_attention_heads=4,
            image_size=40,
            patch_size=8,
        ),
    ),
    "b32": dict(projection_dim=512, text={}, vision=dict(patch_size=32)),
    "b16": dict(projection_dim=512, text={}, vision=dict(patch_size=16)),
    "l14": dict(
        projection_dim=768,
        text=dict(hidden_size=768, intermediate_size=3072, num_attention_heads=12),
        vision=dict(
            hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, patch_size=14
        ),
    ),
}


def calibrated(model, seed=1):
    """The model with such weights, in place."""
    generator = torch.Generator().manual_seed(seed)
    normal = lambda p, deviation: torch.empty_like(p).normal_(0, deviation, generator=generator)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name == "logit_scale":
                continue
            if "norm" in name or "layrnorm" in name:
                gain = torch.empty_like(p).uniform_(0.5, 1.5, generator=generator)
                # What pixels' blocks begin with: as it is their variances of 1 would hide every epsilon.
                first = 0.1 if "pre_layrnorm" in name else 1
                p.copy_(first * (gain if name.endswith("weight") else normal(p, 0.1)))
            elif name.endswith("bias"):
                p.copy_(normal(p, 0.1))
            elif "embedding" in name and "patch" not in name:
                p.copy_(normal(p, 0.1))
            else:
                fan = p[0].numel()
                scale = 1 / math.sqrt(fan)
                if "q_proj" in name or "k_proj" in name:
                    scale *= math.sqrt(2)
                if "out_proj" in name or "fc2" in name:
                    scale *= 0.3
                if "patch" in name:
                    scale *= 0.2
                p.copy_(normal(p, scale))
    return model.eval()


def clip(name):
    from transformers import CLIPConfig, CLIPModel

    spec = CLIP[name]
    dim = spec["projection_dim"]
    config = CLIPConfig(
        text_config=spec["text"] | {"projection_dim": dim},
        vision_config=spec["vision"] | {"projection_dim": dim},
        projection_dim=dim,
    )
    return calibrated(CLIPModel(config))


def processor(model):
    """transformers' image processor by Pillow, of the model's size."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = model.config.vision_config.image_size
    return CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})


def save(model, images, folder):
    """The folder as from_pretrained() wants it; the files say all that they may."""
    folder = Path(folder)
    model.save_pretrained(folder)
    images.save_pretrained(folder)
    config = folder / "config.json"
    said = json.loads(config.read_text())
    for part, own in (("text_config", model.config.text_config), ("vision_config", model.config.vision_config)):
        for key in (
            "hidden_size",
            "intermediate_size",
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_act",
            "layer_norm_eps",
        ):
            said[part][key] = getattr(own, key)
    config.write_text(json.dumps(said, indent=1, sort_keys=True) + "\n")


def phrases(config, count, seed=3):
    """ids [count, context] with ends from the shortest to the longest, and those ends."""
    generator = torch.Generator().manual_seed(seed)
    context, vocabulary = config.max_position_embeddings, config.vocab_size
    ids, ends = torch.zeros(count, context, dtype=torch.long), []
    for i in range(count):
        end = min(2 + (i * 5) % context, context - 1)
        ids[i, 0] = config.bos_token_id
        ids[i, 1:end] = torch.randint(1, vocabulary - 2, (end - 1,), generator=generator)
        ids[i, end] = config.eos_token_id
        ends.append(end)
    return ids, ends
