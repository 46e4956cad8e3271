#!/usr/bin/env python3
"""Draws a training log (log.jsonl of train.py) as a small PNG: mean IoU of clicks and boxes over pictures seen."""

import argparse
import json

import cv2
import numpy as np

SERIES = (
    ("orc", "click, best of 3", (60, 60, 220)),
    ("sel", "click, chosen", (60, 160, 60)),
    ("box", "box", (200, 120, 40)),
)
W, H, L, T, BOTTOM = 640, 360, 50, 20, 320


def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument("log", nargs="+", help="log.jsonl, one or more runs in order")
    ap.add_argument("out", help="PNG")
    ap.add_argument("--smooth", type=int, default=7, help="running mean over this many log rows")
    a = ap.parse_args()
    rows, base = [], 0
    for path in a.log:
        with open(path) as f:
            run = [r for r in map(json.loads, f) if "loss" in r and "event" not in r]
        last = {r["step"]: r for r in run}  # a resumed run logs some steps twice
        run = [last[k] for k in sorted(last)]
        rows += [dict(r, images=r["images"] + base) for r in run]
        base += run[-1]["images"] if run else 0
    x = np.array([r["images"] for r in rows], float)
    im = np.full((H, W, 3), 255, np.uint8)
    lo, hi = 0.4, 0.9

    def at(px, py):
        return int(L + px / x.max() * (W - L - 20)), int(BOTTOM - (py - lo) / (hi - lo) * (BOTTOM - T))

    for v in np.arange(lo, hi + 0.01, 0.1):
        cv2.line(im, at(0, v), at(x.max(), v), (225, 225, 225), 1)
        cv2.putText(im, f"{v:.1f}", (12, at(0, v)[1] + 4), 0, 0.4, (0, 0, 0), 1, cv2.LINE_AA)
    for f in np.linspace(0, 1, 6):
        cv2.putText(
            im,
            f"{x.max() * f / 1000:.1f}k",
            (at(x.max() * f, lo)[0] - 12, BOTTOM + 16),
            0,
            0.4,
            (0, 0, 0),
            1,
            cv2.LINE_AA,
        )
    free = 0  # labels that would meet another are left out
    for i in range(1, len(rows)):
        if rows[i]["size"] != rows[i - 1]["size"]:
            px = at(x[i], lo)[0]
            cv2.line(im, (px, T), (px, BOTTOM), (170, 170, 170), 1)
            if px >= free:
                cv2.putText(im, f"{rows[i]['size']} px", (px + 4, T + 10), 0, 0.38, (90, 90, 90), 1, cv2.LINE_AA)
                free = px + 50
    k = np.ones(a.smooth) / a.smooth
    for n, (key, name, col) in enumerate(SERIES):
        y = np.array([r.get(key, np.nan) for r in rows])
        y = np.convolve(np.pad(y, a.smooth // 2, "edge"), k, "valid") if len(y) >= a.smooth else y
        cv2.polylines(im, [np.array([at(p, q) for p, q in zip(x, y)], np.int32)], False, col, 2, cv2.LINE_AA)
        cv2.putText(im, name, (L + 10 + 170 * n, H - 8), 0, 0.42, col, 1, cv2.LINE_AA)
    cv2.putText(im, "mean IoU on training samples over pictures seen", (L + 8, 14), 0, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    cv2.imwrite(a.out, im, [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
