"""A machine that follows a pickle's instructions, and calls nothing that the pickle names."""

from __future__ import annotations

import pickletools
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Opaque", "OpaqueName", "PickleMachine", "hashable", "is_usual_key"]

# A checkpoint of a thousand tensors has about 25 000; a million take 4 seconds.
MOST_INSTRUCTIONS = 1_000_000
# Python hashes the parts of a tuple again and again, so that a small pickle could hash for years.
MOST_PARTS_OF_A_KEY = 100
# Numbers and tuples can be chosen so that all have one hash, and a dict of n of them takes n * n
# steps. Texts can't: Python hashes them with a secret. Small whole numbers are their own hashes.
MOST_UNUSUAL_KEYS = 1000
LARGEST_USUAL_KEY = 2**32
# One list, written once, may be an argument of many calls, and each call goes over all of it.
MOST_BYTES_OF_ARGUMENTS = 2**28
BYTES_OF_AN_ITEM = 100  # a set takes as much for each


@dataclass(frozen=True)
class OpaqueName:
    """A class or function that a pickle names and the machine does not know.

    Args:
        dotted: its module and name.
    """

    dotted: str


@dataclass(eq=False)
class Opaque:
    """An object that a pickle makes with something that the machine does not know.

    Args:
        dotted: module and name of what would make it.
        state: what would be its attributes; None where it has none.
        items: what would be its items, if it is a kind of dict.
    """

    dotted: str
    state: Any = None
    items: OrderedDict[Any, Any] = field(default_factory=OrderedDict)


class PickleMachine:
    """Builds the content of a pickle of plain values, with the objects that its owner makes.

    `pickletools` decodes the instructions. What the pickle would import, the owner looks up; what
    it would call, the owner makes or refuses. What the owner does not know stands as `OpaqueName`
    or `Opaque` in the content.

    Args:
        find: returns what stands for a dotted name, such as a class or an `OpaqueName`.
        make: returns what a call of a value that `find` returned makes, from its arguments.
        fill: gives an object that `make` returned its state.
        stored: returns what stands outside the pickle under a persistent id.
    """

    def __init__(
        self,
        *,
        find: Callable[[str], Any],
        make: Callable[[Any, tuple[Any, ...]], Any],
        fill: Callable[[Any, Any], None],
        stored: Callable[[Any], Any],
    ) -> None:
        self._owner = _Owner(find, make, fill, stored)

    def run(self, stream: bytes | BinaryIO) -> Any:
        """Return the content of the next pickle in the stream.

        Raises:
            ValueError, IndexError, KeyError, TypeError, AttributeError: the pickle is damaged.
        """
        work = _Work(self._owner)
        for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if number > MOST_INSTRUCTIONS:
                raise ValueError(f"more than {MOST_INSTRUCTIONS} instructions in one pickle")
            if opcode.name in VALUES:
                work.stack.append(argument)
            elif opcode.name in CONSTANTS:
                work.stack.append(CONSTANTS[opcode.name]())
            elif opcode.name in STEPS:
                STEPS[opcode.name](work, argument)
            elif opcode.name not in IGNORED:
                raise ValueError(f"the instruction {opcode.name}, which no model needs")
        return work.stack.pop()


class _Owner(NamedTuple):
    """What the owner of a machine does for it."""

    find: Callable[[str], Any]
    make: Callable[[Any, tuple[Any, ...]], Any]
    fill: Callable[[Any, Any], None]
    stored: Callable[[Any], Any]


