"""Write a checkpoint of a Lightning module that holds the network, with what users keep beside it.

python write_with_lightning.py lightning.ckpt
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
from importlib.metadata import version
from pathlib import Path

import lightning
import numpy as np
import torch
from relu_network import inputs
from torch import nn
from torch_network import make


class Choices(argparse.Namespace):
    """A class of the user's own."""


class Learner(lightning.LightningModule):
    """The network with a loss that has a weight of its own."""

    def __init__(self, choices: Choices, folder: Path) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.model = torch.nn.ModuleDict({"net": make()})
        self.loss = nn.CrossEntropyLoss(weight=torch.ones(5))

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        """Return a loss of 0, so that no weight changes."""
        return 0 * self.loss(self.model["net"](batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return an optimiser with a state."""
        return torch.optim.Adam(self.model.parameters(), lr=0.0)

    def on_save_checkpoint(self, checkpoint: dict[str, object]) -> None:
        """Add what users add."""
        checkpoint["made"] = dt.datetime.now(dt.timezone.utc)
        checkpoint["confusion"] = np.eye(5)


def main() -> None:
    """Write the file."""
    learner = Learner(Choices(rate=0.1), Path("runs"))
    trainer = lightning.Trainer(
        max_epochs=0, logger=False, enable_checkpointing=False, accelerator="cpu"
    )
    data = torch.utils.data.TensorDataset(torch.from_numpy(inputs()), torch.zeros(4).long())
    trainer.fit(learner, torch.utils.data.DataLoader(data))
    trainer.save_checkpoint(sys.argv[1])
    print(f"lightning {version('lightning')}, torch {version('torch')}")


if __name__ == "__main__":
    main()
