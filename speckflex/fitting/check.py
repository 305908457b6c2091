"""What a program costs on the chip, and what it loses or breaks there; runs without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from speckflex.fitting._limits import input_limits, input_notes, layer_limits, layer_warnings
from speckflex.fitting.checks import Check, Severity
from speckflex.fitting.memory import layer_memory
from speckflex.fitting.placement import placement_problems

if TYPE_CHECKING:
    from speckflex.chips import Chip
    from speckflex.program.program import Program
    from speckflex.program.records import Core, Pair, Shape

LayerKind = Literal["conv", "linear"]

__all__ = ["Check", "CheckTable", "LayerCost", "Severity", "check_program", "ordered"]


@dataclass(frozen=True)
class LayerCost:
    """One row of the table: what a layer needs, and what its core holds.

    Args:
        name: the weight layer's name in the torch network.
        neuron_name: the neuron layer's name, "" for a potential readout.
        kind: "linear" where every output reads the whole input map, as a linear layer does.
        kernel: (y, x) of the kernels.
        stride: (y, x).
        pooling: the window of each destination, 1 for none.
        core: the chip's core, None where the layer isn't placed.
        input_shape: (channel, y, x).
        output_shape: (channel, y, x) of the neurons.
        kernel_words: 8-bit words that the kernels need.
        neuron_words: 16-bit words that the neurons need.
        bias_words: 16-bit words that the biases need.
        holds: (kernel, neuron, bias) words of the core, None where the layer isn't placed.
        fitting_cores: cores that would hold the layer by its memory.
        threshold: the integer threshold.
        scale: integers per unit of the torch network's weights and potentials.
    """

    name: str
    neuron_name: str
    kind: LayerKind
    kernel: Pair
    stride: Pair
    pooling: tuple[int, ...]
    core: int | None
    input_shape: Shape
    output_shape: Shape
    kernel_words: int
    neuron_words: int
    bias_words: int
    holds: tuple[int, int, int] | None
    fitting_cores: tuple[int, ...]
    threshold: int
    scale: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
        }


@dataclass(frozen=True)
class CheckTable:
    """The cost of every layer and all findings.

    Args:
        chip: what was checked for.
        layers: one row a layer, in the program's order; none where nothing could be converted.
        checks: findings, errors first.
        program: what was checked; None where nothing could be converted.
    """

    chip: str
    layers: tuple[LayerCost, ...]
    checks: tuple[Check, ...]
    program: Program | None = None

    @property
    def errors(self) -> tuple[Check, ...]:
        """The findings that stop the chip."""
        return tuple(check for check in self.checks if check.severity == "error")

    @property
    def verdict(self) -> str:
        """Whether it fits, with how many errors or warnings."""
        if self.errors:
            return f"does not fit {self.chip}: {_counted(len(self.errors), 'error')}"
        n_warnings = sum(check.severity == "warning" for check in self.checks)
        beside = f", with {_counted(n_warnings, 'warning')}" if n_warnings else ""
        return f"fits {self.chip}{beside}"

    def to_dict(self) -> dict[str, Any]:
        """Return all but the program, as plain JSON types."""
        return {
            "chip": self.chip,
            "fits": not self.errors,
            "verdict": self.verdict,
            "layers": [layer.to_dict() for layer in self.layers],
            "checks": [check.to_dict() for check in self.checks],
        }


def check_program(program: Program, *, found: tuple[Check, ...] = ()) -> CheckTable:
    """Hold a program against the chip's rules and memories; raises nothing.

    Args:
        program: placed or not; for a chip without bounds its limits are left out.
        found: findings of the conversion, to stand in the same table.
    """
    checks = [*found, *input_notes(program.input)]
    chip = program.chip_record
    if chip.bounded:
        checks.extend(input_limits(program.input, chip))
        for core in program.cores:
            checks.extend(layer_limits(core, chip))
        checks.extend(
            Check("", "error", "placement", *_parted(problem))
            for problem in placement_problems(program)
        )
    for core in program.cores:
        checks.extend(layer_warnings(program, core))
    costs = tuple(_cost(core, chip) for core in program.cores)
    return CheckTable(program.chip, costs, ordered(checks), program)


def ordered(checks: list[Check]) -> tuple[Check, ...]:
    """Return errors first, then warnings, then notes, each in the order found."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(checks, key=lambda check: rank[check.severity]))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s'[: count != 1]}"


def _parted(problem: str) -> tuple[str, None, None, str]:
    """Part a sentence into message and remedy, with no figures between them."""
    message, _, remedy = problem.rpartition(": ")
    return message, None, None, remedy


def _cost(core: Core, chip: Chip) -> LayerCost:
    memory, held = layer_memory(core), chip.core(core.chip_core)
    return LayerCost(
        name=core.name,
        neuron_name=core.neuron_name,
        kind=_kind(core),
        kernel=(core.weights.shape[2], core.weights.shape[3]),
        stride=core.stride,
        pooling=tuple(target.pooling for target in core.destinations),
        core=core.chip_core,
        input_shape=core.input_shape,
        output_shape=core.output_shape,
        kernel_words=memory.kernel_words,
        neuron_words=memory.neuron_words,
        bias_words=memory.bias_words,
        holds=None if held is None else (held.kernel_words, held.neuron_words, held.bias_words),
        fitting_cores=tuple(limits.index for limits in memory.fitting(chip)),
        threshold=core.threshold_high,
        scale=core.scale,
    )


def _kind(core: Core) -> LayerKind:
    """Return what the core computes; a program does not tell what it was made of."""
    reads_all = core.weights.shape[2:] == core.input_shape[1:] and core.padding == (0, 0)
    return "linear" if reads_all else "conv"
