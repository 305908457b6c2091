"""Checkpoints as training scripts write them: what lies beside the network is read past."""

import argparse
import datetime as dt
import enum
import gzip
import logging
import pathlib
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from sinabs import layers as sl
from torch import nn

from speckflex.conversion.model import read_model
from speckflex.errors import NetworkError, SpeckflexError
from speckflex.networks.files import load_network, stated_input_shape

FILES = Path(__file__).resolve().parents[1] / "files" / "models"
FACTORY = "factories_of_checkpoints:small"


@pytest.fixture(autouse=True)
def factories(tmp_path, monkeypatch):
    """A module with the factory of `small`."""
    (tmp_path / "factories_of_checkpoints.py").write_text(
        "from torch import nn\n"
        "def small():\n"
        "    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 2))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(16, 2))


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + key: value for key, value in small().state_dict().items()}


class Config:
    def __init__(self):
        self.rate, self.layers = 0.1, [1, 2]


class Kind(enum.Enum):
    FAST = 1


class ConfigDict(dict):
    """As easydict, addict and others make them."""


BESIDE = {
    "args": argparse.Namespace(lr=0.1, out=pathlib.Path("runs")),
    "path": pathlib.PosixPath("runs/1"),
    "history": np.linspace(0, 1, 5),
    "best": np.float64(0.9),
    "classes": np.array(["a", "b"]),
    "when": dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc),
    "order": OrderedDict(a=1),
    "config": Config(),
    "kind": Kind.FAST,
    "more": ConfigDict(depth=3),
    "loss": nn.CrossEntropyLoss,
    "range": range(3),
    "set": {1, 2},
    "random": torch.get_rng_state(),
}


def holds_the_same(network: nn.Module, expected: nn.Module | None = None) -> None:
    for key, value in (expected or small()).state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=0, atol=0)


