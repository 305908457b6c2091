"""Neurons that do not start at 0: from torch to the chip's integers, files and boards."""

import copy
import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sinabs.activation import MultiSpike
from sinabs.layers import IAF, IAFSqueeze
from torch import nn

import speckflex as sf
from speckflex.cli import main
from speckflex.deployment.eight_bit import EightBitSteps
from speckflex.errors import ConversionError
from speckflex.events.streams import make_events
from speckflex.networks.files import load_network, save_network
from speckflex.networks.neurons import PrechargedIAFSqueeze, fused_neurons
from speckflex.training._law import law_neurons
from speckflex.training.mixed.stages import MixedTimestepNetwork

SHAPE = (2, 5, 5)


def neurons(threshold, precharge, kind=PrechargedIAFSqueeze):
    settings = {"precharge": precharge} if kind is PrechargedIAFSqueeze else {}
    return kind(
        batch_size=1,
        spike_threshold=torch.tensor(threshold),
        min_v_mem=torch.tensor(-20.0 * threshold),
        spike_fn=MultiSpike,
        **settings,
    )


def two_layers(precharge=0.5, kind=PrechargedIAFSqueeze):
    """Weights of both signs; the thresholds become odd integers of the chip."""
    generator = torch.Generator().manual_seed(2)
    layers = OrderedDict(
        conv1=nn.Conv2d(2, 3, 3, bias=False),
        spike1=neurons(1.305, precharge, kind),
        flatten=nn.Flatten(),
        linear2=nn.Linear(27, 4, bias=False),
        spike2=neurons(0.9, precharge, kind),
    )
    for name in ("conv1", "linear2"):
        weight = layers[name].weight.data
        weight.copy_(torch.rand(weight.shape, generator=generator) - 0.35)
    return nn.Sequential(layers)


def random_events(rng, n=150):
    times = np.arange(n) * 10
    return make_events(times, rng.integers(0, 5, n), rng.integers(0, 5, n), rng.integers(0, 2, n))


def counts_by_hand(program, events, precharge):
    """Every event of the first layer alone, in Python's integers; starts by their definition."""
    core = program.cores[0]
    start = {1: core.threshold_high // 2, 0: 0}[int(2 * precharge)]
    potentials = np.full((3, 3, 3), start)
    spikes = np.zeros((3, 3, 3), int)
    for event in events:
        y0, x0, p = int(event["y"]), int(event["x"]), int(event["p"])
        for c, y, x in np.ndindex(potentials.shape):
            if 0 <= y0 - y < 3 and 0 <= x0 - x < 3:
                value = potentials[c, y, x] + int(core.weights[c, p, y0 - y, x0 - x])
                value = max(value, core.threshold_low)
                fires = value >= core.threshold_high
                spikes[c, y, x] += fires
                potentials[c, y, x] = value - core.threshold_high * fires
    return spikes


@pytest.mark.parametrize("board", ["twin", "virtual:speck2e"])
def test_a_start_at_half_the_threshold_gives_the_spikes_of_a_slow_loop(board, rng, tmp_path):
    program = sf.convert(two_layers(), SHAPE)
    assert all(core.threshold_high % 2 for core in program.cores)
    program.save(tmp_path / "program.speck")
    events = random_events(rng)
    expected = counts_by_hand(program, events, 0.5)
    with sf.open_board(board) as opened:
        opened.load(sf.Program.load(tmp_path / "program.speck"))
        # each sample starts there, not the first one alone
        first, second = opened.play([events, events]).counts(0)
    assert np.array_equal(first, expected)
    assert np.array_equal(second, expected)
    assert (expected != counts_by_hand(program, events, 0)).any()


def test_a_start_of_zero_is_the_program_and_the_hash_without_one():
    plain = sf.convert(two_layers(kind=IAFSqueeze), SHAPE)
    assert sf.convert(two_layers(0.0), SHAPE).sha256 == plain.sha256
    charged = sf.convert(two_layers(), SHAPE)
    assert charged.sha256 != plain.sha256
    for core, other in zip(charged.cores, plain.cores, strict=True):
        assert np.array_equal(core.weights, other.weights)
        assert core.threshold_high == other.threshold_high


def test_the_layer_starts_there_in_torch_after_runs_resets_copies_and_files(tmp_path):
    layer = neurons(1.3, 0.5)
    currents = torch.randn((7, 3, 3, 3), generator=torch.Generator().manual_seed(0))
    plain = IAF(spike_threshold=1.3, min_v_mem=-26.0, spike_fn=MultiSpike)
    plain.v_mem = torch.full((1, 3, 3, 3), 0.65)
    expected = plain(currents[None])[0]
    assert torch.equal(layer(currents), expected)
    assert not torch.equal(layer(currents), expected)  # it goes on from its state
    layer.reset_states()
    assert torch.equal(layer(currents), expected)
    layer.reset_states()
    assert torch.equal(copy.deepcopy(layer)(currents), expected)
    network = nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), layer)
    save_network(network, tmp_path / "network.pt")
    loaded = load_network(tmp_path / "network.pt")[1]
    assert torch.equal(loaded(currents), expected)
    assert float(layer.state_dict()["precharge"]) == 0.5


