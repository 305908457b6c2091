"""The order in which the neurons of a core that fire on one event send their spikes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING

from speckflex.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ORDERS", "OutputOrder"]


@dataclass(frozen=True)
class OutputOrder:
    """Three loops, one inside the other, over channel ("c"), y and x.

    Args:
        axes: such as "yxc", the outer loop first.
        falling: the axes that are walked from their last place to their first.
    """

    axes: str
    falling: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> OutputOrder:
        """Return the order that a text such as "-y-x+c" names.

        Args:
            text: c, y and x once each, the outer loop first, each behind "+" if it rises or "-" if
                it falls; "+" may be left out.

        Raises:
            BoardError: the text names no order.
        """
        if not isinstance(text, str) or text not in _BY_TEXT:
            raise BoardError(
                f"twin setting output_order is {text!r}: give c, y and x once each, the outer loop"
                ' first, each behind + if it rises or - if it falls, such as "-y-x+c"'
            )
        return _BY_TEXT[text]

    def __str__(self) -> str:
        return "".join(f"{'-' if axis in self.falling else '+'}{axis}" for axis in self.axes)

    def key(self, position: Mapping[str, int]) -> tuple[int, ...]:
        """Return what sorts positions, each a number for "c", "y" and "x", in this order."""
        return tuple(
            -position[axis] if axis in self.falling else position[axis] for axis in self.axes
        )


_BY_TEXT = {
    "".join(sign + axis for sign, axis in zip(signs, axes, strict=True)): OutputOrder(
        "".join(axes),
        frozenset(axis for sign, axis in zip(signs, axes, strict=True) if sign == "-"),
    )
    for axes in permutations("cyx")
    for signs in product(("+", "-", ""), repeat=3)
}
# All 48, as they are written in full.
ORDERS = tuple(sorted({str(order) for order in _BY_TEXT.values()}))
