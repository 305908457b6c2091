"""Spiking networks made from ReLU networks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
from sinabs.from_torch import from_model
from sinabs.network import Network
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks._function_relus import with_relu_neurons
from speckflex.networks.copying import copy_network
from speckflex.networks.layer_kinds import kind_of, name_of
from speckflex.networks.quantised import quantised_layers, quantised_to_spiking
from speckflex.networks.trace import trace

if TYPE_CHECKING:
    from speckflex.program.records import Shape

__all__ = ["spiking_network"]

log = logging.getLogger(__name__)

RELUS = (nn.ReLU, sl.NeuromorphicReLU)


def spiking_network(network: nn.Module, *, input_shape: Shape | None = None) -> nn.Module:
    """Return a spiking network: the network itself, its sinabs part, or one made from its ReLUs.

    A network with ReLUs and no spiking layer is converted by sinabs: every ReLU becomes an
    integrate-and-fire layer of threshold 1 and lower bound -1 under the same name. Where a forward
    pass calls ReLUs as functions, a copy of the network calls such layers instead. A network of
    quantised ReLUs becomes one of neurons with their steps, see `quantised_to_spiking`.

    Args:
        network: stays as it is.
        input_shape: (channel, y, x) to run a converted network on once, and to find ReLUs that
            are functions; None to skip that.

    Raises:
        NetworkError: a ReLU is used at two places, or the network does not take `input_shape`.
    """
    if isinstance(network, Network):
        if network.spiking_model is None:
            raise NetworkError(
                "a sinabs Network without spiking_model can't be used: save its analog_model"
            )
        return spiking_network(network.spiking_model, input_shape=input_shape)
    if any(kind_of(module).role == "neurons" for module in network.modules()):
        return network
    if quantised_layers(network):
        return quantised_to_spiking(network)
    # sinabs converts these two classes, not what derives from them.
    relus = [
        name
        for name, module in network.named_modules(remove_duplicate=False)
        if type(module) in RELUS
    ]
    if relus:
        _check_not_shared(network, relus, input_shape)
        log.info("%d ReLU layers become integrate-and-fire: %s", len(relus), ", ".join(relus))
        network = _converted(network, input_shape)
    return network if input_shape is None else with_relu_neurons(network, input_shape)


def _check_not_shared(network: nn.Module, relus: list[str], input_shape: Shape | None) -> None:
    names: dict[int, str] = {}
    for name in relus:
        first = names.setdefault(id(network.get_submodule(name)), name)
        if first != name:
            raise NetworkError(
                f"ReLU {name_of(name)} is the same module as {first}: neurons keep a state, so"
                " each place needs a ReLU of its own"
            )
    try:
        forward = trace(network, input_shape)
    except NetworkError as error:
        log.info("it is not known whether a ReLU is used twice: %s", error)
        return
    for name in relus:
        if forward.n_calls(name) > 1:
            raise NetworkError(
                f"ReLU {name_of(name)} is used at {forward.n_calls(name)} places of the forward"
                " pass: neurons keep a state, so each place needs a ReLU of its own"
            )


def _converted(network: nn.Module, input_shape: Shape | None) -> nn.Module:
    shape: Any = None if input_shape is None else tuple(input_shape)
    original = copy_network(network)
    try:
        converted = from_model(original, shape, batch_size=1, synops=False).spiking_model
    except (RuntimeError, ValueError, TypeError) as error:
        raise NetworkError(
            f"the ReLU network does not run on input {shape} (channel, y, x)"
            f" ({first_line(error)}): check the input shape"
        ) from error
    for module in converted.modules():
        if isinstance(module, sl.IAFSqueeze) and module.spike_threshold is not None:
            # sinabs gives all layers one tensor, its own default argument.
            module.spike_threshold.data = module.spike_threshold.data.clone()
            module.reset_states()
    for name, module in network.named_modules():
        converted.get_submodule(name).training = module.training
    return converted
