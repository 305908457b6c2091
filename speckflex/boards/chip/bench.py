"""An opened devkit for experiments: any configuration and any events in, all that comes out."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from speckflex.boards._arguments import BoardContext
from speckflex.boards.chip._configuration import write_core
from speckflex.boards.chip._link import ChipLink, make_event
from speckflex.boards.chip.attached import attached_devices, find_device, vendor_samna
from speckflex.boards.chip.settings import ChipSettings
from speckflex.boards.family import BoardName, find_family
from speckflex.boards.probe_file import ProbeFile
from speckflex.boards.virtual import as_probed, plug_in
from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from speckflex.boards.chip.attached import AttachedDevice
    from speckflex.program.records import Core

__all__ = ["Bench", "Seen", "open_bench"]

# (core, feature, y, x) of a spike, in the order in which the spikes arrived
Seen = tuple[int, int, int, int]
PAUSE = 0.0005  # s between two looks at the output
# s of silence after which an experiment is over, on a chip and where the twin computes at once
SILENCE, VIRTUAL_SILENCE = 0.03, 0.002
# s that a tick may take in the largest core: 65,536 neurons at less than 0.1 µs (a recording)
TICK = 0.02


class Bench(BoardContext):
    """A devkit on which one experiment after the other runs.

    Args:
        samna: the module through which it is reached.
        device: the device to open.
        name: the name that it was opened by.
        speed: board seconds per real second; 1 for a real one.
        deadline: s that an answer may take.
        released: called once the device is closed.

    Attributes:
        kind: "chip" or "virtual".

    Raises:
        BoardError: the device can't be opened.
    """

    def __init__(
        self,
        samna: ModuleType,
        device: AttachedDevice,
        *,
        name: str,
        speed: float = 1.0,
        deadline: float = 2.0,
        released: Callable[[], None] | None = None,
    ) -> None:
        self.name, self.device, self.speed, self._deadline = name, device, speed, deadline
        self.kind = "virtual" if getattr(samna, "is_speckflex_virtual", False) else "chip"
        self._silence = SILENCE if self.kind == "chip" else VIRTUAL_SILENCE
        self._link: ChipLink | None = ChipLink(
            samna, device, name, open_deadline=ChipSettings().open_deadline
        )
        self._stack = ExitStack()
        if released is not None:
            self._stack.callback(released)
        self._stack.callback(self._link.close)

    @property
    def link(self) -> ChipLink:
        """The opened device."""
        self._check_open()
        assert self._link is not None  # noqa: S101 - checked in the line before
        return self._link

    @property
    def is_instant(self) -> bool:
        """Whether events take no time, so that nothing can be timed."""
        return math.isinf(self.speed)

    def close(self) -> None:
        """Release the device."""
        self._link = None
        self._stack.close()

    def _check_open(self) -> None:
        if self._link is None:
            raise BoardError(f"board {self.name} is closed: open it again")

    def identity(self) -> dict[str, str]:
        """Return what is known of the board: device, serial number, versions."""
        return {**self.device.named(), "name": self.name, "kind": self.kind, **self.link.identity()}

    def configuration(self, cores: dict[int, Core] | None = None) -> Any:
        """Return a configuration with layers on cores of the chip, all monitored; the sensor off.

        Args:
            cores: by the chip's core; their destinations are not written.
        """
        with self.link.errors("making a configuration"):
            made = self.link.module.configuration.SpeckConfiguration()
            for place, core in (cores or {}).items():
                write_core(made.cnn_layers[place], core, stride=1)
                made.cnn_layers[place].monitor_enable = True
        return made

    def apply(self, configuration: Any) -> None:
        """Write a configuration, the sensor off, and throw away what comes out meanwhile.

        Raises:
            BoardError: samna refuses it.
        """
        # last, since a monitor of the DVS layer switches it on
        configuration.dvs_layer.pass_sensor_events = False
        self.link.apply(configuration)
        self.link.poll()
        self.link.take_spikes()

    def is_valid(self, configuration: Any) -> bool:
        """Return whether samna takes a configuration."""
        with self.link.errors("checking a configuration"):
            return bool(self.link.module.validate_configuration(configuration)[0])

    def event(self, kind: str, **values: Any) -> Any:
        """Return an event of the chip's by the name of its class, such as "Spike"."""
        return make_event(getattr(self.link.module.event, kind), **values)

    def spike(self, core: int, *, feature: int = 0, y: int = 0, x: int = 0) -> Any:
        """Return an input event for a core, due at once."""
        return self.event("Spike", layer=core, feature=feature, y=y, x=x, timestamp=0)

    def seen(self, events: Sequence[Any], core: int) -> list[Seen]:
        """Write input events, and return the spikes of all monitors until the chip is silent.

        Args:
            events: due at once.
            core: any configured core; an answer of its first neuron shows that all have left.
        """
        self.link.write([*events, self.link.question((core, 0))])
        self.link.await_answers([(core, 0)], deadline=self._deadline)
        over = time.monotonic()
        while time.monotonic() - max(over, self.link.last_arrival) < self._silence:
            self.link.poll()
            time.sleep(PAUSE)
        rows = self.link.take_spikes()
        return [(layer, feature, y, x) for layer, _, x, y, feature in rows]

    def write(self, events: Sequence[Any]) -> None:
        """Write events and read nothing."""
        self.link.write(list(events))

    def state(self, core: int, address: int = 0) -> int:
        """Return the potential of a neuron."""
        return self.states(core, [address])[0]

    def states(self, core: int, addresses: Sequence[int]) -> list[int]:
        """Return the potentials of neurons of a core by their addresses."""
        places = [(core, address) for address in addresses]
        found = self.link.ask(places, deadline=self._deadline)
        return [found[place] for place in places]

    def answers(self, requests: Sequence[Any], kind: str) -> list[Any]:
        """Return the answers of a class to requests, those that came before all was silent."""
        self.link.take_others()
        self.link.write(list(requests))
        return self.told(kind, len(requests))

    def told(self, kind: str, n: int = 1) -> list[Any]:
        """Return the next events of a class other than spikes, up to `n` or until all is silent."""
        wanted = getattr(self.link.module.event, kind)
        found: list[Any] = []
        latest = time.monotonic()
        patience = max(self._silence, 0.25)
        while len(found) < n and time.monotonic() - latest < patience:
            self.link.poll()
            new = [event for event in self.link.take_others() if isinstance(event, wanted)]
            latest = time.monotonic() if new else latest
            found += new
            time.sleep(PAUSE)
        return found

    def heard(
        self, requests: Sequence[Any], *, wanted: int | None = None, patience: float = 0.25
    ) -> int:
        """Write events and count the answers of neurons, until all came or patience is over.

        Args:
            requests: among them questions to neurons.
            wanted: how many answers to wait for; None for one for each event.
            patience: s without an answer.
        """
        before, wanted = self.link.stray_answers, len(requests) if wanted is None else wanted
        self.link.write(list(requests))
        end = time.monotonic() + patience
        while self.link.stray_answers - before < wanted and time.monotonic() < end:
            self.link.poll()
            time.sleep(PAUSE)
        return self.link.stray_answers - before

    def spike_times(self, events: Sequence[Any], core: int, *, rate: int) -> list[int]:
        """Write events with times, and return when the spikes of a core came, µs.

        Args:
            events: due within a second of the start of the stop watch.
            core: a monitored one.
            rate: Hz of the slow clock meanwhile.
        """
        self.link.poll()
        self.link.take_spikes()
        self.link.slow_clock(rate)
        try:
            with self.running_watch():
                self.link.write(list(events))
                end = time.monotonic() + 1 + 10 * self._silence
                while time.monotonic() < end:
                    self.link.poll()
                    time.sleep(PAUSE)
        finally:
            self.link.slow_clock(None)
        return [t for layer, t, *_ in self.link.take_spikes() if layer == core]

    def tick(self, times: int = 1) -> None:
        """Let the slow clock tick, with time for each tick to pass through the chip."""
        for _ in range(times):
            with self.link.errors("letting the slow clock tick"):
                self.link.io.pulse_slow_clk()
            time.sleep(TICK if self.kind == "chip" else 0)

    @contextmanager
    def running_watch(self) -> Iterator[None]:
        """Let the stop watch run in the block, from zero."""
        self.link.start_watch()
        try:
            yield
        finally:
            self.link.stop_watch()


