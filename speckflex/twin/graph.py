"""The cores of a program and where each sends its spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.program.routing import Edge, Places, deliver, enter
from speckflex.twin.cores import CoreModel

if TYPE_CHECKING:
    from speckflex.program.program import Program
    from speckflex.program.records import Core, InputStage
    from speckflex.twin.settings import TwinSettings

__all__ = ["Graph"]


class Graph:
    """What never changes while a program runs; shared by all threads.

    Attributes:
        program: the program.
        settings: the twin's.
        entered: where the input stage puts each address of the events.
        cores: the cores' constants, each core after its senders.
        edges: the destinations of each core, and at the end those of the input.
        merges: whether a core has several senders.
        leaks: whether a core adds a bias at a tick.
        withholds: whether a core keeps its last spike back.
    """

    def __init__(self, program: Program, settings: TwinSettings) -> None:
        self.program = program
        self.settings = settings
        self.entered = enter(
            program.input, settings.mirror_frame, settings.feature_of(program.input)
        )
        arrivals: list[list[Places]] = [[] for _ in program.cores]
        input_edges = _connect(program.input, self.entered, arrivals, settings)
        self.cores: list[CoreModel] = []
        self.edges: list[list[Edge]] = []
        for core, places in zip(program.cores, arrivals, strict=True):
            limits = program.chip_record.core(core.chip_core)
            parallel = limits is not None and not limits.repeatable
            model = CoreModel(core, places, settings, parallel=parallel)
            self.cores.append(model)
            self.edges.append(_connect(core, model.places, arrivals, settings))
        self.edges.append(input_edges)
        self.merges = any(core.n_senders > 1 for core in self.cores)
        self.leaks = any(core.bias is not None for core in self.cores)
        self.withholds = any(core.withholds for core in self.cores)


def _connect(
    sender: InputStage | Core,
    places: Places,
    arrivals: list[list[Places]],
    settings: TwinSettings,
) -> list[Edge]:
    """Add what each destination receives to `arrivals` and return the edges there."""
    edges = []
    ranks = settings.ranks(sender.destinations)
    for rank, destination in zip(ranks, sender.destinations, strict=True):
        received = arrivals[destination.core]
        offset = sum(len(earlier.rows) for earlier in received)
        received.append(deliver(places, sender.output_shape, destination, settings.edge_spikes))
        edges.append(Edge(destination.core, offset, rank))
    return edges
