"""SAM2ImagePredictor and SAM2AutomaticMaskGenerator of sam2 on samc's sessions: a program written for sam2 changes its
import, and opens the model by samc.load("sam2.1_hiera_tiny.pt") in place of build_sam2().

Images alone: sam2's video predictor is not here. Logits in the size of the image (return_logits) are made of logits
within 32, which is where low-resolution ones are given out too.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ._model import Model, load
from ._pixels import as_array
from ._session import Prompt, Session
from .automatic_mask_generator import SamAutomaticMaskGenerator
from .build_sam import Sam, resize_map, to_numpy

NOT_SET = "An image must be set with .set_image(...) before mask prediction."


class SAM2ImagePredictor:
    """Encodes an image, or several, once, and answers as many prompts about them as wanted. Also a context manager.

    mask_threshold          the logit above which a pixel belongs to the mask; where given, 0 otherwise
    max_hole_area, max_sprinkle_area   0, as without a GPU there: SAM2AutomaticMaskGenerator has them
    """

    def __init__(
        self,
        sam_model: Union[Sam, Model, str],
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        **_: Any,
    ) -> None:
        if max_hole_area > 0 or max_sprinkle_area > 0:
            raise ValueError("small regions are filled by SAM2AutomaticMaskGenerator alone, by min_mask_region_area")
        model = sam_model.model if isinstance(sam_model, Sam) else sam_model
        self.model: Model = load(model) if isinstance(model, str) else model
        self.mask_threshold = mask_threshold
        self._session: Optional[Session] = None
        self.reset_predictor()

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> "SAM2ImagePredictor":
        """A model by its file or folder."""
        return cls(load(model_id), **kwargs)

    @property
    def session(self) -> Session:
        """The samc.Session below it."""
        if self._session is None:
            self._session = self.model.session()
        return self._session

    def set_image(self, image: Any) -> None:
        """Encodes an image, uint8 H x W x 3 RGB or a Pillow image; whatever samc.as_array() takes."""
        self.reset_predictor()
        pixels = as_array(image)
        self.session.set_image(pixels)
        self._sizes: List[Tuple[int, int]] = [(int(pixels.shape[0]), int(pixels.shape[1]))]

    def set_image_batch(self, image_list: Sequence[Any]) -> None:
        """Encodes several images, for predict_batch()."""
        assert isinstance(image_list, list)
        self.reset_predictor()
        arrays = [as_array(image) for image in image_list]
        self.session.set_images(arrays)
        self._sizes = [(int(pixels.shape[0]), int(pixels.shape[1])) for pixels in arrays]
        self._is_batch = True

    def predict(
        self,
        point_coords: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks for one prompt on the image: bool C x H x W (float32 logits where asked for), their predicted IoU C,
        and logits of low resolution C x h x w. With points B x N x 2, labels B x N or boxes B x 4 of several prompts
        the results are B x C x ... each. Coordinates are pixels, or without normalize_coords parts of 1."""
        if not self._sizes:
            raise RuntimeError(NOT_SET)
        return self._predict(
            0, point_coords, point_labels, box, mask_input, multimask_output, return_logits, normalize_coords
        )

    def predict_batch(
        self,
        point_coords_batch: Optional[List[Any]] = None,
        point_labels_batch: Optional[List[Any]] = None,
        box_batch: Optional[List[Any]] = None,
        mask_input_batch: Optional[List[Any]] = None,
        multimask_output: bool = True,
        return_logits: bool = False,
        normalize_coords: bool = True,
    ) -> Tuple[List[np.ndarray], List[np.ndarray], List[np.ndarray]]:
        """predict() for each image of set_image_batch(): lists of masks, IoU and logits."""
        assert self._is_batch, "This function should only be used when in batched mode"
        batches = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        found: Tuple[List[np.ndarray], ...] = ([], [], [])
        for i in range(len(self._sizes)):
            points, labels, box, mask = (None if batch is None else batch[i] for batch in batches)
            results = self._predict(i, points, labels, box, mask, multimask_output, return_logits, normalize_coords)
            for part, result in zip(found, results):
                part.append(result)
        return found[0], found[1], found[2]

    def _predict(
        self,
        index: int,
        point_coords: Any,
        point_labels: Any,
        box: Any,
        mask_input: Any,
        multimask: bool,
        return_logits: bool,
        normalize_coords: bool,
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        height, width = self._sizes[index]
        scale = np.array([1, 1] if normalize_coords else [width, height], np.float32)
        points = labels = boxes = masks = None
        if point_coords is not None:
            assert point_labels is not None, "point_labels must be supplied if point_coords is supplied."
            points = np.asarray(to_numpy(point_coords), np.float32) * scale
            labels = np.asarray(to_numpy(point_labels))
            if points.ndim == 2:
                points, labels = points[None], labels[None]
        if box is not None:
            boxes = (np.asarray(to_numpy(box), np.float32).reshape(-1, 2, 2) * scale).reshape(-1, 4)
        if mask_input is not None:
            masks = np.asarray(to_numpy(mask_input), np.float32)
            masks = masks.reshape(-1, *masks.shape[-2:])
        given = [values for values in (points, boxes, masks) if values is not None]
        count = max([len(values) for values in given], default=0)
        if count == 0 or any(len(values) not in (1, count) for values in given):
            raise ValueError(f"prompts of different numbers, or none: {[len(values) for values in given]}")

        def one(values: Optional[np.ndarray], i: int) -> Any:
            return None if values is None else values[i if len(values) > 1 else 0]

        prompts = [Prompt(one(points, i), one(labels, i), one(boxes, i), one(masks, i), index) for i in range(count)]
        result = self.session.predict_many(prompts, multimask=multimask)
        logits, iou = np.array(result.logits), np.array(result.iou)
        full: np.ndarray
        if return_logits or self.mask_threshold != self.model.info.mask_threshold:
            full = resize_map(logits, (height, width))
            full = full if return_logits else full > self.mask_threshold
        else:
            full = result.arrays()
        return (full[0], iou[0], logits[0]) if count == 1 else (full, iou, logits)

    def get_image_embedding(self) -> np.ndarray:
        """The embedding of the image, 1 x channels x grid x grid."""
        if not self._sizes:
            raise RuntimeError("An image must be set with .set_image(...) to generate an embedding.")
        return self.session.embedding()[None]

    @property
    def device(self) -> str:
        return self.model.info.backend

    def reset_predictor(self) -> None:
        """Forgets the images."""
        self._sizes = []
        self._is_batch = False

    def close(self) -> None:
        """Gives back what the session holds."""
        self.reset_predictor()
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> "SAM2ImagePredictor":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class SAM2AutomaticMaskGenerator(SamAutomaticMaskGenerator):
    """Every mask of an image by SAM 2, under the original's arguments: its own threshold of predicted IoU, `use_m2m`,
    `multimask_output`; min_mask_region_area fills small holes and removes small islands in the low-resolution logits.
    mask_threshold has to be the model's."""

    def __init__(
        self,
        model: Union[Sam, Model, str],
        points_per_side: Optional[int] = 32,
        points_per_batch: int = 64,
        pred_iou_thresh: float = 0.8,
        stability_score_thresh: float = 0.95,
        stability_score_offset: float = 1.0,
        mask_threshold: float = 0.0,
        box_nms_thresh: float = 0.7,
        crop_n_layers: int = 0,
        crop_nms_thresh: float = 0.7,
        crop_overlap_ratio: float = 512 / 1500,
        crop_n_points_downscale_factor: int = 1,
        point_grids: Optional[List[np.ndarray]] = None,
        min_mask_region_area: int = 0,
        output_mode: str = "binary_mask",
        use_m2m: bool = False,
        multimask_output: bool = True,
        **_: Any,
    ) -> None:
        super().__init__(
            load(model) if isinstance(model, str) else model,
            points_per_side,
            points_per_batch,
            pred_iou_thresh,
            stability_score_thresh,
            stability_score_offset,
            box_nms_thresh,
            crop_n_layers,
            crop_nms_thresh,
            crop_overlap_ratio,
            crop_n_points_downscale_factor,
            point_grids,
            min_mask_region_area,
            output_mode,
        )
        own = self.predictor.model.model.info.mask_threshold
        if mask_threshold != own:
            raise ValueError(f"the model's threshold is {own}; load it with settings for another")
        self.use_m2m, self.multimask_output = use_m2m, multimask_output

    @classmethod
    def from_pretrained(cls, model_id: str, **kwargs: Any) -> "SAM2AutomaticMaskGenerator":
        """A model by its file or folder."""
        return cls(load(model_id), **kwargs)

    def options(self) -> Dict[str, Any]:
        return {**super().options(), "use_m2m": self.use_m2m, "multimask_output": self.multimask_output}


__all__ = ["SAM2AutomaticMaskGenerator", "SAM2ImagePredictor"]
