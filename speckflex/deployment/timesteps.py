"""The accuracy of a network in torch at several numbers of time steps, and on a board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import nn

from speckflex.boards.choosing import chip_for, choose_board
from speckflex.boards.family import find_family
from speckflex.chips.speck import UNBOUNDED
from speckflex.conversion.model import ConvertedModel, Sensor, convert_model, read_model
from speckflex.data import EventDataset, open_dataset
from speckflex.deployment.progress import Progress, ignore, watched
from speckflex.deployment.torch_reference import TorchReference
from speckflex.errors import EventsError, NetworkError
from speckflex.recordings.measures import relative_difference, wilson_interval
from speckflex.training.mixed.stages import StageSteps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from speckflex.boards import Board
    from speckflex.deployment.progress import Watch

__all__ = ["Answers", "TimestepCurve", "evaluate", "measure_timesteps"]

TIMESTEPS = (1, 2, 5, 10, 20, 50, 100)

RECORDINGS_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Answers:
    """What a network answered to every recording, on a board or in torch.

    Args:
        timesteps: T in torch, or one number for each stage; None on the board.
        predictions: (recording,) int64, the class of each recording.
        accuracy: share that is right; None if no recording has a label.
        interval: lower and upper end of its 95 % Wilson interval; None without labels.
        spike_difference: Eq. 16 on the last layer, with the board as the reference: 0.2 is a
            difference of one spike for five on the board. None on the board, if the last layer
            is read by potential, or if it is silent on the board.
    """

    timesteps: int | tuple[int, ...] | None
    predictions: np.ndarray
    accuracy: float | None
    interval: tuple[float, float] | None
    spike_difference: float | None = None

    @property
    def common_t(self) -> int:
        """T of all layers; 0 on the board, and where each stage has its own."""
        return self.timesteps if isinstance(self.timesteps, int) else 0


@dataclass(frozen=True, eq=False)
class TimestepCurve:
    """A network at several T beside the board, on the same recordings.

    Args:
        model: name of the file.
        data: name of the data set.
        synthetic: whether its recordings are simulated.
        board: name of the board.
        program_sha256: hash of the program that the board ran.
        labels: (recording,) int64, the class of each recording, negative if unknown.
        on_board: the answers of the board.
        in_torch: the answers of torch, in the order of T.
        by_stage: the answers of torch with a number of time steps for each stage.
        stages: the names of the layers in each stage; empty where none has its own number.
        boundaries: the rules on the way into each stage, such as "copy/sum".
    """

    model: str
    data: str
    synthetic: bool
    board: str
    program_sha256: str
    labels: np.ndarray
    on_board: Answers
    in_torch: tuple[Answers, ...]
    by_stage: tuple[Answers, ...] = ()
    stages: tuple[tuple[str, ...], ...] = ()
    boundaries: tuple[str, ...] = ()


def evaluate(
    model: str | Path | nn.Module,
    data: str | Path | EventDataset,
    *,
    timesteps: Sequence[int] = TIMESTEPS,
    board: str = "twin",
    samples: int | None = None,
    progress: Watch = ignore,
) -> TimestepCurve:
    """Return how a network answers recordings in torch at each T and on a board.

    Batch norms and biases are folded without bias, as `speckflex evaluate` does.

    Args:
        model: a `.pt`, `.nir` or `.onnx` file, or a torch network in memory.
        data: recordings: a name such as "nmnist", a folder or file, or a data set in memory. Of a
            name or folder with two splits the test split is taken.
        timesteps: T of each measurement in torch, each at least 1.
        board: a name as for `open_board`; a chip without an address that is not attached is
            replaced by its twin.
        samples: number of recordings of a name or path, balanced over the classes; None for all.
        progress: called with each step.

    Raises:
        NetworkError: the model has no network, or a T is below 1.
        EventsError: there is no recording, or one does not fit the network.
        SpeckflexError: the network does not convert, or there is no such board.
    """
    progress(Progress("opening the recordings"))
    dataset = data if isinstance(data, EventDataset) else open_dataset(data, limit=samples)
    if not isinstance(data, EventDataset):
        dataset = dataset.balanced(samples)
    sensor = Sensor(dataset.shape) if dataset.shape_stated else None
    # a network that is too large for a chip can still be measured on the twin
    chip = UNBOUNDED.name if find_family(board).is_twin else chip_for(board)

    def tell(stage: str) -> None:
        progress(Progress(stage))

    if isinstance(model, nn.Module):
        converted = convert_model(model, input_shape=sensor, chip=chip, progress=tell)
    else:
        converted = read_model(model, input_shape=sensor, chip=chip, progress=tell)
    if sensor is None:
        dataset = dataset.on_sensor(converted.program.input.shape)
    with choose_board(board).board as opened:
        return measure_timesteps(converted, dataset, opened, timesteps, progress=progress)


def measure_timesteps(
    model: ConvertedModel,
    dataset: EventDataset,
    board: Board,
    timesteps: Sequence[int | StageSteps],
    *,
    frame_time: int | None = None,
    progress: Watch = ignore,
) -> TimestepCurve:
    """Play recordings on a board and in torch at each T (MTT: Table 1 and Figure 4).

    The float network runs as it was converted, with each recording cut into T frames. The board
    plays the same recordings event by event on the 8-bit program.

    Args:
        model: holds a network; a `.speck` file does not.
        dataset: at least one recording.
        board: any board.
        timesteps: each at least 1, of all layers or of each stage.
        frame_time: µs of a frame in torch, from the start of a recording; None to divide each
            recording's own time.
        progress: called with each step.

    Raises:
        NetworkError: the file holds a program alone, or a T is below 1.
        TrainingError: there are not as many numbers of time steps as stages.
        EventsError: there is no recording.
    """
    if model.network is None:
        raise NetworkError(
            f"{model.path}: holds a program, which has no time steps: give the .pt or .nir file"
            " that it was converted from"
        )
    if not len(dataset):
        raise EventsError(f"{dataset.name} holds no recording: check the folder")
    references = [
        TorchReference(model.network, model.program, bins=t, frame_time=frame_time)
        for t in timesteps
    ]
    progress(Progress(f"loading the program onto {board.name}"))
    board.load(model.program)
    played = _play(dataset, board, references, progress)
    labels, spikes = dataset.labels, played[0].counts
    by_spikes = model.program.cores[-1].readout == "spikes"
    in_torch = [
        _answers(
            t.timesteps if isinstance(t, StageSteps) else t,
            part.predictions,
            labels,
            _difference(spikes, part.counts) if by_spikes else None,
        )
        for t, part in zip(timesteps, played[1:], strict=True)
    ]
    return TimestepCurve(
        model=model.path.name,
        data=dataset.name,
        synthetic=dataset.synthetic,
        board=board.name,
        program_sha256=model.program.sha256,
        labels=labels,
        on_board=_answers(None, played[0].predictions, labels, None),
        in_torch=tuple(one for one in in_torch if isinstance(one.timesteps, int)),
        by_stage=tuple(one for one in in_torch if not isinstance(one.timesteps, int)),
        stages=next((one.stages for one in references if one.stages), ()),
        boundaries=next((one.boundaries for one in references if one.stages), ()),
    )


class _Played(NamedTuple):
    """The last layer of one player: classes (recording,) and spikes (recording, neuron)."""

    predictions: np.ndarray
    counts: np.ndarray


def _play(
    dataset: EventDataset,
    board: Board,
    references: Sequence[TorchReference],
    watch: Watch,
) -> list[_Played]:
    """Return what the board played, and then what each reference did."""
    parts: list[list[_Played]] = [[] for _ in range(1 + len(references))]
    total = len(dataset)
    on_board = watched(board.play, f"playing on {board.name}", total, watch)
    in_torch = [
        watched(reference.play, f"torch, T = {reference.settings()['bins']}", total, watch)
        for reference in references
    ]
    for first in range(0, len(dataset), RECORDINGS_AT_ONCE):
        events = [events for events, _ in dataset[first : first + RECORDINGS_AT_ONCE]]
        recordings = [on_board(events, monitor=[-1], keep_events=False)]
        recordings += [play(events, keep_events=False) for play in in_torch]
        for part, recording in zip(parts, recordings, strict=True):
            counts = recording.counts(-1).reshape(len(events), -1)
            part.append(_Played(recording.answers(), counts))
    return [_Played(*map(np.concatenate, zip(*part, strict=True))) for part in parts]


def _difference(reference: np.ndarray, other: np.ndarray) -> float | None:
    return relative_difference(reference, other) if reference.any() else None


def _answers(
    timesteps: int | tuple[int, ...] | None,
    predictions: np.ndarray,
    labels: np.ndarray,
    spike_difference: float | None,
) -> Answers:
    known = labels >= 0
    accuracy = interval = None
    if known.any():
        right = int((predictions == labels)[known].sum())
        accuracy = right / int(known.sum())
        interval = wilson_interval(right, int(known.sum()))
    return Answers(timesteps, predictions, accuracy, interval, spike_difference)
