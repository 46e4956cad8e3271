"""What engines that scale samc out are given: a callable that takes encoded images and gives their masks as plain
values. samc.ray is Ray Data's form of it; Dask, Spark and whatever runs Python functions on parts of a data set use it
as it is (docs/python.md)."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union

from ._errors import Error, InternalError, ModelDiverged, NoDevice, ReadWriteError
from ._masks import Masks
from ._model import Model, load
from ._pixels import read_image
from ._session import Session

# Failures that say nothing about one image; run lengths that memory does not hold go to files, and a disk may be full.
OF_THE_RUN = (NoDevice, InternalError, ModelDiverged, MemoryError, ReadWriteError)


class Annotator:
    """Every mask of encoded images. Pickled as its arguments: each process opens the model when it is first used.

    model       what samc.load() takes; None: the model that comes with samc
    device      a GPU's number, "cuda:1", "cpu"; None: what is there
    precision   as samc.load()
    threads     of the CPU; 0: all of them
    batch_size  images that are encoded together
    options     SamAutomaticMaskGenerator's, over the model's own defaults

    The results of an image depend on nothing but the image and these: a part that is done again gives the same.
    """

    def __init__(
        self,
        model: Union[None, str, "os.PathLike[str]"] = None,
        *,
        device: Any = None,
        precision: str = "auto",
        threads: Optional[int] = None,
        batch_size: int = 4,
        **options: Any,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, not {batch_size}")
        self.arguments: Dict[str, Any] = {
            "model": os.fspath(model) if model is not None else None,
            "device": device,
            "precision": precision,
            "threads": threads,
            "batch_size": batch_size,
            **options,
        }
        self.batch_size, self.options = batch_size, options
        self._opened: Optional[Tuple[int, Model, Session]] = None

    def __reduce__(self) -> Any:
        return _make, (type(self), self.arguments)

    def session(self) -> Session:
        """This process's."""
        if self._opened is None or self._opened[0] != os.getpid():
            a = self.arguments
            model = load(a["model"], device=a["device"], precision=a["precision"], threads=a["threads"])
            self._opened = os.getpid(), model, model.session()
        return self._opened[2]

    def records(self, samples: Iterable[Tuple[str, bytes]]) -> Iterator[Dict[str, Any]]:
        """(key, bytes of an image file) -> {"key", "height", "width", "error", "masks"}, in the same order. Masks are
        {"size", "counts", "bbox", "area", "predicted_iou", "stability_score", "crop_box", "point"} with COCO's text;
        an image that failed has an error and no masks."""
        batch: List[Tuple[str, Any]] = []
        for key, data in samples:
            image: Any
            try:
                image = read_image(bytes(data), name=key)
            except OF_THE_RUN:
                raise
            except Error as failure:
                image = str(failure)
            batch.append((key, image))
            if len(batch) == self.batch_size:
                yield from self._batch(batch)
                batch = []
        yield from self._batch(batch)

    def _batch(self, batch: List[Tuple[str, Any]]) -> Iterator[Dict[str, Any]]:
        arrays = [image for _, image in batch if not isinstance(image, str)]
        found = iter(self._masks(arrays))
        for key, image in batch:
            if isinstance(image, str):
                yield record_of(key, (0, 0), image)
            else:
                yield record_of(key, image.shape[:2], next(found))

    def _masks(self, arrays: List[Any]) -> List[Union[Masks, str]]:
        """A failure of several is looked for in each of them."""
        try:
            return list(self.session().auto(arrays, **self.options))
        except OF_THE_RUN:
            raise
        except Error as failure:
            if len(arrays) == 1:
                return [str(failure)]
        return [self._masks([array])[0] for array in arrays]

    def close(self) -> None:
        """Gives back what this process holds."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[2].close()
            self._opened[1].close()
        self._opened = None


def _make(kind: Any, arguments: Dict[str, Any]) -> Any:
    return kind(**arguments)


def record_of(key: str, size: Sequence[int], masks: Union[Masks, str]) -> Dict[str, Any]:
    """One image as plain values."""
    error, found = (masks, Masks()) if isinstance(masks, str) else (None, masks)
    return {
        "key": key,
        "height": size[0],
        "width": size[1],
        "error": error,
        "masks": [
            {
                "size": list(mask.size),
                "counts": mask.counts.decode("ascii"),
                "bbox": list(mask.bbox),
                "area": mask.area,
                "predicted_iou": mask.predicted_iou,
                "stability_score": mask.stability_score,
                "crop_box": list(mask.crop_box),
                "point": list(mask.point),
            }
            for mask in found
        ],
    }


def sa1b_of(record: Dict[str, Any], file_name: str) -> bytes:
    """A record as SA-1B's JSON, for WebDatasets."""
    image = {"width": record["width"], "height": record["height"], "file_name": file_name}
    annotations = [
        {
            "id": i + 1,
            "segmentation": {"size": mask["size"], "counts": mask["counts"]},
            **{name: mask[name] for name in ("bbox", "area", "predicted_iou", "stability_score", "crop_box")},
            "point_coords": [mask["point"]],
        }
        for i, mask in enumerate(record["masks"])
    ]
    failed = {"error": record["error"]} if record["error"] is not None else {}
    return json.dumps({"image": {**image, **failed}, "annotations": annotations}).encode()
