"""A report as Markdown for a comment on a pull request."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from speckflex.report._blocks import Table, Text
from speckflex.report._tiles import tiles_of
from speckflex.report._verdict import warnings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.report._blocks import Block
    from speckflex.report._tiles import Tile
    from speckflex.report.record import Report

__all__ = ["escape_markdown", "render_markdown", "show_as_markdown"]

STATES = {"pass": "pass", "warn": "**warn**", "fail": "**fail**", "unknown": "not known"}
BAR = r"\|"  # a bar in a cell of a table
# What Markdown or HTML inside it would read as markup.
SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~@!&])")


def render_markdown(report: Report) -> str:
    """Return verdict, warnings, tiles, sections and provenance; user's words are escaped."""
    title = escape_markdown(report.run.model if report.run else report.program.sha256[:12])
    synthetic = " (synthetic data)" if report.synthetic else ""
    parts = [f"### speckflex: {title}{synthetic}"]
    parts += [escape_markdown(words) for words in (report.verdict, *warnings_of(report))]
    parts.append(_dashboard(tiles_of(report)))
    parts += [
        show_as_markdown(block) for section in report.sections for block in section.blocks(report)
    ]
    run = f"run {escape_markdown(report.run_id)} · " if report.run_id else ""
    parts.append(
        f"{run}program `{report.program.sha256[:12]}` · board {escape_markdown(report.board)} ·"
        f" {report.samples} samples, {report.lost_events} events known lost"
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _dashboard(tiles: Sequence[Tile]) -> str:
    """Return the tiles of the verdict as a table."""
    lines = ["| | state | figure | | next |", "| --- | --- | ---: | --- | --- |"]
    for tile in tiles:
        steps = ", ".join(f"{name} {figure}" for name, figure in tile.steps)
        words = [tile.words, steps and f"{steps}.", tile.rule and f"({tile.rule})"]
        cells = [
            escape_markdown(tile.subject),
            STATES[tile.status],
            escape_markdown(tile.figure),
            escape_markdown(" ".join(filter(None, words))),
            f"{escape_markdown(tile.action)} {_code(tile.command)}".strip(),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _code(command: str) -> str:
    """Return a command as code of a table's cell; escaped words where a backtick would end it."""
    if "`" in command:
        return escape_markdown(command)
    return f"`{command.replace('|', BAR)}`" if command else ""


def show_as_markdown(block: Block) -> str:
    """Return a block; one that only the page can show is left out."""
    if isinstance(block, Text):
        return escape_markdown(block.words)
    if not isinstance(block, Table):
        return ""
    alignment = ["---", *["--:"] * (len(block.headings) - 1)]
    escaped = [[escape_markdown(cell) for cell in line] for line in (block.headings, *block.rows)]
    lines = [escaped[0], alignment, *escaped[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escape_markdown(text: str) -> str:
    """Return a text on one line, without what Markdown would read as markup."""
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))
