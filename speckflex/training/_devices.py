"""The devices and processes of a training: one process, or several started by torchrun."""

from __future__ import annotations

import os
import warnings
from inspect import signature
from typing import TYPE_CHECKING, Any

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.nn.parallel import DistributedDataParallel

from speckflex._support.text import first_line
from speckflex.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lightning_fabric.loggers.logger import Logger

__all__ = ["open_fabric"]

# The argument of newer versions of torch, and of older ones.
BUFFERS_STAY = ("forward_sync_buffers", "broadcast_buffers")


def open_fabric(
    accelerator: str = "cpu", *, precision: str = "32-true", loggers: Sequence[Logger] = ()
) -> Fabric:
    """Return Lightning's Fabric for this process, joined with the others that torchrun started.

    Args:
        accelerator: "cpu", "cuda", "mps" or "auto".
        precision: as Fabric names it, such as "32-true" or "bf16-mixed".
        loggers: of Fabric; each epoch of a training is logged to them.

    Raises:
        TrainingError: there is no such accelerator on this machine.
    """
    n_processes = int(os.environ.get("WORLD_SIZE", "1"))
    n_local = int(os.environ.get("LOCAL_WORLD_SIZE", str(n_processes)))
    strategy = "auto"
    if n_processes > 1:
        # The states of neurons are buffers too, and differ from process to process.
        known = signature(DistributedDataParallel.__init__).parameters
        name = next(name for name in BUFFERS_STAY if name in known)
        stay: dict[str, Any] = {name: False}
        strategy = DDPStrategy(**stay)
    with warnings.catch_warnings():
        # Advice that a user of the command line can't act on.
        warnings.filterwarnings("ignore", message=".*GPU available but not used.*")
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning.*")
        try:
            fabric = Fabric(
                accelerator=accelerator,
                devices=n_local,
                num_nodes=n_processes // n_local,
                strategy=strategy,
                loggers=list(loggers),
                precision=precision,  # pyright: ignore[reportArgumentType]
            )
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"accelerator {accelerator!r} with {n_local} devices and precision {precision!r}"
                f" is not available here ({first_line(error)}): choose another"
            ) from error
        fabric.launch()
    return fabric
