"""Batches for training: crops of pool samples with clicks and boxes, and corrections of a wrong mask."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from model import MEAN, STD
from pool import LEAVES, MASKS, Pool

cv2.setNumThreads(1)


def crop(rec, R, rng):
    """Random crop of a record, scaled to longest side R -> picture, leaf map (h x w), membership, weights."""
    asp = 1.0 if rng.random() < 0.55 else float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.2, 0.45)))
    whole = len(rec["leaf"])
    side = whole * (rng.uniform(0.8, 1) if rng.random() < 0.7 else rng.uniform(0.45, 0.8))
    ch, cw = (int(side), int(side * asp)) if asp < 1 else (int(side / asp), int(side))
    y, x = rng.integers(whole - ch + 1), rng.integers(whole - cw + 1)
    s = R / max(ch, cw)
    nh, nw = (R, max(1, int(cw * s + 0.5))) if ch >= cw else (max(1, int(ch * s + 0.5)), R)
    im, leaf = rec["img"][y : y + ch, x : x + cw], rec["leaf"][y : y + ch, x : x + cw]
    if rng.random() < 0.5:
        im, leaf = im[:, ::-1], leaf[:, ::-1]
    leaf = cv2.resize(np.ascontiguousarray(leaf), (nw, nh), interpolation=cv2.INTER_NEAREST)
    im = cv2.resize(np.ascontiguousarray(im), (nw, nh), interpolation=cv2.INTER_AREA if s < 1 else cv2.INTER_LINEAR)
    im = im.astype(np.float32)
    if rng.random() < 0.6:
        im = np.clip((im - 128) * rng.uniform(0.7, 1.25) + 128 + rng.uniform(-30, 30) + rng.uniform(-12, 12, 3), 0, 255)
    if rng.random() < 0.08:
        im = np.repeat(im.mean(-1, keepdims=True), 3, -1)
    return im, leaf


def click_in(m, rng):
    """A pixel of mask m (uint8): near the centre, inside, or anywhere in it -> x, y"""
    r = rng.random()
    if r < 0.30:
        q = np.flatnonzero(m)
    else:
        d = cv2.distanceTransform(np.pad(m, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        q = np.flatnonzero(d >= d.max() * (0.95 if r < 0.65 else rng.uniform(0.2, 0.8)))
    i = int(q[rng.integers(len(q))])
    return i % m.shape[1], i // m.shape[1]


def jittered_box(m, R, rng):
    ys, xs = np.flatnonzero(m.any(1)), np.flatnonzero(m.any(0))
    b = np.array([[xs[0], ys[0]], [xs[-1] + 1, ys[-1] + 1]], np.float32)
    j = 0.07 * rng.random() * (b[1] - b[0])
    return (b + np.clip(rng.standard_normal((2, 2)) * j, -0.12 * R, 0.12 * R)).clip(0, R)


def sample(pool, R, K, boxes, rng):
    """One picture with K prompts -> picture 3 x R x R, targets K x R/2 x R/2, xy K x 2 x 2, labels K x 2"""
    while True:
        rec = pool[int(rng.integers(len(pool)))]
        im, leaf = crop(rec, R, rng)
        nh, nw = leaf.shape
        area = rec["mem"] @ np.bincount(leaf.ravel(), minlength=LEAVES) / leaf.size
        ok = (rec["wt"] > 0) & (area > 0.005) & (area < 0.8)
        if ok.any():
            break
    p = np.where(ok, rec["wt"] * np.clip(area, 0.01, 0.3) ** 0.35, 0)
    pick = rng.choice(MASKS, K, replace=int(ok.sum()) < K, p=p / p.sum())
    x = np.zeros((3, R, R), np.float32)
    x[:, :nh, :nw] = ((im - np.array(MEAN, np.float32)) / np.array(STD, np.float32)).transpose(2, 0, 1)
    t, xy, lab = np.zeros((K, R, R), np.uint8), np.zeros((K, 2, 2), np.float32), np.full((K, 2), -1, np.int64)
    for j, k in enumerate(pick):
        m = rec["mem"][k][leaf].astype(np.uint8)
        t[j, :nh, :nw] = m
        if rng.random() < boxes:
            xy[j], lab[j] = jittered_box(m, R, rng), (2, 3)
        else:
            xy[j, 0], lab[j, 0] = click_in(m, rng), 1
    t = F.avg_pool2d(torch.from_numpy(t)[:, None].float(), 2)[:, 0]
    return torch.from_numpy(x), t, torch.from_numpy(xy), torch.from_numpy(lab)


class Batches(torch.utils.data.IterableDataset):
    """Batch i is a function of (seed, i) and of the pool's content at that moment."""

    def __init__(self, folders, R, B, K, boxes, seed, start, rescan=20):
        self.folders, self.R, self.B, self.K, self.boxes = folders, R, B, K, boxes
        self.seed, self.start, self.rescan = seed, start, rescan

    def __iter__(self):
        torch.set_num_threads(1)
        pool, i = Pool(self.folders), self.start
        while True:
            if self.rescan and (i - self.start) % self.rescan == self.rescan - 1:
                pool.scan()
            rng = np.random.default_rng([self.seed, i])
            rows = [sample(pool, self.R, self.K, self.boxes, rng) for _ in range(self.B)]
            yield tuple(torch.stack(z) for z in zip(*rows))
            i += 1


def correction(cur, t, rng):
    """The next click of a user who sees mask `cur` and wants `t` (both bool h x w) -> x, y, label.

    In the deeper of the two error regions (missing, too much); sometimes at any wrong pixel.
    """
    best = (-1.0, None, 0)
    for lab, e in ((1, t & ~cur), (0, cur & ~t)):
        d = cv2.distanceTransform(np.pad(e.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        if d.max() > best[0]:
            best = (float(d.max()), d, lab)
    top, d, lab = best
    if top <= 0:  # nothing wrong: click inside the target
        d, lab, top = t.astype(np.float32), 1, 1.0
        if not t.any():
            return 0, 0, -1
    q = np.flatnonzero(d >= top * 0.7) if rng.random() < 0.75 else np.flatnonzero(d > 0)
    i = int(q[rng.integers(len(q))])
    return i % t.shape[1], i // t.shape[1], lab
