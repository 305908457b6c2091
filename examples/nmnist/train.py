"""Step 2: train 3C1FC at a fixed number of time steps, with batch norm and read by potential.

With size "real" there is no batch norm, and spikes vote.
"""

from __future__ import annotations

import torch
from frames import read_frames
from sizes import PIPELINE

from speckflex.networks.files import save_network
from speckflex.training import train_network
from speckflex.training.pipeline import bounded_neuron, new_network


def main() -> None:
    """Train and write base.pt."""
    step = PIPELINE.read_step(__doc__)
    torch.set_num_threads(1)
    network = new_network(
        "nmnist-3c1fc",
        seed=step.seed,
        neuron=bounded_neuron("multi-spike", step.size.lower_bound),
        voting="spikes" if step.size.on_board else "potential",
        width=step.size.width,
        batch_norm=not step.size.on_board,
    )
    settings = step.size.training(step.seed)
    trained = train_network(network, read_frames(step, settings.t_max), settings)
    save_network(trained.network, step.out / "base.pt")
    best = trained.best
    print(f"base.pt: {best.validation_accuracy:.1%} right at T = {step.size.t_max}")


if __name__ == "__main__":
    main()
