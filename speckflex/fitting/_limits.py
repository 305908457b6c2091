"""The chip's rules, each against its number in the chip's record; runs without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.formats import WEIGHT_MAX
from speckflex.fitting.checks import Check

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.chips import Chip
    from speckflex.chips.chip import FilterLimits, LayerLimits
    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage

__all__ = ["input_limits", "input_notes", "layer_limits", "layer_warnings"]

# Below this the largest weight leaves two of the eight bits unused.
NARROW_WEIGHTS = 32
# Of the decimator, where documents differ on whether 64 is in the table.
DOUBTFUL_INTERVALS = (5, 6, 7)


def _too_large(layer: str, rule: str, found: object, limit: object, remedy: str) -> Check:
    message = f"{rule} {found} exceeds the chip's limit of {limit}"
    return Check(layer, "error", rule, message, str(found), str(limit), remedy)


def _no_choice(
    layer: str, rule: str, found: object, choices: tuple[int, ...], remedy: str
) -> Check:
    message = f"{rule} {found} is not one of the chip's {', '.join(map(str, choices))}"
    return Check(layer, "error", rule, message, str(found), str(choices), remedy)


def _sides(size: Sequence[int]) -> str:
    return " x ".join(map(str, size))


def layer_limits(core: Core, chip: Chip) -> Iterator[Check]:
    """Yield an error for each limit of the chip that a layer breaks, apart from memory."""
    limits = chip.limits
    yield from _kernel_limits(core, limits)
    yield from _size_limits(core, limits)
    if len(core.destinations) > limits.max_destinations:
        yield _too_large(
            core.name,
            "fan-out",
            len(core.destinations),
            limits.max_destinations,
            f"let at most {limits.max_destinations} layers read it",
        )
    for destination in core.destinations:
        if destination.pooling not in limits.poolings:
            yield _no_choice(
                core.name,
                "pooling",
                destination.pooling,
                limits.poolings,
                "pool by one of these, or use a strided convolution",
            )
    if core.threshold_low > limits.max_threshold_low:
        yield _too_large(
            core.name,
            "lower bound",
            core.threshold_low,
            limits.max_threshold_low,
            "use a smaller min_v_mem",
        )


def _kernel_limits(core: Core, limits: LayerLimits) -> Iterator[Check]:
    kernel = core.weights.shape[2:]
    covers = kernel[0] >= core.input_shape[1] and kernel[1] >= core.input_shape[2]
    wide = max(kernel) > limits.max_kernel and covers and core.output_shape[1:] == (1, 1)
    if wide:
        yield _wide_linear(core, limits)
    elif max(kernel) > limits.max_kernel:
        remedy = "pool the map in front of it first"
        yield _too_large(core.name, "kernel size", _sides(kernel), limits.max_kernel, remedy)
    if limits.square_kernels and kernel[0] != kernel[1]:
        yield Check(
            core.name,
            "error",
            "kernel shape",
            f"its kernel of {_sides(kernel)} is not square, and the chip has square kernels only",
            value=_sides(kernel),
            limit="square",
            remedy="use a square kernel",
        )
    if any(side not in limits.strides for side in core.stride):
        remedy = "use one of these strides"
        yield _no_choice(core.name, "stride", core.stride, limits.strides, remedy)
    # A linear layer is padded only to make its kernel square.
    if max(core.padding) > limits.max_padding and not wide:
        yield _too_large(core.name, "padding", core.padding, limits.max_padding, "pad less")


def _wide_linear(core: Core, limits: LayerLimits) -> Check:
    """Return the finding for a layer that sees its whole map at once, as a Linear does."""
    channels, y, x = core.input_shape
    side, most = max(core.weights.shape[2:]), limits.max_kernel
    fitting = [size for size in limits.poolings if max(y, x) // size <= most]
    such = f", such as by {fitting[0]}, to {y // fitting[0]} x {x // fitting[0]}" if fitting else ""
    return Check(
        core.name,
        "error",
        "kernel size",
        f"as a linear layer it reads its whole map of {channels} x {y} x {x} ({channels * y * x}"
        f" inputs) by one kernel of {side} x {side}, which exceeds the chip's limit of"
        f" {most} x {most}",
        value=f"{side} x {side}",
        limit=str(most),
        remedy=f"pool the map in front of it to {most} x {most} at most{such}",
    )


def _size_limits(core: Core, limits: LayerLimits) -> Iterator[Check]:
    features = max(core.input_shape[0], core.output_shape[0])
    if features > limits.max_features:
        remedy = "use fewer channels or neurons"
        yield _too_large(core.name, "features", features, limits.max_features, remedy)
    most = limits.max_input_size
    if max(core.input_shape[1:]) > most:
        size, remedy = _sides(core.input_shape[1:]), "crop or pool the events"
        yield _too_large(core.name, "input map", size, f"{most} x {most}", remedy)
    most = limits.max_output_size
    if max(core.output_shape[1:]) > most:
        size, remedy = _sides(core.output_shape[1:]), "use a stride of 2, or pool in front of it"
        yield _too_large(core.name, "output map", size, f"{most} x {most}", remedy)


def input_limits(stage: InputStage, chip: Chip) -> Iterator[Check]:
    """Yield an error for each limit of the chip's DVS layer that the input stage breaks."""
    limits, (channels, *sensor) = chip.limits, chip.dvs.shape
    if any(side not in limits.poolings for side in stage.pooling):
        remedy = "pool by one of these"
        yield _no_choice("", "input pooling", stage.pooling, limits.poolings, remedy)
    n_layers, most = len(stage.destinations), limits.max_destinations
    if n_layers > most:
        yield _too_large("", "input fan-out", n_layers, most, f"let at most {most} layers read it")
    if stage.shape[0] > channels and not stage.is_identity:
        remedy = f"pool, crop or filter events of at most {channels} polarities"
        yield _too_large("", "input channels", stage.shape[0], channels, remedy)
    if stage.shape[1] > sensor[0] or stage.shape[2] > sensor[1]:
        remedy = "crop or scale the recording"
        yield _too_large("", "input map", _sides(stage.shape[1:]), _sides(sensor), remedy)
    yield from _filter_limits(stage, chip.event_filter)