@pytest.mark.parametrize(
    "key",
    *[
        [
            *("net", "model", "ema", "weights", "state_dict", "model_state_dict", "network"),
            *("net_state", "snn", "module", "params", "best_model", "a.b"),
        ]
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_the_only_network_of_a_checkpoint_is_found_under_any_name(key, whole, tmp_path):
    net = small()
    content = {"epoch": 3, key: net if whole else net.state_dict(), **BESIDE}
    content["optimizer"] = torch.optim.Adam(net.parameters()).state_dict()
    torch.save(content, tmp_path / "checkpoint.pth")
    holds_the_same(load_network(tmp_path / "checkpoint.pth", factory=None if whole else FACTORY))


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("new_format", [True, False])
def test_what_lies_beside_the_weights_is_read_past(name, protocol, new_format, tmp_path):
    path = tmp_path / "checkpoint.pt"
    torch.save(
        {name: BESIDE[name], "state_dict": small().state_dict()},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=new_format,
    )
    holds_the_same(load_network(path, factory=FACTORY))


@pytest.mark.parametrize("protocol", [2, 4])
def test_classes_of_a_user_are_never_imported(protocol, tmp_path, monkeypatch):
    """The module of the class exists while it is saved, and would leave a mark when imported."""
    module, mark = tmp_path / "module_with_effect.py", tmp_path / "mark"
    module.write_text("class Config:\n    pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import module_with_effect

    path = tmp_path / "checkpoint.pt"
    content = {"config": module_with_effect.Config(), "state_dict": small().state_dict()}
    torch.save(content, path, pickle_protocol=protocol)
    monkeypatch.delitem(__import__("sys").modules, "module_with_effect")
    module.write_text(f"open({str(mark)!r}, 'w').close()\nclass Config:\n    pass\n")
    holds_the_same(load_network(path, factory=FACTORY))
    assert not mark.exists()


@pytest.mark.parametrize(
    "prefix",
    [
        *("module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod.", "module.module."),
        *("model.", "net.", "model.net.", "model._orig_mod.", "model.module."),
        "model.model.module._orig_mod.",
    ],
)
def test_prefixes_of_wrappers_are_taken_off(prefix, tmp_path):
    torch.save(prefixed(prefix), tmp_path / "weights.pt")
    holds_the_same(load_network(tmp_path / "weights.pt", factory=FACTORY))


def test_a_part_that_was_compiled_or_made_parallel_is_found(tmp_path):
    state = small().state_dict()
    inner = {
        key.replace("0.", "0._orig_mod.").replace("2.", "2.module."): value
        for key, value in state.items()
    }
    torch.save(inner, tmp_path / "weights.pt")
    holds_the_same(load_network(tmp_path / "weights.pt", factory=FACTORY))


def test_a_layer_that_is_called_module_keeps_its_name(tmp_path, monkeypatch):
    (tmp_path / "named.py").write_text(
        "from torch import nn\n"
        "def make():\n    return nn.Sequential(nn.ModuleDict({'module': nn.Linear(2, 2)}))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    state = {"0.module.weight": torch.eye(2), "0.module.bias": torch.ones(2)}
    torch.save(state, tmp_path / "weights.pt")
    network = load_network(tmp_path / "weights.pt", factory="named:make")
    torch.testing.assert_close(network.get_parameter("0.module.weight"), torch.eye(2))


def test_tensors_outside_of_the_networks_prefix_are_left_out_and_named(tmp_path, caplog):
    torch.save({**prefixed("model."), "loss.weight": torch.ones(2)}, tmp_path / "weights.pt")
    holds_the_same(load_network(tmp_path / "weights.pt", factory=FACTORY))
    assert "under model.: 1 other tensors, such as loss.weight, are left out" in caplog.text


def test_a_network_under_two_prefixes_is_refused(tmp_path):
    torch.save({**prefixed("teacher."), **prefixed("student.")}, tmp_path / "weights.pt")
    with pytest.raises(NetworkError, match=r"2 times, under teacher\. and student\."):
        load_network(tmp_path / "weights.pt", factory=FACTORY)


def test_of_several_networks_the_key_chooses_and_the_refusal_names_them(tmp_path):
    mean = {key: value + 1 for key, value in small().state_dict().items()}
    path = tmp_path / "checkpoint.pt"
    torch.save({"model": small().state_dict(), "ema": mean, "epoch": 1}, path)
    with pytest.raises(NetworkError, match=r"2 sets of weights, model, ema: .*--key model"):
        load_network(path, factory=FACTORY)
    holds_the_same(load_network(path, factory=FACTORY, key="model"))
    network = load_network(path, factory=FACTORY, key="ema")
    torch.testing.assert_close(network.state_dict(), mean, rtol=0, atol=0)
    with pytest.raises(NetworkError, match="no network under the key 'best': choose among model"):
        load_network(path, factory=FACTORY, key="best")


def test_a_key_may_lead_into_a_checkpoint_inside_a_checkpoint(tmp_path):
    path = tmp_path / "checkpoint.pt"
    content = {"state": {"net": small().state_dict(), "ema": prefixed("")}, "other": prefixed("x.")}
    torch.save(content, path)
    holds_the_same(load_network(path, factory=FACTORY, key="state.net"))


def test_the_same_weights_twice_are_no_question(tmp_path):
    net = small()
    torch.save({"model": net, "state_dict": net.state_dict()}, tmp_path / "checkpoint.pt")
    holds_the_same(load_network(tmp_path / "checkpoint.pt"))
    holds_the_same(load_network(tmp_path / "checkpoint.pt", factory=FACTORY))


def test_weights_beside_other_entries_in_one_dict_are_found(tmp_path):
    torch.save({**small().state_dict(), "epoch": 3, "args": BESIDE["args"]}, tmp_path / "flat.pt")
    holds_the_same(load_network(tmp_path / "flat.pt", factory=FACTORY))


def test_weights_as_numpy_arrays_are_taken(tmp_path):
    arrays = {key: value.numpy() for key, value in small().state_dict().items()}
    torch.save({"weights": arrays}, tmp_path / "arrays.pt")
    holds_the_same(load_network(tmp_path / "arrays.pt", factory=FACTORY))


class Own(nn.Module):
    """A class of the user's own, with a buffer that is not saved."""

    def __init__(self):
        super().__init__()
        for name, layer in small().named_children():
            self.add_module(name, layer)
        self.register_buffer("seen", torch.zeros(3), persistent=False)
        self.config = Config()

    def forward(self, x):
        raise AssertionError


def test_a_module_of_a_users_class_gives_its_weights_to_a_factory(tmp_path):
    torch.save({"model": Own()}, tmp_path / "own.pt")
    holds_the_same(load_network(tmp_path / "own.pt", factory=FACTORY))
    with pytest.raises(NetworkError, match=r"asks for .*Own, which is no layer .*--network"):
        load_network(tmp_path / "own.pt")


def test_a_users_layer_inside_a_sequential_is_named(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(2, 4, 3), Own()), tmp_path / "own.pt")
    with pytest.raises(NetworkError, match=r"asks for .*\.Own, which is no layer"):
        load_network(tmp_path / "own.pt")


def test_what_a_user_keeps_on_a_sequential_means_nothing_to_it(tmp_path):
    net = small()
    net.args, net.classes = BESIDE["args"], np.arange(3)
    torch.save(net, tmp_path / "kept.pt")
    network = load_network(tmp_path / "kept.pt")
    holds_the_same(network)
    assert not hasattr(network, "args")


@pytest.mark.parametrize("name", ["spike_fn", "stride", "padding"])
def test_what_a_layer_computes_with_must_be_known(name, tmp_path):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), sl.IAFSqueeze(batch_size=1))
    vars(net[1 if name == "spike_fn" else 0])[name] = Config()
    torch.save(net, tmp_path / "model.pt")
    with pytest.raises(NetworkError, match=r"asks for .*Config, which is no layer"):
        load_network(tmp_path / "model.pt")


@pytest.mark.parametrize("key", ["input_shape", "input_size"])
@pytest.mark.parametrize("shape", [(2, 6, 6), [2, 6, 6], torch.Size((2, 6, 6))])
def test_the_input_shape_beside_a_network_is_used(key, shape, tmp_path):
    path = tmp_path / "published.pt"
    net = nn.Sequential(nn.Conv2d(2, 4, 3, bias=False), sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0))
    torch.save({"model": net, key: shape}, path)
    assert stated_input_shape(path) == (2, 6, 6)
    assert read_model(path).program.input.shape == (2, 6, 6)
    with pytest.raises(NetworkError, match=r"states events of shape \(2, 6, 6\)"):
        read_model(path, input_shape=(2, 8, 8))


