"""Which layer costs accuracy: runs in which one layer at a time is as on the chip."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from speckflex.boards import open_board
from speckflex.deployment.progress import Progress, ignore
from speckflex.recordings.measures import relative_difference
from speckflex.twin.settings import TwinSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Literal

    from torch import nn

    from speckflex.boards import Board
    from speckflex.data import EventDataset
    from speckflex.deployment.progress import Watch
    from speckflex.program.program import Program
    from speckflex.recordings.recording import Recording
    from speckflex.report.facts import LayerEffect

    Cause = Literal["weights", "events", "rate"]

__all__ = ["explain"]

BATCH = 32  # samples that are played at once
STAGE = "effect of each layer"


def explain(  # noqa: PLR0913 - what is played, on what, and whom to tell
    program: Program,
    dataset: EventDataset,
    *,
    network: nn.Module | None = None,
    bins: int = 10,
    rate: float | None = None,
    settings: TwinSettings | None = None,
    progress: Watch = ignore,
) -> tuple[LayerEffect, ...]:
    """Return what each layer costs by each property of the chip, the dearest first.

    Three questions are asked of every layer; `LayerEffect.cause` says what each compares. The
    effects of the events add up to the step from time steps to the twin. Those of the weights
    need not add up, since errors of several layers may cancel or grow.

    Args:
        program: the program.
        dataset: the recordings and their labels.
        network: the bias-free network that was converted; None to leave the effect of the weights
            out.
        bins: number of time steps per sample.
        rate: synaptic operations per second of a core; None for that of the chip's record.
        settings: other settings of the twin.
        progress: called with each step: a batch of samples with one layer alone.

    Raises:
        EventsError: a recording does not fit the program.
    """
    settings = settings or TwinSettings()
    timed = settings.at_rate(rate or program.chip_record.synops_per_second)
    runs = _Runs(program, network, bins)
    counter = _Counter(runs.n_each * -(-len(dataset) // BATCH), progress)
    for start in range(0, len(dataset), BATCH):
        samples = [events for events, _ in dataset[start : start + BATCH]]
        runs.add_steps(samples, settings, counter)
        runs.add_rates(samples, replace(timed, input_buffer=None), counter)
    counter.finish()
    return tuple(sorted(runs.effects(dataset.labels), key=_cost, reverse=True))


@dataclass
class _Counter:
    """Counts plays of batches, and tells of each before it begins.

    Args:
        total: number of plays.
        watch: called with each step.
        done: number of plays that have begun.
    """

    total: int
    watch: Watch
    done: int = 0

    def step(self) -> None:
        self.watch(Progress(STAGE, self.done, self.total))
        self.done += 1

    def finish(self) -> None:
        """Tell that all is done; plays that were not needed count as done."""
        self.watch(Progress(STAGE, self.total, self.total))


def _cost(effect: LayerEffect) -> tuple[float, float]:
    return (effect.points_lost or 0.0, effect.spike_difference or 0.0)


@dataclass
class _Outputs:
    """The answers and the output spikes of one run, batch by batch."""

    answers: list[np.ndarray] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)

    def add(self, recording: Recording) -> None:
        spiking = [record for record in recording.layers if record.potentials is None]
        self.answers.append(recording.answers())
        self.counts.append((spiking or list(recording.layers))[-1].counts)


class _Runs:
    """All runs of a program: without and with each property of the chip, layer by layer."""

    def __init__(self, program: Program, network: nn.Module | None, bins: int) -> None:
        # torch takes seconds to import, and a deployment of a .speck file may not need it
        from speckflex.deployment.eight_bit import EightBitSteps

        self.program = program
        self.bins = bins
        layers = range(len(program.cores))
        self._integers = EightBitSteps(program, network, bins=bins)
        self._exact, self._mixed = None, []
        if network is not None:
            from speckflex.conversion.exact import exact_layers

            exact = exact_layers(network, program)
            self._exact = EightBitSteps(program, network, bins=bins, numbers=exact)
            for layer in layers:
                numbers = [*exact[:layer], program.cores[layer], *exact[layer + 1 :]]
                player = EightBitSteps(program, network, bins=bins, numbers=numbers)
                self._mixed.append(player)
        self.exact, self.unlimited = _Outputs(), _Outputs()
        self.weights = [_Outputs() for _ in layers]
        # from all layers in time steps to all layers event by event
        self.events = [_Outputs() for _ in range(len(program.cores) + 1)]
        self.rates = [_Outputs() for _ in layers]

    @property
    def n_each(self) -> int:
        """Number of plays of each batch, where none turns out to be superfluous."""
        n_layers = len(self.program.cores)
        in_weights = 0 if self._exact is None else 1 + n_layers
        return in_weights + 1 + n_layers + 1 + n_layers

    def add_steps(
        self, samples: list[np.ndarray], settings: TwinSettings, counter: _Counter
    ) -> None:
        """Play samples with one layer at a time in 8 bits, and event by event."""
        if self._exact is not None:
            counter.step()
            exact = self._exact.play(samples)
            self.exact.add(exact)
            before = _binned(exact, samples, self.bins)
            for layer, player in enumerate(self._mixed):
                counter.step()
                player.given = {index: before[index] for index in before if index < layer}
                self.weights[layer].add(player.play(samples, keep_events=False))
        counter.step()
        with open_board("twin", settings=settings) as twin:
            twin.load(self.program)
            played = twin.play(samples)
        self.unlimited.add(played)
        binned = _binned(played, samples, self.bins)
        for layer, run in enumerate(self.events[:-1]):
            counter.step()
            self._integers.given = {index: binned[index] for index in binned if index < layer}
            run.add(self._integers.play(samples, keep_events=False))
        self.events[-1].add(played)

    def add_rates(self, samples: list[np.ndarray], timed: TwinSettings, counter: _Counter) -> None:
        """Play samples on the twin with one core at a time that has no room for more events."""
        layers = range(len(self.program.cores))
        counter.step()
        with open_board("twin", settings=timed) as twin:
            if not _lost(twin, self.program, set(layers), samples).lost_events:
                counter.done += len(layers)
                return
            for layer in layers:
                counter.step()
                self.rates[layer].add(_lost(twin, self.program, {layer}, samples))

    def effects(self, labels: np.ndarray) -> Iterator[LayerEffect]:
        """Yield the effect of every property in every layer."""
        for layer, core in enumerate(self.program.cores):
            if self._exact is not None:
                yield _effect("weights", core.name, (self.exact, self.weights[layer]), labels)
            pair = (self.events[layer], self.events[layer + 1])
            yield _effect("events", core.name, pair, labels)
            if len(self.rates[layer].answers) == len(self.unlimited.answers):
                yield _effect("rate", core.name, (self.unlimited, self.rates[layer]), labels)


def _lost(
    twin: Board, program: Program, full: set[int], samples: Sequence[np.ndarray]
) -> Recording:
    """Return a play in which only the cores in `full` lose the events that find no room."""
    cores = tuple(
        replace(core, congestion_balancer=index in full) for index, core in enumerate(program.cores)
    )
    twin.load(replace(program, cores=cores))
    return twin.play(samples, keep_events=False)


def _binned(
    recording: Recording, samples: Sequence[np.ndarray], bins: int
) -> dict[int, np.ndarray]:
    """Return the spikes of each layer, (sample, time, channel, y, x), in the bins of the input.

    Spikes after the last bin count in it. A layer that is read by its potentials has none.
    """
    found = {}
    for record in recording.layers:
        if record.potentials is not None or record.events is None:
            continue
        frames = np.zeros((len(samples), bins, *record.shape), np.float64)
        for sample, (events, spikes) in enumerate(zip(samples, record.events, strict=True)):
            if not len(events):
                continue
            first, last = int(events["t"].min()), int(events["t"].max())
            step = (spikes["t"] - first) // max((last - first) // bins, 1)
            place = (np.clip(step, 0, bins - 1), spikes["p"], spikes["y"], spikes["x"])
            np.add.at(frames[sample], place, 1)
        found[record.index] = frames
    return found


def _effect(
    cause: Cause, layer: str, pair: tuple[_Outputs, _Outputs], labels: np.ndarray
) -> LayerEffect:
    from speckflex.report.facts import LayerEffect

    without, with_it = (np.concatenate(run.answers) for run in pair)
    reference, other = (np.concatenate(run.counts) for run in pair)
    share = relative_difference(reference, other)
    known = labels[: len(with_it)] >= 0
    right_without, right = ((run == labels[: len(run)]) & known for run in (without, with_it))
    wrong, won = int((right_without & ~right).sum()), int((right & ~right_without).sum())
    labelled = int(known.sum())
    return LayerEffect(
        cause=cause,
        layer=layer,
        points_lost=100 * (wrong - won) / labelled if labelled else None,
        newly_wrong=wrong if labelled else None,
        newly_right=won if labelled else None,
        spike_difference=share if share is not None and np.isfinite(share) else None,
        samples=len(with_it),
    )
