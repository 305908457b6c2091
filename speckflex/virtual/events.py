"""The events of Speck2e and Speck2f: what is written to a model and what it answers."""

from __future__ import annotations

from speckflex.chips.speck import NEURON_MAX, NEURON_MIN, WEIGHT_MAX, WEIGHT_MIN
from speckflex.virtual.fields import Flag, Integer, Number
from speckflex.virtual.records import Record

__all__ = ["EVENT_CLASSES", "INPUT_EVENTS", "Measurement", "chip_events"]

UNSIGNED_MAX = 2**32 - 1
TIME_MAX = 2**63 - 1


def _unsigned() -> Integer:
    return Integer(0, 0, UNSIGNED_MAX)


def _time() -> Integer:
    return Integer(0, 0, TIME_MAX)  # µs


class Spike(Record):
    """A spike of a core (pre-pooling address), or an event for a core."""

    __slots__ = ()
    feature = _unsigned()
    layer = _unsigned()
    timestamp = _time()
    x = _unsigned()
    y = _unsigned()


class DvsEvent(Record):
    """An event of the sensor, or one injected in its place."""

    __slots__ = ()
    p = Flag()
    timestamp = _time()
    x = _unsigned()
    y = _unsigned()


class ReadNeuronValue(Record):
    """Ask for one neuron's potential."""

    __slots__ = ()
    layer = _unsigned()
    address = _unsigned()


class WriteNeuronValue(Record):
    """Set one neuron's potential."""

    __slots__ = ()
    address = _unsigned()
    layer = _unsigned()
    neuron_state = Integer(0, NEURON_MIN, NEURON_MAX)


class NeuronValue(Record):
    """The answer to ReadNeuronValue."""

    __slots__ = ()
    address = _unsigned()
    layer = _unsigned()
    neuron_state = Integer(0, NEURON_MIN, NEURON_MAX)


class ReadWeightValue(Record):
    """Ask for one weight."""

    __slots__ = ()
    layer = _unsigned()
    address = _unsigned()


class WriteWeightValue(Record):
    """Set one weight."""

    __slots__ = ()
    address = _unsigned()
    layer = _unsigned()
    weight = Integer(0, WEIGHT_MIN, WEIGHT_MAX)


class WeightValue(Record):
    """The answer to ReadWeightValue."""

    __slots__ = ()
    address = _unsigned()
    layer = _unsigned()
    weight = Integer(0, WEIGHT_MIN, WEIGHT_MAX)


class ReadBiasValue(Record):
    """Ask for the bias of one output channel."""

    __slots__ = ()
    layer = _unsigned()
    address = _unsigned()


class WriteBiasValue(Record):
    """Set the bias of one output channel."""

    __slots__ = ()
    address = _unsigned()
    bias = Integer(0, NEURON_MIN, NEURON_MAX)
    layer = _unsigned()


class BiasValue(Record):
    """The answer to ReadBiasValue."""

    __slots__ = ()
    address = _unsigned()
    bias = Integer(0, NEURON_MIN, NEURON_MAX)
    layer = _unsigned()


class ReadoutValue(Record):
    """Bit 20 valid, bits 19..16 the class with the highest average, bits 15..0 by mode."""

    __slots__ = ()
    value = _unsigned()


class ReadoutPinValue(Record):
    """The class that the readout pins show."""

    __slots__ = ()
    index = _unsigned()
    timestamp = _time()


class FilterDvsEvent(Record):
    """An event for the sensor's noise filter alone, which the twin's does not take."""

    __slots__ = ()
    p = Flag()
    x = _unsigned()
    y = _unsigned()


class FilterValue(Record):
    """A counter of the sensor's noise filter; the twin's has none to show."""

    __slots__ = ()
    counter_data = _unsigned()
    x = _unsigned()
    y = _unsigned()


class AverageSel(Record):
    """Which average the readout shows."""

    __slots__ = ()
    average_sel = _unsigned()


class KillSensorPixel(Record):
    """Silence one pixel of the sensor."""

    __slots__ = ()
    x = _unsigned()
    y = _unsigned()


class ResetSensorPixel(Record):
    """Undo every KillSensorPixel."""

    __slots__ = ()


class Measurement(Record):
    """One power measurement: channel 0..4 is IO, RAM, LOGIC, PIXEL_DIGITAL, PIXEL_ANALOG."""

    __slots__ = ()
    channel = _unsigned()
    timestamp = _time()  # µs
    value = Number()  # W


INPUT_EVENTS: tuple[type[Record], ...] = (
    Spike,
    DvsEvent,
    ReadNeuronValue,
    WriteNeuronValue,
    ReadWeightValue,
    WriteWeightValue,
    ReadBiasValue,
    WriteBiasValue,
    KillSensorPixel,
    ResetSensorPixel,
)
EVENT_CLASSES: tuple[type[Record], ...] = (
    *INPUT_EVENTS,
    NeuronValue,
    WeightValue,
    BiasValue,
    ReadoutValue,
    ReadoutPinValue,
    FilterDvsEvent,
    FilterValue,
    AverageSel,
)


def chip_events(chip: str) -> dict[str, type[Record]]:
    """Return the event classes of one chip by name; those of another chip are other types."""
    attributes = {
        "__slots__": (),
        "__module__": f"samna.{chip}.event",
        "_namespace": f"{chip}::event",
    }
    return {kind.__name__: type(kind.__name__, (kind,), attributes) for kind in EVENT_CLASSES}
