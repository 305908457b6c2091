"""The state of a training: all that changes from step to step, in one place."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.paper import own_granularity
from speckflex.training._batches import FrameBatch, draw_order, iterate_batches, n_batches
from speckflex.training._calibration import lock_batch_norm
from speckflex.training._law import check_law, law_neurons
from speckflex.training._quantise_aware import eight_bit_weights
from speckflex.training._twin_validation import program_of
from speckflex.training.augmentation import Augmentation
from speckflex.training.metrics import Progress
from speckflex.training.mixed.boundaries import parse_boundaries
from speckflex.training.mixed.stages import MixedTimestepNetwork, reset_states, split_stages
from speckflex.training.mtsnn.levels import freezes_bits, parameter_groups
from speckflex.training.on_board.board_loop import BoardLoop, open_loop
from speckflex.training.suitability import check_time_stepped, check_trainable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from lightning_fabric import Fabric
    from torch import nn

    from speckflex.training.data import TrainingData
    from speckflex.training.metrics import EpochMetrics
    from speckflex.training.settings import TrainingSettings

__all__ = ["TrainingRun", "start_run"]

OPTIMISERS = {"adamw": torch.optim.AdamW, "sgd": partial(torch.optim.SGD, momentum=0.9)}


@dataclass(eq=False)
class TrainingRun:
    """The state of a training.

    Args:
        fabric: devices and processes.
        settings: the choices of the training.
        data: recordings that train and that choose.
        mixed: the network in stages.
        model: the same network as Fabric wrapped it: its forward passes train.
        optimiser: as Fabric wrapped it.
        schedule: one step per optimiser step.
        order_generator: draws order and changes, in the same way in every process.
        step_generator: draws time steps, in the same way in every process.
        board: what plays the forward pass with method "board"; None with the other methods.
        history: the epochs that are done.
        best: the epoch to keep: the best of them, or the last.
        best_weights: the network's state after it, on the CPU.
    """

    fabric: Fabric
    settings: TrainingSettings
    data: TrainingData
    mixed: MixedTimestepNetwork
    model: Callable[..., torch.Tensor]
    optimiser: Any
    schedule: torch.optim.lr_scheduler.LRScheduler
    order_generator: np.random.Generator
    step_generator: torch.Generator
    board: BoardLoop | None = None
    history: list[EpochMetrics] = field(default_factory=list)
    best: EpochMetrics | None = None
    best_weights: dict[str, torch.Tensor] | None = None

    def close(self) -> None:
        """Close the board, if there is one."""
        if self.board is not None:
            self.board.close()

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or validation has not improved for too long."""
        done = len(self.history)
        patience = self.settings.patience
        waited = 0 if self.best is None else done - self.best.epoch
        return done >= self.settings.epochs or (patience is not None and waited >= patience)

    @property
    def has_one_step(self) -> bool:
        """Whether the batches of an epoch share one optimiser step, as a recorded session needs."""
        return self.board is not None and self.board.is_recorded

    @property
    def prices_synops(self) -> bool:
        """Whether synaptic operations add to the loss."""
        if self.settings.pricing == "relative":
            # a recorded session is a last step towards its answers, and shall change nothing else
            return not self.has_one_step
        return self.settings.pricing != 0.0

    @property
    def batches_per_epoch(self) -> int:
        """Number of batches in an epoch."""
        recordings, processes = len(self.data.training), self.fabric.world_size
        return n_batches(recordings, self.settings.batch_size, processes)

    def draw_batches(self) -> Callable[[], Iterator[FrameBatch]]:
        """Return a function that iterates over an epoch's batches, each time in the same order."""
        recordings, settings = self.data.training, self.settings
        return partial(
            iterate_batches,
            recordings,
            draw_order(len(recordings), Augmentation.parse(settings.augment), self.order_generator),
            settings.batch_size,
            rank=self.fabric.global_rank,
            n_processes=self.fabric.world_size,
        )

    @property
    def at_t_max(self) -> tuple[int, ...]:
        """The temporal configuration that validates: every stage at T_max."""
        return (self.settings.t_max,) * self.mixed.n_stages

    def train_mode(self) -> None:
        """Put the network in training mode, batch norms as the settings say."""
        self.mixed.train()
        if self.settings.batch_norm_mode == "locked":
            lock_batch_norm(self.mixed)

    def deployed_weights(self) -> AbstractContextManager[None]:
        """Run the network on the chip's 8-bit weights meanwhile, if the settings say so."""
        return eight_bit_weights(self.mixed) if self.settings.eight_bit else nullcontext()

    def neurons(self) -> AbstractContextManager[None]:
        """Let the neurons follow the law of method "law" meanwhile, if it is that one."""
        return law_neurons(self.mixed) if self.settings.method == "law" else nullcontext()

    def progress(self, batch_index: int, loss: float, accuracy: float) -> Progress:
        """Return where the training stands after a batch of the current epoch."""
        n_epochs = len(self.history)
        per_epoch = self.batches_per_epoch
        return Progress(
            epoch=n_epochs + 1,
            step=n_epochs * per_epoch + batch_index + 1,
            n_steps=self.settings.epochs * per_epoch,
            loss=loss,
            accuracy=accuracy,
            validation_accuracy=self.history[-1].chosen_by if n_epochs else None,
        )

    def record(self, metrics: EpochMetrics) -> None:
        """Add an epoch to the history, and keep its network if none was better."""
        reset_states(self.mixed)
        self.history.append(metrics)
        # bit widths that still learn are not those of the network that comes out
        settled = self.best is not None and (
            freezes_bits(self.settings, metrics.epoch - 1)
            and not freezes_bits(self.settings, self.best.epoch - 1)
        )
        if self.settings.keep == "last" or settled or metrics.is_better_than(self.best):
            self.best = metrics
            weights = self.mixed.state_dict()
            self.best_weights = {name: value.cpu().clone() for name, value in weights.items()}


