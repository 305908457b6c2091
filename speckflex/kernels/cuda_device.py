"""The GPU itself: whether there is one, its memory, and how kernels are started on it."""

# In the simulator other classes take the place of the driver's.
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any

import numpy as np
from numba import cuda

__all__ = [
    "allocate",
    "compiler_fault",
    "free_memory",
    "is_available",
    "is_compiler_available",
    "launch",
    "upload",
]

# A part of numba-cuda that is imported only when a kernel is compiled. It uses functions that
# later versions of numpy no longer have.
LATE_PART = "numba.cuda.np.arrayobj"


def is_available() -> bool:
    """Return whether there is a GPU that a driver serves."""
    try:
        return len(cuda.gpus) > 0
    except cuda.CudaSupportError:
        return False


def is_compiler_available() -> bool:
    """Return whether kernels can be compiled."""
    return bool(cuda.is_available())


def compiler_fault() -> str:
    """Return why the compiler can't be imported with this numpy, or nothing."""
    try:
        import_module(LATE_PART)
    except ModuleNotFoundError:  # numba without numba-cuda has no such part
        return ""
    except (AttributeError, ImportError) as error:
        return str(error)
    return ""


def free_memory() -> float:
    """Return how many bytes of the GPU are free; infinity in the simulator."""
    return cuda.current_context().get_memory_info().free


def upload(array: np.ndarray) -> Any:
    """Return a copy of an array on the GPU."""
    contiguous = np.ascontiguousarray(array)
    # An axis of one element may keep any stride, such as 0 after broadcasting; the driver then
    # takes the array for an empty one.
    if contiguous.strides != np.empty(contiguous.shape, contiguous.dtype).strides:
        contiguous = contiguous.copy()
    return cuda.to_device(contiguous)


def allocate(shape: int | tuple[int, ...], dtype: type[np.generic] | np.dtype) -> Any:
    """Return an array on the GPU with undefined values."""
    return cuda.device_array(shape, dtype)


def launch(kernel: Any, n_blocks: int, n_threads: int, *arguments: Any) -> None:
    """Start a kernel with one block per sample."""
    with warnings.catch_warnings():
        # A stream is one sample, and so one block. Matched by its text: numba, and numba-cuda,
        # which replaces numba's part for GPUs, each have a class of their own for it.
        warnings.filterwarnings("ignore", message=".*Grid size .* low occupancy")
        kernel[n_blocks, n_threads](*arguments)
