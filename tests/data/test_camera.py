"""Camera files, against a reference decoding and against words made by hand."""

from pathlib import Path

import numpy as np
import pytest

from speckflex.data import open_dataset
from speckflex.errors import EventsError

EVT2 = b"% evt 2.0\n% geometry 640x480\n"


def evt2_words(rows: list[tuple[int, int, int, int]]) -> bytes:
    """Encode t, x, y, p: 4 bits of type, 6 of time, 11 of x, 11 of y; type 8 is the time above."""
    words, high = [], -1
    for t, x, y, p in rows:
        if t >> 6 != high:
            high = t >> 6
            words.append(0x8 << 28 | high)
        words.append(p << 28 | (t & 63) << 22 | x << 11 | y)
    return np.array(words, "<u4").tobytes()


def dat_words(rows: list[tuple[int, int, int, int]]) -> bytes:
    """Encode t, x, y, p: 32 bits of time, then 14 of x, 14 of y and one of polarity."""
    pairs = [(t, x | y << 14 | p << 28) for t, x, y, p in rows]
    return np.array(pairs, "<u4").tobytes()


ROWS = [(640, 3, 4, 1), (641, 639, 479, 0), (900, 0, 0, 1)]
DAT = b"% Version 2\n% Height 240\n% Width 304\n\x00\x08"


def test_an_evt3_file_has_the_pixels_and_polarities_of_its_reference_decoding(shared_data: Path):
    # the times of that decoding are wrong: TIME_LOW's wrap is added to TIME_HIGH (test_prophesee)
    folder = shared_data / "recordings"
    expected = np.load(folder / "expelliarmus_evt3_sample.npy")
    dataset = open_dataset(folder / "expelliarmus_evt3_sample.raw")
    events, label = dataset[0]
    assert (label, dataset.shape, len(events)) == (-1, (2, 720, 1280), 219596)
    assert all(np.array_equal(events[name], expected[name]) for name in "xyp")


def test_a_real_dat_file_is_read(shared_data: Path):
    events, _ = open_dataset(shared_data / "recordings" / "tonic_sample_ncars.dat")[0]
    assert len(events) == 2009
    assert events["t"].max() < 100_000


def test_an_evt2_file_is_read_with_the_size_of_its_header(tmp_path: Path):
    path = tmp_path / "aufnahme ä 手.raw"
    path.write_bytes(EVT2 + evt2_words(ROWS))
    dataset = open_dataset(path)
    events, _ = dataset[0]
    assert dataset.shape == (2, 480, 640)
    shifted = [(t - 640, x, y, p) for t, x, y, p in ROWS]
    assert events[["t", "x", "y", "p"]].tolist() == shifted


def test_a_dat_file_is_read_with_the_size_of_its_header(tmp_path: Path):
    (tmp_path / "a.dat").write_bytes(DAT + dat_words(ROWS[:1]))
    dataset = open_dataset(tmp_path / "a.dat")
    assert dataset.shape == (2, 240, 304)
    assert dataset[0][0][["t", "x", "y", "p"]].tolist() == [(0, 3, 4, 1)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.raw", b"", "names no encoding"),
        ("a.raw", b"abc", "names no encoding"),
        ("a.raw", b"% evt 4\nabcdefgh", "names EVT4"),
        ("a.raw", b"% evt 3.0", "header line at byte 0 does not end"),
        ("a.raw", b"% evt 3.0\n% " + b"x" * 100_000, "header line at byte 10 does not end"),
        ("a.raw", b"% evt 3.0\n", "0 bytes from byte 10 on"),
        (
            "a.raw",
            b"% evt 3.0\nabc",
            "3 bytes from byte 10 on are not a whole number of evt3",
        ),
        ("a.raw", EVT2 + evt2_words(ROWS)[:-1], "whole number of evt2 words of 4 bytes"),
        ("a.raw", b"% evt 3.0\n" + b"\xff\x6f" * 400, "no evt3 events can be read"),
        ("a.dat", b"abc", "1 bytes from byte 2 on are not a whole number of dat words"),
        ("a.dat", DAT + dat_words(ROWS)[:-3], "whole number of dat words of 8 bytes"),
    ],
)
def test_a_damaged_camera_file_is_one_line_that_names_it(
    tmp_path: Path, name: str, content: bytes, message: str
):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(path)[0]
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_address_outside_the_size_of_the_header_is_refused(tmp_path: Path):
    (tmp_path / "a.raw").write_bytes(b"% format EVT2;height=100;width=100\n" + evt2_words(ROWS))
    with pytest.raises(EventsError, match="event 1 has y = 479, the input has 100"):
        open_dataset(tmp_path / "a.raw")[0]
