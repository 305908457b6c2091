"""The module tree that stands in for samna, put together from the parts."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from speckflex.version import __version__
from speckflex.virtual import configuration, nodes, specksim, specksim_nodes, ui
from speckflex.virtual.bus import Bus, DeviceInfo
from speckflex.virtual.devkit import CHIP_EVENTS, input_events
from speckflex.virtual.graph import EventFilterGraph, Node, sequential
from speckflex.virtual.validation import validate_configuration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["build_samna", "build_samnagui"]

# Filters by the end of their name: samna writes the chip's name before it.
NAMED_FILTERS: dict[str, type[Node]] = {
    "DvsToVizConverter": nodes.VisualizerNode,
    "OutputEventTypeFilter": nodes.TypeFilter,
    "OutputMemberSelect": nodes.MemberSelect,
    "SpikeCollectionNode": nodes.SpikeCollection,
    "SpikeCountNode": nodes.SpikeCount,
    "VizEventStreamer": nodes.VisualizerNode,
    "VizEventReceiver": nodes.VisualizerNode,
    "MeasurementToVizConverter": nodes.VisualizerNode,
    "CameraToVizConverter": nodes.VisualizerNode,
}
# Filters that samna compiles for an event type; the type doesn't matter here.
JIT_FILTERS: dict[str, type[Node]] = {
    "JitMemberSelect": nodes.MemberSelect,
    "JitDvsEventToViz": nodes.VisualizerNode,
    "JitSpikeCollection": nodes.SpikeCollection,
    "JitSpikeCount": nodes.SpikeCount,
    "JitMajorityReadout": nodes.MajorityReadout,
    "JitFilter": nodes.VisualizerNode,
    "JitFunctionFilter": nodes.VisualizerNode,
    "JitSource": nodes.SourceBuffer,
    "JitSink": nodes.SinkBuffer,
}
PLOTS = (
    "ActivityPlotConfiguration",
    "SpikeCountPlotConfiguration",
    "ReadoutPlotConfiguration",
    "PowerMeasurementPlotConfiguration",
    "FramePlotConfiguration",
)
# samna's names, odd spelling included: 2e repeats its own name, 2f doesn't.
INPUT_BUFFERS = {
    "speck2e": "BasicSourceNode_speck2e_event_speck2e_input_event",
    "speck2f": "BasicSourceNode_speck2f_event_input_event",
}


def build_samna(bus: Bus) -> ModuleType:
    """Return a fresh tree of modules over a bus, registered nowhere.

    Every module of the tree is an attribute of its parent.
    """
    samna = _module("samna", __version__=f"0+speckflex.{__version__}", is_speckflex_virtual=True)
    _attach(samna, _device_module(bus), _graph_module(), _ui_module(), _specksim_module())
    for chip in CHIP_EVENTS:
        _attach(samna, _chip_module(chip), _boards_module(chip))
    for name, node in _buffers().items():
        setattr(samna, name, node)
    # samna's own spelling of the struct types
    vars(samna)["Vec2_unsigned_char"] = configuration.Vec2UnsignedChar
    vars(samna)["Vec2_bool"] = configuration.Vec2Bool
    return samna


def build_samnagui() -> ModuleType:
    """Return the module of samna's window, which shows nothing."""
    return _module("samnagui", run_visualizer=ui.run_visualizer)


def _module(name: str, **members: Any) -> ModuleType:
    module = ModuleType(name, "A stand-in by speckflex over its software twin.")
    # without a spec, importlib.util.find_spec fails on a module that is loaded
    module.__spec__ = ModuleSpec(name, loader=None)
    vars(module).update(members)
    return module


def _attach(parent: ModuleType, *children: ModuleType) -> None:
    for child in children:
        setattr(parent, child.__name__.rpartition(".")[2], child)


def _device_module(bus: Bus) -> ModuleType:
    return _module(
        "samna.device",
        DeviceInfo=DeviceInfo,
        get_all_devices=bus.get_all_devices,
        get_unopened_devices=bus.get_unopened_devices,
        get_opened_devices=bus.get_opened_devices,
        open_device=bus.open_device,
        close_device=bus.close_device,
    )


