"""The layers of a network in the chip's integers, as sinabs' backend discretises them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import sinabs.layers as sl
import torch
from sinabs.activation import MembraneReset, MembraneSubtract
from torch import nn

from speckflex._support.text import first_line
from speckflex.chips.formats import NEURON_MAX, WEIGHT_MAX
from speckflex.errors import ConversionError
from speckflex.fitting.checks import Check
from speckflex.networks.neurons import precharged_integers
from speckflex.program.records import Core, Destination
from speckflex.samna_access import load_samna

load_samna()
from sinabs.backend.dynapcnn.discretize import (  # noqa: E402  needs samna's name to exist
    DYNAPCNN_STATE_PRECISION_BITS,
    DYNAPCNN_WEIGHT_PRECISION_BITS,
    determine_discretization_scale,
)
from sinabs.backend.dynapcnn.dynapcnn_layer import DynapcnnLayer  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from speckflex.conversion._prepared import PreparedLayer
    from speckflex.program.records import Pair

__all__ = ["destinations_of", "discretise"]

# A sum that reaches this threshold fires before one more weight could saturate it, so that no
# part of it is lost: `Core.integrated` adds the spikes back.
READOUT_THRESHOLD = NEURON_MAX - WEIGHT_MAX


def discretise(
    layers: Sequence[PreparedLayer], max_threshold_low: int
) -> tuple[tuple[Core, ...], tuple[Check, ...]]:
    """Return a core for each layer, in the layers' order, and what had to be changed.

    sinabs' `DynapcnnLayer` computes the integers of each layer. The destinations are our own:
    sinabs' network of such layers has no concatenation.

    Args:
        layers: in the order of their calls.
        max_threshold_low: the chip's largest lower bound of a potential.

    Raises:
        ConversionError: the backend refuses a layer, or a threshold becomes 0.
    """
    cores, checks = [], []
    for index, plan in enumerate(layers):
        layer = _backend_layer(plan)
        bound = int(layer.spk.min_v_mem)
        if bound > max_threshold_low:
            checks.append(_bound_too_high(plan, bound, max_threshold_low))
        ends = destinations_of(index, layers)
        cores.append(_core(plan, layer, ends, min(bound, max_threshold_low)))
    return tuple(cores), tuple(checks)


def destinations_of(sender: int, layers: Sequence[PreparedLayer]) -> tuple[Destination, ...]:
    """Return where a layer, or the network's input, sends its spikes, by position."""
    return tuple(
        # Pooling of the network's input is the input stage's own.
        Destination(index, found.pooling[0] if sender >= 0 else 1, found.shift)
        for index, layer in enumerate(layers)
        for found in layer.senders
        if found.layer == sender
    )


def _backend_layer(plan: PreparedLayer) -> Any:
    try:
        # New layers draw random numbers; the caller's seed must not move.
        with torch.random.fork_rng(devices=[]):
            return DynapcnnLayer(_plain_conv(plan), _plain_neuron(plan), plan.input_shape, [])
    except Exception as error:
        raise ConversionError(
            f"{plan.name or 'the network'}: sinabs' backend refuses the layer"
            f" ({type(error).__name__}: {first_line(error)}): check its weights and thresholds"
        ) from error


def _plain_conv(layer: PreparedLayer) -> nn.Conv2d:
    weights = layer.convolution.weights
    kernel: Pair = (weights.shape[2], weights.shape[3])
    conv = nn.Conv2d(
        weights.shape[1],
        weights.shape[0],
        kernel,
        stride=layer.convolution.stride,
        padding=layer.convolution.padding,
        bias=layer.bias is not None,
    )
    conv.weight.data = weights.clone()
    if conv.bias is not None and layer.bias is not None:
        conv.bias.data = layer.bias.clone()
    return conv


