"""A new format of files, or layout of folders, is one module and one row in a table."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from speckflex.data import EventDataset, open_dataset
from speckflex.data.formats._file_format import FileFormat
from speckflex.data.formats._files import FILE_FORMATS
from speckflex.data.formats._layouts import LAYOUTS, FolderLayout
from speckflex.errors import EventsError
from speckflex.events.streams import make_events

ROWS = [(0, 3, 4, 1), (5, 6, 1, 0)]


def read_text(path: Path) -> np.ndarray:
    """Return the events of a made-up format: a line `t x y p` for each, after the sensor's size."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    return make_events(*np.array([line.split() for line in lines], int).T)


def read_size(path: Path) -> tuple[int, int] | None:
    """Return the (y, x) pixels in the first line, or None where it is `unknown`."""
    first = path.read_text(encoding="utf-8").splitlines()[0].split()
    return None if first == ["unknown"] else (int(first[0]), int(first[1]))


def write_text(path: Path, size: str = "10 20") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [" ".join(map(str, row)) for row in ROWS]
    path.write_text("\n".join([size, *rows]), encoding="utf-8")


@pytest.fixture
def made_up_format() -> Iterator[None]:
    row = FileFormat(suffixes=(".rows",), read=read_text, sensor_size=read_size)
    FILE_FORMATS.append(row)
    yield
    FILE_FORMATS.remove(row)


@pytest.mark.usefixtures("made_up_format")
def test_a_format_in_the_table_is_read_from_a_file(tmp_path: Path):
    write_text(tmp_path / "one.ROWS")
    dataset = open_dataset(tmp_path / "one.ROWS")
    assert dataset.shape == (2, 10, 20)
    assert dataset[0][0][["t", "x", "y", "p"]].tolist() == ROWS
    with pytest.raises(EventsError, match=r"use one of \.npy, \.npz, .*, \.rows"):
        open_dataset(Path(__file__))


@pytest.mark.usefixtures("made_up_format")
def test_a_format_in_the_table_is_read_from_every_layout(tmp_path: Path):
    for name in ("run10", "run9"):
        write_text(tmp_path / "flat" / f"{name}.rows")
    assert [path.stem for path in open_dataset(tmp_path / "flat").items] == ["run9", "run10"]
    for name in ("Train/wave/1", "Train/clap/1", "Train/clap/2", "Test/wave/3"):
        write_text(tmp_path / "classes" / f"{name}.rows", "unknown")
    train = open_dataset(tmp_path / "classes", split="train")
    assert train.classes == ("clap", "wave")
    assert train.labels.tolist() == [0, 0, 1]
    assert train.shape == (2, 5, 7)  # the files state no size: the extent of their events
    assert open_dataset(tmp_path / "classes").labels.tolist() == [1]


def test_a_layout_in_the_table_is_opened(tmp_path: Path, request: pytest.FixtureRequest):
    def open_list(folder: Path, split: str) -> EventDataset:
        events = make_events(*np.array([[0], [1], [1], [0]]))
        names = tuple((folder / f"{split}.list").read_text(encoding="utf-8").split())
        labels = np.zeros(len(names), np.int64)
        return EventDataset("list", (1, 2, 2), ("a",), labels, False, names, lambda _: events)

    layout = FolderLayout("lists", lambda folder: (folder / "test.list").is_file(), open_list)
    LAYOUTS.insert(0, layout)
    request.addfinalizer(lambda: LAYOUTS.remove(layout))
    (tmp_path / "test.list").write_text("first second", encoding="utf-8")
    assert open_dataset(tmp_path).items == ("first", "second")


def test_one_format_is_read_from_a_folder_of_several(tmp_path: Path):
    np.save(tmp_path / "a.npy", make_events(*np.array([[0], [1], [1], [0]])))
    (tmp_path / "notes.dat").touch()
    assert [path.name for path in open_dataset(tmp_path).items] == ["a.npy"]
