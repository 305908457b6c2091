"""The layers of a report as comma-separated values."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from speckflex.report.as_json import plain

if TYPE_CHECKING:
    from speckflex.report.record import Report

__all__ = ["render_csv"]

COLUMNS = (
    "index",
    "name",
    "core",
    "spikes",
    "spike_difference",
    "noise_floor",
    "cosine",
    "potential_difference",
    "synops_per_second_peak",
    "kernel_memory",
    "kernel_limit",
    "neuron_memory",
    "neuron_limit",
    "weights",
    "weights_saturated",
    "weights_above_threshold",
    "silent_neurons",
)


def render_csv(report: Report) -> str:
    """Return one line per layer; an empty field where a figure is not known."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(plain(layer) for layer in report.layers)
    return text.getvalue()
