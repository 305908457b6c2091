"""The power that a board took while it played, sample by sample, in a recording's provenance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from speckflex.recordings.recording import Provenance

__all__ = ["SETTING", "PowerWindow", "join_windows", "power_windows", "windows_as_text"]

SETTING = "power_windows"  # the setting of a provenance that holds them as JSON


@dataclass(frozen=True)
class PowerWindow:
    """The power during one stream of samples, and no longer.

    Args:
        samples: how many samples the stream had; 1 where each starts from its own states.
        seconds: that it lasted, of real time.
        measurements: how often each rail was measured in it; 0 if it was too short.
        idle: W by rail, the mean before anything was played, the program loaded.
        playing: W by rail, the mean in the window.
    """

    samples: int
    seconds: float
    measurements: int
    idle: Mapping[str, float]
    playing: Mapping[str, float]


def windows_as_text(windows: Iterable[PowerWindow]) -> str:
    """Return windows as the text of a setting; `power_windows` reads it."""
    return json.dumps([vars(window) for window in windows])


def power_windows(provenance: Provenance) -> tuple[PowerWindow, ...]:
    """Return the windows of a recording, in the order of its streams.

    () where no power was measured, or where what stands there is none: a recording may come from
    elsewhere.
    """
    try:
        rows = json.loads(provenance.settings.get(SETTING, "[]"))
        return tuple(_window(row) for row in rows)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return ()


def join_windows(parts: Iterable[Provenance]) -> str:
    """Return the setting of a recording that is made of several."""
    return windows_as_text(window for part in parts for window in power_windows(part))


def _window(row: dict[str, Any]) -> PowerWindow:
    window = PowerWindow(
        samples=int(row["samples"]),
        seconds=float(row["seconds"]),
        measurements=int(row["measurements"]),
        idle={str(rail): float(watts) for rail, watts in row["idle"].items()},
        playing={str(rail): float(watts) for rail, watts in row["playing"].items()},
    )
    numbers = (window.seconds, *window.idle.values(), *window.playing.values())
    if not all(map(isfinite, numbers)):
        raise ValueError("a power is no number")
    return window
