#!/usr/bin/env python3
"""Composes a scene of any size whose objects are known: textured ground, objects of many sizes, some beyond a tile.

    scene.py 12000 9000 scene.png --truth scene.json

What it draws is a function of the seed and of where it is, so that it is written row by row in bands: memory holds one
band, whatever the size. Needs NumPy alone. As the training's composites (tools/train/paint.py) objects are star-shaped
outlines of random Fourier terms, filled with a colour, a pattern and noise; unlike them no two overlap, so that each is
one thing to see. The truth is a list of objects: box [x, y, width, height] and COCO run lengths inside the box.
"""

import argparse
import json
import struct
import zlib

import numpy as np

BAND = 128  # rows
LEAST_CONTRAST = 70  # distance of an object's colour from the ground's


class Rows:
    """A PNG, or a TIFF of plain strips, that rows are appended to."""

    def __init__(self, path, width, height):
        self.file = open(path, "wb")
        self.tiff = path.endswith((".tif", ".tiff"))
        self.width = width
        if self.tiff:
            strips = -(-height // BAND)
            if 3 * width * height > 0xFFF00000:
                raise SystemExit(f"{path}: too large for a TIFF of 4 GB; write a PNG")
            at = 8 + 2 + 12 * 10 + 4
            sizes = [3 * width * min(BAND, height - BAND * i) for i in range(strips)]
            data = at + 6 + 8 * strips
            offsets = np.cumsum([data] + sizes[:-1])
            one = strips == 1
            tags = [
                (256, 4, 1, width),
                (257, 4, 1, height),
                (258, 3, 3, at),
                (259, 3, 1, 1),
                (262, 3, 1, 2),
                (273, 4, strips, int(offsets[0]) if one else at + 6),
                (277, 3, 1, 3),
                (278, 4, 1, BAND),
                (279, 4, strips, sizes[0] if one else at + 6 + 4 * strips),
                (284, 3, 1, 1),
            ]
            self.file.write(struct.pack("<2sHIH", b"II", 42, 8, len(tags)))
            for tag in tags:
                self.file.write(struct.pack("<HHII", *tag))
            self.file.write(struct.pack("<IHHH", 0, 8, 8, 8))
            self.file.write(np.array([*offsets, *sizes], "<u4").tobytes())
        else:
            self.packer = zlib.compressobj(1)
            self.file.write(b"\x89PNG\r\n\x1a\n")
            self.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))

    def chunk(self, kind, data):
        self.file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))

    def append(self, rgb):
        """rgb [rows, width, 3]; BAND rows but for the last ones."""
        if self.tiff:
            self.file.write(rgb.tobytes())
            return
        # Filter 1, each byte less the pixel before it: noise that is smooth packs into less.
        rows = np.zeros((rgb.shape[0], 1 + 3 * self.width), np.uint8)
        rows[:, 0] = 1
        flat = rgb.reshape(rgb.shape[0], -1)
        rows[:, 1:4] = flat[:, :3]
        rows[:, 4:] = flat[:, 3:] - flat[:, :-3]
        data = self.packer.compress(rows.tobytes())
        if data:
            self.chunk(b"IDAT", data)

    def close(self):
        if not self.tiff:
            self.chunk(b"IDAT", self.packer.flush())
            self.chunk(b"IEND", b"")
        self.file.close()


