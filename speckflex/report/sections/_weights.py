"""8-bit weights: what rounding to the chip's integers did to each layer."""

# Annotations are evaluated here, see `speckflex.report.facts`.

from dataclasses import dataclass

from speckflex.report._blocks import Block, Findings, Table
from speckflex.report._section import Section
from speckflex.report.facts import Facts, LayerCost
from speckflex.report.spelling import percent, plural

__all__ = ["Weights"]


@dataclass(frozen=True)
class Weights(Section):
    """What rounding did; the facts are those of the layers and the findings of the conversion."""

    anchor = "weights"
    title = "8-bit weights"
    columns = (
        "weights",
        "weights_saturated",
        "weights_above_threshold",
        "silent_neurons",
    )

    def page(self, facts: Facts) -> list[Block]:
        """Return one row per layer, and the findings of the conversion."""
        blocks: list[Block] = []
        rows = _rows(facts)
        if rows:
            headings = ["layer", "weights", "8-bit error", "saturated", "zero", "above threshold"]
            headings += ["thresholds", "silent neurons"]
            blocks.append(Table("Effect of rounding to the chip's integers", headings, rows))
        if facts.checks:
            items = [(check.severity, check.sentence) for check in facts.checks]
            blocks.append(Findings(f"{plural(len(items), 'finding')} of the conversion", items))
        return blocks


def _rows(facts: Facts) -> list[list[str]]:
    return [
        [
            layer.name,
            str(cost.weights),
            percent(layer.weight_error),
            percent(cost.weights_saturated),
            percent(cost.weights_zero),
            percent(cost.weights_above_threshold),
            f"{cost.threshold_low} to {cost.threshold_high}{_start(cost)}",
            percent(layer.silent_neurons),
        ]
        for layer in facts.layers
        if (cost := layer.cost) is not None
    ]


def _start(cost: LayerCost) -> str:
    """Return where the neurons start; "" for 0."""
    low, high = cost.initial_low, cost.initial_high
    if not low and not high:
        return ""
    return f", start {low}" if low == high else f", start {low} to {high}"
