"""Write the state dict of a network of snnTorch's neurons, and its spikes.

python write_with_snntorch.py snntorch.pth snntorch.npz
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import snntorch as snn
import torch
from small_network import THRESHOLD, frames, weights
from torch import nn


class Net(nn.Module):
    """The network, as snnTorch's tutorials write it: one step a call, the states outside."""

    def __init__(self) -> None:
        super().__init__()

        def neurons() -> snn.Leaky:
            return snn.Leaky(beta=1.0, threshold=THRESHOLD, reset_mechanism="subtract")

        self.conv1, self.lif1 = nn.Conv2d(2, 4, 3, padding=1, bias=False), neurons()
        self.conv2, self.lif2 = nn.Conv2d(4, 4, 3, bias=False), neurons()
        self.fc, self.lif3 = nn.Linear(16, 5, bias=False), neurons()
        self.states = [layer.init_leaky() for layer in (self.lif1, self.lif2, self.lif3)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the spikes of one step."""
        x, self.states[0] = self.lif1(self.conv1(x), self.states[0])
        x = nn.functional.avg_pool2d(x, 2)
        x, self.states[1] = self.lif2(self.conv2(x), self.states[1])
        x, self.states[2] = self.lif3(self.fc(x.flatten(1)), self.states[2])
        return x


def main() -> None:
    """Write both files."""
    net, values = Net(), weights()
    for layer, name in ((net.conv1, "conv1"), (net.conv2, "conv2"), (net.fc, "linear")):
        layer.weight.data = torch.from_numpy(values[name])
    torch.save(net.state_dict(), sys.argv[1])
    with torch.no_grad():
        spikes = torch.cat([net(step[None]) for step in torch.from_numpy(frames())])
    np.savez_compressed(Path(sys.argv[2]), spikes=spikes.numpy().astype(np.uint8))
    print(f"snntorch {version('snntorch')}, torch {version('torch')}, {int(spikes.sum())} spikes")


if __name__ == "__main__":
    main()
