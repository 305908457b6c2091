"""Prophesee's encodings, against decoders that follow the formats' pages word by word."""

from pathlib import Path

import numpy as np
import pytest

from speckflex.data import open_dataset
from speckflex.data.formats import _prophesee_words as prophesee_words
from speckflex.data.formats._prophesee_words import (
    decode_dat,
    decode_evt2,
    decode_evt3,
    decode_evt21,
)

EVT3_KINDS = [0, 2, 3, 4, 5, 6, 8, 7, 10, 14]  # the last three hold no events: they are read past


def slow_evt3(words):
    """The (t, x, y, p) of EVT3 words, one word at a time."""
    y = low = high = wraps = base = polarity = 0
    rows = []
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        time = (wraps << 24) + (high << 12) + low
        if kind == 0:
            y = value & 0x7FF
        elif kind == 2:
            rows.append((time, value & 0x7FF, y, value >> 11))
        elif kind == 3:
            base, polarity = value & 0x7FF, value >> 11
        elif kind in (4, 5):
            width = 12 if kind == 4 else 8
            rows += [(time, base + i, y, polarity) for i in range(width) if value >> i & 1]
            base += width
        elif kind == 6:
            low = value
        elif kind == 8:
            wraps += high - value > 2048
            high = value
    return rows


def rows_of(events):
    return events[["t", "x", "y", "p"]].tolist()


def words_of(kinds, values):
    return (np.asarray(kinds, np.uint16) << 12 | np.asarray(values, np.uint16)).astype("<u2")


def test_the_times_of_a_file_written_by_hand(tmp_path: Path):
    # TIME_HIGH counts 4096 µs, TIME_LOW the rest: 4000, 4096 + 4, 2 * 4096
    kinds = [8, 6, 0, 2, 8, 6, 0, 2, 8, 6, 2]
    values = [0, 4000, 5, 3 | 1 << 11, 1, 4, 6, 4, 2, 0, 7 | 1 << 11]
    header = b"% evt 3.0\n% format EVT3;height=34;width=34\n% geometry 34x34\n% end\n"
    (tmp_path / "a.raw").write_bytes(header + words_of(kinds, values).tobytes())
    events, _ = open_dataset(tmp_path / "a.raw")[0]
    assert rows_of(events) == [(0, 3, 5, 1), (100, 4, 6, 0), (4192, 7, 6, 1)]


@pytest.mark.parametrize("chunk", [1, 7, 2**20])
@pytest.mark.parametrize("seed", range(10))
def test_evt3_words_of_every_kind_are_decoded_as_the_slow_decoder_does(monkeypatch, chunk, seed):
    monkeypatch.setattr(prophesee_words, "CHUNK", chunk)
    generator = np.random.default_rng(seed)
    kinds = [8, *generator.choice(EVT3_KINDS, 400)]
    words = words_of(kinds, generator.integers(0, 4096, 401))
    assert rows_of(decode_evt3(words)) == slow_evt3(words.tolist())


def test_evt3_events_before_the_first_time_are_left_out_and_their_row_is_kept():
    words = words_of([0, 2, 8, 2], [9, 5, 3, 6])
    assert rows_of(decode_evt3(words)) == [(3 << 12, 6, 9, 0)]


def test_evt3_time_goes_on_when_its_24_bits_wrap():
    words = words_of([8, 6, 2, 8, 6, 2], [4095, 4095, 1, 0, 1, 1])
    assert [row[0] for row in rows_of(decode_evt3(words))] == [2**24 - 1, 2**24 + 1]


def test_a_real_evt3_file_is_decoded_as_the_slow_decoder_does(shared_data: Path):
    content = (shared_data / "recordings" / "expelliarmus_evt3_sample.raw").read_bytes()
    start = 0
    while content[start : start + 1] == b"%":
        start = content.index(b"\n", start) + 1
    words = np.frombuffer(content[start:], "<u2")
    events = decode_evt3(words)
    assert rows_of(events) == slow_evt3(words.tolist())
    assert int(events["t"][-1] - events["t"][0]) == 8801


def test_evt2_words_are_decoded_by_their_bits():
    def word(kind, low, x, y):
        return kind << 28 | low << 22 | x << 11 | y

    words = np.array(
        [word(1, 3, 5, 6), 8 << 28 | 7, word(1, 3, 5, 6), 10 << 28, word(0, 63, 2047, 2047)],
        np.uint32,
    )
    assert rows_of(decode_evt2(words)) == [(7 * 64 + 3, 5, 6, 1), (7 * 64 + 63, 2047, 2047, 0)]


def slow_evt21(words):
    """The (t, x, y, p) of EVT2.1 words, one word and one pixel at a time."""
    high = None
    rows = []
    for word in words:
        bits = f"{word:064b}"
        kind, low, x, y = (
            int(part, 2) for part in (bits[:4], bits[4:10], bits[10:21], bits[21:32])
        )
        if kind == 8:
            high = int(bits[4:32], 2)
        elif kind in (0, 1) and high is not None:
            pixels = [pixel for pixel in range(32) if bits[63 - pixel] == "1"]
            rows += [(high * 64 + low, x + pixel, y, kind) for pixel in pixels]
    return rows


@pytest.mark.parametrize("chunk", [3, 2**20])
def test_evt21_words_are_decoded_as_the_slow_decoder_does(monkeypatch, rng, chunk):
    monkeypatch.setattr(prophesee_words, "CHUNK", chunk)
    kinds = rng.choice([0, 1, 8, 10, 14, 15], 300).astype(np.uint64)
    words = kinds << np.uint64(60) | rng.integers(0, 2**60, 300, dtype=np.uint64)
    expected = slow_evt21(words.tolist())
    assert len(expected) > 1000
    assert rows_of(decode_evt21(words)) == expected


@pytest.mark.parametrize("order", ["little", "legacy"])
def test_the_halves_of_evt21_words_are_in_the_order_of_the_header(tmp_path: Path, order):
    words = np.array([8 << 60 | 5 << 32, 1 << 60 | 3 << 54 | 64 << 43 | 7 << 32 | 0b101], "<u8")
    if order == "legacy":
        words = words << np.uint64(32) | words >> np.uint64(32)
    header = f"% evt 2.1\n% format EVT21;endianness={order};height=72;width=128\n% end\n"
    (tmp_path / "a.raw").write_bytes(header.encode() + words.tobytes())
    dataset = open_dataset(tmp_path / "a.raw")
    assert dataset.shape == (2, 72, 128)
    assert rows_of(dataset[0][0]) == [(0, 64, 7, 1), (0, 66, 7, 1)]


def test_dat_words_are_decoded_by_their_bits():
    words = np.array([9, 5 | 6 << 14 | 1 << 28, 2**31 + 8, 1 | 2 << 14], np.uint32)
    assert rows_of(decode_dat(words)) == [(9, 5, 6, 1), (2**31 + 8, 1, 2, 0)]


def test_data_that_begins_with_a_percent_sign_is_no_header(tmp_path: Path):
    # the y of the first word makes its low byte 0x25, a "%"
    words = words_of([0, 8, 2], [0x25, 0, 3])
    (tmp_path / "a.raw").write_bytes(b"% evt 3.0\n% geometry 64x64\n% end\n" + words.tobytes())
    assert rows_of(open_dataset(tmp_path / "a.raw")[0][0]) == [(0, 3, 0x25, 0)]
