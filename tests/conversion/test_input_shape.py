"""The input shape comes from the network, a stated sensor or the user, never from the events."""

import numpy as np
import pytest
import torch
from architectures import Own, conv, exact, iaf, linear, row
from click.testing import CliRunner
from torch import nn

from speckflex.cli import main
from speckflex.conversion.input_shape import find_input_shape
from speckflex.conversion.model import read_model
from speckflex.errors import NetworkError
from speckflex.networks.files import save_network
from speckflex.program.program import Program

# 20 x 20 pixels, and no other square: 20 - 5 + 1 = 16.
SQUARE = (2, 20, 20)


def square_network():
    return row(conv(2, 2, 5), iaf(), nn.Flatten(), linear(512, 3), iaf())


def strided_network():
    """Return a network that takes 19 and 20 pixels a side: both give 10 with a stride of 2."""
    return row(conv(2, 2, 3, 2, 1), iaf(), nn.Flatten(), linear(200, 3), iaf())


def any_size():
    return row(conv(2, 2, 3), iaf())


def flat():
    return row(nn.Flatten(), linear(800, 3), iaf())


def test_the_one_square_map_that_passes_is_the_shape():
    assert find_input_shape(square_network()) == SQUARE


def test_a_forward_pass_over_batch_and_time_has_a_shape_too():
    network = Own(
        lambda net, x: net.n(net.f(net.c(x.flatten(0, 1)).flatten(1))).unflatten(0, x.shape[:2]),
        c=conv(1, 2, 3), f=linear(72, 3), n=iaf(),
    )  # fmt: skip
    assert find_input_shape(network) == (1, 8, 8)


@pytest.mark.parametrize(
    ("build", "sensor"),
    [(strided_network, (2, 19, 19)), (strided_network, (2, 20, 19)), (any_size, (2, 9, 30)),
     (flat, (2, 20, 20)), (flat, (1, 20, 40))],
)  # fmt: skip
def test_a_stated_sensor_decides_between_maps(build, sensor):
    assert find_input_shape(build(), sensor=sensor) == sensor


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (strided_network, "its layers take square maps of 19 to 20 pixels a side"),
        (any_size, "its layers take maps of any size"),
        (flat, "whose first layer is no convolution"),
        (lambda: row(conv(2, 2, 3), iaf(), nn.Flatten(), linear(7, 3)), "take no square maps of 2"),
    ],
)
def test_what_can_not_be_known_names_the_option(build, reason):
    with pytest.raises(NetworkError, match=rf"{reason}.*: give --input-shape \(channels, heig"):
        find_input_shape(build())


def test_a_sensor_that_does_not_pass_is_refused():
    with pytest.raises(NetworkError, match=r"sensor \(2, 34, 34\) \(channel, y, x\) do not pass"):
        find_input_shape(square_network(), sensor=(2, 34, 34))


def test_the_network_stays_as_it_is():
    network = square_network().train()
    weights = network[0].weight.clone()
    find_input_shape(network)
    assert torch.equal(weights, network[0].weight)
    assert network.training


@pytest.fixture
def folder(tmp_path):
    """Recordings in a folder, with no event in the last five rows and columns."""
    events = np.zeros(50, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "i1")])
    events["t"] = np.arange(50) * 100
    events["x"], events["y"] = np.arange(50) % 15, np.arange(50) % 14
    events["p"] = np.arange(50) % 2
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        np.save(tmp_path / "data" / label / "0.npy", events)
    return tmp_path / "data"


def saved(network, folder):
    path = folder / "net.pt"
    save_network(exact(network), path)
    return path


def deploy(model, *options):
    command = ["deploy", str(model), "--board", "twin", "--samples", "2", *map(str, options)]
    return CliRunner().invoke(main, command)


def test_recordings_without_events_at_the_edge_do_not_shrink_the_network(tmp_path, folder):
    model = saved(square_network(), tmp_path)
    result = deploy(model, "--data", folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert Program.load(tmp_path / "out" / "program.speck").input.shape == SQUARE


def test_a_program_plays_recordings_that_do_not_reach_its_edge(tmp_path, folder):
    path = tmp_path / "net.speck"
    read_model(saved(square_network(), tmp_path)).program.save(path)
    assert deploy(path, "--data", folder).exit_code == 0


def test_a_network_of_any_size_asks_for_the_option_in_one_line(tmp_path, folder):
    model = saved(any_size(), tmp_path)
    result = deploy(model, "--data", folder)
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if "Error" in line or "error" in line]
    assert "its layers take maps of any size: give --input-shape" in line
    assert deploy(model, "--data", folder, "--input-shape", "2,16,16").exit_code == 0


def test_check_finds_the_shape_without_recordings(tmp_path):
    result = CliRunner().invoke(main, ["check", str(saved(square_network(), tmp_path))])
    assert result.exit_code == 0, result.output
    assert "fits" in result.stdout.splitlines()[0]


def test_convert_finds_the_shape(tmp_path):
    out = tmp_path / "net.speck"
    model = saved(square_network(), tmp_path)
    result = CliRunner().invoke(main, ["convert", str(model), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert Program.load(out).input.shape == SQUARE
