"""All that is found on the way to the chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from speckflex.fitting.finding import Check

if TYPE_CHECKING:
    from speckflex.errors import ConversionError

__all__ = ["Findings"]


class Findings:
    """Collects checks.

    Attributes:
        checks: what was found, in that order.
    """

    def __init__(self) -> None:
        self.checks: list[Check] = []

    def refuse(self, layer: str, rule: str, message: str, remedy: str = "") -> None:
        """Take in once what the chip can't do, as an error of that layer."""
        check = Check(layer, "error", rule, message, remedy=remedy)
        # the same step may be met on several ways
        if check not in self.checks:
            self.checks.append(check)

    def refuse_error(self, layer: str, rule: str, error: ConversionError) -> None:
        """Take in what was raised, as an error of that layer."""
        message, _, remedy = str(error).rpartition(": ")
        self.refuse(layer, rule, message or remedy, remedy if message else "")

    @property
    def has_error(self) -> bool:
        """Whether something can't be converted."""
        return any(check.severity == "error" for check in self.checks)
