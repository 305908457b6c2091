"""The tracer: follows stand-ins for tensors through a forward pass and records its steps."""

from __future__ import annotations

import inspect
import operator
import warnings
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sinabs
import sinabs.layers as sl
import torch
from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

from speckflex.errors import NetworkError
from speckflex.networks._functions import asks_for_values, function_step, name_of_target
from speckflex.networks._hidden import watched_draws
from speckflex.networks.forward_pass import ForwardPass, Hidden, Step
from speckflex.networks.layer_kinds import kind_of, own_forward

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Stop", "Tracer", "settled"]

# Layers that are single steps even where a user's class computes something of its own.
SINGLE_STEPS = frozenset({"weights", "neurons", "input stage"})
# What a tensor can be asked for without an answer that depends on its values.
SHAPE_QUESTIONS = frozenset(
    {"device", "dim", "dtype", "ndim", "ndimension", "nelement", "numel", "shape", "size"}
)
# Methods that are functions of torch too, by which a ReLU can be written.
DISPATCHED = frozenset({"clamp", "clamp_", "clamp_min", "clamp_min_", "relu", "relu_"})
LIBRARIES = tuple(str(Path(file).parent) for file in (torch.__file__, sinabs.__file__, __file__))
# 512 MB of float32: all values are held until the forward pass is over.
MOST_VALUES = 2**27
FRAME = ("channel", "y", "x")
MAP_AXES = 4  # of a batch of maps, without time


@dataclass(frozen=True)
class Stop:
    """The layer that a run is in, and the shape of what it was given."""

    name: str
    layer: nn.Module
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Write:
    """When a tensor's memory was changed, in steps, and where."""

    order: int
    place: str


def settled(value: Any) -> Any:
    """Return a value with the tensors in the place of their stand-ins."""
    if type(value) is _TracedTensor:
        return value.held
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(settled(item) for item in value)
    return value


class _Root(nn.Module):
    """Holds the network, so that the network itself may be a single layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: torch.Tensor) -> list[fx.Proxy]:
        return _stand_ins(self.network(frames))


class _TracedTensor(fx.Proxy):
    """Stands for a tensor whose values are known; a user's code takes it for a tensor."""

    held: Any = None

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What `isinstance` answers by."""
        return torch.Tensor

    def __getattr__(self, k: str) -> Any:
        """Return what the tensor has under that name."""
        if k in DISPATCHED:
            # As a function of torch, which a TorchFunctionMode may answer.
            return partial(getattr(torch, k), self)
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

    def __iadd__(self, other: Any) -> Any:
        """Record the sum that takes this tensor's place; likewise below."""
        return self._in_place("add_", other)

    def __isub__(self, other: Any) -> Any:
        return self._in_place("sub_", other)

    def __imul__(self, other: Any) -> Any:
        return self._in_place("mul_", other)

    def __itruediv__(self, other: Any) -> Any:
        return self._in_place("div_", other)

    def __iand__(self, other: Any) -> Any:
        return self._in_place("logical_and_", other)

    def __ior__(self, other: Any) -> Any:
        return self._in_place("logical_or_", other)

    def _in_place(self, method: str, other: Any) -> Any:
        return self.tracer.create_proxy("call_method", method, (self, other), {})

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
    stand_in.tracer.hide_values()
    return stand_in.held


