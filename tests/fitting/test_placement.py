"""Layers go on cores if and only if some assignment exists; otherwise the reason is named."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex.chips.speck import SPECK2E
from speckflex.errors import PlacementError
from speckflex.fitting.memory import LayerMemory, layer_memory
from speckflex.fitting.placement import place_layers, placement_problems
from speckflex.program.program import Program
from speckflex.program.records import Core, Destination, InputStage

# Sides, channels and kernels that fill few, many or no cores.
LAYERS = st.tuples(
    st.sampled_from([1, 16, 64, 256]),
    st.sampled_from([1, 8, 32, 64, 128, 512]),
    st.sampled_from([1, 3, 5]),
    st.sampled_from([1, 8, 16, 32, 48]),
)


def layer(channels, out, kernel, side, name="layer", destinations=()):
    """Return a core whose output map has the given side."""
    return Core(
        name=name,
        weights=np.ones((out, channels, kernel, kernel), dtype=np.int8),
        threshold_high=10,
        threshold_low=-10,
        input_shape=(channels, side + kernel - 1, side + kernel - 1),
        destinations=destinations,
    )


def program_of(*layers, chip="speck2e"):
    """Return a program of cores that nothing connects: placement looks at memory alone."""
    cores = tuple(layer(*sizes, name=f"layer{index}") for index, sizes in enumerate(layers))
    return Program(cores, InputStage((1, 8, 8), destinations=()), chip)


def fits_by_hand(core, index):
    """Hold a layer against DS table 1, without the package's formulas."""
    kernel, neuron = [
        *[(16, 64)] * 3,
        *[(32, 32)] * 2,
        *[(64, 16)] * 2,
        *[(16, 16)] * 2,
    ][index]
    out, channels, kernel_y, kernel_x = core.weights.shape
    taps, features, y, x = 1, 1, 1, 1
    while taps < kernel_y * kernel_x:
        taps *= 2
    while features < out:
        features *= 2
    while y < core.output_shape[1]:
        y *= 2
    while x < core.output_shape[2]:
        x *= 2
    return channels * taps * features <= kernel * 1024 and out * y * x <= neuron * 1024


def assignments(program):
    """Yield every way to put the layers on cores of their own."""
    fits = [[fits_by_hand(core, index) for index in range(9)] for core in program.cores]
    for chosen in permutations(range(9), len(fits)):
        if all(row[index] for row, index in zip(fits, chosen, strict=True)):
            yield chosen


@given(st.lists(LAYERS, min_size=1, max_size=5))
def test_a_placement_is_found_exactly_where_a_search_over_all_finds_one(sizes):
    program = program_of(*sizes)
    if next(assignments(program), None) is None:
        with pytest.raises(PlacementError):
            place_layers(program)
        return
    placed = [core.chip_core for core in place_layers(program).cores]
    assert len(set(placed)) == len(placed)
    assert all(fits_by_hand(core, at) for core, at in zip(program.cores, placed, strict=True))


@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_no_other_placement_uses_fewer_cores_that_do_not_repeat(sizes):
    program = program_of(*sizes)
    least = min((sum(index < 2 for index in found) for found in assignments(program)), default=None)
    if least is not None:
        placed = [core.chip_core for core in place_layers(program).cores]
        assert sum(index < 2 for index in placed) == least


def test_the_same_program_is_placed_alike_twice():
    sizes = [(1, 8, 3, 16)] * 5
    first, second = (place_layers(program_of(*sizes)) for _ in range(2))
    assert first.sha256 == second.sha256


def test_an_unbounded_program_is_not_placed():
    program = program_of((512, 512, 5, 48), chip="unbounded")
    assert place_layers(program) is program


def test_nine_layers_fill_the_chip_and_ten_do_not():
    nine = place_layers(program_of(*[(1, 1, 1, 1)] * 9))
    assert sorted(core.chip_core for core in nine.cores) == list(range(9))
    with pytest.raises(PlacementError, match=r"10 layers, the chip 9 cores.*make it 1 shorter"):
        place_layers(program_of(*[(1, 1, 1, 1)] * 10))


def test_a_layer_that_fits_no_core_is_named_with_need_and_remedy():
    # The datasheet's own example: Conv2d(16, 32, 3, padding=1) on 64 x 64.
    program = program_of((1, 1, 1, 1), (16, 32, 3, 64))
    with pytest.raises(PlacementError, match=r"^layer layer1 needs 131072 neuron words") as caught:
        place_layers(program)
    assert "no core holds more than 65536" in str(caught.value)
    assert "16 output channels" in str(caught.value)
    assert "32 x 32" in str(caught.value)


@given(LAYERS)
def test_the_suggested_number_of_channels_fits_and_one_more_does_not(sizes):
    channels, _, kernel, side = sizes
    core = layer(*sizes)
    if layer_memory(core).fitting(SPECK2E):
        return
    [problem] = placement_problems(program_of(sizes))
    if "output channels" not in problem:
        return
    fewer = int(problem.split("reduce it to ")[1].split()[0])

    def fits(out):
        smaller = layer(channels, out, kernel, side)
        return any(fits_by_hand(smaller, index) for index in range(9))

    assert fits(fewer)
    assert not fits(fewer + 1)


