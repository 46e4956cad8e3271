"""SamAutomaticMaskGenerator of segment_anything on samc's automatic masks."""

from __future__ import annotations

import ctypes
from typing import Any, Dict, Iterable, Iterator, List, Optional, Union

import numpy as np

from ._masks import MODES, Masks
from ._model import Model
from ._native import check, lib, new_error
from ._pixels import as_array
from .build_sam import Sam
from .predictor import SamPredictor


def build_point_grid(n_per_side: int) -> np.ndarray:
    """n * n points (x, y), evenly spaced within [0, 1], rows first."""
    offset = 1 / (2 * n_per_side)
    side = np.linspace(offset, 1 - offset, n_per_side)
    x, y = np.meshgrid(side, side)
    return np.stack([x, y], axis=-1).reshape(-1, 2)


def build_all_layer_point_grids(n_per_side: int, n_layers: int, scale_per_layer: int) -> List[np.ndarray]:
    """A grid for the image and one for each layer of crops."""
    return [build_point_grid(int(n_per_side / scale_per_layer**layer)) for layer in range(n_layers + 1)]


class SamAutomaticMaskGenerator:
    """Every mask of an image: a grid of points, filtered by predicted IoU, stability, crop edges and overlap. The
    arguments are the original's, and may be changed as attributes; points_per_batch never changes a result, and 64, its
    default, leaves it to the library how many points go together. Also a context manager."""

    def __init__(
        self,
        model: Union[Sam, Model],
        points_per_side: Optional[int] = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Optional[List[np.ndarray]] = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
    ) -> None:
        assert (points_per_side is None) != (
            point_grids is None
        ), "Exactly one of points_per_side or point_grid must be provided."
        if points_per_side is not None:
            self.point_grids = build_all_layer_point_grids(
                points_per_side, crop_n_layers, crop_n_points_downscale_factor
            )
        else:
            assert point_grids is not None
            self.point_grids = point_grids
        assert output_mode in MODES, f"Unknown output_mode {output_mode}."
        self.predictor = SamPredictor(model)
        self.points_per_batch = points_per_batch
        self.pred_iou_thresh = pred_iou_thresh
        self.stability_score_thresh = stability_score_thresh
        self.stability_score_offset = stability_score_offset
        self.box_nms_thresh = box_nms_thresh
        self.crop_n_layers = crop_n_layers
        self.crop_nms_thresh = crop_nms_thresh
        self.crop_overlap_ratio = crop_overlap_ratio
        self.crop_n_points_downscale_factor = crop_n_points_downscale_factor
        self.min_mask_region_area = min_mask_region_area
        self.output_mode = output_mode

    def options(self) -> Dict[str, Any]:
        """What Session.auto() is told."""
        return {
            "point_grids": self.point_grids,
            "points_per_batch": 0 if self.points_per_batch == 64 else self.points_per_batch,
            "pred_iou_thresh": self.pred_iou_thresh,
            "stability_score_thresh": self.stability_score_thresh,
            "stability_score_offset": self.stability_score_offset,
            "box_nms_thresh": self.box_nms_thresh,
            "crop_n_layers": self.crop_n_layers,
            "crop_nms_thresh": self.crop_nms_thresh,
            "crop_overlap_ratio": self.crop_overlap_ratio,
            "crop_n_points_downscale_factor": self.crop_n_points_downscale_factor,
            "min_mask_region_area": self.min_mask_region_area,
        }

    def generate(self, image: np.ndarray) -> List[Dict[str, Any]]:
        """The masks of an image, uint8 H x W x 3 RGB, as records:

        segmentation     bool H x W; {"size", "counts"} with numbers ("uncompressed_rle") or text ("coco_rle")
        area             pixels
        bbox             x, y, width, height
        predicted_iou, stability_score
        point_coords     [[x, y]] that was tried
        crop_box         x, y, width, height of what the model saw
        """
        return next(self._records([image]))

    def generate_batch(self, images: Iterable[Any], batch_size: Optional[int] = None) -> List[List[Dict[str, Any]]]:
        """generate() for many images, which are encoded `batch_size` (4, on a GPU 16) at a time: the same records, an
        element for each image, which may be of different sizes."""
        return list(self.iterate(images, batch_size))

    def iterate(self, images: Iterable[Any], batch_size: Optional[int] = None) -> Iterator[List[Dict[str, Any]]]:
        """generate_batch() for any number of images: takes them, and gives records, as it goes."""
        size = batch_size or (16 if self.predictor.model.model.info.backend == "cuda" else 4)
        if size < 1:
            raise ValueError(f"batch_size must be positive, not {size}")
        batch: List[Any] = []
        for image in images:
            batch.append(image)
            if len(batch) == size:
                yield from self._records(batch)
                batch = []
        if batch:
            yield from self._records(batch)

    def generate_masks(self, image: Any) -> Masks:
        """generate() as samc.Masks, which give arrays, run lengths, polygons, a label map, supervision.Detections."""
        self.predictor.reset_image()
        return self.predictor.session.auto([image], **self.options())[0]

    def _records(self, images: List[Any]) -> Iterator[List[Dict[str, Any]]]:
        arrays = [as_array(image) for image in images]
        records: List[List[Dict[str, Any]]] = []

        def take(_: int, masks: List[Any], __: Dict[str, Any]) -> None:
            records.append([record_of(raw, self.output_mode) for raw in masks])

        self.predictor.reset_image()
        self.predictor.session.auto_raw(arrays, self.options(), take)
        return iter(records)

    def close(self) -> None:
        """Gives back what the session holds."""
        self.predictor.close()

    def __enter__(self) -> "SamAutomaticMaskGenerator":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def record_of(raw: Any, mode: str) -> Dict[str, Any]:
    """A samc_mask as the original's record, its bytes written where they stay."""
    error = new_error()
    size = [raw.height, raw.width]
    segmentation: Any
    if mode == "binary_mask":
        segmentation = np.empty(size, bool)
        check(lib.samc_mask_bytes(ctypes.byref(raw), segmentation.ctypes.data, ctypes.byref(error)), error)
    elif mode == "uncompressed_rle":
        counts = np.empty(raw.count_length, np.uint32)
        check(lib.samc_mask_counts(ctypes.byref(raw), counts.ctypes.data, ctypes.byref(error)), error)
        segmentation = {"size": size, "counts": counts.tolist()}
    else:
        text = ctypes.create_string_buffer(raw.rle_length + 1)
        check(lib.samc_mask_rle(ctypes.byref(raw), text, ctypes.byref(error)), error)
        segmentation = {"size": size, "counts": text.value.decode("ascii")}
    return {
        "segmentation": segmentation,
        "area": raw.area,
        "bbox": list(raw.bbox),
        "predicted_iou": raw.predicted_iou,
        "point_coords": [list(raw.point)],
        "stability_score": raw.stability_score,
        "crop_box": list(raw.crop_box),
    }
