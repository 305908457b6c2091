"""The network that weights of the fuzzer belong to."""

import sinabs.layers as sl
import torch
from torch import nn


def two_layers():
    """Return a convolution and a dense layer with their neurons."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 3, 3, bias=False),
        sl.IAFSqueeze(batch_size=1),
        nn.Flatten(),
        nn.Linear(3 * 6 * 6, 4, bias=False),
        sl.IAFSqueeze(batch_size=1),
    )