@pytest.mark.parametrize("shape", [None, (2, 6), (2, 0, 6), "2,6,6", (2.0, 6, 6), [[2], 6, 6]])
def test_what_is_no_shape_is_read_past(shape, tmp_path):
    torch.save({"model": small(), "input_shape": shape}, tmp_path / "model.pt")
    assert stated_input_shape(tmp_path / "model.pt") is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("whole", [True, False])
def test_numbers_of_another_precision_become_float32(dtype, whole, tmp_path, caplog):
    net = small().to(dtype)
    torch.save(net if whole else net.state_dict(), tmp_path / "model.pt")
    with caplog.at_level(logging.WARNING, "speckflex"):
        network = load_network(tmp_path / "model.pt", factory=None if whole else FACTORY)
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    holds_the_same(network, small().to(dtype).to(torch.float32))
    assert ("taken as float32" in caplog.text) == whole


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64])
def test_weights_that_are_no_floating_numbers_are_refused(dtype, tmp_path):
    state = small().state_dict()
    state["0.weight"] = state["0.weight"].to(dtype)
    torch.save(state, tmp_path / "model.pt")
    with pytest.raises(NetworkError, match=f"0.weight is {dtype}, the network needs floating"):
        load_network(tmp_path / "model.pt", factory=FACTORY)


def test_tensors_that_share_a_storage_keep_their_own_values(tmp_path):
    """The truth is torch's own reader."""
    base = torch.arange(24.0)
    content = {
        "a": base[2:8].view(2, 3),
        "b": base.view(4, 6).t(),
        "c": base[::5],
        "d": torch.zeros(0, 3),
        "e": torch.tensor(3),
        "f": base.to(torch.bfloat16),
        "g": torch.tensor([True, False]),
    }
    for new_format in (True, False):
        path = tmp_path / "tensors.pt"
        torch.save(content, path, _use_new_zipfile_serialization=new_format)
        from speckflex.networks.torch_file import read_torch_file

        read, expected = read_torch_file(path).value, torch.load(path, weights_only=True)
        assert read.keys() == expected.keys()
        for key, tensor in expected.items():
            assert read[key].stride() == tensor.stride()
            assert read[key].dtype == tensor.dtype
            assert torch.equal(read[key], tensor)


def test_lightnings_checkpoint_loads_with_what_lies_beside(tmp_path, monkeypatch, caplog):
    path = tmp_path / "last.ckpt"
    path.write_bytes(gzip.decompress((FILES / "lightning.ckpt.gz").read_bytes()))
    monkeypatch.syspath_prepend(str(FILES))
    network = load_network(path, factory="torch_network:make")
    from torch_network import make

    expected = make()
    assert torch.equal(network[3].weight, expected[3].weight)
    assert torch.equal(network[4].running_var, expected[4].running_var)
    assert "model.net.: 1 other tensors, such as loss.weight" in caplog.text


@pytest.mark.parametrize("content", [{}, {"epoch": 1}, [1], {"optimizer": {"state": {}}}])
def test_a_checkpoint_without_a_network_is_one_line(content, tmp_path):
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(SpeckflexError, match="neither a module nor a dict of tensors") as caught:
        load_network(tmp_path / "model.pt")
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_holds_itself_under_many_names_is_searched_once(tmp_path):
    content: dict = {"weight": torch.zeros(2, 2)}
    content |= {f"part{number}": content for number in range(300)}
    torch.save(content, tmp_path / "self.pt")
    begin = time.process_time()
    with pytest.raises(NetworkError, match="state dict of 1 tensors"):
        load_network(tmp_path / "self.pt")
    assert time.process_time() - begin < 5
