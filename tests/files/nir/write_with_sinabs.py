"""Write the small network with sinabs' exporter, and its output for the small input.

python write_with_sinabs.py OUT.nir OUT.npz
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np
import sinabs.layers as sl
import torch
from sinabs.nir import to_nir
from small_network import THRESHOLD, frames, weights
from torch import nn


def neurons() -> sl.IAFSqueeze:
    """Return neurons that subtract the threshold, with sinabs' usual lower bound."""
    return sl.IAFSqueeze(
        batch_size=1,
        spike_threshold=torch.tensor(THRESHOLD),
        min_v_mem=torch.tensor(-THRESHOLD),
    )


def network() -> nn.Sequential:
    """Return the network, all time steps in one call."""
    values = {name: torch.from_numpy(array) for name, array in weights().items()}
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        neurons(),
        sl.SumPool2d(2),
        nn.Conv2d(4, 4, 3, bias=False),
        neurons(),
        nn.Flatten(),
        nn.Linear(16, 5, bias=False),
        neurons(),
    )
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "linear")):
        net[index].weight.data = values[name]
    return net


def main() -> None:
    """Write both files."""
    graph, played = Path(sys.argv[1]), Path(sys.argv[2])
    steps = torch.from_numpy(frames())
    with torch.no_grad():
        nodes = to_nir(network(), steps[:1])
        # without this, nir can't write the unknown input shapes of the convolutions
        nodes._forward_type_inference()
        nir.write(graph, nodes)
        spikes = network()(steps)
    np.savez_compressed(played, spikes=spikes.numpy().astype(np.uint8))
    print(
        f"{graph}: sinabs {version('sinabs')}, nir {version('nir')},"
        f" {graph.stat().st_size} bytes, {int(spikes.sum())} spikes"
    )


if __name__ == "__main__":
    main()
