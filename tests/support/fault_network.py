"""The small network of the faults, and a factory of it for `speckflex train`."""

import sinabs.layers as sl
import torch
from torch import nn


def make():
    """Return a convolution and a dense layer for 2 x 34 x 34 events and two classes."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 2, 4, stride=4, bias=False),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
        nn.Flatten(),
        nn.Linear(2 * 8 * 8, 2, bias=False),
        sl.IAFSqueeze(batch_size=1, min_v_mem=-1.0),
    )
    with torch.no_grad():
        for weights in network.parameters():
            if weights.dim() > 1:
                weights.mul_(3)
    return network
