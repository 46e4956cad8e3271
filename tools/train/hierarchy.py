"""Multi-scale region hierarchy of a photograph: noisy targets where no human drew masks.

Felzenszwalb over-segmentation, then greedy merging of neighbours by colour and texture histograms and by
the gradient along their common border. A node of the merge tree is kept when its own border is clearly
stronger than the borders inside it. The result is a leaf map (the moment of merging with LEAF_LIMIT regions
left) and masks given as sets of leaves, so that crops, flips and resizes of all masks cost one resize of
the leaf map.
"""

import cv2
import numpy as np
from skimage.segmentation import felzenszwalb

LEAVES = 256  # width of a membership row
LEAF_LIMIT = 200
HIST_WEIGHTS = (0.8, 1.3, 1.3, 0.5, 0.5)  # L, a, b, fine texture, coarse texture
QUOTA = {0: 4, 1: 7, 2: 9, 3: 10}  # masks kept per area band (< 2, 6, 20 %, larger)


def size_factor(area):
    """Small regions merge early: their distance counts less."""
    return np.minimum(1, (area / 0.12) ** 0.5)


def features(f, leaf, n):
    """-> histograms [n, k] per channel, colour sums [n, 3], gradient magnitude H x W"""
    flat = leaf.ravel()
    lab = cv2.cvtColor(f.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)

    def hist(idx, k):
        return np.bincount(flat * k + idx.ravel(), minlength=n * k).reshape(n, k).astype(np.float64)

    def soft(h):  # spread half of each bin to its neighbours
        p = np.pad(h, ((0, 0), (1, 1)))
        return 0.5 * h + 0.25 * p[:, :-2] + 0.25 * p[:, 2:]

    hs = [soft(hist(np.clip(lab[..., 0] / 10, 0, 9).astype(int), 10))]
    hs += [soft(hist(np.clip((lab[..., c] + 64) / 128 * 12, 0, 11).astype(int), 12)) for c in (1, 2)]
    grad = 0
    for s in (1.0, 2.2):
        g = cv2.GaussianBlur(lab, (0, 0), s)
        gx, gy = cv2.Sobel(g, cv2.CV_32F, 1, 0) / 8, cv2.Sobel(g, cv2.CV_32F, 0, 1) / 8
        m = np.sqrt((gx**2 + gy**2).sum(-1)) * s
        grad = grad + m
        ori = np.floor(np.arctan2(gy[..., 0], gx[..., 0]) % np.pi / np.pi * 4).astype(int).clip(0, 3)
        mb = np.digitize(m, [1.0, 2.5, 6.0])
        hs.append(hist(np.where(mb == 0, 0, 1 + (mb - 1) * 4 + ori), 13))
    col = np.stack([np.bincount(flat, lab[..., c].ravel(), minlength=n) for c in range(3)], 1)
    return hs, col, grad


def hierarchy(img):
    """img S x S x 3 RGB -> (leaf map uint8, [(membership bool[256], weight, area fraction)])"""
    f = cv2.GaussianBlur(img, (0, 0), 0.8)
    leaf = felzenszwalb(f, scale=45, sigma=0.3, min_size=70)
    n, total = int(leaf.max()) + 1, leaf.size
    hs, col, grad = features(f, leaf, n)
    area = np.bincount(leaf.ravel(), minlength=n).astype(np.float64)
    leaf_area = area / total
    bsum, blen = np.zeros((n, n)), np.zeros((n, n))  # gradient sum and length of common borders
    for s0, s1 in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        p, q = leaf[s0].ravel(), leaf[s1].ravel()
        k = p != q
        e, p, q = np.maximum(grad[s0], grad[s1]).ravel()[k], p[k], q[k]
        for a, b in ((p, q), (q, p)):
            bsum += np.bincount(a * n + b, e, n * n).reshape(n, n)
            blen += np.bincount(a * n + b, None, n * n).reshape(n, n)

    def dist(i, js):
        border = bsum[i, js] / np.maximum(blen[i, js], 1) / 7
        d = np.sqrt(((col[i] / area[i] - col[js] / area[js][:, None]) ** 2).sum(1)) / 25
        for h, w in zip(hs, HIST_WEIGHTS):
            p, q = h[i] / area[i], h[js] / area[js][:, None]
            d = d + w * 0.5 * ((p - q) ** 2 / (p + q + 1e-9)).sum(1)
        d = d * np.clip(border / 0.6, 0.12, 1) + 0.5 * border  # a weak border: colour counts less (sky, shading)
        return d * size_factor(np.minimum(area[i], area[js]) / total)

    D = np.full((n, n), np.inf)
    for i in range(n):
        js = np.flatnonzero(blen[i])
        if len(js):
            D[i, js] = dist(i, js)
    D = np.minimum(D, D.T)
    node = np.arange(n)  # slot -> tree node
    mem = np.zeros((2 * n, n), bool)
    mem[np.arange(n), np.arange(n)] = True
    born, gone, nodes, height = np.zeros(2 * n), np.full(2 * n, np.nan), n, 0.0
    while True:
        i, j = divmod(int(D.argmin()), n)
        if not np.isfinite(D[i, j]):
            break
        height = max(height, D[i, j])
        mem[nodes] = mem[node[i]] | mem[node[j]]
        born[nodes] = gone[node[i]] = gone[node[j]] = height
        node[i], nodes = nodes, nodes + 1
        for v in (col, area, *hs):
            v[i] += v[j]
        for v in (bsum, blen):
            v[i] += v[j]
            v[:, i] = v[i]
            v[i, i] = 0
        blen[j] = blen[:, j] = 0
        D[j] = D[:, j] = D[i] = D[:, i] = np.inf
        js = np.flatnonzero(blen[i])
        if not len(js):
            break
        D[i, js] = D[js, i] = dist(i, js)
    base, first = base_leaves(mem[:nodes], n)
    masks = pick(mem[:nodes], born, gone, leaf_area, n)
    return base[leaf].astype(np.uint8), [(np.pad(m[first], (0, LEAVES - len(first))), w, a) for m, w, a in masks]


def base_leaves(mem, n):
    """-> leaf -> base leaf when LEAF_LIMIT regions are left, and one original leaf of each base leaf"""
    base = np.arange(n)
    for t in range(n, min(len(mem), n + max(0, n - LEAF_LIMIT))):
        k = np.flatnonzero(mem[t])
        base[k] = k[0]
    first, base = np.unique(base, return_inverse=True)
    return base, first


def pick(mem, born, gone, leaf_area, n):
    """The stable nodes, with a quota per area band and no near-duplicates."""
    cand = []
    for t, row in enumerate(mem):
        if t < 2 * n - LEAF_LIMIT and n > LEAF_LIMIT:  # inside a base leaf
            continue
        a = leaf_area[row].sum()
        if 0.006 < a < 0.7 and gone[t] > 0.65 * size_factor(a):  # NaN (the root) compares false
            life = gone[t] - born[t] if t >= n else max(0.0, gone[t] - 0.15)
            cand.append((life / (gone[t] + 3), a, row))  # by height, little by relative persistence
    cand.sort(key=lambda c: -c[0])
    out, quota = [], dict(QUOTA)
    for s, a, row in cand:
        band = int(np.digitize(a, [0.02, 0.06, 0.2]))
        # nested nodes: their IoU is the ratio of areas
        if quota[band] > 0 and not any((row & o).any() and min(a, b) / max(a, b) > 0.8 for o, _, b in out):
            quota[band] -= 1
            out.append((row, s, a))
    return [(m, float(np.clip((s + 0.1) * (a / 0.05) ** 0.6, 0.05, 1.5)), a) for m, s, a in out]
