"""What a message advises works, and messages name causes without their consequences."""

import re

import pytest
import sinabs.layers as sl
import torch
from architectures import (
    SHAPE,
    Own,
    branches,
    chain,
    conv,
    exact,
    iaf,
    linear,
    middle,
    row,
    two,
)
from sinabs.from_torch import from_model
from torch import nn
from torch.nn import functional

from speckflex.conversion.convert import convert
from speckflex.errors import ConversionError, SpeckflexError
from speckflex.networks.fold import fold_batchnorm
from speckflex.samna_access import load_samna

load_samna()
from sinabs.backend.dynapcnn.dvs_layer import DVSLayer  # noqa: E402  needs samna's name to exist

# What a message advises, done: (network, the advice in its message, the network that follows it).
REMEDIES = {
    "max pool": (
        lambda: two(nn.MaxPool2d(2)),
        "use AvgPool2d or SumPool2d",
        lambda: two(sl.SumPool2d(2)),
    ),
    "relu6": (
        lambda: row(conv(2, 2, 3), nn.ReLU6(), nn.AvgPool2d(2), conv(2, 2, 2)),
        "train with ReLU",
        lambda: row(conv(2, 2, 3), nn.ReLU(), nn.AvgPool2d(2), conv(2, 2, 2)),
    ),
    "leaky relu": (
        lambda: row(conv(2, 2, 3), nn.LeakyReLU(), conv(2, 2, 3)),
        "train with ReLU",
        lambda: row(conv(2, 2, 3), nn.ReLU(), conv(2, 2, 3)),
    ),
    "pooled potentials": (
        lambda: row(conv(2, 2, 3), sl.SumPool2d(2), iaf(), conv(2, 2, 2), iaf()),
        "put the pooling after the neurons",
        lambda: row(conv(2, 2, 3), iaf(), sl.SumPool2d(2), conv(2, 2, 2), iaf()),
    ),
    "no neurons between": (
        lambda: row(conv(2, 2, 3), conv(2, 2, 3), iaf()),
        "put an IAFSqueeze after it",
        lambda: row(conv(2, 2, 3), iaf(), conv(2, 2, 3), iaf()),
    ),
    "padding of its own": (
        lambda: row(nn.ZeroPad2d(1), conv(2, 2, 3), iaf()),
        "give its padding to the convolution behind it",
        lambda: row(conv(2, 2, 3, padding=1), iaf()),
    ),
    "leak": (
        lambda: row(conv(2, 2, 3), sl.LIFSqueeze(tau_mem=5.0, batch_size=1)),
        "sinabs' IAFSqueeze",
        lambda: row(conv(2, 2, 3), iaf()),
    ),
    "overlapping pool": (
        lambda: two(nn.AvgPool2d(4, 2)),
        "make stride and kernel_size equal",
        lambda: two(nn.AvgPool2d(4, 4), size=1),
    ),
    "padded pool": (
        lambda: two(nn.AvgPool2d(2, padding=1)),
        "pool without padding",
        lambda: two(nn.AvgPool2d(2)),
    ),
    "one-dimensional": (
        lambda: row(nn.Conv1d(8, 4, 5, padding=2, bias=False), iaf()),
        "use Conv2d with a kernel of (1, 5)",
        lambda: row(conv(8, 4, (1, 5), padding=(0, 2)), iaf()),
    ),
    "a layer called twice": (
        chain(lambda net, x: net.n2(net.c1(net.n1(net.c1(x)))), c1=lambda: conv(2, 2, 3)),
        "give each call a layer of its own",
        lambda: row(conv(2, 2, 3), iaf(), conv(2, 2, 3), iaf()),
    ),
    "summed potentials": (
        lambda: Own(
            lambda net, x: net.n(net.a(x) + net.b(x)), a=conv(2, 2, 1), b=conv(2, 2, 1), n=iaf()
        ),
        "put a neuron layer after each weight layer and merge after it",
        lambda: Own(
            lambda net, x: net.n(net.c(net.na(net.a(x)) + net.nb(net.b(x)))),
            a=conv(2, 2, 1),
            na=iaf(),
            b=conv(2, 2, 1),
            nb=iaf(),
            c=conv(2, 2, 1),
            n=iaf(),
        ),
    ),
    "maps of two sizes": (
        branches(lambda net, a, b: torch.cat((net.pool(a).flatten(1), b.flatten(1)), 1), 192),
        "pool the larger map",
        branches(
            lambda net, a, b: torch.cat((net.pool(a).flatten(1), net.pool(b).flatten(1)), 1), 96
        ),
    ),
    "unequal factors": (
        branches(lambda net, a, b: functional.avg_pool2d(a, 2) + net.pool(b), 64, (4, 4)),
        "use the same pooling on every branch, or SumPool2d",
        branches(lambda net, a, b: net.pool(a) + net.pool(b), 64, (4, 4)),
    ),
    "a late camera layer": (
        lambda: row(sl.SumPool2d(2), DVSLayer((4, 4)), conv(2, 2, 3), iaf()),
        "put it first",
        lambda: row(DVSLayer((8, 8)), sl.SumPool2d(2), conv(2, 2, 3), iaf()),
    ),
    "a reshaped map": (
        middle(lambda x: x.reshape(x.shape[0], 2, 4, 16)),
        "keep the shape, or flatten it for a Linear",
        middle(lambda x: x),
    ),
    "values": (
        middle(lambda x: x if x.sum() > -1 else x * 2),
        "let it depend on shapes alone",
        middle(lambda x: x if x.shape[2] > 1 else x * 2),
    ),
    "a write through a view": (
        middle(lambda x: (x[:, :, :2].zero_(), x)[1]),
        "call clone() first",
        middle(lambda x: (x[:, :, :2].clone().zero_(), x)[1]),
    ),
    "noise": (
        middle(lambda x: x + torch.rand_like(x)),
        "let it run in training alone (if self.training)",
        lambda: Own(
            lambda net, x: net.n(net.c(x) + torch.rand(1) if net.training else net.c(x)),
            c=conv(2, 2, 1),
            n=iaf(),
        ),
    ),
    "reset by another function": (
        lambda: row(conv(2, 2, 3), iaf(reset_fn=print)),
        "use MembraneSubtract or MembraneReset",
        lambda: row(conv(2, 2, 3), iaf()),
    ),
    "a threshold for each channel": (
        lambda: row(
            conv(2, 2, 1), iaf(torch.tensor([100.0, 200.0]).reshape(2, 1, 1), min_v_mem=-100.0)
        ),
        "rescale weights and thresholds to one value",
        lambda: row(conv(2, 2, 1), iaf()),
    ),
    "a bias": (
        lambda: row(conv(2, 2, 1, bias=True), iaf()),
        "remove it with speckflex fold",
        lambda: fold_batchnorm(row(conv(2, 2, 1, bias=True), iaf())),
    ),
    "a batch norm": (
        lambda: row(conv(2, 2, 1), nn.BatchNorm2d(2), iaf()).eval(),
        "fold it first with speckflex fold",
        lambda: fold_batchnorm(row(conv(2, 2, 1), nn.BatchNorm2d(2), iaf())),
    ),
    "relu among neurons": (
        lambda: row(conv(2, 2, 1), nn.ReLU(), conv(2, 2, 1), iaf()),
        "make the network spiking with sinabs.from_torch.from_model",
        lambda: (
            from_model(
                row(conv(2, 2, 1), nn.ReLU(), conv(2, 2, 1), iaf()), batch_size=1
            ).spiking_model
        ),
    ),
    "too many neurons": (
        lambda: row(conv(2, 32, 3, 2, 1), iaf(), sl.SumPool2d(2)),
        "give it a larger stride",
        lambda: row(conv(2, 32, 3, 4, 1), iaf()),
    ),
    "too many neurons, pooled in front": (
        lambda: row(conv(2, 32, 3, 2, 1), iaf()),
        "or pool in front of it",
        lambda: row(sl.SumPool2d(2), conv(2, 32, 3, 2, 1), iaf()),
    ),
    "too many output channels": (
        lambda: row(conv(2, 32, 3, 2, 1), iaf()),
        "reduce it to 16 output channels",
        lambda: row(conv(2, 16, 3, 2, 1), iaf()),
    ),
    "a wide linear layer": (
        lambda: row(
            conv(2, 2, 3, 2, 1), iaf(), sl.SumPool2d(2), nn.Flatten(), linear(2048, 2), iaf()
        ),
        "such as by 2, to 16 x 16",
        lambda: row(
            conv(2, 2, 3, 2, 1), iaf(), sl.SumPool2d(4), nn.Flatten(), linear(512, 2), iaf()
        ),
    ),
    "a pooling by three": (
        lambda: two(sl.SumPool2d(3)),
        "pool by one of these, or use a strided convolution",
        lambda: two(sl.SumPool2d(2)),
    ),
}
SHAPES = {
    "one-dimensional": (8, 1, 16),
    "too many neurons": (2, 128, 128),
    "too many neurons, pooled in front": (2, 128, 128),
    "too many output channels": (2, 128, 128),
    "a wide linear layer": (2, 128, 128),
}


