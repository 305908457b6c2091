"""The handle of an opened virtual devkit: model, stop watch, switches, power, as samna's has."""

from __future__ import annotations

import copy
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from speckflex.events.streams import MICROSECONDS_PER_SECOND, check_events
from speckflex.version import __version__
from speckflex.virtual._clock import COUNTER
from speckflex.virtual._configuration import CHIP_CONFIGURATIONS, SPECK, ConfigurationError
from speckflex.virtual._events import (
    CHIP_EVENTS,
    INPUT_EVENTS,
    DroppedEventsNum,
    PowerMeasurement,
)
from speckflex.virtual._fpga import Fpga
from speckflex.virtual._graph import Node, hand_on
from speckflex.virtual._records import as_number, as_switch, as_whole, refused_call
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
TIMEOUT = 10_000  # ms, samna 0.48.5's default for apply_configuration


@dataclass(frozen=True)
class Losses:
    """What a virtual devkit lost; a real chip does not count this.

    Args:
        unaddressed: input events for a layer or an address that doesn't exist.
        dropped: output events lost as a fault.
        duplicated: output events doubled as a fault.
        circulating: spikes in circles of cores that were not followed any further.
    """

    unaddressed: int
    dropped: int
    duplicated: int
    circulating: int = 0


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
        serial: its serial number.
    """

    def __init__(self, chip: str, options: DevkitOptions, serial: str = "") -> None:
        # loads numba, which is not needed to list devices
        from speckflex.virtual._chip import VirtualChip

        # sinabs finds the chip's module by splitting the nodes' class names at underscores
        source: Node = type(f"DeviceSourceNode_{chip}_event_output_event", (Node,), {})()
        taken = tuple(CHIP_EVENTS[chip][kind.__name__] for kind in INPUT_EVENTS)
        sink_class = type(
            f"DeviceSinkNode_{chip}_event_input_event", (_ModelSinkNode,), {"accepts": taken}
        )
        self._chip = VirtualChip(
            chip, options.twin, options.faults.stuck_core, options.unverified.readout_bit_20
        )
        self._serial = serial
        self._chip.configure(CHIP_CONFIGURATIONS[chip]["SpeckConfiguration"]())
        self._dvs_event = CHIP_EVENTS[chip]["DvsEvent"]
        self._fpga = Fpga(
            self._chip, CHIP_EVENTS[chip], lambda events: hand_on(source, events), options
        )
        self._model = Model(
            chip, self._chip, self._fpga, options, (source, sink_class(self._fpga.write))
        )
        self._io = UnifirmModule(self._fpga)
        self._power = PowerMonitor()

    @property
    def unplugged(self) -> bool:
        """Whether the device was unplugged, which is a fault (`Faults.unplug_after`)."""
        return self._fpga.unplugged

    @property
    def losses(self) -> Losses:
        """What the device has lost so far."""
        outbox = self._fpga.outbox
        return Losses(self._chip.lost, outbox.dropped, outbox.duplicated, self._chip.circulating)

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
        return self._io

    def get_io_control_module(self) -> IoControlModule:
        """Return the control of the FPGA's pins, for debugging."""
        self._fpga.check_alive()
        return IoControlModule()

    def get_power_monitor(self) -> PowerMonitor:
        """Return the power monitor."""
        self._fpga.check_alive()
        return self._power

    def get_power_module(self) -> DevKitPowerModule:
        """Return the power supply."""
        self._fpga.check_alive()
        return DevKitPowerModule()

    def get_board_serial_number(self) -> str:
        """Return the serial number."""
        self._fpga.check_alive()
        return self._serial

    def get_firmware_versions(self) -> FirmwareVersions:
        """Return the versions of the board's firmware: none, for there is none."""
        self._fpga.check_alive()
        return FirmwareVersions()

    def make_unifirm_hook(self) -> UnifirmHook:
        """Return a hook whose `poll_tx` has nothing to do: a thread of the devkit sends."""
        self._fpga.check_alive()
        return UnifirmHook()

    def reset_board_soft(
        self,
        boot_from_pc: bool = True,  # noqa: FBT001, FBT002 - samna's
        default_config: Any = None,
    ) -> None:
        """Reset the FPGA, which forgets all events, and boot an empty configuration.

        Raises:
            RuntimeError: the board is to boot from flash, which the stand-in has not.
        """
        self._boot("reset_board_soft", boot_from_pc)
        self._fpga.reset()

    def reset_model(self, boot_from_pc: bool = True) -> None:  # noqa: FBT001, FBT002 - samna's
        """Reset the chip: boot an empty configuration.

        Raises:
            RuntimeError: the chip is to boot from flash, which the stand-in has not.
        """
        self._boot("reset_model", boot_from_pc)

    def _boot(self, function: str, from_pc: Any) -> None:
        self._fpga.check_alive()
        if not as_switch(function, from_pc):
            raise RuntimeError(f"{function}: a virtual devkit has no flash: boot from the PC")
        self._model.apply_configuration(self._model.empty_configuration())

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


