"""Weights of the tiny SAM 2 whose random masks are local, so that suppression by boxes leaves some dozens of them.

    sam2_local_masks.py tests/data/golden_sam2/tiny.safetensors tools/examples/cat.jpg OUT.safetensors

Calibrated random masks all span the image: the pixels under a token differ more than the tokens do. Here those pixels
are alike, the encoder's positions are larger than its texture, a mask is only what tells its prompt from others, and
the mean is far below 0. auto_parity.py reads the file.
"""

import sys

import numpy as np
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import auto_parity
import sam2_models

POSITIONS, WINDOWS, FINER, COARSE = 10, 0.3, 0.05, 4  # factors
LOGITS, BELOW = 100, 1.5  # deviation of logits, and how many of them the mean is below 0
SURER = 1.0  # more of the predicted IoU's logit


def smoothen(model):
    trunk, decoder = model.image_encoder.trunk, model.sam_mask_decoder
    trunk.pos_embed *= POSITIONS
    trunk.pos_embed_window *= WINDOWS
    for conv in (decoder.conv_s0, decoder.conv_s1):
        conv.weight *= FINER
        conv.bias *= FINER
    prompt = model.sam_prompt_encoder
    prompt.mask_downscaling[-1].bias.copy_(prompt.no_mask_embed.weight[0])  # with use_m2m as without a mask
    up = decoder.output_upscaling
    up[0].weight *= COARSE
    for i in (0, 3):
        up[i].weight.copy_(2 * up[i].weight.mean((2, 3), keepdim=True).expand_as(up[i].weight))


def tell_apart(model, rgb):
    decoder, predictor, features, vectors = model.sam_mask_decoder, sam2_models.predictor_of(model), [], {}
    heads = decoder.output_hypernetworks_mlps
    hooks = [decoder.output_upscaling[4].register_forward_hook(lambda module, x, y: features.append(y))]
    for head in heads:
        hooks.append(head.register_forward_hook(lambda module, x, y: vectors.update({module: y})))
    steps = np.linspace(0.05, 0.95, 8)
    points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 1, 2) * model.image_size
    predictor.set_image(rgb)
    predictor._predict(torch.as_tensor(points, dtype=torch.float), torch.ones(len(points), 1))
    for hook in hooks:
        hook.remove()
    mean = features[0].mean((0, 2, 3))
    along = mean / mean.norm()
    for head in heads:
        last, own = head.layers[-1], vectors[head] - vectors[head].mean(0)
        own -= (own @ along)[:, None] * along
        factor = LOGITS / torch.einsum("pc,pchw->phw", own, features[0]).std()
        last.bias -= vectors[head].mean(0)
        for p in (last.weight, last.bias):
            p -= torch.outer(along, along @ p) if p.ndim > 1 else (along @ p) * along
            p *= factor
        last.bias -= BELOW * LOGITS / mean.norm() * along
    decoder.iou_prediction_head.layers[-1].bias += SURER


def main():
    source, picture, target = sys.argv[1:]
    model = auto_parity.load_sam2(source)
    with torch.no_grad():
        smoothen(model)
        tell_apart(model, np.asarray(Image.open(picture).convert("RGB")))
    with safe_open(source, "pt") as file:
        metadata = file.metadata()
    save_file({name: t.contiguous() for name, t in model.state_dict().items()}, target, metadata=metadata)


if __name__ == "__main__":
    main()
