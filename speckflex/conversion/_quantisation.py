"""What rounding to the chip's integers does to a layer, in figures; runs without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.fitting.checks import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.program.records import Core

__all__ = ["quantisation_checks"]

# Shares from which a figure becomes a warning; chosen by us, no chip fact.
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
            f"its 8-bit weights are {error:.2%} off (relative L2) at {core.scale:.4g} integers a"
            " unit",
            error,
            LARGE_WEIGHT_ERROR,
        )
    used = int(np.count_nonzero(weights))
    lost = int(np.count_nonzero((core.weights == 0) & (weights != 0)))
    if lost:
        yield _figure(
            core.name,
            "lost weights",
            f"{lost} of {used} weights that are not zero become 0 ({lost / used:.1%})",
            lost / used,
            LARGE_LOSS,
        )
    if threshold is not None:
        error = core.threshold_high / (threshold * core.scale) - 1
        yield _figure(
            core.name,
            "threshold error",
            f"its threshold {threshold:g} becomes {core.threshold_high}, {error:+.2%} off",
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
        remedy="fine-tune with smaller largest weights, which set the scale" if large else "",
    )
