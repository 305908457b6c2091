"""The one training loop, for SDT, NMT and MTT alike."""

from __future__ import annotations

import math
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from speckflex.errors import TrainingError, TrainingInterruptedError
from speckflex.networks.neurons import fused_neurons
from speckflex.training.batches import Batch, draw_order, iterate_batches
from speckflex.training.calibration import batch_norms, recalibrate_batch_norm
from speckflex.training.checkpoint import restore_run, save_run
from speckflex.training.devices import open_fabric
from speckflex.training.evaluation import evaluate, mean_output
from speckflex.training.metrics import EpochMetrics, Progress, write_metrics
from speckflex.training.mixed.stages import reset_states
from speckflex.training.non_finite import first_non_finite_layer
from speckflex.training.quantise_aware import clip_weights, eight_bit_weights
from speckflex.training.run import TrainingRun, start_run
from speckflex.training.steps import STEPS, Outcome, Pass, Timesteps
from speckflex.training.synops import counted_synops
from speckflex.training.twin_validation import twin_accuracy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from lightning.fabric import Fabric
    from torch import nn

    from speckflex.training.data import TrainingData
    from speckflex.training.settings import TrainingSettings

__all__ = ["TrainingFiles", "TrainingResult", "fit"]


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training keeps what it does, and where it goes on from.

    Args:
        checkpoint: written after each epoch; None for no checkpoint.
        metrics: JSON lines, one per epoch; None for no file.
        resume: a checkpoint to continue from.
    """

    checkpoint: Path | None = None
    metrics: Path | None = None
    resume: Path | None = None


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """A trained network.

    Args:
        network: of the epoch that was kept, at rest, on the CPU.
        best: what that epoch measured; the best one unless the settings keep the last.
        history: every epoch.
        interrupted: whether training was stopped from outside.
    """

    network: nn.Module
    best: EpochMetrics
    history: tuple[EpochMetrics, ...]
    interrupted: bool = False


def fit(
    network: nn.Module,
    data: TrainingData,
    settings: TrainingSettings,
    *,
    files: TrainingFiles | None = None,
    fabric: Fabric | None = None,
    watch: Callable[[Progress], None] | None = None,
) -> TrainingResult:
    """Train a copy of `network` and return the one of the best validation.

    Neurons are at rest at the start of each recording. Global random numbers are left as they
    were. The same call gives the same network, also when it is killed and resumed in between.

    Args:
        network: a chain of layers on squeezed frames, with at least one sinabs neuron.
        data: recordings that train and that choose.
        settings: the choices of the training.
        files: checkpoint, metrics and what to resume; none are written without.
        fabric: devices and processes; one CPU process without.
        watch: called after each step.

    Raises:
        TrainingError: the loss is no number, or a file can't be used.
        TrainingInterruptedError: training was interrupted before the first epoch was done.
        NetworkError: the network is no chain of layers, or has no neuron.
    """
    files = files or TrainingFiles()
    fabric = fabric or open_fabric()
    with torch.random.fork_rng(devices=[]), ExitStack() as stack:
        torch.manual_seed(settings.seed + fabric.global_rank)
        run = start_run(network, data, settings, fabric)
        stack.enter_context(fused_neurons(run.network))
        if files.resume is not None:
            restore_run(run, files.resume)
        interrupted = False
        try:
            while not run.is_done:
                run.record(_train_epoch(run, watch))
                _keep(run, files)
        except KeyboardInterrupt:
            interrupted = True
    return _finish(run, interrupted=interrupted)


def _keep(run: TrainingRun, files: TrainingFiles) -> None:
    """Write checkpoint and metrics, in one process of all."""
    if run.fabric.is_global_zero:
        if files.checkpoint is not None:
            save_run(run, files.checkpoint)
        if files.metrics is not None:
            write_metrics(files.metrics, run.history)
    run.fabric.barrier()


def _finish(run: TrainingRun, *, interrupted: bool) -> TrainingResult:
    if run.best is None or run.best_weights is None:
        raise TrainingInterruptedError(
            f"interrupted in epoch 1 of {run.settings.epochs}, before there was a network to"
            " keep: start the training anew"
        )
    run.network.cpu().eval()
    reset_states(run.network)
    run.network.load_state_dict(run.best_weights)
    return TrainingResult(run.network.network, run.best, tuple(run.history), interrupted)


def _train_epoch(run: TrainingRun, watch: Callable[[Progress], None] | None) -> EpochMetrics:
    started = time.monotonic()
    batches = _Batches(run)
    step, plan = STEPS[run.settings.method], run.plan()
    loss = correct = seen = 0.0
    rate = 0.0
    run.train_mode()
    for index, batch in enumerate(batches):
        rate = float(run.schedule.get_last_lr()[0])
        outcome = _optimise(run, batch, lambda batch: step(_pass(run, batch), plan), index)
        loss, correct = loss + outcome.loss, correct + outcome.correct
        seen += batch.total
        if watch is not None:
            watch(_progress(run, index, loss / seen, correct / seen))
    _recalibrate(run, batches)
    validation = _validate(run)
    on_twin = None
    if run.settings.chosen_by == "twin":
        on_twin = twin_accuracy(run.network.network, run.data.validation)
    return EpochMetrics(
        epoch=len(run.history) + 1,
        loss=loss / seen,
        accuracy=correct / seen,
        validation_loss=validation.loss,
        validation_accuracy=validation.correct,
        learning_rate=rate,
        seconds=round(time.monotonic() - started, 3),
        twin_accuracy=on_twin,
    )


class _Batches:
    """This process's part of an epoch's batches, the same at each iteration."""

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        n_recordings = len(run.data.training)
        self.order = draw_order(n_recordings, run.settings.shift, run.order_generator)

    def __iter__(self) -> Iterator[Batch]:
        run = self.run
        yield from iterate_batches(
            run.data.training,
            self.order,
            run.settings.batch_size,
            rank=run.fabric.global_rank,
            n_processes=run.fabric.world_size,
        )


def _optimise(
    run: TrainingRun, batch: Batch, gather: Callable[[Batch], Outcome], index: int
) -> Outcome:
    """Make one optimiser step and return the loss and hits of the whole batch.

    Raises:
        TrainingError: the loss is no number.
    """
    run.optimiser.zero_grad()
    with _as_deployed(run):
        outcome = _sum_over_processes(run, gather(batch))
    if not math.isfinite(outcome.loss):
        raise TrainingError(_non_finite_message(run, batch, index))
    run.optimiser.step()
    run.schedule.step()
    if run.settings.clip_weights:
        clip_weights(run.network)
    return outcome


def _pass(run: TrainingRun, batch: Batch) -> Pass:
    """Return what runs the batch at given time steps and adds its gradient."""
    frames = batch.frames.to(run.fabric.device)
    labels = batch.labels.to(run.fabric.device)
    weights = batch.weights.to(run.fabric.device)
    # Processes' gradients are averaged, so each counts its part of the whole batch.
    share = run.fabric.world_size / batch.total

    def run_pass(timesteps: Timesteps, is_last: bool) -> Outcome:  # noqa: FBT001
        with _synced(run, is_last=is_last), _counted(run) as synops:
            scores = mean_output(run.model(frames, timesteps)) * _output_factor(run, timesteps)
            losses = functional.cross_entropy(scores, labels, reduction="none") * weights
            penalty = sum(synops) * float(weights.any()) * run.settings.synops_weight / 1e6
            run.fabric.backward((losses.sum() + penalty) * share)
        reset_states(run.network)
        hits = (scores.argmax(dim=1) == labels) * weights
        return Outcome(float(losses.detach().sum()), float(hits.sum()))

    return run_pass


def _output_factor(run: TrainingRun, timesteps: Timesteps) -> float:
    settings = run.settings
    return timesteps[-1] / settings.t_max if settings.output == "total" else 1.0


def _synced(run: TrainingRun, *, is_last: bool) -> AbstractContextManager[object]:
    """Exchange gradients between processes in a step's last pass alone."""
    return run.fabric.no_backward_sync(run.model, enabled=not is_last)  # pyright: ignore[reportArgumentType]


