"""One epoch of a training: the optimiser's steps, batch norm statistics, validation."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from speckflex.errors import TrainingError
from speckflex.training._calibration import batch_norms, recalibrate_batch_norm
from speckflex.training._evaluation import evaluate, mean_output
from speckflex.training._loss import add_gradient
from speckflex.training._non_finite import first_non_finite_layer
from speckflex.training._quantise_aware import clip_weights
from speckflex.training._steps import Outcome, Timesteps, draw_timesteps, run_passes
from speckflex.training._synops import counted_synops, synops_loss
from speckflex.training._twin_validation import twin_accuracy
from speckflex.training.metrics import EpochMetrics, Progress
from speckflex.training.mixed.stages import reset_states
from speckflex.training.mtsnn.levels import (
    budget_loss,
    excess_counts,
    freeze_bits,
    freezes_bits,
    keep_levels,
    last_step,
)
from speckflex.training.on_board.board_step import SCORE_OF_SPIKE, board_step
from speckflex.training.shares import add_up, largest, own_share

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from speckflex.training._batches import FrameBatch
    from speckflex.training._run import TrainingRun
    from speckflex.training.on_board.board_loop import BoardLoop

__all__ = ["train_epoch"]


def train_epoch(run: TrainingRun, watch: Callable[[Progress], None] | None) -> EpochMetrics:
    """Change the network of a run by one epoch of training and return what was measured.

    Args:
        run: the training; the caller adds the result to its history.
        watch: called after each step.

    Raises:
        TrainingError: the loss is no number.
    """
    started = time.monotonic()
    batches = run.draw_batches()
    loss = correct = seen = rate = 0.0
    run.train_mode()
    if freezes_bits(run.settings, len(run.history)):
        freeze_bits(run.mixed, run.settings)
    for index, batch in enumerate(batches()):
        rate = float(run.schedule.get_last_lr()[0])
        outcome = _make_step(run, batch.to(run.fabric.device), index)
        loss, correct = loss + outcome.loss, correct + outcome.correct
        seen += batch.total
        if watch is not None:
            watch(run.progress(index, loss / seen, correct / seen))
    if run.settings.batch_norm_mode != "locked":
        _update_statistics(run, batches())
    with run.deployed_weights(), run.neurons():
        validation = evaluate(
            run.mixed,
            run.data.validation,
            run.at_t_max,
            device=run.fabric.device,
            fabric=run.fabric,
        )
    on_twin = on_board = None
    if run.settings.chooser == "twin":
        on_twin = twin_accuracy(run.mixed.network, run.data.validation, fabric=run.fabric)
    elif run.board is not None and run.settings.chooser == "board":
        on_board = _board_accuracy(run, run.board)
    load, most = None, run.settings.max_load
    if run.board is not None and most is not None:
        load = _board_load(run, run.board)
    return EpochMetrics(
        epoch=len(run.history) + 1,
        loss=loss / seen,
        accuracy=correct / seen,
        validation_loss=validation.loss,
        validation_accuracy=validation.accuracy,
        learning_rate=rate,
        seconds=round(time.monotonic() - started, 3),
        twin_accuracy=on_twin,
        board_accuracy=on_board,
        peak_load=load,
        keeps_up=None if load is None or most is None else load <= most,
    )


def _board_accuracy(run: TrainingRun, board: BoardLoop) -> float:
    """Return the share of the validation part that is right, each process playing its part."""
    recordings, network = run.data.validation, run.mixed.network
    own = np.array(own_share(len(recordings), run.fabric), np.int64)
    hits = len(own) and round(board.accuracy(network, recordings.select(own)) * len(own))
    return int(add_up(torch.tensor(hits), run.fabric)) / len(recordings)


def _board_load(run: TrainingRun, board: BoardLoop) -> float:
    """Return the largest load in the validation part, each process playing its part."""
    recordings, network = run.data.validation, run.mixed.network
    own = np.array(own_share(len(recordings), run.fabric), np.int64)
    return largest(board.peak_load(network, recordings.select(own)), run.fabric)


def _make_step(run: TrainingRun, batch: FrameBatch, index: int) -> Outcome:
    """Add a batch's gradient, step when it is due, and return loss and hits in all processes."""
    settings, fabric = run.settings, run.fabric
    if index == 0 or not run.has_one_step:
        run.optimiser.zero_grad()
    if settings.method == "board":
        outcome = board_step(run, batch, index)
    else:
        timesteps = draw_timesteps(settings, run.mixed.n_stages, run.step_generator)
        with run.deployed_weights():
            outcome = run_passes(partial(_run_pass, run, batch), timesteps)
    if fabric.world_size > 1:
        local = torch.tensor(outcome, dtype=torch.float64, device=fabric.device)
        total = torch.as_tensor(fabric.all_reduce(local, reduce_op="sum"))
        outcome = Outcome(*total.tolist())
    if not math.isfinite(outcome.loss):
        layer = first_non_finite_layer(run.mixed, batch.frames)
        where = "at T_max all layers are finite"
        if layer is not None:
            where = f"NaN or infinity first appears in layer {layer.removeprefix('network.')}"
        raise TrainingError(
            f"the loss is no number in epoch {len(run.history) + 1}, batch {index + 1};"
            f" {where}: lower the learning rate, or check the weights"
        )
    if run.has_one_step and index + 1 < run.batches_per_epoch:
        return outcome
    if settings.clip_gradient:
        model: Any = run.model
        fabric.clip_gradients(
            model, run.optimiser, max_norm=settings.clip_gradient, error_if_nonfinite=False
        )
    run.optimiser.step()
    run.schedule.step()
    keep_levels(run.mixed)
    if settings.clip_weights:
        clip_weights(run.mixed)
    return outcome


