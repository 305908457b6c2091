"""Write a checkpoint of a network of SpikingJelly's neurons, and its spikes.

python write_with_spikingjelly.py spikingjelly.pth spikingjelly.npz
"""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from small_network import THRESHOLD, frames, weights
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn


class Net(nn.Module):
    """The network in one Sequential, as SpikingJelly's examples write it."""

    def __init__(self) -> None:
        super().__init__()

        def neurons() -> neuron.IFNode:
            return neuron.IFNode(v_threshold=THRESHOLD, v_reset=None)

        self.layer = nn.Sequential(
            layer.Conv2d(2, 4, 3, padding=1, bias=False),
            neurons(),
            layer.AvgPool2d(2),
            layer.Conv2d(4, 4, 3, bias=False),
            neurons(),
            layer.Flatten(),
            layer.Linear(16, 5, bias=False),
            neurons(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes of one step."""
        return self.layer(x)


def main() -> None:
    """Write both files."""
    net, values = Net(), weights()
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "linear")):
        net.layer[index].weight.data = torch.from_numpy(values[name])
    checkpoint = {
        "net": net.state_dict(),
        "optimizer": torch.optim.Adam(net.parameters()).state_dict(),
        "epoch": 3,
        "args": argparse.Namespace(T=4, lr=1e-3),
    }
    torch.save(checkpoint, sys.argv[1])
    functional.reset_net(net)
    with torch.no_grad():
        spikes = torch.cat([net(step[None]) for step in torch.from_numpy(frames())])
    np.savez_compressed(Path(sys.argv[2]), spikes=spikes.numpy().astype(np.uint8))
    print(f"spikingjelly {version('spikingjelly')}, {int(spikes.sum())} spikes")


if __name__ == "__main__":
    main()
