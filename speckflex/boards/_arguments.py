"""What all boards of this package share: checks of their arguments, and closing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from functools import wraps
from numbers import Integral
from threading import RLock
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np

from speckflex._support.html import html_of
from speckflex.boards.family import find_family
from speckflex.errors import BoardError, EventsError
from speckflex.events.streams import check_events
from speckflex.program.program import Program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from typing_extensions import Self

    from speckflex.program.records import Shape

Method = TypeVar("Method", bound=Callable[..., Any])

__all__ = ["BoardContext", "alone", "check_is_program", "check_monitor", "check_samples"]


def alone(method: Method) -> Method:
    """Return a method of a board that refuses a call while another thread is in such a method.

    A board has one state, so that two plays at once would mix their spikes.
    """

    @wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        busy = vars(self).setdefault("_busy", RLock())
        if not busy.acquire(blocking=False):
            raise BoardError(
                f"board {self.name} is busy in another thread: wait until that is done, or open"
                " a board for each thread"
            )
        try:
            return method(self, *args, **kwargs)
        finally:
            busy.release()

    return cast("Method", guarded)


class BoardContext(ABC):
    """A board for a `with` statement; the end of the block closes it, also after an error."""

    name: str
    kind: str

    @abstractmethod
    def close(self) -> None:
        """Release the device; a closed board plays nothing."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise a BoardError if the board is closed."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} board {self.name}, {self._state()}>"

    def _repr_html_(self) -> str:
        facts = (("what it is", find_family(self.name).label), ("state", self._state()))
        return html_of(f"Board {self.name}", facts)

    def _state(self) -> str:
        try:
            self._check_open()
        except BoardError:
            return "closed"
        return "open"

    def __enter__(self) -> Self:
        """Return the board itself."""
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the board."""
        self.close()


def check_is_program(program: object) -> None:
    """Check what a board is asked to load.

    Raises:
        BoardError: it is no Program.
    """
    if not isinstance(program, Program):
        raise BoardError(
            f"a board was given a {type(program).__name__} to load, which is no Program: read a"
            " .speck file with Program.load, or convert a network with speckflex.convert"
        )


def check_samples(events: np.ndarray | Sequence[np.ndarray], shape: Shape) -> list[np.ndarray]:
    """Return the samples as a list of event arrays that fit a (channel, y, x) shape.

    Raises:
        EventsError: a sample is no event stream of that shape.
    """
    if isinstance(events, np.ndarray) and events.dtype != object:
        events = [events]
    if isinstance(events, str) or not isinstance(events, Iterable):
        raise EventsError(
            f"events of type {type(events).__name__} are no event stream: give a structured"
            " array, or a list of them"
        )
    return [
        check_events(np.asarray(sample), shape, source=f"sample {index}")
        for index, sample in enumerate(events)
    ]


def check_monitor(monitor: Sequence[int] | None, n_layers: int) -> list[int]:
    """Return positions of layers in network order, each once; all of them for None.

    Raises:
        BoardError: it is no list of layers, or there is no such layer.
    """
    if monitor is None:
        return list(range(n_layers))
    if isinstance(monitor, str) or not isinstance(monitor, Iterable):
        raise BoardError(f"monitor is {monitor!r}: give a list of layers, or None for all")
    for layer in monitor:
        if not isinstance(layer, Integral) or not -n_layers <= layer < n_layers:
            raise BoardError(
                f"layer {layer} is not in the program of {n_layers} layers:"
                f" choose 0 to {n_layers - 1}, or -1 for the last"
            )
    return sorted({layer % n_layers for layer in monitor})
