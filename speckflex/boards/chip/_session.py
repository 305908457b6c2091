"""Playing one stream of events on a device: when to write, and when to stop reading."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from speckflex.boards.chip._link import SpikeRow  # noqa: TC001 - a field's type
from speckflex.chips.facts import fact
from speckflex.errors import BoardError
from speckflex.events.streams import MICROSECONDS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from speckflex.boards.chip._events import InputWriter
    from speckflex.boards.chip._link import ChipLink
    from speckflex.boards.chip.settings import ChipSettings

__all__ = [
    "Stream",
    "StreamOutcome",
    "longest_left",
    "play_stream",
    "split_into_streams",
    "when_unanswered",
]

# µs that the stop watch runs before the first event is due, so that the event arrives in time.
LEAD = 2_000
# µs by which events are written before they are due. The events of one writing lie no further
# apart, so that what is left of a play that was broken off leaves the board within twice this.
AHEAD = 1_000_000
COUNTER_END = fact("counter") - 1  # µs
PAUSE = 0.0005  # s between two looks at the output


@dataclass(frozen=True, eq=False)
class StreamOutcome:
    """What playing a stream brought.

    Args:
        spikes: in the order they arrived.
        others: samna's events of what else arrived, such as values of the readout layer.
        stopped: "silence" or "deadline".
        late: input events that were written only after they were due.
    """

    spikes: list[SpikeRow]
    others: list[Any]
    stopped: Literal["silence", "deadline"]
    late: int


@dataclass(frozen=True, eq=False)
class Stream:
    """Samples that are played in one go.

    Args:
        samples: event arrays.
        offsets: µs on the stop watch at which each sample starts.
        end: µs on the stop watch of the last event.
    """

    samples: Sequence[np.ndarray]
    offsets: list[int]
    end: int

    @classmethod
    def of(cls, samples: Sequence[np.ndarray], gap: int) -> Stream:
        """Return the stream of samples one after the other.

        Args:
            samples: event arrays.
            gap: µs between the last event of a sample and the start of the next.
        """
        offsets, end = [], LEAD - gap
        for events in samples:
            offsets.append(end + gap)
            end = offsets[-1] + (int(events["t"].max()) if len(events) else 0)
        return cls(samples, offsets, end)

    def sample_of(self, times: np.ndarray) -> np.ndarray:
        """Return the `(n,)` positions of the samples that times on the stop watch lie in."""
        return np.maximum(np.searchsorted(self.offsets, times, side="right") - 1, 0)


def split_into_streams(
    samples: Sequence[np.ndarray], settings: ChipSettings
) -> list[list[np.ndarray]]:
    """Return the samples in groups, each of which the stop watch can count without wrapping.

    Raises:
        BoardError: one sample is longer than that.
    """
    # reading goes on behind the last event, at the latest until the deadline
    longest = COUNTER_END - int(settings.deadline * MICROSECONDS_PER_SECOND)
    groups: list[list[np.ndarray]] = []
    for index, events in enumerate(samples):
        if groups and Stream.of([*groups[-1], events], settings.gap).end <= longest:
            groups[-1].append(events)
        elif (end := Stream.of([events], settings.gap).end) <= longest:
            groups.append([events])
        else:
            raise BoardError(
                f"sample {index} ends at {_seconds(end)}, and the board's stop watch counts"
                f" {_seconds(longest)}: cut the sample in parts and play them with reset=False"
            )
    return groups


def _seconds(duration: int) -> str:
    return f"{duration / MICROSECONDS_PER_SECOND:.0f} s"


def when_unanswered(link: ChipLink, speed: float) -> Callable[[], None] | None:
    """Return what is done before a question is put again behind events that are all due.

    samna's page on the devkits can be read as that questions, which carry no time, are dropped
    while the stop watch runs. Where events take no time, the watch is not ahead of them, and stops
    none of them.
    """
    return None if math.isinf(speed) else link.stop_watch


def longest_left(speed: float) -> float:
    """Return the real s after which no event of a play that was broken off waits any more."""
    return 2 * AHEAD / MICROSECONDS_PER_SECOND / speed


class _Watch:
    """The device's stop watch as the host sees it."""

    def __init__(self, speed: float) -> None:
        self._speed, self._started = speed, time.monotonic()

    def reading(self) -> float:
        """Return the µs on the watch; infinity where events take no time."""
        if math.isinf(self._speed):
            return math.inf
        return (time.monotonic() - self._started) * self._speed * MICROSECONDS_PER_SECOND

    def seconds_until(self, moment: float) -> float:
        """Return the real seconds until the watch shows `moment` µs."""
        if math.isinf(self._speed):
            return 0.0
        return max(0.0, (moment - self.reading()) / (self._speed * MICROSECONDS_PER_SECOND))