class Object:
    def __init__(self, dice, x, y, size):
        self.x, self.y, self.size = x, y, size  # centre, and the most that it extends, in both directions
        k = np.arange(1, int(dice.integers(3, 8)))
        self.k, self.phase = k, dice.uniform(0, 2 * np.pi, len(k))
        wave = dice.standard_normal(len(k)) / k ** dice.uniform(0.9, 1.6)
        self.wave = wave * dice.uniform(0.1, 0.5) / max(1.0, np.abs(wave).sum())
        self.squeeze, self.turn = dice.uniform(0.55, 1), dice.uniform(0, np.pi)
        self.radius = size / 2 / (1 + np.abs(self.wave).sum())
        self.colour, self.other = dice.uniform(20, 235, (2, 3))
        self.pattern = int(dice.integers(0, 4))  # plain, plain, stripes, shaded
        self.period = max(12.0, size * dice.uniform(0.08, 0.3))
        self.amount, self.noise = dice.uniform(0.1, 0.35), dice.uniform(1, 9)
        self.at = dice.integers(0, 500, 2)
        half = int(size / 2) + 2
        self.box = [int(x) - half, int(y) - half, int(x) + half + 1, int(y) + half + 1]

    def coverage(self, xs, ys):
        """How much of each pixel of a grid it covers, [len(ys), len(xs)], and the two axes of its own."""
        dx, dy = xs[None].astype(np.float32) - self.x, ys[:, None].astype(np.float32) - self.y
        c, s = np.cos(self.turn), np.sin(self.turn)
        u, v = (dx * c + dy * s).astype(np.float32), ((dy * c - dx * s) / self.squeeze).astype(np.float32)
        angle = np.arctan2(v, u)
        reach = np.full(angle.shape, self.radius, np.float32)
        for k, wave, phase in zip(self.k, self.wave, self.phase):
            reach += self.radius * wave * np.cos(k * angle + phase)
        return np.clip((reach - np.hypot(u, v)) * self.squeeze + 0.5, 0, 1), u, v

    def paint(self, u, v, grain):
        base = np.broadcast_to(self.colour.astype(np.float32), (*u.shape, 3))
        if self.pattern == 2:
            share = (np.sin(u * (2 * np.pi / self.period)) > 0)[..., None] * np.float32(self.amount)
            base = base * (1 - share) + self.other.astype(np.float32) * share
        elif self.pattern == 3:
            base = base * (1 + (u / self.size)[..., None] * np.float32(self.amount))
        return base + grain[..., None] * np.float32(self.noise)


