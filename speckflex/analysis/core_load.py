"""Whether the cores keep up: waiting times at a stated rate of work, before any upload."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from speckflex.analysis.synops import WINDOW
from speckflex.boards.twin import Twin
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.program import Program
    from speckflex.twin.outputs import CoreLoad

__all__ = ["LONGEST_WAIT", "LayerLoad", "measure_load"]

# µs; a choice of this project: a tenth of the 100 ms of silence that ends a read-out in sinabs.
LONGEST_WAIT = 10_000.0

Verdict = Literal["keeps up", "overloaded", "drops while held up", "holds the input up", "held up"]


@dataclass(frozen=True)
class LayerLoad:
    """Whether one core keeps up with the samples; the figures are those of its worst sample.

    Args:
        index: position of the layer in the network, from 0.
        name: name of the layer.
        events: number of events that arrived, over all samples.
        dropped: number of these that the congestion balancer of the core dropped.
        demand: synaptic operations per second that are asked of the core: the work of a sample
            over the time that its input lasts (at least 10 ms), in the sample where this is
            highest.
        served: synaptic operations per second that the core does in that sample: the same work
            over the time until the core is done with it, if that is longer.
        factor: `demand` as a multiple of the stated rate of a core; above 1 no buffer helps.
        utilisation: share of the time between its first event and its last that the core works,
            in the busiest sample.
        longest_wait: longest time that an event waits for the core if any number of events may
            wait, µs.
        backlog: time that the core, under the same condition, still works after the last event
            arrived, µs.
        stalled: time that the core waits with finished spikes because the next core is full, µs.
            If cores stall, look for the busiest core after them.
        input_wait: longest delay of an input event because the core is full, µs; 0 if the input
            does not send to the core.
        verdict: "overloaded" if the core itself drops events or lets them wait too long, "drops
            while held up", "holds the input up" or, if it only stalls too long, "held up" if a
            later core is the cause, else "keeps up".
        passed: whether the verdict is "keeps up".
        samples: number of samples that were played.
    """

    index: int
    name: str
    events: int
    dropped: int
    demand: float
    served: float
    factor: float
    utilisation: float
    longest_wait: float
    backlog: float
    stalled: float
    input_wait: float
    verdict: Verdict
    passed: bool
    samples: int


def measure_load(
    program: Program,
    events: np.ndarray | Sequence[np.ndarray],
    *,
    synops_per_second: float | None = None,
    longest_wait: float = LONGEST_WAIT,
    settings: TwinSettings | None = None,
) -> tuple[LayerLoad, ...]:
    """Return how every core keeps up with the samples.

    The work of an event is the number of neurons that it updates, divided by the rate. A core takes
    events in the order in which they arrive. A spike leaves when the work of its event is done and
    the core that receives it has room; until then its own core takes no other event. The rate of
    the chip (`Chip.synops_per_second`) is the figure of one user and unverified. The model is
    unverified too; `speckflex.twin.service.ServiceModel` describes it in full.

    The samples are played twice. In the first play any number of events may wait at a core, so that
    events wait at the slow core and not at the cores before it. In the second play the settings
    limit the number; from it come the dropped events, the stalls and the delays of the input.

    Args:
        program: the program.
        events: one structured array, or one per sample; fields t (µs), x, y, p.
        synops_per_second: rate of a core; None for the rate of the program's chip.
        longest_wait: time that an event, or the input, may wait, µs.
        settings: other settings of the twin, such as `input_buffer` and `balancer_buffer`.

    Raises:
        BoardError: the rate is not positive.
        EventsError: a sample is no event stream of the input's shape.
    """
    rate = synops_per_second
    if rate is None:
        rate = program.chip_record.synops_per_second
    settings = (settings or TwinSettings()).at_rate(rate)
    endless = replace(settings, input_buffer=None)
    roomy = _play(program, events, endless)
    tight = _play(program, events, settings)
    asked = roomy
    if any(core.congestion_balancer for core in program.cores):
        # what a balancer drops was asked of its core too
        cores = tuple(replace(core, congestion_balancer=False) for core in program.cores)
        asked = _play(replace(program, cores=cores), events, endless)
    lasting = _input_times(events)
    return tuple(
        _worst(
            (index, core.name),
            roomy[index],
            tight[index],
            _Demand([one.busy for one in asked[index]], lasting),
            (rate, longest_wait),
        )
        for index, core in enumerate(program.cores)
    )


@dataclass(frozen=True)
class _Demand:
    """The work that is asked of a core, by sample.

    Args:
        busy: µs of work.
        lasting: µs that the input lasts.
    """

    busy: Sequence[float]
    lasting: Sequence[float]

    @property
    def highest(self) -> int | None:
        """The sample with the most work for the time that its input lasts."""
        shares = [busy / time for busy, time in zip(self.busy, self.lasting, strict=True)]
        return max(range(len(shares)), key=shares.__getitem__, default=None)


def _input_times(events: np.ndarray | Sequence[np.ndarray]) -> list[float]:
    """Return the time from the first event of each sample to its last, at least a window, µs."""
    samples = [events] if isinstance(events, np.ndarray) else events
    return [float(max(WINDOW, np.ptp(one["t"]) if len(one) else 0)) for one in samples]


def _play(
    program: Program, events: np.ndarray | Sequence[np.ndarray], settings: TwinSettings
) -> list[list[CoreLoad]]:
    """Return the load of each core in every sample."""
    with Twin(settings=settings) as twin:
        twin.load(program)
        twin.play(events, monitor=[], keep_events=False)
        return [[loads[index] for loads in twin.loads] for index in range(len(program.cores))]


def _worst(
    layer: tuple[int, str],
    roomy: Sequence[CoreLoad],
    tight: Sequence[CoreLoad],
    asked: _Demand,
    limits: tuple[float, float],
) -> LayerLoad:
    rate, limit = limits
    demand = served = 0.0
    highest = asked.highest
    if highest is not None:
        lasting = asked.lasting[highest]
        demand = rate * asked.busy[highest] / lasting
        served = rate * roomy[highest].busy / max(lasting, roomy[highest].span)
    utilisation = max((load.busy / load.span for load in roomy if load.span), default=0.0)
    dropped = sum(load.dropped for load in tight)
    wait, input_wait = _most(roomy, "longest_wait"), _most(tight, "input_wait")
    verdict: Verdict = "keeps up"
    if wait > limit or any(load.dropped for load in roomy):
        verdict = "overloaded"
    elif dropped:
        verdict = "drops while held up"
    elif input_wait > limit:
        verdict = "holds the input up"
    elif _most(tight, "stalled") > limit:
        verdict = "held up"
    return LayerLoad(
        index=layer[0],
        name=layer[1],
        events=sum(load.events for load in tight),
        dropped=dropped,
        demand=demand,
        served=served,
        factor=demand / rate,
        utilisation=utilisation,
        longest_wait=wait,
        backlog=_most(roomy, "backlog"),
        stalled=_most(tight, "stalled"),
        input_wait=input_wait,
        verdict=verdict,
        passed=verdict == "keeps up",
        samples=len(tight),
    )


def _most(loads: Sequence[CoreLoad], name: str) -> float:
    return max((getattr(load, name) for load in loads), default=0.0)
