"""Losses: what is known to be lost, what can't be known, and an estimate from two plays."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping
from dataclasses import dataclass

from speckflex.recordings.compare import Difference
from speckflex.recordings.losses import LossEstimate, count_repeated_spikes, losses_of
from speckflex.recordings.recording import Recording
from speckflex.report._blocks import Block, Table, Text
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts
from speckflex.report.spelling import known, percent, plural

__all__ = ["LossFacts", "Losses"]

ALL_KNOWN = "every event is counted, so nothing is lost unseen"
# What the host sees of a chip: no counter of accepted inputs, and none of outputs (samna's
# documentation has none).
NOT_KNOWN = (
    "known are spikes of addresses that are no neuron and answers of neurons that never came;"
    " input events that the board did not take and spikes lost on their way to the host are not"
    " known, because no counter tells"
)


@dataclass(frozen=True)
class LossFacts:
    """The losses of one recording.

    Args:
        known: number of events that are known to be lost.
        all_known: whether no event can be lost unseen.
        can_be_known: sentence about what the board counts and what it does not.
        repeated_spikes: number of spikes that repeat one of the same neuron and µs, in the
            samples whose spikes are kept; null where none are kept.
        repeated_samples: number of those samples.
        estimate: lost or doubled spikes by the difference of two plays; null where the board
            played once, and where nothing spikes.
    """

    known: int
    all_known: bool
    can_be_known: str
    repeated_spikes: int | None
    repeated_samples: int
    estimate: LossEstimate | None


@dataclass(frozen=True)
class Losses(Section):
    """What was lost on the way.

    Args:
        losses: by the role of each recording of a board, "chip" or "twin".
    """

    anchor = "losses"
    title = "Losses"

    losses: Mapping[str, LossFacts]

    @classmethod
    def collect(cls, evidence: Evidence) -> "Losses":
        """Return the losses of every recording of a board."""
        played = evidence.played
        return cls(
            {
                role: _of(
                    evidence.recordings[role],
                    tally.lost_events,
                    evidence.repeat if role == played else None,
                )
                for role, tally in evidence.tallies.items()
                if tally.provenance.kind != "torch"
            }
        )

    @property
    def doubled(self) -> str:
        """The role of a recording that holds more repeated spikes than its twin, "" for none."""
        chip, twin = self.losses.get("chip"), self.losses.get("twin")
        if chip is None or not chip.repeated_spikes:
            return ""
        # without the twin's own number nothing says that the neurons did not do so by themselves
        own = twin.repeated_spikes if twin and twin.repeated_spikes else 0
        return "chip" if chip.repeated_spikes > own else ""

    def blocks(self, facts: Facts) -> list[Block]:
        """Return what is known of each board, and the estimate; nothing where all is known."""
        unsure = {role: one for role, one in self.losses.items() if not one.all_known}
        if not unsure:
            return []
        rows = [
            [
                facts.name_of(role).removeprefix("the "),
                str(one.known),
                known(one.repeated_spikes),
                "-" if one.estimate is None else f"{one.estimate.spikes:.0f}",
                percent(one.estimate and one.estimate.share),
            ]
            for role, one in self.losses.items()
        ]
        headings = ["board", "known lost", "same µs twice", "estimated lost", "share"]
        sentences = [f"{facts.opening(role)}: {one.can_be_known}." for role, one in unsure.items()]
        caption = f"Losses over {plural(facts.samples, 'sample')}"
        return [Table(caption, headings, rows, caption.lower()), Text(" ".join(sentences))]

    def page(self, facts: Facts) -> list[Block]:
        """Return also how the estimate is made."""
        blocks = self.blocks(facts)
        if not blocks:
            return [Text(f"{facts.opening(role)}: {ALL_KNOWN}.") for role in self.losses]
        words = (
            "The estimate is Σ(S1 - S2)² / Σ(S1 + S2) over neurons and samples, where S1 and S2 are"
            " the spike counts of two plays. It assumes that the board repeats itself and that"
            " spikes are lost or doubled one by one, at random. What both plays lose alike can not"
            " be seen."
        )
        return [*blocks, Text(words)]


def _of(recording: Recording, n_lost: int, repeat: Difference | None) -> LossFacts:
    all_known = recording.provenance.kind == "twin"
    kept = max((len(record.events or ()) for record in recording.layers), default=0)
    return LossFacts(
        known=n_lost,
        all_known=all_known,
        can_be_known=ALL_KNOWN if all_known else NOT_KNOWN,
        repeated_spikes=count_repeated_spikes(recording),
        repeated_samples=kept,
        estimate=None if repeat is None else losses_of(repeat),
    )
