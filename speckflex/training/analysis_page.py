"""The curves of analysed networks as a page, and as a table of all points."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from speckflex.report.curves import CurvePanel, CurvePoint, NetworkCurve, render_curves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from speckflex.training.analyse import Analysis, Flatness

__all__ = ["analysis_csv", "analysis_page"]

ON_TWIN = {
    "weights": ("Weights that are off, on the twin", "most that an 8-bit weight is off"),
    "noise events": ("Noise events, on the twin", "noise events per second"),
    "lost events": ("Lost events, on the twin", "share of the events that is lost"),
}
IN_TORCH = "in time steps in torch, not a chip's"
CSV_COLUMNS = ("model", "measure", "level", "mean", "lowest", "highest")

Points = tuple[CurvePoint, ...]


def analysis_page(analyses: Sequence[Analysis], data: str, *, synthetic: bool) -> str:
    """Return a page with a drawing and a table for each measure, all networks in each.

    Args:
        analyses: at least one.
        data: name of the recordings.
        synthetic: whether they are simulated.
    """
    names = ", ".join(one.model for one in analyses)
    kind = "synthetic recordings" if synthetic else "recordings"
    about = (
        f"{analyses[0].samples} {kind} of {data}. Each level of a noise was run"
        f" {analyses[0].curves[0].runs} times with other draws; the vertical lines go from the"
        " lowest to the highest run. Level 0 is the plain accuracy."
    )
    words = [about, *_lengths(analyses)]
    verb = "withstand" if len(analyses) > 1 else "withstands"
    return render_curves(f"What {names} {verb}", words, _panels(analyses))


def analysis_csv(analyses: Sequence[Analysis]) -> str:
    """Return all points as CSV: model, measure, level, mean, lowest and highest value."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for panel in _panels(analyses):
        for curve in panel.curves:
            writer.writerows(
                (curve.name, panel.title, point.level, point.mean, point.lowest, point.highest)
                for point in curve.points
            )
    return text.getvalue()


def _panels(analyses: Sequence[Analysis]) -> list[CurvePanel]:
    panels = []
    for kind, (title, level) in ON_TWIN.items():
        curves = [
            NetworkCurve(one.model, _noise_points(one, kind))
            for one in analyses
            if any(curve.kind == kind for curve in one.curves)
        ]
        panels.append(CurvePanel(title, level, "accuracy", tuple(curves)))
    flat = [one for one in analyses if one.flatness is not None]
    if not flat:
        return panels
    for title, level, points in (
        ("Noise on the weights", "sigma on the weights", _weight_points),
        ("Noise on the input", "sigma on the counts of a frame", _input_points),
    ):
        panels.append(CurvePanel(f"{title}, {IN_TORCH}", level, "accuracy", _curves(flat, points)))
    landscape = CurvePanel(
        f"Loss around the minimum, {IN_TORCH}",
        "a in L(w + a d)",
        "loss",
        _curves(flat, _landscape_points),
        percent=False,
    )
    return [*panels, landscape]


def _curves(
    analyses: Iterable[Analysis], points: Callable[[Flatness], Points]
) -> tuple[NetworkCurve, ...]:
    return tuple(
        NetworkCurve(one.model, points(one.flatness))
        for one in analyses
        if one.flatness is not None
    )


def _noise_points(analysis: Analysis, kind: str) -> Points:
    curve = next(curve for curve in analysis.curves if curve.kind == kind)
    plain = CurvePoint(0.0, curve.plain, curve.plain, curve.plain)
    rest = (CurvePoint(p.level, p.mean, p.lowest, p.highest) for p in curve.points)
    return (plain, *rest)


def _weight_points(flat: Flatness) -> Points:
    pairs = zip(flat.sigmas, flat.accuracies, strict=True)
    return tuple(CurvePoint(sigma, *three) for sigma, three in pairs)


def _input_points(flat: Flatness) -> Points:
    pairs = zip(flat.input_sigmas, flat.input_accuracies, strict=True)
    return tuple(CurvePoint(sigma, *three) for sigma, three in pairs)


def _landscape_points(flat: Flatness) -> Points:
    return tuple(
        CurvePoint(position, loss, loss, loss)
        for position, loss in zip(flat.positions, flat.losses, strict=True)
    )


def _lengths(analyses: Sequence[Analysis]) -> list[str]:
    """Return a paragraph on the gradients; none where all are programs."""
    parts = [
        f"{one.model}: {one.flatness.gradients.weights:.3g} on the weights,"
        f" {one.flatness.gradients.inputs:.3g} on the frames of a recording"
        for one in analyses
        if one.flatness is not None
    ]
    return [f"Lengths of the loss's gradient, {IN_TORCH}: {'; '.join(parts)}."] if parts else []
