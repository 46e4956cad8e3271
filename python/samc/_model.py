"""Models: weights that any number of sessions read, on any threads."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from . import _abi
from ._native import PACKAGE, Handle, Opened, check, lib, library_folder, make, new_error, path_bytes
from ._session import Session

BACKENDS = ("auto", "ref", "cpu", "cuda")
PRECISIONS = ("auto", "f32", "f16", "bf16", "int8")
STORAGES = ("keep", "f32", "f16", "bf16", "int8")
PathLike = Union[str, "os.PathLike[str]"]


def default_model() -> str:
    """The model that comes with samc."""
    for folder in (PACKAGE / "native" / "share" / "samc", library_folder() / "share" / "samc"):
        if (folder / "samc-tiny.safetensors").exists():
            return str(folder / "samc-tiny.safetensors")
    raise FileNotFoundError(2, os.strerror(2), str(PACKAGE / "native" / "share" / "samc" / "samc-tiny.safetensors"))


def index_of(names: Tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise ValueError(f"{what} must be one of {', '.join(names)}, not {name!r}")
    return names.index(name)


class ModelInfo:
    """What a model is, samc_model_info by its own names; texts are str, backend and precision their names."""

    image_size: int
    patch_size: int
    grid: int
    encoder_dim: int
    encoder_depth: int
    encoder_heads: int
    encoder_mlp_dim: int
    window_size: int
    global_blocks: int
    embed_channels: int
    decoder_depth: int
    decoder_heads: int
    multimask_outputs: int
    low_res: int
    mask_threshold: float
    parameters: int
    file_bytes: int
    name: str
    licence: str
    card: str
    dtype: str
    backend: str
    precision: str
    backend_note: str
    file_note: str
    threads: int
    weight_bytes: int
    encode_flops: float
    encode_bytes: int
    predict_bytes: int
    device_bytes: int
    settings: str
    changed: str
    arithmetic: str
    recipe: str
    recipe_from: str
    recipe_fields: str
    boxes_only: bool
    family: str
    squash: bool
    encoder_fields: str

    def __init__(self, raw: Any) -> None:
        for field, kind in raw._fields_:
            value = getattr(raw, field)
            if kind is ctypes.c_char_p:
                value = (value or b"").decode("utf-8", "replace")
            if field != "size":
                setattr(self, field, value)
        self.backend, self.precision = BACKENDS[raw.backend], PRECISIONS[raw.precision]

    def __repr__(self) -> str:
        return "ModelInfo(" + ", ".join(f"{k}={v!r}" for k, v in vars(self).items()) + ")"


def split_device(device: Union[int, str, None, Any]) -> Tuple[Optional[str], int]:
    """A GPU's number, or a name such as "cpu", "cuda", "cuda:1", PyTorch's devices too -> backend or None, number."""
    if device is None or isinstance(device, int):
        return None, device or 0
    kind, _, number = str(device).partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise ValueError(f"device must be a number, 'cpu', 'cuda' or 'cuda:N', not {str(device)!r}")
    return kind, int(number or 0) if kind == "cuda" else 0


class Model(Opened):
    """A model that was opened. Read-only, so that it may serve any number of sessions on any threads.

    path         a .safetensors or .pth file, the index of one in several files, or Hugging Face's folder, with SAM's
                 names of tensors or transformers'; None: the model that comes with samc
    backend      "auto" (the fastest here), "ref", "cpu" or "cuda"; None: $SAMC_BACKEND, or auto
    precision    "auto" (f32 on a CPU, bf16 on a GPU), "f32", "f16" (GPUs), "bf16", "int8" (CPUs)
    threads      of the CPU; 0: one for each processor; None: $SAMC_THREADS, or 0
    device       the GPU's number, or "cpu", "cuda", "cuda:1", or a torch.device, which say the backend too
    cudnn        on a GPU: let cuDNN compute the neck's 3x3 convolution
    settings     {"name": value} or ["name=value", ...], what `samc info` lists of such models
    recipe       "sam", "medsam", "micro-sam" or FILE.json; None: what the file says
    image_size   side of the images that the encoder gets, of models whose tensors do not tell it (SAM 2,
                 EfficientViT-SAM); 0: what the file says

    Raises FileNotFoundError, MalformedFile, Unsupported, NoDevice, OutOfMemory. A context manager; close() ends it once
    its sessions are closed too. Pickled as path and options: whoever unpickles it opens the file again. In a forked
    child a model of the parent raises RuntimeError; one that is opened there works.
    """

    _kind, _hash = "model", lib.samc_model_hash

    def __init__(
        self,
        path: Optional[PathLike] = None,
        *,
        backend: Optional[str] = None,
        precision: str = "auto",
        threads: Optional[int] = None,
        device: Any = None,
        cudnn: bool = False,
        settings: Union[None, Dict[str, Any], List[str]] = None,
        recipe: Optional[PathLike] = None,
        image_size: int = 0,
    ) -> None:
        self.path = os.fspath(path) if path is not None else default_model()
        self.options: Dict[str, Any] = {
            "backend": backend,
            "precision": precision,
            "threads": threads,
            "device": device if device is None or isinstance(device, int) else str(device),
            "cudnn": cudnn,
            "settings": settings,
            "recipe": os.fspath(recipe) if recipe is not None else None,
            "image_size": image_size,
        }
        if not os.path.exists(self.path):
            raise FileNotFoundError(2, os.strerror(2), self.path)
        raw = make(_abi.samc_options)
        lib.samc_default_options(ctypes.byref(raw))
        kind, number = split_device(device)
        if backend is not None and kind is not None and backend not in ("auto", kind):
            raise ValueError(f"backend={backend!r} and device={str(device)!r} are different things")
        if kind is not None and not (kind == "cpu" and backend == "ref"):
            backend = kind
        if backend is not None:
            raw.backend = index_of(BACKENDS, backend, "backend")
        raw.precision = index_of(PRECISIONS, precision, "precision")
        if threads is not None:
            raw.threads = threads
        raw.device, raw.cudnn = number, cudnn
        raw.recipe = path_bytes(recipe) if recipe is not None else None
        raw.image_size = image_size
        stated = [f"{k}={v}" for k, v in settings.items()] if isinstance(settings, dict) else settings
        lines = [os.fsencode(line) for line in stated or ()]
        if lines:
            raw.settings = (ctypes.c_char_p * (len(lines) + 1))(*lines, None)
        pointer, error = ctypes.c_void_p(), new_error()
        check(
            lib.samc_model_open(path_bytes(self.path), ctypes.byref(raw), ctypes.byref(pointer), ctypes.byref(error)),
            error,
        )
        assert pointer.value is not None
        self._handle = Handle(pointer.value, lib.samc_model_close, self._kind)
        info = make(_abi.samc_model_info)
        lib.samc_model_get_info(pointer, ctypes.byref(info))
        self.info = ModelInfo(info)

    def session(self) -> Session:
        """A new line of work on this model."""
        return Session(self)

    def __repr__(self) -> str:
        how = self.info.arithmetic or self.info.precision
        return f"<samc.{type(self).__name__} {Path(self.path).name!r}, {self.info.backend}, {how}>"


def load(path: Optional[PathLike] = None, **options: Any) -> Model:
    """Opens a model, as samc.Model(): a file or a folder, in SAM's layout or Hugging Face's; None: the default one."""
    return Model(path, **options)


def convert(
    source: PathLike, target: PathLike, *, dtype: str = "keep", recipe: Optional[PathLike] = None, image_size: int = 0
) -> str:
    """Writes a checkpoint as safetensors; dtype "keep", "f32", "f16", "bf16" or "int8". Returns what was narrowed,
    ignored or chosen on the way, in one line, or ""."""
    options, error = make(_abi.samc_convert_options), new_error()
    options.storage = index_of(STORAGES, dtype, "dtype")
    options.recipe = path_bytes(recipe) if recipe is not None else None
    options.image_size = image_size
    check(
        lib.samc_convert_with(path_bytes(source), path_bytes(target), ctypes.byref(options), ctypes.byref(error)), error
    )
    return error.message.decode("utf-8", "replace")


class Machine:
    """What samc could use here, samc_machine by its own names."""

    processors: int
    cpu: str
    cuda: str
    has_cuda: bool
    cuda_driver: bool
    cuda_built: bool
    cuda_devices: int
    bf16: str
    int8: str

    def __init__(self) -> None:
        raw = make(_abi.samc_machine)
        lib.samc_get_machine(ctypes.byref(raw))
        for field, _ in raw._fields_[1:]:
            value = getattr(raw, field)
            setattr(self, field, value.decode("utf-8", "replace") if isinstance(value, bytes) else value)

    def __repr__(self) -> str:
        return "Machine(" + ", ".join(f"{k}={v!r}" for k, v in vars(self).items()) + ")"