def open_bench(name: str, **behaviour: Any) -> Bench:
    """Open a devkit for experiments.

    Args:
        name: as for `open_board`; a chip, or a virtual devkit.
        behaviour: of a virtual devkit: `speed`, `faults`, `unverified`, `twin`.

    Raises:
        BoardNotFoundError: there is no such board, or it is not attached.
        BoardError: it is no devkit, or can't be opened.
        FileFormatError: the probe file in its name can't be read.
    """
    family, parsed = find_family(name), BoardName.parse(name)
    if family.needs_samna:
        address = BoardName(parsed.family, parsed.address or "0")
        device = find_device(address, attached_devices())
        return Bench(vendor_samna(), device, name=str(address))
    if family.kind != "virtual":
        raise BoardError(
            f"board {name} is {family.label}: experiments need a devkit, such as speck2f:0, or"
            " virtual:speck2f to see what they do"
        )
    behaviour = {"speed": 1.0, **behaviour}
    if parsed.probe:
        behaviour["twin"], behaviour["unverified"] = as_probed(
            ProbeFile.load(parsed.probe), behaviour.get("twin"), behaviour.get("unverified")
        )
    with ExitStack() as stack:
        samna, device = plug_in(parsed.address, stack, **behaviour)
        kept = ExitStack()
        bench = Bench(
            samna, device, name=name, speed=behaviour["speed"], deadline=20.0, released=kept.close
        )
        kept.push(stack.pop_all())
    return bench
