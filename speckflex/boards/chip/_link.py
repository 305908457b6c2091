"""An opened devkit: events in, events out, answers to questions, each with a deadline."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from speckflex._support.text import one_line
from speckflex.boards.chip._questions import Questions
from speckflex.chips import find_chip
from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from speckflex.boards.chip.attached import AttachedDevice

__all__ = ["ChipLink", "SpikeRow", "make_event"]

logger = logging.getLogger("speckflex.boards")

SpikeRow = tuple[int, int, int, int, int]  # the chip's core, µs, x, y, feature

PAUSE = 0.0005  # s between two looks at the output; it adds to the time of every sample
# How long a question may stay unanswered before it is asked again, or counted as lost.
PATIENCE = 0.25
# samna's names (sinabs 3.1.3, backend/dynapcnn/chips)
OUTPUT_BUFFER = "BasicSinkNode_{}_event_output_event"
POWER_BUFFER = "BasicSinkNode_unifirm_modules_events_measurement"
# What samna's bindings raise; they have no class of their own.
SAMNA_ERRORS = (RuntimeError, TypeError, ValueError, AttributeError, OSError)


def make_event(kind: Any, **values: Any) -> Any:
    """Return an event of samna's with its fields set one by one, as sinabs does.

    Not every class of events is known to take values when it is made.
    """
    event = kind()
    for name, value in values.items():
        setattr(event, name, value)
    return event


class ChipLink:
    """Holds a device open until it is closed.

    Args:
        samna: the module, the vendor's or the stand-in.
        device: which device to open.
        name: the board's name, for errors.
        open_deadline: s that opening may take.

    Attributes:
        lost_answers: questions to neurons that had no answer in the time given for one.
        stray_answers: answers that nobody waited for: doubled, or too late.
        last_arrival: when the last spike came, in the seconds of `time.monotonic`.
        unsettled: whether events were written that may still wait on the board.
        module: samna's module of the chip.
        model: samna's model of the chip.
        io: samna's switches of the FPGA.

    Raises:
        BoardError: the device is open already, can't be opened, or takes too long.
    """

    def __init__(
        self, samna: ModuleType, device: AttachedDevice, name: str, *, open_deadline: float
    ) -> None:
        self.name, self._samna, self._device = name, samna, device
        self.module = getattr(samna, device.chip)
        self._spikes: list[SpikeRow] = []
        self._others: list[Any] = []
        self.lost_answers = self.stray_answers = 0
        self.last_arrival = 0.0
        self.unsettled = False
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._handle = _open(samna, device, name, open_deadline)
            stack.callback(self._quietly, samna.device.close_device, self._handle)
            with self.errors("connecting to it"):
                self.model = self._handle.get_model()
                self._stop_watch = self._handle.get_stop_watch()
                self.io = self._handle.get_io_module()
                self._connect(stack)
            self._stack = stack.pop_all()

    def close(self) -> None:
        """Stop all clocks, disconnect and release the device; closing again does nothing."""
        stack, self._stack = self._stack, ExitStack()
        stack.close()

    @contextmanager
    def errors(self, doing: str) -> Iterator[None]:
        """Turn what samna raises into one line.

        Raises:
            BoardError: samna raised.
        """
        try:
            yield
        except BoardError as error:
            # the stand-in's refusals are errors of both kinds
            raise BoardError(f"board {self.name}: {doing} failed: {one_line(error)}") from error
        except SAMNA_ERRORS as error:
            raise BoardError(f"board {self.name}: {doing} failed: {one_line(error)}") from error

    def apply(self, configuration: Any) -> None:
        """Check a configuration, write it, and compare it with what samna says it wrote.

        samna gives back the last configuration that it applied; it does not read the chip.

        Raises:
            BoardError: the configuration is not valid (in samna's words), was refused, or is not
                what came back.
        """
        with self.errors("checking the configuration"):
            valid, sentence = self.module.validate_configuration(configuration)
        if not valid:
            raise BoardError(
                f"board {self.name}: samna finds the configuration not valid: {one_line(sentence)}"
            )
        with self.errors("writing the configuration"):
            self.model.apply_configuration(configuration)
            back = self.model.get_configuration().to_json()
            same = back == configuration.to_json()
        if not same:
            raise BoardError(
                f"board {self.name}: the configuration that was applied is not the one written:"
                " load the program again"
            )

    def start_watch(self) -> None:
        """Let the stop watch run from zero."""
        with self.errors("starting the stop watch"):
            self._stop_watch.start(True)

    def stop_watch(self) -> None:
        """Stop the stop watch."""
        with self.errors("stopping the stop watch"):
            self._stop_watch.stop()

    def halt(self) -> None:
        """Stop both clocks, whether or not the device still answers."""
        self._quietly(self.io.set_slow_clk, False)
        self._quietly(self._stop_watch.stop)

    def slow_clock(self, rate: float | None) -> None:
        """Let the slow clock tick at a rate of whole Hz; None for not at all."""
        with self.errors("setting the slow clock"):
            if rate is not None:
                # samna takes an int, and its bindings refuse a float
                self.io.set_slow_clk_rate(int(rate))
            self.io.set_slow_clk(rate is not None)

    def identity(self) -> dict[str, str]:
        """Return what samna and the board tell of themselves; "" for what they do not."""
        firmware = self._answer("get_firmware_versions")
        return {
            "samna": str(getattr(self._samna, "__version__", "")),
            "board_serial": str(self._answer("get_board_serial_number") or ""),
            "fxtree": str(getattr(firmware, "fxtree", "") or ""),
            "unifirm": str(getattr(firmware, "unifirm", "") or firmware or ""),
        }

    def _answer(self, method: str) -> Any:
        """Return what a method of the handle answers; None if this samna has none, or it fails."""
        try:
            return getattr(self._handle, method)()
        except SAMNA_ERRORS as error:
            logger.info("board %s: %s: %s", self.name, method, one_line(error))
            return None

    @property
    def can_reset_neurons(self) -> bool:
        """Whether this samna has a call that resets all neurons."""
        return hasattr(self.model, "reset")

    def reset_neurons(self) -> None:
        """Let samna reset all neurons; to which state is not documented."""
        with self.errors("resetting the neurons"):
            self.model.reset()

    def settle(
        self,
        place: tuple[int, int],
        *,
        due: float,
        deadline: float,
        unanswered: Callable[[], None] | None,
    ) -> None:
        """Let events leave that wait on the board since a play was broken off.

        An event waits until the stop watch has reached its time, and while the watch stands still
        all that is written later waits behind it. So the watch runs on, and what comes out is
        thrown away.

        Args:
            place: (core, address) of any neuron; its answer shows that nothing waits any more.
            due: s that the latest of these events may still have to wait.
            deadline: s beyond `due`.
            unanswered: as for `await_answers`.

        Raises:
            BoardError: something still waits.
        """
        with self.errors("starting the stop watch"):
            self._stop_watch.start(False)
        try:
            self.write([self.question(place)])
            self.await_answers([place], deadline=deadline, due=due, unanswered=unanswered)
        except BoardError as error:
            raise BoardError(
                f"board {self.name}: events of a play that was broken off still wait on it: close"
                " it and open it again, which resets its FPGA (samna 0.47.1 and newer), or press"
                " its reset button"
            ) from error
        self.stop_watch()
        self.poll()
        self.take_spikes()
        self.take_others()
        self.unsettled = False

    def play(self, events: list[Any]) -> None:
        """Put input events into the FPGA's queue, where they wait for their time."""
        self.unsettled = True
        self.write(events)

    def write(self, events: list[Any]) -> None:
        """Write samna's events to the FPGA's queue."""
        with self.errors("writing events"):
            self._source.write(events)

    def poll(self) -> None:
        """Take in what has arrived; spikes are kept for `take_spikes`."""
        self.stray_answers += len(self._take_in())

    def take_spikes(self) -> list[SpikeRow]:
        """Return the spikes that came since the last call."""
        spikes, self._spikes = self._spikes, []
        return spikes

    def take_others(self) -> list[Any]:
        """Return what else came since the last call, such as values of the readout."""
        others, self._others = self._others, []
        return others

    def question(self, place: tuple[int, int]) -> Any:
        """Return the event that asks the neuron at (core, address) for its potential."""
        core, address = place
        return make_event(self.module.event.ReadNeuronValue, layer=core, address=address)

    def ask(
        self, places: Sequence[tuple[int, int]], *, deadline: float
    ) -> dict[tuple[int, int], int]:
        """Return the potentials of neurons, by (core, address).

        Args:
            places: (core, address), each once.
            deadline: s that all answers together may take.

        Raises:
            BoardError: the device is gone, or not all have answered by the deadline.
        """
        self.write([self.question(place) for place in places])
        return self.await_answers(places, deadline=deadline)

    def await_answers(
        self,
        places: Sequence[tuple[int, int]],
        *,
        deadline: float,
        due: float = 0.0,
        unanswered: Callable[[], None] | None = None,
    ) -> dict[tuple[int, int], int]:
        """Wait for the answers to questions that are written already.

        A question without an answer is asked again after a while, because it may have been lost.

        Args:
            places: (core, address), each once.
            deadline: s after `due` by which all must have answered.
            due: s before which no answer can be expected.
            unanswered: called once, before questions are put again; a question before that is
                then no loss.

        Raises:
            BoardError: the device is gone, or not all have answered by the deadline.
        """
        questions = Questions(places)
        now = time.monotonic()
        end, patience, retry = now + due + deadline, PATIENCE, now + due + PATIENCE
        while questions.outstanding:
            answers = self._take_in()
            questions.hear(answers)
            now = time.monotonic()
            if answers:
                patience, retry = PATIENCE, max(retry, now + PATIENCE)
            elif now > retry:
                self.check_attached()
                missing = questions.missing()
                if not missing:
                    break
                if now > end:
                    raise BoardError(self._unanswered(len(missing), questions.n_places, deadline))
                if unanswered is not None:
                    unanswered()
                    unanswered = None
                    questions.forgive(missing)
                self.write([self.question(place) for place in missing])
                questions.repeat(missing)
                # with no answer at all the device may be slow, and more questions make it slower
                patience = min(2 * patience, max(PATIENCE, end - now))
                retry = now + patience
            if questions.outstanding:
                time.sleep(PAUSE)
        self.lost_answers += questions.outstanding
        self.stray_answers += questions.stray
        return questions.values

    def check_attached(self) -> None:
        """Raise an error if the device has left the bus.

        Raises:
            BoardError: it has.
        """
        with self.errors("looking for it"):
            present = [_identity(info) for info in self._samna.device.get_all_devices()]
        if _identity(self._device.info) not in present:
            raise BoardError(
                f"board {self.name}: the device was unplugged: plug it in and open the board again;"
                " what was playing is lost"
            )

    @contextmanager
    def power(self, rate: float) -> Iterator[Callable[[], list[Any]]]:
        """Measure every rail's power in the block; the function returns what is new each time.

        Raises:
            BoardError: the board has no power monitor.
        """
        with self.errors("measuring power (has this board a power monitor?)"):
            monitor = self._handle.get_power_monitor()
            sink = getattr(self._samna, POWER_BUFFER)()
            graph = self._samna.graph.EventFilterGraph()
            graph.sequential([monitor.get_source_node(), sink])
            graph.start()
        try:
            with self.errors("measuring power"):
                monitor.start_auto_power_measurement(rate)
            yield sink.get_events
        finally:
            self._quietly(monitor.stop_auto_power_measurement)
            self._quietly(graph.stop)

    def _take_in(self) -> list[tuple[tuple[int, int], int]]:
        """Take in what has arrived and return the answers among it."""
        with self.errors("reading events"):
            events = self._sink.get_events()
        answers: list[tuple[tuple[int, int], int]] = []
        before = len(self._spikes)
        spike, answer = self.module.event.Spike, self.module.event.NeuronValue
        for event in events:
            if isinstance(event, spike):
                # read here, while the board still plays, and not after the sample
                self._spikes.append((event.layer, event.timestamp, event.x, event.y, event.feature))
            elif isinstance(event, answer):
                answers.append(((event.layer, event.address), event.neuron_state))
            else:
                self._others.append(event)
        if len(self._spikes) > before:
            self.last_arrival = time.monotonic()
        return answers

    def _unanswered(self, missing: int, asked: int, deadline: float) -> str:
        return (
            f"board {self.name}: {missing} of {asked} neurons did not answer within {deadline:g} s:"
            " check the cable, press the board's reset button, or give a longer deadline"
        )

    def _connect(self, stack: ExitStack) -> None:
        chip = self._device.chip
        self._source = getattr(self._samna, find_chip(chip).samna.input_buffer)()
        self._sink = getattr(self._samna, OUTPUT_BUFFER.format(chip))()
        rows = (
            [self._source, self.model.get_sink_node()],
            [self.model.get_source_node(), self._sink],
        )
        for row in rows:
            graph = self._samna.graph.EventFilterGraph()
            graph.sequential(row)
            graph.start()
            stack.callback(self._quietly, graph.stop)
        stack.callback(self.halt)

    def _quietly(self, action: Any, *args: Any) -> None:
        """Do a step of closing; if it fails, the other steps must still be done."""
        try:
            action(*args)
        except SAMNA_ERRORS as error:
            logger.warning("board %s: closing: %s", self.name, one_line(error))


def _open(samna: ModuleType, device: AttachedDevice, name: str, deadline: float) -> Any:
    """Return an opened handle; samna may take for ever, so it opens in a thread of its own."""
    _check_free(samna, device, name)
    outcome: list[Any] = []
    failures: list[BaseException] = []
    unwanted = threading.Event()

    def open_device() -> None:
        try:
            outcome.append(samna.device.open_device(device.info))
        except SAMNA_ERRORS as error:
            failures.append(error)
        if unwanted.is_set():
            _close_all(samna, outcome)

    thread = threading.Thread(target=open_device, name=f"opening {name}", daemon=True)
    thread.start()
    try:
        thread.join(deadline)
    except BaseException:
        unwanted.set()
        _close_all(samna, outcome)
        raise
    if failures:
        raise BoardError(
            f"board {name}: can't be opened ({one_line(failures[0])}): close what else uses it,"
            " press its reset button, or plug it in again"
        ) from failures[0]
    if not outcome:
        unwanted.set()
        raise BoardError(
            f"board {name}: did not open within {deadline:g} s: press its reset button, or plug it"
            " in again"
        )
    return outcome[0]


def _close_all(samna: ModuleType, handles: list[Any]) -> None:
    for handle in handles:
        with suppress(*SAMNA_ERRORS):
            samna.device.close_device(handle)


def _check_free(samna: ModuleType, device: AttachedDevice, name: str) -> None:
    """Raise an error if a device is open already: samna would return the same handle twice."""
    try:
        free = [_identity(info) for info in samna.device.get_unopened_devices()]
    except SAMNA_ERRORS as error:
        raise BoardError(f"board {name}: samna can't list it ({one_line(error)})") from error
    if _identity(device.info) not in free:
        raise BoardError(
            f"board {name}: is open already, here or in another process: close it there first"
        )


def _identity(info: Any) -> tuple[Any, ...]:
    """Return what identifies a device; samna's records may not compare by value."""
    return (
        info.device_type_name,
        info.serial_number,
        info.usb_bus_number,
        info.usb_device_address,
    )
