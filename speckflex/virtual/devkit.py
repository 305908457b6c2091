"""The handle of an opened virtual devkit, with the methods that samna's handles have."""

from __future__ import annotations

import copy
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from speckflex.chips.speck import MAX_INPUT_SIZE
from speckflex.errors import BoardError
from speckflex.events.streams import check_events
from speckflex.virtual.configuration import SpeckConfiguration
from speckflex.virtual.events import INPUT_EVENTS, chip_events
from speckflex.virtual.faults import ConfigurationError, Faults
from speckflex.virtual.graph import Node, hand_on
from speckflex.virtual.player import Player
from speckflex.virtual.power import PowerMonitor
from speckflex.virtual.validation import validate_configuration

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from speckflex.twin.settings import TwinSettings
    from speckflex.virtual.clock import StopWatch

__all__ = ["CHIP_EVENTS", "Devkit", "DevkitOptions", "IoModule", "Losses", "Model", "PowerModule"]

logger = logging.getLogger("speckflex.virtual")

SENSOR_SHAPE = (2, MAX_INPUT_SIZE, MAX_INPUT_SIZE)  # channel, y, x
# One set of classes per chip and process, as in samna: scripts compare types.
CHIP_EVENTS = {chip: chip_events(chip) for chip in ("speck2e", "speck2f")}


@dataclass(frozen=True)
class DevkitOptions:
    """How a virtual devkit behaves.

    Args:
        speed: board seconds per real second; infinity where events take no time.
        faults: what goes wrong.
        settings: the twin's choices where nobody knows what the chip does.
    """

    speed: float = 1.0
    faults: Faults = field(default_factory=Faults)
    settings: TwinSettings | None = None

    def __post_init__(self) -> None:
        if not self.speed > 0:
            raise BoardError(f"speed {self.speed} of a virtual devkit: give a positive factor")


@dataclass(frozen=True)
class Losses:
    """What a virtual devkit lost, by its own account; no chip keeps one.

    Args:
        unaddressed: input events for a layer or an address that doesn't exist.
        dropped: output events lost as a fault.
        duplicated: output events doubled as a fault.
    """

    unaddressed: int
    dropped: int
    duplicated: int


class _ModelSource(Node):
    """Where a model's output events come from."""


