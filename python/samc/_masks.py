"""Masks as the library gives them: what is known of each, and its run lengths."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Iterable, List, Optional, Tuple

import numpy as np

from . import _abi, _rle
from ._native import check, lib, new_error
from ._polygons import polygons_of_mask

MODES = ("binary_mask", "uncompressed_rle", "coco_rle")


class Mask:
    """A mask in the size of its image. Pickled, copied and forked freely: it is a COCO string and some numbers.

    size             (height, width)
    area             pixels
    bbox             x, y of the first pixel, x1 - x0 and y1 - y0 of the inclusive corners, as the original; 0 if empty
    predicted_iou    the model's own estimate
    stability_score  |logit > threshold + offset| / |logit > threshold - offset|
    crop_box         x, y, width, height of what the model saw
    point            x, y that automatic masks tried; (0, 0) of a prompt's
    image, prompt, index   which one it is; prompt is -1 of automatic masks
    label            what it shows, by models that name it; else None
    phrase, score    the label's index among the phrases, -1 where there is none, and its score, 0 to 1
    box              x0, y0, x1, y1 that a phrase was found in and the mask asked for with; else None
    counts           COCO's compressed run lengths, bytes
    """

    __slots__ = (
        "size",
        "area",
        "bbox",
        "predicted_iou",
        "stability_score",
        "object_score",
        "crop_box",
        "point",
        "image",
        "prompt",
        "index",
        "label",
        "phrase",
        "score",
        "box",
        "counts",
    )

    size: Tuple[int, int]
    area: int
    bbox: Tuple[int, int, int, int]
    predicted_iou: float
    stability_score: float
    object_score: float
    crop_box: Tuple[int, int, int, int]
    point: Tuple[float, float]
    image: int
    prompt: int
    index: int
    label: Optional[str]
    phrase: int
    score: float
    box: Optional[Tuple[float, float, float, float]]
    counts: bytes

    @classmethod
    def _of(cls, raw: Any) -> "Mask":
        """From a samc_mask whose run lengths are there."""
        self = cls()
        self.size, self.area = (raw.height, raw.width), raw.area
        self.bbox, self.crop_box, self.point = tuple(raw.bbox), tuple(raw.crop_box), tuple(raw.point)
        self.predicted_iou, self.stability_score = raw.predicted_iou, raw.stability_score
        self.object_score = raw.object_score
        self.image, self.prompt, self.index = raw.image, raw.prompt, raw.index
        self.label = raw.label.decode("utf-8", "replace") if raw.label is not None else None
        self.phrase, self.score = raw.phrase if raw.label is not None else -1, raw.score
        self.box = tuple(raw.box) if any(raw.box) else None  # type: ignore[assignment]
        text, error = ctypes.create_string_buffer(raw.rle_length + 1), new_error()
        check(lib.samc_mask_rle(ctypes.byref(raw), text, ctypes.byref(error)), error)
        self.counts = text.value
        return self

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        array = self.array()
        return array if dtype is None else array.astype(dtype, copy=False)

    def array(self) -> np.ndarray:
        """bool [height, width]."""
        return _rle.mask_of_counts(self.run_lengths(), self.size)

    def run_lengths(self) -> np.ndarray:
        """uint32 run lengths down the columns, beginning with the background's."""
        return _rle.counts_of_string(self.counts, self.size)

    def rle(self, text: bool = False) -> Dict[str, Any]:
        """COCO's {"size": [height, width], "counts": ...}, bytes as pycocotools', or text for JSON."""
        return {"size": list(self.size), "counts": self.counts.decode("ascii") if text else self.counts}

    def polygons(self, holes: bool = False) -> List[np.ndarray]:
        """Outlines along the pixels' edges, each float64 [n, 2] of x and y, whose inside is the mask exactly (its pixel
        (x, y) covers x to x + 1); `holes`: those of holes too, which go round the other way."""
        x, y, w, h = self.bbox
        rings = polygons_of_mask(self.array()[y : y + h + 1, x : x + w + 1], holes)
        return [ring + (x, y) for ring in rings]

    def record(self, mode: str = "binary_mask") -> Dict[str, Any]:
        """SamAutomaticMaskGenerator's record: segmentation in one of its three modes, area, bbox, predicted_iou,
        point_coords, stability_score, crop_box."""
        if mode == "binary_mask":
            shape: Any = self.array()
        elif mode == "uncompressed_rle":
            shape = {"size": list(self.size), "counts": self.run_lengths().tolist()}
        elif mode == "coco_rle":
            shape = self.rle(text=True)
        else:
            raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
        return {
            "segmentation": shape,
            "area": self.area,
            "bbox": list(self.bbox),
            "predicted_iou": self.predicted_iou,
            "point_coords": [list(self.point)],
            "stability_score": self.stability_score,
            "crop_box": list(self.crop_box),
        }

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, Mask) and all(getattr(self, f) == getattr(other, f) for f in self.__slots__)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return (
            f"<samc.Mask {self.area} pixels of {self.size[1]} x {self.size[0]}, predicted IoU {self.predicted_iou:.3f}>"
        )

    def __reduce__(self) -> Any:
        return _restore, tuple(getattr(self, name) for name in self.__slots__)


def _restore(*values: Any) -> Mask:
    mask = Mask()
    for name, value in zip(Mask.__slots__, values):
        setattr(mask, name, value)
    return mask


class Masks(List[Mask]):
    """The masks of an image, a list. `stats`: counts after each filter and seconds of each part, of automatic ones."""

    def __init__(self, masks: Iterable[Mask] = (), stats: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(masks)
        self.stats: Dict[str, Any] = stats or {}

    def __reduce__(self) -> Any:
        return Masks, (list(self), self.stats)

    def records(self, mode: str = "binary_mask") -> List[Dict[str, Any]]:
        """SamAutomaticMaskGenerator's list of records."""
        return [mask.record(mode) for mask in self]

    def arrays(self) -> np.ndarray:
        """bool [masks, height, width]."""
        if not self:
            return np.zeros((0, 0, 0), bool)
        out = np.empty((len(self), *self[0].size), bool)
        for mask, room in zip(self, out):
            _rle.mask_of_counts(mask.run_lengths(), mask.size, room)
        return out

    def rles(self, text: bool = False) -> List[Dict[str, Any]]:
        """COCO's compressed run lengths."""
        return [mask.rle(text) for mask in self]

    def label_map(self) -> np.ndarray:
        """int32 [height, width]: 1 + the index of the smallest mask at a pixel, 0 where there is none."""
        if not self:
            return np.zeros((0, 0), np.int32)
        out = np.zeros(self[0].size, np.int32)
        for index in sorted(range(len(self)), key=lambda i: (-self[i].area, -i)):
            out[self[index].array()] = index + 1
        return out

    def to_supervision(self) -> Any:
        """supervision.Detections, with the masks as supervision.CompactMask where that is known (0.28 and later):
        boxes, confidence (the predicted IoU), and stability_score in `data`. Needs supervision."""
        from ._supervision import detections_of

        return detections_of(self)
