"""Provenance: where the recordings come from."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup

from speckflex.recordings.recording import Provenance
from speckflex.recordings.tally import Tally
from speckflex.report._blocks import Block, Heading, Opened, Terms
from speckflex.report._section import Section
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts

__all__ = ["Origins", "PlayedSamples"]


@dataclass(frozen=True)
class PlayedSamples:
    """What became of the samples of one recording.

    Args:
        samples: number of samples.
        written: input events that were handed to the board.
        accepted: input events that the board accepted.
        read: spikes that were read back.
        lost: events known to be lost, input or output.
        stopped: number of samples by what ended their reading: "complete", "silence",
            "deadline" or "interrupted".
    """

    samples: int
    written: int
    accepted: int
    read: int
    lost: int
    stopped: Mapping[str, int]


@dataclass(frozen=True)
class Origins(Section):
    """Where the recordings come from.

    Args:
        provenance: board, versions and settings of each recording, by role.
        played_samples: what became of its samples, by role.
    """

    anchor = "provenance"
    title = "Provenance"

    provenance: Mapping[str, Provenance]
    played_samples: Mapping[str, PlayedSamples]

    @classmethod
    def collect(cls, evidence: Evidence) -> "Origins":
        """Return where each recording comes from, and what became of its samples."""
        tallies = evidence.tallies
        return cls(
            provenance={role: one.provenance for role, one in tallies.items()},
            played_samples={role: _played_samples(one) for role, one in tallies.items()},
        )

    def page(self, facts: Facts) -> list[Block]:
        """Return terms about the run, and about each recording."""
        blocks: list[Block] = [Terms(_about_run(facts))]
        for role, provenance in self.provenance.items():
            rows = _about_recording(provenance, self.played_samples[role])
            settings = Opened("Settings and versions", [Terms(_settings_of(provenance))])
            blocks += [Heading(facts.opening(role)), Terms(rows), settings]
        return blocks


def _played_samples(tally: Tally) -> PlayedSamples:
    written, accepted, read = (
        int(tally.columns[name].sum()) for name in ("written", "accepted", "read")
    )
    return PlayedSamples(
        samples=tally.n_samples,
        written=written,
        accepted=accepted,
        read=read,
        lost=tally.lost_events,
        stopped=dict(Counter(tally.stopped)),
    )


def _about_run(facts: Facts) -> list[tuple[str, str]]:
    rows = [
        ("Command", _code(facts.command or "called from Python")),
        ("Program", _code(facts.program.sha256)),
    ]
    if facts.run is not None:
        synthetic = " (synthetic)" if facts.synthetic else ""
        rows.append(("Data", f"{facts.run.data.name}{synthetic}"))
        hashes = {
            "Hash of the model file": facts.run.model_sha256,
            "Hash of the recordings": facts.run.data.sha256,
            "Commit of the working directory": facts.run.working_directory_commit,
        }
        rows += [(name, _code(value)) for name, value in hashes.items() if value]
        if facts.run.data.changes:
            rows.append(("Recordings", "; ".join(facts.run.data.changes)))
        if facts.run.bins:
            rows.append(("Time bins of the torch network", str(facts.run.bins)))
    rows.append(("speckflex", f"{facts.speckflex}, report schema {facts.schema}"))
    return rows + [(f"Program: {key}", value) for key, value in facts.program.metadata.items()]


def _code(words: str) -> str:
    return Markup("<code>{}</code>").format(words)


def _about_recording(provenance: Provenance, played: PlayedSamples) -> list[tuple[str, str]]:
    serial = f", serial {provenance.serial}" if provenance.serial else ""
    rows = [("Board", f"{provenance.board} ({provenance.kind}){serial}")]
    if provenance.started:
        rows.append(("Started", provenance.started))
    steps = provenance.settings.get("bins")
    if steps is not None:
        each = ", a number for each stage of the network" if "/" in steps else ""
        rows.append(("Time steps", f"{steps}{each}"))
    seed = "none: nothing was random" if provenance.seed is None else str(provenance.seed)
    ends = ", ".join(f"{reason} ({count})" for reason, count in played.stopped.items())
    events = (
        f"{played.written} written, {played.accepted} accepted, {played.read} spikes read,"
        f" {played.lost} lost"
    )
    return [*rows, ("Seed", seed), ("Events", events), ("Ended by", ends)]


def _settings_of(provenance: Provenance) -> list[tuple[str, str]]:
    rows = [(f"Setting {key}", str(value)) for key, value in provenance.settings.items()]
    return rows + [(f"Version of {key}", str(value)) for key, value in provenance.versions.items()]
