"""The handle of an opened virtual devkit: model, stop watch, switches, power, as samna's has."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from speckflex.events.streams import MICROSECONDS_PER_SECOND, check_events
from speckflex.virtual._configuration import SPECK, ConfigurationError, SpeckConfiguration
from speckflex.virtual._events import CHIP_EVENTS, Measurement
from speckflex.virtual._fpga import Fpga
from speckflex.virtual._graph import Node, hand_on
from speckflex.virtual._validation import validate_configuration

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from speckflex.virtual._chip import VirtualChip
    from speckflex.virtual._clock import StopWatch
    from speckflex.virtual._options import DevkitOptions

__all__ = ["DevKitPowerModule", "Devkit", "Losses", "Model", "PowerMonitor", "UnifirmModule"]

# Watts of IO, RAM, LOGIC, PIXEL_DIGITAL, PIXEL_ANALOG in an idle Speck2e devkit, as recorded in
# sinabs' notebook on power monitoring. They do not depend on the network that runs.
IDLE_WATTS = (61.7e-6, 51.7e-6, 367.0e-6, 78.9e-6, 610.9e-6)
MAX_MEASUREMENT_RATE = 100  # Hz, samna's documentation


@dataclass(frozen=True)
class Losses:
    """What a virtual devkit lost; a real chip does not count this.

    Args:
        unaddressed: input events for a layer or an address that doesn't exist.
        dropped: output events lost as a fault.
        duplicated: output events doubled as a fault.
    """

    unaddressed: int
    dropped: int
    duplicated: int


class _ModelSinkNode(Node):
    """Takes a model's input events."""

    def __init__(self, write: Callable[[list[Any]], None]) -> None:
        super().__init__()
        self._write = write

    def receive(self, events: Any) -> None:
        """Put events into the FPGA's queue."""
        self._write(events)


class Devkit:
    """An opened virtual devkit.

    Args:
        chip: "speck2e" or "speck2f".
        options: how it behaves.
    """

    def __init__(self, chip: str, options: DevkitOptions) -> None:
        # loads numba, which is not needed to list devices
        from speckflex.virtual._chip import VirtualChip

        # sinabs finds the chip's module by splitting the nodes' class names at underscores
        source: Node = type(f"ModelSourceNode_{chip}_event_output_event", (Node,), {})()
        sink_class = type(f"ModelSinkNode_{chip}_event_input_event", (_ModelSinkNode,), {})
        self._chip = VirtualChip(chip, options.twin, options.faults.stuck_core)
        self._chip.configure(SpeckConfiguration())
        self._dvs_event = CHIP_EVENTS[chip]["DvsEvent"]
        self._fpga = Fpga(
            self._chip, CHIP_EVENTS[chip], lambda events: hand_on(source, events), options
        )
        self._model = Model(
            self._chip,
            self._fpga,
            source=source,
            sink=sink_class(self._fpga.write),
            refusals=options.faults.refuse_configuration,
        )
        self._power = PowerMonitor()

    @property
    def unplugged(self) -> bool:
        """Whether the device was unplugged, which is a fault (`Faults.unplug_after`)."""
        return self._fpga.unplugged

    @property
    def losses(self) -> Losses:
        """What the device has lost so far."""
        outbox = self._fpga.outbox
        return Losses(self._chip.lost, outbox.dropped, outbox.duplicated)

    def get_model(self) -> Model:
        """Return the chip."""
        self._fpga.check_alive()
        return self._model

    def get_model_source_node(self) -> Node:
        """Return the node by which the chip's output events leave."""
        return self._model.get_source_node()

    def get_model_sink_node(self) -> Node:
        """Return the node that takes the chip's input events."""
        return self._model.get_sink_node()

    def get_stop_watch(self) -> StopWatch:
        """Return the stop watch."""
        self._fpga.check_alive()
        return self._fpga.stop_watch

    def get_io_module(self) -> UnifirmModule:
        """Return the FPGA's switches."""
        self._fpga.check_alive()
        return UnifirmModule(self._fpga)

    def get_power_monitor(self) -> PowerMonitor:
        """Return the power monitor."""
        self._fpga.check_alive()
        return self._power

    def get_power_module(self) -> DevKitPowerModule:
        """Return the power supply."""
        self._fpga.check_alive()
        return DevKitPowerModule()

    def reset_board_soft(self, reset: bool = True) -> None:  # noqa: FBT001, FBT002 - samna's
        """Apply the default configuration."""
        self._model.apply_configuration(SpeckConfiguration())

    def sense(self, events: np.ndarray) -> None:
        """Show events to the sensor, as if its pixels had seen them; samna has no such method.

        They enter the DVS layer if `pass_sensor_events` is set.

        Args:
            events: structured array; t in µs, x and y in 0..127, p 0 for off and 1 for on.

        Raises:
            EventsError: an event lies outside the sensor.
            RuntimeError: the device was closed or unplugged.
        """
        self._fpga.check_alive()
        checked = check_events(events, SPECK.dvs.shape, source="the sensor's events")
        rows = zip(*(checked[name].tolist() for name in ("p", "t", "x", "y")), strict=True)
        self._fpga.write(
            [
                self._dvs_event.trusted({"p": bool(p), "timestamp": t, "x": x, "y": y})
                for p, t, x, y in rows
            ],
            sensed=True,
        )

    def close(self) -> None:
        """Release the device; its methods raise from now on."""
        self._power.stop_auto_power_measurement()
        self._fpga.close()


