"""Recordings as NIR's spike data, under the names that the written graph gives its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from speckflex._support.files import suffix_problem, write_whole
from speckflex.errors import EventsError, FileFormatError
from speckflex.networks.nir._image import hdf5_image
from speckflex.networks.nir.export import node_names

if TYPE_CHECKING:
    from pathlib import Path

    import h5py

    from speckflex.program.program import Program
    from speckflex.program.records import Shape
    from speckflex.recordings.recording import LayerRecord, Recording

__all__ = ["save_nir_data"]

MICROSECOND = 1e-6
LONGEST_CHUNK = 2**14


def save_nir_data(recording: Recording, program: Program, path: str | Path) -> None:
    """Write a recording's spikes as `NIRGraphData`, which nir 1.0.8 and newer reads.

    A node of neurons has the observable `spikes`: `idx` and `time` of shape (sample, event),
    padded with -1 and infinity. `idx` counts neurons by channel, then y, then x; `time` is in
    seconds. A last layer without neurons has the observable `v`, its potentials at the end.

    Args:
        recording: with the events of every sample.
        program: that was played; the nodes have the names that `save_nir` gives them.
        path: of the file, which ends in .nir.

    Raises:
        EventsError: the recording lacks events, or is of another program.
        FileFormatError: the file can't be written, or its name has the suffix of another format.
    """
    problem = suffix_problem(path, ".nir")
    if problem:
        raise FileFormatError(problem)
    if recording.provenance.program_sha256 != program.sha256:
        raise EventsError(
            f"the recording is of the program {recording.provenance.program_sha256[:12]}, not of"
            f" {program.sha256[:12]}: give the program that was played"
        )
    for record in recording.layers:
        _check_events(record, recording.n_samples)
    names = node_names(program)

    def fill(file: h5py.File) -> None:
        file.attrs["__type__"] = "NIRGraphData"
        nodes = file.create_group("nodes")
        duration = _duration(recording)
        for record in recording.layers:
            weights, neurons = names[record.index]
            group = nodes.create_group(neurons if record.potentials is None else weights)
            group.attrs["__type__"] = "NIRNodeData"
            observables = group.create_group("observables")
            if record.potentials is None:
                _write_spikes(observables.create_group("spikes"), record, duration)
            else:
                _write_potentials(observables.create_group("v"), record.potentials, duration)

    write_whole(path, hdf5_image(fill), FileFormatError)


def _check_events(record: LayerRecord, n_samples: int) -> None:
    kept = len(record.events or ())
    if record.potentials is None and kept < n_samples:
        raise EventsError(
            f"layer {record.name}: the recording holds the events of {kept} of {n_samples} samples,"
            " and counts of the rest: play the samples with keep_events=True, or save a part"
        )


def _duration(recording: Recording) -> float:
    """Return the time in seconds just behind the last spike of any layer."""
    last = max(
        (
            int(events["t"].max())
            for record in recording.layers
            for events in record.events or ()
            if len(events)
        ),
        default=0,
    )
    return (last + 1) * MICROSECOND


def _write_spikes(group: h5py.Group, record: LayerRecord, duration: float) -> None:
    samples = record.events or ()
    longest = max(map(len, samples), default=0)
    group.attrs["__type__"] = "EventData"
    group.attrs["n_neurons"] = int(np.prod(record.shape))
    group.attrs["t_max"] = duration
    # In chunks, so that the rows of short samples take no room.
    settings = {"chunks": (1, min(longest, LONGEST_CHUNK)), "compression": "gzip"}
    for name, padding in (("idx", np.int64(-1)), ("time", np.float64(np.inf))):
        dataset = group.create_dataset(
            name,
            (len(samples), longest),
            padding.dtype,
            fillvalue=padding,
            **(settings if longest else {}),
        )
        for row, events in enumerate(samples):
            if len(events):
                values = _neurons_of(events, record.shape) if name == "idx" else events["t"] / 1e6
                dataset[row, : len(events)] = values


def _neurons_of(events: np.ndarray, shape: Shape) -> np.ndarray:
    places = tuple(events[axis].astype(np.int64) for axis in ("p", "y", "x"))
    return np.ravel_multi_index(places, shape)


def _write_potentials(group: h5py.Group, potentials: np.ndarray, duration: float) -> None:
    """Write the potentials as the only time step of the recording."""
    group.attrs["__type__"] = "TimeGriddedData"
    group.attrs["dt"] = duration
    values = potentials.reshape(len(potentials), 1, -1).astype(np.float64)
    group.create_dataset("data", data=values)
