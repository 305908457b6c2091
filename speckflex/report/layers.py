"""One row a layer: where it lies, what it costs, what it spiked and how far that is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.speck import CORES, WEIGHT_MAX, WEIGHT_MIN, kernel_words, neuron_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from speckflex.program import Core, Program
    from speckflex.recording import Recording
    from speckflex.report.roles import Comparison
    from speckflex.synops import LayerSynops

__all__ = ["layer_rows"]


def layer_rows(
    program: Program | None,
    recordings: Mapping[str, Recording],
    comparisons: Sequence[Comparison],
    synops: Sequence[LayerSynops],
    played: str,
) -> list[dict[str, Any]]:
    """Return the facts of each layer that any recording or the program knows.

    Args:
        program: what ran; None where only recordings are at hand.
        recordings: by role.
        comparisons: the one that the report is about first.
        synops: one per core of the program, or none.
        played: the role whose spikes stand for the board's.
    """
    names = _names(program, recordings)
    return [
        {
            "index": index,
            "name": name,
            **_spikes(index, recordings, played),
            **_distance(index, comparisons),
            **(_cost(program.cores[index]) if program is not None else _cost_unknown()),
            **_work(synops[index] if index < len(synops) else None),
        }
        for index, name in sorted(names.items())
    ]


def _names(program: Program | None, recordings: Mapping[str, Recording]) -> dict[int, str]:
    records = [record for recording in recordings.values() for record in recording.layers]
    names = {record.index: record.name for record in records}
    cores = program.cores if program is not None else ()
    return names | {index: core.name for index, core in enumerate(cores)}


def _spikes(index: int, recordings: Mapping[str, Recording], played: str) -> dict[str, Any]:
    counts = {
        role: record.counts
        for role, recording in recordings.items()
        for record in recording.layers
        if record.index == index
    }
    spikes = {role: int(values.sum()) for role, values in counts.items()}
    board = counts.get(played)
    has_neurons = board is not None and board.size > 0
    return {
        "spikes": spikes.get(played),
        "spikes_by_role": spikes,
        "silent_neurons": float((board.sum(axis=0) == 0).mean())
        if board is not None and has_neurons
        else None,
    }


def _distance(index: int, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    layers = [layer for layer in _headline(comparisons) if layer.index == index]
    floor = [layer for layer in _noise(comparisons) if layer.index == index]
    return {
        "spike_difference": layers[0].spike_difference if layers else None,
        "spike_difference_reason": layers[0].reason if layers else "no second recording of it",
        "cosine": layers[0].cosine if layers else None,
        "potential_difference": layers[0].potential_difference if layers else None,
        "noise_floor": floor[0].spike_difference if floor else None,
    }


def _headline(comparisons: Sequence[Comparison]) -> Sequence[Any]:
    return comparisons[0].difference.layers if comparisons else ()


def _noise(comparisons: Sequence[Comparison]) -> Sequence[Any]:
    floor = comparisons[0].difference.noise_floor if comparisons else None
    return floor.layers if floor is not None else ()


def _cost(core: Core) -> dict[str, Any]:
    out, channels, kernel_y, kernel_x = core.weights.shape
    limits = CORES[core.chip_core] if core.chip_core is not None else None
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
