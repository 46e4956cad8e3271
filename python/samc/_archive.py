"""Automatic masks of any number of images, from archives to files that survive whatever happens."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Union

from . import _abi
from ._errors import InvalidArgument
from ._model import Model, load
from ._native import Handle, check, io, make, new_error, path_bytes
from ._session import Session, auto_options, interruptible

SHARD_BY = (None, "image", "input")


class AutoImage(NamedTuple):
    """An image that is done, safely."""

    source: str  #: where it came from: its path, or <archive>/<member>
    name: str  #: what its results are called
    error: Optional[str]  #: why it failed; errors.jsonl has it too
    width: int
    height: int
    masks: int


class AutoRun(NamedTuple):
    """What a run did. `failures` images are recorded in errors.jsonl; with resume=True a run counts what those before
    it did in `before`. `by_input`: archives were read as they came, and images and total are those found so far."""

    inputs: int
    skipped: int
    images: int
    total: int
    done: int
    before: int
    failures: int
    masks: int
    seconds: float
    by_input: bool


def _strings(values: List[bytes]) -> Any:
    return (ctypes.c_char_p * len(values))(*values) if values else None


class _Progress:
    """What `progress` said as two calls: `of(total, done)` once, `to(done)` as often as there is news."""

    def __init__(self, progress: Any) -> None:
        self.bar: Any = None
        self.call: Optional[Callable[[int, Optional[int]], Any]] = None
        self.own = False
        if progress is True:
            try:
                from tqdm.auto import tqdm
            except ImportError:
                raise ImportError("progress=True draws a bar of tqdm: pip install tqdm") from None
            self.bar, self.own = tqdm(unit="image"), True
        elif hasattr(progress, "update"):
            self.bar = progress
        elif callable(progress):
            self.call = progress
        elif progress not in (None, False):
            raise TypeError("progress is True, a bar of tqdm's kind, or a function of (done, total)")
        self.done = 0

    def of(self, total: Optional[int], done: int) -> None:
        """`total` None: nobody knows it before the end."""
        if self.bar is not None:
            self.bar.total = total
            if hasattr(self.bar, "refresh"):
                self.bar.refresh()
        self.total = total
        self.to(done)

    def to(self, done: int) -> None:
        if done == self.done:
            return
        if self.bar is not None:
            self.bar.update(done - self.done)
        elif self.call is not None:
            self.call(done, self.total)
        self.done = done

    def close(self) -> None:
        if self.own:
            self.bar.close()


class _Run:
    """One run: the archive, and what Python is told of it while C works."""

    def __init__(self, options: Any, keep: Any, on_image: Any, progress: _Progress) -> None:
        pointer, error = ctypes.c_void_p(), new_error()
        check(io.samc_archive_open(ctypes.byref(options), ctypes.byref(pointer), ctypes.byref(error)), error)
        assert pointer.value is not None
        self.handle, self.keep = Handle(pointer.value, io.samc_archive_close, "run"), keep
        self.on_image, self.progress = on_image, progress
        self.failure: Optional[BaseException] = None

    def counts(self) -> AutoRun:
        raw, error = make(_abi.samc_archive_counts), new_error()
        check(io.samc_archive_get_counts(self.handle.pointer, ctypes.byref(raw), ctypes.byref(error)), error)
        return AutoRun(*(getattr(raw, name) for name in AutoRun._fields))

    def fail(self, failure: BaseException) -> None:
        self.failure = self.failure or failure
        io.samc_archive_stop(self.handle.pointer)

    def image(self, _: Any, raw: Any, __: Any) -> int:
        image = raw.contents
        try:
            self.on_image(
                AutoImage(
                    os.fsdecode(image.source),
                    os.fsdecode(image.name),
                    image.error.decode("utf-8", "replace") if image.error is not None else None,
                    image.width,
                    image.height,
                    image.masks,
                )
            )
        except BaseException as failure:
            self.fail(failure)
        return 0

    def tick(self, _: Any) -> None:
        try:
            counts = self.counts()
            if counts.by_input:
                self.progress.total = counts.total
            self.progress.to(counts.done)
        except BaseException as failure:
            self.fail(failure)

    def run(self, model: Model, automatic: Any, sessions: List[Session]) -> AutoRun:
        error = new_error()
        check(
            io.samc_archive_begin(
                self.handle.pointer, model._use().pointer, ctypes.byref(automatic), ctypes.byref(error)
            ),
            error,
        )
        counts = self.counts()
        self.progress.of(None if counts.by_input else counts.total, counts.before)
        kinds: Dict[str, Any] = {field[0]: field[1] for field in _abi.samc_archive_events._fields_}
        events = make(_abi.samc_archive_events)
        if self.on_image is not None:
            events.image = kinds["image"](self.image)
        events.tick = kinds["tick"](self.tick)
        pointers = (ctypes.c_void_p * len(sessions))(*(session._pointer for session in sessions))
        pointer = self.handle.pointer
        status = interruptible(
            lambda: io.samc_archive_run(pointer, pointers, len(sessions), ctypes.byref(events), ctypes.byref(error)),
            lambda: io.samc_archive_stop(pointer),
        )
        if self.failure is not None:
            raise self.failure
        check(status, error)
        counts = self.counts()
        self.progress.total = counts.total
        self.progress.to(counts.done)
        return counts


def auto(
    inputs: Union[str, "os.PathLike[str]", Iterable[Any]],
    out: Union[str, "os.PathLike[str]"],
    *,
    model: Union[None, str, "os.PathLike[str]", Model, Iterable[Model]] = None,
    resume: bool = False,
    progress: Any = None,
    on_image: Optional[Callable[[AutoImage], Any]] = None,
    formats: Union[None, str, Iterable[str]] = None,
    glob: Iterable[str] = (),
    shard: int = 0,
    shards: int = 1,
    shard_by: Optional[str] = None,
    copy_images: bool = False,
    label_maps: bool = False,
    lines_per_file: Optional[int] = None,
    max_pixels: Optional[int] = None,
    scale: Optional[str] = None,
    page: Optional[int] = None,
    frame: Optional[int] = None,
    memory: Optional[int] = None,
    batch_images: Optional[int] = None,
    load_threads: Optional[int] = None,
    write_threads: Optional[int] = None,
    queue: Optional[int] = None,
    retry_failed: bool = False,
    sync: bool = True,
    stats: Union[None, str, "os.PathLike[str]"] = None,
    **automatic: Any,
) -> AutoRun:
    """Every mask of every image of `inputs`, as `samc auto`: the same files, journal and resumption.

    inputs      an image file, a folder, an archive (.tar, .tar.gz, ..., .zip), "@list", "{000..099}.tar", or several of
                these; "pipe:COMMAND", the tar that a shell's command writes
    out         the folder for results, made where it is missing
    model       a Model, one for each GPU, or what samc.load() takes; None: the model that comes with samc
    resume      go on with a run that is there (or begin one); without it a run that is there raises Mismatch
    progress    True: a bar of tqdm; a bar of one's own with `update` and `total`; or a function of (done, total)
    on_image    called with an AutoImage for each image as it is done, in order
    formats     "rle", "png", "overlay", "jsonl", "coco", "sa1b", "webdataset", as a list or with commas
    shard, shards   this run takes the images, or inputs, i with i % shards == shard
    shard_by    "image": all are listed first; "input": an archive is a unit, read as it comes; None: as the rest needs
    copy_images, label_maps   what "webdataset" has beside the JSON of each image
    scale       how 16 bits and floats become 8 bits, see samc.scale(); None: each kind's default
    page, frame   one thing: of each image's pages or frames, from 0; an image that has fewer fails
    automatic   SamAutomaticMaskGenerator's arguments; others are those of `samc auto --help`

    Ctrl-C, and an exception of on_image or progress, end the run as soon as nothing of what was computed is lost, and
    are raised then; with resume=True the next run goes on. Returns counts. Images that fail are no failure of the run.
    """
    names = [inputs] if isinstance(inputs, (str, bytes, os.PathLike)) else list(inputs)
    raw, error = make(_abi.samc_archive_options), new_error()
    check(io.samc_archive_default_options(ctypes.byref(raw), ctypes.byref(error)), error)
    taken, globs = [path_bytes(name) for name in names], [os.fsencode(pattern) for pattern in glob]
    raw.inputs, raw.input_count = _strings(taken), len(taken)
    raw.globs, raw.glob_count = _strings(globs), len(globs)
    raw.output, raw.stats = path_bytes(out), path_bytes(stats) if stats is not None else None
    raw.scale = scale.encode() if scale is not None else None
    if page is not None and frame is not None and page != frame:
        raise InvalidArgument(f"page={page} and frame={frame} are one thing")
    raw.page = page if page is not None else frame if frame is not None else 0
    raw.shard, raw.shards = shard, shards
    if shard_by not in SHARD_BY:
        raise InvalidArgument(f"shard_by is 'image' or 'input', not {shard_by!r}")
    raw.shard_by, raw.copy_images, raw.label_maps = SHARD_BY.index(shard_by), copy_images, label_maps
    raw.resume, raw.retry_failed, raw.no_sync = resume, retry_failed, not sync
    if formats is not None:
        text = formats if isinstance(formats, str) else ",".join(formats)
        raw.formats = io.samc_outputs_parse(text.encode(), _abi.SAMC_OUTPUT_ARCHIVE)
        if raw.formats == 0:
            raise InvalidArgument(f"formats are rle, png, overlay, jsonl, coco, sa1b and webdataset, not {text!r}")
    numbers: Dict[str, Optional[int]] = {
        "lines_per_file": lines_per_file,
        "max_pixels": max_pixels,
        "memory": memory,
        "batch_images": batch_images,
        "load_threads": load_threads,
        "write_threads": write_threads,
        "queue": queue,
    }
    for name, value in numbers.items():
        if value is not None:
            setattr(raw, name, value)
    bar = _Progress(progress)
    models: List[Model] = []
    sessions: List[Session] = []
    run: Optional[_Run] = None
    own = model is None or isinstance(model, (str, bytes, os.PathLike))
    try:
        run = _Run(raw, (taken, globs), on_image, bar)
        models = [load(model)] if own else [model] if isinstance(model, Model) else list(model)  # type: ignore
        if not models:
            raise InvalidArgument("no model")
        chosen, keep = auto_options(models[0]._use().pointer, automatic)
        sessions.extend(one.session() for one in models)
        counts = run.run(models[0], chosen, sessions)
        del keep  # lived until here
        return counts
    finally:
        if run is not None:
            run.handle.end()
        for session in sessions:
            session.close()
        for one in models if own else ():
            one.close()
        bar.close()