class Model:
    """The chip of a devkit.

    Args:
        chip: runs the configurations.
        fpga: serves the chip.
        source: the node by which output events leave.
        sink: the node that takes input events.
        refusals: how many valid configurations are refused, as a fault.
    """

    def __init__(
        self, chip: VirtualChip, fpga: Fpga, *, source: Node, sink: Node, refusals: int
    ) -> None:
        self._chip, self._fpga, self._source, self._sink = chip, fpga, source, sink
        self._refusals = refusals
        self._applied = SpeckConfiguration()

    def apply_configuration(self, configuration: Any) -> bool:
        """Check a configuration, run it from now on, and set every neuron to its initial value.

        Raises:
            TypeError: it is no SpeckConfiguration.
            ConfigurationError: it breaks a limit, or is refused as a fault.
            RuntimeError: the device was closed or unplugged.
        """
        self._fpga.check_alive()
        if not isinstance(configuration, SpeckConfiguration):
            raise TypeError(
                f"apply_configuration: {type(configuration).__name__} given:"
                " give a SpeckConfiguration"
            )
        valid, message = validate_configuration(configuration)
        if not valid:
            raise ConfigurationError(f"the configuration is not valid: {message}")
        if self._refusals:
            self._refusals -= 1
            raise ConfigurationError(
                "the device refused the configuration, as `Faults.refuse_configuration` says:"
                " apply it again"
            )
        with self._fpga.lock:
            # two copies: events may change the chip's weights, but not the applied configuration
            self._chip.configure(copy.deepcopy(configuration))
            self._applied = copy.deepcopy(configuration)
        return True

    def get_configuration(self) -> SpeckConfiguration:
        """Return a copy of the last configuration that was applied."""
        self._fpga.check_alive()
        return copy.deepcopy(self._applied)

    def get_source_node(self) -> Node:
        """Return the node by which output events leave."""
        self._fpga.check_alive()
        return self._source

    def get_sink_node(self) -> Node:
        """Return the node that takes input events."""
        self._fpga.check_alive()
        return self._sink


class UnifirmModule:
    """The FPGA's switches: those of the slow clock work, the others are accepted."""

    def __init__(self, fpga: Fpga) -> None:
        self._fpga = fpga

    def set_slow_clk(self, enable: bool) -> None:  # noqa: FBT001 - samna's signature
        """Switch the slow clock on or off."""
        with self._fpga.lock:
            self._fpga.slow_clock.enable(enable)

    def set_slow_clk_rate(self, hertz: float) -> None:
        """Set the slow clock's rate, Hz."""
        with self._fpga.lock:
            self._fpga.slow_clock.set_rate(hertz)

    def set_in_out_interface_clk_rate(self, hertz: float) -> None:
        """Accept the rate of the bus, which the twin does not model."""

    def set_dual_channel_output_enable(self, enable: bool) -> None:  # noqa: FBT001 - samna's
        """Accept the number of output channels, which the twin does not model."""


class DevKitPowerModule:
    """The power supply."""

    def set_vdd_io(self, volts: float) -> None:
        """Accept a voltage, which has no effect."""


class PowerMonitor:
    """Sends one measurement for each rail and period, from a thread of its own."""

    def __init__(self) -> None:
        self._source = Node()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def get_source_node(self) -> Node:
        """Return the node by which measurements leave."""
        return self._source

    def start_auto_power_measurement(self, rate: float) -> None:
        """Measure `rate` times a second.

        Raises:
            RuntimeError: the rate is not positive, or higher than the board can measure.
        """
        if not 0 < rate <= MAX_MEASUREMENT_RATE:
            raise RuntimeError(
                f"power measurement at {rate} Hz: give more than 0, at most {MAX_MEASUREMENT_RATE}"
            )
        self.stop_auto_power_measurement()
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=_measure, args=(self._source, rate, self._stop), daemon=True
        )
        self._thread.start()

    def stop_auto_power_measurement(self) -> None:
        """Stop measuring."""
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
