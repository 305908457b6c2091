"""Sample by sample: who answers what, by how much, and where two recordings part."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from speckflex.events.frames import to_frames
from speckflex.recordings.divergence import find_divergence
from speckflex.recordings.recording import LayerRecord, Recording
from speckflex.recordings.tally import ANSWER_COLUMNS, Tally
from speckflex.report._blocks import Block, Image, Images, Opened, Table, Text
from speckflex.report._parts import DRAWN, finite
from speckflex.report._section import Section
from speckflex.report.charts._pixels import frame_images, raster_image
from speckflex.report.evidence import Evidence, PlayedSample
from speckflex.report.facts import Facts
from speckflex.report.spelling import known, percent, plural

__all__ = ["Answer", "OneAnswer", "PerSample", "SamplePictures"]

ROLES = ("torch", "twin", "chip")  # always named in report.json
MOST_ROWS = 500  # of the table on the page
MOST_IN_TEXT = 10
MOST_OPENED = 40
N_FRAMES = 6
LARGEST_FRAME = 128 * 128  # pixels; larger ones are not drawn for each sample


@dataclass(frozen=True)
class Answer:
    """What one recording says about one sample.

    Args:
        answer: class with the highest score; null where all scores are 0, which is no answer.
        score: score of that class: output spikes, or the potential of a layer that is read by it.
        second: highest score of another class; null with one class.
        total: sum of all output spikes; null for a layer that is read by potentials.
    """

    answer: int | None
    score: int
    second: int | None
    total: int | None

    @property
    def margin(self) -> int | None:
        """By how much the answer leads; None without an answer or another class."""
        if self.answer is None or self.second is None:
            return None
        return self.score - self.second

    @property
    def words(self) -> str:
        """The answer with its score, such as "class 7 (41 of 92 output spikes)"."""
        if self.answer is None:
            return "no answer"
        if self.total is None:
            return f"class {self.answer} (potential {self.score}, next {known(self.second)})"
        return f"class {self.answer} ({self.score} of {self.total} output spikes)"


@dataclass(frozen=True)
class OneAnswer:
    """One sample.

    Args:
        sample: index of the sample, from 0.
        label: its class; null where it is unknown.
        torch: answer of the network as it was given; null without one.
        twin: answer of the twin; null without one.
        chip: answer of the chip; null without one.
        answers: answer and scores of each recording, by role; none where its last layer was not
            monitored.
        margins: by how much the answer leads, by role; null without an answer.
        agree: whether all recordings give the same answer; false where one gives none; null with
            one recording.
        spike_difference: spike difference of the main comparison in this sample, at the output, a
            fraction; null where it has no finite value.
        stopped: what ended the reading of the board: "complete", "silence", "deadline" or
            "interrupted".
    """

    sample: int
    label: int | None
    torch: int | None
    twin: int | None
    chip: int | None
    answers: Mapping[str, Answer]
    margins: Mapping[str, int | None]
    agree: bool | None
    spike_difference: float | None
    stopped: str


@dataclass(frozen=True, eq=False)
class SamplePictures:
    """What one sample shows when it is opened.

    Args:
        sample: index of the sample.
        frames: the input, one image a frame; none where it is too large.
        rasters: output spikes over time, one image a role.
        divergence: sentence about the first difference, "" where there is none.
    """

    sample: int
    frames: tuple[np.ndarray, ...]
    rasters: Mapping[str, np.ndarray]
    divergence: str


@dataclass(frozen=True)
class PerSample(Section):
    """Every sample, and those that can be opened.

    Args:
        per_sample: one entry per sample.
        opened: pictures of the samples whose answers differ.
    """

    anchor = "samples"
    title = "Sample by sample"

    per_sample: tuple[OneAnswer, ...]
    opened: tuple[SamplePictures, ...] = field(
        default=(), repr=False, compare=False, metadata=DRAWN
    )

    @classmethod
    def collect(cls, evidence: Evidence) -> "PerSample":
        """Return the answers of every recording to every sample."""
        answers = {role: _answers(one) for role, one in evidence.tallies.items()}
        samples = tuple(
            _one(evidence, index, {role: own[index] for role, own in answers.items() if own})
            for index in range(evidence.board_tally.n_samples)
        )
        differing = [one.sample for one in samples if one.agree is False][:MOST_OPENED]
        played = ((index, _played(evidence, index)) for index in differing)
        opened = tuple(_pictures(evidence, n, one) for n, one in played if one is not None)
        return cls(samples, opened)

    @property
    def differing(self) -> list[OneAnswer]:
        """The samples whose answers differ, or lack."""
        return [one for one in self.per_sample if one.agree is False]

    def blocks(self, facts: Facts) -> list[Block]:
        """Return the first samples whose answers differ, or all of a few without labels."""
        shown = self.differing
        if len(self.per_sample) <= MOST_IN_TEXT and all(
            one.label is None for one in self.per_sample
        ):
            shown = list(self.per_sample)
        if not shown:
            return []
        title = f"{plural(len(self.differing), 'sample')} of {len(self.per_sample)} with different"
        title += " answers"
        if len(shown) > MOST_IN_TEXT:
            title += f", the first {MOST_IN_TEXT}; all are in samples.csv"
        return [self._table(shown[:MOST_IN_TEXT], facts, title)]

    def page(self, facts: Facts) -> list[Block]:
        """Return the table of all samples, and those that can be opened."""
        if not self.per_sample:
            return []
        # the samples that differ come first, so that none is cut off
        order = sorted(self.per_sample, key=lambda one: one.agree is not False)
        shown = order[:MOST_ROWS]
        words = (
            f"{plural(len(self.differing), 'sample')} of {len(self.per_sample)} with different"
            " answers. A margin is the score of the answer less that of the next class. Choose a"
            " heading to sort."
        )
        if len(shown) < len(order):
            words += f" {len(order) - len(shown)} more samples are in samples.csv."
        if len(self.opened) < len(self.differing):
            words += f" {len(self.opened)} of them can be opened; no spikes of others were kept."
        by_index = {one.sample: one for one in self.per_sample}
        opened = [_opened(one, by_index[one.sample], facts) for one in self.opened]
        return [Text(words), *opened, self._table(shown, facts, "Answers to each sample")]

    def _table(self, shown: Sequence[OneAnswer], facts: Facts, title: str) -> Table:
        roles = [role for role in facts.role_names if any(role in one.answers for one in shown)]
        names = [facts.name_of(role).removeprefix("the ") for role in roles]
        headings = ["sample", "label"]
        headings += [words for name in names for words in (name, "margin")]
        rows = [
            [
                str(one.sample),
                known(one.label),
                *(cell for role in roles for cell in _cells(one.answers.get(role))),
                percent(one.spike_difference),
                one.stopped,
            ]
            for one in shown
        ]
        return Table(title, [*headings, "spike diff.", "stopped"], rows, title, sortable=True)


def _cells(answer: Answer | None) -> tuple[str, str]:
    if answer is None:
        return "-", "-"
    return ("none" if answer.answer is None else str(answer.answer)), known(answer.margin)


def _answers(tally: Tally) -> list[Answer]:
    """Return the answer to each sample; none where the last layer was not monitored."""
    if not tally.n_classes:
        return []
    columns = (tally.columns[name].tolist() for name in ANSWER_COLUMNS)
    by_potential = tally.layers[-1].by_potential
    return [
        Answer(
            answer=None if answer < 0 else answer,
            score=score,
            second=second if tally.n_classes > 1 else None,
            total=None if by_potential else total,
        )
        for answer, score, second, total in zip(*columns, strict=True)
    ]


def _one(evidence: Evidence, index: int, answers: Mapping[str, Answer]) -> OneAnswer:
    labels = evidence.labels
    label = None if labels is None or labels[index] < 0 else int(labels[index])
    given = [one.answer for one in answers.values()]
    difference = evidence.headline and evidence.headline.difference.output.per_sample[index]
    return OneAnswer(
        sample=index,
        label=label,
        **{role: answers[role].answer if role in answers else None for role in ROLES},
        answers=answers,
        margins={role: one.margin for role, one in answers.items()},
        agree=None if len(given) < 2 else len(set(given)) == 1 and given[0] is not None,
        spike_difference=None if difference is None else finite(float(difference)),
        stopped=evidence.board_tally.stopped[index],
    )


def _played(evidence: Evidence, index: int) -> PlayedSample | None:
    """Return input and spikes of one sample; None where they were not kept."""
    if index in evidence.opened:
        return evidence.opened[index]
    kept = [
        len(record.events or ()) for one in evidence.recordings.values() for record in one.layers
    ]
    if index >= min(kept, default=0) or index >= len(evidence.input_events):
        return None
    recordings = {role: r.part(index, index + 1) for role, r in evidence.recordings.items()}
    return PlayedSample(evidence.input_events[index], recordings)


def _pictures(evidence: Evidence, index: int, played: PlayedSample) -> SamplePictures:
    channels, height, width = (
        int(played.events[name].max(initial=0)) + 1 for name in ("p", "y", "x")
    )
    shape = (channels, height, width)
    if evidence.program is not None:
        shape = evidence.program.input.shape
    frames: tuple[np.ndarray, ...] = ()
    if shape[1] * shape[2] <= LARGEST_FRAME:
        frames = tuple(frame_images(to_frames(played.events, shape, N_FRAMES)))
    spans = played.events["t"] if len(played.events) else np.zeros(1, np.int64)
    span = (int(spans.min()), int(spans.max()) + 1)
    rasters = {}
    for role, recording in played.recordings.items():
        output = _output(recording)
        if output is not None and output.events:
            rasters[role] = raster_image(output.events[0], output.shape, span)
    return SamplePictures(index, frames, rasters, _divergence(evidence, index, played))


def _output(recording: Recording) -> LayerRecord | None:
    """Return the last layer that is read by its spikes."""
    spiking = [record for record in recording.layers if record.potentials is None]
    return spiking[-1] if spiking else None


def _divergence(evidence: Evidence, index: int, played: PlayedSample) -> str:
    """Return a sentence about the first layer in which the main comparison differs."""
    pair = evidence.headline
    if pair is None:
        return ""
    a, b = (played.recordings[role] for role in (pair.reference, pair.other))
    others = {record.index: record for record in b.layers}
    for record in a.layers:
        found = find_divergence(record, others[record.index]) if record.index in others else None
        if found is not None:
            words = found.describe(*pair.names).replace("sample 0", f"sample {index}", 1)
            return f"Layer {record.name}, {words}."
    return ""


def _opened(pictures: SamplePictures, sample: OneAnswer, facts: Facts) -> Opened:
    """Return the list entry of a sample, which opens to its pictures."""
    says = ", ".join(
        f"{facts.name_of(role).removeprefix('the ')}: {one.words}"
        for role, one in sample.answers.items()
    )
    label = "no label" if sample.label is None else f"label {sample.label}"
    blocks: list[Block] = [Text(pictures.divergence)] if pictures.divergence else []
    frames = [
        Image(pixels, f"Frame {number} of {len(pictures.frames)} of sample {sample.sample}")
        for number, pixels in enumerate(pictures.frames, start=1)
    ]
    rasters = [
        Image(
            pixels,
            f"Output spikes of {facts.name_of(role)} in sample {sample.sample}",
            f"{facts.opening(role)}: output neurons downward, time from left to right",
        )
        for role, pixels in pictures.rasters.items()
    ]
    blocks += [Images("frames", frames)] if frames else []
    blocks += [Images("gallery", rasters)] if rasters else []
    return Opened(f"Sample {sample.sample}: {label}, {says}", blocks)
