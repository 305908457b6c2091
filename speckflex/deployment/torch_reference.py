"""The torch network, run in time steps, as the reference of a comparison."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from sinabs.layers import StatefulLayer, UnflattenTime
from sinabs.layers.reshape import SqueezeMixin

from speckflex.errors import NetworkError
from speckflex.events.frames import to_frames
from speckflex.events.streams import EVENT_DTYPE, check_events, make_events
from speckflex.networks.copying import copy_network
from speckflex.networks.layer_kinds import wants_time_axis
from speckflex.recordings.recording import (
    LayerRecord,
    Provenance,
    Recording,
    SampleLog,
    concatenate_recordings,
)
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import nn

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["TorchReference"]


class TorchReference:
    """A float network in evaluation mode, recorded layer by layer like a board.

    The time of each recorded event is the end of its time bin. Several spikes in one bin are
    several events. Potentials of a readout layer are in the program's integers (times
    `Core.scale`).

    Args:
        network: the network that was converted; it is copied.
        program: the program that was made from it; it names the layers to record.
        bins: number of time steps per sample; states are reset before each sample.
    """

    def __init__(self, network: nn.Module, program: Program, *, bins: int = 10) -> None:
        if bins < 1:
            raise NetworkError(f"{bins} time bins: the reference needs at least one")
        self.program = program
        self.bins = bins
        self._network = copy_network(network).float().cpu().eval()
        self._states = _initial_states(self._network)
        self._with_time = wants_time_axis(self._network)
        self._modules = [_recorded_module(self._network, core) for core in program.cores]

    def play(
        self, events: Sequence[np.ndarray], *, keep_events: bool = True, batch_size: int = 32
    ) -> Recording:
        """Return the spikes of each layer for each sample.

        Args:
            events: one structured array per sample, fields t (µs), x, y, p.
            keep_events: keep binned spikes as events, not only their counts.
            batch_size: number of samples that run at once.

        Raises:
            NetworkError: the network does not run on frames of the program's input shape.
        """
        shape = self.program.input.shape
        samples = [check_events(e, shape, source=f"sample {i}") for i, e in enumerate(events)]
        batches = [
            self._play_batch(samples[start : start + batch_size])
            for start in range(0, max(len(samples), 1), batch_size)
        ]
        recording = concatenate_recordings(batches)
        return recording if keep_events else recording.without_events()

    def _play_batch(self, samples: list[np.ndarray]) -> Recording:
        outputs = self._forward(self._frames(samples))
        ends = np.stack([_bin_ends(e, self.bins) for e in samples] or [np.empty((0, self.bins))])
        records = [
            (_potential_record if core.readout == "potential" else _spike_record)(
                index, core, values, ends[: len(samples)]
            )
            for index, (core, values) in enumerate(zip(self.program.cores, outputs, strict=True))
        ]
        logs = [
            SampleLog(len(sample), len(sample), sum(int(r.counts[i].sum()) for r in records))
            for i, sample in enumerate(samples)
        ]
        return Recording(tuple(records), len(records), tuple(logs), self._provenance())

    def _frames(self, samples: list[np.ndarray]) -> torch.Tensor:
        """Return (sample, time, channel, y, x) float counts."""
        shape = self.program.input.shape
        frames = np.zeros((len(samples), self.bins, *shape), np.float32)
        for index, sample in enumerate(samples):
            frames[index] = to_frames(sample, shape, self.bins)
        return torch.from_numpy(frames)

    @torch.no_grad()
    def _forward(self, frames: torch.Tensor) -> list[np.ndarray]:
        """Run the frames and return each layer's output, (sample, time, channel, y, x)."""
        if not len(frames):
            return [np.zeros((0, self.bins, *core.output_shape)) for core in self.program.cores]
        _prepare_batch(self._network, self._states, len(frames))
        with _caught_outputs(self._modules) as caught:
            try:
                self._network(frames if self._with_time else frames.flatten(0, 1))
            except (RuntimeError, ValueError) as error:
                raise NetworkError(
                    f"the network does not run on frames of shape {tuple(frames.shape[2:])}"
                    f" (channel, y, x): {str(error).splitlines()[0]}: check its input shape"
                ) from error
        return [
            caught[index].reshape(len(frames), -1, *core.output_shape).numpy()
            for index, core in enumerate(self.program.cores)
        ]

    def _provenance(self) -> Provenance:
        return Provenance(
            program_sha256=self.program.sha256,
            board="torch",
            kind="torch",
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            versions={"speckflex": __version__, "torch": torch.__version__},
            settings={"bins": str(self.bins)},
        )


