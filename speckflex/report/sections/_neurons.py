"""Neuron by neuron: two recordings, each neuron's spikes against each other."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from markupsafe import Markup

from speckflex.program.records import Shape
from speckflex.recordings.tally import LayerTally, Tally
from speckflex.report._blocks import Block, Heading, Image, Images, Plot, Plots, Text
from speckflex.report._parts import DRAWN
from speckflex.report._roles import Comparison
from speckflex.report._section import Section
from speckflex.report.charts._pixels import difference_image
from speckflex.report.charts._plots import PlotData, Series, Tip
from speckflex.report.evidence import Evidence
from speckflex.report.facts import Facts

__all__ = ["DifferenceMap", "Neurons", "Scatter"]

MAX_POINTS = 12_000  # of all scatter plots
MAX_PIXELS = 60_000  # of all difference maps
NEURONS_A_ROW = 32


@dataclass(frozen=True, eq=False)
class Scatter:
    """Spike counts of one layer's neurons in two recordings, one point a pair of counts.

    Args:
        layer: name of the layer.
        x_role: role of the recording on the x axis.
        y_role: role of the recording on the y axis.
        x: `(point,) int32`, spikes over all samples.
        y: `(point,) int32`, spikes over all samples.
        neurons: `(point,) int32`, number of neurons with these counts.
        neuron: `(point,) int32`, the first of them, by its index in the layer, row by row.
        shape: (channel, y, x) of the layer.
        pairs: number of different pairs of counts, shown or not.
        total: number of neurons.
    """

    layer: str
    x_role: str
    y_role: str
    x: np.ndarray
    y: np.ndarray
    neurons: np.ndarray
    neuron: np.ndarray
    shape: Shape
    pairs: int
    total: int


@dataclass(frozen=True, eq=False)
class DifferenceMap:
    """Difference of two recordings at every neuron of a layer.

    Args:
        layer: name of the layer.
        x_role: role of the recording that is subtracted.
        y_role: role of the recording that it is subtracted from.
        values: `(channel, y, x) float64`, spikes per sample; single neurons in rows of one map.
        largest: largest magnitude, spikes per sample.
        channels: number of channels, shown or not.
        row_of_neurons: whether the layer has single neurons in place of maps.
    """

    layer: str
    x_role: str
    y_role: str
    values: np.ndarray
    largest: float
    channels: int
    row_of_neurons: bool

    @property
    def hidden(self) -> int:
        """Number of channels that are not shown."""
        return self.channels - len(self.values)


@dataclass(frozen=True)
class Neurons(Section):
    """Two recordings neuron by neuron.

    Args:
        scatter: spike counts, one picture a layer.
        maps: where they differ, one picture a layer.
    """

    anchor = "neurons"
    title = "Neuron by neuron"

    scatter: tuple[Scatter, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)
    maps: tuple[DifferenceMap, ...] = field(default=(), repr=False, compare=False, metadata=DRAWN)

    @classmethod
    def collect(cls, evidence: Evidence) -> "Neurons":
        """Return the layers of the main comparison, neuron by neuron."""
        if evidence.headline is None:
            return cls()
        roles = _axes(evidence.headline)
        pairs = _common_layers(*(evidence.tallies[role] for role in roles))
        n_samples = evidence.board_tally.n_samples
        maps = [_difference_map(x, y, roles, n_samples) for x, y in pairs]
        return cls(
            tuple(_scatter(x, y, roles, MAX_POINTS // len(pairs)) for x, y in pairs),
            tuple(_cut(one, MAX_PIXELS // len(pairs)) for one in maps),
        )

    def page(self, facts: Facts) -> list[Block]:
        """Return scatter plots and difference maps."""
        blocks: list[Block] = []
        if self.scatter:
            y, x = (facts.name_of(r) for r in (self.scatter[0].y_role, self.scatter[0].x_role))
            words = (
                f"Spike counts of {y} against those of {x}, over all samples. Neurons on the dashed"
                " line have equal counts. A larger point stands for more neurons."
            )
            plots = [_scatter_plot(one, facts.role_names) for one in self.scatter]
            blocks += [Heading("Spikes of each neuron"), Text(words), Plots("scatter", plots)]
        if self.maps:
            images = [_map_image(one) for one in self.maps]
            blocks += [
                Heading("Where they differ"),
                Text(_legend(self.maps[0], facts)),
                Images("gallery", images),
            ]
        return blocks


def _axes(comparison: Comparison) -> tuple[str, str]:
    """Return the roles on x and y: the torch network lies on x, whoever is the reference."""
    pair = (comparison.reference, comparison.other)
    return (pair[1], pair[0]) if comparison.other == "torch" else pair


def _common_layers(a: Tally, b: Tally) -> list[tuple[LayerTally, LayerTally]]:
    others = {layer.index: layer for layer in b.layers}
    return [(layer, others[layer.index]) for layer in a.layers if layer.index in others]


def _scatter(x: LayerTally, y: LayerTally, roles: tuple[str, str], limit: int) -> Scatter:
    """Return one point per pair of counts, with how many neurons have it and which is first."""
    counts = np.stack([x.spikes.ravel(), y.spikes.ravel()], axis=1)
    points, first, n_neurons = np.unique(counts, axis=0, return_index=True, return_counts=True)
    order = np.argsort(-np.abs(points[:, 0] - points[:, 1]), kind="stable")[:limit]
    return Scatter(
        layer=x.name,
        x_role=roles[0],
        y_role=roles[1],
        x=points[order, 0].astype(np.int32),
        y=points[order, 1].astype(np.int32),
        neurons=n_neurons[order].astype(np.int32),
        neuron=first[order].astype(np.int32),
        shape=x.shape,
        pairs=len(points),
        total=len(counts),
    )


def _difference_map(
    x: LayerTally, y: LayerTally, roles: tuple[str, str], n_samples: int
) -> DifferenceMap:
    """Return how many more spikes per sample each neuron has in y than in x."""
    difference = (y.spikes - x.spikes) / max(1, n_samples)
    if difference.shape[1:] == (1, 1):
        difference = _in_rows(difference.ravel())
    return DifferenceMap(
        layer=x.name,
        x_role=roles[0],
        y_role=roles[1],
        values=difference,
        largest=float(np.abs(difference).max(initial=0)),
        channels=len(difference),
        row_of_neurons=x.shape[1:] == (1, 1),
    )


def _cut(shown: DifferenceMap, limit: int) -> DifferenceMap:
    """Return a map with as many channels as have not more pixels than the limit, at least one."""
    n_shown = max(1, limit // max(1, shown.values[0].size))
    return replace(shown, values=shown.values[:n_shown])


def _in_rows(values: np.ndarray) -> np.ndarray:
    """Return single neurons as one map of rows: it reads better than many maps of one pixel."""
    n_rows = -(-len(values) // NEURONS_A_ROW)
    width = -(-len(values) // n_rows)
    return np.pad(values, (0, n_rows * width - len(values))).reshape(1, n_rows, width)


def _scatter_plot(scatter: Scatter, names: Mapping[str, str]) -> Plot:
    note = ""
    if len(scatter.x) < scatter.pairs:
        note = f"The {len(scatter.x)} most different of {scatter.pairs} pairs of counts are shown."
    label = (
        f"Scatter plot of the spike counts of {scatter.total} neurons of layer {scatter.layer};"
        " the layer's spike difference is in the table above"
    )
    return Plot(f"Layer {scatter.layer}", note, label, _data(scatter, names))


def _data(scatter: Scatter, names: Mapping[str, str]) -> PlotData:
    """Return spikes per neuron, one recording against another, with the line of equal counts."""
    x_name, y_name = names[scatter.x_role], names[scatter.y_role]
    points = Series(
        scatter.y_role, y_name, scatter.x, scatter.y, scatter.neuron, count=scatter.neurons
    )
    tips = (
        Tip(x_name, "x", "spikes"),
        Tip(y_name, "y", "spikes"),
        Tip("neurons", "count"),
        Tip("first (channel, y, x)", "address"),
    )
    labels = (f"spikes, {x_name}", f"spikes, {y_name}")
    return PlotData(*labels, scatter.shape, (points,), tips, diagonal=True)


def _legend(shown: DifferenceMap, facts: Facts) -> str:
    return Markup(
        'Spikes per sample by channel and place: <span class="more">orange</span> where {y} spikes'
        ' more than {x}, <span class="fewer">blue</span> where it spikes less. Channels stand side'
        " by side."
    ).format(y=facts.name_of(shown.y_role), x=facts.name_of(shown.x_role))


def _map_image(shown: DifferenceMap) -> Image:
    what = "row of neurons" if shown.row_of_neurons else "channels"
    largest = f"largest difference {shown.largest:.3g} spikes per sample"
    label = f"Difference map of layer {shown.layer}: {shown.channels} {what}, {largest}"
    caption = f"Layer {shown.layer}, {largest}"
    if shown.hidden:
        caption += f"; {shown.hidden} more channels are not shown"
    return Image(difference_image(shown.values), label, caption)
