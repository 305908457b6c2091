"""From a chip configuration, whatever program wrote it, back to a Program."""

from __future__ import annotations

from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from speckflex.program.event_filter import EventFilter
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage
from speckflex.virtual._configuration import SPECK, ConfigurationError

if TYPE_CHECKING:
    from speckflex.program.event_filter import FilterMode
    from speckflex.program.records import Shape

__all__ = [
    "configured_cores",
    "decode_configuration",
    "decode_core",
    "decode_dvs_layer",
    "decode_input",
    "find_circle",
    "input_shape",
    "is_configured",
    "network_order",
    "neuron_shape",
]


def is_configured(layer: Any) -> bool:
    """Return whether a core has weights, that is, takes part at all."""
    return layer.stored["weights"].size > 0


def input_shape(layer: Any) -> Shape:
    """Return the (feature, y, x) shape of a core's input."""
    shape = layer.dimensions.input_shape
    return (shape.feature_count, shape.size.y, shape.size.x)


def neuron_shape(layer: Any) -> Shape:
    """Return the (feature, y, x) shape of a core's neurons, before pooling."""
    shape = layer.dimensions.output_shape
    return (shape.feature_count, shape.size.y, shape.size.x)


def configured_cores(configuration: Any) -> list[int]:
    """Return the cores that have weights."""
    return [i for i, layer in enumerate(configuration.cnn_layers) if is_configured(layer)]


def find_circle(configuration: Any) -> list[int]:
    """Return cores that feed each other in a circle, or one that feeds itself; [] for none."""
    try:
        TopologicalSorter(_senders(configuration)).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


def network_order(configuration: Any) -> list[int]:
    """Return the configured cores, each before the cores it sends to, lower numbers first.

    Raises:
        ConfigurationError: cores feed each other in a circle, which no Program can say.
    """
    circle = find_circle(configuration)
    if circle:
        named = f"cores {', '.join(map(str, circle))} feed each other in a circle"
        raise ConfigurationError(
            f"{named if len(circle) > 1 else f'core {circle[0]} feeds itself'}, which no program"
            " can say: disable one of the destinations"
        )
    sorter = TopologicalSorter(_senders(configuration))
    sorter.prepare()
    ready: list[int] = []
    order: list[int] = []
    while sorter.is_active():
        for index in sorter.get_ready():
            heappush(ready, index)
        order.append(heappop(ready))
        sorter.done(order[-1])
    return order


def _senders(configuration: Any) -> dict[int, list[int]]:
    """Return the cores that send to each configured core."""
    senders: dict[int, list[int]] = {index: [] for index in configured_cores(configuration)}
    for index in senders:
        for item in configuration.cnn_layers[index].destinations:
            if item.enable and item.layer in senders:
                senders[item.layer].append(index)
    return senders


def decode_input(configuration: Any, entry: int, order: list[int]) -> InputStage:
    """Return the input stage for events that enter at one layer.

    Args:
        configuration: a SpeckConfiguration.
        entry: the layer that the events are for, a core or the DVS layer (13).
        order: the configured cores, as `network_order` gives them.

    Raises:
        ConfigurationError: the entry is no configured core.
    """
    if entry == SPECK.dvs.layer:
        stage = decode_dvs_layer(configuration.dvs_layer, order)
        return replace(stage, event_filter=_decode_filter(configuration.dvs_filter))
    if entry in order:
        shape = input_shape(configuration.cnn_layers[entry])
        return InputStage(shape, (Destination(order.index(entry)),))
    raise ConfigurationError(
        f"core {entry} has no weights: send events to one of {order or 'the configured cores'}"
    )


def decode_configuration(configuration: Any, chip: str, *, entry: int) -> Program:
    """Return the Program that a valid configuration makes the chip run.

    Args:
        configuration: a SpeckConfiguration.
        chip: "speck2e" or "speck2f".
        entry: the layer that the input events are for, a core or the DVS layer (13).

    Raises:
        ConfigurationError: the entry is no configured core, or cores feed each other.
        ConversionError: no core is configured.
    """
    order = network_order(configuration)
    stage = decode_input(configuration, entry, order)
    cores = tuple(decode_core(configuration.cnn_layers[index], index, order) for index in order)
    return Program(cores=cores, input=stage, chip=chip)


def decode_dvs_layer(dvs: Any, order: list[int]) -> InputStage:
    """Return the pre-processing of the DVS layer, without the filter behind it.

    `cut` is inclusive (sinabs' notebooks).
    """
    pooling = (max(dvs.pooling.y, 1), max(dvs.pooling.x, 1))
    _, height, width = SPECK.dvs.shape
    return InputStage(
        shape=SPECK.dvs.shape,
        destinations=_destinations(dvs.destinations, order),
        pooling=pooling,
        merge_polarities=dvs.merge,
        keep_off=dvs.off_channel,
        keep_on=dvs.on_channel,
        origin=(dvs.origin.y, dvs.origin.x),
        size=(
            min(dvs.cut.y, height // pooling[0] - 1) - dvs.origin.y + 1,
            min(dvs.cut.x, width // pooling[1] - 1) - dvs.origin.x + 1,
        ),
        mirror_y=dvs.mirror.y,
        mirror_x=dvs.mirror.x,
        swap_xy=dvs.mirror_diagonal,
    )


def _decode_filter(rule: Any) -> EventFilter | None:
    """Return the noise filter behind the DVS layer; None if it is off."""
    if not rule.enable:
        return None
    mode: FilterMode = "noise"
    if getattr(rule, "low_pass_mode_enable", False):  # Speck2e has no such field
        mode = "low pass"
    elif rule.hot_pixel_filter_enable:
        mode = "noise and hot pixels"
    return EventFilter(mode, (rule.filter_size.y, rule.filter_size.x), rule.threshold)


def _destinations(destinations: Any, order: list[int]) -> tuple[Destination, ...]:
    """Return the enabled destinations that are configured cores; the DVS layer never pools."""
    return tuple(
        Destination(
            order.index(item.layer),
            pooling=getattr(item, "pooling", 1),
            feature_shift=getattr(item, "feature_shift", 0),
        )
        for item in destinations
        if item.enable and item.layer in order
    )


def decode_core(layer: Any, index: int, order: list[int]) -> Core:
    """Return what a configured core computes.

    Args:
        layer: a CnnLayerConfig.
        index: the core's number on the chip.
        order: the configured cores, as `network_order` gives them.
    """
    dimensions = layer.dimensions
    initial, biases = layer.stored["neurons_initial_value"], layer.stored["biases"]
    return Core(
        name=f"core {index}",
        # samna's axes are (out, in, kx, ky), (feature, x, y)
        weights=layer.stored["weights"].transpose(0, 1, 3, 2),
        threshold_high=layer.threshold_high,
        threshold_low=layer.threshold_low,
        input_shape=input_shape(layer),
        stride=(dimensions.stride.y, dimensions.stride.x),
        padding=(dimensions.padding.y, dimensions.padding.x),
        return_to_zero=layer.return_to_zero,
        bias=biases if layer.leak_enable and biases.size else None,
        initial_state=initial.transpose(0, 2, 1) if initial.any() else None,
        destinations=_destinations(layer.destinations, order),
        chip_core=index,
        decimator_interval=(
            layer.output_decimator_interval if layer.output_decimator_enable else None
        ),
        congestion_balancer=layer.input_congestion_balancer_enable,
    )
