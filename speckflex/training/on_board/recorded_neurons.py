"""Neurons that send the spikes which a board recorded, with a gradient."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from speckflex.kernels.by_sample import run_by_sample
from speckflex.kernels.recorded_neurons import recorded_backward, recorded_forward
from speckflex.kernels.surrogates import GIVEN
from speckflex.networks.neurons import SURROGATES, precharged
from speckflex.training._weight_layers import weight_layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from speckflex.program.program import Program

__all__ = ["Rule", "gradient_in_torch", "potentials_in_torch", "recorded_neurons"]


class Rule(NamedTuple):
    """A neuron in the network's units, as the kernels take it."""

    threshold: float
    to_zero: bool
    low: float
    surrogate: Any

    @property
    def numbers(self) -> list[Any]:
        """Threshold, reset and bound, as the kernels take them."""
        return [np.float32(self.threshold), self.to_zero, np.float32(self.low)]


@contextmanager
def recorded_neurons(
    network: nn.Module, program: Program, spikes: Sequence[torch.Tensor]
) -> Iterator[None]:
    """Let the neurons of a network send recorded spikes while the context lasts.

    A neuron integrates its currents frame by frame, with the recorded spikes as resets and the
    program's lower bound. Its potential only serves the gradient: the spikes are those that were
    recorded, whatever the potential.

    Args:
        network: a chain of layers on squeezed frames.
        program: what ran on the board.
        spikes: for each core (recording, time, channel, y, x) float32.
    """
    changed = []
    try:
        for core, layer, recorded in zip(
            program.cores, weight_layers(network), spikes, strict=True
        ):
            if layer.neuron is None or layer.threshold is None:
                continue
            neuron: Any = layer.neuron
            low = core.threshold_low * layer.threshold / core.threshold_high
            rule = Rule(layer.threshold, core.return_to_zero, low, neuron.surrogate_grad_fn)
            vars(neuron)["forward"] = partial(_send, neuron, recorded, rule)
            changed.append(neuron)
        yield
    finally:
        for neuron in changed:
            del vars(neuron)["forward"]


def _send(
    neuron: nn.Module, recorded: torch.Tensor, rule: Rule, current: torch.Tensor
) -> torch.Tensor:
    charged = precharged(neuron, current.view(recorded.shape)).view(current.shape)
    return _RecordedSpikes.apply(charged, recorded, rule)  # pyright: ignore[reportReturnType]


class _RecordedSpikes(torch.autograd.Function):
    """Currents `(batch * time, ...)` to the spikes that were recorded, of the same shape."""

    @staticmethod
    def forward(
        ctx: Any, current: torch.Tensor, recorded: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        compute = potentials_in_torch if current.is_cuda else _potentials
        before = compute(current.view(recorded.shape), recorded, rule)
        ctx.save_for_backward(before, recorded)
        ctx.rule = rule
        return recorded.view(current.shape)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - torch types its wrapper so
        ctx: Any, *grad_outputs: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        before, recorded = ctx.saved_tensors
        (by_spikes,) = grad_outputs
        by_spikes = by_spikes.reshape(recorded.shape)
        compute = gradient_in_torch if before.is_cuda else _gradient
        gradient = compute(by_spikes, before, recorded, ctx.rule)
        return gradient.view(grad_outputs[0].shape), None, None


def potentials_in_torch(current: torch.Tensor, recorded: torch.Tensor, rule: Rule) -> torch.Tensor:
    """Return the potentials before each spike, as `recorded_forward` does, on any device.

    Args:
        current: (recording, time, ...) float32.
        recorded: spikes of the same shape.
        rule: of the neuron.
    """
    before = torch.empty_like(current, memory_format=torch.contiguous_format)
    resets = recorded * rule.threshold
    potential = torch.zeros_like(current[:, 0])
    for time in range(current.shape[1]):
        before[:, time] = potential + current[:, time]
        if rule.to_zero:
            potential = before[:, time].masked_fill(recorded[:, time] > 0, 0)
        else:
            potential = before[:, time] - resets[:, time]
        potential = potential.clamp(min=rule.low)
    return before


def gradient_in_torch(
    by_spikes: torch.Tensor, before: torch.Tensor, recorded: torch.Tensor, rule: Rule
) -> torch.Tensor:
    """Return the loss's derivative by each current, as `recorded_backward` does, on any device.

    Args:
        by_spikes: the loss's derivative by each spike, (recording, time, ...) float32.
        before: of `potentials_in_torch`, of the same shape.
        recorded: spikes of the same shape.
        rule: of the neuron.
    """
    own = by_spikes * rule.surrogate(before, rule.threshold)
    passed = (before if rule.to_zero else before - rule.threshold * recorded) > rule.low
    if rule.to_zero:
        passed &= recorded <= 0
    passed = passed.to(own)
    gradient = torch.empty_like(before)
    later = torch.zeros_like(before[:, 0])
    for time in reversed(range(before.shape[1])):
        gradient[:, time] = later = torch.addcmul(own[:, time], passed[:, time], later)
    return gradient


def _potentials(current: torch.Tensor, recorded: torch.Tensor, rule: Rule) -> torch.Tensor:
    by_sample = (*recorded.shape[:2], -1)
    before = torch.empty(recorded.shape)
    arrays = [_array(tensor, by_sample) for tensor in (current, recorded, before)]
    run_by_sample(recorded_forward, arrays, rule.numbers, torch.get_num_threads())
    return before


def _gradient(
    by_spikes: torch.Tensor, before: torch.Tensor, recorded: torch.Tensor, rule: Rule
) -> torch.Tensor:
    surrogate, threshold = rule.surrogate, rule.threshold
    kind, height, sharpness = SURROGATES.get(type(surrogate), _given)(surrogate, threshold)
    gradient = torch.empty_like(before)
    if kind == GIVEN:
        gradient.copy_(surrogate(before, threshold))
    by_sample = (*recorded.shape[:2], -1)
    arrays = [_array(tensor, by_sample) for tensor in (by_spikes, recorded, before, gradient)]
    numbers = [*rule.numbers, kind, np.float32(height), np.float32(sharpness)]
    run_by_sample(recorded_backward, arrays, numbers, torch.get_num_threads())
    return gradient


def _array(tensor: torch.Tensor, shape: Sequence[int]) -> np.ndarray:
    return tensor.detach().contiguous().view(tuple(shape)).numpy()


def _given(surrogate: Any, threshold: float) -> tuple[int, float, float]:
    """Let a surrogate that no kernel knows compute its own values."""
    return GIVEN, 0.0, 0.0
