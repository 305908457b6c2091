"""Whether the cores keep up: waiting times under a stated rate of work, before any upload."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from speckflex.boards.settings import TwinSettings
from speckflex.boards.twin import Twin
from speckflex.speck import SYNOPS_PER_SECOND

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from speckflex.program import Program
    from speckflex.twin.service import CoreLoad

__all__ = ["LONGEST_WAIT", "LayerLoad", "measure_load"]

# µs; a choice of this project: a tenth of the 100 ms of silence that ends a read-out in sinabs.
LONGEST_WAIT = 10_000.0
MICROSECONDS = 1_000_000


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
        longest_wait: µs that an event waited for the core, from when it was ready to be sent.
        backlog: µs for which the core was not done once the last event of a sample was ready.
        stalled: µs of the worst sample for which the core, its work done, held spikes that found
            no room further on. Where cores stall, look for the busiest one behind them.
        input_wait: µs that an event of the input was held up at the most, before the core had
            room for it; 0 where the input does not send to the core.
        passed: nothing was dropped and nothing waited too long.
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
    passed: bool

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return asdict(self)


def measure_load(
    program: Program,
    events: np.ndarray | Sequence[np.ndarray],
    *,
    synops_per_second: float = SYNOPS_PER_SECOND,
    longest_wait: float = LONGEST_WAIT,
    settings: TwinSettings | None = None,
) -> tuple[LayerLoad, ...]:
    """Return how every core keeps up with the samples.

    An event takes the number of neurons that it updates, divided by the rate. A core takes
    events first come, first served; a spike leaves when its event is done and the core it goes to
    has room, and until then its own core takes no other event. The rate is
    `speck.SYNOPS_PER_SECOND` unless stated, one user's figure and unverified; so is the model,
    which `speckflex.twin.service.ServiceModel` tells in full.

    Args:
        program: what would run.
        events: one structured array, or one per sample; fields t (µs), x, y, p.
        synops_per_second: how fast a core works.
        longest_wait: µs that an event may wait.
        settings: the twin's other settings, such as `input_buffer` and `balancer_buffer`.

    Raises:
        BoardError: the rate is not positive.
        EventsError: a sample is no event stream of the input's shape.
    """
    settings = replace(settings or TwinSettings(), synops_per_second=synops_per_second)
    with Twin(settings=settings) as twin:
        twin.load(program)
        twin.play(events, monitor=[], keep_events=False)
        samples = twin.loads
    return tuple(
        _worst(
            index, core.name, [loads[index] for loads in samples], (synops_per_second, longest_wait)
        )
        for index, core in enumerate(program.cores)
    )


def _worst(
    index: int, name: str, loads: Sequence[CoreLoad], limits: tuple[float, float]
) -> LayerLoad:
    rate, longest_wait = limits
    dropped = sum(load.dropped for load in loads)
    utilisation = max((load.busy / load.span for load in loads if load.span), default=0.0)
    wait = _most(loads, "longest_wait")
    return LayerLoad(
        index=index,
        name=name,
        events=sum(load.events for load in loads),
        dropped=dropped,
        sustained=utilisation * rate,
        utilisation=utilisation,
        longest_wait=wait,
        backlog=_most(loads, "backlog"),
        stalled=_most(loads, "stalled"),
        input_wait=_most(loads, "input_wait"),
        passed=not dropped and wait <= longest_wait,
    )


def _most(loads: Sequence[CoreLoad], name: str) -> float:
    return max((getattr(load, name) for load in loads), default=0.0)
