#!/usr/bin/env python3
"""Training samples: composites with exact masks, photographs with region hierarchies, microscopy.

Runs as a low-priority worker beside the training (`--lanes`: how many workers share the shard numbers) and
keeps a pool of --keep shards: once the pool is full, the oldest shard is replaced, so that training always
meets fresh samples. Shard k is a function of --seed and k.

kinds of sample
  composite    background (photograph, mosaic of textures, landscape of layers) with 0-9 objects: cut-outs,
               things of several parts, procedural shapes, regions cut from other photographs; shadows,
               shading, soft edges, occlusion, holes, nested and thin parts, crowds of one object
  photo        a photograph with the masks of its region hierarchy (noisy)
  photo+paste  the same with 1-3 pasted objects (exact) on top
  cells        a crop of a microscope picture with its instances (exact)
  human        a crop of a photograph with the masks that people drew; a third also get pasted objects
"""

import argparse
import glob
import os
import time
from collections import deque

import cv2
import numpy as np

from hierarchy import hierarchy
from paint import Painter
from pool import LEAVES, MASKS, PER_SHARD, RECORD, SIDE, Assets, write_shard

AREA = SIDE * SIDE
SMALLEST = 0.004  # of the picture: smaller masks are dropped


class Scene:
    """A picture under construction with its leaf map and masks [membership, weight]."""

    def __init__(self, img, leaf=None, masks=()):
        self.img = img.astype(np.float32)
        self.leaf = np.zeros((SIDE, SIDE), np.uint8) if leaf is None else leaf.copy()
        self.masks = [(m.copy(), w) for m, w in masks]
        self.next = int(self.leaf.max()) + 1

    @staticmethod
    def row(*leaves):
        m = np.zeros(LEAVES, bool)
        m[list(leaves)] = True
        return m

    def paste(self, p, rgb, alpha, part=None, parent=None, shadow=True, weight=1.0):
        """Paste an object; `parent` = leaf it is a part of. Returns its leaf or None."""
        m = alpha > 0.5
        if parent is not None:
            m &= self.leaf == parent
        if self.next > 240 or m.sum() < SMALLEST * AREA:
            return None
        if shadow and p.chance(0.4):
            dy, dx = p.rng.integers(-14, 15, 2)
            sd = np.roll(alpha, (dy, dx), (0, 1))
            sd = cv2.GaussianBlur(sd, (0, 0), p.u(1.5, 9)) * p.u(0.2, 0.6)
            self.img *= (1 - sd * (1 - alpha))[..., None]
        self.img = self.img * (1 - alpha[..., None]) + rgb * alpha[..., None]
        leaf = self.next
        self.next += 1
        self.leaf[m] = leaf
        mem = self.row(leaf)
        if parent is not None:  # masks that hold the parent hold its part too
            for o, _ in self.masks:
                o[leaf] |= o[parent]
        for k in range(1, int(part.max()) + 1 if part is not None else 0):
            q = m & (part == k)
            if q.sum() > SMALLEST * AREA and self.next < 240:
                self.leaf[q] = self.next
                mem[self.next] = True
                self.masks.append((self.row(self.next), 0.3))
                self.next += 1
        self.masks.append((mem, weight))
        return leaf