class _ModelSink(Node):
    """Where a model takes input events."""

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
        # numba is loaded for a device at work only, not for a look at the bus
        from speckflex.virtual.engine import Engine

        self.chip = chip
        classes = CHIP_EVENTS[chip]
        # sinabs finds the chip's module by splitting the class name at underscores
        self._source: Node = type(
            f"ModelSourceNode_{chip}_event_output_event", (_ModelSource,), {}
        )()
        sink = type(f"ModelSinkNode_{chip}_event_input_event", (_ModelSink,), {})
        self._engine = Engine(chip, options.settings, options.faults.stuck_core)
        self._engine.configure(SpeckConfiguration())
        self._player = Player(
            self._engine,
            classes,
            lambda events: hand_on(self._source, events),
            speed=options.speed,
            faults=options.faults,
        )
        self._sink: Node = sink(self._player.write)
        self._power = PowerMonitor()
        self._model = Model(self)
        self._refusals = options.faults.refuse_configuration
        self._applied = SpeckConfiguration()

    @property
    def unplugged(self) -> bool:
        """Whether the device has gone, as `Faults.unplug_after` wanted."""
        return self._player.unplugged

    @property
    def losses(self) -> Losses:
        """What the device lost so far, by its own account."""
        outbox = self._player.outbox
        return Losses(self._engine.lost, outbox.dropped, outbox.duplicated)

    def get_model(self) -> Model:
        """Return the chip."""
        self.check_alive()
        return self._model

    def get_model_source_node(self) -> Node:
        """Return the node that the chip's output events leave by."""
        self.check_alive()
        return self._source

    def get_model_sink_node(self) -> Node:
        """Return the node that takes the chip's input events."""
        self.check_alive()
        return self._sink

    def get_stop_watch(self) -> StopWatch:
        """Return the stop watch."""
        self.check_alive()
        return self._player.stop_watch

    def get_io_module(self) -> IoModule:
        """Return the FPGA's switches."""
        self.check_alive()
        return IoModule(self._player)

    def get_power_monitor(self) -> PowerMonitor:
        """Return the power monitor."""
        self.check_alive()
        return self._power

    def get_power_module(self) -> PowerModule:
        """Return the power supply."""
        self.check_alive()
        return PowerModule()

    def reset_board_soft(self, reset: bool = True) -> None:  # noqa: FBT001, FBT002 - samna's
        """Go back to the default configuration."""
        self.apply(SpeckConfiguration())

    def sense(self, events: np.ndarray) -> None:
        """Let the sensor see events, as its pixels would; samna has no such method.

        They go through the DVS layer where `pass_sensor_events` lets them.

        Args:
            events: structured array; t in µs, x and y in 0..127, p 0 for off and 1 for on.

        Raises:
            EventsError: an event lies outside the sensor.
            RuntimeError: the device is gone.
        """
        self.check_alive()
        checked = check_events(events, SENSOR_SHAPE, source="what the sensor sees")
        kind = CHIP_EVENTS[self.chip]["DvsEvent"]
        rows = (checked[name].tolist() for name in ("p", "t", "x", "y"))
        self._player.sense(
            [
                kind.trusted({"p": bool(p), "timestamp": t, "x": x, "y": y})
                for p, t, x, y in zip(*rows, strict=True)
            ]
        )

    def apply(self, configuration: Any) -> None:
        """Check a configuration, run it from now on, and set every neuron to its initial value.

        Raises:
            TypeError: it is no SpeckConfiguration.
            ConfigurationError: it breaks a limit, or is refused as a fault.
        """
        self.check_alive()
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
                "the device refused the configuration (a fault on demand): apply it again"
            )
        with self._player.lock:
            # two copies: events may change weights on the chip, not in what was applied
            self._engine.configure(copy.deepcopy(configuration))
            self._applied = copy.deepcopy(configuration)

    def applied(self) -> SpeckConfiguration:
        """Return a copy of the last configuration that was applied."""
        self.check_alive()
        return copy.deepcopy(self._applied)

    def close(self) -> None:
        """Release the device; its methods raise from now on."""
        self._power.stop_auto_power_measurement()
        self._player.close()

    def check_alive(self) -> None:
        """Raise where the device was closed or unplugged.

        Raises:
            RuntimeError: it was.
        """
        if self._player.closed:
            raise RuntimeError("the device is closed: open it again with samna.device.open_device")
        if self._player.unplugged:
            raise RuntimeError("the device was unplugged: plug it in and open it again")


class Model:
    """The chip of a devkit."""

    def __init__(self, devkit: Devkit) -> None:
        self._devkit = devkit

    def apply_configuration(self, configuration: Any) -> bool:
        """Check a configuration and run it, from its initial neuron values.

        Raises:
            TypeError: it is no SpeckConfiguration.
            RuntimeError: it is not valid, or the device is gone.
        """
        self._devkit.apply(configuration)
        return True

    def get_configuration(self) -> SpeckConfiguration:
        """Return a copy of the last configuration that was applied."""
        return self._devkit.applied()

    def get_source_node(self) -> Node:
        """Return the node that output events leave by."""
        return self._devkit.get_model_source_node()

    def get_sink_node(self) -> Node:
        """Return the node that takes input events."""
        return self._devkit.get_model_sink_node()


class IoModule:
    """The FPGA's switches that matter here; the others are accepted and do nothing."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def set_slow_clk(self, enable: bool) -> None:  # noqa: FBT001 - samna's signature
        """Switch the slow clock on or off."""
        with self._player.lock:
            self._player.slow_clock.enable(enable)

    def set_slow_clk_rate(self, hertz: float) -> None:
        """Set the slow clock's rate, Hz."""
        with self._player.lock:
            self._player.slow_clock.set_rate(hertz)

    def set_in_out_interface_clk_rate(self, hertz: float) -> None:
        """Accept the rate of the bus, which the twin doesn't model."""

    def set_dual_channel_output_enable(self, enable: bool) -> None:  # noqa: FBT001 - samna's
        """Accept the number of output channels, which the twin doesn't model."""


class PowerModule:
    """The power supply."""

    def set_vdd_io(self, volts: float) -> None:
        """Accept a voltage; a virtual devkit has none."""


def input_events(chip: str) -> tuple[type, ...]:
    """Return the classes of what may be written to a chip."""
    return tuple(CHIP_EVENTS[chip][kind.__name__] for kind in INPUT_EVENTS)
