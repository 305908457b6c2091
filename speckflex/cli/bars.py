"""The exit of a command whose report misses a stated bar."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from speckflex.cli.emphasis import emphasised, wants_colour

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MISSED_BAR", "exit_on_missed", "max_spike_difference_option"]

MISSED_BAR = 4

max_spike_difference_option: Any = click.option(
    "--max-spike-difference",
    type=click.FloatRange(min=0),
    metavar="FRACTION",
    help="Fail (exit 4) if the spike difference at the output is larger, or has no value.",
)


def exit_on_missed(missed: Sequence[str]) -> None:
    """Say which bars were missed, and leave with the exit code for it if there is one."""
    for sentence in missed:
        click.echo(emphasised(f"missed: {sentence}"), err=True, color=wants_colour())
    if missed:
        sys.exit(MISSED_BAR)
