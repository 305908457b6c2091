"""The table of layer kinds, and what every door says of a layer that Speck lacks."""

import inspect

import nir
import numpy as np
import pytest
import torch
from sinabs import layers as sl
from torch import nn

from speckflex.conversion.convert import check_network
from speckflex.errors import ConversionError, NetworkError
from speckflex.networks.files import load_network
from speckflex.networks.layer_kinds import LAYER_KINDS, kind_of, own_forward
from speckflex.networks.neurons import FusedIAFSqueeze

SINABS = [cls for _, cls in inspect.getmembers(sl, inspect.isclass) if issubclass(cls, nn.Module)]
# Layers of sinabs that the chip has no counterpart for.
UNKNOWN = {"ChannelShift", "Cropping2dLayer", "Img2SpikeLayer", "QuantizeLayer", "Sig2SpikeLayer"}


@pytest.mark.parametrize("layer", SINABS, ids=lambda cls: cls.__name__)
def test_every_layer_of_sinabs_has_a_row(layer):
    known = any(base in LAYER_KINDS for base in layer.__mro__)
    assert known != (layer.__name__ in UNKNOWN)


@pytest.mark.parametrize(
    ("layer", "role"),
    [
        (nn.ConvTranspose2d(1, 1, 1), "weights"),
        (nn.BatchNorm1d(1), "norm"),
        (sl.SumPool2d(2), "pooling"),
        (nn.MaxPool3d(2), "pooling"),
        (sl.FlattenTime(), "time"),
        (FusedIAFSqueeze(batch_size=1), "neurons"),
        (nn.Softmax(1), "other"),
    ],
)
def test_a_layer_has_the_role_of_its_nearest_class(layer, role):
    assert kind_of(layer).role == role


@pytest.mark.parametrize(
    ("layer", "gain"),
    [
        (nn.Identity(), 1.0),
        (nn.AvgPool2d(2), 1.0),
        (nn.AvgPool2d(2, divisor_override=1), 4.0),
        (sl.SumPool2d((2, 3)), 6.0),
        (nn.LPPool2d(2, 2), None),
        (nn.MaxPool2d(2), None),
        (nn.ReLU(), None),
    ],
)
def test_the_gain_is_what_a_layer_makes_of_a_constant(layer, gain):
    assert kind_of(layer).gain(layer) == gain
    if gain is not None:
        torch.testing.assert_close(layer(torch.ones(1, 1, 6, 6)).mean(), torch.tensor(gain))


def test_a_forward_pass_is_a_users_where_a_users_class_defines_it():
    class Renamed(nn.Conv2d):
        pass

    class Doubling(nn.Conv2d):
        def forward(self, x):
            return 2 * super().forward(x)

    made = [cls(1, 1, 1) for cls in (nn.Conv2d, Renamed, Doubling)]
    assert [own_forward(layer) for layer in made] == [False, False, True]


LEAKY = (
    "leaks with a time constant, Speck's neurons do not: train the network with IF neurons, such as"
    " sinabs' IAFSqueeze"
)


def test_every_door_refuses_leaky_neurons_in_the_same_words(tmp_path):
    network = nn.Sequential(
        nn.Conv2d(1, 1, 1, bias=False), sl.LIFSqueeze(tau_mem=10.0, batch_size=1)
    )
    torch.save(network, tmp_path / "model.pt")
    with pytest.raises(NetworkError) as loaded:
        load_network(tmp_path / "model.pt")
    (finding,) = check_network(network, (1, 2, 2)).errors
    one = np.ones(1)
    nodes = {
        "in": nir.Input({"input": np.array([1])}),
        "1": nir.LIF(tau=one, r=one, v_leak=one, v_threshold=one),
        "out": nir.Output({"output": np.array([1])}),
    }
    nir.write(tmp_path / "model.nir", nir.NIRGraph(nodes, [("in", "1"), ("1", "out")]))
    with pytest.raises(NetworkError) as read:
        load_network(tmp_path / "model.nir")
    assert str(loaded.value) == f"{tmp_path / 'model.pt'}: layer 1 (LIFSqueeze) {LEAKY}"
    assert finding.sentence == f"1: LIFSqueeze {LEAKY}"
    assert str(read.value).endswith(f": node 1 (LIF) {LEAKY}")


def test_a_recurrent_layer_is_refused_before_anything_else():
    network = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), sl.LIFRecurrent(10.0, nn.Linear(4, 4)))
    (finding, *_) = check_network(network, (1, 2, 2)).errors
    assert "LIFRecurrent is recurrent" in finding.sentence


def test_a_stateful_layer_that_is_no_sinabs_neuron_is_no_neuron_of_speck():
    class Odd(sl.StatefulLayer):
        def __init__(self):
            super().__init__(state_names=["v_mem"])

    from speckflex.conversion.convert import convert

    with pytest.raises(ConversionError, match="Odd is no integrate-and-fire layer of sinabs"):
        convert(nn.Sequential(nn.Conv2d(2, 1, 1, bias=False), Odd()), (2, 4, 4))
