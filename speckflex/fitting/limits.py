"""The chip's rules, each against its number in `speck.py`; runs without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.speck import (
    CORES,
    MAX_DESTINATIONS,
    MAX_FEATURES,
    MAX_INPUT_SIZE,
    MAX_KERNEL,
    MAX_OUTPUT_SIZE,
    MAX_PADDING,
    POOLINGS,
    STRIDES,
    WEIGHT_MAX,
)
from speckflex.fitting.finding import Check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage

__all__ = ["input_limits", "input_notes", "layer_limits", "layer_warnings"]

# Below this the largest weight leaves two of the eight bits unused.
NARROW_WEIGHTS = 32


def _broken(layer: str, rule: str, found: object, limit: object, remedy: str) -> Check:
    return Check(
        layer,
        "error",
        rule,
        f"{rule} {found} is beyond the chip's {limit}",
        value=str(found),
        limit=str(limit),
        remedy=remedy,
    )


def layer_limits(core: Core) -> Iterator[Check]:
    """Yield what of a layer the chip can't do, memory apart."""
    yield from _kernel_limits(core)
    yield from _size_limits(core)
    if len(core.destinations) > MAX_DESTINATIONS:
        yield _broken(
            core.name,
            "fan-out",
            len(core.destinations),
            MAX_DESTINATIONS,
            "let at most two layers read it",
        )
    for destination in core.destinations:
        if destination.pooling not in POOLINGS:
            yield _broken(
                core.name,
                "pooling",
                destination.pooling,
                POOLINGS,
                "pool by 2 or 4, or use a strided convolution",
            )
    if core.threshold_low == 0:
        yield _broken(core.name, "lower bound", 0, "largest, -1", "use a min_v_mem below 0")


def _kernel_limits(core: Core) -> Iterator[Check]:
    kernel_y, kernel_x = core.weights.shape[2:]
    kernel = f"{kernel_y} x {kernel_x}"
    covering = kernel_y >= core.input_shape[1] and kernel_x >= core.input_shape[2]
    if max(kernel_y, kernel_x) > MAX_KERNEL and covering and core.output_shape[1:] == (1, 1):
        yield _wide_linear(core)
    elif max(kernel_y, kernel_x) > MAX_KERNEL:
        yield _broken(
            core.name, "kernel size", kernel, MAX_KERNEL, "pool the map in front of it first"
        )
    if kernel_y != kernel_x:
        yield _broken(core.name, "kernel shape", kernel, "square", "use a square kernel")
    if any(side not in STRIDES for side in core.stride):
        yield _broken(core.name, "stride", core.stride, STRIDES, "use one of these strides")
    if max(core.padding) > MAX_PADDING:
        yield _broken(core.name, "padding", core.padding, MAX_PADDING, "pad less")


def _wide_linear(core: Core) -> Check:
    """Return the finding for a layer that sees its whole map at once, as a Linear does."""
    channels, y, x = core.input_shape
    side = max(core.weights.shape[2:])
    fitting = [size for size in POOLINGS if max(y, x) // size <= MAX_KERNEL]
    such = f", such as by {fitting[0]}, to {y // fitting[0]} x {x // fitting[0]}" if fitting else ""
    return Check(
        core.name,
        "error",
        "kernel size",
        f"as a linear layer it reads its whole map of {channels} x {y} x {x} ({channels * y * x}"
        f" inputs) by one kernel of {side} x {side}, the chip's are at most {MAX_KERNEL} x"
        f" {MAX_KERNEL}",
        value=f"{side} x {side}",
        limit=str(MAX_KERNEL),
        remedy=f"pool the map in front of it to {MAX_KERNEL} x {MAX_KERNEL} at most{such}",
    )


def _size_limits(core: Core) -> Iterator[Check]:
    channels, *input_size = core.input_shape
    features, *output_size = core.output_shape
    if max(channels, features) > MAX_FEATURES:
        yield _broken(
            core.name,
            "features",
            max(channels, features),
            MAX_FEATURES,
            "use fewer channels or neurons",
        )
    if max(input_size) > MAX_INPUT_SIZE:
        yield _broken(
            core.name,
            "input map",
            f"{input_size[0]} x {input_size[1]}",
            f"{MAX_INPUT_SIZE} x {MAX_INPUT_SIZE}",
            "crop or pool the events",
        )
    if max(output_size) > MAX_OUTPUT_SIZE:
        yield _broken(
            core.name,
            "output map",
            f"{output_size[0]} x {output_size[1]}",
            f"{MAX_OUTPUT_SIZE} x {MAX_OUTPUT_SIZE}",
            "use a stride of 2, or pool in front of it",
        )


def input_limits(stage: InputStage) -> Iterator[Check]:
    """Yield what of the input stage the chip's DVS layer can't do."""
    if any(side not in POOLINGS for side in stage.pooling):
        yield _broken("", "input pooling", stage.pooling, POOLINGS, "pool by 2 or 4")
    if len(stage.destinations) > MAX_DESTINATIONS:
        yield _broken(
            "", "input fan-out", len(stage.destinations), MAX_DESTINATIONS, "read it in two layers"
        )
    if stage.shape[0] > 2 and not stage.is_identity:
        yield _broken(
            "",
            "input channels",
            stage.shape[0],
            2,
            "pool, crop or filter events of two polarities only",
        )
    if max(stage.shape[1:]) > MAX_INPUT_SIZE:
        yield _broken(
            "",
            "input map",
            f"{stage.shape[1]} x {stage.shape[2]}",
            f"{MAX_INPUT_SIZE} x {MAX_INPUT_SIZE}",
            "crop or scale the recording",
        )


def input_notes(stage: InputStage) -> Iterator[Check]:
    """Yield what the input stage does that a torch network does not."""
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
    """Yield what the chip does otherwise than a torch network, in figures."""
    yield from _weight_warnings(core)
    for destination in core.destinations:
        rest = [size % destination.pooling for size in core.output_shape[1:]]
        if any(rest):
            target = program.cores[destination.core].name
            yield Check(
                core.name,
                "note",
                "pooling edge",
                f"pooling {destination.pooling} on the way to {target} leaves out the last"
                f" {rest[0]} rows and {rest[1]} columns, undocumented on the chip",
                remedy="use a map that the pooling divides",
            )
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
    if core.chip_core is not None and not CORES[core.chip_core].repeatable:
        yield Check(
            core.name,
            "note",
            "core",
            f"it is on core {core.chip_core}, which does not repeat itself exactly",
            value=core.chip_core,
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
