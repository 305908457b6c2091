"""What samna's records are made of: fields with a type, a default and a source.

A record is a class whose body is a table of fields, as in `configuration` and `events`. This
module decides what may be assigned to a field, how a record is copied, compared and printed,
and how it is written as JSON.

Fields take and refuse what pybind11 does, with which samna binds Python to C++: an integer takes
no Python float and no number beyond its width, and all else that has `__index__` or `__int__`; a
switch takes every number. `tests/virtual/test_pybind.py` has the answers of pybind11 itself.
"""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from typing_extensions import Self

_T = TypeVar("_T")
BYTES_OF_A_FLOAT = 8  # of Python's own

__all__ = [
    "Array",
    "Field",
    "Flag",
    "Integer",
    "Nested",
    "Number",
    "Record",
    "Records",
    "Struct",
    "as_bool",
    "as_float",
    "as_int",
    "as_number",
    "as_switch",
    "as_whole",
    "refused_call",
]


class Field(ABC):
    """One field of a record.

    Attributes:
        name: of the field.
        owner: the name of the record's class.
        annotation: its type in Python, as pybind11 writes it.
        summary: its type and default, for the record's documentation.
        source: where these come from; "" for the record's source.
    """

    name: str
    owner: str = ""
    annotation: str = "object"

    def __init__(self, summary: str, source: str) -> None:
        self.summary, self.source = summary, source

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.owner = name, owner.__name__

    @overload
    def __get__(self, record: None, owner: type) -> Self: ...
    @overload
    def __get__(self, record: Record, owner: type) -> Any: ...
    def __get__(self, record: Record | None, owner: type) -> Any:
        """Return the value in a record, or the field itself from the class."""
        return self if record is None else self.read(record.stored[self.name])

    def __set__(self, record: Record, value: Any) -> None:
        record.stored[self.name] = self.coerce(value, record.stored.get(self.name))

    @abstractmethod
    def default(self) -> Any:
        """Return the value in a new record."""

    @abstractmethod
    def coerce(self, value: Any, current: Any) -> Any:
        """Return `value` in the form in which the field stores it.

        Raises:
            TypeError: the value has another type or is out of range.
        """

    def read(self, stored: Any) -> Any:
        """Return a stored value in the form in which a script sees it."""
        return stored

    def to_plain(self, stored: Any) -> Any:
        """Return a stored value as plain JSON types."""
        return stored

    def refusal(self, value: Any, wanted: str) -> TypeError:
        """Return the error of an assignment that the field can't take, worded as by pybind11."""
        given = f"{value!r} of type {type(value).__name__}"
        return TypeError(
            refused_call("", f"self: {self.owner}, arg0: {self.annotation}", given)
            + f"\n{self.name}: give {wanted}"
        )


class Integer(Field):
    """An integer of a width.

    Args:
        width: numpy's name of the integer type, such as "uint8".
        default: the value in a new record.
        within: the values it may have, where these are fewer than the width holds.
        source: see `Field`.
    """

    annotation = "int"

    def __init__(
        self, width: str, default: int = 0, *, within: range | None = None, source: str = ""
    ) -> None:
        limits = np.iinfo(width)
        self._default = default
        self._within = within or range(int(limits.min), int(limits.max) + 1)
        limited = width if within is None else f"{width} in {_span(within)}"
        super().__init__(f"{limited} = {default}", source)

    def default(self) -> int:
        """Return the default."""
        return self._default

    def coerce(self, value: Any, current: Any) -> int:
        """Return an int within the range."""
        number = as_int(value)
        if number is None or number not in self._within:
            raise self.refusal(value, f"an integer in {_span(self._within)}")
        return number


class Flag(Field):
    """True or False.

    Args:
        default: the value in a new record.
        raises: another switch of the record that is switched on together with this one.
        source: see `Field`.
    """

    annotation = "bool"

    def __init__(self, *, default: bool = False, raises: str = "", source: str = "") -> None:
        super().__init__(f"bool = {default}", source)
        self._default, self._raises = default, raises

    def __set__(self, record: Record, value: Any) -> None:
        super().__set__(record, value)
        if self._raises and record.stored[self.name]:
            record.stored[self._raises] = True

    def default(self) -> bool:
        """Return the default."""
        return self._default

    def coerce(self, value: Any, current: Any) -> bool:
        """Return a bool."""
        switch = as_bool(value)
        if switch is None:
            raise self.refusal(value, "a boolean")
        return switch


class Number(Field):
    """A floating-point number."""

    annotation = "float"

    def __init__(self, *, source: str = "") -> None:
        super().__init__("float = 0.0", source)

    def default(self) -> float:
        """Return zero."""
        return 0.0

    def coerce(self, value: Any, current: Any) -> float:
        """Return a float."""
        number = as_float(value)
        if number is None:
            raise self.refusal(value, "a number")
        return number