def play_stream(
    link: ChipLink,
    writer: InputWriter,
    stream: Stream,
    *,
    settings: ChipSettings,
    speed: float,
    probe: tuple[int, int],
) -> StreamOutcome:
    """Play a stream, and read until the device is silent.

    A question to a neuron follows the last event: its answer shows that the FPGA has sent
    everything. If no answer comes, the watch is stopped and the question is asked again. Then
    reading goes on until no spike has come for the time of silence.

    Args:
        link: the opened device, its neurons in the state they are to start from.
        writer: makes the input events.
        stream: what to play.
        settings: of the board.
        speed: board seconds per real second, 1 for a real board.
        probe: (core, address) of any neuron.

    Raises:
        BoardError: the device is gone or doesn't answer.
    """
    link.take_spikes()
    link.take_others()
    chunks = _chunks(writer, stream, settings.chunk)
    chunk = next(chunks, None)
    link.start_watch()
    watch, late = _Watch(speed), 0
    while chunk is not None:
        times, events = chunk
        _poll_until(link, watch, float(times[0]) - AHEAD)
        link.play(events)
        if not math.isinf(speed):
            late += int((times < watch.reading()).sum())
        chunk = next(chunks, None)
        link.poll()
    link.write([link.question(probe)])
    due = watch.seconds_until(stream.end)
    link.await_answers([probe], deadline=settings.deadline, due=due, unanswered=link.stop_watch)
    link.unsettled = False
    # a device might answer before the stop watch has reached the last event
    _poll_until(link, watch, stream.end)
    stopped = _read_until_silent(link, settings, speed)
    link.stop_watch()
    return StreamOutcome(link.take_spikes(), link.take_others(), stopped, late)


def _chunks(
    writer: InputWriter, stream: Stream, size: int
) -> Iterator[tuple[np.ndarray, list[Any]]]:
    """Yield times on the stop watch and samna's events in chunks, each made when it is needed."""
    for events, offset in zip(stream.samples, stream.offsets, strict=True):
        # a stream may run backwards in places; such events leave at once
        latest, start = np.maximum.accumulate(events["t"]), 0
        while start < len(events):
            in_time = int(np.searchsorted(latest, latest[start] + AHEAD, side="right"))
            part = events[start : min(start + size, in_time)]
            yield part["t"] + offset, writer.make(part, offset)
            start += len(part)


def _poll_until(link: ChipLink, watch: _Watch, moment: float) -> None:
    while watch.reading() < moment:
        link.poll()
        time.sleep(min(PAUSE, watch.seconds_until(moment)))


def _read_until_silent(
    link: ChipLink, settings: ChipSettings, speed: float
) -> Literal["silence", "deadline"]:
    """Read until nothing has come for the time of silence; return what ended the reading."""
    over = time.monotonic()
    silence = settings.silence / 1000 / speed
    while True:
        link.poll()
        now = time.monotonic()
        if now - max(over, link.last_arrival) >= silence:
            return "silence"
        if now - over > settings.deadline:
            return "deadline"
        time.sleep(PAUSE)
