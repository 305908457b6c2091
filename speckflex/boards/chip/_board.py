"""The chip as a board: a real one through the vendor's samna, a virtual one through a stand-in."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.boards._arguments import (
    BoardContext,
    alone,
    check_is_program,
    check_monitor,
    check_samples,
)
from speckflex.boards.chip._checks import check_cores, check_states
from speckflex.boards.chip._configuration import (
    check_chip,
    choose_input_path,
    write_configuration,
)
from speckflex.boards.chip._events import InputWriter
from speckflex.boards.chip._layers import placed_layers
from speckflex.boards.chip._link import ChipLink
from speckflex.boards.chip._power import PowerMeter
from speckflex.boards.chip._resets import choose_reset, write_initial_states
from speckflex.boards.chip._results import Played, build_recording
from speckflex.boards.chip._session import (
    Stream,
    longest_left,
    play_stream,
    split_into_streams,
    when_unanswered,
)
from speckflex.chips import find_chip
from speckflex.errors import BoardError
from speckflex.recordings.power import SETTING, windows_as_text
from speckflex.recordings.recording import Provenance
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    from speckflex.boards.chip._configuration import InputPath
    from speckflex.boards.chip._layers import PlacedLayer
    from speckflex.boards.chip._resets import ResetWay
    from speckflex.boards.chip.attached import AttachedDevice
    from speckflex.boards.chip.settings import ChipSettings
    from speckflex.program.program import Program
    from speckflex.recordings.power import PowerWindow
    from speckflex.recordings.recording import Recording

__all__ = ["ChipBoard"]


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A program on the chip."""

    program: Program
    sha256: str
    layers: list[PlacedLayer]
    path: InputPath
    writer: InputWriter
    checked: list[int]
    reset_way: ResetWay

    @property
    def probe(self) -> tuple[int, int]:
        """Any neuron; every layer has one at address 0."""
        return (self.layers[0].chip_core, 0)