def _graph_module() -> ModuleType:
    class Graph(EventFilterGraph):
        """A graph whose filters may be given by name."""

        def __init__(self) -> None:
            super().__init__(_named_filter)

    members = {name: _jit(kind) for name, kind in JIT_FILTERS.items()}
    return _module(
        "samna.graph",
        EventFilterGraph=Graph,
        sequential=sequential,
        sink_from=nodes.sink_from,
        source_to=nodes.source_to,
        **members,
    )


def _named_filter(name: str) -> Node:
    for ending, kind in NAMED_FILTERS.items():
        if name.endswith(ending):
            return kind()
    raise RuntimeError(f"there is no filter {name!r}: names end in {', '.join(NAMED_FILTERS)}")


def _jit(kind: type[Node]) -> Callable[..., Node]:
    def make(*types: Any) -> Node:
        """Return the node, whatever event types it would be compiled for."""
        return kind()

    return make


def _ui_module() -> ModuleType:
    plots = {name: type(name, (ui.PlotConfiguration,), {}) for name in PLOTS}
    return _module(
        "samna.ui",
        Event=ui.UiEvent,
        Readout=ui.UiEvent,
        VisualizerConfiguration=ui.VisualizerConfiguration,
        **plots,
    )


def _specksim_module() -> ModuleType:
    module = _module(
        "samna.specksim",
        Convolution2d=specksim.Convolution2d,
        IntegrateAndFire=specksim.IntegrateAndFire,
        SumPooling=specksim.SumPooling,
    )
    events = _module(
        "samna.specksim.events", Spike=specksim.Spike, WeightedEvent=specksim.WeightedEvent
    )
    filters = _module(
        "samna.specksim.nodes",
        SpecksimConvolutionalFilterNode=specksim_nodes.ConvolutionNode,
        SpecksimIAFFilterNode=specksim_nodes.IafNode,
        SpecksimSumPoolingFilterNode=specksim_nodes.PoolingNode,
    )
    _attach(module, events, filters)
    return module


def _chip_module(chip: str) -> ModuleType:
    module = _module(
        f"samna.{chip}",
        validate_configuration=validate_configuration,
        configuration_to_flash_binary=_flash_binary,
    )
    records = {kind.__name__: kind for kind in configuration.CONFIGURATION_CLASSES}
    _attach(
        module,
        _module(f"samna.{chip}.configuration", **records),
        _module(f"samna.{chip}.event", **CHIP_EVENTS[chip]),
    )
    return module


def _boards_module(chip: str) -> ModuleType:
    default = type("DevKitDefaultConfig", (), {"__doc__": "The devkit's own settings."})
    return _module(f"samna.{chip}Boards", DevKitDefaultConfig=default)


def _flash_binary(speck_configuration: Any) -> list[int]:
    """Refuse to make a flash image.

    Raises:
        RuntimeError: always; a made-up image could end up on a real chip.
    """
    raise RuntimeError(
        "configuration_to_flash_binary: the format of flash images isn't public: install"
        " SynSense's samna to make one"
    )


def _buffers() -> dict[str, type[Node]]:
    """Return the source and sink classes of every kind of event, by samna's names."""
    accepted: dict[str, tuple[type, ...]] = {
        name: input_events(chip) for chip, name in INPUT_BUFFERS.items()
    }
    accepted["BasicSourceNode_ui_event"] = (ui.UiEvent, ui.PlotConfiguration)
    classes: dict[str, type[Node]] = {
        name: type(name, (nodes.SourceBuffer,), {"accepts": kinds})
        for name, kinds in accepted.items()
    }
    sinks = [f"{chip}_event_output_event" for chip in CHIP_EVENTS]
    for kind in (*sinks, "ui_event", "unifirm_modules_events_measurement"):
        name = f"BasicSinkNode_{kind}"
        classes[name] = type(name, (nodes.SinkBuffer,), {})
    for kind, event in (("spike", specksim.Spike), ("weighted_event", specksim.WeightedEvent)):
        source, sink = (f"Basic{way}Node_specksim_events_{kind}" for way in ("Source", "Sink"))
        classes[source] = type(source, (specksim_nodes.SpecksimSource,), {"accepts": (event,)})
        classes[sink] = type(sink, (specksim_nodes.SpecksimSink,), {"kind": event})
    return classes
