"""The recording file: HDF5 with one JSON manifest and compressed integers, never a pickle."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from speckflex._support.files import write_whole
from speckflex.errors import FileFormatError
from speckflex.events.streams import EVENT_DTYPE, FIELDS
from speckflex.recordings.recording import LayerRecord, Provenance, Recording, SampleLog
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["FORMAT", "load_recording", "save_recording"]

FORMAT = 1
CONTENT = "speckflex recording"
LOG_COUNTS = ("written", "accepted", "read", "lost")
# Deflate packs at most 1032 : 1; a dataset that claims more was never written by this module.
MAX_COMPRESSION = 1032
# HDF5 keeps the chunks of a small dataset whole, so its size on disk says nothing.
MIN_CHECKED_BYTES = 2**24


def save_recording(recording: Recording, path: str | Path) -> None:
    """Write `recording` to an HDF5 file; the file appears whole or not at all.

    Raises:
        FileFormatError: the folder can't be written, or a value is no integer.
    """
    # In memory, because HDF5 may end the process where a disk is full. The compressed integers
    # take less of it than the arrays do. HDF5 shares files of one name among threads.
    name = f"recording-{secrets.token_hex(8)}"
    with h5py.File(name, "w", driver="core", backing_store=False) as file:
        _write(file, recording)
        file.flush()
        content = file.id.get_file_image()
    write_whole(path, content, FileFormatError)


def load_recording(path: str | Path) -> Recording:
    """Read a recording and check that its parts agree with each other.

    Raises:
        FileFormatError: the file is missing, damaged, foreign or too new.
    """
    path = Path(path)
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file: check the path of the recording")
    try:
        with h5py.File(path, "r") as file:
            _check_format(file, path)
            return _read(file)
    except OSError as error:
        raise FileFormatError(
            f"{path}: not a recording, or cut short ({_one_line(error)}): play the samples again"
        ) from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise FileFormatError(
            f"{path}: its contents make no recording ({_one_line(error)}): play the samples again"
        ) from error


def _write(file: h5py.File, recording: Recording) -> None:
    file.attrs["content"] = CONTENT
    file.attrs["format"] = FORMAT
    file.create_dataset("manifest", data=json.dumps(_manifest(recording)))
    for name in LOG_COUNTS:
        _write_integers(file, f"samples/{name}", [getattr(log, name) for log in recording.samples])
    if recording.labels is not None:
        _write_integers(file, "labels", recording.labels)
    for position, record in enumerate(recording.layers):
        _write_layer(file.create_group(f"layers/{position}"), record)


def _manifest(recording: Recording) -> dict[str, Any]:
    """Return all text of a recording; JSON keeps what HDF5 strings can't, such as NUL."""
    provenance = recording.provenance
    return {
        "speckflex": __version__,
        "n_layers": recording.n_layers,
        "layers": [{"index": layer.index, "name": layer.name} for layer in recording.layers],
        "stopped": [log.stopped for log in recording.samples],
        "input_sha256": [log.input_sha256 for log in recording.samples],
        "provenance": {
            **{name: getattr(provenance, name) for name in Provenance.__dataclass_fields__},
            "versions": dict(provenance.versions),
            "settings": dict(provenance.settings),
        },
    }


def _write_layer(group: h5py.Group, record: LayerRecord) -> None:
    _write_integers(group, "counts", record.counts)
    if record.potentials is not None:
        _write_integers(group, "potentials", record.potentials)
    if record.events is None:
        return
    lengths = [len(events) for events in record.events]
    _write_integers(group, "events/offsets", np.cumsum([0, *lengths]))
    empty = np.empty(0, EVENT_DTYPE)
    joined = np.concatenate([empty, *record.events])
    for name in FIELDS:
        _write_integers(group, f"events/{name}", joined[name])


def _write_integers(group: h5py.Group, name: str, values: np.ndarray | Sequence[int]) -> None:
    array = _narrow(np.asarray(values), f"{group.name}/{name}")
    options = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if array.size else {}
    group.create_dataset(name, data=array, **options)


def _narrow(array: np.ndarray, name: str) -> np.ndarray:
    """Return the values in the fewest bytes that hold them; most counts fit in one."""
    if not array.size:
        return array.astype(np.int8)
    if array.dtype.kind not in "biu":
        raise FileFormatError(
            f"{name}: values of dtype {array.dtype} are no integers, which a recording holds:"
            " scale and round them first"
        )
    low, high = int(array.min()), int(array.max())
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return array.astype(dtype)
    return array.astype(np.int64)


