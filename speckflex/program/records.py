"""The records that a Program is made of: shapes, destinations, the input stage and cores."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from speckflex._support.text import shown_name
from speckflex.chips.formats import NEURON_MAX, NEURON_MIN
from speckflex.errors import ConversionError
from speckflex.program.event_filter import EventFilter

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ARRAYS",
    "Core",
    "Destination",
    "EdgeSpikes",
    "InputStage",
    "MirrorFrame",
    "Pair",
    "Readout",
    "Shape",
    "check_input",
    "core_from_plain",
    "plain",
    "plain_stage",
    "stage_from_plain",
]

Shape = tuple[int, int, int]  # channel, y, x
Pair = tuple[int, int]  # y, x
Readout = Literal["spikes", "potential"]
# What happens to spikes beyond the last whole pooling window, and what the input stage mirrors. No
# source says what the chip does, so `TwinSettings` chooses.
EdgeSpikes = Literal["drop", "keep"]
MirrorFrame = Literal["region", "sensor", "not at all"]

# The fields of a Core that are arrays.
ARRAYS = ("weights", "bias", "initial_state")


@dataclass(frozen=True)
class Destination:
    """Where a core or the input stage sends its spikes.

    Args:
        core: index into `Program.cores`, not a core of the chip.
        pooling: both sides of the pooling window; a spike at (y, x) arrives at (y//p, x//p).
        feature_shift: added to the channel at the destination (concatenation).
    """

    core: int
    pooling: int = 1
    feature_shift: int = 0


@dataclass(frozen=True)
class InputStage:
    """What happens to an event before the first core: the chip's DVS pre-processing layer.

    Order (datasheet figure 6): polarity, pooling, region of interest, mirror, event filter,
    destinations.

    Args:
        shape: (channel, y, x) of the events as they arrive.
        destinations: the cores that receive the events, with pooling 1.
        pooling: (y, x); an event at (y, x) goes on at (y//py, x//px).
        merge_polarities: send every channel to one, channel 0 or what `TwinSettings` says.
        keep_off: let channel 0 (off) through.
        keep_on: let channel 1 (on) through.
        origin: (y, x) of the region of interest, after pooling.
        size: (y, x) of the region of interest; None for all that lies beyond `origin`.
        mirror_y: flip up and down, inside the region of interest.
        mirror_x: flip left and right, inside the region of interest.
        swap_xy: exchange x and y, after mirroring.
        event_filter: the filter that drops noise at the end of the stage; None for no filter.
    """

    shape: Shape
    destinations: tuple[Destination, ...] = (Destination(0),)
    pooling: Pair = (1, 1)
    merge_polarities: bool = False
    keep_off: bool = True
    keep_on: bool = True
    origin: Pair = (0, 0)
    size: Pair | None = None
    mirror_y: bool = False
    mirror_x: bool = False
    swap_xy: bool = False
    event_filter: EventFilter | None = None

    @property
    def region(self) -> Pair:
        """The (y, x) size of the region of interest, after pooling."""
        if self.size is not None:
            return self.size
        pooled = (self.shape[1] // self.pooling[0], self.shape[2] // self.pooling[1])
        return (pooled[0] - self.origin[0], pooled[1] - self.origin[1])

    @property
    def output_shape(self) -> Shape:
        """The (channel, y, x) shape of what leaves the stage."""
        y, x = self.region[::-1] if self.swap_xy else self.region
        return (1 if self.merge_polarities else self.shape[0], y, x)

    @property
    def has_one_feature(self) -> bool:
        """Whether all events get one channel: polarities are merged, or one passes alone.

        samna's documents give an event the same number in the three cases (0 in the guide, 1 in
        the reference).
        """
        alone = self.shape[0] > 1 and self.keep_off != self.keep_on
        return self.merge_polarities or alone

    @property
    def is_identity(self) -> bool:
        """Whether the stage changes no event."""
        return replace(self, size=None) == InputStage(self.shape, self.destinations) and (
            self.region == self.shape[1:]
        )


@dataclass(frozen=True, eq=False)
class Core:
    """One layer in the chip's integers: convolution, integrate and fire, destinations.

    Args:
        name: the weight layer's name in the torch network.
        neuron_name: the neuron layer's name in the torch network; "" if it has none.
        weights: (out, in, ky, kx) int8.
        threshold_high: a neuron fires at V >= threshold_high.
        threshold_low: V is clamped at threshold_low before the comparison.
        input_shape: (channel, y, x).
        stride: (y, x).
        padding: (y, x).
        return_to_zero: V = 0 after a spike, instead of V -= threshold_high.
        bias: (out,) int16, added at each tick of the slow clock, or None. It is no torch bias.
        initial_state: (out, y, x) int16, V before the first event; None for zeros.
        destinations: at most two on the chip, any number on the twin alone.
        readout: what the layer is read out by; "potential" for a layer that never fires.
        scale: integers per unit of the torch network's weights and potentials.
        chip_core: the chip's core that the layer is placed on; None if it isn't placed.
        decimator_interval: 0..7 to pass 1 of 2, 4, 8, 16, 32, 128, 256, 512 spikes; None for off.
        congestion_balancer: drop input events while the core is busy.
    """

    name: str
    weights: np.ndarray = field(repr=False)
    threshold_high: int
    threshold_low: int
    input_shape: Shape
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    return_to_zero: bool = False
    bias: np.ndarray | None = field(default=None, repr=False)
    initial_state: np.ndarray | None = field(default=None, repr=False)
    destinations: tuple[Destination, ...] = ()
    readout: Readout = "spikes"
    scale: float = 1.0
    neuron_name: str = ""
    chip_core: int | None = None
    decimator_interval: int | None = None
    congestion_balancer: bool = False

    def __post_init__(self) -> None:
        for item in fields(self):
            object.__setattr__(self, item.name, _without_numpy(getattr(self, item.name)))
        for name in ("name", "neuron_name"):
            object.__setattr__(self, name, shown_name(getattr(self, name)))
        _freeze(self, "weights", np.int8, 4)
        _freeze(self, "bias", np.int16, 1)
        _freeze(self, "initial_state", np.int16, 3)
        _check_core(self)

    @property
    def output_shape(self) -> Shape:
        """(channel, y, x) of the neurons, before any pooling."""
        out, _, kernel_y, kernel_x = self.weights.shape
        _, y, x = self.input_shape
        return (
            out,
            (y + 2 * self.padding[0] - kernel_y) // self.stride[0] + 1,
            (x + 2 * self.padding[1] - kernel_x) // self.stride[1] + 1,
        )

    def integrated(self, potentials: np.ndarray, spikes: np.ndarray) -> np.ndarray:
        """Return what neurons read by potential have summed up, beyond their 16 bits.

        A sum that reaches the high threshold makes the neuron fire, and the threshold is
        subtracted. So each spike stands for one threshold.

        Args:
            potentials: integers of any shape, as they stand at the end.
            spikes: integers of the same shape, fired since the start.
        """
        return potentials + (0 if self.return_to_zero else self.threshold_high) * spikes


def plain(record: Core | InputStage | Destination | EventFilter) -> dict[str, Any]:
    """Return a record's fields as plain JSON types, arrays as dtype and shape."""
    values = {item.name: getattr(record, item.name) for item in fields(record)}
    return {name: _plain_value(value) for name, value in values.items()}


def plain_stage(stage: InputStage) -> dict[str, Any]:
    """Return the stage's fields, the filter only if there is one.

    So a program without a filter has the hash that it had before there were filters.
    """
    values = plain(stage)
    if stage.event_filter is None:
        del values["event_filter"]
    return values


def core_from_plain(values: Mapping[str, Any], arrays: Mapping[str, Any]) -> Core:
    """Return the core for which `plain` returned `values`, with its arrays."""
    settings = {name: _tupled(value) for name, value in values.items() if name not in ARRAYS}
    settings["destinations"] = _destinations_from_plain(values["destinations"])
    return Core(**settings, **arrays)


def stage_from_plain(values: Mapping[str, Any]) -> InputStage:
    """Return the input stage for which `plain_stage` returned `values`."""
    settings = {name: _tupled(value) for name, value in values.items()}
    settings["destinations"] = _destinations_from_plain(values["destinations"])
    if settings.get("event_filter") is not None:
        stated = settings["event_filter"]
        settings["event_filter"] = EventFilter(**{k: _tupled(v) for k, v in stated.items()})
    return InputStage(**settings)


def _destinations_from_plain(values: list[dict[str, int]]) -> tuple[Destination, ...]:
    return tuple(Destination(**value) for value in values)


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return {"dtype": value.dtype.name, "shape": list(value.shape)}
    if isinstance(value, tuple):
        return [_plain_value(item) for item in value]
    if isinstance(value, Destination | EventFilter):
        return plain(value)
    return value


def _without_numpy(value: Any) -> Any:
    """Return numpy's scalars, alone or in a tuple, as Python's; anything else as it is."""
    if isinstance(value, tuple):
        return tuple(_without_numpy(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _freeze(core: Core, name: str, dtype: type, ndim: int) -> None:
    """Replace the named array by a read-only copy with the stated dtype."""
    value = getattr(core, name)
    if value is None:
        return
    array = np.array(value, dtype=dtype)
    if array.ndim != ndim or not np.array_equal(array, value):
        raise ConversionError(
            f"core {core.name}: {name} of dtype {np.asarray(value).dtype} and shape"
            f" {np.shape(value)} do not fit {np.dtype(dtype).name} with {ndim} axes:"
            " discretise them first"
        )
    array.flags.writeable = False
    object.__setattr__(core, name, array)


def _check_core(core: Core) -> None:
    _check_settings(core)
    expected = {"bias": core.weights.shape[:1], "initial_state": core.output_shape}
    for name, shape in expected.items():
        array = getattr(core, name)
        if array is not None and array.shape != shape:
            raise ConversionError(
                f"core {core.name}: {name} has shape {array.shape}, its neurons need {shape}:"
                " give one value per output channel or neuron"
            )
    if core.weights.shape[1] != core.input_shape[0] or min(core.output_shape) < 1:
        raise ConversionError(
            f"core {core.name}: weights of shape {core.weights.shape} give no output on input"
            f" {core.input_shape}: check the input shape (channel, y, x)"
        )
    if not (0 <= core.threshold_high <= NEURON_MAX and NEURON_MIN <= core.threshold_low <= 0):
        raise ConversionError(
            f"core {core.name}: thresholds {core.threshold_low} and {core.threshold_high} are not"
            f" in {NEURON_MIN}..0 and 0..{NEURON_MAX}: check spike_threshold and min_v_mem"
        )


def _check_settings(core: Core) -> None:
    """Check the numbers that no array constrains."""
    _check_pair(f"core {core.name}", "stride", core.stride, 1)
    _check_pair(f"core {core.name}", "padding", core.padding, 0)
    if len(core.input_shape) != 3 or core.readout not in ("spikes", "potential"):
        raise ConversionError(
            f"core {core.name}: input_shape {core.input_shape} or readout {core.readout!r} is not"
            " (channel, y, x) and 'spikes' or 'potential'"
        )
    for name in ("threshold_high", "threshold_low"):
        value = getattr(core, name)
        if not isinstance(value, int):
            raise ConversionError(
                f"core {core.name}: {name} {value!r} is no whole number: discretise it first"
            )
    if not 0 < core.scale < float("inf"):
        raise ConversionError(f"core {core.name}: scale {core.scale} is not a positive number")
    if core.decimator_interval is not None and core.decimator_interval not in range(8):
        raise ConversionError(
            f"core {core.name}: decimator_interval {core.decimator_interval} is not in 0..7"
        )


def _check_pair(owner: str, name: str, pair: Pair, least: int) -> None:
    if len(pair) != 2 or min(pair) < least:
        raise ConversionError(f"{owner}: {name} {pair} is not (y, x) with both at least {least}")


def check_input(stage: InputStage) -> None:
    """Check that the region of interest lies inside the pooled map.

    Raises:
        ConversionError: it does not, or a setting is out of range.
    """
    _check_pair("the input stage", "pooling", stage.pooling, 1)
    _check_pair("the input stage", "origin", stage.origin, 0)
    pooled = [side // pool for side, pool in zip(stage.shape[1:], stage.pooling, strict=True)]
    ends = [start + size for start, size in zip(stage.origin, stage.region, strict=True)]
    if min(stage.region) < 1 or any(end > side for end, side in zip(ends, pooled, strict=True)):
        raise ConversionError(
            f"the input stage: region of {stage.region} from {stage.origin} is not inside the"
            f" pooled map of {tuple(pooled)}: check crop and pooling"
        )
    if not isinstance(stage.event_filter, EventFilter | None):
        raise ConversionError(
            f"the input stage: event_filter {stage.event_filter!r} is no EventFilter: give one, or"
            " None"
        )
