"""transformers' "mask-generation" pipeline on samc's automatic masks: its inputs, keys, types and order, and batches of
images, which its own batch_size does not have."""

from __future__ import annotations

import base64
import io
import math
import os
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from ._masks import Mask
from ._model import Model, load
from ._pixels import as_array, read_image
from ._session import Session

NEAR = 20.0  # pixels from the edge of a crop within which a mask is taken to be cut by it


class _Options(NamedTuple):
    """The pipeline's own names and defaults."""

    points_per_batch: Optional[int] = 64
    points_per_crop: int = 32
    crops_n_layers: int = 0
    crop_overlap_ratio: float = 512 / 1500
    crop_n_points_downscale_factor: int = 1
    timeout: Optional[float] = None
    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    stability_score_offset: float = 1
    mask_threshold: Optional[float] = None
    crops_nms_thresh: float = 0.7
    output_rle_mask: bool = False
    output_bboxes_mask: bool = False


class _Found(NamedTuple):
    """Masks of one crop, before those of all crops are compared."""

    mask: Mask
    box: Tuple[int, int, int, int]  # x0, y0, x1, y1 in the image
    crop: Tuple[int, int, int, int]


def _fetch(address: str, timeout: Optional[float]) -> bytes:
    from urllib.request import Request, urlopen

    with urlopen(Request(address, headers={"User-Agent": "samc"}), timeout=timeout) as answer:
        return bytes(answer.read())


def load_image(image: Any, timeout: Optional[float] = None) -> np.ndarray:
    """uint8 [height, width, 3] of a file's name, an address, base64 text, a Pillow image, upright, or what
    samc.as_array() takes. Formats that samc does not read go through Pillow, where it is there."""
    if isinstance(image, str) and not os.path.exists(image):
        if image.startswith(("http://", "https://")):
            image = _fetch(image, timeout)
        else:
            text = image.split(",", 1)[1] if image.startswith("data:image/") else image
            try:
                image = base64.b64decode(text.encode("ascii"), validate=True)
            except ValueError:
                raise ValueError(
                    "Incorrect image source. Must be a valid URL starting with `http://` or `https://`, a valid path "
                    f"to an image file, or a base64 encoded string. Got {image[:200]}"
                ) from None
    if isinstance(image, (str, os.PathLike, bytes, bytearray)):
        try:
            return read_image(image)
        except Exception as failure:
            try:
                from PIL import Image, UnidentifiedImageError
            except ImportError:
                raise failure from None
            try:
                opened = Image.open(io.BytesIO(image) if isinstance(image, (bytes, bytearray)) else image)
                opened.load()
            except (UnidentifiedImageError, OSError):
                raise failure from None
            image = opened
    if hasattr(image, "getexif") and hasattr(image, "convert"):
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    return as_array(image)


def crop_boxes(size: Sequence[int], layers: int, overlap_ratio: float) -> List[Tuple[int, Tuple[int, int, int, int]]]:
    """The image and 4, 16, ... overlapping crops of it: (layer, (x0, y0, x1, y1))."""
    height, width = size
    boxes = [(0, (0, 0, width, height))]
    for layer in range(1, layers + 1):
        n = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / n))
        w = math.ceil((overlap * (n - 1) + width) / n)
        h = math.ceil((overlap * (n - 1) + height) / n)
        for i in range(n):
            for j in range(n):
                x, y = (w - overlap) * i, (h - overlap) * j
                boxes.append((layer, (x, y, min(x + w, width), min(y + h, height))))
    return boxes


def _is_cut(box: Sequence[int], crop: Sequence[int], size: Sequence[int]) -> bool:
    image = (0, 0, size[1], size[0])
    return any(abs(b - c) <= NEAR and abs(b - i) > NEAR for b, c, i in zip(box, crop, image))


