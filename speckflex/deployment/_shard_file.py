"""The file of a shard: everything that was played of it, so that shards add up to one report."""

from __future__ import annotations

import io
import json
import lzma
import struct
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from speckflex._support.npy import read_npz_member
from speckflex._support.reading import check_is_file
from speckflex._support.text import one_line, printable
from speckflex.analysis.synops import LayerSynops
from speckflex.data.order import LateEvents
from speckflex.deployment._players import Played
from speckflex.deployment._shard_readings import plain_readings, read_readings
from speckflex.errors import FileFormatError, SpeckflexError
from speckflex.events.streams import EVENT_DTYPE
from speckflex.program.program import Program
from speckflex.recordings.compare import ComparedPart, layer_from_sums
from speckflex.recordings.divergence import Divergence
from speckflex.recordings.measures import PairSums
from speckflex.recordings.recording import Provenance, Recording
from speckflex.recordings.tally import LayerTally, Tally
from speckflex.report.evidence import PlayedSample

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from speckflex.recordings.compare import LayerDifference
    from speckflex.report.record import Report

__all__ = ["Heading", "ShardContent", "read_heading", "read_shard", "shard_bytes"]

FORMAT = 2
MANIFEST, PROGRAM, REPORT = "manifest.json", "program.speck", "report.json"
# A member that unpacks to more than this must take a hundredth of it in the file.
ALWAYS_ALLOWED_BYTES = 2**26
MOST_PACKED = 100
MOST_SHARDS = 10**6  # each that is missing is listed
ZIP_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Heading:
    """Which shard of which deployment it is.

    Args:
        index: which shard it is, from 1.
        count: how many there are.
        share: positions of its recordings in the data set.
        samples: number of recordings of all shards.
        identity: what all shards of one deployment have in common, by name.
    """

    index: int
    count: int
    share: range
    samples: int
    identity: Mapping[str, str]

    @property
    def name(self) -> str:
        """The shard as it is given to the command."""
        return f"{self.index}/{self.count}"


@dataclass(frozen=True, eq=False)
class ShardContent:
    """What a shard has played so far.

    Args:
        heading: which shard it is.
        threads: of the twin.
        rate: as `DeploySettings.rate`.
        late: what is wrong with the order of the events; None if nothing is.
        played: what was played, of the first recordings of the share.
        program: what the board played.
        report: on this shard alone; its verdict and figures are not those of all shards.
    """

    heading: Heading
    threads: int
    rate: float | None
    late: LateEvents | None
    played: Played
    program: Program
    report: Report

    @property
    def is_whole(self) -> bool:
        """Whether all recordings of the share were played, and all that follows was measured."""
        run = self.report.run
        done = self.played.n_samples == len(self.heading.share)
        return done and not (run is not None and run.interrupted)


def shard_bytes(shard: ShardContent) -> bytes:
    """Return the content of a shard's file: a zip of one JSON manifest and of files."""
    from speckflex.report import render_json

    arrays: dict[str, np.ndarray] = {}
    played, heading = shard.played, shard.heading
    manifest = {
        "speckflex shard": FORMAT,
        "index": heading.index,
        "count": heading.count,
        "share": [heading.share.start, heading.share.stop],
        "samples": heading.samples,
        "identity": dict(heading.identity),
        "threads": shard.threads,
        "rate": shard.rate,
        "late": None if shard.late is None else asdict(shard.late),
        "synops": [asdict(layer) for layer in played.synops],
        "opened": {str(index): list(one.recordings) for index, one in played.opened.items()},
        "events": len(played.events),
        "tallies": {
            role: _plain_tally(tally, f"tally-{n}", arrays)
            for n, (role, tally) in enumerate(played.tallies.items())
        },
        "compared": [
            {"pair": list(pair), **_plain_compared(part, f"pair-{n}", arrays)}
            for n, (pair, part) in enumerate(played.compared.items())
        ],
    }
    manifest["readings"] = plain_readings(played.readings, arrays)
    arrays["inputs"] = played.inputs
    arrays |= {f"input-{n}": events for n, events in enumerate(played.events)}
    arrays |= {f"opened-{index}": one.events for index, one in played.opened.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file, _scratch() as folder:
        _write(file, MANIFEST, json.dumps(manifest).encode())
        _write(file, REPORT, render_json(shard.report).encode())
        shard.program.save(folder / PROGRAM)
        _write(file, PROGRAM, (folder / PROGRAM).read_bytes())
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array, allow_pickle=False)
            _write(file, f"{name}.npy", content.getvalue())
        for name, recording in _recordings(played):
            recording.save(folder / name)
            _write(file, name, (folder / name).read_bytes())
            (folder / name).unlink()
    return buffer.getvalue()


def _recordings(played: Played) -> Iterator[tuple[str, Recording]]:
    """Yield the recordings of samples that are kept as a whole, with the names of their files."""
    first = played.recordings()
    for number, role in enumerate(played.tallies):
        yield f"first-{number}.h5", first[role]
    for index, one in played.opened.items():
        for number, recording in enumerate(one.recordings.values()):
            yield f"opened-{index}-{number}.h5", recording


