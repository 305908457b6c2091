"""AEDAT 2, 3.1 and 4, against slow decoders, tonic, and damaged files."""

import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tonic.io import read_davis_346

from speckflex.data import open_dataset
from speckflex.data.formats import _aedat4
from speckflex.errors import EventsError

FILES = Path(__file__).resolve().parents[1] / "files" / "events"
JAER = "#!AER-DAT2.0\r\n# This is a raw AE data file - do not edit\r\n"
CHIPS = "# AEChip: eu.seebetter.ini.chips.davis."


def rows_of(path: Path) -> list[tuple[int, ...]]:
    events, _ = open_dataset(path)[0]
    return events[["t", "x", "y", "p"]].tolist()


def write_pairs(path: Path, header: str, pairs: list[tuple[int, int]]) -> None:
    data = b"".join(struct.pack(">II", *pair) for pair in pairs)
    path.write_bytes(header.encode("latin-1") + data)


def slow_davis(pairs: list[tuple[int, int]], height: int, width: int) -> list[tuple[int, ...]]:
    """The (t, x, y, p) of DAVIS addresses as strings of bits, one at a time."""
    rows = []
    for address, time in pairs:
        bits = f"{address:032b}"
        if bits[0] == "0" and bits[21] == "0":
            y, x, polarity = int(bits[1:10], 2), int(bits[10:20], 2), int(bits[20])
            rows.append((time, width - 1 - x, height - 1 - y, polarity))
    return rows


def slow_dvs128(pairs: list[tuple[int, int]]) -> list[tuple[int, ...]]:
    """The (t, x, y, p) of DVS128 addresses as strings of bits; jAER: raw polarity 0 is ON."""
    rows = []
    for address, time in pairs:
        bits = f"{address:016b}"
        if bits[0] == "0":
            y, x = int(bits[1:8], 2), int(bits[8:15], 2)
            rows.append((time, 127 - x, 127 - y, int(bits[15] == "0")))
    return rows


