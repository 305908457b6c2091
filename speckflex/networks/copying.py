"""Copies of networks, and neurons that forget their last run."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import sinabs.layers as sl
import torch

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks.layer_kinds import kind_of, name_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["copy_network", "forget_states", "missing_values"]


def copy_network(network: nn.Module) -> nn.Module:
    """Return a copy that shares nothing, each module in the mode it was in.

    sinabs' neurons forget their mode when they are copied.

    Raises:
        NetworkError: it has no values, or keeps what can't be copied.
    """
    problem = missing_values(network)
    if problem:
        raise NetworkError(problem)
    try:
        copied = copy.deepcopy(network)
    except Exception as error:
        # sinabs' recurrent layers can't be copied.
        for name, module in network.named_modules():
            if kind_of(module).lacking:
                raise NetworkError(
                    f"layer {name_of(name)} ({type(module).__name__}) {kind_of(module).lacking}"
                ) from error
        raise NetworkError(
            f"network {type(network).__name__} can't be copied ({first_line(error)}):"
            " detach what it keeps from its last run"
        ) from error
    for name, module in network.named_modules():
        copied.get_submodule(name).training = module.training
    return copied


def missing_values(network: nn.Module) -> str:
    """Return a sentence that says why a network has no values; "" where it has them.

    On torch's meta device a network has shapes alone.
    """
    for tensors in (network.named_parameters(), network.named_buffers()):
        for name, tensor in tensors:
            if tensor.is_meta:
                return (
                    f"network {type(network).__name__} has {name} on torch's meta device, which"
                    " holds shapes and no values: make it on the CPU, or call"
                    " to_empty(device='cpu') and load its state dict"
                )
    return ""


def forget_states(network: nn.Module) -> None:
    """Make the neurons forget their last run, its gradients included; changes the network."""
    for module in network.modules():
        if isinstance(module, sl.StatefulLayer):
            for name, buffer in list(module.named_buffers(recurse=False)):
                module.register_buffer(name, torch.zeros(0, dtype=buffer.dtype))
