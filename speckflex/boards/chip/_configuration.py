"""From a Program to the chip's configuration; every field of a used core is written.

The values are those that sinabs 3.1.3 writes for the same network (its `make_config`). Fields that
sinabs never sets get the program's values. All others stay as samna makes them: the cores and the
parts of the DVS layer that are not used, its filter if the program has none, and the factory
settings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Collection

    from speckflex.boards.chip.settings import ChipSettings, WantedPath
    from speckflex.chips import Chip
    from speckflex.chips.chip import FilterLimits, ReadoutLayer
    from speckflex.program.event_filter import EventFilter
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Destination, InputStage

__all__ = [
    "InputPath",
    "check_chip",
    "choose_input_path",
    "write_configuration",
    "write_core",
]

InputPath = Literal["spikes", "dvs layer", "host"]


def check_chip(program: Program, chip: Chip) -> None:
    """Check that a program keeps to the cores and limits of the board's chip.

    Raises:
        BoardError: the program is for a chip with other cores or limits.
    """
    made_for = program.chip_record
    if (made_for.cores, made_for.limits) != (chip.cores, chip.limits):
        raise BoardError(
            f"the program was converted for chip {made_for.name!r}, whose cores and limits are not"
            f" those of {chip.name!r}: convert it for chip {chip.name!r}"
        )


def choose_input_path(program: Program, wanted: WantedPath = "auto") -> InputPath:
    """Return how a program's input events enter the chip.

    Raises:
        BoardError: the DVS layer is wanted, or needed for its filter, and can't do what the input
            stage does.
    """
    stage, chip = program.input, program.chip_record
    if stage.event_filter is not None:
        return _filtering_path(stage, wanted, chip)
    if wanted == "dvs layer" or (wanted == "auto" and not _enters_directly(stage)):
        obstacle = _dvs_obstacle(stage, chip)
        if not obstacle:
            return "dvs layer"
        if wanted == "dvs layer":
            raise BoardError(
                f"the DVS layer can't be the program's input stage, {obstacle}: choose input_path"
                " auto or host"
            )
        return "host"
    return "spikes" if wanted == "auto" else "host"


def write_configuration(
    chip_module: Any,
    program: Program,
    monitored: Collection[int],
    *,
    path: InputPath,
    settings: ChipSettings,
) -> Any:
    """Return a SpeckConfiguration that makes a chip run `program`.

    Args:
        chip_module: samna's module of the chip, such as `samna.speck2e`.
        program: with every layer placed on a core.
        monitored: positions of the layers whose spikes leave the chip.
        path: how events enter.
        settings: of the board; the readout layer's are used here.

    Raises:
        BoardError: the program is for no chip, the chip can't express a layer, or a filter has
            no slow clock to count.
    """
    _check_program(program)
    configuration = chip_module.configuration.SpeckConfiguration()
    if path == "dvs layer":
        _write_dvs_layer(configuration.dvs_layer, program)
    if program.input.event_filter is not None:
        limits = program.chip_record.event_filter
        _write_filter(configuration, program.input.event_filter, limits, settings)
    last, readout = len(program.cores) - 1, program.chip_record.readout
    for index, core in enumerate(program.cores):
        layer = configuration.cnn_layers[core.chip_core]
        feeds_readout = settings.readout_layer and index == last
        write_core(layer, core, stride=readout.stride if feeds_readout else 1)
        _write_destinations(layer, core, program)
        layer.monitor_enable = index in monitored
        if feeds_readout:
            _write_readout(configuration, layer, core, readout, settings)
    # last, since a monitor of the DVS layer switches it on: what the sensor sees would mix with
    # what is played
    configuration.dvs_layer.pass_sensor_events = False
    return configuration


def _filtering_path(stage: InputStage, wanted: WantedPath, chip: Chip) -> InputPath:
    """Return the only path through the chip's filter: the host does not see the filter's clock."""
    obstacle = "which input_path host bypasses" if wanted == "host" else _dvs_obstacle(stage, chip)
    if obstacle:
        raise BoardError(
            "the program's event filter lies behind the DVS layer, which can't be its input stage,"
            f" {obstacle}: choose input_path auto and such an input stage, or leave the filter out"
        )
    return "dvs layer"


def _enters_directly(stage: InputStage) -> bool:
    return (
        stage.is_identity
        and len(stage.destinations) == 1
        and not stage.destinations[0].feature_shift
    )


def _dvs_obstacle(stage: InputStage, chip: Chip) -> str:
    """Return why the DVS layer can't be this stage; "" if it can."""
    limits, (channels, height, width) = chip.limits, chip.dvs.shape
    if stage.shape[0] > channels:
        return f"which has {stage.shape[0]} channels, and the layer has {channels}"
    if stage.shape[1] > height or stage.shape[2] > width:
        return f"whose map of {stage.shape[1:]} (y, x) is larger than {height} x {width}"
    if any(side not in limits.poolings for side in stage.pooling):
        poolings = ", ".join(map(str, limits.poolings))
        return f"which pools by {stage.pooling}, and the layer pools by {poolings}"
    if len(stage.destinations) > limits.max_destinations:
        return f"which feeds {len(stage.destinations)} layers, more than {limits.max_destinations}"
    if any(target.feature_shift or target.pooling != 1 for target in stage.destinations):
        return "whose destinations shift features or pool"
    return ""


