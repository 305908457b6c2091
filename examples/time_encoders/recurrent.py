"""Torch's RNN, of as many layers and units as a time encoder, trained in the same way."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np

    from speckflex.training import FrameSet, TrainingData, TrainingSettings


class Rnn(nn.Module):
    """An RNN whose outputs a linear layer reads, averaged over time."""

    def __init__(self, n_inputs: int, n_classes: int, sizes: dict[str, Any]) -> None:
        super().__init__()
        self.full_scale = sizes.get("full_scale", 1)
        self.rnn = nn.RNN(n_inputs, sizes["width"], sizes["layers"], batch_first=True)
        self.readout = nn.Linear(sizes["width"], n_classes)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Return (recording, class) scores of (recording, time, ...) counts."""
        return self.readout(self.rnn(frames.flatten(2).float() / self.full_scale)[0]).mean(1)


def train_rnn(
    data: TrainingData, unseen: FrameSet, settings: TrainingSettings, sizes: dict[str, Any]
) -> np.ndarray:
    """Return the answers, on unseen recordings, of the epoch with the best validation."""
    network = Rnn(data.training.frames[0, 0].numel(), data.n_classes, sizes)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    n_steps = settings.epochs * -(-len(data.training) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, n_steps)
    best, kept = -1.0, network.state_dict()
    for _ in range(settings.epochs):
        for batch in torch.randperm(len(data.training)).split(settings.batch_size):
            scores = network(data.training.frames[batch])
            optimiser.zero_grad()
            functional.cross_entropy(scores, data.training.labels[batch]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        answers = answers_of(network, data.validation)
        accuracy = float((answers == data.validation.labels).float().mean())
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(network.state_dict())
    network.load_state_dict(kept)
    return answers_of(network, unseen).numpy()


@torch.no_grad()
def answers_of(network: Rnn, recordings: FrameSet) -> torch.Tensor:
    """Return the class of each recording."""
    return torch.cat([network(part).argmax(1) for part in recordings.frames.split(64)])