def _write(file: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, ZIP_DATE)
    member.compress_type = zipfile.ZIP_DEFLATED
    file.writestr(member, content)


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="speckflex-shard-") as folder:
        yield Path(folder)


def _plain_tally(tally: Tally, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    reasons = sorted(set(tally.stopped))
    codes = {reason: code for code, reason in enumerate(reasons)}
    arrays[f"{name}-stopped"] = np.array([codes[one] for one in tally.stopped], np.int64)
    arrays |= {f"{name}-{column}": values for column, values in tally.columns.items()}
    if tally.labels is not None:
        arrays[f"{name}-labels"] = tally.labels
    for n, layer in enumerate(tally.layers):
        arrays[f"{name}-layer-{n}"] = layer.spikes
    return {
        "provenance": asdict(tally.provenance),
        "n_layers": tally.n_layers,
        "n_classes": tally.n_classes,
        "columns": list(tally.columns),
        "stopped": reasons,
        "labelled": tally.labels is not None,
        "layers": [
            {"index": one.index, "name": one.name, "by_potential": one.by_potential}
            for one in tally.layers
        ],
    }


def _plain_compared(part: ComparedPart, name: str, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    for n, layer in enumerate(part.layers):
        arrays[f"{name}-layer-{n}"] = layer.per_sample
    return {
        "samples": part.n_samples,
        "unlike_inputs": part.unlike_inputs,
        "layers": [
            {
                "index": one.index,
                "name": one.name,
                "by_potential": one.by_potential,
                "spikes": [one.spikes_a, one.spikes_b],
                "counts": asdict(one.counts),
                "potentials": None if one.potentials is None else asdict(one.potentials),
                "divergence": None
                if one.first_divergence is None
                else asdict(one.first_divergence),
                "reordered": one.reordered_samples,
            }
            for one in part.layers
        ],
    }


def read_heading(path: Path) -> Heading:
    """Return which shard of which deployment a file holds.

    Raises:
        FileFormatError: it can't be read, is damaged, no file of a shard, or of another version.
    """
    with _reading(path) as file:
        return _heading(_manifest(file, str(path)))


def read_shard(path: Path | io.BytesIO) -> ShardContent:
    """Return what a shard has played.

    Args:
        path: of its file, or the content of one.

    Raises:
        FileFormatError: as for `read_heading`.
    """
    with _reading(path) as file, _scratch() as folder:
        manifest = _manifest(file, str(path))
        try:
            return _Reader(file, folder).shard(manifest)
        except FileFormatError as error:
            # of a member, which was unpacked to a folder that is gone
            raise ValueError(str(error).replace(f"{folder}/", "")) from error


@contextmanager
def _reading(path: Path | io.BytesIO) -> Iterator[zipfile.ZipFile]:
    """Yield the open zip; whatever its content makes fail is an error of the file."""
    if isinstance(path, Path):
        check_is_file(path, FileFormatError)
    try:
        with zipfile.ZipFile(path) as file:
            yield file
    except (FileFormatError, MemoryError):
        raise
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        struct.error,
        ArithmeticError,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        SpeckflexError,
    ) as error:
        raise FileFormatError(
            f"{path}: is damaged, or no file of a shard ({one_line(error)}): give what speckflex"
            " deploy --shard wrote, or play the shard again"
        ) from error


def _manifest(file: zipfile.ZipFile, source: str) -> dict[str, Any]:
    manifest = json.loads(_member(file, MANIFEST))
    version = manifest.get("speckflex shard")
    if version is None:
        raise FileFormatError(
            f"{source}: is no file of a shard: give what speckflex deploy --shard wrote"
        )
    if version != FORMAT:
        raise FileFormatError(
            f"{source}: is a shard of format {version!r:.40}, this speckflex reads {FORMAT}: play"
            " all shards with one version of speckflex"
        )
    return manifest


def _heading(manifest: dict[str, Any]) -> Heading:
    index, count, samples = (int(manifest[name]) for name in ("index", "count", "samples"))
    share = range(*map(int, manifest["share"]))
    if not (0 < index <= count <= MOST_SHARDS and 0 <= share.start < share.stop <= samples):
        raise ValueError(f"it says it is shard {index} of {count}, {share} of {samples}")
    identity = {printable(key): printable(str(v)) for key, v in manifest["identity"].items()}
    return Heading(index, count, share, samples, identity)


def _member(file: zipfile.ZipFile, name: str) -> bytes:
    member = file.getinfo(name)
    most = max(ALWAYS_ALLOWED_BYTES, MOST_PACKED * member.compress_size)
    if member.file_size > most:
        raise ValueError(f"{name} unpacks to {member.file_size} bytes, more than {most}")
    return file.read(member)


@dataclass(frozen=True)
class _Reader:
    """Reads the parts of an open file.

    Args:
        file: the zip.
        folder: for files that are read from the disk.
    """

    file: zipfile.ZipFile
    folder: Path

    def shard(self, manifest: dict[str, Any]) -> ShardContent:
        """Return the whole, from its manifest."""
        from speckflex.report import read_report

        late = manifest["late"]
        heading, played = _heading(manifest), self._played(manifest)
        if not 0 < played.n_samples <= len(heading.share):
            raise ValueError(f"it holds {played.n_samples} samples of {len(heading.share)}")
        return ShardContent(
            heading=heading,
            threads=int(manifest["threads"]),
            rate=None if manifest["rate"] is None else float(manifest["rate"]),
            late=None if late is None else LateEvents(**late),
            played=played,
            program=Program.load(self._unpacked(PROGRAM)),
            report=read_report(self._unpacked(REPORT)),
        )

    def _played(self, manifest: dict[str, Any]) -> Played:
        tallies = {
            role: self._tally(stated, f"tally-{n}")
            for n, (role, stated) in enumerate(manifest["tallies"].items())
        }
        sizes = {one.n_samples for one in tallies.values()}
        compared = {
            (stated["pair"][0], stated["pair"][1]): self._compared(stated, f"pair-{n}")
            for n, stated in enumerate(manifest["compared"])
        }
        sizes |= {one.n_samples for one in compared.values()}
        inputs = self._array("inputs", (None, 32), np.uint8)
        sizes.add(len(inputs))
        if len(sizes) != 1:
            raise ValueError(f"its parts hold {sorted(sizes)} samples")
        first = {
            role: Recording.load(self._unpacked(f"first-{n}.h5")) for n, role in enumerate(tallies)
        }
        return Played(
            tallies=tallies,
            compared=compared,
            first=(first,),
            events=tuple(self._events(f"input-{n}") for n in range(int(manifest["events"]))),
            synops=tuple(LayerSynops(**layer) for layer in manifest["synops"]),
            opened={
                int(index): PlayedSample(
                    self._events(f"opened-{int(index)}"),
                    {
                        role: Recording.load(self._unpacked(f"opened-{int(index)}-{n}.h5"))
                        for n, role in enumerate(roles)
                    },
                )
                for index, roles in manifest["opened"].items()
            },
            readings=read_readings(manifest["readings"], self._array, len(inputs)),
            inputs=inputs,
        )

    def _tally(self, stated: dict[str, Any], name: str) -> Tally:
        codes = self._array(f"{name}-stopped", (None,))
        reasons, n = stated["stopped"], len(codes)
        return Tally(
            provenance=Provenance(**stated["provenance"]),
            n_layers=int(stated["n_layers"]),
            n_classes=int(stated["n_classes"]),
            layers=tuple(
                LayerTally(
                    int(layer["index"]),
                    str(layer["name"]),
                    self._array(f"{name}-layer-{position}", (None, None, None)),
                    bool(layer["by_potential"]),
                )
                for position, layer in enumerate(stated["layers"])
            ),
            columns={
                str(column): self._array(f"{name}-{column}", (n,)) for column in stated["columns"]
            },
            stopped=tuple(str(reasons[code]) for code in codes.tolist()),
            labels=self._array(f"{name}-labels", (n,)) if stated["labelled"] else None,
        )

    def _compared(self, stated: dict[str, Any], name: str) -> ComparedPart:
        n = int(stated["samples"])
        layers = tuple(
            self._layer(layer, f"{name}-layer-{position}", n)
            for position, layer in enumerate(stated["layers"])
        )
        return ComparedPart(layers, n, int(stated["unlike_inputs"]))

    def _layer(self, stated: dict[str, Any], name: str, n_samples: int) -> LayerDifference:
        potentials, divergence = stated["potentials"], stated["divergence"]
        for place in ("address_a", "address_b"):
            if divergence is not None and divergence[place] is not None:
                divergence[place] = tuple(divergence[place])
        return layer_from_sums(
            (int(stated["index"]), str(stated["name"]), bool(stated["by_potential"])),
            PairSums(**stated["counts"]),
            None if potentials is None else PairSums(**potentials),
            spikes=(int(stated["spikes"][0]), int(stated["spikes"][1])),
            per_sample=self._array(name, (n_samples,), np.float64),
            divergence=(
                None if divergence is None else Divergence(**divergence),
                int(stated["reordered"]),
            ),
        )

    def _events(self, name: str) -> np.ndarray:
        return self._array(name, (None,), EVENT_DTYPE)

    def _array(self, name: str, shape: tuple[int | None, ...], dtype: Any = np.int64) -> np.ndarray:
        array = read_npz_member(self.file, name)
        fits = array.ndim == len(shape) and all(
            want in (None, have) for want, have in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {shape}")
        return array

    def _unpacked(self, name: str) -> Path:
        path = self.folder / name
        path.write_bytes(_member(self.file, name))
        return path
