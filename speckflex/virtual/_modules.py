"""The module tree that stands in for samna, with the classes of samna's window (samna.ui)."""

from __future__ import annotations

import logging
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from speckflex.chips.speck import SPECKS
from speckflex.version import __version__
from speckflex.virtual import _configuration as configuration_module
from speckflex.virtual import _graph as graph
from speckflex.virtual import _specksim as specksim
from speckflex.virtual._bus import Bus, DeviceInfo
from speckflex.virtual._devkit import Model
from speckflex.virtual._events import CHIP_EVENTS, INPUT_EVENTS, DroppedEventsNum, PowerMeasurement
from speckflex.virtual._filters import JIT_FILTERS, REFUSED_FILTERS, make_filter, refuse_filter
from speckflex.virtual._graph import BasicSinkNode, BasicSourceNode, EventFilterGraph, Node
from speckflex.virtual._records import refused_call
from speckflex.virtual._validation import validate_configuration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build_samna", "build_samnagui"]

logger = logging.getLogger("speckflex.virtual")

PLOTS = (
    "ActivityPlotConfiguration",
    "SpikeCountPlotConfiguration",
    "ReadoutPlotConfiguration",
    "PowerMeasurementPlotConfiguration",
    "FramePlotConfiguration",
)
# samna's own spelling
ADDRESS_FUNCTIONS = ("compute_sram_address", "determine_sram_eventrom_address")
INPUT_BUFFERS = {chip.name: chip.samna.input_buffer for chip in SPECKS}


class UiEvent:
    """What samna's window shows."""


class DevKitDefaultConfig:
    """How a devkit starts; nothing of it has an effect here."""

    boot_from_flash = False
    io_voltage = logic_voltage = ram_voltage = 0.0
    pixel_analog_voltage = pixel_digital_voltage = 0.0


class PlotConfiguration:
    """A plot of samna's window; it keeps all values that it is given."""

    def __init__(self, *args: Any, **values: Any) -> None:
        self.args = args
        self.__dict__.update(values)


class VisualizerConfiguration(PlotConfiguration):
    """The layout of samna's window."""


def run_visualizer(endpoint: str, width: float = 0.75, height: float = 0.75) -> None:
    """Warn that there is no window."""
    logger.warning(
        "the virtual devkit has no window: the events sent to %s are not shown", endpoint
    )


def init_samna() -> None:
    """Do nothing: old scripts call it first, and new versions of samna need no such call."""


class Graph(EventFilterGraph):
    """A graph whose filters may be given by name."""

    def __init__(self) -> None:
        super().__init__(make_filter)


def configuration_to_flash_binary(speck_configuration: Any) -> list[int]:
    """Refuse to make a flash image.

    Raises:
        RuntimeError: always; an image in a guessed format could end up on a real chip.
    """
    raise RuntimeError(
        "configuration_to_flash_binary: an image has 362496 bytes and holds one initial value for"
        " all neurons, and no source says what stands where in it: install SynSense's samna to"
        " make one"
    )


class SinkError(RuntimeError):
    """What samna raises if reading a sink fails; here no reading does."""


def _refused_address(function: str) -> Callable[..., NoReturn]:
    def refuse(_argument: Any) -> NoReturn:
        raise RuntimeError(
            f"{function}: no source says how the address of a byte is put together, and the"
            " stand-in has no such bytes: read and write neurons, weights and biases instead"
        )

    return refuse


def build_samna(bus: Bus) -> ModuleType:
    """Return a new tree of modules over a bus; they are not in `sys.modules`.

    Every module of the tree is an attribute of its parent.
    """
    chips = {chip: _chip_module(chip) for chip in CHIP_EVENTS}
    boards = {
        f"{chip}Boards": _module(f"samna.{chip}Boards", DevKitDefaultConfig=DevKitDefaultConfig)
        for chip in CHIP_EVENTS
    }
    return _module(
        "samna",
        __version__=f"0+speckflex.{__version__}",
        is_speckflex_virtual=True,
        # samna's own spelling of the struct types
        Vec2_unsigned_char=configuration_module.Vec2UnsignedChar,
        Vec2_bool=configuration_module.Vec2Bool,
        device=_module(
            "samna.device",
            DeviceInfo=DeviceInfo,
            get_all_devices=bus.get_all_devices,
            get_unopened_devices=bus.get_unopened_devices,
            get_opened_devices=bus.get_opened_devices,
            open_device=bus.open_device,
            close_device=bus.close_device,
        ),
        graph=_graph_module(),
        ui=_module(
            "samna.ui",
            Event=UiEvent,
            Readout=UiEvent,
            VisualizerConfiguration=VisualizerConfiguration,
            **{name: type(name, (PlotConfiguration,), {}) for name in PLOTS},
        ),
        specksim=_specksim_module(),
        unifirm=_module(
            "samna.unifirm",
            modules=_module(
                "samna.unifirm.modules",
                events=_module(
                    "samna.unifirm.modules.events",
                    PowerMeasurement=PowerMeasurement,
                    DroppedEventsNum=DroppedEventsNum,
                ),
            ),
        ),
        init_samna=init_samna,
        SinkError=SinkError,
        **chips,
        **boards,
        **_buffers(),
    )


