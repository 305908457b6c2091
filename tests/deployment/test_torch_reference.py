"""The torch reference against hand-made forward passes."""

import numpy as np
import pytest
import sinabs.layers as sl
import torch
from click.testing import CliRunner
from networks_of_tests import small_network
from programs import random_events
from torch import nn

from speckflex.boards import open_board
from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.deployment.torch_reference import TorchReference
from speckflex.errors import NetworkError, TrainingError
from speckflex.events.frames import to_frames
from speckflex.events.streams import EVENT_DTYPE, make_events
from speckflex.recordings.recording import Recording
from speckflex.training.mixed.boundaries import Boundary
from speckflex.training.mixed.stages import StageSteps

SHAPE = (2, 34, 34)


@pytest.fixture
def network():
    return small_network()


@pytest.fixture
def program(network):
    return convert(network, SHAPE)


def test_counts_equal_a_forward_pass_of_one_sample_at_a_time(network, program, rng):
    samples = [random_events(rng, SHAPE, n) for n in (200, 900, 500)]
    recording = TorchReference(network, program, bins=7).play(samples, batch_size=2)
    for index, sample in enumerate(samples):
        fresh = small_network()
        with torch.no_grad():
            output = fresh(torch.from_numpy(to_frames(sample, SHAPE, 7)).float())
        np.testing.assert_array_equal(recording.layer(-1).scores[index], output.sum(0).numpy())


def _with_repeated_layers(flat):
    return nn.Sequential(
        *(
            sl.IAF(spike_threshold=layer.spike_threshold, min_v_mem=layer.min_v_mem)
            if isinstance(layer, sl.StatefulLayer)
            else sl.Repeat(layer)
            for layer in flat
        )
    )


@pytest.mark.parametrize(
    "with_time",
    [
        _with_repeated_layers,
        lambda flat: nn.Sequential(sl.FlattenTime(), *flat, sl.UnflattenTime(batch_size=1)),
    ],
    ids=["repeat", "flatten-time"],
)
def test_a_network_with_an_axis_of_time_spikes_as_the_one_without(with_time, rng):
    flat = nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, bias=False),
        sl.IAFSqueeze(batch_size=1, spike_threshold=0.5, min_v_mem=-1.0),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(256, 5, bias=False),
        sl.IAFSqueeze(batch_size=1, spike_threshold=0.5, min_v_mem=-1.0),
    )
    samples = [random_events(rng, SHAPE, n) for n in (900, 2000, 1500)]
    networks = (flat, with_time(flat))
    recordings = [
        TorchReference(network, convert(network, SHAPE), bins=6).play(samples)
        for network in networks
    ]
    assert recordings[0].counts(0).any()
    for layer in range(2):
        np.testing.assert_array_equal(*(recording.counts(layer) for recording in recordings))


def test_events_of_a_layer_add_up_to_its_counts(network, program, rng):
    samples = [random_events(rng, SHAPE, 600)]
    recording = TorchReference(network, program, bins=5).play(samples)
    events = recording.events(0)
    counts = np.zeros(recording.layer(0).shape, np.int64)
    np.add.at(counts, (events["p"], events["y"], events["x"]), 1)
    np.testing.assert_array_equal(counts, recording.counts(0)[0])
    assert (np.diff(events["t"]) >= 0).all()
    assert recording.samples[0].read == sum(int(r.counts.sum()) for r in recording.layers)


def test_a_sample_without_events_gives_no_spikes(network, program):
    recording = TorchReference(network, program).play([np.empty(0, EVENT_DTYPE)])
    assert recording.counts(-1).sum() == 0


def test_no_samples_give_an_empty_recording(network, program):
    recording = TorchReference(network, program).play([])
    assert recording.n_samples == 0
    assert recording.counts(0).shape == (0, *program.cores[0].output_shape)


def test_potentials_are_in_the_integers_of_the_program(rng):
    network = small_network(spiking_output=False)
    program = convert(network, SHAPE)
    sample = random_events(rng, SHAPE, 500)
    recording = TorchReference(network, program, bins=6).play([sample])
    with torch.no_grad():
        output = small_network(spiking_output=False)(
            torch.from_numpy(to_frames(sample, SHAPE, 6)).float()
        )
    expected = output.sum(0).numpy() * program.cores[-1].scale
    np.testing.assert_allclose(
        recording.layer(-1).potentials[0].ravel(), expected, rtol=0, atol=0.51
    )


