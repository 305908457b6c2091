"""Weights & Biases as a logger of Lightning Fabric, which has none of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightning_fabric.loggers.logger import Logger
from lightning_fabric.utilities.rank_zero import rank_zero_only

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["WandbLogger"]


class WandbLogger(Logger):
    """Logs to one run of W&B; its own environment variables choose project, mode and account.

    Args:
        folder: for the files of the run.
        settings: kept as the configuration of the run.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        super().__init__()
        self._folder, self._settings = folder, settings
        self._run: Any = None

    @property
    def name(self) -> str:
        """The project."""
        return "" if self._run is None else str(self._run.project)

    @property
    def version(self) -> str:
        """The identifier of the run."""
        return "" if self._run is None else str(self._run.id)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Log the values of one step; the first call starts the run."""
        if self._run is None:
            import wandb  # pyright: ignore[reportMissingImports]

            self._folder.mkdir(parents=True, exist_ok=True)
            self._run = wandb.init(dir=str(self._folder), config=self._settings)
        self._run.log(metrics, step=step)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Add to the configuration of the run."""
        self._settings = {**self._settings, **dict(params)}

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish(exit_code=0 if status == "success" else 1)
