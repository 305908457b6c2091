"""The numerical proof that the layers taken from a network compute what the network does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import sinabs.layers as sl
import torch
from torch.nn import functional

from speckflex.conversion._prepared import INPUT
from speckflex.errors import NetworkError
from speckflex.fitting.checks import Check
from speckflex.networks.native_run import native_runs
from speckflex.program.routing import enter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from speckflex.conversion._prepared import PreparedLayer, PreparedNetwork, Sender
    from speckflex.networks.native_run import NativeRun
    from speckflex.program.records import InputStage, Shape

__all__ = ["differences"]

# Sums in float32, whose order differs, over at most some 10 000 inputs.
TOLERANCE = 1e-4
RULE = "proof"


def differences(
    network: nn.Module, prepared: PreparedNetwork, input_shape: Shape, leading: int
) -> Iterator[Check]:
    """Yield an error for each layer that gets other inputs in the network's own forward pass.

    The network runs on random spikes, several time steps at once and several calls in a row. Each
    layer's neurons must get the same potentials as from the layers that were taken from it.

    Args:
        network: the user's own.
        prepared: what was taken from it.
        input_shape: (channel, y, x) of the events.
        leading: number of axes before the channels that a trace of it found.
    """
    modules = dict(network.named_modules())
    bare = [layer.name for layer in prepared.layers if not layer.neuron and layer.name in modules]
    try:
        for run in native_runs(network, input_shape, leading=leading, layers=bare):
            found = list(_of_run(modules, prepared, run))
            yield from found
            if found:
                return
    except NetworkError as error:
        message, _, remedy = str(error).rpartition(": ")
        yield Check("", "error", RULE, message, remedy=remedy)


def _of_run(
    modules: dict[str, nn.Module], prepared: PreparedNetwork, run: NativeRun
) -> Iterator[Check]:
    n_steps = len(run.frames)
    events = _entered(prepared.input, run.frames)
    spikes: dict[int, torch.Tensor] = {INPUT: events}
    for index, layer in enumerate(prepared.layers):
        name = layer.neuron_name if layer.neuron else layer.name
        calls = run.calls.get(name, [])
        if name not in modules:
            continue
        given = [call.given if layer.neuron else call.gave for call in calls]
        problem = _axes_problem(modules[name], given, run) if layer.neuron else None
        if problem:
            yield Check(name, "error", "time axis", *problem[:1], remedy=problem[1])
            return
        found = _stacked(given, layer.output_shape)
        if len(found) != n_steps:
            yield _another_count(name, len(found), n_steps)
            return
        expected = _potentials(layer, spikes)
        check = _compared(name, found, expected)
        if check is not None:
            yield check
            return
        if layer.neuron:
            spikes[index] = _stacked([call.gave for call in calls], layer.output_shape)


def _axes_problem(
    neurons: nn.Module, given: Sequence[torch.Tensor], run: NativeRun
) -> tuple[str, str] | None:
    """Return what neurons with an axis of time get instead of it, and what to do."""
    if isinstance(neurons, sl.SqueezeMixin) or (len(run.leading) > 1 and run.leading[0] > 1):
        return None
    steps = sum(values.shape[1] for values in given if values.dim() > 1)
    if steps == len(run.frames):
        return None
    shape = tuple(given[0].shape) if given else ()
    kind = type(neurons).__name__
    return (
        f"{kind} takes axis 1 of its input {shape} for time, but it is another axis",
        f"use {kind}Squeeze, or give it (batch, time, ...)",
    )


def _stacked(values: Sequence[torch.Tensor], shape: Shape) -> torch.Tensor:
    """Return the maps of all calls, (time, channel, y, x); none where they don't have that size."""
    size = shape[0] * shape[1] * shape[2]
    whole = torch.cat([value.flatten() for value in values]) if values else torch.empty(0)
    return whole.reshape(-1, *shape) if not len(whole) % size else torch.empty(0, *shape)


def _another_count(name: str, found: int, expected: int) -> Check:
    return Check(
        name,
        "error",
        RULE,
        f"the network's own forward pass gives it {found} maps in {expected} time steps",
        value=found,
        limit=expected,
        remedy="let every time step take the same way through the layers",
    )


def _entered(stage: InputStage, frames: torch.Tensor) -> torch.Tensor:
    """Return event counts behind the input stage, (time, channel, y, x)."""
    places = enter(stage)
    channels, height, width = stage.output_shape
    targets = (places.channels * height + places.rows) * width + places.columns
    values = frames.permute(0, 2, 3, 1).flatten(1)[:, torch.from_numpy(places.kept)]
    found = torch.zeros(len(frames), channels * height * width)
    found.index_add_(1, torch.from_numpy(targets[places.kept].astype(np.int64)), values)
    return found.reshape(-1, channels, height, width)


def _potentials(layer: PreparedLayer, spikes: dict[int, torch.Tensor]) -> torch.Tensor:
    """Return what a layer adds to its neurons, (time, channel, y, x)."""
    n_steps = len(spikes[INPUT])
    arriving = torch.zeros(n_steps, *layer.input_shape)
    for sender in layer.senders:
        values = _summed(spikes[sender.layer], sender)
        arriving[:, sender.shift : sender.shift + values.shape[1]] += values
    convolution = layer.convolution
    return functional.conv2d(
        arriving,
        convolution.weights,
        layer.bias,
        stride=convolution.stride,
        padding=convolution.padding,
    )


def _summed(values: torch.Tensor, sender: Sender) -> torch.Tensor:
    """Return spikes summed over a sender's pooling windows."""
    if sender.layer == INPUT or sender.pooling == (1, 1):
        return values
    return functional.avg_pool2d(values, sender.pooling, divisor_override=1)


def _compared(name: str, found: torch.Tensor, expected: torch.Tensor) -> Check | None:
    """Return an error that names the first value that differs; None where all are alike."""
    scale = float(expected.abs().max()) or 1.0
    apart = ~((found - expected).abs() <= TOLERANCE * scale)
    if not apart.any():
        return None
    step, channel, y, x = (int(place) for place in apart.nonzero()[0])
    at = (step, channel, y, x)
    return Check(
        name,
        "error",
        RULE,
        f"random spikes give it {float(found[at]):.6g} in the network's own forward pass, but"
        f" {float(expected[at]):.6g} in the layers taken from it, first at time step {step},"
        f" channel {channel}, y {y}, x {x}",
        remedy="let its forward pass call layers alone, the same ones in every call",
    )
