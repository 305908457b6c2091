"""How neurons of one kernel for all time steps call it on tensors, and where they can."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speckflex.kernels.by_sample import run_by_sample

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # takes tensors and numbers, and fills the last tensors
    KernelPass = Callable[[Sequence[torch.Tensor], Sequence[Any]], None]

__all__ = ["FLOATS", "has_kernel", "run_on_cpu"]

FLOATS = {torch.float32: np.float32, torch.float64: np.float64}


def has_kernel(current: torch.Tensor) -> bool:
    """Return whether there are kernels for a tensor of this device and dtype."""
    if current.device.type == "cuda":
        return current.dtype == torch.float32 and find_spec("triton") is not None
    return current.device.type == "cpu" and current.dtype in FLOATS


def run_on_cpu(
    kernel: Callable[..., None], tensors: Sequence[torch.Tensor], numbers: Sequence[Any]
) -> None:
    """Call a kernel on `(batch, time, neuron)` and `(batch, neuron)` arrays.

    Args:
        kernel: releases Python's lock.
        tensors: the first one of shape `(batch, time, ...)`; others may lack the time.
        numbers: what the kernel takes behind its arrays.
    """
    n_trailing = tensors[0].ndim - 2
    arrays = [tensor.detach().numpy() for tensor in tensors]
    views = [array.reshape(*array.shape[: array.ndim - n_trailing], -1) for array in arrays]
    run_by_sample(kernel, views, numbers, torch.get_num_threads())
