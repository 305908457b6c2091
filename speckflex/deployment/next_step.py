"""Where a network loses its answers between torch and events, and what would win most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards import open_board
from speckflex.conversion.convert import convert_with_checks
from speckflex.deployment.eight_bit import EightBitSteps
from speckflex.deployment.torch_reference import TorchReference
from speckflex.errors import EventsError

if TYPE_CHECKING:
    from torch import nn

    from speckflex.data.dataset import EventDataset
    from speckflex.deployment._steps import StepPlayer

__all__ = ["Losses", "measure_losses"]

RECORDINGS_AT_ONCE = 64


@dataclass(frozen=True)
class Losses:
    """The shares of the same recordings that each step from torch to events has right.

    Args:
        recordings: how many there are.
        timesteps: T of the first two steps.
        in_torch: the float network in T time steps.
        in_eight_bits: the integers of its program in T time steps.
        on_twin: the same integers, event by event.
        silent_on_twin: recordings that the twin's last layer answers with no spike.
    """

    recordings: int
    timesteps: int
    in_torch: float
    in_eight_bits: float
    on_twin: float
    silent_on_twin: int = 0

    @property
    def by_step(self) -> dict[str, float]:
        """What each step loses, a share of the recordings: negative where it wins.

        "training" is what is wrong in torch already, less what later steps win back; so the
        three add up to all that is wrong on the twin.
        """
        eight_bits, events = (
            self.in_torch - self.in_eight_bits,
            self.in_eight_bits - self.on_twin,
        )
        return {"training": 1 - self.in_torch, "8 bits": eight_bits, "events": events}

    @property
    def largest(self) -> str | None:
        """The step that loses most; None if all is right.

        What 8 bits and events lose together is lost on the chip. Where they lose nothing, all that
        is wrong is left to the training.
        """
        if self.on_twin == 1:
            return None
        losses = self.by_step
        if losses["8 bits"] + losses["events"] <= 0:
            return "training"
        return max(losses, key=lambda step: losses[step])


def measure_losses(network: nn.Module, recordings: EventDataset, timesteps: int) -> Losses:
    """Run a network in torch, its integers in time steps, and its program on the twin.

    Args:
        network: bias-free, in a form that converts.
        recordings: at least one, each with a class.
        timesteps: T of the time steps.

    Raises:
        ConversionError: the network does not convert.
        EventsError: there is no recording.
    """
    if not len(recordings):
        raise EventsError(f"{recordings.name} holds no recording: check the folder")
    program = convert_with_checks(network, recordings.shape, chip="unbounded").program
    players: list[StepPlayer] = [
        TorchReference(network, program, bins=timesteps),
        EightBitSteps(program, network, bins=timesteps),
    ]
    right, silent = np.zeros(3, np.int64), 0
    with open_board("twin") as board:
        board.load(program)
        for first in range(0, len(recordings), RECORDINGS_AT_ONCE):
            part = recordings[first : first + RECORDINGS_AT_ONCE]
            events = [stream for stream, _ in part]
            played = [player.play(events, keep_events=False) for player in players]
            played.append(board.play(events, monitor=[-1], keep_events=False))
            answers = [one.answers() for one in played]
            right += [int((given == part.labels).sum()) for given in answers]
            silent += int((answers[-1] < 0).sum())
    in_torch, eight_bit, on_twin = (right / len(recordings)).tolist()
    return Losses(len(recordings), timesteps, in_torch, eight_bit, on_twin, silent)
