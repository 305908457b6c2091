"""Play a NIR graph that speckflex wrote in SpikingJelly, and keep its spikes.

python play_in_spikingjelly.py IN.nir OUT.npz

The graph is read by the nir package, and counts in time steps (dt = 1).
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np
import torch
from small_network import frames
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.nir_exchange import import_from_nir


def main() -> None:
    """Write the spikes."""
    graph, played = Path(sys.argv[1]), Path(sys.argv[2])
    network = import_from_nir(nir.read(graph), dt=1)
    functional.reset_net(network)
    state, outputs = {}, []
    with torch.no_grad():
        for step in torch.from_numpy(frames()):
            result = network(step[None], state) if state else network(step[None])
            output, state = result if isinstance(result, tuple) else (result, {})
            outputs.append(output)
    spikes = torch.cat(outputs)
    np.savez_compressed(played, spikes=spikes.numpy().astype(np.uint8))
    print(
        f"{graph}: spikingjelly {version('spikingjelly')}, nir {version('nir')},"
        f" {int(spikes.sum())} spikes"
    )


if __name__ == "__main__":
    main()
