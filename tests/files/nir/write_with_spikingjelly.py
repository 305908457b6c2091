"""Write the small network with SpikingJelly's exporter, and its output for the small input.

python write_with_spikingjelly.py DT OUT.nir OUT.npz

DT is the time step that the file is made for; SpikingJelly's own default is 1e-4.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from small_network import THRESHOLD, frames, weights
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir
from torch import nn


def network() -> nn.Sequential:
    """Return the network, one time step a call."""
    values = {name: torch.from_numpy(array) for name, array in weights().items()}
    net = nn.Sequential(
        layer.Conv2d(2, 4, 3, padding=1, bias=False),
        neuron.IFNode(v_threshold=THRESHOLD, v_reset=0.0),
        layer.AvgPool2d(2),
        layer.Conv2d(4, 4, 3, bias=False),
        neuron.IFNode(v_threshold=THRESHOLD, v_reset=0.0),
        layer.Flatten(),
        layer.Linear(16, 5, bias=False),
        neuron.IFNode(v_threshold=THRESHOLD, v_reset=0.0),
    )
    for index, name in ((0, "conv1"), (3, "conv2"), (6, "linear")):
        net[index].weight.data = values[name]
    return net


def main() -> None:
    """Write both files."""
    dt, graph, played = float(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    steps = torch.from_numpy(frames())
    with torch.no_grad():
        export_to_nir(network(), steps[:1], save_path=graph, dt=dt)
        net = network()
        functional.reset_net(net)
        spikes = torch.cat([net(step[None]) for step in steps])
    np.savez_compressed(played, spikes=spikes.numpy().astype(np.uint8))
    print(
        f"{graph}: spikingjelly {version('spikingjelly')}, nir {version('nir')},"
        f" {graph.stat().st_size} bytes, {int(spikes.sum())} spikes"
    )


if __name__ == "__main__":
    main()
