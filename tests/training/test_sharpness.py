"""Landscape, gradients and noise of a network in time steps: at rest they change nothing."""

import numpy as np
import pytest
import torch
from networks_of_tests import small_network
from torch import nn
from torch.nn import functional

from speckflex.errors import TrainingError
from speckflex.training import FrameSet, evaluate
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.sharpness import (
    _lengths,
    filter_direction,
    gradient_lengths,
    input_noise,
    loss_landscape,
    weight_noise,
)


@pytest.fixture(scope="module")
def recordings():
    generator = torch.Generator().manual_seed(1)
    frames = torch.randint(0, 3, (6, 3, 2, 34, 34), generator=generator).to(torch.uint8)
    return FrameSet(frames, torch.arange(6))


@pytest.fixture(scope="module")
def network():
    return small_network()


def test_the_middle_of_the_landscape_is_the_loss(network, recordings):
    plain = evaluate(MixedTimestepNetwork(network), recordings).loss
    found = loss_landscape(network, recordings, [-0.5, 0.0, 0.5])
    assert found[1] == plain
    assert found[0] != plain


def test_each_filter_of_a_direction_is_as_long_as_that_of_the_network(network):
    direction = filter_direction(network, torch.Generator().manual_seed(3))
    weights = dict(network.named_parameters())
    assert set(direction) == {name for name, one in weights.items() if one.dim() > 1}
    for name, one in direction.items():
        own = weights[name].detach().flatten(1).norm(dim=1)
        assert torch.allclose(one.flatten(1).norm(dim=1), own)


def test_two_networks_get_the_same_draws(network):
    first = filter_direction(network, torch.Generator().manual_seed(3))
    second = filter_direction(small_network(seed=5), torch.Generator().manual_seed(3))
    for name, one in first.items():
        cosine = functional.cosine_similarity(one.flatten(1), second[name].flatten(1))
        assert torch.allclose(cosine, torch.ones(len(cosine)), atol=1e-5)


def test_no_noise_is_the_plain_accuracy_and_the_network_stays(network, recordings):
    before = {name: one.clone() for name, one in network.state_dict().items()}
    plain = evaluate(MixedTimestepNetwork(network), recordings).accuracy
    assert weight_noise(network, recordings, 0.0, runs=2) == [plain, plain]
    weight_noise(network, recordings, 0.5, runs=1)
    loss_landscape(network, recordings, [1.0])
    gradient_lengths(network, recordings)
    for name, one in network.state_dict().items():
        assert torch.equal(one, before[name])


def test_noise_below_zero_is_refused(network, recordings):
    with pytest.raises(TrainingError, match="sigma -1"):
        weight_noise(network, recordings, -1.0)


def test_gradients_are_those_of_finite_differences():
    """Two linear layers with a softplus between them have a gradient without any surrogate."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Flatten(2), nn.Linear(8, 4), nn.Softplus(), nn.Linear(4, 3)).double()
    frames, labels = torch.randint(0, 3, (3, 2, 2, 2, 2)), torch.tensor([0, 2, 1])

    def losses(values):
        with torch.no_grad():
            return functional.cross_entropy(layers(values).mean(dim=1), labels, reduction="none")

    squares, step = 0.0, 1e-6
    for weights in (layers[1].weight.data, layers[3].weight.data):
        for place in np.ndindex(*weights.shape):
            kept = weights[place].item()
            weights[place] = kept + step
            high = losses(frames.double()).mean().item()
            weights[place] = kept - step
            squares += ((high - losses(frames.double()).mean().item()) / (2 * step)) ** 2
            weights[place] = kept
    of_inputs = torch.zeros(3, dtype=torch.float64)
    for place in np.ndindex(*frames.shape[1:]):
        moved = frames.double()
        moved[(slice(None), *place)] += step
        high = losses(moved)
        moved[(slice(None), *place)] -= 2 * step
        of_inputs += ((high - losses(moved)) / (2 * step)) ** 2
    found = _lengths(layers, FrameSet(frames, labels))
    assert found.weights == pytest.approx(np.sqrt(squares), rel=1e-5)
    assert found.inputs == pytest.approx(float(of_inputs.sqrt().mean()), rel=1e-5)


def test_noise_on_the_input_is_added_to_each_count(network, recordings):
    """The same as adding the draws by hand; without noise it is the plain accuracy."""
    plain = evaluate(MixedTimestepNetwork(network), recordings).accuracy
    assert input_noise(network, recordings, 0.0, runs=2) == [plain, plain]
    by_hand = []
    for seed in (4, 5):
        draws = torch.randn(recordings.frames.shape, generator=torch.Generator().manual_seed(seed))
        noisy = FrameSet(recordings.frames.float() + 2.0 * draws, recordings.labels)
        by_hand.append(evaluate(MixedTimestepNetwork(network), noisy).accuracy)
    assert input_noise(network, recordings, 2.0, runs=2, seed=4) == by_hand
    with pytest.raises(TrainingError, match="sigma -1"):
        input_noise(network, recordings, -1.0)
