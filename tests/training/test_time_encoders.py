"""Time encoders: their networks, their frames of fixed time, and their commands."""

import json
from dataclasses import asdict

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from speckflex.cli import main
from speckflex.data import EventDataset
from speckflex.errors import NetworkError, TrainingError
from speckflex.events.streams import make_events
from speckflex.networks.files import load_time_stepped, save_network
from speckflex.networks.time_encoders import time_encoder
from speckflex.training import TrainingSettings, cache_frames
from speckflex.training.mixed.stages import MixedTimestepNetwork
from speckflex.training.recipes import find_recipe

# Du et al. 2025, A.12, and what this project adds where the text says nothing.
ENCODER = {
    "method": "mtt", "sampler": "non-increasing", "samples_per_step": 3, "upsampling": "copy",
    "output": "mean",
}  # fmt: skip
TABLE = {
    "paper-shd": {"t_max": 100, "frame_time": 10_000, "epochs": 150},
    "paper-ssc": {"t_max": 100, "frame_time": 10_000, "epochs": 60},
    "paper-seqmnist": {"t_max": 784, "frame_time": 1_000},
}
# Weights without biases: the sizes of A.12.
WEIGHTS = {
    "paper-shd": 70 * 128 + 2 * 128 * 128 + 128 * 20,
    "paper-ssc": 70 * 128 + 2 * 128 * 128 + 128 * 35,
    "paper-seqmnist": 64 + 64 * 64 + 64 * 10,
}
INPUTS = {"paper-shd": (70, 20), "paper-ssc": (70, 35), "paper-seqmnist": (1, 10)}


def run(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("name", TABLE)
def test_settings_and_sizes_are_those_of_the_paper(name):
    recipe = find_recipe(name)
    settings = asdict(recipe.training)
    expected = ENCODER | TABLE[name]
    assert {key: settings[key] for key in expected} == expected
    arguments = dict(part.split("=") for part in recipe.network.split()[1:])
    n_inputs, n_classes = INPUTS[name]
    network = time_encoder(
        input_shape=(1, 1, n_inputs),
        n_classes=n_classes,
        **{key: float(value) if "." in value else int(value) for key, value in arguments.items()},
    )
    trained = [p.numel() for p in network.parameters() if p.requires_grad]
    assert sum(trained) == WEIGHTS[name]
    assert MixedTimestepNetwork(network).n_stages == int(arguments["layers"])


def test_a_network_without_memory_can_not_know_the_order_of_frames():
    torch.manual_seed(0)
    frames = torch.randint(0, 3, (4, 12, 1, 1, 10))
    backwards = frames.flip(1)
    outputs = []
    for leak in (0.0, 0.9):
        network = time_encoder(input_shape=(1, 1, 10), n_classes=3, width=16, leak=leak)
        mixed = MixedTimestepNetwork(network)
        outputs.append([mixed(given).mean(1) for given in (frames, backwards)])
    torch.testing.assert_close(*outputs[0])
    assert (outputs[1][0] - outputs[1][1]).abs().max() > 1e-3


def test_the_scale_divides_pixels_and_does_not_train():
    torch.manual_seed(0)
    plain = time_encoder(input_shape=(1, 1, 1), n_classes=2, width=4, layers=1)
    torch.manual_seed(0)
    scaled = time_encoder(input_shape=(1, 1, 1), n_classes=2, width=4, layers=1, full_scale=255)
    assert not scaled.scale.weight.requires_grad
    pixels = torch.rand(2, 5, 1, 1, 1) * 3
    outputs = [MixedTimestepNetwork(n)(x) for n, x in ((plain, pixels), (scaled, pixels * 255))]
    torch.testing.assert_close(*outputs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"width": 0}, "width 0"), ({"full_scale": 0.0}, "full scale 0"), ({"leak": 1.5}, "leak 1.5")],
)
def test_networks_that_can_not_be_are_refused(wrong, message):
    with pytest.raises(NetworkError, match=message):
        time_encoder(input_shape=(1, 1, 10), n_classes=2, **wrong)


def dataset_of(times):
    zeros = np.zeros(len(times), np.int64)
    events = make_events(np.array(times), zeros, zeros, zeros)
    return EventDataset("by hand", (1, 1, 1), ("a",), np.array([0]), False, (0,), lambda _: events)


def test_frames_of_fixed_time_begin_at_0_and_leave_out_what_comes_later():
    frames = cache_frames(dataset_of([0, 9_999, 10_000, 35_000]), 3, frame_time=10_000).frames
    assert frames.flatten().tolist() == [2, 1, 0]
    # without it, the recording's own time is divided: (35 000 - 0) // 3 each
    assert cache_frames(dataset_of([0, 9_999, 10_000, 35_000]), 3).frames.flatten().tolist() == [
        3, 0, 1,
    ]  # fmt: skip
    assert cache_frames(dataset_of([]), 2, frame_time=5).frames.flatten().tolist() == [0, 0]


