#!/usr/bin/env python3
"""Whether tiles show: recall of objects that cross seams beside others, and the same scene cut elsewhere.

    evaluate.py recall scene.json masks.json --tile 1024       objects of scene.py against masks of samc auto
    evaluate.py shift a.json b.json                            masks of two runs against each other

An object crosses a seam where a border between two cores goes through its box. It is found where a mask has an IoU of
--iou (0.75) with it. Of a shift: how many of the masks of both have one of the other with an IoU of 0.8. Where b is a's
picture from the pixel --moved on, --size is what both saw, and masks within --margin of its border are left out.
"""

import argparse
import json

import numpy as np


def unpack(text):
    """COCO's compressed text -> counts."""
    c = np.frombuffer(text.encode(), np.uint8).astype(np.int64) - 48
    last = (c & 32) == 0
    start = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    place = np.arange(len(c)) - np.repeat(start, np.diff(np.append(start, len(c))))
    value = np.add.reduceat((c & 31) << (5 * place), start)
    ends = np.flatnonzero(last)
    negative = (c[ends] & 16) != 0
    value -= np.where(negative, np.int64(1) << (5 * (place[ends] + 1)), 0)
    value[1::2] = np.cumsum(value[1::2])
    if len(value) > 2:
        value[2::2] = np.cumsum(value[2::2])
    return value


