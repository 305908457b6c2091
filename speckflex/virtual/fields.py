"""The kinds of fields that samna's records have, each with what may be assigned to it."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, overload

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self

    from speckflex.virtual.records import Record

__all__ = ["Field", "Flag", "Integer", "Nested", "Number"]


class Field(ABC):
    """One field of a record: its default, and what may be assigned to it."""

    name: str

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, record: None, owner: type) -> Self: ...
    @overload
    def __get__(self, record: Record, owner: type) -> Any: ...
    def __get__(self, record: Record | None, owner: type) -> Any:
        """Return the value, or the field itself when asked of the class."""
        return self if record is None else self.read(record.stored_values[self.name])

    def __set__(self, record: Record, value: Any) -> None:
        values = record.stored_values
        values[self.name] = self.coerce(value, values.get(self.name))

    @abstractmethod
    def default(self) -> Any:
        """Return the value of a fresh record."""

    @abstractmethod
    def coerce(self, value: Any, current: Any) -> Any:
        """Return `value` as the field stores it.

        Raises:
            TypeError: the value is of another type or doesn't fit.
        """

    def read(self, stored: Any) -> Any:
        """Return what a reader of the field sees."""
        return stored

    def to_plain(self, stored: Any) -> Any:
        """Return the stored value as plain JSON types."""
        return stored

    def refuse(self, value: Any, wanted: str) -> TypeError:
        """Return the error of an assignment that doesn't fit."""
        return TypeError(
            f"{self.name}: {value!r} of type {type(value).__name__} is no {wanted}: assign one"
        )


class Integer(Field):
    """A whole number; takes Python and numpy integers, booleans and 0-d tensors of them."""

    def __init__(self, default: int = 0, minimum: int = -(2**63), maximum: int = 2**63 - 1) -> None:
        self._default, self.minimum, self.maximum = default, minimum, maximum

    def default(self) -> int:
        """Return the default."""
        return self._default

    def coerce(self, value: Any, current: Any) -> int:
        """Return an int within the range."""
        try:
            number = int(value) if _is_boolean(value) else operator.index(value)
        except (TypeError, ValueError) as error:
            raise self.refuse(value, "integer") from error
        if not self.minimum <= number <= self.maximum:
            raise self.refuse(value, f"integer in {self.minimum}..{self.maximum}")
        return number


class Flag(Field):
    """True or False; takes numpy booleans and 0-d boolean tensors."""

    def __init__(self, default: bool = False) -> None:  # noqa: FBT001, FBT002 - a default value
        self._default = default

    def default(self) -> bool:
        """Return the default."""
        return self._default

    def coerce(self, value: Any, current: Any) -> bool:
        """Return a bool."""
        if not _is_boolean(value):
            raise self.refuse(value, "boolean")
        return bool(value)


class Number(Field):
    """A floating-point number."""

    def __init__(self, default: float = 0.0) -> None:
        self._default = default

    def default(self) -> float:
        """Return the default."""
        return self._default

    def coerce(self, value: Any, current: Any) -> float:
        """Return a float."""
        if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
            raise self.refuse(value, "number")
        return float(value)


class Nested(Field):
    """Integers in nested lists of equal lengths; a reader gets a copy, as pybind gives it."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def default(self) -> np.ndarray:
        """Return no values at all."""
        return np.zeros((0,) * self.depth, np.int64)

    def coerce(self, value: Any, current: Any) -> np.ndarray:
        """Return an int64 array of `depth` axes."""
        try:
            array = np.asarray(value)
        except (ValueError, TypeError) as error:
            raise self.refuse(type(value), "list of equal lengths at each depth") from error
        if array.size == 0:
            return self.default()
        if array.ndim != self.depth or array.dtype.kind not in "biu":
            raise TypeError(
                f"{self.name}: values of type {array.dtype} at depth {array.ndim} are no integers"
                f" at depth {self.depth}: assign nested lists of integers"
            )
        return array.astype(np.int64)

    def read(self, stored: np.ndarray) -> list[Any]:
        """Return nested lists."""
        return stored.tolist()

    def to_plain(self, stored: np.ndarray) -> list[Any]:
        """Return nested lists."""
        return stored.tolist()


def _is_boolean(value: Any) -> bool:
    """Return whether `value` is a bool, a numpy bool or a 0-d boolean tensor."""
    if isinstance(value, (bool, np.bool_)):
        return True
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    return shape is not None and tuple(shape) == () and str(dtype) in {"bool", "torch.bool"}
