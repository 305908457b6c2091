"""How a program looks in an interpreter and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.html import html_of

if TYPE_CHECKING:
    from speckflex.program.program import Program

__all__ = ["program_html", "program_line"]


def program_line(program: Program) -> str:
    """Return a program in one line."""
    return (
        f"<Program {program.sha256[:12]} for {program.chip}: {len(program.cores)} layers,"
        f" {_by(program.input.shape)} -> {_by(program.cores[-1].output_shape)}>"
    )


def program_html(program: Program) -> str:
    """Return a program as facts and a table of its layers."""
    facts = (
        ("chip", program.chip),
        ("input", _by(program.input.shape)),
        ("hash", program.sha256[:12]),
    )
    rows = [
        (
            index,
            core.name,
            core.chip_core,
            _by(core.weights.shape),
            _by(core.output_shape),
            f"{core.threshold_low} to {core.threshold_high}",
            core.readout,
            ", ".join(str(destination.core) for destination in core.destinations) or "output",
        )
        for index, core in enumerate(program.cores)
    ]
    headings = ("", "layer", "core", "weights", "neurons", "thresholds", "read by", "sends to")
    return html_of(f"Program of {len(program.cores)} layers", facts, headings, rows)


def _by(sides: tuple[int, ...]) -> str:
    return "x".join(map(str, sides))
