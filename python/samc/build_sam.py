"""sam_model_registry and the model object of segment_anything, on samc's models."""

from __future__ import annotations

import json
import sys
from types import SimpleNamespace
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import numpy as np

from ._errors import Mismatch
from ._model import Model, load, split_device
from .utils.transforms import ResizeLongestSide


def torch_or_none() -> Any:
    """PyTorch where the program has imported it. Whoever did not is given NumPy's arrays."""
    return sys.modules.get("torch")


def to_numpy(values: Any) -> np.ndarray:
    return values.detach().cpu().numpy() if hasattr(values, "detach") else np.asarray(values)


def resize_map(maps: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """float32 [..., h, w] -> [..., *size], bilinear without corner alignment or antialiasing, as PyTorch."""
    for axis, new in ((-1, size[1]), (-2, size[0])):
        old = maps.shape[axis]
        at = np.maximum(
            (np.arange(new, dtype=np.float32) + np.float32(0.5)) * np.float32(old / new) - np.float32(0.5), 0
        )
        low = at.astype(np.int64)
        part = (at - low).astype(np.float32)
        high = np.minimum(low + 1, old - 1)
        if axis == -2:
            part = part[:, None]
        maps = np.take(maps, low, axis) * (1 - part) + np.take(maps, high, axis) * part
    return maps


class Sam:
    """A model with the attributes of segment_anything's that its callers read.

    image_encoder.img_size, prompt_encoder.embed_dim, .image_embedding_size and .input_image_size,
    mask_decoder.num_multimask_outputs, pixel_mean and pixel_std, mask_threshold, image_format, device. `model` is the
    samc.Model below it. Tensors are given on `device`, the CPU until .to() says another; the work is done where the
    model was opened, by default on the fastest that the machine has.
    """

    image_format = "RGB"
    training = False

    def __init__(self, model: Union[Model, str, Any, None] = None, **options: Any) -> None:
        self.model = model if isinstance(model, Model) else load(model, **options)
        info = self.model.info
        self._device = "cpu"
        self.mask_threshold = float(info.mask_threshold)
        self.image_encoder = SimpleNamespace(img_size=info.image_size)
        self.prompt_encoder = SimpleNamespace(
            embed_dim=info.embed_channels,
            image_embedding_size=(info.grid, info.grid),
            input_image_size=(info.image_size, info.image_size),
            mask_input_size=(info.low_res, info.low_res),
        )
        self.mask_decoder = SimpleNamespace(num_multimask_outputs=info.multimask_outputs)
        self._recipe = json.loads(info.recipe_fields)

    def _tensor(self, name: str) -> Any:
        values = np.array(self._recipe[name], np.float32).reshape(-1, 1, 1)
        return self.give(values)

    @property
    def pixel_mean(self) -> Any:
        return self._tensor("pixel_mean")

    @property
    def pixel_std(self) -> Any:
        return self._tensor("pixel_std")

    @property
    def device(self) -> Any:
        """A torch.device where the program has imported torch, else its name."""
        torch = torch_or_none()
        return self._device if torch is None else torch.device(self._device)

    def give(self, values: np.ndarray) -> Any:
        """An array as what the program works with: a tensor on the device, or the array."""
        torch = torch_or_none()
        return values if torch is None else torch.from_numpy(values).to(self._device)

    def to(self, device: Any = None, *_: Any, **__: Any) -> "Sam":
        """Moves to "cpu", "cuda", "cuda:1" or a torch.device: the model is opened again where it is elsewhere. Sessions
        and predictors that exist stay where they are. Raises NoDevice where there is no such GPU."""
        if device is None:
            return self
        name = f"cuda:{device}" if isinstance(device, int) else str(device)
        kind, number = name.partition(":")[::2]
        if kind not in ("cpu", "cuda"):
            raise ValueError(f"device must be 'cpu', 'cuda' or 'cuda:N', not {name!r}")
        there = split_device(self.model.options["device"])[1]
        is_cuda = self.model.info.backend == "cuda"
        if (kind == "cuda" and not (is_cuda and there == int(number or 0))) or (kind == "cpu" and is_cuda):
            self.model = Model(self.model.path, **{**self.model.options, "device": name, "backend": None})
        self._device = name
        return self

    def cuda(self, device: Optional[int] = None) -> "Sam":
        return self.to("cuda" if device is None else device)

    def cpu(self) -> "Sam":
        return self.to("cpu")

    def eval(self) -> "Sam":
        return self

    def train(self, mode: bool = True) -> "Sam":
        if mode:
            raise NotImplementedError("samc does not train models")
        return self

    def requires_grad_(self, requires_grad: bool = True) -> "Sam":
        return self.train(requires_grad)

    def __getstate__(self) -> Dict[str, Any]:
        return {"model": self.model, "device": self._device}

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__init__(state["model"])  # type: ignore[misc]
        self._device = state["device"]

    def __repr__(self) -> str:
        return f"Sam({self.model!r})"

    def input_size(self, original_size: Tuple[int, int]) -> Tuple[int, int]:
        """Height and width of an image of original_size within the encoder's input."""
        side = self.image_encoder.img_size
        if self._recipe["preprocess"].get("resize") == "squash":
            return side, side
        return ResizeLongestSide.get_preprocess_shape(original_size[0], original_size[1], side)

    def preprocess(self, x: Any) -> Any:
        """[..., 3, h, w] in 8-bit units -> normalised and padded with zeros to the encoder's square; tensors or arrays.
        Models with a recipe of their own may do otherwise in C."""
        values = (
            to_numpy(x).astype(np.float32) - np.array(self._recipe["pixel_mean"], np.float32).reshape(-1, 1, 1)
        ) / (np.array(self._recipe["pixel_std"], np.float32).reshape(-1, 1, 1))
        side = self.image_encoder.img_size
        pad = [(0, 0)] * (values.ndim - 2) + [(0, side - values.shape[-2]), (0, side - values.shape[-1])]
        return self.give(np.pad(values, pad))

    def postprocess_masks(self, masks: Any, input_size: Tuple[int, ...], original_size: Tuple[int, ...]) -> Any:
        """Low-resolution logits [..., low_res, low_res] -> logits [..., *original_size]: up to the square, cut to
        input_size, and to the image; tensors by PyTorch, arrays in NumPy."""
        side = self.image_encoder.img_size
        if hasattr(masks, "detach"):
            from torch.nn import functional

            masks = functional.interpolate(masks, (side, side), mode="bilinear", align_corners=False)
            masks = masks[..., : input_size[0], : input_size[1]]
            return functional.interpolate(masks, tuple(original_size), mode="bilinear", align_corners=False)
        square = resize_map(np.asarray(masks, np.float32), (side, side))
        return resize_map(square[..., : input_size[0], : input_size[1]], (original_size[0], original_size[1]))

    def forward(self, batched_input: List[Dict[str, Any]], multimask_output: bool) -> List[Dict[str, Any]]:
        """Masks for images and prompts at once. Each input: image (3 x h x w, already resized), original_size, and
        point_coords (b x n x 2, resized likewise) with point_labels, boxes (b x 4), mask_inputs (b x 1 x h x w).
        Each output: masks (b x c x H x W bool), iou_predictions (b x c), low_res_logits (b x c x h x w)."""
        from .predictor import SamPredictor

        outputs = []
        with self.model.session() as session:
            for record in batched_input:
                predictor = SamPredictor(self, session)
                predictor.set_torch_image(record["image"][None], record["original_size"])
                masks, iou, logits = predictor.predict_torch(
                    record.get("point_coords"),
                    record.get("point_labels"),
                    record.get("boxes"),
                    record.get("mask_inputs"),
                    multimask_output=multimask_output,
                )
                outputs.append({"masks": masks, "iou_predictions": iou, "low_res_logits": logits})
        return outputs

    __call__ = forward


SIZES = {"vit_h": (1280, 32), "vit_l": (1024, 24), "vit_b": (768, 12)}  # channels and blocks of the encoder


def _builder(kind: str) -> Callable[..., Sam]:
    def build(checkpoint: Any = None, **options: Any) -> Sam:
        if checkpoint is None:
            raise ValueError("samc has no random weights: pass checkpoint=, a file or a folder")
        model = load(checkpoint, **options)
        is_size = (model.info.encoder_dim, model.info.encoder_depth)
        if is_size != SIZES[kind]:
            model.close()
            raise Mismatch(
                f"{model.path}: not a {kind} checkpoint: its encoder has {is_size[0]} channels and {is_size[1]} blocks"
            )
        return Sam(model)

    build.__name__ = build.__qualname__ = f"build_sam_{kind}"
    build.__doc__ = (
        f"The {kind} model from a checkpoint; options are samc.load()'s. Mismatch (a RuntimeError, as PyTorch's) where "
        "the file is of another size, FileNotFoundError where there is none."
    )
    return build


def build_sam_any(checkpoint: Any = None, **options: Any) -> Sam:
    """A model of whatever family samc reads; None: the one that comes with samc."""
    return Sam(load(checkpoint, **options))


build_sam_vit_h, build_sam_vit_l, build_sam_vit_b = _builder("vit_h"), _builder("vit_l"), _builder("vit_b")
build_sam = build_sam_vit_h

sam_model_registry: Dict[str, Callable[..., Sam]] = {
    "default": build_sam,
    "vit_h": build_sam,
    "vit_l": build_sam_vit_l,
    "vit_b": build_sam_vit_b,
    "any": build_sam_any,  # beyond the original's
}
