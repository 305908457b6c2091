"""A training under way: all that changes from step to step, in one place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.training.batches import n_batches
from speckflex.training.calibration import lock_batch_norm
from speckflex.training.mixed.samplers import SAMPLERS
from speckflex.training.mixed.stages import MixedTimestepNetwork, reset_states, split_stages
from speckflex.training.steps import StepPlan
from speckflex.training.suitability import check_trainable
from speckflex.training.twin_validation import program_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning.fabric import Fabric
    from torch import nn

    from speckflex.training.data import TrainingData
    from speckflex.training.metrics import EpochMetrics
    from speckflex.training.settings import TrainingSettings

__all__ = ["TrainingRun", "start_run"]


@dataclass(eq=False)
class TrainingRun:
    """A training under way.

    Args:
        fabric: devices and processes.
        settings: the choices of the training.
        data: what trains and what chooses.
        network: the network in stages, as it is.
        model: the same network as Fabric wrapped it: its forward passes train.
        optimiser: as Fabric wrapped it.
        schedule: one step per optimiser step.
        order_generator: draws order and shifts, in the same way in every process.
        step_generator: draws time steps, in the same way in every process.
        history: the epochs done.
        best: the epoch to keep: the best of them, or the last.
        best_weights: the network's state after it, on the CPU.
    """

    fabric: Fabric
    settings: TrainingSettings
    data: TrainingData
    network: MixedTimestepNetwork
    model: Callable[..., torch.Tensor]
    optimiser: Any
    schedule: torch.optim.lr_scheduler.LRScheduler
    order_generator: np.random.Generator
    step_generator: torch.Generator
    history: list[EpochMetrics] = field(default_factory=list)
    best: EpochMetrics | None = None
    best_weights: dict[str, torch.Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps of an epoch."""
        return n_batches(len(self.data.training), self.settings.batch_size, self.fabric.world_size)

    @property
    def is_done(self) -> bool:
        """Whether all epochs are done, or validation has not improved for too long."""
        done = len(self.history)
        patience = self.settings.patience
        waited = 0 if self.best is None else done - self.best.epoch
        return done >= self.settings.epochs or (patience is not None and waited >= patience)

    def plan(self) -> StepPlan:
        """Return how the passes of a step draw their time steps."""
        settings, n_stages = self.settings, self.network.n_stages
        same = SAMPLERS["same"](n_stages, settings.t_max)
        mixed = SAMPLERS[settings.sampler](n_stages, settings.t_max)
        return StepPlan(
            n_stages=n_stages,
            t_max=settings.t_max,
            samples=settings.samples_per_step,
            draw_uniform=lambda: same(self.step_generator),
            draw_mixed=lambda: mixed(self.step_generator),
        )

    def train_mode(self) -> None:
        """Put the network in training mode, batch norms as the settings say."""
        self.network.train()
        if self.settings.batch_norm_mode == "locked":
            lock_batch_norm(self.network)

    def record(self, metrics: EpochMetrics) -> None:
        """Take an epoch into the history, and its network if none was better."""
        reset_states(self.network)
        self.history.append(metrics)
        if self.settings.keep == "last" or metrics.is_better_than(self.best):
            self.best = metrics
            weights = self.network.state_dict()
            self.best_weights = {name: value.cpu().clone() for name, value in weights.items()}


def start_run(
    network: nn.Module, data: TrainingData, settings: TrainingSettings, fabric: Fabric
) -> TrainingRun:
    """Return a training of a copy of `network` that has done nothing yet.

    Raises:
        NetworkError: the network is no chain of layers, has no neuron, or does not fit frames and
            classes.
        TrainingError: it has no weight to train, or is to be chosen by the twin and does not
            convert.
    """
    check_trainable(network, data.shape, data.n_classes)
    network = copy_network(network)
    stages = split_stages(network, granularity=settings.granularity)
    mixed = MixedTimestepNetwork(network, stages, upsampling=_upsampling(settings))
    reset_states(mixed)
    if settings.chosen_by == "twin":
        # what does not convert shows before the first epoch
        program_of(mixed.network, data.validation)
    if settings.batch_norm_mode == "locked":
        lock_batch_norm(mixed)
    optimiser = _OPTIMISERS[settings.optimiser](_trainable(mixed), settings)
    model, wrapped = fabric.setup(mixed, optimiser)
    steps = n_batches(len(data.training), settings.batch_size, fabric.world_size)
    return TrainingRun(
        fabric=fabric,
        settings=settings,
        data=data,
        network=mixed,
        model=model,
        optimiser=wrapped,
        schedule=torch.optim.lr_scheduler.CosineAnnealingLR(
            optimiser, T_max=settings.epochs * steps
        ),
        order_generator=np.random.default_rng(settings.seed),
        step_generator=torch.Generator().manual_seed(settings.seed),
    )


def _upsampling(settings: TrainingSettings) -> Any:
    return settings.upsampling


def _trainable(network: nn.Module) -> list[nn.Parameter]:
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    if not parameters:
        raise TrainingError(
            f"{type(network).__name__} has no weight to train: all are frozen or there is none"
        )
    return parameters


def _adamw(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
    )


def _sgd(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.SGD(
        parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, momentum=0.9
    )


_OPTIMISERS = {"adamw": _adamw, "sgd": _sgd}