@pytest.mark.parametrize("name", REMEDIES)
def test_the_advice_of_a_message_works(name):
    build, advice, mended = REMEDIES[name]
    shape = SHAPES.get(name, SHAPE)
    with pytest.raises(SpeckflexError) as caught:
        convert(exact(build()), shape)
    assert advice in str(caught.value)
    assert convert(exact(mended()), shape).cores


def test_causes_are_named_without_their_consequences():
    def run(self, x):
        x = torch.sigmoid(self.c1(x))
        x = self.n2(self.c2(torch.sort(x, 1)[0]))
        return self.fc(x.mean(1).flatten(1))

    network = Own(run, c1=conv(2, 2, 1), c2=conv(2, 2, 1), n2=iaf(), fc=linear(64, 3))
    with pytest.raises(ConversionError) as caught:
        convert(network, SHAPE)
    found = [re.findall(r"torch's (\w+) runs before it", text) for text in caught.value.problems]
    assert found == [["sigmoid"], ["sort"], ["mean"]]


def test_a_wide_linear_layer_is_one_problem():
    network = row(conv(1, 2, 3, padding=1), iaf(), nn.Flatten(), linear(1024, 4), iaf())
    with pytest.raises(ConversionError) as caught:
        convert(network, (1, 16, 32))
    assert len(caught.value.problems) == 1
