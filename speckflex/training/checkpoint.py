"""The file that a training continues from."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from speckflex._support.files import write_whole
from speckflex._support.text import first_line
from speckflex.errors import TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.paper import own_granularity
from speckflex.training.metrics import EpochMetrics
from speckflex.training.mixed.stages import MixedTimestepNetwork, reset_states

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import nn

    from speckflex.training._run import TrainingRun
    from speckflex.training.settings import TrainingSettings

__all__ = ["check_checkpoint", "restore_run", "save_run"]

FORMAT = 1


def save_run(run: TrainingRun, path: Path) -> None:
    """Write everything that the next epoch depends on: weights, optimiser, schedule, generators.

    Raises:
        TrainingError: the file can't be written.
    """
    state = {
        "format": FORMAT,
        "settings": _plain(run.settings, run.mixed.network),
        "data": run.data.sha256,
        "network": run.mixed.state_dict(),
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
    """Check, before any recording is read, that a training can continue from a file.

    Only the recordings that it was trained on are left for `restore_run` to compare.

    Args:
        path: the file.
        network: the network to be trained; stays as it is.
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
        _check_settings(_plain(settings, network), state, path)


def restore_run(run: TrainingRun, path: Path) -> None:
    """Change a new run into the one that was saved.

    Raises:
        TrainingError: the file is missing or damaged, or belongs to another network, other data
            or other settings.
    """
    state = _read(path)
    with _refusing_other_contents(path):
        _check_network(run.mixed, state, path)
        if state["data"] != run.data.sha256:
            raise TrainingError(
                f"{path}: was trained on other recordings or another split:"
                " resume with the same data, seed and validation share"
            )
        _check_settings(_plain(run.settings, run.mixed.network), state, path)
        run.mixed.load_state_dict(state["network"])
        run.optimiser.load_state_dict(state["optimiser"])
        run.schedule.load_state_dict(state["schedule"])
        run.order_generator.bit_generator.state = json.loads(state["order_generator"])
        run.step_generator.set_state(state["step_generator"])
        torch.set_rng_state(state["torch_generator"])
        run.history = [EpochMetrics(**metrics) for metrics in state["history"]]
        run.best = next((m for m in run.history if m.epoch == state["best_epoch"]), None)
        run.best_weights = state["best_network"]


@contextmanager
def _refusing_other_contents(path: Path) -> Iterator[None]:
    """Refuse a file whose contents are not what `save_run` writes."""
    try:
        yield
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{path}: is not a complete checkpoint ({first_line(error)}): start the training again"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError(
            f"{path}: can't be read ({error.strerror or error}): check the path"
        ) from error
    try:
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damage raises many kinds of errors in torch's reader
        raise TrainingError(
            f"{path}: no checkpoint of a training, or cut short ({first_line(error)[:80]}):"
            " start the training again"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrainingError(
            f"{path}: no checkpoint that this speckflex can continue from:"
            " give the .checkpoint file of the training"
        )
    return state


def _check_network(network: nn.Module, state: dict[str, Any], path: Path) -> None:
    here, there = network.state_dict(), state["network"]
    for name in sorted({*here, *there}):
        if name not in here or name not in there:
            difference = f"only the {'file' if name in there else 'network'} has {name}"
        elif here[name].shape != there[name].shape:
            shapes = tuple(there[name].shape), tuple(here[name].shape)
            difference = f"{name} has shape {shapes[0]} in the file and {shapes[1]} in the network"
        else:
            continue
        raise TrainingError(
            f"{path}: is the checkpoint of another network ({difference}):"
            " resume with the network that it was made with"
        )


def _check_settings(now: dict[str, Any], state: dict[str, Any], path: Path) -> None:
    for name, value in _renamed(state["settings"]).items():
        if now.get(name) != value:
            before, after = ("none" if one in (None, "") else one for one in (value, now.get(name)))
            raise TrainingError(
                f"{path}: was made with {name.replace('_', ' ')} {before}, now it is {after}:"
                " resume with the same settings"
            )


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a file under today's names."""
    settings = dict(settings)
    pixels = settings.pop("shift", None)  # the only augmentation before 0.2.0
    if pixels is not None:
        settings["augment"] = f"shift:{pixels}" if pixels else ""
    return settings


def _plain(settings: TrainingSettings, network: nn.Module) -> dict[str, Any]:
    """Return the settings by name, with the defaults that depend on others spelled out."""
    granularity = settings.granularity or own_granularity(network)
    return {**asdict(settings), "chosen_by": settings.chooser, "granularity": granularity}
