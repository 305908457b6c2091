"""The network of `relu_network.py` in torch."""

from __future__ import annotations

import torch
from relu_network import EPSILON, weights
from torch import nn


def make() -> nn.Sequential:
    """Return the network with its weights."""
    values = {name: torch.from_numpy(array) for name, array in weights().items()}
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3),
        nn.BatchNorm2d(4, eps=EPSILON),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    for index, weight, bias in (
        (0, "conv1", "bias1"),
        (3, "conv2", "bias2"),
        (7, "linear", "bias3"),
    ):
        net[index].weight.data, net[index].bias.data = values[weight], values[bias]
    net[4].weight.data, net[4].bias.data = values["gain"], values["shift"]
    net[4].running_mean.data, net[4].running_var.data = values["mean"], values["variance"]
    return net.eval()