class Scene:
    def __init__(self, width, height, seed, density=1.0, tile=1024):
        dice = np.random.default_rng(seed)
        self.width, self.height = width, height
        # The ground: a smooth field of colours and two textures whose periods have no common measure.
        self.step = 640
        self.field = dice.uniform(-1, 1, (height // self.step + 3, width // self.step + 3, 3)).astype(np.float32) * 26
        self.ground = dice.uniform(80, 175, 3).astype(np.float32)
        self.grains = [self.smooth(dice, n, times) for n, times in ((509, 2), (367, 0))]
        self.objects = self.place(dice, density, tile)
        for thing in self.objects:
            x = min(max(thing.x / self.step, 0), self.field.shape[1] - 1)
            y = min(max(thing.y / self.step, 0), self.field.shape[0] - 1)
            ground = self.ground + self.field[int(y), int(x)]
            away = thing.colour - ground
            near = np.linalg.norm(away) + 1e-6
            if near < LEAST_CONTRAST:
                thing.colour = np.clip(ground + away / near * LEAST_CONTRAST * 1.4, 5, 250)

    @staticmethod
    def smooth(dice, n, times):
        grain = dice.standard_normal((n, n)).astype(np.float32)
        for _ in range(times):
            grain = (grain + sum(np.roll(grain, d, axis) for d in (-1, 1) for axis in (0, 1))) / 5
        return grain / grain.std()

    def place(self, dice, density, tile):
        """Large ones first, none over another; a few are larger than a tile, where the scene is."""
        area, found, taken = self.width * self.height, [], np.zeros((0, 3))
        sizes = []
        if min(self.width, self.height) > 2.4 * tile:
            most = min(4.0 * tile, 0.85 * min(self.width, self.height))
            sizes += list(dice.uniform(1.9 * tile, most, max(1, int(density * area / (4.2 * tile) ** 2))))
        budget = density * 0.25 * area
        while budget > 0:
            sizes.append(float(np.exp(dice.uniform(np.log(96), np.log(640)))))
            budget -= sizes[-1] ** 2
        for size in sorted(sizes, reverse=True):
            if size > 0.9 * min(self.width, self.height):
                continue
            for _ in range(40):
                x, y = (
                    float(dice.uniform(size * 0.5 + 4, side - size * 0.5 - 4)) for side in (self.width, self.height)
                )
                apart = np.hypot(taken[:, 0] - x, taken[:, 1] - y) - taken[:, 2]
                if (apart > size / 2 + 16).all():
                    taken = np.vstack([taken, (x, y, size / 2)])
                    found.append(Object(dice, x, y, size))
                    break
        return found

    def bands(self):
        """(first row, rgb [rows, width, 3]), from top to bottom."""
        xs = np.arange(self.width)
        left, share = xs // self.step, ((xs % self.step) / self.step).astype(np.float32)[:, None]
        for y0 in range(0, self.height, BAND):
            ys = np.arange(y0, min(self.height, y0 + BAND))
            down, part = ys // self.step, ((ys % self.step) / self.step).astype(np.float32)[:, None, None]
            field = self.field[down] * (1 - part) + self.field[down + 1] * part
            rgb = self.ground + field[:, left] * (1 - share) + field[:, left + 1] * share
            a, b = (g[(ys % len(g))[:, None], xs % len(g)] for g in self.grains)
            rgb += (9 * a + 4 * b)[..., None]
            for thing in self.objects:
                x0, top, x1, bottom = thing.box
                if bottom <= y0 or top >= y0 + len(ys):
                    continue
                x0, x1 = max(0, x0), min(self.width, x1)
                rows = slice(max(0, top - y0), min(len(ys), bottom - y0))
                cover, u, v = thing.coverage(xs[x0:x1], ys[rows])
                g = self.grains[1]
                grain = g[(ys[rows] + thing.at[0])[:, None] % len(g), (xs[x0:x1] + thing.at[1]) % len(g)]
                here = rgb[rows, x0:x1]
                here += (thing.paint(u, v, grain) - here) * cover[..., None]
            yield y0, np.clip(rgb, 0, 255).astype(np.uint8)

    def truth(self):
        found = []
        for number, thing in enumerate(self.objects, 1):
            x0, y0, x1, y1 = thing.box
            xs, ys = np.arange(max(0, x0), min(self.width, x1)), np.arange(max(0, y0), min(self.height, y1))
            mask = thing.coverage(xs, ys)[0] > 0.5
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            mask = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            flat = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
            edges = np.flatnonzero(np.diff(flat))
            counts = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
            if counts[-1] == 0:
                counts.pop()
            box = [int(xs[columns[0]]), int(ys[rows[0]]), mask.shape[1], mask.shape[0]]
            found.append({"id": number, "bbox": box, "area": int(mask.sum()), "counts": counts})
        return found


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("width", type=int)
    ap.add_argument("height", type=int)
    ap.add_argument("output", help=".png, or .tif of plain strips")
    ap.add_argument("--truth", help="JSON of the objects")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--density", type=float, default=1.0, help="how many objects")
    ap.add_argument("--tile", type=int, default=1024, help="some objects are larger than this")
    ap.add_argument("--crop", help="X,Y,WIDTH,HEIGHT: only this part of the scene; the truth stays the whole one's")
    a = ap.parse_args()
    scene = Scene(a.width, a.height, a.seed, a.density, a.tile)
    x, y, width, height = map(int, a.crop.split(",")) if a.crop else (0, 0, a.width, a.height)
    rows, kept = Rows(a.output, width, height), np.zeros((0, width, 3), np.uint8)
    for y0, rgb in scene.bands():
        part = rgb[max(0, y - y0) : max(0, y + height - y0), x : x + width]
        kept = np.concatenate([kept, part])
        while len(kept) >= BAND:
            rows.append(kept[:BAND])
            kept = kept[BAND:]
    if len(kept):
        rows.append(kept)
    rows.close()
    if a.truth:
        with open(a.truth, "w") as file:
            json.dump({"width": a.width, "height": a.height, "seed": a.seed, "objects": scene.truth()}, file)
    print(f"{a.output}: {width} x {height}, {len(scene.objects)} objects")


if __name__ == "__main__":
    main()