def from_zero(rows: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    start = min(row[0] for row in rows)
    return [(row[0] - start, *row[1:]) for row in rows]


@pytest.fixture
def davis_pairs(rng) -> list[tuple[int, int]]:
    """Addresses of a DAVIS346, with frames (bit 31) and signals (bit 10) among them."""
    n = 300
    y, x, p, low = (rng.integers(0, high, n) for high in (260, 346, 2, 1024))
    kinds = rng.choice([0, 0, 0, 1 << 31, 1 << 10], n)
    addresses = kinds | y << 22 | x << 12 | p << 11 | low
    return list(zip(addresses.tolist(), (5000 + np.arange(n) * 3).tolist(), strict=True))


def test_davis_files_are_decoded_as_the_slow_decoder_does(tmp_path: Path, davis_pairs):
    write_pairs(tmp_path / "a.aedat", f"{JAER}{CHIPS}Davis346blue\r\n", davis_pairs)
    dataset = open_dataset(tmp_path / "a.aedat")
    assert (dataset.shape, dataset.shape_stated) == ((2, 260, 346), True)
    assert rows_of(tmp_path / "a.aedat") == from_zero(slow_davis(davis_pairs, 260, 346))


def test_events_of_a_davis346_are_those_that_tonic_reads(tmp_path: Path, davis_pairs):
    events = [pair for pair in davis_pairs if not pair[0] & (1 << 31 | 1 << 10)]
    write_pairs(tmp_path / "a.aedat", f"{JAER}{CHIPS}Davis346red\r\n", events)
    _, _, theirs = read_davis_346(str(tmp_path / "a.aedat"))
    rows = [(int(e["t"]), int(e["x"]), int(e["y"]), int(e["p"])) for e in theirs]
    assert rows_of(tmp_path / "a.aedat") == from_zero(rows)


def test_a_davis_without_a_name_is_read_with_its_size(tmp_path: Path, davis_pairs):
    # v2e writes no line with the camera
    write_pairs(tmp_path / "a.aedat", JAER, davis_pairs)
    dataset = open_dataset(tmp_path / "a.aedat", sensor=(260, 346))
    rows = dataset[0][0][["t", "x", "y", "p"]].tolist()
    assert rows == from_zero(slow_davis(davis_pairs, 260, 346))
    with pytest.raises(EventsError, match="outside the 240 x 180 pixels of the sensor that was"):
        open_dataset(tmp_path / "a.aedat", sensor=(180, 240))[0]


@pytest.mark.parametrize("name", ["DAVI346", "Davis346blue", "DAVIS346B"])
def test_events_that_begin_as_a_comment_follow_the_end_of_the_header(tmp_path: Path, name: str):
    # AedatTools ends its header with this line; "#" is 0x23, the first byte of y = 140
    pairs = [(0x23 << 24 | 5 << 12, 7), (0x23 << 24 | 6 << 12, 9)]
    header = f"{JAER}# AEChip: {name}\r\n# End of ASCII Header\r\n"
    write_pairs(tmp_path / "a.aedat", header, pairs)
    assert rows_of(tmp_path / "a.aedat") == from_zero(slow_davis(pairs, 260, 346))


@pytest.mark.parametrize("chip", ["# AEChip: ch.unizh.ini.jaer.chip.retina.DVS128\r\n", ""])
def test_dvs128_files_are_decoded_as_the_slow_decoder_does(tmp_path: Path, rng, chip):
    addresses = rng.integers(0, 2**16, 200).tolist()
    pairs = [(address, 2**32 - 900 + 4 * i) for i, address in enumerate(addresses)]
    wrapped = [(address, time % 2**32) for address, time in pairs]
    write_pairs(tmp_path / "a.aedat", JAER + chip, wrapped)
    assert open_dataset(tmp_path / "a.aedat").shape == (2, 128, 128)
    assert rows_of(tmp_path / "a.aedat") == from_zero(slow_dvs128(pairs))


def packet(kind: int, overflow: int, pairs: list[tuple[int, int]], size: int = 8) -> bytes:
    header = struct.pack("<hhiiiiii", kind, 0, size, 4, overflow, len(pairs), len(pairs), 1)
    return header + b"".join(struct.pack("<II", *pair) + bytes(size - 8) for pair in pairs)


AEDAT3 = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DAVIS240C\r\n#!END-HEADER\r\n"


def test_aedat3_packets_are_decoded_bit_by_bit(tmp_path: Path):
    def address(x: int, y: int, p: int, valid: int = 1) -> int:
        return int(f"{x:015b}{y:015b}{p}{valid}", 2)

    parts = [
        packet(1, 0, [(address(239, 179, 1), 2**31 - 5), (address(1, 2, 0, valid=0), 2**31 - 4)]),
        packet(2, 0, [(0, 0)], size=32),  # a frame is read past
        packet(1, 1, [(address(0, 3, 0), 7)]),
    ]
    (tmp_path / "a.aedat").write_bytes(AEDAT3 + b"".join(parts))
    dataset = open_dataset(tmp_path / "a.aedat")
    assert (dataset.shape, dataset.shape_stated) == ((2, 180, 240), True)
    assert rows_of(tmp_path / "a.aedat") == [(0, 239, 179, 1), (12, 0, 3, 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with ''"),
        (b"#!AER-DAT4.0\r\n", "begins with '#!AER-DAT4.0'"),
        (b"#!AER-DAT\x1b[31m\r\n", r"begins with .*\\x1b"),
        (b"#!AER-DAT2.0", "header line at byte 0 does not end"),
        (JAER.encode(), "holds no events"),
        (JAER.encode() + bytes(12), "12 bytes from byte 58 on are not a whole number"),
        (JAER.encode() + bytes([255] * 8), "not name the camera, .* such as --sensor 346x260"),
        (f"{JAER}{CHIPS}Cochlea\r\n".encode() + bytes(8), "is of the camera Cochlea"),
        (
            f"{JAER}{CHIPS}DAVIS240C\r\n".encode() + b"\x7f\xff\xf0\0" * 2,
            "addresses outside the 240 x 180 pixels of DAVIS240",
        ),
        (AEDAT3 + bytes(9), "its last packet is cut off"),
        (AEDAT3 + packet(1, 0, [(1, 1)])[:-1], "claims 1 events of 8 bytes, 7 follow"),
        (AEDAT3 + packet(1, 0, [(1, 1)], size=16), "claims 1 events of 16 bytes"),
        (AEDAT3 + struct.pack("<hhiiiiii", 1, 0, -8, 4, 0, 1, 1, 1), "claims 1 events of -8"),
        (AEDAT3 + packet(1, 0, [(0, 1)]), "holds no events"),
    ],
)
def test_a_damaged_aedat_file_is_one_line_that_names_it(tmp_path: Path, content, message):
    (tmp_path / "a.aedat").write_bytes(content)
    with pytest.raises(EventsError, match=message) as caught:
        open_dataset(tmp_path / "a.aedat")[0]
    assert "\n" not in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_real_aedat4_file_is_read(shared_data: Path, tmp_path: Path):
    pytest.importorskip("lz4")
    dataset = open_dataset(shared_data / "recordings" / "tonic_sample.aedat4")
    events, _ = dataset[0]
    assert dataset.shape == (2, 240, 320)
    # as the package aedat 2.3.0 reads it: the first event, the last one, and sums over all
    assert (len(events), events[0].tolist()) == (111954, (0, 154, 204, 0))
    assert events[-1].tolist() == (589917, 88, 237, 1)
    assert [int(events[name].sum()) for name in "txyp"] == SUMS


SUMS = [31685685498, 18342405, 15105898, 55023]


SMALL = {name: (FILES / name).read_bytes() for name in ("dv-none.aedat4", "dv-lz4.aedat4")}


@given(
    st.sampled_from(sorted(SMALL)),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
    st.integers(0, 5000),
)
def test_a_damaged_aedat4_file_never_gives_another_error(
    tmp_path_factory: pytest.TempPathFactory, name: str, changes: list[tuple[int, int]], cut: int
):
    damaged = bytearray(SMALL[name][: max(1, len(SMALL[name]) - cut)])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    path = tmp_path_factory.mktemp("damaged") / "a.aedat4"
    path.write_bytes(damaged)
    with suppress(EventsError):
        assert len(open_dataset(path)[0][0])


def test_a_packet_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch):
    pytest.importorskip("lz4")
    monkeypatch.setattr(_aedat4, "LARGEST_PACKET", 1000)
    with pytest.raises(EventsError, match="unpacks to more than 1000 bytes"):
        open_dataset(FILES / "dv-lz4.aedat4")[0]


def test_packets_that_unpack_to_far_more_than_the_file_are_refused(monkeypatch):
    monkeypatch.setattr(_aedat4, "LARGEST_PACKET", 1000)
    assert len(list(_aedat4._unpacked([bytes(600)] * 3, 10))) == 3
    with pytest.raises(_aedat4._DamageError, match="more than 100 times its bytes"):
        list(_aedat4._unpacked([bytes(600)] * 4, 10))
