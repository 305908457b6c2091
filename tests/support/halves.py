"""Recordings of two classes that are easily told apart, and a small network for them."""

from collections import OrderedDict

import numpy as np
import torch
from sinabs.layers import IAFSqueeze
from torch import nn

from speckflex.data import EventDataset
from speckflex.events.streams import make_events


def halves(n, seed, channels=1):
    """Recordings of 60 events in the upper half for class 0, in the lower half for class 1."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    streams = tuple(
        make_events(
            1_000 + np.sort(rng.integers(0, 10_000, 60)),
            rng.integers(0, 6, 60),
            3 * label + rng.integers(0, 3, 60),
            rng.integers(0, channels, 60),
        )
        for label in labels
    )
    shape = (channels, 6, 6)
    items = tuple(range(n))
    return EventDataset("halves", shape, ("0", "1"), labels, True, items, streams.__getitem__)


def network(*, spiking_output=True, gain=2.0, seed=0):
    """A network for recordings of shape (1, 6, 6) and two classes."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        layers = OrderedDict(
            conv1=nn.Conv2d(1, 4, 3, padding=1, bias=False),
            spike1=IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0)),
            pool1=nn.AvgPool2d(2),
            flatten=nn.Flatten(),
            linear2=nn.Linear(36, 2, bias=False),
        )
        if spiking_output:
            layers["spike2"] = IAFSqueeze(batch_size=1, min_v_mem=torch.tensor(-1.0))
    with torch.no_grad():
        layers["conv1"].weight *= gain
        layers["linear2"].weight *= gain
    return nn.Sequential(layers)
