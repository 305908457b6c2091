"""What is no file, or can't be one, is refused at every door before it is opened."""

import os
from pathlib import Path

import pytest

import speckflex
from speckflex._support.reading import hash_of_file, parse_json, read_file
from speckflex._support.run_folder import MARK, RunFolder, unfinished
from speckflex.boards.probe_file import ProbeFile
from speckflex.data import open_dataset
from speckflex.errors import FileFormatError, SpeckflexError
from speckflex.report import read_report

DOORS = {
    "network": (speckflex.load_network, ".pt"),
    "program": (speckflex.Program.load, ".speck"),
    "recording": (speckflex.Recording.load, ".h5"),
    "events": (open_dataset, ".npy"),
    "report": (read_report, ".json"),
    "probe": (ProbeFile.load, ".json"),
}


@pytest.mark.parametrize("door", DOORS)
def test_no_door_waits_for_a_pipe_or_takes_a_name_that_no_file_has(tmp_path: Path, door: str):
    read, suffix = DOORS[door]
    os.mkfifo(tmp_path / f"pipe{suffix}")
    names = {
        f"pipe{suffix}": "is a pipe or a device, no file",
        f"{'n' * 300}{suffix}": "can't be read",
        f"a\0b{suffix}": "can't be read",
    }
    for name, words in names.items():
        with pytest.raises(SpeckflexError, match=words):
            read(tmp_path / name)


def test_a_pipe_in_place_of_the_mark_of_a_run_is_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / MARK)
    assert unfinished(tmp_path) == ""
    with (
        pytest.raises(FileFormatError, match="is a pipe or a device"),
        RunFolder(tmp_path, FileFormatError),
    ):
        pass


def test_a_file_of_more_bytes_than_allowed_is_refused(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_bytes(b"12345")
    assert read_file(path, FileFormatError, "", largest=5) == b"12345"
    with pytest.raises(FileFormatError, match="has more than 4 bytes: give another"):
        read_file(path, FileFormatError, "give another", largest=4)


def test_numbers_without_a_value_are_none_and_deep_texts_are_refused():
    content = b'{"a": [NaN, 1e999, -Infinity, 1.5, 2], "b": %s}' % (b"9" * 400)
    assert parse_json(content) == {"a": [None, None, None, 1.5, 2], "b": None}
    assert parse_json('"ä"'.encode("utf-16")) == "ä"
    for text in ("[" * 100_000, "{", b"\xff\xff"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_json(text)


def test_the_hash_of_a_file_is_sha256(tmp_path: Path):
    (tmp_path / "abc").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert hash_of_file(tmp_path / "abc") == expected