def _check_format(file: h5py.File, path: Path) -> None:
    if file.attrs.get("content") != CONTENT:
        raise FileFormatError(
            f"{path}: an HDF5 file, but no recording of speckflex: check the path"
        )
    version = file.attrs.get("format")
    if version != FORMAT:
        raise FileFormatError(
            f"{path}: has format {version}, this speckflex reads {FORMAT}:"
            " update speckflex or play the samples again"
        )


def _read(file: h5py.File) -> Recording:
    manifest = json.loads(_dataset(file, "manifest").asstr()[()])
    stopped = manifest["stopped"]
    # recordings made before inputs were hashed have none
    hashes = manifest.get("input_sha256") or [""] * len(stopped)
    columns = [_read_integers(file, f"samples/{name}", (len(stopped),)) for name in LOG_COUNTS]
    samples = tuple(
        SampleLog(
            *(int(column[row]) for column in columns),
            stopped=reason,
            input_sha256=_checked(digest, str),
        )
        for row, (reason, digest) in enumerate(zip(stopped, hashes, strict=True))
    )
    return Recording(
        layers=tuple(
            _read_layer(file, f"layers/{position}", values, len(samples))
            for position, values in enumerate(manifest["layers"])
        ),
        n_layers=_checked(manifest["n_layers"], int),
        samples=samples,
        provenance=Provenance(**manifest["provenance"]),
        labels=_read_integers(file, "labels", (len(samples),)) if "labels" in file else None,
    )


def _read_layer(
    file: h5py.File, path: str, values: Mapping[str, Any], n_samples: int
) -> LayerRecord:
    counts = _read_integers(file, f"{path}/counts", (n_samples, None, None, None))
    potentials = f"{path}/potentials"
    return LayerRecord(
        _checked(values["index"], int),
        _checked(values["name"], str),
        counts,
        events=_read_events(file, f"{path}/events", counts.shape)
        if f"{path}/events" in file
        else None,
        potentials=_read_integers(file, potentials, counts.shape) if potentials in file else None,
    )


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"its manifest says {value!r} where a value of type {kind.__name__} stands")
    return value


def _read_events(file: h5py.File, path: str, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return the events of the leading samples, as many as there are offsets."""
    offsets = _read_integers(file, f"{path}/offsets", (None,))
    if not 1 <= len(offsets) <= shape[0] + 1 or offsets[0] or (np.diff(offsets) < 0).any():
        raise ValueError(f"{path}: the offsets of its events do not ascend from 0, one a sample")
    joined = np.empty(int(offsets[-1]), EVENT_DTYPE)
    limits = {"p": shape[1], "y": shape[2], "x": shape[3], "t": np.iinfo(np.int64).max}
    for name in FIELDS:
        column = _read_integers(file, f"{path}/{name}", joined.shape)
        if ((column < 0) | (column >= limits[name])).any():
            raise ValueError(f"{path}: field {name} leaves 0..{limits[name] - 1}")
        joined[name] = column
    return tuple(np.split(joined, offsets[1:-1])) if len(offsets) > 1 else ()


def _read_integers(group: h5py.Group, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Return an int64 array; None in `shape` takes any length."""
    dataset = _dataset(group, name)
    stated = dataset.shape
    fits = len(stated) == len(shape) and all(
        want in (None, have) for want, have in zip(shape, stated, strict=True)
    )
    if not fits or dataset.dtype.kind not in "iu":
        raise ValueError(f"{dataset.name} is {dataset.dtype} {stated}, expected integers {shape}")
    stored = dataset.id.get_storage_size()
    if dataset.nbytes > max(MIN_CHECKED_BYTES, MAX_COMPRESSION * stored):
        raise ValueError(f"{dataset.name} claims {dataset.nbytes} bytes in {stored} stored ones")
    return dataset[()].astype(np.int64)


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """Return a dataset that lies in this very file."""
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.file.filename != group.file.filename:
        raise ValueError(f"{name} is no dataset of this file")
    if dataset.external or dataset.is_virtual:
        raise ValueError(f"{name} takes its values from another file")
    return dataset


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
