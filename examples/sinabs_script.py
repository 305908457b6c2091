"""A script for a Speck devkit as sinabs' documentation writes them; speckflex isn't imported.

With a devkit attached and SynSense's samna installed:

    python examples/sinabs_script.py

With neither, the same file on a virtual devkit:

    python -m speckflex.virtual --device Speck2eDevKit examples/sinabs_script.py
"""

import numpy as np
import samna
import torch
from sinabs.backend.dynapcnn import DynapcnnNetwork
from sinabs.layers import IAFSqueeze
from torch import nn

SIZE = 16
DURATION = 100_000  # µs


def build_network() -> nn.Sequential:
    """Return a network that tells in which half of the sensor something moves."""
    conv = nn.Conv2d(2, 1, kernel_size=3, padding=1, bias=False)
    linear = nn.Linear((SIZE // 2) ** 2, 2, bias=False)
    with torch.no_grad():
        conv.weight.fill_(0.5)
        left = torch.zeros(SIZE // 2, SIZE // 2)
        left[:, : SIZE // 4] = 1.0
        linear.weight[0] = (left - 0.5).flatten()
        linear.weight[1] = (0.5 - left).flatten()
    return nn.Sequential(
        conv,
        IAFSqueeze(batch_size=1, min_v_mem=-1.0, spike_threshold=1.0),
        nn.AvgPool2d(2),
        nn.Flatten(),
        linear,
        IAFSqueeze(batch_size=1, min_v_mem=-1.0, spike_threshold=1.0),
    )


def make_events(half: int, core: int) -> list:
    """Return samna's spikes of something that flickers in one half, for one core."""
    rng = np.random.default_rng(half)
    events = []
    for time in np.sort(rng.integers(0, DURATION, 400)):
        spike = samna.speck2e.event.Spike()
        spike.layer = core
        spike.feature = int(rng.integers(0, 2))
        spike.x = int(rng.integers(0, SIZE // 2)) + half * SIZE // 2
        spike.y = int(rng.integers(0, SIZE))
        spike.timestamp = int(time)
        events.append(spike)
    return events


def main() -> None:
    """Deploy the network, send both halves, and print which class spikes."""
    network = DynapcnnNetwork(
        snn=build_network(), input_shape=(2, SIZE, SIZE), discretize=True, dvs_input=False
    )
    network.to(device="speck2edevkit:0", monitor_layers=[-1])
    core = network.layer2core_map[0]
    for half, name in enumerate(("left", "right")):
        network.reset_states()
        output = network(make_events(half, core))
        counts = np.bincount([event.feature for event in output], minlength=2)
        answer = ("left", "right")[counts.argmax()]
        print(f"{name}: {len(output)} output spikes, {counts.tolist()} per class -> {answer}")


if __name__ == "__main__":
    main()
