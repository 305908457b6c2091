"""A program's integers in time steps: what rounding to 8 bits does, apart from what events do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sinabs.activation import MultiSpike

from speckflex.deployment._steps import StepPlayer
from speckflex.networks.layer_kinds import module_called
from speckflex.program.routing import deliver, enter, places_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from speckflex.conversion.exact import ExactLayer
    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage
    from speckflex.program.routing import Places

__all__ = ["EightBitSteps"]


class EightBitSteps(StepPlayer):
    """The integers of a program, run in time steps as torch runs the network they came from.

    All that arrives at a core in one step is summed before its neurons are looked at. So the
    spikes differ from those of the folded network by the rounding alone, and from those of the
    twin by time steps alone. Potentials are not limited to 16 bits, and an event filter passes
    everything, as in torch.

    Args:
        program: the program.
        network: the network that it was converted from; its neurons say how often they may fire
            in one step. None for any number of times.
        bins: number of time steps per sample.
        numbers: the weights and thresholds of each layer in the units of its integers; None for
            the integers themselves.

    Attributes:
        given: output of layers that are not computed, `(sample, time, channel, y, x)` by
            position; the next frames must be of the same samples.
    """

    def __init__(
        self,
        program: Program,
        network: nn.Module | None = None,
        *,
        bins: int = 10,
        numbers: Sequence[Core | ExactLayer] | None = None,
    ) -> None:
        super().__init__(program, bins=bins, step="eight-bit")
        self.given: dict[int, np.ndarray] = {}
        self._numbers = program.cores if numbers is None else numbers
        self._fires = [_spike_function(network, core) for core in program.cores]
        self._entrance = enter(program.input)

    @torch.no_grad()
    def forward(self, frames: np.ndarray) -> list[np.ndarray]:
        """Run the frames and return each layer's output, (sample, time, channel, y, x)."""
        n_samples, n_steps = frames.shape[:2]
        cores, stage = self.program.cores, self.program.input
        # float64 holds every sum of these integers exactly
        inputs = [
            torch.zeros(n_samples * n_steps, *core.input_shape, dtype=torch.float64)
            for core in cores
        ]
        entering = torch.from_numpy(frames).double().flatten(0, 1)
        _send(entering, self._entrance, stage, inputs)
        outputs = []
        for position, core in enumerate(cores):
            if position in self.given:
                spikes = torch.from_numpy(self.given[position].astype(np.float64))
            else:
                currents = self._currents(position, inputs[position])
                currents = currents.unflatten(0, (n_samples, n_steps))
                if core.readout == "potential":
                    outputs.append(currents.numpy() / core.scale)
                    continue
                spikes = self._spikes(position, currents)
            outputs.append(spikes.numpy())
            _send(spikes.flatten(0, 1), places_of(core.output_shape), core, inputs)
        return outputs

    def _currents(self, position: int, arriving: torch.Tensor) -> torch.Tensor:
        """Return what the weights of a layer make of its input, both (frame, channel, y, x)."""
        core, numbers = self.program.cores[position], self._numbers[position]
        weights, bias = numbers.weights, numbers.bias
        return torch.nn.functional.conv2d(
            arriving,
            torch.from_numpy(weights.astype(np.float64)),
            None if bias is None else torch.from_numpy(bias.astype(np.float64)),
            core.stride,
            core.padding,
        )

    def _spikes(self, position: int, currents: torch.Tensor) -> torch.Tensor:
        """Return the (sample, time, channel, y, x) spikes of currents of that shape."""
        numbers, spike_fn = self._numbers[position], self._fires[position]
        threshold = torch.tensor(float(numbers.threshold_high), dtype=torch.float64)
        potential = torch.zeros_like(currents[:, 0])
        if numbers.initial_state is not None:
            potential += torch.from_numpy(numbers.initial_state.astype(np.float64))
        spikes = torch.zeros_like(currents)
        for step in range(currents.shape[1]):
            potential = potential + currents[:, step]
            fired = spike_fn.apply(potential, threshold, None).double()
            left = potential - fired * threshold
            if self.program.cores[position].return_to_zero:
                left = torch.where(fired > 0, 0.0, potential)
            potential = left.clamp(min=float(numbers.threshold_low))
            spikes[:, step] = fired
        return spikes


def _spike_function(network: nn.Module | None, core: Core) -> Any:
    """Return the spike function of a layer's neurons."""
    neurons = module_called(network, core.neuron_name) if network is not None else None
    return getattr(neurons, "spike_fn", MultiSpike)


def _send(
    values: torch.Tensor, places: Places, sender: Core | InputStage, inputs: list[torch.Tensor]
) -> None:
    """Add a sender's (frame, channel, y, x) output to what arrives at its destinations."""
    flat = values.permute(0, 2, 3, 1).flatten(1)  # in the order of addresses
    for destination in sender.destinations:
        there = deliver(places, sender.output_shape, destination, "drop")
        target = inputs[destination.core]
        _, height, width = target.shape[1:]
        index = (there.channels.astype(np.int64) * height + there.rows) * width + there.columns
        kept = torch.from_numpy(np.flatnonzero(there.kept))
        target.flatten(1).index_add_(1, torch.from_numpy(index[there.kept]), flat[:, kept])
