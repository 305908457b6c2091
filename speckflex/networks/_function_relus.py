"""Networks whose forward pass calls ReLUs as functions, with neurons in the ReLUs' place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from speckflex.errors import NetworkError
from speckflex.networks._functions import is_relu
from speckflex.networks.copying import copy_network
from speckflex.networks.layer_kinds import own_forward
from speckflex.networks.trace import takes_time_axis, trace

if TYPE_CHECKING:
    from speckflex.program.records import Shape

__all__ = ["with_relu_neurons"]

log = logging.getLogger(__name__)

# The attribute of the copy that holds the neurons.
NEURONS = "function_relus"
WEIGHT_FUNCTIONS = frozenset({"conv1d", "conv2d", "conv3d", "linear"})

# A ReLU's place in a forward pass: the weights used last before it, and how many ReLUs have run
# since. So it is the same in each time step of a loop, and another for each layer of a loop.
Place = tuple[str, int]


def with_relu_neurons(network: nn.Module, input_shape: Shape) -> nn.Module:
    """Return a network that calls neurons where its forward pass calls ReLUs as functions.

    The neurons have threshold 1 and lower bound -1, as sinabs gives them to ReLU layers. The
    network itself comes back if it calls none, or does not run on the input shape.

    Args:
        network: stays as it is.
        input_shape: (channel, y, x) of the events.
    """
    if not any(map(own_forward, network.modules())):
        return network
    try:
        forward = trace(network, input_shape)
    except NetworkError as error:
        log.info("it is not known whether a ReLU is called as a function: %s", error)
        return network
    if not any(step.role == "relu" and step.is_function for step in forward.steps):
        return network
    copied = copy_network(network)
    places = _places(copied, input_shape)
    neurons = [sl.IAFSqueeze(batch_size=1, spike_threshold=1.0, min_v_mem=-1.0) for _ in places]
    copied.add_module(NEURONS, nn.ModuleList(neurons).train(network.training))
    _give_forward(copied, places)
    return copied


@torch.no_grad()
def _places(network: nn.Module, input_shape: Shape) -> tuple[Place, ...]:
    """Return the places of the ReLUs that one time step calls."""
    leading = (1, 1) if takes_time_axis(network, input_shape) else (1,)
    copied = copy_network(network).float().cpu().eval()
    with _Finding(copied) as found:
        copied(torch.zeros(*leading, *input_shape))
    return tuple(dict.fromkeys(found.places))


def _give_forward(network: nn.Module, places: tuple[Place, ...]) -> None:
    """Make a network's forward pass call its neurons; changes the network."""
    kind = type(network)

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        neurons = dict(zip(places, getattr(self, NEURONS), strict=True))
        with _Replacing(self, neurons):
            return kind.forward(self, *args, **kwargs)

    names = {"forward": forward, "__module__": kind.__module__, "__doc__": kind.__doc__}
    object.__setattr__(network, "__class__", type(kind.__name__, (kind,), names))


class _Following(TorchFunctionMode):
    """Knows at which place a forward pass is."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._names = {id(tensor): name for name, tensor in network.named_parameters()}
        self._weights, self._since = "", 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in WEIGHT_FUNCTIONS:
            weight = args[1] if len(args) > 1 else kwargs.get("weight")
            self._weights, self._since = self._names.get(id(weight), ""), 0
        if not is_relu(name, args, kwargs):
            return func(*args, **kwargs)
        place = self._weights, self._since
        self._since += 1
        values = args[0] if args else kwargs["input"]
        in_place = name.endswith("_") or bool(kwargs.get("inplace"))
        return self.at(place, values, in_place=in_place)

    def at(self, place: Place, values: Any, *, in_place: bool) -> Any:
        """Return what a ReLU at a place gives."""
        raise NotImplementedError


class _Finding(_Following):
    """Collects the places of ReLUs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self.places: list[Place] = []

    def at(self, place: Place, values: Any, *, in_place: bool) -> Any:
        """Return the ReLU's output."""
        self.places.append(place)
        return torch.relu_(values) if in_place else torch.relu(values)


class _Replacing(_Following):
    """Calls neurons instead of ReLUs."""

    def __init__(self, network: nn.Module, neurons: dict[Place, nn.Module]) -> None:
        super().__init__(network)
        self._neurons = neurons

    def at(self, place: Place, values: Any, *, in_place: bool) -> Any:
        """Return the spikes of the neurons in the ReLU's place."""
        neurons = self._neurons.get(place)
        if neurons is None:
            raise NetworkError(
                f"a ReLU behind {place[0] or 'the input'} has no neurons, because a former call"
                " did not reach it: let every call take the same way"
            )
        spikes = neurons(values)
        if not in_place:
            return spikes
        if isinstance(values, torch.fx.Proxy):
            values.node = spikes.node
            return values
        return values.copy_(spikes)
