"""From event arrays to samna's input events, and from samna's spikes to event arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.boards.chip._layers import PlacedLayer  # noqa: TC001 - a field's type
from speckflex.boards.chip._link import make_event
from speckflex.events.streams import make_events
from speckflex.program.routing import enter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards.chip._configuration import InputPath
    from speckflex.boards.chip._link import SpikeRow
    from speckflex.program.program import Program

__all__ = ["InputWriter", "SpikeColumns", "read_spikes"]


class InputWriter:
    """Turns a program's input events into samna's.

    Args:
        event_module: samna's module of the chip's events, such as `samna.speck2e.event`.
        program: with every layer placed on a core.
        path: how events enter.
    """

    def __init__(self, event_module: Any, program: Program, path: InputPath) -> None:
        self._spike, self._dvs_event = event_module.Spike, event_module.DvsEvent
        self._path, self._stage = path, program.input
        self._targets = [
            (program.cores[target.core].chip_core, target.feature_shift)
            for target in program.input.destinations
        ]
        self._places = enter(program.input)

    def make(self, events: np.ndarray, offset: int) -> list[Any]:
        """Return what to write for some of a sample's events, in their order.

        Args:
            events: `(n,)` event array.
            offset: µs to add to every time.
        """
        times = events["t"] + offset
        if self._path == "dvs layer":
            columns = (events["p"] != 0, events["y"], events["x"], times)
            kind = self._dvs_event
            return [make_event(kind, p=p, timestamp=t, x=x, y=y) for p, y, x, t in _rows(columns)]
        channels, _, width = self._stage.shape
        address = (events["y"].astype(np.int64) * width + events["x"]) * channels + events["p"]
        if self._path == "host":
            address, times = address[self._kept(address)], times[self._kept(address)]
        places = self._places
        columns = (places.channels[address], places.rows[address], places.columns[address], times)
        kind, targets = self._spike, self._targets
        return [
            make_event(kind, feature=feature + shift, layer=core, timestamp=t, x=x, y=y)
            for feature, y, x, t in _rows(columns)
            for core, shift in targets
        ]

    def _kept(self, address: np.ndarray) -> np.ndarray:
        return self._places.kept[address]


@dataclass(frozen=True, eq=False)
class SpikeColumns:
    """The spikes of one layer in the order they arrived, at times of the stop watch.

    Args:
        layer: where they come from.
        events: `(n,)` event array.
    """

    layer: PlacedLayer
    events: np.ndarray

    @property
    def inside(self) -> np.ndarray:
        """`(n,) bool`, whether an address is a neuron of the layer."""
        channels, height, width = self.layer.core.output_shape
        events = self.events
        return (events["p"] < channels) & (events["y"] < height) & (events["x"] < width)


def read_spikes(
    spikes: Sequence[SpikeRow], layers: Sequence[PlacedLayer]
) -> tuple[list[SpikeColumns], int]:
    """Return the spikes layer by layer, and how many belong to none of the layers.

    Args:
        spikes: as a link gives them.
        layers: of the program.
    """
    table = np.array(spikes, np.int64).reshape(-1, 5)
    parts = []
    for layer in layers:
        _, times, x, y, feature = table[table[:, 0] == layer.chip_core].T
        # a layer that feeds the readout has its channels at every fourth feature
        parts.append(SpikeColumns(layer, make_events(times, x, y, feature // layer.stride)))
    return parts, len(table) - sum(len(part.events) for part in parts)


def _rows(columns: tuple[np.ndarray, ...]) -> Any:
    """Return the rows of columns as Python's own numbers: samna does not take numpy's."""
    return zip(*(column.tolist() for column in columns), strict=True)