def _filter_limits(stage: InputStage, limits: FilterLimits) -> Iterator[Check]:
    rule = stage.event_filter
    if rule is None:
        return
    most = limits.windows.stop - 1
    if rule.window > most:
        yield _too_large("", "filter window", rule.window, most, "look back fewer ticks")
    if max(rule.size) > limits.max_size:
        remedy = "take nearer neighbours"
        yield _too_large("", "filter size", max(rule.size), limits.max_size, remedy)


def input_notes(stage: InputStage) -> Iterator[Check]:
    """Yield what the input stage does that a torch network does not, or may do on the chip."""
    if stage.has_one_feature:
        what = "merged polarities" if stage.merge_polarities else "one polarity alone"
        yield Check(
            "",
            # networks with merged polarities and one input channel work on boards
            "note" if stage.merge_polarities else "warning",
            "feature number",
            f"events of {what} get one channel, 0 by samna's guide and 1 by its reference",
            remedy=""
            if stage.merge_polarities
            else "give both input channels the same weights, or play with"
            " TwinSettings(single_polarity_feature=1) too",
        )
    rule = stage.event_filter
    if rule is not None:
        yield Check(
            "",
            "note",
            "event filter",
            f"its events pass a filter (mode {rule.mode!r}, {rule.size[0]} x {rule.size[1]} pixels"
            f" around, {rule.window} ticks of the slow clock), which torch's network does not have",
            value=rule.window,
            remedy="give the board a slow clock, whose period decides what is noise",
        )


