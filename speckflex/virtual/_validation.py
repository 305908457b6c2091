"""Checks of a configuration against the chip's limits.

All limits of the data sheet are checked (Speck Dev Kit Datasheet 2.4 and 3.2.4.1). Which of them
samna checks, and in which words, is not documented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex.chips.chip import CoreLimits, kernel_words, neuron_words
from speckflex.chips.formats import NEURON_MAX, NEURON_MIN, WEIGHT_MAX, WEIGHT_MIN
from speckflex.virtual._configuration import SPECK
from speckflex.virtual._decode import (
    decode_dvs_layer,
    input_shape,
    is_configured,
    neuron_shape,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["validate_configuration"]

LIMITS = SPECK.limits


def validate_configuration(configuration: Any) -> tuple[bool, str]:
    """Return whether the chip takes a configuration, and a text with all that is wrong with it."""
    faults = list(_faults(configuration))
    return not faults, "; ".join(faults)


def _faults(configuration: Any) -> Iterator[str]:
    for index, layer in enumerate(configuration.cnn_layers):
        faults = list(_destination_faults(configuration, layer))
        if is_configured(layer):
            faults = [
                *_dimension_faults(layer),
                *_shape_faults(layer),
                *_range_faults(layer),
                *_memory_faults(layer, SPECK.cores[index]),
                *faults,
            ]
        yield from (f"core {index}: {fault}" for fault in faults)
    for fault in _dvs_faults(configuration):
        yield f"dvs layer: {fault}"
    if configuration.dvs_filter.enable:
        for fault in _filter_faults(configuration.dvs_filter):
            yield f"dvs filter: {fault}"


def _dimension_faults(layer: Any) -> Iterator[str]:
    dimensions = layer.dimensions
    if not 1 <= dimensions.kernel_size <= LIMITS.max_kernel:
        yield f"kernel size {dimensions.kernel_size} is not in 1..{LIMITS.max_kernel}"
    for axis in ("y", "x"):
        stride, padding = getattr(dimensions.stride, axis), getattr(dimensions.padding, axis)
        if stride not in LIMITS.strides:
            yield f"stride {axis} {stride} is not one of {_listed(LIMITS.strides)}"
        if padding > LIMITS.max_padding:
            yield f"padding {axis} {padding} is more than {LIMITS.max_padding}"
    features_in, *size_in = input_shape(layer)
    features_out, *size_out = neuron_shape(layer)
    if max(size_in) > LIMITS.max_input_size:
        yield f"input map {size_in} (y, x) is larger than {LIMITS.max_input_size} a side"
    if max(size_out) > LIMITS.max_output_size:
        yield f"output map {size_out} (y, x) is larger than {LIMITS.max_output_size} a side"
    if max(features_in, features_out) > LIMITS.max_features:
        yield f"{max(features_in, features_out)} features are more than {LIMITS.max_features}"


def _shape_faults(layer: Any) -> Iterator[str]:
    features, y, x = neuron_shape(layer)
    size = layer.dimensions.kernel_size
    expected = {
        "weights": (features, input_shape(layer)[0], size, size),
        "biases": (features,),
        "neurons_initial_value": (features, x, y),
    }
    for name, shape in expected.items():
        actual = layer.stored[name].shape
        if 0 not in actual and actual != shape:
            yield f"{name} have shape {actual}, the dimensions need {shape}"
    dimensions, sizes = layer.dimensions, input_shape(layer)[1:]
    axes = [(getattr(dimensions.stride, axis), getattr(dimensions.padding, axis)) for axis in "yx"]
    # a stride of 0 is a fault of the dimensions, and leaves no size to compare
    if all(stride for stride, _ in axes):
        convolved = tuple(
            (size_in + 2 * padding - size) // stride + 1
            for size_in, (stride, padding) in zip(sizes, axes, strict=True)
        )
        if convolved != (y, x):
            yield f"output map {(y, x)} (y, x) is not the {convolved} of the convolution"


def _range_faults(layer: Any) -> Iterator[str]:
    ranges = {
        "weights": (WEIGHT_MIN, WEIGHT_MAX),
        "biases": (NEURON_MIN, NEURON_MAX),
        "neurons_initial_value": (NEURON_MIN, NEURON_MAX),
        "threshold_high": (0, NEURON_MAX),  # samna 0.48.5, CnnLayerConfig
        "threshold_low": (NEURON_MIN, LIMITS.max_threshold_low),
    }
    for name, (low, high) in ranges.items():
        values = np.asarray(layer.stored[name])
        if values.size and not (low <= values.min() and values.max() <= high):
            found = f"range {values.min()}..{values.max()}" if values.ndim else f"{values}"
            yield f"{name} {found} is not in {low}..{high}"


def _memory_faults(layer: Any, limits: CoreLimits) -> Iterator[str]:
    features, y, x = neuron_shape(layer)
    size = layer.dimensions.kernel_size
    if min(features, y, x, size, *input_shape(layer)) < 1:
        yield "a dimension is 0"
        return
    needed = {
        "kernel": kernel_words(input_shape(layer)[0], features, size, size),
        "neuron": neuron_words(features, y, x),
        "bias": layer.stored["biases"].size,
    }
    for memory, words in needed.items():
        held = getattr(limits, f"{memory}_words")
        if words > held:
            yield f"{words} {memory} words are needed, the core has {held}"


def _destination_faults(configuration: Any, layer: Any) -> Iterator[str]:
    for destination in layer.destinations:
        if not destination.enable or destination.layer == SPECK.readout.layer:
            continue
        if destination.pooling not in LIMITS.poolings:
            yield f"pooling {destination.pooling} is not one of {_listed(LIMITS.poolings)}"
            continue
        features, y, x = neuron_shape(layer)
        pooling = destination.pooling
        sent = (features + destination.feature_shift, y // pooling, x // pooling)
        yield from _target_faults(configuration, destination.layer, sent)


def _dvs_faults(configuration: Any) -> Iterator[str]:
    dvs = configuration.dvs_layer
    region_faults = list(_region_faults(dvs))
    yield from region_faults
    if region_faults:
        # without a region there is no output shape to check
        return
    stage = decode_dvs_layer(dvs, [])
    channels, *size = stage.output_shape
    # a polarity alone has one channel, as merged ones have (samna, models)
    sent = (1 if stage.has_one_feature else channels, *size)
    for destination in dvs.destinations:
        if destination.enable and destination.layer != SPECK.readout.layer:
            yield from _target_faults(configuration, destination.layer, sent)


def _region_faults(dvs: Any) -> Iterator[str]:
    for axis in ("y", "x"):
        pooling, first, last = (getattr(part, axis) for part in (dvs.pooling, dvs.origin, dvs.cut))
        if pooling not in LIMITS.poolings:
            yield f"pooling {axis} {pooling} is not one of {_listed(LIMITS.poolings)}"
        elif not first <= last < LIMITS.max_input_size:
            yield f"origin {axis} {first} and cut {axis} {last} leave no region of the sensor"


def _filter_faults(rule: Any) -> Iterator[str]:
    """Yield each of the filter's rules that is broken (data sheet 3.2.3.5, and its registers)."""
    windows, largest = SPECK.event_filter.windows, SPECK.event_filter.max_size
    if rule.threshold not in windows:
        yield f"threshold {rule.threshold} is not in {windows.start}..{windows.stop - 1}"
    size = rule.filter_size
    if max(size.y, size.x) > largest:
        yield f"filter_size {size} is more than {largest} on a side"
    low_pass = getattr(rule, "low_pass_mode_enable", False)
    if low_pass and rule.hot_pixel_filter_enable:
        yield "low pass mode and hot pixel filter exclude each other"
    if low_pass and (size.y or size.x):
        yield f"filter_size is {size}, and low pass mode needs (0, 0)"


def _target_faults(configuration: Any, target: int, sent: tuple[int, ...]) -> Iterator[str]:
    if target >= len(SPECK.cores):
        yield f"destination {target} is not a core: choose 0..{len(SPECK.cores) - 1}"
        return
    taken = input_shape(configuration.cnn_layers[target])
    if sent[0] > taken[0] or sent[1:] != taken[1:]:
        yield (
            f"input and target shape do not match: {sent} (feature, y, x) is sent to core"
            f" {target}, which takes {taken}"
        )


def _listed(values: tuple[int, ...]) -> str:
    return ", ".join(str(value) for value in values)