def _counted(run: TrainingRun) -> AbstractContextManager[list[torch.Tensor]]:
    if not run.settings.synops_weight:
        return nullcontext([])
    return counted_synops(run.network)


def _as_deployed(run: TrainingRun) -> AbstractContextManager[None]:
    return eight_bit_weights(run.network) if run.settings.eight_bit else nullcontext()


def _sum_over_processes(run: TrainingRun, outcome: Outcome) -> Outcome:
    if run.fabric.world_size == 1:
        return outcome
    local = torch.tensor(outcome, dtype=torch.float64, device=run.fabric.device)
    return Outcome(*torch.as_tensor(run.fabric.all_reduce(local, reduce_op="sum")).tolist())


def _recalibrate(run: TrainingRun, batches: _Batches) -> None:
    """Mend the running statistics that drawn time steps have spoilt."""
    settings = run.settings
    norms = batch_norms(run.network)
    if not norms or settings.batch_norm_mode == "locked":
        return
    if settings.method != "sdt":
        frames = (batch.frames.to(run.fabric.device) for batch in batches)
        recalibrate_batch_norm(run.network, frames)
    if run.fabric.world_size > 1:
        for norm in norms:
            for statistic in (norm.running_mean, norm.running_var):
                if statistic is not None:
                    statistic.copy_(torch.as_tensor(run.fabric.all_reduce(statistic)))


def _validate(run: TrainingRun) -> Outcome:
    """Return the mean loss and the accuracy on the validation part."""
    with _as_deployed(run):
        result = evaluate(run.network, run.data.validation, device=run.fabric.device)
    return Outcome(result.loss, result.accuracy)


def _progress(run: TrainingRun, index: int, loss: float, accuracy: float) -> Progress:
    done, per_epoch = len(run.history), run.steps_per_epoch
    return Progress(
        epoch=done + 1,
        step=done * per_epoch + index + 1,
        n_steps=run.settings.epochs * per_epoch,
        loss=loss,
        accuracy=accuracy,
        validation_accuracy=run.history[-1].chosen_by if done else None,
    )


def _non_finite_message(run: TrainingRun, batch: Batch, index: int) -> str:
    frames = batch.frames.to(run.fabric.device)
    layer = first_non_finite_layer(run.network, frames)
    where = "no layer at T_max" if layer is None else f"layer {layer.removeprefix('network.')}"
    return (
        f"the loss is no number in epoch {len(run.history) + 1}, batch {index + 1}; the first"
        f" output that is none: {where}: lower the learning rate, or check the weights"
    )
