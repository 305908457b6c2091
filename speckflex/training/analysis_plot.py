"""The curves of analysed networks as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from speckflex._support.pictures import new_picture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from speckflex.training.analyse import Analysis

__all__ = ["plot_analyses"]

AXES = {
    "weights": "weights off by up to k (8 bits), twin",
    "noise events": "noise events per second, twin",
    "lost events": "share of lost events, twin",
}


def plot_analyses(analyses: Sequence[Analysis]) -> Figure:
    """Return a panel for each noise on the twin, and for the landscape in time steps.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    flat = any(one.flatness is not None for one in analyses)
    picture = new_picture(10, 7 if flat else 3.5)
    panels = picture.subplots(2 if flat else 1, 3, squeeze=False)
    for panel, (kind, name) in zip(panels[0], AXES.items(), strict=True):
        for one in analyses:
            curve = next(curve for curve in one.curves if curve.kind == kind)
            points = [(0.0, curve.plain, curve.plain, curve.plain)]
            points += [(p.level, p.mean, p.lowest, p.highest) for p in curve.points]
            _curve(panel, one.model, points)
        panel.set(xlabel=name, ylabel="accuracy (%)")
        if kind == "noise events":
            panel.set_xscale("symlog", linthresh=100)
    if flat:
        _flat_panels(panels[1], analyses)
    panels[0][0].legend(fontsize="small")
    return picture


def _flat_panels(panels: Any, analyses: Sequence[Analysis]) -> None:
    for one in analyses:
        flat = one.flatness
        if flat is None:
            continue
        points = [(s, *three) for s, three in zip(flat.sigmas, flat.accuracies, strict=True)]
        _curve(panels[0], one.model, points)
        panels[1].plot(flat.positions, flat.losses, "o-", markersize=3)
        panels[2].bar(one.model, flat.gradients.weights)
    panels[0].set(xlabel="sigma of noise on the weights, torch", ylabel="accuracy (%)")
    panels[1].set(xlabel="a in L(w + a d), torch", ylabel="loss")
    panels[2].set(ylabel="length of the gradient on the weights, torch")


def _curve(panel: Any, name: str, points: Sequence[tuple[float, float, float, float]]) -> None:
    """Draw mean, lowest and highest accuracy over a level."""
    levels, means, lowest, highest = zip(*points, strict=True)
    panel.plot(levels, [100 * value for value in means], "o-", markersize=3, label=name)
    panel.fill_between(
        levels, [100 * value for value in lowest], [100 * value for value in highest], alpha=0.2
    )
