"""Frames as they come: samc_stream_* as a generator."""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Union

from . import _abi
from ._errors import Stopped
from ._masks import Mask, Masks
from ._native import check, io, make, new_error
from ._pixels import as_image
from ._session import Prompt, Session, _prompt_array, auto_options, interruptible


class Frame(NamedTuple):
    """A frame's masks: of prompts one each in their order, else as samc.Session.auto() has them."""

    number: int  #: of the frame, from 0
    masks: Masks
    latency: float  #: seconds since the frame came


def _prompts(prompts: Sequence[Union[Prompt, Dict[str, Any]]], low_res: int) -> Any:
    """A samc_prompts; to be freed."""
    taken = [p if isinstance(p, Prompt) else Prompt(**p) for p in prompts]
    if any(p.mask_input is not None or p.image != 0 for p in taken):
        raise ValueError("prompts of frames have no mask_input and no image")
    array, keep = _prompt_array(taken, low_res)
    own, error = ctypes.c_void_p(), new_error()
    check(io.samc_prompts_create(ctypes.byref(own), ctypes.byref(error)), error)
    try:
        for raw in array:
            check(io.samc_prompts_add(own, ctypes.byref(raw), ctypes.byref(error)), error)
    except BaseException:
        io.samc_prompts_free(own)
        raise
    del keep  # the list has copies
    return own


def stream(
    session: Session,
    frames: Iterable[Any],
    prompts: Optional[Sequence[Union[Prompt, Dict[str, Any]]]] = None,
    *,
    every: bool = False,
    single: bool = False,
    **automatic: Any,
) -> Iterator[Frame]:
    """Masks of every frame of a camera or a video, with the same prompts for all; nothing is tracked.

    session   nobody else's meanwhile
    frames    anything that samc.as_array() takes, one after another; they are fetched in a thread of their own
    prompts   samc.Prompt or dictionaries of their fields, without mask_input; None: every mask, with the options of
              SamAutomaticMaskGenerator as further arguments
    every     no frame is dropped: `frames` waits. Else the latest one wins, and Frame.number tells which
    single    the one mask of the single-mask output, where the best of several is the default

    What `frames` raises is raised here, behind the masks of the frames before it. Closing the generator ends the thread
    once it has its next frame.
    """
    if prompts is not None and (automatic or not prompts):
        raise ValueError("options of automatic masks go without prompts" if automatic else "no prompt")
    taken = _prompts(prompts, session.model.info.low_res) if prompts is not None else None
    try:
        chosen, keep = auto_options(session._model.pointer, automatic)
        options = make(_abi.samc_stream_options, prompts=taken, every=every, single=single)
        options.automatic = ctypes.pointer(chosen)
        own, error = ctypes.c_void_p(), new_error()
        made = io.samc_stream_create(session._pointer, ctypes.byref(options), ctypes.byref(own), ctypes.byref(error))
        check(made, error)
        try:
            yield from _run(session, own, frames)
        finally:
            io.samc_stream_destroy(own)
        del keep  # lived until here
    finally:
        if taken is not None:
            io.samc_prompts_free(taken)


def _run(session: Session, own: Any, frames: Iterable[Any]) -> Iterator[Frame]:
    failure: List[BaseException] = []

    def push() -> None:
        error = new_error()
        try:
            for number, frame in enumerate(frames):
                array, raw = as_image(frame)
                check(io.samc_stream_push(own, ctypes.byref(raw), number, ctypes.byref(error)), error)
                del array  # it was copied
        except Stopped:
            pass  # by who reads the masks
        except BaseException as reason:  # what `frames` raises belongs to who reads them
            failure.append(reason)
        finally:
            io.samc_stream_finish(own)

    pusher = threading.Thread(target=push, name="samc.stream", daemon=True)
    pusher.start()
    try:
        while True:
            frame, error = make(_abi.samc_stream_frame), new_error()
            with session._lock:
                status = interruptible(
                    lambda: io.samc_stream_next(own, ctypes.byref(frame), ctypes.byref(error)),
                    lambda: io.samc_stream_stop(own),
                )
            check(status, error)
            if not frame.image:
                break
            stride, first = (frame.masks[0].size, ctypes.addressof(frame.masks.contents)) if frame.count else (0, 0)
            raws = (_abi.samc_mask.from_address(first + i * stride) for i in range(frame.count))
            yield Frame(frame.number, Masks(Mask._of(raw) for raw in raws), frame.latency)
        if failure:
            raise failure[0]
    finally:
        io.samc_stream_stop(own)
        pusher.join()
