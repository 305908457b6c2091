"""Spread of changed plays: how far chance alone moves the spikes."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from dataclasses import dataclass

from speckflex.events.perturbation import Perturbation
from speckflex.report._blocks import Block, Table, Text
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import AccuracySpread, EnsembleFacts, Facts
from speckflex.report.spelling import percent, plural

__all__ = ["Chance"]


@dataclass(frozen=True)
class Chance(Section):
    """The spread of changed plays.

    Args:
        ensemble: how far plays of the same samples on the twin differ, each with small changes.
    """

    anchor = "chance"
    title = "Spread of changed plays"

    ensemble: EnsembleFacts

    @classmethod
    def collect(cls, evidence: Evidence) -> "Chance | None":
        """Return how far the plays of the ensemble differ; None without an ensemble."""
        ensemble = evidence.ensemble
        if ensemble is None:
            return None
        if isinstance(ensemble, EnsembleFacts):
            return cls(ensemble)
        shares = ensemble.accuracies()
        return cls(
            EnsembleFacts(
                plays=len(ensemble.plays),
                seed=ensemble.seed,
                perturbation=ensemble.perturbation,
                layers=tuple(ensemble.spread(one.index) for one in ensemble.unperturbed.layers),
                accuracy=None
                if shares is None
                else AccuracySpread(float(shares.mean()), float(shares.min()), float(shares.max())),
                samples=ensemble.unperturbed.n_samples,
            )
        )

    def blocks(self, facts: Facts) -> list[Block]:
        """Return one row per layer: spikes, and the spike differences between plays."""
        rows = [
            [
                layer.name,
                f"{layer.spikes[0]:.0f} ± {layer.spikes[1]:.0f}",
                *(percent(share) for share in (*layer.from_unperturbed, *layer.between_plays)),
            ]
            for layer in self.ensemble.layers
        ]
        headings = ["layer", "spikes", "from unchanged", "maximum", "between plays", "maximum"]
        caption = "Spike difference of changed plays: mean and maximum"
        return [Table(caption, headings, rows, "changed plays of the same samples")]

    def page(self, facts: Facts) -> list[Block]:
        """Return what was changed, and the table."""
        ensemble, changes = self.ensemble, _changes(self.ensemble.perturbation)
        words = (
            f"The first {plural(ensemble.samples, 'sample')} were played {ensemble.plays} times on"
            f" the twin. In each play {', '.join(changes) or 'nothing changes'}. Expect a chip to"
            " differ from itself as much as these plays differ from each other."
        )
        if ensemble.accuracy is not None:
            least, most = percent(ensemble.accuracy.least), percent(ensemble.accuracy.most)
            words += f" Their accuracy is {least} to {most}."
        return [Text(words), *self.blocks(facts)]


def _changes(perturbation: Perturbation) -> list[str]:
    """Return a clause for everything that a play changes."""
    clauses = {
        "simultaneous events come in a random order": perturbation.simultaneous,
        f"events are delayed at random by {perturbation.jitter:g} µs": perturbation.jitter,
        f"{percent(perturbation.drop)} of the events are lost": perturbation.drop,
        "spikes of cores 0 and 1 change places within"
        f" {perturbation.parallel_window} spikes": perturbation.parallel_window > 1,
    }
    return [clause for clause, happens in clauses.items() if happens]
