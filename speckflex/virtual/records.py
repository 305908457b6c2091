"""Records in the manner of samna's: typed fields, live references, JSON, no other attributes."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from speckflex.virtual.fields import Field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self

__all__ = ["Array", "Record", "Records", "Struct"]


class Struct(Field):
    """A record inside a record; assigning copies into it, so references stay live.

    Args:
        kind: the record's class.
        defaults: values that differ from the class's own defaults.
    """

    def __init__(self, kind: type[Record], **defaults: Any) -> None:
        self.kind, self.defaults = kind, defaults

    def default(self) -> Record:
        """Return a fresh record."""
        return self.kind(**self.defaults)

    def coerce(self, value: Any, current: Any) -> Record:
        """Return the record that stands there, with the new values."""
        source = self.kind.from_mapping(value) if isinstance(value, Mapping) else value
        if not isinstance(source, self.kind):
            raise self.refuse(value, f"{self.kind.__name__} or dict of its fields")
        if current is None:
            return copy.deepcopy(source)
        current.assign(source)
        return current

    def to_plain(self, stored: Record) -> dict[str, Any]:
        """Return the record's fields."""
        return stored.to_plain()


class Array(Field):
    """A fixed number of records; its items are live references.

    Args:
        kind: the class of the items.
        length: how many there are.
    """

    def __init__(self, kind: type[Record], length: int) -> None:
        self.length, self.item = length, Struct(kind)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.item.name = name

    def default(self) -> Records:
        """Return fresh records."""
        return Records(self.item, [self.item.default() for _ in range(self.length)])

    def coerce(self, value: Any, current: Any) -> Records:
        """Return the records that stand there, each with its new values."""
        items = list(value) if isinstance(value, (list, tuple, Records)) else None
        if items is None or len(items) != self.length:
            raise self.refuse(value, f"list of {self.length} {self.item.kind.__name__}")
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
    """A class whose fields are declared as class attributes and type-checked when assigned.

    Args:
        args: values in the order of the fields.
        values: values by name.

    Raises:
        TypeError: a value doesn't fit its field, or there are too many.
        AttributeError: there is no field of that name.
    """

    __slots__ = ("stored_values",)
    _fields: ClassVar[dict[str, Field]] = {}
    _namespace: ClassVar[str] = "samna"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        own = {name: item for name, item in vars(cls).items() if isinstance(item, Field)}
        cls._fields = {**cls._fields, **own}

    def __init__(self, *args: Any, **values: Any) -> None:
        self.stored_values: dict[str, Any] = {
            name: item.default() for name, item in self._fields.items()
        }
        if len(args) > len(self._fields):
            raise TypeError(
                f"{type(self).__name__}: {len(args)} values for {len(self._fields)} fields:"
                f" give {', '.join(self._fields)}"
            )
        for name, value in [*zip(self._fields, args, strict=False), *values.items()]:
            setattr(self, name, value)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Return a record with the named values, the others at their defaults."""
        return cls(**values)

    @classmethod
    def trusted(cls, values: dict[str, Any]) -> Self:
        """Return a record of exactly these values, all fields given and none checked."""
        record = cls.__new__(cls)
        record.stored_values = values
        return record

    def assign(self, other: Record) -> None:
        """Take over every value of `other`, keeping the records inside this one."""
        for name, item in self._fields.items():
            self.stored_values[name] = item.coerce(
                other.stored_values[name], self.stored_values[name]
            )

    def stored(self, name: str) -> Any:
        """Return a field as it is kept, an array where a reader gets lists."""
        return self.stored_values[name]

    def to_plain(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return {
            name: item.to_plain(self.stored_values[name]) for name, item in self._fields.items()
        }

    def to_json(self) -> str:
        """Return the fields as JSON text (speckflex's own layout, not samna's)."""
        return json.dumps(self.to_plain())

    def from_json(self, text: str) -> None:
        """Take over the fields that `to_json` wrote.

        Raises:
            ValueError: the text is no JSON object.
        """
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError(  # noqa: TRY004 - as for any other unusable text
                f"{type(self).__name__}: the JSON text holds no object: use to_json"
            )
        self.assign(type(self).from_mapping(values))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.to_plain() == self.to_plain()

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)}" for name in self._fields)
        return f"{self._namespace}::{type(self).__name__}({values})"
