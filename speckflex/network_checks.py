"""Checks of a torch network: whole, honest, and of layers that Speck has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sinabs.layers as sl
import torch
from torch import nn

from speckflex.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WEIGHT_LAYERS", "check_intact", "check_layers", "name_of"]

WEIGHT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Linear)
REGISTRIES = ("_parameters", "_buffers", "_modules")

# The most telling reason first: a LIFRecurrent is a LIF.
UNSUITABLE = (
    (
        (nn.RNNBase, nn.RNNCellBase, sl.LIFRecurrent, sl.ALIFRecurrent),
        "is recurrent: Speck's cores pass spikes forward only, use a feed-forward network",
    ),
    # sinabs derives its IAF, which is let through, from its LIF.
    (
        (sl.LIF, sl.ALIF, sl.ExpLeak),
        "leaks with a time constant, which Speck's neurons do not: train with sinabs' IAFSqueeze",
    ),
)


def name_of(name: str) -> str:
    """Return a module's name as messages show it; the network itself has an empty one."""
    return name or "the network itself"


def check_intact(network: nn.Module, source: str) -> None:
    """Check that an unpickled network is complete and does what its classes say, no more.

    An unpickled module takes any attribute from its file: one that hides a method, or a hook,
    would be called in place of the layer.

    Args:
        network: as unpickled.
        source: what messages begin with, such as the file's path.

    Raises:
        NetworkError: a module is incomplete, holds a hook, or an attribute hides a method.
    """
    for name, module in _walk(network, "", source, set()):
        layer = f"{source}: module {name_of(name)} ({type(module).__name__})"
        for key, value in vars(module).items():
            if key.endswith("_hooks") and value:
                raise NetworkError(
                    f"{layer} carries {key}, which would run beside the layer: remove its hooks"
                    " and save it again"
                )
            if callable(getattr(type(module), key, None)):
                raise NetworkError(
                    f"{layer} hides its own method {key}: save the layer without that attribute"
                )


def _walk(
    module: nn.Module, name: str, source: str, seen: set[int]
) -> Iterator[tuple[str, nn.Module]]:
    """Yield every module once; torch's own walk would trip over incomplete ones."""
    if id(module) in seen:
        return
    seen.add(id(module))
    kinds = (torch.Tensor, torch.Tensor, nn.Module)
    for registry, kind in zip(REGISTRIES, kinds, strict=True):
        content = vars(module).get(registry)
        if not isinstance(content, dict) or not all(
            isinstance(key, str) and (value is None or isinstance(value, kind))
            for key, value in content.items()
        ):
            raise NetworkError(
                f"{source}: module {name_of(name)} ({type(module).__name__}) is incomplete, its"
                f" {registry} are missing or wrong: save the module again"
            )
    yield name, module
    for child_name, child in vars(module)["_modules"].items():
        if child is not None:
            yield from _walk(child, f"{name}.{child_name}".lstrip("."), source, seen)


def check_layers(network: nn.Module, source: str) -> None:
    """Check that a network computes with weights, and with no neuron that Speck lacks.

    Raises:
        NetworkError: a recurrent or leaking layer, weights that are not finite, or no weights.
    """
    for name, module in network.named_modules():
        layer = f"{source}: layer {name_of(name)} ({type(module).__name__})"
        for classes, reason in UNSUITABLE:
            if isinstance(module, classes) and not isinstance(module, sl.IAF):
                raise NetworkError(f"{layer} {reason}")
        if isinstance(module, sl.IAF) and module.tau_syn is not None:
            raise NetworkError(
                f"{layer} has a synaptic time constant tau_syn: Speck's synapses have none,"
                " train with tau_syn=None"
            )
        if isinstance(module, WEIGHT_LAYERS):
            _check_finite(module, layer)
    if not any(isinstance(module, WEIGHT_LAYERS) for module in network.modules()):
        raise NetworkError(
            f"{source}: {type(network).__name__} has no convolution and no linear layer:"
            " Speck needs at least one"
        )


def _check_finite(module: nn.Module, layer: str) -> None:
    for key, parameter in module.named_parameters(recurse=False):
        n_bad = int((~torch.isfinite(parameter)).sum())
        if n_bad:
            raise NetworkError(
                f"{layer} has {n_bad} values in its {key} that are not finite: train it again"
            )