def _plain_neuron(layer: PreparedLayer) -> sl.IAFSqueeze:
    neuron = layer.neuron
    if neuron is None:
        threshold = _silent_threshold(layer)
        return sl.IAFSqueeze(batch_size=1, spike_threshold=threshold, min_v_mem=-threshold)
    spiking = sl.IAFSqueeze(
        batch_size=1,
        spike_threshold=neuron.threshold,
        min_v_mem=neuron.min_v_mem,
        reset_fn=MembraneReset() if neuron.return_to_zero else MembraneSubtract(),
    )
    if neuron.state is not None:
        spiking.v_mem = neuron.state[None].clone()
    return spiking


def _silent_threshold(layer: PreparedLayer) -> float:
    """Return the threshold that becomes the largest integer without limiting the weights' scale.

    A little below `largest / scale`, so that its own 16-bit scale lies just above the weights'.
    """
    scale = _scale_of((layer.convolution.weights, *_biases(layer)), DYNAPCNN_WEIGHT_PRECISION_BITS)
    return (NEURON_MAX - 0.4) / scale if np.isfinite(scale) else 1.0


def _biases(layer: PreparedLayer) -> tuple[torch.Tensor, ...]:
    return () if layer.bias is None else (layer.bias,)


def _scale(layer: PreparedLayer) -> float:
    """Return the one factor that sinabs applies to a layer: the smallest of its parts'."""
    neuron: Any = _plain_neuron(layer)
    states = [torch.tensor((float(neuron.min_v_mem), float(neuron.spike_threshold)))]
    if neuron.is_state_initialised():
        states.append(neuron.v_mem)
    weights = (layer.convolution.weights, *_biases(layer))
    return min(
        _scale_of(weights, DYNAPCNN_WEIGHT_PRECISION_BITS),
        _scale_of(states, DYNAPCNN_STATE_PRECISION_BITS),
    )


def _scale_of(tensors: Iterable[torch.Tensor], bits: int) -> float:
    """Return the factor that lets some tensors use all bits; infinity where all are zero."""
    return min(float(determine_discretization_scale(values, bits)) for values in tensors)


def _core(plan: PreparedLayer, layer: Any, ends: tuple[Destination, ...], low: int) -> Core:
    neurons, bias = layer.spk, layer.conv.bias
    high = _threshold(plan, int(neurons.spike_threshold))
    return Core(
        name=plan.name,
        neuron_name=plan.neuron_name,
        weights=_integers(layer.conv.weight),
        threshold_high=high,
        threshold_low=low,
        input_shape=plan.input_shape,
        stride=plan.convolution.stride,
        padding=plan.convolution.padding,
        return_to_zero=isinstance(neurons.reset_fn, MembraneReset),
        bias=None if bias is None or not bias.any() else _integers(bias),
        initial_state=_initial_state(plan, neurons, high),
        destinations=ends,
        readout=plan.readout,
        scale=_scale(plan),
    )


def _initial_state(plan: PreparedLayer, neurons: Any, threshold_high: int) -> np.ndarray | None:
    """Return the (channel, y, x) states before the first event; None for zeros."""
    if plan.neuron is not None and plan.neuron.precharge is not None:
        return precharged_integers(plan.neuron.precharge, threshold_high, plan.output_shape)
    left = neurons.is_state_initialised() and bool(neurons.v_mem.any())
    return _integers(neurons.v_mem[0]) if left else None


def _integers(values: torch.Tensor) -> np.ndarray:
    """Return what sinabs writes into the chip's configuration: the value without its fraction."""
    return values.detach().int().numpy()


def _threshold(plan: PreparedLayer, threshold: int) -> int:
    if plan.readout == "potential":
        return READOUT_THRESHOLD
    if threshold < 1:
        raise ConversionError(
            f"{plan.neuron_name}: its threshold becomes {threshold} when the largest weight of"
            f" {plan.name} takes 8 bits: train with smaller weights or a higher threshold"
        )
    return threshold


def _bound_too_high(plan: PreparedLayer, bound: int, limit: int) -> Check:
    return Check(
        plan.neuron_name,
        "warning",
        "threshold_low",
        f"its lower bound becomes {bound}, which the silicon can't do, and was set to {limit}",
        value=bound,
        limit=limit,
        remedy="train with a min_v_mem below 0",
    )
