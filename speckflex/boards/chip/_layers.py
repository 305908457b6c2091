"""A program's layers where they lie on the chip: cores, addresses of neurons, their states."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards.chip._questions import Place  # noqa: TC001 - a field's type
from speckflex.chips.chip import neuron_address
from speckflex.chips.formats import NEURON_MAX, NEURON_MIN

if TYPE_CHECKING:
    from speckflex.boards.chip.settings import ChipSettings
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Shape

__all__ = ["PlacedLayer", "Spark", "placed_layers"]


@dataclass(frozen=True)
class Spark:
    """What makes the first neuron of a layer spike, whatever the layer computes.

    Args:
        place: the neuron.
        state: the potential to write first.
        feature: of the event that then lifts it to its threshold, at y = x = 0.
    """

    place: Place
    state: int
    feature: int


@dataclass(frozen=True, eq=False)
class PlacedLayer:
    """One layer on its core.

    Args:
        index: its position in the program.
        core: what it computes.
        chip_core: where.
        stride: how far apart its channels lie; 4 for a layer that feeds the readout layer.
    """

    index: int
    core: Core
    chip_core: int
    stride: int = 1

    @property
    def shape(self) -> Shape:
        """(channel, y, x) of the neurons on the chip."""
        channels, height, width = self.core.output_shape
        return ((channels - 1) * self.stride + 1, height, width)

    @property
    def has_known_addresses(self) -> bool:
        """Whether the rule of addresses is confirmed for such a map.

        It is if rows take as many bits as columns (sinabs' leak notebook).
        """
        return ceil(log2(self.shape[1])) == ceil(log2(self.shape[2]))

    def places(self) -> list[Place]:
        """Return the place of every neuron, in the order (channel, y, x)."""
        return [self._place(*neuron) for neuron in np.ndindex(*self.core.output_shape)]

    def sampled(self, n_neurons: int | None) -> dict[Place, int]:
        """Return the initial states of evenly chosen neurons by place.

        If the rule of addresses is not confirmed, all come from the first row, whose addresses are
        the same under either rule.

        Args:
            n_neurons: how many; None for all.
        """
        shape = self.core.output_shape
        if not self.has_known_addresses:
            shape = (shape[0], 1, shape[2])
        size = int(np.prod(shape))
        wanted = size if n_neurons is None else min(n_neurons, size)
        chosen = np.unique(np.linspace(0, size - 1, wanted).round().astype(np.int64))
        neurons = np.stack(np.unravel_index(chosen, shape), axis=1).tolist()
        return {self._place(*neuron): self._initial(*neuron) for neuron in neurons}

    def spark(self) -> Spark | None:
        """Return what makes the neuron at address 0 spike; None if nothing is sure to."""
        pad_y, pad_x = self.core.padding
        kernel = self.core.weights.shape[2:]
        if pad_y >= kernel[0] or pad_x >= kernel[1]:
            return None
        weights = self.core.weights[0, :, pad_y, pad_x].astype(int)
        for feature in np.argsort(-weights, kind="stable").tolist():
            state = self.core.threshold_high - int(weights[feature])
            if max(NEURON_MIN, self.core.threshold_low) <= state <= NEURON_MAX:
                return Spark((self.chip_core, 0), state, feature)
        return None

    def _place(self, channel: int, y: int, x: int) -> Place:
        return (self.chip_core, neuron_address(channel * self.stride, y, x, self.shape))

    def _initial(self, channel: int, y: int, x: int) -> int:
        state = self.core.initial_state
        return 0 if state is None else int(state[channel, y, x])


def placed_layers(program: Program, settings: ChipSettings) -> list[PlacedLayer]:
    """Return the layers of a program whose cores are all placed."""
    last, readout = len(program.cores) - 1, program.chip_record.readout
    return [
        PlacedLayer(
            index,
            core,
            chip_core=-1 if core.chip_core is None else core.chip_core,
            stride=readout.stride if settings.readout_layer and index == last else 1,
        )
        for index, core in enumerate(program.cores)
    ]
