"""The same network with fewer spikes: each spike of a layer worth more, in thresholds alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.analysis.arrivals import arrivals_of
from speckflex.analysis.synops import count_taps
from speckflex.chips.formats import NEURON_MAX, NEURON_MIN
from speckflex.errors import ConversionError
from speckflex.events.streams import make_events
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["SpikeScale", "rescale_program", "spike_work", "tied_layers"]


@dataclass(frozen=True)
class SpikeScale:
    """What one layer sends on.

    Args:
        threshold: factor of the layer's threshold; its spikes are fewer by about this factor.
        decimation: one of so many spikes leaves the core: 1, 2, 4, 8 ... (the chip's output
            decimator, which counts the spikes of the whole core and not of each neuron).
    """

    threshold: float = 1.0
    decimation: int = 1

    @property
    def worth(self) -> float:
        """How much more a spike that leaves stands for than before."""
        return self.threshold * self.decimation


# The first ratios of the decimator; documents differ on the later ones.
SURE_INTERVALS = 5


def rescale_program(program: Program, scales: Sequence[SpikeScale]) -> Program:
    """Return a program that computes the same with spikes that stand for more.

    With g the factor of a layer's threshold, a spike of it stands for g spikes of before. So the
    layer behind it has to weigh each g times: `V' = V / g` does the same without a change of 8-bit
    weights, so its thresholds, its initial state and its bias are divided by g. The function is
    the same but for rounding and for what single spikes resolve. (Choice of this project, after
    the threshold balancing of converted networks.)

    Args:
        program: any program.
        scales: one for each core; equal ones where a core merges two layers.

    Raises:
        ConversionError: a threshold leaves the range of 16 bits or falls below 1, layers that are
            merged have different scales, or a core that is to be decimated already is.
    """
    worth = _arriving_worth(program, scales)
    cores = [
        _rescaled(core, scale, before)
        for core, scale, before in zip(program.cores, scales, worth, strict=True)
    ]
    return replace(program, cores=tuple(cores))


def tied_layers(program: Program) -> list[tuple[int, ...]]:
    """Return the cores whose scale can be chosen, those that need the same one together.

    Left out are cores that send to no core, and those that share a receiver with the input, whose
    events are worth 1.
    """
    senders: dict[int, list[int]] = {}
    for index, core in enumerate(program.cores):
        for destination in core.destinations:
            senders.setdefault(destination.core, []).append(index)
    groups: list[set[int]] = []
    for merged in senders.values():
        joined = set(merged)
        for group in [group for group in groups if group & joined]:
            groups.remove(group)
            joined |= group
        groups.append(joined)
    fixed = {
        sender
        for destination in program.input.destinations
        for sender in senders.get(destination.core, ())
    }
    return sorted(tuple(sorted(group)) for group in groups if not group & fixed)


def spike_work(program: Program, source: int) -> dict[int, np.ndarray]:
    """Return the synaptic operations that one spike of each neuron of a core causes.

    Args:
        program: the program; decimation is not counted.
        source: position of the core, -1 for the input stage.

    Returns:
        For each core that receives, (channel, y, x) int64 of the sender.
    """
    sender = program.input if source < 0 else program.cores[source]
    shape = program.input.shape if source < 0 else program.cores[source].output_shape
    channels, rows, columns = np.indices(shape).reshape(3, -1)
    work: dict[int, np.ndarray] = {}
    for target in sorted({destination.core for destination in sender.destinations}):
        found = np.zeros(len(channels), np.int64)
        # each neuron spikes once, at a time of its own, which its arrivals carry
        spikes = make_events(np.arange(len(channels)), columns, rows, channels)
        arrived = arrivals_of(spikes, sender, target)
        np.add.at(found, arrived["t"], count_taps(program.cores[target], arrived))
        work[target] = found.reshape(shape)
    return work


def _arriving_worth(program: Program, scales: Sequence[SpikeScale]) -> list[float]:
    """Return what an event at each core stands for, in events of before."""
    found: list[dict[float, str]] = [{} for _ in program.cores]
    for destination in program.input.destinations:
        found[destination.core][1.0] = "the input"
    for core, scale in zip(program.cores, scales, strict=True):
        for destination in core.destinations:
            found[destination.core][scale.worth] = core.name
    for core, worths in zip(program.cores, found, strict=True):
        if len(worths) > 1:
            names = " and ".join(f"{name} ({worth:g})" for worth, name in worths.items())
            raise ConversionError(
                f"core {core.name}: spikes of different worth meet there, of {names}: give the"
                " layers that send to it the same scale"
            )
    return [next(iter(worths), 1.0) for worths in found]


def _rescaled(core: Core, scale: SpikeScale, before: float) -> Core:
    factor = scale.threshold / before
    # a layer that is read by its potential does not fire: its threshold stays out of reach
    high = core.threshold_high
    if core.readout == "spikes":
        high = _rounded(core, "threshold_high", core.threshold_high * factor)
        if high < 1:
            raise ConversionError(
                f"core {core.name}: a threshold of {core.threshold_high} times {factor:.3g} is"
                " below 1: give the layer before it a smaller scale"
            )
    low = _rounded(core, "threshold_low", core.threshold_low * factor)
    return replace(
        core,
        threshold_high=high,
        threshold_low=low,
        bias=None if core.bias is None else np.rint(core.bias / before),
        initial_state=None
        if core.initial_state is None
        else np.floor(core.initial_state * factor).clip(NEURON_MIN, NEURON_MAX),
        decimator_interval=_interval(core, scale.decimation),
        scale=core.scale / before,
    )


def _rounded(core: Core, name: str, value: float) -> int:
    rounded = int(np.rint(value))
    if name == "threshold_low":
        return max(rounded, NEURON_MIN)
    if rounded > NEURON_MAX:
        raise ConversionError(
            f"core {core.name}: {name} would be {rounded}, a neuron holds at most {NEURON_MAX}:"
            " give the layer a smaller scale"
        )
    return rounded


def _interval(core: Core, decimation: int) -> int | None:
    if decimation == 1:
        return core.decimator_interval
    ratios = TwinSettings().ratios[:SURE_INTERVALS]
    if core.decimator_interval is not None or decimation not in ratios:
        raise ConversionError(
            f"core {core.name}: it can't pass one of {decimation} spikes: a decimator that is off"
            f" can pass one of {', '.join(map(str, ratios))}"
        )
    return ratios.index(decimation)
