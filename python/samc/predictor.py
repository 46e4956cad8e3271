"""SamPredictor of segment_anything on samc's sessions."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union

import numpy as np

from ._model import Model
from ._pixels import as_array
from ._session import Prompt, Session
from .build_sam import Sam, to_numpy
from .utils.transforms import ResizeLongestSide

NOT_SET = "An image must be set with .set_image(...) before mask prediction."


class SamPredictor:
    """Encodes an image once, and answers as many prompts about it as wanted. Also a context manager.

    original_size, input_size   (height, width) of the image, and of it within the encoder's input
    features                    the embedding, 1 x channels x grid x grid; may be set, with the sizes and is_image_set
    is_image_set, model, transform, device
    """

    def __init__(self, sam_model: Union[Sam, Model], session: Optional[Session] = None) -> None:
        self.model = sam_model if isinstance(sam_model, Sam) else Sam(sam_model)
        self.transform = ResizeLongestSide(self.model.image_encoder.img_size)
        self._session = session
        self._of_model = self.model.model
        self.reset_image()

    @property
    def session(self) -> Session:
        """The samc.Session below it, on the model as it is now."""
        if self._session is None or self._of_model is not self.model.model:
            self._session, self._of_model = self.model.model.session(), self.model.model
        return self._session

    def set_image(self, image: np.ndarray, image_format: str = "RGB") -> None:
        """Encodes an image, uint8 H x W x 3 with values of 0 to 255, in "RGB" or "BGR" order. Beside NumPy's arrays it
        takes whatever samc.as_array() does."""
        assert image_format in ["RGB", "BGR"], f"image_format must be in ['RGB', 'BGR'], is {image_format}."
        pixels = as_array(image)
        if image_format != self.model.image_format:
            pixels = pixels[..., ::-1]
        self.reset_image()
        self.session.set_image(pixels)
        self._is_set(pixels.shape[:2])

    def _is_set(self, original_size: Tuple[int, ...]) -> None:
        self.original_size: Any = (int(original_size[0]), int(original_size[1]))
        self.input_size: Any = self.model.input_size(self.original_size)
        self._features: Any = None
        self._own = True
        self.is_image_set = True

    def set_torch_image(self, transformed_image: Any, original_image_size: Tuple[int, ...]) -> None:
        """Encodes an image that was resized already: 1 x 3 x H x W with the longest side the model's, values of 0 to
        255, which are rounded to bytes. original_image_size: its height and width before."""
        side = self.model.image_encoder.img_size
        assert (
            len(transformed_image.shape) == 4
            and transformed_image.shape[1] == 3
            and max(*transformed_image.shape[2:]) == side
        ), f"set_torch_image input must be BCHW with long side {side}."
        if transformed_image.shape[0] != 1:
            raise ValueError(f"one image at a time, not {transformed_image.shape[0]}")
        size = (int(original_image_size[0]), int(original_image_size[1]))
        if tuple(transformed_image.shape[-2:]) != tuple(self.model.input_size(size)):
            raise ValueError(
                f"an image of {list(size)} resized to {list(transformed_image.shape[-2:])}, "
                f"which ResizeLongestSide makes {list(self.model.input_size(size))}"
            )
        pixels = to_numpy(transformed_image)[0].transpose(1, 2, 0)
        if pixels.dtype != np.uint8:
            pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
        self.reset_image()
        self.session.set_image(pixels)
        self.session.set_levels(self.session.levels(), size)
        self._is_set(size)

    def predict(
        self,
        point_coords: Optional[np.ndarray] = None,
        point_labels: Optional[np.ndarray] = None,
        box: Optional[np.ndarray] = None,
        mask_input: Optional[np.ndarray] = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks for one prompt on the image.

        point_coords      N x 2, x and y in its pixels; point_labels: N, 1 on the object, 0 not on it
        box               4, x0, y0, x1, y1
        mask_input        1 x h x w logits of an earlier prediction, h = w = 256 of SAM
        multimask_output  three masks, for ambiguous prompts, or one
        return_logits     logits in place of the masks

        Returns masks, bool C x H x W (float32 logits where asked for); their predicted IoU, float32 C; and logits of
        low resolution, float32 C x h x w. RuntimeError without an image, ValueError for other shapes.
        """
        if not self.is_image_set:
            raise RuntimeError(NOT_SET)
        if point_coords is not None:
            assert point_labels is not None, "point_labels must be supplied if point_coords is supplied."
        prompt = Prompt(point_coords, point_labels if point_coords is not None else None, box, mask_input)
        masks, iou, logits = self._predict([prompt], multimask_output, return_logits)
        return masks[0], iou[0], logits[0]

    def _predict(
        self, prompts: List[Prompt], multimask: bool, return_logits: bool
    ) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks, IoU and logits [prompts, masks, ...], each the caller's own memory."""
        if not self._own:
            self.session.set_embedding(to_numpy(self._features), self.original_size)
            self._own = True
        result = self.session.predict_many(prompts, multimask=multimask)
        logits = np.array(result.logits)
        if return_logits:
            masks = self.model.postprocess_masks(logits, self.input_size, self.original_size)
        else:
            masks = result.arrays()
        return masks, np.array(result.iou), logits

    def predict_torch(
        self,
        point_coords: Any,
        point_labels: Any,
        boxes: Any = None,
        mask_input: Any = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> Tuple[Any, Any, Any]:
        """predict() for many prompts at once, in coordinates of the resized image (transform.apply_coords_torch).

        point_coords B x N x 2, point_labels B x N, boxes B x 4, mask_input B x 1 x h x w; tensors, or arrays in a
        program without PyTorch. Returns masks B x C x H x W, IoU B x C, logits B x C x h x w: tensors on `device`.
        """
        if not self.is_image_set:
            raise RuntimeError(NOT_SET)
        scale = np.array(self.original_size[::-1], np.float64) / np.array(self.input_size[::-1], np.float64)
        points = to_numpy(point_coords) * scale if point_coords is not None else None
        labels = to_numpy(point_labels) if point_coords is not None else None
        corners = (to_numpy(boxes).reshape(-1, 2, 2) * scale).reshape(-1, 4) if boxes is not None else None
        earlier = to_numpy(mask_input) if mask_input is not None else None
        given = [values for values in (points, corners, earlier) if values is not None]
        if not given:
            raise ValueError("no points, no boxes and no masks")
        count = max(len(values) for values in given)
        if any(len(values) not in (1, count) for values in given):
            raise ValueError(f"prompts of different numbers: {[len(values) for values in given]}")

        def one(values: Optional[np.ndarray], i: int) -> Any:
            return None if values is None else values[i if len(values) > 1 else 0]

        prompts = [Prompt(one(points, i), one(labels, i), one(corners, i), one(earlier, i)) for i in range(count)]
        masks, iou, logits = self._predict(prompts, multimask_output, False)
        low = self.model.give(logits)
        if return_logits:
            return self.model.postprocess_masks(low, self.input_size, self.original_size), self.model.give(iou), low
        return self.model.give(masks), self.model.give(iou), low

    @property
    def features(self) -> Any:
        if self._features is None and self.is_image_set:
            self._features = self.model.give(self.session.embedding()[None])
        return self._features

    @features.setter
    def features(self, features: Any) -> None:
        self._features, self._own = features, False

    def get_image_embedding(self) -> Any:
        """The embedding of the image, 1 x channels x grid x grid."""
        if not self.is_image_set:
            raise RuntimeError("An image must be set with .set_image(...) to generate an embedding.")
        return self.features

    @property
    def device(self) -> Any:
        return self.model.device

    def reset_image(self) -> None:
        """Forgets the image."""
        self.is_image_set = False
        self._features = None
        self._own = True
        self.orig_h = self.orig_w = self.input_h = self.input_w = None
        self.original_size = self.input_size = None

    def close(self) -> None:
        """Gives back what the session holds."""
        self.reset_image()
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> "SamPredictor":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __getstate__(self) -> Dict[str, Any]:
        state = {"model": self.model, "original_size": self.original_size, "levels": None, "features": None}
        if self.is_image_set and self._own:
            state["levels"] = self.session.levels()
        elif self.is_image_set:
            state["features"] = to_numpy(self._features)
        return state

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__init__(state["model"])  # type: ignore[misc]
        if state["original_size"] is None:
            return
        self._is_set(state["original_size"])
        if state["levels"] is not None:
            self.session.set_levels(state["levels"], self.original_size)
        else:
            self.features = self.model.give(state["features"])


__all__ = ["SamPredictor"]
