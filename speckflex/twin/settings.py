"""The twin's settings: a name for each thing that nobody knows about the chip.

Those of `TwinSettings` that say how a chip behaves, and that an experiment on a board can settle:
`output_order`, `destination_order`, `overflow`, `edge_spikes`, `mirror_frame`, `merge_feature`,
`single_polarity_feature`, `leak_spikes`, `leak_cores_01`, `withheld_spike`, `decimator_table`,
`decimator_passes` and `decimator_monitor`. Most have a fact of the same name in
`speckflex.chips.facts`, with its source and the experiment, whose value is the default.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from math import isfinite
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from speckflex.chips.facts import fact
from speckflex.errors import BoardError
from speckflex.events.streams import MICROSECONDS_PER_SECOND
from speckflex.program.records import EdgeSpikes, MirrorFrame  # noqa: TC001  read from hints
from speckflex.twin.output_order import OutputOrder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.records import InputStage

__all__ = [
    "EngineTimes",
    "TwinSettings",
]

DestinationOrder = Literal["listed", "reversed", "lower feature first", "higher feature first"]
Overflow = Literal["saturate", "wrap", "compare before cutting to 16 bits"]
LeakSpikes = Literal["at next event", "at tick"]
DecimatorPasses = Literal["last", "first"]
DecimatorMonitor = Literal["before", "after"]
DecimatorTable = Literal["without 64", "with 64"]
MergeFeature = Literal[0, 1]
SinglePolarityFeature = Literal["that of the polarity", 0, 1]
LeakCores01 = Literal["works", "none"]
WithheldSpike = Literal["no", "last"]

# The slow clock made of the camera's events divides their number by a power of two (DS 3.2.6.3.1).
CLOCK_DIVIDERS = range(14, 18)

# One spike in so many, by interval: without 64 in samna's reference and DS table 4, with it in
# samna's guide of the models.
DECIMATOR_TABLES = {
    "without 64": (2, 4, 8, 16, 32, 128, 256, 512),
    "with 64": (2, 4, 8, 16, 32, 64, 128, 256),
}


@dataclass(frozen=True)
class EngineTimes:
    """How long each of the two engines of chip cores 0 and 1 takes for an event, µs.

    The engines take events in turn. When events come faster than they are processed, one engine
    falls behind the other, and events overtake each other. The defaults were fitted to the counts
    of one layer of a real Speck2f (five recordings, 16 channels, kernel 5, stride 2) and are
    unverified beyond it; `benchmarks/real_chip.md` tells how well they do there. They stay a fit:
    documents and another recording give about 3 µs for an event of that layer, not 97, and with
    such times the model explains nothing.

    Args:
        event: for the event itself.
        update: for each neuron that it updates.
        spike: for each neuron that fires.
    """

    event: float = 57.0
    update: float = 0.38
    spike: float = 2.0

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if not (isfinite(value) and value >= 0):
                raise BoardError(f"engine time {item.name} is {value} µs: give 0 or more")


@dataclass(frozen=True)
class TwinSettings:
    """Choices where no source says what the chip does; the defaults are conventions.

    Args:
        output_order: in which order the neurons that fire on one event send their spikes: c, y
            and x, the outer loop first, each behind + if it rises or - if it falls, one of 48
            orders. "-y-x+c" goes from the last row to the first, in a row from the last column to
            the first, and at each place from channel to channel. Kernel memory is documented as
            tap, output, input: read from its start, it gives this order.
        destination_order: which destination of a spike is served first: as they are listed, or by
            the features at which the spike arrives there.
        overflow: what a potential does beyond 32767: stay there, wrap to -32768, or be compared
            with the threshold as it is, where what is left then stays at 32767.
        edge_spikes: what happens to spikes beyond the last whole pooling window: they are dropped,
            as in torch, or sent on as if the map were larger.
        mirror_frame: the input stage mirrors inside its region of interest, as sinabs does,
            the whole picture before the region is cut out, or not at all.
        slow_clock_period: µs between two ticks of an external slow clock, which add each
            core's bias and which an event filter counts; None for no such clock.
        slow_clock_phase: µs; the first tick comes one period after it.
        slow_clock_divider: 14 to 17, one tick in 2**14 to 2**17 input events (the chip's
            internal clock); None for no such clock.
        merge_feature: the channel of all sensor events where the input stage merges the
            polarities. A spike to a channel that a layer does not have gets lost there.
        single_polarity_feature: the channel of sensor events where the input stage lets one
            polarity through.
        leak_cores_01: whether the bias of layers on chip cores 0 and 1 is added at a tick. The
            errata list says that it is not usable, a recording and the vendor's scripts use it.
        withheld_spike: "last" for layers on chip cores 0 and 1 that keep their last spike back
            until a later one pushes it out. Documented is that one may stay inside, not which.
        leak_spikes: a neuron that a tick lifts to its threshold fires at the next event that
            reaches it, or at the tick.
        decimator_table: whether the decimator's intervals 0 to 7 stand for one spike in 2, 4, 8,
            16, 32, 128, 256 or 512, without 64, or in 2, 4, 8, 16, 32, 64, 128 or 256.
        decimator_passes: which of N spikes a decimator passes on.
        decimator_monitor: whether a monitor sees the spikes before or after the decimator.
        synops_per_second: how fast a core works, for waiting times and for the congestion
            balancer; None for infinitely fast. `Chip.synops_per_second` is one user's figure.
        balancer_buffer: events that may wait at a busy core before its balancer drops more.
        input_buffer: events that may wait at a busy core without balancer before it holds up
            its senders; None for any number. It matters only with `synops_per_second`. That a full
            core holds up others is documented; how many events it has room for is not.
        parallel_window: on chip cores 0 and 1, whose engines run in parallel, an event may
            overtake others that arrived up to this many places before it, at random;
            1 for strict order. How far they do is not known.
        seed: of that random order, and of nothing else.
        engine_times: how long the two engines of chip cores 0 and 1 take, to let events
            overtake each other as the times say, not at random; None for strict order.
    """

    output_order: str = fact("output_order")
    destination_order: DestinationOrder = "listed"
    overflow: Overflow = "saturate"
    edge_spikes: EdgeSpikes = fact("edge_spikes")  # noqa: RUF009 - a constant of a table
    mirror_frame: MirrorFrame = "region"
    merge_feature: MergeFeature = fact("merge_feature")  # noqa: RUF009 - a constant of a table
    single_polarity_feature: SinglePolarityFeature = fact("single_polarity_feature")  # noqa: RUF009 - a constant of a table
    leak_cores_01: LeakCores01 = fact("leak_cores_01")  # noqa: RUF009 - a constant of a table
    withheld_spike: WithheldSpike = fact("withheld_spike")  # noqa: RUF009 - a constant of a table
    slow_clock_period: int | None = None
    slow_clock_phase: int = 0
    slow_clock_divider: int | None = None
    leak_spikes: LeakSpikes = "at next event"
    decimator_table: DecimatorTable = fact("decimator_table")  # noqa: RUF009 - a constant of a table
    decimator_passes: DecimatorPasses = "last"
    decimator_monitor: DecimatorMonitor = "before"
    synops_per_second: float | None = None
    balancer_buffer: int = 16
    input_buffer: int | None = 16
    parallel_window: int = 1
    seed: int = 0
    engine_times: EngineTimes | None = None

    def __post_init__(self) -> None:
        # a text in full, so that equal orders are equal settings
        order = str(OutputOrder.parse(self.output_order))
        object.__setattr__(self, "output_order", order)
        _check_choices(self, "twin setting")
        _check_clock(self)
        _check_whole_numbers(self)
        rate = self.synops_per_second
        if rate is not None and not (isfinite(rate) and rate > 0):
            raise BoardError(
                f"twin setting synops_per_second is {rate}: give a positive number, or None"
            )
        if rate is not None and self.engine_times is not None:
            raise BoardError(
                "the twin has synops_per_second and engine_times: give one model of time"
            )
        if rate is not None and self.withheld_spike != "no":
            raise BoardError(
                f"the twin has synops_per_second and a withheld_spike of {self.withheld_spike!r}:"
                " the model of time has no spike without a cause, leave one of the two out"
            )
        if rate is not None and self.parallel_window > 1:
            raise BoardError(
                f"the twin has synops_per_second and a parallel_window of {self.parallel_window}:"
                " events that overtake others at random have no times, leave one of the two out"
            )

    @classmethod
    def ticking(cls, rate: float | None) -> TwinSettings:
        """Return settings with a slow clock of a rate in Hz, as a chip's; None for no clock.

        Raises:
            BoardError: the rate is not positive, or has a period of less than 1 µs.
        """
        if rate is None:
            return cls()
        if not (isinstance(rate, Real) and 0 < rate <= MICROSECONDS_PER_SECOND):
            raise BoardError(
                f"the slow clock's rate is {rate!r} Hz: give more than 0 and up to"
                f" {MICROSECONDS_PER_SECOND}, or None for no clock"
            )
        return cls(slow_clock_period=round(MICROSECONDS_PER_SECOND / rate))

    def at_rate(self, synops_per_second: float) -> TwinSettings:
        """Return the same settings with cores that take their time.

        What has no place in that model of time is left out: a withheld spike, and events that
        overtake others at random or by other times.

        Raises:
            BoardError: the rate is not positive.
        """
        return replace(
            self,
            synops_per_second=synops_per_second,
            withheld_spike="no",
            parallel_window=1,
            engine_times=None,
        )

    @property
    def has_slow_clock(self) -> bool:
        """Whether any slow clock ticks."""
        return self.slow_clock_period is not None or self.slow_clock_divider is not None

    def feature_of(self, stage: InputStage) -> int | None:
        """Return the channel of all events behind an input stage; None to keep their own."""
        if stage.merge_polarities:
            return self.merge_feature
        alone = self.single_polarity_feature
        return None if alone == "that of the polarity" else alone

    def ranks(self, destinations: Sequence[Any]) -> list[int]:
        """Return when each destination of a sender is served, 0 for the first.

        Args:
            destinations: each with a `feature_shift`, or without where it is 0.
        """
        served = list(range(len(destinations)))
        if self.destination_order == "reversed":
            served.reverse()
        elif self.destination_order != "listed":
            sign = 1 if self.destination_order == "lower feature first" else -1
            served.sort(key=lambda at: sign * getattr(destinations[at], "feature_shift", 0))
        return [served.index(position) for position in range(len(served))]

    @property
    def ratios(self) -> tuple[int, ...]:
        """Return of how many spikes a decimator passes one, by its interval."""
        return DECIMATOR_TABLES[self.decimator_table]

    @property
    def is_timed(self) -> bool:
        """Whether spikes carry the moment at which they set out."""
        return self.synops_per_second is not None or self.engine_times is not None

    @property
    def overtakes(self) -> bool:
        """Whether an event may overtake others that wait."""
        return self.parallel_window > 1 or self.engine_times is not None

    def named(self) -> dict[str, str]:
        """Return every setting as text, for a recording's provenance."""
        return {item.name: str(getattr(self, item.name)) for item in fields(self)}


