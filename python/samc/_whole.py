"""Whole numbers on their way into C: those that do not fit are refused, where ctypes alone drops their upper bits."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, Tuple

KINDS = (
    ctypes.c_int8, ctypes.c_uint8, ctypes.c_int16, ctypes.c_uint16, ctypes.c_int, ctypes.c_uint, ctypes.c_int64,
    ctypes.c_uint64, ctypes.c_size_t, ctypes.c_ssize_t,
)  # fmt: skip


def _limits(kind: Any) -> Tuple[int, int]:
    bits, signed = 8 * ctypes.sizeof(kind), kind(-1).value < 0
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)


LIMITS: Dict[Any, Tuple[int, int]] = {kind: _limits(kind) for kind in KINDS}


def fit(kind: Any, value: Any) -> None:
    """OverflowError where `value` is a whole number that `kind` has no room for."""
    limits = LIMITS.get(kind)
    if limits is not None and isinstance(value, int) and not limits[0] <= value <= limits[1]:
        raise OverflowError(f"{value} is not within {limits[0]} and {limits[1]}")


class Struct(ctypes.Structure):
    """The base of all structs."""

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, int):
            for field, kind, *_ in self._fields_:
                if field == name:
                    fit(kind, value)
        super().__setattr__(name, value)


def checked(call: Any, kinds: Tuple[Any, ...]) -> Callable[..., Any]:
    """A call of C whose whole numbers are held to their room; itself where it takes none."""
    whole = [(i, kind) for i, kind in enumerate(kinds) if kind in LIMITS]
    if not whole:
        return call

    def checking(*arguments: Any) -> Any:
        for i, kind in whole:
            if i < len(arguments):
                fit(kind, arguments[i])
        return call(*arguments)

    return checking
