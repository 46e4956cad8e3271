"""Sessions: an image set once, prompts as often as wanted, every mask of an image."""

from __future__ import annotations

import ctypes
import threading
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._errors import error_of
from ._masks import Mask, Masks
from ._native import Handle, check, closing, lib, make, new_error, path_bytes
from ._pixels import as_image, scaled

STORED = {"f32": _abi.SAMC_PRECISION_F32, "f16": _abi.SAMC_PRECISION_F16, "bf16": _abi.SAMC_PRECISION_BF16}

STOPPED = _abi.STATUSES.index("STOPPED")


class Prompt(NamedTuple):
    """One prompt: any number of points, at most one box, at most one mask; at least one of them. Pixels of the image,
    x to the right, y down, (0, 0) the centre of the top left one."""

    points: Any = None  #: [n, 2] x and y
    labels: Any = None  #: [n] 1 on the object, 0 not on it; None: all 1
    box: Any = None  #: [4] x0, y0, x1, y1
    mask_input: Any = None  #: [low_res, low_res] logits of an earlier result
    image: int = 0  #: index of the image that was set


class Memory(NamedTuple):
    """Bytes that a session holds, now and at most; on a GPU's memory beside the weights the last two."""

    current: int
    peak: int
    device_current: int
    device_peak: int


def _prompt_array(prompts: Sequence[Prompt], low_res: int) -> Tuple[Any, List[Any]]:
    """samc_prompt[len(prompts)], and what has to live as long."""
    array = (_abi.samc_prompt * len(prompts))()
    keep: List[Any] = []

    def address(values: np.ndarray) -> int:
        keep.append(values)
        return values.__array_interface__["data"][0]

    for raw, prompt in zip(array, prompts):
        raw.size = ctypes.sizeof(_abi.samc_prompt)
        raw.image = prompt.image
        if prompt.points is not None:
            points = np.ascontiguousarray(prompt.points, np.float32)
            if points.ndim != 2 or points.shape[1] != 2:
                raise ValueError(f"points are [n, 2], not {list(points.shape)}")
            labels = np.asarray(prompt.labels if prompt.labels is not None else np.ones(len(points)))
            if labels.size and not (labels.min() >= -(2**31) and labels.max() < 2**31):
                raise OverflowError("labels are whole numbers of 32 bits")
            labels = np.ascontiguousarray(labels, np.int32)
            if labels.shape != (len(points),):
                raise ValueError(f"{len(points)} points, but labels are {list(labels.shape)}")
            if len(points):
                raw.points, raw.labels, raw.point_count = address(points), address(labels), len(points)
        elif prompt.labels is not None:
            raise ValueError("labels without points")
        if prompt.box is not None:
            box = np.ascontiguousarray(prompt.box, np.float32).reshape(-1)
            if box.shape != (4,):
                raise ValueError(f"a box is x0, y0, x1, y1, not {len(box)} numbers")
            raw.box = address(box)
        if prompt.mask_input is not None:
            mask = np.ascontiguousarray(prompt.mask_input, np.float32)
            if mask.shape[-2:] != (low_res, low_res) or mask.size != low_res * low_res:
                raise ValueError(f"a mask input is [{low_res}, {low_res}], not {list(mask.shape)}")
            raw.mask_input = address(mask)
    return array, keep


class _Floats:
    """Floats of a result, which lives as long as an array looks at them."""

    def __init__(self, owner: Any, address: int, shape: Tuple[int, ...], writable: bool) -> None:
        self.owner = owner
        self.__array_interface__ = {"version": 3, "shape": shape, "typestr": "<f4", "data": (address, not writable)}


