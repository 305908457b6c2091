"""The file that a training continues from."""

from __future__ import annotations

import io
import json
from contextlib import contextmanager
from dataclasses import asdict, fields
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

import torch

from speckflex._support.files import write_whole
from speckflex._support.text import first_line, shown
from speckflex.errors import SpeckflexError, TrainingError
from speckflex.networks.copying import copy_network
from speckflex.networks.paper import own_granularity
from speckflex.networks.torch_file import read_torch_file
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
# What other contents than those of `save_run` raise when they are taken apart.
OTHER_CONTENTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    RuntimeError,
)


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
        run.optimiser.load_state_dict(_optimiser_state(run, state["optimiser"]))
        run.schedule.load_state_dict(_schedule_state(run, state["schedule"]))
        run.order_generator.bit_generator.state = json.loads(state["order_generator"])
        run.step_generator.set_state(state["step_generator"])
        torch.set_rng_state(state["torch_generator"])
        run.history = _history(state["history"])
        run.best = next((m for m in run.history if m.epoch == state["best_epoch"]), None)
        run.best_weights = state["best_network"]


@contextmanager
def _refusing_other_contents(path: Path) -> Iterator[None]:
    """Refuse a file whose contents are not what `save_run` writes."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        RuntimeError,
    ) as error:
        raise TrainingError(
            f"{path}: is not a complete checkpoint ({first_line(error)}): start the training again"
        ) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        state = read_torch_file(path).value
    except SpeckflexError as error:
        if isinstance(error.__cause__, OSError):
            raise TrainingError(str(error)) from error
        reason = str(error).removeprefix(f"{path}: ").rpartition(": ")[0]
        raise TrainingError(
            f"{path}: no checkpoint of a training, or cut short ({reason}): give the .checkpoint"
            " file of the training, or start it again"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TrainingError(
            f"{path}: no checkpoint that this speckflex can continue from:"
            " give the .checkpoint file of the training"
        )
    return state


def _check_network(network: nn.Module, state: dict[str, Any], path: Path) -> None:
    here = network.state_dict()
    sets = (
        [state["network"]]
        if state["best_network"] is None
        else [state["network"], state["best_network"]]
    )
    for there in sets:
        difference = _difference(here, there)
        if difference:
            raise TrainingError(
                f"{path}: is the checkpoint of another network ({difference}):"
                " resume with the network that it was made with"
            )


def _difference(here: dict[str, torch.Tensor], there: dict[str, Any]) -> str:
    """Return how the weights of a file differ in names, shapes and types from a network's."""
    for name in sorted({*here, *there}):
        if name not in here or name not in there:
            return f"only the {'file' if name in there else 'network'} has {shown(name)}"
        mine, other = here[name], there[name]
        if not isinstance(other, torch.Tensor):
            return f"{name} is a {type(other).__name__} in the file"
        for what in ("shape", "dtype"):
            values = [getattr(one, what) for one in (other, mine)]
            if values[0] != values[1]:
                words = [tuple(one) if what == "shape" else one for one in values]
                return f"{name} has {what} {words[0]} in the file and {words[1]} in the network"
    return ""


def _optimiser_state(run: TrainingRun, saved: dict[str, Any]) -> dict[str, Any]:
    """Return the state of an optimiser, all but its rate and what it remembers as it is now."""
    fresh = run.optimiser.state_dict()
    groups = []
    for group, other in zip(fresh["param_groups"], saved["param_groups"], strict=True):
        if group["params"] != other["params"]:
            raise ValueError("its optimiser has other weights")
        groups.append({**group, "lr": _number(other["lr"])})
    weights = [weight for group in run.optimiser.param_groups for weight in group["params"]]
    for index, remembered in saved["state"].items():
        shapes = {(), tuple(weights[index].shape)}
        for name, value in remembered.items():
            if value is not None and tuple(value.shape) not in shapes:
                raise ValueError(f"its optimiser has a {shown(name)} of shape {tuple(value.shape)}")
        if "step" in remembered and not 0 < float(remembered["step"]) < inf:
            raise ValueError("its optimiser has no number of steps")
    return {"state": saved["state"], "param_groups": groups}


def _schedule_state(run: TrainingRun, saved: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a schedule: how far it is; all else is as it is now."""
    rates = [_number(rate) for rate in saved["_last_lr"]]
    if len(rates) != len(run.optimiser.param_groups):
        raise ValueError(f"its schedule has {len(rates)} rates")
    counts = {name: saved[name] for name in ("last_epoch", "_step_count")}
    if not all(type(count) is int and count >= 0 for count in counts.values()):
        raise ValueError("its schedule has no number of steps")
    return {**run.schedule.state_dict(), **counts, "_last_lr": rates}


def _number(value: Any) -> float:
    if not isinstance(value, int | float) or not isfinite(value):
        raise TypeError(f"{value!r:.40} is no number")
    return value


def _history(saved: list[dict[str, Any]]) -> list[EpochMetrics]:
    """Return the epochs of a file, in their order."""
    history = [EpochMetrics(**metrics) for metrics in saved]
    if [metrics.epoch for metrics in history] != list(range(1, len(history) + 1)):
        raise ValueError("its epochs are not in a row")
    for metrics in history:
        for item in fields(metrics):
            value = getattr(metrics, item.name)
            if value is None and item.default is None:
                continue
            if not isinstance(value, int | float):
                raise TypeError(f"its epochs have a {item.name} of type {type(value).__name__}")
    return history


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
    # version 0.1.0 had no limit
    settings["clip_gradient"] = settings.get("clip_gradient") or 0.0
    return settings


def _plain(settings: TrainingSettings, network: nn.Module) -> dict[str, Any]:
    """Return the settings by name, with the defaults that depend on others spelled out."""
    granularity = settings.granularity or own_granularity(network)
    own = {
        "chosen_by": settings.chooser,
        "sampler": settings.drawing,
        "granularity": granularity,
        "synops_weight": settings.pricing,
    }
    return asdict(settings) | own
