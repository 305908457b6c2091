"""A deployment on the processes that torchrun starts: each plays its share, the first reports."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from speckflex.deployment._shard_file import shard_bytes
from speckflex.deployment.deploy import prepared
from speckflex.deployment.progress import ignore
from speckflex.deployment.shards import (
    Shard,
    contents_of,
    heading_of,
    merge_contents,
    play_shard,
)
from speckflex.errors import SpeckflexError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from speckflex.boards.choosing import ChosenBoard
    from speckflex.deployment._shard_file import ShardContent
    from speckflex.deployment.deploy import Data, Deployment, DeploySettings, Model
    from speckflex.deployment.progress import Watch

__all__ = ["Rank", "deploy_rank"]

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
LONGEST_WAIT = timedelta(days=7)  # of a process that is done, for the slowest one


@dataclass(frozen=True)
class Rank:
    """One of several processes that torchrun, or another launcher of torch, has started.

    Args:
        index: which one, from 0.
        count: how many there are.
        on_machine: how many of them are on this machine.
    """

    index: int
    count: int
    on_machine: int

    @staticmethod
    def of_process(variables: Mapping[str, str] = os.environ) -> Rank | None:
        """Return what the environment says of this process; None if it is the only one.

        Raises:
            SpeckflexError: a variable is no number, or there is no such process.
        """
        if not all(variables.get(name) for name in VARIABLES):
            return None
        stated = [variables["RANK"], variables["WORLD_SIZE"]]
        stated.append(variables.get("LOCAL_WORLD_SIZE") or stated[1])
        if not all(value.isdecimal() for value in stated):
            raise SpeckflexError(
                f"RANK, WORLD_SIZE and LOCAL_WORLD_SIZE are {', '.join(stated)}: start the command"
                " with torchrun, or unset them"
            )
        index, count, on_machine = map(int, stated)
        if index >= count:
            raise SpeckflexError(f"RANK {index} of WORLD_SIZE {count}: ranks are counted from 0")
        return Rank(index, count, max(1, on_machine)) if count > 1 else None

    @property
    def threads(self) -> int:
        """The processors of this machine that this process may use."""
        return max(1, (os.cpu_count() or 1) // self.on_machine)


def deploy_rank(
    model: Model,
    data: Data,
    board: str | ChosenBoard,
    rank: Rank,
    *,
    settings: DeploySettings | None = None,
    progress: Watch = ignore,
) -> Deployment | None:
    """Play the share of this process; return the one deployment on rank 0, None on others.

    Args:
        model: as for `deploy`.
        data: as for `deploy`; all ranks get the same.
        board: as for `deploy`.
        rank: which process this is.
        settings: as for `deploy`.
        progress: called with each step.

    Raises:
        SpeckflexError: as for `deploy`, or another process has ended.
    """
    with prepared(model, data, board, settings=settings, progress=progress) as job:
        count = min(rank.count, len(job.dataset))
        content = None
        if rank.index < count:
            heading = heading_of(job, Shard(rank.index + 1, count))
            content = play_shard(job, heading, progress)
    parts = _gathered(b"" if content is None else shard_bytes(content), rank)
    if rank.index:
        return None
    contents = list(contents_of(part for part in parts if part))
    n_threads = sum(one.threads for one in contents)
    return merge_contents(_on_threads(one, n_threads) for one in contents)


def _gathered(part: bytes, rank: Rank) -> list[bytes]:
    """Return the parts of all processes on rank 0; nothing on others."""
    import torch.distributed as processes

    found: list[bytes] = [b""] * rank.count
    try:
        processes.init_process_group("gloo", timeout=LONGEST_WAIT)
        processes.gather_object(part, found if rank.index == 0 else None, dst=0)
        processes.destroy_process_group()
    except (RuntimeError, ValueError) as error:
        raise SpeckflexError(
            f"rank {rank.index} of {rank.count}: the processes can't exchange what they played"
            f" ({str(error).splitlines()[0]}): look for the first error of another process"
        ) from error
    return found


def _on_threads(content: ShardContent, n_threads: int) -> ShardContent:
    """Return a part that says how many threads all processes had together."""
    played = content.played
    tallies = {}
    for role, tally in played.tallies.items():
        settings = dict(tally.provenance.settings)
        if "threads" in settings:
            settings["threads"] = str(n_threads)
        tallies[role] = replace(tally, provenance=replace(tally.provenance, settings=settings))
    return replace(content, played=replace(played, tallies=tallies))
