"""Where a training runs: one process, or several started by torchrun."""

from __future__ import annotations

import os
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lightning.fabric import Fabric
from lightning.fabric.strategies.ddp import DDPStrategy

from speckflex.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ACCELERATORS", "open_fabric"]

ACCELERATORS = ("cpu", "cuda", "mps", "auto")


def open_fabric(accelerator: str = "cpu", *, precision: str = "32-true") -> Fabric:
    """Return Lightning's Fabric for this process, joined with those torchrun started beside it.

    Args:
        accelerator: "cpu", "cuda", "mps" or "auto".
        precision: as Fabric names it, such as "32-true" or "bf16-mixed".

    Raises:
        TrainingError: there is no such accelerator here.
    """
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    n_local = int(os.environ.get("LOCAL_WORLD_SIZE", str(n_processes)))
    strategy = "auto"
    if n_processes > 1:
        # Neuron states are buffers too, and differ from process to process.
        strategy = DDPStrategy(broadcast_buffers=False)
    with _quiet():
        try:
            fabric = Fabric(
                accelerator=accelerator,
                devices=n_local,
                num_nodes=n_processes // n_local,
                strategy=strategy,
                precision=precision,  # pyright: ignore[reportArgumentType]
            )
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"accelerator {accelerator!r} with {n_local} devices and precision {precision!r}"
                f" is not to be had here ({str(error).splitlines()[0]}): choose another"
            ) from error
        fabric.launch()
    return fabric


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence advice that a user of the command line can't act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")
        yield
