"""From a torch network to plain layers in the order of their calls, or the list of obstacles."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from speckflex.conversion._convolution import convolution_of
from speckflex.conversion._flow import Flow, Stream, sends_once
from speckflex.conversion._flows import flow_after, input_flow, reshaped
from speckflex.conversion._neuron import Neuron, neuron_of
from speckflex.conversion._prepared import PreparedLayer, PreparedNetwork, Sender
from speckflex.conversion._proof import differences
from speckflex.conversion.options import ConversionOptions
from speckflex.errors import ConversionError, NetworkError
from speckflex.fitting.checks import Check, CheckList
from speckflex.networks.copying import missing_values
from speckflex.networks.layer_kinds import kind_of, own_forward
from speckflex.networks.spiking import spiking_network
from speckflex.networks.trace import trace
from speckflex.program.records import InputStage

if TYPE_CHECKING:
    from speckflex.conversion._convolution import Convolution
    from speckflex.networks.forward_pass import ForwardPass, Step
    from speckflex.program.records import Shape

__all__ = ["prepare"]

RELUS = Check(
    "",
    "note",
    "relu",
    "its ReLUs become integrate-and-fire neurons with threshold 1 and lower bound -1",
)
# What a program can lack without a word when it comes behind the last layer.
SILENT = frozenset({"input", "weights", "neurons", "shaping", "dropped", "time"})


def prepare(
    network: nn.Module, input_shape: Shape, options: ConversionOptions | None = None
) -> PreparedNetwork:
    """Return a network's layers in the form that a core takes; the network stays as it is.

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
        has_neurons = any(kind_of(module).role == "neurons" for module in network.modules())
        spiking = network if has_neurons else spiking_network(network, input_shape=shape)
        forward = trace(spiking, shape)
    except NetworkError as error:
        raise ConversionError(str(error)) from error
    found = [] if spiking is network else [RELUS]
    found += _left_at_default(network)
    prepared = _Preparation(forward, shape, options or ConversionOptions()).run()
    if not any(check.severity == "error" for check in prepared.checks):
        found += differences(spiking, prepared, shape, forward.leading)
    return replace(prepared, checks=(*prepared.checks, *found))


def _left_at_default(network: nn.Module) -> list[Check]:
    """Return a warning about what a forward pass takes beside the frames."""
    if not own_forward(network):
        return []
    names = list(inspect.signature(network.forward).parameters.values())[1:]
    left = [item.name for item in names if item.kind not in (item.VAR_POSITIONAL, item.VAR_KEYWORD)]
    if not left:
        return []
    message = f"its forward pass also takes {', '.join(left)}, which the chip can't give it"
    remedy = "the program is the network with the defaults"
    return [Check("", "warning", "arguments", message, remedy=remedy)]


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
class _Draft:
    """A weight layer while the walk looks for its neurons."""

    step: Step
    convolution: Convolution
    input_shape: Shape
    senders: tuple[Sender, ...]
    neuron_name: str = ""
    neuron: Neuron | None = None
    factor: float = 1.0


