"""Run lengths of masks by libsamc_io: COCO's strings, counts and arrays."""

from __future__ import annotations

import ctypes
from typing import Any, Tuple

import numpy as np

from . import _abi
from ._native import check, io, make, new_error


class Counts:
    """A samc_rle of the library's own, given back with this object."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def array(self) -> np.ndarray:
        """The run lengths, uint32, copied."""
        if self.raw.count == 0:
            return np.empty(0, np.uint32)
        values = (ctypes.c_uint32 * self.raw.count).from_address(self.raw.counts)
        return np.frombuffer(values, np.uint32).copy()

    def __del__(self) -> None:
        io.samc_rle_free(ctypes.byref(self.raw))


def _raw_of(counts: np.ndarray, size: Tuple[int, int]) -> Any:
    return make(
        _abi.samc_rle,
        width=size[1],
        height=size[0],
        count=len(counts),
        counts=counts.__array_interface__["data"][0] if len(counts) else None,
    )


def counts_of_string(string: bytes, size: Tuple[int, int]) -> np.ndarray:
    """uint32 run lengths of a COCO string of a mask of `size` (height, width); MalformedFile where it is none."""
    raw, error = make(_abi.samc_rle), new_error()
    check(io.samc_rle_from_string(string, int(size[1]), int(size[0]), ctypes.byref(raw), ctypes.byref(error)), error)
    return Counts(raw).array()


def string_of_counts(counts: np.ndarray, size: Tuple[int, int]) -> bytes:
    counts = np.ascontiguousarray(counts, np.uint32)
    raw, text, error = _raw_of(counts, size), ctypes.c_void_p(), new_error()
    check(io.samc_rle_to_string(ctypes.byref(raw), ctypes.byref(text), ctypes.byref(error)), error)
    try:
        return ctypes.string_at(text.value or 0)
    finally:
        io.samc_io_free(text)


def counts_of_mask(mask: np.ndarray) -> np.ndarray:
    """uint32 run lengths of a mask [height, width], 0 or not 0."""
    values = np.ascontiguousarray(mask)
    if values.dtype not in (np.uint8, np.bool_):
        values = np.ascontiguousarray(values != 0)
    raw, error = make(_abi.samc_rle), new_error()
    height, width = values.shape
    check(io.samc_rle_from_bytes(values.ctypes.data, width, height, ctypes.byref(raw), ctypes.byref(error)), error)
    return Counts(raw).array()


def mask_of_counts(counts: np.ndarray, size: Tuple[int, int], out: Any = None) -> np.ndarray:
    """bool [height, width], or `out`, contiguous and of one byte a pixel, filled with 0 and 1."""
    counts = np.ascontiguousarray(counts, np.uint32)
    out = np.empty(size, bool) if out is None else out
    raw, error = _raw_of(counts, size), new_error()
    check(io.samc_rle_to_bytes(ctypes.byref(raw), out.ctypes.data, ctypes.byref(error)), error)
    return out