def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> List[int]:
    """Boxes [n, 4] that are kept, best first, where none overlaps a better one by more than an IoU of `threshold`."""
    boxes = boxes.astype(np.float32)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept: List[int] = []
    while len(left):
        first, left = left[0], left[1:]
        kept.append(int(first))
        low = np.maximum(boxes[first, :2], boxes[left, :2])
        high = np.minimum(boxes[first, 2:], boxes[left, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            overlap = common / (areas[first] + areas[left] - common)
        left = left[~(overlap > threshold)]
    return kept


def _run_lengths(mask: np.ndarray) -> Dict[str, Any]:
    """COCO's numbers: down the columns, beginning with zeros."""
    flat = mask.T.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return {"size": list(mask.shape), "counts": ([0] if flat[0] else []) + counts}


class MaskGenerationPipeline:
    """What pipeline("mask-generation") returns. Calling it finds every mask of an image, or of several.

    One image gives a dictionary, a list of images a list of them, any other iterable an iterator:

      masks           list of bool tensors [height, width], best first
      scores          float32 tensor [masks], predicted IoUs
      rle_mask        with output_rle_mask=True: list of {"size": [height, width], "counts": [...]}
      bounding_boxes  with output_bboxes_mask=True: float32 tensor [masks, 4], x0, y0, x1, y1 of the corners' pixels
                      (transformers' is int64 where each of its batches of points gave a mask)

    Tensors are PyTorch's where it is installed, else NumPy's. Options, of the call or of pipeline(), have transformers'
    names: points_per_batch, points_per_crop, crops_n_layers, crop_overlap_ratio, crop_n_points_downscale_factor,
    timeout, pred_iou_thresh, stability_score_thresh, stability_score_offset, mask_threshold, crops_nms_thresh,
    output_rle_mask, output_bboxes_mask; batch_size is how many images go through the encoder together, and
    points_per_batch never changes a result. A context manager.
    """

    task = "mask-generation"

    def __init__(self, model: Model, batch_size: Optional[int] = None, **options: Any) -> None:
        self.model = model
        self.batch_size = batch_size or 1
        self._defaults = self._options(_Options(), options)
        self._sessions: Dict[Optional[float], Session] = {}
        self._own: List[Model] = []  # that nobody else closes

    @staticmethod
    def _options(base: _Options, given: Dict[str, Any]) -> _Options:
        unknown = set(given) - set(_Options._fields)
        if unknown:
            raise TypeError(f"mask-generation has no option {', '.join(sorted(unknown))}")
        options = base._replace(**given)
        if options.points_per_batch is not None and options.points_per_batch <= 0:
            raise ValueError("points_per_batch must be positive, or None for all points at once")
        return options

    def _session(self, threshold: Optional[float]) -> Session:
        """A threshold is a setting of the model: one that differs from its own opens it once more."""
        own = self.model.info.mask_threshold
        key = None if threshold is None or float(threshold) == own else float(threshold)
        if key not in self._sessions:
            model = self.model
            if key is not None:
                options = dict(self.model.options)
                settings = options.get("settings") or {}
                stated = settings if isinstance(settings, dict) else dict(line.split("=", 1) for line in settings)
                options["settings"] = {**stated, "mask_threshold": key}
                model = load(self.model.path, **options)
                self._own.append(model)
            self._sessions[key] = model.session()
        return self._sessions[key]

    def __call__(
        self, image: Any, *, batch_size: Optional[int] = None, num_workers: Optional[int] = None, **options: Any
    ) -> Any:
        """See the class; num_workers has no meaning here, where images are decoded in C."""
        chosen = self._options(self._defaults, options)
        size = batch_size or self.batch_size
        if size < 1:
            raise ValueError(f"batch_size must be positive, not {size}")
        one = isinstance(image, (str, os.PathLike, bytes, bytearray)) or hasattr(image, "convert")
        if one or hasattr(image, "__array_interface__") or hasattr(image, "__dlpack__"):
            return next(self._many([image], 1, chosen))
        found = self._many(image, size, chosen)
        return list(found) if isinstance(image, (list, tuple)) else found

    def _many(self, images: Iterable[Any], size: int, options: _Options) -> Iterator[Dict[str, Any]]:
        batch: List[np.ndarray] = []
        for image in images:
            batch.append(load_image(image, options.timeout))
            if len(batch) == size:
                yield from self._batch(batch, options)
                batch = []
        if batch:
            yield from self._batch(batch, options)

    def _batch(self, images: List[np.ndarray], options: _Options) -> List[Dict[str, Any]]:
        session = self._session(options.mask_threshold)
        found: List[List[_Found]] = [[] for _ in images]
        for layer in range(options.crops_n_layers + 1):
            crops = [
                (index, box)
                for index, image in enumerate(images)
                for of, box in crop_boxes(image.shape[:2], options.crops_n_layers, options.crop_overlap_ratio)
                if of == layer
            ]
            arrays = [images[index][y0:y1, x0:x1] for index, (x0, y0, x1, y1) in crops]
            points = int(options.points_per_crop / options.crop_n_points_downscale_factor**layer)
            done = session.auto(
                arrays,
                points_per_side=points,
                points_per_batch=0 if options.points_per_batch in (None, 64) else options.points_per_batch,
                pred_iou_thresh=options.pred_iou_thresh,
                stability_score_thresh=options.stability_score_thresh,
                stability_score_offset=float(options.stability_score_offset),
                # Masks of all crops are compared at once, by their scores.
                box_nms_thresh=options.crops_nms_thresh if options.crops_n_layers == 0 else 1000.0,
                crop_n_layers=0,
                min_mask_region_area=0,
            )
            for (index, crop), masks in zip(crops, done):
                for mask in masks:
                    x, y, w, h = mask.bbox
                    box = (x + crop[0], y + crop[1], x + w + crop[0], y + h + crop[1])
                    if not _is_cut(box, crop, images[index].shape[:2]):
                        found[index].append(_Found(mask, box, crop))
        return [self._result(image.shape[:2], masks, options) for image, masks in zip(images, found)]

    @staticmethod
    def _result(size: Sequence[int], found: List[_Found], options: _Options) -> Dict[str, Any]:
        scores = np.array([f.mask.predicted_iou for f in found], np.float32)
        boxes = np.array([f.box for f in found], np.int64).reshape(-1, 4)
        kept = list(range(len(found)))
        if options.crops_n_layers > 0:
            kept = suppress(boxes, scores, options.crops_nms_thresh)
        masks = []
        for i in kept:
            x0, y0, x1, y1 = found[i].crop
            whole = np.zeros(tuple(size), bool)
            whole[y0:y1, x0:x1] = found[i].mask.array()
            masks.append(whole)
        tensor = _tensor()
        result: Dict[str, Any] = {"masks": [tensor(mask) for mask in masks], "scores": tensor(scores[kept])}
        if options.output_rle_mask:
            result["rle_mask"] = [_run_lengths(mask) for mask in masks]
        if options.output_bboxes_mask:
            result["bounding_boxes"] = tensor(boxes[kept].astype(np.float32))
        return result

    def close(self) -> None:
        """Gives back what the pipeline holds; a Model that it was made from stays open."""
        for session in self._sessions.values():
            session.close()
        self._sessions = {}
        while self._own:
            self._own.pop().close()

    def __enter__(self) -> "MaskGenerationPipeline":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<samc.pipeline {self.task!r} of {self.model!r}>"


def _tensor() -> Any:
    try:
        import torch
    except ImportError:
        return np.asarray
    return torch.from_numpy


def _local(model: Union[str, "os.PathLike[str]"]) -> Any:
    """A file or folder; a name of the Hub is looked up with huggingface_hub, where it is installed."""
    if os.path.exists(model):
        return model
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise FileNotFoundError(
            2, "no such file or folder, and huggingface_hub, which fetches models, is not installed", os.fspath(model)
        ) from None
    return snapshot_download(os.fspath(model), allow_patterns=["*.json", "*.safetensors"])


def pipeline(
    task: str = "mask-generation",
    model: Any = None,
    *,
    device: Any = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    batch_size: Optional[int] = None,
    precision: Optional[str] = None,
    threads: Optional[int] = None,
    **options: Any,
) -> MaskGenerationPipeline:
    """transformers.pipeline("mask-generation", model=...) of samc.

    model      a file or folder, in SAM's layout or Hugging Face's, a name on the Hub, a samc.Model, or None: samc's own
    device     None, -1 or "cpu", a GPU's number, "cuda:1", a torch.device
    dtype      None or "auto": the fastest that is exact enough here; "float32", torch.bfloat16, ...; also torch_dtype
    batch_size images that are encoded together, 1; the results are the same
    options    see MaskGenerationPipeline: defaults of its calls

    Tokenizers, processors and the like are not taken: what they would say is read from the model's folder.
    """
    if task != "mask-generation":
        raise KeyError(f"Unknown task {task}, samc has 'mask-generation'")
    wanted = str(dtype if dtype is not None else torch_dtype or "auto").replace("torch.", "")
    kinds = {"auto": "auto", "float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "int8"}
    if wanted not in kinds:
        raise ValueError(f"dtype must be one of {', '.join(kinds)}, not {wanted!r}")
    if isinstance(model, Model):
        return MaskGenerationPipeline(model, batch_size, **options)
    where = "cpu" if device == -1 else f"cuda:{device}" if isinstance(device, int) else device
    opened = load(
        _local(model) if model is not None else None,
        device=where,
        precision=precision or kinds[wanted],
        threads=threads,
    )
    try:
        made = MaskGenerationPipeline(opened, batch_size, **options)
    except BaseException:
        opened.close()
        raise
    made._own.append(opened)
    return made
