"""The search of time steps as a page: accuracies that were measured against those of the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.report.curves import CurvePanel, CurvePoint, NetworkCurve, render_curves

if TYPE_CHECKING:
    from collections.abc import Iterable

    from speckflex.training.timestep_search import Measurement, TimestepSearch

__all__ = ["search_page", "search_words"]


def search_words(found: TimestepSearch) -> list[str]:
    """Return the result in sentences: the fit, its check, the choice, what it is worth."""
    words = []
    if found.check is None:
        words.append(f"no model: {found.problem}; all stages have the same T")
    else:
        check = found.check
        low, high = check.interval
        words.append(
            f"model against {check.configurations} configurations that it was not fitted to: error"
            f" {100 * check.error:.2f} points, {100 * check.chance:.2f} by chance alone on"
            f" {found.chosen_on} recordings; rank correlation {check.rank_correlation:.2f}"
            f" ({low:.2f} to {high:.2f})"
        )
    chosen = "/".join(map(str, found.chosen))
    own, uniform = (100 * share for share in found.energy)
    words.append(
        f"chosen: {chosen}, {own:.0f} % of the energy with the largest T everywhere; T ="
        f" {found.uniform} in all stages takes {uniform:.0f} %"
    )
    gain = found.gain
    low, high = (100 * end for end in gain.interval)
    words.append(
        f"on {gain.recordings} recordings that chose nothing: {gain.before:.2%} with T ="
        f" {found.uniform}, {gain.after:.2%} with {chosen}, {100 * (gain.after - gain.before):+.2f}"
        f" points (95 % interval for pairs {low:+.2f} to {high:+.2f}, McNemar p ="
        f" {gain.p_value:.2g})"
    )
    return words


def search_page(found: TimestepSearch, model: str, data: str, *, synthetic: bool) -> str:
    """Return a page with the scatter of the model and all figures.

    Args:
        found: the search.
        model: name of the network.
        data: name of the recordings.
        synthetic: whether they are simulated.
    """
    kind = "synthetic recordings" if synthetic else "recordings"
    words = [
        f"{model} in torch, {kind} of {data}. A chip has no time steps: nothing here is a chip's.",
        *search_words(found),
    ]
    panels = []
    if found.check is not None:
        ends = [100 * end for m in found.measurements for end in (m.measured, m.predicted)]
        line = [CurvePoint(end, end, end, end) for end in (min(ends), max(ends))]
        panels = [
            CurvePanel(
                "Accuracy by the model against accuracy measured",
                "measured accuracy, %",
                "accuracy by the model, %",
                (
                    _points("fitted to", (m for m in found.measurements if m.fitted)),
                    _points("not fitted to", (m for m in found.measurements if not m.fitted)),
                    NetworkCurve("equal", tuple(line)),
                ),
                percent=False,
            )
        ]
    return render_curves(f"Time steps of {model}", words, panels)


def _points(name: str, measurements: Iterable[Measurement]) -> NetworkCurve:
    points = sorted((100 * m.measured, 100 * m.predicted) for m in measurements)
    return NetworkCurve(name, tuple(CurvePoint(x, y, y, y) for x, y in points), joined=False)
