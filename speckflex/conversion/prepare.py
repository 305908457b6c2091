"""From a torch network to the plain layers that sinabs' backend takes, with every refusal."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn

from speckflex.conversion.convolution import convolution_of
from speckflex.conversion.input_path import input_stage, pool_of
from speckflex.conversion.layer_kinds import (
    DROPOUTS,
    NORMS,
    PASSING,
    POOLINGS,
    is_identity_norm,
    is_weight,
)
from speckflex.conversion.neuron_settings import NeuronSettings, read_neuron
from speckflex.conversion.prepared import INPUT, Options, PreparedLayer, PreparedNetwork, Source
from speckflex.conversion.trace import DVSLayer, NeuronPlace, Node, trace
from speckflex.errors import ConversionError
from speckflex.finding import Check
from speckflex.loading.network_checks import missing_values
from speckflex.program import InputStage

if TYPE_CHECKING:
    from speckflex.program import Shape

__all__ = ["prepare"]


@dataclass(frozen=True)
class _Route:
    """One way by which values reach a layer: from `node` through `steps`."""

    node: int
    steps: tuple[tuple[str, nn.Module, tuple[int, ...]], ...] = ()


def prepare(
    network: nn.Module, input_shape: Shape, options: Options | None = None
) -> PreparedNetwork:
    """Bring a network into the form that sinabs' backend takes; the network stays as it is.

    Args:
        network: torch and sinabs layers.
        input_shape: (channel, y, x) of the events.
        options: what to do where the chip differs; defaults of `Options`.

    Raises:
        ConversionError: the network has no values, or does not run on that shape. What the chip
            can't do is in `checks` with severity "error" instead, all of it at once.
    """
    if not isinstance(network, nn.Module):
        raise ConversionError(
            f"the network is a {type(network).__name__}, not a torch module: load it first"
        )
    problem = missing_values(network)
    if problem:
        raise ConversionError(problem)
    shape = _checked_shape(input_shape)
    return _Preparation(trace(network, shape), shape, options or Options()).run()


def _checked_shape(input_shape: Any) -> Shape:
    try:
        channel, y, x = (int(size) for size in input_shape)
    except (TypeError, ValueError):
        channel = y = x = 0
    if min(channel, y, x) < 1:
        raise ConversionError(
            f"input_shape {input_shape!r} is not (channel, y, x) with positive sizes: give three"
        )
    return (channel, y, x)


@dataclass
class _Preparation:
    """The work of `prepare`: walks the calls once, collecting layers and findings."""

    nodes: list[Node]
    input_shape: Shape
    options: Options
    checks: list[Check] = field(default_factory=list)
    layers: list[PreparedLayer] = field(default_factory=list)
    position: dict[int, int] = field(default_factory=dict)
    shapes: dict[int, Shape] = field(default_factory=dict)
    used_steps: set[str] = field(default_factory=set)
    stage: InputStage | None = None

    def run(self) -> PreparedNetwork:
        self._refuse_reuse()
        for index, node in enumerate(self.nodes):
            if is_weight(node):
                self._take_layer(index, node)
        self._refuse_unread()
        self._note_dropped()
        if not self.layers and all(check.severity != "error" for check in self.checks):
            self._refuse("", "weight layers", "it has no weight layer", "add a Conv2d or Linear")
        stage = self.stage or InputStage(self.input_shape)
        stage = replace(stage, event_filter=self.options.event_filter)
        return PreparedNetwork(tuple(self.layers), stage, tuple(self.checks))

    def _refuse(self, layer: str, rule: str, message: str, remedy: str = "") -> None:
        check = Check(layer, "error", rule, message, remedy=remedy)
        if check not in self.checks:
            self.checks.append(check)

    def _refuse_error(self, layer: str, rule: str, error: ConversionError) -> None:
        message, _, remedy = str(error).rpartition(": ")
        self._refuse(layer, rule, message or remedy, remedy if message else "")

    def _refuse_reuse(self) -> None:
        """Refuse a weight or neuron layer that runs twice: a core has its own memory."""
        calls: dict[str, int] = {}
        for node in self.nodes:
            if is_weight(node) or isinstance(node.module, NeuronPlace):
                calls[node.name] = calls.get(node.name, 0) + 1
        for name, count in calls.items():
            if count > 1:
                self._refuse(
                    name,
                    "reuse",
                    f"it is called {count} times, a core runs one layer",
                    "give each call a layer of its own",
                )

    def _take_layer(self, index: int, node: Node) -> None:
        """Turn one weight node into a layer; findings go to `checks`."""
        routes = self._routes(node.inputs[0], node.name)
        readers = self._readers(index)
        shape, sources, factor = self._input_of(node, routes)
        if shape is None or node.module is None:
            return
        try:
            convolution = convolution_of(node.module, shape)
        except ConversionError as error:
            self._refuse_error(node.name, "weights", error)
            return
        for change in convolution.changes:
            self.checks.append(Check(node.name, "note", "weights", change))
        if not bool(convolution.weights.isfinite().all()):
            message = "its weights hold infinities or what is no number"
            self._refuse(node.name, "weights", message, "train again with a smaller learning rate")
            return
        output = convolution.output_shape(shape)
        neuron_name, neuron = self._neuron(node, readers, output)
        bias = self._bias(node, factor, neuron)
        convolution = replace(convolution, weights=convolution.weights * factor)
        self.position[index] = len(self.layers)
        for reader in readers:
            self.position[reader] = len(self.layers)
        self.shapes[len(self.layers)] = output
        self.layers.append(
            PreparedLayer(node.name, neuron_name, convolution, bias, neuron, shape, sources)
        )

    def _routes(self, index: int, reader: str) -> list[_Route]:
        """Return the ways by which values reach `reader` from neurons or the input."""
        node = self.nodes[index]
        module = node.module
        if node.kind == "input" or is_weight(node) or isinstance(module, NeuronPlace):
            return [_Route(index)]
        if node.kind == "merge":
            return [route for source in node.inputs for route in self._routes(source, reader)]
        if isinstance(module, (*POOLINGS, DVSLayer)):
            step = (node.name, module, self.nodes[node.inputs[0]].shape)
            routes = self._routes(node.inputs[0], reader)
            return [replace(route, steps=(*route.steps, step)) for route in routes]
        if isinstance(module, NORMS):
            self.used_steps.add(node.name)
            self._check_norm(node, module)
        elif not isinstance(module, (*PASSING, *DROPOUTS)):
            self._refuse_step(node, reader)
        return self._routes(node.inputs[0], reader)

    def _refuse_step(self, node: Node, reader: str) -> None:
        if node.module is None:
            self._refuse(
                reader,
                "function",
                f"torch's {node.name} runs in front of it, the chip has no such step",
                "use layers: Conv2d, Linear, IAFSqueeze, AvgPool2d, SumPool2d, Merge, Flatten",
            )
            return
        kind = type(node.module).__name__
        relu = isinstance(node.module, (nn.ReLU, sl.NeuromorphicReLU))
        remedy = (
            "turn the network into a spiking one with sinabs.from_torch.from_model"
            if relu
            else "leave it out, or use layers the chip has"
        )
        self._refuse(node.name, "layer kind", f"{kind} is not on the chip", remedy)

    def _check_norm(self, node: Node, norm: nn.Module) -> None:
        if not is_identity_norm(norm):
            self._refuse(
                node.name,
                "batch norm",
                f"{type(norm).__name__} is still in place, the chip has none",
                "fold it first: speckflex fold",
            )

    def _readers(self, index: int) -> list[int]:
        """Return the neuron nodes that read the weight node `index`, refusing other readers."""
        readers = []
        for position, node in enumerate(self.nodes):
            if not isinstance(node.module, NeuronPlace):
                continue
            routes = self._routes(node.inputs[0], node.name)
            if all(route.node != index for route in routes):
                continue
            readers.append(position)
            if len(routes) > 1:
                self._refuse(
                    node.name,
                    "merge",
                    "it reads a sum of potentials, the chip only merges spikes",
                    "put a neuron layer after each weight layer and merge after it",
                )
            elif routes[0].steps:
                self._refuse(
                    routes[0].steps[0][0],
                    "pooling",
                    f"pools between weights and neurons of {node.name}",
                    "put the pooling after the neurons",
                )
        if len(readers) > 1:
            self._refuse(
                self.nodes[index].name,
                "neurons",
                f"{len(readers)} neuron layers read it, a core has one",
                "give each its own weight layer",
            )
        return readers

    def _input_of(
        self, node: Node, routes: list[_Route]
    ) -> tuple[Shape | None, tuple[Source, ...], float]:
        """Return the map that reaches a weight layer, its sources and their common factor."""
        found: list[tuple[Shape, Source, float]] = []
        for route in routes:
            self.used_steps.update(name for name, _, _ in route.steps)
            origin = self.nodes[route.node]
            try:
                if origin.kind == "input":
                    found.append(self._from_input(route))
                elif route.node in self.position and not is_weight(origin):
                    found.append(self._from_layer(route))
                elif is_weight(origin):
                    self._refuse(
                        origin.name,
                        "neurons",
                        f"no neuron layer stands between it and {node.name}",
                        "put an IAFSqueeze after it",
                    )
            except ConversionError as error:
                name = route.steps[0][0] if route.steps else node.name
                self._refuse_error(name, "pooling", error)
        if len(found) < len(routes) or not self._sources_agree(node, found):
            return None, (), 1.0
        return found[0][0], tuple(source for _, source, _ in found), found[0][2]

    def _sources_agree(self, node: Node, found: list[tuple[Shape, Source, float]]) -> bool:
        shapes = {shape for shape, _, _ in found}
        factors = {factor for _, _, factor in found}
        sources = [source.layer for _, source, _ in found]
        if len(shapes) > 1:
            self._refuse(
                node.name,
                "merge",
                f"maps of shapes {sorted(shapes)} are merged in front of it",
                "merge maps of one shape",
            )
        if len(factors) > 1:
            self._refuse(
                node.name,
                "merge",
                f"average pools with factors {sorted(factors)} are merged in front of it",
                "use the same pooling on every branch, or SumPool2d",
            )
        if len(set(sources)) < len(sources) or (INPUT in sources and len(sources) > 1):
            self._refuse(
                node.name,
                "merge",
                "it merges the network's input with spikes, or one layer with itself",
                "merge the spikes of different layers",
            )
            return False
        return len(shapes) == len(factors) == 1

    def _from_input(self, route: _Route) -> tuple[Shape, Source, float]:
        stage, factor = input_stage(self.input_shape, [module for _, module, _ in route.steps])
        if self.stage not in (None, stage):
            raise ConversionError(
                "the network's input is pooled or cropped differently for two layers:"
                " the chip has one input stage"
            )
        self.stage = stage
        return stage.output_shape, Source(INPUT), factor

    def _from_layer(self, route: _Route) -> tuple[Shape, Source, float]:
        position = self.position[route.node]
        channels, y, x = self.shapes[position]
        pooling, factor = (1, 1), 1.0
        for name, module, _ in route.steps:
            if isinstance(module, DVSLayer):
                raise ConversionError(f"the DVSLayer {name} is not at the input: put it first")
            window, share = pool_of(module, (channels, y, x))
            pooling = (pooling[0] * window[0], pooling[1] * window[1])
            factor *= share
            y, x = y // window[0], x // window[1]
        if pooling[0] != pooling[1]:
            raise ConversionError(f"pools by {pooling}, the chip pools squares: use equal sides")
        return (channels, y, x), Source(position, pooling), factor

    def _neuron(
        self, node: Node, readers: list[int], shape: Shape
    ) -> tuple[str, NeuronSettings | None]:
        """Return name and numbers of the layer's neurons; no name and None where it has none."""
        if not readers:
            return "", None
        place = self.nodes[readers[0]]
        try:
            settings, checks = read_neuron(
                place.neuron_layer,
                shape,
                mend_min_v_mem=self.options.mend_min_v_mem,
                keep_state=self.options.keep_state,
            )
        except ConversionError as error:
            self._refuse_error(place.name, "neuron", error)
            return place.name, NeuronSettings(1.0, -1.0)
        self.checks.extend(replace(check, layer=place.name) for check in checks)
        return place.name, settings

    def _bias(
        self, node: Node, factor: float, neuron: NeuronSettings | None
    ) -> torch.Tensor | None:
        bias = getattr(node.module, "bias", None)
        if bias is None or not bool(bias.any()):
            return None
        largest = float(bias.detach().abs().max())
        threshold = neuron.threshold if neuron else None
        relative = f" ({largest / threshold:.3g} of the threshold)" if threshold else ""
        if not self.options.allow_bias:
            self._refuse(
                node.name,
                "bias",
                f"its bias reaches {largest:g}{relative}, on the chip a bias is a leak per tick"
                " of the slow clock",
                "remove it with speckflex fold and finetune, or allow biases",
            )
        return bias.detach().to(torch.float32).clone()

    def _note_dropped(self) -> None:
        """Tell what comes after the last layer, where a program ends."""
        told = {check.layer for check in self.checks} | self.used_steps
        silent = (*PASSING, *DROPOUTS, NeuronPlace, sl.Merge)
        for node in self.nodes:
            module = node.module
            if module is None or is_weight(node) or isinstance(module, silent):
                continue
            if node.name not in told:
                severity = "note" if isinstance(module, POOLINGS) else "warning"
                message = f"{type(module).__name__} after the last layer is left out"
                remedy = "recordings have the neurons in front of it"
                self.checks.append(Check(node.name, severity, "end", message, remedy=remedy))

    def _refuse_unread(self) -> None:
        """Refuse neurons that no weight layer feeds."""
        known = set(self.position)
        for index, node in enumerate(self.nodes):
            if isinstance(node.module, NeuronPlace) and index not in known:
                routes = self._routes(node.inputs[0], node.name)
                if all(not is_weight(self.nodes[route.node]) for route in routes):
                    self._refuse(
                        node.name,
                        "neurons",
                        "no weight layer stands in front of it",
                        "put a Conv2d or Linear in front of each neuron layer",
                    )