@dataclass(frozen=True)
class FirmwareVersions:
    """The versions of a board's two programs; that of the stand-in is speckflex's own."""

    fxtree: str = f"0+speckflex.{__version__}"
    unifirm: str = f"0+speckflex.{__version__}"


class UnifirmHook:
    """Lets a script serve the board's connection."""

    def poll_tx(self) -> None:
        """Do nothing."""


class Model:
    """The chip of a devkit.

    Args:
        name: of the chip.
        chip: runs the configurations.
        fpga: serves the chip.
        options: of the devkit.
        nodes: the node by which output events leave, and the one that takes input events.
    """

    def __init__(
        self,
        name: str,
        chip: VirtualChip,
        fpga: Fpga,
        options: DevkitOptions,
        nodes: tuple[Node, Node],
    ) -> None:
        self._chip, self._fpga, self._unverified = chip, fpga, options.unverified
        self._source, self._sink = nodes
        self._refusals = options.faults.refuse_configuration
        self.empty_configuration = CHIP_CONFIGURATIONS[name]["SpeckConfiguration"]
        self._applied = self.empty_configuration()

    def apply_configuration(self, configuration: Any, timeout: int | None = TIMEOUT) -> None:
        """Check a configuration, run it from now on, and set every neuron to its initial value.

        Args:
            configuration: a SpeckConfiguration of this chip.
            timeout: ms; the stand-in takes less.

        Raises:
            TypeError: it is no SpeckConfiguration of this chip.
            ConfigurationError: it breaks a limit, or is refused as a fault.
            RuntimeError: the device was closed or unplugged.
        """
        self._fpga.check_alive()
        wanted = self.empty_configuration
        if type(configuration) is not wanted:
            raise TypeError(
                refused_call(
                    "apply_configuration",
                    f"self: object, arg0: {wanted.__name__}, timeout: Optional[int] = {TIMEOUT}",
                    type(configuration).__name__,
                )
                + "\nconfiguration: give a SpeckConfiguration of this chip"
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

    def reset(self) -> None:
        """Reset the potentials of all neurons, to what `Unverified.model_reset` says."""
        self._fpga.check_alive()
        if self._unverified.model_reset == "nothing":
            return
        with self._fpga.lock:
            self._chip.reset_neurons(to_zero=self._unverified.model_reset == "zero")

    def get_configuration(self) -> Any:
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
        """Switch the slow clock on or off; it is off at first."""
        switch = as_switch("set_slow_clk", enable)
        with self._fpga.lock:
            self._fpga.slow_clock.enable(switch)

    def set_slow_clk_rate(self, rate: int) -> None:
        """Set the slow clock's rate, Hz; it is 1000 at first."""
        hertz = as_whole("set_slow_clk_rate", rate)
        with self._fpga.lock:
            self._fpga.slow_clock.set_rate(hertz)

    def pulse_slow_clk(self) -> None:
        """Tick once."""
        self._fpga.pulse()

    def set_in_out_interface_clk(self, enable: bool) -> None:  # noqa: FBT001 - samna's signature
        """Accept the switch of the bus's clock, which the twin does not model."""
        as_switch("set_in_out_interface_clk", enable)

    def set_in_out_interface_clk_rate(self, rate: int) -> None:
        """Accept the rate of the bus, which the twin does not model."""
        as_whole("set_in_out_interface_clk_rate", rate)

    def pulse_in_out_interface_clk(self) -> None:
        """Accept a tick of the bus's clock, which the twin does not model."""

    def set_spi_clk_rate(self, rate: int) -> None:
        """Accept the rate at which memories are written, which the twin does not model."""
        as_whole("set_spi_clk_rate", rate)

    def enable_jtag(self, enable: bool) -> None:  # noqa: FBT001 - samna's signature
        """Accept the switch of an interface that the stand-in has not."""
        as_switch("enable_jtag", enable)

    def set_jtag_clk_rate(self, rate: int) -> None:
        """Accept the rate of an interface that the stand-in has not."""
        as_whole("set_jtag_clk_rate", rate)

    def enable_power(self, mask: Any) -> None:
        """Accept which rails are on, which the twin does not model."""

    def write_config(self, address: int, value: int) -> None:
        """Accept a word for the FPGA, which has no effect."""
        as_whole("write_config", address)
        as_whole("write_config", value)

    def request_dropped_events_num(self) -> None:
        """Send a DroppedEventsNum; the stand-in's FPGA drops nothing."""
        self._fpga.check_alive()
        self._fpga.send_now([DroppedEventsNum(num=0)])

    def set_chip_stuck_check_enable(self, enable: bool) -> None:  # noqa: FBT001 - samna's
        """Accept the switch of a check for a chip that takes no events; this one always does."""
        as_switch("set_chip_stuck_check_enable", enable)

    def set_chip_stuck_check_delay(self, microseconds: int) -> None:
        """Accept how long a chip may take; see `set_chip_stuck_check_enable`."""
        as_whole("set_chip_stuck_check_delay", microseconds)

    def stop_packet_dump(self) -> None:
        """Do nothing: the stand-in's FPGA has no reason to drop events."""

    def assert_reset(self) -> None:
        """Accept the reset line, which has no effect."""

    def deassert_reset(self) -> None:
        """Accept the reset line, which has no effect."""

    def reset_through_registers(self) -> None:
        """Accept a reset of the chip's logic, which has no effect."""

    def enable_asi_interface(self, enable: bool) -> None:  # noqa: FBT001 - samna's signature
        """Accept the switch of an interface that the stand-in has not."""
        as_switch("enable_asi_interface", enable)

    def set_dual_channel_output_enable(self, enable: bool) -> None:  # noqa: FBT001 - samna's
        """Accept the number of output channels, which the twin does not model."""
        as_switch("set_dual_channel_output_enable", enable)


class IoControlModule:
    """The control of the FPGA's pins (samna 0.48.5, unifirm.modules.ioControl); it has no effect.

    As with samna, what was written can't be read.
    """

    def write_config(self, address: int, value: int) -> None:
        """Accept a word."""
        as_whole("write_config", address)
        as_whole("write_config", value)


class DevKitPowerModule:
    """The power supply; its voltages have no effect."""

    def set_vdd_io(self, volts: float) -> None:
        """Accept a voltage."""
        as_number("set_vdd_io", volts)

    def set_vdd_logic(self, volts: float) -> None:
        """Accept a voltage."""
        as_number("set_vdd_logic", volts)

    def set_vdd_ram(self, volts: float) -> None:
        """Accept a voltage."""
        as_number("set_vdd_ram", volts)

    def set_vdd_pixel_analog(self, volts: float) -> None:
        """Accept a voltage."""
        as_number("set_vdd_pixel_analog", volts)

    def set_vdd_pixel_digital(self, volts: float) -> None:
        """Accept a voltage."""
        as_number("set_vdd_pixel_digital", volts)

    def get_adc_core(self) -> NoReturn:
        """Refuse to measure.

        Raises:
            RuntimeError: always.
        """
        _refuse_to_measure("get_adc_core")

    def get_adc_io(self) -> NoReturn:
        """Refuse to measure.

        Raises:
            RuntimeError: always.
        """
        _refuse_to_measure("get_adc_io")


def _refuse_to_measure(function: str) -> NoReturn:
    raise RuntimeError(
        f"{function}: a virtual devkit has no converter to read: use the power monitor, whose"
        " figures are constants here"
    )


class PowerMonitor:
    """Sends one measurement for each rail and period, from a thread of its own.

    Calls in a wrong order raise nothing (samna 0.47.2).
    """

    def __init__(self) -> None:
        self._source = Node()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._opened = time.monotonic()

    def get_source_node(self) -> Node:
        """Return the node by which measurements leave."""
        return self._source

    def start_auto_power_measurement(self, rate: float) -> float:
        """Measure so many times a second, and return the rate that was set.

        The board's rates are discrete; here they are those with a period of whole µs.

        Raises:
            RuntimeError: the rate is not positive, or higher than the board can measure.
        """
        hertz = as_number("start_auto_power_measurement", rate)
        if not 0 < hertz <= MAX_MEASUREMENT_RATE:
            raise RuntimeError(
                f"power measurement at {rate} Hz: give more than 0, at most {MAX_MEASUREMENT_RATE}"
            )
        self.stop_auto_power_measurement()
        period = round(MICROSECONDS_PER_SECOND / hertz) / MICROSECONDS_PER_SECOND
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._measure_until, args=(period, self._stop), daemon=True
        )
        self._thread.start()
        return 1 / period

    def stop_auto_power_measurement(self) -> None:
        """Stop measuring."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def is_auto_power_measurement_active(self) -> bool:
        """Return whether it measures."""
        return self._thread is not None

    def single_shot_power_measurement(self) -> bool:
        """Measure once; return False and measure nothing while it measures anyway."""
        if self.is_auto_power_measurement_active():
            return False
        self._measure()
        return True

    def start_reading_thread(self) -> None:
        """Do nothing: measurements are sent by a thread from the start."""

    def stop_reading_thread(self) -> None:
        """Do nothing; see `start_reading_thread`."""

    def _measure_until(self, period: float, stop: threading.Event) -> None:
        started, number = time.monotonic(), 1
        while not stop.wait(max(0.0, started + number * period - time.monotonic())):
            self._measure()
            number += 1

    def _measure(self) -> None:
        timestamp = int((time.monotonic() - self._opened) * MICROSECONDS_PER_SECOND) % COUNTER
        measured = [
            PowerMeasurement(channel=channel, timestamp=timestamp, value=watts)
            for channel, watts in enumerate(IDLE_WATTS)
        ]
        hand_on(self._source, measured)
