"""Fields take, change and refuse what pybind11 does.

The answers are those of a class with such fields that was compiled with pybind11 3.1.0 for
CPython 3.11 (numpy 2.4, torch 2.13); `refused` stands for its TypeError.
"""

from decimal import Decimal

import numpy as np
import pytest
import torch

from speckflex.virtual._records import Flag, Integer, Nested, Number, Record

refused = object()

VALUES = {
    "5": 5,
    "-1": -1,
    "300": 300,
    "70000": 70000,
    "2**31": 2**31,
    "2**32": 2**32,
    "2**63": 2**63,
    "True": True,
    "5.0": 5.0,
    "1.5": 1.5,
    "float64": np.float64(5),
    "float32": np.float32(5.5),
    "float16": np.float16(5.5),
    "int8": np.int8(5),
    "uint64": np.uint64(5),
    "numpy bool": np.True_,
    "0-d array": np.array(5),
    "0-d float array": np.array(5.5),
    "array": np.array([5, 6]),
    "tensor": torch.tensor(5),
    "float tensor": torch.tensor(5.5),
    "tensor of one": torch.tensor([5]),
    "bool tensor": torch.tensor(True),
    "text": "5",
    "bytes": b"5",
    "None": None,
    "list": [5],
    "dict": {},
    "decimal": Decimal("5.5"),
    "complex": 1j,
    "nan": np.float32("nan"),
}
# what an int of enough bits is; a shorter one takes the same or refuses
AS_INT = {
    "5": 5,
    "-1": -1,
    "300": 300,
    "70000": 70000,
    "2**31": 2**31,
    "2**32": 2**32,
    "True": 1,
    "float32": 5,
    "float16": 5,
    "int8": 5,
    "uint64": 5,
    "numpy bool": 1,
    "0-d array": 5,
    "0-d float array": 5,
    "tensor": 5,
    "float tensor": 5,
    "tensor of one": 5,
    "bool tensor": 1,
    "decimal": 5,
}
RANGES = {
    "uint8": (0, 2**8 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
NO_BOOL = {"array", "text", "bytes", "list", "dict"}
AS_FLOAT = AS_INT | {
    "2**63": 2.0**63,
    "5.0": 5.0,
    "1.5": 1.5,
    "float64": 5.0,
    **dict.fromkeys(("float32", "float16", "0-d float array", "float tensor", "decimal"), 5.5),
}


class Bound(Record, source="this test"):
    """One field of each kind."""

    __slots__ = ()
    uint8 = Integer("uint8")
    int16 = Integer("int16")
    uint16 = Integer("uint16")
    int32 = Integer("int32")
    uint32 = Integer("uint32")
    int64 = Integer("int64")
    switch = Flag()
    number = Number()
    row = Nested(1)


def assigned(field, value):
    """Return what a field holds after an assignment, or `refused`."""
    record = Bound()
    before = getattr(record, field)
    try:
        setattr(record, field, value)
    except TypeError:
        assert getattr(record, field) == before
        return refused
    return getattr(record, field)


@pytest.mark.parametrize("width", RANGES)
@pytest.mark.parametrize("name", VALUES)
def test_integers_are_taken_as_by_pybind11(width, name):
    low, high = RANGES[width]
    expected = AS_INT.get(name, refused)
    if expected is not refused and not low <= expected <= high:
        expected = refused
    found = assigned(width, VALUES[name])
    assert found is expected or (found == expected and type(found) is int)


@pytest.mark.parametrize("name", VALUES)
def test_switches_are_taken_as_by_pybind11(name):
    expected = refused if name in NO_BOOL else name != "None"
    assert assigned("switch", VALUES[name]) is expected


@pytest.mark.parametrize("name", [name for name in VALUES if name != "nan"])
def test_floats_are_taken_as_by_pybind11(name):
    assert assigned("number", VALUES[name]) == AS_FLOAT.get(name, refused)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2], [1, 2]),
        ((1, 2), [1, 2]),
        (np.array([1, 2], np.int8), [1, 2]),
        (np.array([True]), [1]),
        (np.array([1.5, 2.0]), refused),
        (np.array([1.5, 2.0], np.float32), [1, 2]),
        ([1.5], refused),
        ("ab", refused),
        (5, refused),
        (None, refused),
        ([], []),
    ],
)
def test_lists_are_taken_as_by_pybind11(value, expected):
    assert assigned("row", value) == expected


def test_a_refusal_has_pybind11s_words_and_names_the_field():
    with pytest.raises(TypeError) as caught:
        Bound().uint8 = 1.5
    assert str(caught.value) == (
        "(): incompatible function arguments. The following argument types are supported:\n"
        "    1. (self: Bound, arg0: int) -> None\n"
        "\n"
        "Invoked with: 1.5 of type float\n"
        "uint8: give an integer in 0..255"
    )
