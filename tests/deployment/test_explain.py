"""The layer that costs most, on networks in which one layer was made to be the cause."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from networks_of_tests import neuron
from torch import nn

from speckflex.boards import open_board
from speckflex.conversion.convert import convert
from speckflex.conversion.exact import exact_layers
from speckflex.data.dataset import EventDataset
from speckflex.deployment.eight_bit import EightBitSteps
from speckflex.deployment.explain import explain
from speckflex.deployment.torch_reference import TorchReference
from speckflex.events.streams import make_events
from speckflex.report.facts import LayerEffect

SHAPE = (2, 4, 4)


def chain(**weights: torch.Tensor) -> nn.Sequential:
    """Return 1 x 1 convolutions with these weights, each with neurons behind it."""
    layers = OrderedDict()
    for number, (name, values) in enumerate(weights.items()):
        conv = nn.Conv2d(values.shape[1], values.shape[0], 1, bias=False)
        conv.weight.data = values[:, :, None, None].float()
        layers |= {name: conv, f"spike{number}": neuron(min_v_mem=-20.0)}
    return nn.Sequential(layers).eval()


def recordings(n_samples: int, n_events: int = 120) -> EventDataset:
    """Return recordings in which the channel of the label has three times as many events."""
    rng = np.random.default_rng(3)
    labels = np.arange(n_samples) % 2
    samples = []
    for label in labels:
        p = np.where(rng.random(n_events) < 0.75, label, 1 - label)
        times = np.sort(rng.integers(0, 10_000, n_events))
        x, y = rng.integers(0, 4, n_events), rng.integers(0, 4, n_events)
        samples.append(make_events(times, x, y, p))
    return EventDataset("made up", SHAPE, ("0", "1"), labels, True, tuple(samples), lambda one: one)


def found(network: nn.Module, data: EventDataset, **options: float) -> tuple[LayerEffect, ...]:
    program = convert(network, SHAPE)
    return explain(program, data, network=network, bins=4, **options)


EQUAL = torch.eye(2)


def test_weights_that_round_to_zero_are_the_cause():
    # the large weight of a third channel, which never spikes, sets the scale: 0.004 becomes 0
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    second = torch.tensor([[0.2, 0.0, 0.0], [0.0, 0.2, 60.0]])
    effects = found(chain(first=first, second=second, third=EQUAL), recordings(8))
    dearest = effects[0]
    assert (dearest.cause, dearest.layer) == ("weights", "second")
    assert dearest.points_lost == 100.0
    others = [one for one in effects if (one.cause, one.layer) != ("weights", "second")]
    assert all((one.points_lost or 0) <= 0 for one in others)


def test_a_layer_that_cancels_within_a_time_step_is_the_cause():
    # excitation of one channel and inhibition of the other: their order matters to single events
    second = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    effects = found(chain(first=EQUAL, second=second, third=EQUAL), recordings(8))
    events = {one.layer: one.spike_difference for one in effects if one.cause == "events"}
    weights = [one.spike_difference for one in effects if one.cause == "weights"]
    assert max(weights) < 0.02
    assert events["first"] == events["third"] == 0.0
    assert events["second"] > 0.05


def test_the_core_with_most_work_is_the_cause():
    # 64 neurons for each spike of the first layer; the others update 2
    wide = torch.ones(64, 2) * 0.1
    narrow = torch.zeros(2, 64)
    narrow[0, 0] = narrow[1, 1] = 1.0
    effects = found(
        chain(first=EQUAL, second=wide, third=narrow), recordings(4, 400), rate=400_000.0
    )
    rates = {one.layer: one.spike_difference for one in effects if one.cause == "rate"}
    assert rates["first"] == rates["third"] == 0.0
    assert rates["second"] > 0.2


def test_effects_of_the_events_add_up_to_the_step_of_the_ladder():
    torch.manual_seed(4)
    network = chain(first=torch.randn(6, 2), second=torch.randn(5, 6), third=torch.randn(2, 5))
    data, program = recordings(40), convert(network, SHAPE)
    effects = explain(program, data, network=network, bins=4)
    samples = [events for events, _ in data[0:40]]
    steps = EightBitSteps(program, network, bins=4).play(samples).answers()
    with open_board("twin") as twin:
        twin.load(program)
        played = twin.play(samples).answers()
    right = [int((answers == data.labels).sum()) for answers in (steps, played)]
    lost = sum(one.points_lost or 0.0 for one in effects if one.cause == "events")
    assert lost == pytest.approx(100 * (right[0] - right[1]) / 40)


def test_exact_numbers_spike_as_the_network_does():
    torch.manual_seed(5)
    network = chain(first=torch.randn(4, 2), second=torch.randn(3, 4))
    program = convert(network, SHAPE)
    samples = [events for events, _ in recordings(3)[0:3]]
    exact = exact_layers(network, program)
    steps = EightBitSteps(program, network, bins=4, numbers=exact).play(samples)
    torch_counts = TorchReference(network, program, bins=4).play(samples)
    for layer in range(2):
        np.testing.assert_array_equal(steps.counts(layer), torch_counts.counts(layer))


def test_without_labels_the_spike_difference_ranks():
    second = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    data = recordings(4)
    unlabelled = EventDataset(
        "no labels", SHAPE, (), np.full(4, -1), True, data.items, lambda one: one
    )
    effects = found(chain(first=EQUAL, second=second, third=EQUAL), unlabelled)
    assert {one.points_lost for one in effects} == {None}
    assert (effects[0].cause, effects[0].layer) == ("events", "second")


def test_a_program_without_its_network_has_no_effect_of_weights():
    network = chain(first=EQUAL, second=EQUAL)
    program = convert(network, SHAPE)
    effects = explain(program, recordings(2), bins=4)
    assert {one.cause for one in effects} == {"events"}


def test_each_layer_alone_is_a_step_of_the_progress():
    network, told = chain(first=EQUAL, second=EQUAL), []
    explain(convert(network, SHAPE), recordings(2), network=network, bins=4, progress=told.append)
    # exact, 2 layers in 8 bits; all event by event, 2 layers in time steps; the rate, where
    # nothing is lost, so that its 2 layers need no play
    assert [step.done for step in told] == [0, 1, 2, 3, 4, 5, 6, 9]
    assert {(step.stage, step.total) for step in told} == {("effect of each layer", 9)}
