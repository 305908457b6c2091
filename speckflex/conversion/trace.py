"""What a torch network computes, as a list of calls: which module reads whose output."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from speckflex.errors import ConversionError
from speckflex.samna_access import load_samna

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from speckflex.program.records import Shape

load_samna()
from sinabs.backend.dynapcnn.dvs_layer import DVSLayer  # noqa: E402  needs samna's name to exist

__all__ = ["DVSLayer", "NeuronPlace", "Node", "trace"]

# Functions that keep every value and its row-major place; a batch has one item of one step here.
RESHAPING = frozenset(
    {
        *("__getitem__", "alias", "clone", "contiguous", "cpu", "detach", "flatten", "float"),
        *("reshape", "squeeze", "stack", "to", "type", "unflatten", "unsqueeze", "view", "view_as"),
    }
)
ADDING = frozenset({"add", "add_", "__add__", "__iadd__", "__radd__"})
KNOWN_LAYERS = (nn.Conv2d, nn.Linear, DVSLayer)
MAP_AXES = 4  # of a batch of maps, without time


@dataclass(frozen=True)
class Node:
    """One call while the network ran.

    Args:
        name: the module's path in the network, or the function's name where no module is called.
        module: what was called; None for the network's input and for functions.
        kind: "input", "module", "merge" or "function".
        inputs: positions of the nodes whose outputs it read.
        shape: shape of its output, without the batch axis.
    """

    name: str
    module: nn.Module | None
    kind: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def neuron_layer(self) -> Any:
        """The user's own layer where this node stands for neurons, else None."""
        return self.module.layer if isinstance(self.module, NeuronPlace) else None


class NeuronPlace(nn.Module):
    """Stands where a stateful layer was: keeps the layer for reading, changes no value."""

    def __init__(self, layer: sl.StatefulLayer) -> None:
        super().__init__()
        # In a tuple, so that torch does not take the layer for a child of this module.
        self.original = (layer,)

    @property
    def layer(self) -> sl.StatefulLayer:
        """The user's own layer, untouched."""
        return self.original[0]

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return the values as a tensor of its own."""
        return values.view_as(values)

    def reset_states(self, *arguments: Any, **settings: Any) -> None:
        """Do nothing: there is no state here."""


class _Repeated(nn.Module):
    """Stands for sinabs' `Repeat`: folds time into the batch where there is such an axis."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """Return what the module makes of every time step."""
        if values.dim() <= MAP_AXES:
            return self.module(values)
        return self.module(values.flatten(0, 1)).unflatten(0, values.shape[:2])


def trace(network: nn.Module, input_shape: Shape) -> list[Node]:
    """Run a copy of the network on zeros and return its calls in order; the first is the input.

    Raises:
        ConversionError: the network can't be copied, or an input of that shape doesn't pass.
    """
    working = _working_copy(network)
    failures = []
    # Most networks take (batch * time, c, y, x); those with non-squeezing neurons often take
    # (batch, time, c, y, x).
    for leading in ((1,), (1, 1)):
        tracer = _Tracer(working)
        try:
            return tracer.run(torch.zeros(*leading, *input_shape))
        except Exception as error:  # noqa: BLE001  the user's forward may raise anything
            failures.append((error, tracer.stop, len(leading)))
    # A network that repeats layers over time is meant to have that axis.
    repeats = any(isinstance(module, _Repeated) for module in working.modules())
    raise ConversionError(_blocked(input_shape, *failures[1 if repeats else 0]))


def _blocked(input_shape: Shape, error: Exception, stop: _Stop | None, n_leading: int) -> str:
    """Return why an input with so many axes before its channels does not pass, and what helps."""
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    place, remedy = "", "check the input shape"
    if stop is not None:
        place = f", it stops at layer {stop.name} ({type(stop.module).__name__})"
        if isinstance(stop.module, nn.Linear) and len(stop.shape) > n_leading + 1:
            place += (
                f", which gets a map of shape {stop.shape[n_leading:]} in place of a row of values"
            )
            remedy = (
                "flatten all axes but the first with nn.Flatten(), or, where the network has an"
                " axis of time, wrap the weight layers in front in sinabs.layers.Repeat"
            )
        elif len(stop.shape) > MAP_AXES:
            place += ", which takes no axis of time beside the batch's"
            remedy = "wrap it in sinabs.layers.Repeat too"
    return (
        f"an input of shape {tuple(input_shape)} (channel, y, x) does not pass through the"
        f" network{place} ({reason}): {remedy}"
    )


