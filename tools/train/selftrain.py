#!/usr/bin/env python3
"""Self-training: the model's own masks on photographs, where it agrees with itself, as new targets.

For a crop of a photograph the teacher answers a grid of clicks on the picture and on its mirror image. A mask
is kept when both views agree; its probability, averaged over the views, decides per superpixel (the base leaves
of hierarchy.py), so that borders snap to edges of the picture. The result is an ordinary shard of the pool.

With --check FOLDER nothing is written: on every n-th even-numbered picture of bsds_val, how well the best of
these masks, and the best node of the plain hierarchy, cover the human segments.
"""

import argparse
import os
import time

import cv2
import numpy as np
import torch

from evaluate import Runner, bsds
from hierarchy import hierarchy
from model import decode, load
from paint import Painter
from pool import LEAVES, MASKS, RECORD, SIDE, Assets, write_shard

PER_FILE = 32


def views(run, im, grid):
    """Probabilities [grid^2 * 3, h', w'] and predicted IoU of the picture and of its mirror image, aligned."""
    h, w = im.shape[:2]
    ys, xs = (np.arange(grid) + 0.5) / grid * h, (np.arange(grid) + 0.5) / grid * w
    pts = np.stack(np.meshgrid(xs, ys), -1).reshape(-1, 2).astype(np.float32)
    out = []
    for flip in (False, True):
        p = pts.copy()
        if flip:
            p[:, 0] = w - 1 - p[:, 0]
        run.picture(im[:, ::-1] if flip else im)
        xy = torch.cat([torch.from_numpy(p)[:, None] * run.s, torch.zeros(len(p), 1, 2)], 1)
        with run.cast():
            lo, q = decode(run.m, run.emb, xy, torch.tensor([[1, -1]]).expand(len(p), 2))
        g = lo.shape[-1]
        lo = lo[:, 1:, : int(round(run.nh / run.R * g)), : int(round(run.nw / run.R * g))].float().sigmoid()
        out.append(((lo.flip(-1) if flip else lo).flatten(0, 1), q[:, 1:].float().flatten()))
    return out


def overlap(a, b):
    """[N, X], [M, X] float 0/1 -> IoU [N, M]"""
    i = a @ b.T
    return i / (a.sum(1)[:, None] + b.sum(1)[None] - i).clamp(min=1)


@torch.no_grad()
def teach(run, im, grid, most=26):
    """-> leaf map, [(membership, weight, area)], the plain hierarchy's nodes"""
    (a, qa), (b, qb) = views(run, im, grid)
    # the three outputs may come in another order for the mirrored click: match each to its best partner
    A, B = (a > 0.5).flatten(1).float(), (b > 0.5).flatten(1).float()
    A3, B3 = A.view(-1, 3, A.shape[1]), B.view(-1, 3, B.shape[1])
    inter = torch.einsum("nix,njx->nij", A3, B3)
    iou = inter / (A3.sum(2)[:, :, None] + B3.sum(2)[:, None] - inter).clamp(min=1)
    agree, j = iou.max(2)
    j = (j + torch.arange(len(j))[:, None] * 3).flatten()
    p, score = (a + b[j]) / 2, (qa + qb[j]) / 2 * agree.flatten()
    area = (p > 0.5).flatten(1).float().mean(1)
    score = torch.where((area > 0.006) & (area < 0.7) & (agree.flatten() > 0.7), score, torch.zeros(()))
    order = [int(i) for i in score.argsort(descending=True)[:220] if score[i] > 0.25]
    leaf, tree = hierarchy(im)
    if not order:
        return leaf, [], tree
    n, flat = int(leaf.max()) + 1, leaf.ravel()
    cnt = np.bincount(flat, minlength=n)
    kept, bits = [], []
    for i in order:
        big = cv2.resize(p[i].numpy(), (leaf.shape[1], leaf.shape[0]), interpolation=cv2.INTER_LINEAR)
        m = np.bincount(flat, big.ravel(), n) / cnt > 0.5  # per superpixel
        s = cnt[m].sum() / cnt.sum()
        if not 0.006 < s < 0.7:
            continue
        # snapping must not change the mask much
        snapped, raw = m[leaf], big > 0.5
        if (snapped & raw).sum() < 0.72 * (snapped | raw).sum():
            continue
        if any(cnt[m & o].sum() > 0.75 * cnt[m | o].sum() for o in bits):
            continue
        bits.append(m)
        kept.append((np.pad(m, (0, LEAVES - n)), float(np.clip(score[i] * 2 * (s / 0.05) ** 0.2, 0.1, 1.5)), s))
        if len(kept) >= most:
            break
    return leaf, kept, tree


def check(run, folder, every, grid):
    """How well the candidates cover human segments."""
    best = {"selftrain": [], "hierarchy": [], "masks": []}
    for im, gts, _ in bsds(folder, "even", every):
        f = SIDE / max(im.shape[:2])
        im = cv2.resize(im, None, fx=f, fy=f, interpolation=cv2.INTER_AREA)
        leaf, masks, tree = teach(run, im, grid)
        g = torch.from_numpy(
            np.stack(
                [cv2.resize(x.astype(np.uint8), leaf.shape[::-1], interpolation=cv2.INTER_NEAREST) for x in gts]
            ).reshape(len(gts), -1)
        ).float()
        for k, ms in (("selftrain", masks), ("hierarchy", tree)):
            if ms:
                m = torch.from_numpy(np.stack([m[leaf].ravel() for m, _, _ in ms])).float()
                best[k] += overlap(g, m).max(1).values.tolist()
            else:
                best[k] += [0.0] * len(g)
        best["masks"].append(len(masks))
    print({k: round(float(np.mean(v)), 4) for k, v in best.items()}, "segments", len(best["selftrain"]))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint")
    ap.add_argument("--assets")
    ap.add_argument("--out", help="pool folder for the new shards")
    ap.add_argument("--count", type=int, default=320, help="samples to make")
    ap.add_argument("--size", type=int, default=192, help="picture size of the teacher")
    ap.add_argument("--grid", type=int, default=11, help="clicks per side")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument("--check", metavar="BSDS", help="only measure the targets")
    ap.add_argument("--every", type=int, default=6, help="with --check: every n-th even picture")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    m, _ = load(a.checkpoint, a.size)
    run = Runner(m, bf16=True)
    if a.check:
        return check(run, a.check, a.every, a.grid)
    assets = Assets(a.assets)
    os.makedirs(a.out, exist_ok=True)
    for k in range((a.count + PER_FILE - 1) // PER_FILE):
        path = os.path.join(a.out, f"shard-{a.seed:03d}{k:03d}.bin")
        if os.path.exists(path):
            continue
        p, out, t = Painter(assets, np.random.default_rng([a.seed, k])), np.zeros(PER_FILE, RECORD), time.time()
        for rec in out:
            while True:
                im = p.photo(0.5)
                if im.std((0, 1)).max() < 20:
                    continue
                leaf, masks, _ = teach(run, im, a.grid)
                if len(masks) >= 3:
                    break
            rec["img"], rec["leaf"], rec["kind"] = im, leaf, 4
            for i, (mem, w, _) in enumerate(masks[:MASKS]):
                rec["mem"][i], rec["wt"][i] = mem, w
        write_shard(path, out)
        print(f"shard {k}: {(out['wt'] > 0).sum(1).mean():.1f} masks a picture, {time.time() - t:.0f} s", flush=True)


if __name__ == "__main__":
    main()