@contextmanager
def _caught_outputs(modules: list[nn.Module]) -> Iterator[dict[int, torch.Tensor]]:
    """Yield a dict that a forward pass fills with the output of each module, by its position."""
    caught: dict[int, torch.Tensor] = {}

    def catch(index: int, module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        caught[index] = output

    hooks = [
        module.register_forward_hook(partial(catch, index)) for index, module in enumerate(modules)
    ]
    try:
        yield caught
    finally:
        for hook in hooks:
            hook.remove()


def _recorded_module(network: nn.Module, core: Core) -> nn.Module:
    name = core.name if core.readout == "potential" else core.neuron_name
    try:
        return network.get_submodule(name)
    except AttributeError as error:
        raise NetworkError(
            f"layer {core.name}: the network has no module {name!r} to record:"
            " give the network that the program was converted from"
        ) from error


def _initial_states(network: nn.Module) -> list[tuple[StatefulLayer, torch.Tensor]]:
    """Return each neuron layer with its initial state for one sample."""
    return [
        (module, module.get_buffer("v_mem")[:1].detach().clone())
        for module in network.modules()
        if isinstance(module, StatefulLayer)
    ]


def _prepare_batch(
    network: nn.Module, states: list[tuple[StatefulLayer, torch.Tensor]], n_samples: int
) -> None:
    """Set every neuron to its initial state and every squeezing layer to the number of samples."""
    for module in network.modules():
        if isinstance(module, SqueezeMixin):
            module.batch_size, module.num_timesteps = n_samples, -1
        elif isinstance(module, UnflattenTime):
            module.batch_size = n_samples
    for module, state in states:
        # In sinabs an empty state takes its shape from the next input.
        module.v_mem = state.repeat_interleave(n_samples, dim=0) if len(state) else state.clone()


def _bin_ends(events: np.ndarray, bins: int) -> np.ndarray:
    """Return (bins,) int64 µs, the end of each equal time bin of a sample."""
    if not events.size:
        return np.zeros(bins, np.int64)
    first, last = int(events["t"].min()), int(events["t"].max())
    return first + (last - first) * np.arange(1, bins + 1) // bins


def _potential_record(index: int, core: Core, values: np.ndarray, ends: np.ndarray) -> LayerRecord:
    potentials = np.rint(values.sum(axis=1, dtype=np.float64) * core.scale).astype(np.int64)
    silent = tuple(np.empty(0, EVENT_DTYPE) for _ in ends)
    return LayerRecord(index, core.name, np.zeros_like(potentials), silent, potentials)


def _spike_record(index: int, core: Core, values: np.ndarray, ends: np.ndarray) -> LayerRecord:
    spikes = np.rint(values).astype(np.int64)
    events = tuple(_binned_events(*pair) for pair in zip(spikes, ends, strict=True))
    return LayerRecord(index, core.name, spikes.sum(axis=1), events)


def _binned_events(spikes: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return (time, channel, y, x) spike counts as events in order of time, one per spike."""
    step, channel, y, x = (np.repeat(axis, spikes[spikes > 0]) for axis in np.nonzero(spikes > 0))
    return make_events(ends[step], x, y, channel)
