"""Quantised layers: their three theorems, their gradients, their neurons, and their training."""

import json
from collections import OrderedDict
from fractions import Fraction
from math import floor

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from sinabs.activation import MultiSpike
from sinabs.layers import IAF
from torch import nn

import speckflex as sf
from speckflex.cli import main
from speckflex.errors import NetworkError, TrainingError
from speckflex.events.streams import make_events
from speckflex.networks.fold import fold_batchnorm
from speckflex.networks.quantised import QuantisedReLU, quantised_layers, quantised_to_spiking
from speckflex.networks.spiking import spiking_network
from speckflex.training import TrainingSettings
from speckflex.training.mixed.temporal import TemporalTransform
from speckflex.training.mtsnn.levels import (
    budget_loss,
    excess_counts,
    freeze_bits,
    keep_levels,
    parameter_groups,
)
from speckflex.training.mtsnn.quantise import quantised_network
from speckflex.training.mtsnn.simulation import simulate


def quantised(bits, step=1.0, **options):
    return QuantisedReLU(bits=bits, step=step, **options)


def three_layers(bits=(2, 4, 3), steps=(0.37, 0.61, 0.23), **options):
    """A network on (2, 7, 7) whose weights lie below the thresholds of its neurons."""
    generator = torch.Generator().manual_seed(3)
    layers = OrderedDict(
        conv1=nn.Conv2d(2, 4, 3, padding=1, bias=False),
        spike1=quantised(bits[0], steps[0], **options),
        conv2=nn.Conv2d(4, 3, 3, stride=2, bias=False),
        spike2=quantised(bits[1], steps[1], **options),
        flatten=nn.Flatten(),
        linear3=nn.Linear(27, 4, bias=False),
        spike3=quantised(bits[2], steps[2], **options),
    )
    units = (steps[0], steps[1] / steps[0], steps[2] / steps[1])
    for name, most in zip(("conv1", "conv2", "linear3"), units, strict=True):
        weight = layers[name].weight.data
        weight.copy_((torch.rand(weight.shape, generator=generator) * 1.5 - 0.55) * most)
    return nn.Sequential(layers)


def count_by_definition(z, step, levels):
    """floor(z / s + 1/2) between 0 and L, in fractions."""
    return min(max(floor(Fraction(z) / Fraction(step) + Fraction(1, 2)), 0), levels)


@given(
    drives=st.lists(st.integers(-300, 900), min_size=1, max_size=8),
    bits=st.integers(1, 5),
    step=st.sampled_from([0.25, 0.75, 1.0, 1.625]),
)
def test_e1_a_constant_drive_fires_as_often_as_the_quantised_relu_counts(drives, bits, step):
    """Theorem E1: L steps, start at half the threshold, soft reset, at most one spike a step."""
    levels = 2**bits - 1
    values = torch.tensor(drives, dtype=torch.float64)[None, :] / 64
    expected = [count_by_definition(float(z), step, levels) for z in values[0]]
    layer = quantised(bits, step).double()
    found = simulate(nn.Sequential(layer), values, way="steps")
    assert found.counts[0][0].tolist() == expected
    # the neuron once more, in fractions
    for z, count in zip(values[0].tolist(), expected, strict=True):
        threshold = Fraction(step) * levels
        potential, spikes = threshold / 2, 0
        for _ in range(levels):
            potential += Fraction(z)
            if potential >= threshold:
                potential, spikes = potential - threshold, spikes + 1
        assert spikes == count
    assert layer(values).tolist() == [[count * step for count in expected]]