def _working_copy(network: nn.Module) -> nn.Module:
    """Return a float32 copy on the CPU, in eval mode, with stateful layers replaced."""
    memo: dict[int, Any] = {
        id(module): NeuronPlace(module)
        for module in network.modules()
        if isinstance(module, sl.StatefulLayer)
    }
    # A tensor that hangs in a graph of gradients can't be deep-copied by torch.
    memo |= {id(tensor): tensor.detach().clone() for tensor in _inner_tensors(network)}
    try:
        working = copy.deepcopy(network, memo)
    except Exception as error:
        raise ConversionError(
            f"the network {type(network).__name__} can't be copied ({error}):"
            " remove what can't be deep-copied from its modules"
        ) from error
    _drop_time_layers(working)
    return working.to(device="cpu", dtype=torch.float32).eval()


def _inner_tensors(network: nn.Module) -> Iterator[torch.Tensor]:
    for module in network.modules():
        values = [*vars(module).values(), *module._buffers.values()]  # noqa: SLF001
        for value in values:
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                yield value


def _drop_time_layers(network: nn.Module) -> None:
    """Replace sinabs' layers that only fold time into the batch, keeping the names."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, sl.Repeat):
                setattr(parent, name, _Repeated(child.module))
            elif isinstance(child, sl.FlattenTime | sl.UnflattenTime):
                setattr(parent, name, nn.Identity())


def _is_leaf(module: nn.Module) -> bool:
    home = type(module).__module__
    if isinstance(module, (NeuronPlace, *KNOWN_LAYERS)):
        return True
    own = home.startswith(("torch.nn.modules.", "sinabs.layers", "sinabs.backend"))
    return own and not home.endswith(".container")


@dataclass(frozen=True)
class _Stop:
    """The module that a run is in, and the shape of what it was given."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]


class _Tracer(TorchFunctionMode):
    """Follows tensors by identity through module calls and the functions between them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.nodes: list[Node] = []
        self.origin: dict[int, int] = {}
        # Identities are only unique while the tensors live.
        self.kept: list[torch.Tensor] = []
        self.depth = 0
        self.stop: _Stop | None = None

    def run(self, values: torch.Tensor) -> list[Node]:
        self._append(Node("", None, "input", (), tuple(values.shape[1:])), values)
        handles = []
        for name, module in self.network.named_modules():
            if _is_leaf(module):
                handles.append(module.register_forward_pre_hook(self._enter(name)))
                handles.append(module.register_forward_hook(self._leave(name)))
        try:
            with warnings.catch_warnings(), torch.no_grad(), self:
                # What torch has to say on a network's speed or style is not for this run.
                warnings.simplefilter("ignore")
                self.network(values)
        finally:
            for handle in handles:
                handle.remove()
        return self.nodes

    def _enter(self, name: str) -> Callable[[nn.Module, Any], None]:
        def hook(module: nn.Module, inputs: Any) -> None:
            self.depth += 1
            first = next(_tensors(inputs), None)
            if self.depth == 1 and first is not None:
                self.stop = _Stop(name, module, tuple(first.shape))

        return hook

    def _leave(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            self.depth -= 1
            if self.depth == 0:
                self.stop = None
                kind = "merge" if isinstance(module, sl.Merge) else "module"
                self._record(name, module, kind, inputs, output)

        return hook

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if self.depth == 0:
            self._follow(getattr(func, "__name__", str(func)), args, output)
        return output

    def _follow(self, function: str, args: Any, output: Any) -> None:
        sources = self._sources(args)
        if not sources or not any(True for _ in _tensors(output)):
            return
        result = next(_tensors(output))
        values = next(tensor for tensor in _tensors(args) if id(tensor) in self.origin)
        if function in RESHAPING and len(sources) == 1 and result.numel() == values.numel():
            self._follow_same(sources[0], result)
        elif function in ADDING and len(sources) == 2:
            self._record(function, None, "merge", args, output)
        else:
            self._record(function, None, "function", args, output)

    def _follow_same(self, source: int, tensor: torch.Tensor) -> None:
        self.kept.append(tensor)
        self.origin[id(tensor)] = source

    def _record(
        self, name: str, module: nn.Module | None, kind: str, inputs: Any, output: Any
    ) -> None:
        sources = self._sources(inputs)
        for tensor in _tensors(output):
            self._append(Node(name, module, kind, sources, tuple(tensor.shape[1:])), tensor)
            return

    def _append(self, node: Node, output: torch.Tensor) -> None:
        self.nodes.append(node)
        self._follow_same(len(self.nodes) - 1, output)

    def _sources(self, values: Any) -> tuple[int, ...]:
        return tuple(
            self.origin[id(tensor)] for tensor in _tensors(values) if id(tensor) in self.origin
        )


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        items: Iterable[Any] = values
        for value in items:
            yield from _tensors(value)
