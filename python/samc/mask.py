"""COCO's run lengths of masks, the functions of pycocotools.mask: `from samc import mask as mask_utils`.

encode, decode, area, merge, iou, toBbox and frPyObjects take and return what those do: a run-length encoding is
{"size": [height, width], "counts": bytes}, masks are uint8 [height, width] or, many, [height, width, n]. Beyond them
encode() takes arrays of any order and bool ones, and counts may be text, or a list of numbers. Strings that are no mask
of their size raise samc.MalformedFile, a ValueError, where pycocotools reads past the end.
"""

from __future__ import annotations

from typing import Any, Dict, List, Sequence, Tuple, Union

import numpy as np

from . import _rle

RLE = Dict[str, Any]
UPSAMPLED = 5  # polygons are drawn on a grid this much finer

__all__ = ["area", "decode", "encode", "frPyObjects", "iou", "merge", "toBbox", "to_bbox"]


def _size(rle: RLE) -> Tuple[int, int]:
    height, width = rle["size"]
    return int(height), int(width)


def _counts(rle: RLE) -> np.ndarray:
    """int64 run lengths."""
    counts, size = rle["counts"], _size(rle)
    if 0 in size:
        return np.zeros(0, np.int64)
    if isinstance(counts, str):
        counts = counts.encode("ascii")
    if isinstance(counts, (bytes, bytearray)):
        return _rle.counts_of_string(bytes(counts), size).astype(np.int64)
    return np.asarray(counts, np.int64)


def _make(counts: Any, size: Tuple[int, int]) -> RLE:
    counts = np.asarray(counts, np.int64)
    text = _rle.string_of_counts(counts.astype(np.uint32), size) if 0 not in size else b""
    return {"size": [int(size[0]), int(size[1])], "counts": text}


def _canonical(counts: np.ndarray) -> np.ndarray:
    """Without empty runs but the first: what surrounds one is one run."""
    if len(counts) < 2 or (counts[1:] > 0).all():
        return counts
    ends = np.cumsum(counts)
    value = np.arange(len(counts)) % 2
    ends, value = ends[counts > 0], value[counts > 0]
    last = np.append(value[1:] != value[:-1], True) if len(value) else np.zeros(0, bool)
    ends, value = ends[last], value[last]
    runs = np.diff(ends, prepend=0)
    return np.insert(runs, 0, 0) if len(value) and value[0] == 1 else runs


def encode(bimask: np.ndarray) -> Union[RLE, List[RLE]]:
    """Masks [height, width, n] as a list of encodings, or one [height, width] as an encoding."""
    masks = np.asarray(bimask)
    if masks.dtype not in (np.uint8, np.bool_):
        raise ValueError(f"a mask is uint8 or bool, not {masks.dtype}")
    if masks.ndim == 2:
        return _make(_rle.counts_of_mask(masks) if masks.size else [], (masks.shape[0], masks.shape[1]))
    if masks.ndim != 3:
        raise ValueError(f"masks are [height, width] or [height, width, n], not {list(masks.shape)}")
    return [encode(masks[:, :, i]) for i in range(masks.shape[2])]  # type: ignore[misc]


def decode(rleObjs: Union[RLE, Sequence[RLE]]) -> np.ndarray:
    """uint8 [height, width, n] of a list, [height, width] of one encoding; column-major, as pycocotools'."""
    if isinstance(rleObjs, dict):
        return decode([rleObjs])[:, :, 0]
    if not len(rleObjs):
        return np.zeros((0, 0, 0), np.uint8, order="F")
    sizes = {_size(rle) for rle in rleObjs}
    if len(sizes) > 1:
        raise ValueError(f"masks of different sizes: {sorted(sizes)}")
    height, width = sizes.pop()
    out = np.empty((height, width, len(rleObjs)), np.uint8, order="F")
    for i, rle in enumerate(rleObjs):
        counts = _counts(rle)
        if counts.sum() != height * width:
            raise ValueError(f"run lengths of {counts.sum()} pixels, not {height} x {width}")
        values = (np.arange(len(counts)) % 2).astype(np.uint8)
        out[:, :, i] = np.repeat(values, counts).reshape(width, height).T
    return out


def area(rleObjs: Union[RLE, Sequence[RLE]]) -> Any:
    """Pixels: uint32 [n] of a list, one number of an encoding."""
    if isinstance(rleObjs, dict):
        return area([rleObjs])[0]
    return np.array([_counts(rle)[1::2].sum() for rle in rleObjs], np.uint32)


