"""The power monitor of a virtual devkit: a constant, not a model."""

from __future__ import annotations

import threading
import time

from speckflex.events.streams import MICROSECONDS_PER_SECOND
from speckflex.virtual.events import Measurement
from speckflex.virtual.graph import Node, hand_on

__all__ = ["IDLE_WATTS", "MeasurementSource", "PowerMonitor"]

# IO, RAM, LOGIC, PIXEL_DIGITAL, PIXEL_ANALOG of an idle Speck2e devkit, as recorded in sinabs'
# notebook on power monitoring. Nothing here depends on what the twin does: a power figure of a
# virtual devkit says nothing about a network.
IDLE_WATTS = (61.7e-6, 51.7e-6, 367.0e-6, 78.9e-6, 610.9e-6)
MAX_RATE = 100  # Hz, samna's documentation


class MeasurementSource(Node):
    """Where measurements come from."""


class PowerMonitor:
    """Sends one measurement a rail and period, from a thread of its own."""

    def __init__(self) -> None:
        self._source = MeasurementSource()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def get_source_node(self) -> Node:
        """Return the node that measurements leave by."""
        return self._source

    def start_auto_power_measurement(self, rate: float) -> None:
        """Measure so many times a second.

        Raises:
            RuntimeError: the rate is beyond what the board measures.
        """
        if not 0 < rate <= MAX_RATE:
            raise RuntimeError(f"power measurement at {rate} Hz: give more than 0, at most 100")
        self.stop_auto_power_measurement()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_measure, args=(self._source, rate, self._stop), daemon=True
        )
        self._thread.start()

    def stop_auto_power_measurement(self) -> None:
        """Measure no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None


def _measure(source: Node, rate: float, stop: threading.Event) -> None:
    started = time.monotonic()
    while not stop.wait(1 / rate):
        timestamp = int((time.monotonic() - started) * MICROSECONDS_PER_SECOND)
        hand_on(
            source,
            [
                Measurement(channel=channel, timestamp=timestamp, value=watts)
                for channel, watts in enumerate(IDLE_WATTS)
            ],
        )
