"""Training and testing of time-stepped networks by command, on files written byte by byte."""

import json
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.cli import main, sweep
from speckflex.data import open_images
from speckflex.data.formats.nmnist import write_nmnist_file
from speckflex.errors import TrainingError
from speckflex.events.streams import make_events
from speckflex.networks.files import load_time_stepped, save_network
from speckflex.networks.time_stepped import TIME_STEPPED
from speckflex.training.mixed.stages import cut_network
from speckflex.training.settings import TrainingSettings
from speckflex.training.stage_timesteps import measure_stages
from speckflex.training.suitability import check_time_stepped


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """CIFAR-10's format: 24 images that train, 8 that test; a class is dark or bright."""
    folder = tmp_path_factory.mktemp("cifar")
    rng = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 24), ("test_batch.bin", 8)):
        rows = [
            bytes([i % 2])
            + rng.integers(100 * (i % 2), 100 * (i % 2) + 100, 3072, np.uint8).tobytes()
            for i in range(count)
        ]
        (folder / name).write_bytes(b"".join(rows))
    return folder


def run(*arguments: object) -> tuple[int, str]:
    """Return the exit code, and standard output of a success or else all that was written."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout if result.exit_code == 0 else result.output


@pytest.fixture(scope="module")
def trained(images, tmp_path_factory) -> tuple[Path, str]:
    """A network of one epoch, and what its command printed."""
    path = tmp_path_factory.mktemp("trained") / "net.pt"
    code, output = run(
        *("train", "--network", "resnet18-lif width=16", "--data", images, "--out", path),
        *("--method", "mtt", "--t-max", 3, "--epochs", 1, "--batch-size", 8, "--threads", 1),
    )
    assert code == 0, output
    return path, output


def test_train_says_that_no_board_runs_the_network(trained):
    path, output = trained
    assert "time-stepped in torch only: no board runs this network" in output
    assert "chosen on 2 images" in output
    assert load_time_stepped(path) is not None
    code, about = run("info", path)
    assert code == 0, about
    assert "network, time-stepped in torch only" in about


def test_evaluate_measures_each_t_and_each_stage_in_torch_only(trained, images):
    path, _ = trained
    code, output = run("evaluate", path, "--data", images, "--t", "2,1,3/3/3/2/2/2/1/1")
    assert code == 0, output
    assert "time-stepped in torch only, 8 images of CIFAR-10" in output
    for row in ("torch, T = 1", "torch, T = 2", "torch, T = 3/3/3/2/2/2/1/1"):
        assert row in output
    assert "board" not in output


def test_evaluate_states_where_its_figures_come_from(trained, images):
    path, _ = trained
    code, output = run(
        *("evaluate", path, "--data", images, "--t", "3/1", "--granularity", 4, "--json"),
        *("--boundaries", "copy,rate"),
    )
    assert code == 0, output
    found = json.loads(output)
    assert found["runs"] == "time-stepped in torch only"
    assert [len(stage) for stage in found["stages"]] == [
        5,
        7,
    ]  # the pixels belong to the first block
    assert found["boundaries"] == ["copy/sum", "rate/rate"]
    (point,) = found["in_torch"]
    assert point["timesteps"] == [3, 1]
    right = np.mean(np.array(point["predictions"]) == np.array(found["labels"]))
    assert point["accuracy"] == right


def test_an_image_gives_the_same_answers_as_its_frame_repeated(trained, images):
    path, _ = trained
    network, tested = load_time_stepped(path), open_images(images)
    curve = measure_stages(cut_network(network), tested, [2])
    layers = [m for m in network.modules() if hasattr(m, "leak")]
    for layer in layers:
        layer.batch_size = 8
    network.eval()
    pixels = torch.from_numpy(np.stack([image for image, _ in tested])).float()
    scores = network(pixels.repeat_interleave(2, dim=0)).view(8, 2, -1).mean(dim=1)
    assert curve.in_torch[0].predictions.tolist() == scores.argmax(dim=1).tolist()


REFUSED = [
    (
        ["--network", "resnet18-lif", "--method", "law", "--upsampling", "spread"],
        "method law needs",
    ),
    (["--network", "resnet18-lif", "--eight-bit"], "8-bit weights needs neurons of the chip"),
    (["--network", "resnet18-lif", "--clip-weights"], "clipped weights needs neurons"),
    (["--network", "resnet18-lif", "--choose-by", "twin"], "choosing by the twin needs"),
    (
        ["--network", "resnet18-lif", "--neuron", "single-spike"],
        "--neuron describes the networks for",
    ),
    (["--network", "resnet18-lif", "--sensor", "32x32"], "--sensor is for events"),
    (["--network", "resnet18-lif depth=3"], "depth"),
    (["--network", "resnet18-dvs-lif"], "takes events, and CIFAR-10 has images"),
    (["--network", "resnet99-lif"], "'resnet99-lif' is not known: give package.module:factory or"),
    (["--network", "nmnist-3c1fc"], "takes events, and CIFAR-10 has images"),
    (["--network", "resnet18-lif", "--boundaries", "copy,copy"], "are 2, the network has 8 stages"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_does_not_fit_is_refused_in_one_line(images, tmp_path, options, words):
    out = tmp_path / "a.pt"
    code, output = run("train", "--data", images, "--out", out, "--width", 16, *options)
    assert code in {1, 2}
    (line,) = [line for line in output.splitlines() if line.startswith("Error")]
    assert words in line
    assert not out.exists()


def test_evaluate_refuses_a_board_and_a_configuration_of_another_length(trained, images):
    path, _ = trained
    for option, words in (
        (("--board", "twin"), "no board runs it: leave --board out"),
        (("--t", "3/2"), "3/2 has 2 numbers, the network has 8 stages"),
        (("--t", "0"), "no list of time steps"),
    ):
        code, output = run("evaluate", path, "--data", images, *option)
        assert code in {1, 2}
        assert words in output


def test_recordings_of_events_train_a_time_stepped_network_too(tmp_path):
    rng = np.random.default_rng(0)
    for label in (0, 1):
        folder = tmp_path / "data" / "Train" / str(label)
        folder.mkdir(parents=True)
        for number in range(1, 4):
            t, x, y = (np.sort(rng.integers(0, n, 30)) for n in (9000, 34, 34))
            write_nmnist_file(folder / f"{number}.bin", make_events(t, x, y, np.full(30, label)))
    out = tmp_path / "a.pt"
    code, output = run(
        *("train", "--network", "resnet18-dvs-lif", "--width", 16, "--data", tmp_path / "data"),
        *("--out", out, "--epochs", 1, "--t-max", 2, "--stream", "--json"),
    )
    assert code == 0, output
    found = json.loads(output)
    assert found["time_stepped_in_torch_only"] is True
    settings = found["settings"]
    assert (settings["augment"], settings["input_frames"]) == ("roll:5,flip:lr", "trim")
    assert (settings["upsampling"], settings["clip_weights"]) == ("copy", False)


def test_a_network_for_the_chip_is_measured_by_stage_beside_its_board(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "0"
    folder.mkdir(parents=True)
    t, x, y = (np.sort(rng.integers(0, n, 40)) for n in (9000, 34, 34))
    write_nmnist_file(folder / "1.bin", make_events(t, x, y, np.ones(40, int)))
    neurons = [IAFSqueeze(batch_size=1) for _ in range(2)]
    network = nn.Sequential(
        *(nn.Conv2d(2, 2, 3, stride=4, bias=False), neurons[0], nn.Flatten()),
        *(nn.Linear(128, 10, bias=False), neurons[1]),
    )
    save_network(network, tmp_path / "net.pt")
    code, output = run(
        "evaluate", tmp_path / "net.pt", "--data", tmp_path / "data", "--t", "2,4/1", "--json"
    )
    assert code == 0, output
    found = json.loads(output)
    assert [point["timesteps"] for point in found["in_torch"]] == [2]
    assert [point["timesteps"] for point in found["by_stage"]["in_torch"]] == [[4, 1]]
    assert found["by_stage"]["stages"] == [["0", "1", "2"], ["3", "4"]]


def test_settings_of_the_chip_are_taken_by_networks_of_the_chip():
    settings = TrainingSettings(method="law", upsampling="spread")
    check_time_stepped(nn.Sequential(nn.Linear(2, 2), IAFSqueeze(batch_size=1)), settings)
    with pytest.raises(TrainingError, match="method law needs neurons of the chip"):
        check_time_stepped(TIME_STEPPED["vgg14-lif"](width=16), settings)


def test_a_sweep_which_measures_on_the_twin_refuses_such_a_network(images):
    options = {"model": None, "network": "resnet18-lif", "width": 16, "seed": 0}
    refused = pytest.raises(TrainingError, match="resnet18-lif is time-stepped in torch only")
    with click.Context(sweep.command), refused:
        sweep._network(options, open_images(images))
