"""First divergence: the first place where the recordings differ."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from dataclasses import dataclass

from speckflex.report._blocks import Block, Text
from speckflex.report._section import Section
from speckflex.report.facts import ComparisonFacts, Facts

__all__ = ["FirstDivergence"]


@dataclass(frozen=True)
class FirstDivergence(Section):
    """The first place where the recordings differ; the facts are those of the comparisons."""

    anchor = "divergence"
    title = "First divergence"

    def blocks(self, facts: Facts) -> list[Block]:
        """Return where the recordings of the main comparison first differ, if they do."""
        return [
            Text(f"First divergence: {pair.first_divergence}")
            for pair in facts.comparisons[:1]
            if pair.first_divergence
        ]

    def page(self, facts: Facts) -> list[Block]:
        """Return a sentence for every pair of recordings."""
        if not facts.comparisons:
            return [Text("There is only one recording, so there is nothing to compare.")]
        return [Text(_sentence(pair, facts)) for pair in facts.comparisons]


def _sentence(pair: ComparisonFacts, facts: Facts) -> str:
    other, reference = facts.opening(pair.other), facts.name_of(pair.reference)
    if pair.first_divergence is None:
        return f"{other} and {reference} are equal in every layer that both recorded."
    return f"{other} first differs from {reference} in {pair.first_divergence}."
