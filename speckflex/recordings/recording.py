"""The Recording: the spikes of every monitored layer for every sample, with provenance."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.text import printable, shown_name
from speckflex.errors import BoardError
from speckflex.events.streams import EVENT_DTYPE, FIELDS, MOST_CLASSES
from speckflex.recordings._display import recording_html, recording_line
from speckflex.recordings.power import SETTING, join_windows
from speckflex.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.figure import Figure

    from speckflex.program.records import Shape
    from speckflex.recordings._hdf5 import Column, Container

__all__ = [
    "LayerRecord",
    "Provenance",
    "Recording",
    "SampleLog",
    "concatenate_recordings",
    "joined_provenance",
]

# The counts of a SampleLog.
LOG_COUNTS = ("written", "accepted", "read", "lost")
# What a chip counts while it plays; a recording of several parts has the sums.
TEXTS = ("program_sha256", "board", "kind", "serial", "started")
MOST_LAYERS = 100_000
COUNTED_SETTINGS = ("late_events", "repeated_answers", "spikes_between_samples")


@dataclass(frozen=True)
class SampleLog:
    """What happened to one sample's events.

    Args:
        written: input events handed to the board.
        accepted: input events that the board took in.
        read: spikes read back from monitored layers.
        lost: events known to be lost, in or out.
        stopped: why reading ended: "complete", "silence", "deadline" or "interrupted".
        input_sha256: of the input events, see `events.hash_events`; "" if there is none.
    """

    written: int
    accepted: int
    read: int
    lost: int = 0
    stopped: str = "complete"
    input_sha256: str = ""


@dataclass(frozen=True)
class Provenance:
    """Where a recording comes from.

    Args:
        program_sha256: the hash of the program that ran.
        board: the board's name as it was opened, such as "twin" or "speck2e:0".
        kind: "torch", "twin", "chip", "virtual" or "replay".
        serial: the device's serial number; "" if there is none.
        started: ISO 8601 time in UTC.
        seed: of whatever was random in the run; None if nothing was.
        versions: of the packages that took part.
        settings: the board's parameters, by name; "chip" is the chip of the program or device.
    """

    program_sha256: str
    board: str
    kind: str
    serial: str = ""
    started: str = ""
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in TEXTS:
            object.__setattr__(self, name, printable(getattr(self, name)))
        for name in ("versions", "settings"):
            texts = getattr(self, name).items()
            safe = {printable(key): printable(value) for key, value in texts}
            object.__setattr__(self, name, safe)

    @staticmethod
    def load(path: str | Path) -> Provenance:
        """Read only the provenance of a recording file.

        Raises:
            FileFormatError: the file is missing, damaged or too new.
        """
        from speckflex.recordings._hdf5 import open_container

        with open_container(path) as container:
            return _provenance(container.manifest)


@dataclass(frozen=True, eq=False)
class LayerRecord:
    """The output of one layer, before any pooling.

    Args:
        index: the layer's position in the network.
        name: the layer's name in the torch network.
        counts: (sample, channel, y, x) int64, spikes.
        events: one event array per sample, of all samples or of the first ones only (a long run
            keeps counts of the rest); None if only counts were kept.
        potentials: (sample, channel, y, x) int64 at the end of each sample, spikes of an overflow
            added back (`Core.integrated`); None if not read.
    """

    index: int
    name: str
    counts: np.ndarray = field(repr=False)
    events: tuple[np.ndarray, ...] | None = field(default=None, repr=False)
    potentials: np.ndarray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", shown_name(self.name))

    @property
    def shape(self) -> Shape:
        """(channel, y, x) of the layer's neurons."""
        return self.counts.shape[1:]

    @property
    def scores(self) -> np.ndarray:
        """(sample, channel) int64: potentials where the layer was read by them, else spikes."""
        values = self.counts if self.potentials is None else self.potentials
        return values.sum(axis=(2, 3))

    def part(self, start: int, stop: int) -> LayerRecord:
        """Return the record of the samples from `start` up to, but not including, `stop`."""
        return replace(
            self,
            counts=self.counts[start:stop],
            events=None if self.events is None else self.events[start:stop],
            potentials=None if self.potentials is None else self.potentials[start:stop],
        )


