"""The one tracer: runs a network's forward pass once and records its steps."""

from __future__ import annotations

import copy
import inspect
import operator
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sinabs
import sinabs.layers as sl
import torch
from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks.forward_pass import ForwardPass, Step, StepRole
from speckflex.networks.layer_kinds import kind_of, own_forward

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from speckflex.program.records import Shape

__all__ = ["trace"]

# Functions that keep every value and its row-major place; a batch has one item of one step here.
RESHAPING = frozenset(
    {
        *("alias", "clone", "contiguous", "cpu", "detach", "flatten", "float", "getitem"),
        *("reshape", "squeeze", "stack", "to", "type", "unflatten", "unsqueeze", "view", "view_as"),
    }
)
ADDING = frozenset({"add", "add_"})
# Layers that are single steps even where a user's class computes something of its own.
SINGLE_STEPS = frozenset({"weights", "neurons", "input stage"})
# What a tensor can be asked for without an answer that depends on its values.
SHAPE_QUESTIONS = frozenset(
    {"device", "dim", "dtype", "ndim", "ndimension", "nelement", "numel", "shape", "size"}
)
# Functions whose answer is no tensor and depends on values.
VALUE_QUESTIONS = frozenset({"allclose", "equal", "is_nonzero", "item", "numpy", "tolist"})
LIBRARIES = tuple(str(Path(file).parent) for file in (torch.__file__, sinabs.__file__, __file__))
MAP_AXES = 4  # of a batch of maps, without time


def trace(network: nn.Module, input_shape: Shape | None = None) -> ForwardPass:
    """Return the record of a network's forward pass.

    A copy of the network runs in evaluation mode, and its neurons return their input. With an
    input shape the copy runs on zeros: the forward pass may ask for shapes and values, and the
    record names the lines that ask for values. Without an input shape it runs on stand-ins that
    have neither shapes nor values.

    Args:
        network: stays as it is; the nodes name its own layers.
        input_shape: (channel, y, x) of the events, or None.

    Raises:
        NetworkError: the network can't be copied, or its forward pass does not run.
    """
    working = _working_copy(network)
    if input_shape is None:
        tracer = _Tracer(network)
        try:
            return tracer.record(working)
        except Exception as error:  # a user's forward pass can raise anything on a stand-in
            raise NetworkError(
                f"network {type(network).__name__} can't be traced ({first_line(error)}): give the"
                " input shape, or let its forward pass not depend on values or shapes of its input"
            ) from error
    failures = []
    # Most networks take (batch * time, c, y, x); those with non-squeezing neurons often take
    # (batch, time, c, y, x).
    for leading in ((1,), (1, 1)):
        tracer = _Tracer(network, torch.zeros(*leading, *input_shape))
        try:
            return tracer.record(working)
        except Exception as error:  # noqa: BLE001  a user's forward pass can raise anything
            failures.append((error, tracer.stop, len(leading)))
    # A network that repeats layers over time is meant to have that axis.
    repeats = any(isinstance(module, sl.Repeat) for module in network.modules())
    raise NetworkError(_blocked(input_shape, *failures[1 if repeats else 0]))


@dataclass(frozen=True)
class _Stop:
    """The layer that a run is in, and the shape of what it was given."""

    name: str
    layer: nn.Module
    shape: tuple[int, ...]


def _blocked(input_shape: Shape, error: Exception, stop: _Stop | None, n_leading: int) -> str:
    """Return a message: where an input with so many axes before its channels stops, and why."""
    place, remedy = "", "check the input shape and the network's forward pass"
    if stop is not None:
        place = f", it stops at layer {stop.name} ({type(stop.layer).__name__})"
        remedy = "check the input shape"
        if isinstance(stop.layer, nn.Linear) and len(stop.shape) > n_leading + 1:
            place += (
                f", which gets a map of shape {stop.shape[n_leading:]} instead of a row of values"
            )
            remedy = (
                "flatten all axes but the first with nn.Flatten(), or, where the network has an"
                " axis of time, wrap the weight layers in front in sinabs.layers.Repeat"
            )
        elif len(stop.shape) > MAP_AXES:
            place += ", which takes no axis of time in addition to the batch's"
            remedy = "wrap it in sinabs.layers.Repeat too"
    return (
        f"an input of shape {tuple(input_shape)} (channel, y, x) does not pass through the"
        f" network{place} ({first_line(error)}): {remedy}"
    )


