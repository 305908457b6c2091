"""A recorded session as the forward pass of one last training step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex.boards import open_board
from speckflex.boards.family import find_family
from speckflex.errors import TrainingError
from speckflex.events.streams import hash_events
from speckflex.recordings.recording import concatenate_recordings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording
    from speckflex.training.settings import TrainingSettings

__all__ = ["ONE_STEP", "RecordedSession", "check_one_step", "is_recorded"]

# A session answers for one program alone, so it gives one step, and another board must judge it.
# Its recordings can't be changed, and nothing can vary in them.
ONE_STEP: dict[str, Any] = {"epochs": 1, "augment": "", "chosen_by": "twin"}
UNUSED: dict[str, Any] = {"vary": "", "max_load": None}


class RecordedSession:
    """A recorded session that answers in any order: a recording is found by its events.

    Args:
        name: of the board, "replay:FILE".

    Raises:
        BoardNotFoundError: there is no such file, or it is no recording.
        TrainingError: it does not hold the hashes of the events that were played.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        board: Any = open_board(name)
        with board:
            self._recording: Recording = board.recording
        # of the first samples spikes are kept, of the others only counts
        self._n_spiking = min(len(layer.events or ()) for layer in self._recording.layers)
        self._places: dict[str, int] = {}
        for place, log in enumerate(self._recording.samples):
            self._places.setdefault(log.input_sha256, place)
        if "" in self._places:
            raise TrainingError(
                f"board {name}: does not say which events were played in it, as sessions of a chip"
                " do, so its answers can't be matched with recordings: train on the board itself"
            )

    def load(self, program: Program) -> None:
        """Check that a program is the one that was recorded.

        Raises:
            TrainingError: it is another.
        """
        recorded = self._recording.provenance.program_sha256
        if program.sha256 != recorded:
            raise TrainingError(
                f"board {self.name}: holds a session of program {recorded[:12]}, the network"
                f" converts to {program.sha256[:12]}: give the network that was deployed in it, or"
                " deploy this one"
            )

    def play(self, events: Sequence[np.ndarray]) -> Recording:
        """Return what these recordings spiked in the session.

        Args:
            events: one structured array for each recording.

        Raises:
            TrainingError: one of them was not played in the session, or it kept no spikes of it.
        """
        parts = []
        for index, each in enumerate(events):
            place = self._places.get(hash_events(each))
            if place is None:
                raise TrainingError(
                    f"board {self.name}: a recording with {len(each)} events (number {index} of"
                    f" its batch) is none of the {len(self._places)} of the session: give --data"
                    " the recordings that were played in it"
                )
            if place >= self._n_spiking:
                raise TrainingError(
                    f"board {self.name}: holds the spikes of {self._n_spiking} recordings and only"
                    f" counts of the other {self._recording.n_samples - self._n_spiking}: record"
                    f" it with speckflex deploy --keep-spikes {self._recording.n_samples}"
                )
            parts.append(self._recording.part(place, place + 1))
        return concatenate_recordings(parts)

    def close(self) -> None:
        """Do nothing: the file is closed already."""


def is_recorded(name: str) -> bool:
    """Return whether a board answers from a recorded session.

    Raises:
        BoardNotFoundError: there is no such board.
    """
    return find_family(name).kind == "replay"


def check_one_step(settings: TrainingSettings) -> None:
    """Check the settings of a training whose board is a recorded session.

    Raises:
        TrainingError: a setting needs more than one step, or other recordings.
    """
    for name, value in (ONE_STEP | UNUSED).items():
        given = getattr(settings, name)
        if given != value:
            raise TrainingError(
                f"board {settings.board}: holds the spikes of one program on given recordings, so"
                f" it gives one step, which the twin judges: {name.replace('_', ' ')} {given!r}"
                f" must be {value!r}"
            )