def _run_pass(
    run: TrainingRun,
    batch: FrameBatch,
    timesteps: Timesteps,
    is_last: bool,  # noqa: FBT001
) -> Outcome:
    """Run a batch at given time steps and add its gradient."""
    settings, fabric = run.settings, run.fabric
    scale = timesteps[-1] / settings.t_max if settings.output == "total" else 1.0
    if settings.method == "law":
        scale = timesteps[-1] * SCORE_OF_SPIKE
    if settings.method == "mtsnn":
        # counts where the last layer counts, else the sum that its potential reaches
        step = last_step(run.mixed)
        scale = timesteps[-1] * (1.0 if step is None else SCORE_OF_SPIKE / step)
    # Processes exchange gradients in the last pass of a step only.
    exchange = fabric.no_backward_sync(run.model, enabled=not is_last)  # pyright: ignore[reportArgumentType]
    counting = counted_synops(run.mixed) if run.prices_synops else nullcontext([])
    with exchange, run.neurons(), counting as synops, excess_counts(run.mixed) as excess:
        scores = mean_output(run.model(batch.frames, timesteps)) * scale
        penalty = synops_loss(synops, settings.synops_weight, len(batch.labels))
        penalty += (sum(excess) + budget_loss(run.mixed, settings)) * len(batch.labels)
        outcome = add_gradient(run, batch, scores, penalty)
    reset_states(run.mixed)
    return outcome


def _update_statistics(run: TrainingRun, batches: Iterable[FrameBatch]) -> None:
    """Recalibrate batch norms after drawn time steps, and average them over the processes."""
    norms, n_batches = batch_norms(run.mixed), run.settings.calibration_batches
    if norms and n_batches and run.settings.method != "sdt":
        frames = (batch.frames.to(run.fabric.device) for batch in islice(batches, n_batches))
        recalibrate_batch_norm(run.mixed, frames, partial(run.mixed, timesteps=run.at_t_max))
    if run.fabric.world_size > 1:
        for norm in norms:
            for statistic in (norm.running_mean, norm.running_var):
                if statistic is not None:
                    statistic.copy_(torch.as_tensor(run.fabric.all_reduce(statistic)))