def test_layers_that_compete_are_named_with_their_cores():
    # 64 Ki kernel words fit on cores 5 and 6 alone.
    program = program_of((1, 1, 1, 1), *[(64, 1024, 1, 1)] * 3)
    with pytest.raises(
        PlacementError, match=r"^layers layer1 .*layer3 .* compete for cores 5, 6, 3 layers for 2"
    ) as caught:
        place_layers(program)
    assert "layer0" not in str(caught.value)


def test_kernel_and_neurons_that_fit_apart_but_not_together_are_said_to():
    with pytest.raises(PlacementError, match=r"65536 kernel and 65536 neuron words together"):
        place_layers(program_of((64, 64, 4, 32)))


def test_a_chosen_core_is_kept_and_the_others_go_round_it():
    program = program_of((1, 1, 1, 1), (1, 1, 1, 1))
    placed = place_layers(program, cores={"layer1": 7, 0: 0})
    assert [core.chip_core for core in placed.cores] == [0, 7]
    assert place_layers(program, cores={-1: 3}).cores[1].chip_core == 3


@pytest.mark.parametrize(
    ("cores", "message"),
    [
        ({0: 9}, r"core 9 does not exist: choose one of 0..8"),
        ({"conv": 1}, r"layer 'conv' is not in the program: choose one of layer0, layer1"),
        ({5: 1}, r"layer 5 is not in the program"),
        ({0: 1, 1: 1}, r"is named twice"),
        ({0: 1, "layer0": 2}, r"is named twice"),
        ({1: 7}, r"layer1 does not fit on core 7: kernel words 65536 of 16384: choose one of \[5"),
    ],
)
def test_a_wrong_choice_of_cores_is_refused(cores, message):
    program = program_of((1, 1, 1, 1), (64, 1024, 1, 1))
    with pytest.raises(PlacementError, match=message):
        place_layers(program, cores=cores)


def test_a_choice_that_starves_another_layer_is_refused():
    program = program_of((1, 1, 1, 1), (64, 1024, 1, 1), (64, 1024, 1, 1))
    with pytest.raises(PlacementError, match="compete"):
        place_layers(program, cores={0: 5})


def test_memory_is_counted_as_the_recorded_network_needs_it():
    """MNIST's net of sinabs' tests: Conv 20, 32, 128, linear 500, 10 at 28 x 28."""
    sizes = [
        LayerMemory.of(1, 20, (5, 5), (24, 24), biased=False),
        LayerMemory.of(20, 32, (5, 5), (8, 8), biased=False),
        LayerMemory.of(32, 128, (3, 3), (2, 2), biased=False),
        LayerMemory.of(128, 500, (1, 1), (1, 1), biased=False),
        LayerMemory.of(500, 10, (1, 1), (1, 1), biased=True),
    ]
    assert [memory.kernel_words for memory in sizes] == [1024, 20480, 65536, 65536, 8000]
    assert [memory.neuron_words for memory in sizes] == [20480, 2048, 512, 500, 10]
    assert [memory.bias_words for memory in sizes] == [0, 0, 0, 0, 10]
    recorded = [0, 3, 5, 6, 1]
    assert all(
        memory.fits(SPECK2E.cores[core]) for memory, core in zip(sizes, recorded, strict=True)
    )


def test_layers_with_a_bias_stay_off_cores_0_and_1():
    sizes = [(8, 16, 3, 48), (8, 16, 3, 48), (8, 16, 3, 48)]
    program = program_of(*sizes)
    for biased in range(3):
        cores = [
            replace(core, bias=np.ones(16)) if index == biased else core
            for index, core in enumerate(program.cores)
        ]
        placed = place_layers(replace(program, cores=tuple(cores)))
        # 16 features of 64 x 64 places fit on cores 0, 1 and 2 alone
        assert sorted(core.chip_core for core in placed.cores) == [0, 1, 2]
        assert placed.cores[biased].chip_core == 2


def bits(count):
    """Return how many bits tell so many things apart."""
    return (count - 1).bit_length()


@given(
    channels=st.integers(1, 1024),
    out=st.integers(1, 1024),
    kernel=st.integers(1, 16),
    side=st.integers(1, 64),
)
def test_what_fits_has_every_address_in_memory(channels, out, kernel, side):
    """The data sheet's addresses: tap, output, input; y, x, feature; each in its bits."""
    memory = LayerMemory.of(channels, out, (kernel, kernel), (side, side), biased=False)
    last_tap = (kernel**2 - 1) << bits(out) | (out - 1)
    last_weight = last_tap << bits(channels) | (channels - 1)
    last_place = (side - 1) << bits(side) | (side - 1)
    last_neuron = last_place << bits(out) | (out - 1)
    for limits in SPECK2E.cores:
        if memory.fits(limits):
            assert last_weight < limits.kernel_words
            assert last_neuron < limits.neuron_words


def test_placement_keeps_everything_but_the_core():
    core = layer(1, 2, 3, 4, destinations=(Destination(1, 2),))
    after = layer(2, 1, 1, 2, name="after")
    program = Program((core, after), InputStage((1, 6, 6)))
    placed = place_layers(program)
    assert placed.cores[0].destinations == core.destinations
    assert (placed.input, placed.chip) == (program.input, program.chip)
    np.testing.assert_array_equal(placed.cores[0].weights, core.weights)
