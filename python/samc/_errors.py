"""Failures of the library as exceptions: one for each status, with the library's one line as the message."""

from __future__ import annotations

from typing import Dict, Type

from . import _abi


class Error(RuntimeError):
    """A failure that the library reports. `status` is its name in samc.h, such as "NO_IMAGE"; the text is one line."""

    status = "INTERNAL"


class InvalidArgument(Error, ValueError):
    status = "INVALID_ARGUMENT"


class OutOfMemory(Error, MemoryError):
    status = "OUT_OF_MEMORY"


class ReadWriteError(Error, OSError):
    status = "IO"


class MalformedFile(Error, ValueError):
    status = "FORMAT"


class Unsupported(Error, NotImplementedError):
    status = "UNSUPPORTED"


class Mismatch(Error, ValueError):
    status = "MISMATCH"


class NoImage(Error):
    status = "NO_IMAGE"


class NoDevice(Error):
    status = "NO_DEVICE"


class InternalError(Error):
    status = "INTERNAL"


class Stopped(Error):
    status = "STOPPED"


class NotFinite(Error, ArithmeticError):
    status = "NUMERIC"


class ModelDiverged(Error, ArithmeticError):
    status = "DIVERGED"


_OF_STATUS: Dict[str, Type[Error]] = {
    kind.status: kind
    for kind in (
        InvalidArgument,
        OutOfMemory,
        ReadWriteError,
        MalformedFile,
        Unsupported,
        Mismatch,
        NoImage,
        NoDevice,
        InternalError,
        Stopped,
        NotFinite,
        ModelDiverged,
    )
}


def error_of(status: int, message: bytes) -> Error:
    """The exception for a status that is not OK."""
    name = _abi.STATUSES[status] if 0 < status < len(_abi.STATUSES) else "INTERNAL"
    text = message.decode("utf-8", "replace") or name.lower().replace("_", " ")
    return _OF_STATUS.get(name, Error)(text)
