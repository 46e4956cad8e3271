"""Text as a prompt: models that relate text and images, phrases, and the masks that they name (samc_text.h)."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _abi
from ._masks import Mask, Masks
from ._model import BACKENDS, PRECISIONS, PathLike, index_of
from ._native import Handle, Opened, check, closing, lib, make, new_error, path_bytes
from ._pixels import as_image
from ._session import Session

KINDS = ("boxes", "maps", "labels")


class DetectorInfo:
    """What a detector is, samc_detector_info by its own names; `kind` is "boxes", "maps" or "labels"."""

    kind: str
    labels: bool
    image_size: int
    map_side: int
    context: int
    parameters: int
    weight_bytes: int
    backend: str
    threads: int
    name: str
    dtype: str
    backend_note: str
    file_note: str

    def __init__(self, raw: Any) -> None:
        for field, kind in raw._fields_[1:]:
            value = getattr(raw, field)
            setattr(self, field, (value or b"").decode("utf-8", "replace") if kind is ctypes.c_char_p else value)
        self.kind, self.backend = KINDS[raw.kind], BACKENDS[raw.backend]

    def __repr__(self) -> str:
        return "DetectorInfo(" + ", ".join(f"{k}={v!r}" for k, v in vars(self).items()) + ")"


class Detection(NamedTuple):
    """One thing that a phrase was found in."""

    phrase: int  #: index of the phrase
    label: str  #: the phrase
    score: float
    box: Tuple[float, float, float, float]  #: x0, y0, x1, y1 in pixels
    point: Tuple[float, float]  #: the peak of a heat map, else the middle of the box


class Detector(Opened):
    """An OWLv2, CLIPSeg or CLIP as Hugging Face lays it out, or one file of it; see docs/text.md. Read-only once open,
    for any number of threads. A context manager; pickled as path and options, and not usable in a forked child, as
    samc.Model. It computes on the CPU.

    Raises FileNotFoundError, MalformedFile, Unsupported where the file is another model's, OutOfMemory.
    """

    _kind, _hash = "detector", lib.samc_detector_hash

    def __init__(
        self, path: PathLike, *, backend: Optional[str] = None, precision: str = "auto", threads: Optional[int] = None
    ) -> None:
        self.path = os.fspath(path)
        self.options: Dict[str, Any] = {"backend": backend, "precision": precision, "threads": threads}
        if not os.path.exists(self.path):
            raise FileNotFoundError(2, os.strerror(2), self.path)
        raw = make(_abi.samc_options)
        lib.samc_default_options(ctypes.byref(raw))
        if backend is not None:
            raw.backend = index_of(BACKENDS, backend, "backend")
        raw.precision = index_of(PRECISIONS, precision, "precision")
        if threads is not None:
            raw.threads = threads
        pointer, error = ctypes.c_void_p(), new_error()
        name = path_bytes(self.path)
        check(lib.samc_detector_open(name, ctypes.byref(raw), ctypes.byref(pointer), ctypes.byref(error)), error)
        assert pointer.value is not None
        self._handle = Handle(pointer.value, lib.samc_detector_close, self._kind)
        info = make(_abi.samc_detector_info)
        lib.samc_detector_get_info(pointer, ctypes.byref(info))
        self.info = DetectorInfo(info)

    def phrases(
        self, strings: Sequence[str], *, templates: Optional[Sequence[str]] = None, background: Optional[str] = None
    ) -> "Phrases":
        """Phrases, encoded once for any number of images. templates: texts with {} for the phrase, whose mean it is;
        background: one more label, for masks that show none of them."""
        raw = make(_abi.samc_phrase_options)
        return Phrases(self, strings, _told(raw, templates, background))

    def labels(self, strings: Sequence[str]) -> "Phrases":
        """Labels for label(): with CLIP's templates for things in general, and "background"."""
        raw = make(_abi.samc_phrase_options)
        lib.samc_default_label_options(ctypes.byref(raw))
        return Phrases(self, strings, (raw, None))

    def scene(self, image: Any) -> "Scene":
        """An image as the detector sees it, for any number of phrases."""
        return Scene(self, image)

    def __repr__(self) -> str:
        return f"<samc.Detector {self.info.name}, {self.info.kind}>"


def _told(raw: Any, templates: Optional[Sequence[str]], background: Optional[str]) -> Tuple[Any, Any]:
    keep = None
    if templates is not None:
        keep = (ctypes.c_char_p * (len(templates) + 1))(*(_text(one) for one in templates), None)
        raw.templates = keep
    raw.background = _text(background) if background is not None else None
    return raw, keep


def _text(string: str) -> bytes:
    text = string.encode("utf-8", "surrogatepass")  # what is no UTF-8 is refused by the library, with its place
    if b"\0" in text:
        raise ValueError("embedded null character")
    return text


