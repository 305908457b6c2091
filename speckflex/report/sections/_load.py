"""Load of the cores: whether they keep up with the samples."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from dataclasses import dataclass

from speckflex.analysis.core_load import LayerLoad
from speckflex.report._blocks import Block, Table, Text
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts
from speckflex.report.spelling import millions, milliseconds, percent, plural

__all__ = ["CoreLoads"]


@dataclass(frozen=True)
class CoreLoads(Section):
    """Whether the cores keep up, at an unverified rate of work.

    Args:
        load: one entry per core of the program, in network order.
        load_samples: number of samples that were played to measure it.
    """

    anchor = "load"
    title = "Load of the cores"

    load: tuple[LayerLoad, ...]
    load_samples: int

    @classmethod
    def collect(cls, evidence: Evidence) -> "CoreLoads | None":
        """Return the load of every core; None where it was not measured."""
        if not evidence.loads:
            return None
        return cls(tuple(evidence.loads), len(evidence.input_events))

    def blocks(self, facts: Facts) -> list[Block]:
        """Return one row per core: how busy it is, and whether it keeps up."""
        rows = [
            [
                layer.name,
                millions(layer.sustained),
                percent(layer.utilisation),
                milliseconds(layer.longest_wait),
                milliseconds(layer.stalled),
                milliseconds(layer.input_wait),
                str(layer.dropped),
                layer.verdict,
            ]
            for layer in self.load
        ]
        headings = ["layer", "sustained SynOps/s", "busy", "longest wait", "stalled"]
        headings += ["input held up", "dropped", "verdict"]
        return [Table("Load of the cores", headings, rows, "load of the cores")]

    def page(self, facts: Facts) -> list[Block]:
        """Return how the load was measured, and the table."""
        words = (
            "Waiting times in the busiest of the first"
            f" {plural(self.load_samples, 'sample')}. A core takes events in the order in which"
            " they arrive. A full core holds up the cores that send to it: they stall, and in the"
            " end the input waits. The rate of a core, the number of events that may wait for it"
            " and the model are unverified."
        )
        return [Text(words), *self.blocks(facts)]
