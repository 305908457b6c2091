"""One row a layer: where it lies, what it costs, what it spiked and how far that is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.chips.chip import kernel_words, neuron_words
from speckflex.chips.formats import WEIGHT_MAX, WEIGHT_MIN

if TYPE_CHECKING:
    from speckflex.analysis.synops import LayerSynops
    from speckflex.chips import Chip
    from speckflex.program.records import Core
    from speckflex.recordings.compare import Difference, LayerDifference
    from speckflex.report.evidence import Evidence

__all__ = ["layer_rows"]


def layer_rows(evidence: Evidence) -> list[dict[str, Any]]:
    """Return the facts of each layer that any recording or the program knows."""
    program, synops = evidence.program, evidence.synops
    weight_errors = {
        check.layer: check.value for check in evidence.checks if check.rule == "8-bit error"
    }
    return [
        {
            "index": index,
            "name": name,
            **_spikes(index, evidence),
            **_distance(index, evidence),
            **(
                _cost(program.cores[index], program.chip_record)
                if program is not None
                else _cost_unknown()
            ),
            **_work(synops[index] if index < len(synops) else None),
            "weight_error": weight_errors.get(name),
        }
        for index, name in evidence.layer_names.items()
    ]


def _spikes(index: int, evidence: Evidence) -> dict[str, Any]:
    counts = {role: record.counts for role, record in evidence.records(index).items()}
    spikes = {role: int(values.sum()) for role, values in counts.items()}
    board, silent = counts.get(evidence.played), None
    if board is not None and board.size:
        silent = float((board.sum(axis=0) == 0).mean())
    return {
        "spikes": spikes.get(evidence.played),
        "spikes_by_role": spikes,
        "silent_neurons": silent,
    }


def _distance(index: int, evidence: Evidence) -> dict[str, Any]:
    difference = evidence.headline and evidence.headline.difference
    layer = _layer(index, difference)
    floor = _layer(index, difference and difference.noise_floor)
    return {
        "spike_difference": layer and layer.spike_difference,
        "spike_difference_reason": layer.reason if layer else "no second recording of it",
        "cosine": layer and layer.cosine,
        "potential_difference": layer and layer.potential_difference,
        "noise_floor": floor and floor.spike_difference,
    }


def _layer(index: int, difference: Difference | None) -> LayerDifference | None:
    """Return what a comparison found of one layer, None where it knows nothing of it."""
    layers = difference.layers if difference is not None else ()
    return next((layer for layer in layers if layer.index == index), None)


def _cost(core: Core, chip: Chip) -> dict[str, Any]:
    out, channels, kernel_y, kernel_x = core.weights.shape
    limits = chip.core(core.chip_core)
    weights = core.weights
    return {
        "core": core.chip_core,
        "kernel_memory": kernel_words(channels, out, kernel_y, kernel_x),
        "kernel_limit": limits.kernel_words if limits else None,
        "neuron_memory": neuron_words(*core.output_shape),
        "neuron_limit": limits.neuron_words if limits else None,
        "repeatable": limits.repeatable if limits else None,
        "input_shape": list(core.input_shape),
        "output_shape": list(core.output_shape),
        "weights": int(weights.size),
        "threshold_high": core.threshold_high,
        "threshold_low": core.threshold_low,
        "readout": core.readout,
        "weights_saturated": float(((weights == WEIGHT_MIN) | (weights == WEIGHT_MAX)).mean()),
        "weights_zero": float((weights == 0).mean()),
        "weights_above_threshold": float((weights >= core.threshold_high).mean()),
        "channels_without_weights": int((~np.any(weights, axis=(1, 2, 3))).sum()),
    }


def _cost_unknown() -> dict[str, Any]:
    return {"core": None, "kernel_memory": None, "neuron_memory": None}


def _work(synops: LayerSynops | None) -> dict[str, Any]:
    if synops is None:
        return {"synops_per_second_peak": None, "synops": None}
    return {"synops_per_second_peak": synops.peak_per_second, "synops": synops.to_dict()}