class Tracer(fx.Tracer):
    """Follows stand-ins through a forward pass, into a user's own modules, not into layers.

    Args:
        network: the user's network, whose layers are looked up by name.
        example: an input for the copy that runs; None to run without values.

    Attributes:
        stop: the layer that the run is in, or was in when it failed.
        hidden: what happened that the record can't show.
    """

    def __init__(self, network: nn.Module, example: torch.Tensor | None = None) -> None:
        super().__init__()
        self.network, self.example = network, example
        self.stop: Stop | None = None
        self.hidden: list[Hidden] = []
        self.n_values = 0
        self._computing = False
        self._writes: dict[int, _Write] = {}

    def record(self, working: nn.Module) -> ForwardPass:
        """Run a copy of the network and return its record; raises what the forward pass raises."""
        with warnings.catch_warnings(), torch.no_grad(), watched_draws(_place) as draws:
            # Torch's warnings on a network's speed or style have no use here.
            warnings.simplefilter("ignore")
            graph = self.trace(_Root(working))
        self.hidden += draws
        return self._forward_pass(graph)

    def hide_values(self) -> None:
        """Record that the forward pass asks for values."""
        self._hide(
            "values", "depends on values of its input", "let it depend on shapes alone", _place()
        )

    def _hide(self, rule: str, what: str, remedy: str, place: str) -> None:
        found = Hidden(rule, what, remedy, place)
        if found not in self.hidden:
            self.hidden.append(found)

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
            self._check_reads(args, kwargs)
            value = self._value(kind, target, args, kwargs)
            self._count_values(value, target)
            if asks_for_values(name_of_target(target), args, value):
                self.hide_values()
            if next(_tensors(value), None) is None:
                return value
        made: Any = super().create_proxy(kind, target, args, kwargs, *rest, **named)
        order = len(made.node.graph.nodes)
        made.node.meta |= {"value": value, "place": _place(), "order": order}
        if self.example is not None:
            made.held = value
        changed = _stand_ins((args, kwargs))[:1]
        if changed and self._works_in_place(kind, target, kwargs):
            self._note_write(changed[0], made.node)
            # From here on the old name stands for the new values.
            changed[0].node = made.node
        return self._opened(made, value)

    def _count_values(self, value: Any, target: Any) -> None:
        """Refuse a forward pass that fills the memory, such as one of thousands of paddings."""
        self.n_values += sum(tensor.numel() for tensor in _tensors(value))
        if self.n_values > MOST_VALUES:
            raise NetworkError(
                f"{name_of_target(target)}: up to this step the forward pass makes"
                f" {self.n_values} values of one sample, at most {MOST_VALUES} are followed: use"
                " smaller maps or fewer layers"
            )

    def _note_write(self, changed: Any, node: fx.Node) -> None:
        """Remember that a tensor's memory changed, which other tensors may share."""
        held = _held(changed)
        if isinstance(held, torch.Tensor) and held.numel():
            write = _Write(len(node.graph.nodes), _place())
            self._writes[held.untyped_storage().data_ptr()] = write

    def _check_reads(self, args: Any, kwargs: Any) -> None:
        """Record where a tensor is read after another one changed the memory that they share."""
        for read in _stand_ins((args, kwargs)):
            held = _held(read)
            if not self._writes or not held.numel():
                continue
            write = self._writes.get(held.untyped_storage().data_ptr())
            if write is not None and read.node.meta.get("order", 0) < write.order:
                what = "changes a tensor through another one that shares its memory"
                self._hide("in place", what, "write into a copy: call clone() first", write.place)

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
        name = name_of_target(target)
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
            return first.clone()
        self.stop = Stop(_inside(path), layer, tuple(first.shape))
        if isinstance(layer, nn.Conv2d) and first.dim() != MAP_AXES:
            # torch would take three axes for one map without a batch.
            raise ValueError(f"it takes {MAP_AXES} axes, not {first.dim()}")
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
        leading = 1 if self.example is None else self.example.dim() - len(FRAME)
        return ForwardPass(
            tuple(steps), outputs, tuple(filter(None, loose)), tuple(self.hidden), leading
        )

    def _step(self, node: fx.Node, inputs: list[fx.Node]) -> Step:
        """Return the record of one node, without its inputs and its shape."""
        if node.op == "placeholder":
            return Step("", None, "input")
        if node.op == "call_module":
            path = str(node.target)
            layer, copied = self._layer(path), self.root.get_submodule(path)
            return Step(_inside(path), layer, kind_of(layer).role, copied=copied)
        return function_step(node, inputs)


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


def _shape(node: fx.Node) -> tuple[int, ...] | None:
    """Return the shape of a node's output without the batch axis, None where it is not known."""
    output = next(_tensors(node.meta.get("value")), None)
    return None if output is None else tuple(output.shape[1:])
