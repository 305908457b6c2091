"""The picture of a search: accuracy by trial, and over the load."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.pictures import new_picture
from speckflex.training.sweep.study import best_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from speckflex.training.sweep.study import TrialRow

__all__ = ["draw_sweep"]

WITHIN, BEYOND, BEST = "tab:blue", "tab:gray", "tab:red"


def draw_sweep(rows: Sequence[TrialRow], max_load: float | None) -> Figure:
    """Return the accuracy on the twin by trial, and over the load with its limit.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    done = [row for row in rows if row.accuracy is not None and row.peak_load is not None]
    picture = new_picture(9, 3.5)
    by_trial, over_load = picture.subplots(1, 2, sharey=True)
    best = best_row(list(rows))
    for row in done:
        colour = BEST if row == best else WITHIN if row.keeps_up else BEYOND
        by_trial.plot(row.number, row.accuracy, "o", color=colour)
        over_load.plot(row.peak_load, row.accuracy, "o", color=colour)
    by_trial.set_xlabel("trial")
    by_trial.set_ylabel("accuracy on the twin")
    over_load.set_xlabel("load of the busiest core in its busiest 10 ms")
    if max_load is not None:
        over_load.axvline(max_load, color=BEYOND, linestyle="--")
    return picture