def layer_warnings(program: Program, core: Core) -> Iterator[Check]:
    """Yield what the chip does otherwise than a torch network, or may do, in figures."""
    yield from _weight_warnings(core)
    yield from _edge_warnings(program, core)
    if core.bias is not None:
        yield Check(
            core.name,
            "warning",
            "bias",
            f"a bias of up to {int(np.abs(core.bias.astype(int)).max())} is added at each tick of"
            " the slow clock, not at each time step",
            value=int(np.abs(core.bias.astype(int)).max()),
            limit=core.threshold_high,
            remedy="remove biases with speckflex fold and finetune",
        )
    if core.initial_state is not None:
        yield _initial_note(core)
    if core.decimator_interval in DOUBTFUL_INTERVALS:
        yield Check(
            core.name,
            "warning",
            "decimator table",
            f"its decimator has interval {core.decimator_interval}, for which samna's reference and"
            " its guide name different ratios",
            value=core.decimator_interval,
            remedy="use an interval of 0 to 4, or play with TwinSettings(decimator_table=...)",
        )
    if program.chip_record.bounded:
        yield from _parallel_warnings(core, program.chip_record)


def _initial_note(core: Core) -> Check:
    states = core.initial_state if core.initial_state is not None else np.zeros(1, np.int16)
    low, high = int(states.min()), int(states.max())
    values = str(low) if low == high else f"{low} to {high}"
    return Check(
        core.name,
        "note",
        "initial state",
        f"its neurons start at {values} of the threshold {core.threshold_high}; a flash image of"
        " the chip holds one such value for all layers, a configuration over USB each",
        value=high,
        limit=core.threshold_high,
    )


def _edge_warnings(program: Program, core: Core) -> Iterator[Check]:
    for destination in core.destinations:
        rest = [size % destination.pooling for size in core.output_shape[1:]]
        if any(rest):
            target = program.cores[destination.core].name
            yield Check(
                core.name,
                "warning",
                "pooling edge",
                f"pooling {destination.pooling} on the way to {target} leaves out the last"
                f" {rest[0]} rows and {rest[1]} columns, undocumented on the chip",
                remedy="use a map that the pooling divides, or play with"
                " TwinSettings(edge_spikes='keep') too",
            )


def _parallel_warnings(core: Core, chip: Chip) -> Iterator[Check]:
    """Yield what is known of the cores whose two engines compute in parallel, or feared."""
    limits = chip.core(core.chip_core)
    if limits is None or limits.repeatable:
        return
    index = core.chip_core
    yield Check(
        core.name,
        "note",
        "core",
        f"it is on core {index}, which does not repeat itself exactly",
        value=index,
    )
    yield Check(
        core.name,
        "warning",
        "withheld spike",
        f"it is on core {index}, which may keep its last spike back until a later one pushes it"
        " out, by samna's guide",
        value=index,
        remedy="put it on another core, or play with TwinSettings(withheld_spike='last') too",
    )
    if core.bias is not None:
        yield Check(
            core.name,
            "warning",
            "leak",
            f"it has a bias and is on core {index}, whose leak is not usable by the chip's errata"
            " list; a recording and the vendor's scripts use it",
            value=index,
            remedy="put it on another core, or play with TwinSettings(leak_cores_01='none') too",
        )


def _weight_warnings(core: Core) -> Iterator[Check]:
    weights = core.weights.astype(np.int64)
    strong = int((weights >= core.threshold_high).sum())
    if strong and core.readout == "spikes":
        yield Check(
            core.name,
            "warning",
            "strong weights",
            f"{strong} of {weights.size} weights reach the threshold {core.threshold_high}, the"
            " chip fires once an event and keeps the rest",
            value=strong,
            limit=core.threshold_high,
            remedy="clip weights below the threshold while training",
        )
    dead = int((~weights.any(axis=(1, 2, 3))).sum())
    if dead:
        yield Check(
            core.name,
            "warning",
            "dead channels",
            f"{dead} of {weights.shape[0]} output channels have no weight left",
            value=dead,
            limit=0,
            remedy="prune them, or train with weights of like size in all channels",
        )
    largest = int(np.abs(weights).max())
    if 0 < largest < NARROW_WEIGHTS:
        yield Check(
            core.name,
            "warning",
            "weight range",
            f"its largest weight is {largest}, so most of the 8 bits are unused",
            value=largest,
            limit=WEIGHT_MAX,
            remedy="lower threshold, min_v_mem or bias, which set the common scale",
        )
