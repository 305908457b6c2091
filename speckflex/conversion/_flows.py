"""The steps between layers: what each of them does to the spikes on their way to a core."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from speckflex.conversion._flow import Flow, Obstacle, Stream, concatenated, merged, pooled, scaled
from speckflex.conversion._input_stage import with_camera_layer, with_pool
from speckflex.conversion._pooling import pool_of
from speckflex.conversion._prepared import INPUT, Sender
from speckflex.errors import ConversionError
from speckflex.program.records import InputStage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from speckflex.networks.forward_pass import Step, StepRole
    from speckflex.program.records import Shape

__all__ = ["flow_after", "input_flow"]

LAYERS = "Conv2d, Linear, ReLU, IAFSqueeze, AvgPool2d, SumPool2d, Merge, Flatten"


def input_flow(shape: Shape) -> Flow:
    """Return the events that reach the network, of a (channel, y, x) shape."""
    return Flow.even(shape, (Stream(Sender(INPUT), InputStage(shape)),))


def flow_after(step: Step, flows: Sequence[Flow], arriving: Sequence[Shape | None]) -> Flow:
    """Return the values of a step between layers, with an obstacle where the chip can't do it.

    Args:
        step: a step that is no weight layer and no neurons.
        flows: what it reads.
        arriving: the (channel, y, x) maps that it reads in torch; None where torch has rows.
    """
    if step.role in MAPS:
        for flow, shape in zip(flows, arriving, strict=True):
            if shape is not None and shape != flow.shape and not flow.obstacles:
                return flow.blocked(reshaped(flow.shape, shape), shape=shape)
    if step.role == "merge":
        return merged(flows)
    if step.role == "concat":
        return concatenated(flows)
    return STEPS.get(step.role, _lacking)(step, flows[0])


def reshaped(before: Shape, after: Shape) -> Obstacle:
    """Return the obstacle that a map gets another shape on its way to a layer."""
    return Obstacle(
        "shape",
        f"a map of {_sizes(before)} is reshaped to {_sizes(after)} before it, but a core sends its"
        " map as it is",
        "keep the shape, or flatten it for a Linear",
    )


def _sizes(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def _passed_on(_: Step, flow: Flow) -> Flow:
    return flow


def _scale(step: Step, flow: Flow) -> Flow:
    return scaled(flow, step.factor)


def _pool(step: Step, flow: Flow) -> Flow:
    if flow.obstacles:
        return flow.blocked(shape=step.values)
    if flow.potentials is not None:
        return flow.blocked(
            Obstacle(
                "pooling",
                "it pools potentials, but the chip pools spikes",
                "put the pooling after the neurons",
                step.title,
            ),
            shape=step.values,
        )
    try:
        layer: Any = step.layer
        window, share = pool_of(layer, flow.shape)
        if flow.streams and flow.streams[0].stage is not None:
            return scaled(_staged(flow, lambda stage: with_pool(stage, window)), share)
        return scaled(pooled(flow, window), share)
    except ConversionError as error:
        return _refused(step, flow, "pooling", error)


def _camera(step: Step, flow: Flow) -> Flow:
    if any(stream.stage is None for stream in flow.streams):
        place = Obstacle("input stage", "it is not at the input", "put it first", step.title)
        return flow.blocked(place, shape=step.values)
    try:
        return _staged(flow, lambda stage: with_camera_layer(stage, step.layer))
    except ConversionError as error:
        return _refused(step, flow, "pooling", error)


def _staged(flow: Flow, change: Callable[[InputStage], InputStage]) -> Flow:
    """Return events of the network's input behind a changed input stage."""
    (stream,) = flow.streams
    stage = change(stream.stage or InputStage(flow.shape))
    gains = flow.gains[:1] * stage.output_shape[0]
    return replace(
        flow, shape=stage.output_shape, gains=gains, streams=(replace(stream, stage=stage),)
    )


def _relu(step: Step, flow: Flow) -> Flow:
    """Return spikes as they are: no ReLU changes them."""
    if flow.potentials is None:
        return flow
    kind = type(step.layer).__name__
    remedy = "make the network spiking with sinabs.from_torch.from_model"
    if step.is_function:
        remedy = "use IAFSqueeze here too, or ReLU everywhere"
    obstacle = Obstacle("layer kind", f"the chip has no {kind}", remedy, step.title)
    return flow.blocked(obstacle, shape=step.values)


def _norm(step: Step, flow: Flow) -> Flow:
    if _is_identity(step.copied):
        return flow
    kind = type(step.layer).__name__
    remedy = "fold it first with speckflex fold"
    return flow.blocked(
        Obstacle("batch norm", f"the chip has no {kind}", remedy, step.title), shape=step.map
    )


def _lacking(step: Step, flow: Flow) -> Flow:
    """Return the flow behind a step that the chip has not."""
    return flow.blocked(lacking(step), shape=step.values)


def lacking(step: Step) -> Obstacle:
    """Return the obstacle that the chip has no such step."""
    if step.layer is None:
        place = f" ({step.place})" if step.place else ""
        return Obstacle(
            "function",
            f"torch's {step.name} runs before it{place}, but the chip has no such step",
            f"use layers: {LAYERS}",
            place=step.place,
        )
    kind = type(step.layer).__name__
    remedy = "leave it out, or use layers that the chip has"
    if type(step.layer).__module__ == nn.ReLU.__module__:
        remedy = "train with ReLU, which becomes integrate-and-fire neurons"
    elif isinstance(step.layer, nn.ZeroPad2d):
        remedy = "give its padding to the convolution behind it"
    return Obstacle("layer kind", f"the chip has no {kind}", remedy, step.title)


def _refused(step: Step, flow: Flow, rule: str, error: ConversionError) -> Flow:
    message, _, remedy = str(error).rpartition(": ")
    return flow.blocked(Obstacle(rule, message, remedy, step.title), shape=step.values)


def _is_identity(norm: Any) -> bool:
    """Return whether a batch norm in evaluation mode returns what it is given."""
    if norm.running_mean is None or norm.running_var is None:
        return False
    gain = (norm.running_var + norm.eps).rsqrt()
    shift = -norm.running_mean * gain
    if norm.affine:
        gain, shift = gain * norm.weight, shift * norm.weight + norm.bias
    return bool((gain == 1).all() and (shift == 0).all())


# Steps for which the shape of the map that they read matters.
MAPS = frozenset({"pooling", "concat"})
STEPS: dict[StepRole, Callable[[Step, Flow], Flow]] = {
    "shaping": _passed_on,
    "dropped": _passed_on,
    "time": _passed_on,
    "scale": _scale,
    "pooling": _pool,
    "input stage": _camera,
    "relu": _relu,
    "norm": _norm,
}
