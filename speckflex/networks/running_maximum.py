"""Spikes by the running maximum of a neuron's drive, without a loop over time.

An integrate-and-fire neuron with soft reset that takes weights up to its threshold one by one, and
whose lower bound is not reached, has fired `floor(max(0, P_1, .., P_k) / threshold)` times after k
of them; P_k is their sum. A frame adds up the weights that arrive in it. So the law sees the
maximum at the end of frames alone, and becomes the chip's own count as frames become so short that
each holds one event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["law_spikes"]


def law_spikes(currents: torch.Tensor, threshold: float) -> torch.Tensor:
    """Return the spikes in each frame, `floor` of the running maximum of the drive.

    The gradient of a count by the highest drive so far, in thresholds, is 1 above 0 (straight
    through the floor) and `exp(drive)` below, so that silent neurons get one too.

    Args:
        currents: (batch, time, ...) floats, what arrives in each frame.
        threshold: above 0.
    """
    if currents.device.type == "cpu":
        return _RunningMaximum.apply(currents, threshold)  # pyright: ignore[reportReturnType]
    drive = currents.cumsum(1) / threshold
    highest = drive.cummax(1).values
    smooth = functional.elu(highest)
    reached = highest.detach().clamp(min=0).floor()
    counts = smooth + (reached - smooth.detach())
    return torch.diff(counts, dim=1, prepend=torch.zeros_like(counts[:, :1]))


class _RunningMaximum(torch.autograd.Function):
    """The same on the CPU, where torch's running maximum takes ten times as long."""

    @staticmethod
    def forward(ctx: Any, currents: torch.Tensor, threshold: float) -> torch.Tensor:
        # here, since a network that is only looked at needs no numba
        from speckflex.kernels.running_maximum import maximum_forward

        currents = currents.contiguous()
        spikes, highest = torch.empty_like(currents), torch.empty_like(currents)
        reached = torch.empty_like(currents, dtype=torch.bool)
        _run(maximum_forward, [currents, spikes, highest, reached], threshold)
        ctx.save_for_backward(highest, reached)
        ctx.threshold = threshold
        return spikes

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - torch types its wrapper so
        ctx: Any, *grad_outputs: torch.Tensor
    ) -> tuple[torch.Tensor, None]:
        from speckflex.kernels.running_maximum import maximum_backward

        highest, reached = ctx.saved_tensors
        gradient = torch.empty_like(highest)
        by_spikes = grad_outputs[0].contiguous()
        _run(maximum_backward, [by_spikes, highest, reached, gradient], ctx.threshold)
        return gradient, None


def _run(kernel: Callable[..., None], tensors: list[torch.Tensor], threshold: float) -> None:
    """Call a kernel on (batch, time, neuron) arrays."""
    from speckflex.kernels.by_sample import run_by_sample

    arrays = [tensor.detach().flatten(2).numpy() for tensor in tensors]
    as_float = np.float64 if tensors[0].dtype == torch.float64 else np.float32
    run_by_sample(kernel, arrays, [as_float(threshold)], torch.get_num_threads())