def start_run(
    network: nn.Module, data: TrainingData, settings: TrainingSettings, fabric: Fabric
) -> TrainingRun:
    """Return a training of a copy of `network`, before its first epoch.

    Raises:
        NetworkError: the network is no chain of layers, has no neuron, or does not fit frames and
            classes.
        TrainingError: it has no weight to train, or the twin shall choose the epoch and the
            network does not convert.
    """
    check_trainable(network, data.shape, data.n_classes)
    data.training.check_events()
    check_time_stepped(network, settings)
    network = copy_network(network)
    stages = split_stages(network, granularity=settings.granularity or own_granularity(network))
    mixed = MixedTimestepNetwork(
        network,
        stages,
        upsampling=settings.upsampling,
        input_frames=settings.input_frames,
        boundaries=parse_boundaries(settings.boundaries),
    )
    reset_states(mixed)
    if settings.chooser == "twin":
        # A network that does not convert is refused before the first epoch.
        program_of(network, data.validation)
    if settings.method == "law":
        check_law(network)
    if settings.batch_norm_mode == "locked":
        lock_batch_norm(mixed)
    groups = parameter_groups(mixed, settings)
    if not groups:
        raise TrainingError(
            f"{type(network).__name__} has no weight to train: give a network with weights that"
            " require a gradient"
        )
    optimiser = OPTIMISERS[settings.optimiser](
        groups, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    model, wrapped = fabric.setup(mixed, optimiser)
    n_steps = (settings.cosine_epochs or settings.epochs) * n_batches(
        len(data.training), settings.batch_size, fabric.world_size
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimiser, T_max=n_steps, eta_min=settings.final_learning_rate
    )
    return TrainingRun(
        fabric=fabric,
        settings=settings,
        data=data,
        mixed=mixed,
        model=model,
        optimiser=wrapped,
        schedule=schedule,
        order_generator=np.random.default_rng(settings.seed),
        step_generator=torch.Generator().manual_seed(settings.seed),
        board=open_loop(network, data, settings) if settings.method == "board" else None,
    )