class Result:
    """What a prediction gave; `prompts` x `masks_per_prompt` masks, in the model's order.

    logits   float32 [prompts, masks, low_res, low_res], before any threshold; the library's memory, read-only
    iou      float32 [prompts, masks], the model's own prediction of each mask's IoU; likewise
    """

    def __init__(self, session: "Session", pointer: int) -> None:
        self._session = session
        self._handle = Handle(pointer, lib.samc_result_free, "result")
        self.prompts: int = lib.samc_result_prompts(pointer)
        self.masks_per_prompt: int = lib.samc_result_masks(pointer)
        self.logits = self._floats(lib.samc_result_logits(pointer), True)
        self.iou = self._floats(lib.samc_result_iou(pointer), False)

    def _floats(self, address: int, maps: bool, writable: bool = False) -> np.ndarray:
        side = self._session.model.info.low_res
        shape = (self.prompts, self.masks_per_prompt) + ((side, side) if maps else ())
        return np.asarray(_Floats(self._handle, address, shape, writable))

    def best(self, prompt: int = 0) -> int:
        """Index of the prompt's mask with the highest predicted IoU."""
        return lib.samc_result_best(self._handle.pointer, prompt)

    def _raw(self, prompt: int, index: int) -> Any:
        raw = make(_abi.samc_mask)
        session = self._session
        with session._lock:
            session._check(
                lib.samc_result_mask(session._pointer, self._handle.pointer, prompt, index, ctypes.byref(raw))
            )
        return raw

    def mask(self, prompt: int = 0, index: Optional[int] = None) -> Mask:
        """One mask, in the size of its image; `index` None: the best one."""
        return Mask._of(self._raw(prompt, self.best(prompt) if index is None else index))

    def masks(self, prompt: int = 0) -> Masks:
        """All masks of a prompt."""
        return Masks(self.mask(prompt, i) for i in range(self.masks_per_prompt))

    def array(self, prompt: int = 0) -> np.ndarray:
        """bool [masks, height, width] of one prompt."""
        return np.stack([self._fill(prompt, i, None) for i in range(self.masks_per_prompt)])

    def arrays(self) -> np.ndarray:
        """bool [prompts, masks, height, width]; every prompt on images of one size."""
        first = self._raw(0, 0)
        out = np.empty((self.prompts, self.masks_per_prompt, first.height, first.width), bool)
        for prompt in range(self.prompts):
            for index in range(self.masks_per_prompt):
                self._fill(prompt, index, out[prompt, index])
        return out

    def _fill(self, prompt: int, index: int, out: Optional[np.ndarray]) -> np.ndarray:
        raw, error = self._raw(prompt, index), new_error()
        if out is None:
            out = np.empty((raw.height, raw.width), bool)
        elif out.shape != (raw.height, raw.width):
            raise ValueError("the prompts are on images of different sizes: use array() for each")
        check(lib.samc_mask_bytes(ctypes.byref(raw), out.ctypes.data, ctypes.byref(error)), error)
        return out


def auto_options(model_pointer: Optional[int], options: Dict[str, Any]) -> Tuple[Any, List[Any]]:
    """samc_auto_options by the names of SamAutomaticMaskGenerator's arguments, over the model's defaults; and what has
    to live as long."""
    raw = make(_abi.samc_auto_options)
    lib.samc_default_auto_options(model_pointer, ctypes.byref(raw))
    known = [name for name, _ in raw._fields_[1:]]
    keep: List[Any] = []
    for name, value in options.items():
        if name not in known:
            raise TypeError(f"unknown option {name!r}; there are {', '.join(known)}")
        if value is None:
            continue
        if name == "temporary_folder":
            raw.temporary_folder = path_bytes(value)
        elif name == "point_grids":
            grids = (_abi.samc_point_grid * len(value))()
            for grid, points in zip(grids, value):
                xy = np.ascontiguousarray(points, np.float64)
                if xy.ndim != 2 or xy.shape[1] != 2:
                    raise ValueError(f"a point grid is [n, 2], not {list(xy.shape)}")
                keep.append(xy)
                grid.size, grid.count = ctypes.sizeof(_abi.samc_point_grid), len(xy)
                grid.xy = xy.__array_interface__["data"][0]
            if len(grids) < raw_layers(options, raw) + 1:
                raise ValueError(f"{len(grids)} point grids for {raw_layers(options, raw) + 1} layers of crops")
            keep.append(grids)
            raw.point_grids = grids
        else:
            setattr(raw, name, value)
    error = new_error()
    check(lib.samc_auto_check(ctypes.byref(raw), ctypes.byref(error)), error)
    return raw, keep


