"""The events of Speck2e and Speck2f, written to a model or sent by it: one table for each.

A line of a table is a field: its type and width, its default, and where these come from if not
from the record's own source. samna's reference says "int" and no more. The widths are inferred:
the smallest of C++ that hold the chip's own words (data sheet 1.02: layer 4 bits, feature 10,
y and x at most 8; time stamps of 32 bits).
"""

from __future__ import annotations

from speckflex.chips.speck import SPECKS
from speckflex.virtual._records import Flag, Integer, Number, Record

__all__ = [
    "CHIP_EVENTS",
    "EVENT_CLASSES",
    "INPUT_EVENTS",
    "REFUSED_EVENTS",
    "DroppedEventsNum",
    "PowerMeasurement",
]

SAMNA = "samna 0.48.5's reference, speck2f.event"
POWER = "samna 0.48.5's reference, boards.common.power"
UNIFIRM = "samna 0.48.5's reference, unifirm.modules.events"
# µs; the counter that stamps events has 32 bits, and wraps after 71.58 minutes.
TIME = "uint32"
LAYER, PLACE, FEATURE = "uint8", "uint8", "uint16"


class Spike(Record, source=SAMNA):
    """A spike of a core (address before pooling), or an event for a core."""

    __slots__ = ()
    feature = Integer(FEATURE)
    layer = Integer(LAYER)
    timestamp = Integer(TIME)
    x = Integer(PLACE)
    y = Integer(PLACE)


class DvsEvent(Record, source=SAMNA):
    """An event of the sensor, or one injected in its place."""

    __slots__ = ()
    p = Flag()
    timestamp = Integer(TIME)
    x = Integer(PLACE)
    y = Integer(PLACE)


class ReadNeuronValue(Record, source=SAMNA):
    """Ask for one neuron's potential."""

    __slots__ = ()
    layer = Integer(LAYER)
    address = Integer("uint32")


class WriteNeuronValue(Record, source=SAMNA):
    """Set one neuron's potential."""

    __slots__ = ()
    address = Integer("uint32")
    layer = Integer(LAYER)
    neuron_state = Integer("int16")


class NeuronValue(Record, source=SAMNA):
    """The answer to ReadNeuronValue."""

    __slots__ = ()
    address = Integer("uint32")
    layer = Integer(LAYER)
    neuron_state = Integer("int16")


class ReadWeightValue(Record, source=SAMNA):
    """Ask for one weight."""

    __slots__ = ()
    layer = Integer(LAYER)
    address = Integer("uint32")


class WriteWeightValue(Record, source=SAMNA):
    """Set one weight."""

    __slots__ = ()
    address = Integer("uint32")
    layer = Integer(LAYER)
    weight = Integer("int8")


class WeightValue(Record, source=SAMNA):
    """The answer to ReadWeightValue."""

    __slots__ = ()
    address = Integer("uint32")
    layer = Integer(LAYER)
    weight = Integer("int8")


class ReadBiasValue(Record, source=SAMNA):
    """Ask for the bias of one output channel."""

    __slots__ = ()
    layer = Integer(LAYER)
    address = Integer("uint32")


class WriteBiasValue(Record, source=SAMNA):
    """Set the bias of one output channel."""

    __slots__ = ()
    address = Integer("uint32")
    bias = Integer("int16")
    layer = Integer(LAYER)


class BiasValue(Record, source=SAMNA):
    """The answer to ReadBiasValue."""

    __slots__ = ()
    address = Integer("uint32")
    bias = Integer("int16")
    layer = Integer(LAYER)


class ReadoutValue(Record, source=SAMNA):
    """Bit 20 valid, bits 19..16 the class with the highest average, bits 15..0 by mode."""

    __slots__ = ()
    value = Integer("uint32")


class ReadoutPinValue(Record, source=SAMNA):
    """The class that the readout pins show."""

    __slots__ = ()
    index = Integer("uint32")
    timestamp = Integer(TIME)


class FilterDvsEvent(Record, source=SAMNA):
    """An event for the sensor's noise filter alone; the stand-in refuses it."""

    __slots__ = ()
    p = Flag()
    x = Integer(PLACE)
    y = Integer(PLACE)


class FilterValue(Record, source=SAMNA):
    """A counter of the sensor's noise filter; the stand-in sends none."""

    __slots__ = ()
    counter_data = Integer("uint32")
    x = Integer(PLACE)
    y = Integer(PLACE)


class AverageSel(Record, source=SAMNA):
    """The choice of the average that the readout shows; the stand-in refuses it."""

    __slots__ = ()
    average_sel = Integer("uint32")


class KillSensorPixel(Record, source=SAMNA):
    """Silence one pixel of the sensor."""

    __slots__ = ()
    x = Integer(PLACE)
    y = Integer(PLACE)


class ResetSensorPixel(Record, source=SAMNA):
    """Undo every KillSensorPixel."""

    __slots__ = ()


class PowerMeasurement(Record, source=POWER):
    """One power measurement: channel 0..4 is IO, RAM, LOGIC, PIXEL_DIGITAL, PIXEL_ANALOG."""

    __slots__ = ()
    channel = Integer("uint32")
    timestamp = Integer(TIME)  # µs
    value = Number()  # W


class ReadRegisterValue(Record, source=SAMNA):
    """Ask for one register; register 0 answers 241 after the start."""

    __slots__ = ()
    address = Integer("uint16")


