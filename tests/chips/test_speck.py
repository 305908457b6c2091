"""The chip's table and its memory formulas, against the datasheet's own examples."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex.chips import CHIPS
from speckflex.chips.chip import kernel_words, neuron_words
from speckflex.chips.speck import SPECK2E, SPECK2F


@pytest.mark.parametrize("chip", [SPECK2E, SPECK2F])
def test_all_cores_together_hold_the_published_number_of_neurons(chip):
    assert sum(core.neuron_words for core in chip.cores) == 327_680


@pytest.mark.parametrize("chip", CHIPS.values())
def test_cores_are_listed_by_their_index(chip):
    assert [core.index for core in chip.cores] == list(range(len(chip.cores)))


def test_the_two_chips_differ_in_their_names_and_the_low_pass_filter_alone():
    assert SPECK2F.event_filter.low_pass
    rule = replace(SPECK2F.event_filter, low_pass=False)
    names = {"name": "speck2e", "label": "Speck2e", "samna": SPECK2E.samna}
    assert replace(SPECK2F, event_filter=rule, **names) == SPECK2E


def test_the_datasheets_example_needs_more_neurons_than_any_core_holds():
    """Conv2d(16, 32, 3, padding=1) on 64x64: kernel 8 Ki, neurons 128 Ki."""
    assert kernel_words(16, 32, 3, 3) == 8 * 1024
    assert neuron_words(32, 64, 64) == 128 * 1024
    assert max(core.neuron_words for core in SPECK2E.cores) < 128 * 1024


@pytest.mark.parametrize(
    ("layer", "kernel", "neuron"),
    [
        ((1, 20, 5, 24), 1024, 20480),
        ((20, 32, 5, 8), 20480, 2048),
        ((32, 128, 3, 2), 65536, 512),
        ((128, 500, 1, 1), 65536, 500),
        ((500, 10, 1, 1), 8000, 10),
    ],
)
def test_the_layers_of_the_mnist_network_need_what_sinabs_counts(layer, kernel, neuron):
    inputs, outputs, size, side = layer
    assert kernel_words(inputs, outputs, size, size) == kernel
    assert neuron_words(outputs, side, side) == neuron


@given(*[st.integers(1, 40)] * 4)
def test_memory_is_the_smallest_power_of_two_that_holds_each_rounded_part(a, b, c, d):
    def power(value):
        return next(2**n for n in range(20) if 2**n >= value)

    assert kernel_words(a, b, c, d) == a * power(c * d) * power(b)
    assert neuron_words(a, b, c) == a * power(b) * power(c)
    assert kernel_words(a, b, c, d) >= a * b * c * d
    assert math.log2(power(a)).is_integer()
