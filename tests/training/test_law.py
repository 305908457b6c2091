"""Neurons by the running maximum: against slow loops, sinabs, and the twin's own spikes."""

from collections import OrderedDict

import numpy as np
import pytest
import torch
from sinabs.activation import MembraneReset, MembraneSubtract, MultiSpike
from sinabs.layers import IAF, IAFSqueeze, LIFSqueeze
from torch import nn

import speckflex as sf
from speckflex.data import EventDataset
from speckflex.errors import NetworkError, TrainingError
from speckflex.events.streams import make_events
from speckflex.networks.running_maximum import law_spikes
from speckflex.training import TrainingData, TrainingSettings, cache_frames, finetune_network
from speckflex.training._law import check_law, law_neurons
from speckflex.training.mixed.stages import MixedTimestepNetwork


def by_formula(currents, threshold):
    """The law and its gradient in torch's own operations."""
    highest = (currents.cumsum(1) / threshold).cummax(1).values
    smooth = nn.functional.elu(highest)
    counts = smooth + (highest.clamp(min=0).floor() - smooth).detach()
    return torch.diff(counts, dim=1, prepend=torch.zeros_like(counts[:, :1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 7, 4, 2), (2, 1, 5), (2, 12, 3)])
def test_spikes_and_gradients_follow_the_formula(dtype, size):
    generator = torch.Generator().manual_seed(size[1])
    # quarters are exact in both, and silent frames give ties of the maximum
    currents = torch.randint(-6, 8, size, generator=generator) / 4
    ours, theirs = (currents.to(dtype).clone().requires_grad_() for _ in range(2))
    weights = torch.randn(size, generator=generator).to(dtype)
    results = [law_spikes(ours, 0.5), by_formula(theirs, 0.5)]
    for result in results:
        (result * weights).sum().backward()
    assert torch.equal(results[0], results[1].detach())
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=2e-6, atol=1e-6)


def test_the_law_is_sinabs_neuron_without_a_lower_bound():
    currents = torch.randint(-9, 12, (4, 15, 30), generator=torch.Generator().manual_seed(0)) / 8
    neuron = IAF(spike_fn=MultiSpike, reset_fn=MembraneSubtract(), min_v_mem=None)
    assert torch.equal(law_spikes(currents, 1.0), neuron(currents).detach())


def three_layers(*, bound=-50.0, seed=1):
    """A network on (2, 7, 7) whose weights lie below the threshold 1."""
    generator = torch.Generator().manual_seed(seed)

    def neurons():
        return IAFSqueeze(batch_size=1, spike_threshold=1.0, min_v_mem=torch.tensor(bound))

    layers = OrderedDict(
        conv1=nn.Conv2d(2, 4, 3, padding=1, bias=False),
        spike1=neurons(),
        conv2=nn.Conv2d(4, 3, 3, stride=2, bias=False),
        spike2=neurons(),
        flatten=nn.Flatten(),
        linear3=nn.Linear(27, 4, bias=False),
        spike3=neurons(),
    )
    for name in ("conv1", "conv2", "linear3"):
        weight = layers[name].weight.data
        weight.copy_(torch.rand(weight.shape, generator=generator) * 1.5 - 0.6)
    return nn.Sequential(layers)


def random_events(rng, n, *, distinct_times=True):
    times = np.arange(n) * 10 if distinct_times else np.sort(rng.integers(0, 500, n))
    return make_events(times, rng.integers(0, 7, n), rng.integers(0, 7, n), rng.integers(0, 2, n))


@pytest.fixture
def played(rng):
    """A program and what the twin did with 300 events."""
    program = sf.convert(three_layers(), input_shape=(2, 7, 7), chip="unbounded")
    events = random_events(rng, 300)
    with sf.open_board("twin") as board:
        board.load(program)
        return program, events, board.play(events)


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_with_one_event_a_frame_the_law_is_what_each_layer_of_the_twin_does(played, layer):
    """Each event that arrives at the layer is a frame; brute force over all of them."""
    program, events, recording = played
    core = program.cores[layer]
    assert core.weights.max() <= core.threshold_high
    arriving = events if layer == 0 else recording.events(layer - 1)
    assert len(arriving) > 50
    shape = program.input.shape if layer == 0 else program.cores[layer - 1].output_shape
    frames = torch.zeros(len(arriving), *shape, dtype=torch.float64)
    for index, event in enumerate(arriving):
        frames[index, event["p"], event["y"], event["x"]] = 1
    weights = torch.from_numpy(core.weights.astype(np.float64))
    currents = nn.functional.conv2d(frames, weights, stride=core.stride, padding=core.padding)
    spikes = law_spikes(currents[None], float(core.threshold_high))[0]
    assert spikes.sum() > 20
    assert np.array_equal(spikes.sum(0).numpy(), recording.counts(layer)[0])
    # the same number after each event, not only at the end
    sent = recording.events(layer)
    caused = np.repeat(arriving["t"], spikes.sum((1, 2, 3)).int().numpy())
    assert np.array_equal(np.sort(sent["t"]), np.sort(caused))


