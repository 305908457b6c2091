"""State dicts put into a network: under its names, with settings told apart from weights."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sinabs.activation as sa
import sinabs.layers as sl
import torch

from speckflex.errors import NetworkError
from speckflex.networks._keys import renamed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

__all__ = ["load_state"]

log = logging.getLogger(__name__)

SETTINGS = ("spike_threshold", "min_v_mem")
REMEDY = "name the factory that the file was made with, or rename the file's keys"
# Counts of a batch norm that nothing computes with; files of torch before 0.4.1 lack them.
NOT_NEEDED = ("num_batches_tracked",)
NOT_LEAKING = 1e-6
RESETS = {0: "subtract", 1: "zero", 2: "none"}  # snnTorch's numbers of its reset mechanisms


def load_state(network: nn.Module, state: Mapping[str, torch.Tensor], source: str) -> None:
    """Copy a state dict into `network`, states of neurons left out.

    Thresholds and lower bounds of neurons are settings: those that the file lacks stay as the
    factory made them, and those that it has are taken. Both are logged.

    Raises:
        NetworkError: a key is missing, unexpected, has another shape than the network's, or a
            setting that the network's neurons don't have.
    """
    neurons = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, sl.StatefulLayer)
    }
    volatile = {
        _joined(name, key)
        for name, module in neurons.items()
        for key, _ in module.named_buffers(recurse=False)
    }
    own = network.state_dict()
    settings = {_joined(name, key) for name in neurons for key in SETTINGS} & own.keys()
    needed = {key: own[key] for key in own.keys() - volatile - settings}
    given = renamed(state, [key for key in own if key in needed], source)
    given = {key: value for key, value in given.items() if key not in volatile}
    changes = _settings(_Neurons(source, neurons, own), given)
    weights = {key: given[key] for key in given.keys() - changes.taken}
    faults = _faults(weights, {key: own[key] for key in own if key in needed})
    if faults:
        more = f" ({len(faults) - 1} more keys differ)" if len(faults) > 1 else ""
        raise NetworkError(f"{source}: {faults[0]}{more}: {REMEDY}")
    network.load_state_dict(weights, strict=False)
    for key, value in changes.values.items():
        network.get_parameter(key).data = value
    for line in changes.lines:
        log.warning("%s: %s", source, line)


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}".lstrip(".")


@dataclass(frozen=True)
class _Neurons:
    """The network's neurons, and its state before loading."""

    source: str
    layers: Mapping[str, sl.StatefulLayer]
    own: Mapping[str, torch.Tensor]


@dataclass
class _Changes:
    """What a file says of the neurons' settings.

    Args:
        values: new ones by key of the network.
        taken: keys of the file that are settings.
        lines: what to tell the user.
    """

    values: dict[str, torch.Tensor]
    taken: set[str]
    lines: list[str]


def _settings(neurons: _Neurons, given: Mapping[str, torch.Tensor]) -> _Changes:
    """Return the settings in a state dict, of sinabs' neurons or snnTorch's in their place."""
    changes = _Changes({}, set(), [])
    kept: list[str] = []
    for name, layer in neurons.layers.items():
        foreign = _joined(name, "reset_mechanism_val") in given
        if foreign:
            _check_snntorch(neurons, name, layer, given)
            changes.taken |= {key for key in given if key.startswith(f"{name}.")}
        for setting in SETTINGS:
            key = _joined(name, setting)
            key_of_file = _joined(name, "threshold") if foreign and setting == SETTINGS[0] else key
            if key_of_file in given:
                _check_setting(neurons, key, key_of_file, given[key_of_file])
                changes.taken.add(key_of_file)
                changes.values[key] = given[key_of_file].to(torch.float32).clone()
                if not _equal(given[key_of_file], neurons.own[key]):
                    changes.lines.append(
                        f"{key_of_file} is {_shown(given[key_of_file])} in the file and"
                        f" {_shown(neurons.own[key])} in the factory: the file's is taken"
                    )
            elif key in neurons.own:
                kept.append(f"{key} = {_shown(neurons.own[key])}")
    if kept:
        more = f" and {len(kept) - 2} more" if len(kept) > 2 else ""
        changes.lines.append(
            "holds weights and not all settings of the neurons: the factory's"
            f" {', '.join(kept[:2])}{more} stay"
        )
    return changes


def _check_setting(neurons: _Neurons, key: str, key_of_file: str, value: torch.Tensor) -> None:
    if key not in neurons.own:
        setting = key.rpartition(".")[2]
        raise NetworkError(
            f"{neurons.source}: {key_of_file} is {_shown(value)}, and the factory's neurons have no"
            f" {setting}: make them with {setting}={_shown(value)}"
        )
    if not value.is_floating_point() or bool(torch.isnan(value).any()):
        raise NetworkError(
            f"{neurons.source}: {key_of_file} is {value.dtype}, {_shown(value)}, and no floating"
            " number: save it as float32"
        )


def _check_snntorch(
    neurons: _Neurons, name: str, layer: sl.StatefulLayer, given: Mapping[str, torch.Tensor]
) -> None:
    """Check that snnTorch's neurons do what sinabs' neurons in their place do."""
    where = f"{neurons.source}: neurons {name}"
    for key in ("beta", "alpha", "graded_spikes_factor"):
        value = given.get(_joined(name, key))
        if value is not None and bool(((value.float() - 1).abs() > NOT_LEAKING).any()):
            raise NetworkError(
                f"{where} have snnTorch's {key} = {_shown(value)}, and Speck's neurons"
                f" {'send plain spikes' if key.startswith('g') else 'do not leak'}: train them with"
                f" {key}=1"
            )
    number = int(given[_joined(name, "reset_mechanism_val")].reshape(-1)[0])
    reset: Any = getattr(layer, "reset_fn", None)
    mine = "zero" if isinstance(reset, sa.MembraneReset) else "subtract"
    if RESETS.get(number) != mine:
        remedy = {
            "zero": "make them with reset_fn=sinabs.activation.MembraneReset()",
            "subtract": "make them with reset_fn=sinabs.activation.MembraneSubtract()",
        }.get(RESETS.get(number, ""), "train them with reset_mechanism='subtract'")
        raise NetworkError(
            f"{where} have snnTorch's reset mechanism {RESETS.get(number, number)!r}, the"
            f" factory's have {mine!r}: {remedy}"
        )


def _equal(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.numel() == other.numel() and torch.equal(
        one.to(torch.float32).reshape(-1), other.to(torch.float32).reshape(-1)
    )


def _shown(value: torch.Tensor) -> str:
    if value.numel() == 1:
        return f"{float(value):g}"
    return f"{tuple(value.shape)} from {float(value.min()):g} to {float(value.max()):g}"


def _faults(given: Mapping[str, torch.Tensor], needed: Mapping[str, torch.Tensor]) -> list[str]:
    shapes = [
        f"{key} has shape {tuple(given[key].shape)}, the network needs {tuple(value.shape)}"
        for key, value in needed.items()
        if key in given and given[key].shape != value.shape
    ]
    types = [
        f"{key} is {given[key].dtype}, the network needs floating numbers"
        for key, value in needed.items()
        if key in given and value.is_floating_point() and not given[key].is_floating_point()
    ]
    missing = [
        f"{key} of shape {tuple(value.shape)} is missing"
        for key, value in needed.items()
        if key not in given and not key.endswith(NOT_NEEDED)
    ]
    unexpected = [
        f"{key} of shape {tuple(value.shape)} is unknown to the network"
        for key, value in given.items()
        if key not in needed and not key.endswith(NOT_NEEDED)
    ]
    return shapes + types + missing + unexpected
