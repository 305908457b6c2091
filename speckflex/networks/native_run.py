"""A network's own forward pass on random spikes, with what reaches and leaves its neurons."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sinabs.layers as sl
import torch
from torch import nn

from speckflex._support.text import first_line
from speckflex.errors import NetworkError
from speckflex.networks.layer_kinds import kind_of, wants_time_axis
from speckflex.networks.trace import working_copy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from speckflex.program.records import Shape

__all__ = ["Call", "NativeRun", "native_runs"]

N_STEPS = 2
N_CALLS = 2
EVENTS_PER_PIXEL = 0.7


@dataclass(frozen=True)
class Call:
    """One call of a layer: what it was given, and what it gave on."""

    given: torch.Tensor
    gave: torch.Tensor


@dataclass(frozen=True)
class NativeRun:
    """Calls of a network, one after the other, on spikes that are no neuron's but random.

    Args:
        leading: the axes of the input before its channels.
        frames: `(time, channel, y, x) float32`, what all calls together were given.
        calls: of each neuron layer, and of the other layers that were asked for, by name.
    """

    leading: tuple[int, ...]
    frames: torch.Tensor
    calls: dict[str, list[Call]]


@torch.no_grad()
def native_runs(
    network: nn.Module, input_shape: Shape, *, leading: int, layers: Sequence[str] = ()
) -> Iterator[NativeRun]:
    """Yield a run for each order of batch and time that a network takes.

    Its neurons return random spikes and have no state, so that each call shows what lies between
    them. All calls of a run are made on one copy of the network, as a user makes them.

    Args:
        network: stays as it is.
        input_shape: (channel, y, x).
        leading: number of axes before the channels that a trace of it found.
        layers: names of other layers whose calls to keep.

    Raises:
        NetworkError: the network runs on zeros alone.
    """
    flat, timed = [(N_STEPS,)], [(1, N_STEPS), (N_STEPS, 1)]
    if leading > 1:
        choices = [timed, [(1, 1)]]
    elif wants_time_axis(network):
        choices = [timed[:1], flat, [(1, 1)], [(1,)]]
    else:
        choices = [flat, [(1,)]]
    failure: Exception | None = None
    found = False
    for layouts in choices:
        for layout in layouts:
            try:
                run = _run(network, input_shape, layout, layers)
            except Exception as error:  # noqa: BLE001  a user's forward pass can raise anything
                failure = error
                continue
            found = True
            yield run
        if found:
            return
    reason = "" if failure is None else f" ({first_line(failure)})"
    raise NetworkError(
        f"network {type(network).__name__} runs on zeros, but not on spikes{reason}: let its"
        " forward pass depend on shapes alone"
    )


class _RandomSpikes(nn.Module):
    """Stands for a neuron layer: returns random spikes, whatever it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator()

    def forward(self, values: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        rates = torch.full_like(values, EVENTS_PER_PIXEL)
        return torch.poisson(rates, generator=self.generator)

    def reset_states(self, *_: Any, **__: Any) -> None:
        """Do nothing: there is no state here."""


def _run(
    network: nn.Module, input_shape: Shape, layout: tuple[int, ...], layers: Sequence[str]
) -> NativeRun:
    working = working_copy(network, _RandomSpikes)
    neurons = [name for name, item in network.named_modules() if kind_of(item).role == "neurons"]
    calls: dict[str, list[Call]] = defaultdict(list)
    for seed, name in enumerate(neurons):
        stand_in: Any = working.get_submodule(name)
        stand_in.generator.manual_seed(seed + 1)
    for module in working.modules():
        if isinstance(module, sl.UnflattenTime):
            module.batch_size = layout[0] if len(layout) > 1 else 1
    for name in (*neurons, *layers):
        working.get_submodule(name).register_forward_hook(_keeper(calls[name]), prepend=True)
    generator = torch.Generator().manual_seed(0)
    rates = torch.full((N_CALLS, *layout, *input_shape), EVENTS_PER_PIXEL)
    events = torch.poisson(rates, generator=generator)
    with torch.random.fork_rng(devices=[]):
        for frames in events.clone():
            working(frames)
    return NativeRun(layout, events.reshape(-1, *input_shape), dict(calls))


def _keeper(calls: list[Call]) -> Any:
    def keep(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        calls.append(Call(inputs[0].clone(), output.clone()))

    return keep
