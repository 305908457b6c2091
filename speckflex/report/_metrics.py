"""Metrics files: what tests and trainings measured, one JSON object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.json_lines import read_json_lines
from speckflex.report.trend import Figure, Run, Trend

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["trend_of_metrics"]


def trend_of_metrics(paths: Sequence[Path]) -> Trend:
    """Return the figures of metrics files, one file a run; the last value of a name counts.

    Nothing is judged: a metrics file does not say how far chance moves its figures.

    Args:
        paths: files of `pytest --board-metrics` or of `speckflex train --metrics`, in the order
            of time.

    Raises:
        FileFormatError: a file is no metrics file.
    """
    found = [_values(path) for path in paths]
    names = dict.fromkeys(name for values in found for name in values)
    figures = tuple(Figure(name, tuple(values.get(name) for values in found)) for name in names)
    runs = tuple(
        Run(str(path), "", f"{len(values)} figures", None)
        for path, values in zip(paths, found, strict=True)
    )
    return Trend(runs, figures, paired=False)


def _values(path: Path) -> dict[str, float]:
    """Return the numbers of a file by name, behind the test that measured them."""
    values: dict[str, float] = {}
    for record in read_json_lines(path):
        test = f"{record['test']}: " if "test" in record else ""
        values |= {
            f"{test}{name}": float(value)
            for name, value in record.items()
            if isinstance(value, int | float) and not isinstance(value, bool)
        }
    return values