class _Silent(nn.Identity):
    """Stands for a neuron layer in the copy that runs; a forward pass may reset it."""

    def reset_states(self, *_: Any, **__: Any) -> None:
        """Do nothing: there is no state here."""


class _Root(nn.Module):
    """Holds the network, so that the network itself may be a single layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: torch.Tensor) -> list[fx.Proxy]:
        return _stand_ins(self.network(frames))


def _working_copy(network: nn.Module) -> nn.Module:
    """Return a float32 copy on the CPU, in evaluation mode, with silent neurons."""
    memo: dict[int, Any] = {
        id(module): _Silent() for module in network.modules() if kind_of(module).role == "neurons"
    }
    # A tensor that hangs in a graph of gradients can't be deep-copied by torch.
    memo |= {id(tensor): tensor.detach().clone() for tensor in _inner_tensors(network)}
    try:
        working = copy.deepcopy(network, memo)
    except Exception as error:
        raise NetworkError(
            f"network {type(network).__name__} can't be copied ({first_line(error)}): remove what"
            " can't be deep-copied from its modules"
        ) from error
    return working.to(device="cpu", dtype=torch.float32).eval()


def _inner_tensors(network: nn.Module) -> Iterator[torch.Tensor]:
    for module in network.modules():
        for value in (*vars(module).values(), *module.buffers(recurse=False)):
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                yield value


class _TracedTensor(fx.Proxy):
    """Stands for a tensor whose values are known; a user's code takes it for a tensor."""

    held: Any = None

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What `isinstance` answers by."""
        return torch.Tensor

    def __getattr__(self, k: str) -> Any:
        """Return what the tensor has under that name."""
        found = getattr(self.held, k)
        if isinstance(found, torch.Tensor):
            return self.tracer.create_proxy("call_function", getattr, (self, k), {})
        return super().__getattr__(k) if callable(found) else found

    def __len__(self) -> int:
        """Return the length of the first axis."""
        return len(self.held)

    def __iter__(self) -> Iterator[Any]:
        """Return stand-ins for the items along the first axis."""
        item: Any = super().__getitem__  # pyright: ignore[reportAttributeAccessIssue]
        return iter([item(index) for index in range(len(self.held))])

    def __setitem__(self, key: Any, value: Any) -> None:
        """Record the change as a step; from here on the name stands for the new values."""
        self.node = self.tracer.create_proxy("call_function", setitem, (self, key, value), {}).node

    def __float__(self) -> float:
        """Return the one value."""
        return float(_asked(self))

    def __int__(self) -> int:
        """Return the one value."""
        return int(_asked(self))

    def __index__(self) -> int:
        """Return the one value."""
        return _asked(self).__index__()


def setitem(values: torch.Tensor, key: Any, value: Any) -> torch.Tensor:
    """Return a tensor after `values[key] = value`."""
    values[key] = value
    return values


def _asked(stand_in: Any) -> Any:
    """Return the values of a stand-in, and record that they were asked for."""
    stand_in.tracer.value_uses.append(_place())
    return stand_in.held


class _Tracer(fx.Tracer):
    """Follows stand-ins through a forward pass, into a user's own modules, not into layers.

    Args:
        network: the user's network, whose layers are looked up by name.
        example: an input for the copy that runs; None to run without values.

    Attributes:
        stop: the layer that the run is in, or was in when it failed.
        value_uses: where values were asked for.
    """

    def __init__(self, network: nn.Module, example: torch.Tensor | None = None) -> None:
        super().__init__()
        self.network, self.example = network, example
        self.stop: _Stop | None = None
        self.value_uses: list[str] = []
        self._computing = False

    def record(self, working: nn.Module) -> ForwardPass:
        """Run a copy of the network and return its record; raises what the forward pass raises."""
        with warnings.catch_warnings(), torch.no_grad():
            # Torch's warnings on a network's speed or style have no use here.
            warnings.simplefilter("ignore")
            graph = self.trace(_Root(working))
        return self._forward_pass(graph)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is a single step."""
        layer = self._layer(module_qualified_name)
        role = kind_of(layer).role
        return role in SINGLE_STEPS or (role != "container" and not own_forward(layer))

    def _layer(self, path: str) -> nn.Module:
        """Return the user's own layer for a path in the copy that runs."""
        return self.network.get_submodule(_inside(path))

    def path_of_module(self, mod: nn.Module) -> str:
        """Return a module's path in the copy that runs."""
        try:
            return super().path_of_module(mod)
        except NameError as error:
            raise NetworkError(
                f"{type(mod).__name__} is called but is no submodule: keep it in an attribute or"
                " in an nn.ModuleList"
            ) from error

    def call_module(self, m: Any, forward: Any, args: Any, kwargs: Any) -> Any:
        """Record the call of a layer as one step; run anything else."""
        if self._computing or not _stand_ins((args, kwargs)):
            return forward(*args, **kwargs)
        if isinstance(m, sl.Repeat) and (self.example is None or args[0].dim() <= MAP_AXES):
            # It joins batch and time for its layer; here they are joined already.
            return m.module(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        """Return a module's attribute; a stand-in for a parameter that a forward pass uses."""
        if self._computing:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """Return the stand-in for a step's output."""
        return fx.Proxy(node, self) if self.example is None else _TracedTensor(node, self)

    def create_arg(self, a: Any) -> Any:
        """Return a step's argument as the record keeps it."""
        return a.node if type(a) is _TracedTensor else super().create_arg(a)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Return what a condition on values says of an input of zeros."""
        return super().to_bool(obj) if self.example is None else bool(_asked(obj))

    def create_proxy(
        self, kind: str, target: Any, args: Any, kwargs: Any, *rest: Any, **named: Any
    ) -> Any:
        """Record a step and return the stand-in for its output, or what is no tensor itself."""
        value = None
        if self.example is not None:
            value = self._value(kind, target, args, kwargs)
            if next(_tensors(value), None) is None:
                if _name(target) in VALUE_QUESTIONS:
                    self.value_uses.append(_place())
                return value
        made: Any = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        made.node.meta |= {"value": value, "place": _place()}
        if self.example is not None:
            made.held = value
        changed = _stand_ins((args, kwargs))[:1]
        if changed and self._works_in_place(kind, target, kwargs):
            # From here on the old name stands for the new values.
            changed[0].node = made.node
        return self._opened(made, value)

    def _opened(self, made: Any, value: Any) -> Any:
        """Return a stand-in, or one for each item where a step has several outputs."""
        if not isinstance(value, (list, tuple)):
            return made
        items = [
            self.create_proxy("call_function", operator.getitem, (made, index), {})
            for index in range(len(value))
        ]
        kind: Any = type(value)
        return kind(*items) if hasattr(kind, "_fields") else kind(items)

    def _works_in_place(self, kind: str, target: Any, kwargs: dict[str, Any]) -> bool:
        if kind == "call_module":
            return getattr(self._layer(target), "inplace", False)
        name = _name(target)
        ends_so = name.endswith("_") and not name.endswith("__")
        return ends_so or bool(kwargs.get("inplace"))

    def _value(self, kind: str, target: Any, args: Any, kwargs: Any) -> Any:
        """Return the output of a step for the example."""
        if kind == "placeholder":
            return self.example
        args, kwargs = map_aggregate((args, kwargs), _held)  # pyright: ignore[reportGeneralTypeIssues]
        self._computing = True
        try:
            if kind == "call_module":
                return self._layer_output(target, args, kwargs)
            if kind == "get_attr":
                return operator.attrgetter(target)(self.root)
            if kind == "call_method":
                return getattr(args[0], target)(*args[1:], **kwargs)
            return target(*args, **kwargs)
        finally:
            self._computing = False

    def _layer_output(self, path: str, args: Any, kwargs: Any) -> Any:
        layer = self._layer(path)
        first = next(_tensors((args, tuple(kwargs.values()))))
        if kind_of(layer).role in {"neurons", "time"}:
            return first.view_as(first)
        self.stop = _Stop(_inside(path), layer, tuple(first.shape))
        output = self.root.get_submodule(path)(*args, **kwargs)
        self.stop = None
        return output

    def _forward_pass(self, graph: fx.Graph) -> ForwardPass:
        """Return what the input flows through, without shapes and constants."""
        steps: list[Step] = []
        positions: dict[fx.Node, int] = {}
        loose: list[str] = []
        outputs: tuple[int, ...] = ()
        for node in graph.nodes:
            inputs = [read for read in _read(node) if read in positions]
            places = tuple(positions[read] for read in inputs)
            if node.op == "output":
                outputs = places
            elif node.op == "get_attr" and not all(map(_asks_shape, node.users)):
                loose.append(_inside(node.target))
            elif node.op == "placeholder" or (inputs and not _asks_shape(node)):
                positions[node] = len(steps)
                steps.append(replace(self._step(node, inputs), inputs=places, shape=_shape(node)))
        return ForwardPass(
            tuple(steps), outputs, tuple(filter(None, loose)), tuple(self.value_uses)
        )

    def _step(self, node: fx.Node, inputs: list[fx.Node]) -> Step:
        """Return the record of one node, without its inputs and its shape."""
        if node.op == "placeholder":
            return Step("", None, "input")
        if node.op == "call_module":
            path = str(node.target)
            layer, copied = self._layer(path), self.root.get_submodule(path)
            return Step(_inside(path), layer, kind_of(layer).role, copied=copied)
        name = str(node.args[1]) if node.target is getattr else _name(node.target)
        role, place = _function_role(name, node, inputs), node.meta.get("place", "")
        return Step(name, None, role, place=place)


def _held(argument: Any) -> Any:
    return argument.held if type(argument) is _TracedTensor else argument


def _stand_ins(arguments: Any) -> list[fx.Proxy]:
    found: list[fx.Proxy] = []

    def keep(argument: Any) -> Any:
        if isinstance(argument, fx.Proxy):
            found.append(argument)
        return argument

    map_aggregate(arguments, keep)
    return found


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors in a value, tuples and lists opened."""
    if isinstance(values, torch.Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        items: Iterable[Any] = values
        for value in items:
            yield from _tensors(value)


def _inside(path: str) -> str:
    """Return a path in the copy that runs as a path in the network."""
    return path.partition(".")[2]


def _name(target: Any) -> str:
    return target if isinstance(target, str) else getattr(target, "__name__", str(target))


def _place() -> str:
    """Return file and line of the user's code that is running, "" where torch's own is."""
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not _Root.forward.__code__:
        file = frame.f_code.co_filename
        if not file.startswith(LIBRARIES):
            return f"{Path(file).name}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""


def _read(node: fx.Node) -> list[fx.Node]:
    """Return the nodes whose outputs a node reads, one that it reads twice two times."""
    found: list[fx.Node] = []
    map_arg((node.args, node.kwargs), lambda read: found.append(read) or read)
    return found


def _asks_shape(node: fx.Node) -> bool:
    if node.op == "call_function" and node.target is getattr:
        return node.args[1] in SHAPE_QUESTIONS
    return node.op == "call_method" and node.target in SHAPE_QUESTIONS


def _function_role(name: str, node: fx.Node, inputs: list[fx.Node]) -> StepRole:
    """Return whether a function adds two tensors, keeps all values or does anything else."""
    if name in ADDING and len(inputs) == len(node.args) == 2 and not node.kwargs:
        return "merge"
    if name in RESHAPING and len(inputs) == 1 and _size(node) == _size(inputs[0]):
        return "shaping"
    return "function"


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    """Return the shape of a node's output without the batch axis, None where it is not known."""
    output = next(_tensors(node.meta.get("value")), None)
    return None if output is None else tuple(output.shape[1:])


def _size(node: fx.Node) -> int | None:
    output = next(_tensors(node.meta.get("value")), None)
    return None if output is None else output.numel()
