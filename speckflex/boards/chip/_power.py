"""The power monitor of a devkit: measurements since the last look, so that windows can be cut."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from speckflex.recordings.power import PowerWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["RAILS", "PowerMeter", "mean_power"]

# Channels of the power monitor (sinabs' notebook on power monitoring).
RAILS = ("io", "ram", "logic", "pixel_digital", "pixel_analog")
IDLE = 0.5  # s that are measured before anything is played


class PowerMeter:
    """Cuts a stream of measurements into windows.

    Args:
        take: returns samna's measurements since the last call.
        idle: W by rail as measured before; None to measure it when it is first needed.
    """

    def __init__(
        self, take: Callable[[], Sequence[Any]], idle: Mapping[str, float] | None = None
    ) -> None:
        self._take, self._begun = take, 0.0
        self.idle = idle
        self.windows: list[PowerWindow] = []
        self._measured: list[Any] = []

    def measure_idle(self) -> None:
        """Measure the board while it does nothing, unless this was done before."""
        if self.idle is None:
            self._take()
            time.sleep(IDLE)
            self.idle = mean_power(self._take())

    def begin(self) -> None:
        """Begin a window: what was measured before is not part of it."""
        self._take()
        self._begun = time.monotonic()

    def end(self, n_samples: int) -> None:
        """End a window in which `n_samples` were played."""
        seconds = time.monotonic() - self._begun
        measured = self._take()
        self._measured += measured
        playing = mean_power(measured)
        self.windows.append(
            PowerWindow(
                samples=n_samples,
                seconds=seconds,
                measurements=len(measured) // max(1, len(playing)),
                idle=dict(self.idle or {}),
                playing=playing,
            )
        )

    def mean(self) -> dict[str, float]:
        """Return the mean power (W) of each rail over all windows."""
        return mean_power(self._measured)


def mean_power(measurements: Sequence[Any]) -> dict[str, float]:
    """Return the mean power (W) of each rail, from samna's measurements."""
    values: dict[str, list[float]] = {}
    for event in measurements:
        values.setdefault(RAILS[event.channel], []).append(float(event.value))
    return {rail: sum(found) / len(found) for rail, found in values.items()}
