"""Write the state dict of a network of norse's neurons, and its spikes.

python write_with_norse.py norse.pth norse.npz
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from norse.torch import IAFCell, SequentialState
from norse.torch.functional.iaf import IAFParameters
from small_network import THRESHOLD, frames, weights
from torch import nn


def network() -> SequentialState:
    """Return the network, one time step a call; its neurons return to zero."""

    def neurons() -> IAFCell:
        return IAFCell(IAFParameters(v_th=torch.tensor(THRESHOLD)))

    return SequentialState(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        neurons(),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, bias=False),
        neurons(),
        nn.Flatten(),
        nn.Linear(16, 5, bias=False),
        neurons(),
    )


def main() -> None:
    """Write both files."""
    net, values, state, outputs = network(), weights(), None, []
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "linear")):
        net[index].weight.data = torch.from_numpy(values[name])
    torch.save(net.state_dict(), sys.argv[1])
    with torch.no_grad():
        for step in torch.from_numpy(frames()):
            output, state = net(step[None], state)
            outputs.append(output)
    spikes = torch.cat(outputs)
    np.savez_compressed(Path(sys.argv[2]), spikes=spikes.numpy().astype(np.uint8))
    print(f"norse {version('norse')}, torch {version('torch')}, {int(spikes.sum())} spikes")


if __name__ == "__main__":
    main()
