"""Known answers of a program: making them on the twin, and holding a board to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.ensemble import play_ensemble
from speckflex.boards.twin import Twin
from speckflex.errors import BoardError, EventsError
from speckflex.events.perturbation import Perturbation
from speckflex.program.golden import Golden, GoldenLayer
from speckflex.recordings.measures import relative_difference
from speckflex.twin.settings import EngineTimes, TwinSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.boards import Board
    from speckflex.program.program import Program
    from speckflex.recordings.recording import LayerRecord, Recording

__all__ = ["CheckedLayer", "Verification", "make_golden", "verify_board"]

N_PLAYS = 4
WINDOW = 8  # spikes of cores 0 and 1 within which their order may change, in these plays
SPREADS = 3  # standard deviations beyond the mean difference that a floor allows


def make_golden(
    program: Program,
    samples: Sequence[np.ndarray],
    *,
    torch: np.ndarray | None = None,
    slow_clock: float | None = None,
) -> Golden:
    """Return inputs, the twin's answers to them, and how far a chip may differ from these.

    The floor of a layer is what the twin itself differs by when the order of its spikes changes in
    ways that no document excludes: mean and three standard deviations over the plays, at least
    the largest.

    Args:
        program: the program.
        samples: one event array each, of the input's shape.
        torch: `(sample, class)`, the outputs of the network in torch; None without one.
        slow_clock: Hz; None for no clock.

    Raises:
        EventsError: there is no sample, or one does not fit the input.
        BoardError: the program needs a slow clock.
    """
    if not samples:
        raise EventsError("known answers need at least one recording: give more data")
    settings = TwinSettings.ticking(slow_clock)
    unchanged = _play(program, samples, settings)
    plays = _alike(program, samples, settings)
    layers = []
    for record in unchanged.layers:
        values = _values(record)
        others = [_values(play.layer(record.index)) for play in plays.values()]
        kind = "spikes" if record.potentials is None else "potential"
        layers.append(GoldenLayer(record.name, kind, values, _floor(values, others)))
    tables = [
        np.stack([sample[name].astype(np.int64) for name in "txyp"], axis=1) for sample in samples
    ]
    outputs = None if torch is None else np.asarray(torch, np.float64)
    return Golden(tuple(tables), tuple(layers), outputs, tuple(plays), slow_clock)


@dataclass(frozen=True)
class CheckedLayer:
    """One layer of a board that is held to known answers.

    Args:
        name: of the layer.
        difference: from the known answers; None where neither has a spike.
        floor: up to which the board is no other than the twin.
    """

    name: str
    difference: float | None
    floor: float

    @property
    def fine(self) -> bool:
        """Whether the difference is within the floor."""
        return self.difference is None or self.difference <= self.floor


@dataclass(frozen=True)
class Verification:
    """A board that is held to known answers.

    Args:
        board: its name.
        serial: its serial number, "" for none.
        program_sha256: of the program that was on the board.
        samples: how many were played.
        layers: in network order.
        answers: for each sample, the class of torch (-1 for none), of the twin, of the board.
    """

    board: str
    serial: str
    program_sha256: str
    samples: int
    layers: tuple[CheckedLayer, ...]
    answers: tuple[tuple[int, int, int], ...]

    @property
    def fine(self) -> bool:
        """Whether the board runs the program within its floor."""
        return all(layer.fine for layer in self.layers)

    @property
    def sentence(self) -> str:
        """The verdict."""
        first = next((layer for layer in self.layers if not layer.fine), None)
        if first is None:
            return f"{self.board} runs this file within its floor"
        return (
            f"{self.board} does not run this file within its floor: layer {first.name} differs by"
            f" {_percent(first.difference)}, its floor is {_percent(first.floor)}"
        )


def verify_board(board: Board, program: Program, golden: Golden) -> Verification:
    """Play known inputs on a board and compare what it answers.

    Args:
        board: opened; it is loaded with the program.
        program: as read from its file, which has checked its hash.
        golden: its known answers.

    Raises:
        BoardError: what the board runs is not the program.
    """
    _check_fits(program, golden)
    board.load(program)
    _check_loaded(board, program)
    recording = board.play(golden.events, keep_events=False)
    _check_hash(board.name, recording.provenance.program_sha256, program)
    layers = tuple(
        CheckedLayer(
            known.name,
            relative_difference(known.values, _values(recording.layer(index))),
            known.floor,
        )
        for index, known in enumerate(golden.layers)
    )
    return Verification(
        board=board.name,
        serial=recording.provenance.serial,
        program_sha256=program.sha256,
        samples=len(golden.samples),
        layers=layers,
        answers=_answers(golden, recording),
    )


def _check_fits(program: Program, golden: Golden) -> None:
    shapes = [core.output_shape for core in program.cores]
    if [layer.values.shape[1:] for layer in golden.layers] != shapes:
        raise BoardError(
            "the known answers are not of the program's layers: convert the network again with"
            " --golden"
        )


def _check_loaded(board: Board, program: Program) -> None:
    """Compare what a board says it runs with the program, where it can say so."""
    loaded = getattr(board, "loaded_sha256", None)
    if loaded is not None:
        _check_hash(board.name, loaded(), program)


def _check_hash(name: str, found: str, program: Program) -> None:
    if found != program.sha256:
        raise BoardError(
            f"board {name} runs program {found[:12] or 'without a hash'}, the file holds"
            f" {program.sha256[:12]}: load the program again"
        )


def _play(program: Program, samples: Sequence[np.ndarray], settings: TwinSettings) -> Recording:
    with Twin(settings=settings) as twin:
        twin.load(program)
        return twin.play(samples, keep_events=False)


def _alike(
    program: Program, samples: Sequence[np.ndarray], settings: TwinSettings
) -> dict[str, Recording]:
    """Return plays whose order of spikes no document excludes, by what they are."""
    change = Perturbation(parallel_window=WINDOW)
    ensemble = play_ensemble(program, samples, N_PLAYS, perturbation=change, settings=settings)
    plays = {
        f"twin, order of simultaneous events and of {WINDOW} spikes on cores 0 and 1, {i}": play
        for i, play in enumerate(ensemble.plays)
    }
    for order in ("xyc", "cyx"):
        other = replace(settings, output_order=order)
        plays[f"twin, output order {order}"] = _play(program, samples, other)
    timed = replace(settings, engine_times=EngineTimes())
    plays["twin, engine times of cores 0 and 1 by one recording"] = _play(program, samples, timed)
    return plays


def _floor(values: np.ndarray, others: Sequence[np.ndarray]) -> float:
    found = [relative_difference(values, other) for other in others]
    # a layer that is silent here has no scale, so that any spike of it counts
    known = np.array([0.0 if one is None or not isfinite(one) else one for one in found])
    return float(max(known.max(), known.mean() + SPREADS * known.std()))


def _values(record: LayerRecord) -> np.ndarray:
    """Return what a layer is read by: its potentials if it has them, else its counts."""
    return np.asarray(record.counts if record.potentials is None else record.potentials, np.int64)


def _answers(golden: Golden, recording: Recording) -> tuple[tuple[int, int, int], ...]:
    """Return the classes of torch, twin and board, sample by sample."""
    last = golden.layers[-1].values
    twin = [_largest(row) for row in last.reshape(*last.shape[:2], -1).sum(axis=2)]
    torch = [-1] * len(twin) if golden.torch is None else [_largest(row) for row in golden.torch]
    board = recording.answers().tolist()
    return tuple(zip(torch, twin, board, strict=True))


def _largest(row: np.ndarray) -> int:
    """Return the class with the largest value, as `Recording.answers` does; -1 for all zero."""
    return int(row.argmax()) if row.any() else -1


def _percent(share: float | None) -> str:
    if share is None or not isfinite(share):
        return "spikes where the file has none"
    return f"{100 * share:.2f} %"
