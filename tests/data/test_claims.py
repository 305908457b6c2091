"""Files of events whose headers claim more than they have."""

import gzip
import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from speckflex._support import npy
from speckflex.data import open_dataset
from speckflex.data.formats import _idx
from speckflex.data.formats._idx import read_idx
from speckflex.errors import EventsError
from speckflex.events.streams import EVENT_DTYPE


def npy_file(shape: str, dtype: str = "<i8", body: bytes = b"") -> bytes:
    """Return an .npy file, written from the page of the format."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


def refusal(path: Path) -> str:
    with pytest.raises(EventsError) as caught:
        open_dataset(path)[0]
    return str(caught.value)


@pytest.mark.parametrize("shape", ["(10**12,)", "(1000000000000, 4)", "(3000000000, 4)", "(-5, 4)"])
def test_an_array_that_claims_more_than_the_file_has_is_refused_unread(shape, tmp_path):
    (tmp_path / "claim.npy").write_bytes(npy_file(shape))
    assert "no plain numpy array" in refusal(tmp_path / "claim.npy")


def test_the_claim_and_what_is_there_are_told(tmp_path):
    (tmp_path / "claim.npy").write_bytes(npy_file("(9, 4)", body=bytes(100)))
    assert "claims 288 bytes of shape (9, 4), 100 are there" in refusal(tmp_path / "claim.npy")


def test_an_array_of_an_archive_is_held_against_its_bytes(tmp_path):
    with zipfile.ZipFile(tmp_path / "claim.npz", "w") as archive:
        archive.writestr("a.npy", npy_file("(10000000000, 4)", body=bytes(64)))
    assert "64 are there" in refusal(tmp_path / "claim.npz")


def test_an_archive_that_unpacks_to_far_more_than_it_has_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(npy, "ALWAYS_ALLOWED_BYTES", 10_000)
    events = np.zeros(10_000, EVENT_DTYPE)
    np.savez_compressed(tmp_path / "bomb.npz", a=events)
    assert "more than 100 times as many" in refusal(tmp_path / "bomb.npz")


def test_an_array_is_read_as_numpy_reads_it(tmp_path, rng):
    array = np.asfortranarray(rng.integers(0, 9, (5, 4)))
    np.save(tmp_path / "a.npy", array)
    content = (tmp_path / "a.npy").read_bytes()
    np.testing.assert_array_equal(npy.read_npy(io.BytesIO(content), len(content)), array)


@pytest.mark.parametrize("size", [b"1000000000x1000000000", b"0x0", b"9" * 5000 + b"x1"])
@pytest.mark.parametrize("name", ["a.raw", "a.dat"])
def test_a_sensor_of_an_impossible_size_is_refused(size, name, tmp_path):
    header = b"% evt 2.0\n% geometry " + size + b"\n% end\n"
    (tmp_path / name).write_bytes(header + b"\x00\x08" * (name == "a.dat") + bytes(80))
    assert "states a sensor of shape" in refusal(tmp_path / name)


def test_a_small_gzip_file_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(_idx, "MAX_BYTES", 1000)
    body = bytes([0, 0, 8, 1]) + (10_000).to_bytes(4, "big") + bytes(10_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(body))
    with pytest.raises(EventsError, match="holds 992 values"):
        read_idx(tmp_path / "bomb.gz")


def test_a_label_of_absurdly_many_classes_is_refused(tmp_path: Path):
    events = np.zeros(1, [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "i2")])
    np.savez(tmp_path / "a.npz", events, labels=np.array([2**61]))
    with pytest.raises(EventsError, match=f"has the label {2**61}, at most 4095 is read"):
        open_dataset(tmp_path / "a.npz")
