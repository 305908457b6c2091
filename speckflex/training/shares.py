"""A work that several processes share: what each one does, and the sum of their results."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = ["add_up", "largest", "own_share", "threads_of_share"]


def own_share(n: int, fabric: Fabric | None) -> range:
    """Return which of `n` pieces of work this process does; all of them without `fabric`."""
    return range(n) if fabric is None else range(fabric.global_rank, n, fabric.world_size)


def add_up(values: torch.Tensor, fabric: Fabric | None) -> torch.Tensor:
    """Return the sum over the processes, the same in each.

    Where each process fills in what it did and leaves 0 elsewhere, this is what one process that
    did everything would have, to the last bit.

    Args:
        values: of any shape, the same in all processes.
        fabric: the processes; None for this one alone.
    """
    return values if fabric is None else _reduced(values, fabric, "sum")


def largest(value: float, fabric: Fabric) -> float:
    """Return the largest value of all processes, in each."""
    return float(_reduced(torch.tensor(value, dtype=torch.float64), fabric, "max"))


def threads_of_share(fabric: Fabric | None) -> int | None:
    """Return the threads of the twin in this process, so that those of a machine share it.

    None where it has the machine for itself.
    """
    n_local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if fabric is None or fabric.world_size == 1 or n_local == 1:
        return None
    return max((os.cpu_count() or 1) // n_local, 1)


def _reduced(values: torch.Tensor, fabric: Fabric, operation: str) -> torch.Tensor:
    if fabric.world_size == 1:
        return values
    moved = values.to(fabric.device)
    return torch.as_tensor(fabric.all_reduce(moved, reduce_op=operation)).to(values.device)
