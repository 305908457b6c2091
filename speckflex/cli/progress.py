"""Progress on standard error: bars in a terminal, now and then a line in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from speckflex._support.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import TaskID

    from speckflex.deployment.progress import Progress

    Show = Callable[[str, int, int | None], None]

__all__ = ["progress_bar", "show_stages", "stage"]

# Seconds without a sign of life in a pipe; each further line comes after twice the time.
FIRST_LINE, SECOND_LINE = 0.7, 10.0
SHOWN_STAGES = 8  # at most, in a terminal


@contextmanager
def show_stages() -> Iterator[Callable[[Progress], None]]:
    """Yield a function that shows the steps of a deployment."""
    with _shown() as show:

        def watch(progress: Progress) -> None:
            # what all players have played is seen in the stages of the players
            if progress.stage != "samples":
                show(progress.stage, progress.done, progress.total)

        yield watch


@contextmanager
def progress_bar(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that moves the bar forward by a number of steps."""
    done = 0
    with _shown() as show:
        show(description, 0, total)

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            show(description, done, total)

        yield advance


@contextmanager
def stage(description: str) -> Iterator[Callable[[str], None]]:
    """Show what the command does, where it is not known how long it takes.

    Yields:
        A function that shows what it does next instead.
    """
    with _shown() as show:

        def tell(next_description: str) -> None:
            show(next_description, 0, None)

        tell(description)
        yield tell


def _shown() -> _Bars | _Lines:
    return _Bars() if sys.stderr.isatty() else _Lines()


class _Bars:
    """Bars that vanish at the end; one for each stage, the last ones of many."""

    def __enter__(self) -> Show:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()
        return self._show

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def _show(self, name: str, done: int, total: int | None) -> None:
        name = printable(name)
        count = "" if total is None else f"{done}/{total}"
        if name not in self._tasks:
            for other, task in list(self._tasks.items()):
                state = self._progress.tasks[self._progress.task_ids.index(task)]
                # a stage of unknown length has ended where the next one begins
                if state.total is None or len(self._tasks) >= SHOWN_STAGES:
                    self._progress.remove_task(self._tasks.pop(other))
            self._tasks[name] = self._progress.add_task(name, total=total, count=count)
        self._progress.update(self._tasks[name], completed=done, total=total, count=count)


class _Lines:
    """One line after a moment, and further ones more and more seldom."""

    def __enter__(self) -> Show:
        self._state = ""
        self._ended = threading.Event()
        self._stream = sys.stderr
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()
        return self._show

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _show(self, name: str, done: int, total: int | None) -> None:
        self._state = printable(name if total is None else f"{name}: {done} of {total}")

    def _tell(self) -> None:
        wait, next_wait = FIRST_LINE, SECOND_LINE
        began, told = time.monotonic(), ""
        while not self._ended.wait(wait):
            seconds = time.monotonic() - began
            if self._state and self._state != told:
                told = self._state
                click.echo(f"{told} ({seconds:.0f} s)", file=self._stream)
            wait, next_wait = next_wait, 2 * next_wait
