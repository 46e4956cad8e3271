"""The original implementation as reference, segment_anything 1.0 or mobilesam-mirror 1.0.0 in PyTorch, in single and in
double precision.

Nothing of either is changed for the reference values (fp32). The fp64 run only measures how far rounding
alone moves the fp32 values: the noise floor under every gate.
"""

import copy
import json
import struct
import types
from dataclasses import dataclass

import numpy as np
import sam2_models
import torch

from calibrate import predictor_of

# The gates of a comparison: mean squared error over the reference's variance, largest error over its deviation.
GATE_NMSE, GATE_MAX = 1e-10, 1e-4
# Full-size masks may differ where the reference's logit is this close to the threshold, in deviations of the low-res
# logits.
NEAR = 1e-4


@dataclass
class Prompts:
    """Prompts of one kind for one image, in pixels of the image."""

    points: np.ndarray = None  # [P, N, 2]
    labels: np.ndarray = None  # [P, N]
    boxes: np.ndarray = None  # [P, 4]
    mask_input: np.ndarray = None  # [P, low_res, low_res]

    @property
    def count(self):
        return next(len(a) for a in (self.points, self.boxes, self.mask_input) if a is not None)


def in_double(sam):
    """A copy of the model in fp64. The position encoding, which the original computes in fp32 whatever its weights are,
    is replaced by the same formula in fp64."""
    sam = copy.deepcopy(sam).double()
    sam.image_encoder.register_forward_pre_hook(lambda module, inputs: tuple(x.double() for x in inputs))
    pe = (sam.sam_prompt_encoder if type(sam).__name__ == "SAM2Base" else sam.prompt_encoder).pe_layer

    def encode(self, coords):
        angle = 2 * np.pi * ((2 * coords.double() - 1) @ self.positional_encoding_gaussian_matrix)
        return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)

    def forward(self, size):
        y, x = ((torch.arange(n).double() + 0.5) / n for n in size)
        return self._pe_encoding(torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)).permute(2, 0, 1)

    def forward_with_coords(self, coords, image_size):
        return self._pe_encoding(coords.double() / torch.tensor([image_size[1], image_size[0]]).double())

    for function, name in (
        (encode, "_pe_encoding"),
        (forward, "forward"),
        (forward_with_coords, "forward_with_coords"),
    ):
        setattr(pe, name, types.MethodType(function, pe))
    return sam


def encode(sam, rgb):
    """A predictor with its image set."""
    if type(sam).__name__ == "SAM2Base":
        return sam2_models.encode(sam, rgb)
    predictor = predictor_of(sam)
    predictor.set_image(rgb)
    return predictor


def predict(predictor, prompts, multimask, **options):
    """Low-res logits [P, M, low, low], IoU [P, M] and full-size logits [P, M, h, w], as SamPredictor.predict() computes
    them.
    """
    if type(predictor).__name__ == "SAM2ImagePredictor":
        return sam2_models.predict(predictor, prompts, multimask)
    dtype = predictor.features.dtype
    as_tensor = lambda a: None if a is None else torch.as_tensor(a, dtype=dtype)
    size = predictor.original_size
    points = None if prompts.points is None else predictor.transform.apply_coords(prompts.points, size)
    boxes = None if prompts.boxes is None else predictor.transform.apply_boxes(prompts.boxes, size)
    mask_input = None if prompts.mask_input is None else as_tensor(prompts.mask_input)[:, None]
    labels = None if prompts.labels is None else torch.as_tensor(prompts.labels, dtype=torch.int)
    full, iou, low = predictor.predict_torch(
        as_tensor(points), labels, as_tensor(boxes), mask_input, multimask, return_logits=True, **options
    )
    return low.numpy(), iou.numpy(), full.numpy()


def errors(reference, value, deviation=None):
    """(NMSE, largest error / deviation); the deviation is that of the reference unless it is given."""
    reference, value = np.asarray(reference, np.float64), np.asarray(value, np.float64)
    if reference.shape != value.shape or not np.isfinite(value).all():
        return float("inf"), float("inf")
    deviation = reference.std() if deviation is None else deviation
    difference = (value - reference) / deviation
    return float((difference**2).mean()), float(np.abs(difference).max())


def save_safetensors(path, tensors, metadata):
    """Writes f32 and u8 arrays as safetensors; the u8 ones last, so that every f32 is aligned."""
    header, offset = {"__metadata__": metadata}, 0
    arrays = {
        name: np.ascontiguousarray(a, np.uint8 if a.dtype == np.uint8 else np.float32) for name, a in tensors.items()
    }
    arrays = dict(sorted(arrays.items(), key=lambda item: item[1].dtype == np.uint8))
    for name, a in arrays.items():
        dtype = "U8" if a.dtype == np.uint8 else "F32"
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in arrays.values():
            f.write(a.tobytes())
