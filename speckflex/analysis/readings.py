"""What a reader of a board's output sees over time, and what the board has spent until then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.arrivals import core_inputs
from speckflex.analysis.synops import count_taps
from speckflex.errors import ComparisonError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["Reading", "Spent", "output_problem", "outputs_in_steps", "read_outputs"]

STEP = 1000  # µs, of what is spent
MOST_STEPS = 500  # of a sample; a longer one gets longer steps


@dataclass(frozen=True, eq=False)
class Spent:
    """What a sample has taken up to a time, on a grid.

    Args:
        step: width of the grid, µs.
        spikes: (step,) int64 spikes of all layers from the start to the end of each step.
        synops: (step,) int64 synaptic operations; None if they are not known.
    """

    step: int
    spikes: np.ndarray
    synops: np.ndarray | None

    def at(self, time: float) -> int:
        """Return the index of the step that holds a time (µs from the first input event on)."""
        return min(int(time) // self.step, len(self.spikes) - 1)


@dataclass(frozen=True, eq=False)
class Reading:
    """The output of one sample over time, from its first input event on.

    Args:
        end: µs to the last input event, or to the last output spike if that is later.
        times: (spike,) int64 µs of each output spike, in the order in which they came; it never
            falls, and is 0 of spikes before the input.
        classes: (spike,) int16, the class of each.
        spent: what the sample has taken until a time; None if the layers' spikes are not known.
    """

    end: int
    times: np.ndarray
    classes: np.ndarray
    spent: Spent | None = None


def output_problem(recording: Recording) -> str:
    """Return why the output of a recording can not be read over time, "" if it can."""
    record = recording.layers[-1] if recording.layers else None
    if record is None or record.index != recording.n_layers - 1 or record.events is None:
        return "the spikes of the last layer were not kept"
    if record.potentials is not None:
        return "the last layer is read by its potentials, at the end of a sample"
    return ""


def read_outputs(
    recording: Recording, input_events: Sequence[np.ndarray], program: Program | None = None
) -> tuple[Reading, ...]:
    """Return the output of each sample over time.

    Spikes of the twin carry the time of the input event that caused them, those of a chip the time
    at which its board read them.

    Args:
        recording: with the spikes of its last layer; with those of all layers for what is spent.
        input_events: the streams that were played, one for each sample.
        program: what ran, for synaptic operations; None to leave them out.

    Raises:
        ComparisonError: the last layer is not read by spikes, or they were not kept.
    """
    problem = output_problem(recording)
    if problem:
        raise ComparisonError(
            f"{recording.provenance.board}: {problem}: play a network whose last layer spikes,"
            " with keep_events=True"
        )
    known = min(len(input_events), *(len(r.events or ()) for r in recording.layers[-1:]))
    recording = recording.part(0, known)
    work = _work_events(recording, input_events[:known], program)
    return tuple(
        _reading(recording, events, index, None if work is None else [core[index] for core in work])
        for index, events in enumerate(input_events[:known])
    )


def _work_events(
    recording: Recording, input_events: Sequence[np.ndarray], program: Program | None
) -> list[list[tuple[np.ndarray, np.ndarray]]] | None:
    """Return times and operations of the events at each core, by core and sample."""
    if program is None:
        return None
    found = []
    for index, core in enumerate(program.cores):
        streams = core_inputs(program, recording, input_events, index)
        if streams is None or len(streams) < recording.n_samples:
            return None
        found.append([(events["t"], count_taps(core, events)) for events in streams])
    return found


def _reading(
    recording: Recording,
    events: np.ndarray,
    index: int,
    work: list[tuple[np.ndarray, np.ndarray]] | None,
) -> Reading:
    spikes = recording.events(recording.n_layers - 1, index)
    start = int(events["t"].min()) if len(events) else 0
    # a stream whose times run backwards is played in its order
    times = np.maximum.accumulate(np.maximum(spikes["t"] - start, 0))
    last = int(events["t"].max()) - start if len(events) else 0
    end = max(last, int(times.max(initial=0)))
    return Reading(end, times, spikes["p"], _spent(recording, index, (start, end), work))


def _spent(
    recording: Recording,
    index: int,
    span: tuple[int, int],
    work: list[tuple[np.ndarray, np.ndarray]] | None,
) -> Spent | None:
    if len(recording.layers) != recording.n_layers:
        return None
    layers = [r.events[index] for r in recording.layers if r.events and index < len(r.events)]
    if len(layers) != recording.n_layers:
        return None
    start, end = span
    step = max(STEP, -(-(end + 1) // MOST_STEPS))
    grid = (start, step, end // step + 1)
    spikes = sum(_cumulated(events["t"], None, grid) for events in layers)
    synops = None
    if work is not None:
        synops = np.asarray(sum(_cumulated(times, taps, grid) for times, taps in work))
    return Spent(step, np.asarray(spikes), synops)


def _cumulated(
    times: np.ndarray, weights: np.ndarray | None, grid: tuple[int, int, int]
) -> np.ndarray:
    """Return (step,) int64, the sum of the weights up to the end of each step."""
    start, step, n_steps = grid
    # what comes before the input, or after the last output, belongs to the first or last step
    bins = np.clip((times - start) // step, 0, n_steps - 1)
    return np.cumsum(np.rint(np.bincount(bins, weights, n_steps)).astype(np.int64))


def outputs_in_steps(
    recording: Recording, input_events: Sequence[np.ndarray], n_steps: int
) -> np.ndarray:
    """Return (sample, time, class) int64, the output spikes of torch in each time step.

    Args:
        recording: of torch, whose spikes carry the end of their time step.
        input_events: the streams that were played, one for each sample.
        n_steps: number of time steps of a sample.
    """
    record = recording.layers[-1]
    outputs = np.zeros((len(input_events), n_steps, record.shape[0]), np.int64)
    for index, events in enumerate(input_events):
        spikes = recording.events(record.index, index)
        if not len(spikes):
            continue
        first, last = int(events["t"].min()), int(events["t"].max())
        ends = first + (last - first) * np.arange(1, n_steps + 1) // n_steps
        steps = np.minimum(np.searchsorted(ends, spikes["t"]), n_steps - 1)
        np.add.at(outputs[index], (steps, spikes["p"]), 1)
    return outputs
