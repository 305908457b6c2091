"""Write the small network with norse's exporter, and its output for the small input.

python write_with_norse.py OUT.nir OUT.npz

norse 1.1.0 exports no pooling and no flattening, so that this network is the small one without
them: its second convolution has a stride, and its linear layer is a convolution over the map.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np
import torch
from norse.torch import IAFCell, SequentialState
from norse.torch.functional.iaf import IAFParameters
from norse.torch.utils.export_nir import to_nir
from small_network import THRESHOLD, frames, weights
from torch import nn


def neurons(*shape: int) -> IAFCell:
    """Return neurons that return to zero when they fire."""
    # one value a neuron: the exporter takes a node's shape from them
    return IAFCell(IAFParameters(v_th=torch.full(shape, THRESHOLD)))


def network() -> SequentialState:
    """Return the network, one time step a call."""
    values = {name: torch.from_numpy(array) for name, array in weights().items()}
    net = SequentialState(
        nn.Conv2d(2, 4, 3, padding=1),
        neurons(4, 8, 8),
        nn.Conv2d(4, 4, 3, stride=2),
        neurons(4, 3, 3),
        nn.Conv2d(4, 5, 3),
        neurons(5, 1, 1),
    )
    for index, name in ((0, "conv1"), (2, "conv2")):
        net[index].weight.data = values[name]
    net[4].weight.data = values["conv2"][:, :, :, :].repeat(2, 1, 1, 1)[:5].clone()
    for index in (0, 2, 4):
        net[index].bias.data.zero_()
    return net


def main() -> None:
    """Write both files."""
    graph, played = Path(sys.argv[1]), Path(sys.argv[2])
    steps = torch.from_numpy(frames())
    with torch.no_grad():
        # the exporter takes the whole shape of the sample for that of the input
        nodes = to_nir(network(), steps[0])
        # without this, nir can't write the unknown input shapes of the convolutions
        nodes.infer_types()
        nir.write(graph, nodes)
        net, state, outputs = network(), None, []
        for step in steps:
            output, state = net(step[None], state)
            outputs.append(output)
        spikes = torch.cat(outputs)
    np.savez_compressed(played, spikes=spikes.numpy().astype(np.uint8))
    print(
        f"{graph}: norse {version('norse')}, nir {version('nir')},"
        f" {graph.stat().st_size} bytes, {int(spikes.sum())} spikes"
    )


if __name__ == "__main__":
    main()
