"""Energy: fitted to the power that a board took, or estimated from what was published.

Sources: NC = Nature Communications 2024, s41467-024-47811-6; NB = sinabs' notebook on power
monitoring; ZN, WZ = rails that users recorded on devkits while idle, and WZ also with N-MNIST.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis._student import student_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.recordings.power import PowerWindow

__all__ = ["DIGITAL", "EnergyEstimate", "EnergyFit", "Fitted", "estimate_energy", "fit_energy"]

# The rails of the cores and of what leads to them; those of the pixels do not depend on a program.
DIGITAL = ("io", "ram", "logic")
# W of the digital rails of a chip that does nothing: ZN 383 µW, WZ 393, NC 420, NB 480.
IDLE_WATTS = (383e-6, 480e-6)
# J for each spike of the network. The upper end: NC, DVS-Gesture, 9.5 and 3.8 mW at 1.0 M and 0.4 M
# spikes in 540 ms. The lower end is inferred: the digital rails of WZ rose by 806 µW with N-MNIST;
# another network spikes 361,000 times a second there on the twin. The network of WZ is not known.
SPIKE_JOULES = (2.2e-9, 5.1e-9)
LEAST_WINDOWS = 3  # for an interval
WATTS_DIGITS = 9  # a monitor resolves less than a nW; what a mean leaves behind these is rounding


@dataclass(frozen=True)
class EnergyEstimate:
    """What a chip may take, from published figures; no board was measured.

    Args:
        spikes: of all layers for each sample, the mean.
        seconds: that the input of a sample lasts, the mean.
        watts: lower and upper end of the power of the digital rails while a sample plays, W.
        joules: lower and upper end of the energy of a sample, J.
        dynamic_joules: the same without what the idle chip takes, J.
    """

    spikes: float
    seconds: float
    watts: tuple[float, float]
    joules: tuple[float, float]
    dynamic_joules: tuple[float, float]


@dataclass(frozen=True)
class Fitted:
    """A figure that was fitted to measurements.

    Args:
        value: the figure.
        interval: lower and upper end of its 95 % interval.
    """

    value: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class EnergyFit:
    """What a board took, beyond the idle board, while it played.

    Args:
        windows: number of samples that were measured.
        measurements: number of measurements in them, for each rail.
        idle_watts: W of each rail before anything was played.
        watts: W of each rail while samples played, the mean.
        per_sample: J of the digital rails for a sample, idle subtracted; null with fewer than
            three samples.
        per_spike: J for each spike of the network, all of that energy put down to spikes; null
            where it can not be fitted.
        per_synop: J for each synaptic operation, all of it put down to these; null where it can
            not be fitted.
        reason: why a figure is missing, "" where none is.
    """

    windows: int
    measurements: int
    idle_watts: dict[str, float]
    watts: dict[str, float]
    per_sample: Fitted | None
    per_spike: Fitted | None
    per_synop: Fitted | None
    reason: str


def estimate_energy(spikes: float, seconds: float) -> EnergyEstimate:
    """Return the range that published figures give for a sample.

    Args:
        spikes: of all layers.
        seconds: that its input lasts; more than 0.
    """
    low, high = (spikes * joules for joules in SPIKE_JOULES)
    idle_low, idle_high = (watts * seconds for watts in IDLE_WATTS)
    joules = (low + idle_low, high + idle_high)
    watts = (joules[0] / seconds, joules[1] / seconds)
    return EnergyEstimate(spikes, seconds, watts, joules, (low, high))


def fit_energy(
    windows: Sequence[PowerWindow], spikes: Sequence[float], synops: Sequence[float | None]
) -> EnergyFit | None:
    """Fit the energy of samples, spikes and synaptic operations; None if nothing was measured.

    What a window takes beyond the idle board is taken to be proportional to its spikes, or to its
    synaptic operations. Both rise together, so that each figure holds all of the energy: the two
    must not be added.

    Args:
        windows: one for each sample.
        spikes: of all layers in each sample.
        synops: in each sample; None where they are not known.
    """
    # a stream of several samples, or one too short to be measured, says nothing of a sample
    rows = [
        (window, n_spikes, n_synops)
        for window, n_spikes, n_synops in zip(windows, spikes, synops, strict=True)
        if window.measurements and window.samples == 1 and window.idle
    ]
    if not rows:
        return None
    used = [window for window, _, _ in rows]
    joules = np.array([_dynamic_joules(window) for window in used])
    counted = np.array([n_spikes for _, n_spikes, _ in rows], np.float64)
    known = np.array([np.nan if one is None else one for _, _, one in rows], np.float64)
    few = len(rows) < LEAST_WINDOWS
    per_spike = None if few else _slope(counted, joules)
    per_synop = None if few or np.isnan(known).any() else _slope(known, joules)
    return EnergyFit(
        windows=len(rows),
        measurements=sum(window.measurements for window in used),
        idle_watts=_mean_rails([window.idle for window in used]),
        watts=_mean_rails([window.playing for window in used]),
        per_sample=None if few else _mean(joules),
        per_spike=per_spike,
        per_synop=per_synop,
        reason=_reason(few=few, complete=per_spike is not None and per_synop is not None),
    )


def _reason(*, few: bool, complete: bool) -> str:
    if few:
        return f"an interval needs {LEAST_WINDOWS} samples or more"
    return "" if complete else "the spikes or synaptic operations of the samples are not known"


def _dynamic_joules(window: PowerWindow) -> float:
    """Return the energy of the digital rails in a window beyond that of the idle board."""
    watts = sum(window.playing.get(rail, 0.0) - window.idle.get(rail, 0.0) for rail in DIGITAL)
    return round(watts, WATTS_DIGITS) * window.seconds


def _mean_rails(tables: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each rail that all tables have."""
    rails = [rail for rail in tables[0] if all(rail in table for table in tables)]
    return {rail: float(np.mean([table[rail] for table in tables])) for rail in rails}


def _mean(values: np.ndarray) -> Fitted:
    error = float(values.std(ddof=1) / np.sqrt(len(values)))
    return _with_interval(float(values.mean()), error, len(values) - 1)


def _slope(counts: np.ndarray, joules: np.ndarray) -> Fitted | None:
    """Return the slope of a line through the origin, by least squares; None without any count."""
    scale = float(counts @ counts)
    if scale == 0:
        return None
    value = float(counts @ joules) / scale
    residues = joules - value * counts
    error = float(np.sqrt(residues @ residues / (len(counts) - 1) / scale))
    return _with_interval(value, error, len(counts) - 1)


def _with_interval(value: float, error: float, freedom: int) -> Fitted:
    reach = student_quantile(freedom) * error
    return Fitted(value, (value - reach, value + reach))