def build_samnagui() -> ModuleType:
    """Return the module of samna's window."""
    return _module("samnagui", run_visualizer=run_visualizer)


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name, "A stand-in by speckflex over its software twin.")
    # without a spec, importlib.util.find_spec fails on a module that is loaded
    module.__spec__ = ModuleSpec(name, loader=None)
    vars(module).update(members)
    return module


def _graph_module() -> ModuleType:
    def jit(kind: type[Node]) -> Callable[..., Node]:
        # the event types for which samna would compile the filter make no difference
        return lambda *_types: kind()

    def refused(name: str) -> Callable[..., Node]:
        return lambda *_arguments, **_options: refuse_filter(name)

    return _module(
        "samna.graph",
        EventFilterGraph=Graph,
        sequential=graph.sequential,
        sink_from=graph.sink_from,
        source_to=graph.source_to,
        **{name: jit(kind) for name, kind in JIT_FILTERS.items()},
        **{name: refused(name) for name in REFUSED_FILTERS},
    )


def _specksim_module() -> ModuleType:
    return _module(
        "samna.specksim",
        Convolution2d=specksim.Convolution2d,
        IntegrateAndFire=specksim.IntegrateAndFire,
        SumPooling=specksim.SumPooling,
        events=_module(
            "samna.specksim.events", Spike=specksim.Spike, WeightedEvent=specksim.WeightedEvent
        ),
        nodes=_module(
            "samna.specksim.nodes",
            SpecksimConvolutionalFilterNode=specksim.SpecksimConvolutionalFilterNode,
            SpecksimIAFFilterNode=specksim.SpecksimIAFFilterNode,
            SpecksimSumPoolingFilterNode=specksim.SpecksimSumPoolingFilterNode,
        ),
    )


def _chip_module(chip: str) -> ModuleType:
    return _module(
        f"samna.{chip}",
        validate_configuration=partial(_validate, chip),
        **{f"{chip.capitalize()}Model": Model},
        configuration_to_flash_binary=configuration_to_flash_binary,
        configuration=_module(
            f"samna.{chip}.configuration", **configuration_module.CHIP_CONFIGURATIONS[chip]
        ),
        event=_module(
            f"samna.{chip}.event",
            **CHIP_EVENTS[chip],
            **{name: _refused_address(name) for name in ADDRESS_FUNCTIONS},
        ),
    )


def _validate(chip: str, configuration: Any) -> tuple[bool, str]:
    """Return what samna's function of a chip says; its own configurations are taken alone."""
    wanted = configuration_module.CHIP_CONFIGURATIONS[chip]["SpeckConfiguration"]
    if type(configuration) is not wanted:
        arguments = f"arg0: samna.{chip}.configuration.SpeckConfiguration"
        raise TypeError(
            refused_call("validate_configuration", arguments, type(configuration).__name__)
        )
    return validate_configuration(configuration)


def _buffers() -> dict[str, type[Node]]:
    """Return the source and sink classes of every kind of event, by samna's names."""
    accepted: dict[str, tuple[type, ...]] = {
        name: tuple(CHIP_EVENTS[chip][kind.__name__] for kind in INPUT_EVENTS)
        for chip, name in INPUT_BUFFERS.items()
    }
    accepted["BasicSourceNode_ui_event"] = (UiEvent, PlotConfiguration)
    classes: dict[str, type[Node]] = {
        name: type(name, (BasicSourceNode,), {"accepts": kinds}) for name, kinds in accepted.items()
    }
    sinks = [f"{chip}_event_output_event" for chip in CHIP_EVENTS]
    for kind in (*sinks, "ui_event", "unifirm_modules_events_measurement"):
        name = f"BasicSinkNode_{kind}"
        classes[name] = type(name, (BasicSinkNode,), {})
    for kind, event in (("spike", specksim.Spike), ("weighted_event", specksim.WeightedEvent)):
        source, sink = (f"Basic{way}Node_specksim_events_{kind}" for way in ("Source", "Sink"))
        classes[source] = type(source, (specksim.SpecksimSource,), {"accepts": (event,)})
        classes[sink] = type(sink, (specksim.SpecksimSink,), {"kind": event})
    return classes