def test_a_network_of_one_layer_gives_the_twins_counts_as_frames_get_fine(rng):
    """The whole training path: frames, stages, neurons; with the program's own integers."""
    network = three_layers()[:2]
    program = sf.convert(network, input_shape=(2, 7, 7), chip="unbounded")
    events = random_events(rng, 200)
    with sf.open_board("twin") as board:
        board.load(program)
        expected = board.play(events).counts(0)[0]
    core = program.cores[0]
    network.conv1.weight.data = torch.from_numpy(core.weights.astype(np.float32))
    network.spike1.spike_threshold.data = torch.tensor(float(core.threshold_high))
    mixed, distances = MixedTimestepNetwork(network), []
    data = dataset([events], [0])
    for bins in (1, 10, 1990):  # of 1 µs at the end, and each event alone
        with law_neurons(mixed), torch.no_grad():
            counts = mixed(cache_frames(data, bins).frames)[0].sum(0)
        distances.append(int(np.abs(counts.numpy() - expected).sum()))
    assert distances[0] > distances[1] > distances[2] == 0


def dataset(streams, labels, shape=(2, 7, 7)):
    items, classes = tuple(range(len(streams))), ("0", "1")
    labels = np.array(labels, np.int64)
    return EventDataset("made up", shape, classes, labels, True, items, streams.__getitem__)


def test_the_neurons_are_their_own_again_afterwards():
    network = three_layers()
    frames = torch.ones(1, 6, 2, 7, 7)
    before = MixedTimestepNetwork(network)(frames)
    with pytest.raises(ZeroDivisionError), law_neurons(network):
        _ = 1 / 0
    assert torch.equal(MixedTimestepNetwork(network)(frames), before)
    assert not any("forward" in vars(layer) for layer in network.modules())


def test_a_training_by_the_law_is_chosen_by_the_twin_and_learns(rng):
    labels = np.arange(60) % 2
    streams = []
    for label in labels:
        events = random_events(rng, 60)
        events["y"] = events["y"] % 3 + 4 * label
        streams.append(events)
    whole = dataset(streams, labels)
    parts = (cache_frames(whole.subset(part), 8) for part in (range(44), range(44, 60)))
    network = three_layers()
    network.linear3 = nn.Linear(27, 2, bias=False)
    settings = TrainingSettings(
        method="law", t_max=8, epochs=5, batch_size=8, learning_rate=0.02, clip_weights=True
    )
    assert settings.chooser == "twin"
    network.spike1.min_v_mem.data.fill_(-1.0)
    result = finetune_network(network, TrainingData(*parts), settings)
    assert result.history[-1].loss < result.history[0].loss
    assert result.best.twin_accuracy == 1.0
    # the law knows no bound, so the neurons that run on the chip get one that is out of reach
    assert [float(result.network[i].min_v_mem) for i in (1, 3, 6)] == [-32.0, -50.0, -50.0]
    assert float(network.spike1.min_v_mem) == -1.0


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (LIFSqueeze(tau_mem=10.0, batch_size=1), "layer 1: method law .* this is a LIFSqueeze"),
        (
            IAFSqueeze(batch_size=1, reset_fn=MembraneReset()),
            "layer 1: .* subtract their",
        ),
        (IAFSqueeze(batch_size=1, reset_fn=MembraneSubtract(0.5)), "layer 1: .* subtract their"),
    ],
)
def test_neurons_that_the_law_does_not_describe_are_refused(layer, message):
    with pytest.raises(NetworkError, match=message):
        check_law(nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), layer))


def test_copied_frames_are_refused_because_they_multiply_charge():
    with pytest.raises(TrainingError, match="upsampling copy with method law"):
        TrainingSettings(method="law", upsampling="copy")
