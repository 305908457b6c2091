"""The one way to a network's forward pass: a copy runs, and its steps are recorded."""

from __future__ import annotations

import copy
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks._hidden import attributes_of, counting, state_kept
from speckflex.networks._tracer import MAP_AXES, Tracer, settled
from speckflex.networks.layer_kinds import kind_of, own_forward, wants_time_axis

if TYPE_CHECKING:
    from collections.abc import Iterator

    from speckflex.networks._hidden import Attributes
    from speckflex.networks._tracer import Stop
    from speckflex.networks.forward_pass import ForwardPass, Step
    from speckflex.program.records import Shape

__all__ = ["takes_time_axis", "trace", "working_copy"]


def trace(network: nn.Module, input_shape: Shape | None = None) -> ForwardPass:
    """Return the record of a network's forward pass.

    A copy of the network runs in evaluation mode, and its neurons return their input. With an
    input shape the copy runs two times on zeros: the forward pass may ask for shapes and values,
    and `hidden` names the lines that ask for values, keep values from call to call, draw random
    numbers, or change memory that two tensors share. Without an input shape it runs once on
    stand-ins that have neither shapes nor values.

    Args:
        network: stays as it is; the nodes name its own layers.
        input_shape: (channel, y, x) of the events, or None.

    Raises:
        NetworkError: the network can't be copied, or its forward pass does not run.
    """
    working = working_copy(network)
    if input_shape is None:
        tracer = Tracer(network)
        try:
            return tracer.record(working)
        except Exception as error:  # a user's forward pass can raise anything on a stand-in
            raise NetworkError(
                f"network {type(network).__name__} can't be traced ({first_line(error)}): give the"
                " input shape, or let its forward pass not depend on values or shapes of its input"
            ) from error
    failures = []
    before = attributes_of(working)
    # Most networks take (batch * time, c, y, x); those with non-squeezing neurons often take
    # (batch, time, c, y, x).
    for leading in ((1,), (1, 1)):
        tracer = Tracer(network, torch.zeros(*leading, *input_shape))
        try:
            record = tracer.record(working)
        except Exception as error:  # noqa: BLE001  a user's forward pass can raise anything
            failures.append((error, tracer, len(leading)))
            _settle(working)
        else:
            return _twice(network, working, record, input_shape, before)
    # A network that repeats layers over time is meant to have that axis.
    repeats = any(isinstance(module, sl.Repeat) for module in network.modules())
    error, tracer, n_leading = failures[1 if repeats else 0]
    if tracer.hidden:
        cause = tracer.hidden[0]
        raise NetworkError(
            f"network {type(network).__name__}: {cause.message}, and it does not run on zeros"
            f" ({first_line(error)}): {cause.remedy}"
        )
    raise NetworkError(_blocked(input_shape, error, tracer.stop, n_leading))


def _blocked(input_shape: Shape, error: Exception, stop: Stop | None, n_leading: int) -> str:
    """Return a message: where an input with so many axes before its channels stops, and why."""
    place, remedy = "", "check the input shape and the network's forward pass"
    if stop is not None:
        place = f", it stops at layer {stop.name} ({type(stop.layer).__name__})"
        remedy = "check the input shape"
        if isinstance(stop.layer, nn.Conv1d):
            kernel = f"(1, {stop.layer.kernel_size[0]})"
            remedy = f"the chip has no Conv1d: use Conv2d with a kernel of {kernel}"
        elif isinstance(stop.layer, nn.Linear) and len(stop.shape) > n_leading + 1:
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


def takes_time_axis(network: nn.Module, input_shape: Shape) -> bool:
    """Return whether a network takes (batch, time, c, y, x) instead of (batch * time, c, y, x).

    Args:
        network: torch and sinabs layers.
        input_shape: (channel, y, x), to find out by a trace where a forward pass is a user's own.

    Raises:
        NetworkError: the forward pass does not run.
    """
    if wants_time_axis(network):
        return True
    if not any(map(own_forward, network.modules())):
        return False
    return trace(network, input_shape).leading > 1


def _twice(
    network: nn.Module,
    working: nn.Module,
    record: ForwardPass,
    input_shape: Shape,
    before: Attributes,
) -> ForwardPass:
    """Return the record of a first call, with what a second call does otherwise.

    Args:
        network: the user's own.
        working: its copy, after the first call.
        record: of the first call.
        input_shape: (channel, y, x).
        before: the attributes of the copy before the first call.
    """
    after = attributes_of(working)
    _settle(working)
    tracer = Tracer(network, torch.zeros(*(1,) * record.leading, *input_shape))
    try:
        second = tracer.record(working)
    except Exception as error:  # noqa: BLE001  a user's forward pass can raise anything
        difference, place = f"a second call stops with {first_line(error)}", ""
    else:
        difference, place = _difference(record, second)
    if difference:
        found = (state_kept(working, before, after, difference, place),)
    else:
        found = tuple(counting(working, after, attributes_of(working)))
    return replace(record, hidden=(*record.hidden, *found))


def _difference(first: ForwardPass, second: ForwardPass) -> tuple[str, str]:
    """Return how a second call differs, as a clause, and where; "" where it does not."""
    for one, other in zip_longest(first.steps, second.steps):
        step = other or one
        if step is not None and _signature(one) != _signature(other):
            is_function = step.layer is None or step.is_function
            name = f"torch's {step.name}" if is_function else f"layer {step.name}"
            verb = "runs" if other is not None else "does not run"
            return f"a second call {verb} {name}, unlike the first", step.place
    return "", ""


def _signature(step: Step | None) -> tuple[Any, ...]:
    return () if step is None else (step.name, step.role, step.inputs, step.shape, step.factor)


def _settle(working: nn.Module) -> None:
    """Put tensors in the place of the stand-ins that a run left in a network's attributes."""
    for module in working.modules():
        for name, value in list(vars(module).items()):
            if name not in ("_modules", "_parameters"):
                vars(module)[name] = settled(value)


def working_copy(network: nn.Module, neurons: type[nn.Module] = _Silent) -> nn.Module:
    """Return a float32 copy on the CPU, in evaluation mode.

    Args:
        network: stays as it is.
        neurons: what takes the place of each neuron layer; by default it returns its input.

    Raises:
        NetworkError: the network can't be copied.
    """
    memo: dict[int, Any] = {
        id(module): neurons() for module in network.modules() if kind_of(module).role == "neurons"
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
    for module in network.modules():
        stand_in = memo.get(id(module))
        if isinstance(stand_in, neurons):
            # A hook may change what a layer gives.
            vars(stand_in)["_forward_hooks"].update(module._forward_hooks)  # noqa: SLF001
            vars(stand_in)["_forward_pre_hooks"].update(module._forward_pre_hooks)  # noqa: SLF001
    return working.to(device="cpu", dtype=torch.float32).eval()


def _inner_tensors(network: nn.Module) -> Iterator[torch.Tensor]:
    for module in network.modules():
        for value in (*vars(module).values(), *module.buffers(recurse=False)):
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                yield value
