"""Stand-ins for samna's window: they can be made and written, and nothing is shown."""

from __future__ import annotations

import logging
from typing import Any

__all__ = ["PlotConfiguration", "UiEvent", "VisualizerConfiguration", "run_visualizer"]

logger = logging.getLogger("speckflex.virtual")


class UiEvent:
    """What samna's window shows."""


class PlotConfiguration:
    """A plot of samna's window; keeps whatever it is given."""

    def __init__(self, *args: Any, **values: Any) -> None:
        self.args = args
        self.__dict__.update(values)


class VisualizerConfiguration(PlotConfiguration):
    """The layout of samna's window."""


def run_visualizer(endpoint: str, width: float = 0.75, height: float = 0.75) -> None:
    """Say that there is no window."""
    logger.warning("samna's window is not part of the virtual devkit: nothing shows %s", endpoint)
