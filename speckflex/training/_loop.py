"""The training loop, the same for SDT, NMT and MTT."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from speckflex.errors import TrainingInterruptedError
from speckflex.networks.neurons import fused_neurons
from speckflex.training._devices import open_fabric
from speckflex.training._epoch import train_epoch
from speckflex.training._run import TrainingRun, start_run
from speckflex.training.checkpoint import restore_run, save_run
from speckflex.training.loggers import values_of
from speckflex.training.metrics import EpochMetrics, Progress, write_metrics
from speckflex.training.mixed.stages import reset_states

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lightning_fabric import Fabric
    from torch import nn

    from speckflex.training.data import TrainingData
    from speckflex.training.settings import TrainingSettings

__all__ = ["TrainingFiles", "TrainingResult", "fit"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingFiles:
    """The files that a training writes, and the one that it continues from.

    Args:
        checkpoint: written after each epoch; None for no checkpoint.
        metrics: JSON lines, one per epoch; None for no file.
        resume: a checkpoint to continue from.
    """

    checkpoint: Path | None = None
    metrics: Path | None = None
    resume: Path | None = None

    def write(self, run: TrainingRun) -> None:
        """Write checkpoint and metrics.

        Raises:
            TrainingError: a file can't be written.
        """
        if self.checkpoint is not None:
            save_run(run, self.checkpoint)
        if self.metrics is not None:
            write_metrics(self.metrics, run.history)


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained network.

    Args:
        network: of the epoch that was kept, at rest, on the CPU.
        best: what that epoch measured; the best one unless the settings keep the last.
        history: every epoch.
        interrupted: whether the training was interrupted.
    """

    network: nn.Module
    best: EpochMetrics
    history: tuple[EpochMetrics, ...]
    interrupted: bool = False


def fit(  # noqa: PLR0913 - what is trained, how, where, and who is told
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    files: TrainingFiles | None = None,
    fabric: Fabric | None = None,
    watch: Callable[[Progress], None] | None = None,
    on_epoch_end: Callable[[EpochMetrics], None] | None = None,
) -> TrainingResult:
    """Train a copy of `network` and return it as it was after the epoch with the best validation.

    Neurons are at rest at the start of each recording. Global random numbers are left as they
    were. The same call gives the same network, also when it is killed and resumed in between.

    Args:
        network: a chain of layers on squeezed frames, with at least one sinabs neuron.
        data: recordings that train and that choose.
        settings: the choices of the training.
        files: checkpoint, metrics and the file to resume from; by default none are written.
        fabric: devices and processes; by default one process on the CPU.
        watch: called after each step.
        on_epoch_end: called in every process with what each epoch measured, after its checkpoint
            is written. A KeyboardInterrupt of its own ends the training with the best network so
            far; any other error is raised.

    Raises:
        TrainingError: the loss is no number, or a file can't be used.
        TrainingInterruptedError: training was interrupted before the first epoch was done.
        NetworkError: the network is no chain of layers, or has no neuron.
    """
    files = files or TrainingFiles()
    fabric = fabric or open_fabric()
    interrupted = False
    with torch.random.fork_rng(devices=[]), ExitStack() as stack:
        torch.manual_seed(settings.seed + fabric.global_rank)
        run = start_run(network, data, settings, fabric)
        stack.callback(run.close)
        stack.enter_context(fused_neurons(run.mixed))
        if files.resume is not None:
            restore_run(run, files.resume)
            for metrics in run.history:  # loggers begin anew
                fabric.log_dict(values_of(metrics), metrics.epoch)
        try:
            while not run.is_done:
                run.record(train_epoch(run, watch))
                if fabric.is_global_zero:
                    files.write(run)
                fabric.barrier()
                _tell(run.history[-1], fabric, on_epoch_end)
        except KeyboardInterrupt:
            interrupted = True
    if run.best is None or run.best_weights is None:
        raise TrainingInterruptedError(
            f"interrupted in epoch 1 of {settings.epochs}, before there was a network to keep:"
            " start the training again"
        )
    run.mixed.cpu().eval()
    reset_states(run.mixed)
    run.mixed.load_state_dict(run.best_weights)
    return TrainingResult(run.mixed.network, run.best, tuple(run.history), interrupted)


def _tell(
    metrics: EpochMetrics, fabric: Fabric, on_epoch_end: Callable[[EpochMetrics], None] | None
) -> None:
    """Log what an epoch measured, and call the user's function with it."""
    values = values_of(metrics)
    figures = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    log.info("epoch %d: %s", metrics.epoch, figures)
    fabric.log_dict(values, metrics.epoch)
    if on_epoch_end is not None:
        on_epoch_end(metrics)
