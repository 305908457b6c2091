"""Which layer costs what: one layer at a time as on the chip."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from dataclasses import dataclass

from markupsafe import Markup

from speckflex.recordings.measures import sign_test
from speckflex.report._blocks import Block, Table, Terms, Text
from speckflex.report._remedies import NO_TRAINING_DATA, remedies_of
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts, LayerEffect
from speckflex.report.spelling import known, percent, plural, points

__all__ = ["Sensitivity"]

CAUSES = {
    "weights": "8-bit weights",
    "events": "order of events",
    "rate": "limited rate",
}
OPTIONS = {"weights": "--eight-bit", "events": "--method board", "rate": "--synops-weight 0.1"}
MOST_IN_TEXT = 12
MOST_REMEDIES = 3
CHANCE = 0.05  # p-value from which on a change may be chance
SMALL = 0.001  # spike difference below which an effect is not worth a remedy


@dataclass(frozen=True)
class Sensitivity(Section):
    """What each layer costs alone.

    Args:
        sensitivity: one entry for each layer and property of the chip, the dearest first.
    """

    anchor = "causes"
    title = "Which layer causes it"

    sensitivity: tuple[LayerEffect, ...]

    @classmethod
    def collect(cls, evidence: Evidence) -> "Sensitivity | None":
        """Return the effects of the layers; None where they were not measured."""
        return cls(tuple(evidence.effects)) if evidence.effects else None

    @property
    def causes(self) -> list[LayerEffect]:
        """The effects that cost something, the dearest first."""
        return [one for one in self.sensitivity if _costs(one)]

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the table of the effects, and the commands for the dearest."""
        table = self._table(self.sensitivity[:MOST_IN_TEXT])
        return [table, *(Text(f"{term}: {command}") for term, command in self._remedies(facts))]

    def page(self, facts: Facts) -> list[Block]:
        """Return how it was measured, the table, and the commands."""
        words = (
            "Each row changes one layer alone. 8-bit weights: only this layer is rounded, all run"
            " in time steps. Order of events: this layer takes single events in place of time"
            " steps, the layers before it too, those behind it not; so these rows add up to the"
            " whole step from time steps to events. Limited rate: only this core loses events that"
            " find no room, at an unverified rate. The spike difference is that of the output."
        )
        remedies = [
            (term, Markup("<code>{}</code>").format(command))
            for term, command in self._remedies(facts)
        ]
        shown: list[Block] = [Text(words), self._table(self.sensitivity)]
        if not self.causes:
            return [*shown, Text(self._nothing)]
        if not remedies:
            return shown
        placeholder = any("TRAINING_DATA" in command for _, command in remedies)
        return [*shown, Terms(remedies), *([Text(NO_TRAINING_DATA)] if placeholder else [])]

    @property
    def _nothing(self) -> str:
        """Why no layer is named."""
        if all(one.spike_difference is None for one in self.sensitivity):
            return "Nothing spikes at the output, so no effect of a layer can be seen there."
        return "No layer alone costs accuracy, or spikes at the output."

    def _remedies(self, facts: Facts) -> list[tuple[str, str]]:
        """Return the dearest effects in words, and the command that trains the network for it."""
        remedies = remedies_of(facts)
        if remedies is None:
            return []
        return [
            (_named(one), remedies.finetune(OPTIONS[one.cause]))
            for one in self.causes[:MOST_REMEDIES]
        ]

    def _table(self, shown: tuple[LayerEffect, ...]) -> Table:
        rows = [
            [
                one.layer,
                CAUSES[one.cause],
                points(one.points_lost),
                known(one.newly_wrong),
                known(one.newly_right),
                percent(one.spike_difference),
                _meaning(one),
            ]
            for one in shown
        ]
        headings = [
            "layer",
            "cause",
            "points lost",
            "newly wrong",
            "newly right",
            "spike diff.",
            "",
        ]
        samples = plural(shown[0].samples, "sample")
        title = f"what each layer costs alone, over the first {samples}"
        return Table(title[:1].upper() + title[1:], headings, rows, title)


def _costs(effect: LayerEffect) -> bool:
    if effect.points_lost is None:
        return (effect.spike_difference or 0.0) > SMALL
    return effect.points_lost > 0


def _meaning(effect: LayerEffect) -> str:
    if effect.newly_wrong is None or effect.newly_right is None or not _costs(effect):
        return ""
    chance = sign_test(effect.newly_wrong, effect.newly_right) >= CHANCE
    return "within chance" if chance else "beyond chance"


def _named(effect: LayerEffect) -> str:
    cost = f"spike difference {percent(effect.spike_difference)}"
    if effect.points_lost is not None:
        cost = f"{effect.points_lost:.1f} points, {cost}"
    return f"{effect.layer}: {CAUSES[effect.cause]}, {cost}"
