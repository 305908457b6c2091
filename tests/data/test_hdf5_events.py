"""HDF5 in the layouts of public data sets and simulators, and files that must be refused."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from speckflex.data import open_dataset
from speckflex.errors import EventsError

ROWS = [(0, 3, 9, 1), (40_000, 2, 5, 0), (40_000, 7, 5, 1), (90_001, 1, 8, 0)]
T, X, Y, P = np.array(ROWS).T


def rows_of(path: Path, **reading) -> list[tuple[int, ...]]:
    events, _ = open_dataset(path, **reading)[0]
    return events[["t", "x", "y", "p"]].tolist()


def write_dsec(file: h5py.File) -> None:
    for name, values in (("t", T), ("x", X), ("y", Y), ("p", P)):
        kind = np.uint32 if name == "t" else np.uint16
        file.create_dataset(f"events/{name}", data=values.astype(kind), chunks=(2,))
    file["ms_to_idx"] = np.array([0, 1, 3])
    file["t_offset"] = np.int64(56_000_000_000)


def write_m3ed(file: h5py.File) -> None:
    for side, shift in (("left", 0), ("right", 5)):
        for name, values in (("t", T), ("x", X + shift), ("y", Y), ("p", P)):
            file[f"prophesee/{side}/{name}"] = values
        file[f"prophesee/{side}/ms_map_idx"] = np.array([0, 1])
        file[f"prophesee/{side}/calib/resolution"] = np.array([1280, 720])


def write_e2vid(file: h5py.File) -> None:
    file["events/ts"] = T / 1e6
    for name, values in (("xs", X.astype(np.int16)), ("ys", Y.astype(np.int16)), ("ps", P == 1)):
        file[f"events/{name}"] = values
    file.attrs["sensor_resolution"] = (180, 240)


def write_v2e(file: h5py.File) -> None:
    # columns that prove no order by themselves
    rows = np.stack([T, X, Y, P], axis=1).astype(np.uint32)
    file.create_dataset("events", data=rows, maxshape=(None, 4), compression="gzip")


def write_mvsec(file: h5py.File) -> None:
    file["davis/left/events"] = np.stack([X, Y, 1_504_645_177 + T / 1e6, 2 * P - 1], axis=1)
    file["davis/right/events"] = np.zeros((1, 4))


def write_plain(file: h5py.File) -> None:
    for name, values in (("timestamps", T), ("x", X), ("y", Y), ("polarities", P)):
        file[name] = values


def write_prophesee(file: h5py.File) -> None:
    dtype = [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")]
    array = np.empty(len(ROWS), dtype)
    array["t"], array["x"], array["y"], array["p"] = T, X, Y, P
    file["CD/events"] = array
    file["CD/indexes"] = np.zeros(1, [("id", "<u8"), ("ts", "<i8")])
    file.attrs["geometry"] = "640x480"


WRITERS = {
    "DSEC": (write_dsec, None),
    "M3ED": (write_m3ed, (2, 720, 1280)),
    "E2VID": (write_e2vid, (2, 180, 240)),
    "v2e": (write_v2e, None),
    "MVSEC": (write_mvsec, None),
    "plain": (write_plain, None),
    "Prophesee": (write_prophesee, (2, 480, 640)),
}


@pytest.mark.parametrize("layout", WRITERS)
def test_a_layout_is_found_by_its_names(tmp_path: Path, layout: str):
    write, stated = WRITERS[layout]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    dataset = open_dataset(tmp_path / "a.h5")
    assert rows_of(tmp_path / "a.h5") == ROWS
    assert dataset.shape == (stated or (2, 10, 8))
    assert dataset.shape_stated == (stated is not None)


def test_the_other_camera_is_chosen_by_the_paths_of_its_fields(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write_m3ed(file)
    fields = {name: f"prophesee/right/{name}" for name in "txyp"}
    assert rows_of(tmp_path / "a.h5", fields=fields)[0] == (0, 8, 9, 1)


def test_spike_trains_of_heidelberg_are_labelled_recordings(tmp_path: Path):
    # the layout of SHD: float16 seconds and units, an array of any length for each
    times = [np.array([0.25, 0.5], np.float16), np.array([0.125], np.float16)]
    units = [np.array([0, 699], np.uint16), np.array([12], np.uint16)]
    with h5py.File(tmp_path / "shd.h5", "w") as file:
        for name, trains, kind in (("times", times, np.float16), ("units", units, np.uint16)):
            array = file.create_dataset(f"spikes/{name}", (2,), h5py.vlen_dtype(kind))
            array[0], array[1] = trains
        file["labels"] = np.array([1, 0], np.uint16)
        file["extra/keys"] = np.array([b"null", b"eins"])
    dataset = open_dataset(tmp_path / "shd.h5")
    assert (dataset.shape, dataset.classes) == ((1, 1, 700), ("null", "eins"))
    assert [label for _, label in dataset] == [1, 0]
    assert dataset[0][0][["t", "x", "y", "p"]].tolist() == [
        (250_000, 0, 0, 0),
        (500_000, 699, 0, 0),
    ]
    assert dataset[1][0]["t"].tolist() == [125_000]


def test_hdf5_files_in_folders_are_classes(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "1.h5", "w") as file:
            write_plain(file)
    assert open_dataset(tmp_path).labels.tolist() == [0, 1]


def several(file: h5py.File) -> None:
    for group in ("front", "back"):
        for name, values in (("t", T), ("x", X), ("y", Y), ("p", P)):
            file[f"{group}/{name}"] = values


def linked(file: h5py.File) -> None:
    file["t"] = h5py.ExternalLink("other.h5", "t")


def claiming(file: h5py.File) -> None:
    write_plain(file)
    file.create_dataset("more/t", (2**28,), "i8", chunks=(2**20,), compression="gzip")


def named_badly(file: h5py.File) -> None:
    file["\x1b[31mred"] = T


def of_a_board(file: h5py.File) -> None:
    file.attrs["content"] = "speckflex recording"


def unequal(file: h5py.File) -> None:
    write_plain(file)
    del file["x"]
    file["x"] = X[:2]


def texts(file: h5py.File) -> None:
    write_plain(file)
    del file["polarities"]
    file["p"] = np.array([b"on"] * 4)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (several, "holds several recordings: back, front: choose one by .*t=back/t,x=back/x"),
        (linked, "is a link to elsewhere"),
        (claiming, "claims 2147483648 bytes, but the file stores 0"),
        (named_badly, r"no group or array with t, x, y and p, but '\\x1b\[31mred'"),
        (of_a_board, "holds the spikes of a board"),
        (lambda _file: None, "but nothing: name them by their paths"),
        (unequal, r"have the shapes \(4,\), \(2,\), \(4,\), \(4,\)"),
        (texts, "are no numbers"),
    ],
)
def test_hdf5_without_one_recording_is_refused(tmp_path: Path, write, message: str):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path / "a.h5")
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_files_that_are_no_hdf5_or_hang_it_are_refused(tmp_path: Path):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(EventsError, match="is no HDF5 file"):
        open_dataset(tmp_path / "a.h5")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        write_plain(file)
        file["note"] = "a text"
    content = bytearray((tmp_path / "b.h5").read_bytes())
    (tmp_path / "c.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(EventsError, match="is damaged"):
        open_dataset(tmp_path / "c.h5")
    # the length of the free space: HDF5 would look for the next object forever
    heap = content.index(b"GCOL")
    first = heap + 16 + 16 + 8  # header, one object of one word
    content[first : first + 16] = bytes(16)
    (tmp_path / "d.h5").write_bytes(content)
    with pytest.raises(EventsError, match="its heap of texts"):
        open_dataset(tmp_path / "d.h5")


OPEN = """
import sys
sys.modules["hdf5plugin"] = None
from speckflex.data import open_dataset
from speckflex.errors import EventsError
try:
    open_dataset(sys.argv[1])
