"""The file that a training continues from, written whole or not at all."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from speckflex._support.files import write_whole
from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.training.metrics import EpochMetrics
from speckflex.training.mixed.stages import MixedTimestepNetwork, reset_states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from speckflex.training.data import TrainingData
    from speckflex.training.run import TrainingRun
    from speckflex.training.settings import TrainingSettings

__all__ = ["check_checkpoint", "restore_run", "save_run"]

FORMAT = 1


def save_run(run: TrainingRun, path: Path) -> None:
    """Write all that the next epoch depends on: weights, optimiser, schedule, generators.

    Raises:
        TrainingError: the file can't be written.
    """
    state = {
        "format": FORMAT,
        "settings": asdict(run.settings),
        "data": run.data.sha256,
        "network": run.network.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "schedule": run.schedule.state_dict(),
        # The generator's integers have 128 bits, more than torch's files keep.
        "order_generator": json.dumps(run.order_generator.bit_generator.state),
        "step_generator": run.step_generator.get_state(),
        "torch_generator": torch.get_rng_state(),
        "history": [asdict(metrics) for metrics in run.history],
        "best_epoch": None if run.best is None else run.best.epoch,
        "best_network": run.best_weights,
    }
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getvalue(), TrainingError)


def check_checkpoint(path: Path, network: nn.Module, settings: TrainingSettings) -> None:
    """Check, before any recording is read, that a training can go on from a file.

    Only what it was trained on is left for `restore_run` to compare.

    Args:
        path: the file.
        network: what is to be trained; stays as it is.
        settings: of the training.

    Raises:
        TrainingError: the file is missing or damaged, or belongs to another network or other
            settings.
        NetworkError: the network can't be trained.
    """
    state = _read(path)
    mixed = MixedTimestepNetwork(copy_network(network))
    reset_states(mixed)
    with _refusing_other_contents(path):
        _check_network(mixed, state, path)
        _check_settings(settings, state, path)


def restore_run(run: TrainingRun, path: Path) -> None:
    """Change a fresh run into the one that was saved.

    Raises:
        TrainingError: the file is missing or damaged, or belongs to another network, other data
            or other settings.
    """
    state = _read(path)
    with _refusing_other_contents(path):
        _check_network(run.network, state, path)
        _check_data(run.data, state, path)
        _check_settings(run.settings, state, path)
        _load(run, state)


@contextmanager
def _refusing_other_contents(path: Path) -> Iterator[None]:
    """Refuse a file whose contents are not what `save_run` writes."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path}: its contents make no checkpoint ({str(error).splitlines()[0]}):"
            " start the training anew"
        ) from error


def _load(run: TrainingRun, state: dict[str, Any]) -> None:
    run.network.load_state_dict(state["network"])
    run.optimiser.load_state_dict(state["optimiser"])
    run.schedule.load_state_dict(state["schedule"])
    run.order_generator.bit_generator.state = json.loads(state["order_generator"])
    run.step_generator.set_state(state["step_generator"])
    torch.set_rng_state(state["torch_generator"])
    run.history = [EpochMetrics(**metrics) for metrics in state["history"]]
    run.best = next((m for m in run.history if m.epoch == state["best_epoch"]), None)
    run.best_weights = state["best_network"]


def _read(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch reports damage by whatever its reader stumbles over
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TrainingError(
            f"{path}: no checkpoint of a training, or cut short ({reason[:80]}):"
            " start the training anew"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrainingError(
            f"{path}: no checkpoint that this speckflex can continue from:"
            " give the .checkpoint file of the training"
        )
    return state


def _check_network(network: nn.Module, state: dict[str, Any], path: Path) -> None:
    difference = _first_difference(network.state_dict(), state["network"])
    if difference is not None:
        raise TrainingError(
            f"{path}: is the checkpoint of another network ({difference}):"
            " resume with the network it was made with"
        )


def _check_data(data: TrainingData, state: dict[str, Any], path: Path) -> None:
    if state["data"] != data.sha256:
        raise TrainingError(
            f"{path}: was trained on other recordings or another split:"
            " resume with the same data, seed and validation share"
        )


def _check_settings(settings: TrainingSettings, state: dict[str, Any], path: Path) -> None:
    now = asdict(settings)
    for name, value in state["settings"].items():
        if now.get(name) != value:
            raise TrainingError(
                f"{path}: was made with {name.replace('_', ' ')} {value}, now it is"
                f" {now.get(name)}: resume with the same settings"
            )


def _first_difference(here: dict[str, torch.Tensor], there: dict[str, torch.Tensor]) -> str | None:
    for name in sorted({*here, *there}):
        if name not in here or name not in there:
            return f"{name} is in {'the file' if name in there else 'the network'} alone"
        if here[name].shape != there[name].shape:
            return f"{name} has shape {tuple(there[name].shape)}, not {tuple(here[name].shape)}"
    return None
