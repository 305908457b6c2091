"""The accuracy of a network in torch at chosen time steps, one number for each of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.recordings.measures import wilson_interval
from speckflex.training._evaluation import evaluate
from speckflex.training.data import stream_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from speckflex.data.dataset import EventDataset
    from speckflex.data.images import ImageDataset
    from speckflex.training.mixed.stages import MixedTimestepNetwork

__all__ = ["StageAnswers", "StageCurve", "measure_stages"]


@dataclass(frozen=True, eq=False)
class StageAnswers:
    """What a network answered in torch at one temporal configuration.

    Args:
        timesteps: of each stage.
        accuracy: share that is right.
        interval: lower and upper end of its 95 % Wilson interval.
        predictions: (recording,) int64, the class of each; -1 for no answer.
    """

    timesteps: tuple[int, ...]
    accuracy: float
    interval: tuple[float, float]
    predictions: np.ndarray


@dataclass(frozen=True, eq=False)
class StageCurve:
    """A network in torch at several temporal configurations, with what they mean.

    Args:
        data: name of the data set.
        labels: (recording,) int64, the class of each recording.
        stages: the names of the layers in each stage.
        boundaries: the rules on the way into each stage, such as "copy/trim".
        in_torch: the answers, in the order of the configurations.
    """

    data: str
    labels: np.ndarray
    stages: tuple[tuple[str, ...], ...]
    boundaries: tuple[str, ...]
    in_torch: tuple[StageAnswers, ...]


def measure_stages(
    network: MixedTimestepNetwork,
    data: EventDataset | ImageDataset,
    configurations: Sequence[int | Sequence[int]],
    *,
    frame_time: int | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> StageCurve:
    """Return a network's answers at each temporal configuration, neurons at rest at each start.

    Recordings are cut into as many frames as the first stage has time steps; an image is the same
    in each of them.

    Args:
        network: cut into stages; keeps its mode, and its neurons are at rest afterwards.
        data: recordings or images, each with a known class.
        configurations: T of all stages, or one number for each stage.
        frame_time: µs of a frame, from the start of a recording; None to divide each recording's
            own time.
        progress: called with the name of each configuration before it is measured.

    Raises:
        TrainingError: there is no recording, one has no class, images are to have a frame time, or
            a configuration does not fit the stages.
    """
    names = {module: name for name, module in network.network.named_modules()}
    answers = []
    for given in configurations:
        counts = network.check((given,) * network.n_stages if isinstance(given, int) else given)
        name = given if isinstance(given, int) else "/".join(map(str, counts))
        progress(f"torch, T = {name}")
        frames = stream_frames(data, counts[0], frame_time=frame_time)
        found = evaluate(network, frames, counts)
        right = round(found.accuracy * len(frames))
        interval = wilson_interval(right, len(frames))
        answers.append(StageAnswers(counts, found.accuracy, interval, found.answers))
    network.reset_states()
    return StageCurve(
        data=data.name,
        labels=data.labels,
        stages=tuple(tuple(names[layer] for layer in stage.children()) for stage in network.stages),
        boundaries=tuple(map(str, network.boundaries)),
        in_torch=tuple(answers),
    )
