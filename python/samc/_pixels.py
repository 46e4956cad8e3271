"""Images in: whatever holds RGB bytes becomes a samc_image without a copy where its rows are whole pixels."""

from __future__ import annotations

import ctypes
import os
from typing import Any, Optional, Tuple, Union

import numpy as np

from . import _abi, _device
from ._native import check, io, make, new_error, path_bytes

PathOrBytes = Union[str, "os.PathLike[str]", bytes, bytearray]


class _Decoded:
    """Pixels that libsamc_io allocated, for as long as an array looks at them."""

    def __init__(self, image: Any) -> None:
        self.image = image
        self.__array_interface__ = {
            "version": 3,
            "shape": (image.height, image.width, 3),
            "typestr": "|u1",
            "data": (image.pixels, False),
            "strides": (image.row_bytes, 3, 1),
        }

    def __del__(self) -> None:
        io.samc_image_free(ctypes.byref(self.image))


def scale(samples: Any, scale: Optional[str] = None) -> np.ndarray:
    """Samples of 16 bits or floats as the uint8 [height, width, 3] that models take.

    samples  [height, width], [height, width, 1] or [height, width, 3]; uint16 as it is, other whole numbers and floats
             as float32, uint8 unchanged
    scale    "minmax", "P0.5-99.5" (percentiles), "A,B" (values) or "high-byte"; None: high-byte of uint16 colours,
             else minmax. Once for the whole array; NaN and infinity count for nothing and become 0
    """
    array = np.asarray(samples)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape or array.dtype.kind not in "uif":
        raise ValueError(
            f"samples are numbers [height, width] or [height, width, 1 or 3], not {array.dtype} {array.shape}"
        )
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        array = array.astype(np.float32)
    array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
    sample = {1: _abi.SAMC_SAMPLE_U8, 2: _abi.SAMC_SAMPLE_U16, 4: _abi.SAMC_SAMPLE_F32}[array.dtype.itemsize]
    height, width, channels = array.shape
    raw = make(
        _abi.samc_samples,
        values=array.ctypes.data,
        width=width,
        height=height,
        channels=channels,
        row_bytes=array.strides[0],
        sample=sample,
    )
    out, error = np.empty((height, width, 3), np.uint8), new_error()
    text = None if scale is None else scale.encode()
    check(io.samc_samples_scale(ctypes.byref(raw), text, out.ctypes.data, None, ctypes.byref(error)), error)
    return out


def read_image(
    source: PathOrBytes, *, max_pixels: int = 0, name: Optional[str] = None, scale: Optional[str] = None, page: int = 0
) -> np.ndarray:
    """Decodes an image file, or the bytes of one: uint8 [height, width, 3] RGB, upright, the pixels of Pillow < 12.2.

    What `samc info` lists. Images above `max_pixels` (0: 178956970) are refused by their header. Samples of 16 bits and
    floats are brought to 8 bits by `scale`, see samc.scale(); `page` is that of a document, from 0. The array is the
    decoder's own memory. Raises MalformedFile, Unsupported, ReadWriteError with the file's name, or `name`, in the
    message.
    """
    image, error = make(_abi.samc_image), new_error()
    text = None if scale is None else scale.encode()
    options = make(_abi.samc_image_options, most_pixels=max_pixels, scale=text, page=page)
    if isinstance(source, (bytes, bytearray, memoryview)):
        raw = bytes(source) if isinstance(source, memoryview) else source
        data: Any = (ctypes.c_char * len(raw)).from_buffer(raw) if isinstance(raw, bytearray) else raw
        label = os.fsencode(name or "image")
        check(
            io.samc_image_decode_with(
                ctypes.cast(data, ctypes.c_void_p),
                len(raw),
                label,
                ctypes.byref(options),
                ctypes.byref(image),
                None,
                ctypes.byref(error),
            ),
            error,
        )
    else:
        if not os.path.exists(source):
            raise FileNotFoundError(2, os.strerror(2), os.fspath(source))
        call = (path_bytes(source), ctypes.byref(options), ctypes.byref(image), None, ctypes.byref(error))
        check(io.samc_image_load_with(*call), error)
    return np.asarray(_Decoded(image))


def scaled(image: Any, text: str) -> np.ndarray:
    """An image file by a scale, or what numpy.asarray() takes."""
    named = isinstance(image, (str, os.PathLike, bytes, bytearray))
    return read_image(image, scale=text) if named else scale(image, text)


def as_array(image: Any) -> np.ndarray:
    """Anything that holds pixels as uint8 [height, width, 3], without a copy where the object allows one to look.

    Takes NumPy arrays, what has __dlpack__ or __cuda_array_interface__ (PyTorch, CuPy, JAX), the buffer protocol or
    __array_interface__, Pillow images, and names and bytes of image files. ValueError for another shape or type.
    """
    if isinstance(image, np.ndarray):
        array = image
    elif isinstance(image, (str, os.PathLike, bytes, bytearray)):
        array = read_image(image)
    elif hasattr(image, "__dlpack__"):  # before the other one, which PyTorch gives without a stream to wait for
        array = _device.copy_of_dlpack(image) if _device.is_on_gpu(image) else np.from_dlpack(image)
    elif hasattr(image, "__cuda_array_interface__"):
        array = _device.copy_of_cuda_array(image)
    elif hasattr(image, "convert") and hasattr(image, "mode"):  # Pillow's
        array = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    else:
        array = np.asarray(image if hasattr(image, "__array_interface__") else memoryview(image))
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        hint = "; samc.scale() makes it of other samples" if array.dtype.kind in "uif" else ""
        raise ValueError(f"an image is uint8 [height, width, 3], not {array.dtype} {list(array.shape)}{hint}")
    if 0 in array.shape:
        raise ValueError(f"an image without pixels: {list(array.shape)}")
    return array


def as_image(image: Any) -> Tuple[np.ndarray, Any]:
    """The array that holds the pixels, which has to live as long as the samc_image beside it."""
    array = as_array(image)
    if array.strides[1:] != (3, 1) or array.strides[0] < 3 * array.shape[1]:
        array = np.ascontiguousarray(array)
    height, width = array.shape[:2]
    pixels = array.__array_interface__["data"][0]
    return array, make(_abi.samc_image, pixels=pixels, width=width, height=height, row_bytes=array.strides[0])
