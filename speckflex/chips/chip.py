"""A chip as a record: its cores, its limits and its names; and how it counts memory.

Sources: DS = "Speck Dev Kit Datasheet" (SynSense, August 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

__all__ = [
    "Chip",
    "CoreLimits",
    "DvsLayer",
    "FilterLimits",
    "LayerLimits",
    "ReadoutLayer",
    "SamnaNames",
    "kernel_words",
    "neuron_address",
    "neuron_at",
    "neuron_words",
]


@dataclass(frozen=True)
class CoreLimits:
    """One core and the words that its memories hold.

    Args:
        index: the core's number on the chip.
        kernel_words: of 8 bits.
        neuron_words: of 16 bits.
        bias_words: of 16 bits.
        repeatable: whether the same events give the same spikes each time; False for a core
            whose two engines compute in parallel.
    """

    index: int
    kernel_words: int
    neuron_words: int
    bias_words: int
    repeatable: bool = True


@dataclass(frozen=True)
class LayerLimits:
    """The limits of a layer on any core, apart from memory.

    Args:
        max_kernel: taps a side.
        square_kernels: whether both sides of a kernel must be equal.
        strides: what y and x may be.
        max_padding: pixels on each side.
        poolings: what the pooling towards a destination may be.
        max_features: channels of the input, and of the output.
        max_input_size: pixels a side.
        max_output_size: pixels a side, before pooling.
        max_destinations: of a core, and of the DVS layer.
        max_threshold_low: the largest lower bound of a potential.
    """

    max_kernel: int
    square_kernels: bool
    strides: tuple[int, ...]
    max_padding: int
    poolings: tuple[int, ...]
    max_features: int
    max_input_size: int
    max_output_size: int
    max_destinations: int
    max_threshold_low: int


@dataclass(frozen=True)
class FilterLimits:
    """The limits of the event filter behind the DVS layer.

    Args:
        windows: ticks of the slow clock.
        max_size: pixels that a neighbour may be away.
        clock_below: Hz; the slow clock must be slower.
        low_pass: whether it has the mode "low pass".
    """

    windows: range
    max_size: int
    clock_below: int
    low_pass: bool


@dataclass(frozen=True)
class DvsLayer:
    """The layer that takes the sensor's events.

    Args:
        layer: the number that samna gives it.
        shape: (channel, y, x) of the sensor.
    """

    layer: int
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class ReadoutLayer:
    """The layer that finds the class with the most spikes.

    Args:
        layer: the number that samna gives it.
        classes: how many it tells apart.
        stride: how many channels apart the classes lie.
        shapes: (channel, y, x) of the maps that it may take, by the number that selects them.
    """

    layer: int
    classes: int
    stride: int
    shapes: tuple[tuple[int, int, int], ...]

    @property
    def single_neurons(self) -> int:
        """The number that selects the shape with one neuron a class."""
        return next(i for i, shape in enumerate(self.shapes) if shape[1:] == (1, 1))


@dataclass(frozen=True)
class SamnaNames:
    """The names under which samna reaches a chip.

    Args:
        module: of the chip, such as `samna.speck2e`.
        devices: every type of device that carries the chip.
        devkit: the type of device that a virtual board of the chip is.
        input_buffer: the class of the source node that takes input events.
        usb: "vendor:product" of the devices, in hexadecimal, in the order of `devices`.
    """

    module: str = ""
    devices: tuple[str, ...] = ()
    devkit: str = ""
    input_buffer: str = ""
    usb: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chip:
    """A chip that programs are made for.

    Args:
        name: what `Program.chip` says.
        label: its name in a sentence.
        cores: `cores[i].index` is i.
        limits: of a layer on any core.
        event_filter: limits of the filter of sensor events.
        dvs: the layer that takes the sensor's events.
        readout: the layer that finds the class with the most spikes.
        synops_per_second: synaptic operations that a core is taken to do; unverified.
        samna: its names in samna; empty for a chip that samna does not reach.
        bounded: whether the limits and the memories hold; without them the twin alone runs
            a program.
    """

    name: str
    label: str
    cores: tuple[CoreLimits, ...]
    limits: LayerLimits
    event_filter: FilterLimits
    dvs: DvsLayer
    readout: ReadoutLayer
    synops_per_second: float
    samna: SamnaNames = SamnaNames()
    bounded: bool = True

    def core(self, index: int | None) -> CoreLimits | None:
        """Return the core that a layer is placed on; None for a layer that is not placed."""
        return None if index is None else self.cores[index]


def kernel_words(input_channels: int, output_channels: int, kernel_y: int, kernel_x: int) -> int:
    """Return the 8-bit words that a layer's kernels take on a core (DS 3.2.4.1).

    `c * 2^(ceil(log2(ky * kx)) + ceil(log2(f)))`
    """
    return input_channels * 2 ** (ceil(log2(kernel_y * kernel_x)) + ceil(log2(output_channels)))


def neuron_words(output_channels: int, output_y: int, output_x: int) -> int:
    """Return the 16-bit words that a layer's neurons take on a core (DS 3.2.4.1).

    `f * 2^(ceil(log2(y)) + ceil(log2(x)))`; the number of features itself is not rounded up.
    """
    return output_channels * 2 ** (ceil(log2(output_y)) + ceil(log2(output_x)))


def neuron_address(channel: int, y: int, x: int, shape: tuple[int, int, int]) -> int:
    """Return a neuron's address in its core's memory: y, x and channel in as few bits as fit.

    Confirmed by sinabs' leak notebook for square maps. For others sinabs shifts y by the bits of
    the height, where two neurons may share an address; here y is shifted by the bits of the width.

    Args:
        channel: feature of the neuron.
        y: row.
        x: column.
        shape: (channel, y, x) of the layer's neurons.
    """
    channel_bits, _, x_bits = _address_bits(shape)
    return y << (channel_bits + x_bits) | x << channel_bits | channel


def neuron_at(address: int, shape: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Return the (channel, y, x) of the neuron at an address; None where there is no neuron."""
    channel_bits, _, x_bits = _address_bits(shape)
    place = (
        address & (2**channel_bits - 1),
        address >> (channel_bits + x_bits),
        (address >> channel_bits) & (2**x_bits - 1),
    )
    inside = all(value < size for value, size in zip(place, shape, strict=True))
    return place if inside else None


def _address_bits(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    channels, y, x = (ceil(log2(size)) for size in shape)
    return (channels, y, x)