def toBbox(rleObjs: Union[RLE, Sequence[RLE]]) -> np.ndarray:
    """float64 [n, 4] of a list, [4] of one encoding: x, y, width, height in whole pixels, zeros of an empty mask."""
    if isinstance(rleObjs, dict):
        return toBbox([rleObjs])[0]
    out = np.zeros((len(rleObjs), 4))
    for i, rle in enumerate(rleObjs):
        height, ends = _size(rle)[0], np.cumsum(_counts(rle))
        first, last = ends[0:-1:2][: len(ends) // 2], ends[1::2] - 1
        first, last = first[last >= first], last[last >= first]
        if not len(first):
            continue
        x0, x1 = first // height, last // height
        across = x1 > x0  # a run that reaches the next column has a bottom and a top pixel
        y0 = 0 if across.any() else (first % height).min()
        y1 = height - 1 if across.any() else (last % height).max()
        out[i] = x0.min(), y0, x1.max() - x0.min() + 1, y1 - y0 + 1
    return out


to_bbox = toBbox


def merge(rleObjs: Sequence[RLE], intersect: bool = False) -> RLE:
    """The union of masks, or what all of them share; of different sizes an empty encoding of size [0, 0]."""
    sizes = {_size(rle) for rle in rleObjs}
    if len(sizes) != 1:
        return {"size": [0, 0], "counts": b""}
    size = sizes.pop()
    if len(rleObjs) == 1:
        return _make(_counts(rleObjs[0]), size)
    depth, at = _depths([_counts(rle) for rle in rleObjs])
    return _make(_of_inside(depth == len(rleObjs) if intersect else depth > 0, at, size), size)


def _depths(all_counts: Sequence[np.ndarray]) -> Tuple[np.ndarray, np.ndarray]:
    """How many masks are on from each place on where one goes on or off; the places, ascending, each once."""
    places = [np.cumsum(counts)[:-1] for counts in all_counts]
    steps = [1 - 2 * (np.arange(len(place)) % 2) for place in places]
    place, step = np.concatenate(places), np.concatenate(steps)
    at, index = np.unique(place, return_inverse=True)
    return np.cumsum(np.bincount(index.reshape(-1), step, len(at)).astype(np.int64)), at


def _of_inside(inside: np.ndarray, at: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Run lengths of a mask that is `inside` from each place on, and not before the first."""
    total = size[0] * size[1]
    turns = at[inside != np.concatenate([[False], inside[:-1]])] if len(at) else at
    return np.diff(turns[turns < total], prepend=0, append=total)


def iou(dt: Any, gt: Any, pyiscrowd: Sequence[Any]) -> Any:
    """float64 [len(dt), len(gt)] of encodings, or of boxes x, y, width, height; of a crowd in gt the share of dt that
    lies in it. An empty list where either has none. Masks of different sizes have -1."""
    first, second = _objects(dt), _objects(gt)
    if len(first) == 0 or len(second) == 0:
        return []
    if isinstance(first, np.ndarray) != isinstance(second, np.ndarray):
        raise TypeError("The dt and gt should have the same data type, either RLEs, list or np.ndarray")
    crowd = np.asarray(pyiscrowd, bool).reshape(-1)
    if len(crowd) != len(second):
        raise ValueError(f"iscrowd has {len(crowd)} values for {len(second)} objects")
    if isinstance(first, np.ndarray):
        return _iou_of_boxes(first, second, crowd)
    return _iou_of_masks(first, second, crowd)


def _objects(objects: Any) -> Any:
    """Boxes as an array, encodings as a list."""
    if isinstance(objects, np.ndarray):
        boxes = objects.astype(np.float64)
        if boxes.ndim == 1 and len(boxes) == 4:
            boxes = boxes.reshape(1, 4)
        if len(boxes) and (boxes.ndim != 2 or boxes.shape[1] != 4):
            raise TypeError("an array holds boxes, [n, 4]")
        return boxes
    if not isinstance(objects, (list, tuple)):
        raise TypeError(
            "unrecognized type. The following type: RLEs (rle), np.ndarray (box), and list (box) are supported."
        )
    if all(isinstance(one, dict) for one in objects):
        return list(objects)
    if all(isinstance(one, (list, tuple, np.ndarray)) and len(one) == 4 for one in objects):
        return np.asarray(objects, np.float64)
    raise TypeError("list input can be bounding box (Nx4) or RLEs ([RLE])")


def _iou_of_boxes(dt: np.ndarray, gt: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    low = np.maximum(dt[:, None, :2], gt[None, :, :2])
    high = np.minimum(dt[:, None, :2] + dt[:, None, 2:], gt[None, :, :2] + gt[None, :, 2:])
    sides = high - low
    shared = np.where((sides > 0).all(-1), sides[..., 0] * sides[..., 1], 0.0)
    areas = (dt[:, 2] * dt[:, 3])[:, None]
    union = np.where(crowd[None, :], areas, areas + (gt[:, 2] * gt[:, 3])[None, :] - shared)
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def _iou_of_masks(dt: List[RLE], gt: List[RLE], crowd: np.ndarray) -> np.ndarray:
    out = _iou_of_boxes(toBbox(dt), toBbox(gt), np.zeros(len(gt), bool))
    counts = [[_counts(rle) for rle in rles] for rles in (dt, gt)]
    for i, one in enumerate(dt):
        for j, other in enumerate(gt):
            if _size(one) != _size(other):
                out[i, j] = -1
            elif out[i, j] > 0:
                depth, at = _depths([counts[0][i], counts[1][j]])
                lengths = np.diff(at, append=_size(one)[0] * _size(one)[1])
                shared, either = lengths[depth == 2].sum(), lengths[depth > 0].sum()
                union = counts[0][i][1::2].sum() if crowd[j] else either
                out[i, j] = shared / union if shared else 0.0
    return out


def frPyObjects(pyobj: Any, h: int, w: int) -> Union[RLE, List[RLE]]:
    """Encodings of a mask [h, w] from boxes (x, y, width, height), polygons (x, y, x, y, ...) or uncompressed
    encodings; a list of them gives a list, one gives one."""
    if isinstance(pyobj, np.ndarray):
        return [_of_polygon(_corners(box), h, w) for box in np.asarray(pyobj, np.float64).reshape(-1, 4)]
    if isinstance(pyobj, dict):
        return _of_uncompressed(pyobj)
    if isinstance(pyobj, (list, tuple)) and len(pyobj):
        first = pyobj[0]
        if isinstance(first, dict):
            return [_of_uncompressed(one) for one in pyobj]
        if isinstance(first, (list, tuple, np.ndarray)):
            if len(first) == 4:
                return [_of_polygon(_corners(box), h, w) for box in pyobj]
            if len(first) > 4:
                return [_of_polygon(polygon, h, w) for polygon in pyobj]
        elif len(pyobj) == 4:
            return _of_polygon(_corners(pyobj), h, w)
        elif len(pyobj) > 4:
            return _of_polygon(pyobj, h, w)
    raise TypeError("input type is not supported.")


def _of_uncompressed(rle: RLE) -> RLE:
    return _make(rle["counts"], _size(rle))


def _corners(box: Any) -> List[float]:
    x, y, width, height = (float(value) for value in box)
    return [x, y, x, y + height, x + width, y + height, x + width, y]


def _of_polygon(polygon: Any, height: int, width: int) -> RLE:
    """COCO's way to fill a polygon: its border is drawn on a finer grid, and where that crosses the centres of columns
    the mask goes on or off."""
    corners = np.asarray(polygon, np.float64)[: len(polygon) // 2 * 2].reshape(-1, 2)
    fine = np.trunc(UPSAMPLED * corners + 0.5).astype(np.int64)
    us, vs = [], []
    for (x0, y0), (x1, y1) in zip(fine, np.roll(fine, -1, axis=0)):
        flat = abs(x1 - x0) >= abs(y1 - y0)
        (a0, b0), (a1, b1) = ((x0, y0), (x1, y1)) if flat else ((y0, x0), (y1, x1))  # along, across
        back = a0 > a1
        if back:
            a0, b0, a1, b1 = a1, b1, a0, b0
        slope = (b1 - b0) / (a1 - a0) if a1 > a0 else 0.0
        t = np.arange(a1 - a0 + 1)[:: -1 if back else 1]
        along, across = a0 + t, np.trunc(b0 + slope * t + 0.5).astype(np.int64)
        us.append(along if flat else across)
        vs.append(across if flat else along)
    u, v = np.concatenate(us), np.concatenate(vs)
    step = np.flatnonzero(u[1:] != u[:-1]) + 1
    x = np.where(u[step] < u[step - 1], u[step], u[step] - 1)
    x = (x + 0.5) / UPSAMPLED - 0.5
    y = np.ceil(np.clip((np.minimum(v[step], v[step - 1]) + 0.5) / UPSAMPLED - 0.5, 0, height))
    on_centre = (np.floor(x) == x) & (x >= 0) & (x <= width - 1)
    places = np.sort((x[on_centre] * height + y[on_centre]).astype(np.int64))
    return _make(_canonical(np.diff(places, prepend=0, append=height * width)), (height, width))
