"""Random appearances, shapes and multi-part things: what compose.py builds its scenes from.

Everything returns float32 pictures in 0..255 (RGB) or masks in 0..1, on a SIDE x SIDE canvas unless told
otherwise, and takes the random generator explicitly: a sample is a function of its seed.
"""

from math import comb

import cv2
import numpy as np

from pool import SIDE

cv2.setNumThreads(1)


class Painter:
    def __init__(self, assets, rng):
        self.assets, self.rng = assets, rng

    def u(self, a, b):
        return float(self.rng.uniform(a, b))

    def chance(self, p):
        return self.rng.random() < p

    # ------------------------------------------------------------------ appearances
    def photo(self, lo=0.22):
        """A random crop of a photograph: its short side is lo..1 of the picture's (at least 140 px)."""
        im = self.assets.draw("photo", self.rng)
        h, w = im.shape[:2]
        s = min(h, w) * np.exp(self.u(np.log(lo), 0))
        s = max(s, min(140, h, w))
        asp = np.exp(self.u(-0.25, 0.25))
        sh, sw = int(min(h, s * asp)), int(min(w, s / asp))
        y, x = self.rng.integers(h - sh + 1), self.rng.integers(w - sw + 1)
        c = im[y : y + sh, x : x + sw, :]
        if self.chance(0.5):
            c = c[:, ::-1]
        return cv2.resize(
            np.ascontiguousarray(c), (SIDE, SIDE), interpolation=cv2.INTER_AREA if sh > SIDE else cv2.INTER_LINEAR
        )

    def jitter(self, c, k=1.0):
        """Change hue, saturation, contrast and brightness by up to k."""
        c = c.astype(np.float32)
        if self.chance(0.7):
            hsv = cv2.cvtColor(c / 255, cv2.COLOR_RGB2HSV)
            if self.chance(0.6):
                hsv[..., 0] = (hsv[..., 0] + self.u(-40, 40) * k) % 360
            hsv[..., 1] = np.clip(hsv[..., 1] * self.u(1 - 0.7 * k, 1 + 0.3 * k), 0, 1)
            c = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
        return np.clip((c - 128) * self.u(1 - 0.4 * k, 1 + 0.3 * k) + 128 + self.u(-50, 50) * k, 0, 255)

    def smooth(self, n=SIDE, f=None):
        """A smooth random field with f x f control points."""
        f = f or int(self.rng.integers(2, 9))
        return cv2.resize(self.rng.standard_normal((f, f)).astype(np.float32), (n, n), interpolation=cv2.INTER_CUBIC)

    def plain(self):
        r = self.rng.random()
        if r < 0.44:
            c = self.photo(0.06).astype(np.float32)
        elif r < 0.74:
            t = self.assets.draw("tex", self.rng)
            h, w = t.shape[:2]
            s = int(self.rng.integers(min(64, h, w), min(h, w) + 1))
            y, x = self.rng.integers(h - s + 1), self.rng.integers(w - s + 1)
            c = cv2.resize(t[y : y + s, x : x + s], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        elif r < 0.88:
            a, b = self.rng.uniform(0, 255, (2, 3))
            g = np.clip(self.smooth(f=int(self.rng.integers(2, 4))) * 0.5 + 0.5, 0, 1)[..., None]
            c = (
                a * g
                + (a + (b - a) * self.u(0, 0.6)) * (1 - g)
                + self.rng.standard_normal((SIDE, SIDE, 1)) * self.u(0, 12)
            )
        else:
            c = np.ones((SIDE, SIDE, 3)) * self.rng.uniform(0, 255, 3) + self.rng.standard_normal(
                (SIDE, SIDE, 1)
            ) * self.u(0, 10)
        c = np.ascontiguousarray(c).astype(np.float32)
        return self.jitter(c) if self.chance(0.7) else c

    def pattern(self):
        """A mask of stripes, checks, dots or blotches: several colours that belong together."""
        yy, xx = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        t, p = self.u(0, np.pi), self.u(10, 60)
        wob = self.smooth() * self.u(0, 0.25) * p
        a = (xx * np.cos(t) + yy * np.sin(t) + wob) / p
        b = (yy * np.cos(t) - xx * np.sin(t) + wob) / p
        r = self.rng.random()
        if r < 0.4:
            return (a % 1 < self.u(0.25, 0.75)).astype(np.float32)
        if r < 0.6:
            return ((a % 1 < 0.5) ^ (b % 1 < 0.5)).astype(np.float32)
        if r < 0.8:
            return ((a % 1 - 0.5) ** 2 + (b % 1 - 0.5) ** 2 < self.u(0.03, 0.14)).astype(np.float32)
        return (self.smooth(f=int(self.rng.integers(6, 24))) > self.u(-0.3, 0.6)).astype(np.float32)

    def fill(self, patterned=0.15):
        c = self.plain()
        if self.chance(patterned):
            m = self.pattern()[..., None]
            c = c * (1 - m) + (self.plain() if self.chance(0.4) else self.rng.uniform(0, 255, 3)) * m
        return np.ascontiguousarray(c, np.float32)

    # ------------------------------------------------------------------ shapes
    def blob(self, n):
        """n x n star-shaped outline with random low Fourier terms."""
        yy, xx = np.mgrid[0:n, 0:n].astype(np.float32) / n * 2 - 1
        th, k = np.arctan2(yy, xx), np.arange(1, int(self.rng.integers(3, 10)))
        amp = self.rng.standard_normal((2, len(k))) / k ** self.u(0.7, 1.6) * self.u(0.05, 0.32)
        rad = 0.68 + sum(amp[0, i] * np.cos(k[i] * th) + amp[1, i] * np.sin(k[i] * th) for i in range(len(k)))
        return (np.hypot(xx, yy) < np.clip(rad, 0.1, 1)).astype(np.float32)

    def stroke(self, n, lo=0.03, hi=0.2):
        k = int(self.rng.integers(2, 6))
        p, t = self.rng.uniform(0.08, 0.92, (k, 2)) * n, np.linspace(0, 1, 40)
        b = sum(comb(k - 1, i) * t[:, None] ** i * (1 - t[:, None]) ** (k - 1 - i) * p[i] for i in range(k))
        m = np.zeros((n, n), np.float32)
        cv2.polylines(m, [b.astype(np.int32)], False, 1.0, int(n * self.u(lo, hi)) + 1, cv2.LINE_AA)
        return m

    def shape(self, n):
        r, m = self.rng.random(), np.zeros((n, n), np.float32)
        if r < 0.42:
            m = self.blob(n)
        elif r < 0.62:  # polygon, rectangle
            free = self.chance(0.55)
            t = (
                np.sort(self.rng.uniform(0, 2 * np.pi, int(self.rng.integers(3, 9))))
                if free
                else np.arange(4) * np.pi / 2 + np.pi / 4 + self.u(-0.1, 0.1)
            )
            p = np.stack([np.cos(t), np.sin(t)], 1) * (self.rng.uniform(0.5, 0.98, (len(t), 1)) if free else 0.95)
            p[:, self.rng.integers(2)] *= self.u(0.35, 1)
            cv2.fillPoly(m, [((p + 1) / 2 * n).astype(np.int32)], 1.0, cv2.LINE_AA)
        elif r < 0.75:
            cv2.ellipse(
                m,
                (n // 2, n // 2),
                (int(n * 0.48), int(n * self.u(0.15, 0.48))),
                self.u(0, 180),
                0,
                360,
                1.0,
                -1,
                cv2.LINE_AA,
            )
        elif r < 0.85:
            m = self.stroke(n)
        else:  # thresholded noise, ragged
            yy, xx = np.mgrid[0:n, 0:n].astype(np.float32) / n * 2 - 1
            m = (self.smooth(n, int(self.rng.integers(3, 7))) - 1.6 * (xx**2 + yy**2) + 0.8 > 0).astype(np.float32)
        if self.chance(0.12):  # holes
            for _ in range(int(self.rng.integers(1, 4))):
                q = int(n * self.u(0.12, 0.4))
                y, x = self.rng.integers(n - q, size=2)
                m[y : y + q, x : x + q] *= 1 - cv2.resize(self.blob(64), (q, q))
        return m

    # ------------------------------------------------------------------ whole things of several parts
    def thing(self, n=224):
        """A random object of 2-6 differently filled parts -> n x n x 5 (RGBA + part number).

        Parts hang together (each new part is centred on what is there), may be mirrored like most real
        objects, and may be thin: poles, handles, legs. Training takes the union as the target.
        """
        rgb, alpha, part = np.zeros((n, n, 3), np.float32), np.zeros((n, n), np.float32), np.zeros((n, n), np.uint8)
        mirror, theme = self.chance(0.45), self.rng.uniform(0, 255, 3)
        for i in range(int(self.rng.integers(2, 7))):
            if i == 0:
                q, cy, cx = int(n * self.u(0.4, 0.85)), n // 2, n // 2
            else:
                ys, xs = np.where(alpha > 0.5)
                if not len(ys):
                    break
                j = self.rng.integers(len(ys))
                q, cy, cx = int(n * self.u(0.15, 0.55)), int(ys[j]), int(xs[j])
            m = self.stroke(q, 0.04, 0.12) if i and self.chance(0.25) else self.shape(q)
            if self.chance(0.5):  # squeezed
                m = cv2.resize(m, (q, max(8, int(q * self.u(0.3, 1)))), interpolation=cv2.INTER_AREA)
                m = m.T if self.chance(0.5) else m
            h, w = m.shape
            full = np.zeros((n, n), np.float32)
            y0, x0 = cy - h // 2, cx - w // 2
            ya, xa, yb, xb = max(0, y0), max(0, x0), min(n, y0 + h), min(n, x0 + w)
            if yb <= ya or xb <= xa:
                continue
            full[ya:yb, xa:xb] = m[ya - y0 : yb - y0, xa - x0 : xb - x0]
            if mirror:
                full = np.maximum(full, full[:, ::-1])
            c = self.fill(0.2)
            s = int(self.rng.integers(max(40, q // 2), SIDE + 1)) if self.chance(0.5) else SIDE
            c = cv2.resize(c[:s, :s], (n, n), interpolation=cv2.INTER_LINEAR)
            c = c * (1 - (t := self.u(0, 0.45))) + theme * t  # parts share some colour
            if mirror and self.chance(0.7):
                c[:, n // 2 :] = c[:, n - n // 2 - 1 :: -1][:, : n - n // 2]
            if self.chance(0.4):  # shaded towards the part's own edge
                d = cv2.distanceTransform((full > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
                c = c * np.clip(0.45 + d / (d.max() + 1e-6) * self.u(0.5, 1.6), 0, 1.15)[..., None]
            behind = i > 0 and self.chance(0.35)
            a = full * (1 - alpha) if behind else full
            rgb = rgb * (1 - a[..., None]) + c * a[..., None]
            part[a > 0.5] = i + 1
            alpha = np.maximum(alpha, full)
        return np.dstack([np.clip(rgb, 0, 255), alpha * 255, part.astype(np.float32)]).astype(np.uint8)

    def warp(self, cut, lo=0.1, hi=0.95, scale=None):
        """Random affine of an h x w x 5 cut-out into the canvas -> rgb, alpha 0..1, part numbers."""
        h, w = cut.shape[:2]
        size = scale or SIDE * np.exp(self.u(np.log(lo), np.log(hi)))
        s = min(size / max(h, w), 3.0)
        ang = np.deg2rad(self.u(-25, 25) if self.chance(0.7) else self.u(-180, 180))
        sx, shear = s * self.rng.choice([-1, 1]) * np.exp(self.u(-0.15, 0.15)), self.u(-0.15, 0.15)
        A = np.array([[np.cos(ang), -np.sin(ang)], [np.sin(ang), np.cos(ang)]]) @ np.array([[sx, shear * s], [0, s]])
        M = np.concatenate([A, (self.rng.uniform(0.02, 0.98, 2) * SIDE - A @ np.array([w / 2, h / 2]))[:, None]], 1)
        im, part = np.ascontiguousarray(cut[..., :4]), np.ascontiguousarray(cut[..., 4])
        if s < 0.6:  # shrink first: warpAffine does not average
            f = max(s, 0.12)
            im = cv2.resize(im, None, fx=f, fy=f, interpolation=cv2.INTER_AREA)
            part = cv2.resize(part, im.shape[1::-1], interpolation=cv2.INTER_NEAREST)
            M[:, :2] /= f
        o = cv2.warpAffine(im, M, (SIDE, SIDE), flags=cv2.INTER_LINEAR)
        part = cv2.warpAffine(part, M, (SIDE, SIDE), flags=cv2.INTER_NEAREST)
        return o[..., :3].astype(np.float32), o[..., 3].astype(np.float32) / 255, part