class Phrases:
    """Phrases of a detector, encoded. `texts`: they as they were taken, the background behind them; `cut`: whether each
    is longer than what the detector reads. Any number of threads."""

    def __init__(self, detector: Detector, strings: Sequence[str], options: Tuple[Any, Any]) -> None:
        if isinstance(strings, (str, bytes)):
            raise TypeError("phrases are a list of texts, not one text")
        self.detector = detector
        texts = [_text(one) for one in strings]
        array = (ctypes.c_char_p * len(texts))(*texts)
        pointer, error = ctypes.c_void_p(), new_error()
        of = detector._use().share()
        try:
            check(
                lib.samc_phrases_create(
                    of.pointer, array, len(texts), ctypes.byref(options[0]), ctypes.byref(pointer), ctypes.byref(error)
                ),
                error,
            )
        except BaseException:
            of.release()
            raise
        assert pointer.value is not None
        self._handle = Handle(pointer.value, closing(lib.samc_phrases_free, of), "list of phrases")
        every = range(lib.samc_phrases_count(pointer))
        self.texts: List[str] = [lib.samc_phrases_text(pointer, i).decode("utf-8", "replace") for i in every]
        self.cut: List[bool] = [lib.samc_phrases_cut(pointer, i) for i in every]

    def __len__(self) -> int:
        return len(self.texts)


class Scene:
    """What a detector made of one image. Any number of threads."""

    def __init__(self, detector: Detector, image: Any) -> None:
        self.detector = detector
        array, raw = as_image(image)
        pointer, error = ctypes.c_void_p(), new_error()
        of = detector._use().share()
        try:
            check(
                lib.samc_scene_create(of.pointer, ctypes.byref(raw), ctypes.byref(pointer), ctypes.byref(error)), error
            )
        except BaseException:
            of.release()
            raise
        del array  # lived until here
        assert pointer.value is not None
        self._handle = Handle(pointer.value, closing(lib.samc_scene_free, of), "scene")

    def map(self, phrases: Phrases, index: int = 0) -> np.ndarray:
        """The heat map of a phrase, float32 logits [map_side, map_side] that cover the image; of "maps" detectors."""
        side, error = self.detector.info.map_side, new_error()
        out = np.empty((side, side), np.float32)
        check(
            lib.samc_scene_map(
                self._handle.pointer, phrases._handle.pointer, index, out.ctypes.data, ctypes.byref(error)
            ),
            error,
        )
        return out

    def detect(
        self,
        phrases: Phrases,
        *,
        threshold: Optional[float] = None,
        nms: Optional[float] = None,
        top: Optional[int] = None,
    ) -> List[Detection]:
        """What phrases are found in, by descending score; the options are text()'s."""
        options, count, error = text_options(threshold, nms, top), ctypes.c_int(), new_error()
        found: Any = (_abi.samc_detection * 0)()
        while True:
            check(
                lib.samc_scene_detect(
                    self._handle.pointer,
                    phrases._handle.pointer,
                    ctypes.byref(options),
                    found if len(found) else None,
                    len(found),
                    ctypes.byref(count),
                    ctypes.byref(error),
                ),
                error,
            )
            if count.value <= len(found):
                break
            found = (_abi.samc_detection * count.value)(*(make(_abi.samc_detection) for _ in range(count.value)))
        return [
            Detection(
                one.phrase, phrases.texts[one.phrase], one.score, (*one.box,), (*one.point,)  # type: ignore[arg-type]
            )
            for one in found[: count.value]
        ]


def text_options(threshold: Optional[float], nms: Optional[float], top: Optional[int]) -> Any:
    raw = make(_abi.samc_text_options)
    lib.samc_default_text_options(ctypes.byref(raw))
    for name, value in (("threshold", threshold), ("nms", nms), ("top", top)):
        if value is not None:
            setattr(raw, name, value)
    return raw


def text(
    session: Session,
    phrases: Phrases,
    images: Iterable[Any],
    *,
    threshold: Optional[float] = None,
    nms: Optional[float] = None,
    top: Optional[int] = None,
) -> List[Masks]:
    """A mask for each thing that phrases are found in, of each image, by descending score: Mask's label, phrase, score
    and box say which. The session has no image afterwards. Ctrl-C stops it.

    threshold  least score (0.1), of a heat map least probability of a pixel (0.3)
    nms        IoU above which the worse of two boxes of one phrase goes (0.3); above 1 none does
    top        most detections of an image; 0: all
    """
    options, found = text_options(threshold, nms, top), []

    def take(_: int, masks: List[Any], stats: Dict[str, Any]) -> None:
        found.append(Masks((Mask._of(raw) for raw in masks), stats=stats))

    def run(raw: Any, count: int, call: Any) -> int:
        pointers = session._pointer, phrases._handle.pointer
        return lib.samc_text(*pointers, raw, count, ctypes.byref(options), call, None, None)

    session.for_each(images, take, lambda: run)
    return found


def label(session: Session, labels: Phrases, images: Iterable[Any], **options: Any) -> List[Masks]:
    """Session.auto(), each mask with its label, phrase and score (Detector.labels() of a CLIP or CLIPSeg)."""
    arrays = [as_image(image) for image in images]
    found: List[Masks] = []

    def take(image: int, masks: List[Any], stats: Dict[str, Any]) -> None:
        own, error = (_abi.samc_mask * len(masks))(*masks), new_error()
        if masks:
            check(
                lib.samc_label_masks(
                    labels._handle.pointer, ctypes.byref(arrays[image][1]), own, len(masks), ctypes.byref(error)
                ),
                error,
            )
        found.append(Masks((Mask._of(raw) for raw in own), stats=stats))

    session.auto_raw([array for array, _ in arrays], options, take)
    return found