class _Preparation:
    """The work of `prepare`: one walk over the forward pass collects layers and findings."""

    def __init__(
        self, forward: ForwardPass, input_shape: Shape, options: ConversionOptions
    ) -> None:
        self.forward, self.input_shape, self.options = forward, input_shape, options
        self.findings = CheckList()
        self.stage: InputStage | None = None
        self.drafts: dict[int, _Draft] = {}
        self.used: set[int] = set()

    def run(self) -> PreparedNetwork:
        for hidden in self.forward.hidden:
            check = Check("", hidden.severity, hidden.rule, hidden.message, remedy=hidden.remedy)
            self.findings.checks.append(check)
        self._refuse_reuse()
        flows: list[Flow] = []
        for position, step in enumerate(self.forward.steps):
            flows.append(self._flow(position, step, [flows[read] for read in step.inputs]))
        layers = tuple(self._layer(draft) for draft in self.drafts.values())
        self._note_left_out()
        if not layers and not self.findings.has_error:
            self.findings.refuse(
                "", "weight layers", "it has no weight layer", "add a Conv2d or Linear"
            )
        stage = replace(
            self.stage or InputStage(self.input_shape), event_filter=self.options.event_filter
        )
        return PreparedNetwork(layers, stage, tuple(self.findings.checks))

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

    def _flow(self, position: int, step: Step, read: list[Flow]) -> Flow:
        """Return the values of a step, and take it in if it is a layer."""
        if step.role == "input":
            return input_flow(self.input_shape)
        if step.role == "weights":
            return self._take_weights(position, step, read[0])
        if step.role == "neurons":
            return self._take_neurons(position, step, read[0])
        maps = [self.forward.steps[place].map for place in step.inputs]
        flow = flow_after(step, read, maps)
        return replace(flow, passed=(*flow.passed, position))

    def _take_weights(self, position: int, step: Step, flow: Flow) -> Flow:
        """Turn one weight layer into a draft; obstacles go to the findings."""
        arriving = self.forward.steps[step.inputs[0]].map
        if isinstance(step.layer, nn.Conv2d) and arriving not in (None, flow.shape):
            flow = flow.blocked(reshaped(flow.shape, arriving), shape=arriving)
        clear = self._report(flow, step.name)
        if clear and flow.potentials is not None:
            self.findings.refuse(
                self.forward.steps[flow.potentials].name,
                "neurons",
                f"no neuron layer lies between it and {step.name}",
                "put an IAFSqueeze after it",
            )
        elif clear:
            self._check_senders(step, flow)
        convolution = self._convolution(step, flow)
        output = step.map if convolution is None else convolution.output_shape(flow.shape)
        if convolution is not None:
            self.drafts[position] = _Draft(step, convolution, flow.shape, flow.senders)
        return Flow.even(output or flow.shape, potentials=position)

    def _take_neurons(self, position: int, step: Step, flow: Flow) -> Flow:
        """Give a weight layer its neurons; obstacles go to the findings."""
        clear = self._report(flow, step.name)
        if flow.potentials is None and clear:
            self.findings.refuse(
                step.name,
                "neurons",
                "no weight layer comes before it",
                "put a Conv2d or Linear before each neuron layer",
            )
        name, neuron = step.name, self._neuron(step, flow.shape)
        draft = self.drafts.get(-1 if flow.potentials is None else flow.potentials)
        if draft is None:
            return Flow.even(flow.shape)
        if draft.neuron is not None:
            self.findings.refuse(
                draft.step.name,
                "neurons",
                "2 neuron layers read it, but a core has one",
                "give each its own weight layer",
            )
        draft.neuron_name, draft.neuron = name, neuron
        draft.factor = max(flow.gains, key=abs)
        sender = Sender(list(self.drafts.values()).index(draft))
        return Flow.even(draft.convolution.output_shape(draft.input_shape), (Stream(sender),))

    def _report(self, flow: Flow, reader: str) -> bool:
        """Refuse what lies on the way to a layer; return whether nothing does."""
        self.used.update(flow.passed)
        hidden = {found.place for found in self.forward.hidden if found.place}
        for obstacle in flow.obstacles:
            if obstacle.place in hidden:
                continue
            name = reader if obstacle.layer is None else obstacle.layer
            self.findings.refuse(name, obstacle.rule, obstacle.message, obstacle.remedy)
        return not flow.obstacles

    def _check_senders(self, step: Step, flow: Flow) -> None:
        """Refuse a layer that the chip can't send these spikes to."""
        if not sends_once(flow):
            self.findings.refuse(
                step.name,
                "merge",
                "it merges the network's input with spikes, or one layer with itself",
                "merge the spikes of different layers",
            )
        for sender in flow.senders:
            if sender.pooling[0] != sender.pooling[1]:
                self.findings.refuse(
                    self._pool_before(step, flow),
                    "pooling",
                    f"pools by {sender.pooling}, but the chip pools only squares",
                    "use equal sides",
                )
        for stream in flow.streams:
            if stream.stage is not None and self.stage not in (None, stream.stage):
                self.findings.refuse(
                    self._pool_before(step, flow),
                    "pooling",
                    "the network's input is pooled or cropped in two ways, but the chip has one"
                    " input stage",
                    "pool and crop the input once",
                )
            self.stage = stream.stage or self.stage

    def _pool_before(self, step: Step, flow: Flow) -> str:
        """Return the name of the first pooling on the way to a layer, else the layer's."""
        steps = [self.forward.steps[place] for place in flow.passed]
        pools = (found.name for found in steps if found.role in {"pooling", "input stage"})
        return next(pools, step.name)

    def _convolution(self, step: Step, flow: Flow) -> Convolution | None:
        """Return a weight layer as a convolution of a map; None where it can't be one."""
        weights: Any = step.copied
        try:
            convolution = convolution_of(weights, flow.shape)
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
        gains = torch.tensor(flow.gains).reshape(1, -1, 1, 1)
        return replace(convolution, weights=convolution.weights * gains)

    def _neuron(self, step: Step, shape: Shape) -> Neuron:
        """Return the numbers of a neuron layer."""
        layer: Any = step.layer
        try:
            neuron, checks = neuron_of(layer, shape, self.options)
        except ConversionError as error:
            self.findings.refuse_error(step.name, "neuron", error)
            return Neuron(1.0, -1.0)
        self.findings.checks.extend(replace(check, layer=step.name) for check in checks)
        return neuron

    def _layer(self, draft: _Draft) -> PreparedLayer:
        """Return a draft as the layer that it became."""
        convolution = draft.convolution
        if draft.factor != 1:
            convolution = replace(convolution, weights=convolution.weights * draft.factor)
        return PreparedLayer(
            name=draft.step.name,
            neuron_name=draft.neuron_name,
            convolution=convolution,
            bias=self._bias(draft),
            neuron=draft.neuron,
            input_shape=draft.input_shape,
            senders=draft.senders,
        )

    def _bias(self, draft: _Draft) -> torch.Tensor | None:
        bias: Any = getattr(draft.step.copied, "bias", None)
        if bias is None or not bool(bias.any()):
            return None
        largest = float(bias.detach().abs().max())
        threshold = draft.neuron.threshold if draft.neuron else None
        relative = f" ({largest / threshold:.3g} of the threshold)" if threshold else ""
        if not self.options.allow_bias:
            self.findings.refuse(
                draft.step.name,
                "bias",
                f"its bias reaches {largest:g}{relative}, but the chip adds a bias once per tick"
                " of its slow clock",
                "remove it with speckflex fold and finetune, or convert with allow_bias",
            )
        return bias.detach() * draft.factor

    def _note_left_out(self) -> None:
        """Record what comes after the last layer, where a program ends."""
        known = {check.layer for check in self.findings.checks if check.layer}
        for position in sorted(self.forward.leading_to_outputs() - self.used):
            step = self.forward.steps[position]
            if step.role in SILENT or step.name in known:
                continue
            kind = f"torch's {step.name}" if step.place else type(step.layer).__name__
            place = f" ({step.place})" if step.place else ""
            self.findings.checks.append(
                Check(
                    "" if step.place else step.name,
                    "note" if step.role in {"pooling", "scale"} else "warning",
                    "end",
                    f"{kind} after the last layer is left out{place}",
                    remedy="recordings hold the spikes of the neurons before it",
                )
            )
