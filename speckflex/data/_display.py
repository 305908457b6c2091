"""How a data set looks in an interpreter and in a notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex._support.html import html_of

if TYPE_CHECKING:
    from speckflex.data.dataset import EventDataset

__all__ = ["dataset_html", "dataset_line"]


def dataset_line(dataset: EventDataset) -> str:
    """Return a data set in one line."""
    synthetic = ", synthetic" if dataset.synthetic else ""
    return (
        f"<EventDataset {dataset.name}: {len(dataset)} recordings of {len(dataset.classes)}"
        f" classes, {_sensor(dataset)}{synthetic}>"
    )


def dataset_html(dataset: EventDataset) -> str:
    """Return a data set as facts and a table of its classes."""
    facts = (
        ("recordings", len(dataset)),
        ("sensor", _sensor(dataset)),
        ("synthetic", "yes" if dataset.synthetic else "no"),
        ("without a label", int((dataset.labels < 0).sum()) or None),
        *(("changed", change) for change in dataset.changes),
    )
    rows = [
        (label, name, int((dataset.labels == label).sum()))
        for label, name in enumerate(dataset.classes)
    ]
    return html_of(
        f"Data set {dataset.name}", facts, ("label", "class", "recordings") if rows else (), rows
    )


def _sensor(dataset: EventDataset) -> str:
    return "x".join(map(str, dataset.shape))
