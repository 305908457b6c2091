"""The fine-tuning of a model on recordings, from files to a network: `speckflex finetune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from speckflex.conversion.input_shape import find_input_shape
from speckflex.data import EventDataset, open_dataset
from speckflex.networks.files import load_network
from speckflex.training.data import cache_frames, split_frames
from speckflex.training.pipeline import finetune_network, merge_network
from speckflex.training.settings import FINETUNING, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightning_fabric import Fabric

    from speckflex.training._loop import TrainingResult
    from speckflex.training.metrics import EpochMetrics

__all__ = ["finetune"]


def finetune(
    model: str | Path | nn.Module,
    data: str | Path | EventDataset,
    settings: TrainingSettings = FINETUNING,
    *,
    samples: int | None = None,
    on_epoch_end: Callable[[EpochMetrics], None] | None = None,
    fabric: Fabric | None = None,
) -> TrainingResult:
    """Train a bias-free network on for the chip: `speckflex finetune`.

    Args:
        model: a `.pt` or `.nir` file, or a network in memory, which stays as it is.
        data: recordings with labels: a name or path, whose training split is used, or a data set.
        settings: the choices of the training; by default those of the command, with the board in
            the loop.
        samples: number of recordings to use, balanced over the classes; None for all.
        on_epoch_end: called with what each epoch measured, in every process. An error of its own
            ends the training.
        fabric: devices, processes and loggers, of `open_fabric`; by default one process on the
            CPU.

    Raises:
        NetworkError: the model can't be read, or can't be trained.
        TrainingError: the network has a bias, or see `fit`.
        EventsError: a recording can't be read, or does not fit the network.
    """
    network = model if isinstance(model, nn.Module) else load_network(model)
    if settings.method == "board":
        network = merge_network(network)
    dataset = data
    if not isinstance(dataset, EventDataset):
        dataset = open_dataset(dataset, split="train", limit=samples, seed=settings.seed)
    dataset = dataset.balanced(samples, seed=settings.seed)
    if not dataset.shape_stated:
        source = f"{dataset.name}: its recordings do not state their sensor, and the network"
        dataset = dataset.on_sensor(find_input_shape(network, source=source))
    frames = cache_frames(dataset, settings.t_max, frame_time=settings.frame_time)
    return finetune_network(
        network,
        split_frames(frames, settings),
        settings,
        fabric=fabric,
        on_epoch_end=on_epoch_end,
    )