class _Work:
    """The stack and the memo of one pickle, and the steps that change them."""

    def __init__(self, owner: _Owner) -> None:
        self.owner = owner
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.n_unusual_keys = 0
        self.n_bytes_of_arguments = 0

    def mark(self, _: Any) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def pop(self, _: Any) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.since_mark()

    def pop_mark(self, _: Any) -> None:
        self.since_mark()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def get(self, index: int) -> None:
        self.stack.append(self.memo[int(index)])

    def put(self, index: int) -> None:
        self.memo[int(self.key(int(index)))] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def make_tuple(self, _: Any) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def short_tuple(self, size: int) -> None:
        if len(self.stack) < size:
            raise ValueError("a tuple without its parts")
        items = tuple(self.stack[-size:])
        del self.stack[-size:]
        self.stack.append(items)

    def make_list(self, _: Any) -> None:
        items = list(self.since_mark())
        self.stack.append(items)

    def make_dict(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append({})
        self.set_pairs(items)

    def make_frozenset(self, _: Any) -> None:
        items = self.since_mark()
        self.stack.append(frozenset(self.key(item) for item in items))

    def append(self, _: Any) -> None:
        self.extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self.extend(self.since_mark())

    def extend(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is list:
            target.extend(items)
        elif not isinstance(target, Opaque):
            raise ValueError(f"items appended to a {type(target).__name__}")

    def set_item(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_pairs([key, value])

    def set_items(self, _: Any) -> None:
        self.set_pairs(self.since_mark())

    def set_pairs(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Opaque):
            target = target.items
        if type(target) not in {dict, OrderedDict} or len(items) % 2:
            raise ValueError(f"items set on a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = value

    def key(self, value: Any) -> Any:
        """Return a value that may be a key, after a check that a dict soon finds its place."""
        if not is_usual_key(value):
            self.n_unusual_keys += 1
            if self.n_unusual_keys > MOST_UNUSUAL_KEYS:
                raise ValueError(f"more than {MOST_UNUSUAL_KEYS} keys that are no texts")
        return hashable(value)

    def add_items(self, _: Any) -> None:
        items, target = self.since_mark(), self.stack[-1]
        if type(target) is set:
            target.update(self.key(item) for item in items)
        elif not isinstance(target, Opaque):
            raise ValueError(f"items added to a {type(target).__name__}")

    def find_global(self, argument: str) -> None:
        # genops joins module and name by a space
        self.stack.append(self.owner.find(str(argument).replace(" ", ".")))

    def stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("a name that is no text")  # noqa: TRY004 - of the file, not of a caller
        self.stack.append(self.owner.find(f"{module}.{name}"))

    def call(self, function: Any, arguments: Any) -> None:
        if not isinstance(arguments, tuple):
            raise ValueError("a call without a tuple of arguments")  # noqa: TRY004
        self.charge(arguments)
        if isinstance(function, OpaqueName | Opaque):
            self.stack.append(Opaque(function.dotted))
        else:
            self.stack.append(self.owner.make(function, arguments))

    def charge(self, arguments: tuple[Any, ...]) -> None:
        """Count what a call goes over; more than a file can need is refused."""
        for argument in (arguments, *arguments):
            if isinstance(argument, str | bytes | bytearray):
                self.n_bytes_of_arguments += len(argument)
            elif isinstance(argument, tuple | list | dict | set | frozenset):
                self.n_bytes_of_arguments += BYTES_OF_AN_ITEM * len(argument)
        if self.n_bytes_of_arguments > MOST_BYTES_OF_ARGUMENTS:
            raise ValueError(f"calls with more than {MOST_BYTES_OF_ARGUMENTS} bytes of arguments")

    def reduce(self, _: Any) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.call(function, arguments)

    def new_with_keywords(self, _: Any) -> None:
        keywords, arguments, cls = self.stack.pop(), self.stack.pop(), self.stack.pop()
        if keywords and not isinstance(cls, OpaqueName):
            raise ValueError("a class called with named arguments")
        self.call(cls, arguments)

    def instance(self, argument: str) -> None:
        arguments = tuple(self.since_mark())
        self.call(self.owner.find(str(argument).replace(" ", ".")), arguments)

    def make_object(self, _: Any) -> None:
        cls, *arguments = self.since_mark()
        self.call(cls, tuple(arguments))

    def build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Opaque):
            target.state = state
        elif type(target) not in {dict, OrderedDict, set, list}:  # whose own attributes go
            self.charge((state,))
            self.owner.fill(target, state)

    def persistent(self, _: Any) -> None:
        self.stack.append(self.owner.stored(self.stack.pop()))


def is_usual_key(value: Any) -> bool:
    """Return whether a dict may have any number of such keys."""
    if isinstance(value, str | bytes):
        return True
    return type(value) is int and abs(value) < LARGEST_USUAL_KEY


def hashable(value: Any) -> Any:
    """Return a value that may be a key of a dict, after a check that its hash is soon found.

    Raises:
        ValueError: it may not.
    """
    left, todo = MOST_PARTS_OF_A_KEY, [value]
    while todo:
        part = todo.pop()
        left -= 1
        if isinstance(part, tuple):
            todo.extend(part[: left + 1])
        elif isinstance(part, list | dict | set | bytearray | frozenset | slice):
            raise ValueError(f"a {type(part).__name__} as a key")  # noqa: TRY004
        if left < 0:
            raise ValueError(f"a key of more than {MOST_PARTS_OF_A_KEY} parts")
    return value


VALUES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
        *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    )
)
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
IGNORED = ("PROTO", "FRAME", "STOP")
STEPS: dict[str, Callable[[_Work, Any], None]] = {
    "MARK": _Work.mark,
    "POP": _Work.pop,
    "POP_MARK": _Work.pop_mark,
    "DUP": _Work.duplicate,
    "GET": _Work.get,
    "BINGET": _Work.get,
    "LONG_BINGET": _Work.get,
    "PUT": _Work.put,
    "BINPUT": _Work.put,
    "LONG_BINPUT": _Work.put,
    "MEMOIZE": _Work.memoize,
    "TUPLE": _Work.make_tuple,
    "TUPLE1": lambda work, _: work.short_tuple(1),
    "TUPLE2": lambda work, _: work.short_tuple(2),
    "TUPLE3": lambda work, _: work.short_tuple(3),
    "LIST": _Work.make_list,
    "DICT": _Work.make_dict,
    "FROZENSET": _Work.make_frozenset,
    "APPEND": _Work.append,
    "APPENDS": _Work.appends,
    "SETITEM": _Work.set_item,
    "SETITEMS": _Work.set_items,
    "ADDITEMS": _Work.add_items,
    "GLOBAL": _Work.find_global,
    "STACK_GLOBAL": _Work.stack_global,
    "REDUCE": _Work.reduce,
    "NEWOBJ": _Work.reduce,
    "NEWOBJ_EX": _Work.new_with_keywords,
    "INST": _Work.instance,
    "OBJ": _Work.make_object,
    "BUILD": _Work.build,
    "BINPERSID": _Work.persistent,
}
