"""The record of a deployment or comparison: every rendering of a report is made from it."""

# Annotations are evaluated here: JSON is written and read, and its schema made, from them.

from dataclasses import dataclass, field, fields

from speckflex.report._section import Section
from speckflex.report.facts import Facts
from speckflex.report.sections._accuracy import Accuracies
from speckflex.report.sections._chance import Chance
from speckflex.report.sections._cores import Cores
from speckflex.report.sections._difference import Differences
from speckflex.report.sections._divergence import FirstDivergence
from speckflex.report.sections._early_exit import EarlyExits
from speckflex.report.sections._energy import LatencyAndEnergy
from speckflex.report.sections._ladder import Ladder
from speckflex.report.sections._load import CoreLoads
from speckflex.report.sections._losses import Losses
from speckflex.report.sections._neurons import Neurons
from speckflex.report.sections._per_sample import PerSample
from speckflex.report.sections._provenance import Origins
from speckflex.report.sections._sample import OneSample
from speckflex.report.sections._sensitivity import Sensitivity
from speckflex.report.sections._weights import Weights

__all__ = ["Report"]


# The sections are the fields that are a `Section`: every rendering shows them in the order of the
# fields. A new section is one module in `sections/` and one field here.
@dataclass(frozen=True, kw_only=True)
class Report(Facts):
    """What `report.json` holds, and what its pictures are drawn from.

    Recordings are named by their roles: "torch", "twin", "chip" or a name of the caller's own.

    Args:
        verdict: the summary in a few sentences.
        steps: what each step from the trained network to the chip costs.
        causes: which layer costs what; None where it was not asked for.
        accuracies: how often each recording names the right class.
        samples_alone: what each recording says about each sample.
        differences: how far the recordings differ, layer by layer.
        lost: what was lost on the way, as far as it can be known.
        chance: how far changed plays of the same samples differ; None where none were asked for.
        neurons: how far the recordings differ, neuron by neuron.
        divergence: the first place where the recordings differ.
        one_sample: the sample whose output differs most.
        cores: what the program takes of the chip.
        core_loads: whether the cores keep up; None where it was not measured.
        latency_and_energy: when the network decides, and what a sample takes; None where neither
            is known.
        early_exits: how soon the output can be read; None where it was not asked for.
        weights: what rounding to 8 bits did.
        origins: where the recordings come from.
    """

    verdict: str
    steps: Ladder
    causes: Sensitivity | None = None
    accuracies: Accuracies
    samples_alone: PerSample
    differences: Differences = field(default_factory=Differences)
    lost: Losses
    chance: Chance | None = None
    neurons: Neurons = field(default_factory=Neurons)
    divergence: FirstDivergence = field(default_factory=FirstDivergence)
    one_sample: OneSample = field(default_factory=OneSample)
    cores: Cores
    core_loads: CoreLoads | None = None
    latency_and_energy: LatencyAndEnergy | None = None
    early_exits: EarlyExits | None = None
    weights: Weights = field(default_factory=Weights)
    origins: Origins

    @property
    def run_id(self) -> str:
        """What the files of one run have in common; "" where the recordings are of several."""
        runs = {origin.settings.get("run", "") for origin in self.origins.provenance.values()}
        return runs.pop() if len(runs) == 1 else ""

    @property
    def sections(self) -> list[Section]:
        """The sections that this report has, in their order."""
        values = (getattr(self, one.name) for one in fields(self))
        return [value for value in values if isinstance(value, Section)]