def test_the_network_it_is_given_keeps_its_states_and_its_mode(network, program, rng):
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    TorchReference(network, program).play([random_events(rng, SHAPE, 300)])
    assert network.training
    after = network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_more_bins_bring_torch_closer_to_the_twin(network, program, rng):
    """The twin is the limit of ever shorter time steps, where no weight reaches a threshold."""
    from speckflex.recordings.compare import compare

    network = small_network(gain=0.7)
    program = convert(network, SHAPE)
    samples = [random_events(rng, SHAPE, 4000)]
    samples[0]["t"] = np.arange(4000) * 10
    with open_board("twin") as board:
        board.load(program)
        twin = board.play(samples)
    differences = [
        compare(TorchReference(network, program, bins=bins).play(samples), twin)
        .layers[0]
        .spike_difference
        for bins in (2, 20, 4000)
    ]
    assert differences[0] > differences[1] > differences[2]


def test_no_bins_are_refused(network, program):
    with pytest.raises(NetworkError, match="0 time bins"):
        TorchReference(network, program, bins=0)


def test_another_network_than_the_converted_one_is_refused(program):
    with pytest.raises(NetworkError, match="no module 'spike1'"):
        TorchReference(torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3)), program)


def two_layers():
    """A network that passes each spike of its only pixel on, and its stages."""
    layers = []
    for _ in range(2):
        conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(conv.weight)
        layers += [conv, sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0)]
    return nn.Sequential(*layers)


def spikes_at(*times):
    zeros = np.zeros(len(times), np.int64)
    return make_events(np.array(times), zeros, zeros, zeros)


@pytest.mark.parametrize(
    ("timesteps", "rule", "frame_time", "first", "last"),
    [
        # five frames of 20 µs, from the first event at 100: sums of 2 and 3 frames
        ((5, 2), "sum", None, [120, 140, 200], [140, 140, 200]),
        ((5, 2), "trim", None, [120, 140, 200], [120, 140]),
        # each of two frames of 50 µs is copied, into halves of its time
        ((2, 4), "sum", None, [150, 150, 200], [125, 125, 150, 150, 175, 200]),
        # frames of 40 µs from time 0 on: the events at 100 and 130 are in the third and fourth
        ((5, 2), "sum", 40, [120, 160, 200], [200, 200, 200]),
    ],
)
def test_a_time_step_of_a_stage_ends_with_its_last_frame(timesteps, rule, frame_time, first, last):
    network = two_layers()
    steps = StageSteps(timesteps, boundaries=(Boundary(), Boundary("copy", rule)))
    player = TorchReference(network, convert(network, (1, 1, 1)), bins=steps, frame_time=frame_time)
    sample = spikes_at(100, 130, 199)
    if frame_time is None:
        sample["t"][2] = 200
    recording = player.play([sample, spikes_at()])
    assert recording.events(0)["t"].tolist() == first
    assert recording.events(1)["t"].tolist() == last
    assert recording.counts(1).ravel().tolist() == [len(last), 0]


def test_a_recording_of_stages_says_so_in_its_file_and_in_reports(tmp_path):
    network = two_layers()
    program = convert(network, (1, 1, 1))
    player = TorchReference(network, program, bins=StageSteps((4, 1)), frame_time=7000)
    player.play([spikes_at(3, 9)]).save(tmp_path / "torch.h5")
    settings = Recording.load(tmp_path / "torch.h5").provenance.settings
    assert settings == {
        "bins": "4/1",
        "step": "trained",
        "frame_time": "7000 µs",
        "stages": "0, 1 | 2, 3",
        "boundaries": "copy/sum, copy/sum",
    }
    with open_board("twin") as board:
        board.load(program)
        board.play([spikes_at(3, 9)]).save(tmp_path / "twin.h5")
    files = [str(tmp_path / name) for name in ("torch.h5", "twin.h5", "report.html")]
    shown = CliRunner().invoke(main, ["compare", *files[:2], "--format", "html", "-o", files[2]])
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "4/1, a number for each stage of the network" in page
    assert "0, 1 | 2, 3" in page


def test_a_number_of_time_steps_for_each_stage_is_asked_for():
    network = two_layers()
    with pytest.raises(TrainingError, match="4/2/1 has 3 numbers, the network has 2 stages"):
        TorchReference(network, convert(network, (1, 1, 1)), bins=StageSteps((4, 2, 1)))
