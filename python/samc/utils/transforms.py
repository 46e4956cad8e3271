"""ResizeLongestSide of segment_anything, in NumPy, and for tensors in PyTorch."""

from __future__ import annotations

from typing import Any, Tuple

import numpy as np

BITS = 22  # of Pillow's fixed-point weights


def _weights(old: int, new: int) -> Tuple[np.ndarray, np.ndarray]:
    """Pillow's triangle filter between two lengths: the first input of each output [new], weights [new, taps]."""
    scale = old / new
    filter_scale = max(scale, 1.0)
    centres = (np.arange(new) + 0.5) * scale
    first = np.maximum((centres - filter_scale + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + filter_scale + 0.5).astype(np.int64), old)
    taps = int((last - first).max())
    at = first[:, None] + np.arange(taps)
    weights = np.maximum(0.0, 1.0 - np.abs((at - centres[:, None] + 0.5) * (1.0 / filter_scale)))
    weights[at >= last[:, None]] = 0.0
    total = np.zeros(new)
    for tap in range(taps):  # one after another, as Pillow adds them
        total += weights[:, tap]
    weights /= total[:, None]
    return first, (0.5 + weights * (1 << BITS)).astype(np.int64)


def _resize_rows(image: np.ndarray, new: int) -> np.ndarray:
    """[rows, ...] -> [new, ...], uint8."""
    first, weights = _weights(image.shape[0], new)
    out = np.full((new, *image.shape[1:]), 1 << (BITS - 1), np.int64)
    for tap in range(weights.shape[1]):
        rows = np.minimum(first + tap, image.shape[0] - 1)
        out += image[rows] * weights[:, tap].reshape(-1, *([1] * (image.ndim - 1)))
    return np.clip(out >> BITS, 0, 255).astype(np.uint8)


def resize_bilinear(image: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """uint8 [height, width, channels] in another size (height, width): the bytes of Pillow (below 12.2) with its
    bilinear filter, columns first."""
    if image.shape[1] != size[1]:
        image = np.ascontiguousarray(_resize_rows(np.ascontiguousarray(image.swapaxes(0, 1)), size[1]).swapaxes(0, 1))
    if image.shape[0] != size[0]:
        image = _resize_rows(image, size[0])
    return image


class ResizeLongestSide:
    """Resizes images so that their longest side is `target_length`, and maps coordinates and boxes likewise."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """uint8 [height, width, channels] (or without channels) -> the same with the longest side `target_length`."""
        if image.dtype != np.uint8:
            raise TypeError(f"an image is uint8, not {image.dtype}")
        target = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        return np.array(resize_bilinear(image, target))

    def apply_coords(self, coords: np.ndarray, original_size: Tuple[int, ...]) -> np.ndarray:
        """[..., 2] x and y in pixels of an image of original_size (height, width) -> of the resized one, float64."""
        old_h, old_w = original_size
        new_h, new_w = self.get_preprocess_shape(old_h, old_w, self.target_length)
        coords = np.array(coords, dtype=float)
        coords[..., 0] = coords[..., 0] * (new_w / old_w)
        coords[..., 1] = coords[..., 1] * (new_h / old_h)
        return coords

    def apply_boxes(self, boxes: np.ndarray, original_size: Tuple[int, ...]) -> np.ndarray:
        """[b, 4] (or [4]) x0, y0, x1, y1 likewise -> [b, 4]."""
        return self.apply_coords(np.asarray(boxes).reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Any) -> Any:
        """A float tensor [b, channels, height, width] -> the same resized by PyTorch, which is not to the last bit what
        apply_image() gives, and the model expects."""
        from torch.nn import functional

        target = self.get_preprocess_shape(image.shape[-2], image.shape[-1], self.target_length)
        return functional.interpolate(image, target, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Any, original_size: Tuple[int, ...]) -> Any:
        """apply_coords() of a tensor, which becomes float32."""
        import torch

        old_h, old_w = original_size
        new_h, new_w = self.get_preprocess_shape(old_h, old_w, self.target_length)
        coords = coords.clone().to(torch.float)
        coords[..., 0] = coords[..., 0] * (new_w / old_w)
        coords[..., 1] = coords[..., 1] * (new_h / old_h)
        return coords

    def apply_boxes_torch(self, boxes: Any, original_size: Tuple[int, ...]) -> Any:
        """apply_boxes() of a tensor."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> Tuple[int, int]:
        """Height and width of an image once its longest side is `long_side_length`."""
        scale = long_side_length * 1.0 / max(oldh, oldw)
        return int(oldh * scale + 0.5), int(oldw * scale + 0.5)
