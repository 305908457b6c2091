"""Which layer goes on which core of the chip, by their memories, or why no placement exists."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.speck import UNBOUNDED
from speckflex.errors import PlacementError
from speckflex.fitting._assignment import assign
from speckflex.fitting.memory import LayerMemory, layer_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.chips import Chip
    from speckflex.chips.chip import CoreLimits
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Pair

__all__ = ["place_layers", "placement_problems", "without_cores"]

# What a placement avoids, most of all first; each weighs more than the next on all cores together,
# and the last more than all memory that is left over.
LEAK_MAY_FAIL = 2**30
NOT_REPEATABLE = 2**25


def place_layers(program: Program, *, cores: Mapping[int | str, int] | None = None) -> Program:
    """Return the program with each layer on a core of the chip.

    Layers with a bias are kept off cores 0 and 1, whose leak is not usable by the errata list
    (data sheet 1.02, section 16). Then cores that repeat themselves are preferred, then those with
    the least memory left over.

    Args:
        program: one for a chip without bounds is returned as it is.
        cores: the core for some layers, by position (negative ones count from the end) or name.

    Raises:
        PlacementError: says which layers, which memory, what the cores hold, and what would fit.
    """
    chip = program.chip_record
    if not chip.bounded:
        return program
    memories = [layer_memory(core) for core in program.cores]
    fixed = _fixed(program, memories, cores or {})
    problems = placement_problems(program, fixed=fixed)
    if problems:
        raise PlacementError("; ".join(problems))
    chosen = _cheapest(program, memories, fixed)
    placed = [
        replace(core, chip_core=index) for core, index in zip(program.cores, chosen, strict=True)
    ]
    return replace(program, cores=tuple(placed))


def without_cores(program: Program) -> Program:
    """Return the program with its layers on no core."""
    return replace(program, cores=tuple(replace(core, chip_core=None) for core in program.cores))


def placement_problems(
    program: Program, *, fixed: Mapping[int, int] | None = None
) -> tuple[str, ...]:
    """Return why the layers can't be placed, one sentence each; empty where they can.

    Args:
        program: placed or not.
        fixed: core for some layer positions.
    """
    chip = program.chip_record
    excess = len(program.cores) - len(chip.cores)
    if excess > 0:
        sentence = (
            f"the network has {len(program.cores)} layers, the chip {len(chip.cores)} cores, one"
            f" for each: make it {excess} shorter, or convert for chip {UNBOUNDED.name!r}"
        )
        return (sentence,)
    memories = [layer_memory(core) for core in program.cores]
    alone = [
        _too_large(core, memory, chip)
        for core, memory in zip(program.cores, memories, strict=True)
        if not memory.fitting(chip)
    ]
    if alone:
        return tuple(alone)
    fits = _fits(memories, fixed or {}, chip)
    crowd = assign(np.where(fits, 0, np.inf)).crowd
    return (_competition(program, memories, crowd),) if crowd else ()


def _fits(memories: Sequence[LayerMemory], fixed: Mapping[int, int], chip: Chip) -> np.ndarray:
    """Return (layer, core) bool: whether the layer may go on the core."""
    fits = np.array([[memory.fits(core) for core in chip.cores] for memory in memories])
    for layer, core in fixed.items():
        fits[:, core] = False
        fits[layer] = False
        fits[layer, core] = True
    return fits


def _cheapest(
    program: Program, memories: Sequence[LayerMemory], fixed: Mapping[int, int]
) -> tuple[int, ...]:
    """Return the core of each layer in the assignment of least cost."""
    chip = program.chip_record
    costs = np.array(
        [
            [_cost(layer, memory, core) for core in chip.cores]
            for layer, memory in zip(program.cores, memories, strict=True)
        ],
        float,
    )
    costs[~_fits(memories, fixed, chip)] = np.inf
    return assign(costs).columns


def _cost(layer: Core, memory: LayerMemory, core: CoreLimits) -> int:
    spare = core.kernel_words - memory.kernel_words + core.neuron_words - memory.neuron_words
    cost = spare * 16
    if not core.repeatable:
        cost += NOT_REPEATABLE + (LEAK_MAY_FAIL if layer.bias is not None else 0)
    # The index decides between cores of one kind, so that the result is always the same.
    return cost + core.index


def _too_large(core: Core, memory: LayerMemory, chip: Chip) -> str:
    parts = []
    for kind in ("kernel", "neuron", "bias"):
        need = getattr(memory, f"{kind}_words")
        most = max(getattr(limits, f"{kind}_words") for limits in chip.cores)
        if need > most:
            parts.append(f"{need} {kind} words, no core holds more than {most}")
    if not parts:
        parts.append(
            f"{memory.kernel_words} kernel and {memory.neuron_words} neuron words together,"
            f" and {_held(chip)}"
        )
    return f"layer {core.name} needs {' and '.join(parts)}: {_remedy(core, chip)}"


def _held(chip: Chip) -> str:
    kinds = sorted({(limits.kernel_words, limits.neuron_words) for limits in chip.cores})
    held = ", ".join(f"{kernel}/{neuron}" for kernel, neuron in kinds)
    return f"the cores hold {held}"


def _remedy(core: Core, chip: Chip) -> str:
    """Return the smallest changes after which the layer fits on some core."""
    out, channels, *kernel = core.weights.shape
    _, y, x = core.output_shape

    def fits(channels: int, out: int, size: Pair) -> bool:
        taps, biased = (kernel[0], kernel[1]), core.bias is not None
        sized = LayerMemory.of(channels, out, taps, size, biased=biased)
        return bool(sized.fitting(chip))

    changes = []
    for fewer in range(out - 1, 0, -1):
        if fits(channels, fewer, (y, x)):
            changes.append(f"reduce it to {fewer} output channels")
            break
    for halvings in range(1, 8):
        half = (-(-y // 2**halvings), -(-x // 2**halvings))
        if fits(channels, out, half):
            changes.append(
                f"give it a larger stride, or pool in front of it, for an output map of"
                f" {half[0]} x {half[1]} (pooling behind its neurons does not help)"
            )
            break
    for fewer in range(channels - 1, 0, -1):
        if fits(fewer, out, (y, x)):
            changes.append(f"feed it {fewer} input channels")
            break
    return ", or ".join(changes) or "make it smaller"


def _competition(program: Program, memories: Sequence[LayerMemory], crowd: Sequence[int]) -> str:
    names = ", ".join(
        f"{program.cores[layer].name} ({memories[layer].kernel_words} kernel,"
        f" {memories[layer].neuron_words} neuron words)"
        for layer in crowd
    )
    chip = program.chip_record
    cores = sorted({limits.index for layer in crowd for limits in memories[layer].fitting(chip)})
    listed = ", ".join(map(str, cores))
    largest = max(crowd, key=lambda layer: memories[layer].total_words)
    return (
        f"layers {names} compete for cores {listed}, {len(crowd)} layers for {len(cores)} cores:"
        f" make one of them smaller, such as {program.cores[largest].name}, to fit on another core"
    )


def _fixed(
    program: Program, memories: Sequence[LayerMemory], cores: Mapping[int | str, int]
) -> dict[int, int]:
    """Return the user's choice by position, checked."""
    names, chip = [core.name for core in program.cores], program.chip_record
    fixed: dict[int, int] = {}
    for layer, core in cores.items():
        position = _position(layer, names)
        if not (isinstance(core, (int, np.integer)) and 0 <= core < len(chip.cores)):
            raise PlacementError(
                f"layer {layer}: core {core!r} does not exist: choose one of"
                f" 0..{len(chip.cores) - 1}"
            )
        if core in fixed.values() or position in fixed:
            raise PlacementError(
                f"layer {layer}: core {core} or the layer is named twice: give each layer a core"
                " of its own"
            )
        if not memories[position].fits(chip.cores[core]):
            raise PlacementError(
                f"layer {names[position]} does not fit on core {core}:"
                f" {memories[position].shortage(chip.cores[core])}: choose one of"
                f" {[limits.index for limits in memories[position].fitting(chip)]}"
            )
        fixed[position] = int(core)
    return fixed


def _position(layer: int | str, names: Sequence[str]) -> int:
    if isinstance(layer, str) and names.count(layer) == 1:
        return names.index(layer)
    if isinstance(layer, int) and -len(names) <= layer < len(names):
        return layer % len(names)
    raise PlacementError(
        f"layer {layer!r} is not in the program: choose one of {', '.join(names)}"
        f" or a position below {len(names)}"
    )
