"""Fields under other tools' names, in other containers and units: the same events."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from speckflex.data import open_dataset
from speckflex.errors import EventsError

# t (µs), x, y, p; the times tell the orders of columns apart
ROWS = [(0, 3, 9, 1), (40_000, 2, 5, 0), (40_000, 7, 5, 1), (90_001, 1, 8, 0)]
T, X, Y, P = np.array(ROWS).T


def structured(**columns: np.ndarray) -> np.ndarray:
    array = np.empty(len(ROWS), [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        array[name] = column
    return array


def rows_of(path: Path, **reading) -> list[tuple[int, ...]]:
    events, _ = open_dataset(path, **reading)[0]
    return events[["t", "x", "y", "p"]].tolist()


FOREIGN_DTYPE = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), (("p", "on"), "?")])


def with_titles() -> np.ndarray:
    array = np.empty(len(ROWS), FOREIGN_DTYPE)
    array["t"], array["x"], array["y"], array["on"] = T, X, Y, P
    return array


@pytest.mark.parametrize(
    "array",
    [
        structured(timestamp=T, x=X, y=Y, polarity=P),
        structured(ts=T.astype(float), x=X.astype(np.uint16), y=Y, pol=P.astype(bool)),
        structured(x=X, y=Y, t=T, p=2 * P - 1),
        structured(T=T, X=X, Y=Y, P=P.astype(np.float32)),
        structured(t=T, x=X, y=Y, on=P == 1),
        with_titles(),
        np.stack([T, X, Y, P], axis=1),
        np.stack([X, Y, T, 2 * P - 1], axis=1),
        np.stack([X, Y, P, T], axis=1).astype(float),
    ],
    ids=["dv", "short", "signs", "capitals", "on", "faery", "txyp", "xytp", "xypt"],
)
def test_the_usual_names_polarities_and_orders_are_the_same_events(tmp_path: Path, array):
    np.save(tmp_path / "a.npy", array)
    assert rows_of(tmp_path / "a.npy") == ROWS


@pytest.mark.parametrize(
    ("unit", "times"),
    [
        ("s", T / 1e6),
        ("ms", T / 1e3),
        ("us", T),
        ("us", T.astype(np.uint32)),
        ("ns", T * 1000),
        ("ns", T * 1000 + 999),
    ],
)
def test_a_unit_of_time_gives_microseconds(tmp_path: Path, unit: str, times):
    np.save(tmp_path / "a.npy", structured(when=times, x=X, y=Y, side=P))
    fields = {"t": "when", "p": "side"}
    assert rows_of(tmp_path / "a.npy", fields=fields, time_unit=unit) == ROWS


@pytest.mark.parametrize("unit", ["s", "ms"])
def test_whole_numbers_of_a_coarse_unit_are_multiplied(tmp_path: Path, unit: str):
    np.save(tmp_path / "a.npy", structured(t=np.array([0, 1, 2, 5]), x=X, y=Y, p=P))
    factor = {"s": 1_000_000, "ms": 1_000}[unit]
    times = [row[0] for row in rows_of(tmp_path / "a.npy", time_unit=unit)]
    assert times == [0, factor, 2 * factor, 5 * factor]


def test_separate_arrays_in_an_npz_are_one_recording(tmp_path: Path):
    np.savez(tmp_path / "a.npz", t=T, x=X, y=Y, p=P)
    assert rows_of(tmp_path / "a.npz") == ROWS
    np.savez(tmp_path / "b.npz", stamps=T * 1000, x=X, y=Y, polarities=P == 1, label=3)
    assert rows_of(tmp_path / "b.npz", fields={"t": "stamps"}, time_unit="ns") == ROWS
    assert open_dataset(tmp_path / "b.npz", fields={"t": "stamps"}).labels.tolist() == [3]


def test_events_and_label_in_an_npz_are_one_recording(tmp_path: Path):
    np.savez(tmp_path / "a.npz", events=structured(ts=T, x=X, y=Y, p=P), label=np.array(1))
    assert rows_of(tmp_path / "a.npz") == ROWS
    assert open_dataset(tmp_path / "a.npz").labels.tolist() == [1]
    # a flat folder of such files has the labels in them
    assert open_dataset(tmp_path).labels.tolist() == [1]


def test_npz_files_in_a_folder_for_each_class_are_read(tmp_path: Path):
    for name in ("train/0/a", "train/1/b", "test/1/c"):
        path = tmp_path / f"{name}.npz"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, t=T, x=X, y=Y, p=P)
    assert open_dataset(tmp_path, split="train").labels.tolist() == [0, 1]
    assert open_dataset(tmp_path, split="test").labels.tolist() == [1]
    assert rows_of(tmp_path) == ROWS
    (tmp_path / "test" / "1" / "c.npz").unlink()
    with pytest.raises(EventsError, match="split test, but 2 for the split train: use --split tr"):
        open_dataset(tmp_path)


def write_text(path: Path, rows: list[str]) -> None:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


SECONDS = [f"{t / 1e6:.6f} {x} {y} {p}" for t, x, y, p in ROWS]


@pytest.mark.parametrize(
    "lines",
    [
        SECONDS,
        ["10 12", *SECONDS],
        ["# v2e", "# timestamp x y polarity", *SECONDS],
        [f"{t} {x} {y} {2 * p - 1}" for t, x, y, p in ROWS],
        [f"{x},{y},{p},{t}" for t, x, y, p in ROWS],
        ["% a comment", *(f"{x};{y};{p};{t}" for t, x, y, p in ROWS)],
        ["timestamp,x,y,polarity", *(f"{t},{x},{y},{p}" for t, x, y, p in ROWS)],
        ["x, y, on, ts", *(f"{x}, {y}, {p}, {t}" for t, x, y, p in ROWS)],
        ["\ufefft\tx\ty\tp", *(f"{t}\t{x}\t{y}\t{p}" for t, x, y, p in ROWS)],
    ],
    ids=["rpg", "e2vid", "v2e", "signs", "metavision", "semicolons", "names", "spaces", "tabs"],
)
def test_text_of_other_tools_is_the_same_events(tmp_path: Path, lines: list[str]):
    write_text(tmp_path / "a.txt", lines)
    assert rows_of(tmp_path / "a.txt") == ROWS


def test_a_line_with_the_size_of_the_sensor_states_it(tmp_path: Path):
    write_text(tmp_path / "a.txt", ["240 180", *SECONDS])
    dataset = open_dataset(tmp_path / "a.txt")
    assert (dataset.shape, dataset.shape_stated) == ((2, 180, 240), True)
    write_text(tmp_path / "b.txt", SECONDS)
    dataset = open_dataset(tmp_path / "b.txt")
    assert (dataset.shape, dataset.shape_stated) == ((2, 10, 8), False)
    dataset = open_dataset(tmp_path / "b.txt", sensor=(180, 240))
    assert (dataset.shape, dataset.shape_stated) == ((2, 180, 240), True)


@pytest.mark.parametrize(
    ("array", "reading", "message"),
    [
        (structured(t=T, x=X, y=Y, side=P), {}, r"no event stream \(without p\)"),
        (structured(t=T, x=X, y=Y, side=P), {"fields": {"p": "sid"}}, "no field 'sid' for p, it"),
        (structured(t=T, ts=T, x=X, y=Y, p=P), {}, "t and ts may both be t: choose one with"),
        (structured(t=T / 7e6, x=X, y=Y, p=P), {}, "unknown unit: say it, such as --time-unit s"),
        (structured(t=T * np.nan, x=X, y=Y, p=P), {"time_unit": "s"}, "NaN or infinity"),
        (structured(t=T + 2**60, x=X, y=Y, p=P), {"time_unit": "s"}, "don't fit into 64 bits"),
        (structured(t=T, x=X, y=Y, p=P - 2), {}, "field p: holds -2, -1, a polarity is 0 or 1"),
        (structured(t=T, x=X + 0.5, y=Y, p=P), {}, "field x: fractions or NaN are no addresses"),
        (structured(t=T, x=X - 2**40, y=Y, p=P), {}, "field x: values from"),
        (structured(t=T, x=X, y=Y, p=np.array(list("abcd"))), {}, "are no numbers"),
        (np.stack([X, X, X, P], axis=1)[::-1], {}, "its values are in none of the orders"),
        (np.stack([X, Y, P, T, T], axis=1), {}, "has 5 columns without names"),
        (np.stack([X, Y, P, T], axis=1), {"fields": {"t": "3"}}, "give the number of each"),
        (np.zeros((4, 3, 34, 34)), {}, "is no event stream"),
        (structured(t=T, x=X, y=Y, p=P), {"time_unit": "m"}, "time unit 'm' is not known"),
        (structured(t=T, x=X, y=Y, p=P), {"fields": {"q": "t"}}, "fields has 'q'"),
        (structured(t=T, x=X, y=Y, p=P), {"sensor": (0, 4)}, "give its size"),
    ],
)
def test_what_is_no_event_stream_is_refused_with_what_to_say(
    tmp_path: Path, array, reading, message
):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path / "a.npy", **reading)
    assert "\n" not in str(caught.value)


def test_the_numbers_of_columns_settle_an_order_that_the_values_leave_open(tmp_path: Path):
    # x is as good a time as t here
    array = np.array([[0, 1, 1, 0], [10, 2, 2, 1], [20, 3, 3, 1]])
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(EventsError, match="--fields t=0,x=1,y=2,p=3") as caught:
        open_dataset(tmp_path / "a.npy")
    assert "t, x, y, p or x, y, t, p" in str(caught.value)
    fields = dict(part.split("=") for part in str(caught.value).split("--fields ")[1].split(","))
    assert rows_of(tmp_path / "a.npy", fields=fields) == [tuple(row) for row in array.tolist()]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "holds no events"),
        (["# nothing"], "holds no events"),
        (["t,x,y,p"], "holds no events"),
        (["this is a note about the data"], "holds no events"),
        (["0 1 2 1", "5 1 2"], "is no table of numbers"),
        (["0 1 2 \x1b[31m", "5 1 2 0"], r"is no table of numbers .*\\x1b"),
        (["time,x,y,side", "0,1,2,1"], "none of them is p: name it, such as --fields p=time"),
        (["t,x,y,p,z", "0,1,2,1"], "5 names and 4 columns"),
        (["a" * 5000], "holds no events"),
    ],
)
def test_text_without_events_is_refused(tmp_path: Path, lines: list[str], message: str):
    write_text(tmp_path / "a.csv", lines)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path / "a.csv")
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_formats_with_fields_of_their_own_take_no_names(tmp_path: Path):
    (tmp_path / "a.dat").write_bytes(b"% Version 2\n\x00\x08" + bytes(8))
    with pytest.raises(EventsError, match="leave --fields and --time-unit out"):
        open_dataset(tmp_path / "a.dat", time_unit="ns")
    with pytest.raises(EventsError, match="leave --fields"):
        open_dataset("synthetic-digits", sensor=(34, 34))


@pytest.mark.parametrize("suffix", [".mat", ".pt", ".zip"])
def test_the_line_that_a_refusal_gives_converts_the_file(tmp_path: Path, suffix: str):
    path = tmp_path / f"a{suffix}"
    if suffix == ".mat":
        savemat(path, {"ts": T[:, None], "x": X[:, None], "y": Y[:, None], "pol": P[:, None]})
    elif suffix == ".pt":
        torch.save(torch.tensor(ROWS), path)
    else:
        write_text(tmp_path / "a.txt", SECONDS)
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "a.txt", "out.txt")
    with pytest.raises(EventsError, match=f"{suffix} files can't be read") as caught:
        open_dataset(path)
    line = str(caught.value)[str(caught.value).index("python -") :]
    line = line.replace("python", sys.executable, 1)
    subprocess.run(line, shell=True, check=True, cwd=tmp_path)  # noqa: S602 (a line of our own)
    written = next(found for found in tmp_path.rglob("out.*"))
    assert rows_of(written) == ROWS
