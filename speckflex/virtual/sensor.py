"""The pixels of a virtual devkit: what they are shown goes in as if they had seen it."""

from __future__ import annotations

from typing import Any

__all__ = ["Sensor"]


class Sensor:
    """Keeps which pixels are silenced."""

    def __init__(self) -> None:
        self._killed: set[tuple[int, int]] = set()

    def kill(self, x: int, y: int) -> None:
        """Silence one pixel."""
        self._killed.add((x, y))

    def reset(self) -> None:
        """Let every pixel see again."""
        self._killed.clear()

    def sees(self, event: Any) -> bool:
        """Return whether the pixel of an event works."""
        return (event.x, event.y) not in self._killed
