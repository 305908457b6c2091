"""The shape of a network's input, from its layers and a stated sensor, never from events."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn

from speckflex.errors import NetworkError
from speckflex.networks.layer_kinds import kind_of, wants_time_axis
from speckflex.networks.trace import working_copy

if TYPE_CHECKING:
    from speckflex.program.records import Shape

__all__ = ["find_input_shape"]

# Far beyond the chip's maps of 128 x 128.
LARGEST_SIDE = 256
BATCH_OF_MAPS = 4  # axes
# Values of a sensor's frame up to which the network runs on zeros: the first operation on shapes
# alone makes torch import sympy, which takes longer than a frame.
MOST_VALUES = 2**17


def find_input_shape(
    network: nn.Module,
    *,
    sensor: Shape | None = None,
    source: str = "",
    option: str = "--input-shape (channels, height, width)",
) -> Shape:
    """Return the (channel, y, x) shape of the events that a network takes.

    The sensor's, where one is stated and its events pass through the network. Otherwise the
    channels are those of the first convolution, and the map is the one square map that passes
    through all layers, which the sizes of Linear layers decide.

    Args:
        network: torch and sinabs layers; a copy runs on zeros, or on shapes alone.
        sensor: (channel, y, x) that recordings state, or None.
        source: what messages begin with.
        option: what a user can give instead.

    Raises:
        NetworkError: the layers take maps of several sizes, or none that can be found.
    """
    small = sensor is not None and math.prod(sensor) <= MOST_VALUES
    runner = _Runner(network, "cpu" if small else "meta")
    if sensor is not None and runner.takes(sensor):
        return sensor
    begin = source or f"network {type(network).__name__}"
    if sensor is not None:
        raise NetworkError(
            f"{begin}: events of the recordings' sensor {sensor} (channel, y, x) do not pass"
            f" through the network: choose other data, or give {option}"
        )
    channels = _first_channels(network)
    if channels is None:
        raise NetworkError(
            f"{begin} does not say the shape of its input, whose first layer is no convolution:"
            f" give {option}"
        )
    sides = _sides(runner, channels)
    if len(sides) == 1:
        return (channels, sides[0], sides[0])
    found = "maps of any size"
    if not sides:
        found = f"no square maps of {channels} channels"
    elif sides[-1] < LARGEST_SIDE:
        found = f"square maps of {sides[0]} to {sides[-1]} pixels a side"
    raise NetworkError(
        f"{begin} does not say the shape of its input, and its layers take {found}: give {option}"
    )


def _first_channels(network: nn.Module) -> int | None:
    """Return the channels of the first weight layer, if it is a convolution."""
    for module in network.modules():
        if kind_of(module).role == "weights":
            return module.in_channels if isinstance(module, nn.Conv2d) else None
    return None


def _sides(runner: _Runner, channels: int) -> tuple[int, ...]:
    """Return the sides of the square maps that pass, in ascending order.

    They follow each other without a gap, because no layer makes a larger map smaller.
    """
    if runner.takes((channels, LARGEST_SIDE, LARGEST_SIDE)):
        return tuple(range(1, LARGEST_SIDE + 1))
    found: list[int] = []
    for side in range(1, LARGEST_SIDE):
        if runner.takes((channels, side, side)):
            found.append(side)
        elif found:
            break
    return tuple(found)


class _Runner:
    """Runs a network on zeros, or on shapes alone, which is torch's device "meta"."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self.device = device
        self.working = working_copy(network).to(device)
        self.with_time = wants_time_axis(network)
        for module in self.working.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_pre_hook(_check_axes)
            elif isinstance(module, sl.UnflattenTime):
                module.batch_size = 1

    def takes(self, shape: Shape) -> bool:
        """Return whether events of a (channel, y, x) shape pass through the network."""
        orders = ((1, 1),) if self.with_time else ((1,), (1, 1))
        return any(self._runs(torch.zeros(*order, *shape, device=self.device)) for order in orders)

    @torch.no_grad()
    def _runs(self, frames: torch.Tensor) -> bool:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                self.working(frames)
            except Exception:  # noqa: BLE001  a user's forward pass can raise anything
                return False
        return True


def _check_axes(_: nn.Module, inputs: tuple[Any, ...]) -> None:
    """Refuse a map without a batch, which torch would take."""
    if inputs[0].dim() != BATCH_OF_MAPS:
        raise ValueError(f"{inputs[0].dim()} axes")
