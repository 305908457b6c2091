"""Event Stream's `.es`, against a decoder that walks through the bytes one at a time."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speckflex.data import open_dataset
from speckflex.data.formats._event_stream import decode_atis, decode_dvs
from speckflex.errors import EventsError


def slow_dvs(data: bytes) -> list[tuple[int, ...]]:
    """The (t, x, y, p): 7 bits of time and one of polarity, then x and y; 255 adds 127 µs."""
    rows, time, place = [], 0, 0
    while place < len(data):
        first = data[place]
        if first >= 254:
            time += 127 * (first == 255)
            place += 1
            continue
        if place + 5 > len(data):
            break
        time += first >> 1
        x, y = data[place + 1] + 256 * data[place + 2], data[place + 3] + 256 * data[place + 4]
        rows.append((time, x, y, first & 1))
        place += 5
    return rows


def slow_atis(data: bytes) -> list[tuple[int, ...]]:
    """The (t, x, y, p): 6 bits of time, polarity, exposure; 253 to 255 add 1 to 3 times 63 µs."""
    rows, time, place = [], 0, 0
    while place < len(data):
        first = data[place]
        if first >= 252:
            time += 63 * (first - 252)
            place += 1
            continue
        if place + 5 > len(data):
            break
        time += first >> 2
        x, y = data[place + 1] + 256 * data[place + 2], data[place + 3] + 256 * data[place + 4]
        if not first & 1:
            rows.append((time, x, y, first >> 1 & 1))
        place += 5
    return rows


def rows_of(events: np.ndarray) -> list[tuple[int, ...]]:
    return events[["t", "x", "y", "p"]].tolist()


# the high bytes of x and y stay small, the others are often a mark
low = st.one_of(st.integers(0, 255), st.integers(250, 255))
event = st.tuples(low, low, st.integers(0, 127), low, st.integers(0, 127)).map(bytes)


@pytest.mark.parametrize(("fast", "slow"), [(decode_dvs, slow_dvs), (decode_atis, slow_atis)])
@given(parts=st.lists(event, max_size=30), cut=st.integers(0, 9))
def test_any_bytes_are_decoded_as_the_slow_decoder_does(fast, slow, parts, cut):
    data = b"".join(parts)[cut:]
    # out of step, a high byte may be one of 128 or more, which is no address
    expected = slow(data)
    if all(row[1] < 2**15 and row[2] < 2**15 for row in expected):
        assert rows_of(fast(np.frombuffer(data, np.uint8))) == expected


def header(version: int = 2, kind: int = 1, width: int = 64, height: int = 48) -> bytes:
    sizes = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    return b"Event Stream" + bytes([version, 0, 0, kind]) + sizes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "does not begin as Event Stream files do"),
        (b"Event Stream", "does not begin as Event Stream files do"),
        (header(version=1), "is Event Stream version 1, only 2 can be read"),
        (header(kind=4), "holds a stream of the type color"),
        (header(kind=77), "holds a stream of the type number 77"),
        (header(width=0), "states a sensor of 0 x 48 pixels"),
        (header(), "holds no events"),
        (header() + bytes(4), "holds no events"),
        (header() + bytes([0, 63, 0, 48, 0]), "event 0 has y = 48, the input has 48"),
        (header() + bytes([0, 0, 0, 0, 255]), "event 0 has y = -256, the input has 48"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path: Path, content, message):
    (tmp_path / "a.es").write_bytes(content)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path / "a.es")[0]
    assert "\n" not in str(caught.value)
