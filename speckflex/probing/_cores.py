"""The layers that experiments lay on cores: few neurons with known weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.program.records import Core

if TYPE_CHECKING:
    from speckflex.program.records import Pair

__all__ = ["CORE", "TARGET", "THETA", "layer_of", "send_to"]

# Cores 3 and 5 have one engine and no erratum, and are not the first to which layers are mapped.
CORE, TARGET = 3, 5
THETA = 100  # the threshold; one event of this weight makes a neuron fire


def layer_of(
    weights: Any, *, size: Pair = (1, 1), threshold: int = THETA, low: int = -THETA, **rest: Any
) -> Core:
    """Return a layer.

    Args:
        weights: (out, in, ky, kx), or one weight for a kernel of 1 x 1 with one channel.
        size: (y, x) of the input.
        threshold: at which a neuron fires.
        low: lower bound of the potentials.
        rest: other fields of `Core`.
    """
    array = np.asarray(weights, np.int64)
    array = array.reshape(1, 1, 1, 1) if array.ndim == 0 else array
    return Core(
        name="probe",
        weights=array,
        threshold_high=threshold,
        threshold_low=low,
        input_shape=(array.shape[1], *size),
        **rest,
    )


def send_to(layer: Any, slot: int, target: int, *, pooling: int = 1, shift: int = 0) -> None:
    """Let a core of a configuration send to another one.

    Args:
        layer: of samna's configuration.
        slot: which of its destinations, 0 or 1.
        target: the other core.
        pooling: of the destination.
        shift: added to the feature.
    """
    place = layer.destinations[slot]
    place.layer, place.pooling, place.feature_shift, place.enable = target, pooling, shift, True
