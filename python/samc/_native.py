"""The two libraries, their calls, and objects of theirs that know who may use and who must close them."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Optional, TypeVar

from . import _abi
from ._errors import error_of
from ._whole import checked

PACKAGE = Path(__file__).resolve().parent


def library_folder() -> Path:
    """Where libsamc.so lies: in the package, or in SAMC_LIBRARY_DIR, a build folder of a source tree."""
    stated = os.environ.get("SAMC_LIBRARY_DIR")
    return Path(stated) if stated else PACKAGE / "native" / "lib"


def _open(name: str) -> ctypes.CDLL:
    path = library_folder() / f"lib{name}.so.{'.'.join(_abi.VERSION.split('.')[:2])}"
    if not path.exists():
        raise ImportError(
            f"{path} is missing: samc was not installed by pip, and SAMC_LIBRARY_DIR does not hold a build"
        )
    return ctypes.CDLL(str(path))  # calls give the GIL back while they run


def _declare(library: ctypes.CDLL, calls: Any) -> None:
    for name, (result, arguments) in calls.items():
        call = getattr(library, name)
        call.restype, call.argtypes = result, arguments
        setattr(library, name, checked(call, arguments))


lib = _open("samc")
lib.samc_abi.restype = ctypes.c_int
if lib.samc_abi() != _abi.ABI:
    raise ImportError(f"libsamc has ABI {lib.samc_abi()}, this package is for {_abi.ABI}")
io = _open("samc_io")
_declare(lib, _abi.CALLS["samc"])
_declare(io, _abi.CALLS["io"])


def make(struct: Any, **fields: Any) -> Any:
    """A struct that begins with its size, as SAMC_INIT."""
    return struct(size=ctypes.sizeof(struct), **fields)


# A struct that is longer than the library's version of it is taken where the rest is zero; one that no version of it
# has is refused. This says at the import that this package's are the library's.
for _call, _arguments in (
    (lib.samc_default_options, (make(_abi.samc_options),)),
    (lib.samc_default_auto_options, (None, make(_abi.samc_auto_options))),
    (lib.samc_get_machine, (make(_abi.samc_machine),)),
    (io.samc_archive_default_options, (make(_abi.samc_archive_options), None)),
):
    if _call(*_arguments) != 0:
        raise ImportError(f"libsamc {lib.samc_version().decode()} does not know this package's structs")


def new_error() -> Any:
    return _abi.samc_error()


def check(status: int, error: Any) -> None:
    """Raises what a call with a samc_error failed with."""
    if status != 0:
        raise error_of(status, error.message)


def path_bytes(path: Any) -> bytes:
    name = os.fsencode(path)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    return name


class Handle:
    """A C object with an owner and users. It is closed when its owner and all users have let go, and never in a forked
    child: the threads that it waits for live in the parent alone."""

    __slots__ = ("_pointer", "_close", "_process", "_what", "_users", "_owned", "_lock", "__weakref__")

    def __init__(self, pointer: int, close: Callable[[int], None], what: str) -> None:
        self._pointer: Optional[int] = pointer
        self._close = close
        self._process = os.getpid()
        self._what = what
        self._users, self._owned = 0, True
        self._lock = threading.RLock()  # the collector may end a user of this within a call of the same thread

    @property
    def closed(self) -> bool:
        return self._pointer is None

    @property
    def forked(self) -> bool:
        return self._process != os.getpid()

    @property
    def pointer(self) -> int:
        """The object, for a call."""
        if self.forked:
            raise RuntimeError(
                f"this {self._what} was made before the process forked; open one in the child "
                "(a pickled model does so by itself)"
            )
        if self._pointer is None:
            raise ValueError(f"this {self._what} is closed")
        return self._pointer

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """A short call that other threads may make at any time: the object is not closed meanwhile."""
        self.pointer  # in a forked child the lock may be held by nobody who is there
        with self._lock:
            return function(self.pointer, *arguments)

    def share(self) -> "Handle":
        """Another user, who has to release() it."""
        self.pointer
        with self._lock:
            self.pointer
            self._users += 1
        return self

    def release(self) -> None:
        self._let_go(1, True)

    def end(self) -> None:
        """The owner lets go. May be called again."""
        self._let_go(0, False)

    def _let_go(self, users: int, owned: bool) -> None:
        if self.forked:
            return
        with self._lock:
            self._users -= users
            self._owned = self._owned and owned
            pointer = None if self._users or self._owned else self._pointer
            if pointer is not None:
                self._pointer = None
        if pointer is not None:
            self._close(pointer)

    def __del__(self) -> None:
        # Of objects that refer to each other the collector ends this one maybe before its users: they close it then.
        self.end()


class Opened:
    """Something that was opened from a file and is closed once: a model, a detector. Usable by any number of threads, a
    context manager, pickled as path and options: whoever unpickles it opens the file again."""

    _kind: str  #: what it is called
    _hash: Callable[..., int]  #: its call
    path: str
    options: Dict[str, Any]
    _handle: Handle
    _closed = False

    def hash(self) -> str:
        """SHA-256 over the tensors, hexadecimal: equal for a checkpoint and its converted file of the same type."""
        text, error = ctypes.create_string_buffer(65), new_error()
        check(type(self)._hash(self._use().pointer, text, ctypes.byref(error)), error)
        return text.value.decode()

    @property
    def closed(self) -> bool:
        return self._closed

    def _use(self) -> Handle:
        if self._closed:
            raise ValueError(f"this {self._kind} is closed")
        return self._handle

    def close(self) -> None:
        """Lets go of the weights; they are freed with the last of what was made of it. May be called again."""
        if not self._closed:
            self._closed = True
            self._handle.end()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return _reopen, (type(self), self.path, self.options)


Self = TypeVar("Self", bound=Opened)


def _reopen(kind: Any, path: str, options: Dict[str, Any]) -> Any:
    return kind(path, **options)


def closing(close: Callable[[int], None], of: Handle) -> Callable[[int], None]:
    """Closes an object, and then lets go of what it was made of, which it is a user of."""

    def both(pointer: int) -> None:
        close(pointer)
        of.release()

    return both
