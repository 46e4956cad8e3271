#!/usr/bin/env python3
"""Training checkpoint -> standard SAM .pth (float16, segment_anything's tensor names), patch 16 at 512 pixels.

Trained with patch 8 at 256: the same 32 x 32 tokens. Each 8 x 8 patch kernel is repeated 2 x 2 and divided by
4, which is exact on a picture whose pixels are repeated 2 x 2, so nothing is lost, and the file has SAM's own
patch size. Checked here: (1) the training decoder against segment_anything's predict path, (2) the exported
network against the trained one, (3) the written file, read back into unmodified segment_anything modules,
through SamPredictor on a photograph (--image), against the trained weights at 256.
"""

import argparse
import os

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from segment_anything import SamPredictor

from model import build, decode, infer_cfg, load


def widen(m, cfg):
    """patch p at size s -> patch 2p at size 2s"""
    big = dict(cfg, img=2 * cfg["img"], patch=2 * cfg["patch"])
    sd, k = dict(m.state_dict()), "image_encoder.patch_embed.proj.weight"
    sd[k] = sd[k].repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    out = build(**big).eval()
    out.load_state_dict(sd)
    return out


@torch.no_grad()
def checks(m, cfg, big):
    R = cfg["img"]
    x, pts = torch.randn(1, 3, R, R), torch.rand(5, 1, 2) * R
    e = m.image_encoder(x)
    sparse, dense = m.prompt_encoder((pts, torch.ones(5, 1)), None, None)
    a, qa = m.mask_decoder(e, m.prompt_encoder.get_dense_pe(), sparse, dense, True)
    b, qb = decode(m, e, torch.cat([pts, torch.zeros(5, 1, 2)], 1), torch.tensor([[1, -1]]).expand(5, 2))
    d1 = max((a - b[:, 1:]).abs().max().item(), (qa - qb[:, 1:]).abs().max().item())
    d2 = (e - big.image_encoder(F.interpolate(x, scale_factor=2.0))).abs().max().item()
    print(
        f"training decoder against segment_anything: {d1:.1e}; patch {2 * cfg['patch']} against {cfg['patch']}: "
        f"{d2:.1e}"
    )
    if d1 > 1e-4 or d2 > 1e-3:
        raise SystemExit("the exported network differs from the trained one")


@torch.no_grad()
def read_back(path, m, image):
    """The file as a user would load it, on a real picture."""
    sd = torch.load(path, map_location="cpu", weights_only=True)
    sam = build(**infer_cfg(sd)).eval()
    sam.load_state_dict({k: v.float() for k, v in sd.items()})
    im = np.array(Image.open(image).convert("RGB"))
    h, w = im.shape[:2]
    masks = []
    for net in (sam, m):
        p = SamPredictor(net)
        p.set_image(im)
        masks.append(p.predict(np.array([[w / 2, h / 2]]), np.array([1]), multimask_output=True)[0])
    iou = [(a & b).sum() / max((a | b).sum(), 1) for a, b in zip(*masks)]
    print("read back by SamPredictor: IoU with the trained weights' masks", [round(float(v), 4) for v in iou])


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint", nargs="+", help="training checkpoint; several are averaged with --weights")
    ap.add_argument("out", help="file to write (.pth)")
    ap.add_argument("--weights", help="comma-separated weights of the average")
    ap.add_argument("--img", type=int, default=256, help="picture size of the training; the file has twice that")
    ap.add_argument("--image", help="photograph for the read-back check")
    a = ap.parse_args()
    m, c = load(a.checkpoint[0], a.img)
    cfg = dict(c["cfg"], img=a.img)
    if len(a.checkpoint) > 1:
        w = [float(x) for x in a.weights.split(",")] if a.weights else [1.0] * len(a.checkpoint)
        sds = [load(p, a.img)[0].state_dict() for p in a.checkpoint]
        m.load_state_dict({k: sum(x * s[k] for x, s in zip(w, sds)) / sum(w) for k in sds[0]})
    big = widen(m, cfg)
    checks(m, cfg, big)
    os.makedirs(os.path.dirname(os.path.abspath(a.out)), exist_ok=True)
    torch.save({k: v.half() for k, v in big.state_dict().items()}, a.out + ".tmp")
    os.replace(a.out + ".tmp", a.out)
    print(
        f"{a.out}: {os.path.getsize(a.out) / 1e6:.2f} MB, "
        f"{sum(v.numel() for v in big.state_dict().values()) / 1e6:.2f} M values"
    )
    if a.image:
        read_back(a.out, m, a.image)


if __name__ == "__main__":
    main()
