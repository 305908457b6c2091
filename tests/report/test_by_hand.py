"""Every figure of report.json against a script that uses nothing of the package."""

import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import by_hand
import numpy as np
import pytest
import torch
from networks_of_tests import small_network
from torch import nn

from speckflex.boards import open_board
from speckflex.boards.choosing import ChosenBoard
from speckflex.conversion.convert import convert
from speckflex.conversion.model import read_model
from speckflex.data.dataset import EventDataset
from speckflex.deployment.deploy import DeploySettings, deploy
from speckflex.events.streams import make_events
from speckflex.networks.files import save_network
from speckflex.networks.nir.export import save_nir

SHAPE = (2, 34, 34)
N_SAMPLES = 6


def relu_network():
    """Return a network with ReLUs and biases, read by its potentials."""
    torch.manual_seed(1)
    layers = OrderedDict(
        conv1=nn.Conv2d(2, 4, 3, stride=2, padding=1),
        relu1=nn.ReLU(),
        pool1=nn.AvgPool2d(4),
        flatten=nn.Flatten(),
        linear=nn.Linear(64, 5),
    )
    network = nn.Sequential(layers)
    network.conv1.weight.data *= 4
    return network.eval()


NETWORKS = {
    "batch norm": lambda: small_network(norm=True),
    "biases and ReLU": relu_network,
    "NIR": lambda: small_network(seed=2),
    "silent": lambda: small_network(gain=1e-3),
}


def data_set() -> EventDataset:
    """Return short recordings of two densities; the last one has no label."""
    rng = np.random.default_rng(7)
    samples = []
    for index in range(N_SAMPLES):
        n = 300 + 150 * (index % 2)
        times = np.sort(rng.choice(30_000, n, replace=False))
        columns = [rng.integers(0, side, n) for side in (34, 34, 2)]
        samples.append(make_events(times, *columns))
    labels = np.array([0, 1, 2, 3, 4, -1])
    names = tuple(str(number) for number in range(10))
    return EventDataset("made up", SHAPE, names, labels, True, tuple(samples), lambda item: item)


def exact_weights(network: nn.Module) -> dict[str, np.ndarray]:
    """Return the float weights that a program stands for: norm and pooling taken in, by hand."""
    conv, linear = (
        network.get_submodule(name).weight.detach().double().numpy() for name in ("conv1", "linear")
    )
    norm = getattr(network, "norm1", None)
    if norm is not None:
        spread = np.sqrt(norm.running_var.double().numpy() + norm.eps)
        gain = norm.weight.detach().double().numpy() / spread
        conv = conv * gain[:, None, None, None]
    # AvgPool2d(4) is a sum on the chip; flattening is channel by channel
    return {"conv1": conv, "linear": linear.reshape(-1, 4, 4, 4) / 16}


def folded(network: nn.Module) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return gain and dropped constant of each channel of the layers that folding changes."""
    found = []
    for name in ("conv1", "linear"):
        layer, norm = network.get_submodule(name), getattr(network, "norm1", None)
        gain = np.ones(len(layer.weight))
        dropped = np.zeros(len(gain)) if layer.bias is None else layer.bias.detach().numpy()
        if name == "conv1" and norm is not None:
            spread = np.sqrt(norm.running_var.double().numpy() + norm.eps)
            gain = norm.weight.detach().double().numpy() / spread
            dropped = norm.bias.detach().numpy() - gain * norm.running_mean.numpy()
        if dropped.any():
            found.append((gain, dropped))
    return found


@pytest.mark.parametrize(
    ("kind", "board", "rate"),
    [
        ("batch norm", "twin", None),
        ("biases and ReLU", "twin", 3e4),
        ("silent", "twin", None),
        ("NIR", "twin", 1e5),
        ("batch norm", "virtual:speck2e", 1e6),
    ],
)
def test_every_figure_is_that_of_the_files_beside_it(
    kind: str, board: str, rate: float | None, tmp_path: Path
):
    network, data = NETWORKS[kind](), data_set()
    path = tmp_path / ("model.nir" if kind == "NIR" else "model.pt")
    exact = {name: (weights, 1.0) for name, weights in exact_weights(network).items()}
    if kind == "NIR":
        program = convert(network, SHAPE)
        save_nir(program, path)
        # the file holds the integers themselves
        exact = {core.name: (core.weights, core.threshold_high) for core in program.cores}
    else:
        save_network(network, path)
    model = read_model(path, input_shape=SHAPE)
    with open_board(board) as opened:
        settings = DeploySettings(batch=4, events_of=2, rate=rate)
        deployment = deploy(model, data, ChosenBoard(opened, board), settings=settings)
    deployment.save(tmp_path / "out")
    differing = [one.sample for one in deployment.report.samples_alone.differing]
    # also those of the samples whose spikes are not kept in the recordings
    assert [one.sample for one in deployment.report.samples_alone.opened] == differing
    dropped = [] if kind == "NIR" else folded(network)
    n_figures = by_hand.check(tmp_path / "out", list(data.items), exact, dropped or None)
    assert n_figures > 400
    steps = [rung.step for rung in deployment.report.steps.ladder]
    folds = kind in ("batch norm", "biases and ReLU")
    hardware = ["twin"] if board == "twin" else ["twin", "chip"]
    assert steps == ["trained", *(["folded"] if folds else []), "eight-bit", *hardware]


def test_a_wrong_figure_is_found(tmp_path: Path):
    save_network(small_network(), tmp_path / "model.pt")
    data = data_set()
    model = read_model(tmp_path / "model.pt", input_shape=SHAPE)
    with open_board("twin") as opened:
        deploy(model, data, ChosenBoard(opened, "twin")).save(tmp_path / "out")
    report = tmp_path / "out" / "report.json"
    text = report.read_text(encoding="utf-8")
    report.write_text(text.replace('"samples": 6', '"samples": 7', 1), encoding="utf-8")
    with pytest.raises(AssertionError, match="samples: the report says 7, by hand it is 6"):
        by_hand.check(tmp_path / "out", list(data.items))
    report.write_text(text.replace("{", '{"colour": 3,', 1), encoding="utf-8")
    with pytest.raises(AssertionError, match=r"neither computed nor named: .*'colour'"):
        by_hand.check(tmp_path / "out", list(data.items), {})
    report.write_text(text, encoding="utf-8")  # each report of a test is held to its schema


def test_the_script_imports_nothing_of_the_package():
    code = "import sys, by_hand; print([m for m in sys.modules if m.startswith('speckflex')])"
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own code
        [sys.executable, "-c", code],
        cwd=Path(by_hand.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
