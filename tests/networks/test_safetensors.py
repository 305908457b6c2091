"""safetensors files written by hand after the page of the format."""

import json
from pathlib import Path

import pytest

from speckflex.errors import FileFormatError
from speckflex.networks._safetensors import read_safetensors


def written(folder: Path, entries: dict, values: bytes) -> Path:
    text = json.dumps(entries).encode()
    path = folder / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + values)
    return path


def entry(shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": "I16", "shape": shape, "data_offsets": [begin, end]}


def test_each_tensor_has_the_numbers_at_its_place(tmp_path: Path):
    entries = {"a": entry([2], 0, 4), "b": entry([1, 1], 4, 6), "c": entry([0, 7], 6, 6)}
    tensors = read_safetensors(written(tmp_path, entries, b"\1\0\2\0\3\0"))
    assert {name: tensor.tolist() for name, tensor in tensors.items()} == {
        "a": [1, 2],
        "b": [[3]],
        "c": [],
    }


def test_tensors_that_lie_in_the_bytes_of_others_are_refused(tmp_path: Path):
    """The format forbids it; a file of 1 MB would fill gigabytes."""
    entries = {f"a{number}": entry([1000], 0, 2000) for number in range(1000)}
    with pytest.raises(FileFormatError, match="tensor 'a1' lies in the bytes of others"):
        read_safetensors(written(tmp_path, entries, bytes(2000)))


@pytest.mark.parametrize("shape", [[10**30, 0], [-1], [True], "x"])
def test_a_shape_that_is_none_is_refused_in_one_line(tmp_path: Path, shape):
    with pytest.raises(FileFormatError, match="is damaged or no safetensors file") as refused:
        read_safetensors(written(tmp_path, {"a": entry(shape, 0, 0)}, b""))
    assert "\n" not in str(refused.value)
