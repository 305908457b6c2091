"""Step 4: let spikes vote, and train without biases at time steps drawn for each stage (MTT).

With size "real" the twin plays the forward pass instead.
"""

from __future__ import annotations

import torch
from frames import read_frames
from sizes import PIPELINE

from speckflex.networks.files import load_network, save_network
from speckflex.training import finetune_network
from speckflex.training.pipeline import add_voting_neuron


def main() -> None:
    """Read folded.pt, write tuned.pt."""
    step = PIPELINE.read_step(__doc__)
    torch.set_num_threads(1)
    network = load_network(step.out / "folded.pt")
    if not step.size.on_board:
        network = add_voting_neuron(network)
    settings = step.size.finetuning(step.seed)
    tuned = finetune_network(network, read_frames(step, settings.t_max), settings)
    save_network(tuned.network, step.out / "tuned.pt")
    best = tuned.best
    where = f"at T = {step.size.t_max}" if best.board_accuracy is None else "on the twin"
    print(f"tuned.pt: {best.chosen_by:.1%} right {where}")


if __name__ == "__main__":
    main()
