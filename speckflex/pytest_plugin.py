"""The pytest plugin for hardware tests: `--board`, fixtures, markers, measured differences.

It imports nothing heavy: every pytest run on a machine with speckflex loads it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    import numpy as np

    from speckflex.boards import Board
    from speckflex.boards.family import BoardFamily
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording

__all__ = ["BoardMetrics", "pytest_addoption", "pytest_configure", "pytest_report_header"]

DEFAULT_BOARD = "twin"
MARKERS = (
    "needs_chip(reason): skip where the board is no real chip",
    "needs_devkit(reason): skip where the board is neither a chip nor a virtual devkit",
    "needs_samna(reason): skip where the vendor's samna is not installed",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --board and --board-metrics."""
    group = parser.getgroup("speckflex", "hardware tests on Speck")
    group.addoption(
        "--board",
        dest="speckflex_board",
        metavar="NAME",
        help="board for the fixtures board and play: twin (default), virtual:speck2e, speck2e:0,"
        " replay:FILE",
    )
    group.addoption(
        "--board-metrics",
        dest="speckflex_board_metrics",
        metavar="FILE",
        help="append what tests measured to FILE, one JSON object a line",
    )
    parser.addini("speckflex_board", "board where --board is not given", default=DEFAULT_BOARD)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers; refuse a metrics file that has no folder to lie in."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    file = config.getoption("speckflex_board_metrics")
    if file and not Path(file).parent.is_dir():
        raise pytest.UsageError(f"--board-metrics {file}: its folder is missing: make it first")


def pytest_report_header(config: pytest.Config) -> str | None:
    """Name the board, where there is anything to say about it."""
    name = board_name(config)
    asked = config.getoption("speckflex_board") is not None
    if not asked and name == DEFAULT_BOARD:
        return None
    family = _family(name)
    return f"speckflex board: {name} ({'unknown' if family is None else family.label})"


def board_name(config: pytest.Config) -> str:
    """Return the board that tests are to use."""
    return config.getoption("speckflex_board") or config.getini("speckflex_board")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what the board can't do, with the reason that the test states.

    The skip is a marker, which pytest's own set-up reads next, so that `-rs` names the line of
    the test and not a line of this file.
    """
    board = board_name(item.config)
    for marker in [*item.iter_markers("needs_chip"), *item.iter_markers("needs_devkit")]:
        family = _family(board)
        able = family and (family.is_chip or (family.is_devkit and marker.name != "needs_chip"))
        if not able:
            _skip(item, f"board {board} is not enough: {_reason(item, marker)}")
    for marker in item.iter_markers("needs_samna"):
        from speckflex.samna_access import real_samna_installed

        if not real_samna_installed():
            _skip(item, f"the vendor's samna is not installed: {_reason(item, marker)}")


def _family(board: str) -> BoardFamily | None:
    """Return the family of the board; None for an unknown one, which the fixture refuses."""
    from speckflex.boards.family import find_family
    from speckflex.errors import BoardError

    try:
        return find_family(board)
    except BoardError:
        return None


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


class BoardMetrics:
    """Keeps what a test measured: in its JUnit properties and in the metrics file.

    Args:
        test: which test.
        board: the board's name.
        path: of the metrics file; None for none.
    """

    def __init__(self, test: pytest.Item, board: str, path: Path | None) -> None:
        self._test, self._board, self._path = test, board, path

    def record(self, **values: Any) -> None:
        """Keep values by name; they must be numbers, text, or lists of them."""
        # not by the fixture record_property, which warns of pytest's own default of JUnit XML
        self._test.user_properties.extend(values.items())
        if self._path is not None:
            line = json.dumps(
                {"test": self._test.nodeid, "board": self._board, **values}, allow_nan=False
            )
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def record_difference(self, recording: Recording, other: Recording) -> float | None:
        """Compare two recordings, keep the spike difference of each layer, return the last's.

        Raises:
            ComparisonError: they can't be compared.
        """
        from speckflex.recordings.compare import compare

        layers = compare(recording, other).layers
        for layer in layers:
            # an infinite difference has no place in JSON
            value = layer.to_dict()["spike_difference"]
            self.record(**{f"spike_difference {layer.name}": value})
        return layers[-1].spike_difference


@pytest.fixture
def board_metrics(request: pytest.FixtureRequest) -> BoardMetrics:
    """Where a test puts what it measured; see `BoardMetrics`."""
    file = request.config.getoption("speckflex_board_metrics")
    return BoardMetrics(request.node, board_name(request.config), Path(file) if file else None)


@pytest.fixture
def board(request: pytest.FixtureRequest) -> Iterator[Board]:
    """The board that --board names, opened for this test and closed after it."""
    from speckflex.boards import open_board
    from speckflex.errors import SpeckflexError

    opened, problem = None, ""
    try:
        opened = open_board(board_name(request.config))
    except SpeckflexError as error:
        problem = str(error)
    if opened is None:
        # outside of the handler, so that pytest shows this line alone
        pytest.fail(problem, pytrace=False)
    with opened:
        yield opened


@pytest.fixture
def play(request: pytest.FixtureRequest, board: Board) -> Callable[..., Recording]:
    """A function of (program, events, ...) that plays on the board and returns the recording."""

    def play_on_board(
        program: Program, events: np.ndarray | Sequence[np.ndarray], **options: Any
    ) -> Recording:
        board.load(program)
        recording = board.play(events, **options)
        request.node.user_properties.extend(
            {
                "board": board.name,
                "board kind": board.kind,
                "lost events": recording.lost_events,
            }.items()
        )
        return recording

    return play_on_board


@pytest.fixture
def virtual_devkits() -> Iterator[Callable[..., ModuleType]]:
    """`speckflex.virtual.install` for one test: its devkits are detached when the test ends.

    Samna and sinabs code of the test's then runs on them: `virtual_devkits(["Speck2eDevKit"])`.
    """
    from speckflex import virtual

    yield virtual.install
    virtual.install([])
