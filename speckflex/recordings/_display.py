"""How recordings and differences look in an interpreter and in a notebook."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from speckflex._support.html import html_of

if TYPE_CHECKING:
    from speckflex.recordings.compare import Difference
    from speckflex.recordings.recording import Recording

__all__ = ["difference_html", "difference_line", "recording_html", "recording_line"]


def recording_line(recording: Recording) -> str:
    """Return a recording in one line."""
    origin = recording.provenance
    spikes = sum(int(record.counts.sum()) for record in recording.layers)
    return (
        f"<Recording of {origin.board or origin.kind}: {recording.n_samples} samples,"
        f" {len(recording.layers)} of {recording.n_layers} layers, {spikes} spikes,"
        f" {recording.lost_events} known lost, program {origin.program_sha256[:12] or 'unknown'}>"
    )


def recording_html(recording: Recording) -> str:
    """Return a recording as facts and a table of its layers."""
    origin = recording.provenance
    accuracy = recording.accuracy() if _has_answers(recording) else None
    facts = (
        ("samples", recording.n_samples),
        ("accuracy", None if accuracy is None else f"{accuracy:.2%}"),
        ("known lost", recording.lost_events),
        ("program", origin.program_sha256[:12]),
        ("serial", origin.serial),
        ("started", origin.started),
    )
    rows = [
        (
            record.index,
            record.name,
            "x".join(map(str, record.shape)),
            int(record.counts.sum()),
            "spikes" if record.potentials is None else "potentials",
            len(record.events or ()),
        )
        for record in recording.layers
    ]
    headings = ("", "layer", "neurons", "spikes", "read by", "samples with events")
    return html_of(f"Recording of {origin.board or origin.kind}", facts, headings, rows)


def difference_line(difference: Difference) -> str:
    """Return a difference in one line."""
    first = difference.first_divergent_layer
    where = "no layer differs" if first is None else f"first in {first.name}"
    return (
        f"<Difference over {difference.n_samples} samples:"
        f" {_share(difference.spike_difference)} at {difference.output.name}, {where}>"
    )


def difference_html(difference: Difference) -> str:
    """Return a difference as facts and a table of its layers."""
    first = difference.first_divergent_layer
    facts = (
        ("samples", difference.n_samples),
        ("spike difference at the output", _share(difference.spike_difference)),
        ("same answer", _share(difference.agreement)),
        ("first differs in", "no layer" if first is None else first.name),
    )
    rows = [
        (
            layer.name,
            layer.spikes_a,
            layer.spikes_b,
            _share(layer.spike_difference),
            "-" if layer.cosine is None else f"{layer.cosine:.4f}",
            layer.reason,
        )
        for layer in difference.layers
    ]
    headings = ("layer", "spikes of reference", "of the other", "spike difference", "cosine", "")
    return html_of("Difference", facts, headings, rows)


def _has_answers(recording: Recording) -> bool:
    return any(record.index == recording.n_layers - 1 for record in recording.layers)


def _share(value: float | None) -> str:
    return f"{100 * value:.2f} %" if value is not None and isfinite(value) else "no value"
