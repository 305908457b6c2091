"""Load of the cores: whether they keep up with the samples."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from dataclasses import dataclass

from speckflex.analysis.core_load import LayerLoad
from speckflex.recordings.compare import measure_accuracy
from speckflex.report._blocks import Block, Table, Text
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts
from speckflex.report.spelling import interval, millions, milliseconds, percent, plural

__all__ = ["CoreLoads", "RateFacts"]


@dataclass(frozen=True)
class RateFacts:
    """The twin at a stated rate, where input events are lost that find no room at a core.

    Args:
        synops_per_second: the rate of a core, synaptic operations per second.
        accuracy: share of the labelled samples classified right, 0 to 1; null without labels.
        accuracy_interval: lower and upper end of its 95 % Wilson interval; null without labels.
        input_events: number of input events.
        lost: number of events that found no room: of the input, or at a congestion balancer.
        samples: number of samples.
    """

    synops_per_second: float
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None
    input_events: int
    lost: int
    samples: int


@dataclass(frozen=True)
class CoreLoads(Section):
    """Whether the cores keep up, at an unverified rate of work.

    Args:
        load: one entry per core of the program, in network order.
        load_samples: number of samples that were played to measure it, the first ones.
        load_rate: rate of a core that was assumed, synaptic operations per second.
        at_rate: accuracy under a stated rate; null where none was stated.
    """

    anchor = "load"
    title = "Load of the cores"

    load: tuple[LayerLoad, ...]
    load_samples: int
    load_rate: float
    at_rate: RateFacts | None

    @classmethod
    def collect(cls, evidence: Evidence) -> "CoreLoads | None":
        """Return the load of every core; None where it was not measured."""
        if not evidence.loads or evidence.program is None:
            return None
        rate = evidence.rate or evidence.program.chip_record.synops_per_second
        samples = evidence.loads[0].samples
        return cls(tuple(evidence.loads), samples, rate, _at_rate(evidence))

    @property
    def overloaded(self) -> list[LayerLoad]:
        """The cores that can not serve what is asked of them."""
        return [layer for layer in self.load if layer.verdict == "overloaded"]

    @property
    def delay(self) -> float:
        """The longest delay of an input event, or wait of an event for a core, µs."""
        return max(max(layer.input_wait, layer.longest_wait) for layer in self.load)

    @property
    def assumption(self) -> str:
        """The sentence on what the accuracies assume, or what they are at a stated rate."""
        stated = self.at_rate
        if stated is None:
            return (
                "Accuracies and spikes assume cores that keep up with their events; --rate R plays"
                " the twin with cores that do R synaptic operations per second."
            )
        right = ""
        if stated.accuracy is not None and stated.accuracy_interval is not None:
            bounds = interval(stated.accuracy_interval)
            right = f" classifies {percent(stated.accuracy)} correctly (95 % interval {bounds}) and"
        return (
            f"With cores that do {millions(stated.synops_per_second)} SynOps/s, the twin{right}"
            f" loses {stated.lost} events, where the input has {stated.input_events}; the other"
            " accuracies assume cores that keep up."
        )

    def blocks(self, facts: Facts) -> list[Block]:
        """Return one row per core: what is asked of it, and whether it keeps up."""
        rows = [
            [
                layer.name,
                millions(layer.demand),
                millions(layer.served),
                f"{layer.factor:.2f}",
                milliseconds(layer.longest_wait),
                milliseconds(layer.stalled),
                milliseconds(layer.input_wait),
                str(layer.dropped),
                layer.verdict,
            ]
            for layer in self.load
        ]
        headings = ["layer", "demand SynOps/s", "served", "of rate", "longest wait", "stalled"]
        headings += ["input held up", "dropped", "verdict"]
        samples = f"the first {plural(self.load_samples, 'sample')}"
        title = (
            f"load of the cores, over {samples} at {millions(self.load_rate)} SynOps/s (unverified)"
        )
        caption = f"Load of the cores, over {samples}"
        return [Table(caption, headings, rows, title), Text(self.assumption)]

    def page(self, facts: Facts) -> list[Block]:
        """Return how the load was measured, and the table."""
        words = (
            "Demand is the work of a sample over the time that its input lasts, in the sample where"
            " this is highest; served is the same work over the time until the core is done, if"
            " that is longer. Waiting times are those of the worst of the first"
            f" {plural(self.load_samples, 'sample')}. A core takes events in the order in which"
            " they arrive. A full core holds up the cores that send to it: they stall, and in the"
            " end the input waits. The rate of a core, the number of events that may wait for it"
            " and the model are unverified."
        )
        return [Text(words), *self.blocks(facts)]


def _at_rate(evidence: Evidence) -> RateFacts | None:
    tally = evidence.at_rate
    if tally is None or evidence.rate is None:
        return None
    accuracy = measure_accuracy(tally, evidence.labels)
    return RateFacts(
        synops_per_second=evidence.rate,
        accuracy=accuracy and accuracy.share,
        accuracy_interval=accuracy and accuracy.interval,
        input_events=int(tally.columns["written"].sum()),
        lost=tally.lost_events,
        samples=tally.n_samples,
    )
