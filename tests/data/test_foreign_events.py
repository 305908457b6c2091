"""Recordings that other tools wrote: the same events, and the table of the documentation."""

import importlib.util
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from speckflex.data import open_dataset

FILES = Path(__file__).resolve().parents[1] / "files" / "events"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "data.md"

spec = importlib.util.spec_from_file_location("made_recording", FILES / "made_recording.py")
assert spec is not None
assert spec.loader is not None
made_recording = importlib.util.module_from_spec(spec)
spec.loader.exec_module(made_recording)

PACKAGES = {"lz4": "lz4", "zstd": "zstandard"}


class Written(NamedTuple):
    """A file, who wrote it, and what becomes of it.

    Attributes:
        name: of the file.
        writer: the tool and its version.
        holds: the format.
        sized: whether the file states the size of the sensor.
        from_zero: whether the times are shifted to begin at 0.
        mirrored: whether the tool counts y from the other side than the format's own library.
        told: (y, x) pixels that the user must state; None where nothing must be.
    """

    name: str
    writer: str
    holds: str
    sized: bool = True
    from_zero: bool = True
    mirrored: bool = False
    told: tuple[int, int] | None = None

    @property
    def verdict(self) -> str:
        """What the documentation says of the file."""
        sensor = "sensor stated" if self.sized else "sensor not stated"
        if self.told:
            sensor = f"needs `--sensor {self.told[1]}x{self.told[0]}`"
        times = ", times from 0" if self.from_zero else ""
        mirrored = "; the tool counts y from the other side" if self.mirrored else ""
        return f"equal in t, x, y, p{times}; {sensor}{mirrored}"


FAERY, DV, EVENT_STREAM = "faery 0.7.1", "dv-processing 2.0.4", "event_stream 1.6.3"
WRITTEN = (
    Written("faery-evt2.raw", FAERY, "EVT2"),
    Written("faery-evt3.raw", FAERY, "EVT3"),
    Written("faery-dat2.dat", FAERY, "DAT"),
    Written("expelliarmus.dat", "expelliarmus 1.1.12", "DAT", sized=False),
    Written("faery-lz4.aedat4", FAERY, "AEDAT 4, LZ4"),
    Written("faery-zstd.aedat4", FAERY, "AEDAT 4, ZSTD"),
    Written("faery-none.aedat4", FAERY, "AEDAT 4"),
    Written("dv-lz4.aedat4", DV, "AEDAT 4, LZ4"),
    Written("dv-zstd.aedat4", DV, "AEDAT 4, ZSTD"),
    Written("dv-none.aedat4", DV, "AEDAT 4"),
    Written("event_stream-dvs.es", EVENT_STREAM, "Event Stream, DVS"),
    Written("event_stream-atis.es", EVENT_STREAM, "Event Stream, ATIS"),
    Written("faery.es", FAERY, "Event Stream, DVS", mirrored=True),
    Written("faery.csv", FAERY, "CSV", from_zero=False),
    Written("v2e.aedat", "v2e at commit 18daa95", "AEDAT 2, DAVIS346", told=(260, 346)),
)


def expected(file: Written) -> np.ndarray:
    """Return (n, 4): t, x, y, p of the recording as a file must give it."""
    rows = np.array(made_recording.rows())
    if file.from_zero:
        rows[:, 0] -= rows[0, 0]
    if file.mirrored:
        rows[:, 2] = made_recording.HEIGHT - 1 - rows[:, 2]
    return rows


def need_package(name: str) -> None:
    """Skip where the package that unpacks a file is not installed."""
    for part, package in PACKAGES.items():
        if part in name and importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install 'speckflex[aedat4]'")


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.name)
def test_a_file_of_another_tool_holds_the_events_that_it_was_given(file: Written):
    need_package(file.name)
    dataset = open_dataset(FILES / file.name, sensor=file.told)
    events, label = dataset[0]
    found = np.stack([events[name] for name in "txyp"], axis=1)
    np.testing.assert_array_equal(found, expected(file))
    shape = (2, *(file.told or (made_recording.HEIGHT, made_recording.WIDTH)))
    assert (dataset.shape, dataset.shape_stated, label) == (shape, file.sized, -1)


@pytest.mark.parametrize("suffix", [".raw", ".dat", ".aedat4", ".es", ".csv"])
def test_a_folder_for_each_class_of_them_is_a_data_set(tmp_path: Path, suffix: str):
    # as in CIFAR10-DVS: airplane/cifar10_airplane_0.aedat4
    chosen = [file for file in WRITTEN if file.name.endswith(suffix)][-1]
    need_package(chosen.name)
    for name in ("ship", "airplane"):
        (tmp_path / name).mkdir()
        shutil.copy(FILES / chosen.name, tmp_path / name / f"cifar10_{name}_0{suffix}")
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("airplane", "ship")
    assert [(len(events), label) for events, label in dataset] == [(400, 0), (400, 1)]


def test_the_documentation_says_what_was_tried_and_what_came_of_it():
    rows = re.findall(
        r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", DOCS.read_text(), re.MULTILINE
    )
    told = {name: (writer, holds, verdict) for name, writer, holds, verdict in rows}
    for file in WRITTEN:
        assert told.get(file.name) == (file.writer, file.holds, file.verdict), file.name


def test_every_file_is_tried():
    data = {path.name for path in FILES.iterdir() if path.suffix not in {".py", ".md"}}
    assert data - {"__pycache__"} == {file.name for file in WRITTEN}
