"""HDF5 files whose texts claim what is not there, which HDF5 would allocate before it looks."""

import struct
import time
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from h5py import h5o

from speckflex._support.hdf5 import Hdf5Guard
from speckflex._support.hdf5_headers import header_spans
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


def test_numbers_that_look_like_a_text_are_none_where_no_header_is(tmp_path):
    """An address of a chunk such as 0x80078, one byte on, is the address 0x800 of the heap."""
    path = _written(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        file.create_dataset("chunks", data=np.arange(40), chunks=(10,))
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL\x01\0\0\0")
    # what follows the last of the chunks' addresses in their tree is never read
    unused = content.index(b"TREE\x01") + 24 + 5 * 24 + 4 * 8
    assert not any(content[unused : unused + 100])
    address = struct.pack("<Q", 256 * heap + 0x78)
    content[unused : unused + 8] = address
    assert struct.unpack_from("<IQI", content, unused - 3) == (0x78000000, heap, 0)
    path.write_bytes(content)
    _check(path)
    with h5py.File(path) as file:
        assert file["chunks"][()].tolist() == list(range(40))


FORMS = [
    {"libver": "earliest"},
    {"libver": "latest"},
    {"libver": "latest", "track_order": True},
    {"libver": "earliest", "track_order": True},
]


def _with_attributes(path: Path, **form: object) -> Path:
    with h5py.File(path, "w", **form) as file:
        data = file.create_dataset("group/data", data=np.arange(1000), chunks=(10,))
        file["group"].attrs["name"] = "a group"
        # header of several parts, and, where the order is kept, a heap of attributes
        for index in range(30):
            data.attrs[f"note {index}"] = f"text {index}"
    return path


@pytest.mark.parametrize("text", ["a group", "text 0", "text 29"])
@pytest.mark.parametrize("form", FORMS)
def test_attributes_that_claim_too_much_are_refused_wherever_they_lie(tmp_path, form, text):
    path = _with_attributes(tmp_path / "a.h5", **form)
    _check(path)
    content = bytearray(path.read_bytes())
    stored = content.index(text.encode(), content.index(b"GCOL\x01\0\0\0"))
    # The newer headers have checksums, heaps have none: so the heap holds less, as much as before
    # with what fills it up to 8 bytes.
    (length,) = struct.unpack_from("<Q", content, stored - 8)
    assert length == len(text)
    struct.pack_into("<Q", content, stored - 8, length - 1)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match="its texts claim more bytes than are stored"):
        _check(path)


@pytest.mark.parametrize("form", FORMS)
def test_the_parts_of_headers_are_as_large_as_hdf5_says(tmp_path, form):
    path = _with_attributes(tmp_path / "a.h5", **form)
    content = path.read_bytes()
    with h5py.File(path) as file:
        for name in ("/", "group", "group/data"):
            info = h5o.get_info(file[name].id)
            spans = header_spans(content, 0, [info.addr])
            dense = b"FRHP" in content and name == "group/data"
            if dense:  # its attributes lie in a heap
                assert spans is None
                continue
            if content[info.addr : info.addr + 4] == b"OHDR":
                # prefix and checksum, and a mark and a checksum of each other part
                around = spans[0][0] - info.addr + 4 + 8 * (len(spans) - 1)
            else:
                around = 16
            assert len(spans) == info.hdr.nchunks
            assert sum(stop - start for start, stop in spans) + around == info.hdr.space.total


@pytest.mark.parametrize(
    "damage",
    [
        lambda content, at: content[:at],
        lambda content, at: content[:at] + b"\x07" + content[at + 1 :],  # another version
        lambda content, at: content[: at + 8] + b"\xff" * 4 + content[at + 12 :],  # too long
    ],
)
def test_headers_that_are_not_understood_are_not_passed_over(tmp_path, damage):
    path = _with_attributes(tmp_path / "a.h5")
    content = path.read_bytes()
    with h5py.File(path) as file:
        address = h5o.get_info(file["group"].id).addr
    assert header_spans(content, 0, [address])
    assert header_spans(damage(content, address), 0, [address]) is None


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