class Composer:
    def __init__(self, folder, split="train"):
        self.assets = Assets(folder, split)
        self.cuts = deque(maxlen=300)  # regions of photographs, reused as cut-outs

    # ------------------------------------------------------------------ objects
    def cutout(self, p):
        """-> rgb, alpha, part numbers on the canvas"""
        r = p.rng.random()
        if r < 0.48:
            cut = self.assets.draw("cut", p.rng)
        elif r < 0.70:
            cut = p.thing()
        elif r < 0.82 and len(self.cuts) > 20:
            cut = self.cuts[p.rng.integers(len(self.cuts))]
        else:
            m = (p.shape(160) * 255).astype(np.uint8)
            _, alpha, _ = p.warp(np.dstack([m] * 4 + [m * 0]))
            return p.fill(0.3), alpha, None
        rgb, alpha, part = p.warp(cut)
        if p.chance(0.45):
            rgb = p.jitter(rgb, 0.6)
        if p.chance(0.12):  # silhouette with another appearance
            return p.fill(0.3), alpha, None
        return rgb, alpha, part

    def finish_object(self, p, rgb, alpha):
        if p.chance(0.35):
            rgb = np.clip(rgb * (1 + p.smooth(f=2)[..., None] * p.u(0, 0.3)), 0, 255)
        if p.chance(0.3):
            alpha = cv2.GaussianBlur(alpha, (0, 0), p.u(0.4, 1.3))
        return rgb, alpha

    def blend(self, p, sc, rgb, alpha):
        """Move an object's colours towards those around it: its border must be found by texture and shape."""
        m = alpha > 0.5
        around = cv2.dilate(m.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=14).astype(bool) & ~m
        if m.sum() < SMALLEST * AREA or around.sum() < 50:
            return rgb
        t, inside, outside = p.u(0.3, 0.9), rgb[m], sc.img[around]
        scale = np.clip(outside.std(0) / (inside.std(0) + 1), 0.5, 1.5)
        return np.clip(rgb * (1 - t) + ((rgb - inside.mean(0)) * scale + outside.mean(0)) * t, 0, 255)

    def add_objects(self, p, sc, n):
        for _ in range(n):
            rgb, alpha, part = self.cutout(p)
            rgb, alpha = self.finish_object(p, rgb, alpha)
            if p.chance(0.35):
                rgb = self.blend(p, sc, rgb, alpha)
            leaf = sc.paste(p, rgb, alpha, part if part is not None and p.chance(0.6) else None)
            if leaf is not None and p.chance(0.25):
                self.add_part(p, sc, leaf)

    def add_part(self, p, sc, leaf):
        """A nested part: its own mask, and the parent keeps it."""
        ys, xs = np.where(sc.leaf == leaf)
        if len(ys) < 0.03 * AREA:
            return
        size = max(ys.max() - ys.min(), xs.max() - xs.min())
        q, j = int(size * p.u(0.25, 0.6)) + 4, p.rng.integers(len(ys))
        sh, a = cv2.resize(p.shape(120), (q, q)), np.zeros((SIDE, SIDE), np.float32)
        y0, x0 = ys[j] - q // 2, xs[j] - q // 2
        ya, xa, yb, xb = max(0, y0), max(0, x0), min(SIDE, y0 + q), min(SIDE, x0 + q)
        a[ya:yb, xa:xb] = sh[ya - y0 : yb - y0, xa - x0 : xb - x0]
        a *= sc.leaf == leaf
        rgb = p.fill() if p.chance(0.6) else np.clip(sc.img * p.u(0.4, 0.8) + p.rng.uniform(0, 90, 3), 0, 255)
        sc.paste(p, rgb, a, parent=leaf, shadow=False, weight=0.5)

    def crowd(self, p, sc):
        """Several copies of one object, each its own mask."""
        cut, size = self.assets.draw("cut", p.rng), SIDE * p.u(0.14, 0.35)
        for _ in range(int(p.rng.integers(3, 10))):
            rgb, alpha, _ = p.warp(cut, scale=size * p.u(0.8, 1.25))
            rgb, alpha = self.finish_object(p, p.jitter(rgb, 0.2) if p.chance(0.4) else rgb, alpha)
            sc.paste(p, rgb, alpha)

    # ------------------------------------------------------------------ backgrounds
    def regions(self, p, lab, k):
        """A canvas cut in k regions, each connected piece one mask."""
        img, soft = np.zeros((SIDE, SIDE, 3), np.float32), p.u(0, 1.2)
        leaf, masks, n, total = np.zeros((SIDE, SIDE), np.uint8), [], 0, np.zeros((SIDE, SIDE, 1), np.float32)
        for i in range(k):
            m = (lab == i).astype(np.uint8)
            if not m.any():
                continue
            a = cv2.GaussianBlur(m.astype(np.float32), (0, 0), soft) if soft > 0.3 else m.astype(np.float32)
            img += p.fill() * a[..., None]
            total += a[..., None]
            cnt, cc, st, _ = cv2.connectedComponentsWithStats(m, connectivity=4)
            for c in range(1, cnt):
                if n < 60:
                    leaf[cc == c] = n
                    if st[c, 4] > SMALLEST * AREA:
                        masks.append((Scene.row(n), 0.8))
                    n += 1
        return Scene(img / np.maximum(total, 1e-3), leaf, masks)

    def mosaic(self, p):
        k = int(p.rng.integers(2, 9))
        yy, xx = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        wx, wy, fine = (
            p.smooth() * p.u(0, 28),
            p.smooth() * p.u(0, 28),
            p.smooth(f=int(p.rng.integers(8, 30))) * p.u(0, 6),
        )
        d = [
            np.hypot(xx + wx + fine - a, (yy + wy + fine - b) * p.u(0.5, 2.0)) * p.u(0.7, 1.3)
            for a, b in p.rng.uniform(-0.1, 1.1, (k, 2)) * SIDE
        ]
        return self.regions(p, np.argmin(d, 0), k)

    def landscape(self, p):
        """Layers one behind the other, as sky, hills, ground: each with a rough upper edge."""
        k, x = int(p.rng.integers(2, 6)), np.arange(SIDE)
        lab, base = np.zeros((SIDE, SIDE), int), np.sort(p.rng.uniform(0.1, 0.9, k - 1))
        for i, b in enumerate(base, 1):
            edge = b * SIDE
            for f in (3, 7, 20, 70):
                edge = edge + np.interp(x, np.linspace(0, SIDE, f), p.rng.standard_normal(f)) * SIDE * p.u(0, 0.6) / f
            lab[np.arange(SIDE)[:, None] > edge[None]] = i
        return self.regions(p, lab, k)

    # ------------------------------------------------------------------ samples
    def composite(self, p):
        r = p.rng.random()
        if r < 0.30:
            sc, n = self.mosaic(p), int(p.rng.integers(0, 5))
        elif r < 0.42:
            sc, n = self.landscape(p), int(p.rng.integers(0, 6))
        else:
            photo, soft = p.chance(0.7), p.chance(0.35)
            img = p.photo() if photo else p.fill()
            if soft:  # out of focus behind the objects
                img = cv2.GaussianBlur(img, (0, 0), np.exp(p.u(np.log(2.5), np.log(14))))
            sc, n = Scene(img), int(p.rng.integers(1, 9))
            # a blurred or plain background is one region to the eye, a sharp photograph is many
            sc.masks = [(sc.row(0), 0.05 if photo and not soft else 0.6)]
        if p.chance(0.1):
            self.crowd(p, sc)
            n = min(n, 2)
        self.add_objects(p, sc, n)
        return self.finish(p, sc.img), sc.leaf, sc.masks, 0

    def photo(self, p):
        for _ in range(50):
            img = p.photo(0.42)
            if img.std((0, 1)).max() > 20:
                leaf, tree = hierarchy(img)
                if len(tree) >= 2:
                    break
        else:
            return self.composite(p)
        masks = [(m, w) for m, w, _ in tree[:26]]
        self.keep_regions(p, img, leaf, tree)
        if p.chance(0.5):
            return img, leaf, masks, 1
        sc = Scene(img, leaf, masks)
        self.add_objects(p, sc, int(p.rng.integers(1, 4)))
        return self.finish(p, sc.img), sc.leaf, sc.masks, 2

    def keep_regions(self, p, img, leaf, tree):
        for m, w, a in tree:
            if 0.02 < a < 0.3 and p.chance(0.3):
                s = cv2.morphologyEx(m[leaf].astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
                n, cc, st, _ = cv2.connectedComponentsWithStats(s, connectivity=4)
                if n < 2:
                    continue
                i = 1 + int(st[1:, 4].argmax())
                x, y, bw, bh, area = st[i]
                if area > 0.45 * bw * bh and min(bw, bh) > 24:
                    al = (cc[y : y + bh, x : x + bw] == i).astype(np.uint8) * 255
                    self.cuts.append(np.dstack([img[y : y + bh, x : x + bw], al, al * 0]))

    def cells(self, p):
        im = self.assets.draw("cells", p.rng)
        h, w = im.shape[:2]
        s = int(min(h, w) * np.exp(p.u(np.log(min(1, 90 / min(h, w))), 0)))
        y, x = p.rng.integers(h - s + 1), p.rng.integers(w - s + 1)
        c = np.rot90(im[y : y + s, x : x + s], int(p.rng.integers(4)))
        img = cv2.resize(
            np.ascontiguousarray(c[..., :3]),
            (SIDE, SIDE),
            interpolation=cv2.INTER_AREA if s > SIDE else cv2.INTER_LINEAR,
        )
        lab = cv2.resize(
            np.ascontiguousarray(c[..., 3].astype(np.uint16) + 256 * c[..., 4].astype(np.uint16)),
            (SIDE, SIDE),
            interpolation=cv2.INTER_NEAREST,
        )
        ids, cnt = np.unique(lab[lab > 0], return_counts=True)
        leaf, masks = np.zeros((SIDE, SIDE), np.uint8), []
        for n, i in enumerate(ids[np.argsort(-cnt)][:200], 1):
            leaf[lab == i] = n
            masks.append((Scene.row(n), 1.0))
        masks.append((Scene.row(0), 0.3))
        return self.finish(p, img.astype(np.float32)), leaf, masks, 3

    def human(self, p):
        """A crop around one of the masks, from the whole picture to a third of its sides."""
        row = self.assets.draw_row("human", p.rng)
        im, masks = self.assets.pixels(row), row["masks"]
        h, w = im.shape[:2]
        share = np.bincount(im[..., 3].ravel(), minlength=LEAVES) / (h * w)
        weight = np.array([w_ * min(share[m].sum(), 0.1) for m, w_ in masks])
        m = np.isin(im[..., 3], masks[p.rng.choice(len(masks), p=weight / weight.sum())][0])
        i = p.rng.choice(np.flatnonzero(m))
        f, asp = 1.0 if p.chance(0.3) else np.exp(p.u(np.log(0.35), 0)), np.exp(p.u(-0.25, 0.25))
        side = min(h, w) * f
        ch, cw = (h, w) if f == 1 and p.chance(0.5) else (int(min(h, side * asp)), int(min(w, side / asp)))
        y, x = (int(np.clip(c - s * p.u(0.2, 0.8), 0, n - s)) for c, s, n in ((i // w, ch, h), (i % w, cw, w)))
        c = im[y : y + ch, x : x + cw]
        if p.chance(0.5):
            c = c[:, ::-1]
        img = cv2.resize(
            np.ascontiguousarray(c[..., :3]),
            (SIDE, SIDE),
            interpolation=cv2.INTER_AREA if ch > SIDE else cv2.INTER_LINEAR,
        )
        leaf = cv2.resize(np.ascontiguousarray(c[..., 3]), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        sc = Scene(img, leaf, [(Scene.row(*ls), wt) for ls, wt in masks])
        if p.chance(0.67):
            return img if p.chance(0.5) else self.finish(p, sc.img), leaf, sc.masks, 5
        self.add_objects(p, sc, int(p.rng.integers(1, 3)))
        return self.finish(p, sc.img), sc.leaf, sc.masks, 5

    def finish(self, p, img):
        """What a camera and a file format do to a picture."""
        if p.chance(0.3):  # light falls off across the scene
            img = img * (1 + p.smooth(f=2)[..., None] * p.u(0, 0.2))
        if p.chance(0.35):
            img = cv2.GaussianBlur(img, (0, 0), p.u(0.4, 1.2))
        if p.chance(0.4):
            img = img + p.rng.standard_normal(img.shape) * p.u(1, 9)
        img = np.clip(img, 0, 255).astype(np.uint8)
        if p.chance(0.5):
            q = [cv2.IMWRITE_JPEG_QUALITY, int(p.rng.integers(35, 95))]
            img = cv2.imdecode(cv2.imencode(".jpg", img[..., ::-1], q)[1], 1)[..., ::-1]
        return img

    def record(self, rng, mix):
        """One sample as a pool record; mix = shares of photographs, cells, photographs with human masks."""
        p = Painter(self.assets, rng)
        while True:
            r, ends = rng.random(), np.cumsum(mix)
            make = (
                self.photo
                if r < ends[0]
                else self.cells if r < ends[1] else self.human if r < ends[2] else self.composite
            )
            if make.__name__ in ("cells", "human") and make.__name__ not in self.assets.rows:
                make = self.composite
            img, leaf, masks, kind = make(p)
            cnt = np.bincount(leaf.ravel(), minlength=LEAVES)
            masks = [(m, w) for m, w in masks if SMALLEST * AREA < cnt[m].sum() < 0.8 * AREA]
            if masks:
                break
        if len(masks) > MASKS:
            masks = [masks[i] for i in rng.permutation(len(masks))[:MASKS]]
        rec = np.zeros((), RECORD)
        rec["img"], rec["leaf"], rec["kind"] = img, leaf, kind
        for i, (m, w) in enumerate(masks):
            rec["mem"][i], rec["wt"][i] = m, w
        return rec


def make_shard(composer, seed, k, mix):
    composer.cuts.clear()
    rng = np.random.default_rng([seed, k])
    out, bad = np.zeros(PER_SHARD, RECORD), 0
    for i in range(PER_SHARD):
        while True:
            try:
                out[i] = composer.record(rng, mix)
                break
            except (ValueError, IndexError, cv2.error) as e:  # a degenerate draw: take the next one
                bad += 1
                if bad > 20:
                    raise RuntimeError("too many failed samples") from e
    return out, bad


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--assets", required=True, help="asset pack of sources.py")
    ap.add_argument("--out", required=True, help="pool folder")
    ap.add_argument("--split", default="train", choices=("train", "held"), help="which assets to use")
    ap.add_argument("--shards", type=int, default=0, help="stop after this many shards (0: run until ended)")
    ap.add_argument("--keep", type=int, default=160, help="pool size in shards of %d samples" % PER_SHARD)
    ap.add_argument("--lane", type=int, default=0, help="this worker's number")
    ap.add_argument("--lanes", type=int, default=1, help="number of workers")
    ap.add_argument("--photos", type=float, default=0.34, help="share of photographs with region hierarchies")
    ap.add_argument("--cells", type=float, default=0.03, help="share of microscope pictures")
    ap.add_argument("--human", type=float, default=0.25, help="share of photographs with human masks")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--until", type=float, default=0, help="stop at this unix time")
    ap.add_argument(
        "--pause",
        type=float,
        default=0,
        help="seconds to rest after each shard, to leave the processor to the training",
    )
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    composer = Composer(a.assets, a.split)
    k = a.lane
    while not a.shards or k < a.shards:
        path = os.path.join(a.out, f"shard-{k:06d}.bin")
        if not os.path.exists(path):
            have = sorted(glob.glob(os.path.join(a.out, "shard-*.bin")))
            if have and have[0] > path:  # already made and replaced
                k += a.lanes
                continue
            t = time.time()
            rec, bad = make_shard(composer, a.seed, k, (a.photos, a.cells, a.human))
            write_shard(path, rec)
            print(f"shard {k} {time.time() - t:.1f} s, {bad} failed draws", flush=True)
            have = sorted(glob.glob(os.path.join(a.out, "shard-*.bin")))
            for old in have[: max(0, len(have) - a.keep)]:
                os.remove(old)
            time.sleep(a.pause)
        k += a.lanes
        if a.until and time.time() > a.until:
            break


if __name__ == "__main__":
    main()
