"""From a torch network to plain layers that sinabs' backend takes, or the list of obstacles."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex.conversion._convolution import convolution_of
from speckflex.conversion._layer_input import LayerInputs
from speckflex.conversion._neuron import Neuron, neuron_of
from speckflex.conversion._prepared import PreparedLayer, PreparedNetwork
from speckflex.conversion._routes import Routes
from speckflex.conversion.options import ConversionOptions
from speckflex.errors import ConversionError, NetworkError
from speckflex.fitting.checks import Check, CheckList
from speckflex.networks.copying import missing_values
from speckflex.networks.trace import trace
from speckflex.program.records import InputStage

if TYPE_CHECKING:
    from speckflex.conversion._convolution import Convolution
    from speckflex.networks.forward_pass import ForwardPass, Step
    from speckflex.program.records import Shape

__all__ = ["prepare"]


def prepare(
    network: nn.Module, input_shape: Shape, options: ConversionOptions | None = None
) -> PreparedNetwork:
    """Return a network in the form that sinabs' backend takes; the network stays as it is.

    Args:
        network: torch and sinabs layers.
        input_shape: (channel, y, x) of the events.
        options: what to do where the chip differs; defaults of `ConversionOptions`.

    Raises:
        ConversionError: the network has no values, or does not run on that shape. Everything that
            the chip can't do is in `checks` instead, with severity "error".
    """
    if not isinstance(network, nn.Module):
        raise ConversionError(
            f"the network is a {type(network).__name__}, not a torch module: load it first"
        )
    problem = missing_values(network)
    if problem:
        raise ConversionError(problem)
    shape = _checked_shape(input_shape)
    try:
        forward = trace(network, shape)
    except NetworkError as error:
        raise ConversionError(str(error)) from error
    return _Preparation(forward, shape, options or ConversionOptions()).run()


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


class _Preparation:
    """The work of `prepare`: walks the forward pass once, collecting layers and findings."""

    def __init__(
        self, forward: ForwardPass, input_shape: Shape, options: ConversionOptions
    ) -> None:
        self.forward, self.input_shape, self.options = forward, input_shape, options
        self.findings = CheckList()
        self.routes = Routes(forward, self.findings)
        self.inputs = LayerInputs(forward, self.routes, input_shape, self.findings)
        self.layers: list[PreparedLayer] = []

    def run(self) -> PreparedNetwork:
        self._refuse_reuse()
        for position in self.forward.positions("weights"):
            self._take_layer(position)
        self._refuse_unread()
        self._note_dropped()
        if not self.layers and not self.findings.has_error:
            self.findings.refuse(
                "", "weight layers", "it has no weight layer", "add a Conv2d or Linear"
            )
        stage = self.inputs.stage or InputStage(self.input_shape)
        stage = replace(stage, event_filter=self.options.event_filter)
        return PreparedNetwork(tuple(self.layers), stage, tuple(self.findings.checks))

    def _refuse_reuse(self) -> None:
        """Refuse a weight or neuron layer that runs twice: a core has its own memory."""
        positions = self.forward.positions("weights", "neurons")
        calls = Counter(self.forward.steps[position].name for position in positions)
        for name, count in calls.items():
            if count > 1:
                self.findings.refuse(
                    name,
                    "reuse",
                    f"it is called {count} times, but a core runs one layer",
                    "give each call a layer of its own",
                )

    def _take_layer(self, position: int) -> None:
        """Turn one weight layer into a prepared one; obstacles go to the findings."""
        step = self.forward.steps[position]
        arriving = self.inputs.of(position)
        readers = self.routes.readers(position)
        if arriving is None:
            return
        convolution = self._convolution(step, arriving.shape)
        if convolution is None:
            return
        output = convolution.output_shape(arriving.shape)
        neuron_name, neuron = self._neuron(readers, output)
        self.inputs.let_send(readers, len(self.layers), output)
        self.layers.append(
            PreparedLayer(
                name=step.name,
                neuron_name=neuron_name,
                convolution=replace(convolution, weights=convolution.weights * arriving.factor),
                bias=self._bias(step, neuron),
                neuron=neuron,
                input_shape=arriving.shape,
                senders=arriving.senders,
            )
        )

    def _convolution(self, step: Step, shape: Shape) -> Convolution | None:
        """Return a weight layer as a convolution of a map; None where it can't be one."""
        weights: Any = step.copied
        try:
            convolution = convolution_of(weights, shape)
        except ConversionError as error:
            self.findings.refuse_error(step.name, "weights", error)
            return None
        for change in convolution.changes:
            self.findings.checks.append(Check(step.name, "note", "weights", change))
        if not bool(convolution.weights.isfinite().all()):
            message = "its weights have values that are infinite or NaN"
            remedy = "train again with a smaller learning rate"
            self.findings.refuse(step.name, "weights", message, remedy)
            return None
        return convolution

    def _neuron(self, readers: list[int], shape: Shape) -> tuple[str, Neuron | None]:
        """Return name and numbers of the layer's neurons; no name and None where it has none."""
        if not readers:
            return "", None
        step = self.forward.steps[readers[0]]
        layer: Any = step.layer
        try:
            neuron, checks = neuron_of(layer, shape, self.options)
        except ConversionError as error:
            self.findings.refuse_error(step.name, "neuron", error)
            return step.name, Neuron(1.0, -1.0)
        self.findings.checks.extend(replace(check, layer=step.name) for check in checks)
        return step.name, neuron

    def _bias(self, step: Step, neuron: Neuron | None) -> torch.Tensor | None:
        bias = getattr(step.copied, "bias", None)
        if bias is None or not bool(bias.any()):
            return None
        largest = float(bias.detach().abs().max())
        threshold = neuron.threshold if neuron else None
        relative = f" ({largest / threshold:.3g} of the threshold)" if threshold else ""
        if not self.options.allow_bias:
            self.findings.refuse(
                step.name,
                "bias",
                f"its bias reaches {largest:g}{relative}, but the chip adds a bias once per tick"
                " of its slow clock",
                "remove it with speckflex fold and finetune, or convert with allow_bias",
            )
        return bias.detach().clone()

    def _note_dropped(self) -> None:
        """Record what comes after the last layer, where a program ends."""
        known = self.routes.met | {check.layer for check in self.findings.checks}
        for position in self.forward.positions("pooling", "input stage", "norm", "relu", "other"):
            step = self.forward.steps[position]
            if step.name not in known:
                severity = "note" if step.role == "pooling" else "warning"
                message = f"{type(step.layer).__name__} after the last layer is left out"
                remedy = "recordings hold the spikes of the neurons before it"
                self.findings.checks.append(
                    Check(step.name, severity, "end", message, remedy=remedy)
                )

    def _refuse_unread(self) -> None:
        """Refuse neurons that no weight layer feeds."""
        for position in self.forward.positions("neurons"):
            if self.inputs.sends(position):
                continue
            origins = [self.forward.steps[route.origin] for route in self.routes.into(position)]
            if not any(origin.role == "weights" for origin in origins):
                self.findings.refuse(
                    self.forward.steps[position].name,
                    "neurons",
                    "no weight layer comes before it",
                    "put a Conv2d or Linear before each neuron layer",
                )
