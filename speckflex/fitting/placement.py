"""Layers of a program onto the nine cores, by their memories; says why where it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from speckflex.chips.speck import CORES, CoreLimits
from speckflex.errors import PlacementError
from speckflex.fitting.memory import LayerMemory, layer_memory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["place_layers", "placement_problems", "without_cores"]

# One core that does not repeat itself costs more than all memory left over on nine cores.
NOT_REPEATABLE = 2**24


def place_layers(program: Program, *, cores: Mapping[int | str, int] | None = None) -> Program:
    """Return the program with each layer on a core of the chip.

    Cores that repeat themselves are preferred, then those with the least memory left over.

    Args:
        program: for a chip; an "unbounded" one is returned as it is.
        cores: the core for some layers, by position (negative ones count from the end) or name.

    Raises:
        PlacementError: says which layers, which memory, what the cores hold, and what would fit.
    """
    if program.chip == "unbounded":
        return program
    memories = [layer_memory(core) for core in program.cores]
    fixed = _fixed(program, memories, cores or {})
    problems = placement_problems(program, fixed=fixed)
    if problems:
        raise PlacementError("; ".join(problems))
    chosen = _cheapest(memories, fixed)
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
        program: any program; its `chip` is not looked at.
        fixed: core for some layer positions.
    """
    if len(program.cores) > len(CORES):
        excess = (
            f"the network has {len(program.cores)} layers, the chip {len(CORES)} cores, one for"
            f" each: make it {len(program.cores) - len(CORES)} shorter, or convert for"
            " chip 'unbounded'"
        )
        return (excess,)
    memories = [layer_memory(core) for core in program.cores]
    alone = [
        _too_large(core, memory)
        for core, memory in zip(program.cores, memories, strict=True)
        if not memory.fitting
    ]
    if alone:
        return tuple(alone)
    crowd = _crowded(_fits(memories, fixed or {}))
    return (_competition(program, memories, crowd),) if crowd else ()


def _fits(memories: Sequence[LayerMemory], fixed: Mapping[int, int]) -> np.ndarray:
    """Return (layer, core) bool: whether the layer may go on the core."""
    fits = np.array([[memory.fits(core) for core in CORES] for memory in memories])
    for layer, core in fixed.items():
        fits[:, core] = False
        fits[layer] = False
        fits[layer, core] = True
    return fits


def _cheapest(memories: Sequence[LayerMemory], fixed: Mapping[int, int]) -> list[int]:
    """Return the core of each layer in the assignment of least cost."""
    fits = _fits(memories, fixed)
    costs = np.array([[_cost(memory, core) for core in CORES] for memory in memories], dtype=float)
    costs[~fits] = np.inf
    layers, chosen = linear_sum_assignment(costs)
    return [int(core) for _, core in sorted(zip(layers, chosen, strict=True))]


def _cost(memory: LayerMemory, core: CoreLimits) -> int:
    spare = core.kernel_words - memory.kernel_words + core.neuron_words - memory.neuron_words
    # The index decides between cores of one kind, so that the result is always the same.
    return (0 if core.repeatable else NOT_REPEATABLE * len(CORES)) + spare * 16 + core.index


def _crowded(fits: np.ndarray) -> list[int]:
    """Return layers that have fewer cores than they are, empty where all can be placed.

    From a layer that a maximum matching leaves out, all layers on alternating paths compete for
    the cores that these paths reach (Hall's theorem).
    """
    matching = maximum_bipartite_matching(csr_array(fits.astype(np.int8)), perm_type="column")
    left_out = [layer for layer, core in enumerate(matching) if core < 0]
    if not left_out:
        return []
    holder = {int(core): layer for layer, core in enumerate(matching) if core >= 0}
    crowd, waiting = {left_out[0]}, [left_out[0]]
    while waiting:
        for core in np.flatnonzero(fits[waiting.pop()]):
            layer = holder[int(core)]
            if layer not in crowd:
                crowd.add(layer)
                waiting.append(layer)
    return sorted(crowd)


def _too_large(core: Core, memory: LayerMemory) -> str:
    parts = []
    for kind in ("kernel", "neuron", "bias"):
        need = getattr(memory, f"{kind}_words")
        most = max(getattr(limits, f"{kind}_words") for limits in CORES)
        if need > most:
            parts.append(f"{need} {kind} words, no core holds more than {most}")
    if not parts:
        parts.append(
            f"{memory.kernel_words} kernel and {memory.neuron_words} neuron words together,"
            f" and {_closest(memory)}"
        )
    return f"layer {core.name} needs {' and '.join(parts)}: {_remedy(core, memory)}"


def _closest(memory: LayerMemory) -> str:
    kinds = sorted({(limits.kernel_words, limits.neuron_words) for limits in CORES})
    held = ", ".join(f"{kernel}/{neuron}" for kernel, neuron in kinds)
    return f"the cores hold {held}"


def _remedy(core: Core, memory: LayerMemory) -> str:
    """Return the smallest changes after which the layer fits on some core."""
    out, channels, kernel_y, kernel_x = core.weights.shape
    _, y, x = core.output_shape
    changes = []
    for fewer in range(out - 1, 0, -1):
        if _sized(memory, channels, fewer, (kernel_y, kernel_x), (y, x)).fitting:
            changes.append(f"reduce it to {fewer} output channels")
            break
    for halvings in range(1, 8):
        half = (-(-y // 2**halvings), -(-x // 2**halvings))
        if _sized(memory, channels, out, (kernel_y, kernel_x), half).fitting:
            changes.append(f"give it stride or pooling for a map of {half[0]} x {half[1]}")
            break
    for fewer in range(channels - 1, 0, -1):
        if _sized(memory, fewer, out, (kernel_y, kernel_x), (y, x)).fitting:
            changes.append(f"feed it {fewer} input channels")
            break
    return ", or ".join(changes) or "make it smaller"


def _sized(
    memory: LayerMemory, channels: int, out: int, kernel: tuple[int, int], size: tuple[int, int]
) -> LayerMemory:
    return LayerMemory.of(channels, out, kernel, size, biased=memory.bias_words > 0)


def _competition(program: Program, memories: Sequence[LayerMemory], crowd: list[int]) -> str:
    names = ", ".join(
        f"{program.cores[layer].name} ({memories[layer].kernel_words} kernel,"
        f" {memories[layer].neuron_words} neuron words)"
        for layer in crowd
    )
    cores = sorted({limits.index for layer in crowd for limits in memories[layer].fitting})
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
    names = [core.name for core in program.cores]
    fixed: dict[int, int] = {}
    for layer, core in cores.items():
        position = _position(layer, names)
        if not (isinstance(core, (int, np.integer)) and 0 <= core < len(CORES)):
            raise PlacementError(
                f"layer {layer}: core {core!r} does not exist: choose one of 0..{len(CORES) - 1}"
            )
        if core in fixed.values() or position in fixed:
            raise PlacementError(
                f"layer {layer}: core {core} or the layer is named twice: give each layer a core"
                " of its own"
            )
        if not memories[position].fits(CORES[core]):
            raise PlacementError(
                f"layer {names[position]} does not fit on core {core}:"
                f" {memories[position].shortage(CORES[core])}: choose one of"
                f" {[limits.index for limits in memories[position].fitting]}"
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
