"""Factories named on the command line, with their arguments."""

import sys

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from speckflex.cli import main
from speckflex.errors import NetworkError
from speckflex.networks.factories import network_from_factory, parse_factory

MODULE = """
from torch import nn

def make(width, *, bias=True, shape=(2, 34, 34), name="plain"):
    channels = shape[0] * width
    layer = nn.Conv2d(channels, width, 3, bias=bias)
    layer.given = (width, bias, shape, name)
    return layer

def any_of(**options):
    layer = nn.Identity()
    layer.given = options
    return layer

def raises(width=1):
    raise ValueError("first\\nsecond")

def row(width):
    return nn.Sequential(nn.Linear(width, width))

class Small(nn.Sequential):
    def __init__(self, width=4):
        super().__init__(nn.Linear(width, width))
"""


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    (tmp_path / "made_by_a_user.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    yield
    sys.modules.pop("made_by_a_user", None)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("width=16", (16, True, (2, 34, 34), "plain")),
        ("width=16 bias=False", (16, False, (2, 34, 34), "plain")),
        ("bias=false  width=0x10", (16, False, (2, 34, 34), "plain")),
        ("width=2 shape=(1,8,8)", (2, True, (1, 8, 8), "plain")),
        ("width=2 shape=(1, 8, 8) name=deep", (2, True, (1, 8, 8), "deep")),
        ("width=2 shape=[1, 8, 8] name='a b'", (2, True, [1, 8, 8], "a b")),
        ('width=2 name="a=b c=d"', None),
    ],
)
def test_arguments_are_pythons_literals(text, given):
    if given is None:
        with pytest.raises(NetworkError, match="in quotes"):
            network_from_factory(f"made_by_a_user:make {text}")
        return
    assert network_from_factory(f"made_by_a_user:make {text}").given == given


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("None", None), ("null", None), ("true", True), ("1e-3", 1e-3), ("-2", -2)),
        *(
            ("{'a': 1}", {"a": 1}),
            ("spikes", "spikes"),
            ("runs/a.pt", "runs/a.pt"),
            ("'x y'", "x y"),
        ),
    ],
)
def test_values_of_each_kind(text, value):
    assert parse_factory(f"m:f a={text}").arguments == {"a": value}


@pytest.mark.parametrize(
    "text", ["__import__('os').system('touch x')", "a()", "[1, 2", "(lambda: 1)"]
)
def test_nothing_is_evaluated(text, tmp_path):
    with pytest.raises(NetworkError, match="argument name="):
        network_from_factory(f"made_by_a_user:any_of name={text}")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("made_by_a_user:make", r"missing a required argument: 'width': it takes \(width"),
        ("made_by_a_user:make width=1 depth=2", "unexpected keyword argument 'depth'"),
        ("made_by_a_user:make width=1 width=2", "argument width is given twice"),
        ("made_by_a_user:make width=", "'width=' has no value"),
        ("made_by_a_user:make 16", "is no name: write the factory first"),
        ("made_by_a_user:make width=2 shape=3", r"failed \(TypeError"),
        ("made_by_a_user:raises width=3", r"raises width=3 failed \(ValueError: first\)"),
        ("made_by_a_user:nothing width=3", "can't be imported"),
        ("nmnist-3c1fc depth=3", "unexpected keyword argument 'depth'"),
        ("", "is no name"),
        ("width=3", "is not known"),
    ],
)
def test_what_a_factory_does_not_take_is_one_line(factory, message):
    with pytest.raises(NetworkError, match=message) as caught:
        network_from_factory(factory)
    assert "\n" not in str(caught.value)


def test_a_class_is_a_factory_too():
    assert network_from_factory("made_by_a_user:Small width=3")[0].in_features == 3


def test_built_in_networks_take_arguments():
    network = network_from_factory("nmnist-3c1fc width=4 n_classes=3")
    assert isinstance(network[0], nn.Conv2d)
    assert network(torch.zeros(1, 2, 34, 34)).shape == (1, 3)
    assert max(layer.out_channels for layer in network if isinstance(layer, nn.Conv2d)) == 4


def test_the_command_line_passes_the_arguments_on(tmp_path):
    state = nn.Sequential(nn.Linear(3, 3)).state_dict()
    torch.save({"model": state, "ema": {k: v + 1 for k, v in state.items()}}, tmp_path / "w.pt")
    command = ("fold", "w.pt", "--network", "made_by_a_user:row width=3", "--out", "folded.pt")
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 1
    assert "--key model" in refused.output
    done = CliRunner().invoke(main, (*command, "--key", "model"))
    assert done.exit_code == 0, done.output
    assert torch.load("folded.pt", weights_only=False)[0].weight.shape == (3, 3)