@pytest.mark.parametrize("bits", [(2, 4, 3), (1, 5, 2), (3, 3, 3), (4, 1, 1)])
def test_e2_layers_that_take_in_all_before_they_fire_equal_the_network_bit_for_bit(bits):
    """Theorem E2, with other numbers of steps in each layer."""
    network = three_layers(bits)
    values = torch.rand((40, 2, 7, 7), generator=torch.Generator().manual_seed(1)) * 2
    found = simulate(network, values, way="exact")
    assert found.timesteps == tuple(2**n - 1 for n in bits)
    with torch.no_grad():
        assert torch.equal(found.output, network(values))
        first = network.spike1(network.conv1(values)) / network.spike1.step
    assert torch.equal(found.counts[0], first.round())
    for counts, levels in zip(found.counts, found.timesteps, strict=True):
        assert 0 < counts.max() <= levels
    # as spikes arrive, the first layer is the same and later ones need not be
    in_steps = simulate(network, values, way="steps")
    assert (in_steps.counts[0] - found.counts[0]).abs().sum() <= 2  # ties, in floats
    assert in_steps.output.shape == found.output.shape


def highest_sum(core, arriving, shape):
    """The highest running sum of each neuron, and its last one, event by event in integers."""
    weights = core.weights.astype(np.int64)
    _, _, height, width = weights.shape
    _, rows, columns = core.output_shape
    total = np.zeros(core.output_shape, np.int64)
    highest, lowest = total.copy(), total.copy()
    for event in arriving:
        for y in range(rows):
            for x in range(columns):
                ky = int(event["y"]) + core.padding[0] - y * core.stride[0]
                kx = int(event["x"]) + core.padding[1] - x * core.stride[1]
                if 0 <= ky < height and 0 <= kx < width:
                    total[:, y, x] += weights[:, event["p"], ky, kx]
        highest, lowest = np.maximum(highest, total), np.minimum(lowest, total)
    return highest, total, lowest


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_e3_on_the_chip_a_count_is_the_quantised_running_maximum(layer, rng):
    """Theorem E3: each layer of the twin, given the events that reached it."""
    program = sf.convert(three_layers(), (2, 7, 7), chip="unbounded")
    n = 120
    events = make_events(
        np.arange(n) * 10, rng.integers(0, 7, n), rng.integers(0, 7, n), rng.integers(0, 2, n)
    )
    with sf.open_board("twin") as board:
        board.load(program)
        recording = board.play(events)
    core = program.cores[layer]
    assert core.weights.max() <= core.threshold_high
    arriving = events if layer == 0 else recording.events(layer - 1)
    highest, last, lowest = highest_sum(core, arriving, core.input_shape)
    assert lowest.min() > core.threshold_low  # the bound is not reached
    start, theta = core.threshold_high // 2, core.threshold_high
    counts = recording.counts(layer)[0]
    assert np.array_equal(counts, (highest + start) // theta)
    # never below the count of the last sum, and above it where the order of events lets it
    quantised_last = np.maximum((last + start) // theta, 0)
    assert (counts >= quantised_last).all()
    assert layer == 2 or (counts > quantised_last).any()


def test_gradients_are_those_of_a_learned_step():
    """Inside N - z/s by the step and 1 by the drive; above L and 0; below 0 and 0 (LSQ)."""
    drives = torch.tensor([[0.9, 2.3, -0.7, 40.0]], requires_grad=True)
    layer = quantised(3, 0.5)
    share = 1 / np.sqrt(4 * 7)
    for index, by_step in enumerate([2 - 1.8, 5 - 4.6, 0.0, 7.0]):
        layer.step.grad = drives.grad = None
        layer(drives)[0, index].backward()
        assert float(layer.step.grad) == pytest.approx(by_step * share, abs=1e-6)
        assert float(drives.grad[0, index]) == pytest.approx(float(index < 2), abs=1e-6)


def test_between_two_bit_widths_values_are_their_mean_by_distance():
    drives = torch.tensor([[0.2, 2.0, 9.0]])
    whole = [quantised(n)(drives) for n in (2, 3)]
    layer = quantised(2.25)
    torch.testing.assert_close(layer(drives), 0.75 * whole[0] + 0.25 * whole[1])
    layer(drives)[0, 2].backward()
    assert float(layer.bits.grad) == pytest.approx(7 - 3)
    assert layer.levels == 7


def test_with_several_frames_it_is_a_neuron_that_starts_at_half_its_threshold():
    drives = torch.randint(-9, 12, (4, 15, 30), generator=torch.Generator().manual_seed(0)) / 8
    neuron = IAF(spike_threshold=0.5, spike_fn=MultiSpike, min_v_mem=None)
    neuron.v_mem = torch.full((4, 30), 0.25)
    layer = quantised(3, 0.5, ceiling=False)
    layer.batch_size = 4
    with torch.no_grad():
        found = layer(drives.flatten(0, 1)).unflatten(0, (4, 15)) / layer.step
        assert torch.equal(found.round(), neuron(drives))
    assert found.max() > 1


def test_the_spiking_network_counts_what_the_network_values():
    """All in one time step, where neither has an end of its counts."""
    network = three_layers(ceiling=False)
    spiking = quantised_to_spiking(network)
    values = torch.poisson(torch.full((30, 2, 7, 7), 0.6))
    spiking.spike1.batch_size = spiking.spike2.batch_size = spiking.spike3.batch_size = 30
    with torch.no_grad():
        expected = network(values) / network.spike3.step
        found = spiking(values)
    assert (found - expected).abs().max() < 1e-4
    assert found.max() >= 2
    ratios = [0.37, 0.61 / 0.37, 0.23 / 0.61]
    for name, ratio in zip(("spike1", "spike2", "spike3"), ratios, strict=True):
        assert float(spiking.get_submodule(name).spike_threshold) == pytest.approx(ratio)
    for name in ("conv1", "conv2", "linear3"):
        before, after = network.get_submodule(name).weight, spiking.get_submodule(name).weight
        assert torch.equal(before, after)
    program = sf.convert(network, (2, 7, 7), chip="unbounded")
    assert program.metadata["levels"] == "spike1 3, spike2 15, spike3 7"
    for core in program.cores:
        assert (core.initial_state == core.threshold_high // 2).all()
        assert -core.threshold_low >= 8 * core.threshold_high


def test_batch_norm_behind_a_layer_with_a_step_folds_to_the_same_potentials():
    norm = nn.BatchNorm2d(3)
    norm.weight.data, norm.running_var = torch.tensor([0.5, 2.0, 1.0]), torch.tensor([4.0, 1, 0.3])
    layers = list(three_layers(ceiling=False)[:4])
    network = nn.Sequential(*layers[:3], norm, layers[3]).eval()
    values = torch.poisson(torch.full((30, 2, 7, 7), 0.6))
    spiking = fold_batchnorm(spiking_network(network))
    for module in spiking.modules():
        if hasattr(module, "batch_size"):
            module.batch_size = 30
    with torch.no_grad():
        expected = network(values) / network[-1].step
        assert (spiking(values) - expected).abs().max() < 1e-4


@given(st.integers(1, 12), st.integers(1, 12))
def test_the_rate_rule_gives_each_frame_the_mean_of_its_time(n_input, n_output):
    frames = torch.arange(1.0, n_input + 1, dtype=torch.float64)[None, :, None] ** 2
    found = TemporalTransform(n_output, upsampling="rate", downsampling="rate")(frames)[0, :, 0]
    # all frames cut into n_input * n_output equal pieces
    pieces = [float(value) for value in frames[0, :, 0] for _ in range(n_output)]
    expected = [np.mean(pieces[k * n_input : (k + 1) * n_input]) for k in range(n_output)]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    whole = TemporalTransform(n_output, upsampling="rate", downsampling="rate")(frames.int())
    np.testing.assert_allclose(whole[0, :, 0].numpy(), expected, rtol=1e-5)


def test_whole_bit_widths_stay_within_the_mean_of_the_levels():
    network = nn.Sequential(*(quantised(n) for n in (2.9, 2.2, 3.5, 1.1)))
    freeze_bits(network, TrainingSettings(method="mtsnn", mean_t=6.5))
    # up: 3, 3, 4, 2 has a mean of 8; the two that went up furthest go down
    assert [layer.bits.item() for layer in network] == [3, 2, 4, 1]
    assert not any(layer.bits.requires_grad for layer in network)
    fixed = nn.Sequential(quantised(8), quantised(8))
    settings = TrainingSettings(method="mtsnn", mean_t=6.0, bits="8,8")
    freeze_bits(fixed, settings)
    assert [layer.levels for layer in fixed] == [255, 255]
    assert budget_loss(fixed, settings) == 0.0


def test_steps_and_bit_widths_stay_where_there_are_some():
    network = nn.Sequential(quantised(3), quantised(3))
    network[0].step.data.fill_(-0.01)
    network[1].bits.data.fill_(0.2)
    keep_levels(network)
    assert network[0].step_size > 0
    assert network[1].bit_width == 1
    # a step moves in parts of its size, whatever the optimiser makes of its gradient
    network[0].step.data.fill_(0.06)
    groups = parameter_groups(network.append(nn.Linear(2, 2)), TrainingSettings(method="mtsnn"))
    assert [group.get("lr") for group in groups] == [None, pytest.approx(1.8e-4), 3e-3, 3e-2]


def test_losses_of_levels_pull_bit_widths_both_ways():
    network = nn.Sequential(quantised(4.0, ceiling=False), quantised(3.0, ceiling=False))
    budget_loss(network, TrainingSettings(method="mtsnn", mean_t=7.0)).backward()
    assert all(layer.bits.grad > 0 for layer in network)  # a step against it makes them smaller
    network.zero_grad()
    with excess_counts(network) as losses:
        network(torch.full((2, 50), 20.0))
    sum(losses).backward()
    assert all(layer.bits.grad < 0 for layer in network)
    with excess_counts(network) as losses:
        network(torch.full((2, 50), 6.0))
    assert sum(losses).item() == 0


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), quantised(2))

    def forward(self, values):
        return values + self.inner(values)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: quantised(9), NetworkError, "has 9 bits: give a number from 1 to 8"),
        (lambda: quantised(3, 0.0), NetworkError, "has step 0.0: give a number above 0"),
        (
            lambda: quantised_to_spiking(nn.Sequential(Residual())),
            NetworkError,
            r"module 0 \(Residual\) has quantised ReLUs inside",
        ),
        (lambda: TrainingSettings(method="mtsnn", mean_t=0.5), TrainingError, "mean t 0.5: must"),
        (lambda: TrainingSettings(method="mtsnn", bits="3,x"), TrainingError, "'x' is no whole"),
        (lambda: TrainingSettings(bits="3"), TrainingError, "bits 3 with method sdt: only"),
        (
            lambda: quantised_network(
                nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
                TrainingSettings(method="mtsnn", bits="3,3"),
            ),
            TrainingError,
            "names 2 bit widths, and the network has 1 layers",
        ),
        (
            lambda: simulate(nn.Sequential(quantised(2.5)), torch.zeros(1, 3), way="exact"),
            TrainingError,
            "layer 0 has 2.5 bits and ceiling True",
        ),
    ],
)
def test_what_can_not_be_is_refused_in_one_line(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_training_from_the_command_line_converts_with_its_levels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ["--data", "synthetic-digits", "--samples", "20", "--json"]
    train = ["train", "--method", "mtsnn", "--t", "2", "--width", "4", "--mean-t", "5"]
    run = CliRunner().invoke
    result = run(main, [*train, *data, "--epochs", "3", "-o", "net.pt"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["method"] == "mtsnn"
    result = run(main, ["convert", "net.pt", "-o", "net.speck", "--input-shape", "2,34,34"])
    assert result.exit_code == 0, result.output
    program = sf.Program.load("net.speck")
    levels = [int(part.split()[1]) for part in program.metadata["levels"].split(", ")]
    assert len(levels) == 4
    assert all((level + 1).bit_count() == 1 for level in levels)
    assert sum(levels) <= 5 * 4
    assert all(core.initial_state is not None for core in program.cores)
    [layer, *_] = quantised_layers(torch.load("net.pt", weights_only=False))
    assert not layer.ceiling