class Nested(Field):
    """Integers in nested lists of equal lengths; a script gets a copy, as pybind gives it.

    Args:
        depth: how many levels of lists there are.
        source: see `Field`.
    """

    def __init__(self, depth: int, *, source: str = "") -> None:
        super().__init__(f"integers in lists, nested {depth} deep = []", source)
        self.depth = depth
        self.annotation = "List[" * depth + "int" + "]" * depth

    def default(self) -> np.ndarray:
        """Return an array without values."""
        return np.zeros((0,) * self.depth, np.int64)

    def coerce(self, value: Any, current: Any) -> np.ndarray:
        """Return an int64 array of `depth` axes."""
        wanted = f"lists of integers, nested {self.depth} deep, of equal lengths"
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise self.refusal(value, wanted) from error
        if array.size == 0:
            return self.default()
        # pybind11 refuses Python's floats, which become float64, and cuts off shorter ones
        cut = array.dtype.kind == "f" and array.dtype.itemsize < BYTES_OF_A_FLOAT
        if array.ndim != self.depth or not (array.dtype.kind in "biu" or cut):
            raise self.refusal(f"values of type {array.dtype}, nested {array.ndim} deep", wanted)
        if cut and not np.isfinite(array).all():
            raise self.refusal("values that are not finite", wanted)
        return array.astype(np.int64)

    def read(self, stored: np.ndarray) -> list[Any]:
        """Return nested lists."""
        return stored.tolist()

    def to_plain(self, stored: np.ndarray) -> list[Any]:
        """Return nested lists."""
        return stored.tolist()


class Struct(Field):
    """A record inside a record; assigning copies into it, so references stay live.

    Args:
        kind: the record's class.
        source: see `Field`.
        defaults: values that differ from the class's own defaults.
    """

    def __init__(self, kind: type[Record], *, source: str = "", **defaults: Any) -> None:
        changed = ", ".join(f"{name}={value}" for name, value in defaults.items())
        super().__init__(f"{kind.__name__}({changed})", source)
        self.kind, self._defaults = kind, defaults
        self.annotation = kind.__name__

    def default(self) -> Record:
        """Return a new record."""
        return self.kind(**self._defaults)

    def coerce(self, value: Any, current: Any) -> Record:
        """Return the record that is there, with the new values."""
        new = self.kind(**value) if isinstance(value, Mapping) else value
        if not isinstance(new, self.kind):
            raise self.refusal(value, f"a {self.kind.__name__} or a dict of its fields")
        if current is None:
            return copy.deepcopy(new)
        current.assign(new)
        return current

    def to_plain(self, stored: Record) -> dict[str, Any]:
        """Return the record's fields."""
        return stored.to_plain()


class Array(Field):
    """A fixed number of records; its items are live references.

    Args:
        kind: the class of the items.
        length: how many there are.
        source: see `Field`.
    """

    def __init__(self, kind: type[Record], length: int, *, source: str = "") -> None:
        super().__init__(f"{length} x {kind.__name__}()", source)
        self.length, self.item = length, Struct(kind)
        self.annotation = f"List[{kind.__name__}]"

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.item.__set_name__(owner, name)

    def default(self) -> Records:
        """Return new records."""
        return Records(self.item, [self.item.default() for _ in range(self.length)])

    def coerce(self, value: Any, current: Any) -> Records:
        """Return the records that are there, each with its new values."""
        items = list(value) if isinstance(value, (list, tuple, Records)) else None
        if items is None or len(items) != self.length:
            raise self.refusal(value, f"a list of {self.length} {self.item.kind.__name__}")
        records = self.default() if current is None else current
        for index, new in enumerate(items):
            records[index] = new
        return records

    def to_plain(self, stored: Records) -> list[Any]:
        """Return the fields of each record."""
        return [record.to_plain() for record in stored]


class Records:
    """The items of an `Array` field: a list of fixed length."""

    __slots__ = ("_item", "_records")

    def __init__(self, item: Struct, records: list[Record]) -> None:
        self._item, self._records = item, records

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._records)

    def __getitem__(self, index: int) -> Any:
        return self._records[index]

    def __setitem__(self, index: int, value: Any) -> None:
        self._item.coerce(value, self._records[index])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Records) and self._records == other._records

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        return repr(self._records)