except EventsError as error:
    print(error)
"""


@pytest.mark.skipif(
    importlib.util.find_spec("hdf5plugin") is None,
    reason="hdf5plugin is not installed: pip install 'speckflex[hdf5]'",
)
def test_a_codec_of_a_plugin_is_read_with_it_and_refused_without(tmp_path: Path):
    # DSEC's files are compressed by Blosc
    path = tmp_path / "a.h5"
    write = (
        "import hdf5plugin, h5py, numpy as np, sys\n"
        "with h5py.File(sys.argv[1], 'w') as file:\n"
        f"    for name, values in zip('txyp', np.array({ROWS}).T):\n"
        "        file.create_dataset(f'events/{name}', data=values, **hdf5plugin.Blosc())\n"
    )
    subprocess.run([sys.executable, "-c", write, path], check=True)  # noqa: S603 (own code)
    done = subprocess.run(  # noqa: S603 (own code)
        [sys.executable, "-c", OPEN, path],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HDF5_PLUGIN_PATH": ""},
    )
    assert "compressed by HDF5's filter 32001, which is not installed: pip install" in done.stdout
    assert rows_of(path) == ROWS


def test_prophesees_codec_is_refused_with_what_to_do(tmp_path: Path, monkeypatch):
    path = tmp_path / "a.hdf5"
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((16,))
    # optional, so that HDF5 writes the array without the codec
    properties.set_filter(36559, h5py.h5z.FLAG_OPTIONAL, ())
    with h5py.File(path, "w") as file:
        group = file.create_group("CD")
        dtype = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        space = h5py.h5s.create_simple((16,))
        h5py.h5d.create(group.id, b"events", h5py.h5t.py_create(dtype), space, properties)
    with pytest.raises(EventsError, match=r"codec ECF, .* metavision_file_to_dat -i a\.hdf5"):
        open_dataset(path)[0]
