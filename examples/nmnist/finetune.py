"""Step 4: let spikes vote, and train without biases at time steps drawn for each stage (MTT)."""

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
    voting = add_voting_neuron(load_network(step.out / "folded.pt"))
    tuned = finetune_network(voting, read_frames(step), step.size.finetuning(step.seed))
    save_network(tuned.network, step.out / "tuned.pt")
    best = tuned.best
    print(f"tuned.pt: {best.validation_accuracy:.1%} right at T = {step.size.t_max}")


if __name__ == "__main__":
    main()
