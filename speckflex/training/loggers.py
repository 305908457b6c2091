"""Loggers of a training: what each epoch measured, to CSV, TensorBoard or Weights & Biases."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from speckflex._support.extras import EXTRAS, need_modules
from speckflex.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from lightning_fabric.loggers.logger import Logger

    from speckflex.training.metrics import EpochMetrics
    from speckflex.training.settings import TrainingSettings

__all__ = ["LOGGERS", "closing_loggers", "open_loggers", "values_of"]


def values_of(metrics: EpochMetrics) -> dict[str, float]:
    """Return what an epoch measured as numbers by name, without its own number."""
    values = asdict(metrics)
    del values["epoch"]
    return {name: float(value) for name, value in values.items() if value is not None}


def open_loggers(names: Sequence[str], folder: Path, settings: TrainingSettings) -> list[Logger]:
    """Return loggers for `open_fabric`; nothing is written before the first epoch.

    Args:
        names: of `LOGGERS`; a name that stands there twice counts once.
        folder: for their files, one folder for each logger.
        settings: of the training, for a logger that keeps them.

    Raises:
        TrainingError: a logger is not known.
        MissingExtraError: it is not installed.
    """
    return [_open(name, folder, settings) for name in dict.fromkeys(names)]


@contextmanager
def closing_loggers(loggers: Sequence[Logger]) -> Iterator[None]:
    """Close loggers at the end of the block."""
    done = "failed"
    try:
        with warnings.catch_warnings():
            # a training that is done again replaces its log
            warnings.filterwarnings("ignore", message="Experiment logs directory .* exists")
            yield
        done = "success"
    finally:
        for logger in loggers:
            logger.finalize(done)


def _open(name: str, folder: Path, settings: TrainingSettings) -> Logger:
    if name not in LOGGERS:
        raise TrainingError(f"logger {name!r} is not known: choose one of {', '.join(LOGGERS)}")
    if name in EXTRAS:
        need_modules(name, work=f"logger {name}")
    return LOGGERS[name](folder, settings)


def _csv(folder: Path, settings: TrainingSettings) -> Logger:
    from lightning_fabric.loggers.csv_logs import CSVLogger

    return CSVLogger(folder, name="", version="csv", flush_logs_every_n_steps=1)


def _tensorboard(folder: Path, settings: TrainingSettings) -> Logger:
    from lightning_fabric.loggers.tensorboard import TensorBoardLogger

    return TensorBoardLogger(folder, name="", version="tensorboard")


def _wandb(folder: Path, settings: TrainingSettings) -> Logger:
    from speckflex.training._wandb import WandbLogger

    return WandbLogger(folder, asdict(settings))


LOGGERS: dict[str, Callable[[Path, TrainingSettings], Any]] = {
    "csv": _csv,
    "tensorboard": _tensorboard,
    "wandb": _wandb,
}