def _check_choices(settings: Any, what: str) -> None:
    for name, hint in get_type_hints(type(settings)).items():
        value = getattr(settings, name)
        if get_origin(hint) is Literal and value not in get_args(hint):
            known = ", ".join(map(str, get_args(hint)))
            raise BoardError(f"{what} {name} is {value!r}: choose one of {known}")


def _check_whole_numbers(settings: TwinSettings) -> None:
    least_values = {"balancer_buffer": 0, "input_buffer": 0, "parallel_window": 1, "seed": 0}
    for name, least in least_values.items():
        value = getattr(settings, name)
        if value is None and name == "input_buffer":
            continue
        if not isinstance(value, Integral) or value < least:
            raise BoardError(
                f"twin setting {name} is {value!r}: give an integer of {least} or more"
            )


def _check_clock(settings: TwinSettings) -> None:
    period, divider = settings.slow_clock_period, settings.slow_clock_divider
    if period is not None and (not isinstance(period, Integral) or period < 1):
        raise BoardError(
            f"twin setting slow_clock_period is {period!r} µs: give a whole number of 1 or more,"
            " or None"
        )
    if not isinstance(settings.slow_clock_phase, Integral):
        raise BoardError(
            f"twin setting slow_clock_phase is {settings.slow_clock_phase!r} µs:"
            " give a whole number"
        )
    if divider is not None and divider not in CLOCK_DIVIDERS:
        raise BoardError(f"twin setting slow_clock_divider is {divider}: give 14 to 17, or None")
    if period is not None and divider is not None:
        raise BoardError("the slow clock has a period and a divider: the chip takes one of them")
