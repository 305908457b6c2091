"""What the JUnit case of a test says: the board, its serial, the program, the losses."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pytest

    from speckflex.boards import Board
    from speckflex.recordings.recording import Recording

__all__ = ["note", "noted", "noting_plays"]


def note(test: pytest.Item, values: Mapping[str, Any]) -> None:
    """Keep values as properties of a test's JUnit case; a name that is there gets the new value."""
    # not by the fixture record_property, which warns of pytest's own default of JUnit XML
    others = [(name, value) for name, value in test.user_properties if name not in values]
    test.user_properties[:] = [*others, *values.items()]


def noted(test: pytest.Item, name: str) -> Any:
    """Return a property of a test; None if it has none of that name."""
    return dict(test.user_properties).get(name)


@contextmanager
def noting_plays(board: Board, test: pytest.Item) -> Iterator[None]:
    """Open a board's context, in which each play is noted in the test's JUnit case."""
    play = board.play

    def play_and_note(*arguments: Any, **options: Any) -> Recording:
        recording = play(*arguments, **options)
        _note_play(test, recording)
        return recording

    # the test gets the board itself: it may have methods that no other board has
    vars(board)["play"] = play_and_note
    with board:
        yield


def _note_play(test: pytest.Item, recording: Recording) -> None:
    origin = recording.provenance
    programs = noted(test, "program_sha256") or ""
    if origin.program_sha256 not in programs:
        programs = f"{programs} {origin.program_sha256}".strip()
    serial = {"board_serial": origin.serial} if origin.serial else {}
    lost = (noted(test, "lost_events") or 0) + recording.lost_events
    note(test, {"program_sha256": programs, **serial, "lost_events": lost})