class ChipBoard(BoardContext):
    """A Speck devkit, real or virtual.

    Args:
        samna: the module through which it is reached.
        device: the device to open.
        name: the name that it was opened by.
        settings: when reading ends, and what is checked.
        speed: board seconds per real second; 1 for a real one.
        released: called once the device is closed.

    Attributes:
        power: W by rail, the mean while samples of the last `play` ran; empty if it wasn't
            measured.
        power_windows: the same for each stream of the last `play`, with the idle board before it.
        pins: for each sample of the last `play`, what the readout layer showed on its pins: `(n, 2)
            int64`, times (µs) and classes.

    Raises:
        BoardError: the device can't be opened.
    """

    def __init__(
        self,
        samna: ModuleType,
        device: AttachedDevice,
        *,
        name: str,
        settings: ChipSettings,
        speed: float = 1.0,
        released: Callable[[], None] | None = None,
    ) -> None:
        self._samna, self._device, self._speed = samna, device, speed
        self.name, self.settings = name, settings
        self.kind = "virtual" if getattr(samna, "is_speckflex_virtual", False) else "chip"
        self.power: dict[str, float] = {}
        self.power_windows: tuple[PowerWindow, ...] = ()
        self._idle_power: Mapping[str, float] | None = None
        self.pins: list[np.ndarray] = []
        self._program: _Loaded | None = None
        self._monitored: list[int] = []
        self._untouched = False
        self._link: ChipLink | None = ChipLink(
            samna, device, name, open_deadline=settings.open_deadline
        )
        self._stack = ExitStack()
        if released is not None:
            self._stack.callback(released)
        self._stack.callback(self._link.close)

    @alone
    def load(self, program: Program) -> None:
        """Upload a program, verify it, and check that every core spikes.

        The program that was loaded before is gone, even if this fails.

        Raises:
            BoardError: the board is closed, the chip can't run the program, refuses it, or does
                not behave as it must.
        """
        check_is_program(program)
        link = self._ready()
        self._program = self._idle_power = None
        check_chip(program, find_chip(self._device.chip))
        path = choose_input_path(program, self.settings.input_path)
        layers = placed_layers(program, self.settings)
        everything = list(range(len(layers)))
        link.slow_clock(None)
        self._apply(link, program, everything, path)
        check_states(link, layers, self.settings)
        way = choose_reset(link, layers, self.settings)
        checked: list[int] = []
        if self.settings.check_cores:
            checked = check_cores(link, layers, self.settings.deadline)
        writer = InputWriter(link.module.event, program, path)
        loaded = _Loaded(program, program.sha256, layers, path, writer, checked, way)
        if self.settings.check_cores or self.settings.reset in {"auto", "model"}:
            # the checks have changed states
            self._reset(link, loaded, everything, way="configuration")
        self._program, self._untouched = loaded, True

    @alone
    def play(
        self,
        events: np.ndarray | Sequence[np.ndarray],
        *,
        monitor: Sequence[int] | None = None,
        keep_events: bool = True,
        reset: bool = True,
    ) -> Recording:
        """Play one sample, or a list of them, and return what the layers spiked.

        With `reset`, every sample starts from the program's states, which are verified; without,
        the samples follow each other in one stream, with a gap between them. Times of spikes are
        the FPGA's, counted from the sample's start.

        Args:
            events: one structured array, or one per sample; fields t (µs), x, y, p.
            monitor: positions of the layers to record, -1 the last; None for all.
            keep_events: keep the spikes themselves, not their counts alone.
            reset: set every neuron to its initial state before each sample.

        Raises:
            BoardError: the board is closed, has no program, doesn't answer, or a layer doesn't
                exist.
            EventsError: a sample is no event stream of the input's shape.
        """
        link, loaded = self._ready(), self._loaded()
        samples = check_samples(events, loaded.program.input.shape)
        wanted = check_monitor(monitor, len(loaded.layers))
        groups = split_into_streams(samples, self.settings)
        started = datetime.now(timezone.utc).isoformat()
        self.power, self.power_windows, self.pins = {}, (), []
        with self._measuring(link) as meter:
            if not reset:
                self._keep_states(link, loaded, wanted)
            streams = _streams(samples, groups, loaded, wanted, reset=reset)
            played = [
                self._play_stream(link, loaded, stream, wanted, reset=reset, meter=meter)
                for stream in streams
            ]
        self.pins = [pins for part in played for pins in part.pins()]
        return build_recording(
            played,
            loaded.layers,
            wanted,
            keep_events=keep_events,
            provenance=self._provenance(loaded, started, played),
        )

    def loaded_sha256(self) -> str:
        """Return the hash of the program whose configuration samna says the chip runs.

        samna gives back the last configuration that it applied; it does not read the chip.

        Raises:
            BoardError: the board is closed, has no program, or runs another configuration.
        """
        link, loaded = self._ready(), self._loaded()
        wanted = self._written(link, loaded.program, self._monitored, loaded.path)
        with link.errors("reading the configuration back"):
            same = link.model.get_configuration().to_json() == wanted.to_json()
        if not same:
            raise BoardError(
                f"board {self.name}: the configuration on it is not that of program"
                f" {loaded.sha256[:12]}: load the program again"
            )
        return loaded.program.sha256

    def read_neurons(self, layer: int = -1) -> np.ndarray:
        """Return the (channel, y, x) int16 potentials of a layer as they stand.

        Addresses follow `speck.neuron_address`, unconfirmed for maps that are not square.

        Raises:
            BoardError: the board is closed, has no program, doesn't answer, or no such layer.
        """
        link, loaded = self._ready(), self._loaded()
        index = check_monitor([layer], len(loaded.layers))[0]
        return _potentials(link, loaded.layers[index], self.settings.deadline).astype(np.int16)

    def reset(self) -> None:
        """Set every neuron to its initial state, and verify it.

        Raises:
            BoardError: the board is closed, has no program, or a neuron kept its state.
        """
        link, loaded = self._ready(), self._loaded()
        self._reset(link, loaded, self._monitored)

    def close(self) -> None:
        """Release the device; a closed board plays nothing."""
        self._program = self._link = None
        self._stack.close()

    def _check_open(self) -> None:
        self._opened()

    def _opened(self) -> ChipLink:
        if self._link is None:
            raise BoardError(f"board {self.name} is closed: open it again with open_board")
        return self._link

    def _ready(self) -> ChipLink:
        """Return the link of an open board on which no events wait."""
        link = self._opened()
        if link.unsettled:
            link.settle(
                (0, 0),
                due=longest_left(self._speed),
                deadline=self.settings.deadline,
                unanswered=when_unanswered(link, self._speed),
            )
        return link

    def _loaded(self) -> _Loaded:
        if self._program is None:
            raise BoardError(f"board {self.name} has no program: call load(program) first")
        return self._program

    def _apply(
        self, link: ChipLink, program: Program, monitored: list[int], path: InputPath
    ) -> None:
        link.apply(self._written(link, program, monitored, path))
        self._monitored = monitored

    def _written(
        self, link: ChipLink, program: Program, monitored: list[int], path: InputPath
    ) -> Any:
        return write_configuration(
            link.module, program, monitored, path=path, settings=self.settings
        )

    def _reset(
        self,
        link: ChipLink,
        loaded: _Loaded,
        monitored: list[int],
        *,
        way: ResetWay | None = None,
    ) -> None:
        """Set all states to the initial ones, and verify it.

        Writing the configuration sets them (sinabs' leak test), and the monitors, too.
        """
        link.slow_clock(None)
        way = way or loaded.reset_way
        if way == "configuration" or set(monitored) != set(self._monitored):
            self._apply(link, loaded.program, monitored, loaded.path)
        elif way == "model":
            link.reset_neurons()
        else:
            write_initial_states(link, loaded.layers)
        check_states(link, loaded.layers, self.settings)
        self._untouched = True

    def _keep_states(self, link: ChipLink, loaded: _Loaded, wanted: list[int]) -> None:
        """Check that the monitors are set; to write a configuration would reset the states."""
        if set(wanted) <= set(self._monitored):
            return
        if not self._untouched:
            raise BoardError(
                f"board {self.name}: layers {wanted} are asked for and {self._monitored} are"
                " monitored; changing that resets the neurons: play with reset=True, or monitor"
                " the same layers as before"
            )
        self._reset(link, loaded, wanted)

    def _play_stream(
        self,
        link: ChipLink,
        loaded: _Loaded,
        samples: list[np.ndarray],
        wanted: list[int],
        *,
        reset: bool,
        meter: PowerMeter | None = None,
    ) -> Played:
        lost, stray = link.lost_answers, link.stray_answers
        link.poll()
        before = len(link.take_spikes())
        if reset:
            self._reset(link, loaded, wanted)
        self._untouched = False
        stream = Stream.of(samples, self.settings.gap)
        link.slow_clock(self.settings.slow_clock)
        if meter is not None:
            meter.begin()
        outcome = play_stream(
            link,
            loaded.writer,
            stream,
            settings=self.settings,
            speed=self._speed,
            probe=loaded.probe,
        )
        if meter is not None:
            meter.end(len(samples))
        link.slow_clock(None)
        potentials = {
            index: _potentials(link, loaded.layers[index], self.settings.deadline)
            for index in wanted
            if loaded.layers[index].core.readout == "potential"
        }
        return Played(
            stream=stream,
            outcome=outcome,
            potentials=potentials,
            lost_answers=link.lost_answers - lost,
            stray_answers=link.stray_answers - stray,
            spikes_before=before,
        )

    @contextmanager
    def _measuring(self, link: ChipLink) -> Iterator[PowerMeter | None]:
        """Measure the power in the block if the settings say so; stop the clocks on an error."""
        meter = None
        try:
            with ExitStack() as stack:
                if self.settings.power is not None:
                    take = stack.enter_context(link.power(self.settings.power))
                    meter = PowerMeter(take, self._idle_power)
                    link.slow_clock(None)
                    meter.measure_idle()
                yield meter
        except BaseException:
            # clocks that still run would disturb the next sample
            link.halt()
            raise
        if meter is not None:
            self._idle_power = meter.idle
            self.power, self.power_windows = meter.mean(), tuple(meter.windows)

    def _provenance(self, loaded: _Loaded, started: str, played: list[Played]) -> Provenance:
        unconfirmed = [str(layer.index) for layer in loaded.layers if not layer.has_known_addresses]
        notes = {
            "path": loaded.path,
            "reset_by": loaded.reset_way,
            "chip": self._device.chip,
            "device": self._device.device_type,
            "layers_seen_spiking_at_load": " ".join(map(str, loaded.checked)) or "none",
            "late_events": str(sum(part.outcome.late for part in played)),
            "repeated_answers": str(sum(part.stray_answers for part in played)),
            "spikes_between_samples": str(sum(part.spikes_before for part in played)),
            "layers_with_unconfirmed_addresses": " ".join(unconfirmed) or "none",
        }
        notes |= {f"power_{rail}": f"{watts:.6g} W" for rail, watts in self.power.items()}
        if self.power_windows:
            notes[SETTING] = windows_as_text(self.power_windows)
        if self.kind == "virtual":
            notes["speed"] = str(self._speed)
        return Provenance(
            program_sha256=loaded.sha256,
            board=self.name,
            kind=self.kind,
            serial=self._device.serial,
            started=started,
            versions={
                "speckflex": __version__,
                "numpy": version("numpy"),
                "samna": str(getattr(self._samna, "__version__", "")),
            },
            settings=self.settings.named() | notes,
        )


def _streams(
    samples: list[np.ndarray],
    groups: list[list[np.ndarray]],
    loaded: _Loaded,
    wanted: list[int],
    *,
    reset: bool,
) -> list[list[np.ndarray]]:
    """Return which samples are played in one go: groups, or one by one if the state is needed."""
    reads = any(loaded.layers[index].core.readout == "potential" for index in wanted)
    return [[sample] for sample in samples] if reset or reads else groups


def _potentials(link: ChipLink, layer: PlacedLayer, deadline: float) -> np.ndarray:
    """Return (channel, y, x) int64 potentials, read neuron by neuron."""
    places = layer.places()
    values = link.ask(places, deadline=deadline)
    flat = np.array([values[place] for place in places], np.int64)
    return flat.reshape(layer.core.output_shape)
