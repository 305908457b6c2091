"""Every number of the Speck2e and Speck2f chips, once, with its source.

Sources: DS = "Speck Dev Kit Datasheet" (SynSense, August 2023); sinabs = the constraints
table of sinabs 3.1.3 (`sinabs/backend/dynapcnn/chips/dynapcnn.py`); samna = its reference.
"""

from dataclasses import dataclass
from math import ceil, log2

__all__ = [
    "CHIPS",
    "CORES",
    "DVS_LAYER",
    "FILTER_WINDOWS",
    "MAX_DESTINATIONS",
    "MAX_FEATURES",
    "MAX_FILTER_SIZE",
    "MAX_INPUT_SIZE",
    "MAX_KERNEL",
    "MAX_OUTPUT_SIZE",
    "MAX_PADDING",
    "NEURON_MAX",
    "NEURON_MIN",
    "POOLINGS",
    "READOUT_LAYER",
    "STRIDES",
    "SYNOPS_PER_SECOND",
    "WEIGHT_MAX",
    "WEIGHT_MIN",
    "CoreLimits",
    "kernel_words",
    "neuron_address",
    "neuron_at",
    "neuron_words",
]


@dataclass(frozen=True)
class CoreLimits:
    """What one core holds, in words of its memories."""

    index: int
    kernel_words: int
    neuron_words: int
    bias_words: int
    repeatable: bool


KI = 1024

# DS table 1 and sinabs' constraints table; kernel words have 8 bits, the others 16.
# Cores 0 and 1 compute in parallel and do not repeat themselves exactly (sinabs' hardware tests).
CORES = (
    CoreLimits(0, 16 * KI, 64 * KI, KI, repeatable=False),
    CoreLimits(1, 16 * KI, 64 * KI, KI, repeatable=False),
    CoreLimits(2, 16 * KI, 64 * KI, KI, repeatable=True),
    CoreLimits(3, 32 * KI, 32 * KI, KI, repeatable=True),
    CoreLimits(4, 32 * KI, 32 * KI, KI, repeatable=True),
    CoreLimits(5, 64 * KI, 16 * KI, KI, repeatable=True),
    CoreLimits(6, 64 * KI, 16 * KI, KI, repeatable=True),
    CoreLimits(7, 16 * KI, 16 * KI, KI, repeatable=True),
    CoreLimits(8, 16 * KI, 16 * KI, KI, repeatable=True),
)

# The two chips have the same cores (DS); "unbounded" is no chip: any size, for the twin alone.
CHIPS = ("speck2e", "speck2f", "unbounded")

WEIGHT_MIN, WEIGHT_MAX = -128, 127  # 8-bit signed, DS table 3
NEURON_MIN, NEURON_MAX = -(2**15), 2**15 - 1  # 16-bit signed, DS table 3

STRIDES = (1, 2, 4, 8)  # DS 3.2.4.1, x and y independent
POOLINGS = (1, 2, 4)  # DS 3.2.4.1, square towards a core, x and y independent in the DVS layer
MAX_PADDING = 7  # DS 3.2.4.1
MAX_KERNEL = 16  # DS 2.4
MAX_FEATURES = 1024  # DS 2.4
MAX_INPUT_SIZE = 128  # DS 2.4, pixels a side
MAX_OUTPUT_SIZE = 64  # DS 2.4, pixels a side before pooling
MAX_DESTINATIONS = 2  # DS 2.4, per core and for the DVS layer

FILTER_WINDOWS = range(1, 16)  # DS 3.2.3.5, ticks of the slow clock
MAX_FILTER_SIZE = 255  # 8 bits in samna's DvsFilterConfig; no source states a lower limit

READOUT_LAYER = 12  # sinabs' notebook on the readout layer
DVS_LAYER = 13  # sinabs' notebook on spike counts

# Unverified: one thesis on a Speck2f gives 10 M synaptic operations a second and core.
SYNOPS_PER_SECOND = 10_000_000


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
    the height, where two neurons may share an address; here it is by those of the width.

    Args:
        channel: feature of the neuron.
        y: row.
        x: column.
        shape: (channel, y, x) of the layer's neurons.
    """
    channel_bits, _, x_bits = _address_bits(shape)
    return y << (channel_bits + x_bits) | x << channel_bits | channel


def neuron_at(address: int, shape: tuple[int, int, int]) -> tuple[int, int, int] | None:
    """Return the (channel, y, x) of the neuron at an address; None where no neuron is."""
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
