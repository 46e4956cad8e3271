#!/usr/bin/env python3
"""Measures a checkpoint on photographs with human segments (bsds_val) and on held-out composites.

bsds_val is a folder with images/NAME.jpg, segments/NAME.png (label map) and clicks.json
({image, segment, point, area}); it is for measuring only. --half even tunes, --half odd reports: the
pictures sorted by name, by parity of their index.

Per segment: one click at its centre (selected = the mask with the highest predicted IoU of three, oracle =
the best of three, single = the single-mask output), one click at a random pixel, a box (single-mask output,
and selected/oracle of three), and three clicks (two corrections at the centre of the larger error region,
the previous mask fed back). The mean IoUs, the table by segment area, and how well predicted IoU is calibrated.
"""

import argparse
import json
import os
import time

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from model import MEAN, STD, decode, load
from pool import Pool

BANDS = ((0, 0.02), (0.02, 0.06), (0.06, 0.15), (0.15, 1.01))


def centre(m):
    """The pixel farthest from the edge of mask m -> depth, x, y"""
    d = cv2.distanceTransform(np.pad(m.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    i = int(d.argmax())
    return float(d.flat[i]), i % m.shape[1], i // m.shape[1]


def bsds(root, half, every):
    """Yield (RGB picture, masks [N, h, w], points [N, 2])."""
    by = {}
    with open(os.path.join(root, "clicks.json")) as f:
        for c in json.load(f):
            by.setdefault(c["image"], []).append(c)
    names = sorted(by)
    names = {"even": names[::2], "odd": names[1::2], "all": names}[half][::every]
    for n in names:
        im = np.array(Image.open(os.path.join(root, "images", n)).convert("RGB"))
        seg = cv2.imread(os.path.join(root, "segments", n.rsplit(".", 1)[0] + ".png"), cv2.IMREAD_UNCHANGED)
        yield im, np.stack([seg == c["segment"] for c in by[n]]), np.array([c["point"] for c in by[n]], np.float32)


def held(folder, count, kinds=(0,)):
    """The same for exact masks of a pool made from held-out assets, at most 8 masks a picture."""
    pool, rng, done = Pool([folder]), np.random.default_rng(5), 0
    for i in range(len(pool)):
        r = pool[i]
        if int(r["kind"]) not in kinds or done >= count:
            continue
        ms = [r["mem"][k][r["leaf"]] for k in np.flatnonzero(r["wt"] >= 0.5)]
        ms = [m for m in ms if 0.01 <= m.mean() <= 0.6]
        if ms:
            done += 1
            ms = [ms[j] for j in rng.permutation(len(ms))[:8]]
            yield r["img"], np.stack(ms), np.array([centre(m)[1:] for m in ms], np.float32)


class Runner:
    """One picture's embedding and its prompts, as SAM's own predictor treats them."""

    def __init__(self, m, bf16=False):
        self.m, self.R, self.bf16 = m, m.image_encoder.img_size, bf16

    def cast(self):
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16)

    def picture(self, im):
        self.h, self.w = im.shape[:2]
        self.s = self.R / max(self.h, self.w)
        self.nh, self.nw = int(self.h * self.s + 0.5), int(self.w * self.s + 0.5)
        x = np.array(Image.fromarray(np.ascontiguousarray(im)).resize((self.nw, self.nh), Image.BILINEAR))
        x = (torch.from_numpy(x).float() - torch.tensor(MEAN)) / torch.tensor(STD)
        x = F.pad(x.permute(2, 0, 1), (0, self.R - self.nw, 0, self.R - self.nh))
        with self.cast():
            self.emb = self.m.image_encoder(x[None])

    def prompt(self, xy, lab, mask=None):
        """xy [N, T, 2] in picture pixels -> low-resolution logits [N, 4, h', w'], predicted IoU [N, 4], masks [N, 4, h,
        w]
        """
        with self.cast():
            lo, q = decode(self.m, self.emb, xy * self.s, lab, mask)
        lo = lo.float()
        up = F.interpolate(lo, (self.R, self.R), mode="bilinear", align_corners=False)[..., : self.nh, : self.nw]
        return lo, q.float(), F.interpolate(up, (self.h, self.w), mode="bilinear", align_corners=False) > 0


def iou(p, g):
    """p [N, C, h, w], g [N, h, w] bool -> [N, C]"""
    g = g[:, None]
    return ((p & g).sum((-1, -2)).float() / (p | g).sum((-1, -2)).clamp(min=1)).numpy()


def next_click(p, g):
    (a, ax, ay), (b, bx, by) = centre(g & ~p), centre(p & ~g)
    return (ax, ay, 1) if a >= b else (bx, by, 0)


@torch.no_grad()
def measure(m, tasks, bf16=False, seed=3):
    """-> {name: array over segments}"""
    run, rng, out = Runner(m, bf16), np.random.default_rng(seed), {}

    def add(**kw):
        for k, v in kw.items():
            out.setdefault(k, []).extend(np.asarray(v).tolist())

    for im, gts, points in tasks:
        g, N = torch.from_numpy(gts), len(gts)
        ar, pad = np.arange(N), torch.full((N, 1), -1)
        run.picture(im)

        def click(xy):
            xy = torch.cat([torch.as_tensor(xy, dtype=torch.float32)[:, None], torch.zeros(N, 1, 2)], 1)
            lo, q, p = run.prompt(xy, torch.cat([torch.ones(N, 1, dtype=torch.long), pad], 1))
            return lo, q[:, 1:].numpy(), p, iou(p, g)

        lo, q, p, t = click(points)
        k = 1 + q.argmax(1)
        add(
            selected=t[ar, k],
            oracle=t[:, 1:].max(1),
            single=t[:, 0],
            area=gts.mean((1, 2)),
            pred=q.max(1),
            pick=k,
            all_pred=q.ravel(),
            all_true=t[:, 1:].ravel(),
        )
        rnd = np.array(
            [(lambda i: (i % gts.shape[2], i // gts.shape[2]))(int(rng.choice(np.flatnonzero(x)))) for x in gts]
        )
        _, q2, _, t2 = click(rnd)
        add(rnd_selected=t2[ar, 1 + q2.argmax(1)], rnd_oracle=t2[:, 1:].max(1), rnd_single=t2[:, 0])
        bx = []
        for x in gts:
            ys, xs = np.flatnonzero(x.any(1)), np.flatnonzero(x.any(0))
            bx.append([[xs[0], ys[0]], [xs[-1] + 1, ys[-1] + 1]])
        _, q3, p3 = run.prompt(torch.tensor(bx, dtype=torch.float32), torch.tensor([[2, 3]]).expand(N, 2))
        t3 = iou(p3, g)
        add(box=t3[:, 0], box_selected=t3[ar, 1 + q3[:, 1:].argmax(1).numpy()], box_oracle=t3[:, 1:].max(1))
        cur, seen = lo[ar, k][:, None], p[ar, k].numpy()
        pts, labs = torch.as_tensor(points)[:, None], torch.ones(N, 1, dtype=torch.long)
        for n in (2, 3):
            c = [next_click(seen[i], gts[i]) for i in range(N)]
            pts = torch.cat([pts, torch.tensor([[[x, y]] for x, y, _ in c], dtype=torch.float32)], 1)
            labs = torch.cat([labs, torch.tensor([[v] for _, _, v in c])], 1)
            cur, _, p4 = run.prompt(torch.cat([pts, torch.zeros(N, 1, 2)], 1), torch.cat([labs, pad], 1), cur)
            cur, seen = cur[:, :1], p4[:, 0].numpy()
            add(**{f"clicks{n}": iou(p4[:, :1], g)[:, 0]})
    return {k: np.array(v) for k, v in out.items()}


NAMES = (
    "selected",
    "oracle",
    "single",
    "rnd_selected",
    "rnd_oracle",
    "rnd_single",
    "box",
    "box_selected",
    "box_oracle",
    "clicks2",
    "clicks3",
)


def summary(r):
    """Means, by area, and calibration of the predicted IoU."""
    s = dict(n=len(r["area"]), mean={k: round(float(r[k].mean()), 4) for k in NAMES}, area={})
    for lo, hi in BANDS:
        k = (r["area"] >= lo) & (r["area"] < hi)
        if k.any():
            s["area"][f"{lo:.2f}-{min(hi, 1):.2f}"] = dict(
                n=int(k.sum()), **{q: round(float(r[q][k].mean()), 3) for q in ("selected", "oracle", "box", "clicks3")}
            )
    p, t = r["all_pred"], r["all_true"]
    edges = np.quantile(p, np.linspace(0, 1, 11))
    idx = np.clip(np.searchsorted(edges, p, "right") - 1, 0, 9)
    bins = [
        (round(float(p[idx == i].mean()), 3), round(float(t[idx == i].mean()), 3))
        for i in range(10)
        if (idx == i).any()
    ]
    s["calibration"] = dict(
        correlation=round(float(np.corrcoef(p, t)[0, 1]), 3),
        bias=round(float((p - t).mean()), 3),
        ece=round(float(np.mean([abs(a - b) for a, b in bins])), 3),
        pred_true_by_decile=bins,
        chosen_pred_quantiles=[round(float(x), 3) for x in np.quantile(r["pred"], (0.1, 0.5, 0.9))],
        picks=[round(float((r["pick"] == i).mean()), 3) for i in (1, 2, 3)],
    )
    return s


def show(title, s):
    m = s["mean"]
    print(f"{title}: {s['n']} segments")
    print("  1 click   selected {selected:.3f}  oracle {oracle:.3f}  single {single:.3f}".format(**m))
    print("  random px selected {rnd_selected:.3f}  oracle {rnd_oracle:.3f}  single {rnd_single:.3f}".format(**m))
    print(
        "  box {box:.3f} (selected {box_selected:.3f} oracle {box_oracle:.3f})  2 clicks {clicks2:.3f}  3 clicks "
        "{clicks3:.3f}".format(
            **m
        )
    )
    for b, v in s["area"].items():
        print(
            f"  area {b} n={v['n']:4d} selected {v['selected']:.3f} oracle {v['oracle']:.3f} box {v['box']:.3f} 3 "
            f"clicks {v['clicks3']:.3f}"
        )
    c = s["calibration"]
    print(
        f"  predicted IoU: correlation {c['correlation']} bias {c['bias']} mean gap by decile {c['ece']} "
        f"quantiles of the chosen {c['chosen_pred_quantiles']} masks chosen {c['picks']}"
    )


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("checkpoint", nargs="+", help="training checkpoint or standard .pth")
    ap.add_argument("--bsds", help="folder of bsds_val")
    ap.add_argument("--half", default="even", choices=("even", "odd", "all"))
    ap.add_argument("--every", type=int, default=1, help="only every n-th of these pictures")
    ap.add_argument("--held", help="pool made with compose.py --split held")
    ap.add_argument("--held-count", type=int, default=150)
    ap.add_argument("--img", type=int, help="picture size, where not the checkpoint's")
    ap.add_argument("--bf16", action="store_true")
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--json", help="append the results to this file, one line per checkpoint and set")
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    for path in a.checkpoint:
        m, c = load(path, a.img)
        sets = []
        if a.bsds:
            sets.append((f"bsds_val {a.half}", bsds(a.bsds, a.half, a.every)))
        if a.held:
            sets.append(("held-out composites", held(a.held, a.held_count)))
        for title, tasks in sets:
            t = time.time()
            s = summary(measure(m, tasks, a.bf16))
            show(f"{os.path.basename(path)} {title}", s)
            print(f"  {time.time() - t:.0f} s", flush=True)
            if a.json:
                with open(a.json, "a") as f:
                    f.write(
                        json.dumps(
                            dict(
                                file=os.path.basename(path), images_seen=c.get("images"), set=title, every=a.every, **s
                            )
                        )
                        + "\n"
                    )


if __name__ == "__main__":
    main()