def _write_dvs_layer(layer: Any, program: Program) -> None:
    stage = program.input
    height, width = stage.region
    layer.pooling = {"y": stage.pooling[0], "x": stage.pooling[1]}
    layer.origin = {"y": stage.origin[0], "x": stage.origin[1]}
    # the last pixel itself is inside (sinabs 3.1.3, dvs_layer.py)
    layer.cut = {"y": stage.origin[0] + height - 1, "x": stage.origin[1] + width - 1}
    layer.mirror = {"y": stage.mirror_y, "x": stage.mirror_x}
    layer.mirror_diagonal = stage.swap_xy
    # one channel is written as the off polarity, and has to be declared as one feature
    layer.merge = stage.merge_polarities or stage.shape[0] == 1
    layer.off_channel, layer.on_channel = stage.keep_off, stage.keep_on
    layer.monitor_enable = layer.raw_monitor_enable = False
    for place, target in zip(layer.destinations, stage.destinations, strict=False):
        place.layer = _placed(program, target)
        place.enable = True


def _write_filter(
    configuration: Any, rule: EventFilter, limits: FilterLimits, settings: ChipSettings
) -> None:
    """Write the filter (data sheet 3.2.3.5); this has not been checked on silicon."""
    place = getattr(configuration, "dvs_filter", None)
    if place is None:
        raise BoardError(
            "the program has an event filter, and samna's configuration of this chip has no"
            " dvs_filter: convert without it, or use a chip that has one"
        )
    has_low_pass = hasattr(place, "low_pass_mode_enable")
    if rule.mode == "low pass" and not has_low_pass:
        raise BoardError(
            "the program has an event filter in mode 'low pass', which this chip has not: convert"
            " without it, or use a Speck2f"
        )
    if settings.slow_clock is None:
        raise BoardError(
            "the program's event filter counts ticks of the slow clock, and the board has none:"
            " set slow_clock to a rate in Hz"
        )
    if settings.slow_clock >= limits.clock_below:
        raise BoardError(
            f"the program's event filter needs a slow clock of less than {limits.clock_below} Hz,"
            f" and slow_clock is {settings.slow_clock:g} Hz: set it lower"
        )
    place.enable = True
    place.filter_size = {"y": rule.size[0], "x": rule.size[1]}
    place.threshold = rule.window
    if has_low_pass:
        place.low_pass_mode_enable = rule.mode == "low pass"
    place.hot_pixel_filter_enable = rule.mode == "noise and hot pixels"
    # the FPGA's clock ticks, as it does for the leak
    place.internal_slow_clk = False


