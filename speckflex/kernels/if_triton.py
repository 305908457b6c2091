"""Integrate and fire over all time steps at once, on a GPU: the two passes in Triton.

Triton comes with the builds of torch for CUDA and is imported nowhere else. The arithmetic
is that of `if_forward.py` and `if_backward.py`, in single precision.
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

BLOCK = 256  # neurons per program; its speed is unverified: no GPU was available


@jit
def _forward(
    current,
    potential,
    spikes,
    before,
    n_rows,
    n_steps,
    n_neurons,
    threshold,
    most_spikes,
    step,
    low,
    TO_VALUE: tl.constexpr,
    BOUNDED: tl.constexpr,
    KEEP: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each program runs `BLOCK` neurons, of one sample or two, from the first step to the last."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n_rows
    place = (row // n_neurons).to(tl.int64) * n_steps * n_neurons + row % n_neurons
    v = tl.load(potential + row, mask=inside, other=0.0)
    for _ in range(n_steps):
        u = v + tl.load(current + place, mask=inside, other=0.0)
        # Only positive potentials fire, for which rounding down is cutting off.
        s = tl.where(u > 0, tl.minimum(tl.floor(tl.div_rn(u, threshold)), most_spikes), u * 0.0)
        tl.store(spikes + place, s, mask=inside)
        if KEEP:
            tl.store(before + place, u, mask=inside)
        v = tl.where(s == 0, u, u * 0.0) + step if TO_VALUE else u - s * step
        if BOUNDED:
            above = v - low
            v = tl.where(above <= 0, 0.0, above) + low
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
    threshold,
    most_spikes,
    step,
    low,
    height,
    sharpness,
    TO_VALUE: tl.constexpr,
    BOUNDED: tl.constexpr,
    KIND: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Each program runs `BLOCK` neurons from the last step to the first."""
    row = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = row < n_rows
    sample = (row // n_neurons).to(tl.int64)
    place = ((sample + 1) * n_steps - 1) * n_neurons + row % n_neurons
    later = tl.load(state_gradient + row, mask=inside, other=0.0)
    for _ in range(n_steps):
        u = tl.load(before + place, mask=inside, other=0.0)
        s = tl.where(u > 0, tl.minimum(tl.floor(tl.div_rn(u, threshold)), most_spikes), u * 0.0)
        by_spikes = tl.load(spike_gradient + place, mask=inside, other=0.0)
        v = tl.where(s == 0, u, u * 0.0) + step if TO_VALUE else u - s * step
        if BOUNDED:
            later = tl.where(v - low <= 0, 0.0, later)
        if TO_VALUE:
            through = tl.where(s == 0, later, 0.0)
        else:
            through = later
            by_spikes -= step * later
        # The kinds of if_backward.py: 0 given, 1 exponential, 2 triangular.
        if KIND == 1:
            slope = height * tl.exp(-tl.abs(u - threshold) * sharpness)
        elif KIND == 2:
            slope = height * tl.maximum(0.0, 1.0 - tl.abs(u - threshold) * sharpness)
        else:
            slope = tl.load(gradient + place, mask=inside, other=0.0)
        later = through + by_spikes * slope
        tl.store(gradient + place, later, mask=inside)
        place -= n_neurons


def run_forward(tensors: Sequence[torch.Tensor], numbers: Sequence[Any]) -> None:
    """Run `if_forward` on contiguous tensors of one GPU.

    Args:
        tensors: current, potential, spikes and before, as in `if_forward`, with any axes behind
            batch and time.
        numbers: threshold to low, as in `if_forward`.
    """
    current, potential, spikes, before = tensors
    threshold, most_spikes, to_value, step, bounded, low = numbers
    n_rows, n_steps = potential.numel(), current.shape[1]
    _forward[_grid(n_rows)](
        *(current, potential, spikes, before),
        *(n_rows, n_steps, n_rows // len(potential)),
        *(float(threshold), float(most_spikes), float(step), float(low)),
        TO_VALUE=to_value,
        BOUNDED=bounded,
        KEEP=before.shape[1] == n_steps,
        BLOCK=BLOCK,
        # A fused multiplication and addition rounds once, where torch rounds twice.
        enable_fp_fusion=False,
    )


def run_backward(tensors: Sequence[torch.Tensor], numbers: Sequence[Any]) -> None:
    """Run `if_backward` on contiguous tensors of one GPU.

    Args:
        tensors: gradients by spikes and by state, before and gradient, as in `if_backward`.
        numbers: threshold to sharpness, as in `if_backward`.
    """
    spike_gradient, state_gradient, before, gradient = tensors
    threshold, most_spikes, to_value, step, bounded, low, kind, height, sharpness = numbers
    n_rows = state_gradient.numel()
    _backward[_grid(n_rows)](
        *(spike_gradient, state_gradient, before, gradient),
        *(n_rows, before.shape[1], n_rows // len(state_gradient)),
        *(float(threshold), float(most_spikes), float(step), float(low)),
        *(float(height), float(sharpness)),
        TO_VALUE=to_value,
        BOUNDED=bounded,
        KIND=kind,
        BLOCK=BLOCK,
        enable_fp_fusion=False,
    )


def _grid(n_rows: int) -> tuple[int]:
    return ((n_rows + BLOCK - 1) // BLOCK,)