def columns(counts, height):
    """Runs of ones of a picture of that height, split where a column ends: (first pixel, behind the last)."""
    ends = np.cumsum(counts)
    first, last = ends[:-1][::2], ends[1:][::2]
    keep = last > first
    first, last = first[keep], last[keep]
    if len(first) and ((last - 1) // height > first // height).any():
        pieces = (last - 1) // height - first // height + 1
        column = (
            np.repeat(first // height, pieces) + np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        )
        first = np.maximum(np.repeat(first, pieces), column * height)
        last = np.minimum(np.repeat(last, pieces), (column + 1) * height)
    return first, last


class Mask:
    """A box [x0, y0, x1, y1) and the pixels in it."""

    def __init__(self, box, pixels, number=0):
        self.box, self.pixels, self.area, self.number = box, np.packbits(pixels), int(pixels.sum()), number

    def all(self):
        x0, y0, x1, y1 = self.box
        return np.unpackbits(self.pixels, count=(y1 - y0) * (x1 - x0)).reshape(y1 - y0, x1 - x0)

    def move(self, x, y):
        x0, y0, x1, y1 = self.box
        self.box = (x0 + x, y0 + y, x1 + x, y1 + y)

    @classmethod
    def of_runs(cls, counts, height, number=0):
        """Of a picture of that height; None where it is empty."""
        first, last = columns(np.asarray(counts, np.int64), height)
        if not len(first):
            return None
        x0, x1 = int(first[0] // height), int((last[-1] - 1) // height) + 1
        y0, y1 = int((first % height).min()), int(((last - 1) % height).max()) + 1
        edges = np.zeros((x1 - x0) * (y1 - y0) + 1, np.int8)
        at = lambda p: (p // height - x0) * (y1 - y0) + p % height - y0
        np.add.at(edges, at(first), 1)
        np.add.at(edges, at(last - 1) + 1, -1)
        return cls((x0, y0, x1, y1), np.cumsum(edges[:-1]).reshape(x1 - x0, y1 - y0).T, number)

    def iou(self, other):
        a, b = self.box, other.box
        x0, y0, x1, y1 = max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])
        if x0 >= x1 or y0 >= y1:
            return 0.0
        part = lambda m: m.all()[y0 - m.box[1] : y1 - m.box[1], x0 - m.box[0] : x1 - m.box[0]]
        both = int((part(self) & part(other)).sum())
        return both / (self.area + other.area - both)


def read_masks(path):
    """Masks of amg.py's records, of a COCO data set, or of a scene's lines, whose run lengths are of their box."""
    with open(path) as file:
        text = file.read()
    lines = path.endswith(".masks.jsonl")
    data = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    found = []
    for number, record in enumerate(data["annotations"] if isinstance(data, dict) else data):
        rle = record["segmentation"]
        counts = rle["counts"] if isinstance(rle["counts"], list) else unpack(rle["counts"])
        mask = Mask.of_runs(counts, rle["size"][0], number)
        if lines and mask is not None:
            mask.move(*map(int, record["bbox"][:2]))
        if mask is not None:
            found.append(mask)
    return found


def read_truth(path):
    with open(path) as file:
        truth = json.load(file)
    found = []
    for thing in truth["objects"]:
        x, y, w, h = thing["bbox"]
        mask = Mask.of_runs(thing["counts"], h, thing["id"])
        mask.move(x, y)
        found.append(mask)
    return found, (truth["width"], truth["height"])


def best(mask, others):
    """The highest IoU with any of the others, and whose it is."""
    if id(others) not in best.known:  # which keeps the list, too: no other one gets its number
        boxes = np.array([m.box for m in others]).reshape(-1, 4)
        best.known[id(others)] = (others, boxes, np.array([m.area for m in others]))
    _, boxes, areas = best.known[id(others)]
    x0, y0, x1, y1 = mask.box
    w = np.minimum(boxes[:, 2], x1) - np.maximum(boxes[:, 0], x0)
    h = np.minimum(boxes[:, 3], y1) - np.maximum(boxes[:, 1], y0)
    most = np.minimum(np.maximum(w, 0) * np.maximum(h, 0), np.minimum(areas, mask.area))
    most = most / np.maximum(1, areas + mask.area - most)  # an upper bound
    top, who = 0.0, None
    for i in np.argsort(-most):
        if most[i] <= top:
            break
        iou = mask.iou(others[i])
        if iou > top:
            top, who = iou, others[i]
    return top, who


best.known = {}


def crosses(box, tile, origin, size):
    """Whether a border between cores goes through a box."""
    for low, high, at, side in ((box[0], box[2], origin[0], size[0]), (box[1], box[3], origin[1], size[1])):
        seam = at + -(-(low - at + 1) // tile) * tile  # the first behind the box's first pixel
        if seam < high and 0 < seam < side:
            return True
    return False


def recall(truth, size, masks, tile, halo, origin, limit):
    """{group: (found, objects, mean IoU)} of objects within cores, on seams, and larger than a window.

    "alike" are those within cores weighted as if they had the sizes of those on seams: large objects are found more
    often, and cross seams more often.
    """
    groups = {"inside": [], "seams": [], "large": []}
    for thing in truth:
        x0, y0, x1, y1 = thing.box
        side = max(x1 - x0, y1 - y0)
        crossing = crosses(thing.box, tile, origin, size)
        group = "large" if side > tile + 2 * halo - 40 else "seams" if crossing else "inside"
        groups[group].append((int(2 * np.log2(side)), best(thing, masks)[0]))
    found = {}
    for group, values in groups.items():
        ious = [iou for _, iou in values]
        found[group] = (sum(i >= limit for i in ious), len(ious), float(np.mean(ious)) if ious else 0.0)
    hits = count = total = 0
    for scale in {s for s, _ in groups["seams"]} & {s for s, _ in groups["inside"]}:
        here = [iou for s, iou in groups["inside"] if s == scale]
        weight = sum(s == scale for s, _ in groups["seams"])
        hits, count = hits + weight * np.mean([i >= limit for i in here]), count + weight
        total += weight * np.mean(here)
    found["alike"] = (float(hits), count, float(total / count) if count else 0.0)
    return found


def clip(masks, window, margin):
    """Masks that stay away from the border of a window, in its pixels."""
    x0, y0, x1, y1 = window
    kept = []
    for m in masks:
        a, b, c, d = m.box
        if a >= x0 + margin and b >= y0 + margin and c <= x1 - margin and d <= y1 - margin:
            n = Mask.__new__(Mask)
            n.box, n.pixels, n.area, n.number = (a - x0, b - y0, c - x0, d - y0), m.pixels, m.area, m.number
            kept.append(n)
    return kept


def shift(a, b, limit=0.8):
    """How many of all masks of both have one of the other with that IoU."""
    hits = sum(best(m, b)[0] >= limit for m in a) + sum(best(m, a)[0] >= limit for m in b)
    return hits, len(a) + len(b)


def pair(text):
    x, y = text.split(",")
    return int(x), int(y)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=("recall", "shift"))
    ap.add_argument("first", help="recall: the truth; shift: masks")
    ap.add_argument("second", help="masks")
    ap.add_argument("--tile", type=int, default=1024)
    ap.add_argument("--halo", type=int, default=128)
    ap.add_argument("--origin", type=pair, default=(0, 0))
    ap.add_argument("--iou", type=float, default=0.75)
    ap.add_argument("--moved", type=pair, default=(0, 0))
    ap.add_argument("--size", type=pair)
    ap.add_argument("--margin", type=int, default=0)
    a = ap.parse_args()
    masks = read_masks(a.second)
    if a.what == "recall":
        truth, whole = read_truth(a.first)
        for group, (hits, count, mean) in recall(truth, whole, masks, a.tile, a.halo, a.origin, a.iou).items():
            share = f"{100 * hits / count:.1f} %" if count else "-"
            print(f"{group:7} {hits:6.6g} of {count:4} objects found ({share}), mean best IoU {mean:.3f}")
        print(f"{len(masks)} masks")
    else:
        first = read_masks(a.first)
        if a.size:
            (dx, dy), (width, height) = a.moved, a.size
            first = clip(first, (dx, dy, dx + width, dy + height), a.margin)
            masks = clip(masks, (0, 0, width, height), a.margin)
        hits, count = shift(first, masks)
        print(f"{hits} of {count} masks have their like at IoU 0.8 ({100 * hits / max(1, count):.1f} %)")


if __name__ == "__main__":
    main()
