"""Small networks that tests share."""

from collections import OrderedDict

import sinabs.layers as sl
import torch
from torch import nn


def neuron(**options):
    """Return sinabs' integrate-and-fire layer as the chip's users set it."""
    return sl.IAFSqueeze(batch_size=1, **({"spike_threshold": 1.0, "min_v_mem": -1.0} | options))


def small_network(*, seed=0, norm=False, spiking_output=True, gain=3.0):
    """Return conv, pool, linear on a 2x34x34 input, with 10 classes and random weights."""
    torch.manual_seed(seed)
    layers = OrderedDict(conv1=nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False))
    if norm:
        layers["norm1"] = nn.BatchNorm2d(4)
    layers |= OrderedDict(
        spike1=neuron(),
        pool1=nn.AvgPool2d(4),
        flatten=nn.Flatten(),
        linear=nn.Linear(64, 10, bias=False),
    )
    if spiking_output:
        layers["spike2"] = neuron()
    network = nn.Sequential(layers)
    for name in ("conv1", "linear"):
        network.get_submodule(name).weight.data *= gain
    if norm:
        _set_random_statistics(network.norm1)
    return network.eval()


def _set_random_statistics(norm):
    """Give a batch norm the statistics and affine values of a trained one."""
    norm.running_mean.normal_(0, 0.2)
    norm.running_var.uniform_(0.3, 2.0)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias, 0, 0.2)
