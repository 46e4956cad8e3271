"""samc: the Segment Anything Model as an inference engine, from Python.

    import samc

    with samc.load() as model, model.session() as session:       # or load("sam_vit_b_01ec64.pth"), load(FOLDER)
        session.set_image("cat.jpg")                              # or an array, a tensor, a Pillow image, bytes
        mask = session.predict([[210, 140]]).mask()               # the best one of a click
        print(mask.area, mask.predicted_iou, mask.array().shape)

Programs written for segment_anything change their import: `from samc import sam_model_registry, SamPredictor,
SamAutomaticMaskGenerator`. Archives: samc.auto(). Phrases: samc.Detector and samc.text(). COCO's run lengths:
samc.mask. The command line: python -m samc.
"""

from __future__ import annotations

from . import mask
from ._abi import VERSION as __version__
from ._archive import AutoRun, auto
from ._errors import (
    Error,
    InternalError,
    InvalidArgument,
    MalformedFile,
    Mismatch,
    ModelDiverged,
    NoDevice,
    NoImage,
    NotFinite,
    OutOfMemory,
    ReadWriteError,
    Stopped,
    Unsupported,
)
from ._masks import Mask, Masks
from ._model import Machine, Model, ModelInfo, convert, default_model, load
from ._pipeline import MaskGenerationPipeline, pipeline
from ._pixels import as_array, read_image, scale
from ._session import Memory, Prompt, Result, Session
from ._stream import Frame, stream
from ._text import Detection, Detector, DetectorInfo, Phrases, Scene, label, text
from .automatic_mask_generator import SamAutomaticMaskGenerator
from .build_sam import Sam, build_sam, build_sam_vit_b, build_sam_vit_h, build_sam_vit_l, sam_model_registry
from .predictor import SamPredictor
from .sam2 import SAM2AutomaticMaskGenerator, SAM2ImagePredictor
from .utils.transforms import ResizeLongestSide

__all__ = [
    "AutoRun",
    "Detection",
    "Detector",
    "DetectorInfo",
    "Error",
    "Frame",
    "InternalError",
    "InvalidArgument",
    "Machine",
    "MalformedFile",
    "Mask",
    "MaskGenerationPipeline",
    "Masks",
    "Memory",
    "Mismatch",
    "Model",
    "ModelDiverged",
    "ModelInfo",
    "NoDevice",
    "NoImage",
    "NotFinite",
    "OutOfMemory",
    "Phrases",
    "Prompt",
    "ReadWriteError",
    "ResizeLongestSide",
    "Result",
    "SAM2AutomaticMaskGenerator",
    "SAM2ImagePredictor",
    "Sam",
    "SamAutomaticMaskGenerator",
    "SamPredictor",
    "Scene",
    "Session",
    "Stopped",
    "Unsupported",
    "as_array",
    "auto",
    "build_sam",
    "build_sam_vit_b",
    "build_sam_vit_h",
    "build_sam_vit_l",
    "convert",
    "default_model",
    "label",
    "load",
    "mask",
    "pipeline",
    "read_image",
    "scale",
    "sam_model_registry",
    "stream",
    "text",
]
