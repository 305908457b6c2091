"""The neurons of NIR as sinabs' integrate-and-fire layers, or why they can't be."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import sinabs.layers as sl
import torch
from packaging.version import InvalidVersion, Version
from sinabs.activation import MembraneReset, MembraneSubtract, MultiSpike, SingleSpike

from speckflex.errors import NetworkError
from speckflex.networks.layer_kinds import LEAKS
from speckflex.networks.nir._fields import numbers, one_number
from speckflex.networks.nir.options import LOWER_BOUND, NirOptions

if TYPE_CHECKING:
    from speckflex.networks.nir._records import Node

__all__ = ["integrate_and_fire"]

# From this version on an IF node has a v_reset; before it, a spike subtracted the threshold.
FIRST_WITH_RESET = Version("1.0.6")
# A neuron that keeps all but a millionth of its potential for a time step counts as one without
# a leak: a hundred steps cost it less than the 8 bits of a weight can show.
LEAST_TIME_CONSTANT = 1e6
SAME = 1e-5


def integrate_and_fire(
    where: str,
    node: Node,
    shape: tuple[int, ...] | None,
    *,
    version: str,
    options: NirOptions,
) -> sl.IAFSqueeze:
    """Return the layer that computes what an IF node says, or a LIF node that does not leak.

    Its potential stays in the node's units divided by the gain of a time step, so that the
    weights in front are those of the file.

    Args:
        where: the node, as messages begin.
        node: of type IF or LIF.
        shape: of the values that arrive; None where it is not known.
        version: of nir, whose definition of a reset holds.
        options: what the graph leaves open.

    Raises:
        NetworkError: Speck has no such neuron.
    """
    gain = _step_gain(where, node, options.dt)
    threshold = _threshold(where, node, shape)
    bound = _lower_bound(where, node, threshold, options)
    to_zero = _returns_to_zero(where, node, version)
    return sl.IAFSqueeze(
        spike_threshold=torch.as_tensor(threshold / gain, dtype=torch.float32),
        min_v_mem=None if bound is None else torch.as_tensor(bound / gain, dtype=torch.float32),
        reset_fn=MembraneReset() if to_zero else MembraneSubtract(),
        # NIR's neuron fires once a time step. Where a spike subtracts the threshold, what is left
        # fires in the same step, as in sinabs; where it sets zero, nothing is left.
        spike_fn=SingleSpike if to_zero else MultiSpike,
        batch_size=1,
    )


def _step_gain(where: str, node: Node, dt: float | None) -> float:
    """Return how often a neuron's input counts in a time step: `r * dt`.

    A LIF node of time constant `tau` integrates `r / tau` in place of `r`.

    Raises:
        NetworkError: it leaks, or its `r` asks for a time step.
    """
    rate = _rate_without_leak(where, node, dt) if node.kind == "LIF" else None
    if rate is None:
        rate = one_number(where, node, "r")
    if not 0 < rate < math.inf:
        raise NetworkError(f"{where} has r = {rate:g}: r must be above 0 and finite")
    return _gain(where, rate, dt)


def _rate_without_leak(where: str, node: Node, dt: float | None) -> float | None:
    """Return what a LIF node that does not leak has as `r / tau`; None for `r` alone."""
    tau, r = numbers(where, node, "tau"), numbers(where, node, "r")
    if not (tau.size and np.all(tau > 0)):
        raise NetworkError(f"{where} has a tau that is not above 0: export it again")
    with np.errstate(all="ignore"):
        step = np.asarray(tau.max() / r if dt is None else dt)
    # not a number, of infinity by infinity, fails the comparison
    if np.any(tau.min() < LEAST_TIME_CONSTANT * step) and np.isfinite(tau).any():
        raise NetworkError(f"{where} {LEAKS}")
    if np.isfinite(tau).all():
        return one_number(where, node, "r") / one_number(where, node, "tau")
    # snnTorch writes r = tau / dt, so that a layer with beta = 1 has both without an end.
    return 1.0 if np.isinf(r).all() else None


def _gain(where: str, rate: float, dt: float | None) -> float:
    counts_steps = math.isclose(rate, 1, rel_tol=SAME)
    if dt is None and not counts_steps:
        raise NetworkError(
            f"{where} has r = {rate:g}, which is 1 / dt of the simulation that the graph was made"
            f" for: say which time step that was with --dt {1 / rate:g}, or export it with dt=1"
        )
    if dt is not None and counts_steps and not math.isclose(dt, 1, rel_tol=SAME):
        raise NetworkError(
            f"{where} has r = 1, so that the graph counts in time steps, but a dt of {dt:g} is"
            " given: leave --dt out"
        )
    gain = rate * (1.0 if dt is None else dt)
    return 1.0 if math.isclose(gain, 1, rel_tol=SAME) else gain


def _threshold(where: str, node: Node, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return the thresholds in a shape that fits the neurons, mostly the file's own."""
    values = numbers(where, node, "v_threshold")
    if not (values.size and np.all(values > 0) and np.all(np.isfinite(values))):
        least = f"{values.min():g}" if values.size else "none"
        raise NetworkError(
            f"{where} has a threshold of {least}: thresholds must be above 0 and finite"
        )
    if values.size == 1 or shape is None or values.shape == shape:
        return values.reshape(()) if values.size == 1 else values
    if values.size == math.prod(shape):
        return values.reshape(shape)
    if np.all(values == values.flat[0]):
        return values.reshape(-1)[0]
    raise NetworkError(
        f"{where} has thresholds of shape {values.shape}, its {math.prod(shape)} neurons have shape"
        f" {shape}: export one threshold a neuron, or one for all"
    )


def _lower_bound(
    where: str, node: Node, threshold: np.ndarray, options: NirOptions
) -> np.ndarray | float | None:
    stated = node.metadata.get(LOWER_BOUND)
    if options.lower_bound is not None:
        stated = options.lower_bound
    if isinstance(stated, int | float):
        if not stated <= 0:
            raise NetworkError(f"{where} has a lower bound of {stated:g}: it must be at most 0")
        return None if math.isinf(stated) else float(stated)
    return -threshold


def _returns_to_zero(where: str, node: Node, version: str) -> bool:
    """Return whether a spike sets the potential to zero, else it subtracts the threshold."""
    if "v_reset" not in node.fields:
        return _defines_reset(version)
    values = numbers(where, node, "v_reset")
    if np.all(values == 0):
        return True
    other = values[values != 0][0]
    raise NetworkError(
        f"{where} resets to a potential of {other:g}: Speck's neurons return to 0 or subtract the"
        " threshold, train with v_reset = 0"
    )


def _defines_reset(version: str) -> bool:
    try:
        return Version(version) >= FIRST_WITH_RESET
    except InvalidVersion:
        return False
