#!/usr/bin/env python3
"""Finds the thresholds of automatic mode: runs a grid of clicks once per photograph, then tries thresholds.

A small model predicts lower IoUs and softer logits than SAM, so SAM's thresholds (0.88, 0.95) return nothing.
Prints for every combination the number of masks and the share of the picture they cover, and draws overlays for
the combination given by --draw. The filter is that of SAM's automatic mode (predicted IoU, stability, box NMS).
"""

import argparse
import os

import cv2
import numpy as np
import torch
from PIL import Image
from torchvision.ops import batched_nms, masks_to_boxes

from evaluate import Runner
from model import decode, load


@torch.no_grad()
def candidates(run, im, side):
    """-> logits [N, h', w'], predicted IoU [N] for the three masks of side x side clicks"""
    h, w = im.shape[:2]
    g = (np.arange(side) + 0.5) / side
    pts = torch.tensor(np.stack(np.meshgrid(g * w, g * h), -1).reshape(-1, 2), dtype=torch.float32)
    run.picture(im)
    los, qs = [], []
    for p in pts.split(100):
        with run.cast():
            lo, q = decode(
                run.m,
                run.emb,
                torch.cat([p[:, None] * run.s, torch.zeros(len(p), 1, 2)], 1),
                torch.tensor([[1, -1]]).expand(len(p), 2),
            )
        s = lo.shape[-1] / run.R
        los.append(lo[:, 1:, : int(run.nh * s + 0.5), : int(run.nw * s + 0.5)].float().flatten(0, 1))
        qs.append(q[:, 1:].float().flatten())
    return torch.cat(los), torch.cat(qs)


def choose(lo, q, iou, stab, offset, nms, smallest):
    """-> bool masks [M, h', w'] that pass, best first"""
    area = (lo > 0).flatten(1).sum(1)
    st = (lo > offset).flatten(1).sum(1) / (lo > -offset).flatten(1).sum(1).clamp(min=1)
    k = (q >= iou) & (st >= stab) & (area > smallest * lo[0].numel())
    if not k.any():
        return lo[:0] > 0
    m = lo[k] > 0
    keep = batched_nms(masks_to_boxes(m), q[k], torch.zeros(len(m)), nms)
    return m[keep]


def overlay(im, masks):
    h, w = im.shape[:2]
    o, rng = im.astype(np.float32), np.random.default_rng(3)
    for m in sorted(masks.numpy(), key=lambda m: -m.sum()):
        k = cv2.resize(m.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR) > 0.5
        o[k] = o[k] * 0.45 + rng.uniform(0, 255, 3) * 0.55
        o[k ^ cv2.erode(k.astype(np.uint8), np.ones((3, 3))).astype(bool)] = 255
    return o.clip(0, 255).astype(np.uint8)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint")
    ap.add_argument("photo", nargs="+")
    ap.add_argument("--side", type=int, default=20, help="points_per_side")
    ap.add_argument("--iou", type=float, nargs="+", default=[0.4, 0.45, 0.5, 0.55, 0.6], help="pred_iou_thresh")
    ap.add_argument("--stability", type=float, nargs="+", default=[0.6, 0.7, 0.8], help="stability_score_thresh")
    ap.add_argument("--offset", type=float, default=1.0, help="stability_score_offset")
    ap.add_argument("--nms", type=float, nargs="+", default=[0.5, 0.7], help="box_nms_thresh")
    ap.add_argument("--smallest", type=float, default=0.001, help="smallest mask, share of the picture")
    ap.add_argument("--longest", type=int, default=640, help="photographs are reduced to this side")
    ap.add_argument("--draw", metavar="OUT.png", help="overlays for the first value of each threshold")
    a = ap.parse_args()
    torch.set_num_threads(2)
    run, rows, table = Runner(load(a.checkpoint)[0]), [], {}
    for path in a.photo:
        im = Image.open(path).convert("RGB")
        im.thumbnail((a.longest, a.longest))
        im = np.array(im)
        lo, q = candidates(run, im, a.side)
        for t in a.iou:
            for s in a.stability:
                for n in a.nms:
                    m = choose(lo, q, t, s, a.offset, n, a.smallest)
                    table.setdefault((t, s, n), []).append(
                        (len(m), float(m.any(0).float().mean()), float(m.float().sum(0).mean()))
                    )
        if a.draw:
            m = choose(lo, q, a.iou[0], a.stability[0], a.offset, a.nms[0], a.smallest)
            pair = np.concatenate([im, overlay(im, m)], 1)
            pair = cv2.resize(pair, (760, int(760 * pair.shape[0] / pair.shape[1])), interpolation=cv2.INTER_AREA)
            cv2.putText(pair, f"{os.path.basename(path)} {len(m)}", (5, 14), 0, 0.45, (255, 255, 0), 1, cv2.LINE_AA)
            rows.append(pair)
    print("iou  stability nms   masks per picture              covered  layers")
    for (t, s, n), v in table.items():
        print(
            f"{t:.2f} {s:.2f} {n:.2f}   {' '.join(f'{c[0]:3d}' for c in v)}   {np.mean([c[1] for c in v]):.2f} "
            f"{np.mean([c[2] for c in v]):.2f}"
        )
    if a.draw:
        if len(rows) % 2:
            rows.append(np.zeros_like(rows[-1]))
        cols = [np.concatenate([np.pad(r, ((0, 4), (0, 4), (0, 0))) for r in rows[i::2]]) for i in (0, 1)]
        H = max(c.shape[0] for c in cols)
        cv2.imwrite(
            a.draw, np.concatenate([np.pad(c, ((0, H - c.shape[0]), (0, 0), (0, 0))) for c in cols], 1)[..., ::-1]
        )


if __name__ == "__main__":
    main()
