"""The facts of each layer: its core, cost, spikes and difference from the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex.chips.formats import WEIGHT_MAX, WEIGHT_MIN
from speckflex.fitting.memory import layer_memory
from speckflex.report._parts import finite
from speckflex.report.facts import LayerCost, LayerFacts

if TYPE_CHECKING:
    from speckflex.chips.chip import CoreLimits
    from speckflex.program.records import Core
    from speckflex.recordings.compare import Difference, LayerDifference
    from speckflex.recordings.tally import LayerTally
    from speckflex.report.evidence import Evidence

__all__ = ["layer_facts"]


def layer_facts(evidence: Evidence) -> tuple[LayerFacts, ...]:
    """Return the facts of each layer of the recordings and the program."""
    weight_errors = {
        check.layer: check.value for check in evidence.checks if check.rule == "8-bit error"
    }
    return tuple(
        _layer(index, name, evidence, weight_errors.get(name))
        for index, name in evidence.layer_names.items()
    )


def _layer(index: int, name: str, evidence: Evidence, weight_error: object) -> LayerFacts:
    program = evidence.program
    core = program and program.cores[index]
    limits = program and core and program.chip_record.core(core.chip_core)
    memory = core and layer_memory(core)
    synops = evidence.synops[index] if index < len(evidence.synops) else None
    tallies = {
        role: layer
        for role, tally in evidence.tallies.items()
        for layer in tally.layers
        if layer.index == index
    }
    spikes = {role: layer.total for role, layer in tallies.items()}
    played, n_samples = evidence.played, evidence.board_tally.n_samples
    difference = evidence.headline and evidence.headline.difference
    layer = _of_layer(index, difference)
    floor = _of_layer(index, difference and difference.noise_floor)
    return LayerFacts(
        index=index,
        name=name,
        spikes=spikes.get(played),
        spikes_per_inference=_per_sample(spikes.get(played), n_samples),
        spikes_by_role=spikes,
        silent_neurons=_silent_share(tallies.get(played), n_samples),
        spike_difference=layer and finite(layer.spike_difference),
        spike_difference_reason=layer.reason if layer else "no second recording of it",
        cosine=layer and layer.cosine,
        potential_difference=layer and finite(layer.potential_difference),
        noise_floor=floor and finite(floor.spike_difference),
        core=core and core.chip_core,
        kernel_memory=memory and memory.kernel_words,
        neuron_memory=memory and memory.neuron_words,
        cost=core and _cost(core, limits),
        synops_per_second_peak=synops and synops.peak_per_second,
        synops=synops,
        weight_error=weight_error if isinstance(weight_error, float) else None,
    )


def _per_sample(spikes: int | None, n_samples: int) -> float | None:
    return None if spikes is None or not n_samples else spikes / n_samples


def _silent_share(layer: LayerTally | None, n_samples: int) -> float | None:
    """Return the share of neurons without a spike in any sample."""
    if layer is None or not layer.spikes.size or not n_samples:
        return None
    return float((layer.spikes == 0).mean())


def _of_layer(index: int, difference: Difference | None) -> LayerDifference | None:
    """Return the difference of one layer; None if it was not compared."""
    layers = difference.layers if difference is not None else ()
    return next((layer for layer in layers if layer.index == index), None)


def _cost(core: Core, limits: CoreLimits | None) -> LayerCost:
    weights, state = core.weights, core.initial_state
    return LayerCost(
        kernel_limit=limits.kernel_words if limits else None,
        neuron_limit=limits.neuron_words if limits else None,
        repeatable=limits.repeatable if limits else None,
        input_shape=core.input_shape,
        output_shape=core.output_shape,
        weights=int(weights.size),
        threshold_high=core.threshold_high,
        threshold_low=core.threshold_low,
        readout=core.readout,
        weights_saturated=float(((weights == WEIGHT_MIN) | (weights == WEIGHT_MAX)).mean()),
        weights_zero=float((weights == 0).mean()),
        weights_above_threshold=float((weights >= core.threshold_high).mean()),
        channels_without_weights=int((~np.any(weights, axis=(1, 2, 3))).sum()),
        initial_low=0 if state is None else int(state.min()),
        initial_high=0 if state is None else int(state.max()),
    )
