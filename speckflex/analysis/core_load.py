"""Whether the cores keep up: waiting times under a stated rate of work, before any upload."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from speckflex.boards.twin import Twin
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.program.program import Program
    from speckflex.twin.service import CoreLoad

__all__ = ["LONGEST_WAIT", "LayerLoad", "measure_load"]

# µs; a choice of this project: a tenth of the 100 ms of silence that ends a read-out in sinabs.
LONGEST_WAIT = 10_000.0

Verdict = Literal["keeps up", "overloaded", "drops while held up", "holds the input up"]


@dataclass(frozen=True)
class LayerLoad:
    """How one core keeps up with the samples, its worst sample deciding.

    Args:
        index: the layer's position in the network.
        name: the layer's name.
        events: events that arrived, over all samples.
        dropped: of these, turned away by the core's congestion balancer.
        sustained: synaptic operations a second, over the busiest sample as a whole.
        utilisation: `sustained` as a share of the stated rate.
        longest_wait: µs that an event waited for the core, were there room for any number.
        backlog: µs for which the core was not done, then, once the last event was ready.
        stalled: µs of the worst sample for which the core, its work done, held spikes that found
            no room further on. Where cores stall, look for the busiest one behind them.
        input_wait: µs that an event of the input was late at the most when the core, which it
            had found full, had room for it; 0 where the input does not send to the core.
        verdict: what the figures come to; "overloaded" where the core by itself drops events or
            lets them wait too long, "drops while held up" and "holds the input up" where it does
            so for the sake of a core further on.
        passed: whether the verdict is "keeps up".
    """

    index: int
    name: str
    events: int
    dropped: int
    sustained: float
    utilisation: float
    longest_wait: float
    backlog: float
    stalled: float
    input_wait: float
    verdict: Verdict
    passed: bool


def measure_load(
    program: Program,
    events: np.ndarray | Sequence[np.ndarray],
    *,
    synops_per_second: float | None = None,
    longest_wait: float = LONGEST_WAIT,
    settings: TwinSettings | None = None,
) -> tuple[LayerLoad, ...]:
    """Return how every core keeps up with the samples.

    An event takes the number of neurons that it updates, divided by the rate. A core takes
    events first come, first served; a spike leaves when its event is done and the core it goes to
    has room, and until then its own core takes no other event. The rate of the chip
    (`Chip.synops_per_second`) is one user's figure and unverified; so is the model, which
    `speckflex.twin.service.ServiceModel` describes in full.

    The samples are played twice. Once with room for any number of events at each core, so that
    events wait at the core that is slow, and not at those before it that it holds up. Then with the
    room that the settings give: from this play are what was dropped, stalled and held up.

    Args:
        program: what would run.
        events: one structured array, or one per sample; fields t (µs), x, y, p.
        synops_per_second: how fast a core works; None for the rate of the program's chip.
        longest_wait: µs that an event, or the input, may wait.
        settings: the twin's other settings, such as `input_buffer` and `balancer_buffer`.

    Raises:
        BoardError: the rate is not positive.
        EventsError: a sample is no event stream of the input's shape.
    """
    rate = synops_per_second
    if rate is None:
        rate = program.chip_record.synops_per_second
    settings = replace(settings or TwinSettings(), synops_per_second=rate)
    roomy = _play(program, events, replace(settings, input_buffer=None))
    tight = _play(program, events, settings)
    return tuple(
        _worst((index, core.name), roomy[index], tight[index], (rate, longest_wait))
        for index, core in enumerate(program.cores)
    )


def _play(
    program: Program, events: np.ndarray | Sequence[np.ndarray], settings: TwinSettings
) -> list[list[CoreLoad]]:
    """Return for each core its load in every sample."""
    with Twin(settings=settings) as twin:
        twin.load(program)
        twin.play(events, monitor=[], keep_events=False)
        return [[loads[index] for loads in twin.loads] for index in range(len(program.cores))]


def _worst(
    layer: tuple[int, str],
    roomy: Sequence[CoreLoad],
    tight: Sequence[CoreLoad],
    limits: tuple[float, float],
) -> LayerLoad:
    rate, limit = limits
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
    return LayerLoad(
        index=layer[0],
        name=layer[1],
        events=sum(load.events for load in tight),
        dropped=dropped,
        sustained=utilisation * rate,
        utilisation=utilisation,
        longest_wait=wait,
        backlog=_most(roomy, "backlog"),
        stalled=_most(tight, "stalled"),
        input_wait=input_wait,
        verdict=verdict,
        passed=verdict == "keeps up",
    )


def _most(loads: Sequence[CoreLoad], name: str) -> float:
    return max((getattr(load, name) for load in loads), default=0.0)
