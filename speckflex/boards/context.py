"""What makes a board usable in a `with` statement."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["BoardContext"]


class BoardContext(ABC):
    """Opens nothing by itself; leaving the block closes the board, on errors as well."""

    @abstractmethod
    def close(self) -> None:
        """Release the device; a closed board plays nothing."""

    @abstractmethod
    def _check_open(self) -> None:
        """Raise a BoardError where the board is closed."""

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
