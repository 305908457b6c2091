"""The pytest plugin for hardware tests: `--board`, fixtures, markers, bars, measured differences.

It imports nothing heavy: every pytest run on a machine with speckflex loads it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from speckflex.pytest_plugin._cases import note, noting_plays
from speckflex.pytest_plugin._choices import Bars, add_options, choices_of
from speckflex.pytest_plugin._metrics import BoardMetrics
from speckflex.pytest_plugin._summary import Summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    import numpy as np

    from speckflex.boards import Board
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["Bars", "BoardMetrics", "pytest_addoption", "pytest_configure", "pytest_report_header"]

MARKERS = (
    "needs_chip(reason): skip where the board is no real chip",
    "needs_devkit(reason): skip where the board is neither a chip nor a virtual devkit",
    "needs_samna(reason): skip where the vendor's samna is not installed",
)
BOARD_MARKERS = ("needs_chip", "needs_devkit")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options that choose a board, its faults, bars and the metrics file."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, check what was chosen, and watch the results.

    Raises:
        UsageError: the board is not known, or another option has a wrong value.
    """
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    choices = choices_of(config)
    # a worker of pytest-xdist sends its results to the process that sums them up
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Summary(choices), "speckflex_summary")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the board, where there is anything to say about it."""
    choices = choices_of(config)
    return f"speckflex board: {choices.board} ({choices.label})" if choices.asked else None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the board can't do, with the reason that the test states.

    The skip is a marker, which pytest's own set-up reads next, so that `-rs` names the line of
    the test and not a line of this file.
    """
    choices = choices_of(item.config)
    markers = [marker for name in BOARD_MARKERS for marker in item.iter_markers(name)]
    if choices.asked or markers:
        note(item, choices.stated())
    if markers:
        note(item, {"board_kind": choices.kind})
    for marker in markers:
        if not choices.serves(marker.name):
            _skip(item, f"board {choices.board} is not enough: {_reason(item, marker)}")
    for marker in item.iter_markers("needs_samna"):
        from speckflex.samna_access import real_samna_installed

        if not real_samna_installed():
            _skip(item, f"the vendor's samna is not installed: {_reason(item, marker)}")


def _skip(item: pytest.Item, reason: str) -> None:
    item.add_marker(pytest.mark.skip(reason=reason))


def _reason(item: pytest.Item, marker: pytest.Mark) -> str:
    reason = marker.args[0] if marker.args else marker.kwargs.get("reason")
    if not isinstance(reason, str) or not reason:
        raise pytest.UsageError(
            f"{item.nodeid}: marker {marker.name} has no reason: write"
            f' @pytest.mark.{marker.name}("why")'
        )
    return reason


@pytest.fixture
def board_metrics(request: pytest.FixtureRequest) -> BoardMetrics:
    """Where a test puts what it measured; see `BoardMetrics`."""
    return BoardMetrics(request.node, choices_of(request.config))


@pytest.fixture
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    """The board that --board names, opened for this test and closed after it."""
    from speckflex.boards import open_board
    from speckflex.errors import SpeckflexError

    choices = choices_of(request.config)
    note(request.node, {**choices.stated(), "board_kind": choices.kind})
    opened, problem = None, ""
    try:
        opened = open_board(choices.board, **choices.settings())
    except SpeckflexError as error:
        problem = str(error)
    if opened is None:
        # outside of the handler, so that pytest shows this line alone
        pytest.fail(problem, pytrace=False)
    with noting_plays(opened, request.node):
        yield opened


@pytest.fixture
def play(board: Board) -> Callable[..., Recording]:
    """A function of (program, events, ...) that plays on the board and returns the recording."""

    def play_on_board(
        program: Program, events: np.ndarray | Sequence[np.ndarray], **options: Any
    ) -> Recording:
        board.load(program)
        return board.play(events, **options)

    return play_on_board


@pytest.fixture
def virtual_devkits() -> Iterator[Callable[..., ModuleType]]:
    """`speckflex.virtual.install` for one test: its devkits are detached when the test ends.

    Samna and sinabs code of the test's then runs on them: `virtual_devkits(["Speck2eDevKit"])`.
    """
    from speckflex import virtual

    yield virtual.install
    virtual.install([])