@dataclass(frozen=True, eq=False)
class Recording:
    """What a board returned: one record per monitored layer, one log per sample.

    Args:
        layers: the monitored layers, in network order.
        n_layers: how many layers the network has, monitored or not.
        samples: one log per sample.
        provenance: where the recording comes from.
        labels: (sample,) int64 class of each sample, negative for an unknown one; None if all are
            unknown.
    """

    layers: tuple[LayerRecord, ...]
    n_layers: int
    samples: tuple[SampleLog, ...] = field(repr=False)
    provenance: Provenance
    labels: np.ndarray | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return recording_line(self)

    def _repr_html_(self) -> str:
        return recording_html(self)

    def raster(self, layer: int = -1, sample: int = 0) -> Figure:
        """Return a picture of one sample's spikes in a layer, a row for each neuron.

        Raises:
            BoardError: the recording holds no events of that layer or sample.
            SpeckflexError: matplotlib is not installed.
        """
        from speckflex.recordings._plots import plot_raster

        return plot_raster(self, layer, sample)

    def frames(self, layer: int = 0, sample: int = 0, *, n_frames: int = 10) -> Figure:
        """Return a picture of one sample's spikes in a layer as frames, channels added up.

        Args:
            layer: position of the layer in the network; -1 is the last.
            sample: position of the sample.
            n_frames: number of frames, of equal time.

        Raises:
            BoardError: the recording holds no events of that layer or sample.
            SpeckflexError: matplotlib is not installed.
        """
        from speckflex.recordings._plots import plot_frames

        return plot_frames(self, layer, sample, n_frames)

    @property
    def n_samples(self) -> int:
        """How many samples were played."""
        return len(self.samples)

    @property
    def lost_events(self) -> int:
        """How many events are known to be lost, over all samples."""
        return sum(log.lost for log in self.samples)

    @property
    def n_classes(self) -> int:
        """How many classes the last layer scores; 0 if it was not monitored."""
        last = [record.shape[0] for record in self.layers if record.index == self.n_layers - 1]
        return last[0] if last else 0

    def layer(self, index: int) -> LayerRecord:
        """Return the record of the layer at `index` of the network; -1 is the last.

        Raises:
            BoardError: the network has no such layer, or it was not monitored.
        """
        position = index + self.n_layers if index < 0 else index
        for record in self.layers:
            if record.index == position:
                return record
        monitored = ", ".join(str(record.index) for record in self.layers) or "none"
        raise BoardError(
            f"layer {index} is not in the recording, which holds {monitored} of"
            f" {self.n_layers} layers: ask for a monitored layer, or play with it monitored"
        )

    def counts(self, layer: int = -1) -> np.ndarray:
        """Return (sample, channel, y, x) int64 spike counts of a layer, before pooling."""
        return self.layer(layer).counts

    def events(self, layer: int = -1, sample: int = 0) -> np.ndarray:
        """Return one sample's spikes of a layer as an event array (`t` in µs).

        Raises:
            BoardError: the recording holds only counts, or no such sample.
        """
        record = self.layer(layer)
        if record.events is None:
            raise BoardError(
                f"layer {layer}: the recording holds only counts, no events:"
                " play with keep_events=True"
            )
        if not 0 <= sample < len(record.events):
            raise BoardError(
                f"sample {sample}: the recording holds the events of {len(record.events)} of"
                f" {self.n_samples} samples: choose 0 to {len(record.events) - 1}"
            )
        return record.events[sample]

    def predictions(self) -> np.ndarray:
        """Return the (sample,) int64 class that the last layer scores highest.

        A tie goes to the lowest class, as in `numpy.argmax` and `torch.argmax`.
        """
        return self.layer(-1).scores.argmax(axis=1)

    def answers(self) -> np.ndarray:
        """Return the (sample,) int64 class that the last layer scores highest, -1 for no answer.

        A sample whose scores are all 0 has no answer.
        """
        scored = self.layer(-1).scores.any(axis=1)
        return np.where(scored, self.predictions(), -1)

    def accuracy(self) -> float | None:
        """Return the share of labelled samples predicted right; None if there are none.

        A sample without an answer is not right.
        """
        known = np.zeros(0, bool) if self.labels is None else self.labels >= 0
        if not known.any():
            return None
        return float((self.answers() == self.labels)[known].mean())

    def with_labels(self, labels: Sequence[int] | np.ndarray) -> Recording:
        """Return the same recording with the class of each sample.

        Raises:
            BoardError: there are more or fewer labels than samples.
        """
        labels = np.asarray(labels, dtype=np.int64)
        if labels.shape != (self.n_samples,):
            raise BoardError(
                f"labels of shape {labels.shape} for {self.n_samples} samples:"
                " give one integer per sample"
            )
        return replace(self, labels=labels)

    def part(self, start: int, stop: int) -> Recording:
        """Return the recording of the samples from `start` up to, but not including, `stop`.

        The provenance stays that of the whole recording, with the chip's counts of all samples.
        """
        return replace(
            self,
            layers=tuple(record.part(start, stop) for record in self.layers),
            samples=self.samples[start:stop],
            labels=None if self.labels is None else self.labels[start:stop],
        )

    def without_events(self) -> Recording:
        """Return the same recording with counts and potentials alone."""
        return replace(self, layers=tuple(replace(r, events=None) for r in self.layers))

    def save(self, path: str | Path) -> None:
        """Write the recording to an HDF5 file.

        Raises:
            FileFormatError: the file can't be written, or a value is no integer.
        """
        # h5py takes a quarter of a second to load
        from speckflex.recordings._hdf5 import write_container

        write_container(path, _manifest(self), _columns(self))

    @staticmethod
    def load(path: str | Path) -> Recording:
        """Read a recording from an HDF5 file.

        Raises:
            FileFormatError: the file is missing, damaged or too new.
        """
        from speckflex.recordings._hdf5 import open_container

        with open_container(path) as container:
            return _assemble(container)


