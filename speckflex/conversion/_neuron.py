"""Neuron layers of sinabs in the numbers that the chip needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, MultiSpike, SingleSpike

from speckflex.conversion._own_neuron import check_spikes
from speckflex.errors import ConversionError
from speckflex.fitting.checks import Check
from speckflex.networks.layer_kinds import own_forward, problem_of
from speckflex.networks.neurons import PrechargedIAFSqueeze

if TYPE_CHECKING:
    from speckflex.conversion.options import ConversionOptions
    from speckflex.program.records import Shape

__all__ = ["Neuron", "neuron_of"]


@dataclass(frozen=True)
class Neuron:
    """The integrate-and-fire neurons of one layer, in the units of the torch network.

    Args:
        threshold: a neuron fires at or above it.
        min_v_mem: lower bound of the potential.
        return_to_zero: whether a spike sets the potential to zero.
        state: (channel, y, x) potential before the first event; None for zeros.
        precharge: the same in thresholds, for a layer that states it; None for others.
    """

    threshold: float
    min_v_mem: float
    return_to_zero: bool = False
    state: torch.Tensor | None = None
    precharge: torch.Tensor | None = None


def neuron_of(
    layer: sl.StatefulLayer, shape: Shape, options: ConversionOptions
) -> tuple[Neuron, tuple[Check, ...]]:
    """Return the neurons of a layer, with what had to be set or left out.

    Args:
        layer: as the network has it.
        shape: (channel, y, x) of the neurons.
        options: what to do where the chip differs.

    Raises:
        ConversionError: the chip has no such neurons; the message lacks the layer's name.
    """
    _check_kind(layer)
    threshold = _one_value(layer.spike_threshold, "spike_threshold")
    if not threshold > 0:
        raise ConversionError(
            f"spike_threshold {threshold:g} is not above 0: the chip needs a positive threshold"
        )
    min_v_mem, set_bound = _lower_bound(layer, threshold, mend=options.mend_min_v_mem)
    state, left_out = _state(layer, shape, keep=options.keep_state)
    start = None if state is not None else _precharge(layer, shape, min_v_mem / threshold)
    if own_forward(layer):
        check_spikes(layer, shape)
    to_zero = isinstance(layer.reset_fn, MembraneReset)
    neuron = Neuron(threshold, min_v_mem, to_zero, state, start)
    return neuron, (*set_bound, *left_out)


def _precharge(layer: sl.StatefulLayer, shape: Shape, lowest: float) -> torch.Tensor | None:
    """Return the start that a layer states, in thresholds, within its bounds."""
    if not isinstance(layer, PrechargedIAFSqueeze):
        return None
    start = layer.precharge.detach().cpu()
    try:
        torch.broadcast_shapes(start.shape, shape)
    except RuntimeError:
        raise ConversionError(
            f"its precharge has shape {tuple(start.shape)}, its neurons {shape}: give one number,"
            " or one for each neuron"
        ) from None
    low, high = float(start.min()), float(start.max())
    if not lowest <= low <= high < 1:
        raise ConversionError(
            f"its precharge ranges from {low:g} to {high:g} thresholds, but a neuron starts at"
            f" {lowest:g} (its lower bound) at least and below 1: choose one such as 0.5"
        )
    return start


def _check_kind(layer: Any) -> None:
    kind, reset = type(layer).__name__, layer.reset_fn if isinstance(layer, sl.IAF) else None
    problem = problem_of(layer)
    if problem:
        raise ConversionError(f"{kind} {problem}")
    if not isinstance(layer, sl.IAF):
        raise ConversionError(f"{kind} is no integrate-and-fire layer of sinabs: use IAFSqueeze")
    if not isinstance(reset, (MembraneReset, MembraneSubtract)):
        raise ConversionError(
            f"the chip has no reset_fn {type(reset).__name__}:"
            " use MembraneSubtract or MembraneReset"
        )
    spike_fn = layer.spike_fn
    if spike_fn not in (SingleSpike, MultiSpike) and not isinstance(spike_fn, MaxSpike):
        raise ConversionError(
            f"the chip has no spike_fn {getattr(spike_fn, '__name__', type(spike_fn).__name__)}:"
            " use MultiSpike"
        )
    subtracted = getattr(reset, "subtract_value", None)
    if subtracted is not None and float(subtracted) != float(
        torch.as_tensor(layer.spike_threshold).max()
    ):
        raise ConversionError(
            f"reset_fn subtracts {float(subtracted):g}, but the chip subtracts the threshold:"
            " use MembraneSubtract()"
        )


def _one_value(value: Any, name: str) -> float:
    """Return the one number of a scalar, or of a tensor with the same number for every neuron."""
    tensor = torch.as_tensor(value).detach().to("cpu", torch.float64)
    low, high = float(tensor.min()), float(tensor.max())
    if low != high or low != low:  # noqa: PLR0124  not a number
        raise ConversionError(
            f"{name} ranges from {low:g} to {high:g} over its neurons, but all neurons of a core"
            " have one: rescale weights and thresholds to one value"
        )
    return low


def _lower_bound(layer: Any, threshold: float, *, mend: bool) -> tuple[float, tuple[Check, ...]]:
    if layer.min_v_mem is not None:
        bound = _one_value(layer.min_v_mem, "min_v_mem")
        if bound > 0:
            raise ConversionError(
                f"min_v_mem {bound:g} is above 0: the chip's lower bound is at most 0"
            )
        return bound, ()
    if not mend:
        raise ConversionError(
            "min_v_mem is None, which would make every 8-bit weight 0: train with"
            " min_v_mem=-spike_threshold, or convert with mend_min_v_mem"
        )
    check = Check(
        "",
        "warning",
        "min_v_mem",
        f"min_v_mem is None and was set to {-threshold:g}, which changes the network",
        value="None",
        limit=-threshold,
        remedy="train with min_v_mem=-spike_threshold",
    )
    return -threshold, (check,)


def _state(
    layer: Any, shape: Shape, *, keep: bool
) -> tuple[torch.Tensor | None, tuple[Check, ...]]:
    """Return the first batch item's potentials if they are to be kept and are not zero."""
    if not layer.is_state_initialised() or not bool(layer.v_mem.any()):
        return None, ()
    if not keep:
        largest = float(layer.v_mem.detach().abs().max())
        check = Check(
            "",
            "note",
            "initial state",
            f"the potentials left in the layer (up to {largest:g}) are not converted",
            value=largest,
            remedy="convert with keep_state to start from them",
        )
        return None, (check,)
    first = layer.v_mem.detach().to("cpu", torch.float32)[0]
    if first.numel() != shape[0] * shape[1] * shape[2]:
        raise ConversionError(
            f"its potentials have shape {tuple(first.shape)}, its neurons {shape}:"
            " reset the states, or run it at the shape it is converted for"
        )
    return first.reshape(shape).clone(), ()
