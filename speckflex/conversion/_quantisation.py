"""Figures of the error that rounding to the chip's integers makes; runs without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.fitting.checks import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.program.records import Core

__all__ = ["quantisation_checks"]

# A larger share becomes a warning; we chose these limits, they are no facts about the chip.
LARGE_WEIGHT_ERROR = 0.05
LARGE_LOSS = 0.25
LARGE_THRESHOLD_ERROR = 0.01


def quantisation_checks(
    core: Core, weights: np.ndarray, threshold: float | None
) -> Iterator[Check]:
    """Yield the errors of a layer's weights and threshold.

    Args:
        core: the layer in integers.
        weights: (out, in, ky, kx) float, what the integers stand for.
        threshold: the float threshold, None for a potential readout.
    """
    length = float(np.linalg.norm(weights))
    if length and core.scale:
        error = float(np.linalg.norm(core.weights / core.scale - weights)) / length
        yield _figure(
            core.name,
            "8-bit error",
            f"its 8-bit weights differ by {error:.2%} (relative L2) from the float weights, at a"
            f" scale of {core.scale:.4g}",
            error,
            LARGE_WEIGHT_ERROR,
        )
    used = int(np.count_nonzero(weights))
    lost = int(np.count_nonzero((core.weights == 0) & (weights != 0)))
    if lost:
        yield _figure(
            core.name,
            "lost weights",
            f"{lost} of {used} nonzero weights become 0 ({lost / used:.1%})",
            lost / used,
            LARGE_LOSS,
        )
    if threshold is not None:
        error = core.threshold_high / (threshold * core.scale) - 1
        yield _figure(
            core.name,
            "threshold error",
            f"its threshold {threshold:g} becomes {core.threshold_high}, an error of {error:+.2%}",
            error,
            LARGE_THRESHOLD_ERROR,
        )


def _figure(layer: str, rule: str, message: str, value: float, limit: float) -> Check:
    large = abs(value) > limit
    return Check(
        layer,
        "warning" if large else "note",
        rule,
        message,
        value=value,
        limit=limit,
        remedy="fine-tune so that the largest weights, which set the scale, become smaller"
        if large
        else "",
    )
