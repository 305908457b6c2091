"""A network in time steps, recorded layer by layer like a board."""

from __future__ import annotations

from datetime import datetime, timezone
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

from speckflex.errors import NetworkError
from speckflex.events.frames import cut_frames, frame_ends
from speckflex.events.streams import EVENT_DTYPE, check_events, make_events
from speckflex.recordings.recording import (
    LayerRecord,
    Provenance,
    Recording,
    SampleLog,
    concatenate_recordings,
)
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    from speckflex.program.program import Program
    from speckflex.program.records import Core

__all__ = ["StepPlayer"]


class StepPlayer:
    """What plays samples as frames of equal time; `forward` is that of each kind.

    Args:
        program: names the layers to record, and their scales.
        bins: number of time steps per sample; states are reset before each sample.
        step: the step of the ladder that it stands for: "trained", "folded" or "eight-bit".
        frame_time: µs of a time step, from time 0 on; None to divide each sample's own time.
    """

    def __init__(
        self, program: Program, *, bins: int, step: str, frame_time: int | None = None
    ) -> None:
        if bins < 1:
            raise NetworkError(f"{bins} time bins: the reference needs at least one")
        self.program = program
        self.bins = bins
        self.step = step
        self.frame_time = frame_time

    def forward(self, frames: np.ndarray) -> list[np.ndarray]:
        """Return each layer's output at the frames, both (sample, time, channel, y, x)."""
        raise NotImplementedError

    def layer_ends(self, events: np.ndarray) -> list[np.ndarray]:
        """Return when each time step of each layer ends, (time,) int64 µs, for one sample."""
        return [frame_ends(events, self.bins, self.frame_time)] * len(self.program.cores)

    def settings(self) -> dict[str, str]:
        """Return what a recording's provenance says of the time steps, by name."""
        timed = {} if self.frame_time is None else {"frame_time": f"{self.frame_time} µs"}
        return {"bins": str(self.bins), "step": self.step, **timed}

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
            self._play_batch(samples[start : start + batch_size], keep_events=keep_events)
            for start in range(0, max(len(samples), 1), batch_size)
        ]
        return concatenate_recordings(batches)

    def _play_batch(self, samples: list[np.ndarray], *, keep_events: bool) -> Recording:
        outputs = [np.zeros((0, self.bins, *core.output_shape)) for core in self.program.cores]
        shape = self.program.input.shape
        if samples:
            cut = [cut_frames(one, shape, self.bins, self.frame_time) for one in samples]
            outputs = self.forward(np.stack(cut))
        ends = [self.layer_ends(one) for one in samples]
        records = [
            (_potential_record if core.readout == "potential" else _spike_record)(
                index, core, values, [of_layers[index] for of_layers in ends]
            )
            for index, (core, values) in enumerate(zip(self.program.cores, outputs, strict=True))
        ]
        logs = [
            SampleLog(len(sample), len(sample), sum(int(r.counts[i].sum()) for r in records))
            for i, sample in enumerate(samples)
        ]
        recording = Recording(tuple(records), len(records), tuple(logs), self._provenance())
        return recording if keep_events else recording.without_events()

    def _provenance(self) -> Provenance:
        return Provenance(
            program_sha256=self.program.sha256,
            board="torch",
            kind="torch",
            started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            versions={"speckflex": __version__, "torch": torch.__version__},
            settings=self.settings(),
        )


def _potential_record(
    index: int, core: Core, values: np.ndarray, ends: Sequence[np.ndarray]
) -> LayerRecord:
    potentials = np.rint(values.sum(axis=1, dtype=np.float64) * core.scale).astype(np.int64)
    silent = tuple(np.empty(0, EVENT_DTYPE) for _ in ends)
    return LayerRecord(index, core.name, np.zeros_like(potentials), silent, potentials)


def _spike_record(
    index: int, core: Core, values: np.ndarray, ends: Sequence[np.ndarray]
) -> LayerRecord:
    # few values are not zero, so only those are looked at
    places = np.flatnonzero(values != 0)
    spikes = np.rint(values.reshape(-1)[places]).astype(np.int64)
    sample, step, channel, y, x = np.unravel_index(places, values.shape)
    counts = np.zeros((len(values), *values.shape[2:]), np.int64)
    np.add.at(counts, (sample, channel, y, x), spikes)
    every = np.stack(ends) if ends else np.empty((0, values.shape[1]), np.int64)
    times = every[sample, step]
    events = tuple(
        _events_of(*(column[start:stop] for column in (spikes, times, x, y, channel)))
        for start, stop in pairwise(np.searchsorted(sample, np.arange(len(values) + 1)))
    )
    return LayerRecord(index, core.name, counts, events)


def _events_of(spikes: np.ndarray, *columns: np.ndarray) -> np.ndarray:
    """Return spike counts at times, x, y and channels as events in order of time, one per spike."""
    return make_events(*(np.repeat(column, np.maximum(spikes, 0)) for column in columns))