def raw_layers(options: Dict[str, Any], raw: Any) -> int:
    layers = options.get("crop_n_layers")
    return raw.crop_n_layers if layers is None else int(layers)


def interruptible(work: Callable[[], int], stop: Callable[[], None]) -> int:
    """A call of the library that may take long, so that Ctrl-C stops it: in the main thread it runs on one of its own
    while this one waits, which Python's signal handlers interrupt."""
    if threading.current_thread() is not threading.main_thread():
        return work()
    status: List[int] = []
    done, gate = threading.Event(), threading.Lock()

    def run() -> None:
        if gate.acquire(blocking=False):
            try:
                status.append(work())
            finally:
                done.set()

    # What the library works with has to live until it returns, whatever interrupts whom where.
    interruption: Optional[BaseException] = None
    try:
        threading.Thread(target=run, name="samc", daemon=True).start()
    except BaseException as error:
        if gate.acquire(blocking=False):  # it has not begun, and does not
            raise
        interruption = error
    while not done.is_set():
        try:
            if interruption is not None:
                stop()
            done.wait()
        except BaseException as error:
            interruption = interruption or error
    if interruption is not None:
        raise interruption
    return status[0]


class Session:
    """One line of work on a model. Calls from several threads wait for each other; take a session for each thread to
    have them at the same time. A context manager."""

    def __init__(self, model: Any) -> None:
        pointer, error = ctypes.c_void_p(), new_error()
        self.model = model
        self._model = model._use().share()
        self._turns = threading.RLock()
        self._late = False  # an interrupt asked to stop what had ended, so that the next call will hear it
        try:
            check(lib.samc_session_create(self._model.pointer, ctypes.byref(pointer), ctypes.byref(error)), error)
        except BaseException:
            self._model.release()
            raise
        assert pointer.value is not None
        self._handle = Handle(pointer.value, closing(lib.samc_session_destroy, self._model), "session")

    @property
    def _pointer(self) -> int:
        return self._handle.pointer

    @property
    def _lock(self) -> Any:
        """Whose turn it is. In a forked child a thread that is not there may have it: refused, not waited for."""
        self._handle.pointer
        return self._turns

    def _check(self, status: int) -> None:
        if status != 0:
            raise error_of(status, lib.samc_last_error(self._pointer) or b"")

    @property
    def closed(self) -> bool:
        return self._handle.closed

    def close(self) -> None:
        """Gives back what the session holds, after the call that is at work. May be called again."""
        if not self._handle.closed and not self._handle.forked:
            with self._turns:
                self._handle.end()

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return Session, (self.model,)

    def set_image(self, image: Any, scale: Optional[str] = None) -> None:
        """Encodes an image: uint8 [height, width, 3] RGB, whatever holds it (see samc.as_array), or a file.

        With `scale` also arrays of 16 bits and floats, [height, width] or with 1 or 3 channels, and files of them by
        another scale than the default; see samc.scale().
        """
        array, raw = as_image(image if scale is None else scaled(image, scale))
        with self._lock:
            self._check(lib.samc_set_image(self._pointer, ctypes.byref(raw)))
        del array  # lived until here

    def set_images(self, images: Sequence[Any]) -> None:
        """Encodes several images together; prompts name one by its index."""
        arrays = [as_image(image) for image in images]
        raw = (_abi.samc_image * len(arrays))(*(image for _, image in arrays))
        with self._lock:
            self._check(lib.samc_set_images(self._pointer, raw, len(arrays)))

    def image_size(self, index: int = 0) -> Tuple[int, int]:
        """Height and width of an image that was set."""
        width, height = ctypes.c_int(), ctypes.c_int()
        with self._lock:
            self._check(lib.samc_session_image_size(self._pointer, index, ctypes.byref(width), ctypes.byref(height)))
        return height.value, width.value

    def embedding(self, index: int = 0) -> np.ndarray:
        """The embedding of an image that was set: float32 [embed_channels, grid, grid]."""
        info = self.model.info
        out = np.empty((info.embed_channels, info.grid, info.grid), np.float32)
        with self._lock:
            self._check(lib.samc_get_embedding(self._pointer, index, out.ctypes.data))
        return out

    def set_embedding(self, embedding: Any, size: Tuple[int, int]) -> None:
        """Sets one image by its embedding, float32 [embed_channels, grid, grid], and its height and width."""
        info = self.model.info
        values = np.ascontiguousarray(embedding, np.float32)
        shape = (info.embed_channels, info.grid, info.grid)
        if values.shape not in (shape, (1, *shape)):
            raise ValueError(f"an embedding is {list(shape)}, not {list(values.shape)}")
        with self._lock:
            self._check(lib.samc_set_embedding(self._pointer, values.ctypes.data, int(size[1]), int(size[0])))

    def levels(self, index: int = 0) -> List[np.ndarray]:
        """All that was encoded of an image, float32 [channels, side, side]: the embedding, and of models such as SAM-HQ
        the finer features that they also look at."""
        found = []
        for level, shape in enumerate(self._level_shapes()):
            out = np.empty(shape, np.float32)
            with self._lock:
                self._check(lib.samc_get_level(self._pointer, index, level, out.ctypes.data))
            found.append(out)
        return found

    def _level_shapes(self) -> List[Tuple[int, int, int]]:
        shapes: List[Tuple[int, int, int]] = []
        channels, side = ctypes.c_int(), ctypes.c_int()
        pointer = self._model.pointer
        while not lib.samc_model_level(pointer, len(shapes), None, ctypes.byref(channels), ctypes.byref(side)):
            shapes.append((channels.value, side.value, side.value))
        return shapes

    def set_levels(self, levels: Sequence[Any], size: Tuple[int, int]) -> None:
        """Sets one image by all its levels, and its height and width."""
        own = [np.ascontiguousarray(values, np.float32) for values in levels]
        shapes = self._level_shapes()
        if [values.shape for values in own] != shapes:
            raise ValueError(f"the levels are {shapes}, not {[values.shape for values in own]}")
        pointers = (ctypes.c_void_p * len(own))(*(values.ctypes.data for values in own))
        with self._lock:
            self._check(lib.samc_set_levels(self._pointer, pointers, len(own), int(size[1]), int(size[0])))

    def save_embedding(self, path: Any, index: int = 0, dtype: str = "f32") -> None:
        """Writes an embedding as safetensors, with the model's hash and the image's size; as f16 or bf16 in half
        the bytes."""
        if dtype not in STORED:
            raise ValueError(f"dtype must be one of {', '.join(STORED)}, not {dtype!r}")
        with self._lock:
            self._check(lib.samc_save_embedding_as(self._pointer, index, STORED[dtype], path_bytes(path)))

    def load_embedding(self, path: Any) -> None:
        """Sets one image from such a file; Mismatch where it is another model's."""
        with self._lock:
            self._check(lib.samc_load_embedding(self._pointer, path_bytes(path)))

    def predict(
        self,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        *,
        multimask: bool = True,
        image: int = 0,
    ) -> Result:
        """Masks for one prompt, see Prompt: three (multimask), or the one of the single-mask output."""
        return self.predict_many([Prompt(points, labels, box, mask_input, image)], multimask=multimask)

    def predict_many(self, prompts: Sequence[Union[Prompt, Dict[str, Any]]], *, multimask: bool = True) -> Result:
        """Masks for many prompts, Prompts or dictionaries of their fields, decoded in batches."""
        taken = [prompt if isinstance(prompt, Prompt) else Prompt(**prompt) for prompt in prompts]
        array, keep = _prompt_array(taken, self.model.info.low_res)
        pointer = ctypes.c_void_p()
        with self._lock:
            self._check(lib.samc_predict(self._pointer, array, len(taken), bool(multimask), ctypes.byref(pointer)))
        del keep
        assert pointer.value is not None
        return Result(self, pointer.value)

    def auto(self, images: Iterable[Any], **options: Any) -> List[Masks]:
        """Every mask of every image, by descending predicted IoU; options are SamAutomaticMaskGenerator's, with the
        model's own defaults. The session has no image afterwards. Ctrl-C stops it."""
        found: List[Masks] = []

        def take(image: int, masks: List[Any], stats: Dict[str, Any]) -> None:
            found.append(Masks((Mask._of(raw) for raw in masks), stats=stats))

        self.auto_raw(images, options, take)
        return found

    def auto_raw(
        self, images: Iterable[Any], options: Dict[str, Any], take: Callable[[int, List[Any], Dict[str, Any]], None]
    ) -> None:
        """The same, calling take(index, [samc_mask, ...], counts and seconds) for each image as it is done; the structs
        are valid during the call."""

        def begin() -> Callable[[Any, int, Any], int]:
            chosen, keep = auto_options(self._model.pointer, options)

            def run(raw: Any, count: int, call: Any, _: Any = keep) -> int:
                return lib.samc_auto(self._pointer, raw, count, ctypes.byref(chosen), call, None)

            return run

        self.for_each(images, take, begin)

    def for_each(
        self,
        images: Iterable[Any],
        take: Callable[[int, List[Any], Dict[str, Any]], None],
        begin: Callable[[], Callable[[Any, int, Any], int]],
    ) -> None:
        """What auto_raw() does, with another call of the library: begin() gives one that takes samc_image[count], count
        and a samc_auto_callback."""
        arrays = [as_image(image) for image in images]
        if not arrays:
            return
        raw = (_abi.samc_image * len(arrays))(*(image for _, image in arrays))
        failure: List[BaseException] = []

        def callback(_: Any, image: int, masks: Any, count: int, stats: Any) -> int:
            try:
                stride = masks[0].size if count else 0
                first = ctypes.addressof(masks.contents) if count else 0
                take(
                    image,
                    [_abi.samc_mask.from_address(first + i * stride) for i in range(count)],
                    {name: getattr(stats.contents, name) for name, _ in stats.contents._fields_[1:]},
                )
            except BaseException as error:  # Python's go through C as a status
                failure.append(error)
                return STOPPED
            return 0

        with self._lock:
            run, call = begin(), _abi.samc_auto_callback(callback)

            ended: List[int] = []

            def work(_: Any = arrays) -> int:
                ended.append(run(raw, len(arrays), call))
                return ended[-1]

            def stop() -> None:
                self._handle.call(lib.samc_session_stop)

            try:
                status = interruptible(work, stop)
                if status == STOPPED and self._late and not failure:
                    status = interruptible(work, stop)
                self._late = False
            except BaseException:
                self._late = ended[-1:] != [STOPPED]
                raise
            if failure:
                raise failure[0]
            self._check(status)

    def stop(self) -> None:
        """Makes the auto() that is at work, or the next one, raise Stopped. From any thread."""
        self._late = False
        self._handle.call(lib.samc_session_stop)

    def trim(self) -> None:
        """Gives back the memory, at most 64 MB, that is kept for the next call."""
        with self._lock:
            lib.samc_session_trim(self._pointer)

    def memory(self) -> Memory:
        """What the session holds."""
        raw = make(_abi.samc_memory)
        self._handle.call(lib.samc_session_memory, ctypes.byref(raw))
        return Memory(raw.current, raw.peak, raw.device_current, raw.device_peak)

    @property
    def note(self) -> str:
        """What the session had to do differently, in one line, or ""."""
        return (self._handle.call(lib.samc_session_note) or b"").decode("utf-8", "replace")
