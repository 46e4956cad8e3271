"""Asset pack reader and the sample pool (a folder of shards that a generator fills while training reads).

A sample is a picture, a leaf map and a table mask x leaf: mask m covers the pixels whose leaf is a member
of m. A shard is a flat file of fixed-size records, written under a temporary name and renamed, so a reader
never sees half a shard. Shard k depends on (seed, k) only.
"""

import glob
import json
import math
import os

import numpy as np

SIDE, MASKS, LEAVES, PER_SHARD = 416, 32, 256, 128


def record(side):
    """The record of a sample of side x side pixels."""
    return np.dtype(
        [
            ("img", "u1", (side, side, 3)),  # RGB
            ("leaf", "u1", (side, side)),
            ("mem", "?", (MASKS, LEAVES)),  # mask x leaf
            ("wt", "f4", (MASKS,)),  # sampling weight, 0 = no mask
            ("kind", "u1"),
            ("pad", "u1", (3,)),
        ]
    )


RECORD = record(SIDE)
KINDS = ("composite", "photo", "photo+paste", "cells", "selftrain", "human")


class Assets:
    """Random access to the asset pack of sources.py; `split` keeps the held-out assets apart."""

    def __init__(self, folder, split="train"):
        with open(os.path.join(folder, "index.json")) as f:
            rows = [r for r in json.load(f) if split == "all" or r["split"] == split]
        self.data = np.memmap(os.path.join(folder, "assets.u8"), np.uint8, "r")
        self.rows, self.prob = {}, {}
        for r in rows:
            self.rows.setdefault(r["kind"], []).append(r)
        for k, rs in self.rows.items():
            w = np.array([r["weight"] for r in rs])
            self.prob[k] = w / w.sum()
        # cut-outs: sources are balanced, or thousands of clip-art pictures would drown the photographic ones
        cuts = self.rows.get("cut", [])
        share = {
            "openclipart-png": 0.36,
            "tuxpaint-stamps-default": 0.30,
            "gcompris-qt-data": 0.10,
            "oxygen-icon-theme": 0.05,
            "sweethome3d-furniture": 0.06,
            "wesnoth-1.16-data": 0.07,
            "endless-sky-data": 0.06,
        }
        n = {}
        for r in cuts:
            n[r["source"]] = n.get(r["source"], 0) + 1
        w = np.array([share.get(r["source"], 0.05) / n[r["source"]] for r in cuts])
        self.prob["cut"] = w / max(w.sum(), 1e-9)

    def pixels(self, r):
        return self.data[r["offset"] : r["offset"] + r["h"] * r["w"] * r["c"]].reshape(r["h"], r["w"], r["c"])

    def draw_row(self, kind, rng):
        return self.rows[kind][rng.choice(len(self.rows[kind]), p=self.prob[kind])]

    def draw(self, kind, rng):
        return self.pixels(self.draw_row(kind, rng))


def write_shard(path, records):
    tmp = f"{path}.{os.getpid()}.tmp"
    records.tofile(tmp)
    os.replace(tmp, path)


def open_shard(path):
    """A shard of any side: the size of the file tells which."""
    side = math.isqrt((os.path.getsize(path) // PER_SHARD - record(0).itemsize) // 4)
    return np.memmap(path, record(side), "r", shape=(PER_SHARD,))


class Pool:
    """All complete shards of one or more folders; their sides may differ."""

    def __init__(self, folders):
        self.folders, self.maps = folders, {}
        self.scan()

    def scan(self):
        found = sorted(p for f in self.folders for p in glob.glob(os.path.join(f, "shard-*.bin")))
        self.maps = {p: self.maps.get(p) if p in self.maps else open_shard(p) for p in found}
        self.list = list(self.maps.values())
        self.ends = np.cumsum([len(m) for m in self.list]) if self.list else np.zeros(0, int)
        return len(self)

    def __len__(self):
        return int(self.ends[-1]) if len(self.ends) else 0

    def __getitem__(self, i):
        s = int(np.searchsorted(self.ends, i, "right"))
        return self.list[s][i - (self.ends[s - 1] if s else 0)]
