"""Thresholds and initial states of a program, searched on the twin while its weights stay."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards import open_board
from speckflex.chips.formats import NEURON_MAX
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core
    from speckflex.recordings.recording import Recording

__all__ = ["Calibration", "LayerChange", "calibrate", "split_by_class"]

THRESHOLD_FACTORS = (0.8, 0.9, 1.1, 1.25)
STARTS = (0.0, 0.25, 0.5, 0.75)  # thresholds
# The score of a class for each of its spikes in the cross entropy, as in speckflex's trainings.
SCORE_OF_SPIKE = 0.2
# Less than a thousandth of the loss is no reason to change a program.
LEAST_FALL = 1e-3


@dataclass(frozen=True)
class LayerChange:
    """What a calibration changed in one layer, in the program's integers.

    Args:
        name: of the layer.
        threshold_before: its firing threshold.
        threshold_after: the new one.
        start_before: the mean of its neurons' initial states.
        start_after: the new one.
    """

    name: str
    threshold_before: int
    threshold_after: int
    start_before: float
    start_after: float


@dataclass(frozen=True, eq=False)
class Calibration:
    """A program with other thresholds and initial states, and what that does.

    Args:
        program: the new one; the old one where nothing lowers the loss.
        changes: the layers that differ.
        loss_before: mean cross entropy on the recordings that calibrate, of the old program.
        loss_after: of the new one.
        n_programs: how many programs were tried.
    """

    program: Program
    changes: tuple[LayerChange, ...]
    loss_before: float
    loss_after: float
    n_programs: int


def calibrate(
    program: Program,
    samples: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    rounds: int = 2,
    advance: Callable[[int], None] | None = None,
) -> Calibration:
    """Return the program with the thresholds and initial states that lower its loss on the twin.

    Layer by layer, and again in each round, the threshold is tried at 0.8, 0.9, 1.1 and 1.25 of
    its value, and the neurons' start at 0, 1/4, 1/2 and 3/4 of the threshold. The best is kept if
    the cross entropy falls by more than a thousandth. Weights and lower bounds stay. That neurons
    calibrate with frozen weights is the idea of QAC (OpenReview D4sQzdMvcG); this search is ours.

    Args:
        program: of any origin.
        samples: events of each recording.
        labels: `(n,)` integers, the class of each.
        rounds: how often all layers are gone through.
        advance: called with 1 after each program.

    Raises:
        EventsError: a recording has no class, or a class beyond the last layer's outputs.
        BoardError: a recording does not fit the program.
    """
    labels = np.asarray(labels, np.int64)
    n_outputs = int(np.prod(program.cores[-1].output_shape))
    if not len(labels) or labels.min() < 0 or labels.max() >= n_outputs:
        raise EventsError(
            f"the recordings have classes {labels.min(initial=0)} to {labels.max(initial=0)}, the"
            f" program scores {n_outputs}: give labelled recordings of these classes"
        )
    n_programs = 1
    with open_board("twin") as board:

        def loss_of(candidate: Program) -> float:
            board.load(candidate)
            loss = _cross_entropy(board.play(samples, keep_events=False), labels)
            if advance is not None:
                advance(1)
            return loss

        before = least = loss_of(program)
        best = program
        for _ in range(rounds):
            changed = False
            for index in range(len(program.cores)):
                for tried in (_with_thresholds, _with_starts):
                    found = [(loss_of(other), other) for other in tried(best, index)]
                    n_programs += len(found)
                    loss, other = min(found, key=lambda pair: pair[0], default=(least, best))
                    if loss < least * (1 - LEAST_FALL):
                        least, best, changed = loss, other, True
            if not changed:
                break
    return Calibration(best, _changes(program, best), before, least, n_programs)


def split_by_class(labels: np.ndarray, n_first: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of `n_first` recordings, spread over the classes, and all others.

    Args:
        labels: `(n,)` integers.
        n_first: at least 1, below n.
        seed: of the draw.

    Raises:
        EventsError: there are too few recordings.
    """
    if not 0 < n_first < len(labels):
        raise EventsError(
            f"{len(labels)} recordings can't be split into {n_first} and some others: give more"
            " recordings, or calibrate on fewer"
        )
    rng = np.random.default_rng(seed)
    turns = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        turns[rng.permutation(places)] = np.arange(len(places))
    order = np.lexsort((rng.permutation(len(labels)), turns))
    return np.sort(order[:n_first]), np.sort(order[n_first:])


def _with_thresholds(program: Program, index: int) -> Iterator[Program]:
    """Yield the program with other thresholds of a layer, its starts at the same share of them."""
    core = program.cores[index]
    if core.readout != "spikes":
        return
    for factor in THRESHOLD_FACTORS:
        high = min(max(round(core.threshold_high * factor), 1), NEURON_MAX)
        if high == core.threshold_high:
            continue
        state = core.initial_state
        if state is not None:
            state = np.floor(state * (high / core.threshold_high)).astype(np.int16)
        yield _with_core(program, index, replace(core, threshold_high=high, initial_state=state))


def _with_starts(program: Program, index: int) -> Iterator[Program]:
    core = program.cores[index]
    if core.readout != "spikes":
        return
    for share in STARTS:
        start = int(share * core.threshold_high)
        state = np.full(core.output_shape, start, np.int16) if start else None
        yield _with_core(program, index, replace(core, initial_state=state))


def _with_core(program: Program, index: int, core: Core) -> Program:
    return replace(program, cores=(*program.cores[:index], core, *program.cores[index + 1 :]))


def _cross_entropy(recording: Recording, labels: np.ndarray) -> float:
    """Return the mean cross entropy of what the last layer scores."""
    scores = recording.layer(-1).scores.astype(np.float64)
    core_unit = SCORE_OF_SPIKE
    if recording.layer(-1).potentials is not None:
        # potentials have the size of the program's scale; their spread has one of its own
        core_unit = 1 / max(float(scores.std()), 1e-9)
    scores = scores * core_unit
    scores -= scores.max(axis=1, keepdims=True)
    chosen = scores[np.arange(len(labels)), labels]
    return float((np.log(np.exp(scores).sum(axis=1)) - chosen).mean())


def _changes(before: Program, after: Program) -> tuple[LayerChange, ...]:
    changes = (
        LayerChange(old.name, old.threshold_high, new.threshold_high, _start(old), _start(new))
        for old, new in zip(before.cores, after.cores, strict=True)
    )
    return tuple(
        change
        for change in changes
        if (change.threshold_before, change.start_before)
        != (change.threshold_after, change.start_after)
    )


def _start(core: Core) -> float:
    return 0.0 if core.initial_state is None else float(core.initial_state.mean())