class WriteRegisterValue(Record, source=SAMNA):
    """Set one register, which has no effect here but on the answer to ReadRegisterValue."""

    __slots__ = ()
    address = Integer("uint16")
    data = Integer("uint8")


class RegisterValue(Record, source=SAMNA):
    """The answer to ReadRegisterValue."""

    __slots__ = ()
    address = Integer("uint16")
    data = Integer("uint8")


class ReadSramValue(Record, source=SAMNA):
    """Ask for one byte of a memory; the stand-in refuses it."""

    __slots__ = ()
    address = Integer("uint32")


class WriteSramValue(Record, source=SAMNA):
    """Set one byte of a memory; the stand-in refuses it."""

    __slots__ = ()
    address = Integer("uint32")
    data = Integer("uint8")


class SramValue(Record, source=SAMNA):
    """The answer to ReadSramValue; the stand-in sends none."""

    __slots__ = ()
    address = Integer("uint32")
    data = Integer("uint8")


class ReadFilterValue(Record, source=SAMNA):
    """Ask for a counter of the sensor's noise filter; the stand-in refuses it."""

    __slots__ = ()
    x = Integer(PLACE)
    y = Integer(PLACE)


class WriteFilterValue(Record, source=SAMNA):
    """Set a counter of the sensor's noise filter; the stand-in refuses it."""

    __slots__ = ()
    x = Integer(PLACE)
    y = Integer(PLACE)
    data = Integer("uint16")


class FilterValueCurrent(Record, source=SAMNA):
    """A counter of the sensor's noise filter; the stand-in sends none."""

    __slots__ = ()
    counter_data = Integer("uint32")


class FilterValuePrevious(Record, source=SAMNA):
    """A counter of the sensor's noise filter; the stand-in sends none."""

    __slots__ = ()
    counter_data = Integer("uint32")


class OutputModeSel(Record, source=SAMNA):
    """The choice of what the readout sends; the stand-in refuses it."""

    __slots__ = ()
    mode_sel = Integer("uint8")


class ReadoutRequest(Record, source=SAMNA):
    """Ask for the readout's value; the stand-in refuses it."""

    __slots__ = ()


class InputInterfaceEvent(Record, source=SAMNA):
    """A word for the chip's input; the stand-in refuses it."""

    __slots__ = ()
    value = Integer("uint32")


class AsiRequest(Record, source=SAMNA):
    """A request to the chip's test logic; the stand-in refuses it."""

    __slots__ = ()


class IdCodeRequest(Record, source=SAMNA):
    """Ask for the chip's identity; the stand-in refuses it."""

    __slots__ = ()


class IdCode(Record, source=SAMNA):
    """The chip's identity; the stand-in sends none."""

    __slots__ = ()
    value = Integer("uint32", source=f"{SAMNA}; field assumed")


class ScanChainValue(Record, source=SAMNA):
    """A value of the chip's test logic; the stand-in sends none."""

    __slots__ = ()
    value = Integer("uint32", source=f"{SAMNA}; field assumed")


class FlashEvent(Record, source=f"{SAMNA}; fields unknown"):
    """An event for the board's flash, or of it; the stand-in has none and refuses it."""

    __slots__ = ()


class DroppedEventsNum(Record, source=UNIFIRM):
    """How many events the FPGA has dropped."""

    __slots__ = ()
    num = Integer("uint32")


def _flash_event(name: str) -> type[Record]:
    return type(name, (FlashEvent,), {"__slots__": (), "__module__": __name__})


FLASH_REQUESTS = tuple(
    _flash_event(f"Flash{what}")
    for what in ("Read", "Write", "Erase", "SpiRaw", "WriteEnable", "QueryStatus")
)
FLASH_ANSWERS = tuple(_flash_event(f"Flash{what}") for what in ("Value", "Status"))

# Input events that a devkit takes and the stand-in has nothing for.
REFUSED_EVENTS: tuple[type[Record], ...] = (
    ReadSramValue,
    WriteSramValue,
    ReadFilterValue,
    WriteFilterValue,
    FilterDvsEvent,
    OutputModeSel,
    AverageSel,
    ReadoutRequest,
    InputInterfaceEvent,
    AsiRequest,
    IdCodeRequest,
    *FLASH_REQUESTS,
)
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
    ReadRegisterValue,
    WriteRegisterValue,
    *REFUSED_EVENTS,
)
EVENT_CLASSES: tuple[type[Record], ...] = (
    *INPUT_EVENTS,
    NeuronValue,
    WeightValue,
    BiasValue,
    ReadoutValue,
    ReadoutPinValue,
    RegisterValue,
    SramValue,
    FilterValue,
    FilterValueCurrent,
    FilterValuePrevious,
    IdCode,
    ScanChainValue,
    *FLASH_ANSWERS,
)


def _classes_of(chip: str) -> dict[str, type[Record]]:
    attributes = {
        "__slots__": (),
        "__module__": f"samna.{chip}.event",
        "namespace": f"{chip}::event",
    }
    return {kind.__name__: type(kind.__name__, (kind,), attributes) for kind in EVENT_CLASSES}


# For each chip, its event classes by name. There is one set for each chip and process, as in
# samna: scripts compare types, and the events of two chips are of different types.
CHIP_EVENTS = {chip.name: _classes_of(chip.name) for chip in SPECKS}
