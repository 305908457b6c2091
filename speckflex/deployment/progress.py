"""How far a deployment is: the stage it is in, and what of it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.recordings.recording import Recording

    Play = Callable[..., Recording]

__all__ = ["SAMPLES", "Progress", "Watch", "ignore", "watched"]

SAMPLES = "samples"


@dataclass(frozen=True)
class Progress:
    """One step of a deployment.

    Args:
        stage: what is being done, such as "torch network" or "twin". The stage "samples" counts
            the samples that all players have played, and which an interrupt keeps.
        done: what is done of it so far.
        total: how much there is to do; None where that is not known.
    """

    stage: str
    done: int = 0
    total: int | None = None


Watch = Callable[[Progress], None]


def ignore(progress: Progress) -> None:
    """Do nothing with a step."""


def watched(play: Play, stage: str, total: int, watch: Watch, *, most: int | None = None) -> Play:
    """Return a player that tells `watch` before and after each of its calls.

    Args:
        play: with the signature of a board's `play`; takes a list of event arrays.
        stage: its name.
        total: number of samples that it will play.
        watch: called with each step.
        most: number of samples that one call of `play` gets at most; None for no limit. Only for
            a player whose samples do not depend on the others of a call.
    """
    done = 0

    def play_and_tell(events: Sequence[np.ndarray], **options: object) -> Recording:
        nonlocal done
        size = most or max(len(events), 1)
        parts = []
        for start in range(0, max(len(events), 1), size):
            watch(Progress(stage, done, total))
            part = events[start : start + size]
            parts.append(play(part, **options))
            done = min(done + len(part), total)
            watch(Progress(stage, done, total))
        if len(parts) == 1:
            return parts[0]
        # a command imports this module before its first line, and numpy takes a moment
        from speckflex.recordings.recording import concatenate_recordings

        return concatenate_recordings(parts)

    return play_and_tell
