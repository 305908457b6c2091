"""Latency and energy: when the network decides, and what a sample takes."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from speckflex.analysis.energy import (
    EnergyEstimate,
    EnergyFit,
    Fitted,
    estimate_energy,
    fit_energy,
)
from speckflex.analysis.latency import Latency, measure_latency
from speckflex.analysis.synops import measure_synops
from speckflex.errors import ComparisonError
from speckflex.recordings.power import power_windows
from speckflex.report._blocks import Block, Table, Text
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts
from speckflex.report.spelling import known, milliseconds, plural

__all__ = ["LatencyAndEnergy"]

AT_RATE = "twin at rate"  # among the latencies, which else are by role
ESTIMATED = (
    "Estimated from published figures, not measured: between 2.2 and 5.1 nJ a spike beyond 0.38 to"
    " 0.48 mW of an idle chip, without the sensor's pixels (Nature Communications 2024, and rails"
    " that users recorded). No power of a network that is not behind these figures confirms them."
)
CONSTANT = "A virtual devkit's power is a constant: these figures say nothing about a chip."


@dataclass(frozen=True)
class LatencyAndEnergy(Section):
    """When the network decides, and the energy of a sample.

    Args:
        latency: when samples were decided, by the role of each recording of a board; "twin at
            rate" is the twin at the rate of `at_rate`. The spikes of a twin without a rate
            carry the time of the input event that caused them.
        energy: what the board took while it played; null where no power was measured.
        energy_estimate: the range that published figures give; null where the layers' spikes
            are not known.
    """

    anchor = "energy"
    title = "Latency and energy"

    latency: Mapping[str, Latency]
    energy: EnergyFit | None
    energy_estimate: EnergyEstimate | None

    @classmethod
    def collect(cls, evidence: Evidence) -> "LatencyAndEnergy | None":
        """Return the latency of every board, the energy and its estimate; None without any."""
        boards = {
            role: recording
            for role, recording in evidence.recordings.items()
            if recording.provenance.kind != "torch"
        }
        if evidence.at_rate_first is not None:
            boards[AT_RATE] = evidence.at_rate_first
        latency = {
            role: measure_latency(recording, evidence.input_events)
            for role, recording in boards.items()
        }
        energy, estimate = _measured(evidence), _estimated(evidence)
        if energy is None and estimate is None and all(one.reason for one in latency.values()):
            return None
        return cls(latency, energy, estimate)

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the times of each board, and what a sample takes."""
        blocks = self._latencies(facts)
        if self.energy is not None:
            blocks += _fit_blocks(self.energy, constant=facts.board_kind == "virtual")
        estimate = self.energy_estimate
        if estimate is not None:
            words = (
                f"A sample of {milliseconds(estimate.seconds * 1e6)} with"
                f" {estimate.spikes:.0f} spikes: {_range(estimate.watts, 1e3, 'mW')},"
                f" {_range(estimate.joules, 1e6, 'µJ')}, of which"
                f" {_range(estimate.dynamic_joules, 1e6, 'µJ')} for its spikes. {ESTIMATED}"
            )
            blocks.append(Text(words))
        return blocks

    def _latencies(self, facts: Facts) -> list[Block]:
        measured = {role: one for role, one in self.latency.items() if not one.reason}
        if not measured:
            return []
        rows = [
            [
                role if role == AT_RATE else facts.name_of(role).removeprefix("the "),
                milliseconds(one.first_p50),
                milliseconds(one.first_p95),
                milliseconds(one.stable_p50),
                milliseconds(one.stable_p95),
                f"{one.decided} of {one.samples}",
            ]
            for role, one in measured.items()
        ]
        headings = ["board", "first spike p50", "p95", "stable decision p50", "p95", "decided"]
        title = "time from the first input event to the output"
        blocks: list[Block] = [Table(title.capitalize(), headings, rows, title)]
        if any(role == "twin" for role in measured):
            words = (
                "A spike of the twin carries the time of the input event that caused it; with"
                " --rate, that of a core that takes its time."
            )
            blocks.append(Text(words))
        return blocks


def _fit_blocks(fit: EnergyFit, *, constant: bool) -> list[Block]:
    rails = [
        [rail, f"{1e6 * fit.idle_watts.get(rail, 0):.1f}", f"{1e6 * watts:.1f}"]
        for rail, watts in fit.watts.items()
    ]
    title = f"power over {plural(fit.windows, 'sample')} ({fit.measurements} measurements a rail)"
    figures = [
        ["sample", _fitted(fit.per_sample, 1e6, "µJ")],
        ["spike", _fitted(fit.per_spike, 1e9, "nJ")],
        ["synaptic operation", _fitted(fit.per_synop, 1e12, "pJ")],
    ]
    words = (
        "The energy of io, ram and logic beyond the idle board, with 95 % intervals. Each row holds"
        " all of it: do not add them."
    )
    if fit.reason:
        words = f"{words} Missing: {fit.reason}."
    return [
        Table(title.capitalize(), ["rail", "idle µW", "playing µW"], rails, title),
        Table("Energy", ["for each", "energy"], figures, "energy, fitted to this board"),
        Text(f"{words} {CONSTANT}" if constant else words),
    ]


def _measured(evidence: Evidence) -> EnergyFit | None:
    """Return the energy that the board took; None where no power was measured."""
    board = evidence.board_tally
    windows = power_windows(board.provenance)
    if not windows or len(windows) != board.n_samples:
        return None
    spikes = board.columns["spikes"].tolist()
    synops = [_synops(evidence, index) for index in range(board.n_samples)]
    # samples whose spikes were not kept would leave no figure at all
    n_known = sum(one is not None for one in synops) or len(synops)
    return fit_energy(windows[:n_known], spikes[:n_known], synops[:n_known])


def _synops(evidence: Evidence, index: int) -> int | None:
    """Return the synaptic operations of one sample of the board; None if they are not known."""
    if evidence.program is None or index >= min(
        len(evidence.input_events), evidence.board.n_samples
    ):
        return None
    alone = evidence.board.part(index, index + 1)
    try:
        cores = measure_synops(evidence.program, alone, [evidence.input_events[index]])
    except ComparisonError:
        return None
    return None if any(core.reason for core in cores) else sum(core.total for core in cores)


def _estimated(evidence: Evidence) -> EnergyEstimate | None:
    board = evidence.board_tally
    seconds = [_seconds(events) for events in evidence.input_events[: board.n_samples]]
    if len(board.layers) != board.n_layers or not any(seconds):
        return None
    spikes = board.columns["spikes"][: len(seconds)].tolist()
    return estimate_energy(float(np.mean(spikes)), float(np.mean(seconds)))


def _seconds(events: np.ndarray) -> float:
    return float(events["t"].max() - events["t"].min()) / 1e6 if len(events) else 0.0


def _range(bounds: tuple[float, float], scale: float, unit: str) -> str:
    return f"{scale * bounds[0]:.3g} to {scale * bounds[1]:.3g} {unit}"


def _fitted(figure: Fitted | None, scale: float, unit: str) -> str:
    if figure is None:
        return known(None)
    low, high = (scale * end for end in figure.interval)
    return f"{scale * figure.value:.3g} {unit} ({low:.3g} to {high:.3g})"