def test_a_board_has_no_frames_of_fixed_time():
    with pytest.raises(TrainingError, match="frame time 1000 µs with method board"):
        TrainingSettings(method="board", frame_time=1000)
    with pytest.raises(TrainingError, match="frame time is 0"):
        TrainingSettings(frame_time=0)


@pytest.fixture(scope="module")
def spoken(tmp_path_factory):
    """A file in the layout of SHD with 16 recordings of two classes, written with h5py alone."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("shd") / "shd_train.h5"
    with h5py.File(path, "w") as file:
        for name, kind in (("times", np.float16), ("units", np.uint16)):
            file.create_dataset(f"spikes/{name}", (16,), h5py.vlen_dtype(kind))
        for index in range(16):
            n_spikes = int(rng.integers(50, 80))
            file["spikes/times"][index] = np.sort(rng.uniform(0, 1, n_spikes)).astype(np.float16)
            file["spikes/units"][index] = rng.integers(0, 700, n_spikes).astype(np.uint16)
        file["labels"] = (np.arange(16) % 2).astype(np.uint16)
        file["extra/speaker"] = np.zeros(16, np.uint16)
        file["extra/keys"] = np.array([b"zero", b"one"])
    return path


def predictions_by_hand(network, spoken):
    """Return the class of each recording, in four frames of a quarter of a second."""
    with h5py.File(spoken) as file:
        words = list(zip(file["spikes/times"], file["spikes/units"], strict=True))
    frames = torch.zeros(len(words), 4, 1, 1, 70)
    for index, (seconds, units) in enumerate(words):
        for second, unit in zip(seconds.astype(float), units, strict=True):
            if second < 1:
                frames[index, int(4 * second), 0, 0, unit // 10] += 1
    found = []
    for recording in frames:
        with torch.no_grad():
            found.append(int(load_time_stepped(network)(recording).mean(dim=0).argmax()))
    return found


def test_spoken_digits_train_by_one_command_and_are_refused_for_the_chip_by_name(spoken, tmp_path):
    out = tmp_path / "shd.pt"
    small = ("--t", 4, "--frame-time", "250ms", "--epochs", 1, "--validation-share", 0.25)
    trained = run("train", "--recipe", "paper-shd", "--data", spoken, *small, "-o", out, "--json")
    assert trained.exit_code == 0, trained.output
    summary = json.loads(trained.stdout)
    assert summary["settings"]["frame_time"] == 250_000
    assert summary["settings"]["sampler"] == "non-increasing"
    assert set(summary["changed_from_recipe"]) == {
        "t_max", "frame_time", "epochs", "validation_share",
    }  # fmt: skip
    checked = run("check", out, "--input-shape", "1,1,70")
    assert checked.exit_code == 1
    assert checked.stderr.rstrip().count("\n") == 0 or "Error: " in checked.stderr
    assert "layer spike1" in checked.stderr
    assert "leaks" in checked.stderr


def test_evaluate_cuts_frames_of_the_time_that_is_given(spoken, tmp_path):
    torch.manual_seed(1)
    network = time_encoder(input_shape=(1, 1, 70), n_classes=2)
    with torch.no_grad():
        for weights in network.parameters():
            weights.mul_(6)  # so that all layers spike
    save_network(network, tmp_path / "loud.pt")
    answered = run(
        *("evaluate", tmp_path / "loud.pt", "--data", spoken, "--resize", "70x1"),
        *("--t", "4", "--frame-time", "250ms", "--json"),
    )
    assert answered.exit_code == 0, answered.output
    found = json.loads(answered.stdout)
    expected = predictions_by_hand(tmp_path / "loud.pt", spoken)
    assert set(expected) == {0, 1}
    assert found["in_torch"][0]["predictions"] == expected
    assert found["frame_time"] == 250_000
    wide = run("evaluate", tmp_path / "loud.pt", "--data", spoken, "--t", "4")
    assert wide.exit_code == 1
    assert wide.stderr.splitlines()[-1].startswith("Error: network Sequential does not run on")
    assert wide.stderr.rstrip().endswith("such as with --resize")


def test_explain_says_that_no_chip_runs_it():
    shown = run("train", "--recipe", "paper-seqmnist", "--explain")
    assert shown.exit_code == 0
    assert "A.12" in shown.stdout
    assert "in torch alone" in shown.stdout