def _provenance(manifest: dict[str, Any]) -> Provenance:
    stated = dict(manifest["provenance"])
    seed = stated.pop("seed", None)
    if seed is not None and type(seed) is not int:
        raise TypeError(f"its manifest says the seed {seed!r}, which is no integer")
    read: dict[str, Any] = {name: _checked(stated.pop(name, ""), str) for name in TEXTS}
    for name in ("versions", "settings"):
        read[name] = _texts(stated.pop(name, {}))
    if stated:
        raise ValueError(f"its manifest has the unknown provenance {next(iter(stated))!r}")
    return Provenance(**read, seed=seed)


def _texts(values: Any) -> dict[str, str]:
    return {_checked(k, str): _checked(v, str) for k, v in _checked(values, dict).items()}


def _manifest(recording: Recording) -> dict[str, Any]:
    """Return everything in a recording except its integers, as plain JSON types."""
    provenance = recording.provenance
    return {
        "speckflex": __version__,
        "n_layers": recording.n_layers,
        "layers": [{"index": layer.index, "name": layer.name} for layer in recording.layers],
        "stopped": [log.stopped for log in recording.samples],
        "input_sha256": [log.input_sha256 for log in recording.samples],
        "provenance": {
            **{item.name: getattr(provenance, item.name) for item in fields(provenance)},
            "versions": dict(provenance.versions),
            "settings": dict(provenance.settings),
        },
    }


def _columns(recording: Recording) -> Iterator[Column]:
    """Return the integers of a recording by their names in a file."""
    from speckflex.recordings._hdf5 import Column

    for name in LOG_COUNTS:
        counted = [getattr(log, name) for log in recording.samples]
        yield Column(f"samples/{name}", [np.array(counted)])
    if recording.labels is not None:
        yield Column("labels", [np.asarray(recording.labels)])
    for position, record in enumerate(recording.layers):
        yield Column(f"layers/{position}/counts", [record.counts])
        if record.potentials is not None:
            yield Column(f"layers/{position}/potentials", [record.potentials])
        if record.events is not None:
            offsets = np.cumsum([0, *map(len, record.events)])
            yield Column(f"layers/{position}/events/offsets", [offsets])
            for name in FIELDS:
                parts = [events[name] for events in record.events]
                yield Column(f"layers/{position}/events/{name}", parts)


def _assemble(container: Container) -> Recording:
    manifest = container.manifest
    stopped = manifest["stopped"]
    # recordings made before inputs were hashed have none
    hashes = manifest.get("input_sha256") or [""] * len(stopped)
    columns = [container.integers(f"samples/{name}", (len(stopped),)) for name in LOG_COUNTS]
    samples = tuple(
        SampleLog(
            *(int(column[row]) for column in columns),
            stopped=printable(_checked(reason, str)),
            input_sha256=_checked(digest, str),
        )
        for row, (reason, digest) in enumerate(zip(stopped, hashes, strict=True))
    )
    labels = container.integers("labels", (len(samples),)) if "labels" in container else None
    if labels is not None and labels.max(initial=0) >= MOST_CLASSES:
        raise ValueError(f"it has the label {labels.max()}, at most {MOST_CLASSES - 1} is read")
    return Recording(
        layers=tuple(
            _layer(container, f"layers/{position}", values, len(samples))
            for position, values in enumerate(manifest["layers"])
        ),
        n_layers=_n_layers(manifest),
        samples=samples,
        provenance=_provenance(manifest),
        labels=labels,
    )


def _n_layers(manifest: dict[str, Any]) -> int:
    """Return the number of layers, of which the recorded ones are some."""
    n_layers = _checked(manifest["n_layers"], int)
    recorded = [layer["index"] for layer in manifest["layers"]]
    if len(set(recorded)) < len(recorded) or not all(i in range(n_layers) for i in recorded):
        raise ValueError(f"its manifest says {n_layers} layers, and records {recorded[:9]}")
    if n_layers > MOST_LAYERS:
        raise ValueError(f"its manifest says {n_layers} layers, more than {MOST_LAYERS}")
    return n_layers


