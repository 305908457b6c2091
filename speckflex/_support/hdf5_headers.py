"""Where the headers of the objects in an HDF5 file lie.

The layout is that of the HDF5 File Format Specification, sections IV.A.1 (object headers) and
IV.A.2.q (continuations), with addresses and lengths of 8 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap
    from collections.abc import Iterable

__all__ = ["header_spans"]

V1_PREFIX = 16
V2_START, V2_CONTINUED = b"OHDR", b"OCHK"
CHECKSUM = 4
CONTINUATION = 0x10
# Where more attributes than a header holds lie, and where messages lie that headers share.
ATTRIBUTES_ELSEWHERE, SHARED_TABLE = 0x15, 0x0F
SHARED = 2  # bit of a message's flags: the message lies elsewhere
TIMES, ATTRIBUTE_LIMITS, ORDER = 0x20, 0x10, 0x04  # bits of a header's flags
UNDEFINED = 2**64 - 1
MOST_SPANS = 2**16


@dataclass(frozen=True)
class _Form:
    """How the messages of a header are laid out.

    Args:
        prefix: bytes before the data of a message.
        kind: bytes of its kind.
        size_at, flags_at: where its size (2 bytes) and its flags (1) stand.
    """

    prefix: int
    kind: int
    size_at: int
    flags_at: int


V1 = _Form(prefix=8, kind=2, size_at=2, flags_at=4)
V2 = _Form(prefix=4, kind=1, size_at=1, flags_at=3)
V2_ORDERED = _Form(prefix=6, kind=1, size_at=1, flags_at=3)


class _ElsewhereError(Exception):
    """Something of a header lies outside of it, or its layout is another."""


def header_spans(
    content: mmap.mmap | bytes, base: int, addresses: Iterable[int]
) -> list[tuple[int, int]] | None:
    """Return the first and the last byte, plus one, of each part of the headers of objects.

    Args:
        content: of the file; slices of it are bytes.
        base: what addresses are counted from.
        addresses: of the headers.

    Returns:
        The parts, or None if something that belongs to a header may lie elsewhere: attributes in a
        heap, messages that headers share, or a layout that is not known here.
    """
    spans: list[tuple[int, int]] = []
    try:
        for address in addresses:
            spans += _header(content, base, base + address)
            if len(spans) > MOST_SPANS:
                return None
    except _ElsewhereError:
        return None
    return spans


def _header(content: mmap.mmap | bytes, base: int, start: int) -> list[tuple[int, int]]:
    """Return the parts of one header."""
    if bytes(content[start : start + len(V2_START)]) == V2_START:
        form, first = _first_part_v2(content, start)
        marks = (len(V2_CONTINUED), CHECKSUM)
    else:
        if content[start : start + 1] != b"\x01":
            raise _ElsewhereError
        form, marks = V1, (0, 0)
        first = (start + V1_PREFIX, start + V1_PREFIX + _number(content, start + 8, 4))
    parts, found = [first], []
    while parts:
        begin, end = parts.pop()
        if end > len(content) or len(found) > MOST_SPANS:
            raise _ElsewhereError
        found.append((begin, end))
        for offset, length in _continuations(content, form, begin, end):
            place = base + offset
            parts.append((place + marks[0], place + length - marks[1]))
    return found


def _first_part_v2(content: mmap.mmap | bytes, start: int) -> tuple[_Form, tuple[int, int]]:
    flags = _number(content, start + 5, 1)
    place = start + 6
    place += 16 if flags & TIMES else 0
    place += 4 if flags & ATTRIBUTE_LIMITS else 0
    width = 1 << (flags & 3)
    size = _number(content, place, width)
    form = V2_ORDERED if flags & ORDER else V2
    return form, (place + width, place + width + size)


def _continuations(
    content: mmap.mmap | bytes, form: _Form, begin: int, end: int
) -> list[tuple[int, int]]:
    """Return the offsets and lengths that the messages from begin to end name."""
    found = []
    place = begin
    while place + form.prefix <= end:
        kind = _number(content, place, form.kind)
        size = _number(content, place + form.size_at, 2)
        flags = _number(content, place + form.flags_at, 1)
        data = place + form.prefix
        if flags & SHARED or kind == SHARED_TABLE or data + size > end:
            raise _ElsewhereError
        if kind == ATTRIBUTES_ELSEWHERE:
            # version and flags, then 2 bytes where the order of attributes is kept
            at = data + 2 + (2 if _number(content, data + 1, 1) & 1 else 0)
            if _number(content, at, 8) != UNDEFINED:
                raise _ElsewhereError
        if kind == CONTINUATION:
            found.append((_number(content, data, 8), _number(content, data + 8, 8)))
        place = data + size
    return found


def _number(content: mmap.mmap | bytes, start: int, width: int) -> int:
    piece = bytes(content[start : start + width])
    if len(piece) < width:
        raise _ElsewhereError
    return int.from_bytes(piece, "little")
