"""The two engines of the chip's first cores: which one begins which event, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.kernels.integrate_parallel import ENGINE, N_ENGINES, integrate_parallel

if TYPE_CHECKING:
    from speckflex.twin.settings import EngineTimes

__all__ = ["Engines"]


class Engines:
    """Two engines that take a core's events in turn.

    Args:
        n_updates: `(m,) int64`, how many neurons an event on each route updates.
        times: how long an engine takes.
    """

    def __init__(self, n_updates: np.ndarray, times: EngineTimes) -> None:
        self._durations = times.event + times.update * n_updates
        self._spike_duration = float(times.spike)
        self.reset()

    def reset(self) -> None:
        """Begin a sample: both engines are free, and the first takes the first event."""
        self._engines = np.zeros(N_ENGINES, ENGINE)
        self._n_taken = 0

    def take(self, codes: np.ndarray, arrivals: np.ndarray) -> None:
        """Take in the next events, which `run` then runs.

        Args:
            codes: `(n,) int32`.
            arrivals: `(n,) float64`, µs.
        """
        self._arrivals = np.maximum.accumulate(arrivals)
        first = self._n_taken % N_ENGINES
        self._engines["next"] = (np.arange(N_ENGINES) - first) % N_ENGINES
        self._n_taken += len(codes)

    def run(self, codes: np.ndarray, start: int, begun: np.ndarray, *core: Any) -> tuple[int, int]:
        """Run the kernel; return how many events are done, and the spikes of this call."""
        return integrate_parallel(
            codes,
            start,
            self._arrivals,
            self._durations,
            self._spike_duration,
            self._engines,
            begun,
            *core,
        )
