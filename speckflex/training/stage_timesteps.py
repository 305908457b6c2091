"""The accuracy of a network in torch at chosen time steps, one number for each of its stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.paper import own_granularity
from speckflex.recordings.measures import wilson_interval
from speckflex.training._evaluation import evaluate
from speckflex.training.data import stream_frames
from speckflex.training.mixed.stages import MixedTimestepNetwork, split_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import nn

    from speckflex.data.dataset import EventDataset
    from speckflex.data.images import ImageDataset
    from speckflex.training.mixed.boundaries import Boundary

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
    network: nn.Module,
    data: EventDataset | ImageDataset,
    configurations: Sequence[int | Sequence[int]],
    *,
    granularity: int | None = None,
    boundaries: Sequence[Boundary] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> StageCurve:
    """Return a network's answers at each temporal configuration, neurons at rest at each start.

    Recordings are cut into as many frames as the first stage has time steps; an image is the same
    in each of them.

    Args:
        network: a chain of layers; stays as it is.
        data: recordings or images, each with a known class.
        configurations: T of all stages, or one number for each stage.
        granularity: number of blocks in a stage; None for the network's own.
        boundaries: rules of each boundary, that of the input first; by default copies and sums,
            the paper's.
        progress: called with the name of each configuration before it is measured.

    Raises:
        TrainingError: there is no recording, one has no class, or a configuration or the
            boundaries do not fit the stages.
        NetworkError: the network is no chain of layers, or has no neuron.
    """
    network = copy_network(network)
    names = {module: name for name, module in network.named_modules()}
    stages = split_stages(network, granularity=granularity or own_granularity(network))
    mixed = MixedTimestepNetwork(network, stages, boundaries=tuple(boundaries))
    answers = []
    for given in configurations:
        counts = (given,) * len(stages) if isinstance(given, int) else tuple(given)
        name = given if isinstance(given, int) else "/".join(map(str, counts))
        if len(counts) != len(stages):
            raise TrainingError(
                f"temporal configuration {name} has {len(counts)} numbers, the network has"
                f" {len(stages)} stages: give one for each stage"
            )
        progress(f"torch, T = {name}")
        frames = stream_frames(data, counts[0])
        found = evaluate(mixed, frames, counts)
        right = round(found.accuracy * len(frames))
        interval = wilson_interval(right, len(frames))
        answers.append(StageAnswers(counts, found.accuracy, interval, found.answers))
    return StageCurve(
        data=data.name,
        labels=data.labels,
        stages=tuple(tuple(names[layer] for layer in stage) for stage in stages),
        boundaries=tuple(map(str, mixed.boundaries)),
        in_torch=tuple(answers),
    )
