"""Write the small network with snnTorch's exporter, and its output for the small input.

python write_with_snntorch.py BETA OUT.nir OUT.npz

snnTorch exports no integrate-and-fire neuron of its own: a Leaky one that keeps all of its
potential (beta = 1) is one, and is written with an infinite time constant.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np
import snntorch as snn
import torch
from small_network import THRESHOLD, frames, weights
from snntorch.export_nir import export_to_nir
from torch import nn


def neurons(beta: float, *shape: int, output: bool = False) -> snn.Leaky:
    """Return neurons that return to zero in the step in which they fire."""
    return snn.Leaky(
        # one value a neuron: the exporter takes a node's shape from them
        beta=torch.full(shape, beta),
        threshold=torch.full(shape, THRESHOLD),
        reset_mechanism="zero",
        reset_delay=False,
        init_hidden=True,
        output=output,
    )


def network(beta: float) -> nn.Sequential:
    """Return the network, one time step a call."""
    values = {name: torch.from_numpy(array) for name, array in weights().items()}
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1, bias=False),
        neurons(beta, 4, 8, 8),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 3, bias=False),
        neurons(beta, 4, 2, 2),
        nn.Flatten(),
        nn.Linear(16, 5, bias=False),
        neurons(beta, 5, output=True),
    )
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "linear")):
        net[index].weight.data = values[name]
    return net


def main() -> None:
    """Write both files."""
    beta, graph, played = float(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    steps = torch.from_numpy(frames())
    with torch.no_grad():
        nir.write(graph, export_to_nir(network(beta), steps[:1], ignore_dims=[0]))
        net = network(beta)
        spikes = torch.cat([net(step[None])[0] for step in steps])
    np.savez_compressed(played, spikes=spikes.numpy().astype(np.uint8))
    print(
        f"{graph}: snntorch {version('snntorch')}, nir {version('nir')},"
        f" {graph.stat().st_size} bytes, {int(spikes.sum())} spikes"
    )


if __name__ == "__main__":
    main()
