"""Where the neurons of a core lie in the twin's memory, so that it is read in the order of output.

The kernel visits the neurons that an event reaches in rising order of their addresses, and the
channels of one place lie side by side, for its vector instructions. So the order of output is a
matter of the layout: an axis that falls is laid out from its last place to its first, with its
weights, and the outer one of y and x has the longer step. Where the channel is not the inner axis,
the kernel groups the spikes of each event by channel afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.kernels.records import BY_EVENT, BY_ROW, UNGROUPED
from speckflex.program.routing import Places, places_of

if TYPE_CHECKING:
    from speckflex.program.records import Core, Shape
    from speckflex.twin.output_order import OutputOrder

__all__ = ["MemoryMap", "TurnedAxis"]

GROUPINGS = {2: UNGROUPED, 1: BY_ROW, 0: BY_EVENT}


@dataclass(frozen=True)
class TurnedAxis:
    """One of y and x as the kernel sees it, whichever it is and whichever way it runs.

    Args:
        kernel: taps.
        stride: of the neurons.
        padding: before the first input; may be negative where the axis falls.
        n_inputs: places of the input.
        n_neurons: places of the map.
        falls: whether inputs, neurons and taps are counted from the last.
    """

    kernel: int
    stride: int
    padding: int
    n_inputs: int
    n_neurons: int
    falls: bool

    def inputs(self, places: np.ndarray) -> np.ndarray:
        """Return places of the input as they are counted here."""
        return self.n_inputs - 1 - places if self.falls else places

    @classmethod
    def of(cls, core: Core, axis: str, n_inputs: int, *, falls: bool) -> TurnedAxis:
        """Return an axis of a core.

        A neuron at `row` meets an input at `y` with the tap `y + padding - stride * row`. Counted
        from the last, with `n_inputs - 1 - y`, `n_neurons - 1 - row` and `kernel - 1 - tap` in
        their places, the same relation holds for another padding.
        """
        position = "yx".index(axis)
        kernel, n_neurons = core.weights.shape[2 + position], core.output_shape[1 + position]
        stride, padding = core.stride[position], core.padding[position]
        if falls:
            padding = kernel - n_inputs - padding + stride * (n_neurons - 1)
        return cls(kernel, stride, padding, n_inputs, n_neurons, falls)


class MemoryMap:
    """The layout of a core's neurons for an order of output.

    An address counts neurons along three axes: the outer and the inner one of y and x, and the
    channel, each rising or falling.

    Attributes:
        shape: places along the three axes.
        places: channel, y and x of every address.
        first: where the first address is in the order (channel, y, x).
        steps: how far apart neighbours along the three axes are there.
        grouping: how the kernel groups the spikes of one event: UNGROUPED, BY_ROW, BY_EVENT.

    Args:
        shape: (channel, y, x) of the neurons.
        order: of output.
    """

    def __init__(self, shape: Shape, order: OutputOrder) -> None:
        self.axes = order.axes.replace("c", "")
        self._falling = order.falling
        sizes = dict(zip("cyx", shape, strict=True))
        self.shape = (sizes[self.axes[0]], sizes[self.axes[1]], sizes["c"])
        self.grouping = GROUPINGS[order.axes.index("c")]
        rising = {"c": shape[1] * shape[2], "y": shape[2], "x": 1}
        axes = (*self.axes, "c")
        self.first = sum((sizes[axis] - 1) * rising[axis] for axis in axes if self.falls(axis))
        outer, inner, channel = (
            -rising[axis] if self.falls(axis) else rising[axis] for axis in axes
        )
        self.steps = (outer, inner, channel)
        self.places = self._places()

    def view(self, values: np.ndarray) -> np.ndarray:
        """Return values by address, `(n,)`, as a (y, x, channel) view of the same memory."""
        falls = [slice(None, None, -1 if self.falls(axis) else 1) for axis in (*self.axes, "c")]
        turned = values.reshape(self.shape)[tuple(falls)]
        return turned if self.axes == "yx" else turned.transpose(1, 0, 2)

    def falls(self, axis: str) -> bool:
        """Return whether an axis is laid out from its last place to its first."""
        return axis in self._falling

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """Return (out, in, ky, kx) weights with taps and channels as in memory, outer tap first."""
        turned = weights if self.axes == "yx" else weights.transpose(0, 1, 3, 2)
        falls = [slice(None, None, -1 if self.falls(axis) else 1) for axis in ("c", *self.axes)]
        return turned[falls[0], :, falls[1], falls[2]]

    def by_channel(self, values: np.ndarray) -> np.ndarray:
        """Return `(channel,)` values as the channels lie in memory."""
        return values[::-1] if self.falls("c") else values

    def in_order(self, addresses: np.ndarray) -> np.ndarray:
        """Return rising addresses, all sent at one moment, in the order of output."""
        if self.grouping == UNGROUPED:
            return addresses
        n_channels, row = self.shape[2], self.shape[1] * self.shape[2]
        group = addresses % n_channels
        if self.grouping == BY_ROW:
            group = group + addresses // row * n_channels
        return addresses[np.argsort(group, kind="stable")]

    def _places(self) -> Places:
        outer, inner, channels = self.shape
        raw = places_of((channels, outer, inner))
        rows, columns = (
            size - 1 - values if self.falls(axis) else values
            for axis, size, values in zip(
                self.axes, (outer, inner), (raw.rows, raw.columns), strict=True
            )
        )
        features = channels - 1 - raw.channels if self.falls("c") else raw.channels
        if self.axes == "xy":
            rows, columns = columns, rows
        return Places(features, rows, columns, raw.kept)