def _layer(
    container: Container, path: str, values: Mapping[str, Any], n_samples: int
) -> LayerRecord:
    counts = container.integers(f"{path}/counts", (n_samples, None, None, None))
    events, potentials = f"{path}/events", f"{path}/potentials"
    return LayerRecord(
        _checked(values["index"], int),
        _checked(values["name"], str),
        counts,
        events=_events(container, events, counts.shape) if events in container else None,
        potentials=container.integers(potentials, counts.shape)
        if potentials in container
        else None,
    )


def _checked(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"its manifest says {value!r}, expected a value of type {kind.__name__}")
    return value


def _events(container: Container, path: str, shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Return the events of the leading samples, as many as there are offsets."""
    offsets = container.integers(f"{path}/offsets", (None,))
    if not 1 <= len(offsets) <= shape[0] + 1 or offsets[0] or (np.diff(offsets) < 0).any():
        raise ValueError(f"{path}: the offsets of its events do not ascend from 0, one a sample")
    limits = {"p": shape[1], "y": shape[2], "x": shape[3], "t": np.iinfo(np.int64).max}

    def check(name: str, values: np.ndarray) -> None:
        if values.size and not 0 <= values.min() <= values.max() < limits[name]:
            raise ValueError(f"{path}: field {name} has values outside 0..{limits[name] - 1}")

    names = [f"{path}/{name}" for name in FIELDS]
    joined = container.fields(names, int(offsets[-1]), EVENT_DTYPE, check)
    return tuple(np.split(joined, offsets[1:-1])) if len(offsets) > 1 else ()


def concatenate_recordings(recordings: Sequence[Recording]) -> Recording:
    """Return one recording with the samples of all, in order.

    All must come from the same program on the same board with the same layers monitored.
    Events are kept of the leading samples, as far as the parts kept them without a gap. The
    provenance is the first part's, with what a chip counted in all of them.

    Raises:
        BoardError: the parts differ in program, board or layers, or there is none.
    """
    if not recordings:
        raise BoardError("no recordings to concatenate: play at least one sample")
    first = recordings[0]
    for other in recordings[1:]:
        _check_same_origin(first, other)
    labels = [part.labels for part in recordings]
    known = [part for part in labels if part is not None]
    return replace(
        first,
        provenance=joined_provenance([part.provenance for part in recordings]),
        layers=tuple(
            _concatenate_layers([part.layers[position] for part in recordings])
            for position in range(len(first.layers))
        ),
        samples=tuple(log for part in recordings for log in part.samples),
        labels=np.concatenate(known) if len(known) == len(labels) else None,
    )


def _check_same_origin(first: Recording, other: Recording) -> None:
    here, there = first.provenance, other.provenance
    same = (
        here.program_sha256 == there.program_sha256
        and here.kind == there.kind
        and [record.index for record in first.layers] == [record.index for record in other.layers]
    )
    if not same:
        raise BoardError(
            f"recordings of {here.board} (program {here.program_sha256[:12]}) and {there.board}"
            f" (program {there.program_sha256[:12]}) are not parts of one run:"
            " concatenate parts of the same program, kind of board and layers"
        )


def joined_provenance(parts: Sequence[Provenance]) -> Provenance:
    """Return the first part's provenance with what the parts have together.

    These are the sums of what a chip counted, and the names and serial numbers of all boards.
    """
    settings = dict(parts[0].settings)
    for name in COUNTED_SETTINGS:
        values = [part.settings.get(name, "") for part in parts]
        if all(value.isdecimal() for value in values):
            settings[name] = str(sum(map(int, values)))
    if SETTING in settings:
        settings[SETTING] = join_windows(parts)
    return replace(
        parts[0],
        board=_all_of([part.board for part in parts]),
        serial=_all_of([part.serial for part in parts]),
        settings=settings,
    )


def _all_of(names: Sequence[str]) -> str:
    """Return names that may be lists of names, each name once."""
    return ", ".join(dict.fromkeys(one for name in names for one in name.split(", ") if one))


def _concatenate_layers(records: Sequence[LayerRecord]) -> LayerRecord:
    potentials = [record.potentials for record in records if record.potentials is not None]
    return replace(
        records[0],
        counts=np.concatenate([record.counts for record in records]),
        events=_leading_events(records),
        potentials=np.concatenate(potentials) if len(potentials) == len(records) else None,
    )


def _leading_events(records: Sequence[LayerRecord]) -> tuple[np.ndarray, ...] | None:
    """Return the events of all samples before the first one that has none."""
    if records[0].events is None:
        return None
    kept: list[np.ndarray] = []
    for record in records:
        kept.extend(record.events or ())
        if record.events is None or len(record.events) < len(record.counts):
            break
    return tuple(kept)
