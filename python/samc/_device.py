"""Images that lie in a GPU's memory, copied to the host by the CUDA driver. The engine takes host memory."""

from __future__ import annotations

import ctypes
from typing import Any, Optional, Sequence

import numpy as np

KDLCUDA, KDLCUDA_MANAGED = 2, 13
POINTER_CONTEXT, POINTER_ORDINAL = 1, 9  # CUpointer_attribute

_driver: Optional[Any] = None


def driver() -> Any:
    global _driver
    if _driver is None:
        try:
            _driver = ctypes.CDLL("libcuda.so.1")
        except OSError as error:
            raise RuntimeError(f"an array on a GPU, but no CUDA driver: {error}") from None
        _driver.cuInit(0)
    return _driver


def _try(what: str, status: int) -> None:
    if status != 0:
        raise RuntimeError(f"{what} failed with CUDA error {status}")


def _enter_context(cuda: Any, pointer: int) -> None:
    context = ctypes.c_void_p()
    if cuda.cuPointerGetAttribute(ctypes.byref(context), POINTER_CONTEXT, ctypes.c_uint64(pointer)) or not context:
        ordinal = ctypes.c_int()  # memory of a pool belongs to a device, not to a context
        _try(
            "cuPointerGetAttribute",
            cuda.cuPointerGetAttribute(ctypes.byref(ordinal), POINTER_ORDINAL, ctypes.c_uint64(pointer)),
        )
        _try("cuDevicePrimaryCtxRetain", cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), ordinal))
    _try("cuCtxPushCurrent", cuda.cuCtxPushCurrent_v2(context))


def copy_from(
    pointer: int, shape: Sequence[int], strides: Optional[Sequence[int]], dtype: np.dtype, stream: Optional[int]
) -> np.ndarray:
    """The array on the host, with the strides that it has there; `stream` is waited for first."""
    if strides is None:
        strides = [int(np.prod(shape[i + 1 :])) * dtype.itemsize for i in range(len(shape))]
    if any(stride < 0 for stride in strides):
        raise ValueError("an array on a GPU with negative strides")
    extent = sum((n - 1) * stride for n, stride in zip(shape, strides)) + dtype.itemsize if 0 not in shape else 0
    host = np.empty(extent, np.uint8)
    if extent:
        cuda = driver()
        _enter_context(cuda, pointer)
        try:
            if stream is not None:
                _try("cuStreamSynchronize", cuda.cuStreamSynchronize(ctypes.c_void_p(stream)))
            _try(
                "cuMemcpyDtoH",
                cuda.cuMemcpyDtoH_v2(
                    ctypes.c_void_p(host.ctypes.data), ctypes.c_uint64(pointer), ctypes.c_size_t(extent)
                ),
            )
        finally:
            cuda.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
    return np.ndarray(tuple(shape), dtype, host.data, strides=tuple(strides))


def copy_of_cuda_array(array: Any) -> np.ndarray:
    """By __cuda_array_interface__, whose stream is waited for."""
    said = array.__cuda_array_interface__
    return copy_from(said["data"][0], said["shape"], said.get("strides"), np.dtype(said["typestr"]), said.get("stream"))


def is_on_gpu(array: Any) -> bool:
    return array.__dlpack_device__()[0] in (KDLCUDA, KDLCUDA_MANAGED)


class _DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _DLManagedTensor(ctypes.Structure):
    pass


_DELETER = ctypes.CFUNCTYPE(None, ctypes.POINTER(_DLManagedTensor))
_DLManagedTensor._fields_ = [("tensor", _DLTensor), ("context", ctypes.c_void_p), ("deleter", _DELETER)]


def copy_of_dlpack(array: Any) -> np.ndarray:
    """By DLPack: the producer makes the legacy default stream, which the copy runs on, wait for its own work."""
    capsule = array.__dlpack__(stream=1)
    python = ctypes.pythonapi
    python.PyCapsule_GetPointer.restype = ctypes.c_void_p
    python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
    managed = ctypes.cast(python.PyCapsule_GetPointer(capsule, b"dltensor"), ctypes.POINTER(_DLManagedTensor))
    python.PyCapsule_SetName(capsule, _USED)  # what it holds is ours to give back
    try:
        tensor = managed.contents.tensor
        if (tensor.code, tensor.bits, tensor.lanes) != (1, 8, 1):
            raise ValueError("an image on a GPU has to be uint8")
        shape = tensor.shape[: tensor.ndim]
        strides = tensor.strides[: tensor.ndim] if tensor.strides else None
        return copy_from((tensor.data or 0) + tensor.byte_offset, shape, strides, np.dtype(np.uint8), None)
    finally:
        if managed.contents.deleter:
            managed.contents.deleter(managed)


_USED = b"used_dltensor"  # a capsule keeps the pointer to its name