def write_core(layer: Any, core: Core, *, stride: int) -> None:
    """Write all settings of a core but destinations and monitor, its features `stride` apart."""
    weights = _spread(core.weights, stride)
    channels, height, width = core.output_shape
    bias = np.zeros(channels, np.int64) if core.bias is None else core.bias
    state = np.zeros(core.output_shape, np.int64)
    state = state if core.initial_state is None else core.initial_state
    layer.dimensions = {
        "input_shape": _shape(*core.input_shape),
        "output_shape": _shape(len(weights), height, width),
        "padding": {"x": core.padding[1], "y": core.padding[0]},
        "stride": {"x": core.stride[1], "y": core.stride[0]},
        "kernel_size": core.weights.shape[2],
    }
    # samna's axes are (out, in, kx, ky) and (feature, x, y)
    layer.weights = weights.transpose(0, 1, 3, 2).tolist()
    layer.biases = _spread(bias, stride).tolist()
    layer.leak_enable = bool(bias.any())
    # the FPGA's clock ticks, not one made of the sensor's events
    layer.leak_internal_slow_clk_enable = False
    layer.neurons_initial_value = _spread(state, stride).transpose(0, 2, 1).tolist()
    layer.threshold_high = core.threshold_high
    layer.threshold_low = core.threshold_low
    layer.return_to_zero = core.return_to_zero
    layer.input_congestion_balancer_enable = core.congestion_balancer
    layer.output_decimator_enable = core.decimator_interval is not None
    layer.output_decimator_interval = core.decimator_interval or 0


def _shape(channels: int, height: int, width: int) -> dict[str, Any]:
    return {"size": {"x": width, "y": height}, "feature_count": channels}


def _spread(values: np.ndarray, stride: int) -> np.ndarray:
    """Return the values with `stride - 1` channels of zeros between each two channels."""
    spread = np.zeros(((len(values) - 1) * stride + 1, *values.shape[1:]), np.int64)
    spread[::stride] = values
    return spread


def _write_destinations(layer: Any, core: Core, program: Program) -> None:
    for place, target in zip(layer.destinations, core.destinations, strict=False):
        place.layer = _placed(program, target)
        place.enable = True
        place.pooling = target.pooling
        place.feature_shift = target.feature_shift


def _write_readout(
    configuration: Any, layer: Any, core: Core, facts: ReadoutLayer, settings: ChipSettings
) -> None:
    if core.destinations or core.output_shape[0] > facts.classes:
        raise BoardError(
            f"layer {core.name}: the readout layer takes the last layer's spikes, of at most"
            f" {facts.classes} classes, not {core.output_shape[0]}: leave readout_layer off"
        )
    if core.output_shape[1:] != (1, 1):
        raise BoardError(
            f"layer {core.name}: its map has {core.output_shape[1:]} (y, x) neurons a class, and"
            " the readout layer is used with one neuron a class: end the network in a linear"
            " layer, or leave readout_layer off"
        )
    layer.destinations[0].layer, layer.destinations[0].enable = facts.layer, True
    readout = configuration.readout
    readout.enable = readout.readout_pin_monitor_enable = True
    readout.readout_configuration_sel = facts.single_neurons
    # the readout's own monitor would silence all others
    readout.monitor_enable = False
    readout.low_pass_filter_disable = True
    readout.internal_slow_clk = False
    readout.threshold = settings.readout_threshold


def _placed(program: Program, target: Destination) -> int:
    core = program.cores[target.core].chip_core
    if core is None:
        raise BoardError(_not_placed(program.cores[target.core].name))
    return core


def _check_program(program: Program) -> None:
    chip = program.chip_record
    if not chip.bounded:
        raise BoardError(
            f"the program was converted without a chip's limits (chip {chip.name!r}): convert it"
            " for the chip of the board"
        )
    for core in program.cores:
        if core.chip_core is None:
            raise BoardError(_not_placed(core.name))
        kernel = core.weights.shape[2:]
        if kernel[0] != kernel[1]:
            raise BoardError(
                f"layer {core.name}: its kernel of {kernel} (y, x) is not square, and the"
                " chip's are: pad it with zeros and convert again"
            )
        if len(core.destinations) > chip.limits.max_destinations:
            raise BoardError(
                f"layer {core.name}: sends to {len(core.destinations)} layers, and a core can"
                f" send to {chip.limits.max_destinations}: split the branch"
            )


def _not_placed(name: str) -> str:
    return f"layer {name} is on no core of the chip: convert for a chip, or place the layers"