class Record:
    """A class whose fields are declared in its body and type-checked when assigned.

    The table of its fields is appended to the docstring of each subclass.

    Args:
        args: values in the order of the fields.
        values: values by name.

    Attributes:
        stored: the values by name, in the form in which the fields store them.

    Raises:
        TypeError: a value doesn't fit its field, or there are too many values.
        AttributeError: the record has no field of that name.
    """

    __slots__ = ("stored",)
    fields: ClassVar[dict[str, Field]] = {}
    namespace: ClassVar[str] = "samna"

    def __init_subclass__(cls, *, source: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: item for name, item in vars(cls).items() if isinstance(item, Field)}
        for item in own.values():
            item.source = item.source or source
        if own:
            rows = [f"    {name}: {item.summary} [{item.source}]" for name, item in own.items()]
            cls.__doc__ = "\n".join([cls.__doc__ or "", "", "Fields, with their sources:", *rows])
        cls.fields = {**cls.fields, **own}

    def __init__(self, *args: Any, **values: Any) -> None:
        self.stored: dict[str, Any] = {name: item.default() for name, item in self.fields.items()}
        if len(args) > len(self.fields):
            raise TypeError(
                f"{type(self).__name__}: {len(args)} values for {len(self.fields)} fields:"
                f" give {', '.join(self.fields)}"
            )
        for name, value in [*zip(self.fields, args, strict=False), *values.items()]:
            if name not in self.fields:
                raise AttributeError(
                    f"{type(self).__name__} has no field {name!r}: it has {', '.join(self.fields)}"
                )
            # a switch that is set here switches no other one on
            self.stored[name] = self.fields[name].coerce(value, self.stored[name])

    @classmethod
    def trusted(cls, stored: dict[str, Any]) -> Self:
        """Return a record of exactly these stored values; every field is given, none is checked."""
        record = cls.__new__(cls)
        record.stored = stored
        return record

    def assign(self, other: Record) -> None:
        """Copy every value of `other`; the records inside this one stay the same objects."""
        for name, item in self.fields.items():
            self.stored[name] = item.coerce(other.stored[name], self.stored[name])

    def to_plain(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return {name: item.to_plain(self.stored[name]) for name, item in self.fields.items()}

    def to_json(self) -> str:
        """Return the fields as JSON text (speckflex's own layout, not samna's)."""
        return json.dumps(self.to_plain())

    def from_json(self, text: str) -> None:
        """Set the fields to the values in a text that `to_json` wrote.

        Raises:
            ValueError: the text is no JSON object.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(  # noqa: TRY004 - as for any other text that can't be read
                f"{type(self).__name__}: the JSON text is no object: use a text of to_json"
            )
        self.assign(type(self)(**values))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_plain() == self.to_plain()

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)}" for name in self.fields)
        return f"{self.namespace}::{type(self).__name__}({values})"


def _span(values: range) -> str:
    return f"{values.start}..{values.stop - 1}"


def as_int(value: Any) -> int | None:
    """Return what pybind11 makes of an argument of type int; None where it refuses it.

    It takes no Python float, and cuts off what other numbers have behind the point.
    """
    if isinstance(value, float) or not _is_number(value):
        return None
    return _converted(int, value)


def as_bool(value: Any) -> bool | None:
    """Return what pybind11 makes of an argument of type bool; None where it refuses it."""
    if value is None:
        return False
    return _converted(bool, value) if _is_number(value) else None


def as_float(value: Any) -> float | None:
    """Return what pybind11 makes of an argument of type float; None where it refuses it."""
    return _converted(float, value) if _is_number(value) else None


def as_whole(function: str, value: Any) -> int:
    """Return an argument of type int.

    Args:
        function: that was called, for the error.
        value: what it was given.

    Raises:
        TypeError: pybind11 does not take it for an int of 32 bits.
    """
    number = as_int(value)
    if number is None or not -(2**31) <= number < 2**31:
        raise TypeError(refused_call(function, "self: object, arg0: int", repr(value)))
    return number


def as_switch(function: str, value: Any) -> bool:
    """Return an argument of type bool.

    Raises:
        TypeError: pybind11 does not take it for one.
    """
    switch = as_bool(value)
    if switch is None:
        raise TypeError(refused_call(function, "self: object, arg0: bool", repr(value)))
    return switch


def as_number(function: str, value: Any) -> float:
    """Return an argument of type float.

    Raises:
        TypeError: pybind11 does not take it for one.
    """
    number = as_float(value)
    if number is None:
        raise TypeError(refused_call(function, "self: object, arg0: float", repr(value)))
    return number


def refused_call(name: str, arguments: str, given: str) -> str:
    """Return pybind11's words for a call whose arguments it can't take.

    Args:
        name: of the function; "" for an assignment to a field.
        arguments: their names and types.
        given: what came in their place.
    """
    return (
        f"{name}(): incompatible function arguments. The following argument types are supported:\n"
        f"    1. ({arguments}) -> None\n\nInvoked with: {given}"
    )


def _is_number(value: Any) -> bool:
    """Return whether a value is a number to Python, as arrays and tensors of one item are."""
    if isinstance(value, str | bytes):
        return False
    # Python 3.10's complex numbers have no __complex__
    return isinstance(value, complex) or any(
        hasattr(value, name) for name in ("__index__", "__int__", "__float__", "__complex__")
    )


def _converted(kind: Callable[[Any], _T], value: Any) -> _T | None:
    try:
        return kind(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
