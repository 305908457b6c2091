"""The network of this example, and the recordings that neither trained it nor chose its epoch.

3C1FC of the paper with deep lower bounds and clipped weights, as row `best_sdt` of examples/nmnist:
trained by SDT at T = 10 on simulated and on 350 real recordings, fine-tuned at T = 40 on the real
ones. 50 real ones choose the epoch of the base; 600 are left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

import speckflex as sf
from speckflex.data import EventDataset, open_dataset
from speckflex.networks.files import load_network, save_network
from speckflex.training import (
    FrameSet,
    TrainingData,
    TrainingSettings,
    cache_frames,
    finetune_network,
    train_network,
)
from speckflex.training.pipeline import add_voting_neuron, bounded_neuron, new_network

if TYPE_CHECKING:
    from pathlib import Path

SEED = 1000
SHARES = (0.35, 0.05)  # that train, and that choose the epoch
BOUND = -8.0  # thresholds
T_BASE, T_TUNED = 10, 40


@dataclass(frozen=True, eq=False)
class Parts:
    """Real recordings, split by class."""

    training: EventDataset
    validation: EventDataset
    unseen: EventDataset


def read_parts(folder: Path) -> Parts:
    """Return the split recordings of N-MNIST's layout."""
    dataset = open_dataset(folder, split="train")
    rng = np.random.default_rng(SEED)
    parts: tuple[list[int], ...] = ([], [], [])
    for label in np.unique(dataset.labels):
        places = rng.permutation(np.flatnonzero(dataset.labels == label))
        ends = np.round(np.cumsum(SHARES) * len(places)).astype(int)
        for part, chosen in zip(parts, np.split(places, ends), strict=True):
            part.extend(chosen.tolist())
    return Parts(*(dataset.subset(part) for part in parts))


def trained_network(
    parts: Parts, synthetic: Path, work: Path, *, epochs: int, tuning_epochs: int
) -> torch.nn.Module:
    """Return the network, from `work` if it is there.

    Args:
        parts: the real recordings.
        synthetic: folder of `examples/nmnist/make_synthetic.py`.
        work: folder of trained networks.
        epochs: of the base.
        tuning_epochs: of the fine-tuning.
    """
    path = work / f"network-{epochs}-{tuning_epochs}.pt"
    if path.exists():
        return load_network(path)
    work.mkdir(parents=True, exist_ok=True)
    settings = TrainingSettings(
        t_max=T_BASE, epochs=epochs, augment="shift:2", clip_weights=True, seed=SEED
    )
    real = cache_frames(parts.training, T_BASE)
    simulated = cache_frames(open_dataset(synthetic, split="train"), T_BASE)
    joined = (real, real, simulated)
    base_data = FrameSet(
        torch.cat([part.frames for part in joined]), torch.cat([part.labels for part in joined])
    )
    validation = cache_frames(parts.validation, T_BASE)
    start = new_network(
        "nmnist-3c1fc",
        seed=SEED,
        neuron=bounded_neuron("multi-spike", BOUND),
        voting="potential",
        width=16,
        batch_norm=False,
    )
    base = train_network(start, TrainingData(base_data, validation), settings)
    tuned = finetune_network(
        add_voting_neuron(sf.fold_batchnorm(base.network)),
        TrainingData(
            cache_frames(parts.training, T_TUNED), cache_frames(parts.validation, T_TUNED)
        ),
        replace(settings, t_max=T_TUNED, epochs=tuning_epochs, learning_rate=1e-3, keep="last"),
    )
    save_network(tuned.network, path)
    return tuned.network