def test_every_neuron_can_start_at_a_value_of_its_own():
    network = two_layers()[:2]
    starts = torch.linspace(-0.4, 0.9, 27).reshape(3, 3, 3)
    network[1].precharge.data = starts
    [core] = sf.convert(network, SHAPE).cores
    expected = np.floor(starts.double().numpy() * core.threshold_high)
    assert np.array_equal(core.initial_state, expected)


def test_steps_in_eight_bits_law_and_stages_start_there_too(rng):
    """One event a frame: all of them then do what the twin does."""
    network = two_layers()[:2]
    program = sf.convert(network, SHAPE, chip="unbounded")
    events = random_events(rng, 40)
    with sf.open_board("twin") as board:
        board.load(program)
        expected = board.play(events).counts(0)[0]
    frames = np.zeros((1, 40, *SHAPE), np.uint8)
    frames[0, np.arange(40), events["p"], events["y"], events["x"]] = 1
    in_steps = EightBitSteps(program, network, bins=40).forward(frames)[0]
    assert np.array_equal(in_steps[0].sum(0), expected)
    core = program.cores[0]
    network.conv1.weight.data = torch.from_numpy(core.weights.astype(np.float32))
    network.spike1.spike_threshold.data = torch.tensor(float(core.threshold_high))
    network.spike1.precharge.data = torch.tensor(core.threshold_high // 2 / core.threshold_high)
    mixed = MixedTimestepNetwork(network)
    with torch.no_grad(), fused_neurons(mixed):
        assert np.array_equal(mixed(torch.from_numpy(frames))[0].sum(0).numpy(), expected)
        with law_neurons(mixed):
            assert np.array_equal(mixed(torch.from_numpy(frames))[0].sum(0).numpy(), expected)


@pytest.mark.parametrize(
    ("precharge", "message"),
    [
        (1.0, r"^spike1: its precharge ranges from 1 to 1 thresholds, .* below 1"),
        (-21.0, r"starts at -20 \(its lower bound\) at least"),
        (torch.zeros(4, 4), r"its precharge has shape \(4, 4\), its neurons \(3, 3, 3\)"),
    ],
)
def test_a_start_that_no_neuron_can_have_is_refused(precharge, message):
    with pytest.raises(ConversionError, match=message):
        sf.convert(two_layers(precharge)[:2], SHAPE)


def test_info_check_and_report_name_the_start(tmp_path):
    network = two_layers()
    save_network(network, tmp_path / "n.pt")
    program = sf.convert(network, SHAPE)
    program.save(tmp_path / "p.speck")
    half = program.cores[0].threshold_high // 2
    run = CliRunner().invoke
    facts = json.loads(run(main, ["info", str(tmp_path / "p.speck"), "--json"]).stdout)
    assert facts["layers"][0]["initial_state"] == str(half)
    facts = json.loads(run(main, ["info", str(tmp_path / "n.pt"), "--json"]).stdout)
    assert facts["layers"][1]["precharge"] == 0.5
    output = " ".join(run(main, ["check", str(tmp_path / "p.speck")]).output.split())
    assert f"its neurons start at {half} of the threshold" in output
