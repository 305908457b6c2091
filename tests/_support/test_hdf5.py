"""HDF5 files whose texts claim what is not there, which HDF5 would allocate before it looks."""

import struct
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from speckflex._support.hdf5 import Hdf5Guard
from speckflex.errors import FileFormatError

GUARD = Hdf5Guard(FileFormatError, "write it again", 2**20)
CLAIMED = struct.pack("<I", 0xF0000000)


def _check(path: Path) -> None:
    GUARD.check_heaps(path)
    with h5py.File(path, "r") as file:
        GUARD.check_contents(path, file)


def _written(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["text"] = "a text"
        file["texts"] = ["one", "two"]
        file.attrs["note"] = "an attribute"
        # the address of the heap, behind a number that would be a length
        file["numbers"] = np.array([-1, 4096, 1, -1, 2048, 1])
    return path


def _references(path: Path) -> dict[str, int]:
    """Return where the references of some texts begin, by what they refer to."""
    content = path.read_bytes()
    heap = content.index(b"GCOL\x01\0\0\0")
    found, at = {}, content.find(struct.pack("<Q", heap))
    while at >= 0:
        length, _, index = struct.unpack_from("<IQI", content, at - 4)
        if 0 < length < 20 and 0 < index < 5:
            place = heap + 16
            for _ in range(index - 1):
                place += 16 + -(-struct.unpack_from("<Q", content, place + 8)[0] // 8) * 8
            found[content[place + 16 : place + 16 + length].decode()] = at - 4
        at = content.find(struct.pack("<Q", heap), at + 1)
    return found


@pytest.mark.parametrize("text", ["a text", "two", "an attribute"])
def test_a_text_that_claims_more_than_its_heap_holds_is_refused(tmp_path, text):
    path = _written(tmp_path / "a.h5")
    _check(path)
    content = bytearray(path.read_bytes())
    at = _references(path)[text]
    content[at : at + 4] = CLAIMED
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="its texts claim more bytes than are stored"):
        _check(path)


def test_a_text_without_a_heap_is_refused_by_its_length(tmp_path):
    path = _written(tmp_path / "a.h5")
    content = bytearray(path.read_bytes())
    at = _references(path)["a text"]
    content[at : at + 8] = CLAIMED + b"\xff\xff\xff\x7f"
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="its texts claim more bytes than are stored"):
        _check(path)


ROWS = [np.arange(n, dtype=np.float32) for n in (3, 0, 70)]


def _rows(path, **filters):
    with h5py.File(path, "w") as file:
        rows = file.create_dataset("rows", (len(ROWS),), h5py.vlen_dtype("f4"), **filters)
        for place, row in enumerate(ROWS):
            rows[place] = row
    return path


# HDF5 leaves shuffling out for rows of any length, and says so in each chunk.
PACKED = [{"compression": "gzip"}, {"compression": "gzip", "shuffle": True}, {"chunks": (2,)}]


@pytest.mark.parametrize("filters", PACKED)
def test_compressed_rows_are_read_where_their_lengths_are_true(tmp_path, filters):
    path = _rows(tmp_path / "rows.h5", **filters)
    _check(path)
    with h5py.File(path) as file:
        assert [row.tolist() for row in file["rows"]] == [row.tolist() for row in ROWS]


def test_a_compressed_row_that_claims_more_than_the_file_has_is_refused(tmp_path):
    path = _rows(tmp_path / "rows.h5", compression="gzip", chunks=(3,))
    with h5py.File(path, "r+") as file:
        # by hand: three references of 16 bytes, the last of which now claims 2^30 numbers
        _, packed = file["rows"].id.read_direct_chunk((0,))
        plain = zlib.decompress(packed)
        assert plain[32:36] == struct.pack("<I", 70)
        forged = plain[:32] + struct.pack("<I", 2**30) + plain[36:]
        file["rows"].id.write_direct_chunk((0,), zlib.compress(forged))
    with pytest.raises(FileFormatError, match="claim more bytes than are stored"):
        _check(path)


def test_a_compressed_row_whose_packing_is_damaged_is_refused(tmp_path):
    path = _rows(tmp_path / "rows.h5", compression="gzip", chunks=(3,))
    with h5py.File(path, "r+") as file:
        file["rows"].id.write_direct_chunk((0,), b"no gzip at all")
    with pytest.raises(FileFormatError, match="rows has texts or rows whose length can't be"):
        _check(path)


def test_rows_behind_a_filter_that_is_not_undone_are_refused(tmp_path):
    path = _rows(tmp_path / "rows.h5", compression="lzf")
    with pytest.raises(FileFormatError, match="rows has texts or rows whose length can't be"):
        _check(path)


def test_heaps_within_heaps_are_refused_in_a_moment(tmp_path):
    """Each of 20 000 objects holds a heap that goes on to the end of the file."""
    n = 20_000
    end = 16 + 32 * n
    heaps = [struct.pack("<8sQ", b"GCOL\x01\0\0\0", end)]
    for k in range(n):
        begin = 16 + 32 * k + 16
        heaps.append(struct.pack("<HHIQ8sQ", 1, 0, 0, 16, b"GCOL\x01\0\0\0", end - begin))
    (tmp_path / "a.h5").write_bytes(b"".join(heaps))
    began = time.process_time()
    with pytest.raises(FileFormatError, match="its heap of texts at byte"):
        GUARD.check_heaps(tmp_path / "a.h5")
    assert time.process_time() - began < 2
