"""Leaky integrate and fire with a hard reset, on a GPU: the two passes in Triton.

Triton comes with the builds of torch for CUDA and is imported nowhere else. The arithmetic
is that of `leaky_forward.py` and `leaky_backward.py`, in single precision.
"""

# Triton gives its arguments their types, and writes constants in capitals.
# ruff: noqa: ANN001, ANN202, N803
# Triton is not among the dependencies: it comes with torch's builds for CUDA.
# pyright: reportMissingImports=false, reportIndexIssue=false, reportPossiblyUnboundVariable=false

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    import triton.language as tl
    from triton import jit
except ModuleNotFoundError:  # the kernels stay plain functions that nobody calls

    def jit(kernel: Any) -> Any:
        """Return the function as it is."""
        return kernel


if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

__all__ = ["run_backward", "run_forward"]

BLOCK = 256  # neurons per program


@jit
def _forward(
    current,
    potential,
    spikes,
    before,
    n_rows,
    n_steps,
    n_neurons,
    leak,
    threshold,
    KEEP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each program runs `BLOCK` neurons, of one sample or two, from the first step to the last."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n_rows
    place = (row // n_neurons).to(tl.int64) * n_steps * n_neurons + row % n_neurons
    v = tl.load(potential + row, mask=inside, other=0.0)
    for _ in range(n_steps):
        u = leak * v + tl.load(current + place, mask=inside, other=0.0)
        s = tl.where(u > threshold, 1.0, 0.0)
        tl.store(spikes + place, s, mask=inside)
        if KEEP:
            tl.store(before + place, u, mask=inside)
        v = u * (1.0 - s)
        place += n_neurons
    tl.store(potential + row, v, mask=inside)


@jit
def _backward(
    spike_gradient,
    state_gradient,
    before,
    gradient,
    n_rows,
    n_steps,
    n_neurons,
    leak,
    threshold,
    sharpness,
    BLOCK: tl.constexpr,
):
    """Each program runs `BLOCK` neurons from the last step to the first."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n_rows
    sample = (row // n_neurons).to(tl.int64)
    place = ((sample + 1) * n_steps - 1) * n_neurons + row % n_neurons
    after = tl.load(state_gradient + row, mask=inside, other=0.0)
    for _ in range(n_steps):
        u = tl.load(before + place, mask=inside, other=0.0)
        by_spike = tl.load(spike_gradient + place, mask=inside, other=0.0) - u * after
        slope = sharpness * tl.maximum(0.0, 1.0 - sharpness * tl.abs(u - threshold))
        by_potential = slope * by_spike + tl.where(u > threshold, 0.0, after)
        tl.store(gradient + place, by_potential, mask=inside)
        after = leak * by_potential
        place -= n_neurons


def run_forward(tensors: Sequence[torch.Tensor], numbers: Sequence[Any]) -> None:
    """Run `leaky_forward` on contiguous tensors of one GPU.

    Args:
        tensors: current, potential, spikes and before, as in `leaky_forward`, with any axes
            behind batch and time.
        numbers: leak, threshold and sharpness.
    """
    current, potential, spikes, before = tensors
    n_rows, n_steps = potential.numel(), current.shape[1]
    leak, threshold, _ = map(float, numbers)
    _forward[_grid(n_rows)](
        *(current, potential, spikes, before),
        *(n_rows, n_steps, n_rows // len(potential), leak, threshold),
        KEEP=before.shape[1] == n_steps,
        BLOCK=BLOCK,
        # A fused multiplication and addition rounds once, where torch rounds twice.
        enable_fp_fusion=False,
    )


def run_backward(tensors: Sequence[torch.Tensor], numbers: Sequence[Any]) -> None:
    """Run `leaky_backward` on contiguous tensors of one GPU.

    Args:
        tensors: gradients by spikes and by state, before and gradient, as in `leaky_backward`.
        numbers: leak, threshold and sharpness.
    """
    spike_gradient, state_gradient, before, gradient = tensors
    n_rows = state_gradient.numel()
    _backward[_grid(n_rows)](
        *(spike_gradient, state_gradient, before, gradient),
        *(n_rows, before.shape[1], n_rows // len(state_gradient), *map(float, numbers)),
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )


def _grid(n_rows: int) -> tuple[int]:
    return ((n_rows + BLOCK - 1) // BLOCK,)
