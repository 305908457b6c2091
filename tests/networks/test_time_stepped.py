"""The time-stepped networks: their published counts, their stages, and that no chip runs them."""

import itertools

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from speckflex.cli import main
from speckflex.conversion.convert import convert
from speckflex.errors import SpeckflexError
from speckflex.networks.factories import network_from_factory
from speckflex.networks.files import save_network
from speckflex.networks.residual import PixelScale, ResidualBlock
from speckflex.networks.time_stepped import TIME_STEPPED, is_time_stepped
from speckflex.training.mixed.stages import MixedTimestepNetwork, split_stages

# As the classes of the paper's published code count them (train-time-stepped/models.py).
PUBLISHED = [
    ("resnet18-lif", 100, 11_220_132, 8),
    ("resnet19-lif", 10, 12_569_226, 8),
    ("resnet19-lif", 100, 12_615_396, 8),
    ("resnet34-lif", 1000, 21_789_992, 16),
    ("resnet18-dvs-lif", 10, 11_173_386, 8),
    ("resnet18-dvs-lif", 101, 11_220_069, 8),
    ("vgg14-lif", 100, 14_770_212, 13),
]


@pytest.mark.parametrize(("name", "n_classes", "parameters", "stages"), PUBLISHED)
def test_parameters_and_stages_are_as_published(name, n_classes, parameters, stages):
    with torch.device("meta"):  # shapes alone: no weight is drawn
        network = TIME_STEPPED[name](n_classes=n_classes)
    assert sum(part.numel() for part in network.parameters()) == parameters
    assert len(split_stages(network)) == stages


def test_each_factory_states_its_own_published_count():
    own = {name: factory.parameters for name, factory in TIME_STEPPED.items()}
    published = {(name, count) for name, _, count, _ in PUBLISHED}
    assert set(own.items()) <= published


def layers_by_hand(n_blocks: int, widths: list[int]) -> int:
    """Return the convolutions and linear layers of a residual network, counted by its drawing."""
    shortcuts = sum(a != b for a, b in itertools.pairwise(widths))
    return 1 + 2 * n_blocks + shortcuts + 1


@pytest.mark.parametrize("name", TIME_STEPPED)
def test_a_narrow_network_runs_with_mixed_time_steps_and_learns(name):
    factory = TIME_STEPPED[name]
    network = factory(width=32, n_classes=3, input_shape=(factory.input_shape[0], 32, 32))
    mixed = MixedTimestepNetwork(network)
    frames = torch.randint(0, 200, (2, 3, factory.input_shape[0], 32, 32), dtype=torch.uint8)
    steps = [1 + (5 * stage) % 3 for stage in range(mixed.n_stages)]
    scores = mixed(frames, steps)
    assert scores.shape == (2, steps[-1], 3)
    scores.sum().backward()
    first = next(network.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_a_residual_network_has_the_layers_of_its_drawing():
    network = TIME_STEPPED["resnet34-lif"](width=16)
    weights = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    assert len(weights) == layers_by_hand(16, [2, 4, 8, 16])
    strides = [m.stride[0] for m in weights[:-1]]
    assert strides.count(2) == 2 * 3  # the first convolution of a group and its short cut


def test_the_stem_for_large_images_divides_the_size_by_four_before_the_second_block():
    network = TIME_STEPPED["resnet34-lif"](width=16, stem="7x7", input_shape=(3, 64, 64))
    sizes = []
    network[2].register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1]))
    MixedTimestepNetwork(network)(torch.zeros(1, 1, 3, 64, 64))
    assert sizes == [16]


def test_a_block_adds_its_input_before_its_last_neuron():
    block = ResidualBlock(2, 2, nn.Identity).eval()
    spikes = torch.rand(3, 2, 4, 4)
    by_hand = block.norm2(block.conv2(block.norm1(block.conv1(spikes)))) + spikes
    torch.testing.assert_close(block(spikes), by_hand)


def test_pixels_are_scaled_as_images_of_imagenet_are():
    pixels = torch.tensor([255.0, 0.0, 127.5]).view(1, 3, 1, 1)
    scaled = PixelScale()(pixels).flatten().tolist()
    assert scaled == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, (0.5 - 0.406) / 0.225])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 4}, "larger width"),
        ({"stem": "5x5"}, "stem '5x5'"),
        ({"n_classes": 0}, "at least 1 class"),
    ],
)
def test_sizes_that_leave_nothing_are_refused(options, words):
    with pytest.raises(SpeckflexError, match=words):
        TIME_STEPPED["resnet18-lif"](**options)


def test_vgg14_refuses_a_stem_and_an_input_below_32_pixels():
    with pytest.raises(SpeckflexError, match="choose 3x3"):
        TIME_STEPPED["vgg14-lif"](stem="7x7")
    with pytest.raises(SpeckflexError, match="at least 32 pixels"):
        TIME_STEPPED["vgg14-lif"](input_shape=(3, 28, 28))


def test_the_networks_are_factories_by_their_names():
    network = network_from_factory("resnet18-dvs-lif width=16 n_classes=2")
    assert is_time_stepped(network)
    assert not is_time_stepped(nn.Sequential(nn.ReLU()))


@pytest.mark.parametrize("name", ["resnet18-dvs-lif", "vgg14-lif"])
@pytest.mark.parametrize("command", ["convert", "check", "deploy"])
def test_what_makes_a_program_refuses_such_a_network_in_one_line(tmp_path, name, command):
    path = tmp_path / "net.pt"
    save_network(TIME_STEPPED[name](width=32, n_classes=2), path)
    arguments = {
        "convert": [
            "convert",
            str(path),
            "--input-shape",
            "2,48,48",
            "-o",
            str(tmp_path / "a.speck"),
        ],
        "check": ["check", str(path), "--input-shape", "2,48,48"],
        "deploy": ["deploy", str(path), "--data", "synthetic-digits", "--out", str(tmp_path / "o")],
    }
    result = CliRunner().invoke(main, arguments[command])
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error")]
    assert "is time-stepped in torch only" in line
    assert "Traceback" not in result.output
    assert not (tmp_path / "a.speck").exists()


def test_a_network_in_memory_is_refused_too():
    network = TIME_STEPPED["resnet18-dvs-lif"](width=16, n_classes=2)
    with pytest.raises(SpeckflexError, match="time-stepped in torch only"):
        convert(network, (2, 48, 48))
