"""What the user chose for a run: the board, its faults, the bars, the metrics file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from speckflex._support.text import microseconds_of

if TYPE_CHECKING:
    from speckflex.boards.family import BoardFamily

__all__ = ["Bars", "Choices", "add_options", "choices_of"]

DEFAULT_BOARD = "twin"


@dataclass(frozen=True)
class Bars:
    """What measured figures have to reach; None for no bar.

    Args:
        max_spike_difference: largest spike difference at the output, a fraction.
        min_accuracy: lowest accuracy, 0 to 1.
        min_accuracy_at: µs after the first input event, and the lowest accuracy if the output is
            read until then, 0 to 1.
    """

    max_spike_difference: float | None = None
    min_accuracy: float | None = None
    min_accuracy_at: tuple[int, float] | None = None

    def stated(self) -> dict[str, Any]:
        """Return the bars that there are, by name."""
        return {name: bar for name, bar in vars(self).items() if bar is not None}


@dataclass(frozen=True)
class Choices:
    """The choices of a run.

    Args:
        board: name of the board.
        asked: whether the user chose a board, by --board or in the ini file.
        faults: the text of --fault; "" for none.
        bars: what measured figures have to reach.
        metrics: file to append figures to; None for none.
    """

    board: str
    asked: bool
    faults: str
    bars: Bars
    metrics: Path | None

    @cached_property
    def family(self) -> BoardFamily | None:
        """The family of the board; None where the package that adds it is broken.

        Raises:
            BoardNotFoundError: no family has that name.
        """
        from speckflex.boards.family import find_family
        from speckflex.errors import BoardError, BoardNotFoundError

        try:
            return find_family(self.board)
        except BoardNotFoundError:
            raise
        except BoardError:
            return None

    @property
    def kind(self) -> str:
        """The kind of the board, such as "twin" or "chip"."""
        return "unknown" if self.family is None else self.family.kind

    @property
    def label(self) -> str:
        """What the board is, in a few words."""
        label = "unknown" if self.family is None else self.family.label
        return f"{label}, faults: {self.faults}" if self.faults else label

    @property
    def is_chip(self) -> bool:
        """Whether silicon computes the spikes."""
        return self.family is not None and self.family.is_chip

    def serves(self, marker: str) -> bool:
        """Return whether the board is what a marker needs."""
        is_devkit = self.family is not None and self.family.is_devkit
        return self.is_chip or (is_devkit and marker == "needs_devkit")

    def settings(self) -> dict[str, Any]:
        """Return the settings that the board is opened with."""
        if not self.faults:
            return {}
        from speckflex.virtual import Faults

        return {"faults": Faults.parse(self.faults)}

    def stated(self) -> dict[str, Any]:
        """Return what the JUnit case of a test says before any board is opened."""
        faults = {"faults": self.faults} if self.faults else {}
        return {"board": self.board, **faults, **self.bars.stated()}


CHOICES = pytest.StashKey[Choices]()


def add_options(parser: pytest.Parser) -> None:
    """Add the plugin's options."""
    group = parser.getgroup("speckflex", "hardware tests on Speck")
    group.addoption(
        "--board",
        dest="speckflex_board",
        metavar="NAME",
        help="board for the fixtures board and play: twin (default), virtual:speck2e, speck2e:0,"
        " replay:FILE",
    )
    group.addoption(
        "--fault",
        dest="speckflex_fault",
        metavar="NAME=N,...",
        help="what goes wrong on a virtual devkit, such as drop=0.01,seed=3",
    )
    group.addoption(
        "--max-spike-difference",
        dest="speckflex_max_spike_difference",
        metavar="FRACTION",
        help="fail a test whose record_difference is larger, or has no value",
    )
    group.addoption(
        "--min-accuracy",
        dest="speckflex_min_accuracy",
        metavar="FRACTION",
        help="fail a test whose record_accuracy is lower, or has no value",
    )
    group.addoption(
        "--min-accuracy-at",
        dest="speckflex_min_accuracy_at",
        nargs=2,
        metavar=("TIME", "FRACTION"),
        help="fail a test whose record_accuracy_at, with the output read up to TIME after the first"
        " input event, is lower or has no value, such as 100ms 0.9",
    )
    group.addoption(
        "--board-metrics",
        dest="speckflex_board_metrics",
        metavar="FILE",
        help="append what tests measured to FILE, one JSON object a line",
    )
    parser.addini("speckflex_board", "board where --board is not given", default=DEFAULT_BOARD)


def choices_of(config: pytest.Config) -> Choices:
    """Return the choices of a run, checked once.

    Raises:
        UsageError: the board is not known, or another option has a wrong value.
    """
    # hw_tests and others set a default of their own after this plugin was configured
    board = config.getoption("speckflex_board") or config.getini("speckflex_board")
    choices = config.stash.get(CHOICES, None)
    if choices is None or choices.board != board:
        choices = config.stash[CHOICES] = _read(config, board)
    return choices


def _read(config: pytest.Config, board: str) -> Choices:
    file = config.getoption("speckflex_board_metrics")
    if file and not Path(file).parent.is_dir():
        raise pytest.UsageError(f"--board-metrics {file}: its folder is missing: make it first")
    choices = Choices(
        board=board,
        asked=config.getoption("speckflex_board") is not None or board != DEFAULT_BOARD,
        faults=config.getoption("speckflex_fault") or "",
        bars=Bars(
            _number(config, "--max-spike-difference", float("inf")),
            _number(config, "--min-accuracy", 1.0),
            _accuracy_at(config),
        ),
        metrics=Path(file) if file else None,
    )
    if choices.asked or choices.faults:
        _check_board(choices)
    return choices


def _check_board(choices: Choices) -> None:
    """Refuse a board that no machine has, and faults that this board can't have."""
    from speckflex.boards.family import BoardName
    from speckflex.errors import BoardError

    try:
        family = choices.family
        # an attached chip is looked for when a test opens it; a wrong name is wrong everywhere
        if family is not None and not family.is_chip:
            family.chip_at(BoardName.parse(choices.board).address)
    except BoardError as error:
        raise pytest.UsageError(f"--board {choices.board}: {error}") from None
    if choices.faults and (family is None or "faults" not in family.settings):
        raise pytest.UsageError(
            f"--fault {choices.faults}: board {choices.board} has no faults to choose: give a"
            " virtual devkit, such as --board virtual:speck2e"
        )
    try:
        choices.settings()
    except BoardError as error:
        raise pytest.UsageError(f"--fault {choices.faults}: {error}") from None


def _number(config: pytest.Config, option: str, most: float) -> float | None:
    text = config.getoption("speckflex_" + option.strip("-").replace("-", "_"))
    return None if text is None else _checked(option, text, most)


def _accuracy_at(config: pytest.Config) -> tuple[int, float] | None:
    stated = config.getoption("speckflex_min_accuracy_at")
    if stated is None:
        return None
    time = microseconds_of(stated[0])
    if time is None:
        raise pytest.UsageError(
            f"--min-accuracy-at {stated[0]}: give a time with its unit, such as 100ms"
        )
    return time, _checked("--min-accuracy-at", stated[1], 1.0)


def _checked(option: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        limit = "a number of at least 0" if most > 1 else "a number from 0 to 1"
        raise pytest.UsageError(f"{option} {text}: give {limit}, such as 0.05")
    return value
